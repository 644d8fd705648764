"""What crossed a delegation, item by item: what the delegator held, what it sent, what the delegatee got, what came back.

Invariant: pure, bounded, and silent on what was not captured: a side that nobody recorded is named in `hidden`, and its items are
unknown and not missing. An item is a condition of the request, or a value that is in none of them; each counts once, however
often and in whatever writing it was said. Called by `effectiveness` and by the screen of one delegation.

An item is *needed* where there is evidence: it was passed on; a finding of `context.lost` or `context.altered` says that the work
needs it; or the delegatee's own work came to use it though nobody had told it. What nobody needed is left out on purpose.
"""

from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import islice

import msgspec

from trajectory.detection.altered import Alteration, alterations, turned
from trajectory.detection.boundary import Boundary, Views, boundary_of, no_task
from trajectory.detection.constraints import Constraint
from trajectory.detection.derived import is_derived
from trajectory.detection.items import Item, lookup_key
from trajectory.detection.lost import ALTERED, LOST
from trajectory.detection.occurrences import GIVEN, SEEN, USES, Occurrence, Owner
from trajectory.detection.provenance import Provenance, provenance_of
from trajectory.detection.reader import Knowledge
from trajectory.graph.delegations import Delegation
from trajectory.graph.trace import Trace
from trajectory.model.words import Severity, Slot

SAME, MISSING, CHANGED, ADDED, UNSENT, BACK, DROPPED = (
    "same", "lost", "altered", "added", "unsent", "returned", "dropped",
)  # fmt: skip
CONSTRAINT = "constraint"
_FOUND_BY = ("money", "quantity", "identifier", "url", "email", "date")  # kinds that are hardly met by chance
_OUTCOMES = {Slot.OUTPUT, Slot.RESULT, Slot.RETURNED}  # what is known of a span when it ends, and not when it begins
_MAX_SIDE_COUNT = 400  # values of one side that are looked at
_MAX_LATER_COUNT = 64  # later delegations whose tasks are asked for a condition

NO_HELD = "what the delegator held was not captured"
NO_GOT = "what the delegatee saw was not captured"
NO_BACK = "what came back was not captured"
NO_USE = "nothing that was said after it was captured"
NOT_BACK = "nothing has come back yet"
NO_RETURN = "nothing comes back of a hand-off: control passed on"
NO_PART = "what came back is one result for all that the call asked"


class Crossed(msgspec.Struct, frozen=True):
    """One item. `change` is one of `same`, `lost` (needed, and never arrived), `altered`, `added` (sent or got, and not held),
    `unsent` (held, and not needed as far as is known), `returned` (new in the answer), `dropped` (in the delegatee's answer, and
    not in what the delegator got). `held`, `sent`, `got`, `back` are the item as it is written there, empty where it is not.
    `needed` says why, `note` what else is known. `trail` are its occurrences in order of time, `uses` those of them in which
    somebody went on to use it after it had crossed."""

    key: str
    kind: str  # constraint, or a kind of value
    text: str
    change: str
    held: str = ""
    sent: str = ""
    got: str = ""
    back: str = ""
    needed: str = ""
    note: str = ""
    trail: list[Occurrence] = []
    uses: list[Occurrence] = []


