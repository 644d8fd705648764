"""What a span's content is as attributes of the GenAI conventions, v0.1.0: messages, arguments, results, definitions.

Invariant: content that the conventions have a place for goes there, as JSON text in their shape; what has none, or would
not come back as the same body, goes under our own names too, so that equal content is equal after the way back. Called by
`trajectory.export.otlp`.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

from trajectory.dialects import messages as chat
from trajectory.dialects.ours import SLOT, SURFACE, bodies_out
from trajectory.dialects.reading import Body
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace
from trajectory.model.content import JSON, MESSAGE, text_of
from trajectory.model.fact import SpanEvent
from trajectory.model.lists import expand
from trajectory.model.words import Slot, SpanKind, Surface

_MESSAGES = {
    Slot.INPUT: ("gen_ai.input.messages", "user"),
    Slot.OUTPUT: ("gen_ai.output.messages", "assistant"),
}
_VALUES = {Slot.ARGUMENTS: "gen_ai.tool.call.arguments", Slot.RESULT: "gen_ai.tool.call.result"}


def content_attributes(trace: Trace, span: Span) -> dict[str, str]:
    """Attributes that hold what the span's slots hold; a body that is not at hand is left out."""
    attributes: dict[str, str] = {}
    for slot in span.contents:
        bodies = [body for body in map(trace.body, span.digests(slot)) if body is not None]
        if bodies:
            attributes.update(_said(slot, bodies, span.kind, span.attributes))
    return attributes


def event_content(trace: Trace, event: SpanEvent) -> dict[str, str]:
    """Attributes that hold an event's surface, where it is not the usual one, and what its slots hold."""
    said = {} if event.surface == Surface.OPERATIONAL else {SURFACE: str(event.surface)}
    for slot, entries in event.contents.items():
        digests = expand(entries, trace.payload_source)
        bodies = [body for body in map(trace.body, digests) if body is not None]
        if bodies:
            said[SLOT + slot] = bodies_out(bodies)
    return said


def _said(slot: str, bodies: list[Body], kind: str, taken: Mapping[str, Any]) -> dict[str, str]:
    """A slot's content by the conventions; and body by body, where there is no place for it or it would come back changed.

    `taken` are the attributes that the span has itself: their names are no place for anything else.
    """
    placed = _placed(slot, bodies, kind)
    if placed is None or placed[0] in taken:
        return {SLOT + slot: bodies_out(bodies)}
    key, said, back = placed
    return {key: said} if back == bodies else {key: said, SLOT + slot: bodies_out(bodies)}


def _placed(slot: str, bodies: list[Body], kind: str) -> tuple[str, str, list[Body]] | None:
    """The attribute by the conventions, its text, and the bodies that the text is read as."""
    if slot == Slot.SYSTEM:
        said = _json([part for body in bodies for part in _message(body, "system")["parts"]])
        return "gen_ai.system_instructions", said, chat.bodies(chat.messages_of(said, "system"))
    if slot in _MESSAGES and kind in (SpanKind.MODEL, SpanKind.AGENT):
        key, role = _MESSAGES[Slot(slot)]
        said = _json([_message(body, role) for body in bodies])
        messages = chat.messages_of(said, role)
        return key, said, chat.bodies(chat.split_system(messages)[1] if slot == Slot.INPUT else messages)
    if slot in _VALUES and kind == SpanKind.TOOL and len(bodies) == 1:
        value = _value(bodies[0])
        said = value if isinstance(value, str) else _json(value)
        return _VALUES[Slot(slot)], said, chat.body_of(said)
    if slot == Slot.TOOLS and all(media == JSON for media, _ in bodies):
        definitions = [_value(body) for body in bodies]
        said = _json([one for each in definitions for one in (each if isinstance(each, list) else [each])])
        return "gen_ai.tool.definitions", said, chat.body_of(said)
    return None


def _message(body: Body, role: str) -> dict[str, Any]:
    """A message in the conventions' shape; a text is said by `role`."""
    value = _value(body) if body[0] == MESSAGE else None
    if isinstance(value, dict) and isinstance(value.get("parts"), list):
        return value
    return {"role": role, "parts": [{"type": "text", "content": text_of(*body)}]}


def _value(body: Body) -> Any:
    media_type, said = body
    try:
        text = said.decode()
        return json.loads(text) if media_type in (JSON, MESSAGE) else text
    except UnicodeDecodeError:
        return base64.b64encode(said).decode()
    except (ValueError, RecursionError):
        return text


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
