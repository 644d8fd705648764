"""Where values came from and where they went: over what agents were shown, said, passed on and got back.

Invariant: what is said here is a function of the facts so far and not of their order. Each payload is read once, into an index
from values to payloads that is bounded (`left_out_count`); the occurrences of a value and the links between spans are derived
from it when somebody asks. Called by the cascade detector, by whoever looks for a step to blame, and by the export of the graph.

    provenance = provenance_of(trace)
    provenance.refresh()                  takes in what changed
    provenance.trail(value)               its occurrences, in order of time
    provenance.links()                    from each span to where its agent had the values that it uses
"""

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from trajectory.detection.items import Item, items_in, keys_of, lookup_key
from trajectory.detection.occurrences import (
    ARGUMENT,
    GIVEN,
    RESULT,
    RETURNED,
    SAID,
    SEEN,
    USES,
    Changes,
    Occurrence,
    Occurrences,
    Owner,
    in_order,
)
from trajectory.detection.reader import reader_of
from trajectory.detection.structure import Structure
from trajectory.detection.words import READ_CHARS, plain
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace
from trajectory.model.words import Grade, LinkKind

MAX_PAIRS_COUNT = 400_000  # of a value and a payload that holds it
MAX_HOLDERS_COUNT = 2000  # payloads that hold one value
MAX_OCCURRENCES_COUNT = 2000  # of one value
MAX_LINKS_COUNT = 5000
_MAX_UNREAD_COUNT = 256  # payloads that were not at hand, and are tried again at a time
_SINGLE = re.compile(r"[^\W_]+(?:[-_][^\W_]+)*|\d+(?:[.,]\d+)*")
_WRITTEN = re.compile(r"\d+(?:[.,]\d+)*")
_ERROR = re.compile(
    r"(?<![^\W_])(?:error|exception|traceback|failed|failure|timed? ?out|refused|unavailable|not[ _]found|denied|forbidden)",
    re.I,
)
_ERROR_CHARS = 4096
_MIN_ERROR_CHARS, _MAX_ERROR_CHARS = 12, 200
_MAX_ERRORS_COUNT = 4
_NAMED_KINDS = ("name", "path", "date", "error")


class UsedValue(NamedTuple):
    """A `used_value_of` link: `user` used a value that its agent had from `source`. `value` is as it was used, `kind` its
    kind of value; both are empty for a link that an emitter sent without them."""

    user: Span
    source: Span
    value: str
    kind: str
    grade: str
    reason: str


class Interest:
    """What somebody who keeps judgements wants to hear of: `stale` are those of them whose values occur elsewhere now, with how
    often that was heard; `doubted` those that rest on an occurrence which may be gone; `owners` are invocations whose doings are
    others, and since when."""

    def __init__(self) -> None:
        self.stale: dict[bytes, int] = {}
        self.doubted: set[bytes] = set()
        self.owners: dict[Owner, int] = {}
        self.values: dict[str, set[bytes]] = {}
        self.payloads: dict[bytes, set[bytes]] = {}
        self.witnesses: dict[bytes, set[bytes]] = {}

    def hear(self, changes: Changes) -> None:
        for digest in changes.digests if self.payloads else ():
            self._mark(self.payloads.get(digest, ()))
        for digest in changes.withdrawn if self.witnesses else ():
            self.doubted.update(self.witnesses.pop(digest, ()))
        for owner, from_ns in changes.owners.items():
            self.owners[owner] = min(from_ns, self.owners.get(owner, from_ns))

    def read(self, digest: bytes, keys: set[str]) -> None:
        """Hears what a payload holds that was just read."""
        for key in keys if self.values else ():
            if key in self.values:
                self._mark(self.values[key])
                self.payloads.setdefault(digest, set()).update(self.values[key])

    def _mark(self, whose: Iterable[bytes]) -> None:
        for who in whose:
            self.stale[who] = self.stale.get(who, 0) + 1


