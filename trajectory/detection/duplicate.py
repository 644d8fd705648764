"""`flow.duplicate`: work that was done, given away once more, to the same agent or to another, without need.

Invariant: only what came back can show that work was done twice: the first answer finished it and the second brings nothing new.
Handing a task on is no repetition; nor is a try after a failure, a task that carries feedback, a look at how things stand, a
check after other work, or asking after somebody has said something new. To ask several agents the same so as to compare their
answers is for information. A task of other values is another task. Called through the seam of `contract`.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from trajectory.detection.boundary import label_of
from trajectory.detection.contract import Settling
from trajectory.detection.excuses import TELLING_COUNT, Excuses, Work
from trajectory.detection.pace import Pace
from trajectory.detection.reader import Reader, reader_of
from trajectory.detection.sameness import (
    Text,
    alike,
    brings_news,
    came_to_nothing,
    text_of,
)
from trajectory.detection.spending import spent_on
from trajectory.detection.words import shorten
from trajectory.graph.trace import Trace
from trajectory.model.fact import Evidence, Finding
from trajectory.model.words import Severity

KIND = "flow.duplicate"
ALIKE_RATIO = 0.8
_REWORDED_RATIO = 0.5  # of the words of two tasks with the same values, where the same values were found for both
_MAX_BACK_COUNT = 64  # earlier delegations that one is compared with
_MAX_TEXTS_COUNT = 2048


class _Again(NamedTuple):
    """Work that repeats earlier work, and why it may be meant so; empty where nothing says so."""

    work: Work
    excuse: str


class Duplicates(Settling):
    """The detector of `flow.duplicate`."""

    name = KIND

    def __init__(self) -> None:
        self._pace = Pace()
        self._texts: dict[tuple[bytes, ...], Text] = {}

    def settle(self, now_ns: int, trace: Trace) -> Iterable[Finding]:
        """Work that was given away more often than once, each under its first delegation."""
        if not trace.has_contents or not self._pace.is_due(trace, now_ns):
            return
        works = list(self._works(trace))
        if len(works) < 2:
            return
        asks = Excuses(trace)
        groups: dict[bytes, list[_Again]] = {}
        firsts: dict[bytes, Work] = {}
        heads: dict[object, list[Work]] = {}  # by the task's text, and by its values: like tasks share one of them
        for work in works:
            known = [heads.setdefault(key, []) for key in (work.task.plain, work.task.values)]
            earlier = (head for alike_ones in known for head in reversed(alike_ones[-_MAX_BACK_COUNT:]))
            first = next((head for head in earlier if repeats(work, head, asks)), None)
            if first is None:
                for alike_ones in known:
                    alike_ones.append(work)
                continue
            key = first.delegation.delegation_id
            firsts[key] = first
            excuse = asks.excuse(first, work)
            groups.setdefault(key, []).append(_Again(work, excuse))
        for key, again in groups.items():
            yield _finding(firsts[key], again, trace)

    def _works(self, trace: Trace) -> Iterator[Work]:
        reader = reader_of(trace)
        for delegation in trace.delegations():
            task = self._text(delegation.task_digests(), reader)
            if task is not None and task.is_telling:
                yield Work(delegation, task, self._text(delegation.returned_digests(), reader))

    def _text(self, digests: list[bytes], reader: Reader) -> Text | None:
        key = tuple(digests)
        text = self._texts.get(key)
        if text is None:
            text = text_of(reader, digests)  # a body that comes later is read then
            if text is not None:
                if len(self._texts) >= _MAX_TEXTS_COUNT:
                    self._texts.clear()
                self._texts[key] = text
        return text


def repeats(work: Work, first: Work, asks: Excuses) -> bool:
    """Whether a delegation asks for what another did already, and got nothing new for it."""
    if first.answer is None or work.answer is None or not _is_same_work(work, first):
        return False
    if first.delegation.span is work.delegation.span:  # one call that puts several agents to work
        return False
    if asks.is_handed_on(first.delegation, work.delegation):
        return False
    if first.delegation.span.is_error or came_to_nothing(first.answer.plain) or not first.answer.stems:
        return False
    if brings_news(work.answer, first.answer, first.task):
        return False
    if work.task.plain == first.task.plain or work.task.stems == first.task.stems:
        return True
    says_enough = bool(work.answer.values) or len(work.answer.stems) >= TELLING_COUNT
    return says_enough and alike(work.answer, first.answer, ALIKE_RATIO)


def _is_same_work(work: Work, first: Work) -> bool:
    """Whether two tasks say the same: in like words, or in others of the same values for which the same was found."""
    if alike(work.task, first.task, ALIKE_RATIO):
        return True
    if work.answer is None or first.answer is None or work.answer.values != first.answer.values:
        return False
    found = work.answer.values - work.task.values
    return bool(found and work.task.values) and alike(work.task, first.task, _REWORDED_RATIO)


def _finding(first: Work, again: list[_Again], trace: Trace) -> Finding:
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


def trace_text(work: Work, trace: Trace) -> str:
    """A task as it was written."""
    reader = reader_of(trace)
    return next((text for d in work.delegation.task_digests() if (text := reader.text(d))), "")
