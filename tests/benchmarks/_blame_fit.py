"""Fits the weights of blame to runs whose decisive step people named: `python -m tests.benchmarks._blame_fit` prints them.

Invariant: a conditional logit (McFadden 1974) and a logistic regression, both with a Gaussian prior of mean 0 on the weights,
solved by Newton's method; the signals are those that `trajectory.detection.blame` reads, and only question and steps are read.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks import shared_data
from tests.benchmarks.failures import judged
from trajectory.detection.blame import blame_of
from trajectory.detection.blame_weights import Weights
from trajectory.detection.steps import Role
from trajectory.dialects.sniff import read_file
from trajectory.graph.trace import Trace

Numbers = NDArray[np.float64]
PRIOR = 1.0  # inverse variance of a weight; signals are about 0 to 1
FAILING_PRIOR = 1.0
PEERS = (
    "weight", "heaviest", "codes_first", "made_up", "bare", "corrects", "claims", "failed_first", "after_failures", "hedges",
    "reaches_answer", "unsourced",
)  # fmt: skip
PEERS_CAUSAL = tuple(n for n in PEERS if n not in ("heaviest", "reaches_answer"))
TEAM = ("early", "last_work", "reaches_answer", "hedges", "delegates_late", "stuck_rounds")
TEAM_CAUSAL = ("early", "hedges", "delegates_late")
FAILING = (
    "says", "works", "rounds_before", "delegates", "delegates_late", "thinks_late", "stuck_after", "stuck_rounds",
    "reaches_answer", "activity",
)  # fmt: skip
POSITION = frozenset(("codes_first", "failed_first", "after_failures", "early", "last_work", "delegates_late"))
FOLDS_COUNT = 10
SHUFFLES_COUNT = 8
_STEPS_COUNT = 30  # of Newton's method, at most


@dataclass(frozen=True)
class Run:
    """One run: its steps' signals, numbers, agents and roles, and what people said of it."""

    features: list[dict[str, float]]
    numbers: list[int]
    agents: list[str]
    roles: list[Role]
    task: str
    truth: dict[str, Any]
    trace: Trace

    @property
    def at(self) -> int:
        """Where among the steps the decisive one is; -1 where it is none of them."""
        return self.numbers.index(self.truth["step"]) if self.truth["step"] in self.numbers else -1

    def matrix(self, names: Sequence[str]) -> Numbers:
        return np.array([[f.get(n, 0.0) for n in names] for f in self.features])


def load(subset: str, *, causal: bool) -> list[Run]:
    """The runs of a subset, `Algorithm-Generated` or `Hand-Crafted`, read as an import reads them. Raises AbsentError."""
    path = shared_data("who_and_when") / "dev.jsonl"
    records = [json.loads(line) for line in Path(path).read_text().splitlines()]
    return [_read(record, causal) for record in records if record["subset"] == subset]


def _read(record: dict[str, Any], causal: bool) -> Run:
    seen = {key: record[key] for key in ("run_id", "question", "steps")}
    ((trace, findings),) = judged(read_file(json.dumps(seen).encode(), "run.jsonl", "chat").batches)
    trace.findings.update((f.key, f) for f in findings)
    readings, _ = blame_of(trace).readings(causal=causal)
    return Run(
        [r.features for r in readings],
        [r.step.number for r in readings],
        [r.step.agent for r in readings],
        [r.step.role for r in readings],
        record["split_key"],
        record["truth"],
        trace,
    )


def fitted(runs: Iterable[Run], names: Sequence[str], prior: float = PRIOR) -> Numbers:
    """The weights under which people's choices are likeliest, given the prior."""
    chosen = [(run.matrix(names), run.at) for run in runs if run.at >= 0]
    weights = np.zeros(len(names))
    for _ in range(_STEPS_COUNT):
        slope, bend = prior * weights, prior * np.eye(len(names))
        for matrix, at in chosen:
            shares = softmax(matrix @ weights)
            mean = shares @ matrix
            slope += mean - matrix[at]
            bend += ((matrix - mean) * shares[:, None]).T @ (matrix - mean)
        change = np.linalg.solve(bend, slope)
        weights = weights - change
        if np.abs(change).max() < 1e-8:
            break
    return weights


def softmax(sums: Numbers) -> Numbers:
    raised = np.exp(sums - sums.max())
    return np.asarray(raised / raised.sum())


def logistic(matrix: Numbers, labels: Numbers, prior: float = FAILING_PRIOR) -> Numbers:
    """The weights of a logistic regression; the first column is the constant and has no prior."""
    weights = np.zeros(matrix.shape[1])
    strength = np.full(matrix.shape[1], prior)
    strength[0] = 1e-6
    for _ in range(_STEPS_COUNT):
        shares = 1 / (1 + np.exp(-matrix @ weights))
        slope = matrix.T @ (shares - labels) + strength * weights
        bend = (matrix * (shares * (1 - shares))[:, None]).T @ matrix + np.diag(strength)
        change = np.linalg.solve(bend, slope)
        weights = weights - change
        if np.abs(change).max() < 1e-8:
            break
    return weights


def failing_of(runs: Iterable[Run]) -> tuple[Numbers, Numbers, list[str], NDArray[np.bool_]]:
    """Signals and label of every step of the runs that have labels of all failing steps; each step's task; which are work."""
    rows, labels, tasks, works = [], [], [], []
    for run in runs:
        second = run.truth.get("second")
        if second:
            failing = {f["step"] for f in second["failures"]}
            rows.append(run.matrix(FAILING))
            labels += [number in failing for number in run.numbers]
            tasks += [run.task] * len(run.numbers)
            works += [role == Role.WORK for role in run.roles]
    return np.concatenate(rows), np.array(labels, float), tasks, np.array(works)


def folds(tasks: Iterable[str], seed: int) -> dict[str, int]:
    """A fold for each task: runs of one task are never on both sides."""
    shuffled = sorted(set(tasks))
    np.random.default_rng(seed).shuffle(shuffled)
    return {task: at % FOLDS_COUNT for at, task in enumerate(shuffled)}


def tables() -> dict[str, Weights]:
    """Every table, fitted to all runs."""
    found: dict[str, Weights] = {}
    for name, names, subset, causal in (
        ("PEERS", PEERS, "Algorithm-Generated", False),
        ("PEERS_CAUSAL", PEERS_CAUSAL, "Algorithm-Generated", True),
        ("TEAM", TEAM, "Hand-Crafted", False),
        ("TEAM_CAUSAL", TEAM_CAUSAL, "Hand-Crafted", True),
    ):
        weights = fitted(load(subset, causal=causal), names)
        found[name] = {n: round(float(w), 2) for n, w in zip(names, weights, strict=True)}
    matrix, labels, _, _ = failing_of(load("Hand-Crafted", causal=False))
    found["FAILING"] = {n: round(float(w), 2) for n, w in zip(FAILING, logistic(matrix, labels), strict=True)}
    return found


if __name__ == "__main__":
    for title, table in tables().items():
        print("\n".join([f"{title}: Weights = {{", *(f'    "{n}": {w},' for n, w in table.items()), "}"]))
