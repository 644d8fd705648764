"""Which spans a detector has to look at again, and whose line of work each belongs to.

Invariant: a span is looked at again when a fact tells of it, and when what came late above it may have changed whose work it
is; nothing is gone through because time passes. Called by detectors that follow one agent's calls.
"""

from trajectory.graph.invocation import Invocation
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace, descendants
from trajectory.model.fact import Fact, SpanStarted
from trajectory.model.words import SpanKind

Line = Invocation | bytes  # one agent at work once; for work that no agent owns, the span above it


class Touched:
    """Spans that have changed since the last time that they were taken."""

    def __init__(self) -> None:
        self._ids: dict[bytes, None] = {}
        self._above: dict[bytes, None] = {}

    def note(self, fact: Fact, trace: Trace) -> None:
        """Notes the span that a fact, already folded, tells of; and those under it, where it came after them."""
        span_id: bytes = fact.span_id  # type: ignore[union-attr]
        self._ids[span_id] = None
        span = trace.spans.get(span_id)
        if span is not None and span.children and (type(fact) is SpanStarted or span.kind == SpanKind.DELEGATION):
            self._above[span_id] = None

    def take(self, trace: Trace) -> list[Span]:
        """The spans that have changed, by start."""
        ids, above = self._ids, self._above
        self._ids, self._above = {}, {}
        for span_id in above:
            if (span := trace.spans.get(span_id)) is not None:
                ids.update((below.span_id, None) for below in descendants(span))
        spans = [span for span_id in ids if (span := trace.spans.get(span_id)) is not None and not span.is_placeholder]
        return sorted(spans, key=lambda s: s.order_key)


def line_of(span: Span) -> Line:
    """The line of work that a span belongs to: within it one step follows another."""
    return span.owner if span.owner is not None else span.parent_id
