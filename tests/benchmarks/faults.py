"""What kills, stops, disks, networks, clocks and crowds cost: real processes, and every emitted span sought in the store.

Invariant: a scenario is good only where the store holds each fact once and in order; of an emitter that was killed it may lack
the end, which was never on the wire, and has to say how much. TRAJECTORY_BENCH_SCALE multiplies runs and sizes (5: a hundred
kills, a million facts of backlog; 20: ten minutes of `soak`), TRAJECTORY_FAULTS names the scenarios, TRAJECTORY_FAULTS_SEED
repeats a run's draws.
"""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable

from tests.benchmarks import AbsentError, Row
from tests.benchmarks import _faults_disk as disk
from tests.benchmarks import _faults_ends as ends
from tests.benchmarks import _faults_load as load
from tests.benchmarks import _faults_weather as weather
from tests.benchmarks._faults_room import Room
from tests.benchmarks._rounds import noted

NAME = "faults"
GOAL = "0 lost, 0 doubled, order per emitter kept, the collector's memory bounded"
LEARNED = (
    "The most is in the soak of 97,600 facts, whose collectors are killed again and again; one that is not killed holds 123 MB "
    "after as many (`memory`).",
    "What was tried is told there: one malloc arena was worth 14 to 18 MB of 298, fewer spans kept of traces that "
    "nobody needs 3 of 87.",
)

_MEMORY_MB = 150.0


def run() -> list[Row]:
    """The rows of each scenario, and one for the collector's memory."""
    seed = int(os.environ.get("TRAJECTORY_FAULTS_SEED") or random.SystemRandom().getrandbits(32))
    asked = [name for name in os.environ.get("TRAJECTORY_FAULTS", "").split(",") if name]
    if unknown := sorted(set(asked) - set(_SCENARIOS)):
        raise AbsentError(f"no scenario {', '.join(unknown)}; there are {', '.join(_SCENARIOS)}")
    rows, most_mb = [noted("seed", "TRAJECTORY_FAULTS_SEED", str(seed))], 0.0
    for name in asked or _SCENARIOS:
        with Room() as room:
            began_s = time.monotonic()
            try:
                rows += _SCENARIOS[name](room, random.Random(f"{seed} {name}"))
            except (AbsentError, subprocess.SubprocessError) as reason:
                rows.append(Row(name, "not to its end", str(reason), GOAL, False))
            most_mb = max(most_mb, room.memory_mb)
            took = f"collector at most {room.memory_mb:.0f} MB, {time.monotonic() - began_s:.0f} s"
            print(f"faults: {name}: {took}", file=sys.stderr)  # rows come at the end, and that may be far
            rows.append(noted("", "", took))
    rows.append(
        Row("memory", "most of any collector", f"{most_mb:.0f} MB", f"{_MEMORY_MB:.0f} MB", most_mb <= _MEMORY_MB)
    )
    return rows


_SCENARIOS: dict[str, Callable[[Room, random.Random], list[Row]]] = {
    "collector": ends.collector_killed,
    "front": ends.front_killed,
    "front_stop": ends.front_stopped,
    "main_stop": ends.main_stopped,
    "emitter": ends.emitter_killed,
    "stop": ends.stopped,
    "restart": ends.restarted,
    "moved": ends.moved,
    "cut": weather.cut_off,
    "slow": weather.slow,
    "clock": weather.clock_set,
    "disk": disk.full,
    "read_only": disk.read_only,
    "page": disk.corrupt_page,
    "journal": disk.corrupt_journal,
    "spool": disk.corrupt_spool,
    "crowd": load.crowd,
    "flood": load.flood,
    "backlog": load.backlog,
    "fork": load.fork,
    "soak": load.soak,
}
