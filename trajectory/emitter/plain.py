"""Attributes as they may travel: text keys, and values that msgpack can say and that nobody can change afterwards.

Invariant: what comes out shares no mutable object with what came in. Called on the agent's thread at every start and update,
so the common case (a few scalars) is two calls into C; `packing` sees to keys and to lengths later, on the sender's thread.
"""

import json
from collections.abc import Mapping
from typing import Any

from trajectory.emitter.misuse import name_of, report
from trajectory.model.content import canonical_json
from trajectory.protocol.frames import MAX_DEPTH, is_bounded

LONG_TEXT = 1024  # characters; above it a text counts against the queue's bytes
MAX_TEXT = 16 * 1024  # characters of one attribute; bodies belong into contents
MAX_ATTRIBUTES = 256

FIXED = frozenset({int, float, bool, str, type(None)})  # what nobody can change
_TEXT = frozenset({str})


def attributes_of(given: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    """The attributes as a dict of our own, and the bytes of what had to be written out for it."""
    try:
        own = {**given}
    except Exception as fault:  # not a mapping, or a foreign one that raises
        report("attributes", "trajectory: attributes are a mapping of names to values: %r", fault)
        return {}, 0
    if len(own) <= MAX_ATTRIBUTES and FIXED.issuperset(map(type, own.values())):
        return own, 0
    return _careful(own)


def has_text_keys(fact: tuple[Any, ...]) -> bool:
    """Whether every attribute's name is text, as a collector requires."""
    last = fact[-2:]  # attributes are followed by contents at most
    return not any(type(field) is dict and field and not _TEXT.issuperset(map(type, field)) for field in last)


def _careful(given: dict[Any, Any]) -> tuple[dict[str, Any], int]:
    own: dict[str, Any] = {}
    weight = 0
    for key, value in given.items():
        if len(own) == MAX_ATTRIBUTES:
            break
        own[name_of(key)], size = _value(value)
        weight += size
    return own, weight


def _value(value: Any) -> tuple[Any, int]:
    """One value as plain data, and its weight in bytes where it is long."""
    if isinstance(value, str):
        text = _cut(str(value))
        return text, len(text) if len(text) > LONG_TEXT else 0
    if type(value) in FIXED:
        return value, 0
    if isinstance(value, (bytes, bytearray, memoryview)):
        body = bytes(value)[:MAX_TEXT]
        return body, len(body)
    written = canonical_json(value)
    if len(written) > MAX_TEXT:
        return _cut(written.decode()), MAX_TEXT
    try:
        read = json.loads(written)
    except RecursionError:
        read = None
    if read is None or (written.count(b"[") + written.count(b"{") >= MAX_DEPTH and not is_bounded([read])):
        return written.decode(), len(written)
    return read, len(written)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def mended(fact: tuple[Any, ...]) -> tuple[Any, ...]:
    """The fact with everything that msgpack refuses said in words, and every long text cut: for all facts but bodies."""
    return tuple(_mended(field) for field in fact)


def _mended(value: Any) -> Any:
    if isinstance(value, dict):
        return {name_of(key): _mended(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_mended(item) for item in value]
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        return str(value) if value.bit_length() < 4096 else f"integer of {value.bit_length()} bits"
    if isinstance(value, str):
        return _cut(str(value))
    if value is None or isinstance(value, (bool, int, float, bytes)):
        return value
    return repr(value)
