"""OpenTelemetry's GenAI conventions in all three generations, and what speaks them with an accent.

Read: up to 1.36 (`gen_ai.system`, message events), 1.37 to 1.41 (`gen_ai.input.messages`, ...), v0.1.0 of the standalone
conventions; Pydantic-AI's second version, Strands, Google ADK, Microsoft's agent framework, AutoGen. Invariant: an agent
span is an agent's invocation, so creating one or running a workflow is none. Called by `spans`.
"""

from collections.abc import Mapping
from typing import Any

from trajectory.dialects import messages as chat
from trajectory.dialects.handover import of_handoff_span
from trajectory.dialects.langgraph import INSIDE_AN_AGENT
from trajectory.dialects.raw import RawSpan
from trajectory.dialects.reading import HandOver, Reading
from trajectory.dialects.values import count_of, decoded, first, first_count, first_name, is_opaque_id, name_of, texts
from trajectory.model.words import (
    FINISH_REASONS,
    MODEL_NAME,
    TOOL_CALL_ID,
    TOOL_NAME,
    DelegationMode,
    Grade,
    Slot,
    SpanKind,
    Surface,
)

_MODEL_OPERATIONS = {"chat", "text_completion", "generate_content", "completion", "generate", "respond", "messages"}
_RETRIEVALS = {
    "retrieval", "embeddings", "search_memory", "create_memory", "update_memory", "upsert_memory", "delete_memory",
    "create_memory_store", "delete_memory_store", "vector_db_retrieve", "memory_search", "rerank",
}  # fmt: skip
_HAND_OVERS = {"handoff", "agent_handoff", "hand_off", "transfer"}
_SIGNS = ("gen_ai", "gcp", "agent_name")
_PREFIXES = ("invoke_agent", "execute_tool", "create_agent", "invoke_workflow")
_AGENT_RUN = "agent_run"  # of Google ADK before 1.16: `agent_run [name]`, without attributes
_PROVIDERS = {"vertex_ai": "gcp.vertex_ai", "gemini": "gcp.gemini", "xai": "x_ai"}
NOBODY = frozenset({"", "openai agent", "openai agents", "unknown", "unknown_agent", "none", "langgraph"})
DETAILS_EVENT = "gen_ai.client.inference.operation.details"
MESSAGE_EVENTS = {
    "gen_ai.system.message": "system", "gen_ai.user.message": "user", "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool", "gen_ai.choice": "assistant",
}  # fmt: skip
_DETAILS = ("gen_ai.system_instructions", "gen_ai.input.messages", "gen_ai.output.messages")
CONTENT_EVENTS = frozenset({DETAILS_EVENT, *MESSAGE_EVENTS})


def read(span: RawSpan) -> Reading | None:
    """The span as the GenAI conventions tell it; None where it has none of their attributes or names."""
    if span.words.isdisjoint(_SIGNS) and not span.name.startswith((*_PREFIXES, _AGENT_RUN)):
        return None
    attributes = span.attributes
    operation = _operation(span)
    if not operation and not any(key.startswith(("gen_ai.", "gcp.vertex.agent.")) for key in attributes):
        return None
    reading = Reading(kind=_kind(operation, span))
    reading.not_agent = operation in ("create_agent", "invoke_workflow")
    _name_agent(span, operation, reading)
    if operation == "plan":
        reading.surface = Surface.COGNITIVE
    elif reading.kind == SpanKind.RETRIEVAL and operation != "embeddings":
        reading.surface = Surface.CONTEXTUAL
    _read_tool(span, reading)
    _read_model(attributes, reading)
    _read_messages(span, reading)
    reading.hand_over = _hand_over(attributes, operation, reading)
    if reading.hand_over is not None and reading.kind != SpanKind.AGENT:
        reading.kind = SpanKind.DELEGATION
    return reading


def _operation(span: RawSpan) -> str:
    operation = name_of(span.attributes.get("gen_ai.operation.name")).lower()
    if operation:
        return operation
    head, _, rest = span.name.partition(" ")
    if rest and (head in _PREFIXES or (head == "chat" and any(k.startswith("gen_ai.") for k in span.attributes))):
        return head
    if head == _AGENT_RUN and rest[:1] == "[":
        return "invoke_agent"
    if span.name == "agent run" and span.attributes.get("agent_name"):  # Pydantic-AI, version 2 of its attributes
        return "invoke_agent"
    if "gen_ai.tool.name" in span.attributes and not span.name.startswith("running tools"):
        return "execute_tool"
    if "gcp.vertex.agent.llm_request" in span.attributes:
        return "generate_content"
    return ""


