"""What a span's content is as attributes of the GenAI conventions, v0.1.0: messages, arguments, results, definitions.

Invariant: content that the conventions have a place for goes there, as JSON text in their shape; the rest goes under our own
names, body by body, so that nothing is lost on the way back. Called by `trajectory.export.otlp`.
"""

import base64
import json
from typing import Any

from trajectory.dialects.ours import SLOT, SURFACE, bodies_out
from trajectory.dialects.reading import Body
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace
from trajectory.model.content import JSON, MESSAGE, text_of
from trajectory.model.fact import SpanEvent
from trajectory.model.words import Slot, SpanKind, Surface

_MESSAGES = {
    Slot.INPUT: ("gen_ai.input.messages", "user"),
    Slot.OUTPUT: ("gen_ai.output.messages", "assistant"),
}
_VALUES = {Slot.ARGUMENTS: "gen_ai.tool.call.arguments", Slot.RESULT: "gen_ai.tool.call.result"}


def content_attributes(trace: Trace, span: Span) -> dict[str, str]:
    """Attributes that hold what the span's slots hold; a body that is not at hand is left out."""
    attributes: dict[str, str] = {}
    for slot, digests in span.contents.items():
        bodies = [body for body in map(trace.body, digests) if body is not None]
        if bodies:
            key, said = _said(slot, bodies, span.kind)
            attributes[key] = said
    return attributes


def event_content(trace: Trace, event: SpanEvent) -> dict[str, str]:
    """Attributes that hold an event's surface, where it is not the usual one, and what its slots hold."""
    said = {} if event.surface == Surface.OPERATIONAL else {SURFACE: str(event.surface)}
    for slot, digests in event.contents.items():
        bodies = [body for body in map(trace.body, digests) if body is not None]
        if bodies:
            said[SLOT + slot] = bodies_out(bodies)
    return said


def _said(slot: str, bodies: list[Body], kind: str) -> tuple[str, str]:
    if slot == Slot.SYSTEM:
        return "gen_ai.system_instructions", _json(
            [part for body in bodies for part in _message(body, "system")["parts"]]
        )
    if slot in (Slot.INPUT, Slot.OUTPUT) and kind in (SpanKind.MODEL, SpanKind.AGENT):
        key, role = _MESSAGES[Slot(slot)]
        return key, _json([_message(body, role) for body in bodies])
    if slot in _VALUES and kind == SpanKind.TOOL and len(bodies) == 1:
        value = _value(bodies[0])
        return _VALUES[Slot(slot)], value if isinstance(value, str) else _json(value)
    if slot == Slot.TOOLS and all(media == JSON for media, _ in bodies):
        definitions = [_value(body) for body in bodies]
        flat = [one for each in definitions for one in (each if isinstance(each, list) else [each])]
        return "gen_ai.tool.definitions", _json(flat)
    return SLOT + slot, bodies_out(bodies)


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
