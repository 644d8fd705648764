"""Spans of frameworks that follow no convention, read by how the names of their attributes end (`….tool.name`, `….llm.output`).

Invariant: asked only about a span that no other dialect knows, and what is read needs two signs that agree (a tool's name and
what it was given; what a model was given and an answer that is a message), so a span of other work stays what it is. Haystack's
own spans are of this sort. Called by `spans`.
"""

from collections.abc import Mapping
from typing import Any

from trajectory.dialects import messages as chat
from trajectory.dialects.raw import RawSpan
from trajectory.dialects.reading import HandOver, Reading
from trajectory.dialects.values import decoded, first_count, first_name, name_of
from trajectory.model.words import FINISH_REASONS, MODEL_NAME, TOOL_NAME, DelegationMode, Grade, Slot, SpanKind

_GIVEN = (".tool.input", ".tool.arguments", ".tool.args", ".tool.parameters")
_SIGNS = ("tool", "llm", "component")
_GOT = (".tool.output", ".tool.result")


def read(span: RawSpan) -> Reading | None:
    """The span as its attributes' endings tell it; None where they tell nothing."""
    attributes = span.attributes
    if span.words.isdisjoint(_SIGNS):
        return None
    tool, given = _ending(attributes, ".tool.name"), _ending(attributes, *_GIVEN)
    if tool and given:
        return _tool(attributes, name_of(attributes[tool]), given)
    asked, answered = _ending(attributes, ".llm.input"), _ending(attributes, ".llm.output")
    if asked:
        return _model(attributes, asked, answered)
    kind, named = _ending(attributes, ".component.type"), _ending(attributes, ".component.name")
    if kind and named and name_of(attributes[kind]).lower() == "agent":
        return Reading(SpanKind.AGENT, name_of(attributes[named]))
    return None


def _ending(attributes: Mapping[str, Any], *ends: str) -> str:
    return next((key for key in attributes if key.endswith(ends)), "")


def _tool(attributes: Mapping[str, Any], name: str, given: str) -> Reading:
    reading = Reading(SpanKind.TOOL, name=name, attributes={TOOL_NAME: name}, arguments=decoded(attributes[given]))
    got = _ending(attributes, *_GOT)
    result = decoded(attributes[got]) if got else None
    task = _conversation(reading.arguments)
    if task and (result is None or _conversation(result) or _is_failure(result)):
        reason = f"{name} is given a conversation"
        reading.hand_over = HandOver(DelegationMode.CALL, Grade.DECLARED, reason, target=name, tasks=_texts(task))
        last = result.get("last_message") if isinstance(result, Mapping) else None
        result = "\n".join(_texts([chat.message_of(last, "assistant")])) if last is not None else result
    reading.put(Slot.ARGUMENTS, chat.body_of(reading.arguments), given)
    reading.put(Slot.RESULT, chat.body_of(result), *([got] if got else []))
    return reading


def _conversation(value: Any) -> list[chat.Message]:
    """The messages that a value consists of; none where it is anything else."""
    told = value.get("messages") if isinstance(value, Mapping) else None
    whole = isinstance(told, list) and all(isinstance(m, Mapping) and "role" in m and "content" in m for m in told)
    return chat.messages_of(told) if whole else []


def _is_failure(result: Any) -> bool:
    """Whether nothing but an error came back, in whose place a conversation may have been."""
    return isinstance(result, Mapping) and set(result) == {"error"}


def _texts(messages: list[chat.Message]) -> list[str]:
    return [part["content"] for m in messages for part in m["parts"] if part.get("type") == "text"]


def _model(attributes: Mapping[str, Any], asked: str, answered: str) -> Reading | None:
    told = _conversation(decoded(attributes[asked]))
    answer = decoded(attributes.get(answered)) if answered else None
    replies = answer.get("replies") if isinstance(answer, Mapping) else None
    said = [reply for reply in replies if isinstance(reply, Mapping)] if isinstance(replies, list) else []
    if not told and not said:
        return None
    reading = Reading(SpanKind.MODEL)
    system, told = chat.split_system(told)
    reading.put(Slot.SYSTEM, chat.bodies(system))
    reading.put(Slot.INPUT, chat.bodies(told) or chat.body_of(attributes[asked]), asked)
    reading.put(Slot.OUTPUT, chat.bodies(chat.messages_of(said, "assistant")), answered)
    for reply in said:
        meta = reply.get("meta")
        usage = meta.get("usage") if isinstance(meta, Mapping) else None
        if isinstance(meta, Mapping) and isinstance(usage, Mapping):
            reading.input_tokens = first_count(usage, "prompt_tokens", "input_tokens")
            reading.output_tokens = first_count(usage, "completion_tokens", "output_tokens")
            if model := first_name(meta, "model"):
                reading.attributes[MODEL_NAME] = model
            if reason := first_name(meta, "finish_reason"):
                reading.attributes[FINISH_REASONS] = [reason]
    return reading
