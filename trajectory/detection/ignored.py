"""`context.ignored`: an agent was given a result and went on with another value in its place, or as if it had none.

Invariant: it takes a contradiction. Either the delegator passes on a value of the very make of one that came back, while none of
those that came back is passed on and the other came from nowhere; or it says at the end that nothing was found, while the result
holds what was asked for. A result that is not needed any more is nobody's loss. Called through the seam of `contract`.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from trajectory.detection.failure_result import failure_in
from trajectory.detection.failure_text import says_failure
from trajectory.detection.items import Item
from trajectory.detection.known import Key, Known, all_keys, key_of, may_replace, words_near
from trajectory.detection.miscopied import miscopied
from trajectory.detection.reader import Reader
from trajectory.detection.timeline import ARGUMENT, GIVEN, RETURNED, SAID, Entry, Timeline, Walks
from trajectory.detection.words import around, shorten, stems
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace
from trajectory.model.fact import Evidence, Finding
from trajectory.model.words import Severity

KIND = "context.ignored"
MAX_RESULTS_COUNT = 200  # of one trace that are followed
_MAX_WAITING_COUNT = 8  # results of one delegator that are followed at a time: the newest
_MAX_VALUES_COUNT = 40  # of one result: beyond, it is a list to choose from
_KINDS = ("identifier", "money", "quantity", "email")
_CLOSING_CHARS = 600  # a longer last word says more than that there is nothing
_ABOUT_COUNT = 2  # words that a denial shares with the work that was given


class IgnoredResults(Walks["_Walk"]):
    """The detector of `context.ignored`."""

    name = KIND

    def is_for(self, trace: Trace) -> bool:
        return trace.has_contents and bool(trace.delegations())

    def begun(self, reader: Reader, spans: Mapping[bytes, Span]) -> "_Walk":
        return _Walk(reader)

    def found(self, walk: "_Walk", timeline: Timeline, reader: Reader, trace: Trace) -> Iterator[Finding]:
        """Results that were contradicted by whoever had asked for them."""
        for result in walk.unused(timeline.answer):
            finding = _Judgement(result, timeline, reader, trace).finding()
            if finding is not None:
                yield finding


class _Result:
    """What came back from a delegatee: its task, its new values, and what its delegator passed on in their place."""

    def __init__(self, entry: Entry, task: Entry | None, values: list[Item]) -> None:
        self.entry = entry
        self.task = task
        self.values = {key_of(v): v for v in values}
        self.keys = {key for v in values for key in all_keys(v)}
        self.is_used = False
        self.rivals: list[_Rival] = []


class _Rival(NamedTuple):
    """A value that stands where a result's should, and where it does."""

    was: Item
    now: Item
    entry: Entry


