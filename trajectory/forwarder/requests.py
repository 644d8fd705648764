"""Spans as export requests of a size that backends take, and a request in halves.

Invariant: every span of a portion is in one request, and no request has more than it may, but for a single span that is larger
than all. Pure.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from trajectory.export.otlp import Marks, request_of
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace

MAX_SPANS = 512
MAX_BYTES = 2 * 1024 * 1024  # gRPC servers take 4 MiB where nobody told them otherwise


class Portion(NamedTuple):
    """Spans of one trace that are to be sent; of a trace that `is_over`, those too that are still open."""

    trace: Trace
    spans: list[Span]
    is_over: bool = False


def requests_of(
    portions: Iterable[Portion], marks: Marks, max_spans: int = MAX_SPANS, max_bytes: int = MAX_BYTES
) -> Iterator[ExportTraceServiceRequest]:
    """The portions as requests, small ones together; `marks` as for `request_of`."""
    gathered = ExportTraceServiceRequest()
    count = size_bytes = 0
    for portion in portions:
        for at in range(0, len(portion.spans), max_spans):
            made = request_of(portion.trace, portion.spans[at : at + max_spans], marks, portion.is_over)
            for part in _fitting(made, max_bytes):
                part_count, part_bytes = span_count(part), part.ByteSize()
                if count and (count + part_count > max_spans or size_bytes + part_bytes > max_bytes):
                    yield gathered
                    gathered, count, size_bytes = ExportTraceServiceRequest(), 0, 0
                gathered.MergeFrom(part)
                count, size_bytes = count + part_count, size_bytes + part_bytes
    if count:
        yield gathered


def span_count(request: ExportTraceServiceRequest) -> int:
    return sum(len(scope.spans) for group in request.resource_spans for scope in group.scope_spans)


def halves(request: ExportTraceServiceRequest) -> tuple[ExportTraceServiceRequest, ExportTraceServiceRequest]:
    """The request in two, its spans in their order."""
    half = (span_count(request) + 1) // 2
    return _part(request, 0, half), _part(request, half, 1 << 62)


def _fitting(request: ExportTraceServiceRequest, max_bytes: int) -> Iterator[ExportTraceServiceRequest]:
    if request.ByteSize() <= max_bytes or span_count(request) <= 1:
        yield request
        return
    for half in halves(request):
        yield from _fitting(half, max_bytes)


def _part(request: ExportTraceServiceRequest, first: int, end: int) -> ExportTraceServiceRequest:
    part = ExportTraceServiceRequest()
    at = 0
    for group in request.resource_spans:
        for scope in group.scope_spans:
            spans = scope.spans[max(0, first - at) : max(0, end - at)]
            at += len(scope.spans)
            if spans:
                into = part.resource_spans.add(resource=group.resource, schema_url=group.schema_url)
                into.scope_spans.add(scope=scope.scope, schema_url=scope.schema_url).spans.extend(spans)
    return part
