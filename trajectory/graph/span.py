"""A span as the facts so far tell it. Mutable, and owned by the one loop that folds; everyone else only reads.

Invariant: a span's state depends on which facts came, not on their order, and a fact that comes twice changes nothing.
A span that is only known as somebody's parent, or whose end came first, is a placeholder until its start arrives. What a
span has none of is one empty tuple for all, and what only one fact told is that fact's own: a collector holds many spans.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from trajectory.model.content import DIGEST_BYTES
from trajectory.model.fact import Source, SpanEnded, SpanEvent, SpanLinked, SpanStarted, SpanUpdated
from trajectory.model.lists import list_of
from trajectory.model.words import EVENT_DELTA, EVENT_EXCEPTION, SpanKind, SpanStatus

if TYPE_CHECKING:
    from trajectory.graph.invocation import Invocation

Expand = Callable[[list[bytes]], list[bytes]]  # the bodies behind a list
_Fact = TypeVar("_Fact", SpanEvent, SpanUpdated, SpanLinked)
_Told = TypeVar("_Told", SpanStarted, SpanEnded)
_Key = tuple[int | str | bytes, ...]


class Span:
    """One span. `end_ns` is 0 while it is open; `owner` is the invocation of the agent that does this work, if any."""

    __slots__ = (
        "_borrows", "_deltas", "_end", "_expand", "_partial", "_start", "_updates", "agent", "attributes", "children", "contents",
        "end_ns", "events", "kind", "links", "message", "name", "order_key", "owner", "parent", "parent_id", "recast_count",
        "service", "source", "span_id", "start_ns", "status", "surface", "trace_id",
    )  # fmt: skip

    def __init__(self, trace_id: bytes, span_id: bytes, expand: Expand = list) -> None:
        self._expand = expand
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_id = b""
        self.kind: str = _OTHER
        self.name = ""
        self.agent = ""
        self.surface = "operational"
        self.service = ""
        self.source: Source | None = None
        self.start_ns = 0
        self.end_ns = 0
        self.order_key = (0, span_id)  # by start, where that is known
        self.status: str = _UNSET
        self.message = ""
        self.attributes = _NO_ATTRIBUTES
        self.contents = _NO_CONTENTS
        self.events: list[SpanEvent] | tuple[()] = ()
        self.links: list[SpanLinked] | tuple[()] = ()
        self.parent: Span | None = None
        self.children: list[Span] | tuple[()] = ()
        self.owner: Invocation | None = None
        self.recast_count = 0  # the change of its trace by which it was started late, or told otherwise
        self._start: SpanStarted | None = None
        self._end: SpanEnded | None = None
        self._updates: list[SpanUpdated] | tuple[()] = ()
        self._deltas: list[SpanEvent] | tuple[()] = ()
        self._partial: str | None = ""  # the deltas joined, None where one more has come since
        self._borrows = True  # attributes and contents are somebody else's, to be copied before they are added to

    def __repr__(self) -> str:
        return f"<Span {self.span_id.hex()[:8]} {self.kind} {self.name!r}>"

    @property
    def is_placeholder(self) -> bool:
        """True until the span's start is known."""
        return self._start is None

    @property
    def is_unheard(self) -> bool:
        """Whether no fact is about this span: it is only known as somebody's parent."""
        return self.is_placeholder and not (self._end or self._updates or self.events or self.links or self._deltas)

    @property
    def is_open(self) -> bool:
        return self._start is not None and self._end is None

    @property
    def is_error(self) -> bool:
        return self.status == _ERROR

    @property
    def duration_ns(self) -> int:
        """End less start; 0 while it is open, and where the clock of the source went backwards."""
        return max(self.end_ns - self.start_ns, 0) if self.end_ns and self.start_ns else 0

    @property
    def agent_name(self) -> str:
        """The agent that does this work; empty where nobody said."""
        return self.owner.agent if self.owner is not None else self.agent

    @property
    def partial_text(self) -> str:
        """The output streamed so far."""
        if self._partial is None:
            self._partial = "".join(str(delta.attributes.get("text", "")) for delta in self._deltas)
        return self._partial

    @property
    def first_delta_ns(self) -> int:
        """When the first piece of a streamed output came; 0 where none was heard of."""
        return self._deltas[0].at_ns if self._deltas else 0

    @property
    def last_ns(self) -> int:
        """The last instant at which anything of this span is known to have happened."""
        event_ns = max((told[-1].at_ns for told in (self.events, self._deltas) if told), default=0)
        return max(self.start_ns, self.end_ns, event_ns)

    @property
    def error_type(self) -> str:
        """The exception's type: `error.type`, else that of the last exception event."""
        named = self.attributes.get("error.type")
        if named:
            return str(named)
        exception = self.exception
        return str(exception.attributes.get("exception.type", "")) if exception else ""

    @property
    def error_text(self) -> str:
        """What the error says: the status message, else the last exception event's."""
        if self.message:
            return self.message
        exception = self.exception
        return str(exception.attributes.get("exception.message", "")) if exception else ""

    @property
    def exception(self) -> SpanEvent | None:
        """The last exception event."""
        return next((event for event in reversed(self.events) if event.name == EVENT_EXCEPTION), None)

    def ancestors(self) -> Iterator["Span"]:
        """The known spans above, nearest first."""
        span = self.parent
        while span is not None:
            yield span
            span = span.parent

    def digests(self, slot: str) -> list[bytes]:
        """The payloads in a slot, oldest first."""
        entries = self.contents.get(slot)
        if not entries:
            return []
        is_list = len(entries) == 1 and len(entries[0]) != DIGEST_BYTES and list_of(entries[0]) is not None
        return self._expand(entries) if is_list else entries

    def number(self, key: str) -> float:
        """An attribute as a number that is finite and not negative; 0 where it is missing or is none."""
        return self.amount(key) or 0

    def amount(self, key: str) -> float | None:
        """The same, None where it is missing or is none."""
        value = self.attributes.get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return None
        return value if 0 <= value < 1e18 else None

    def start(self, fact: SpanStarted, source: Source, service: str) -> bool:
        """Folds a start, by a process of `service`; True where it changed anything. Of two different starts the earlier
        stands, and of two of one time the one that says more."""
        known = self._start
        if known is not None and not _precedes(fact, known, _start_key):
            return False
        self._start = fact
        self.parent_id, self.kind, self.name = fact.parent_id, fact.kind, fact.name
        self.agent, self.surface, self.start_ns = fact.agent, fact.surface, fact.at_ns
        self.source, self.service = source, service
        self.order_key = (self.start_ns or self.end_ns, self.span_id)
        if self._end is None and not self._updates:
            self.attributes, self.contents, self._borrows = fact.attributes, fact.contents, True
        else:
            self._merge()
        return True

    def end(self, fact: SpanEnded) -> bool:
        """Folds an end; True where it changed anything. Of two different ends the later stands."""
        known = self._end
        if known is not None and not _precedes(known, fact, _end_key):
            return False
        self._end = fact
        self.end_ns, self.status, self.message = fact.at_ns, fact.status, fact.message
        if not self.start_ns:
            self.order_key = (self.end_ns, self.span_id)
        if known is None:
            self._add(fact)
        else:
            self._merge()
        return True

    def update(self, fact: SpanUpdated) -> bool:
        """Folds an update; True where it changed anything."""
        self._updates = self._updates or []
        if not _insert(self._updates, fact, _update_key):
            return False
        if self._end is None and self._updates[-1] is fact:
            self._add(fact)
        else:
            self._merge()
        return True

    def event(self, fact: SpanEvent) -> bool:
        """Folds an event; True where it is new. Streamed pieces of output are joined and not kept among the events."""
        if fact.name != EVENT_DELTA:
            events = self.events = self.events or []
            return _insert(events, fact, _event_key)
        self._deltas = self._deltas or []
        if not _insert(self._deltas, fact, _event_key):
            return False
        self._partial = None
        return True

    def link(self, fact: SpanLinked) -> bool:
        """Folds a link; True where it is new."""
        links = self.links = self.links or []
        return _insert(links, fact, _link_key)

    def hang(self, child: "Span") -> None:
        """Puts a span under this one."""
        child.parent = self
        if self.children:
            self.children.append(child)
        else:
            self.children = [child]

    def unhang(self, child: "Span") -> None:
        """Takes a span from under this one."""
        child.parent = None
        self.children = [other for other in self.children if other is not child]

    def _add(self, fact: SpanEnded | SpanUpdated) -> None:
        """Adds what a fact tells to what all earlier ones told."""
        if not (fact.attributes or fact.contents):
            return
        if self._borrows:
            self.attributes, self.contents, self._borrows = {**self.attributes}, {**self.contents}, False
        self.attributes.update(fact.attributes)
        self.contents.update(fact.contents)

    def _merge(self) -> None:
        """Start, then updates by time, then end: later words stand over earlier ones."""
        layers: list[SpanStarted | SpanUpdated | SpanEnded] = [*self._updates]
        if self._start is not None:
            layers.insert(0, self._start)
        if self._end is not None:
            layers.append(self._end)
        self.attributes = {key: value for layer in layers for key, value in layer.attributes.items()}
        self.contents = {key: value for layer in layers for key, value in layer.contents.items()}
        self._borrows = False


