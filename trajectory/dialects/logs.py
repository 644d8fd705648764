"""OTLP log records as facts of the spans that they belong to: messages of a model's call, errors, whatever else was said.

Invariant: a record of a span becomes an update or an event of it, in whatever order span and records come; what names no span
is nobody's and stays out, but for the records of coding agents, of which `agent_logs` makes spans. Called by `otlp`; pure.
"""

from collections.abc import Iterable, Mapping

from trajectory.dialects import agent_logs
from trajectory.dialects import messages as chat
from trajectory.dialects.genai import DETAILS_EVENT, MESSAGE_EVENTS, message_of_event, messages_of_details
from trajectory.dialects.raw import RawLog
from trajectory.dialects.reading import Body
from trajectory.dialects.spans import MAX_ATTRIBUTE_CHARS, Stored
from trajectory.dialects.values import clean, name_of
from trajectory.model.fact import Fact, SpanEvent, SpanUpdated
from trajectory.model.words import EVENT_EXCEPTION, Slot, Surface

_EXCEPTIONS = ("gen_ai.client.operation.exception", EVENT_EXCEPTION)
_SEVERITIES = (
    "",
    "trace",
    "debug",
    "info",
    "warn",
    "error",
    "fatal",
)  # of each four numbers (OpenTelemetry's log data model)


def facts_of(records: Iterable[RawLog]) -> list[Fact]:
    """The facts of one resource's records. What the messages of one call say is one update, though each is a record."""
    stored = Stored()
    facts: list[Fact] = []
    talks: dict[tuple[bytes, bytes], _Talk] = {}
    spanless: list[RawLog] = []
    for record in records:
        if agent_logs.is_told(record):
            spanless.append(record)
            continue
        if not record.trace_id or not record.span_id:
            continue
        event = record.event or name_of(record.attributes.get("event.name"))
        if event == DETAILS_EVENT or event in MESSAGE_EVENTS:
            talk = talks.setdefault((record.trace_id, record.span_id), _Talk())
            talk.hear(event, record)
            continue
        told = _event(record, event, stored)
        facts += stored.taken()
        facts.append(told)
    for (trace_id, span_id), talk in talks.items():
        contents = stored.slots(talk.contents())
        facts += stored.taken()
        facts.append(SpanUpdated(trace_id, span_id, talk.at_ns, 0, {}, contents))
    return facts + agent_logs.facts_of(spanless)


class _Talk:
    """What was said in one call of a model, as its records tell it."""

    def __init__(self) -> None:
        self.at_ns = 0
        self._messages: dict[str, list[chat.Message]] = {}

    def hear(self, event: str, record: RawLog) -> None:
        self.at_ns = max(self.at_ns, record.at_ns)
        body = record.body if isinstance(record.body, Mapping) else {}
        attributes = {**record.attributes, **body}
        if not body and record.body is not None:
            attributes["content"] = record.body
        if event == DETAILS_EVENT:
            self._messages.update({slot: said for slot, said in messages_of_details(attributes).items() if said})
            return
        role = MESSAGE_EVENTS[event]
        slot = {"gen_ai.choice": Slot.OUTPUT, "gen_ai.system.message": Slot.SYSTEM}.get(event, Slot.INPUT)
        self._messages.setdefault(slot, []).append(message_of_event(attributes, role))

    def contents(self) -> dict[str, list[Body]]:
        return {slot: chat.bodies(said) for slot, said in self._messages.items()}


def _event(record: RawLog, event: str, stored: Stored) -> Fact:
    attributes = {
        clean(key): clean(value)[:MAX_ATTRIBUTE_CHARS] if isinstance(value, str) else value
        for key, value in record.attributes.items()
    }
    if 0 < record.severity <= 24:
        attributes["severity"] = _SEVERITIES[(record.severity + 3) // 4]
    if record.scope:
        attributes["otel.scope.name"] = record.scope
    bodies = chat.body_of(record.body)
    name = EVENT_EXCEPTION if event in _EXCEPTIONS else name_of(event) or "log"
    contents = stored.slots({Slot.CONTEXT: bodies}) if bodies else {}
    return SpanEvent(
        record.trace_id, record.span_id, record.at_ns, 0, name, str(Surface.OPERATIONAL), attributes, contents
    )
