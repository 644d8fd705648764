"""What was shown, said, passed on and got back in a trace, by whom, in order of time.

Invariant: a function of the trace's state, worked out once for each state and shared by all who ask. A payload that an agent is
shown again counts once, by the first time. Called by the detectors that ask what an agent knew when it said something.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from itertools import islice
from operator import itemgetter
from typing import Generic, NamedTuple, Protocol, TypeVar

from trajectory.detection.contract import Settling
from trajectory.detection.pace import Pace
from trajectory.detection.reader import Reader, reader_of
from trajectory.graph.delegations import Delegation
from trajectory.graph.echoes import is_echo, tellings, told
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace
from trajectory.model.fact import Finding
from trajectory.model.words import EVENT_CONTEXT, EVENT_DELTA, STEP, DelegationMode, Slot, SpanKind, Surface

SHOWN = "shown"  # to a model or an agent: what it was asked, its instructions, its context
RESULT = "result"  # of a tool
RETURNED = "returned"  # a delegatee's answer, as its delegator got it
SAID = "said"  # by a model or an agent
GIVEN = "given"  # as work, to another agent
ARGUMENT = "argument"  # of a tool call
_RANK = {RESULT: 0, RETURNED: 1, SHOWN: 2, SAID: 3, GIVEN: 4, ARGUMENT: 5}
_MAX_SHOWN_AGAIN_COUNT = 3  # payloads of a list in a row that were shown before: what is ahead of them was, too
_CALLS = (SpanKind.TOOL, SpanKind.RETRIEVAL)


class Entry(NamedTuple):
    """A payload in its role. Entries sort by time, what came in before what was made of it."""

    at_ns: int
    rank: int
    span_id: bytes
    digest: bytes
    role: str
    owner: int  # the identity of the invocation that it belongs to

    @property
    def is_source(self) -> bool:
        """Whether an agent had it from elsewhere."""
        return self.role in (SHOWN, RESULT, RETURNED)


class Passing(NamedTuple):
    """A delegation: its span's id, the identities of both sides (0 where one is not known), the delegatee's name, the mode."""

    span_id: bytes
    source: int
    target: int
    target_agent: str
    mode: str

    @classmethod
    def of(cls, delegation: Delegation) -> "Passing":
        source, target = (id(side) if side is not None else 0 for side in (delegation.source, delegation.target))
        return cls(delegation.delegation_id, source, target, delegation.target_agent, delegation.mode)


class Timeline:
    """The entries of a trace, in order."""

    def __init__(self, trace: Trace) -> None:
        self._delegations = {s.span_id: Passing.of(d) for d in trace.delegations() for s in tellings(d.span)}
        self._given_to = {passing.target: passing for passing in self._delegations.values() if passing.target}
        self._is_open = trace.open_count > 0
        self._shown: dict[int, set[bytes]] = {}
        spans = sorted((s for s in trace.spans.values() if not s.is_placeholder), key=lambda s: s.order_key)
        vehicles = trace.vehicles()
        entries = (e for span in spans for e in self._of(span, span.span_id in vehicles))
        self.entries = sorted(entries, key=itemgetter(0, 1, 2, 3))

    def delegation(self, span_id: bytes) -> Passing | None:
        """The delegation that a span carries."""
        return self._delegations.get(span_id)

    def given_to(self, owner: int) -> Passing | None:
        """The delegation by which an agent was given its work."""
        return self._given_to.get(owner)

    @cached_property
    def answer(self) -> Entry | None:
        """A run's last words, once nothing is open: of an agent whom nobody gave its work, or who was given it for good."""
        if self._is_open:
            return None
        return next((e for e in reversed(self.entries) if e.role == SAID and self._answers_for_all(e.owner)), None)

    def _answers_for_all(self, owner: int) -> bool:
        delegation = self.given_to(owner)
        return delegation is None or delegation.mode == DelegationMode.TRANSFER

    def _of(self, span: Span, carries: bool) -> Iterator[Entry]:
        known = self._shown.setdefault(id(span.owner), set())
        for role, at_ns, digests in _slots(span, carries):
            if role == SHOWN:
                digests = new_of(digests, known)
            elif role == SAID:
                known.update(digests)
            for digest in digests:
                yield Entry(at_ns, _RANK[role], span.span_id, digest, role, id(span.owner))


class Walk(Protocol):
    """Takes entries one after the other and remembers what matters of them."""

    def take(self, entry: Entry) -> None: ...


