"""A collector in memory: every fact is delivered in the call that emits it, decoded as a collector decodes it.

Invariant: what is captured went through msgpack and the strict codec, so a fact that a collector would refuse fails the test
right where it is emitted. Not for measuring: it does in the call what otherwise a thread does.
"""

import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from trajectory.emitter import tracer as tracers
from trajectory.emitter.clock import Clock, IdSource
from trajectory.emitter.contents import Contents, Listing
from trajectory.emitter.packing import Packing
from trajectory.emitter.tracer import Tracer
from trajectory.model.content import text_of
from trajectory.model.fact import Fact, Payload, SpanEnded, SpanEvent, SpanStarted, SpanUpdated
from trajectory.model.lists import expand
from trajectory.protocol.codec import decode_fact


@dataclass
class CapturedSpan:
    """One span as its facts tell it; `attributes` and `contents` are those of start, updates and end together."""

    start: SpanStarted
    end: SpanEnded | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    contents: dict[str, list[bytes]] = field(default_factory=dict)
    events: list[SpanEvent] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What it was called at its start."""
        return self.start.name

    @property
    def kind(self) -> str:
        """Of `trajectory.model.words.SpanKind`: agent, model, tool, retrieval, delegation or other."""
        return self.start.kind

    @property
    def agent(self) -> str:
        """The name of the agent at work in it; empty outside of any."""
        return self.start.agent

    @property
    def span_id(self) -> bytes:
        """8 bytes."""
        return self.start.span_id

    @property
    def parent_id(self) -> bytes:
        """8 bytes; none at all of a span that begins a trace."""
        return self.start.parent_id

    @property
    def trace_id(self) -> bytes:
        """16 bytes."""
        return self.start.trace_id

    @property
    def open(self) -> bool:
        """Whether it has not ended."""
        return self.end is None

    @property
    def status(self) -> str:
        """Of `trajectory.model.words.SpanStatus`: ok, error, or unset while it is open."""
        return self.end.status if self.end is not None else "unset"


class CapturingCollector:
    """Keeps what the process emits while it is entered: `with CapturingCollector() as collector: ...`.

    `facts` are in the order of their emission, of the types in `trajectory.model.fact`. A clock and ids may be given.
    """

    def __init__(self, service: str = "test", clock: Clock | None = None, ids: IdSource | None = None) -> None:
        self.facts: list[Fact] = []
        self._service = service
        self._clock = clock
        self._ids = ids
        self._packing = Packing(time.time_ns)
        self._contents = Contents()
        self._listing = Listing()
        self._lock = threading.Lock()
        self._before: list[Tracer | None] = []

    def __enter__(self) -> "CapturingCollector":
        tracer = Tracer(self._service, delivery=self, clock=self._clock, ids=self._ids)
        self._before.append(tracers.use(tracer))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        tracers.use(self._before.pop())

    # the delivery

    def put(self, fact: tuple[Any, ...]) -> bool:
        """Keeps a fact as a collector would have decoded it; from any thread. Always takes it."""
        with self._lock:
            for told in self._contents.told(fact):
                for one in self._listing.listed(told):
                    self.facts.append(decode_fact(self._packing.pack(one)))
        return True

    def put_heavy(self, fact: tuple[Any, ...], weight_bytes: int) -> bool:
        """As `put`, whatever it weighs."""
        return self.put(fact)

    def flush(self, timeout_s: float) -> bool:
        """True at once: what was put is kept."""
        return True

    def close(self, timeout_s: float | None) -> bool:
        """True at once; the facts stay."""
        return True

    # what tests ask

    def spans(self, name: str | None = None, kind: str | None = None) -> list[CapturedSpan]:
        """The spans in the order of their start, folded from the facts; of one name or kind if so asked."""
        spans = fold_spans(self.facts)
        return [one for one in spans if name in (None, one.name) and kind in (None, one.kind)]

    def span(self, name: str) -> CapturedSpan:
        """The only span of that name. Raises LookupError where there is none or more than one."""
        found = self.spans(name)
        if len(found) != 1:
            names = [one.name for one in self.spans()]
            raise LookupError(f"{len(found)} spans are named {name!r}; there are {names}")
        return found[0]

    def payload(self, digest: bytes) -> Payload:
        """The body under a digest. Raises LookupError where none was emitted."""
        for fact in self.facts:
            if isinstance(fact, Payload) and fact.digest == digest:
                return fact
        raise LookupError(f"no payload {digest.hex()} was emitted")

    def texts(self, holder: "CapturedSpan | SpanEvent", slot: str) -> list[str]:
        """What a span or an event holds in a slot, as people read it."""
        bodies = (self.payload(digest) for digest in holder.contents.get(slot, []))
        return [text_of(body.media_type, body.body) for body in bodies]


def fold_spans(facts: list[Fact]) -> list[CapturedSpan]:
    """Spans folded from facts, in the order of their start. Lists of bodies are read: `contents` name each body."""
    spans: dict[bytes, CapturedSpan] = {}
    bodies = {fact.digest: (fact.media_type, fact.body) for fact in facts if isinstance(fact, Payload)}
    for fact in list(facts):
        if isinstance(fact, SpanStarted):
            spans[fact.span_id] = CapturedSpan(fact, None, dict(fact.attributes), dict(fact.contents))
        elif isinstance(fact, (SpanUpdated, SpanEnded, SpanEvent)) and fact.span_id in spans:
            _add(spans[fact.span_id], fact)
    for span in spans.values():
        span.contents = {slot: expand(entries, bodies.get) for slot, entries in span.contents.items()}
    return list(spans.values())


def _add(span: CapturedSpan, fact: SpanUpdated | SpanEnded | SpanEvent) -> None:
    if isinstance(fact, SpanEvent):
        span.events.append(fact)
        return
    span.attributes.update(fact.attributes)
    span.contents.update(fact.contents)
    if isinstance(fact, SpanEnded):
        span.end = fact