class Crossing:
    """The items of one delegation. `hidden` says what was not captured, by side: held, sent, got, back, used."""

    def __init__(self, delegation: Delegation, trace: Trace, views: Views, heard_ns: dict[Owner, int]) -> None:
        self.delegation = delegation
        self.boundary: Boundary = boundary_of(delegation, trace, views)
        self.hidden: dict[str, str] = {}
        self._trace = trace
        self._reader = views.reader
        self._views = views
        self._heard_ns = heard_ns
        self._provenance: Provenance = provenance_of(trace)
        said = delegation.target.answer_digests() if delegation.target is not None else []
        self._said = Knowledge(self._reader, said)
        self._back = Knowledge(self._reader, delegation.returned_digests())
        self._note_hidden()

    @cached_property
    def items(self) -> list[Crossed]:
        """What crossed and what did not: losses first, then what arrived, what came back, what was added, what stayed behind."""
        found = [*self._sent_items(), *self._returned()] if not self.is_unknown else [*self._returned()]
        order = (MISSING, CHANGED, SAME, DROPPED, BACK, ADDED, UNSENT)
        return sorted(found, key=lambda item: order.index(item.change))

    @property
    def is_unknown(self) -> bool:
        """Whether nothing can be said of the way there."""
        return "sent" in self.hidden and "got" in self.hidden

    def _note_hidden(self) -> None:
        boundary, delegation = self.boundary, self.delegation
        if delegation.source is None or not self._held.is_known:
            self.hidden["held"] = NO_HELD
        if not boundary.sent.is_known:
            self.hidden["sent"] = no_task(delegation)
        if not boundary.received.is_known:
            self.hidden["got"] = NO_GOT
        is_own = delegation.is_transfer or delegation.is_shared
        if not delegation.returned_ns or not (self._said if is_own else self._back).is_known:
            self.hidden["back"] = self._why_not_back()
            self.hidden["used"] = self.hidden["back"]
        elif not any(at_ns > delegation.returned_ns for at_ns in self._heard_by_others()):
            self.hidden["used"] = NO_USE

    def _why_not_back(self) -> str:
        if self.delegation.is_transfer:
            return NO_RETURN
        return NOT_BACK if not self.delegation.returned_ns else NO_PART if self._back.is_known else NO_BACK

    def _heard_by_others(self) -> Iterator[int]:
        """When content was last captured of others than the delegatee."""
        return (at_ns for owner, at_ns in self._heard_ns.items() if owner is not self.delegation.target)

    @cached_property
    def _held(self) -> Knowledge:
        """What the delegator had in view, or got outside its models' view: all that its own code could pass on. Not what it got
        only after it had delegated, such as this very answer."""
        source, sent_ns = self.delegation.source, self.delegation.sent_ns
        got = self._views.given_to(source, sent_ns) if source is not None else ()
        kept = []
        for digest in dict.fromkeys([*self.boundary.known.digests, *got]):
            had_ns = [o.at_ns for o in self._provenance.occurrences.at(digest) if o.owner is source]
            if not had_ns or min(had_ns) <= sent_ns:
                kept.append(digest)
        return Knowledge(self._reader, kept)

    # --- the way there ---------------------------------------------------------------------------------------------

    def _sent_items(self) -> Iterator[Crossed]:
        boundary, reader = self.boundary, self._reader
        asked: dict[object, tuple[Constraint, bytes]] = {}
        for digest in boundary.asked if "held" not in self.hidden else ():
            for constraint in reader.constraints(digest):
                asked.setdefault(constraint.key, (constraint, digest))
        changes = {change.key: change for change in alterations(boundary, reader)}
        unchanged = (c for c, _ in asked.values() if not _values_of(c) & changes.keys())
        opposite = {one.key: change for one, change in turned(unchanged, boundary, reader)}
        for constraint, digest in asked.values():
            moved = (changes[key] for key in changes if key in _values_of(constraint))
            yield self._constraint(constraint, digest, opposite.get(constraint.key) or next(moved, None))
        inside = {key for constraint, _ in asked.values() for key in _values_of(constraint)}
        yield from self._values(inside, changes)

    def _constraint(self, constraint: Constraint, digest: bytes, change: Alteration | None) -> Crossed:
        text, boundary = constraint.text, self.boundary
        key = f"{CONSTRAINT} {text}"
        trail, later = self._trail_of(constraint, digest)
        sent = text if boundary.sent.holds(constraint) else ""
        got = text if boundary.received.holds(constraint) else ""
        if change is not None:
            return self._crossed(key, CONSTRAINT, text, CHANGED, trail, later, text, change.now, change.now)
        is_lost = (LOST, text) in self._findings  # it was sent, and what the delegatee saw is without it
        change_ = SAME if got or (sent and not is_lost) else UNSENT
        return self._crossed(key, CONSTRAINT, text, change_, trail, later, text, sent, got)

    def _values(self, inside: set[str], changes: dict[str, Alteration]) -> Iterator[Crossed]:
        """The values that are in no condition: those that were asked about or sent, and what the delegatee got besides."""
        boundary = self.boundary
        became = {change.now for change in changes.values()}
        sent = _telling(boundary.sent.items())
        got = _telling(boundary.received.items()) if "got" not in self.hidden else {}
        asked = _telling(boundary.asked_items) if "held" not in self.hidden else {}
        known = self._held
        numbers = [
            *asked.values(),
            *islice((i for i in known.items() if i.figure or i.kind == "date"), _MAX_SIDE_COUNT),
        ]
        for key, item in {**got, **sent, **asked}.items():
            if item.key in inside or (item.text in became and key not in asked):
                continue
            change = changes.get(item.key) if key in asked else None
            there = {k: held.text for k, held in (("sent", sent.get(key)), ("got", got.get(key))) if held is not None}
            trail, later = self._values_trail(item)
            if change is not None:
                yield self._crossed(
                    _key(item), item.kind, item.text, CHANGED, trail, later, item.text, change.now, change.now
                )
            elif "held" in self.hidden or key in asked or item in known:
                if there or key in asked:
                    held = "" if "held" in self.hidden else item.text
                    yield self._crossed(
                        _key(item), item.kind, item.text, SAME if there else UNSENT, trail, later, held, **there
                    )
            elif key in sent:
                note = "follows from what it held" if is_derived(item, numbers) else ""
                yield self._crossed(_key(item), item.kind, item.text, ADDED, trail, later, "", note=note, **there)
            elif key in got and key not in self._back_items:
                note = "its own: of its instructions, or given to it as it worked"
                yield self._crossed(_key(item), item.kind, item.text, ADDED, trail, later, "", note=note, **there)

    def _crossed(
        self, key: str, kind: str, text: str, change: str, trail: list[Occurrence], later: list[Occurrence], held: str,
        sent: str = "", got: str = "", note: str = "",
    ) -> Crossed:  # fmt: skip
        """An item of the way there, with why it is needed; one that was needed and never sent is lost."""
        needed = ""
        if change == UNSENT:
            needed = self._findings.get((LOST, text), "") or self._came_to_use(kind, later)
            change = MISSING if needed else UNSENT
        elif change == CHANGED:
            needed = self._findings.get((ALTERED, text), "") or "it was passed on"
        elif change == SAME:
            needed = "it was passed on"
        back = text if kind != CONSTRAINT and change in (SAME, ADDED) and any(
            lookup_key(i) == _parts(key) for i in self._back_items.values()
        ) else ""  # fmt: skip
        return Crossed(key, kind, text, change, held, sent, got, back, needed, note, trail, later)

    @cached_property
    def _findings(self) -> dict[tuple[str, str], str]:
        """Why an item is needed, as the findings on this delegation say, by their kind and value."""
        found = (f for f in self._trace.findings.values() if f.kind in (LOST, ALTERED) and f.severity != Severity.INFO)
        return {(f.kind, f.value): f.message for f in found if f.root_span_id == self.delegation.delegation_id}

    def _came_to_use(self, kind: str, later: list[Occurrence]) -> str:
        target = self.delegation.target
        is_used = kind in _FOUND_BY and target is not None and any(o.owner is target for o in later)
        return "its work came to use it, though nobody had told it" if is_used else ""

    # --- the way back ----------------------------------------------------------------------------------------------

    @cached_property
    def _back_items(self) -> dict[tuple[str, str], Item]:
        return _telling(self._back.items())

    def _returned(self) -> Iterator[Crossed]:
        """What the answer holds that its task did not, and what the delegatee said and its delegator never got."""
        if "back" in self.hidden:
            return
        delegation, sent, known = self.delegation, self.boundary.sent, self._held
        result = Knowledge(self._reader, delegation.result_digests() if not delegation.is_transfer else [])
        for item in self._back_items.values():
            if item not in sent and item not in known and (item in result or not result.is_known):
                trail, uses = self._values_trail(item, is_back=True)
                if trail:  # what may be met anywhere by chance is in none
                    yield Crossed(_key(item), item.kind, item.text, BACK, back=item.text, trail=trail, uses=uses)
        for item in _telling(self._said.items()).values() if result.is_known else ():
            if item not in result and item not in sent:
                trail, uses = self._values_trail(item, is_back=True)
                note = "its answer held it, and what came back does not"
                yield Crossed(
                    _key(item), item.kind, item.text, DROPPED, got=item.text, note=note, trail=trail, uses=uses
                )

    # --- histories -------------------------------------------------------------------------------------------------

    def _values_trail(self, item: Item, is_back: bool = False) -> tuple[list[Occurrence], list[Occurrence]]:
        trail = self._provenance.trail(item)
        return trail, self._later(trail, is_back)

    def _later(self, trail: Iterable[Occurrence], is_back: bool = False) -> list[Occurrence]:
        """Where an item was used after it had crossed, by whoever could have it from there: the two sides, and those to whom it
        was shown or passed on since. Of what came back, not by who gave it."""
        delegation, structure = self.delegation, self._provenance.structure
        since_ns = (delegation.returned_ns or delegation.span.end_ns) if is_back else delegation.sent_ns
        having: set[Owner] = {delegation.source} if is_back else {delegation.source, delegation.target}
        uses: list[Occurrence] = []
        for o in trail:
            if o.at_ns < since_ns or o.span.span_id == delegation.delegation_id:
                continue
            if o.role == SEEN:
                having.add(o.owner)
            elif o.role in USES and o.owner in having and not (is_back and o.owner is delegation.target):
                uses.append(o)
                passed = structure.by_span(o.span.span_id) if o.role == GIVEN else None
                if passed is not None:
                    having.add(passed.target)
        return uses

    def _trail_of(self, constraint: Constraint, digest: bytes) -> tuple[list[Occurrence], list[Occurrence]]:
        """A condition's history: that of its first value; one without values is followed by its words, task by task."""
        if constraint.values:
            return self._values_trail(constraint.values[0])
        occurrences = self._provenance.occurrences
        trail = [o for o in occurrences.at(digest) if o.role == SEEN or o.role in USES]
        after = [d for d in self._trace.delegations() if d.sent_ns > self.delegation.sent_ns][:_MAX_LATER_COUNT]
        for later in after:
            told = [d for d in later.task_digests() if constraint.stems <= self._reader.stems(d)]
            trail += [o for d in told for o in occurrences.at(d) if o.role in USES]
        trail = sorted(set(trail), key=lambda o: (o.at_ns, o.rank, o.span.span_id, o.digest))
        return trail, self._later(trail)