_W = TypeVar("_W", bound=Walk)


class Resumed(Generic[_W]):
    """A walk that goes on where it was, as long as what it took stays as it was; else it begins anew.

    It is told how to begin when it is asked and keeps no hold of who asks: a circle would outlive its trace until Python looks.
    """

    def __init__(self) -> None:
        self._walk: _W | None = None
        self._taken: list[Entry] = []

    def caught_up(self, timeline: Timeline, begin: Callable[[], _W]) -> _W:
        """The walk after the last entry of a timeline; `begin` makes one that has taken nothing."""
        entries, count = timeline.entries, len(self._taken)
        walk = self._walk
        if walk is None or entries[:count] != self._taken:
            walk, count = begin(), 0
        for entry in islice(entries, count, None):
            walk.take(entry)
        self._walk, self._taken = walk, entries
        return walk


class Walks(Generic[_W], Settling):
    """A detector that goes through a trace's timeline with a walk of its own. A kind of it says its `name`, how its walk begins
    and what it finds; the walk goes on where it was, at the pace of a trace that grows."""

    name = ""

    def __init__(self) -> None:
        self._pace = Pace()
        self._walk: Resumed[_W] = Resumed()

    def settle(self, now_ns: int, trace: Trace) -> Iterable[Finding]:
        """What the walk has found, once it is due."""
        if not self.is_for(trace) or not self._pace.is_due(trace, now_ns):
            return
        reader, timeline = reader_of(trace), timeline_of(trace)
        walk = self._walk.caught_up(timeline, lambda: self.begun(reader, trace.spans))
        yield from self.found(walk, timeline, reader, trace)

    def is_for(self, trace: Trace) -> bool:
        """Whether there is anything to look at."""
        return trace.has_contents

    @abstractmethod
    def begun(self, reader: Reader, spans: Mapping[bytes, Span]) -> _W:
        """A walk that has taken nothing."""

    @abstractmethod
    def found(self, walk: _W, timeline: Timeline, reader: Reader, trace: Trace) -> Iterable[Finding]:
        """Findings of a walk that has taken the whole timeline."""


def timeline_of(trace: Trace) -> Timeline:
    """The timeline of a trace as it stands."""
    kept: tuple[int, Timeline] | None = trace.notes.get(Timeline)
    if kept is None or kept[0] != trace.told_version:
        kept = trace.notes[Timeline] = (trace.told_version, Timeline(trace))
    return kept[1]


def _slots(span: Span, carries: bool) -> Iterator[tuple[str, int, list[bytes]]]:
    start, end = span.start_ns or span.end_ns, span.end_ns or span.last_ns
    echoes = is_echo(span)  # what it tells is told where the call is
    if carries or span.kind == SpanKind.DELEGATION:
        yield GIVEN, start, [] if echoes else told(span, Slot.TASK, Slot.ARGUMENTS)
        yield RETURNED, end, [] if echoes else told(span, Slot.RETURNED, Slot.RESULT)
    elif span.kind in _CALLS:
        yield ARGUMENT, start, [] if echoes else told(span, Slot.ARGUMENTS)
        yield RESULT, end, [] if echoes else told(span, Slot.RESULT, Slot.OUTPUT)
    else:
        for slot in (Slot.TASK, Slot.SYSTEM, Slot.INPUT):
            yield SHOWN, start, span.digests(slot)
        if span.kind in (SpanKind.AGENT, SpanKind.MODEL) or STEP in span.attributes:
            yield SAID, end, [] if echoes else told(span, Slot.OUTPUT, Slot.RETURNED)
    yield SHOWN, start, span.digests(Slot.CONTEXT)
    for event in span.events:
        if event.contents and event.name != EVENT_DELTA and event.surface != Surface.COGNITIVE:
            role = SHOWN if event.name == EVENT_CONTEXT else SAID
            yield role, event.at_ns, [d for digests in event.contents.values() for d in digests]


def new_of(digests: list[bytes], known: set[bytes]) -> list[bytes]:
    """Those that were not shown before; a conversation is shown again whole at each call, and grows at its end."""
    fresh: list[bytes] = []
    again_count = 0
    for digest in reversed(digests):
        if digest in known:
            again_count += 1
            if again_count > _MAX_SHOWN_AGAIN_COUNT:
                break
            continue
        known.add(digest)
        fresh.append(digest)
    return fresh[::-1]