def _kind(operation: str, span: RawSpan) -> str:
    if operation in _MODEL_OPERATIONS:
        return SpanKind.MODEL
    if operation == "invoke_agent":
        return SpanKind.AGENT
    if operation == "execute_tool":
        return SpanKind.TOOL
    if operation in _RETRIEVALS:
        return SpanKind.RETRIEVAL
    if operation in _HAND_OVERS:
        return SpanKind.DELEGATION
    if span.attributes.get("mcp.method.name") == "tools/call":
        return SpanKind.TOOL
    if not operation.startswith(("invoke", "execute", "create")) and _used_a_model(span.attributes):
        return SpanKind.MODEL
    return SpanKind.OTHER


def _used_a_model(attributes: Mapping[str, Any]) -> bool:
    """Whether a span of no known operation names a model and what it used of it."""
    used = first_count(attributes, "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens")
    return bool(used) and bool(name_of(attributes.get(MODEL_NAME)))


def _name_agent(span: RawSpan, operation: str, reading: Reading) -> None:
    attributes = span.attributes
    name = first_name(attributes, "gen_ai.agent.name", "agent_name")
    if not name or is_opaque_id(name):  # CrewAI's own spans: the name is a digest, and the role is what people call it
        name = next((name_of(attributes[key]) for key in attributes if key.endswith(".agent.role")), name)
    if operation != "invoke_agent":
        if name.lower() not in NOBODY and reading.kind in (SpanKind.MODEL, SpanKind.TOOL, SpanKind.RETRIEVAL):
            reading.agent = name
        return
    reading.agent = name or _agent_in_name(span) or _agent_in_id(attributes)
    nodes = texts(attributes.get("gen_ai.workflow.nodes"))
    a_graph_of_agents = bool(nodes) and not any(_is_inside(node) for node in nodes)
    told_by_its_graph = bool(nodes) and bool(
        span.parent_id
    )  # this span stands beside that of the graph, which has the work
    reading.is_echo = told_by_its_graph and not a_graph_of_agents
    if a_graph_of_agents or told_by_its_graph or reading.agent == "LangGraph":
        reading.not_agent = True


def _is_inside(node: str) -> bool:
    """Whether a graph's node is a part of one agent and not an agent: its model, its tools, a middleware's hook."""
    return node.lower() in INSIDE_AN_AGENT or node.endswith((".before_model", ".after_model", ".before_agent"))


def _agent_in_name(span: RawSpan) -> str:
    head, _, rest = span.name.partition(" ")
    model = first_name(span.attributes, MODEL_NAME, "gen_ai.response.model")
    rest = name_of(rest)
    if head == _AGENT_RUN:
        return rest.strip("[]")
    return rest if head == "invoke_agent" and rest != model else ""


def _agent_in_id(attributes: Mapping[str, Any]) -> str:
    """The name in an id that begins with one (`planner_6f3c.../6f3c...`); opaque ids name nobody."""
    identity = name_of(attributes.get("gen_ai.agent.id")).split("/", 1)[0]
    head, _, tail = identity.rpartition("_")
    if head and is_opaque_id(tail):
        return head
    return "" if is_opaque_id(identity) else identity


def _read_tool(span: RawSpan, reading: Reading) -> None:
    if reading.kind != SpanKind.TOOL:
        return
    attributes = span.attributes
    _, _, named = span.name.partition(" ")
    tool = first_name(attributes, "gen_ai.tool.name", "mcp.tool.name") or (
        name_of(named) if span.name.startswith("execute_tool ") else ""
    )
    if tool:
        reading.name = tool
        reading.attributes[TOOL_NAME] = tool
    call_id = first_name(attributes, "gen_ai.tool.call.id", "tool_call_id")
    if call_id and not call_id.startswith("<"):  # ADK says `<not specified>`
        reading.attributes[TOOL_CALL_ID] = call_id
    arguments_keys = ("gen_ai.tool.call.arguments", "tool_arguments", "gcp.vertex.agent.tool_call_args")
    arguments = decoded(first(attributes, *arguments_keys))
    result_keys = ("gen_ai.tool.call.result", "tool_response", "gcp.vertex.agent.tool_response")
    result = _joined(first(attributes, *result_keys))
    in_events, out_events = _tool_events(span)
    reading.arguments = arguments if arguments is not None else in_events
    reading.put(Slot.ARGUMENTS, chat.body_of(reading.arguments), *arguments_keys)
    reading.put(Slot.RESULT, chat.body_of(result if result is not None else out_events), *result_keys)


