"""Emits spans with the OpenTelemetry SDK over OTLP/HTTP and prints what they cost, as `_emit_ours` does.

Invariant: the queue holds every span, so that none is dropped, and the time ends when the last is exported. Arguments: port,
count. Run by `emit` as a child in the peers' environment, so it imports nothing of ours.
"""

import json
import sys
import time

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import Tracer, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


def _spans(tracer: Tracer, count: int) -> None:
    for i in range(count):
        attributes = {
            "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search", "gen_ai.agent.name": "research",
            "user.id": "user-1234", "request.attempt": i, "request.temperature": 0.2,
            "request.cached": False, "request.query": "flights from Lyon to Oslo in May",
        }  # fmt: skip
        with tracer.start_as_current_span("search", attributes=attributes):
            pass


def main() -> None:
    """Warms up, measures, prints one JSON object."""
    port, count = int(sys.argv[1]), int(sys.argv[2])
    provider = TracerProvider()
    exporter = OTLPSpanExporter(endpoint=f"http://127.0.0.1:{port}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=2 * count + 1024))
    tracer = provider.get_tracer("benchmark")
    with tracer.start_as_current_span("bench"):
        _spans(tracer, 200)
        provider.force_flush(30_000)
        process_ns, thread_ns = time.process_time_ns(), time.thread_time_ns()
        _spans(tracer, count)
        thread_ns = time.thread_time_ns() - thread_ns
        provider.force_flush(120_000)
        process_ns = time.process_time_ns() - process_ns
    provider.shutdown()
    print(json.dumps({"thread_ns": thread_ns / count, "process_ns": process_ns / count}))


if __name__ == "__main__":
    main()
