"""Recognises hand-overs: tools and spans by which one agent gives work, or control, to another.

Invariant: a tool is a hand-over by its name's shape alone or by shape and an argument that names an agent; a bank's
`transfer_to_savings(amount=...)` is none. Called by the dialects (spans that say so) and by `spans` (tool calls).
"""

import re
from collections.abc import Mapping
from typing import Any

from trajectory.dialects.reading import HandOver
from trajectory.dialects.values import decoded, is_opaque_id, name_of
from trajectory.model.words import DelegationMode, Grade

_PASSES = re.compile(r"^(?:transfer|hand_?off|hand_?over)_(?:task_|control_|work_)?(?:back_)?to_(?P<target>.+)$")
_NAMESPACE = re.compile(r"^[\w./:]{1,64}(?:[./:]|__|-(?=[a-z]+_))(?P<tool>[\w-]{1,128})$")  # `-` only before a_snake
_GIVES = re.compile(
    r"^(?:(?:delegate|assign|forward|transfer|send)_(?:task|tasks|work)_to_(?:all_)?(?:coworkers?|members?|agents?|workers?)"
    r"|delegate(?:_task|_work)?(?:_to_(?:coworker|member|agent|worker|subagent))?"
    r"|ask_question_to_coworker)$"
)
_HANDS = frozenset({"handoff", "hand_off", "handover", "hand_over", "agent_handoff", "transfer_control"})
_ANYBODY = frozenset({"agent", "agents", "member", "coworker", "worker", "subagent", "sub_agent", "another_agent"})
_COMMAND = frozenset({"goto", "graph", "resume", "update"})
_NAMES_AGENT = (
    "to_agent", "target_agent", "agent_name", "coworker", "co_worker", "member_id", "member", "recipient_agent",
    "recipient", "agent_id", "agent", "destination_agent", "next_agent", "assignee", "target", "to",
)  # fmt: skip
_NAMES_TASK = (
    "task", "task_description", "message", "question", "request", "query", "note", "instructions", "prompt", "input",
    "description", "summary", "context", "expected_output", "reason",
)  # fmt: skip


def of_tool(tool: str, arguments: Any) -> HandOver | None:
    """The hand-over that a call of this tool is; None where it is an ordinary tool. `arguments` may be JSON in a string.

    A tool may be named with the plug-in or the server that has it (`Handoff-transfer_to_buyer`, `team.delegate_task`).
    """
    found = _of_tool(tool, arguments)
    if found is None and (inner := _NAMESPACE.match(tool.strip())):
        return _of_tool(inner["tool"], arguments)
    return found


def _of_tool(tool: str, arguments: Any) -> HandOver | None:
    name = "_".join(tool.strip().lower().replace("-", "_").split())
    arguments = decoded(arguments)
    named = _agent_in(arguments)
    if named and _GIVES.match(name):
        reason = f"an argument of {name_of(tool)} names the target"
        return HandOver(DelegationMode.CALL, Grade.DECLARED, reason, target=named, tasks=tasks_in(arguments))
    passes = _PASSES.match(name)
    if passes and passes["target"] not in _ANYBODY:
        if _has_numbers(arguments):
            return None
        target = tool.strip()[-len(passes["target"]) :]  # as it was written: agents' names keep their case
        reason = f"the name of {name_of(tool)} names the target"
        return HandOver(DelegationMode.TRANSFER, Grade.DECLARED, reason, target=target, tasks=tasks_in(arguments))
    if passes or (named and name in _HANDS):
        reason = f"an argument of {name_of(tool)} names the target" if named else f"{name_of(tool)} without a target"
        grade = Grade.DECLARED if named else Grade.INFERRED
        return HandOver(DelegationMode.TRANSFER, grade, reason, target=named, tasks=tasks_in(arguments))
    return None


def of_command(tool: str, arguments: Any, answer: Any) -> HandOver | None:
    """The hand-over that a tool asks for by its answer: LangGraph's `Command` to go on at a node of the graph around the agent.

    Whether that node is an agent is not said.
    """
    command = decoded(answer)
    if not isinstance(command, Mapping) or command.keys() != _COMMAND or command["graph"] != "__parent__":
        return None
    reason, target = f"what {name_of(tool)} answered names the target", name_of(command["goto"])
    return (
        HandOver(DelegationMode.TRANSFER, Grade.DECLARED, reason, target=target, tasks=tasks_in(arguments))
        if target
        else None
    )


def of_handoff_span(source: str, target: str, said_by: str) -> HandOver:
    """The hand-over that a span is by its own word; `said_by` says by which."""
    if target.lower() in ("", "unknown", "none"):
        return HandOver(DelegationMode.TRANSFER, Grade.INFERRED, f"{said_by} without a target", source=source)
    return HandOver(DelegationMode.TRANSFER, Grade.DECLARED, said_by, source=source, target=target)


def tasks_in(arguments: Any) -> list[Any]:
    """The texts that a hand-over's arguments hand over, the task first; a lone text argument is the task."""
    arguments = decoded(arguments)
    if isinstance(arguments, str):
        return [arguments] if arguments.strip() else []
    if not isinstance(arguments, Mapping):
        return []
    told = [arguments[key] for key in _NAMES_TASK if isinstance(arguments.get(key), str) and arguments[key].strip()]
    if told:
        return told
    rest = [value for key, value in arguments.items() if key not in _NAMES_AGENT and isinstance(value, str) and value]
    return rest[:1] if len(rest) == 1 else []


def _agent_in(arguments: Any) -> str:
    if not isinstance(arguments, Mapping):
        return ""
    named = (name_of(arguments.get(key)) for key in _NAMES_AGENT)
    return next((name for name in named if name and not is_opaque_id(name)), "")


def _has_numbers(arguments: Any) -> bool:
    """Whether any argument is a number: agents are given tasks in words, and accounts are given amounts."""
    return isinstance(arguments, Mapping) and any(
        isinstance(value, (int, float)) and not isinstance(value, bool) for value in arguments.values()
    )
