"""Where a trace's payloads occur: what agents were shown, said, passed on, got back, each in order of time.

Invariant: what is here is a function of the facts so far and not of their order: a span is placed again when it changes, and a
payload counts once for each agent that is shown it, by the first time, however often it is shown again. Placing a span costs
what its facts say: a list of messages is walked from its end back to what the agent had been shown before. Called by
provenance.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

from trajectory.detection.structure import Structure
from trajectory.graph.echoes import is_failed
from trajectory.graph.span import Span
from trajectory.graph.trace import Invocation, Trace
from trajectory.model.fact import SpanEvent
from trajectory.model.lists import LIST, list_of, read
from trajectory.model.words import EVENT_CONTEXT, EVENT_DELTA, EVENT_THOUGHT, Slot, SpanKind

SEEN = "seen"  # shown to a model, given to an agent as its task, or asked of the whole trace
RESULT = "result"  # of a tool: a source
RETURNED = "returned"  # a delegatee's answer, as the delegator got it
SAID = "said"  # by a model, or as an agent's answer
GIVEN = "given"  # as a task to another agent
ARGUMENT = "argument"  # of a tool call
USES = (SAID, GIVEN, ARGUMENT)
_ORDER = {RESULT: 0, RETURNED: 1, SEEN: 2, SAID: 3, GIVEN: 4, ARGUMENT: 5}
_CALLS = (SpanKind.TOOL, SpanKind.RETRIEVAL)
_WAITING_COUNT = 64  # spans whose lists are not at hand that are tried again at a time

Owner = Invocation | None
Key = tuple[int, bytes]
_T = TypeVar("_T")
_NEVER: Key = (1 << 80, b"")


class Occurrence(NamedTuple):
    """A payload of a span, in a role, at a time in nanoseconds."""

    at_ns: int
    rank: int
    span: Span
    role: str
    digest: bytes

    @property
    def owner(self) -> Owner:
        return self.span.owner


def in_order(occurrence: Occurrence) -> tuple[int, int, bytes, bytes]:
    """The key by which occurrences are sorted."""
    return occurrence.at_ns, occurrence.rank, occurrence.span.span_id, occurrence.digest


class Doings:
    """What one invocation did, each list in order of time: what it said and passed on, its tool calls by their start, the
    answers that it got by their end, what it thought. `views` are its model calls whose input was captured, by their start."""

    __slots__ = ("answers", "calls", "sayings", "thoughts", "views")

    def __init__(self) -> None:
        self.sayings: list[Occurrence] = []
        self.calls: list[Key] = []
        self.answers: list[Key] = []
        self.thoughts: list[tuple[Key, int, SpanEvent]] = []
        self.views: list[Key] = []


class _View:
    """What an owner was shown, by which spans first, and up to which point its lists were walked."""

    __slots__ = ("first", "lists", "spans")

    def __init__(self) -> None:
        self.first: dict[bytes, dict[bytes, None]] = {}  # span → the payloads that it was the first to show
        self.lists: dict[bytes, Key] = {}  # a list → the first that showed it
        self.spans: dict[bytes, _Place] = {}


class _Place(NamedTuple):
    """What is held of a span. `shown` are times with the entries of a slot."""

    span: Span
    owner: Owner
    shown: tuple[tuple[int, list[bytes]], ...]
    told: tuple[Occurrence, ...]
    call: Key | None
    answer: Key | None
    spoken: Key | None
    view: Key | None
    thoughts: tuple[tuple[Key, int, SpanEvent], ...]
    from_ns: int  # before this, it is nothing to its agent


class Changes(NamedTuple):
    """What a refresh changed: payloads that occur elsewhere now, those of them that do not occur any more where they did, and
    since when an owner's doings are others."""

    digests: set[bytes]
    withdrawn: set[bytes]
    owners: dict[Owner, int]


