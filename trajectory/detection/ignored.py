"""`context.ignored`: an agent was given a result and went on with another value in its place, or as if it had none.

Invariant: it takes a contradiction. Either the delegator passes on a value of the very make of one that came back, while none of
those that came back is passed on and the other came from nowhere; or it says at the end that nothing was found, while the result
holds what was asked for. A result that is not needed any more is nobody's loss. Called through the seam of `contract`.
"""

from collections.abc import Iterable, Iterator

from trajectory.detection.failure_text import failure_in, says_failure
from trajectory.detection.items import Item
from trajectory.detection.known import Key, Known, all_keys, key_of, may_replace, plain_of, words_near
from trajectory.detection.pace import Pace
from trajectory.detection.reader import Reader, reader_of
from trajectory.detection.timeline import GIVEN, RETURNED, SAID, Entry, Timeline, timeline_of
from trajectory.detection.words import around, shorten, stems
from trajectory.graph.trace import Trace
from trajectory.model.fact import Evidence, Fact, Finding
from trajectory.model.words import Severity

KIND = "context.ignored"
MAX_RESULTS_COUNT = 200  # of one trace that are followed
_MAX_WAITING_COUNT = 8  # results of one delegator that are followed at a time: the newest
_MAX_VALUES_COUNT = 40  # of one result: beyond, it is a list to choose from
_KINDS = ("identifier", "money", "quantity", "email", "date", "time")
_CLOSING_CHARS = 600  # a longer last word says more than that there is nothing
_ABOUT_COUNT = 2  # words that a denial shares with the work that was given


class IgnoredResults:
    """The detector of `context.ignored`."""

    name = KIND
    reads = ()

    def __init__(self) -> None:
        self._pace = Pace()

    def observe(self, fact: Fact, trace: Trace) -> Iterable[Finding]:
        return ()

    def settle(self, now_ns: int, trace: Trace) -> Iterable[Finding]:
        """Findings on results that were contradicted by whoever had asked for them."""
        if trace.has_contents and trace.delegations() and self._pace.is_due(trace, now_ns):
            yield from _Walk(timeline_of(trace), reader_of(trace), trace).findings()
            reader_of(trace).rest()


class _Result:
    """What came back from a delegatee: its new values, and what its delegator then passed on."""

    def __init__(self, entry: Entry, values: list[Item]) -> None:
        self.entry = entry
        self.values = {key_of(v): v for v in values}
        self.keys = {key for v in values for key in all_keys(v)}
        self.is_used = False
        self.rivals: list[tuple[Item, Item, Entry]] = []  # of it, instead, where


class _Walk:
    """Goes through what was said in order, with the results that are waiting to be used."""

    def __init__(self, timeline: Timeline, reader: Reader, trace: Trace) -> None:
        self._timeline = timeline
        self._reader = reader
        self._trace = trace
        self._known = Known()
        self._waiting: dict[int, list[_Result]] = {}  # results that are not used yet, by delegator
        self._done: list[_Result] = []
        self._instead: set[Key] = set()  # values that stand for others
        self._asked: dict[bytes, Entry] = {}
        self._count = 0

    def findings(self) -> Iterator[Finding]:
        for entry in self._timeline.entries:
            items = self._reader.items(entry.digest)
            if entry.role == RETURNED:
                self._note(entry, items)
            elif entry.role == GIVEN:
                self._asked[entry.span_id] = entry
            if not entry.is_source:
                for result in self._waiting.get(entry.owner, ()):
                    self._follow(result, entry, items)
            if entry.is_source or entry.role == SAID:
                self._known.add(i for i in items if key_of(i) not in self._instead)
        for result in (*self._done, *(r for waiting in self._waiting.values() for r in waiting)):
            finding = None if result.is_used else self._judged(result)
            if finding is not None:
                yield finding

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
            waiting.append(_Result(entry, fresh))
            self._done += [r for r in waiting[:-_MAX_WAITING_COUNT] if r.rivals]
            waiting[:] = [r for r in waiting[-_MAX_WAITING_COUNT:] if not r.is_used]

    def _follow(self, result: _Result, entry: Entry, items: list[Item]) -> None:
        if result.is_used or not self._timeline.reaches_others(entry):
            return
        keys = {key for i in items for key in all_keys(i)}
        if keys & result.keys:
            result.is_used = True
            return
        for now in items:
            if now.kind not in _KINDS or (now in self._known and key_of(now) not in self._instead):
                continue
            was = self._replaced(result, now, entry)
            if was is not None and not self._known.implies(now):
                result.rivals.append((was, now, entry))
                self._instead.add(key_of(now))

    def _replaced(self, result: _Result, now: Item, entry: Entry) -> Item | None:
        """The one value of a result that another stands for."""
        alike = [was for was in result.values.values() if may_replace(was, now)]
        if now.kind != "identifier":
            said = words_near(now, plain_of(self._reader.text(entry.digest)))
            text = plain_of(self._reader.text(result.entry.digest))
            alike = [was for was in alike if said & words_near(was, text)]
        return alike[0] if len(alike) == 1 else None

    def _judged(self, result: _Result) -> Finding | None:
        if result.rivals:
            was, now, entry = result.rivals[0]
            quote = self._quote(now, entry)
            return self._finding(result, was, entry, quote, f"went on with “{shorten(now.text, 60)}”", 0.85)
        last = self._denial(result)
        if last is None:
            return None
        was = next(iter(result.values.values()))
        quote = shorten(self._reader.text(last.digest) or "")
        return self._finding(result, was, last, quote, "answered that there was nothing", 0.76)

    def _denial(self, result: _Result) -> Entry | None:
        """The last words of the run, where they say that what this result holds could not be had."""
        task = self._asked.get(result.entry.span_id)
        finals = [e for e in self._timeline.entries if e.role == SAID and e.span_id in self._timeline.answers]
        if task is None or not finals or finals[-1].owner is not result.entry.owner:
            return None
        last = finals[-1]
        text = self._reader.text(last.digest) or ""
        if last.at_ns < result.entry.at_ns or len(text) > _CLOSING_CHARS or not says_failure(text):
            return None
        later = [
            e for e in self._timeline.entries if result.entry.at_ns < e.at_ns < last.at_ns and e.owner is last.owner
        ]
        if any(
            failure_in(self._reader.text(e.digest) or "") or says_failure(self._reader.text(e.digest) or "")
            for e in later
        ):
            return None  # something else failed on the way
        shared = stems(text) & self._reader.stems(task.digest)
        return last if len(shared) >= _ABOUT_COUNT else None

    def _quote(self, item: Item, entry: Entry) -> str:
        return around(plain_of(self._reader.text(entry.digest)), item.start, item.start + len(item.text))

    def _finding(self, result: _Result, was: Item, entry: Entry, quote: str, did: str, confidence: float) -> Finding:
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
