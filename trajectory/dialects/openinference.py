"""OpenInference's attributes, by whichever framework they were set.

Invariant: span kind AGENT alone makes no agent (a workflow's root has it too), and an agent need not have it (LangGraph's
agents are CHAIN spans): a name decides. Called by `spans`.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from trajectory.dialects import messages as chat
from trajectory.dialects.handover import of_handoff_span, tasks_in
from trajectory.dialects.langgraph import agent_of_graph
from trajectory.dialects.raw import RawSpan
from trajectory.dialects.reading import Body, HandOver, Reading
from trajectory.dialects.values import (
    count_of,
    decoded,
    first,
    first_count,
    first_name,
    is_opaque_id,
    name_of,
    texts,
    unflatten,
)
from trajectory.model.words import (
    FINISH_REASONS,
    MODEL_NAME,
    TOOL_CALL_ID,
    TOOL_NAME,
    DelegationMode,
    Grade,
    Slot,
    SpanKind,
    SpanStatus,
    Surface,
)

_KINDS = {
    "LLM": SpanKind.MODEL, "TOOL": SpanKind.TOOL, "AGENT": SpanKind.AGENT, "RETRIEVER": SpanKind.RETRIEVAL,
    "RERANKER": SpanKind.RETRIEVAL, "EMBEDDING": SpanKind.RETRIEVAL,
}  # fmt: skip
_RUN_SUFFIXES = re.compile(r"\.(?:a?run(?:_stream)?|a?kickoff(?:_async)?|_execute_core|a?invoke|execute_task)$")
_HANDOFF_NAME = re.compile(r"^hand-?off to (?P<target>.+)$", re.IGNORECASE)
_ACTING_AGENT = re.compile(r"current_agent_name='((?:[^'\\]|\\.){1,200})'")
_ARGUMENTS = ("input.value", "tool.arguments", "tool.args_json", "tool.input")
_RESULTS = ("output.value", "tool.result", "tool.result_json", "tool.output")
_ANSWERS = {"final_answer"}  # tools by which a framework lets an agent end its run: no work is done in them
_METADATA_CHARS = 4096  # longer ones are read each time
_SEARCHED_CHARS = 256 * 1024
_MAX_TASKS_COUNT = 64  # of one crew
_OF_A_CREW = frozenset({"agent", "context", "tools"})  # what CrewAI's agents are called with
_MESSAGE_PREFIXES = ("llm.input_messages.", "llm.output_messages.")
_CALL_SIGNS = (*_MESSAGE_PREFIXES, "llm.token_count.", "llm.finish_reason", "llm.prompts", "llm.choices")


def read(span: RawSpan) -> Reading | None:
    """The span as OpenInference tells it; None where it does not."""
    attributes = span.attributes
    said = name_of(attributes.get("openinference.span.kind")).upper()
    if not said and first_name(attributes, "tool.name") and first(attributes, *_RESULTS) is not None:
        said = "TOOL"  # a tool and its result, and nobody who named the span's kind
    if not said:
        return None
    if _is_notice(span, said):
        return Reading(is_echo=True)
    metadata = metadata_of(span)
    reading = Reading(kind=_KINDS.get(said, SpanKind.OTHER))
    if said == "LLM" and not _is_call(span):
        reading.kind = SpanKind.OTHER
    _name_agent(span, said, metadata, reading)
    if said == "RETRIEVER":
        reading.surface = Surface.CONTEXTUAL
    if reading.kind == SpanKind.TOOL:
        _read_tool(span, metadata, reading)
        if reading.name in _ANSWERS:
            reading.kind = SpanKind.OTHER
    else:
        _read_contents(span, reading)
    if reading.kind == SpanKind.OTHER and "crew_tasks" in attributes:
        _read_tasks(attributes["crew_tasks"], reading)
    if "llm" in span.words:
        _read_model(attributes, reading)
    if reading.kind == SpanKind.MODEL and (reading.input_tokens is None or reading.output_tokens is None):
        _read_usage(attributes, reading)
    return reading


def metadata_of(span: RawSpan) -> Mapping[str, Any]:
    """What a framework says of the run that a span is of; shared, so nobody changes it."""
    told = span.attributes.get("metadata")
    if isinstance(told, str):
        told = _metadata(told) if len(told) <= _METADATA_CHARS else decoded(told)
    return told if isinstance(told, (dict, Mapping)) else {}  # `dict` first: the abstract check is ten times slower


@lru_cache(maxsize=256)
def _metadata(text: str) -> Any:
    """The spans of one node have the same, and it is asked for twice of each."""
    return decoded(text)


def _is_notice(span: RawSpan, said: str) -> bool:
    """Whether a span only tells that the call around it failed: it names no tool and no model, was given an error as its
    input, and failed or came to nothing (BeeAI)."""
    attributes = span.attributes
    if said not in ("TOOL", "LLM") or (span.status != SpanStatus.ERROR and first(attributes, *_RESULTS) is not None):
        return False
    given = decoded(attributes.get("input.value"))
    named = first_name(attributes, "tool.name", "tool_call.function.name", "llm.model_name")
    return not named and isinstance(given, Mapping) and "error" in given


def _is_call(span: RawSpan) -> bool:
    """Whether an LLM span called a model: some wrap what only prepares a call, and end with an output but no message."""
    if span.status == SpanStatus.ERROR or "output.value" not in span.attributes:
        return True
    return any(key.startswith(_CALL_SIGNS) for key in span.attributes)


def _name_agent(span: RawSpan, said: str, metadata: Mapping[str, Any], reading: Reading) -> None:
    named = first_name(span.attributes, "agent.name", "graph.node.name")
    graph_agent = name_of(metadata.get("lc_agent_name"))
    if said == "AGENT":
        node = name_of(span.attributes.get("graph.node.id"))
        reading.agent = named or ("" if is_opaque_id(node) else node) or _runner(span.name)
        reading.hand_over = _given_by(span.attributes, reading.agent)
    elif said == "CHAIN" and (graph := agent_of_graph(span.name, metadata)):
        reading.kind, reading.agent = SpanKind.AGENT, graph
    elif span.name.endswith(".run_agent_step"):  # LlamaIndex: one step of the agent that its event names
        acting = _acting_agent(span.attributes)
        if acting:
            reading.kind, reading.agent = SpanKind.AGENT, acting
    elif reading.kind != SpanKind.OTHER:
        reading.agent = named or graph_agent


def _runner(span_name: str) -> str:
    """The agent in `researcher.run`: what stands before the method, and before a task's name."""
    match = _RUN_SUFFIXES.search(span_name)
    if match is None:
        return ""
    runner = span_name[: match.start()]
    return name_of(runner.split(".", 1)[0] if match[0] == "._execute_core" else runner)


