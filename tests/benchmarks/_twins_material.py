"""Real runs of the shared data, retold as a team: a lead that was asked for it gives the work to whoever did it.

Invariant: what is said is the run's own: the request, the tools' calls and results, the worker's words; only the lead and its
brief, the request word for word, are added, so that there is a boundary to cross. A half is chosen by the run's id; a task that
one half has is not in the other. Raises AbsentError where the data is not on this machine. Used by the family of real twins.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from tests.benchmarks import shared_data
from tests.scenarios import Scenario

_SETS = ("agentrx_tau", "tau_airline", "who_and_when")
_MAX_STEPS_COUNT = 40
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'(])")


@dataclass(frozen=True)
class Step:
    """One thing that the worker did: words with the tool calls in them, or a tool's result with the call that it answers."""

    text: str
    tool: str = ""
    arguments: Any = None


@dataclass(frozen=True)
class Run:
    """A real run: what was asked, under which instructions, with which tools it was done."""

    run_id: str
    source: str
    request: str
    system: str
    steps: tuple[Step, ...]

    @property
    def seed(self) -> int:
        return int.from_bytes(_digest(self.run_id)[:6], "big")

    @property
    def sentences(self) -> list[str]:
        """The request in its sentences; one that is short goes with the one before it."""
        return [part.strip() for part in _SENTENCE.split(self.request) if part.strip()]

    @property
    def answer(self) -> str:
        return next((s.text for s in reversed(self.steps) if not s.tool and len(s.text) > 40), "")

    @property
    def done(self) -> str:
        """All that the worker said and its tools were given and gave."""
        return "\n".join(f"{s.text} {json.dumps(s.arguments, ensure_ascii=False)}" for s in self.steps)


@dataclass
class Changes:
    """What is wrong in a retold run, if anything; and what is added to both twins, so that it can be."""

    request: str = ""  # what the lead is asked, in place of the run's request
    system: str = ""  # the lead's instructions
    heard: str = ""  # what it is told before it gives the work away
    brief: str = ""
    steps: list[Step] = field(default_factory=list)
    answer: str = ""  # the lead's
    returned: str = ""  # what arrives of the worker's answer
    is_twice: bool = False
    summary: str = ""  # what stands for the beginning of the worker's conversation from its middle on
    at_limit: bool = False
    tools: list[dict[str, Any]] = field(default_factory=list)


def retold(run: Run, made: Changes | None = None) -> Scenario:
    """A run as a team's, with what is changed in it."""
    made = made or Changes()
    told = Scenario(trace_id=_digest(run.run_id)[:16])
    answer = made.answer or run.answer
    with told.agent("desk", task=made.request or run.request, system=made.system):
        told.says("I see to it.")
        if made.heard:
            told.hears(made.heard)
            told.says("Noted.")
        for _ in range(2 if made.is_twice else 1):
            with told.delegate("specialist", made.brief or run.request):
                told.heard[:0] = [{"role": "system", "content": run.system}] if run.system else []
                _work(told, made.steps or list(run.steps), made)
                told.returns(made.returned or answer_of(made.steps or list(run.steps)) or run.answer)
        told.says(answer)
    return told


def _work(told: Scenario, steps: list[Step], made: Changes) -> None:
    tools = [{"type": "function", "function": tool} for tool in made.tools] or None
    last = next((i for i in reversed(range(len(steps))) if not steps[i].tool), 0)
    for at, step in enumerate(steps):
        if made.summary and at == len(steps) * 2 // 3:
            _shorten(told, made.summary)
        if step.tool:
            call_id = f"call-{at}"
            if step.arguments is not None:
                told.says("", tools=tools, calls=[(call_id, step.tool, step.arguments)])
            told.tool(step.tool, step.arguments, step.text, call_id=call_id)
        else:
            is_cut = made.at_limit and at == last
            told.says(
                step.text, tools=tools, attributes={"gen_ai.response.finish_reasons": ["length"]} if is_cut else None
            )
    if not steps or steps[-1].tool:
        told.says("That is done.")


