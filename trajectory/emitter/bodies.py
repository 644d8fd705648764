"""Content on its way into a fact: what was said, held so that a later change of the value changes nothing.

Invariant: the agent's thread holds what nobody can change as it is and copies what is small and plain, so a long text costs it no
more than a short one; everything else is encoded at the call. The sender's thread makes bodies of it, each at most
MAX_BODY_BYTES, and one that was cut says how long it was. Called by spans and wrappers, and by `contents`.
"""

from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

from trajectory.emitter.plain import FIXED
from trajectory.model import content

MAX_BODY_BYTES = 4 * 1024 * 1024
CUT_BYTES = "trajectory.content.cut_bytes"  # the whole length of a body of which only the beginning is kept

_HELD_CHARS = MAX_BODY_BYTES // 4  # longer texts are encoded and cut at the call, for the queue counts what they weigh
_COPIED_COUNT = 64  # values; to copy more takes longer than to encode them
_COPIED_BYTES = 16  # what a value weighs beside its text

Said = tuple[Any, ...]  # its weight in bytes, what encodes it, and what that is given: all of it beyond anybody's reach
Bodies = dict[str, list[Said]]


class Body(NamedTuple):
    """An encoded value under its address. `cut_bytes` is its whole length where only a beginning is kept, else 0."""

    digest: bytes
    media_type: str
    data: bytes
    cut_bytes: int = 0


# on the agent's thread


def said(value: Any) -> Said:
    """Any value: text as text, bytes as bytes, everything else as canonical JSON."""
    return _held(_value, value)


def said_message(message: Any) -> Said:
    """A chat message of any usual shape in the GenAI shape."""
    if type(message) is dict and len(message) == 2:
        role, text = message.get("role"), message.get("content")
        if type(role) is str and type(text) is str and role and role != "tool" and len(text) <= _HELD_CHARS:
            return (len(text), _chat, role, text)
    return _held(_message, message)


def said_reply(reply: Any) -> Said:
    """A model's answer as a message of the assistant: text, a message, or a response that holds choices."""
    if isinstance(reply, str):
        return said_message({"role": "assistant", "content": reply})
    choices = reply.get("choices") if isinstance(reply, Mapping) else getattr(reply, "choices", None)
    if isinstance(choices, (list, tuple)) and choices:
        first = choices[0]
        message = first.get("message") if isinstance(first, Mapping) else getattr(first, "message", None)
        return said_message(_as_assistant(message if message is not None else first))
    return said_message(_as_assistant(reply))


def said_encoded(media_type: str, data: bytes) -> Said:
    """What is encoded already."""
    return _encoded(lambda whole: _fitting(media_type, whole), data)


def weight_of(bodies: Bodies) -> int:
    """What the queue counts for the content of a fact, in bytes, at least 1."""
    weight = 1
    for those in bodies.values():
        for one in those:
            weight += one[0]
    return weight


def each(values: Any) -> list[Any]:
    """The values of a collection; anything else is the one value of its own list. An iterator is the agent's to consume."""
    if values is None:
        return []
    if isinstance(values, (list, tuple, set, frozenset, deque)):
        return list(values)
    return [values]


def _held(encode: Any, value: Any) -> Said:
    kind = type(value)
    if kind is str:
        if len(value) <= _HELD_CHARS:
            return (len(value), encode, value)
    elif kind in _HOLDERS:
        try:
            copying = _Copying()
            copied = copying.of(value)
            if copying.weight <= _HELD_CHARS:
                return (copying.weight, encode, copied)
        except Exception:  # foreign, long, or just being changed: the encoder reads what it can
            return _encoded(encode, value)
    return _encoded(encode, value)


def _encoded(encode: Any, value: Any) -> Said:
    media_type, data, cut_bytes = encode(value)
    return (len(data), _whole, media_type, data, cut_bytes)


class _Copying:
    """Copies plain data. Raises ValueError where that would take longer than to encode it, or is no copy."""

    __slots__ = ("_count", "weight")

    def __init__(self) -> None:
        self._count = 0
        self.weight = 0

    def of(self, value: Any) -> Any:
        kind = type(value)
        if kind is str:
            self.weight += len(value)
            return value
        if kind in FIXED:
            return value
        self._count += len(value) if kind in _HOLDERS else _COPIED_COUNT + 1
        self.weight += _COPIED_BYTES * self._count
        if self._count > _COPIED_COUNT:
            raise ValueError
        if kind is not dict:
            return kind(map(self.of, value))
        if not FIXED.issuperset(map(type, value)):
            raise ValueError
        return {key: self.of(item) for key, item in value.items()}


_HOLDERS = frozenset({dict, list, tuple})


def _as_assistant(message: Any) -> Any:
    """The message with a role of its own, or with the assistant's where it has none."""
    dump = getattr(message, "model_dump", None) or getattr(message, "to_dict", None)
    if callable(dump) and not isinstance(message, Mapping):
        message = dump()
    if isinstance(message, Mapping):
        if "role" in message or "type" in message:
            return message
        if "content" in message or "parts" in message or "tool_calls" in message:
            return {**message, "role": "assistant"}
        return {"role": "assistant", "content": content.canonical_json(message).decode()}
    return {"role": "assistant", "content": str(message)}


# on the sender's thread


def body_of(one: Said) -> Body:
    """What was said, encoded under its digest."""
    media_type, data, cut_bytes = one[1](*one[2:])
    return Body(content.digest(media_type, data), media_type, data, cut_bytes)


def is_text(one: Said) -> bool:
    """Whether it is nothing but texts, so that the same is cheaply known again."""
    return one[1] is _chat or (type(one[2]) is str and one[1] is not _whole)


def _value(value: Any) -> tuple[str, bytes, int]:
    return _fitting(*content.encode(value))


def _message(message: Any) -> tuple[str, bytes, int]:
    return _fitting(*content.encode_message(message))


def _chat(role: str, text: str) -> tuple[str, bytes, int]:
    """What `_message` makes of a role and a text, without asking what else it could be."""
    message = {"role": role, "parts": [{"type": "text", "content": text}]}
    return _fitting(content.MESSAGE, content.canonical_json(message))


def _whole(media_type: str, data: bytes, cut_bytes: int) -> tuple[str, bytes, int]:
    return media_type, data, cut_bytes


def _fitting(media_type: str, data: bytes) -> tuple[str, bytes, int]:
    """A body cut to MAX_BODY_BYTES, and its whole length where it was; a cut structure is text, since it no longer parses."""
    if len(data) <= MAX_BODY_BYTES:
        return media_type, data, 0
    whole, data = len(data), data[:MAX_BODY_BYTES]
    if media_type in (content.TEXT, content.JSON, content.MESSAGE):
        media_type, data = content.TEXT, data.decode("utf-8", "ignore").encode()
    return media_type, data, whole
