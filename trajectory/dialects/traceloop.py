"""Traceloop's attributes, which stand on top of the GenAI conventions': span kinds, entities, flattened prompts.

Invariant: a workflow or a task is no agent, whatever operation its span also names, except a task that is one agent's own
graph. Called by `spans`.
"""

from collections.abc import Mapping
from typing import Any

from trajectory.dialects import messages as chat
from trajectory.dialects.handover import of_handoff_span
from trajectory.dialects.langgraph import agent_of_graph
from trajectory.dialects.raw import RawSpan
from trajectory.dialects.reading import Reading
from trajectory.dialects.values import decoded, first, first_count, first_name, name_of, unflatten
from trajectory.model.words import MODEL_NAME, TOOL_NAME, Slot, SpanKind

_SIGNS = ("traceloop", "llm", "prompt")
_KINDS = {"agent": SpanKind.AGENT, "tool": SpanKind.TOOL, "handoff": SpanKind.DELEGATION}
_MODEL_REQUESTS = {"chat", "completion"}
_PROPERTIES = "traceloop.association.properties."


def read(span: RawSpan) -> Reading | None:
    """The span as Traceloop tells it; None where it does not."""
    if span.words.isdisjoint(_SIGNS):
        return None
    attributes = span.attributes
    said = name_of(attributes.get("traceloop.span.kind")).lower()
    request = name_of(attributes.get("llm.request.type")).lower()
    if not said and not request and not any(key.startswith(("traceloop.", "gen_ai.prompt.")) for key in attributes):
        return None
    reading = Reading(kind=_KINDS.get(said, SpanKind.MODEL if request in _MODEL_REQUESTS else SpanKind.OTHER))
    entity = first_name(attributes, "traceloop.entity.name")
    metadata = {
        key.removeprefix(_PROPERTIES): value for key, value in attributes.items() if key.startswith(_PROPERTIES)
    }
    graph_agent = name_of(metadata.get("lc_agent_name"))
    if said == "agent":
        named = first_name(attributes, "gen_ai.agent.name", "crewai.agent.role")
        reading.agent = named or entity or name_of(span.name.removesuffix(".agent"))
    elif said in ("task", "workflow") and (graph := agent_of_graph(entity, metadata)):
        reading.kind, reading.agent = SpanKind.AGENT, graph
    elif said in ("task", "workflow"):
        reading.not_agent = True
    elif reading.kind in (SpanKind.MODEL, SpanKind.TOOL) or not said:
        reading.agent = graph_agent
    if said == "handoff":
        source = first_name(attributes, "gen_ai.handoff.from_agent", "gen_ai.agent.name")
        target = first_name(attributes, "gen_ai.handoff.to_agent")
        reading.hand_over = of_handoff_span(source, target, "a handoff span")
    _read_contents(span, entity, reading)
    return reading


def _read_contents(span: RawSpan, entity: str, reading: Reading) -> None:
    attributes = span.attributes
    given = decoded(first(attributes, "traceloop.entity.input", "gen_ai.task.input"))
    got = decoded(first(attributes, "traceloop.entity.output", "gen_ai.task.output"))
    if reading.kind == SpanKind.TOOL:
        reading.name = first_name(attributes, "gen_ai.tool.name") or entity or name_of(span.name.removesuffix(".tool"))
        reading.attributes[TOOL_NAME] = reading.name
        asked = first(attributes, "gen_ai.tool.call.arguments")
        answered = first(attributes, "gen_ai.tool.call.result")
        reading.arguments = arguments_in(decoded(asked) if asked is not None else given)
        result = result_in(decoded(answered) if answered is not None else got)
        reading.put(Slot.ARGUMENTS, chat.body_of(reading.arguments), "traceloop.entity.input")
        reading.put(Slot.RESULT, chat.body_of(result), "traceloop.entity.output")
    else:
        _read_talk(attributes, arguments_in(given), result_in(got), reading)
    reading.used.update(
        ("gen_ai.task.input", "gen_ai.task.output", "traceloop.entity.input", "traceloop.entity.output")
    )


def _read_talk(attributes: Mapping[str, Any], given: Any, got: Any, reading: Reading) -> None:
    told = chat.messages_of(unflatten(attributes, "gen_ai.prompt"))
    said = chat.messages_of(unflatten(attributes, "gen_ai.completion"), "assistant")
    system, told = chat.split_system(told)
    reading.put(Slot.SYSTEM, chat.bodies(system))
    if told or not attributes.get("gen_ai.input.messages"):
        reading.put(Slot.INPUT, chat.bodies(told) or chat.body_of(given))
    if said or not attributes.get("gen_ai.output.messages"):
        reading.put(Slot.OUTPUT, chat.bodies(said) or chat.body_of(got))
    reading.used.update(("gen_ai.prompt.", "gen_ai.completion."))
    functions = unflatten(attributes, "llm.request.functions")
    reading.put(
        Slot.TOOLS, chat.body_of([_schema(f) for f in functions]) if functions else [], "llm.request.functions."
    )
    model = first_name(attributes, "gen_ai.request.model", "gen_ai.response.model", "llm.request.model")
    if model:
        reading.attributes[MODEL_NAME] = model
    reading.input_tokens = first_count(attributes, "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens")
    reading.output_tokens = first_count(attributes, "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens")


def _schema(function: Any) -> Any:
    if isinstance(function, Mapping) and "parameters" in function:
        return {**function, "parameters": decoded(function["parameters"])}
    return function


def arguments_in(value: Any) -> Any:
    """Arguments out of LangChain's callback record (`{"input_str": ..., "inputs": ..., "tags": ...}`)."""
    if not isinstance(value, Mapping) or not {"input_str", "inputs"} & set(value):
        return value
    inputs = value.get("inputs")
    if inputs not in (None, "", {}, []):
        return decoded(inputs)
    return decoded(value.get("input_str"))


def result_in(value: Any) -> Any:
    """A result out of LangChain's callback record (`{"output": ..., "kwargs": ...}`), and out of its message."""
    if isinstance(value, Mapping) and set(value) <= {"output", "outputs", "kwargs", "tags"}:
        value = decoded(value.get("output", value.get("outputs")))
    if isinstance(value, Mapping) and isinstance(value.get("kwargs"), Mapping) and "content" in value["kwargs"]:
        value = value["kwargs"]
    if isinstance(value, Mapping) and value.get("type") == "tool" and "content" in value:
        return decoded(value["content"])
    return value
