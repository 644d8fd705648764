"""Facts as JSON records and back, field by field: what a line of our own files holds.

Invariant: `fact_in(fact_out(fact)) == fact` for every fact that can travel, and any record at all either reads or raises
ValueError, TypeError or KeyError. Fields at their default are left out, and unknown ones are left unread, because fields
are only ever appended. Called by `trajectory.dialects.jsonl`.
"""

import base64
import math
from collections.abc import Callable
from typing import Any

import msgspec

from trajectory.model.fact import (
    Evidence,
    Fact,
    Finding,
    Found,
    Gap,
    Heartbeat,
    Marked,
    Payload,
    Source,
    SpanEnded,
    SpanEvent,
    SpanLinked,
    SpanStarted,
    SpanUpdated,
)

TOO_DEEP = "(nested too deeply to be written)"
_MAX_DEPTH = 64
_MAX_NS = 1 << 63
_LENGTHS = {
    "trace_id": (16,),
    "span_id": (8,),
    "parent_id": (0, 8),
    "to_trace_id": (16,),
    "to_span_id": (8,),
    "digest": (16,),
}

TYPES: dict[str, type[msgspec.Struct]] = {
    "span_started": SpanStarted,
    "span_ended": SpanEnded,
    "span_event": SpanEvent,
    "span_updated": SpanUpdated,
    "span_linked": SpanLinked,
    "payload": Payload,
    "heartbeat": Heartbeat,
    "gap": Gap,
    "found": Found,
    "marked": Marked,
}
_NAMES = {struct: name for name, struct in TYPES.items()}


def fact_out(fact: Fact) -> dict[str, Any]:
    """A fact as a record with its `type`."""
    record = {"type": _NAMES[type(fact)], **_fields_out(fact)}
    if isinstance(fact, Payload):
        del record["body"]
        try:
            record["text"] = fact.body.decode()
        except UnicodeDecodeError:
            record["base64"] = base64.b64encode(fact.body).decode()
    return record


def fact_in(kind: str, record: dict[str, Any]) -> Fact:
    """The fact of that type that a record holds."""
    if kind == "payload":
        text = record.get("text")
        body = _text(text).encode() if text is not None else base64.b64decode(_text(record["base64"]), validate=True)
        record = {**record, "body": body.hex()}
    fact: Fact = _fields_in(TYPES[kind], record)
    return fact


def source_out(source: Source) -> dict[str, Any]:
    """Who emitted, as a record."""
    return {"type": "source", **_fields_out(source)}


def source_in(record: dict[str, Any]) -> Source:
    """Who emitted, from its record."""
    source: Source = _fields_in(Source, record)
    return source


def _fields_out(struct: msgspec.Struct) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for field in _FIELDS[type(struct)]:
        value = getattr(struct, field.name)
        if field.required or value != _default(field):
            record[field.name] = _WAYS[field.type][0](value)
    return record


def _fields_in(struct: type[Any], record: dict[str, Any]) -> Any:
    """A struct from its record. Fields that this release does not know are left, because fields are only ever appended."""
    values: dict[str, Any] = {}
    for field in _FIELDS[struct]:
        if field.name not in record:
            if field.required:
                raise ValueError(f"{field.name} is missing")
            continue
        try:
            values[field.name] = _checked(field.name, _WAYS[field.type][1](record[field.name]))
        except (ValueError, TypeError) as fault:
            raise ValueError(f"{field.name}: {fault}") from None
    return struct(**values)


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default if field.default is not msgspec.NODEFAULT else field.default_factory()


def _checked(name: str, value: Any) -> Any:
    lengths = _LENGTHS.get(name)
    if lengths is not None and len(value) not in lengths:
        raise ValueError(f"{len(value)} bytes, and not {lengths[-1]}")
    if name == "at_ns" and not 0 <= value < _MAX_NS:
        raise ValueError("time out of range")
    return value


def _hex(value: Any) -> bytes:
    return bytes.fromhex(_text(value))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"text expected, not {type(value).__name__}")
    return value


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"a whole number expected, not {type(value).__name__}")
    return value


def whole(value: Any) -> int:
    """A whole number from 0 up; ValueError on anything else."""
    if _integer(value) < 0:
        raise ValueError("a number from 0 up expected")
    return int(value)


def _number(value: Any) -> float:
    value = _value_in(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"a number expected, not {type(value).__name__}")
    return float(value)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"a list expected, not {type(value).__name__}")
    return value


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"an object expected, not {type(value).__name__}")
    return value


def _attributes_out(attributes: dict[str, Any]) -> dict[str, Any]:
    """Attributes by name: the names are text, so nothing is said about the mapping itself, only about its values."""
    return {str(key): _value_out(value) for key, value in attributes.items()}


def _attributes_in(record: Any) -> dict[str, Any]:
    return {key: _value_in(value) for key, value in _mapping(record).items()}


def _value_out(value: Any, depth: int = 0) -> Any:
    """A value as JSON; what came from nowhere that facts travel is said by its `str`."""
    if value is None or isinstance(value, (str, int)):
        return value
    if depth > _MAX_DEPTH:
        return TOO_DEEP
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": str(value)}
    if isinstance(value, (bytes, bytearray)):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, (list, tuple)):
        return [_value_out(item, depth + 1) for item in value]
    if isinstance(value, dict):
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: _value_out(item, depth + 1) for key, item in value.items()}
        return {"$map": [[_value_out(key, depth + 1), _value_out(item, depth + 1)] for key, item in value.items()]}
    return str(value)


def _value_in(value: Any) -> Any:
    if isinstance(value, list):
        return [_value_in(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and (key := next(iter(value))).startswith("$"):
        said = value[key]
        if key == "$bytes":
            return base64.b64decode(_text(said), validate=True)
        if key == "$float" and said in ("nan", "inf", "-inf"):
            return float(said)
        if key == "$map":
            return {_value_in(name): _value_in(item) for name, item in map(_list, _list(said))}
        raise ValueError(f"unknown form {key[:20]!r}")
    return {key: _value_in(item) for key, item in value.items()}


def _same(value: Any) -> Any:
    return value


# How each type of field is written, and read.
_WAYS: dict[Any, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    bytes: (bytes.hex, _hex),
    str: (_same, _text),
    int: (_same, _integer),
    float: (_value_out, _number),
    list[bytes]: (lambda ids: [i.hex() for i in ids], lambda record: [_hex(i) for i in _list(record)]),
    dict[str, Any]: (_attributes_out, _attributes_in),
    dict[str, list[bytes]]: (
        lambda slots: {slot: [d.hex() for d in digests] for slot, digests in slots.items()},
        lambda record: {slot: [_hex(d) for d in _list(digests)] for slot, digests in _mapping(record).items()},
    ),
    list[Evidence]: (
        lambda pieces: [_fields_out(piece) for piece in pieces],
        lambda record: [_fields_in(Evidence, _mapping(piece)) for piece in _list(record)],
    ),
    Finding: (_fields_out, lambda record: _fields_in(Finding, _mapping(record))),
}
_STRUCTS: list[type[msgspec.Struct]] = [*TYPES.values(), Source, Finding, Evidence]
_FIELDS = {struct: msgspec.structs.fields(struct) for struct in _STRUCTS}
