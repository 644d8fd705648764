"""Chat messages in every shape that frameworks put on the wire, as messages of the GenAI conventions.

Invariant: one message said in two dialects becomes the same body, so it is stored once and seen to be the same. Shapes
read: the conventions' parts, OpenAI (both of its APIs), Anthropic, Bedrock, Gemini, LangChain (both dumps), Vercel,
OpenInference's flattened keys. Called by the dialects; never raises on any value.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import msgspec

from trajectory.dialects.kept import Kept
from trajectory.dialects.reading import Body
from trajectory.dialects.responses import messages_in, usage_in
from trajectory.dialects.values import MAX_LITERAL_CHARS, canonical, clean, decoded, literal
from trajectory.model.content import JSON, MESSAGE, encode

_ROLES = {"human": "user", "ai": "assistant", "model": "assistant", "function": "tool", "developer": "system"}
_LANGCHAIN = {
    "HumanMessage": "user", "AIMessage": "assistant", "SystemMessage": "system", "ToolMessage": "tool",
    "FunctionMessage": "tool", "ChatMessage": "user",
}  # fmt: skip
_MAX_MESSAGES = 10_000
_PRINTED = re.compile(
    r"""source='(?P<source>[^'\\]{0,200})' models_usage=[^']{0,200}metadata=\{[^{}]{0,1000}\} [^']{0,200}content="""
    r"""(?P<content>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*") (?:type|target)='"""
)
_Read = TypeVar("_Read")


class Message(dict[str, Any]):
    """`{"role": ..., "parts": [{"type": ...}, ...]}`; `body` is what was made of it, so that it is made once."""

    __slots__ = ("body",)
    body: Body


def messages_of(value: Any, role: str = "user") -> list[Message]:
    """Messages from a list, a state that holds `messages`, JSON text of either, or one text that `role` said.

    They are shared with whoever reads the same text, and nobody changes them.
    """
    return _read_by(_MESSAGES, value, role)


def talk_of(value: Any, role: str) -> list[Message]:
    """Messages in a value that is a conversation: a state with `messages`, or one bare text; shared likewise."""
    return _read_by(_TALKS, value, role)


def _read_by(readers: dict[str, Kept[list[Message]]], value: Any, role: str) -> list[Message]:
    if isinstance(value, str) and role in readers:
        return readers[role](value)
    return (_messages_of if readers is _MESSAGES else _talk_of)(decoded(value), role)


def _talk_of(value: Any, role: str) -> list[Message]:
    if responses := messages_in(value):
        return _messages_of(responses, role)
    if isinstance(value, Mapping):
        return _messages_of(value["messages"], role) if isinstance(value.get("messages"), list) else []
    return _messages_of(value, role) if isinstance(value, str) else []


def _messages_of(value: Any, role: str) -> list[Message]:
    value = messages_in(value) or value
    if isinstance(value, Mapping) and not _is_message(value):
        for key in ("messages", "contents", "chat_history"):
            if isinstance(value.get(key), list):
                value = value[key]
                break
    if isinstance(value, list):
        while len(value) == 1 and isinstance(value[0], list):  # LangChain's batch of one
            value = value[0]
        if value and all(_is_part(item) for item in value):
            return [Message(role=role, parts=_parts(value))]
        return [_known_message(item, role) for item in value[:_MAX_MESSAGES] if item is not None]
    return [message_of(value, role)] if value not in (None, "") else []


def _known_message(item: Any, role: str) -> Message:
    """`message_of`, made once of a message that is said again and again: every state of a graph holds all earlier ones."""
    if role not in _ONES or type(item) is not dict:
        return message_of(item, role)
    try:
        spelled = msgspec.msgpack.encode(item)
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError, RecursionError):
        return message_of(item, role)
    return _ONES[role].of(spelled, item)


def message_of(value: Any, role: str = "user") -> Message:
    """One message in any shape; a bare text or an unknown object is said by `role`."""
    if not isinstance(value, Mapping):
        return _printed(value, role) or Message(role=role, parts=_parts(value))
    value = _unwrapped(value)
    said = value.get("role") or value.get("type") or role
    said = clean(str(said)) if isinstance(said, str) else role
    said = _ROLES.get(said, said)
    if "parts" in value:
        return Message(role=said, parts=_parts(value["parts"]))
    call_id = value.get("tool_call_id")
    content = value.get("content", value.get("contents", value.get("message")))
    if (call_id is not None or said == "tool") and not _is_structured(content):
        return Message(role=said, parts=[_response(call_id, content)])
    parts = _parts(content)
    calls = value.get("tool_calls")
    if isinstance(calls, list):
        parts = [p for p in parts if p.get("content") != ""] + [_call(call) for call in calls]
    return Message(role=said, parts=parts)


