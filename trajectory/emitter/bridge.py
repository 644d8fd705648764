"""Spans of an OpenTelemetry SDK over our own wire: at their start and at their end, redacted and kept like all that we send.

Invariant: the agent's thread notes a span and goes on; what it means is worked out on a thread of our own, in the order in which
spans began and ended. Nothing raises into the SDK; what finds no room is counted, and what
a kill takes before it was read is not. Given out as `trajectory.otel`.
"""

import atexit
import os
import queue
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, Span
from opentelemetry.sdk.trace import SpanProcessor as SdkProcessor
from opentelemetry.trace import SpanContext, get_current_span

from trajectory.dialects.raw import RawEvent, RawLink, RawSpan
from trajectory.dialects.reading import Body
from trajectory.dialects.spans import facts_of
from trajectory.dialects.values import plain
from trajectory.emitter import current
from trajectory.emitter.bodies import said_encoded, weight_of
from trajectory.emitter.current import Place, Scope, here
from trajectory.emitter.delivery import end_with_worker
from trajectory.emitter.misuse import report
from trajectory.emitter.queue import Fact
from trajectory.emitter.tracer import Tracer
from trajectory.model.fact import SpanEnded, SpanEvent, SpanLinked, SpanStarted, SpanUpdated
from trajectory.protocol.frames import GAP, SPAN_ENDED, SPAN_EVENT, SPAN_LINKED, SPAN_STARTED, SPAN_UPDATED

LIMIT_SPANS = 20_000  # that wait to be read
_TAGS = {
    SpanStarted: SPAN_STARTED, SpanEnded: SPAN_ENDED, SpanEvent: SPAN_EVENT, SpanUpdated: SPAN_UPDATED, SpanLinked: SPAN_LINKED,
}  # fmt: skip
_HEAVY_CHARS = 1024  # attributes of fewer are counted as a small fact
_END_S = 5.0

_MOST_ADOPTED = 10_000  # traces of OpenTelemetry that are part of one of ours

Noted = tuple[ReadableSpan, dict[str, Any] | None]  # the attributes at its start; None at its end
_adopted: dict[
    bytes, tuple[bytes, bytes]
] = {}  # a trace of OpenTelemetry's: the trace and the span of ours that it is under


class SpanProcessor(SdkProcessor):
    """`provider.add_span_processor(trajectory.otel.SpanProcessor())`: what the provider's spans say reaches a collector.

    Without a tracer of its own it takes one with the provider's resource, so the collector knows the process by the name that it
    has in OpenTelemetry; `endpoint` as in `trajectory.init`.
    """

    def __init__(self, endpoint: str = "", tracer: Tracer | None = None, limit_spans: int = LIMIT_SPANS) -> None:
        self._endpoint = endpoint
        self._tracer = tracer
        self._limit_spans = limit_spans
        self._begin()
        current.outside = _under_otel
        _living.add(self)
        atexit.register(_ended, weakref.ref(self))  # registered after the tracers' own, so it runs before it

    def _begin(self) -> None:
        self._noted: queue.SimpleQueue[Noted | threading.Event | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._dropped_count = 0
        self._is_over = False

    # --- on the agent's thread ------------------------------------------------------------------------------------------

    def on_start(self, span: Span, parent_context: Any = None) -> None:
        """Notes that a span began; on the agent's thread, and waits for nothing."""
        if span.parent is None and (place := here.get()) is not None and place.trace_id:
            _adopt(_ids(span.get_span_context())[0], place)
        self._note((span, dict(span.attributes or {})))

    def on_end(self, span: ReadableSpan) -> None:
        """Notes a span that ended, with all that it holds; as `on_start`."""
        self._note((span, None))

    def _on_ending(self, span: Span) -> None:
        """Of no use here: what is final comes with `on_end`."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Whether all that was noted before is on the collector's disk within the time."""
        deadline_s = time.monotonic() + timeout_millis / 1000
        if self._thread is None:
            return True
        read = threading.Event()
        self._noted.put(read)
        if not read.wait(timeout_millis / 1000) or self._tracer is None:
            return False
        return self._tracer.flush(max(0.0, deadline_s - time.monotonic()))

    def shutdown(self) -> None:
        """Sends what was noted, and takes nothing more."""
        self._end(_END_S)

    def _end(self, timeout_s: float) -> None:
        thread, self._is_over = self._thread, True
        if thread is None or not thread.is_alive():
            return
        self._noted.put(None)
        thread.join(timeout_s)
        if self._tracer is not None:
            self._tracer.close()  # which has its own patience, and the spool

    def _note(self, noted: Noted) -> None:
        try:
            if self._is_over or self._noted.qsize() >= self._limit_spans:
                self._dropped_count += 1
                return
            self._noted.put(noted)
            if self._thread is None:
                self._start()
        except Exception as fault:
            report("bridge", "trajectory: a span of OpenTelemetry could not be noted: %r", fault)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="trajectory-otel", daemon=True)
                thread.start()
                self._thread = thread
                end_with_worker(self, self.shutdown, priority=1)  # before the delivery that it puts into

    # --- on the bridge's thread -----------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (noted := self._noted.get()) is not None:
            if isinstance(noted, threading.Event):
                noted.set()
                continue
            try:
                self._bring(*noted)
            except Exception as fault:  # of a span that nobody has seen before; the others go on
                self._dropped_count += 1
                report("bridge", "trajectory: a span of OpenTelemetry could not be read: %r", fault)
            self._tell_of_drops()

    def _bring(self, span: ReadableSpan, started: dict[str, Any] | None) -> None:
        tracer = self._tracer
        if tracer is None:
            resource = dict(span.resource.attributes) if span.resource is not None else {}
            tracer = self._tracer = Tracer(str(resource.get("service.name", "")), self._endpoint, resource)
        raw = _placed(raw_of(span, started))
        if started is not None:
            tracer.open_spans[raw.span_id] = None
        else:
            tracer.open_spans.pop(raw.span_id, None)
        for fact in facts_of(raw, _Held()):
            told = (_TAGS[type(fact)], *(getattr(fact, name) for name in fact.__struct_fields__))
            weight = _weight_of(told)
            if weight:
                tracer.put_heavy(told, weight)
            else:
                tracer.put(told)

    def _tell_of_drops(self) -> None:
        count, tracer = self._dropped_count, self._tracer
        if count and tracer is not None:
            self._dropped_count -= count
            tracer.put((GAP, tracer.now_ns(), count, "queue_full"))


