"""`context.invented`: a value that an agent passed on as if it had it from somewhere, and that nothing before it holds.

Invariant: precision first. A value counts as invented at warning only where three things are so: no request, instruction, tool or
agent had said it, and it follows from nothing that they had said; it went on to a tool, another agent or whoever asked; and
something shows that it should have had a source: a source names another value of the very same make in its place. A tool's answer
that holds it later, without failing, shows that it exists. Common knowledge, code and addresses are never judged. Called through
the seam of `contract`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from trajectory.detection.failure_result import failure_in
from trajectory.detection.items import Item
from trajectory.detection.known import Key, Known, asking_keys, key_of, shape_of, words_near
from trajectory.detection.reader import Reader
from trajectory.detection.timeline import ARGUMENT, GIVEN, RESULT, RETURNED, SHOWN, Entry, Timeline, Walks
from trajectory.detection.words import around, shorten
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace
from trajectory.model.fact import Evidence, Finding
from trajectory.model.words import Severity

KIND = "context.invented"
MAX_CANDIDATES_COUNT = 500
_MAX_RIVALS_COUNT = 8
_KINDS = ("identifier", "money", "quantity", "email")
_FENCE = re.compile(r"```.*?(?:```|\Z)", re.S)
_MIN_DIGITS = 3


class _First(NamedTuple):
    """Where an unknown value was first said, and a source's value that should have stood there."""

    item: Item
    entry: Entry
    rival: Item
    rival_entry: Entry


class InventedValues(Walks["_Walk"]):
    """The detector of `context.invented`."""

    name = KIND

    def begun(self, reader: Reader, spans: Mapping[bytes, Span]) -> "_Walk":
        return _Walk(reader)

    def found(self, walk: "_Walk", timeline: Timeline, reader: Reader, trace: Trace) -> Iterator[Finding]:
        """Values without a source that went on."""
        for first, used in walk.passed_on(timeline.answer):
            if not trace.spans[used.span_id].is_open:  # what it was passed on to may yet show that it exists
                yield _finding(first, used, reader, trace)


class _Walk:
    """Goes through what was shown and said, in order, and remembers what nobody had said before."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._known = Known()
        self._sources: dict[tuple[str, str], dict[Key, tuple[Item, Entry]]] = {}  # by make: the values of sources
        self._first: dict[Key, _First] = {}
        self._used: dict[Key, Entry] = {}

    def take(self, entry: Entry) -> None:
        if entry.is_source:
            self._hear(entry)
        else:
            self._say(entry)

    def passed_on(self, answer: Entry | None) -> Iterator[tuple[_First, Entry]]:
        """The values without a source that went to others, the run's answer among what goes there."""
        used = dict(self._used)
        if answer is not None:
            for item in _told(answer, self._reader):
                used.setdefault(key_of(item), answer)
        yield from ((self._first[key], entry) for key, entry in used.items() if key in self._first)

    def _hear(self, entry: Entry) -> None:
        items = self._reader.items(entry.digest)
        confirmed = entry.role == RESULT and failure_in(self._reader.text(entry.digest) or "") is None
        fresh: list[Item] = []
        for item in items:
            said = self._first.get(key_of(item))
            if said is None:
                fresh.append(item)
            elif confirmed or entry.at_ns < said.entry.at_ns:
                del self._first[key_of(item)]
                fresh.append(item)
        self._known.add(fresh)
        for item in fresh:
            if item.kind in _KINDS:
                held = self._sources.setdefault((item.kind, shape_of(item)), {})
                if len(held) <= _MAX_RIVALS_COUNT * 4:
                    held.setdefault(key_of(item), (item, entry))

    def _say(self, entry: Entry) -> None:
        unknown: list[Item] = []
        for item in _told(entry, self._reader):
            if key_of(item) in self._first:
                self._use(key_of(item), entry)
            elif item not in self._known:
                unknown.append(item)
        for item in unknown:
            if not _is_judged(item) or len(self._first) >= MAX_CANDIDATES_COUNT:
                continue
            if not self._known.implies(item, self._reader.items(entry.digest)):
                self._note(item, entry)
        self._known.add(i for i in self._reader.items(entry.digest) if key_of(i) not in self._first)

    def _note(self, item: Item, entry: Entry) -> None:
        rival = self._rival(item, entry)
        if rival is not None:
            self._first[key_of(item)] = _First(item, entry, *rival)
            self._use(key_of(item), entry)

    def _use(self, key: Key, entry: Entry) -> None:
        if entry.role in (GIVEN, ARGUMENT):
            self._used.setdefault(key, entry)

    def _rival(self, item: Item, entry: Entry) -> tuple[Item, Entry] | None:
        """The one value of a source that the words about a new one are about, and that does not stand beside it."""
        held = self._sources.get((item.kind, shape_of(item)), {})
        if not held:
            return None
        beside = {key for other in self._reader.items(entry.digest) for key in asking_keys(other)}
        rivals = [(i, e) for key, (i, e) in held.items() if key not in beside and key != key_of(item)]
        if entry.role == GIVEN:  # what was asked and is passed on changed is altered, which is said as such
            rivals = [(i, e) for i, e in rivals if e.role != SHOWN or not self._reader.asked(e.digest)]
        if item.kind != "identifier":
            near = words_near(item, self._reader.plain(entry.digest))
            rivals = [(i, e) for i, e in rivals if near & words_near(i, self._reader.plain(e.digest))]
            rivals = [(i, e) for i, e in rivals if not self._is_limit_kept(item, i, e)]
            return rivals[0] if len(rivals) == 1 else None
        return rivals[-1] if 0 < len(rivals) <= _MAX_RIVALS_COUNT else None

    def _is_limit_kept(self, item: Item, limit: Item, entry: Entry) -> bool:
        """Whether a source says of a value that it is the most or least that may be, and a new one keeps to that: then the new
        one does not stand in its place."""
        one, other = (float(i.key.partition(" ")[0]) if i.figure else 0.0 for i in (item, limit))
        bounds = (c for c in self._reader.told(entry.digest) if any(key_of(v) == key_of(limit) for v in c.values))
        return any(c.direction * (one - other) >= 0 for c in bounds if c.direction)


