"""Spans as JSON objects: what OpenTelemetry's console exporters print, and files that hold a list of spans.

Invariant: read field by field like OTLP, so one bad span leaves its neighbours. Fields are found under their usual
spellings (`trace_id`, `traceId`, `context.trace_id`; `start_time`, `start_time_unix_ns`, ...). Called by `sniff`.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from trajectory.dialects.otlp_json import whole
from trajectory.dialects.raw import SPAN_KINDS, STATUSES, BadSpanError, RawEvent, RawLink, RawSpan, SpanGroup
from trajectory.dialects.values import clean, first, name_of, plain

_STARTS = ("start_time_unix_nano", "startTimeUnixNano", "start_time_unix_ns", "start_time", "startTime", "start_ns")
_ENDS = ("end_time_unix_nano", "endTimeUnixNano", "end_time_unix_ns", "end_time", "endTime", "end_ns")
_PARENTS = ("parent_span_id", "parentSpanId", "parent_id", "parentId")


def is_span(value: Any) -> bool:
    """Whether a JSON object looks like a span."""
    if not isinstance(value, Mapping) or "name" not in value:
        return False
    held = value.get("context") if isinstance(value.get("context"), Mapping) else value
    return isinstance(held, Mapping) and any(key in held for key in ("span_id", "spanId"))


def groups(spans: list[Any], shared: Mapping[str, Any]) -> list[SpanGroup]:
    """Spans by their resource; `shared` is the resource of those that name none."""
    found: dict[str, tuple[dict[str, Any], list[RawSpan | BadSpanError]]] = {}
    for span, read in zip(spans, _read(spans), strict=True):
        resource = _resource(span.get("resource") if isinstance(span, Mapping) else None) or dict(shared)
        found.setdefault(repr(sorted(resource.items())), (resource, []))[1].append(read)
    return list(found.values())


def _read(spans: list[Any]) -> Iterator[RawSpan | BadSpanError]:
    for span in spans:
        try:
            yield _span(span)
        except (BadSpanError, RecursionError) as fault:
            yield BadSpanError(f"span {name_of(span.get('name')) if isinstance(span, Mapping) else ''!r}: {fault}")


def _span(span: Any) -> RawSpan:
    if not isinstance(span, Mapping):
        raise BadSpanError("not an object")
    context = span["context"] if isinstance(span.get("context"), Mapping) else span
    status = span.get("status")
    status = status if isinstance(status, Mapping) else {"status_code": status}
    return RawSpan(
        _id(first(context, "trace_id", "traceId"), 16),
        _id(first(context, "span_id", "spanId"), 8),
        _id(first(span, *_PARENTS) or "", 8),
        clean(str(span.get("name") or "")),
        _time(first(span, *_STARTS)),
        _time(first(span, *_ENDS)),
        _word(SPAN_KINDS, span.get("kind")),
        "",
        _word(STATUSES, first(status, "status_code", "code", "statusCode")),
        clean(str(first(status, "description", "message") or "")),
        _attributes(span.get("attributes")),
        [
            RawEvent(
                clean(str(e.get("name") or "")),
                _time(first(e, "timestamp", "timestamp_unix_ns", "time", "timeUnixNano")),
                _attributes(e.get("attributes")),
            )
            for e in _objects(span.get("events"))
        ],
        list(_links(span.get("links"))),
    ).check()


def _links(links: Any) -> Iterator[RawLink]:
    for link in _objects(links):
        context = link["context"] if isinstance(link.get("context"), Mapping) else link
        try:
            yield RawLink(
                _id(first(context, "trace_id", "traceId"), 16),
                _id(first(context, "span_id", "spanId"), 8),
                _attributes(link.get("attributes")),
            )
        except BadSpanError:
            continue


def _resource(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {}
    return _attributes(value["attributes"] if isinstance(value.get("attributes"), Mapping) else value)


def _attributes(value: Any) -> dict[str, Any]:
    return {clean(str(key)): plain(held) for key, held in value.items()} if isinstance(value, Mapping) else {}


def _objects(values: Any) -> list[Mapping[str, Any]]:
    return [value for value in values if isinstance(value, Mapping)] if isinstance(values, list) else []


def _id(value: Any, length: int) -> bytes:
    """An id from hexadecimal text, with or without `0x` (which writers do not pad)."""
    if not isinstance(value, str):
        raise BadSpanError("id is no text")
    digits = value.removeprefix("0x")
    if not digits:
        return b""
    try:
        return bytes.fromhex(digits.zfill(length * 2) if digits is not value else digits)
    except ValueError:
        raise BadSpanError("id is not hexadecimal") from None


def _time(value: Any) -> int:
    """Nanoseconds from a number, its text, ISO text, or a (seconds, nanoseconds) pair."""
    if isinstance(value, list) and len(value) == 2 and all(isinstance(part, int) for part in value):
        return int(value[0]) * 1_000_000_000 + int(value[1])
    if isinstance(value, str) and "T" in value and len(value) < 40:
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise BadSpanError("time is neither a number nor ISO 8601") from None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000
    return whole(value)


def _word(words: tuple[str, ...], value: Any) -> str:
    """An enumeration's word from its name (`SpanKind.CLIENT`, `STATUS_CODE_OK`) or number."""
    if isinstance(value, int) and 0 <= value < len(words):
        return words[value]
    word = str(value or "").rsplit(".", 1)[-1].removeprefix("STATUS_CODE_").removeprefix("SPAN_KIND_").lower()
    return word if word in words else words[0]
