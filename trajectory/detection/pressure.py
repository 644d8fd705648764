"""`context.pressure`: a model's context window is nearly full, or a call was refused because it was.

Invariant: tokens are those that the call reports, the cached among them; only where it reports none they are counted from its
text, roughly, and then nothing short of a full window is an alarm. A model whose window is not known, and one that took more than
its window, is not judged. One finding for each agent's work. Called through the seam of `contract`.
"""

import re
from collections.abc import Iterable, Iterator

from trajectory.detection.contract import Settling
from trajectory.detection.windows import rough_tokens, window_of
from trajectory.graph.changes import Following
from trajectory.graph.span import Span
from trajectory.graph.trace import Invocation, Trace
from trajectory.model.fact import Evidence, Finding
from trajectory.model.words import INPUT_TOKENS, MODEL_NAME, Grade, Severity, Slot, SpanKind

KIND = "context.pressure"
WARNING_RATIO, _INFO_RATIO = 0.9, 0.8
_ROUGH_WARNING_RATIO = 0.97
_RESPONSE_MODEL = "gen_ai.response.model"
_CACHED = ("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_write.input_tokens")
_REFUSED = re.compile(
    r"context[_ ]length[_ ]exceeded|maximum context length|prompt is too long|context window (?:is )?(?:full|exceeded)|"
    r"exceeds? the (?:model'?s )?(?:maximum )?context|input is too long|too many (?:input )?tokens",
    re.I,
)
_MAX_ROUGH_BYTES = 8 * 1024 * 1024


class ContextPressure(Settling):
    """The detector of `context.pressure`."""

    name = KIND

    def __init__(self) -> None:
        self._following: Following | None = None
        self._worst: dict[bytes, tuple[float, Finding]] = {}  # by the agent's work

    def settle(self, now_ns: int, trace: Trace) -> Iterable[Finding]:
        """The fullest call of each agent's work, where it is nearly full."""
        following = self._following = self._following or trace.watch()
        for span_id in following.take():
            span = trace.spans.get(span_id)
            if span is None or span.kind != SpanKind.MODEL or span.is_placeholder or not span.end_ns:
                continue
            for ratio, finding in _judged(span, trace):
                key = _work_of(span.owner, span)
                known = self._worst.get(key)
                if known is None or (ratio, span.span_id) > (known[0], known[1].span_id):
                    self._worst[key] = (ratio, finding)
                    yield finding


def _work_of(owner: Invocation | None, span: Span) -> bytes:
    return owner.span_id if owner is not None else span.span_id


def _judged(span: Span, trace: Trace) -> Iterator[tuple[float, Finding]]:
    refusal = _REFUSED.search(span.error_text[:4000]) if span.is_error else None
    model = str(span.attributes.get(_RESPONSE_MODEL) or span.attributes.get(MODEL_NAME) or "")
    window = window_of(model[:200])
    who = trace.span_label(span) or "an agent"
    if refusal is not None:
        yield 2.0, _finding(span, trace, f"{who} was refused: its context is too long", refusal[0], 0.95, True, True)
        return
    if not window:
        return
    tokens = max(int(span.number(INPUT_TOKENS)), sum(int(span.number(name)) for name in _CACHED))
    is_reported = tokens > 0
    if not is_reported:
        tokens = _counted(span, trace)
    ratio = tokens / window
    if ratio < _INFO_RATIO or (ratio > 1 and is_reported):
        return
    is_loud = ratio >= (WARNING_RATIO if is_reported else _ROUGH_WARNING_RATIO)
    about = "" if is_reported else "about "
    message = f"the context of {who} has {about}{tokens:,} of the {window:,} tokens that {model[:60]} takes"
    yield (
        ratio,
        _finding(
            span, trace, message, f"{tokens} of {window} tokens", 0.95 if is_reported else 0.7, is_loud, is_reported
        ),
    )


def _counted(span: Span, trace: Trace) -> int:
    """The tokens of what a call was shown, counted from its text."""
    count = left = 0
    for slot in (Slot.SYSTEM, Slot.INPUT, Slot.TOOLS):
        for digest in span.digests(slot):
            body = trace.body(digest)
            if body is not None:
                left += len(body[1])
                if left > _MAX_ROUGH_BYTES:
                    return count
                count += rough_tokens(body[1].decode("utf-8", "replace"))
    return count


def _finding(
    span: Span, trace: Trace, message: str, value: str, confidence: float, is_loud: bool, is_reported: bool
) -> Finding:
    root = span.owner.span_id if span.owner is not None and span.owner.span_id in trace.spans else span.span_id
    return Finding(
        kind=KIND,
        severity=Severity.WARNING if is_loud else Severity.INFO,
        confidence=confidence,
        trace_id=trace.trace_id,
        span_id=span.span_id,
        message=" ".join(message.split()),
        agent=span.agent_name,
        value="context window",
        root_span_id=root,
        path=list(dict.fromkeys((root, span.span_id))),
        evidence=[Evidence(span.span_id, value)],
        grade=Grade.OBSERVED if is_reported else Grade.INFERRED,
        at_ns=span.end_ns or span.start_ns,
    )
