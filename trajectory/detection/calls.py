"""Tool calls as models asked for them, and what their arguments are, in whatever writing they came.

Invariant: pure and bounded; nothing is evaluated. Arguments are an object, or they are not known: JSON, JSON in a string (also
twice), a Python literal. Called by the detectors that judge tool calls.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from trajectory.dialects.values import decoded
from trajectory.model.content import MESSAGE, canonical_json

MAX_BODY_BYTES = 1024 * 1024
_MAX_CALLS_COUNT = 64  # of one message
_KWARGS = ("kwargs", "arguments", "args", "input", "parameters", "tool_input", "input_dict")


class AskedCall(NamedTuple):
    """A call that a model asked for. `arguments` is None where they are not known; `broken` is text that was meant to be JSON."""

    call_id: str
    name: str
    arguments: dict[str, Any] | None
    broken: str
    key: bytes


def calls_in(body: tuple[str, bytes] | None) -> list[AskedCall]:
    """The calls in a model's answer. Never raises."""
    if body is None or body[0] != MESSAGE or len(body[1]) > MAX_BODY_BYTES or b'"tool_call"' not in body[1]:
        return []
    try:
        parts = json.loads(body[1]).get("parts") or ()
    except (ValueError, RecursionError, AttributeError):
        return []
    asked = (
        [p for p in parts if isinstance(p, dict) and p.get("type") == "tool_call"] if isinstance(parts, list) else []
    )
    return [call for part in asked[:_MAX_CALLS_COUNT] if (call := _call(part)) is not None]


def _call(part: dict[str, Any]) -> AskedCall | None:
    name, call_id = part.get("name"), part.get("id")
    if not isinstance(name, str) or not name:
        return None
    arguments, broken = read_arguments(part.get("arguments"))
    return AskedCall(call_id if isinstance(call_id, str) else "", name, arguments, broken, key_of(arguments, broken))


def read_arguments(value: Any) -> tuple[dict[str, Any] | None, str]:
    """Arguments as an object, None where they are not known; and the text that was meant to be one and is none."""
    for _ in range(4):
        if not isinstance(value, str):
            break
        known, value = value, decoded(value)
        if value is known or value == known:
            break
    if isinstance(value, Mapping):
        return {str(k): v for k, v in value.items()}, ""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        return None, value
    return None, ""


def arguments_in(body: tuple[str, bytes] | None) -> tuple[dict[str, Any] | None, str]:
    """The arguments in a payload, as `read_arguments` has them."""
    if body is None or len(body[1]) > MAX_BODY_BYTES:
        return None, ""
    return read_arguments(body[1].decode("utf-8", "replace"))


def unwrapped(arguments: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """Arguments out of the record that a framework keeps of a call (`{"args": [], "kwargs": {...}}`); others as they are."""
    if any(name in arguments for name in names):
        return arguments
    return next((arguments[key] for key in _KWARGS if isinstance(arguments.get(key), dict)), arguments)


def key_of(arguments: dict[str, Any] | None, broken: str) -> bytes:
    """What two calls with the same arguments have in common: canonical JSON, whole numbers written as such; empty for unknown."""
    if arguments is None:
        return broken.encode("utf-8", "replace")
    return canonical_json(_whole(arguments, 0))


def _whole(value: Any, depth: int) -> Any:
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 1e15 else value
    if depth < 64 and isinstance(value, dict):
        return {k: _whole(v, depth + 1) for k, v in value.items()}
    if depth < 64 and isinstance(value, list):
        return [_whole(v, depth + 1) for v in value]
    return value
