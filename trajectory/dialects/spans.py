"""One OpenTelemetry span as our facts: the dialects' readings merged, hand-overs, faults and usage settled.

Invariant: every span becomes a span (unknown ones of kind `other`), and its facts depend on nothing but the span itself,
so order of arrival, retries and batches cannot change them. A message that it received may tell of its sender's work, which
are facts of the sender's trace. Called by `otlp` and `spanlist`.
"""

import re
from typing import Any, Protocol

from trajectory.dialects import endings, genai, openinference, ours, reported, traceloop, vercel
from trajectory.dialects import messages as chat
from trajectory.dialects.faults import EVENT_CONTROL_FLOW, Fault, event_name, fault_of
from trajectory.dialects.handover import of_command, of_tool, tasks_in
from trajectory.dialects.raw import MAX_NS, RawEvent, RawLink, RawSpan
from trajectory.dialects.reading import Body, HandOver, Reading, merge
from trajectory.dialects.values import clean, first_name, name_of
from trajectory.model.content import digest, encode
from trajectory.model.fact import Fact, Payload, SpanEnded, SpanEvent, SpanLinked, SpanStarted
from trajectory.model.lists import LIST, SHORTEST, Lists
from trajectory.model.words import (
    AGENT_NAME,
    DELEGATION_GRADE,
    DELEGATION_MODE,
    DELEGATION_REASON,
    DELEGATION_SOURCE,
    DELEGATION_TARGET,
    ERROR_TYPE,
    EVENT_EXCEPTION,
    EVENT_THOUGHT,
    FINISH_REASONS,
    INPUT_TOKENS,
    MODEL_NAME,
    OUTPUT_TOKENS,
    SESSION_ID,
    DelegationMode,
    Grade,
    LinkKind,
    Slot,
    SpanKind,
    SpanStatus,
    Surface,
)

CONTROL_FLOW = "trajectory.control_flow"  # the type of the exception by which a framework steered
ROLLUP_INPUT_TOKENS = "trajectory.usage.rollup_input_tokens"
ROLLUP_OUTPUT_TOKENS = "trajectory.usage.rollup_output_tokens"
MAX_ATTRIBUTE_CHARS = 32 * 1024
_SESSIONS = (
    "langfuse.session.id", "session.id", "gen_ai.conversation.id", "ai.telemetry.metadata.sessionId",
    "traceloop.association.properties.session_id", "traceloop.association.properties.thread_id", "a2a.context.id",
    "mcp.session.id", "gcp.vertex.agent.session_id",
)  # fmt: skip
_SESSION_KEYS = frozenset(_SESSIONS)
_LINK_KINDS = {"retry_of": LinkKind.RETRY_OF, "used_value_of": LinkKind.USED_VALUE_OF, "caused": LinkKind.CAUSED}
_RAW_USAGE = {
    INPUT_TOKENS, OUTPUT_TOKENS, "gen_ai.usage.prompt_tokens", "gen_ai.usage.completion_tokens",
    "gen_ai.usage.total_tokens", "llm.usage.total_tokens", "gen_ai.aggregated_usage.input_tokens",
    "gen_ai.aggregated_usage.output_tokens", "gen_ai.usage.cache_creation.input_tokens",
}  # fmt: skip
_TEAM = re.compile(r"_([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:\.\(|/)\1")  # `planner_<uuid>/<uuid>`
_COORDINATION = ("autogen ", "message.send", "edge_group.process", "executor.process", "goto ")


class Slots(Protocol):
    """What a span's contents become in its facts: the digests of stored bodies, or the bodies themselves."""

    def slots(self, contents: dict[str, list[Body]]) -> dict[str, list[Any]]: ...


class Stored:
    """Payload facts for one batch: each body once, before the first fact that names it; long slots as lists."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, bytes], bytes] = {}  # digests; a body that comes again is mostly the same object
        self._lists = Lists()
        self._facts: list[Fact] = []

    def taken(self) -> list[Fact]:
        """The payloads that were new since this was last called."""
        facts, self._facts = self._facts, []
        return facts

    def digests(self, bodies: list[Body]) -> list[bytes]:
        """The addresses of bodies, whose payloads are noted if they are new."""
        return [self._store(media_type, body) for media_type, body in bodies]

    def slots(self, contents: dict[str, list[Body]]) -> dict[str, list[bytes]]:
        return {str(slot): self.listed(self.digests(bodies)) for slot, bodies in contents.items()} if contents else {}

    def listed(self, digests: list[bytes]) -> list[bytes]:
        """Digests as a slot's entries: many of them as one list, whose payload is noted if it is new."""
        if len(digests) < SHORTEST:
            return digests
        entry, body = self._lists.entry(digests)
        if body:
            self._store(LIST, body)
        return [entry]

    def _store(self, media_type: str, body: bytes) -> bytes:
        address = self._known.get((media_type, body))
        if address is None:
            address = self._known[media_type, body] = digest(media_type, body)
            self._facts.append(Payload(address, media_type, body))
        return address


