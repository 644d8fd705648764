"""`context.stale`: an agent passes on a value that it knew was superseded.

Invariant: three things have to be known of one agent: the old value, the newer one and that it stands in place of the old (a text
that it was shown says so, or the same call gave another answer), and after that it passes on the old one without the new. What
is told as history, and what undoes the old (a cancellation), is none. Called through the seam of `contract`.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from trajectory.detection.failure_result import failure_in
from trajectory.detection.items import Item, items_in
from trajectory.detection.known import Key, all_keys, key_of, may_replace, shape_of
from trajectory.detection.reader import Reader
from trajectory.detection.supersession import Superseded, is_past, superseded_in, updates_in
from trajectory.detection.timeline import ARGUMENT, GIVEN, RESULT, SHOWN, Entry, Timeline, Walks
from trajectory.detection.words import around, shorten, stems
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace, tool_name
from trajectory.model.fact import Evidence, Finding
from trajectory.model.words import Severity

KIND = "context.stale"
MAX_CHANGES_COUNT = 500  # of one trace that are followed
_MAX_CALLS_COUNT = 2000
_MAX_READ_COUNT = 50_000  # payloads
_MAX_FIELDS_COUNT = 200
_KINDS = ("identifier", "money", "quantity", "date", "time", "email", "url", "number")
_UNDOING = stems(
    "cancel delete remove void revoke release archive compare history refund rollback undo close diff look lookup"
)


class _Change(NamedTuple):
    """A value that was superseded, and where an agent learned that."""

    old: Item
    new: Item
    entry: Entry


class StaleValues(Walks["_Walk"]):
    """The detector of `context.stale`."""

    name = KIND

    def begun(self, reader: Reader, spans: Mapping[bytes, Span]) -> "_Walk":
        return _Walk(reader, spans)

    def found(self, walk: "_Walk", timeline: Timeline, reader: Reader, trace: Trace) -> Iterator[Finding]:
        """Superseded values that were passed on."""
        for stale in walk.passed_on(timeline.answer):
            yield _finding(stale, timeline, reader, trace)


class _Stale(NamedTuple):
    """A superseded value, and where it was passed on."""

    change: _Change
    item: Item
    entry: Entry


class _Walk:
    """Goes through what was shown and said, in order, with what each agent knows to be superseded."""

    def __init__(self, reader: Reader, spans: Mapping[bytes, Span]) -> None:
        self._reader = reader
        self._spans = spans
        self._told: dict[bytes, tuple[Superseded, ...]] = {}  # what payloads say is superseded
        self._changes: dict[int, dict[Key, _Change]] = {}  # by agent
        self._answers: dict[tuple[str, bytes], Entry] = {}  # by tool and arguments, the latest
        self._asked: dict[int, list[tuple[Item, set[str]]]] = {}
        self._stale: dict[tuple[int, Key], _Stale] = {}  # the first of each agent and value
        self._count = 0

    def take(self, entry: Entry) -> None:
        if entry.is_source:
            self._learn(entry)
        elif entry.role in (GIVEN, ARGUMENT):
            for stale in self._among(entry):
                self._stale.setdefault((entry.owner, key_of(stale.item)), stale)

    def passed_on(self, answer: Entry | None) -> list[_Stale]:
        """What was passed on though it was superseded, the run's answer among what passes on."""
        found = dict(self._stale)
        for stale in self._among(answer) if answer is not None else ():
            found.setdefault((stale.entry.owner, key_of(stale.item)), stale)
        return list(found.values())

    def _learn(self, entry: Entry) -> None:
        if self._count >= MAX_CHANGES_COUNT:
            return
        text = self._reader.text(entry.digest) or ""
        pairs = [(p.old, p.new) for p in self._superseded(entry.digest, text)]
        if entry.role == RESULT:
            pairs += self._answered_anew(entry, text)
        elif entry.role == SHOWN:
            pairs += self._asked_anew(entry)
        known = self._changes.setdefault(entry.owner, {}) if pairs else {}
        for old, new in pairs:
            if old.kind in _KINDS and (old.is_distinctive or old.kind in ("time", "date")):
                self._count += 1
                known.pop(key_of(new), None)  # what is back is not stale
                known.setdefault(key_of(old), _Change(old, new, entry))

    def _superseded(self, digest: bytes, text: str) -> tuple[Superseded, ...]:
        known = self._told.get(digest)
        if known is None:
            may_hold_one = _holds_alternatives(self._reader.items(digest)) and failure_in(text) is None
            known = superseded_in(text) if may_hold_one else ()
            if len(self._told) < _MAX_READ_COUNT:
                self._told[digest] = known
        return known

    def _answered_anew(self, entry: Entry, text: str) -> list[tuple[Item, Item]]:
        """Fields that the same call gave another value for than before."""
        arguments = self._spans[entry.span_id].digests("arguments")
        if len(arguments) != 1 or len(self._answers) >= _MAX_CALLS_COUNT:
            return []
        call = (tool_name(self._spans[entry.span_id]), arguments[0])
        before = self._answers.get(call)
        self._answers[call] = entry
        if before is None or before.digest == entry.digest:
            return []
        was, now = _fields(self._reader.text(before.digest) or ""), _fields(text)
        held = {key for i in self._reader.items(entry.digest) for key in all_keys(i)}
        changed = [(was[path], now[path]) for path in was.keys() & now.keys() if may_replace(was[path], now[path])]
        return [(old, new) for old, new in changed if not held & set(all_keys(old))]

    def _asked_anew(self, entry: Entry) -> list[tuple[Item, Item]]:
        """What a person asked for before, and asks for otherwise now."""
        asked = self._reader.asked(entry.digest)
        if not asked:
            return []
        before = self._asked.setdefault(entry.owner, [])
        pairs: list[tuple[Item, Item]] = []
        for new, words in updates_in(asked) if before else ():
            alike = [old for old, about in before if may_replace(old, new) and about & words]
            alike = list({key_of(old): old for old in alike}.values())
            if len(alike) == 1:
                pairs.append((alike[0], new))
        if len(before) < MAX_CHANGES_COUNT:
            for sentence, held in self._reader.sentences(entry.digest).items():
                before += [(item, set(held)) for item in items_in(sentence) if item.kind in _KINDS]
        return pairs

    def _among(self, entry: Entry) -> Iterator[_Stale]:
        """The superseded values that an entry passes on."""
        changes = self._changes.get(entry.owner)
        if not changes or (entry.role == ARGUMENT and stems(tool_name(self._spans[entry.span_id])) & _UNDOING):
            return
        items = self._reader.items(entry.digest)
        keys = {key for item in items for key in all_keys(item)}
        said = self._reader.plain(entry.digest)
        for item in items:
            change = next((changes[key] for key in (key_of(item), *all_keys(item)) if key in changes), None)
            if change is None or item.kind != change.old.kind or shape_of(item) != shape_of(change.old):
                continue
            if keys.isdisjoint(all_keys(change.new)) and not is_past(said, item.start, item.start + len(item.text)):
                yield _Stale(change, item, entry)


