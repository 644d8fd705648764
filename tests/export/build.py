"""Small traces for the exporters' tests: facts by hand, folded as they are."""

from collections.abc import Iterable
from typing import Any

from trajectory.export.contract import TRACE, Subject
from trajectory.graph.trace import Trace
from trajectory.model.content import digest, encode, encode_message
from trajectory.model.fact import (
    Batch,
    Evidence,
    Fact,
    Finding,
    Found,
    Payload,
    Source,
    SpanEnded,
    SpanEvent,
    SpanLinked,
    SpanStarted,
)

TRACE_ID = bytes(range(16))
START_NS = 1_790_000_000_000_000_000
SECOND_NS = 1_000_000_000


class Scene:
    """Facts of one trace, told span by span. Times are in seconds from the start."""

    def __init__(self, service: str = "travel") -> None:
        self.facts: list[tuple[Source, Fact]] = []
        self.bodies: dict[bytes, tuple[str, bytes]] = {}
        self.service = service
        self._spans = 0

    def source(self, service: str) -> Source:
        return Source(service.encode("utf-8", "replace")[:16].ljust(16, b"."), b"b" * 16, {"service.name": service})

    def span(
        self, kind: str, name: str, parent: bytes = b"", *, agent: str = "", at: float = 0, end: float | None = 1,
        status: str = "unset", message: str = "", attributes: dict[str, Any] | None = None, service: str = "",
        **contents: Iterable[Any],
    ) -> bytes:  # fmt: skip
        """One span, ended unless `end` is None; contents are values by slot."""
        self._spans += 1
        span_id = self._spans.to_bytes(8, "big")
        digests = {slot: [self.payload(value) for value in values] for slot, values in contents.items()}
        source = self.source(service or self.service)
        surface = "coordination" if kind == "delegation" else "operational"
        started = SpanStarted(
            TRACE_ID, span_id, parent, _at(at), 0, kind, name, agent, surface, attributes or {}, digests
        )
        self.facts.append((source, started))
        if end is not None:
            self.facts.append((source, SpanEnded(TRACE_ID, span_id, _at(end), 0, status, message)))
        return span_id

    def payload(self, value: Any) -> bytes:
        """A message where the value has a role, else text or JSON."""
        media, body = encode_message(value) if isinstance(value, dict) and "role" in value else encode(value)
        key = digest(media, body)
        self.bodies[key] = (media, body)
        return key

    def delegate(
        self, source: bytes, target: str, *, at: float = 1, end: float | None = 2, mode: str = "call", sender: str = "",
        task: str = "do it", grade: str = "observed", status: str = "unset", **agent: Any,
    ) -> tuple[bytes, bytes]:  # fmt: skip
        """A delegation span under `source` with the target's agent span under it; their ids."""
        named = {
            "trajectory.delegation.source": sender,
            "trajectory.delegation.target": target,
            "trajectory.delegation.mode": mode,
            "trajectory.delegation.grade": grade,
        }
        sent = self.span(
            "delegation", f"to {target}", source, at=at, end=end, attributes=named, task=[task], status=status
        )
        return sent, self.span("agent", target, sent, agent=target, at=at, end=end, status=status, **agent)

    def event(self, span_id: bytes, name: str, at: float, *, said: str = "", **attributes: Any) -> None:
        """An event with attributes, or a thought with a content."""
        held = {"output": [self.payload(said)]} if said else {}
        surface = "cognitive" if said else "operational"
        event = SpanEvent(TRACE_ID, span_id, _at(at), 0, name, surface, attributes, held)
        self.facts.append((self.source(self.service), event))

    def link(self, span_id: bytes, kind: str, to: bytes) -> None:
        self.facts.append((self.source(self.service), SpanLinked(TRACE_ID, span_id, _at(0), kind, TRACE_ID, to)))

    def found(self, kind: str, span_id: bytes, message: str, *, path: Iterable[bytes] = (), **more: Any) -> None:
        finding = Finding(
            kind, more.pop("severity", "warning"), 0.9, TRACE_ID, span_id, message, path=list(path),
            evidence=[Evidence(span_id, more.pop("evidence", "seen here"))], at_ns=_at(1), **more,
        )  # fmt: skip
        self.facts.append((self.source(self.service), Found(_at(2), finding)))

    def batches(self) -> list[Batch]:
        """As a store gives them: without payloads."""
        return [Batch(source, number, [fact]) for number, (source, fact) in enumerate(self.facts)]

    def trace(self) -> Trace:
        trace = Trace(TRACE_ID, self.bodies.get)
        for source, fact in self.facts:
            trace.apply(fact, source)
        return trace

    def subject(self, of: str = TRACE) -> Subject:
        return Subject(self.trace(), self.batches, of)


