"""A request's body as facts, by signal and encoding, and the answer in the encoding of the question.

Invariant: protobuf and JSON of one request give the same facts, and the same answer. Pure.

Paths, types and answers as the OTLP specification 1.9 has them (OTLP/HTTP).
"""

from collections.abc import Callable
from typing import Any, Literal

from google.protobuf import json_format
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from trajectory.dialects.otlp import Media, ReadResult, check_metrics, read_logs, read_request
from trajectory.dialects.raw import RawSpan
from trajectory.errors import WireError
from trajectory.receiver import bounds
from trajectory.receiver.bodies import RefusedError

Signal = Literal["traces", "logs", "metrics"]
CONTENT_TYPES: dict[Media, str] = {"protobuf": "application/x-protobuf", "json": "application/json"}
_MEDIA: dict[str, Media] = {
    "application/x-protobuf": "protobuf",
    "application/protobuf": "protobuf",
    "application/json": "json",
}
_RESPONSES: dict[Signal, tuple[type, str]] = {
    "traces": (ExportTraceServiceResponse, "rejected_spans"),
    "logs": (ExportLogsServiceResponse, "rejected_log_records"),
    "metrics": (ExportMetricsServiceResponse, "rejected_data_points"),
}
_REQUESTS: dict[Signal, type] = {
    "traces": ExportTraceServiceRequest,
    "logs": ExportLogsServiceRequest,
    "metrics": ExportMetricsServiceRequest,
}
# google.rpc.Code for the statuses that we answer
_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 405: 12, 408: 4, 413: 8, 415: 3, 429: 8, 503: 14}
_TOLD_REASONS = 3
_REASON_CHARS = 300


def media_of(content_type: str) -> Media:
    """Raises RefusedError where OTLP knows no such type."""
    media = _MEDIA.get(content_type.partition(";")[0].strip().lower())
    if media is None:
        raise RefusedError(
            415, f"Content-Type {content_type[:60]!r} is not known: send application/x-protobuf or application/json"
        )
    return media


def read(signal: Signal, media: Media, body: bytes, is_wanted: Callable[[RawSpan], bool]) -> ReadResult:
    """What a request holds. Raises RefusedError where it is none. Metrics are looked at and not kept."""
    bounds.check(body, media, _REQUESTS[signal])
    try:
        match signal:
            case "traces":
                return read_request(body, media, is_wanted)
            case "logs":
                return read_logs(body, media)
        check_metrics(body, media)
    except WireError as fault:
        raise RefusedError(400, str(fault)[:_REASON_CHARS]) from None
    return ReadResult()


def taken(signal: Signal, rejected_count: int, reasons: list[str]) -> Any:
    """The response that says so: how much was rejected, and why, where anything was."""
    kind, field = _RESPONSES[signal]
    response = kind()
    if rejected_count:
        setattr(response.partial_success, field, rejected_count)
        response.partial_success.error_message = "; ".join(reasons[:_TOLD_REASONS])[:_REASON_CHARS]
    return response


def written(message: Any, media: Media) -> bytes:
    """An answer as bytes."""
    if media == "json":
        return str(json_format.MessageToJson(message, indent=None)).encode()
    return bytes(message.SerializeToString())


def refused(fault: RefusedError) -> Any:
    """The status message that says why a request was not taken."""
    return Status(code=_CODES.get(fault.status, 2), message=str(fault))
