"""How much memory the collector holds after a million facts of teams, with contents, every detector on.

Invariant: the resident size is read in the collector's own process when the last fact is folded, beside the highest that it
ever had. `TRAJECTORY_BENCH_SCALE=10` is the run of ten million, judged by the bound of ten million.
"""

import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks import Row
from tests.benchmarks._loading import await_all, send
from tests.benchmarks._rounds import Child, Target, megabytes, module, noted, scaled
from tests.benchmarks._team import Load

NAME = "memory"
GOAL = "a collector holds 80 MB after a million facts, 100 MB after ten million"
LEARNED = (
    "Five detectors held themselves in a circle, by a function that their walk kept, so that what they had read of a trace "
    "outlived it: 339 MB after 150,000 facts are 206. Mended.",
    "One malloc arena, and lower limits for returning memory to the system: 280 and 284 MB instead of 298 after 100,000 "
    "facts; RE2 with an eighth and a thirtieth of its cache: 277 and 265 of 276. Neither was the cause.",
    "What was still to be compared at delegations held up to 256 traces that memory had let go of, with all that every "
    "detector had read of them: 158 MB after 60,000 facts are 87. Mended, and traces leave memory four at a time: a million "
    "facts 526, 244, 158.",
    "After 100,000 facts 36 MB of Python's objects live in the process that stores, of 107 MB resident that were 48 when it was "
    "empty: 5 of Python's 62 MB of arenas are free, and to trim malloc gives nothing back. So what is left is what is held.",
    "In one process, after 150,000 facts 114 MB: half the cache of bodies 109, a quarter of SQLite's pages 106, an eighth of "
    "what is known to be named 108, 300 spans kept of 1,000 that nobody needs 107; these together, but "
    "500 spans and a quarter of the named, 91, at no more CPU that could be seen, and storing late / early is 1.35. "
    "Kept, with half of the named: a million facts 149, 127.",
    "What grows from then on are tables with bounds of their own: the ends of 5,000 traces that join runs (6 MB), ids of "
    "100,000 spans that count already, 2,000 rows of the list. Two processes share a third of the 25 MB of the one that takes "
    "facts in, which count twice in what is resident.",
)
PART = 50_000
SMALL, LARGE = Target(120, 80, megabytes), Target(150, 100, megabytes)


def run() -> list[Row]:
    """One run: resident at a tenth and at the end, and the peak."""
    count = scaled(1_000_000)
    taken: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as room:
        store = Path(room) / "store.db"
        with Child(module("_serve", "collector", store)) as far_end:
            taken.append(far_end.ask("count"))
            load: Load | None = None
            while load is None or load.end_seq < count:
                load = Load(PART, b"benchmark-boot-1", after=load)
                send(load, far_end.ready["endpoint"])
                await_all(load, far_end)
                taken.append(far_end.ask("count"))
        size = store.stat().st_size
    empty, tenth, end = taken[0], taken[max(1, len(taken) // 10)], taken[-1]
    target = LARGE if count > 1_000_000 else SMALL
    case = f"collector after {end['facts']:,} facts"
    compared = f"resident; {empty['VmRSS']:.0f} MB empty, {tenth['VmRSS']:.0f} MB after {tenth['facts']:,}; one run"
    return [
        target.row(case, "RSS", end["VmRSS"], compared),
        noted(case, "peak RSS", megabytes(end["VmHWM"])),
        noted(case, "store", f"{size / end['facts']:.0f} B a fact on disk"),
        noted(case, "CPU", f"{end['cpu_ns'] / end['facts'] / 1000:.1f} µs a fact"),
    ]
