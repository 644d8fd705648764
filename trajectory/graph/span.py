"""A span as the facts so far tell it. Mutable, and owned by the one loop that folds; everyone else only reads.

Invariant: a span's state depends on which facts came, not on their order, and a fact that comes twice changes nothing.
A span that is only known as somebody's parent, or whose end came first, is a placeholder until its start arrives.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

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
        "_deltas", "_end", "_expand", "_partial", "_start", "_updates", "agent", "attributes", "children", "contents", "end_ns",
        "events", "kind", "links", "message", "name", "order_key", "owner", "parent", "parent_id", "service", "source", "span_id",
        "start_ns", "status", "surface", "trace_id",
    )  # fmt: skip

    def __init__(self, trace_id: bytes, span_id: bytes, expand: Expand = list) -> None:
        self._expand = expand
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_id = b""
        self.kind: str = SpanKind.OTHER
        self.name = ""
        self.agent = ""
        self.surface = "operational"
        self.service = ""
        self.source: Source | None = None
        self.start_ns = 0
        self.end_ns = 0
        self.order_key = (0, span_id)  # by start, where that is known
        self.status: str = SpanStatus.UNSET
        self.message = ""
        self.attributes: dict[str, Any] = {}
        self.contents: dict[str, list[bytes]] = {}
        self.events: list[SpanEvent] = []
        self.links: list[SpanLinked] = []
        self.parent: Span | None = None
        self.children: list[Span] = []
        self.owner: Invocation | None = None
        self._start: SpanStarted | None = None
        self._end: SpanEnded | None = None
        self._updates: list[SpanUpdated] = []
        self._deltas: list[SpanEvent] = []
        self._partial: str | None = None  # the deltas joined, None where one more has come since

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
        return self.status == SpanStatus.ERROR

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
        entries = self.contents.get(slot, [])
        return self._expand(entries) if len(entries) == 1 and list_of(entries[0]) is not None else entries

    def number(self, key: str) -> float:
        """An attribute as a number that is finite and not negative; 0 where it is missing or is none."""
        value = self.attributes.get(key, 0)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return 0
        return value if 0 <= value < 1e18 else 0

    def start(self, fact: SpanStarted, source: Source) -> bool:
        """Folds a start; True where it changed anything. Of two different starts the earlier stands."""
        known = self._start
        if known is not None and (known == fact or not _precedes(fact, known, _start_key)):
            return False
        self._start = fact
        self.parent_id, self.kind, self.name = fact.parent_id, fact.kind, fact.name
        self.agent, self.surface, self.start_ns = fact.agent, fact.surface, fact.at_ns
        self.source, self.service = source, source.service
        self.order_key = (self.start_ns or self.end_ns, self.span_id)
        self._merge()
        return True

    def end(self, fact: SpanEnded) -> bool:
        """Folds an end; True where it changed anything. Of two different ends the later stands."""
        known = self._end
        if known is not None and (known == fact or not _precedes(known, fact, _end_key)):
            return False
        self._end = fact
        self.end_ns, self.status, self.message = fact.at_ns, fact.status, fact.message
        self.order_key = (self.start_ns or self.end_ns, self.span_id)
        if known is None:
            self.attributes.update(fact.attributes)
            self.contents.update(fact.contents)
        else:
            self._merge()
        return True

    def update(self, fact: SpanUpdated) -> bool:
        """Folds an update; True where it changed anything."""
        if not _insert(self._updates, fact, _update_key):
            return False
        if self._end is None and self._updates[-1] is fact:
            self.attributes.update(fact.attributes)
            self.contents.update(fact.contents)
        else:
            self._merge()
        return True

    def event(self, fact: SpanEvent) -> bool:
        """Folds an event; True where it is new. Streamed pieces of output are joined and not kept among the events."""
        if fact.name != EVENT_DELTA:
            return _insert(self.events, fact, _event_key)
        if not _insert(self._deltas, fact, _event_key):
            return False
        self._partial = None
        return True

    def link(self, fact: SpanLinked) -> bool:
        """Folds a link; True where it is new."""
        return _insert(self.links, fact, _link_key)

    def _merge(self) -> None:
        """Start, then updates by time, then end: later words stand over earlier ones."""
        layers: list[SpanStarted | SpanUpdated | SpanEnded] = [*self._updates]
        if self._start is not None:
            layers.insert(0, self._start)
        if self._end is not None:
            layers.append(self._end)
        self.attributes = {key: value for layer in layers for key, value in layer.attributes.items()}
        self.contents = {key: value for layer in layers for key, value in layer.contents.items()}


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
    return (fact.at_ns, fact.kind, fact.name, fact.parent_id)


def _end_key(fact: SpanEnded) -> _Key:
    return (fact.at_ns,)


def _update_key(fact: SpanUpdated) -> _Key:
    return (fact.at_ns, fact.mono_ns)


def _event_key(fact: SpanEvent) -> _Key:
    return (fact.at_ns, fact.mono_ns, fact.name)


def _link_key(fact: SpanLinked) -> _Key:
    return (fact.at_ns, fact.kind, fact.to_trace_id, fact.to_span_id)