def _tool_events(span: RawSpan) -> tuple[Any, Any]:
    """Arguments and result where span events carry them (Strands)."""
    arguments: Any = None
    result: Any = None
    for event in span.events:
        if event.name == "gen_ai.tool.message" and arguments is None:
            arguments = decoded(event.attributes.get("content"))
        elif event.name == "gen_ai.choice":
            result = _joined(event.attributes.get("message", event.attributes.get("content")))
        elif event.name == DETAILS_EVENT:
            asked = chat.tool_calls(chat.messages_of(event.attributes.get("gen_ai.input.messages")))
            arguments = asked[0][1] if asked and arguments is None else arguments
            answered = chat.messages_of(event.attributes.get("gen_ai.output.messages"), "tool")
            parts = [part for message in answered for part in message["parts"]]
            result = next((p["response"] for p in parts if p.get("type") == "tool_call_response"), result)
    return arguments, result


def _joined(value: Any) -> Any:
    """A result in parts as the text of its parts."""
    value = decoded(value)
    if (
        isinstance(value, list)
        and value
        and all(isinstance(p, Mapping) and isinstance(p.get("text"), str) for p in value)
    ):
        return decoded("\n".join(p["text"] for p in value))
    return value


def _read_model(attributes: Mapping[str, Any], reading: Reading) -> None:
    model = first_name(attributes, MODEL_NAME, "gen_ai.response.model", "model_name")
    if model:
        reading.attributes[MODEL_NAME] = model
    provider = first_name(attributes, "gen_ai.provider.name", "gen_ai.system")
    if provider:
        provider = _PROVIDERS.get(provider, provider)
        reading.attributes["gen_ai.provider.name"] = provider.replace("az.ai.", "azure.ai.", 1)
    reading.input_tokens = first_count(
        attributes, "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "gen_ai.aggregated_usage.input_tokens"
    )
    reading.output_tokens = first_count(
        attributes,
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "gen_ai.aggregated_usage.output_tokens",
    )
    cached = count_of(attributes.get("gen_ai.usage.cache_creation.input_tokens"))
    if cached is not None:
        reading.attributes["gen_ai.usage.cache_write.input_tokens"] = cached
    reasons = texts(attributes.get(FINISH_REASONS))
    if reasons:
        reading.attributes[FINISH_REASONS] = reasons


def _read_messages(span: RawSpan, reading: Reading) -> None:
    """System, input and output messages, from attributes, else from the details event, else from message events."""
    if reading.kind == SpanKind.TOOL:
        return
    attributes = span.attributes
    details: dict[str, Any] = {}
    for event in span.events:
        if event.name == DETAILS_EVENT:
            details.update(event.attributes)
    talk = messages_of_details({key: _either(attributes, details, key) for key in _DETAILS})
    system, told, said = talk[Slot.SYSTEM], talk[Slot.INPUT], talk[Slot.OUTPUT]
    if not told and not said:
        told, said = _all_messages(attributes, reading)
    if not told and not said:
        told, said = _event_messages(span)
    head, told = chat.split_system(told)
    system = system or head
    reading.put(Slot.SYSTEM, chat.bodies(system), "gen_ai.system_instructions")
    reading.put(Slot.INPUT, chat.bodies(told), "gen_ai.input.messages")
    reading.put(Slot.OUTPUT, chat.bodies(said), "gen_ai.output.messages")
    tools = decoded(_either(attributes, details, "gen_ai.tool.definitions"))
    reading.put(Slot.TOOLS, chat.body_of(tools), "gen_ai.tool.definitions")


def messages_of_details(details: Mapping[str, Any]) -> dict[str, list[chat.Message]]:
    """What a call's system, input and output messages are, by slot, as the conventions' three attributes have them."""
    system = chat.messages_of(details.get("gen_ai.system_instructions"), "system")
    head, told = chat.split_system(chat.messages_of(details.get("gen_ai.input.messages")))
    said = chat.messages_of(details.get("gen_ai.output.messages"), "assistant")
    return {Slot.SYSTEM: system or head, Slot.INPUT: told, Slot.OUTPUT: said}


