"""What our own OTLP export says beyond the GenAI conventions, so that a trace comes back as it was.

Invariant: a span that lists what the export added to it comes back as the facts that it was, and what was added goes. One that
only names its kind in our words is believed in that. Written by `trajectory.export.otlp`, which takes the names from here; read,
before all other dialects, by `spans`.
"""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from trajectory.dialects.faults import Fault
from trajectory.dialects.raw import MAX_NS, RawEvent, RawLink, RawSpan
from trajectory.dialects.reading import Body, HandOver, Reading
from trajectory.dialects.values import clean, name_of
from trajectory.model.fact import Fact, SpanEnded, SpanEvent, SpanLinked, SpanStarted, SpanUpdated
from trajectory.model.words import (
    DELEGATION_GRADE,
    DELEGATION_MODE,
    DELEGATION_REASON,
    DELEGATION_SOURCE,
    DELEGATION_TARGET,
    ERROR_TYPE,
    DelegationMode,
    Grade,
    LinkKind,
    Slot,
    SpanKind,
    Surface,
)

KIND = "trajectory.span.kind"
AGENT = "trajectory.span.agent"
SURFACE = "trajectory.span.surface"
SLOT = "trajectory.slot."  # + a slot's name: a JSON list of bodies, `{"media", "text"}` or `{"media", "base64"}`
ADDED = "trajectory.export.added"  # the names of the attributes that a span has from its export alone
STATE = "trajectory.span.state"  # OPEN or UNSTARTED, where the times of OTLP do not say so
OPEN = "open"  # the end is only the last that is known of it
UNSTARTED = "unstarted"  # the start was never told
END = "trajectory.span.end_ns"  # where the clock was set back, and the end is before the start
LINK_KIND = "trajectory.link.kind"
LINK_AT = "trajectory.link.at_ns"
LINK_DERIVED = "trajectory.link.derived"  # true where no emitter sent it: it is worked out again, and not read
LINK_ROOT = "trajectory.link.root"  # of a step of a cascade: the span at which it began
LINK_VALUE = "trajectory.link.value"  # of a value that was used: as it was written
OPERATIONS: dict[str, str] = {  # the conventions' word for a kind of span
    SpanKind.AGENT: "invoke_agent",
    SpanKind.MODEL: "chat",
    SpanKind.TOOL: "execute_tool",
    SpanKind.RETRIEVAL: "retrieval",
    SpanKind.DELEGATION: "execute_tool",
}
AT_END = (Slot.OUTPUT, Slot.RESULT, Slot.RETURNED)
_KINDS, _SURFACES = frozenset(SpanKind), frozenset(Surface)
_CONTROL = (KIND, AGENT, SURFACE, ADDED, STATE, END)
Slots = Callable[[dict[str, list[Body]]], dict[str, list[bytes]]]


def is_control(key: str) -> bool:
    """Whether an attribute's name is one that the export itself gives a meaning."""
    return key in _CONTROL or key.startswith(SLOT)


def added_part(span: RawSpan) -> RawSpan:
    """The span with nothing but what its export added, as one of its kind: what the dialects are to read of it."""
    names, operation = _added(span), OPERATIONS.get(_text(span.attributes.get(KIND)), "")
    added = {key: value for key, value in span.attributes.items() if key in names}
    return replace(span, attributes={"gen_ai.operation.name": operation, **added})


def facts_of(span: RawSpan, contents: dict[str, list[Body]], slots: Slots) -> list[Fact]:
    """The facts that an exported span was, its contents as the dialects read them; `slots` stores them."""
    trace_id, span_id, start_ns = span.trace_id, span.span_id, span.start_ns
    added, state = _added(span), span.attributes.get(STATE)
    attributes = {key: value for key, value in span.attributes.items() if key not in added and not is_control(key)}
    held = _slots_in(span.attributes)
    if Slot.INPUT in held and "gen_ai.system_instructions" not in span.attributes:  # the dialects took it out of the
        contents = {slot: bodies for slot, bodies in contents.items() if slot != Slot.SYSTEM}  # input, here as it was
    contents = {**contents, **held}
    end_ns = 0 if state == OPEN else _whole(span.attributes.get(END), span.end_ns)
    facts: list[Fact] = []
    if state != UNSTARTED:
        at_end = {str(slot): contents.pop(slot) for slot in AT_END if end_ns and slot in contents}
        kind, agent, surface = (_text(span.attributes.get(key)) for key in (KIND, AGENT, SURFACE))
        facts.append(
            SpanStarted(
                trace_id, span_id, span.parent_id, start_ns, 0, kind or SpanKind.OTHER, span.name, agent,
                surface or Surface.OPERATIONAL, attributes, slots(contents),
            )
        )  # fmt: skip
        attributes, contents = {}, at_end
    elif not end_ns:
        facts.append(SpanUpdated(trace_id, span_id, start_ns, 0, attributes, slots(contents)))
    facts += [_event(span, event, slots) for event in span.events]
    sent = [link for link in span.links if link.attributes.get(LINK_DERIVED) is not True]
    facts += [_link(span, link) for link in sent if len(link.trace_id) == 16 and len(link.span_id) == 8]
    if end_ns:
        ended = (trace_id, span_id, end_ns, 0, str(span.status), span.message, attributes, slots(contents))
        facts.append(SpanEnded(*ended))
    return facts


