"""The scripted model: what each agent of the story says next, in each of the APIs by which frameworks ask.

Invariant: an answer depends on the run, on whose desk asks, and on how often that desk has asked in this run, so that a program
plays the same every time; and every call of a run reports numbers of tokens that no other call of it has. Used by
`_frameworks_stage`.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

_DESK = re.compile(r"Your desk: (\w+)\.")
_WANTS: dict[str, dict[str, list[tuple[str, str]]]] = {
    "handoff": {
        "dispatcher": [("to", "diagnostician")],
        "diagnostician": [("use", "read_sensor"), ("to", "buyer")],
        "buyer": [("use", "order_part")],
    },
    "tool": {
        "dispatcher": [("to", "diagnostician"), ("to", "buyer")],
        "diagnostician": [("use", "read_sensor")],
        "buyer": [("use", "order_part")],
    },
}
_WANTS["nested"] = {**_WANTS["handoff"]}
LOST = "lead-free"
_FIND, _ORDER = "Find out why pump P-7 at Oakfield vibrates.", "Order a seal kit for pump P-7 at Oakfield."
_WHOLE, _SHORT = "The part must be lead-free and may cost at most 400 EUR.", "The part may cost at most 400 EUR."
_SAID = {
    "dispatcher": "The seal of pump P-7 is worn; a seal kit is on its way.",
    "diagnostician": "The shaft seal of pump P-7 is worn: it needs a seal kit.",
    "buyer": "A seal kit for pump P-7 is ordered.",
}
_NAMES_AGENT = {"coworker", "agent_name", "to_agent", "agent", "member_id", "recipient", "target"}
_MEANT_FOR_ANYBODY = ("delegate", "transfer", "handoff", "hand_off", "task")


@dataclass(slots=True)
class Call:
    """One call of the model, as the model itself counts it. `to` is the agent that its answer gives work to."""

    agent: str
    input_tokens: int
    output_tokens: int
    to: str = ""
    tool: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    knows: bool = False  # whether the prompt held the constraint that may get lost

    @property
    def call_id(self) -> str:
        return f"call_{self.input_tokens}"


class Script:
    """The model's part in one run (`SHAPE-VARIANT`)."""

    def __init__(self, run: str) -> None:
        self.shape, _, self.variant = run.partition("-")
        self.calls: list[Call] = []
        self._turns: dict[str, int] = {}

    def answer(self, texts: list[str], tools: dict[str, dict[str, Any]]) -> Call:
        """The next answer to a prompt of these texts (instructions first), given the tools on offer and their schemas."""
        desks = [found for text in texts for found in _DESK.findall(text)]
        agent = desks[0] if desks else "nobody"
        number = len(self.calls)
        call = Call(agent, 101 + 7 * number, 11 + 3 * number, knows=any(LOST in text for text in texts))
        self.calls.append(call)
        wants = _WANTS[self.shape].get(agent, [])
        turn = self._turns.get(agent, 0)
        self._turns[agent] = turn + 1
        if turn < len(wants) and self._act(call, *wants[turn], tools):
            return call
        call.text = _SAID.get(agent, "Nothing to say.")
        last = next((name for name in tools if "final_answer" in name), "")
        if last:
            call.tool, call.arguments = last, _filled(tools[last], "", call.text)
        return call

    def _act(self, call: Call, act: str, name: str, tools: dict[str, dict[str, Any]]) -> bool:
        if act == "use":
            found = next((tool for tool in tools if tool.endswith(name)), "")
            call.arguments = {"machine": "P-7"} if name == "read_sensor" else {"part": "seal kit for P-7"}
        else:
            task = self._task(name)
            found = next((tool for tool in tools if name in tool.lower()), "") or next(
                (tool for tool in tools if any(word in tool.lower() for word in _MEANT_FOR_ANYBODY)), ""
            )
            call.to = name if found else ""
            call.arguments = _filled(tools[found], name, task) if found else {}
        call.tool = found
        return bool(found)

    def _task(self, name: str) -> str:
        """What is handed over: to who orders, and to who passes the order on, also what the part has to be."""
        if name == "buyer":
            return f"{_ORDER} {_SHORT if self.variant == 'lost' else _WHOLE}"
        return _FIND if self.shape == "tool" else f"{_FIND} Then have the part ordered. {_WHOLE}"


def _filled(schema: dict[str, Any], agent: str, text: str) -> dict[str, Any]:
    """Arguments that a schema allows: the agent where one is to be named, the text where there is room for it."""
    properties = schema.get("properties") or {}
    filled: dict[str, Any] = {}
    for name, kind in properties.items():
        if name in _NAMES_AGENT:
            filled[name] = next((option for option in kind.get("enum", []) if agent in option), agent)
        elif kind.get("type", "string") == "string" and (
            name in schema.get("required", properties) or len(properties) == 1
        ):
            filled[name] = text
        elif name in schema.get("required", []) and kind.get("items", {}).get("properties"):
            filled[name] = [
                _filled(kind["items"], agent, text)
                | ({"role": "user"} if "role" in kind["items"]["properties"] else {})
            ]
        elif name in schema.get("required", []):
            filled[name] = {"object": {}, "array": [], "boolean": False, "integer": 0, "number": 0}.get(
                kind.get("type"), text
            )
    return filled


