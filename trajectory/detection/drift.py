"""`goal.drift`: work that leaves what people asked for, and does not come back to it.

Invariant: words are compared and nothing is understood, so a step leaves the task only where it shares next to none of the task's
words, most of its own came from nowhere (no request, instruction, context or tool's result had them), and nothing that was done,
passed on or answered after it, in the run or in the delegation's own answer, takes the task up again. Judged when a run is over.
Called through the seam of `contract`.

Off unless TRAJECTORY_DETECTORS names it, for its figures are weak (`python -m tests.benchmarks drift`, 2026-11): it finds 29
of 60 made-up runs whose worker did another job, 10 of 60 whose second half was one; no alarm in the 62 passed tau runs nor in 180
honest made-up ones, 4 in the 73 clean stories of the flow of work; it names 3 of the 99 failed runs of Who&When.
"""

from collections.abc import Iterable, Iterator

from trajectory.detection.contract import Settling
from trajectory.detection.reader import Reader, reader_of
from trajectory.detection.timeline import ARGUMENT, GIVEN, RESULT, RETURNED, SAID, SHOWN, Entry, Timeline, timeline_of
from trajectory.detection.words import shorten
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace
from trajectory.model.fact import Evidence, Finding
from trajectory.model.words import Grade, Severity

KIND = "goal.drift"
_MIN_TASK_WORDS = 4
_MIN_STEP_WORDS = 4  # fewer say nothing either way
_MIN_LEAVING_WORDS = 6
_ON_RATIO = 0.1  # of a step's words, or of the task's where those are fewer, that make it a part of the task
_NEW_RATIO = 0.7  # of a step's words that came from nowhere
_MIN_STEPS_COUNT = 3  # that the rest of a run has
_MAX_TOLD_COUNT = 5
_MAX_HOPS_COUNT = 50


class GoalDrift(Settling):
    """The detector of `goal.drift`."""

    name = KIND
    is_optional = True

    def __init__(self) -> None:
        self._judged_version = -1

    def settle(self, now_ns: int, trace: Trace) -> Iterable[Finding]:
        """Where a run that is over left its task."""
        if not trace.has_contents or trace.open_count or self._judged_version == trace.told_version:
            return
        self._judged_version = trace.told_version
        yield from _Run(trace).drifts()


class _Run:
    """What people asked in a run, and what was done of it."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._reader: Reader = reader_of(trace)
        self._timeline: Timeline = timeline_of(trace)
        requests = [e for e in self._timeline.entries if e.role == SHOWN and self._is_request(e)]
        self._first = requests[0] if requests else None
        self._task = frozenset[str]().union(*(self._reader.stems(e.digest) for e in requests))

    def drifts(self) -> Iterator[Finding]:
        """The step at which a run left its task for good, and the delegations that went elsewhere and came back."""
        if self._first is None or len(self._task) < _MIN_TASK_WORDS:
            return
        answers = {e.span_id: e for e in self._timeline.entries if e.role == RETURNED}
        heard = set(self._task)
        left: Entry | None = None
        after_count, told_count = 0, 0
        for entry in self._timeline.entries:
            words = self._reader.stems(entry.digest)
            if entry.role in (RESULT, SHOWN):
                if entry.role == RESULT or not self._reader.asked(
                    entry.digest
                ):  # a delegatee's task is nobody's request
                    heard |= words
            elif entry.role != RETURNED and self._is_on(words):
                left, after_count = None, 0
            elif entry.role in (GIVEN, ARGUMENT, SAID) and len(words) >= _MIN_STEP_WORDS:
                is_leaving = len(words) >= _MIN_LEAVING_WORDS and len(words - heard) >= _NEW_RATIO * len(words)
                answer = answers.get(entry.span_id)
                if entry.role == GIVEN and is_leaving and answer is not None and told_count < _MAX_TOLD_COUNT:
                    said = self._reader.stems(answer.digest)
                    if len(said) >= _MIN_STEP_WORDS and not self._is_on(said):
                        told_count += 1
                        yield self._finding(entry, "and what came back is of something else, too", 0.6)
                        continue
                if left is None and is_leaving:
                    left = entry
                after_count += left is not None
        if left is not None and after_count >= _MIN_STEPS_COUNT - (left.role == GIVEN):
            yield self._finding(left, f"and so do the {after_count - 1} steps after it", 0.5)

    def _is_request(self, entry: Entry) -> bool:
        return self._timeline.given_to(entry.owner) is None and bool(self._reader.asked(entry.digest))

    def _is_on(self, words: frozenset[str]) -> bool:
        """Whether a step takes up the task, by its words or by a value."""
        least = _ON_RATIO * min(len(words), len(self._task))
        return bool(words) and len(words & self._task) >= (max(least, 2) if len(words) >= _MIN_LEAVING_WORDS else 1)

    def _finding(self, entry: Entry, more: str, confidence: float) -> Finding:
        assert self._first is not None
        span = self._trace.spans[entry.span_id]
        who = self._trace.span_label(span) or "an agent"
        said, asked = self._reader.text(entry.digest) or "", self._reader.text(self._first.digest) or ""
        path = [s.span_id for s in _way_to(span)]
        return Finding(
            kind=KIND,
            severity=Severity.WARNING,
            confidence=confidence,
            trace_id=self._trace.trace_id,
            span_id=entry.span_id,
            message=f"{who} leaves the task here: “{shorten(said, 100)}” has nothing of what was asked, {more}",
            agent=span.agent_name,
            value=shorten(said, 300),
            root_span_id=path[0],
            path=path,
            evidence=[Evidence(self._first.span_id, shorten(asked)), Evidence(entry.span_id, shorten(said))],
            grade=Grade.INFERRED,
            at_ns=entry.at_ns,
        )


def _way_to(span: Span) -> list[Span]:
    """The known spans from the root to a span."""
    above = [s for s in list(span.ancestors())[:_MAX_HOPS_COUNT] if not s.is_placeholder]
    return [*reversed(above), span]
