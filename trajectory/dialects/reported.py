"""What an agent's message, as another received it, says of the agent's own work: a call of the model, answers of its tools.

Some frameworks make no span of a model call and let each message carry what it used (AutoGen's `models_usage`). Invariant: it
is told of the span that sent the message, at which the receiver's link points, and once by the message's id, however many
receive it; only words of the sender's own count. A call that is told so is marked as reported: the fold counts it only where no
span of the call itself says what it used. Called by `spans`.
"""

from collections.abc import Mapping
from typing import Any

from trajectory.dialects import messages as chat
from trajectory.dialects.ours import Slots
from trajectory.dialects.raw import RawLink, RawSpan
from trajectory.dialects.values import count_of, decoded, name_of
from trajectory.model.fact import Fact, SpanEnded, SpanStarted, SpanUpdated
from trajectory.model.hashing import blake2b
from trajectory.model.words import (
    AGENT_NAME,
    REPORTED_INPUT_TOKENS,
    REPORTED_OUTPUT_TOKENS,
    Slot,
    SpanKind,
    SpanStatus,
)


def facts_of(span: RawSpan, slots: Slots) -> list[Fact]:
    """Facts of the sender's work, in the sender's trace; none where the span received no message that tells of any."""
    sent = next((link for link in span.links if len(link.trace_id) == 16 and len(link.span_id) == 8), None)
    message = _message(span) if sent is not None and span.end_ns else None
    if sent is None or message is None:
        return []
    used = message.get("models_usage")
    if isinstance(used, Mapping):
        return _call(sent, message, used, span.start_ns, slots)
    answers = chat.bodies(_answers(message.get("content")))
    if not answers:
        return []
    return [SpanUpdated(sent.trace_id, sent.span_id, span.start_ns, 0, {}, slots({Slot.OUTPUT: answers}))]


def _message(span: RawSpan) -> Mapping[str, Any] | None:
    """The one message that a span received from the agent whose words it holds; a repeated history is under other keys."""
    told = span.attributes.get("message")
    if not isinstance(told, str) or not ("models_usage" in told or "call_id" in told):
        return None
    received = decoded(told)
    message = received.get("message") if isinstance(received, Mapping) else None
    if not isinstance(message, Mapping):
        return None
    source = name_of(message.get("source"))
    sender = name_of(span.attributes.get("sender_agent_type"))  # the name alone, or with the id of its team behind it
    return message if source and (sender == source or sender.startswith(source + "_")) else None


def _call(sent: RawLink, message: Mapping[str, Any], used: Mapping[str, Any], at_ns: int, slots: Slots) -> list[Fact]:
    """The model call that gave a message; what is known of its time is when the message came."""
    source, content = name_of(message.get("source")), message.get("content")
    identity = name_of(message.get("id")) or sent.span_id.hex()
    call_id = blake2b(f"reported call {identity}".encode(), digest_size=8).digest()
    said = {"tool_calls": content} if isinstance(content, list) else {"content": content}
    attributes = {
        AGENT_NAME: source,
        REPORTED_INPUT_TOKENS: count_of(used.get("prompt_tokens")) or 0,
        REPORTED_OUTPUT_TOKENS: count_of(used.get("completion_tokens")) or 0,
    }
    answer = slots({Slot.OUTPUT: chat.bodies([chat.message_of({"role": "assistant", **said}, "assistant")])})
    return [
        SpanStarted(
            sent.trace_id, call_id, sent.span_id, at_ns, 0, str(SpanKind.MODEL), "chat", source, attributes=attributes
        ),
        SpanEnded(sent.trace_id, call_id, at_ns, 0, str(SpanStatus.UNSET), contents=answer),
    ]  # fmt: skip


def _answers(content: Any) -> list[chat.Message]:
    """Results of tools, each under the id of its call, as messages."""
    results = [r for r in content if isinstance(r, Mapping) and r.get("call_id")] if isinstance(content, list) else []
    return [
        chat.message_of({"role": "tool", "tool_call_id": r["call_id"], "content": r.get("content")}) for r in results
    ]
