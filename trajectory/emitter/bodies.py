"""Content on its way into a fact: encoded at the call, so that a later change of the value changes nothing that was said.

Invariant: a body is at most MAX_BODY_BYTES, and one that was cut says how long it was. Called by spans and wrappers.
"""

from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

from trajectory.model import content

MAX_BODY_BYTES = 4 * 1024 * 1024


class Body(NamedTuple):
    """An encoded value under its address. `cut_bytes` is its whole length where only a beginning is kept, else 0."""

    digest: bytes
    media_type: str
    data: bytes
    cut_bytes: int = 0


Bodies = dict[str, list[Body]]


def body_of(value: Any) -> Body:
    """Any value: text as text, bytes as bytes, everything else as canonical JSON."""
    return encoded(*content.encode(value))


def message_of(message: Any) -> Body:
    """A chat message of any usual shape in the GenAI shape."""
    return encoded(*content.encode_message(message))


def reply_of(reply: Any) -> Body:
    """A model's answer as a message of the assistant: text, a message, or a response that holds choices."""
    if isinstance(reply, str):
        return message_of({"role": "assistant", "content": reply})
    choices = reply.get("choices") if isinstance(reply, Mapping) else getattr(reply, "choices", None)
    if isinstance(choices, (list, tuple)) and choices:
        first = choices[0]
        message = first.get("message") if isinstance(first, Mapping) else getattr(first, "message", None)
        return message_of(_as_assistant(message if message is not None else first))
    return message_of(_as_assistant(reply))


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


def each(values: Any) -> list[Any]:
    """The values of a collection; anything else is the one value of its own list. An iterator is the agent's to consume."""
    if values is None:
        return []
    if isinstance(values, (list, tuple, set, frozenset, deque)):
        return list(values)
    return [values]


def encoded(media_type: str, data: bytes) -> Body:
    """A body under its digest, cut to MAX_BODY_BYTES; a cut structure is text, since it no longer parses."""
    if len(data) <= MAX_BODY_BYTES:
        return Body(content.digest(media_type, data), media_type, data)
    whole, data = len(data), data[:MAX_BODY_BYTES]
    if media_type in (content.TEXT, content.JSON, content.MESSAGE):
        media_type, data = content.TEXT, data.decode("utf-8", "ignore").encode()
    return Body(content.digest(media_type, data), media_type, data, whole)
