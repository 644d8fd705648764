"""How soon a deadlock shows: agents in processes of their own that block on each other, and a real collector.

Invariant: counted is from the instant at which the last of them asked to the one at which the collector said so, by their clocks
on one machine. `TRAJECTORY_BENCH_SCALE` multiplies the tries.
"""

import tempfile
from pathlib import Path
from statistics import median

from tests.benchmarks import Row
from tests.benchmarks._rounds import Target, scaled
from tests.collector.test_deadlock_live import told_after_s

NAME = "deadlock"
GOAL = "a deadlock of two or three agents shows within two seconds of its closing"
_TRIES = 5


def run() -> list[Row]:
    """A row for each ring, by its slowest try."""
    return [_of(names) for names in (("amy", "ben"), ("amy", "ben", "cal"))]


def _of(names: tuple[str, ...]) -> Row:
    taken: list[float] = []
    for _ in range(scaled(_TRIES)):
        with tempfile.TemporaryDirectory() as room:
            taken.append(told_after_s(names, Path(room) / "s.db"))
    said = f"at most, median {median(taken):.2f} s of {len(taken)}"
    return Target(2, 2, lambda s: f"{s:.2f} s").row(f"{len(names)} agents", "closing to shown", max(taken), said)
