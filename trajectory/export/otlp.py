"""Traces as OTLP: one `ExportTraceServiceRequest`, in JSON or protobuf, for any OpenTelemetry backend and for us again.

Invariant: read back through `trajectory.dialects`, it gives the same graph: all that spans' facts told but what OTLP has no form
for. Spans speak the GenAI conventions, v0.1.0, with our own attributes beside them, and each says which attributes it has
from here alone. JSON follows the OTLP specification where it departs from protobuf's own mapping: ids in hexadecimal,
enumerations as numbers. Called through `trajectory.export.contract`, and by the forwarder.
"""

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, BinaryIO

from trajectory import __version__
from trajectory.dialects.ours import (
    ADDED,
    AGENT,
    END,
    KIND,
    LINK_AT,
    LINK_KIND,
    OPEN,
    OPERATIONS,
    STATE,
    SURFACE,
    UNSTARTED,
    is_control,
)
from trajectory.export.contract import TRACE, Subject
from trajectory.export.otlp_content import content_attributes, event_content
from trajectory.graph.delegations import Delegation
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace, tool_name
from trajectory.model.fact import Source, SpanEvent
from trajectory.model.words import (
    AGENT_NAME,
    CLOCK_CORRECTED,
    CLOCK_OFFSET,
    DELEGATION_GRADE,
    DELEGATION_MODE,
    DELEGATION_REASON,
    DELEGATION_SOURCE,
    DELEGATION_TARGET,
    EVENT_DELTA,
    TOOL_NAME,
    DelegationMode,
    Slot,
    SpanKind,
    SpanStatus,
)
from trajectory.view.text import seen

_MAX_DEPTH = 32
Marks = Callable[[Mapping[str, Any]], Mapping[str, Any]]
_NOBODY = Source(b"", b"")  # whose spans nobody told the start of
_INT64 = range(-(1 << 63), 1 << 63)
_INTERNAL, _CLIENT = 1, 3
_STATUS = {SpanStatus.UNSET: 0, SpanStatus.OK: 1, SpanStatus.ERROR: 2}


class OtlpJson:
    """OTLP JSON: one request on one line, as the file exporters of OpenTelemetry write it."""

    suffix = ".otlp.json"
    of = frozenset({TRACE})

    def write(self, subject: Subject, out: BinaryIO) -> None:
        from google.protobuf.json_format import MessageToDict

        request = linked(request_of(subject.trace), subject.trace)
        document = MessageToDict(request, use_integers_for_enums=True)
        _hexadecimal(document)
        out.write(seen(json.dumps(document, ensure_ascii=False, separators=(",", ":"))).encode() + b"\n")


class OtlpProtobuf:
    """OTLP protobuf: the body of a `POST /v1/traces`."""

    suffix = ".otlp.pb"
    of = frozenset({TRACE})

    def write(self, subject: Subject, out: BinaryIO) -> None:
        out.write(linked(request_of(subject.trace), subject.trace).SerializeToString())


def linked(request: Any, trace: Trace) -> Any:
    """A request with the links that were worked out: where values came from, and the steps of cascades. They say that no emitter
    sent them, and are not read again."""
    from trajectory.export.links import derived_links

    links = derived_links(trace)
    for message in (span for group in request.resource_spans for scope in group.scope_spans for span in scope.spans):
        for to_span_id, attributes in links.get(message.span_id, ()):
            _put(message.links.add(trace_id=trace.trace_id, span_id=to_span_id).attributes, attributes)
    return request


def request_of(
    trace: Trace, spans: Iterable[Span] | None = None, marks: Marks = lambda resource: {}, is_over: bool = False
) -> Any:
    """Spans of a trace (None: all) as an `ExportTraceServiceRequest`: one `ResourceSpans` for each emitting process, by start.

    `marks` are what is put on each resource besides what it says. Where the trace `is_over`, an open span is given the last
    instant of the trace as its end, because backends know no other spans, and says that it is open.
    """
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest()
    # Of a span that put several agents to work no one of them is whom it went to.
    delegations = {d.delegation_id: d for d in trace.delegations() if not d.is_shared}
    groups: dict[tuple[bytes, bytes], Any] = {}
    for span in sorted(trace.spans.values() if spans is None else spans, key=lambda s: s.order_key):
        if span.is_unheard:
            continue
        source = span.source or _NOBODY
        key = (source.emitter_id, source.boot_id)
        if key not in groups:
            groups[key] = _group(request, source, marks)
        _write_span(groups[key].spans.add(), trace, span, delegations.get(span.span_id), is_over)
    return request


def _group(request: Any, source: Source, marks: Marks) -> Any:
    group = request.resource_spans.add()
    resource = {CLOCK_CORRECTED if key == CLOCK_OFFSET else key: value for key, value in source.resource.items()}
    _put(group.resource.attributes, {"service.instance.id": source.emitter_id.hex(), **resource, **marks(resource)})
    scope_spans = group.scope_spans.add()
    scope_spans.scope.name, scope_spans.scope.version = "trajectory", __version__
    return scope_spans


