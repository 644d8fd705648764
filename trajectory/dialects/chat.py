"""Conversation logs as conversations: who said what to whom, in which part.

Invariant: every entry of a log becomes one step with its own zero-based index, nothing is merged or dropped, and labels or
outcomes that a log carries beside the conversation are never read. Called by `sniff`; `chat_facts` makes facts of it.

Read: our JSONL (`{"run_id", "question", "steps": [{"i", "agent", "role", "content", "to", "tool", "tool_calls"}]}`),
AutoGen's `{"history": [{"content", "role", "name"}]}`, and bare lists of OpenAI-style messages under `messages`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from trajectory.dialects.messages import message_of
from trajectory.dialects.raw import MAX_NS
from trajectory.dialects.values import clean, first_name, name_of

MAX_STEPS = 100_000
LISTS = ("steps", "history", "messages")
_TO = re.compile(r"^(?P<agent>.+?)\s*\(\s*(?:->|→)\s*(?P<to>[^()]+?)\s*\)$")
_PART = re.compile(r"^(?P<agent>.+?)\s*\((?P<part>[^()]*)\)$")
_PEOPLE = {"user", "human", "user_proxy", "userproxy", "customer"}
_RUNS_CODE = re.compile(r"terminal|code_?execut|code_?runner|^tools?$|^function$", re.IGNORECASE)
_CODE_RESULT = re.compile(r"^exitcode: -?\d+ \(")
_ROLES = {
    "user": "user", "human": "user", "system": "system", "developer": "system", "assistant": "agent", "agent": "agent",
    "ai": "agent", "model": "agent", "tool": "tool", "function": "tool", "thought": "thought", "delegation": "delegation",
    "termination": "termination",
}  # fmt: skip
STEP_ROOM_NS = 1_000_000_000
_TIMES = ("at_ns", "timestamp", "time", "created_at", "ts")


@dataclass(slots=True)
class Step:
    """One entry of a log. `role` is user, system, agent, tool, thought, delegation or termination.

    `to` is the agent that a delegation goes to; `tool` the tool behind a result; `calls` the (name, arguments) asked for.
    `at_ns` is 0 where the log has no clock.
    """

    index: int
    agent: str
    role: str
    content: str
    to: str = ""
    tool: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    at_ns: int = 0


@dataclass(slots=True)
class Conversation:
    """One run: `question` is what it was asked."""

    run_id: str
    question: str
    service: str
    steps: list[Step]


def conversation_of(record: Any) -> Conversation | None:
    """The conversation in a decoded JSON value; None where it holds none."""
    if isinstance(record, list):
        record = {"messages": record}
    if not isinstance(record, Mapping):
        return None
    entries = next((record[key] for key in LISTS if isinstance(record.get(key), list)), None)
    if not entries or not all(isinstance(e, Mapping) and _is_entry(e) for e in entries):
        return None
    asked: dict[str, str] = {}  # id of a tool call → the tool's name
    steps = [_step(index, entry, asked) for index, entry in enumerate(entries[:MAX_STEPS])]
    _date(steps, entries)
    question = record.get("question")
    if not isinstance(question, str) or not question.strip():
        question = next((step.content for step in steps if step.role == "user"), steps[0].content)
    run_id = first_name(record, "run_id", "id", "question_ID", "task_id")
    service = first_name(record, "framework") or "chat"
    return Conversation(run_id, clean(question), service, steps)


def _is_entry(entry: Mapping[str, Any]) -> bool:
    return ("content" in entry or "tool_calls" in entry) and ("role" in entry or "agent" in entry or "name" in entry)


def _step(index: int, entry: Mapping[str, Any], asked: dict[str, str]) -> Step:
    said = first_name(entry, "role")
    agent = first_name(entry, "agent", "name", "source")
    role = _ROLES.get(said.lower(), "")
    to = first_name(entry, "to")
    for written in (said, agent):  # `Orchestrator (-> WebSurfer)`, in either field
        passes, part = _TO.match(written), _PART.match(written)
        if passes:
            agent, to, role = name_of(passes["agent"]), to or name_of(passes["to"]), "delegation"
            break
        if part:
            agent = name_of(part["agent"])
            role = {"thought": "thought", "termination condition": "termination"}.get(
                part["part"].lower(), role or "agent"
            )
            break
    content = _text(entry.get("content"))
    agent = agent or (said if not role else {"agent": "assistant", "tool": "tools"}.get(role, role))
    if role == "delegation" and not to:
        role = "agent"
    elif role in ("", "user", "agent"):
        role = _role(index, role, agent, content)
    tool = first_name(entry, "tool") or asked.get(first_name(entry, "tool_call_id"), "") or agent
    return Step(index, agent, role, content, to if role == "delegation" else "", tool, _calls(entry, asked))


def _calls(entry: Mapping[str, Any], asked: dict[str, str]) -> list[tuple[str, Any]]:
    """The (name, arguments) of the tools that an entry calls; their ids are noted for the results."""
    calls = entry.get("tool_calls")
    if not isinstance(calls, list):
        return []
    parts = message_of({"role": "assistant", "tool_calls": calls})["parts"]
    asked.update({name_of(part.get("id")): name_of(part.get("name")) for part in parts if part.get("id")})
    return [(name_of(part.get("name")), part.get("arguments")) for part in parts if part.get("type") == "tool_call"]


def _role(index: int, role: str, agent: str, content: str) -> str:
    """What an entry is: AutoGen calls everybody but the speaker `user`, so names and code results decide."""
    if agent.lower() in _PEOPLE or (role == "user" and index == 0):
        return "user"
    if _CODE_RESULT.match(content) or (role != "agent" and _RUNS_CODE.search(agent)):
        return "tool"
    return "agent"


def _text(content: Any) -> str:
    if isinstance(content, str):
        return clean(content)
    if content is None:
        return ""
    parts = message_of({"role": "user", "content": content})["parts"]
    return "\n".join(str(part.get("content", part.get("response", ""))) for part in parts)


def _date(steps: list[Step], entries: list[Any]) -> None:
    """Gives the steps the log's own times, if each has one and they do not go backwards."""
    times = [
        next((ns for key in _TIMES if (ns := nanoseconds_of(entry.get(key)))), 0) for entry in entries[: len(steps)]
    ]
    if all(times) and times == sorted(times):
        for step, at_ns in zip(steps, times, strict=True):
            step.at_ns = at_ns


def nanoseconds_of(value: Any) -> int:
    """A time as nanoseconds, from ISO text or a number of seconds, milliseconds or nanoseconds; 0 where it is none."""
    if isinstance(value, str) and len(value) < 40:
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return 0
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(int(moment.timestamp() * 1_000_000) * 1000, 0)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 1e8 < value < MAX_NS:
        return 0
    unit = next((unit for limit, unit in ((1e11, 1_000_000_000), (1e14, 1_000_000), (1e17, 1_000)) if value < limit), 1)
    return min(int(value * unit), MAX_NS - STEP_ROOM_NS)