class Provenance:
    """The provenance of one trace's values. `left_out_count` are values of payloads beyond `MAX_PAIRS_COUNT`, and beyond
    `MAX_HOLDERS_COUNT` for one value, that the index has no room for."""

    def __init__(self, trace: Trace) -> None:
        self.structure = Structure(trace)
        self.left_out_count = 0
        self.read_count = 0
        self._trace = trace
        self._reader = reader_of(trace)
        self.occurrences = Occurrences(trace, self.structure)
        self._unread: dict[bytes, None] = {}
        self._held: set[bytes] = set()
        self._holders: dict[str, list[bytes]] = {}
        self._pairs_count = 0
        self._early: dict[str, Occurrence] = {}  # an occurrence of a value, the earliest when it was asked for
        self._interests: list[Interest] = []

    def refresh(self) -> None:
        """Takes in what changed since the last time: places it, and reads the payloads that are new."""
        changes = self.occurrences.refresh()
        self._unread.update(dict.fromkeys(changes.digests - self._held))
        for interest in self._interests:
            interest.hear(changes)
        missing_count = 0
        for digest in list(self._unread):
            del self._unread[digest]
            if not self._read(digest):
                self._unread[digest] = None
                missing_count += 1
                if missing_count > _MAX_UNREAD_COUNT:
                    break

    # --- asking --------------------------------------------------------------------------------------------------------

    def trail(self, value: Item) -> list[Occurrence]:
        """The occurrences of a value, in any of its writings, in order of time: at most `MAX_OCCURRENCES_COUNT`."""
        digests = dict.fromkeys(d for key in _asked(value) for d in self._holders.get(key, ()))
        found = (o for digest in digests for o in self.occurrences.at(digest))
        return sorted(found, key=in_order)[:MAX_OCCURRENCES_COUNT]

    def links(self) -> list[UsedValue]:
        """Every link, by the start of who used the value: at most `MAX_LINKS_COUNT`."""
        sources: dict[str, dict[Occurrence, Occurrence]] = {}
        spans = sorted(self._trace.spans.values(), key=lambda s: s.order_key)
        found = (link for span in spans for link in self._from(span, sources))
        return [link for _, link in zip(range(MAX_LINKS_COUNT), found, strict=False)]

    def values_in(self, digest: bytes) -> list[Item]:
        """The values in a payload that can be followed, each once: none that may be met anywhere by chance."""
        found: dict[str, Item] = {}
        errors = errors_in(self._reader.text(digest) or "")
        for item in [*self._reader.items(digest), *errors]:
            if _is_telling(item):
                found.setdefault(_key(*lookup_key(item)), item)
        return list(found.values())

    # --- being kept up to date -----------------------------------------------------------------------------------------

    def interest(self) -> Interest:
        """Somebody's interest in what changes from now on."""
        interest = Interest()
        self._interests.append(interest)
        return interest

    def watch(self, interest: Interest, who: bytes, value: Item) -> None:
        """From now on `who` is stale when a value occurs elsewhere."""
        for key in _asked(value):
            interest.values.setdefault(key, set()).add(who)
            for digest in self._holders.get(key, ()):
                interest.payloads.setdefault(digest, set()).add(who)

    def first_before(self, value: Item, at_ns: int) -> Occurrence | None:
        """An occurrence of a value before a time; None where there is none."""
        key = _key(value.kind, value.key + value.text)
        known = self._early.get(key)
        if known is None or known.at_ns >= at_ns or not self.occurrences.stands(known):
            trail = self.trail(value)
            known = trail[0] if trail else None
            if known is None or known.at_ns >= at_ns:
                return None
            self._early[key] = known
        return known

    # --- the index -----------------------------------------------------------------------------------------------------

    def _read(self, digest: bytes) -> bool:
        """Puts the values of a payload into the index; False where its body is not at hand."""
        text = self._reader.text(digest)
        if text is None:
            return False
        self._held.add(digest)
        self.read_count += 1
        keys = self._keys(digest, text)
        for key in keys:
            held = self._holders.get(key)
            if self._pairs_count >= MAX_PAIRS_COUNT or (held is not None and len(held) >= MAX_HOLDERS_COUNT):
                self.left_out_count += 1
                continue
            self._pairs_count += 1
            if held is None:
                self._holders[key] = [digest]
            else:
                held.append(digest)
        for interest in self._interests:
            interest.read(digest, keys)
        return True

    def _keys(self, digest: bytes, text: str) -> set[str]:
        """What the values of a payload can be looked up by: normal forms, digits alone, and words with a digit as written."""
        keys = {token for token in self._reader.tokens(digest) if len(token) > 1 and not token.isalpha()}
        for item in [*self._reader.items(digest), *errors_in(text)]:
            if _is_telling(item):
                keys.update(_key(*key) for key in keys_of(item))
                if item.figure:
                    keys.add(item.figure)
        return keys

    # --- links ---------------------------------------------------------------------------------------------------------

    def _from(self, span: Span, sources: dict[str, dict[Occurrence, Occurrence]]) -> Iterator[UsedValue]:
        """The links of one span, those first that its emitter sent; each source and value once."""
        for link in span.links:
            source = self._trace.spans.get(link.to_span_id)
            if link.kind == LinkKind.USED_VALUE_OF and source is not None:
                said = str(link.attributes.get("value", ""))
                yield UsedValue(span, source, said, "", Grade.OBSERVED, "the emitter says so")
        told: set[tuple[bytes, str]] = set()
        for occurrence in self._of(span):
            for item in self.values_in(occurrence.digest):
                key = _key(*lookup_key(item))
                if key not in sources:
                    sources[key] = dict(_Sweep(self).sources(self.trail(item)))
                found = sources[key].get(occurrence)
                if found is not None and (found.span.span_id, key) not in told:
                    told.add((found.span.span_id, key))
                    reason = _REASONS[found.role if found.owner is occurrence.owner else SEEN]
                    yield UsedValue(span, found.span, item.text, item.kind, Grade.INFERRED, reason)

    def _of(self, span: Span) -> Iterable[Occurrence]:
        return sorted([*self.occurrences.told_by(span), *self.occurrences.shown_by(span)], key=in_order)