class _Held:
    """Contents as the emitter's queue takes them: the sender digests each body, and sends it once."""

    def slots(self, contents: Mapping[str, list[Body]]) -> dict[str, list[Any]]:
        return {str(slot): [said_encoded(*body) for body in bodies] for slot, bodies in contents.items()}


def _weight_of(fact: Fact) -> int:
    """What the queue counts for it; 0 for a small one."""
    if fact[0] == SPAN_LINKED:
        return 0
    contents, attributes = fact[-1], fact[-2]
    chars = sum(len(value) for value in attributes.values() if isinstance(value, str))
    weight: int = weight_of(contents) if contents else 0
    return weight + chars if weight or chars > _HEAVY_CHARS else 0


def raw_of(span: ReadableSpan, started: Mapping[str, Any] | None = None) -> RawSpan:
    """A span of the SDK in plain values; with the attributes that it `started` with, as it is open. Raises BadSpanError."""
    is_open, scope = started is not None, span.instrumentation_scope
    trace_id, span_id = _ids(span.get_span_context())
    return RawSpan(
        trace_id,
        span_id,
        _ids(span.parent)[1],
        span.name,
        span.start_time or 0,
        0 if is_open else span.end_time or 0,
        span.kind.name.lower(),
        scope.name if scope is not None else "",
        span.status.status_code.name.lower(),
        span.status.description or "",
        _attributes(started if started is not None else span.attributes),
        []
        if is_open
        else [RawEvent(event.name, event.timestamp, _attributes(event.attributes)) for event in span.events],
        [RawLink(*_ids(link.context), _attributes(link.attributes)) for link in span.links],
    ).check()


def _ids(context: SpanContext | None) -> tuple[bytes, bytes]:
    return (
        (context.trace_id.to_bytes(16, "big"), context.span_id.to_bytes(8, "big"))
        if context is not None
        else (b"", b"")
    )


def _attributes(given: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: plain(value) for key, value in given.items()} if given else {}


def _adopt(trace_id: bytes, place: Place) -> None:
    """A trace that OpenTelemetry begins inside a span of ours is part of our trace."""
    if trace_id != place.trace_id:
        _adopted[trace_id] = place.trace_id, place.span_id
        if len(_adopted) > _MOST_ADOPTED:
            _adopted.pop(next(iter(_adopted)), None)


def _placed(span: RawSpan) -> RawSpan:
    """The span where it stands in our traces: one that was begun inside a span of ours is under it."""
    trace_id, parent_id = _adopted.get(span.trace_id, (b"", b""))
    if trace_id:
        span.trace_id = trace_id
        span.parent_id = span.parent_id or parent_id
    for link in span.links:
        link.trace_id = _adopted.get(link.trace_id, (link.trace_id, b""))[0]
    return span


def _under_otel() -> Place | None:
    """The span of OpenTelemetry under which the running code stands, for a span of ours to be under."""
    span = get_current_span()
    if not span.is_recording():
        return None
    trace_id, span_id = _ids(span.get_span_context())
    scope = Scope(_adopted.get(trace_id, (trace_id, b""))[0], span_id)
    scope.agent = ""  # the agent's span above decides
    return scope


_living: "weakref.WeakSet[SpanProcessor]" = weakref.WeakSet()


def _ended(reference: "Callable[[], SpanProcessor | None]") -> None:
    processor = reference()
    if processor is not None:
        processor.shutdown()


def _after_fork_in_child() -> None:
    """A child has none of its parent's threads; its tracer is made over by the tracers' own hook."""
    for processor in list(_living):
        processor._begin()


os.register_at_fork(after_in_child=_after_fork_in_child)