class Occurrences:
    """The occurrences of a trace's payloads, kept up to date by `refresh`."""

    def __init__(self, trace: Trace, structure: Structure) -> None:
        self._trace = trace
        self._structure = structure
        self._changed = trace.watch()
        self._places: dict[bytes, _Place] = {}
        self._told: dict[bytes, dict[Occurrence, None]] = {}
        self._shown: dict[bytes, dict[Owner, Occurrence]] = {}
        self._views: dict[Owner, _View] = {}
        self._doings: dict[Owner, Doings] = {}
        self._unsettled: dict[Owner, None] = {}  # whose views lost something, and are made anew
        self._waiting: dict[bytes, None] = {}
        self._changes = Changes(set(), set(), {})
        self.speaking: list[Key] = []  # model calls by their end

    def refresh(self) -> Changes:
        """Places the spans that changed; the work is that of what changed."""
        self._changes = Changes(set(), set(), {})
        changed = [*self._structure.refresh(), *self._changed.take()]
        spans = [s for i in dict.fromkeys(changed) if (s := self._trace.spans.get(i)) is not None]
        spans.sort(key=lambda s: s.order_key)
        for span in spans:
            if not span.is_placeholder:
                self._place(span)
        for owner in self._unsettled:
            self._show_anew(owner)
        self._unsettled = {}
        for span_id in list(self._waiting)[:_WAITING_COUNT]:
            del self._waiting[span_id]
            self._show(self._views[self._places[span_id].owner], self._places[span_id])
        return self._changes

    def at(self, digest: bytes) -> Iterator[Occurrence]:
        """The occurrences of a payload, in no order."""
        yield from self._told.get(digest, ())
        yield from self._shown.get(digest, {}).values()

    def stands(self, occurrence: Occurrence) -> bool:
        """Whether an occurrence that was found earlier is still one."""
        if occurrence.role == SEEN:
            return self._shown.get(occurrence.digest, {}).get(occurrence.owner) == occurrence
        return occurrence in self._told.get(occurrence.digest, ())

    def told_by(self, span: Span) -> list[Occurrence]:
        """What occurs in a span other than as shown, in order."""
        place = self._places.get(span.span_id)
        return sorted(place.told, key=in_order) if place is not None else []

    def shown_by(self, span: Span) -> list[Occurrence]:
        """What a span was the first to show to its owner."""
        view = self._views.get(span.owner)
        digests = view.first.get(span.span_id, ()) if view is not None else ()
        return [self._shown[digest][span.owner] for digest in digests]

    def has_view(self, owner: Owner) -> bool:
        """Whether anything that an owner was shown was captured."""
        return owner in self._views

    def doings(self, owner: Owner) -> Doings:
        """What an owner did so far."""
        doings = self._doings.get(owner)
        if doings is None:
            doings = self._doings[owner] = Doings()
        return doings

    # --- placing -------------------------------------------------------------------------------------------------------

    def _place(self, span: Span) -> None:
        old, new = self._places.get(span.span_id), self._read(span)
        if old == new:
            return
        self._places[span.span_id] = new
        if old is not None:
            self._withdraw(old, new)
        self._put(new, old)
        for place in (old, new) if old is not None else (new,):
            known_ns = self._changes.owners.get(place.owner, place.from_ns)
            self._changes.owners[place.owner] = min(known_ns, place.from_ns)

    def _read(self, span: Span) -> _Place:
        carries = self._structure.carries(span)
        shown: list[tuple[int, list[bytes]]] = []
        told: list[Occurrence] = []
        for role, at_ns, slot in _slots(span, carries):
            if role == SEEN:
                entries = span.contents.get(slot)
                if entries:
                    shown.append((at_ns, entries))
            else:
                told += [Occurrence(at_ns, _ORDER[role], span, role, digest) for digest in span.digests(slot)]
        for event in span.events:
            if event.contents and event.name != EVENT_DELTA:
                for entries in event.contents.values():
                    if event.name == EVENT_CONTEXT:
                        shown.append((event.at_ns, entries))
                    else:
                        told += [Occurrence(event.at_ns, _ORDER[SAID], span, SAID, digest) for digest in entries]
        answers = span.kind in _CALLS or carries
        ended = (span.end_ns, span.span_id) if span.end_ns else None
        return _Place(
            span,
            span.owner,
            tuple(shown),
            tuple(dict.fromkeys(told)),
            span.order_key if span.kind in _CALLS else None,
            ended if answers and not is_failed(span) else None,
            ended if span.kind == SpanKind.MODEL else None,
            span.order_key if span.kind == SpanKind.MODEL and span.contents.get(Slot.INPUT) else None,
            tuple(((e.at_ns, span.span_id), n, e) for n, e in enumerate(span.events) if e.name == EVENT_THOUGHT),
            span.start_ns or span.end_ns,
        )

    def _withdraw(self, old: _Place, new: _Place) -> None:
        doings = self.doings(old.owner)
        stays = new.owner is old.owner
        for occurrence in old.told:
            if not stays or occurrence not in new.told:
                self._told[occurrence.digest].pop(occurrence, None)
                self._changes.digests.add(occurrence.digest)
                self._changes.withdrawn.add(occurrence.digest)
                if occurrence.role in (SAID, GIVEN):
                    _drop(doings.sayings, occurrence, in_order)
        for held, key in self._dated(old, doings):
            _drop(held, key, _itself)
        for thought in old.thoughts:
            _drop(doings.thoughts, thought, _thought_order)
        if old.shown and not (stays and new.shown[: len(old.shown)] == old.shown):
            self._views[old.owner].spans.pop(old.span.span_id, None)
            self._unsettled[old.owner] = None

    def _put(self, new: _Place, old: _Place | None) -> None:
        doings = self.doings(new.owner)
        known = old.told if old is not None and new.owner is old.owner else ()
        for occurrence in new.told:
            if occurrence not in known:
                self._told.setdefault(occurrence.digest, {})[occurrence] = None
                self._changes.digests.add(occurrence.digest)
                if occurrence.role in (SAID, GIVEN):
                    insort(doings.sayings, occurrence, key=in_order)
        for held, key in self._dated(new, doings):
            insort(held, key)
        for thought in new.thoughts:
            insort(doings.thoughts, thought, key=_thought_order)
        if new.shown and not (old is not None and new.owner is old.owner and new.shown == old.shown):
            view = self._views.setdefault(new.owner, _View())
            view.spans[new.span.span_id] = new
            if new.owner not in self._unsettled:
                self._show(view, new)

    def _dated(self, place: _Place, doings: Doings) -> Iterator[tuple[list[Key], Key]]:
        """The lists of spans in which one stands, and where."""
        lists = (doings.calls, doings.answers, doings.views, self.speaking)
        keys = (place.call, place.answer, place.view, place.spoken)
        return ((held, key) for held, key in zip(lists, keys, strict=True) if key is not None)

    # --- what was shown ------------------------------------------------------------------------------------------------

    def _show_anew(self, owner: Owner) -> None:
        view = self._views[owner]
        for digest in (d for digests in view.first.values() for d in digests):
            del self._shown[digest][owner]
            self._changes.digests.add(digest)
            self._changes.withdrawn.add(digest)
        view.first, view.lists = {}, {}
        for place in sorted(view.spans.values(), key=lambda p: p.span.order_key):
            self._show(view, place)

    def _show(self, view: _View, place: _Place) -> None:
        for at_ns, entries in place.shown:
            for entry in entries:
                listed = list_of(entry)
                if listed is None:
                    self._show_one(view, place, at_ns, entry)
                else:
                    self._show_list(view, place, at_ns, listed)

    def _show_list(self, view: _View, place: _Place, at_ns: int, listed: bytes) -> None:
        """Walks a list from its end; what it extends and the owner was shown before, was shown with all before it."""
        key = (at_ns, place.span.span_id)
        walked: list[bytes] = []
        while listed and view.lists.get(listed, _NEVER) > key:
            found = self._trace.body(listed)
            if found is None or found[0] != LIST:
                self._waiting[place.span.span_id] = None
                return
            walked.append(listed)
            listed, added = read(found[1])
            for digest in added:
                self._show_one(view, place, at_ns, digest)
        view.lists.update(dict.fromkeys(walked, key))

    def _show_one(self, view: _View, place: _Place, at_ns: int, digest: bytes) -> None:
        by_owner = self._shown.setdefault(digest, {})
        known = by_owner.get(place.owner)
        if known is None or (at_ns, place.span.span_id) < (known.at_ns, known.span.span_id):
            if known is not None:
                del view.first[known.span.span_id][digest]
            by_owner[place.owner] = Occurrence(at_ns, _ORDER[SEEN], place.span, SEEN, digest)
            view.first.setdefault(place.span.span_id, {})[digest] = None
            self._changes.digests.add(digest)