class _Walk:
    """Goes through what was said in order, with the results that are waiting to be used."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._known = Known()
        self._waiting: dict[int, list[_Result]] = {}  # results that are not used yet, by delegator
        self._done: list[_Result] = []
        self._all: list[_Result] = []
        self._instead: set[Key] = set()  # values that stand for others
        self._asked: dict[bytes, Entry] = {}
        self._count = 0

    def take(self, entry: Entry) -> None:
        items = self._reader.items(entry.digest)
        if entry.role == RETURNED:
            self._note(entry, items)
        elif entry.role == GIVEN:
            self._asked[entry.span_id] = entry
        waiting = self._waiting.get(entry.owner, ())
        if waiting and entry.role in (GIVEN, ARGUMENT):
            for result in waiting:
                if self._uses(result, items):
                    result.is_used = True
                elif not result.is_used:
                    result.rivals += self._rivals(result, items, entry)
                    self._instead.update(key_of(r.now) for r in result.rivals)
        if entry.is_source or (entry.role == SAID and not waiting):
            self._known.add(i for i in items if key_of(i) not in self._instead)

    def unused(self, answer: Entry | None) -> Iterator[_Result]:
        """The results that were not used, the run's answer among what may use them; with all that stands in their place. Last,
        those that the answer took over with another value."""
        for result in (*self._done, *(r for waiting in self._waiting.values() for r in waiting)):
            if result.is_used:
                continue
            if answer is None or answer.owner != result.entry.owner or answer.at_ns < result.entry.at_ns:
                yield result
                continue
            items = self._reader.items(answer.digest)
            if not self._uses(result, items):
                last = _Result(result.entry, result.task, list(result.values.values()))
                last.rivals = [*result.rivals, *self._rivals(result, items, answer)]
                yield last
        if answer is not None:
            yield from self._taken_over(answer)

    def _taken_over(self, answer: Entry) -> Iterator[_Result]:
        """The results from which an answer has sentences word for word, but for a value that nothing holds."""
        for result in self._all:
            if result.entry.owner != answer.owner or result.entry.at_ns > answer.at_ns:
                continue
            came, said = result.entry.digest, answer.digest
            pair = miscopied(
                self._reader.plain(came), self._reader.items(came), self._reader.plain(said), self._reader.items(said)
            )
            if pair is not None and pair[1] not in self._known:
                last = _Result(result.entry, result.task, list(result.values.values()))
                last.rivals = [_Rival(*pair, answer)]
                yield last

    def _note(self, entry: Entry, items: list[Item]) -> None:
        """A result with values that its own task did not hold."""
        text = self._reader.text(entry.digest) or ""
        if self._count >= MAX_RESULTS_COUNT or len(items) > _MAX_VALUES_COUNT or failure_in(text) or says_failure(text):
            return
        task = self._asked.get(entry.span_id)
        told = {key for i in self._reader.items(task.digest) for key in all_keys(i)} if task is not None else set()
        fresh = [i for i in items if i.kind in _KINDS and i.is_distinctive and not told & set(all_keys(i))]
        if fresh:
            self._count += 1
            waiting = self._waiting.setdefault(entry.owner, [])
            waiting.append(_Result(entry, task, fresh))
            self._all.append(waiting[-1])
            self._done += [r for r in waiting[:-_MAX_WAITING_COUNT] if r.rivals and not r.is_used]
            waiting[:] = [r for r in waiting[-_MAX_WAITING_COUNT:] if not r.is_used]

    @staticmethod
    def _uses(result: _Result, items: list[Item]) -> bool:
        return not result.keys.isdisjoint(key for i in items for key in all_keys(i))

    def _rivals(self, result: _Result, items: list[Item], entry: Entry) -> Iterator[_Rival]:
        for now in items:
            if now.kind in _KINDS and (now not in self._known or key_of(now) in self._instead):
                was = self._replaced(result, now, entry)
                if was is not None and not self._known.implies(now):
                    yield _Rival(was, now, entry)

    def _replaced(self, result: _Result, now: Item, entry: Entry) -> Item | None:
        """The one value of a result that another stands for."""
        alike = [was for was in result.values.values() if may_replace(was, now)]
        if now.kind != "identifier":
            said = words_near(now, self._reader.plain(entry.digest))
            text = self._reader.plain(result.entry.digest)
            alike = [was for was in alike if said & words_near(was, text)]
        return alike[0] if len(alike) == 1 else None


class _Judgement:
    """What became of one result that was not used."""

    def __init__(self, result: _Result, timeline: Timeline, reader: Reader, trace: Trace) -> None:
        self._result = result
        self._timeline = timeline
        self._reader = reader
        self._trace = trace

    def finding(self) -> Finding | None:
        result = self._result
        if result.rivals:
            was, now, entry = result.rivals[0]
            return self._told(was, entry, self._quote(now, entry), f"went on with “{shorten(now.text, 60)}”", 0.85)
        last = self._denial()
        if last is None:
            return None
        was = next(iter(result.values.values()))
        quote = shorten(self._reader.text(last.digest) or "")
        return self._told(was, last, quote, "answered that there was nothing", 0.76)

    def _denial(self) -> Entry | None:
        """The last words of the run, where they say that what this result holds could not be had."""
        entry, task, last = self._result.entry, self._result.task, self._timeline.answer
        if task is None or last is None or last.owner != entry.owner or last.at_ns < entry.at_ns:
            return None
        text = self._reader.text(last.digest) or ""
        if len(text) > _CLOSING_CHARS or not says_failure(text):
            return None
        later = (
            e
            for e in self._timeline.entries
            if entry.at_ns < e.at_ns < last.at_ns and e.owner == last.owner and e.is_source
        )
        told = (self._reader.text(e.digest) or "" for e in later)
        if any(failure_in(said) or says_failure(said) for said in told):
            return None  # something else failed on the way
        shared = stems(text) & self._reader.stems(task.digest)
        return last if len(shared) >= _ABOUT_COUNT else None

    def _quote(self, item: Item, entry: Entry) -> str:
        return around(self._reader.plain(entry.digest), item.start, item.start + len(item.text))

    def _told(self, was: Item, entry: Entry, quote: str, did: str, confidence: float) -> Finding:
        result = self._result
        delegation = self._timeline.delegation(result.entry.span_id)
        target = delegation.target_agent if delegation is not None else ""
        who = self._trace.span_label(self._trace.spans[result.entry.span_id]) or "an agent"
        return Finding(
            kind=KIND,
            severity=Severity.WARNING,
            confidence=confidence,
            trace_id=self._trace.trace_id,
            span_id=entry.span_id,
            message=f"{who} got “{shorten(was.text, 60)}” back from {target or 'its delegatee'} and {did}",
            agent=self._trace.spans[result.entry.span_id].agent_name,
            peer_agent=target,
            value=was.text,
            root_span_id=result.entry.span_id,
            path=list(dict.fromkeys((result.entry.span_id, entry.span_id))),
            evidence=[
                Evidence(result.entry.span_id, self._quote(was, result.entry)),
                Evidence(entry.span_id, quote),
            ],
            at_ns=entry.at_ns,
        )
