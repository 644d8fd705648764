"""Who broke the run, and at which step: blame against what people said, on runs that its weights have not seen.

Invariant: exact scoring; the weights of every scored run were fitted without its task; the same signals and model as shipped.
Intervals are Wilson's, 95 %, on the number of runs. Baselines are computed here, beside it.
"""

import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from statistics import mean, median

import numpy as np

from tests.benchmarks import Row, shared_data
from tests.benchmarks import _blame_fit as fit
from tests.benchmarks._blame_fit import Numbers, Run
from tests.benchmarks.captures import requests_of
from tests.benchmarks.failures import judged
from trajectory.detection.blame import blame_of
from trajectory.detection.steps import Role
from trajectory.dialects.sniff import read_file
from trajectory.model.words import Severity

NAME = "blame"
GOAL = "the decisive step and agent of failed runs, cross-validated by task, and every failing step; under 100 ms"
_PEERS, _TEAM = "Algorithm-Generated", "Hand-Crafted"
_GOALS = {
    _PEERS: (0.48, 0.78, 0.67),
    f"{_PEERS}, causal": (0.44, 0.75, 0.65),
    _TEAM: (0.30, 0.60, 0.70),
}
_STRETCH = {
    _PEERS: (0.55, 0.85, 0.71),
    f"{_PEERS}, causal": (0.48, 0.80, 0.68),
    _TEAM: (0.36, 0.68, 0.75),
}
_MAX_MS = 100.0
_TOP = {_PEERS: 3, _TEAM: 5}
LEARNED = (
    "The agent with the largest sum of its steps' probabilities instead of the first step's: peers 69.4 % instead of 66.4, "
    "teams 65.6 instead of 63.4, but causally 64.3 instead of 65.3. Not taken: one goal for another, all within the intervals.",
    "Other priors of the weights (0.3, 3, 6 for 1): peers 64.6 to 65.7 %, teams 62.9 to 64.3.",
    "Weights fitted half to the step and half to the agent that people named: peers 67.1 %, teams 64.3, and teams' steps 31.0 "
    "instead of 33.0. Of 28 runs of teams one is 3.6 %: what misses is two.",
)

Order = Callable[[Run], Sequence[int]]


def run() -> list[Row]:
    rows: list[Row] = []
    peers, teams = fit.load(_PEERS, causal=False), fit.load(_TEAM, causal=False)
    rows += _scores(_PEERS, peers, fit.PEERS)
    rows += _scores(f"{_PEERS}, causal", fit.load(_PEERS, causal=True), fit.PEERS_CAUSAL)
    rows += _scores(_TEAM, teams, fit.TEAM)
    rows += _scores(f"{_TEAM}, causal", fit.load(_TEAM, causal=True), fit.TEAM_CAUSAL)
    for subset, runs, names in ((_PEERS, peers, fit.PEERS), (_TEAM, teams, fit.TEAM)):
        rows += _scores(f"{subset}, no position", runs, [n for n in names if n not in fit.POSITION])
        rows += _shipped(subset, runs)
    rows += _baselines(_PEERS, peers, _before_first_failure, "step before the first failing result, else the 2nd")
    rows += _baselines(_TEAM, teams, _first_work, "first work, then the next")
    rows += _failing(teams)
    rows += _captures()
    rows += _retail()
    rows += _speed()
    return rows


def _scores(case: str, runs: list[Run], names: Sequence[str]) -> list[Row]:
    """Cross-validated by task, over several ways of cutting the tasks into folds."""
    found: list[tuple[float, float, float]] = []
    top = _TOP[case.split(",")[0]]
    for seed in range(fit.SHUFFLES_COUNT):
        fold = fit.folds((r.task for r in runs), seed)
        for number in range(fit.FOLDS_COUNT):
            weights = fit.fitted((r for r in runs if fold[r.task] != number), names)
            for each in (r for r in runs if fold[r.task] == number):
                order = np.argsort(-(each.matrix(names) @ weights), kind="stable")
                found.append(_hits(each, order, top))
    return _rows(case, found, top, len(runs), _GOALS.get(case), _STRETCH.get(case))