def _shorten(told: Scenario, summary: str) -> None:
    kept = [m for m in told.heard[:1] if m["role"] == "system"]
    told.heard[:] = [*kept, {"role": "user", "content": summary}, *told.heard[-2:]]


def answer_of(steps: list[Step]) -> str:
    return next((s.text for s in reversed(steps) if not s.tool and len(s.text) > 40), "")


def runs(half: str) -> list[Run]:
    """The runs of a half, `development` or `held out`, each task once, in an order that says nothing."""
    development = {r.run_id: r for r in _all() if _is_even(r.run_id)}
    if half == "development":
        return _once(list(development.values()))
    tasks = {r.request for r in development.values()}
    return _once([r for r in _all() if r.run_id not in development and r.request not in tasks])


def schemas() -> list[dict[str, Any]]:
    """The tools of all runs as their calls show them: every name that was given, those that always were being required."""
    calls: dict[str, list[dict[str, Any]]] = {}
    for run in _all():
        for step in run.steps:
            if step.tool and isinstance(step.arguments, dict):
                calls.setdefault(step.tool, []).append(step.arguments)
    return [_schema(tool, given) for tool, given in sorted(calls.items())]


def _schema(tool: str, given: list[dict[str, Any]]) -> dict[str, Any]:
    names = sorted({name for arguments in given for name in arguments})
    kinds = {name: sorted({_kind(a[name]) for a in given if name in a}) for name in names}
    return {
        "name": tool,
        "parameters": {
            "type": "object",
            "properties": {name: {"type": found[0] if len(found) == 1 else found} for name, found in kinds.items()},
            "required": [name for name in names if all(name in a for a in given)],
            "additionalProperties": False,
        },
    }


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return {str: "string", list: "array", dict: "object"}.get(type(value), "null")


@cache
def _all() -> tuple[Run, ...]:
    return tuple(run for name in _SETS for run in _of_set(name))


def _of_set(name: str) -> Iterator[Run]:
    """Of tau the runs that passed, in which nothing is wrong; of Who&When those that a manager's brief begins."""
    for line in (shared_data(name) / "dev.jsonl").read_text().splitlines():
        record = json.loads(line)
        steps = record["steps"]
        if name == "who_and_when":
            if record["subset"] == "Algorithm-Generated":
                said = [_said(s) for s in steps[1:]]
                yield Run(record["run_id"], name, record["question"], "", tuple(said[:_MAX_STEPS_COUNT]))
        elif record["outcome"] == "pass":
            system = steps[0]["content"] if steps[0]["role"] == "system" else ""
            yield Run(record["run_id"], name, record["question"], system, tuple(_tau(steps))[:_MAX_STEPS_COUNT])


def _said(step: dict[str, Any]) -> Step:
    return Step(step["content"], step["agent"] if step["role"] == "tool" else "")


def _tau(steps: list[dict[str, Any]]) -> Iterator[Step]:
    """What the assistant and its tools did; what the simulated person said is in the request."""
    asked: list[tuple[str, Any]] = []
    for step in steps:
        if step["role"] == "agent":
            calls = step.get("tool_calls") or []
            asked += [(call["name"], json.loads(call["arguments"])) for call in calls]
            if step["content"]:
                yield Step(step["content"])
        elif step["role"] == "tool":
            at = next((i for i, (name, _) in enumerate(asked) if name == step["tool"]), -1)
            yield Step(step["content"], step["tool"], asked.pop(at)[1] if at >= 0 else None)


def _once(found: list[Run]) -> list[Run]:
    ordered = sorted(found, key=lambda r: _digest(r.run_id))
    return list({run.request: run for run in ordered}.values())


def _is_even(run_id: str) -> bool:
    return _digest(run_id)[-1] % 2 == 0


def _digest(run_id: str) -> bytes:
    return hashlib.sha256(run_id.encode()).digest()
