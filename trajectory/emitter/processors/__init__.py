"""What happens to facts before they leave the process: sampling, users' processors, redaction, cutting, in this order.

Runs on the sender's thread alone, so the agent's thread pays nothing, and before anything is packed for the wire or the disk. A
processor is any callable `(Fact) -> Fact | None`; the types of facts are found here.
"""

from trajectory.emitter.processors.facts import (
    Fact,
    Payload,
    Processor,
    SpanEnded,
    SpanEvent,
    SpanLinked,
    SpanStarted,
    SpanUpdated,
)

__all__ = [
    "Fact", "Payload", "Processor", "SpanEnded", "SpanEvent", "SpanLinked", "SpanStarted", "SpanUpdated",
]  # fmt: skip
