"""A tool call in Claude Code's log: how it begins, as a tool's work or as a sub-agent's, and how it went by its result.

Invariant: a result says failure by its own mark, whatever its text says; what a user refused is no error. Used by
`claude_code`.
"""

import re
from collections.abc import Mapping
from typing import Any

from trajectory.dialects import messages as chat
from trajectory.dialects.claude_talk import Chain
from trajectory.dialects.coding import (
    DELEGATION,
    EXIT_CODE,
    TOOL,
    Joins,
    Ledger,
    Sent,
    Work,
    delegation,
    mapping,
    message_of_error,
    text_of,
    tool_attributes,
)
from trajectory.dialects.values import count_of, first_name
from trajectory.model.content import canonical_json, digest, encode
from trajectory.model.words import ERROR_TYPE, Slot, SpanStatus, Surface

SUB_AGENT = "sub-agent"
_EXIT = re.compile(r"^(?:Error: )?Exit code (\d{1,9})\b")
_REFUSED = "The user doesn't want to proceed with this tool use"


def begin(ledger: Ledger, joins: Joins, chain: Chain, agent: Work, block: Mapping[str, Any], at_ns: int) -> None:
    """Opens the span of a call that a line asks for; `joins` hear of one that gives work to a sub-agent."""
    call_id = first_name(block, "id") or digest("tool", canonical_json(block)).hex()
    if call_id in chain.tools:
        return
    name = first_name(block, "name") or "tool"
    given = mapping(block.get("input"))
    stored = ledger.stored
    target, prompt = first_name(given, "subagent_type", "agent_type"), given.get("prompt")
    arguments = {str(Slot.ARGUMENTS): stored.digests(chat.body_of(block.get("input")))}
    if isinstance(prompt, str) and (target or name in ("Task", "Agent")):
        contents = {**arguments, str(Slot.TASK): stored.digests([encode(text_of(prompt))])}
        work = ledger.open(
            agent.trace_id, f"tool {call_id}", agent.span_id, at_ns, DELEGATION, f"delegate to {target or SUB_AGENT}",
            chain.name, Surface.COORDINATION, {**tool_attributes(name, call_id), **delegation(chain.name, target)}, contents,
        )  # fmt: skip
        joins.send(call_id, Sent(work, chain.name, target, text_of(prompt)))
    else:
        work = ledger.open(
            agent.trace_id, f"tool {call_id}", agent.span_id, at_ns, TOOL, name, chain.name,
            attributes=tool_attributes(name, call_id), contents=arguments,
        )  # fmt: skip
    chain.tools[call_id] = work


def end(work: Work, block: Mapping[str, Any], told: Mapping[str, Any], content: Any, at_ns: int) -> None:
    """Closes a call's span by the block with its result, whose `content` is light; `told` is what its line says beside it."""
    text = text_of(content)
    work.got[str(Slot.RESULT)] = chat.body_of(_plain_text(content))
    code = _exit_code(told, text)
    if code is not None:
        work.attributes[EXIT_CODE] = code
    if block.get("is_error") is not True:
        work.close(at_ns)
    elif text.startswith(_REFUSED):
        work.interrupt(at_ns, "the user refused it")
    else:
        work.attributes[ERROR_TYPE] = "tool_error" if code is None else f"exit code {code}"
        work.close(at_ns, SpanStatus.ERROR, message_of_error(text))


def is_error(block: Mapping[str, Any]) -> bool:
    """Whether a block of the answer, with the result of what the model's own side ran, says that this failed."""
    return block.get("is_error") is True or str(mapping(block.get("content")).get("type", "")).endswith("_error")


def _plain_text(content: Any) -> Any:
    """A result that is nothing but text, as that text."""
    parts = content if isinstance(content, list) else []
    if parts and all(mapping(part).get("type") == "text" for part in parts):
        return text_of(content)
    return content


def _exit_code(told: Mapping[str, Any], text: str) -> int | None:
    code = next((count_of(told.get(key)) for key in ("exitCode", "exit_code", "code") if key in told), None)
    if code is None and (match := _EXIT.match(text)):
        code = int(match[1])
    return code
