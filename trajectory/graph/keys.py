"""What two sides of a delegation may both say: ids of a call, a message or a task, and what was asked, word for word.

Invariant: pure; hostile bodies are text or nothing. Called by `pairing` within a trace, and by `ends` across traces.
"""

import json
from collections.abc import Callable

from trajectory.graph.echoes import tellings, told
from trajectory.graph.span import Span
from trajectory.model.content import MESSAGE, message_text
from trajectory.model.ends import known
from trajectory.model.words import TOOL_CALL_ID, Slot, SpanKind

PayloadSource = Callable[[bytes], tuple[str, bytes] | None]
_IDS = (
    ("message", ("a2a.message.id",)),
    ("task", ("a2a.task.id",)),
    ("call", (TOOL_CALL_ID, "parent_tool_use_id", "tool_call.id", "tool_use_id")),
)
ID_NAMES = frozenset(name for _, names in _IDS for name in names)
_MAX_BODY_BYTES = 64 * 1024
_SHORTEST_TEXT = 12  # characters: "go on" is said in every conversation


def call_ids(span: Span) -> list[tuple[str, str]]:
    """The ids of a call that a span has, as (kind, value): `message` and `task` are A2A's, `call` a tool call's."""
    if ID_NAMES.isdisjoint(span.attributes):
        return []
    found: list[tuple[str, str]] = []
    for kind, names in _IDS:
        for name in names:
            if value := known(span.attributes.get(name)):
                found.append((kind, value))
                break
    return found


def texts_asked(body: PayloadSource, span: Span) -> list[str]:
    """The texts that a call gives: its task, else each of its arguments that is a text; blanks do not count."""
    found: list[str] = []
    for digest in [*told(span, Slot.TASK)[:4], *told(span, Slot.ARGUMENTS)[:4]]:
        found += _texts_in(body(digest))
    return list(dict.fromkeys(filter(None, map(_plain, found))))[:4]


def text_given(body: PayloadSource, agent: Span) -> str:
    """What an agent was first asked: its task or first input of a user, else that of the first model that it called."""
    owner = agent.owner
    models = [s for s in owner.spans.values() if s.kind == SpanKind.MODEL] if owner is not None else []
    first = min(models, key=lambda s: s.order_key, default=None)
    for span in (*tellings(agent), first):
        for digest in [*span.digests(Slot.TASK)[:1], *span.digests(Slot.INPUT)[:8]] if span is not None else ():
            text = _said_by_user(body(digest))
            if text:
                return text
    return ""


def _said_by_user(held: tuple[str, bytes] | None) -> str:
    if held is None or len(held[1]) > _MAX_BODY_BYTES:
        return ""
    media_type, said = held
    if media_type != MESSAGE:
        return next(filter(None, map(_plain, _texts_in(held))), "")
    message = _json(said)
    if not isinstance(message, dict) or message.get("role") != "user" or not isinstance(message.get("parts"), list):
        return ""
    try:
        return _plain(message_text(message))
    except (AttributeError, TypeError, ValueError, RecursionError):
        return ""


def _texts_in(held: tuple[str, bytes] | None) -> list[str]:
    if held is None or len(held[1]) > _MAX_BODY_BYTES:
        return []
    if held[0] == MESSAGE:
        return [_said_by_user(held)]
    value = _json(held[1])
    if isinstance(value, dict):
        return [v for v in value.values() if isinstance(v, str)]
    return [value] if isinstance(value, str) else [] if value is not None else [held[1].decode("utf-8", "replace")]


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _plain(text: str) -> str:
    """A text without what its way may change: blanks; empty where it is too short to say which conversation it is of."""
    plain = " ".join(text.split())
    return plain if len(plain) >= _SHORTEST_TEXT else ""