def facts_of(span: RawSpan, stored: Slots) -> list[Fact]:
    """A span's facts, in order; the payloads that they name are in `stored`."""
    if ours.ADDED in span.attributes:
        return ours.facts_of(span, _merged(ours.added_part(span)).contents, stored.slots)
    opened = _pending(span)
    if opened is not None:
        span = opened
    reading = read(span)
    fault = ours.fault_of(span) or (Fault(SpanStatus.UNSET) if reading.is_echo else fault_of(span))
    name = _short_name(span, reading)
    attributes = _attributes(span, reading, fault, name)
    ending = {key: attributes.pop(key) for key in _END_KEYS if key in attributes} if span.end_ns else {}
    contents = dict(reading.contents)
    at_end = {str(slot): contents.pop(slot) for slot in ours.AT_END if slot in contents} if span.end_ns else {}
    started = SpanStarted(
        span.trace_id, span.span_id, span.parent_id, span.start_ns, 0, str(reading.kind), name,
        reading.agent, str(reading.surface), attributes, stored.slots(contents),
    )  # fmt: skip
    facts: list[Fact] = [started]
    if span.events:
        facts += [_event(span, event, stored) for event in span.events if event.name not in genai.CONTENT_EVENTS]
    if reading.kind == SpanKind.MODEL:
        facts += _thoughts(span, reading, stored)
    if span.links:
        facts += [_link(span, link) for link in span.links if len(link.trace_id) == 16 and len(link.span_id) == 8]
    if span.end_ns:
        facts.append(
            SpanEnded(
                span.trace_id,
                span.span_id,
                span.end_ns,
                0,
                str(fault.status),
                fault.message,
                ending,
                stored.slots(at_end),
            )
        )
    return facts + reported.facts_of(span, stored.slots)


_END_KEYS = (
    INPUT_TOKENS, OUTPUT_TOKENS, ROLLUP_INPUT_TOKENS, ROLLUP_OUTPUT_TOKENS, FINISH_REASONS, CONTROL_FLOW,
    "gen_ai.response.id", "gen_ai.response.model", "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.reasoning.output_tokens", ERROR_TYPE,
)  # fmt: skip


def read(span: RawSpan) -> Reading:
    """What a span means, by all dialects together, with its hand-over settled; for callers that want no facts."""
    reading = _merged(span)
    is_ours = ours.KIND in span.attributes  # what we wrote is settled: nothing is to be guessed from its names
    if reading.kind == SpanKind.TOOL and reading.hand_over is None and not is_ours:
        reading.hand_over = of_tool(reading.name or span.name, reading.arguments)
    if reading.hand_over is not None and reading.kind in (SpanKind.TOOL, SpanKind.DELEGATION):
        _make_delegation(reading, reading.hand_over)
    elif reading.kind in (SpanKind.MODEL, SpanKind.TOOL) and not is_ours:
        reading.hand_over = _asked(reading) if reading.kind == SpanKind.MODEL else _commanded(reading, span)
        tasks = reading.hand_over.tasks if reading.hand_over is not None else []
        reading.put(Slot.TASK, [body for task in tasks for body in chat.body_of(task)])
    if reading.kind == SpanKind.AGENT and reading.hand_over is None:
        reading.hand_over = _linked(span)
    if reading.kind == SpanKind.OTHER:
        reading.agent = ""
        if span.name.startswith(_COORDINATION):
            reading.surface = Surface.COORDINATION
    return reading


def _merged(span: RawSpan) -> Reading:
    """What all dialects together say of a span; where none knows it, what the ends of its attributes' names say."""
    readings = [reading for read_by in _DIALECTS if (reading := read_by(span)) is not None]
    return merge(readings or [endings.read(span) or Reading()])


