"""What it costs to start: `trajectory --help` and `import trajectory` beside a Python that does nothing.

Invariant: all three run turn by turn as processes of their own, with compiled bytecode, in one interpreter.
"""

import resource
import subprocess
import sys
import time
from collections.abc import Callable

from tests.benchmarks import Row
from tests.benchmarks._rounds import REPOSITORY, Figures, Target, interleaved, noted, scaled, times

NAME = "startup"
GOAL = "asking for help costs 2.5 times a bare Python, importing 3 times"
SIDES = {
    "bare python": ("-c", "pass"),
    "trajectory --help": ("-c", "from trajectory.cli import main; main(['--help'])"),
    "import trajectory": ("-c", "import trajectory"),
    "first span": ("-c", "import trajectory\nwith trajectory.span('x'): pass\nimport os; os._exit(0)"),
}


def run() -> list[Row]:
    """CPU judged, wall beside it."""
    rounds = scaled(15)
    taken = interleaved({name: _started(arguments) for name, arguments in SIDES.items()}, rounds)
    bare = taken["bare python"]
    targets = {"trajectory --help": Target(4, 2.5, times), "import trajectory": Target(6, 3, times)}
    rows: list[Row] = []
    for name in ("trajectory --help", "import trajectory", "first span"):
        for clock, text in (("cpu_ms", "CPU"), ("wall_ms", "wall")):
            ratio = taken[name][clock] / bare[clock]
            compared = f"bare Python: {taken[name][clock]:.1f} / {bare[clock]:.1f} ms, median of {rounds}"
            if name in targets and clock == "cpu_ms":
                rows.append(targets[name].row(name, text, ratio, compared))
            else:
                rows.append(noted(name, text, f"{times(ratio)} {compared}"))
    return rows


def _started(arguments: tuple[str, ...]) -> Callable[[], Figures]:
    def once() -> Figures:
        before_s, began_s = _children_s(), time.perf_counter()
        subprocess.run([sys.executable, *arguments], cwd=REPOSITORY, stdout=subprocess.DEVNULL, check=True)
        wall_s = time.perf_counter() - began_s
        return {"cpu_ms": 1000 * (_children_s() - before_s), "wall_ms": 1000 * wall_s}

    return once


def _children_s() -> float:
    """CPU of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