_OTHER: str = SpanKind.OTHER
_UNSET: str = SpanStatus.UNSET
_ERROR = SpanStatus.ERROR.value  # bare text is compared fastest, and this is asked of every span again and again
_NO_ATTRIBUTES: dict[str, Any] = {}
_NO_CONTENTS: dict[str, list[bytes]] = {}


def _insert(held: list[_Fact], fact: _Fact, key: Callable[[_Fact], _Key]) -> bool:
    """Puts a fact at its place among those held, in an order that does not depend on their arrival; False for a repeated one."""
    own = key(fact)
    if not held or key(held[-1]) < own:
        held.append(fact)
        return True
    low, high = bisect_left(held, own, key=key), bisect_right(held, own, key=key)
    if low == high:
        held.insert(low, fact)
        return True
    said = repr(fact)  # a NaN in it is not equal to itself, but reads alike
    alike = [repr(other) for other in held[low:high]]
    if said in alike:
        return False
    held.insert(low + bisect_left(alike, said), fact)
    return True


def _precedes(one: _Told, other: _Told, key: Callable[[_Told], _Key]) -> bool:
    """Whether one of two facts that exclude each other comes first, by what they say and not by when they came."""
    return (key(one), repr(one)) < (key(other), repr(other))


def _start_key(fact: SpanStarted) -> _Key:
    """Of two of the same time the one that says more comes first: a span may be told of before it is known what it is."""
    said_count = len(fact.attributes) + len(fact.contents)
    return (fact.at_ns, fact.kind == _OTHER, -said_count, fact.kind, fact.name, fact.parent_id)


def _end_key(fact: SpanEnded) -> _Key:
    return (fact.at_ns,)


def _update_key(fact: SpanUpdated) -> _Key:
    return (fact.at_ns, fact.mono_ns)


def _event_key(fact: SpanEvent) -> _Key:
    return (fact.at_ns, fact.mono_ns, fact.name)


def _link_key(fact: SpanLinked) -> _Key:
    return (fact.at_ns, fact.kind, fact.to_trace_id, fact.to_span_id)
