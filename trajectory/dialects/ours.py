"""What our own OTLP export says beyond the GenAI conventions, so that a trace comes back as it was.

Invariant: a span that names its kind in our words is believed, and one that does not is none of ours. Written by
`trajectory.export.otlp`, which takes the names from here; read, before all other dialects, by `spans`.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any

from trajectory.dialects.faults import Fault
from trajectory.dialects.raw import RawSpan
from trajectory.dialects.reading import Body, HandOver, Reading
from trajectory.dialects.values import clean, name_of
from trajectory.model.words import (
    DELEGATION_GRADE,
    DELEGATION_MODE,
    DELEGATION_REASON,
    DELEGATION_SOURCE,
    DELEGATION_TARGET,
    ERROR_TYPE,
    DelegationMode,
    Grade,
    Slot,
    SpanKind,
    Surface,
)

KIND = "trajectory.span.kind"
AGENT = "trajectory.span.agent"
SURFACE = "trajectory.span.surface"
SLOT = "trajectory.slot."  # + a slot's name: a JSON list of bodies, `{"media", "text"}` or `{"media", "base64"}`


def read(span: RawSpan) -> Reading | None:
    """The span as our export wrote it; None where another wrote it."""
    kind = name_of(span.attributes.get(KIND))
    if kind not in tuple(SpanKind):
        return None
    surface = name_of(span.attributes.get(SURFACE))
    reading = Reading(
        kind=kind,
        agent=name_of(span.attributes.get(AGENT)),
        surface=surface if surface in tuple(Surface) else Surface.OPERATIONAL,
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
    contents = {slot.value: bodies for slot in Slot if (bodies := bodies_in(attributes.get(SLOT + slot)))}
    ours = {SURFACE, *(SLOT + slot for slot in contents)}
    rest = {key: value for key, value in attributes.items() if key not in ours}
    return surface if surface in tuple(Surface) else Surface.OPERATIONAL, contents, rest


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