def _either(attributes: Mapping[str, Any], details: Mapping[str, Any], key: str) -> Any:
    return attributes[key] if attributes.get(key) not in (None, "") else details.get(key)


def _all_messages(attributes: Mapping[str, Any], reading: Reading) -> tuple[list[chat.Message], list[chat.Message]]:
    """An agent's whole conversation in one attribute (Pydantic-AI), parted at what the agent was first given."""
    every = chat.messages_of(first(attributes, "pydantic_ai.all_messages", "all_messages_events"))
    if not every:
        return [], []
    reading.used.update(("pydantic_ai.all_messages", "all_messages_events", "final_result"))
    given = 0
    while given < len(every) and every[given]["role"] in ("system", "user"):
        given += 1
    final = chat.messages_of(attributes.get("final_result"), "assistant")
    last = every[-1:] if every[-1]["role"] == "assistant" else []
    return every[:given], final or last


def _event_messages(span: RawSpan) -> tuple[list[chat.Message], list[chat.Message]]:
    told: list[chat.Message] = []
    said: list[chat.Message] = []
    for event in span.events:
        role = MESSAGE_EVENTS.get(event.name)
        if role is None:
            continue
        into = said if event.name == "gen_ai.choice" else told
        into.append(message_of_event(event.attributes, role))
    return told, said


def message_of_event(attributes: Mapping[str, Any], role: str) -> chat.Message:
    """The message of one event: content may be text, JSON text, or whole message as JSON under `message`."""
    body = decoded(attributes.get("message", attributes.get("content", attributes.get("gen_ai.event.content"))))
    calls = decoded(attributes.get("tool_calls"))
    if isinstance(body, Mapping) and ("content" in body or "role" in body or "tool_calls" in body):
        message = chat.message_of({"role": role, **body}, role)
    else:
        message = chat.message_of({"role": name_of(attributes.get("role")) or role, "content": body}, role)
        if isinstance(body, (int, float, bool)):
            message["parts"] = [{"type": "text", "content": str(body)}]
    if isinstance(calls, list):
        message["parts"] += chat.message_of({"role": role, "tool_calls": calls}, role)["parts"]
    return message


def _hand_over(attributes: Mapping[str, Any], operation: str, reading: Reading) -> HandOver | None:
    source = first_name(
        attributes, "gen_ai.handoff.from_agent", "gen_ai.agent.handoff.source.name", "gen_ai.agent.handoff.source"
    )
    target = first_name(
        attributes, "gen_ai.handoff.to_agent", "gen_ai.agent.handoff.target.name", "gen_ai.agent.handoff.target"
    )
    if operation in _HAND_OVERS or (target and operation != "invoke_agent"):
        return of_handoff_span(source, target, "a span of a hand-over")
    mode = name_of(attributes.get("gen_ai.transfer.mode"))
    target = first_name(attributes, "gen_ai.transfer.target.name")
    if target and name_of(attributes.get("gen_ai.transfer.target.type")) in ("", "agent"):
        passes = mode == "pass_control"
        source = first_name(attributes, "gen_ai.agent.name")
        reason = "gen_ai.transfer.target.name"
        way = DelegationMode.TRANSFER if passes else DelegationMode.CALL
        return HandOver(way, Grade.OBSERVED, reason, "" if source.lower() in NOBODY else source, target)
    return _caller(attributes) if operation == "invoke_agent" and not reading.not_agent else None


def _caller(attributes: Mapping[str, Any]) -> HandOver | None:
    """Who invoked this agent, where its own span says so: the caller, or the agent that handed over to it."""
    caller = name_of(attributes.get("gen_ai.caller.name"))
    if caller and name_of(attributes.get("gen_ai.caller.type")) in ("", "agent"):
        return HandOver(DelegationMode.CALL, Grade.OBSERVED, "gen_ai.caller.name", source=caller)
    parent = first_name(attributes, "gen_ai.agent.handoff_parent", "gen_ai.handoff.parent_agent")
    if parent:
        return HandOver(DelegationMode.TRANSFER, Grade.DECLARED, "gen_ai.agent.handoff_parent", source=parent)
    return None