def _write_span(message: Any, trace: Trace, span: Span, delegation: Delegation | None, is_over: bool) -> None:
    message.trace_id, message.span_id, message.parent_span_id = span.trace_id, span.span_id, span.parent_id
    message.name = _text(span.name)
    message.kind = _CLIENT if span.kind == SpanKind.MODEL else _INTERNAL
    state = UNSTARTED if span.is_placeholder else OPEN if is_over and span.is_open else ""
    ends_ns = trace.last_ns if state == OPEN else span.end_ns
    message.start_time_unix_nano, message.end_time_unix_nano = (
        _instant(span.start_ns or _first_ns(span)),
        _instant(ends_ns),
    )
    message.status.code = _STATUS.get(
        SpanStatus(span.status) if span.status in tuple(SpanStatus) else SpanStatus.UNSET, 0
    )
    message.status.message = _text(span.message)
    _put(message.attributes, _attributes(trace, span, delegation, state))
    for event in [*span.events, *_streamed(span)]:
        told = message.events.add(name=_text(event.name), time_unix_nano=_instant(event.at_ns))
        _put(told.attributes, {**event.attributes, **event_content(trace, event)})
    for link in span.links:
        drawn = message.links.add(trace_id=link.to_trace_id, span_id=link.to_span_id)
        at = {LINK_AT: link.at_ns} if link.at_ns != span.start_ns else {}
        _put(drawn.attributes, {**link.attributes, LINK_KIND: link.kind, **at})


def _first_ns(span: Span) -> int:
    """The first instant that is known of a span whose start is not."""
    told = (span.end_ns, *(fact.at_ns for fact in (*span.events, *span.links)))
    return min((at_ns for at_ns in told if at_ns), default=0)


def _streamed(span: Span) -> list[SpanEvent]:
    """What was streamed so far of an output that has not come, as one piece."""
    if not span.partial_text or Slot.OUTPUT in span.contents:
        return []
    return [
        SpanEvent(span.trace_id, span.span_id, span.last_ns, 0, EVENT_DELTA, attributes={"text": span.partial_text})
    ]


def _attributes(trace: Trace, span: Span, delegation: Delegation | None, state: str) -> dict[str, Any]:
    """The span's own attributes, and what they leave unsaid; which that is stands beside them."""
    own = {key: value for key, value in span.attributes.items() if not is_control(str(key))}
    said: dict[str, Any] = {}
    operation = OPERATIONS.get(SpanKind(span.kind)) if span.kind in tuple(SpanKind) else None
    if operation:
        said["gen_ai.operation.name"] = operation
    agent = span.agent or (span.name if span.kind == SpanKind.AGENT else "")
    if agent:
        said[AGENT_NAME] = agent
    if span.kind == SpanKind.TOOL:
        said[TOOL_NAME] = tool_name(span)
    if span.kind == SpanKind.DELEGATION and delegation is not None:
        said.update(_hand_over(delegation))
    control: dict[str, Any] = {KIND: str(span.kind), AGENT: span.agent, SURFACE: str(span.surface)}
    if state:
        control[STATE] = state
    elif span.end_ns and span.end_ns < span.start_ns:
        control[END] = span.end_ns
    said.update(content_attributes(trace, span))
    added = {key: value for key, value in said.items() if key not in own}
    control[ADDED] = [key for key in added if not is_control(key)]
    return {**control, **added, **own}


def _hand_over(delegation: Delegation) -> dict[str, Any]:
    """A delegation in our words and in the conventions' for a tool that passes work to an agent."""
    is_transfer = delegation.mode == DelegationMode.TRANSFER
    source, target = delegation.source_agent, delegation.target_agent
    return {
        DELEGATION_SOURCE: source,
        DELEGATION_TARGET: target,
        DELEGATION_MODE: delegation.mode,
        DELEGATION_GRADE: delegation.grade,
        DELEGATION_REASON: delegation.reason,
        TOOL_NAME: f"transfer_to_{target}" if is_transfer else f"delegate_to_{target}",
        "gen_ai.transfer.mode": "pass_control" if is_transfer else "return_to_caller",
        "gen_ai.transfer.target.name": target,
        "gen_ai.transfer.target.type": "agent",
        **({AGENT_NAME: source} if source else {}),
    }


def _put(pairs: Any, attributes: dict[str, Any]) -> None:
    for key, value in attributes.items():
        pair = pairs.add(key=_text(str(key)))
        if value is not None:
            _set(pair.value, value)


def _set(into: Any, value: Any, depth: int = 0) -> None:
    """Fills an `AnyValue`; what it has no field for, and what lies too deep, is said as text."""
    if isinstance(value, bool):
        into.bool_value = value
    elif isinstance(value, int) and value in _INT64:
        into.int_value = value
    elif isinstance(value, float):
        into.double_value = value
    elif isinstance(value, (bytes, bytearray)):
        into.bytes_value = bytes(value)
    elif isinstance(value, (list, tuple)) and depth < _MAX_DEPTH:
        into.array_value.SetInParent()
        for item in value:
            held = into.array_value.values.add()
            if item is not None:
                _set(held, item, depth + 1)
    elif isinstance(value, dict) and depth < _MAX_DEPTH:
        into.kvlist_value.SetInParent()
        for key, item in value.items():
            pair = into.kvlist_value.values.add(key=_text(str(key)))
            if item is not None:
                _set(pair.value, item, depth + 1)
    else:
        into.string_value = _text(str(value)) if depth < _MAX_DEPTH else "(nested too deeply to be written)"


def _instant(at_ns: int) -> int:
    """An instant that every reader takes: OTLP's 64 bits have no sign, and Go's and ours have one."""
    return min(max(at_ns, 0), _INT64.stop - 1)


def _text(text: str) -> str:
    """Text that UTF-8 can carry."""
    return text.encode("utf-8", "replace").decode()


def _hexadecimal(document: dict[str, Any]) -> None:
    """Turns the ids of a request in protobuf's JSON, base64, into what OTLP's JSON has: hexadecimal."""
    for group in document.get("resourceSpans", ()):
        for scope_spans in group.get("scopeSpans", ()):
            for span in scope_spans.get("spans", ()):
                for holder in (span, *span.get("links", ())):
                    for key in ("traceId", "spanId", "parentSpanId"):
                        if key in holder:
                            holder[key] = base64.b64decode(holder[key]).hex()


OTLP_JSON, OTLP_PROTOBUF = OtlpJson(), OtlpProtobuf()