def _event(span: RawSpan, event: RawEvent, slots: Slots) -> SpanEvent:
    surface, contents, attributes = event_of(event.attributes)
    return SpanEvent(span.trace_id, span.span_id, event.at_ns, 0, event.name, surface, attributes, slots(contents))


def _link(span: RawSpan, link: RawLink) -> SpanLinked:
    attributes = {key: value for key, value in link.attributes.items() if key not in (LINK_KIND, LINK_AT)}
    kind = _text(link.attributes.get(LINK_KIND)) or LinkKind.FOLLOWS
    at_ns = _whole(link.attributes.get(LINK_AT), span.start_ns)
    return SpanLinked(span.trace_id, span.span_id, at_ns, kind, link.trace_id, link.span_id, attributes)


def _added(span: RawSpan) -> frozenset[str]:
    names = span.attributes.get(ADDED)
    return frozenset(name for name in names if isinstance(name, str)) if isinstance(names, list) else frozenset()


def _slots_in(attributes: Mapping[str, Any]) -> dict[str, list[Body]]:
    keys = [key for key in attributes if key.startswith(SLOT)]
    return {key.removeprefix(SLOT): bodies for key in keys if (bodies := bodies_in(attributes[key]))}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _whole(value: Any, otherwise: int) -> int:
    return value if type(value) is int and 0 <= value < MAX_NS else otherwise


def read(span: RawSpan) -> Reading | None:
    """The span as our export wrote it; None where another wrote it."""
    if KIND not in span.attributes:
        return None
    kind = name_of(span.attributes[KIND])
    if kind not in _KINDS:
        return None
    surface = name_of(span.attributes.get(SURFACE))
    reading = Reading(
        kind=kind,
        agent=name_of(span.attributes.get(AGENT)),
        surface=surface if surface in _SURFACES else Surface.OPERATIONAL,
        hand_over=_hand_over(span, kind),
    )
    reading.used.update((KIND, AGENT, SURFACE))
    for slot in Slot:
        reading.put(slot, bodies_in(span.attributes.get(SLOT + slot)), SLOT + slot)
    return reading


def fault_of(span: RawSpan) -> Fault | None:
    """How the span ended, as it was before it was exported; None where another wrote it."""
    if KIND not in span.attributes:
        return None
    return Fault(span.status, clean(span.message), name_of(span.attributes.get(ERROR_TYPE)))


def event_of(attributes: Mapping[str, Any]) -> tuple[str, dict[str, list[Body]], dict[str, Any]]:
    """An event's surface, contents and other attributes; of another's event, all are attributes."""
    surface = name_of(attributes.get(SURFACE))
    contents = _slots_in(attributes)
    ours = {SURFACE, *(SLOT + slot for slot in contents)}
    rest = {key: value for key, value in attributes.items() if key not in ours}
    return surface if surface in _SURFACES else Surface.OPERATIONAL, contents, rest


def bodies_out(bodies: list[Body]) -> str:
    """Bodies as the text of an attribute."""
    return json.dumps([_body_out(*body) for body in bodies], ensure_ascii=False)


def bodies_in(said: Any) -> list[Body]:
    """The bodies that an attribute's text holds; what it does not hold is left out."""
    try:
        records = json.loads(said) if isinstance(said, str) else []
        return [_body_in(record) for record in records if isinstance(record, dict)]
    except (ValueError, TypeError, KeyError, RecursionError, binascii.Error):
        return []


def _body_out(media_type: str, body: bytes) -> dict[str, str]:
    try:
        return {"media": media_type, "text": body.decode()}
    except UnicodeDecodeError:
        return {"media": media_type, "base64": base64.b64encode(body).decode()}


def _body_in(record: dict[str, Any]) -> Body:
    if "text" in record:
        return str(record["media"]), str(record["text"]).encode()
    return str(record["media"]), base64.b64decode(record["base64"], validate=True)


def _hand_over(span: RawSpan, kind: str) -> HandOver | None:
    source, target = (name_of(span.attributes.get(key)) for key in (DELEGATION_SOURCE, DELEGATION_TARGET))
    if kind != SpanKind.DELEGATION and not (kind == SpanKind.AGENT and source):
        return None
    mode, grade = (name_of(span.attributes.get(key)) for key in (DELEGATION_MODE, DELEGATION_GRADE))
    return HandOver(
        mode if mode in tuple(DelegationMode) else DelegationMode.CALL,
        grade if grade in tuple(Grade) else Grade.INFERRED,
        name_of(span.attributes.get(DELEGATION_REASON)),
        source,
        target,
    )