def _at(seconds: float) -> int:
    return START_NS + int(seconds * SECOND_NS)


def fold(batches: Iterable[Batch], trace_id: bytes = TRACE_ID) -> Trace:
    """Batches with their payloads, folded."""
    bodies: dict[bytes, tuple[str, bytes]] = {}
    trace = Trace(trace_id, bodies.get)
    for batch in batches:
        for fact in batch.facts:
            if isinstance(fact, Payload):
                bodies[fact.digest] = (fact.media_type, fact.body)
            trace.apply(fact, batch.source)
    return trace


def trip(extra: str = "") -> Scene:
    """A coordinator, a researcher whose tool fails, a booker that is handed the work; a cascade and a lost constraint."""
    scene = Scene()
    usage = {"gen_ai.request.model": "m1", "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 20}
    root = scene.span(
        "agent", f"coordinator{extra}", agent=f"coordinator{extra}", end=9,
        attributes={"trajectory.title": f"Plan a trip{extra}", "gen_ai.conversation.id": "s-1"}, input=["Plan a trip"],
    )  # fmt: skip
    scene.span(
        "model", "chat m1", root, at=0.5, attributes=usage,
        system=["Be brief."],
        input=[{"role": "user", "content": f"Plan a trip, wheelchair accessible{extra}"}],
        output=[{"role": "assistant", "tool_calls": [{"id": "c1", "name": "find", "arguments": '{"q": 1}'}]}],
    )  # fmt: skip
    sent, researcher = scene.delegate(
        root,
        f"researcher{extra}",
        sender=f"coordinator{extra}",
        end=5,
        task=f"Find hotels{extra}",
        returned=["Hotel X"],
    )
    tool = scene.span(
        "tool", f"search{extra}", researcher, at=2, end=3, status="error", message=f"503 unavailable{extra}",
        attributes={"gen_ai.tool.name": f"search{extra}", "gen_ai.tool.call.id": "c9", "error.type": "ConnectionError"},
        arguments=[{"city": "Rome"}], result=[f"Error: 503{extra}"],
    )  # fmt: skip
    scene.event(tool, "exception", 3, **{"exception.type": "ConnectionError", "exception.message": f"503{extra}"})
    scene.span("model", "chat m1", researcher, at=3, end=4, attributes=usage, output=["Hotel X"])
    handed, booker = scene.delegate(
        root, f"booker{extra}", sender=f"coordinator{extra}", at=5, end=8, mode="transfer", grade="declared",
        service="booking",
    )  # fmt: skip
    again = scene.span(
        "tool", "quote", booker, at=6, end=None, attributes={"gen_ai.tool.name": "quote"}, service="booking"
    )
    scene.link(again, "used_value_of", tool)
    scene.event(booker, "thought", 6, said=f"Book it{extra}")
    scene.found(
        "cascade", booker, f"The error of search reached booker{extra}", root_span_id=tool, severity="critical",
        path=[tool, researcher, sent, root, handed, booker], agent=f"booker{extra}", evidence=f"Error: 503{extra}",
    )  # fmt: skip
    scene.found(
        "context.lost", sent, f"lost a constraint{extra}", value=f"wheelchair{extra}", agent=f"researcher{extra}"
    )
    return scene
