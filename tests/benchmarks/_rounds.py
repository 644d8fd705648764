"""How figures are taken and judged: sides interleaved in one run, medians, CPU clocks first.

Invariant: two figures are compared only where they were taken turn by turn in the same run. `TRAJECTORY_BENCH_SCALE`
multiplies the sizes (default 1: each benchmark takes a minute or two on two cores). Used by the benchmarks of speed and size.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks import AbsentError, Row

ROUNDS = 5
REPOSITORY = Path(__file__).resolve().parents[2]

Figures = dict[str, float]


def scaled(count: int) -> int:
    """A size of a benchmark as `TRAJECTORY_BENCH_SCALE` wants it, at least 1."""
    return max(1, int(count * float(os.environ.get("TRAJECTORY_BENCH_SCALE", "1"))))


def interleaved(sides: Mapping[str, Callable[[], Figures]], rounds: int = ROUNDS) -> dict[str, Figures]:
    """The median of every figure of every side, each round asking every side once."""
    taken: dict[str, list[Figures]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side, measure in sides.items():
            taken[side].append(measure())
    return {
        side: {name: median(figures[name] for figures in those) for name in those[0]} for side, those in taken.items()
    }


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure has to keep and what it should reach; `is_floor` where more is better. `form` prints it."""

    bound: float
    goal: float
    form: Callable[[float], str]
    is_floor: bool = False

    def keeps(self, figure: float, limit: float) -> bool:
        return figure >= limit if self.is_floor else figure <= limit

    def row(self, case: str, figure: str, measured: float, compared: str) -> Row:
        """The figure beside what it is compared with; good where it keeps the bound."""
        reached = "reached" if self.keeps(measured, self.goal) else "not reached"
        goal = f"bound {self.form(self.bound)}, goal {self.form(self.goal)} {reached}"
        return Row(case, figure, f"{self.form(measured)} {compared}", goal, self.keeps(measured, self.bound))


def percent(ratio: float) -> str:
    return f"{100 * ratio:.3g} %"


def times(ratio: float) -> str:
    return f"{ratio:.3g}x"


def milliseconds(value: float) -> str:
    return f"{value:.3g} ms"


def megabytes(value: float) -> str:
    return f"{value:.0f} MB"


def noted(case: str, figure: str, measured: str) -> Row:
    """A figure that no goal judges."""
    return Row(case, figure, measured, "", None)


def asked(command: Sequence[str], timeout_s: float = 300.0) -> dict[str, Any]:
    """What a child process prints as its last line, a JSON object. Raises AbsentError with its last words if it fails."""
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=timeout_s)
    if ended.returncode:
        raise AbsentError(f"{' '.join(command[1:4])} failed: {ended.stderr.strip()[-300:]}")
    answer: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return answer


def module(name: str, *arguments: object) -> list[str]:
    """The command that runs a module of this folder in the interpreter of the benchmark."""
    return [sys.executable, "-m", f"tests.benchmarks.{name}", *map(str, arguments)]


class Child:
    """A process that answers each line on its standard input with one line of JSON; the first line comes unasked."""

    def __init__(self, command: Sequence[str]) -> None:
        self._name = " ".join(command[1:4])
        self._process = subprocess.Popen(
            command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.ready = self._answer()

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def ask(self, word: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise AbsentError(f"{self._name} ended early")
        answer: dict[str, Any] = json.loads(line)
        return answer
