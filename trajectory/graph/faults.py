"""Which failed spans are where an error began, and which only passed it on.

Invariant: one exception that ends six spans is one root error, the deepest. Called by the fold's readers.
"""

from collections.abc import Iterable, Iterator

from trajectory.graph.span import Span
from trajectory.model.control_flow import is_control_flow
from trajectory.model.words import INTERRUPTED


def root_errors(spans: Iterable[Span]) -> list[Span]:
    """Error spans that are no mere propagation of an error below them, by start."""
    return sorted((s for s in spans if begins_error(s)), key=lambda s: s.order_key)


def begins_error(span: Span) -> bool:
    """Whether an error began at a span: it ended in one that is no control flow, and passes on none of a span below."""
    return span.is_error and not is_control_flow(span.error_type) and not propagates(span)


def propagates(span: Span) -> bool:
    """Whether an error span only passes on an error of a span below it.

    It does where a failed child says the same (type, or one message within the other), or where it failed as its last
    child failed: an exception that nobody handled ends every span that it leaves. Children that were stopped say nothing. So
    does one that says type and message of a failed span further down: some spans that an exception leaves are not marked, or
    marked as good.
    """
    failed = [c for c in span.children if c.is_error and not _is_steered(c)]
    if failed:
        last = max((c for c in span.children if not _is_steered(c)), key=lambda s: s.order_key)
        if last.is_error or any(says_the_same(span, child) for child in failed):
            return True
    return bool(span.error_type) and any(
        s.error_type == span.error_type and (s.error_text in span.error_text or span.error_text in s.error_text)
        for s in _next_failed(span)
    )


def _is_steered(span: Span) -> bool:
    """Whether a span was stopped, or ended by an exception that steers: what is cancelled because of a failure is none."""
    if span.is_error:
        return is_control_flow(span.error_type)
    return INTERRUPTED in span.attributes


def _next_failed(span: Span) -> Iterator[Span]:
    """The failed spans below that have none but good spans between: over all failed spans, each span is walked once."""
    pending = [child for child in span.children if not child.is_error]
    while pending:
        for child in pending.pop().children:
            if child.is_error:
                yield child
            else:
                pending.append(child)


def says_the_same(span: Span, child: Span) -> bool:
    """Whether two failed spans tell of one error: type, or one's message within the other's."""
    if span.error_type and span.error_type == child.error_type:
        return True
    ours, theirs = span.error_text, child.error_text
    return bool(ours and theirs) and (theirs in ours or ours in theirs)