def _hits(run: Run, order: Iterable[int], top: int) -> tuple[float, float, float]:
    places = [int(i) for i in order]
    agent = run.agents[places[0]] == run.truth["agent"]
    return float(places[0] == run.at), float(run.at in places[:top]), float(agent)


def _rows(
    case: str,
    found: list[tuple[float, float, float]],
    top: int,
    count: int,
    goals: tuple[float, ...] | None,
    stretch: tuple[float, ...] | None = None,
) -> list[Row]:
    rows = []
    for at, figure in enumerate(("step", f"top {top}", "agent")):
        share = mean(f[at] for f in found)
        low, high = _interval(share, count)
        said = f"{share:.1%} ({low:.0%} to {high:.0%}, n = {count})"
        wanted = f"{goals[at]:.0%}" + (f", stretch {stretch[at]:.0%}" if stretch else "") if goals else ""
        rows.append(Row(case, figure, said, wanted, share >= goals[at] - 1e-9 if goals else None))
    return rows


def _interval(share: float, count: int) -> tuple[float, float]:
    """Wilson's interval at 95 % (E. B. Wilson 1927)."""
    z = 1.96
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return middle - half, middle + half


def _shipped(subset: str, runs: list[Run]) -> list[Row]:
    """What ships, on the very runs that it was fitted to: more than it is worth elsewhere."""
    found = []
    for each in runs:
        places = [each.numbers.index(c.step) for c in blame_of(each.trace).candidates()]
        found.append(_hits(each, places, _TOP[subset]))
    return _rows(f"{subset}, as shipped, seen", found, _TOP[subset], len(runs), None)


def _baselines(subset: str, runs: list[Run], rule: Order, named: str) -> list[Row]:
    top = _TOP[subset]
    chance = []
    for each in runs:
        plausible = [i for i, f in enumerate(each.features) if "bare" not in f]
        share = 1 / len(plausible)
        by_agent = mean(each.agents[i] == each.truth["agent"] for i in plausible)
        chance.append((share * (each.at in plausible), min(top * share, 1.0) * (each.at in plausible), by_agent))
    ruled = [_hits(each, rule(each), top) for each in runs]
    return _rows(f"{subset}: random", chance, top, len(runs), None) + _rows(
        f"{subset}: {named}", ruled, top, len(runs), None
    )


def _before_first_failure(run: Run) -> list[int]:
    first = next((i for i, f in enumerate(run.features) if "failed_first" in f), min(1, len(run.features) - 1))
    return [first, *(i for i in range(len(run.features)) if i != first)]


def _first_work(run: Run) -> list[int]:
    works = [i for i, role in enumerate(run.roles) if role == Role.WORK]
    return works + [i for i, role in enumerate(run.roles) if role != Role.WORK]


def _failing(runs: list[Run]) -> list[Row]:
    matrix, labels, tasks, works = fit.failing_of(runs)
    every, at_work = [], []
    for seed in range(fit.SHUFFLES_COUNT):
        fold = fit.folds(tasks, seed)
        of_step = np.array([fold[t] for t in tasks])
        scores = np.zeros(len(labels))
        for number in range(fit.FOLDS_COUNT):
            inside = of_step == number
            weights = fit.logistic(matrix[~inside], labels[~inside])
            scores[inside] = matrix[inside] @ weights
        every.append(_auroc(scores, labels))
        at_work.append(_auroc(scores[works], labels[works]))
    rule = _auroc(works.astype(float), labels)
    case = f"failing steps of {_TEAM}, n = {len(labels)}"
    return [
        Row(case, figure, f"{got:.3f}", f"{goal}, stretch {stretch}", got >= goal)
        for figure, got, goal, stretch in (
            ("AUROC, all steps", mean(every), 0.84, 0.88),
            ("AUROC, work", mean(at_work), 0.70, 0.75),
        )
    ] + [Row(case, "AUROC, “a worker step”", f"{rule:.3f}", "", None)]


