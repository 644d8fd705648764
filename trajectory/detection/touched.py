"""Which spans a detector has to look at again, and whose line of work each belongs to.

Invariant: a span is looked at again when it changed, and when what it stands under began late or is told otherwise; nothing is
gone through because time passes. Called by detectors that follow one agent's calls.
"""

from operator import attrgetter

from trajectory.graph.changes import Following
from trajectory.graph.invocation import Invocation
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace

_order_key = attrgetter("order_key")

Line = Invocation | bytes  # one agent at work once; for work that no agent owns, the span above it


class Touched:
    """Spans of one trace that have changed since the last time that they were taken."""

    def __init__(self) -> None:
        self._following: Following | None = None

    def take(self, trace: Trace) -> list[Span]:
        """The spans that have changed, by start; all at first."""
        following = self._following = self._following or trace.watch()
        seen_count = following.seen_count
        spans = {span.span_id: span for i in following.take() if (span := trace.spans.get(i)) is not None}
        pending = [below for s in spans.values() if s.recast_count > seen_count for below in s.children]
        walked: set[bytes] = set()
        while pending:
            below = pending.pop()
            if below.span_id not in walked:  # nothing twice, however many were told otherwise above it
                walked.add(below.span_id)
                spans[below.span_id] = below
                pending.extend(below.children)
        return sorted((s for s in spans.values() if not s.is_placeholder), key=_order_key)


def line_of(span: Span) -> Line:
    """The line of work that a span belongs to: within it one step follows another."""
    return span.owner if span.owner is not None else span.parent_id
