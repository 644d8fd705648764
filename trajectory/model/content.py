"""Content and its address: a body is stored once, under the digest of what it is and what it says.

Standard library only, because the emitter encodes here. Invariant: equal content has one digest in every process, so
a message that two agents hold is seen to be the same message.

A chat message is JSON of the GenAI conventions' shape: `{"role": ..., "parts": [{"type": "text", "content": ...}, ...]}`,
part types `text`, `reasoning`, `tool_call` (name, id, arguments), `tool_call_response` (id, response).
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from trajectory.model.hashing import blake2b

DIGEST_BYTES = 16
TEXT = "text/plain"
JSON = "application/json"
MESSAGE = "application/vnd.trajectory.message+json"
_KEPT_CHARS = 100  # of a media type; a longer one is somebody's mistake, and not to be remembered


def digest(media_type: str, body: bytes) -> bytes:
    """The address of a body: BLAKE2b with 16 bytes over the media type, a zero byte and the body."""
    hashed = _begun(media_type).copy() if len(media_type) <= _KEPT_CHARS else _begun.__wrapped__(media_type)
    hashed.update(body)
    return hashed.digest()


@lru_cache(maxsize=64)
def _begun(media_type: str) -> blake2b:
    """The hash of what stands before every body of a media type; copied, which costs half of beginning anew."""
    return blake2b(media_type.encode() + b"\0", digest_size=DIGEST_BYTES)


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys and no blanks; what JSON cannot say is said by `repr`. Never raises on a user's object."""
    try:
        text = _canonical.encode(value)
    except Exception:  # a user's mapping, or its own copy of itself, may raise anything
        text = json.dumps(_safe_repr(value), ensure_ascii=False)
    return text.encode("utf-8", "replace")


def encode(value: Any) -> tuple[str, bytes]:
    """A value as (media type, body): text as it is, everything else as canonical JSON."""
    if isinstance(value, str):
        return TEXT, value.encode("utf-8", "replace")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "application/octet-stream", bytes(value)
    return JSON, canonical_json(value)


def encode_message(message: Any) -> tuple[str, bytes]:
    """A chat message in any of the usual shapes as one body in the GenAI shape."""
    return MESSAGE, canonical_json(normal_message(message))


def normal_message(message: Any) -> dict[str, Any]:
    """OpenAI's, Anthropic's, LangChain's or the conventions' message as `{"role", "parts"}`; a bare text is the user's."""
    if isinstance(message, str):
        return {"role": "user", "parts": [{"type": "text", "content": message}]}
    if not isinstance(message, Mapping):
        message = _plain(message)
        if not isinstance(message, Mapping):
            return {"role": "user", "parts": [{"type": "text", "content": str(message)}]}
    role = str(message.get("role") or message.get("type") or "user")
    if "parts" in message:
        return {
            "role": role,
            "parts": [dict(p) if isinstance(p, Mapping) else _text(p) for p in _listed(message["parts"])],
        }
    parts: list[dict[str, Any]] = []
    call_id = message.get("tool_call_id")
    content = message.get("content")
    if call_id is not None or role == "tool":
        parts.append({"type": "tool_call_response", "id": call_id or "", "response": content})
    elif isinstance(content, str):
        parts.append(_text(content))
    elif isinstance(content, (list, tuple)):  # an iterator is the agent's to consume
        parts.extend(_content_part(part) for part in content)
    elif content is not None:
        parts.append(_text(content))
    for call in _listed(message.get("tool_calls")):
        parts.append(_tool_call(call))
    return {"role": role, "parts": parts}


def _listed(value: Any) -> list[Any] | tuple[Any, ...]:
    return value if isinstance(value, (list, tuple)) else () if value is None else (value,)


def _content_part(part: Any) -> dict[str, Any]:
    if not isinstance(part, Mapping):
        return _text(part)
    if part.get("type") in (None, "text", "input_text", "output_text"):
        return _text(part.get("text", part.get("content", "")))
    if part.get("type") == "tool_use":
        return {
            "type": "tool_call",
            "id": part.get("id", ""),
            "name": part.get("name", ""),
            "arguments": part.get("input"),
        }
    if part.get("type") == "tool_result":
        return {"type": "tool_call_response", "id": part.get("tool_use_id", ""), "response": part.get("content")}
    return dict(part)


def _tool_call(call: Any) -> dict[str, Any]:
    call = call if isinstance(call, Mapping) else _plain(call)
    if not isinstance(call, Mapping):
        return _text(call)
    function = call.get("function")
    function = function if isinstance(function, Mapping) else call
    arguments = function.get("arguments", function.get("args"))
    return {
        "type": "tool_call",
        "id": call.get("id", ""),
        "name": function.get("name", ""),
        "arguments": _decoded(arguments),
    }


def _decoded(arguments: Any) -> Any:
    """Arguments that came as JSON in a string, as the object they are."""
    if isinstance(arguments, str):
        try:
            return json.loads(arguments)
        except ValueError:
            return arguments
    return arguments


def _text(value: Any) -> dict[str, Any]:
    return {"type": "text", "content": value if isinstance(value, str) else str(value)}


def text_of(media_type: str, body: bytes) -> str:
    """What a body says, as a person would read it: a message's parts joined, text as it is, JSON as JSON."""
    text = body.decode("utf-8", "replace")
    if media_type != MESSAGE:
        return text
    try:
        return message_text(json.loads(text))
    except (ValueError, AttributeError, TypeError, RecursionError):
        return text


def message_text(message: Mapping[str, Any]) -> str:
    """A normal message's parts as one text: prose as it is, tool calls as `name(arguments)`, results as they came."""
    said: list[str] = []
    for part in message.get("parts") or ():
        kind = part.get("type")
        if kind == "tool_call":
            arguments = part.get("arguments")
            said.append(f"{part.get('name', '')}({arguments if isinstance(arguments, str) else _json(arguments)})")
        elif kind == "tool_call_response":
            response = part.get("response", part.get("result"))
            said.append(response if isinstance(response, str) else _json(response))
        else:
            content = part.get("content", part.get("text"))
            said.append(content if isinstance(content, str) else _json(part))
    return "\n".join(said)


def _json(value: Any) -> str:
    return canonical_json(value).decode()


def _plain(value: Any) -> Any:
    """A user's object as plain data: pydantic's, dataclasses' and mappings' own ways first, then `repr`."""
    for name in ("model_dump", "to_dict", "_asdict"):
        method = getattr(value, name, None)
        if callable(method) and not isinstance(value, type):
            try:
                return method()
            except (Exception, SystemExit):  # a user's method may raise anything
                break
    if isinstance(value, Mapping):
        return {str(k): v for k, v in value.items()}
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "replace")
    fields = getattr(value, "__dataclass_fields__", None)
    if fields and not isinstance(value, type):
        return {name: getattr(value, name, None) for name in fields}
    return _safe_repr(value)


def _safe_repr(value: Any) -> str:
    try:
        return repr(value)
    except (Exception, SystemExit):  # a user's __repr__ may raise anything
        return f"<{type(value).__name__}>"


_canonical = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=_plain)