def _finding(stale: _Stale, timeline: Timeline, reader: Reader, trace: Trace) -> Finding:
    change, item, entry = stale
    said = reader.plain(entry.digest)
    who = trace.span_label(trace.spans[entry.span_id]) or "an agent"
    delegation = timeline.delegation(entry.span_id)
    learned = reader.plain(change.entry.digest)
    return Finding(
        kind=KIND,
        severity=Severity.WARNING,
        confidence=0.88,
        trace_id=trace.trace_id,
        span_id=entry.span_id,
        message=f"{who} passed on “{shorten(item.text, 60)}” though it knew of “{shorten(change.new.text, 60)}” in its place",
        agent=trace.spans[entry.span_id].agent_name,
        peer_agent=delegation.target_agent if delegation is not None else "",
        value=item.text,
        root_span_id=change.entry.span_id,
        path=list(dict.fromkeys((change.entry.span_id, entry.span_id))),
        evidence=[
            Evidence(change.entry.span_id, _quote(change.new, learned)),
            Evidence(entry.span_id, around(said, item.start, item.start + len(item.text))),
        ],
        at_ns=entry.at_ns,
    )


def _holds_alternatives(items: list[Item]) -> bool:
    """Whether two different values of one make are among some: without, nothing can stand in place of anything."""
    made: dict[tuple[str, str], Key] = {}
    return any(made.setdefault((i.kind, shape_of(i)), key_of(i)) != key_of(i) for i in items if i.kind in _KINDS)


def _quote(item: Item, said: str) -> str:
    at = max(said.find(item.text), 0)
    return around(said, at, at + len(item.text))


def _fields(text: str) -> dict[str, Item]:
    """The fields of a JSON object that hold just one value each, by path; lists are passed over: their order is no name."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    found: dict[str, Item] = {}
    pending: list[tuple[str, Any]] = [("", value)]
    while pending and len(found) < _MAX_FIELDS_COUNT:
        path, held = pending.pop()
        if isinstance(held, dict):
            pending.extend((f"{path}/{name}", v) for name, v in list(held.items())[:_MAX_FIELDS_COUNT])
        elif isinstance(held, (str, int, float)) and not isinstance(held, bool):
            items = [i for i in items_in(str(held)[:200]) if i.kind != "quoted"]
            if len(items) == 1:
                found[path] = items[0]
    return found
