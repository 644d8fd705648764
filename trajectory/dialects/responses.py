"""What a model said in a response object of OpenAI's Responses API, as messages and counts that other shapes have too.

Invariant: known by its shape (`"object": "response"` with `output` items) and never by who sent it, and read whole or not at
all: what is malformed stays as it came. Called by `messages`.
"""

from collections.abc import Mapping
from typing import Any

from trajectory.dialects.values import count_of

_CALLS = {"function_call", "custom_tool_call", "mcp_call"}
_TEXTS = ("text", "refusal")


def messages_in(value: Any) -> list[dict[str, Any]] | None:
    """One message for each response in a value, its output items being the parts; None where the value holds no responses."""
    messages: list[dict[str, Any]] = []
    for response in _responses_in(value):
        parts: list[dict[str, Any]] = []
        for item in response["output"]:
            read = _parts(item)
            if read is None:
                return None
            parts += read
        if parts:
            messages.append({"role": "assistant", "parts": parts})
    return messages or None


def usage_in(value: Any) -> tuple[int | None, int | None]:
    """Tokens that the responses in a value read and wrote; None where they do not say."""
    usages = [response.get("usage") for response in _responses_in(value)]
    told = [usage for usage in usages if isinstance(usage, Mapping)]
    return _sum(told, "input_tokens"), _sum(told, "output_tokens")


def _sum(usages: list[Mapping[str, Any]], key: str) -> int | None:
    counts = [count for usage in usages if (count := count_of(usage.get(key))) is not None]
    return sum(counts) if counts else None


def _responses_in(value: Any) -> list[Mapping[str, Any]]:
    """A response, or a list of nothing else; of a response that is told again as it grows, the last is the whole."""
    if _is_response(value):
        return [value]
    if not isinstance(value, list) or not value or not all(map(_is_response, value)):
        return []
    return list({str(response.get("id")): response for response in value}.values())


def _is_response(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("object") == "response" and isinstance(value.get("output"), list)


def _parts(item: Any) -> list[dict[str, Any]] | None:
    """An output item as parts; one of a kind that is not known is a part as it came, and None is no item."""
    if not isinstance(item, Mapping) or not isinstance(kind := item.get("type"), str):
        return None
    if kind == "message":
        return _texts(item.get("content"))
    if kind == "reasoning":
        return _reasoning(item)
    if kind in _CALLS:
        if not isinstance(item.get("name"), str):
            return None
        asked = {"name": item["name"], "arguments": item.get("arguments", item.get("input"))}
        return [{"type": "tool_call", "id": item.get("call_id") or item.get("id") or "", **asked}]
    return [dict(item)]


def _texts(content: Any) -> list[dict[str, Any]] | None:
    if isinstance(content, str):
        return [{"type": "text", "content": content}]
    if not isinstance(content, list):
        return None
    parts: list[dict[str, Any]] = []
    for part in content:
        if not isinstance(part, Mapping):
            return None
        said = next((part[key] for key in _TEXTS if isinstance(part.get(key), str)), None)
        parts.append(dict(part) if said is None else {"type": "text", "content": said})
    return parts


def _reasoning(item: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What was thought where it is told in full, else its summary; often neither is, and nothing is made of that."""
    for told in (item.get("content"), item.get("summary")):
        thoughts = (
            [t["text"] for t in told if isinstance(t, Mapping) and t.get("text")] if isinstance(told, list) else []
        )
        if thoughts:
            return [{"type": "reasoning", "content": "\n".join(map(str, thoughts))}]
    return []
