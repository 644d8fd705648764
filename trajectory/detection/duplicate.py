"""`flow.duplicate`: work that was done, given away once more, to the same agent or to another, without need.

Invariant: only what came back can show that work was done twice: the first answer finished it and the second brings nothing new.
Handing a task on is no repetition; nor is a try after a failure, a task that carries feedback, a look at how things stand, a
check after other work, or asking after somebody has said something new. To ask several agents the same so as to compare their
answers is for information. A task of other values is another task. Called through the seam of `contract`.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from trajectory.detection.boundary import Views, label_of
from trajectory.detection.pace import Pace
from trajectory.detection.reader import reader_of
from trajectory.detection.sameness import (
    CHECKING,
    LOOKING,
    REDO,
    SEVERAL_VIEWS,
    Text,
    alike,
    brings_news,
    came_to_nothing,
    folded,
    says,
    text_of,
)
from trajectory.detection.spending import spent_on
from trajectory.detection.words import shorten
from trajectory.graph.delegations import Delegation
from trajectory.graph.invocation import Invocation
from trajectory.graph.pairing import same_agent
from trajectory.graph.trace import Trace
from trajectory.model.fact import Evidence, Fact, Finding, SpanEnded
from trajectory.model.words import DelegationMode, Severity, Slot, SpanKind

KIND = "flow.duplicate"
_ALIKE_RATIO = 0.8
_TELLING_COUNT = 6  # stems of an answer that is not given to unlike questions alike
_MAX_BACK_COUNT = 64  # earlier delegations that one is compared with
_MAX_UP_COUNT = 64


class _Work(NamedTuple):
    """A delegation with what was asked and what came back; `answer` is None where that is not known."""

    delegation: Delegation
    task: Text
    answer: Text | None


class _Again(NamedTuple):
    """Work that repeats earlier work, and why it may be meant so; empty where nothing says so."""

    work: _Work
    excuse: str


class Duplicates:
    """The detector of `flow.duplicate`."""

    name = KIND
    reads = (SpanEnded,)  # what it reads has ended

    def __init__(self) -> None:
        self._pace = Pace()

    def observe(self, fact: Fact, trace: Trace) -> Iterable[Finding]:
        """Nothing: one fact is never enough."""
        return ()

    def settle(self, now_ns: int, trace: Trace) -> Iterable[Finding]:
        """Work that was given away more often than once, each under its first delegation."""
        if not trace.has_contents or not self._pace.is_due(trace, now_ns):
            return
        works = list(_works(trace))
        if len(works) < 2:
            return
        asks = _Asks(trace)
        groups: dict[bytes, list[_Again]] = {}
        firsts: dict[bytes, _Work] = {}
        heads: list[_Work] = []
        for work in works:
            first = next((h for h in reversed(heads[-_MAX_BACK_COUNT:]) if _repeats(work, h, asks)), None)
            if first is None:
                heads.append(work)
                continue
            key = first.delegation.delegation_id
            firsts[key] = first
            excuse = asks.excuse(first, work)
            groups.setdefault(key, []).append(_Again(work, excuse))
        for key, again in groups.items():
            yield _finding(firsts[key], again, trace)


def _works(trace: Trace) -> Iterator[_Work]:
    reader = reader_of(trace)
    for delegation in trace.delegations():
        task = text_of(reader, delegation.task_digests())
        if task is not None and task.is_telling:
            yield _Work(delegation, task, text_of(reader, delegation.returned_digests()))


def _repeats(work: _Work, first: _Work, asks: "_Asks") -> bool:
    """Whether a delegation asks for what another did already, and got nothing new for it."""
    if not alike(work.task, first.task, _ALIKE_RATIO) or first.answer is None or work.answer is None:
        return False
    if asks.is_handed_on(first.delegation, work.delegation):
        return False
    if first.delegation.span.is_error or came_to_nothing(first.answer.plain) or not first.answer.stems:
        return False
    if brings_news(work.answer, first.answer, first.task):
        return False
    if work.task.stems == first.task.stems:
        return True
    says_enough = bool(work.answer.values) or len(work.answer.stems) >= _TELLING_COUNT
    return says_enough and alike(work.answer, first.answer, _ALIKE_RATIO)


class _Asks:
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

    def excuse(self, first: _Work, again: _Work) -> str:
        """Why the work may have been given again on purpose; empty where nothing says so."""
        one, other = first.delegation, again.delegation
        done_ns = one.returned_ns or one.span.end_ns
        at_once = other.sent_ns < done_ns
        if self._is_look(first, again):
            return "it looks at how things stand"
        if says(REDO, again.task.plain):
            return "it was to be done again"
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
            return "the delegator meant it to be done again"
        if says(CHECKING, again.task.plain) and self._has_worked(other, done_ns):
            return "it checks after other work"
        if self._was_told(other.source, done_ns, other.sent_ns):
            return "the delegator was told something new"
        return ""

    @staticmethod
    def _is_look(first: _Work, again: _Work) -> bool:
        """Whether the work was to see how things stand: that may stay the same, but is not told at length word for word."""
        if first.answer is None or again.answer is None:
            return False
        is_short = len(again.answer.stems) < 2 * _TELLING_COUNT
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


def _finding(first: _Work, again: list[_Again], trace: Trace) -> Finding:
    wasted = [a for a in again if not a.excuse] or again
    is_meant = bool(wasted[0].excuse)
    latest = wasted[-1].work.delegation
    source, target = label_of(first.delegation, trace)
    others = list(dict.fromkeys(label_of(a.work.delegation, trace)[1] for a in wasted))
    task = trace_text(first, trace)
    cost = spent_on([a.work.delegation for a in wasted], trace)
    purpose = f"; {wasted[0].excuse}" if is_meant else f"; nothing new came back, for {cost}"
    return Finding(
        kind=KIND,
        severity=Severity.INFO if is_meant else Severity.WARNING,
        confidence=0.5 if is_meant else 0.8,
        trace_id=trace.trace_id,
        span_id=latest.delegation_id,
        message=f"“{shorten(task, 100)}”, which {target} did for {source}, was given again to {', '.join(others[:5])}{purpose}",
        agent=latest.target_agent,
        peer_agent=latest.source_agent,
        value=shorten(task, 300),
        root_span_id=first.delegation.delegation_id,
        path=[first.delegation.delegation_id, *(a.work.delegation.delegation_id for a in wasted)][:50],
        evidence=[
            Evidence(w.delegation.delegation_id, shorten(trace_text(w, trace)))
            for w in [first, *(a.work for a in wasted)][:10]
        ],
        grade=str(latest.grade),
        at_ns=latest.sent_ns,
    )


def trace_text(work: _Work, trace: Trace) -> str:
    """A task as it was written."""
    reader = reader_of(trace)
    return next((text for d in work.delegation.task_digests() if (text := reader.text(d))), "")