def _finding(first: _First, used: Entry, reader: Reader, trace: Trace) -> Finding:
    entry, item = first.entry, first.item
    who = trace.span_label(trace.spans[entry.span_id]) or "an agent"
    path = list(dict.fromkeys((entry.span_id, used.span_id)))
    because = f"; {_origin(first.rival_entry, trace)} has “{shorten(first.rival.text, 60)}” there"
    evidence = [
        Evidence(entry.span_id, _quote(item, entry, reader)),
        Evidence(first.rival_entry.span_id, _quote(first.rival, first.rival_entry, reader)),
    ]
    return Finding(
        kind=KIND,
        severity=Severity.WARNING,
        confidence=0.85 if item.kind == "identifier" else 0.78,
        trace_id=trace.trace_id,
        span_id=used.span_id,
        message=f"{who} passed on “{shorten(item.text, 60)}”, which nothing before it holds{because}",
        agent=trace.spans[entry.span_id].agent_name,
        value=item.text,
        root_span_id=entry.span_id,
        path=path,
        evidence=evidence,
        at_ns=entry.at_ns,
    )


def _origin(entry: Entry, trace: Trace) -> str:
    if entry.role == RESULT:
        return f"the answer of {shorten(trace.spans[entry.span_id].name, 40)}"
    return "an agent's answer" if entry.role == RETURNED else "what it was asked"


def _quote(item: Item, entry: Entry, reader: Reader) -> str:
    said = reader.plain(entry.digest)
    return around(said, item.start, item.start + len(item.text))


def _told(entry: Entry, reader: Reader) -> list[Item]:
    """The values of a saying that are told as such: not inside code, and of a call's arguments only those that are one whole."""
    items = reader.items(entry.digest)
    if entry.role == ARGUMENT:
        whole = _leaves(reader.text(entry.digest) or "")
        return [i for i in items if i.text.casefold() in whole or i.key in whole]
    if "```" not in (reader.text(entry.digest) or ""):
        return items
    fenced = [m.span() for m in _FENCE.finditer(reader.plain(entry.digest))]
    return [i for i in items if not any(a <= i.start < b for a, b in fenced)]


def _leaves(text: str) -> set[str]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {text.strip().casefold()}
    found: set[str] = set()
    pending = [value]
    while pending and len(found) < MAX_CANDIDATES_COUNT:
        held = pending.pop()
        if isinstance(held, dict):
            pending.extend(held.values())
        elif isinstance(held, list):
            pending.extend(held)
        elif isinstance(held, (str, int, float)):
            found.add(str(held).strip().casefold())
    return found


def _is_judged(item: Item) -> bool:
    """Whether a value is one that nobody knows by heart."""
    if item.kind == "identifier":
        return sum(c.isdigit() for c in item.key) >= _MIN_DIGITS and not _YEARS.fullmatch(item.key)
    return item.kind in _KINDS and item.is_distinctive


_YEARS = re.compile(r"(?:1[5-9]|20)\d\d(?:[-_/](?:(?:1[5-9]|20)\d\d|\d\d))?s?")