class Crossings:
    """Makes the crossings of a trace's delegations, as the trace stands: what serves all of them is worked out once."""

    def __init__(self, trace: Trace) -> None:
        provenance_of(trace).refresh()
        self._trace = trace
        self._views = Views(trace)
        self._heard_ns: dict[Owner, int] = {}
        for span in trace.spans.values():
            if span.contents and not span.is_placeholder:
                last_ns = (span.end_ns if _OUTCOMES & span.contents.keys() else 0) or span.start_ns
                self._heard_ns[span.owner] = max(last_ns, self._heard_ns.get(span.owner, 0))

    def of(self, delegation: Delegation) -> Crossing:
        """What crossed a delegation."""
        return Crossing(delegation, self._trace, self._views, self._heard_ns)


def _values_of(constraint: Constraint) -> set[str]:
    return {value.key for value in constraint.values}


def _telling(items: Iterable[Item]) -> dict[tuple[str, str], Item]:
    """The values that say something by themselves, each once, by the key that it is looked up by."""
    found: dict[tuple[str, str], Item] = {}
    for item in items:
        if item.is_distinctive or item.kind not in ("number", "quoted"):
            found.setdefault(lookup_key(item), item)
            if len(found) >= _MAX_SIDE_COUNT:
                break
    figures = {item.figure for item in found.values() if item.figure and item.kind != "number"}
    return {key: item for key, item in found.items() if item.kind != "number" or item.figure not in figures}


def _key(item: Item) -> str:
    kind, key = lookup_key(item)
    return f"{kind} {key}"


def _parts(key: str) -> tuple[str, str]:
    kind, _, rest = key.partition(" ")
    return kind, rest
