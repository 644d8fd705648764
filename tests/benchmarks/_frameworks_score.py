"""What `trajectory show --json` says of one run, held against what the stage knows of it.

Invariant: a fact is judged only where it is on the wire, which is looked up in the bytes and not in what we made of them, or
else said by hand with its reason (`Row.unseen`). Used by `frameworks`.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.benchmarks._frameworks_rows import Played
from tests.benchmarks._frameworks_script import LOST
from tests.benchmarks._frameworks_stage import Run

SESSION = "oakfield-session-7"
_SOFT = "503 sensor gateway"
_COUNTED = re.compile(r"_tokens\W{1,3}(\d+)\b")
Shown = list[dict[str, Any]]  # the traces of one run, as `show --json` prints each


@dataclass(slots=True)
class Score:
    """The facts of one run: right, wrong (as said and as true), and not on the wire with the reason."""

    run: str
    right: list[str] = field(default_factory=list)
    wrong: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    unseen: dict[str, str] = field(default_factory=dict)
    edges: Counter[tuple[str, str]] = field(default_factory=Counter)  # (grade, right|wrong|missed) → delegations


def scored(run: Run, shown: Shown, played: Played) -> Score:
    """Every fact of a run. What `played.unseen` names (in all runs, or in those of a shape or variant) is not judged."""
    unseen = played.unseen
    score = Score(run.name)
    texts = list(run.texts())
    for fact, (said, true, seen) in _facts(run, shown, texts, played.tool_names).items():
        named = (fact, f"{run.script.shape} {fact}", f"{run.script.variant} {fact}")
        if reason := next((unseen[name] for name in named if name in unseen), ""):
            score.unseen[fact] = reason
        elif not seen:
            score.unseen[fact] = "not in the bytes"
        elif said == true:
            score.right.append(fact)
        else:
            score.wrong[fact] = (said, true)
    if "delegations" not in score.unseen:
        _count_edges(run, shown, score.edges)
    return score


def _facts(run: Run, shown: Shown, texts: list[str], tool_names: dict[str, str]) -> dict[str, tuple[Any, Any, bool]]:
    """(said, true, whether it is on the wire) of each fact."""
    calls = run.script.calls
    agents = sorted({call.agent for call in calls})
    given = run.delegations()
    used = Counter(tool_names.get(tool, tool) for tool in run.tools)
    sensor = tool_names.get("read_sensor", "read_sensor")
    raised = [sensor] if run.script.variant == "raise" and used[sensor] else []
    soft = {sensor: used[sensor]} if run.script.variant == "soft" and used[sensor] else {}
    ordering = [call.knows for call in calls if call.agent == "buyer"]
    lost = bool(ordering) and not any(ordering)  # a framework that hands the whole talk over loses nothing
    said = _Said(shown)
    has = _Wire(texts)
    named = has.all(agents)
    counted = has.all(str(call.input_tokens) for call in calls) and has.all(str(call.output_tokens) for call in calls)
    return {
        "agents": (said.agents(), agents, named),
        "delegations": (sorted((s, t) for s, t, _ in said.edges()), sorted((s, t) for s, t, _ in given), named),
        "modes": (said.edges(), sorted(given), named and bool(given)),
        "tools": (said.tools("calls"), dict(sorted(used.items())), has.all(used)),
        "model calls": (said.total("model_calls"), len(calls), counted),
        "tokens": (
            [said.total("input_tokens"), said.total("output_tokens")],
            [sum(c.input_tokens for c in calls), sum(c.output_tokens for c in calls)],
            counted,
        ),
        "by agent": (said.by_agent(), _by_agent(run), counted and named),
        "session": (said.sessions(), [SESSION], has.any(SESSION)),
        "root error": (said.root_errors(), raised, run.is_marked() if raised else True),
        "status": (said.status(), run.outcome, run.is_root_marked() if run.outcome == "failed" else True),
        "soft error": (said.tools("failures"), soft, has.any(_SOFT) if soft else True),
        "lost constraint": (said.lost(), lost, has.any("Order a seal kit") and has.any(LOST) if lost else True),
    }


class _Wire:
    def __init__(self, texts: Iterable[str]) -> None:
        self._exact = set(texts)
        self._joined = "\n".join(self._exact)
        self._counts = set(_COUNTED.findall(self._joined))  # numbers of tokens that stand inside of JSON

    def any(self, text: str) -> bool:
        return text in self._joined

    def all(self, texts: Iterable[str]) -> bool:
        return all(t in self._exact or t in self._counts if t.isdigit() else t in self._joined for t in texts)


class _Said:
    """What the traces of one run say together."""

    def __init__(self, shown: Shown) -> None:
        self._shown = shown

    def agents(self) -> list[str]:
        return sorted({agent["name"] for trace in self._shown for agent in trace["agents"]})

    def edges(self) -> list[tuple[str, str, str]]:
        return sorted(
            (d["source"], d["target"], d["mode"])
            for t in self._shown
            for d in t["delegations"]
            for _ in range(d["count"])
        )

    def tools(self, count: str) -> dict[str, int]:
        found: Counter[str] = Counter()
        for trace in self._shown:
            for tool in trace["tools"]:
                found[tool["name"]] += tool[count]
        return {name: number for name, number in sorted(found.items()) if number}

    def total(self, what: str) -> int:
        return sum(trace[what] for trace in self._shown)

    def by_agent(self) -> dict[str, list[int]]:
        found: dict[str, Counter[str]] = {}
        for trace in self._shown:
            for agent in trace["agents"]:
                counts = {key: agent[key] for key in ("model_calls", "input_tokens", "output_tokens")}
                found.setdefault(agent["name"], Counter()).update(counts)
        return {
            n: [c["model_calls"], c["input_tokens"], c["output_tokens"]]
            for n, c in sorted(found.items())
            if any(c.values())
        }

    def sessions(self) -> list[str]:
        return sorted({trace["session_id"] for trace in self._shown if trace["session_id"]})

    def root_errors(self) -> list[str]:
        """The tools, by name, in which errors began; a span that is none is said with its name."""
        return sorted(error["name"] for trace in self._shown for error in trace["root_errors"])

    def status(self) -> str:
        states = {trace["status"] for trace in self._shown}
        return next((state for state in ("failed", "live", "cut_off", "done") if state in states), "none")

    def lost(self) -> bool:
        return any(f["kind"] == "context.lost" and LOST in str(f["value"]) for t in self._shown for f in t["findings"])


def _by_agent(run: Run) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for call in sorted(run.script.calls, key=lambda c: c.agent):
        counts = found.setdefault(call.agent, [0, 0, 0])
        for i, number in enumerate((1, call.input_tokens, call.output_tokens)):
            counts[i] += number
    return found


def _count_edges(run: Run, shown: Shown, edges: Counter[tuple[str, str]]) -> None:
    """Each delegation that was said, by its grade, against those that there were."""
    open_ = Counter((source, target) for source, target, _ in run.delegations())
    for trace in shown:
        for said in trace["delegations"]:
            for _ in range(said["count"]):
                pair = (said["source"], said["target"])
                is_right = open_[pair] > 0
                open_[pair] -= is_right
                edges[said["grade"], "right" if is_right else "wrong"] += 1
    edges["", "missed"] += sum(open_.values())


def precision(edges: Counter[tuple[str, str]], grade: str) -> str:
    """`12/12` of the delegations of one grade."""
    right, wrong = edges[grade, "right"], edges[grade, "wrong"]
    return f"{right}/{right + wrong}"
