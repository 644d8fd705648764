"""OTLP's export requests, in protobuf or JSON, as batches of our facts.

Invariant: a body that is a request at all loses nothing but the spans that cannot be read, and says which those were.
JSON is read by hand: ids are hexadecimal there (not base64 as in protobuf's own JSON), 64-bit numbers are text or numbers,
unknown fields are ignored. Called by the collector's receiver and by `sniff`; pure.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from trajectory.dialects.raw import SPAN_KINDS, STATUSES, BadSpanError, RawEvent, RawLink, RawSpan
from trajectory.dialects.spans import Stored, facts_of
from trajectory.dialects.values import clean, plain
from trajectory.errors import WireError
from trajectory.model.content import canonical_json, digest
from trajectory.model.fact import Batch, Fact, Source

Media = Literal["protobuf", "json"]
_MAX_DEPTH = 32
_MAX_REASONS = 100


@dataclass(slots=True)
class ReadResult:
    """What a request held: a batch for each resource, and one line for each span that could not be read."""

    batches: list[Batch] = field(default_factory=list)
    quarantined: list[str] = field(default_factory=list)


def read_request(body: bytes, media: Media) -> ReadResult:
    """A trace export request as batches whose `first_seq` is 0: the caller numbers them.

    Raises WireError where the body is no request: truncated, garbage, or another message.
    """
    groups = _protobuf_groups(body) if media == "protobuf" else json_groups(_json_document(body))
    result = ReadResult()
    for resource, spans in groups:
        batch = batch_of(resource, spans, result.quarantined)
        if batch.facts:
            result.batches.append(batch)
    return result


def batch_of(resource: dict[str, Any], spans: Iterable["RawSpan | BadSpanError"], quarantined: list[str]) -> Batch:
    """The facts of one resource's spans; the spans that cannot be read are noted in `quarantined`."""
    stored = Stored()
    facts: list[Fact] = []
    for span in spans:
        if isinstance(span, BadSpanError):
            if len(quarantined) < _MAX_REASONS:
                quarantined.append(str(span))
            continue
        told = facts_of(span, stored)
        facts += stored.facts  # bodies before the facts that name them
        stored.facts = []
        facts += told
    return Batch(source_of(resource), 0, facts)


def source_of(resource: dict[str, Any]) -> Source:
    """Who sent: told apart by service and instance, or by the whole resource where it names no instance."""
    identity: dict[str, Any] = {
        key: resource[key] for key in ("service.namespace", "service.name", "service.instance.id") if key in resource
    }
    if "service.instance.id" not in identity:
        identity = resource
    return Source(digest("otlp", canonical_json(identity)), digest("otlp-boot", canonical_json(resource)), resource)


# --- protobuf -----------------------------------------------------------------------------------------------------------

Group = tuple[dict[str, Any], Iterable[RawSpan | BadSpanError]]


def _protobuf_groups(body: bytes) -> Iterator[Group]:
    request = ExportTraceServiceRequest()
    try:
        request.ParseFromString(body)
    except (DecodeError, ValueError, RecursionError) as fault:
        raise WireError(f"not an OTLP trace request in protobuf: {fault}") from None
    for group in request.resource_spans:
        yield _attributes(group.resource.attributes), _protobuf_spans(group)


def _protobuf_spans(group: Any) -> Iterator[RawSpan | BadSpanError]:
    for scope_spans in group.scope_spans:
        for span in scope_spans.spans:
            try:
                yield _protobuf_span(span, scope_spans.scope.name)
            except (BadSpanError, RecursionError) as fault:
                yield BadSpanError(f"span {span.name[:80]!r}: {fault}")


def _protobuf_span(span: Any, scope: str) -> RawSpan:
    return RawSpan(
        span.trace_id,
        span.span_id,
        span.parent_span_id,
        span.name,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        _of(SPAN_KINDS, span.kind),
        scope,
        _of(STATUSES, span.status.code),
        span.status.message,
        _attributes(span.attributes),
        [RawEvent(e.name, e.time_unix_nano, _attributes(e.attributes)) for e in span.events],
        [RawLink(link.trace_id, link.span_id, _attributes(link.attributes)) for link in span.links],
    ).check()


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any, depth: int = _MAX_DEPTH) -> Any:
    which = value.WhichOneof("value")
    if which is None or depth == 0:
        return None
    if which == "array_value":
        return [_value(item, depth - 1) for item in value.array_value.values]
    if which == "kvlist_value":
        return {pair.key: _value(pair.value, depth - 1) for pair in value.kvlist_value.values}
    return plain(getattr(value, which))


def _of(words: tuple[str, ...], index: Any) -> str:
    return words[index] if isinstance(index, int) and 0 <= index < len(words) else words[0]


# --- JSON ---------------------------------------------------------------------------------------------------------------


def _json_document(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as fault:
        raise WireError(f"not JSON: {fault}") from None


def json_groups(document: Any) -> Iterator[Group]:
    """(resource, spans) of a request in OTLP JSON that is decoded. Raises WireError where it is none."""
    if not isinstance(document, dict) or not isinstance(groups := _get(document, "resourceSpans"), list):
        if document == {}:
            return
        raise WireError("not an OTLP trace request in JSON: no list `resourceSpans`")
    for group in groups:
        resource = _get(group, "resource") if isinstance(group, dict) else None
        attributes = _json_attributes(_get(resource, "attributes")) if isinstance(resource, dict) else {}
        yield attributes, _json_spans(group)


def _json_spans(group: Any) -> Iterator[RawSpan | BadSpanError]:
    for scope_spans in _objects(_get(group, "scopeSpans") or _get(group, "instrumentationLibrarySpans")):
        scope = _get(scope_spans, "scope")
        name = _text(scope.get("name")) if isinstance(scope, dict) else ""
        spans = _get(scope_spans, "spans")
        for span in spans if isinstance(spans, list) else []:
            try:
                yield _json_span(span, name)
            except (BadSpanError, RecursionError) as fault:
                told = _text(span.get("name"))[:80] if isinstance(span, dict) else ""
                yield BadSpanError(f"span {told!r}: {fault}")


def _json_span(span: Any, scope: str) -> RawSpan:
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
        _json_attributes(span.get("attributes")),
        [
            RawEvent(_text(e.get("name")), whole(_get(e, "timeUnixNano")), _json_attributes(e.get("attributes")))
            for e in _objects(span.get("events"))
        ],
        list(_json_links(span.get("links"))),
    ).check()


def _json_links(links: Any) -> Iterator[RawLink]:
    for link in _objects(links):
        try:
            trace_id, span_id = _id(_get(link, "traceId"), "link"), _id(_get(link, "spanId"), "link")
        except BadSpanError:
            continue
        yield RawLink(trace_id, span_id, _json_attributes(link.get("attributes")))


def _json_attributes(pairs: Any) -> dict[str, Any]:
    return {_text(pair.get("key")): _json_value(pair.get("value")) for pair in _objects(pairs)}


def _json_value(value: Any, depth: int = _MAX_DEPTH) -> Any:
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
                return [_json_value(item, depth - 1) for item in _objects(inner)]
            case "kvlistValue" | "kvlist_value":
                inner = held.get("values") if isinstance(held, dict) else None
                return {_text(p.get("key")): _json_value(p.get("value"), depth - 1) for p in _objects(inner)}
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
    return _of(words, value)