def _printed(value: Any, role: str) -> Message | None:
    """AutoGen's message as Python prints it, fields as `name=value`; None for any other text."""
    is_one = isinstance(value, str) and value.startswith("id='")
    found = _PRINTED.search(value[:MAX_LITERAL_CHARS]) if is_one else None
    if found is None:
        return None
    said = literal(found["content"], found["content"])
    return Message(role="user" if found["source"] == "user" else role, parts=_parts(said))


def bodies(messages: list[Message]) -> list[Body]:
    """Messages as bodies to store."""
    return [_body(message) for message in messages if message["parts"]]


def _body(message: Message) -> Body:
    made: Body | None = getattr(message, "body", None)
    if made is None:
        made = MESSAGE, canonical(message)
        if isinstance(message, Message):
            message.body = made
    return made


def split_system(messages: list[Message]) -> tuple[list[Message], list[Message]]:
    """Instructions at the head of a conversation, and the conversation."""
    count = 0
    while count < len(messages) and messages[count]["role"] == "system":
        count += 1
    return messages[:count], messages[count:]


def body_of(value: Any) -> list[Body]:
    """A value as one body: JSON in a string as the object that it spells; nothing where there is nothing."""
    return list(_bodies_of(value)) if isinstance(value, str) else _body_of(value)


def _body_of(value: Any) -> list[Body]:
    if isinstance(value, (dict, list)):
        return [(JSON, canonical(value))]
    return [] if value is None or value == "" else [encode(value)]


_value_of = Kept(decoded)  # what is said to one agent is what a node beside it was given
_bodies_of = Kept(lambda text: _body_of(_value_of(text)))


def usage_of(value: Any) -> tuple[int | None, int | None]:
    """Tokens read and written, where a value or its JSON text is a response that says so itself."""
    if isinstance(value, str):
        value = _value_of(value) if '"response"' in value else None  # most are none, and are not decoded for this
    return usage_in(value)


def tool_calls(messages: list[Message]) -> list[tuple[str, Any]]:
    """(name, arguments) of the tool calls that messages ask for."""
    return [
        (str(part.get("name") or ""), part.get("arguments"))
        for message in messages
        for part in message["parts"]
        if part.get("type") == "tool_call"
    ]


def reasoning_of(messages: list[Message]) -> list[str]:
    """What messages say of how they were thought of."""
    return [
        text
        for message in messages
        for part in message["parts"]
        if part.get("type") == "reasoning" and isinstance(text := part.get("content"), str) and text.strip()
    ]


def _is_message(value: Any) -> bool:
    return isinstance(value, Mapping) and ("role" in value or "parts" in value or "lc" in value or "data" in value)


def _is_part(value: Any) -> bool:
    return isinstance(value, Mapping) and not _is_message(value) and (
        "text" in value or "toolUse" in value or "toolResult" in value or value.get("type") in _PART_TYPES
    )  # fmt: skip


_PART_TYPES = {
    "text", "input_text", "output_text", "tool_call", "tool_call_response", "tool_use", "tool_result", "tool-call",
    "tool-result", "reasoning", "thinking",
}  # fmt: skip


def _is_structured(content: Any) -> bool:
    """Whether a tool message says itself which call it answers."""
    answers = ("tool-result", "tool_result", "tool_call_response")
    return isinstance(content, list) and any(
        isinstance(part, Mapping) and ("toolResult" in part or part.get("type") in answers) for part in content
    )


