"""Builds OTLP requests in tests from a few words a span, and folds what the dialects make of them."""

from collections.abc import Iterable
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from trajectory.dialects.otlp import read_request
from trajectory.dialects.raw import RawEvent, RawSpan
from trajectory.graph.trace import Trace
from trajectory.model.fact import Batch, Fact, Payload, SpanEnded, SpanStarted, trace_of

TRACE_ID = bytes(range(1, 17))
BASE_NS = 1_790_000_000_000_000_000
SECOND_NS = 1_000_000_000


def span_id(number: int) -> bytes:
    """The id of the span that tests call by a number; 0 is no span."""
    return number.to_bytes(8, "big") if number else b""


def any_value(value: Any) -> AnyValue:
    """A plain value as OTLP's."""
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case str():
            return AnyValue(string_value=value)
        case bytes():
            return AnyValue(bytes_value=value)
        case list():
            made = AnyValue()
            made.array_value.values.extend(any_value(item) for item in value)
            return made
        case dict():
            made = AnyValue()
            made.kvlist_value.values.extend(key_values(value))
            return made
    raise TypeError(type(value))


def key_values(attributes: dict[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=any_value(value)) for key, value in attributes.items()]


def otel_span(
    number: int,
    name: str,
    parent: int = 0,
    at: float = 0.0,
    lasts: float = 1.0,
    *,
    error: str | None = None,
    events: Iterable[tuple[str, dict[str, Any]]] = (),
    links: Iterable[tuple[bytes, bytes, dict[str, Any]]] = (),
    kind: int = 1,
    **attributes: Any,
) -> Span:
    """A span that starts `at` seconds and lasts some; attribute names have `__` for a dot. `error` sets the status."""
    start_ns = BASE_NS + int(at * SECOND_NS)
    span = Span(
        trace_id=TRACE_ID,
        span_id=span_id(number),
        parent_span_id=span_id(parent),
        name=name,
        kind=kind,
        start_time_unix_nano=start_ns,
        end_time_unix_nano=start_ns + int(lasts * SECOND_NS),
        attributes=key_values({key.replace("__", "."): value for key, value in attributes.items()}),
    )
    if error is not None:
        span.status.CopyFrom(Status(code=Status.STATUS_CODE_ERROR, message=error))
    for event_name, event_attributes in events:
        span.events.append(
            Span.Event(name=event_name, time_unix_nano=start_ns, attributes=key_values(event_attributes))
        )
    for to_trace, to_span, link_attributes in links:
        span.links.append(Span.Link(trace_id=to_trace, span_id=to_span, attributes=key_values(link_attributes)))
    return span


def request(*spans: Span, scope: str = "test", **resource: Any) -> ExportTraceServiceRequest:
    """A request of one resource and one scope."""
    made = ExportTraceServiceRequest()
    group = made.resource_spans.add()
    named = {"service.name": "trips", "service.instance.id": "one"} | {
        k.replace("__", "."): v for k, v in resource.items()
    }
    group.resource.attributes.extend(key_values(named))
    scoped = group.scope_spans.add()
    scoped.scope.name = scope
    scoped.spans.extend(spans)
    return made


def facts(*spans: Span, **options: Any) -> list[Fact]:
    """The facts of a request in protobuf with these spans."""
    result = read_request(request(*spans, **options).SerializeToString(), "protobuf")
    assert not result.quarantined
    return [fact for batch in result.batches for fact in batch.facts]


def started(*spans: Span) -> SpanStarted:
    """The start of the first span."""
    return next(fact for fact in facts(*spans) if isinstance(fact, SpanStarted))


def ended(*spans: Span) -> SpanEnded:
    """The end of the first span."""
    return next(fact for fact in facts(*spans) if isinstance(fact, SpanEnded))


def fold(*spans: Span, in_order: bool = False, scope: str = "test") -> Trace:
    """The one trace of these spans. Every span comes in a request of its own, children first unless `in_order`."""
    sent = spans if in_order else tuple(reversed(spans))
    batches = [
        batch
        for span in sent
        for batch in read_request(request(span, scope=scope).SerializeToString(), "protobuf").batches
    ]
    (trace,) = traces(batches)
    return trace


def traces(batches: Iterable[Batch]) -> list[Trace]:
    """The traces of these batches, with their payloads at hand."""
    bodies: dict[bytes, tuple[str, bytes]] = {}
    found: dict[bytes, Trace] = {}
    for batch in batches:
        for fact in batch.facts:
            if isinstance(fact, Payload):
                bodies[fact.digest] = (fact.media_type, fact.body)
            elif trace_id := trace_of(fact):
                found.setdefault(trace_id, Trace(trace_id, bodies.get)).apply(fact, batch.source)
    return list(found.values())


def edges(trace: Trace) -> list[tuple[str, str, str, str]]:
    """(source, target, mode, grade) of every delegation, by time."""
    return [(d.source_agent, d.target_agent, str(d.mode), str(d.grade)) for d in trace.delegations()]


def raw(
    name: str = "span", events: Iterable[RawEvent] = (), message: str = "", status: str = "unset", **attributes: Any
) -> RawSpan:  # fmt: skip
    """A span in plain values; attribute names have `__` for a dot."""
    plain = {key.replace("__", "."): value for key, value in attributes.items()}
    return RawSpan(
        TRACE_ID, span_id(1), b"", name, BASE_NS, BASE_NS + SECOND_NS, status=status, message=message, attributes=plain,
        events=list(events),
    )  # fmt: skip