def _slots(span: Span, carries: bool) -> Iterator[tuple[str, int, str]]:
    """The slots of a span with their roles and times; of those that say the same, the first that is there."""
    start, end = span.start_ns, span.end_ns or span.last_ns
    held = span.contents
    match span.kind:
        case SpanKind.TOOL | SpanKind.RETRIEVAL:
            for slot in (Slot.ARGUMENTS, Slot.TASK):
                yield (GIVEN if carries else ARGUMENT), start, slot
            for slot in (Slot.RESULT, Slot.RETURNED):
                yield (RETURNED if carries else RESULT), end, slot
        case SpanKind.DELEGATION:
            yield GIVEN, start, Slot.TASK if held.get(Slot.TASK) else Slot.ARGUMENTS
            yield RETURNED, end, Slot.RETURNED if held.get(Slot.RETURNED) else Slot.RESULT
        case SpanKind.AGENT | SpanKind.MODEL:
            for slot in (Slot.SYSTEM, Slot.INPUT):
                yield SEEN, start, slot
            asks = span.kind == SpanKind.MODEL  # what it asks another agent to do
            yield (GIVEN, end, Slot.TASK) if asks else (SEEN, start, Slot.TASK)
            for slot in (Slot.OUTPUT, Slot.RETURNED):
                yield SAID, end, slot
        case _ if span.parent is None:
            yield SEEN, start, Slot.INPUT  # what was asked of the whole trace
    yield SEEN, start, Slot.CONTEXT


def _itself(key: Key) -> Key:
    return key


def _thought_order(thought: tuple[Key, int, SpanEvent]) -> tuple[Key, int]:
    return thought[:2]


def _drop(held: list[_T], one: _T, key: Callable[[_T], Any]) -> None:
    """Takes one out of a sorted list."""
    at = bisect_left(held, key(one), key=key)
    if at < len(held) and key(held[at]) == key(one):
        del held[at]
