"""OTLP's protobuf messages as plain spans and log records.

Invariant: what cannot be read costs nothing but itself: at its place stands why. Called by `otlp`; pure.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

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
from trajectory.dialects.values import MAX_DEPTH, plain
from trajectory.errors import WireError


def span_groups(body: bytes) -> Iterator[SpanGroup]:
    """(resource, spans) of a trace request. Raises WireError where the body is none."""
    request = _parsed(ExportTraceServiceRequest(), body, "trace")
    return ((_attributes(group.resource.attributes), _spans(group)) for group in request.resource_spans)


def log_groups(body: bytes) -> Iterator[LogGroup]:
    """(resource, records) of a logs request. Raises WireError where the body is none."""
    request = _parsed(ExportLogsServiceRequest(), body, "logs")
    return ((_attributes(group.resource.attributes), _logs(group)) for group in request.resource_logs)


def check_metrics(body: bytes) -> None:
    """Raises WireError where the body is no metrics request."""
    _parsed(ExportMetricsServiceRequest(), body, "metrics")


def _parsed(message: Any, body: bytes, what: str) -> Any:
    try:
        message.ParseFromString(body)
    except (DecodeError, ValueError, RecursionError) as fault:
        raise WireError(f"not an OTLP {what} request in protobuf: {fault}") from None
    return message


def _spans(group: Any) -> Iterator[RawSpan | BadSpanError]:
    for scope_spans in group.scope_spans:
        scope = scope_spans.scope.name
        for span in scope_spans.spans:
            try:
                yield _span(span, scope)
            except (BadSpanError, RecursionError) as fault:
                yield BadSpanError(f"span {span.name[:80]!r}: {fault}")


def _span(span: Any, scope: str) -> RawSpan:
    status, events, links = span.status, span.events, span.links
    return RawSpan(
        span.trace_id,
        span.span_id,
        span.parent_span_id,
        span.name,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        _of(SPAN_KINDS, span.kind),
        scope,
        _of(STATUSES, status.code),
        status.message,
        _attributes(span.attributes),
        [RawEvent(e.name, e.time_unix_nano, _attributes(e.attributes)) for e in events] if events else [],
        [RawLink(link.trace_id, link.span_id, _attributes(link.attributes)) for link in links] if links else [],
    ).check()


def _logs(group: Any) -> Iterable[RawLog | BadSpanError]:
    for scope_logs in group.scope_logs:
        for record in scope_logs.log_records:
            try:
                yield RawLog(
                    record.trace_id,
                    record.span_id,
                    record.time_unix_nano or record.observed_time_unix_nano,
                    record.event_name,
                    record.severity_number,
                    _value(record.body),
                    _attributes(record.attributes),
                    scope_logs.scope.name,
                ).check()
            except (BadSpanError, RecursionError) as fault:
                yield BadSpanError(f"log record {record.event_name[:80]!r}: {fault}")


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: pair.value.string_value or _value(pair.value) for pair in pairs}  # mostly it is text


def _value(value: Any, depth: int = MAX_DEPTH) -> Any:
    which = value.WhichOneof("value")
    if which == "string_value":
        return value.string_value  # protobuf has no other text than Unicode
    if which is None or depth == 0:
        return None
    if which == "array_value":
        return [_value(item, depth - 1) for item in value.array_value.values]
    if which == "kvlist_value":
        return {pair.key: _value(pair.value, depth - 1) for pair in value.kvlist_value.values}
    return plain(getattr(value, which))


def _of(words: tuple[str, ...], index: int) -> str:
    return words[index] if 0 <= index < len(words) else words[0]
