"""OTLP's JSON as plain spans and log records.

Invariant: read by hand: ids are hexadecimal there (not base64 as in protobuf's own JSON mapping), 64-bit numbers are text or
numbers, unknown fields are ignored; what cannot be read costs nothing but itself. Called by `otlp`, `sniff`, `spanlist`; pure.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from trajectory.dialects.raw import (
    SPAN_KINDS,
    STATUSES,
    BadSpanError,
    LogGroup,
    RawEvent,
    RawLink,
    RawLog,
    RawSpan,
    SpanGroup,
)
from trajectory.dialects.values import MAX_DEPTH, clean, plain
from trajectory.errors import WireError


def document_of(body: bytes) -> Any:
    """A body's JSON. Raises WireError where it is none."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        pass  # it is strict: half an emoji, or NaN, is for the other one to read
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as fault:
        raise WireError(f"not JSON: {fault}") from None


def span_groups(document: Any) -> Iterator[SpanGroup]:
    """(resource, spans) of a trace request that is decoded. Raises WireError where it is none."""
    for group in _groups(document, "resourceSpans", "trace"):
        yield _resource_of(group), _spans(group)


def log_groups(document: Any) -> Iterator[LogGroup]:
    """(resource, records) of a logs request that is decoded. Raises WireError where it is none."""
    for group in _groups(document, "resourceLogs", "logs"):
        yield _resource_of(group), _logs(group)


def check_metrics(document: Any) -> None:
    """Raises WireError where the document is no metrics request."""
    _groups(document, "resourceMetrics", "metrics")


def _groups(document: Any, field: str, what: str) -> list[Any]:
    groups = _get(document, field)
    if isinstance(groups, list):
        return groups
    if document == {}:
        return []
    raise WireError(f"not an OTLP {what} request in JSON: no list `{field}`")


def _resource_of(group: Any) -> dict[str, Any]:
    resource = _get(group, "resource")
    return _attributes(_get(resource, "attributes"))


def _spans(group: Any) -> Iterator[RawSpan | BadSpanError]:
    for scope_spans in _objects(_get(group, "scopeSpans") or _get(group, "instrumentationLibrarySpans")):
        scope = _get(scope_spans, "scope")
        name = _text(scope.get("name")) if isinstance(scope, dict) else ""
        spans = _get(scope_spans, "spans")
        for span in spans if isinstance(spans, list) else []:
            try:
                yield _span(span, name)
            except (BadSpanError, RecursionError) as fault:
                told = _text(span.get("name"))[:80] if isinstance(span, dict) else ""
                yield BadSpanError(f"span {told!r}: {fault}")


def _span(span: Any, scope: str) -> RawSpan:
    if not isinstance(span, dict):
        raise BadSpanError("not an object")
    status = _get(span, "status")
    status = status if isinstance(status, dict) else {}
    return RawSpan(
        _id(_get(span, "traceId"), "trace id"),
        _id(_get(span, "spanId"), "span id"),
        _id(_get(span, "parentSpanId") or "", "parent span id"),
        _text(span.get("name")),
        whole(_get(span, "startTimeUnixNano")),
        whole(_get(span, "endTimeUnixNano")),
        _enum(SPAN_KINDS, span.get("kind"), "SPAN_KIND_"),
        scope,
        _enum(STATUSES, status.get("code"), "STATUS_CODE_"),
        _text(status.get("message")),
        _attributes(span.get("attributes")),
        [
            RawEvent(_text(e.get("name")), whole(_get(e, "timeUnixNano")), _attributes(e.get("attributes")))
            for e in _objects(span.get("events"))
        ],
        list(_links(span.get("links"))),
    ).check()


def _logs(group: Any) -> Iterator[RawLog | BadSpanError]:
    for scope_logs in _objects(_get(group, "scopeLogs")):
        scope = _get(scope_logs, "scope")
        name = _text(scope.get("name")) if isinstance(scope, dict) else ""
        records = _get(scope_logs, "logRecords")
        for record in records if isinstance(records, list) else []:
            try:
                yield _log(record, name)
            except (BadSpanError, RecursionError) as fault:
                yield BadSpanError(f"log record {_text(_get(record, 'eventName'))[:80]!r}: {fault}")


