"""One trace in the collector's memory: its fold, its judge, and the log of its steps.

Invariant: everything here can be made again from the store, so it may be dropped at any time. Owned by the pipeline's one
loop; `rows` reads it.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from trajectory.collector.pace import Pace
from trajectory.graph.invocation import Usage
from trajectory.graph.keys import PayloadSource
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace
from trajectory.model.fact import Fact, Finding, Marked, Source, SpanEvent, SpanStarted
from trajectory.model.words import EVENT_CONTEXT, EVENT_DELTA, EVENT_EXCEPTION, EVENT_PLAN, EVENT_THOUGHT
from trajectory.view.rows import LaneBar

if TYPE_CHECKING:
    from trajectory.detection.contract import DetectorFactory
    from trajectory.detection.judge import Tell, TraceJudge
    from trajectory.signals.tally import TraceTally

MAX_STEPS = 5000
_LOOKING_NS = 10_000_000_000
_RESTS = 9  # a trace's summary, and its judgement, take a tenth of the time each at most
EVENT_STEPS = {EVENT_THOUGHT: "thought", EVENT_PLAN: "plan", EVENT_CONTEXT: "context", EVENT_EXCEPTION: "error"}

BarsState = tuple[Usage, tuple[bytes, ...], tuple[bytes, ...], int]


class Step:
    """One line of the tail: a span that began, or an event inside one. `step_id` counts up in order of arrival."""

    __slots__ = ("event", "span", "step_id", "what")

    def __init__(self, step_id: int, what: str, span: Span, event: SpanEvent | None) -> None:
        self.step_id = step_id
        self.what = what
        self.span = span
        self.event = event

    @property
    def at_ns(self) -> int:
        return self.event.at_ns if self.event is not None else self.span.start_ns


class FoldedTrace:
    """A trace, who judges it, what it did step by step, and the version of the whole at which it last changed.

    Without detectors nobody judges it, and none of their rooms is loaded: looking at a store begins sooner. `tell` hears where a
    detector raised, and what.
    """

    def __init__(
        self,
        trace_id: bytes,
        payload: PayloadSource,
        detectors: "Sequence[DetectorFactory]",
        tell: "Tell | None" = None,
    ) -> None:
        self.trace = Trace(trace_id, payload)
        self._judge = _judge_of(self.trace, detectors, tell) if detectors else None
        self.steps: deque[Step] = deque(maxlen=MAX_STEPS)
        self.step_count = 0
        self.changed_version = 0
        self.counted_spans = 0  # of it, in the pipeline's count
        self.settled_version = -1
        self.touched_ns = 0  # when the last fact came, or it was read, by the collector's clock
        self.asked_ns = 0  # when someone last looked at it, by the same
        self.is_rested = False  # judged since facts last had time to come late
        self.is_forgotten = False  # it is not in memory any more, as far as the pipeline knows
        self.is_to_read = False  # it ended and was judged before: nobody judges it here
        self.is_stored = False  # something of it was stored before it came into memory
        self.tally: TraceTally | None = None  # once it is counted
        self.is_learnt = False  # how long its work took is known to the detectors of the traces to come
        self.summary_version = -1
        self.summed_ns = self.settled_ns = 0  # when it was last summed up and judged, by the collector's clock
        self.last_frame = 0
        self.judged_frame = 0  # up to it everything was judged
        self.saved_frame = -1  # up to it its saved row says that it was folded and judged
        self.mark_ends_ns = 0  # when the first of its marks that end counts no more, 0 for never
        self.missing_counts: dict[bytes, int] = {}  # emitter id → how many of its facts are known to be missing
        self.bars: dict[
            int, tuple[BarsState, list[LaneBar]]
        ] = {}  # of lanes that rest, by invocation; `rows` keeps them
        self.summary_pace = Pace(_RESTS)
        self.settle_pace = Pace(_RESTS)

    def apply(self, fact: Fact, source: Source) -> list[Finding]:
        """Folds one fact and judges it; returns what is newly found."""
        what, event = "", None
        if type(fact) is SpanStarted:
            known = self.trace.spans.get(fact.span_id)
            if known is None or known.is_placeholder:  # the second start of a span is no step
                what = fact.kind
        elif type(fact) is SpanEvent and fact.name != EVENT_DELTA:
            what, event = EVENT_STEPS.get(fact.name, "event"), fact
        elif type(fact) is Marked and fact.until_ns:
            self.mark_ends_ns = min(self.mark_ends_ns or fact.until_ns, fact.until_ns)
        span = self.trace.apply(fact, source)
        if span is None:
            return []
        if what:
            self.steps.append(Step(self.step_count, what, span, event))
            self.step_count += 1
        return self._judge.observe(fact) if self._judge is not None else []

    def note_marks(self, now_ns: int) -> None:
        """Works out anew when the next mark ends."""
        ends = [mark.until_ns for mark in self.trace.marks.values() if mark.until_ns > now_ns]
        self.mark_ends_ns = min(ends, default=0)

    @property
    def done_frame(self) -> int:
        """Up to which frame nobody has to look at it again, were this process to die now."""
        return self.last_frame if self._judge is None else self.judged_frame

    def count_anew(self) -> int:
        """How many spans came since they were last counted."""
        added_count = len(self.trace.spans) - self.counted_spans
        self.counted_spans += added_count
        return added_count

    def is_needed(self, now_ns: int) -> bool:
        """Whether more of it is to come, or someone is looking at it."""
        return self.trace.open_count > 0 or now_ns - self.asked_ns < _LOOKING_NS

    def settle(self, now_ns: int) -> list[Finding]:
        """Judges what takes more than one fact, or time."""
        return [finding for found in self.settle_in_parts(now_ns) for finding in found]

    def settle_in_parts(self, now_ns: int) -> Iterator[list[Finding]]:
        """The same, one detector after the other; what comes meanwhile is judged the next time."""
        self.settled_version = self.trace.version
        if self._judge is not None:
            yield from self._judge.settle_in_parts(now_ns)


def _judge_of(trace: Trace, detectors: "Sequence[DetectorFactory]", tell: "Tell | None") -> "TraceJudge":
    from trajectory.detection.judge import TraceJudge

    return TraceJudge(trace, detectors, tell)