_REASONS = {
    RESULT: "its agent had it from this tool",
    RETURNED: "its agent had it from another agent's answer",
    SEEN: "its agent had it from here",
    SAID: "its agent said it first here",
    GIVEN: "its agent said it first here",
    ARGUMENT: "its agent said it first here",
}


def provenance_of(trace: Trace) -> Provenance:
    """The one provenance of a trace; it goes when the trace goes."""
    provenance: Provenance | None = trace.notes.get(Provenance)
    if provenance is None:
        provenance = trace.notes[Provenance] = Provenance(trace)
    return provenance


def values_of(text: str) -> list[Item]:
    """The values in a text that can be followed, each once: none that may be met anywhere by chance."""
    found: dict[str, Item] = {}
    for item in [*items_in(text), *errors_in(text)]:
        if _is_telling(item):
            found.setdefault(_key(*lookup_key(item)), item)
    return list(found.values())


def errors_in(text: str) -> list[Item]:
    """The lines of a text that tell of an error, as values of the kind `error`: the first few, without case."""
    if not _ERROR.search(text, 0, READ_CHARS):
        return []
    lines = (line.strip() for line in plain(text[:_ERROR_CHARS]).splitlines())
    told = (line for line in lines if _MIN_ERROR_CHARS <= len(line) <= _MAX_ERROR_CHARS and _ERROR.search(line))
    return [Item("error", " ".join(line.casefold().split()), line, 0) for line in islice(told, _MAX_ERRORS_COUNT)]


def _is_telling(item: Item) -> bool:
    """Whether a value can be followed: it is hardly met by chance, and a quotation is of words."""
    return item.is_distinctive or item.kind in _NAMED_KINDS or (item.kind == "quoted" and item.key[:1].isalpha())


