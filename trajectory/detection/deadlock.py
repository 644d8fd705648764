"""`flow.deadlock`: agents that wait for each other, so that none of them can go on.

Invariant: what is said of a cycle depends on when its waits began and ended, not on when it was looked at: one that held is found
in a replay too. A cycle is told once it has held for 0.7 s by the facts' clock and half of that by the clock that `settle` is
called with, so that it shows within two; for ten times as long where an agent in it has been seen to answer while it waits. One
that opened again is for information, with how long it held. Whoever takes up the question as a new invocation, or begins any
work after it was asked, is not stuck. Called through the seam of `contract`.
"""

from collections.abc import Iterable, Iterator

from trajectory.detection.contract import Settling
from trajectory.detection.waits import EVER_NS, Wait, Waits, may_close
from trajectory.graph.changes import Following
from trajectory.graph.invocation import Invocation
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace
from trajectory.model.fact import Evidence, Finding
from trajectory.model.words import SYNTHETIC_TIME, Severity, SpanKind

KIND = "flow.deadlock"
HELD_NS = 700_000_000
SHARED_HELD_NS = 10_000_000_000
_MAX_CLOSERS_COUNT = 256


class Deadlocks(Settling):
    """The detector of `flow.deadlock`."""

    name = KIND

    def __init__(self) -> None:
        self._following: Following | None = None
        self._closers: dict[bytes, Span] = {}  # those that are open, or were for long enough
        self._noticed_ns: dict[bytes, int] = {}

    def settle(self, now_ns: int, trace: Trace) -> Iterable[Finding]:
        """Cycles that hold as of `now_ns`, and those that held."""
        self._look_at_touched(now_ns, trace)
        if not self._closers:
            return
        closers = [span for span in self._closers.values() if not _is_taken_up(span)]
        if closers:
            waits = Waits(trace, closers)
            for span in closers:
                yield from self._judge(span, waits, now_ns, trace)
        for span in [s for s in self._closers.values() if not s.is_open]:  # what held is told, and stays so
            del self._closers[span.span_id], self._noticed_ns[span.span_id]

    def _look_at_touched(self, now_ns: int, trace: Trace) -> None:
        following = self._following = self._following or trace.watch()
        for span_id in following.take():
            span = trace.spans.get(span_id)
            if span is None or not may_close(span) or span.is_placeholder or span.attributes.get(SYNTHETIC_TIME):
                continue
            if not span.is_open and span.duration_ns < HELD_NS:
                self._closers.pop(span_id, None)
                self._noticed_ns.pop(span_id, None)
                continue
            self._closers[span_id] = span
            self._noticed_ns.setdefault(span_id, now_ns)
        for span_id in list(self._closers)[: max(len(self._closers) - _MAX_CLOSERS_COUNT, 0)]:
            del self._closers[span_id], self._noticed_ns[span_id]

    def _judge(self, span: Span, waits: Waits, now_ns: int, trace: Trace) -> Iterator[Finding]:
        """What one span closes, if it held for long enough."""
        for least_ns in (HELD_NS, SHARED_HELD_NS):
            at_ns = span.start_ns + least_ns
            for closing in waits.of_span(span, at_ns):
                cycle = waits.cycle(closing, at_ns) if closing.since_ns <= at_ns < closing.until_ns else []
                if any(wait.span.order_key > span.order_key for wait in cycle):
                    continue  # a later wait closed it
                if not cycle or (
                    least_ns == HELD_NS and any(waits.is_shared(o) for w in cycle if w.is_asked for o in w.on)
                ):
                    continue
                open_again_ns = min(wait.until_ns for wait in cycle)
                is_open = open_again_ns == EVER_NS
                until_ns = now_ns if is_open else open_again_ns
                quiet_ns = max([span.start_ns, *(_last_work_ns(o, span.start_ns, until_ns) for o in _asked(cycle))])
                looked_ns = now_ns - self._noticed_ns[span.span_id] if is_open else EVER_NS
                if until_ns - quiet_ns >= least_ns and looked_ns >= least_ns // 2:
                    yield _finding(cycle, 0 if is_open else until_ns - span.start_ns, trace)
                    return


def _is_taken_up(span: Span) -> bool:
    """Whether the one who was asked began to work right away: most calls are, and need no search for cycles."""
    return any(c.kind == SpanKind.AGENT and 0 < c.start_ns < span.start_ns + HELD_NS for c in span.children)


def _asked(cycle: list[Wait]) -> Iterator[Invocation]:
    for wait in cycle:
        if wait.is_asked:
            yield from wait.on


def _last_work_ns(invocation: Invocation, since_ns: int, until_ns: int) -> int:
    """The last instant between two at which an invocation was at work on what it began after the first, or something happened
    in it. To wait is no work."""
    last_ns = 0
    for span in invocation.spans.values():
        if since_ns < span.start_ns < until_ns and not may_close(span):
            last_ns = max(last_ns, min(span.end_ns or until_ns, until_ns))
        for event in span.events:
            if since_ns < event.at_ns < until_ns:
                last_ns = max(last_ns, event.at_ns)
    return last_ns


def _finding(cycle: list[Wait], held_ns: int, trace: Trace) -> Finding:
    closing = cycle[-1]
    first = min(range(len(cycle)), key=lambda i: (cycle[i].span.start_ns, cycle[i].span.span_id))
    cycle = cycle[first:] + cycle[:first]
    labels = [trace.label(wait.who) for wait in cycle]
    round_trip = " → ".join([*labels, labels[0]])
    if held_ns:
        message = f"{round_trip} waited for each other; resolved after {held_ns / 1e9:.0f} s"
    else:
        message = f"{round_trip} wait for each other: none of them can go on"
    asked = next((trace.label(o) for o in closing.on), "")
    return Finding(
        kind=KIND,
        severity=Severity.INFO if held_ns else Severity.WARNING,
        confidence=0.9,
        trace_id=trace.trace_id,
        span_id=closing.span.span_id,
        message=message,
        agent=closing.who.agent,
        peer_agent=asked.rpartition("#")[0] or asked,
        value=round_trip,
        root_span_id=closing.span.span_id,
        path=[wait.span.span_id for wait in cycle],
        evidence=[
            Evidence(wait.span.span_id, f"{trace.label(wait.who)} waits for {' or '.join(map(trace.label, wait.on))}")
            for wait in cycle
        ],
        at_ns=closing.span.start_ns,
    )