def _acting_agent(attributes: Mapping[str, Any]) -> str:
    for key in ("input.value", "output.value"):
        value = attributes.get(key)
        match = _ACTING_AGENT.search(value[:_SEARCHED_CHARS]) if isinstance(value, str) else None
        if match:
            return name_of(match[1])
    return ""


def _given_by(attributes: Mapping[str, Any], agent: str) -> HandOver | None:
    """Who gave this agent control, where nodes of the graph are called by their agents' names."""
    source = name_of(attributes.get("graph.node.parent_id"))
    if not source or not agent or source == agent or is_opaque_id(source):
        return None
    return HandOver(DelegationMode.TRANSFER, Grade.DECLARED, "graph.node.parent_id names the source", source=source)


def _read_tool(span: RawSpan, metadata: Mapping[str, Any], reading: Reading) -> None:
    attributes = span.attributes
    tool = first_name(attributes, "tool.name", "tool_call.function.name")
    match = _HANDOFF_NAME.match(span.name)
    given, got = decoded(first(attributes, *_ARGUMENTS)), decoded(first(attributes, *_RESULTS))
    if match and not tool:
        source = name_of(given)
        reading.kind = SpanKind.DELEGATION
        reading.hand_over = of_handoff_span(
            source, name_of(got) or name_of(match["target"]), "a handoff span names both"
        )
        reading.used.update(("input.value", "output.value"))
        return
    reading.name = tool or name_of(span.name)
    reading.attributes[TOOL_NAME] = reading.name
    call_id = first_name(attributes, "tool_call.id", "tool.id")
    if call_id:
        reading.attributes[TOOL_CALL_ID] = call_id
    reading.arguments = _unwrapped(given)
    reading.put(Slot.ARGUMENTS, chat.body_of(reading.arguments), *_ARGUMENTS)
    reading.put(Slot.RESULT, chat.body_of(_result(got)), *_RESULTS)
    target = name_of(metadata.get("__handoff_destination"))
    if target:
        reading.hand_over = HandOver(
            DelegationMode.TRANSFER, Grade.DECLARED, "the tool's metadata names the target", target=target
        )  # fmt: skip


def _unwrapped(arguments: Any) -> Any:
    """A tool's arguments out of the call that a wrapper made of them (`{"args": [], "kwargs": {...}}`)."""
    if isinstance(arguments, Mapping) and set(arguments) <= {"args", "kwargs", "sanitize_inputs_outputs"}:
        inner = arguments.get("kwargs") or arguments.get("args")
        return inner[0] if isinstance(inner, list) and len(inner) == 1 else inner or arguments
    return arguments


def _result(value: Any) -> Any:
    """A tool's result out of the message that carries it."""
    if isinstance(value, Mapping) and value.get("type") == "tool" and "content" in value:
        return decoded(value["content"])
    if isinstance(value, Mapping) and isinstance(value.get("data"), Mapping) and value.get("type") == "tool":
        return decoded(value["data"].get("content"))
    return value