def _log(record: Any, scope: str) -> RawLog:
    if not isinstance(record, dict):
        raise BadSpanError("not an object")
    return RawLog(
        _id(_get(record, "traceId") or "", "trace id"),
        _id(_get(record, "spanId") or "", "span id"),
        whole(_get(record, "timeUnixNano")) or whole(_get(record, "observedTimeUnixNano")),
        _text(_get(record, "eventName")),
        number if isinstance(number := _number(_get(record, "severityNumber")), int) else 0,
        _value(record.get("body")),
        _attributes(record.get("attributes")),
        scope,
    ).check()


def _links(links: Any) -> Iterator[RawLink]:
    for link in _objects(links):
        try:
            trace_id, span_id = _id(_get(link, "traceId"), "link"), _id(_get(link, "spanId"), "link")
        except BadSpanError:
            continue
        yield RawLink(trace_id, span_id, _attributes(link.get("attributes")))


def _attributes(pairs: Any) -> dict[str, Any]:
    return {_text(pair.get("key")): _value(pair.get("value")) for pair in _objects(pairs)}


def _value(value: Any, depth: int = MAX_DEPTH) -> Any:
    if not isinstance(value, dict) or depth == 0:
        return None
    for key, held in value.items():
        match key:
            case "stringValue" | "string_value":
                return _text(held)
            case "intValue" | "int_value":
                return _number(held)
            case "boolValue" | "bool_value":
                return bool(held)
            case "doubleValue" | "double_value":
                return plain(held) if isinstance(held, (int, float, str)) else None
            case "bytesValue" | "bytes_value":
                return _text(held)  # base64 text says as much as bytes, and every reader can show it
            case "arrayValue" | "array_value":
                inner = held.get("values") if isinstance(held, dict) else None
                return [_value(item, depth - 1) for item in _objects(inner)]
            case "kvlistValue" | "kvlist_value":
                inner = held.get("values") if isinstance(held, dict) else None
                return {_text(p.get("key")): _value(p.get("value"), depth - 1) for p in _objects(inner)}
    return None


def _get(holder: Any, key: str) -> Any:
    """A field by its JSON name, or by its protobuf name, which OTLP allows to be refused but some writers use."""
    if not isinstance(holder, dict):
        return None
    if key in holder:
        return holder[key]
    return holder.get("".join(f"_{c.lower()}" if c.isupper() else c for c in key))


def _objects(values: Any) -> list[Mapping[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _text(value: Any) -> str:
    return clean(value) if isinstance(value, str) else ""


def _id(value: Any, what: str) -> bytes:
    try:
        return bytes.fromhex(value)
    except (TypeError, ValueError):
        raise BadSpanError(f"{what} is not hexadecimal") from None


def whole(value: Any) -> int:
    """A 64-bit number from text or a number; 0 where there is none. Raises BadSpanError where it is something else."""
    if value is None or value == "":
        return 0
    number = _number(value)
    if not isinstance(number, int):
        raise BadSpanError("time is not a whole number")
    return number


def _number(value: Any) -> Any:
    """A whole number from text or a number; what is none, as it came."""
    if isinstance(value, str) and len(value) < 32:
        try:
            return plain(int(value))
        except ValueError:
            return _text(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 63:
        return int(value)
    return plain(value) if isinstance(value, (int, float, str)) else None


def _enum(words: tuple[str, ...], value: Any, prefix: str) -> str:
    """An enumeration's word from its number or its name."""
    if isinstance(value, str):
        word = value.removeprefix(prefix).lower()
        if word in words:
            return word
        value = int(value) if value.isascii() and value.isdigit() and len(value) < 4 else 0
    return words[value] if isinstance(value, int) and 0 <= value < len(words) else words[0]
