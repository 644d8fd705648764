"""A tool call in a Codex rollout: how it begins, as a tool's work or as a thread of its own, and how it went.

Invariant: it failed where the log says so, by an exit code or a mark; what its output says otherwise is for detectors. Used by
`codex`.
"""

import re
from collections.abc import Mapping
from typing import Any

from trajectory.dialects import messages as chat
from trajectory.dialects.coding import (
    DELEGATION,
    EXIT_CODE,
    TOOL,
    Joins,
    Ledger,
    Sent,
    Work,
    delegation,
    light,
    mapping,
    message_of_error,
    text_of,
    tool_attributes,
)
from trajectory.dialects.values import count_of, decoded, first_name, plain
from trajectory.model.words import ERROR_TYPE, Slot, SpanStatus, Surface

SUB_AGENT = "sub-agent"
CALLS = {
    "function_call": "arguments", "custom_tool_call": "input", "local_shell_call": "action", "web_search_call": "action",
    "tool_search_call": "arguments", "image_generation_call": "revised_prompt",
}  # fmt: skip
_NAMES = {
    "local_shell_call": "shell", "web_search_call": "web_search", "tool_search_call": "tool_search",
    "image_generation_call": "image_generation",
}  # fmt: skip
_EXIT = re.compile(r"(?:Exit code:|exited with code) (\d{1,9})\b")
_SPAWN = "spawn_agent"


def asked(what: str, payload: Mapping[str, Any]) -> tuple[str, Any]:
    """The name of the tool that an item of this kind calls, and what it is given."""
    return first_name(payload, "name") or _NAMES.get(what, "tool"), decoded(payload.get(CALLS[what]))


def begin(
    ledger: Ledger, joins: Joins, agent: Work, by: str, call_id: str, name: str, given: Any, at_ns: int
) -> Work:  # fmt: skip
    """Opens the span of a call `by` an agent; `joins` hear of one that begins another thread."""
    stored = ledger.stored
    arguments = {str(Slot.ARGUMENTS): stored.digests(chat.body_of(light(plain(given))))}
    if name != _SPAWN:
        return ledger.open(
            agent.trace_id, f"tool {call_id}", agent.span_id, at_ns, TOOL, name, by,
            attributes=tool_attributes(name, call_id), contents=arguments,
        )  # fmt: skip
    task = text_of(mapping(given).get("message") or mapping(given).get("prompt"))
    target = first_name(mapping(given), "agent_type", "task_name") or SUB_AGENT
    work = ledger.open(
        agent.trace_id, f"tool {call_id}", agent.span_id, at_ns, DELEGATION, f"delegate to {target}", by,
        Surface.COORDINATION, {**tool_attributes(name, call_id), **delegation(by, target)},
        {**arguments, str(Slot.TASK): stored.digests(chat.body_of(task))},
    )  # fmt: skip
    joins.send(call_id, Sent(work, by, target, task))
    return work


def ends_at_once(work: Work, what: str, payload: Mapping[str, Any], at_ns: int) -> bool:
    """Closes a call of which no output is to come; whether it is one."""
    failed = first_name(payload, "status") == "failed"
    if what not in ("web_search_call", "image_generation_call") and not (what == "local_shell_call" and failed):
        return False
    work.close(at_ns, SpanStatus.ERROR if failed else "")
    return True


def end(work: Work, told: Mapping[str, Any], text: str, at_ns: int) -> None:
    """Closes a call by what is told of its output, which says `text`."""
    code = count_of(told.get("exit_code"))
    if code is None and (match := _EXIT.search(text[:2000])):
        code = int(match[1])
    code = work.attributes.get(EXIT_CODE) if code is None else code
    if code is not None:
        work.attributes[EXIT_CODE] = code
    if code or told.get("success") is False:
        work.attributes[ERROR_TYPE] = f"exit code {code}" if code else "tool_error"
        work.close(at_ns, SpanStatus.ERROR, message_of_error(text))
    else:
        work.close(at_ns)
