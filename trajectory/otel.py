"""For programs that have an OpenTelemetry SDK: `provider.add_span_processor(SpanProcessor())` sends its spans here, live.

Invariant: loads the SDK, and nothing of ours does so. Needs `opentelemetry-sdk` (the extra `otel`).
"""

from trajectory.emitter.bridge import SpanProcessor

__all__ = ["SpanProcessor"]
