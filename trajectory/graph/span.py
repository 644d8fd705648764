"""A span as the facts so far tell it. Mutable, and owned by the one loop that folds; everyone else only reads.

Invariant: a span's state depends on which facts came, not on their order, and a fact that comes twice changes nothing.
A span that is only known as somebody's parent, or whose end came first, is a placeholder until its start arrives.
"""

from bisect import insort
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from trajectory.model.fact import Source, SpanEnded, SpanEvent, SpanLinked, SpanStarted, SpanUpdated
from trajectory.model.words import EVENT_DELTA, EVENT_EXCEPTION, SpanKind, SpanStatus

if TYPE_CHECKING:
    from trajectory.graph.trace import Invocation


class Span:
    """One span. `end_ns` is 0 while it is open; `owner` is the invocation of the agent that does this work, if any."""

    __slots__ = (
        "_delta_at", "_end", "_event_keys", "_start", "_updates", "agent", "attributes", "children", "contents", "end_ns",
        "events", "kind", "links", "message", "name", "owner", "parent", "parent_id", "partial_text", "service", "source",
        "span_id", "start_ns", "status", "surface", "trace_id",
    )  # fmt: skip

    def __init__(self, trace_id: bytes, span_id: bytes) -> None:
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
        self.status: str = SpanStatus.UNSET
        self.message = ""
        self.attributes: dict[str, Any] = {}
        self.contents: dict[str, list[bytes]] = {}
        self.events: list[SpanEvent] = []
        self.links: list[SpanLinked] = []
        self.partial_text = ""  # streamed output so far
        self.parent: Span | None = None
        self.children: list[Span] = []
        self.owner: Invocation | None = None
        self._start: SpanStarted | None = None
        self._end: SpanEnded | None = None
        self._updates: list[SpanUpdated] = []
        self._event_keys: dict[tuple[int, str], list[SpanEvent]] = {}
        self._delta_at = 0

    def __repr__(self) -> str:
        return f"<Span {self.span_id.hex()[:8]} {self.kind} {self.name!r}>"

    @property
    def is_placeholder(self) -> bool:
        """True until the span's start is known."""
        return self._start is None

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
    def last_ns(self) -> int:
        """The last instant at which anything of this span is known to have happened."""
        event_ns = self.events[-1].at_ns if self.events else 0
        return max(self.start_ns, self.end_ns, event_ns, self._delta_at)

    @property
    def order_key(self) -> tuple[int, bytes]:
        return (self.start_ns or self.end_ns, self.span_id)

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
        return self.contents.get(slot, [])

    def number(self, key: str) -> float:
        """An attribute as a number that is finite and not negative; 0 where it is missing or is none."""
        value = self.attributes.get(key, 0)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return 0
        return value if 0 <= value < 1e18 else 0

    def start(self, fact: SpanStarted, source: Source) -> bool:
        """Folds a start; True where it changed anything. Of two different starts the earlier stands."""
        known = self._start
        if known is not None and (known == fact or _start_key(known) <= _start_key(fact)):
            return False
        self._start = fact
        self.parent_id, self.kind, self.name = fact.parent_id, fact.kind, fact.name
        self.agent, self.surface, self.start_ns = fact.agent, fact.surface, fact.at_ns
        self.source, self.service = source, source.service
        self._merge()
        return True

    def end(self, fact: SpanEnded) -> bool:
        """Folds an end; True where it changed anything. Of two different ends the later stands."""
        known = self._end
        if known is not None and (known == fact or known.at_ns >= fact.at_ns):
            return False
        self._end = fact
        self.end_ns, self.status, self.message = fact.at_ns, fact.status, fact.message
        if known is None:
            self.attributes.update(fact.attributes)
            self.contents.update(fact.contents)
        else:
            self._merge()
        return True

    def update(self, fact: SpanUpdated) -> bool:
        """Folds an update; True where it changed anything."""
        if fact in self._updates:
            return False
        insort(self._updates, fact, key=lambda u: (u.at_ns, u.mono_ns))
        self._merge()
        return True

    def event(self, fact: SpanEvent) -> bool:
        """Folds an event; True where it is new. Streamed pieces of output are joined and not kept apart."""
        same = self._event_keys.setdefault((fact.at_ns, fact.name), [])
        if fact in same:
            return False
        same.append(fact)
        if fact.name == EVENT_DELTA:
            self.partial_text += str(fact.attributes.get("text", ""))
            self._delta_at = max(self._delta_at, fact.at_ns)
        else:
            insort(self.events, fact, key=lambda e: (e.at_ns, e.name))
        return True

    def link(self, fact: SpanLinked) -> bool:
        """Folds a link; True where it is new."""
        if fact in self.links:
            return False
        self.links.append(fact)
        return True

    def _merge(self) -> None:
        """Start, then updates by time, then end: later words stand over earlier ones."""
        layers: list[SpanStarted | SpanUpdated | SpanEnded] = [*self._updates]
        if self._start is not None:
            layers.insert(0, self._start)
        if self._end is not None:
            layers.append(self._end)
        self.attributes = {key: value for layer in layers for key, value in layer.attributes.items()}
        self.contents = {key: value for layer in layers for key, value in layer.contents.items()}


def _start_key(fact: SpanStarted) -> tuple[int, str, str, bytes]:
    return (fact.at_ns, fact.kind, fact.name, fact.parent_id)
