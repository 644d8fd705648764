"""Which call does again what an earlier call failed at.

Invariant: a retry names the failed call that it repeats: declared by a `retry_of` link, or the same tool with the same
arguments in the same invocation after an error. Called by detectors and by whoever draws retries.
"""

from trajectory.graph.echoes import is_echo, told
from trajectory.graph.span import Span
from trajectory.graph.trace import Invocation, tool_name
from trajectory.model.words import LinkKind, Slot, SpanKind


def retries(invocation: Invocation) -> dict[bytes, bytes]:
    """For each retrying span of an invocation the id of the failed span that it repeats."""
    found: dict[bytes, bytes] = {}
    failed: dict[tuple[str, tuple[bytes, ...]], Span] = {}
    for span in invocation.steps():
        for link in span.links:
            if link.kind == LinkKind.RETRY_OF:
                found[span.span_id] = link.to_span_id
        if span.kind not in (SpanKind.TOOL, SpanKind.MODEL, SpanKind.RETRIEVAL) or is_echo(span):
            continue
        call = (tool_name(span), tuple(told(span, Slot.ARGUMENTS, Slot.INPUT)))
        earlier = failed.get(call)
        if earlier is not None and call[1]:
            found.setdefault(span.span_id, earlier.span_id)
        if span.is_error:
            failed[call] = span
        else:
            failed.pop(call, None)
    return found