_DIALECTS = (ours.read, openinference.read, traceloop.read, genai.read, vercel.read)


def _make_delegation(reading: Reading, hand_over: HandOver) -> None:
    tasks = hand_over.tasks or tasks_in(reading.arguments)
    reading.kind, reading.surface = SpanKind.DELEGATION, Surface.COORDINATION
    if reading.arguments is not None and not reading.arguments:
        reading.contents.pop(Slot.ARGUMENTS, None)  # `{}` is no task
    reading.put(Slot.TASK, [body for task in tasks for body in chat.body_of(task)])
    if hand_over.mode == DelegationMode.CALL and Slot.RESULT in reading.contents:
        reading.put(Slot.RETURNED, reading.contents[Slot.RESULT])


def _asked(reading: Reading) -> HandOver | None:
    """The hand-over that a model's answer asks for: all there is where a framework makes no span of it."""
    answers = [chat.decoded_body(body) for body in reading.contents.get(Slot.OUTPUT, [])]
    for name, arguments in chat.tool_calls([answer for answer in answers if answer is not None]):
        asked = of_tool(name, arguments)
        if asked is not None:
            asked.grade, asked.reason = Grade.INFERRED, f"the model called {name_of(name)}"
            return asked
    return None


def _commanded(reading: Reading, span: RawSpan) -> HandOver | None:
    """The hand-over that a tool's answer asks for; whoever is named may be no agent, so that the call stays a tool's."""
    for _, text in reading.contents.get(Slot.RESULT, [])[:1]:
        if text.startswith(b'{"goto":'):
            return of_command(reading.name or span.name, reading.arguments, text.decode("utf-8", "replace"))
    return None


def _linked(span: RawSpan) -> HandOver | None:
    """Who handed over to this agent, where a span link says so."""
    for link in span.links:
        source = first_name(link.attributes, "link.from_agent")
        if source and name_of(link.attributes.get("link.type")) in ("agent_handoff", "fork", "join"):
            return HandOver(DelegationMode.TRANSFER, Grade.OBSERVED, "a span link names the source", source=source)
    return None


def _pending(span: RawSpan) -> RawSpan | None:
    """The open span that an in-flight record stands for; None for an ordinary span."""
    attributes = span.attributes
    if attributes.get("logfire.span_type") == "pending_span" and span.parent_id:
        above = name_of(attributes.get("logfire.pending_parent_id"))
        try:
            parent_id = bytes.fromhex(above)
        except ValueError:
            parent_id = b""
        parent_id = parent_id if len(parent_id) == 8 and any(parent_id) else b""
        return RawSpan(
            span.trace_id, span.parent_id, parent_id, span.name, span.start_ns, 0, span.kind, span.scope,
            attributes=span.attributes,
        )  # fmt: skip
    if "_dd.partial_version" in attributes:
        return RawSpan(
            span.trace_id, span.span_id, span.parent_id, span.name, span.start_ns, 0, span.kind, span.scope,
            attributes=span.attributes, events=span.events, links=span.links,
        )  # fmt: skip
    return None


def _attributes(span: RawSpan, reading: Reading, fault: Fault, name: str) -> dict[str, Any]:
    """The span's own attributes without what is content now, and ours above them."""
    used = reading.used
    prefixes = tuple(key for key in used if key.endswith("."))
    kept = {
        (key if key.isascii() else clean(key))[:MAX_ATTRIBUTE_CHARS]: (
            value[:MAX_ATTRIBUTE_CHARS] if isinstance(value, str) else value
        )
        for key, value in span.attributes.items()
        if key not in used and key not in _RAW_USAGE and not (prefixes and key.startswith(prefixes))
    }
    kept.update(reading.attributes)
    _count_usage(reading, kept)
    if reading.agent:
        kept[AGENT_NAME] = reading.agent
    session = "" if _SESSION_KEYS.isdisjoint(span.attributes) else first_name(span.attributes, *_SESSIONS)
    session = session or _metadata_session(span)
    if session:
        kept[SESSION_ID] = session
    if reading.hand_over is not None:
        kept.update(_delegation_attributes(reading.hand_over))
    kept.pop(ERROR_TYPE, None)
    if fault.error_type and fault.status == SpanStatus.ERROR:
        kept[ERROR_TYPE] = fault.error_type
    if fault.control_flow:
        kept[CONTROL_FLOW] = fault.control_flow
    if span.scope:
        kept["otel.scope.name"] = span.scope
    if span.kind not in ("unspecified", "internal"):
        kept["otel.span.kind"] = span.kind
    if span.name != name:
        kept["otel.span.name"] = clean(span.name)[:MAX_ATTRIBUTE_CHARS]
    return kept


