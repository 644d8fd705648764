"""Why work may have been given again on purpose.

Invariant: a function of the trace's state, bounded by what its agents said. An excuse is what the task, the delegator's words or
its place say; that work is the same is not asked here. Called by `flow.duplicate`.
"""

from typing import NamedTuple

from trajectory.detection.boundary import Views
from trajectory.detection.reader import reader_of
from trajectory.detection.sameness import CHECKING, LOOKING, REDO, SEVERAL_VIEWS, Text, folded, says
from trajectory.graph.delegations import Delegation
from trajectory.graph.invocation import Invocation
from trajectory.graph.roster import same_agent
from trajectory.graph.trace import Trace
from trajectory.model.words import DelegationMode, Slot, SpanKind

AGAIN = ("it was to be done again", "the delegator meant it to be done again")
TELLING_COUNT = 6  # stems of an answer that is not given to unlike questions alike
_MAX_UP_COUNT = 64


class Work(NamedTuple):
    """A delegation with what was asked and what came back; `answer` is None where that is not known."""

    delegation: Delegation
    task: Text
    answer: Text | None


class Excuses:
    """What a trace says about why work was given again."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._reader = reader_of(trace)
        self._views = Views(trace)
        self._given = {id(d.target): d for d in trace.delegations() if d.target is not None}

    def is_handed_on(self, first: Delegation, later: Delegation) -> bool:
        """Whether the later delegation is part of the work of the first."""
        above: Invocation | None = later.source
        for _ in range(_MAX_UP_COUNT):
            given = self._given.get(id(above)) if above is not None else None
            if given is None:
                return False
            if given is first:
                return True
            above = given.source
        return False

    def excuse(self, first: Work, again: Work) -> str:
        """Why the work may have been given again on purpose; empty where nothing says so."""
        one, other = first.delegation, again.delegation
        done_ns = one.returned_ns or one.span.end_ns
        at_once = other.sent_ns < done_ns
        if self._is_look(first, again):
            return "it looks at how things stand"
        if says(REDO, again.task.plain) and not says(REDO, first.task.plain):
            return AGAIN[0]
        if one.mode != DelegationMode.CALL or other.mode != DelegationMode.CALL:
            return "control was handed over"
        if says(SEVERAL_VIEWS, again.task.plain) or self._compares(one, other, done_ns):
            return "the answers are compared"
        if at_once:
            return (
                "" if self._has_spoken(other.source, max(done_ns, other.returned_ns)) else "the answers have just come"
            )
        said = self._said_between(other.source, done_ns, other.sent_ns)
        if says(REDO, said):
            return AGAIN[1]
        if says(CHECKING, again.task.plain) and self._has_worked(other, done_ns):
            return "it checks after other work"
        if self._was_told(other.source, done_ns, other.sent_ns):
            return "the delegator was told something new"
        return ""

    @staticmethod
    def _is_look(first: Work, again: Work) -> bool:
        """Whether the work was to see how things stand: that may stay the same, but is not told at length word for word."""
        if first.answer is None or again.answer is None:
            return False
        is_short = len(again.answer.stems) < 2 * TELLING_COUNT
        if says(LOOKING, again.task.plain) and (is_short or first.answer.plain != again.answer.plain):
            return True
        return is_short and says(LOOKING, again.answer.plain)

    def _compares(self, one: Delegation, other: Delegation, since_ns: int) -> bool:
        """Whether the delegator, or whoever asked it, speaks of several views; of the same agent, only just before."""
        source = one.source
        if source is None or source is not other.source:
            return False
        given = source.span.digests(Slot.TASK) + source.span.digests(Slot.INPUT) if source.span is not None else []
        first = [d for s in self._views.calls(source)[:1] for d in s.digests(Slot.SYSTEM) + s.digests(Slot.INPUT)[:4]]
        if any(says(SEVERAL_VIEWS, folded(self._reader, d)) for d in dict.fromkeys([*given, *first])):
            return True
        if same_agent(one.target_agent, other.target_agent) and since_ns <= other.sent_ns:
            return says(SEVERAL_VIEWS, self._said_between(source, since_ns, other.sent_ns))
        return says(SEVERAL_VIEWS, self._said_between(source, 0, 1 << 62)) or any(
            says(SEVERAL_VIEWS, span.name.replace("_", " ")) for span in source.spans.values()
        )

    def _said_between(self, source: Invocation | None, since_ns: int, until_ns: int) -> str:
        """What an agent's model said while something was so."""
        if source is None:
            return ""
        spoken = [
            s
            for s in source.spans.values()
            if s.kind in (SpanKind.MODEL, SpanKind.OTHER) and since_ns <= (s.end_ns or s.start_ns) <= until_ns
        ]
        return "\n".join(folded(self._reader, d) for s in spoken for d in s.digests(Slot.OUTPUT))

    def _has_spoken(self, source: Invocation | None, since_ns: int) -> bool:
        """Whether an agent has gone on since, or is done: only then is it known what it wanted with its answers."""
        return source is None or bool(source.end_ns) or bool(self._said_between(source, since_ns, 1 << 62))

    def _has_worked(self, later: Delegation, since_ns: int) -> bool:
        """Whether anybody did anything else meanwhile."""
        return any(since_ns <= d.sent_ns < later.sent_ns for d in self._trace.delegations()) or any(
            s.kind == SpanKind.TOOL and since_ns <= s.start_ns < later.sent_ns and s.span_id != later.delegation_id
            for s in (later.source.spans.values() if later.source is not None else ())
        )

    def _was_told(self, source: Invocation | None, since_ns: int, until_ns: int) -> bool:
        """Whether somebody told the delegator something between the two."""
        if source is None:
            return False
        calls = self._views.calls(source)
        before = {d for s in calls if s.start_ns < since_ns for d in s.digests(Slot.INPUT)}
        between = [d for s in calls if since_ns <= s.start_ns < until_ns for d in s.digests(Slot.INPUT)]
        return bool(before) and any(d not in before and self._reader.asked(d) for d in between)
