"""The Vercel AI SDK's own attributes (`ai.*`); its newer integration speaks the GenAI conventions.

Invariant: `ai.generateText` and its like are an agent's run where the caller named a function, else a plain wrapper; the
model call is the `.doGenerate` or `.doStream` below. Called by `spans`.
"""

from collections.abc import Mapping
from typing import Any

from trajectory.dialects import messages as chat
from trajectory.dialects.raw import RawSpan
from trajectory.dialects.reading import Reading
from trajectory.dialects.values import decoded, first, first_count, first_name, name_of, texts
from trajectory.model.words import FINISH_REASONS, MODEL_NAME, TOOL_CALL_ID, TOOL_NAME, Slot, SpanKind

_RUNS = {"ai.generateText", "ai.streamText", "ai.generateObject", "ai.streamObject"}


def read(span: RawSpan) -> Reading | None:
    """The span as the AI SDK tells it; None where it does not."""
    if "ai" not in span.words and not span.name.startswith("ai."):
        return None
    attributes = span.attributes
    function = name_of(attributes.get("ai.telemetry.functionId"))
    operation = name_of(attributes.get("ai.operationId")) or (span.name if span.name.startswith("ai.") else "")
    if not operation:
        return Reading(agent=function) if function else None
    reading = Reading()
    if operation in _RUNS:
        reading.kind, reading.agent = SpanKind.AGENT, function
        reading.not_agent = not function
    elif operation.endswith((".doGenerate", ".doStream")):
        reading.kind, reading.agent = SpanKind.MODEL, function
    elif operation == "ai.toolCall":
        _read_tool(attributes, reading)
    elif operation.startswith(("ai.embed", "ai.rerank")):
        reading.kind = SpanKind.RETRIEVAL
    _read_model(attributes, reading)
    if reading.kind != SpanKind.TOOL:
        _read_talk(attributes, reading)
    return reading


def _read_tool(attributes: Mapping[str, Any], reading: Reading) -> None:
    reading.kind = SpanKind.TOOL
    reading.name = first_name(attributes, "ai.toolCall.name")
    if reading.name:
        reading.attributes[TOOL_NAME] = reading.name
    call_id = first_name(attributes, "ai.toolCall.id")
    if call_id:
        reading.attributes[TOOL_CALL_ID] = call_id
    reading.arguments = decoded(first(attributes, "ai.toolCall.args", "ai.toolCall.input"))
    result = decoded(first(attributes, "ai.toolCall.result", "ai.toolCall.output"))
    reading.put(Slot.ARGUMENTS, chat.body_of(reading.arguments), "ai.toolCall.args", "ai.toolCall.input")
    reading.put(Slot.RESULT, chat.body_of(result), "ai.toolCall.result", "ai.toolCall.output")


def _read_model(attributes: Mapping[str, Any], reading: Reading) -> None:
    model = first_name(attributes, "ai.model.id", "ai.response.model")
    if model:
        reading.attributes[MODEL_NAME] = model
    provider = first_name(attributes, "ai.model.provider")
    if provider:
        reading.attributes["gen_ai.provider.name"] = provider
    reading.input_tokens = first_count(attributes, "ai.usage.inputTokens", "ai.usage.promptTokens", "ai.usage.tokens")
    reading.output_tokens = first_count(attributes, "ai.usage.outputTokens", "ai.usage.completionTokens")
    reading.used.add("ai.usage.")
    reasons = texts(attributes.get("ai.response.finishReason"))
    if reasons:
        reading.attributes[FINISH_REASONS] = reasons


def _read_talk(attributes: Mapping[str, Any], reading: Reading) -> None:
    told = chat.messages_of(attributes.get("ai.prompt.messages"))
    prompt = decoded(attributes.get("ai.prompt"))
    system: list[chat.Message] = []
    if isinstance(prompt, Mapping):
        system = chat.messages_of(prompt.get("system"), "system")
        told = told or chat.messages_of(first(prompt, "messages", "prompt"))
    elif prompt is not None:
        told = told or chat.messages_of(prompt)
    head, told = chat.split_system(told)
    said = chat.messages_of(first(attributes, "ai.response.text", "ai.response.object"), "assistant")
    calls = decoded(attributes.get("ai.response.toolCalls"))
    if isinstance(calls, list) and calls:
        said = [*said, chat.message_of({"role": "assistant", "tool_calls": calls})]
    reading.put(Slot.SYSTEM, chat.bodies(system or head))
    reading.put(Slot.INPUT, chat.bodies(told), "ai.prompt.messages", "ai.prompt")
    reading.put(Slot.OUTPUT, chat.bodies(said), "ai.response.text", "ai.response.object", "ai.response.toolCalls")
    tools = decoded(attributes.get("ai.prompt.tools"))
    if isinstance(tools, list):
        reading.put(Slot.TOOLS, chat.body_of([decoded(tool) for tool in tools]), "ai.prompt.tools")
