"""Which failed spans are where an error began, and which only passed it on.

Invariant: one exception that ends six spans is one root error, the deepest. Called by the fold's readers.
"""

from collections.abc import Iterable, Iterator

from trajectory.graph.span import Span


def root_errors(spans: Iterable[Span]) -> list[Span]:
    """Error spans that are no mere propagation of an error below them, by start."""
    return sorted((s for s in spans if s.is_error and not _propagates(s)), key=lambda s: s.order_key)


def _propagates(span: Span) -> bool:
    """Whether an error span only passes on an error of a span below it.

    It does where a failed child says the same (type, or one message within the other), or where it failed as its last
    child failed: an exception that nobody handled ends every span that it leaves. So does one that says type and message of a
    failed span further down: some spans that an exception leaves are not marked, or marked as good.
    """
    failed = [c for c in span.children if c.is_error]
    if failed:
        last = max(span.children, key=lambda s: s.order_key)
        if last.is_error or any(_says_the_same(span, child) for child in failed):
            return True
    return bool(span.error_type) and any(
        s.error_type == span.error_type and (s.error_text in span.error_text or span.error_text in s.error_text)
        for s in _next_failed(span)
    )


def _next_failed(span: Span) -> Iterator[Span]:
    """The failed spans below that have none but good spans between: over all failed spans, each span is walked once."""
    pending = [child for child in span.children if not child.is_error]
    while pending:
        for child in pending.pop().children:
            if child.is_error:
                yield child
            else:
                pending.append(child)


def _says_the_same(span: Span, child: Span) -> bool:
    if span.error_type and span.error_type == child.error_type:
        return True
    ours, theirs = span.error_text, child.error_text
    return bool(ours and theirs) and (theirs in ours or ours in theirs)