def _read_contents(span: RawSpan, reading: Reading) -> None:
    """Messages in flattened keys where there are any, else `input.value` and `output.value`."""
    attributes = span.attributes
    is_flat = "llm" in span.words  # mostly it is not: then nothing is looked for in it
    is_talk = reading.kind in (SpanKind.MODEL, SpanKind.AGENT)
    if not is_flat and not is_talk:
        reading.put(Slot.INPUT, chat.body_of(attributes.get("input.value")), "input.value")
        reading.put(Slot.OUTPUT, chat.body_of(attributes.get("output.value")), "output.value")
        _read_documents(span, reading)
        return
    told = chat.messages_of(unflatten(attributes, "llm.input_messages")) if is_flat else []
    said = chat.messages_of(unflatten(attributes, "llm.output_messages"), "assistant") if is_flat else []
    if is_talk and not any(message["parts"] for message in told):  # flattened roles alone say nothing
        told = chat.talk_of(attributes.get("input.value"), "user")
    if is_talk and not any(message["parts"] for message in said):
        said = chat.talk_of(attributes.get("output.value"), "assistant")
    said = _new(told, said)
    system, told = chat.split_system(told)
    reading.put(Slot.SYSTEM, chat.bodies(system))
    given = attributes.get("input.value") if reading.kind != SpanKind.AGENT else _given(attributes.get("input.value"))
    reading.put(Slot.INPUT, chat.bodies(told) or chat.body_of(given), "input.value")
    reading.put(Slot.OUTPUT, chat.bodies(said) or chat.body_of(attributes.get("output.value")), "output.value")
    if is_flat:
        reading.used.update(_MESSAGE_PREFIXES)
    if reading.kind == SpanKind.AGENT and not told:
        reading.put(
            Slot.TASK, [body for task in tasks_in(attributes.get("input.value")) for body in chat.body_of(task)]
        )
    _read_documents(span, reading)
    schemas = [
        decoded(tool.get("tool", {}).get("json_schema"))
        for tool in (unflatten(attributes, "llm.tools") if is_flat else ())
        if isinstance(tool, Mapping) and isinstance(tool.get("tool"), Mapping)
    ]
    if schemas:
        reading.put(Slot.TOOLS, chat.body_of(schemas), "llm.tools.")


def _given(value: Any) -> Any:
    """What an agent was given: of CrewAI's, which is told with itself and its tools as Python prints them, the context alone."""
    told = decoded(value)
    is_crews = isinstance(told, Mapping) and told.keys() == _OF_A_CREW and isinstance(told["agent"], Mapping)
    return told["context"] if is_crews else value


def _read_tasks(listed: Any, reading: Reading) -> None:
    """What a crew is asked, told on its root alone: the descriptions of its tasks, in their order."""
    tasks = decoded(listed)
    told = [task.get("description") for task in tasks if isinstance(task, Mapping)] if isinstance(tasks, list) else []
    texts_told = [text for text in told[:_MAX_TASKS_COUNT] if isinstance(text, str)]
    reading.put(Slot.TASK, [body for text in texts_told for body in chat.body_of(text)])


def _new(told: list[chat.Message], said: list[chat.Message]) -> list[chat.Message]:
    """What was said beyond what was told: a graph's final state repeats what it was given."""
    return said[len(told) :] if told and len(said) > len(told) and said[: len(told)] == told else said


def _read_documents(span: RawSpan, reading: Reading) -> None:
    if "retrieval" in span.words:
        documents = _documents(span.attributes)
        reading.put(Slot.CONTEXT, documents, "retrieval.documents." if documents else "retrieval.documents")


def _documents(attributes: Mapping[str, Any]) -> list[Body]:
    documents = unflatten(attributes, "retrieval.documents") or decoded(attributes.get("retrieval.documents"))
    if not isinstance(documents, list):
        return []
    bodies: list[Body] = []
    for document in documents:
        inner = document.get("document", document) if isinstance(document, Mapping) else document
        content = inner.get("content", inner) if isinstance(inner, Mapping) else inner
        bodies.extend(chat.body_of(content))
    return bodies


def _read_model(attributes: Mapping[str, Any], reading: Reading) -> None:
    model = first_name(attributes, "llm.model_name", "llm.request.model_name", "llm.response.model_name")
    if model:
        reading.attributes[MODEL_NAME] = model
    provider = first_name(attributes, "llm.provider", "llm.system")
    if provider:
        reading.attributes["gen_ai.provider.name"] = provider
    reading.input_tokens = first_count(attributes, "llm.token_count.prompt")
    reading.output_tokens = first_count(attributes, "llm.token_count.completion")
    for ours, theirs in (
        ("gen_ai.usage.cache_read.input_tokens", "llm.token_count.prompt_details.cache_read"),
        ("gen_ai.usage.cache_write.input_tokens", "llm.token_count.prompt_details.cache_write"),
        ("gen_ai.usage.reasoning.output_tokens", "llm.token_count.completion_details.reasoning"),
    ):
        count = count_of(attributes.get(theirs))
        if count:
            reading.attributes[ours] = count
    reading.used.add("llm.token_count.")
    reasons = texts(attributes.get("llm.finish_reason"))
    if reasons:
        reading.attributes[FINISH_REASONS] = reasons


def _read_usage(attributes: Mapping[str, Any], reading: Reading) -> None:
    """Tokens out of what the model sent back, where no attribute counts them."""
    told, said = chat.usage_of(attributes.get("output.value"))
    reading.input_tokens = told if reading.input_tokens is None else reading.input_tokens
    reading.output_tokens = said if reading.output_tokens is None else reading.output_tokens