def _auroc(scores: Numbers, labels: Numbers) -> float:
    """The chance that a failing step has the higher score than one that is not; ties are half (Mann and Whitney 1947)."""
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    positive = labels.sum()
    return float((ranks[labels > 0].sum() - positive * (positive + 1) / 2) / (positive * (len(labels) - positive)))


def _captures() -> list[Row]:
    """Whether the root that a capture was made with is suspected first: the tool that failed, or the hand-over that lost."""
    rows = []
    for manifest in sorted(shared_data("otlp").glob("*/manifest.json")):
        expected = json.loads(manifest.read_text())["expected"]
        root, lost = expected["root_error"], expected.get("lost_constraint")
        if root is None and lost is None:
            continue
        wanted = (root["agent"], root["tool"]) if root else (lost["from"], lost["to"])
        firsts = []
        for trace, findings in judged(requests_of(manifest.parent)):
            trace.findings.update((f.key, f) for f in findings)
            if any(f.severity != Severity.INFO for f in findings):
                first = blame_of(trace).candidates(1)[0]
                to = next((d.target_agent for d in trace.delegations() if d.span.span_id == first.span_id), "")
                firsts.append((first.agent, trace.spans[first.span_id].name if root else to))
        rows.append(Row(manifest.parent.name, "suspected first", str(firsts), str([wanted]), firsts == [wanted]))
    return rows


def _retail() -> list[Row]:
    """The failed runs of one agent with a user and tools, which nothing was fitted to; people named the step."""
    lines = (shared_data("agentrx_tau") / "dev.jsonl").read_text().splitlines()
    records = [r for r in map(json.loads, lines) if r["truth"].get("step") is not None]
    found, chance = [], []
    for record in records:
        seen = {key: record[key] for key in ("run_id", "question", "steps")}
        ((trace, findings),) = judged(read_file(json.dumps(seen).encode(), "run.jsonl", "chat").batches)
        trace.findings.update((f.key, f) for f in findings)
        candidates = blame_of(trace).candidates()
        places = [c.step for c in candidates]
        step, agent = record["truth"]["step"], record["truth"]["agent"]
        found.append((float(places[0] == step), float(step in places[:5]), float(candidates[0].agent == agent)))
        share = 1 / len(places)
        chance.append(
            (
                share * (step in places),
                min(5 * share, 1.0) * (step in places),
                mean(c.agent == agent for c in candidates),
            )
        )
    case = "tau retail, seen by nothing"
    return _rows(case, found, 5, len(records), None) + _rows(f"{case}: random", chance, 5, len(records), None)


def _speed() -> list[Row]:
    """The conversation with the most characters, read anew each time and asked for the first time."""
    lines = [
        line
        for name in ("who_and_when", "agentrx_tau", "tau_airline", "bioagent")
        for line in (shared_data(name) / "dev.jsonl").read_text().splitlines()
    ]
    longest = max(lines, key=lambda line: sum(len(str(s["content"])) for s in json.loads(line)["steps"]))
    taken = []
    for _ in range(7):
        ((trace, findings),) = judged(read_file(longest.encode(), "run.jsonl", "chat").batches)
        trace.findings.update((f.key, f) for f in findings)
        blame = blame_of(trace)
        begun = time.perf_counter()
        blame.candidates()
        taken.append((time.perf_counter() - begun) * 1e3)
    steps = json.loads(longest)["steps"]
    case = f"longest conversation, {len(steps)} steps, {sum(len(str(s['content'])) for s in steps) // 1000} kB"
    return [
        Row(
            case,
            "blame, after its import",
            f"{median(taken):.0f} ms",
            f"under {_MAX_MS:.0f} ms",
            median(taken) < _MAX_MS,
        )
    ]