def _unwrapped(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """LangChain's two ways to write a message, and OpenInference's `message` level, taken off."""
    if value.get("lc") and isinstance(value.get("kwargs"), Mapping):
        path = value.get("id")
        name = str(path[-1]) if isinstance(path, list) and path else ""
        inner = dict(value["kwargs"])
        inner["role"] = inner.get("role") or _LANGCHAIN.get(name.removesuffix("Chunk"), inner.get("type", "user"))
        return inner
    if isinstance(value.get("data"), Mapping) and "role" not in value:
        return {**value["data"], "role": value.get("type", "user")}
    if isinstance(value.get("message"), Mapping) and "content" not in value:
        return dict(value["message"])
    return value


def _parts(content: Any) -> list[dict[str, Any]]:
    if content is None:
        return []
    if isinstance(content, str) and content[:2] in ("[{", "[ "):  # a list of parts as JSON text
        inner = decoded(content)
        if isinstance(inner, list) and inner and all(_is_part(part) for part in inner):
            content = inner
    if isinstance(content, list):
        return [inner for part in content if part is not None for inner in _spelled(_part(part))]
    if isinstance(content, Mapping):
        return [_part(content)]
    return [_text(content)]


def _spelled(part: dict[str, Any]) -> list[dict[str, Any]]:
    """A part, or the parts of the whole message that its text spells: some writers put an object's `repr` there."""
    text = part.get("content") if part.get("type") == "text" else None
    if isinstance(text, str) and text.startswith(("{'content':", "{'role':", '{"content":', '{"role":')):
        inner = decoded(text)
        if isinstance(inner, Mapping) and "role" in inner and "content" in inner:
            return list(message_of(inner)["parts"])
    return [part]


def _part(part: Any) -> dict[str, Any]:
    if not isinstance(part, Mapping):
        return _text(part)
    if isinstance(part.get("message_content"), Mapping):  # OpenInference's flattened level
        part = part["message_content"]
    kind = part.get("type")
    for key in ("tool_call", "toolUse", "function_call", "functionCall"):
        if isinstance(part.get(key), Mapping):
            return _call(part[key])
    for key in ("toolResult", "function_response", "functionResponse"):
        if isinstance(part.get(key), Mapping):
            return _answer(part[key])
    if kind in ("tool_call", "tool_use", "tool-call", "function_call"):
        return _call(part)
    if kind in ("tool_call_response", "tool_result", "tool-result"):
        return _answer(part)
    text = part.get("content", part.get("text", part.get("thinking", part.get("reasoning"))))
    if kind in ("reasoning", "thinking"):
        return {"type": "reasoning", "content": text if isinstance(text, str) else ""}
    if isinstance(text, str) and kind in (None, "text", "input_text", "output_text"):
        return _text(text)
    return dict(part)


def _call(call: Any) -> dict[str, Any]:
    if not isinstance(call, Mapping):
        return _text(call)
    if isinstance(call.get("tool_call"), Mapping):
        call = call["tool_call"]
    function = call["function"] if isinstance(call.get("function"), Mapping) else call
    arguments = next((function[k] for k in ("arguments", "args", "input") if function.get(k) is not None), None)
    return {
        "type": "tool_call",
        "id": call.get("id") or call.get("toolCallId") or call.get("toolUseId") or call.get("call_id") or "",
        "name": function.get("name") or function.get("toolName") or "",
        "arguments": decoded(arguments),
    }


def _answer(part: Mapping[str, Any]) -> dict[str, Any]:
    ids = ("id", "tool_use_id", "toolCallId", "toolUseId", "tool_call_id")
    call_id = next((part[k] for k in ids if part.get(k)), "")
    said = next((part[k] for k in ("response", "result", "output", "content") if part.get(k) is not None), None)
    return _response(call_id, said)


def _response(call_id: Any, said: Any) -> dict[str, Any]:
    said = decoded(said)
    if isinstance(said, list) and said and all(isinstance(p, Mapping) and isinstance(p.get("text"), str) for p in said):
        said = decoded("\n".join(part["text"] for part in said))  # a result in parts is the text of its parts
    return {"type": "tool_call_response", "id": call_id or "", "response": said}


def _text(value: Any) -> dict[str, Any]:
    return {"type": "text", "content": clean(value if isinstance(value, str) else str(value))}


def decoded_body(body: Body) -> Message | None:
    """The message that a body holds; None where it holds something else."""
    media_type, text = body
    message = decoded(text.decode("utf-8", "replace")) if media_type == MESSAGE else None
    return Message(message) if isinstance(message, dict) and isinstance(message.get("parts"), list) else None


def _of_text(read: Callable[[Any, str], _Read], role: str, text: str) -> _Read:
    return read(_value_of(text), role)


_KEPT_ROLES = ("user", "assistant", "system", "tool")
_MESSAGES = {role: Kept(partial(_of_text, _messages_of, role)) for role in _KEPT_ROLES}
_ONES = {role: Kept(partial(message_of, role=role)) for role in _KEPT_ROLES}
_TALKS = {role: Kept(partial(_of_text, _talk_of, role)) for role in _KEPT_ROLES}
