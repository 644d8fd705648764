"""Measurements against goals, on real data where there is some: `python -m tests.benchmarks [NAME...] [--json]`.

A benchmark is a module here with `NAME`, `GOAL` (a sentence) and `run() -> list[Row]`. Invariant: a row that is not known
to be right is not shown as right; where the data is absent the benchmark says so and measures nothing. The data is in the
folder that TRAJECTORY_SHARED names, else in `../shared` beside the repository.
"""

import os
from dataclasses import dataclass
from pathlib import Path


class AbsentError(Exception):
    """What a benchmark needs is not on this machine."""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `is_good` is None where the goal does not judge it."""

    case: str
    figure: str
    measured: str
    goal: str
    is_good: bool | None


def shared_data(name: str) -> Path:
    """The folder `data/name` of the shared data. Raises AbsentError."""
    given = os.environ.get("TRAJECTORY_SHARED")
    shared = Path(given) if given else Path(__file__).resolve().parents[3] / "shared"
    folder = shared / "data" / name
    if not folder.is_dir():
        raise AbsentError(f"no folder {folder}: set TRAJECTORY_SHARED to where the shared data is")
    return folder