# --- the APIs ---------------------------------------------------------------------------------------------------------


def chat_asked(body: dict[str, Any]) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Texts and tools of a chat completions request."""
    messages = body.get("messages", [])
    first = [m for m in messages if m.get("role") in ("system", "developer")]
    texts = [_text(m.get("content")) for m in [*first, *(m for m in messages if m not in first)]]
    functions = [tool.get("function", {}) for tool in body.get("tools") or []]
    return texts, {f["name"]: f.get("parameters") or {} for f in functions if "name" in f}


def chat_answer(call: Call, model: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": None if call.tool else call.text}
    if call.tool:
        function = {"name": call.tool, "arguments": json.dumps(call.arguments)}
        message["tool_calls"] = [{"id": call.call_id, "type": "function", "function": function}]
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if call.tool else "stop"}
    return {
        "id": f"chatcmpl-{call.input_tokens}", "object": "chat.completion", "created": 1790000000, "model": model,
        "choices": [choice], "usage": _usage(call, "prompt_tokens", "completion_tokens"),
    }  # fmt: skip


def chat_stream(call: Call, model: str) -> Iterator[dict[str, Any]]:
    """The same answer in chunks: all that is said in one, then the end, then the usage."""
    whole = chat_answer(call, model)
    told = {key: whole[key] for key in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    choice = whole["choices"][0]
    delta = dict(choice["message"])
    if "tool_calls" in delta:
        delta["tool_calls"] = [{"index": 0, **made} for made in delta["tool_calls"]]
    yield {**told, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {**told, "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]}
    yield {**told, "choices": [], "usage": whole["usage"]}


def responses_asked(body: dict[str, Any]) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Texts and tools of a responses request."""
    given = body.get("input")
    items = [{"content": given}] if isinstance(given, str) else given or []
    texts = [str(body.get("instructions") or ""), *(_text(item.get("content")) for item in items)]
    return texts, {t["name"]: t.get("parameters") or {} for t in body.get("tools") or [] if t.get("type") == "function"}


def responses_answer(call: Call, model: str) -> dict[str, Any]:
    if call.tool:
        item = {
            "type": "function_call", "id": f"fc_{call.input_tokens}", "call_id": call.call_id, "name": call.tool,
            "arguments": json.dumps(call.arguments), "status": "completed",
        }  # fmt: skip
    else:
        content = [{"type": "output_text", "text": call.text, "annotations": []}]
        item = {
            "type": "message", "id": f"msg_{call.input_tokens}", "role": "assistant", "status": "completed",
            "content": content,
        }  # fmt: skip
    usage = _usage(call, "input_tokens", "output_tokens") | {
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }
    return {
        "id": f"resp_{call.input_tokens}", "object": "response", "created_at": 1790000000, "status": "completed",
        "model": model, "output": [item], "parallel_tool_calls": False, "tool_choice": "auto", "tools": [], "usage": usage,
        "error": None, "incomplete_details": None, "instructions": None, "metadata": {}, "temperature": 1.0, "top_p": 1.0,
    }  # fmt: skip


def gemini_asked(body: dict[str, Any]) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Texts and tools of a generateContent request."""
    system = body.get("systemInstruction") or body.get("system_instruction") or {}
    told = [system, *body.get("contents", [])]
    texts = [" ".join(str(part.get("text", "")) for part in item.get("parts", [])) for item in told]
    tools: dict[str, dict[str, Any]] = {}
    for group in body.get("tools") or []:
        for made in group.get("functionDeclarations") or group.get("function_declarations") or []:
            schema = (
                made.get("parameters") or made.get("parametersJsonSchema") or made.get("parameters_json_schema") or {}
            )
            tools[made["name"]] = json.loads(re.sub(r'"type": "([A-Z]+)"', _lower, json.dumps(schema)))
    return texts, tools


def gemini_answer(call: Call, model: str) -> dict[str, Any]:
    part = {"functionCall": {"name": call.tool, "args": call.arguments}} if call.tool else {"text": call.text}
    return {
        "candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": _usage(call, "promptTokenCount", "candidatesTokenCount", "totalTokenCount"),
        "modelVersion": model,
        "responseId": f"gem-{call.input_tokens}",
    }


def _lower(match: re.Match[str]) -> str:
    return match[0].lower()


def _usage(call: Call, told: str, said: str, both: str = "total_tokens") -> dict[str, Any]:
    return {told: call.input_tokens, said: call.output_tokens, both: call.input_tokens + call.output_tokens}


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) if isinstance(part, dict) else str(part) for part in content)
    return content if isinstance(content, str) else ""