def _metadata_session(span: RawSpan) -> str:
    """A session in the span's metadata; else the team that AutoGen's addresses name: its run has a trace for each message."""
    named = first_name(openinference.metadata_of(span), "session_id", "thread_id", "conversation_id")
    address = "" if named else first_name(span.attributes, "messaging.destination", "gen_ai.agent.id")
    team = _TEAM.search(address) if address else None
    return named or (team[1] if team else "")


def _count_usage(reading: Reading, kept: dict[str, Any]) -> None:
    """Usage counts on model calls; what other spans say is a sum over the model calls below them."""
    is_model = reading.kind == SpanKind.MODEL
    if reading.input_tokens is not None:
        kept[INPUT_TOKENS if is_model else ROLLUP_INPUT_TOKENS] = reading.input_tokens
    if reading.output_tokens is not None:
        kept[OUTPUT_TOKENS if is_model else ROLLUP_OUTPUT_TOKENS] = reading.output_tokens


def _delegation_attributes(hand_over: HandOver) -> dict[str, Any]:
    named = {DELEGATION_SOURCE: hand_over.source, DELEGATION_TARGET: hand_over.target}
    return {
        **{key: name for key, name in named.items() if name},
        DELEGATION_MODE: str(hand_over.mode),
        DELEGATION_GRADE: str(hand_over.grade),
        DELEGATION_REASON: hand_over.reason,
    }


def _bounded(value: Any) -> Any:
    return value[:MAX_ATTRIBUTE_CHARS] if isinstance(value, str) else value


def _short_name(span: RawSpan, reading: Reading) -> str:
    """A short name that says what the span did; where no dialect knows better, the span's own on one line."""
    if ours.KIND in span.attributes:
        return name_of(span.name) or "unnamed"
    if reading.kind == SpanKind.AGENT:
        return f"invoke_agent {reading.agent}"
    if reading.kind == SpanKind.MODEL:
        return f"chat {reading.attributes.get(MODEL_NAME, '')}".strip()
    if reading.kind == SpanKind.DELEGATION and reading.hand_over is not None:
        return f"delegate to {reading.hand_over.target}" if reading.hand_over.target else name_of(span.name)
    return reading.name or name_of(span.name) or "unnamed"


def _event(span: RawSpan, event: RawEvent, stored: Slots) -> SpanEvent:
    name = event_name(event)
    surface, contents, told = ours.event_of(event.attributes)
    attributes = {clean(key): _bounded(value) for key, value in told.items()}
    if name == EVENT_CONTROL_FLOW:
        attributes = {key: value for key, value in attributes.items() if key == EVENT_EXCEPTION + ".type"}
    at_ns = event.at_ns if 0 < event.at_ns < MAX_NS else span.start_ns
    return SpanEvent(span.trace_id, span.span_id, at_ns, 0, name, str(surface), attributes, stored.slots(contents))


def _thoughts(span: RawSpan, reading: Reading, stored: Slots) -> list[Fact]:
    """The reasoning that a model's answer shows, as thoughts at the end of the call."""
    if ours.KIND in span.attributes:  # ours come as events already
        return []
    answers = [chat.decoded_body(body) for body in reading.contents.get(Slot.OUTPUT, [])]
    said = chat.reasoning_of([answer for answer in answers if answer is not None])
    return [
        SpanEvent(
            span.trace_id,
            span.span_id,
            span.end_ns or span.start_ns,
            0,
            EVENT_THOUGHT,
            str(Surface.COGNITIVE),
            {},
            stored.slots({Slot.OUTPUT: [encode(text)]}),
        )
        for text in said
    ]


def _link(span: RawSpan, link: RawLink) -> SpanLinked:
    kind = _LINK_KINDS.get(name_of(link.attributes.get("link.type")), LinkKind.FOLLOWS)
    attributes = {clean(key): _bounded(value) for key, value in link.attributes.items()}
    return SpanLinked(span.trace_id, span.span_id, span.start_ns, str(kind), link.trace_id, link.span_id, attributes)