def _key(kind: str, key: str) -> str:
    return f"{kind}\0{key}"


def _asked(value: Item) -> list[str]:
    """What a value is looked up by: its normal form, as it was written, a number by its digits alone."""
    keys = [_key(*lookup_key(value))]
    if value.figure:
        written = _WRITTEN.search(value.text)
        return [*keys, value.figure, *([written[0]] if written and written[0] != value.figure else [])]
    if value.kind == "error":
        return keys
    forms = {value.text.casefold().strip("#"), value.key} if value.kind != "quoted" else set()
    return [*keys, *sorted(form for form in forms if _SINGLE.fullmatch(form))]


class _Had:
    """What an owner has had of a value so far."""

    __slots__ = ("first", "got", "last", "seen")

    def __init__(self) -> None:
        self.got: Occurrence | None = None  # from a tool or an agent, the latest
        self.seen: Occurrence | None = None  # the first time it was shown
        self.first: Occurrence | None = None  # its own first words of it
        self.last: Occurrence | None = None  # what it last told others of it

    @property
    def best(self) -> Occurrence | None:
        return self.got or self.seen or self.first


class _Sweep:
    """Goes through the occurrences of one value in order of time, and remembers who has it."""

    def __init__(self, provenance: Provenance) -> None:
        self._structure = provenance.structure
        self._occurrences = provenance.occurrences
        self._had: dict[Owner, _Had] = {}
        self._given: dict[bytes, Occurrence] = {}
        self._latest: Occurrence | None = None  # that anybody might have seen or heard of

    def sources(self, trail: list[Occurrence]) -> Iterator[tuple[Occurrence, Occurrence]]:
        """For each occurrence the earlier one, in another span, that its agent had the value from, where there is one.

        An answer that holds a value which its own question held is an echo, and no source.
        """
        for occurrence in trail:
            if occurrence.role in (RESULT, RETURNED) and occurrence.span.span_id in self._given:
                continue
            found = self._source(occurrence, self._had.setdefault(occurrence.owner, _Had()))
            if occurrence.role != ARGUMENT:
                self._latest = occurrence
            if found is not None and found.span is not occurrence.span:
                yield occurrence, found

    def _source(self, occurrence: Occurrence, own: _Had) -> Occurrence | None:
        role = occurrence.role
        if role in USES:
            if role != SAID:
                self._given[occurrence.span.span_id] = occurrence
            found = own.best or (None if self._occurrences.has_view(occurrence.owner) else self._latest)
            own.first = own.first or occurrence
            self._hand_back(occurrence)
            own.last = own.last if role == ARGUMENT else occurrence
            return found
        if role == SEEN:
            if own.best is not None:
                return None
            own.seen = occurrence
            return self._giver(occurrence.owner) or self._latest
        own.got = occurrence
        return self._answerer(occurrence) if role == RETURNED else None

    def _hand_back(self, said: Occurrence) -> None:
        """What an agent answers that was called without a span of its caller's is with the caller at once, if that had it not."""
        delegation = self._structure.by_span(said.span.span_id) if said.role == SAID else None
        if delegation is None or delegation.is_transfer or delegation.span is not delegation.target_span:
            return
        caller = self._had.setdefault(delegation.source, _Had())
        if caller.best is None:
            caller.got = said

    def _giver(self, owner: Owner) -> Occurrence | None:
        """Where a value was passed on to an agent: in its task, else in the words of who gave it."""
        for delegation in reversed(self._structure.given_to(owner)):
            given = self._given.get(delegation.delegation_id)
            source = self._had.get(delegation.source)
            if given is not None or source is not None:
                return given or (source.last or source.best if source is not None else None)
        return None

    def _answerer(self, returned: Occurrence) -> Occurrence | None:
        """Where the agent that was asked said a value."""
        delegation = self._structure.by_span(returned.span.span_id)
        target = self._had.get(delegation.target) if delegation is not None and delegation.target is not None else None
        return target.last or target.best if target is not None else None
