"""What kills, stops, full disks and crowds cost: real processes, and every span that was emitted sought in the store.

Invariant: a scenario is good only where the store holds each fact once and in order; of an emitter that was killed it may lack
the end, which was never on the wire, and has to say how much. TRAJECTORY_BENCH_SCALE multiplies runs and sizes (5: a hundred
kills, a million facts of backlog), TRAJECTORY_FAULTS names the scenarios, TRAJECTORY_FAULTS_SEED repeats a run's draws.
"""

import os
import random
import subprocess
import time
from collections.abc import Callable

from tests.benchmarks import AbsentError, Row
from tests.benchmarks._faults_room import Emitter, Room, wait_until
from tests.benchmarks._faults_truth import Toll, toll
from tests.benchmarks._rounds import noted, scaled

NAME = "faults"
GOAL = "0 lost, 0 doubled, order per emitter kept, the collector's memory bounded"

_MEMORY_MB = 150.0
_PACE_PER_S = 400.0
_KILLED_AT_ONCE = 5


def run() -> list[Row]:
    """One row for each scenario, one for the collector's memory."""
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
            except AbsentError as reason:
                rows.append(Row(name, "not to its end", str(reason), GOAL, False))
            most_mb = max(most_mb, room.memory_mb)
            rows.append(noted("", "", f"collector at most {room.memory_mb:.0f} MB, {time.monotonic() - began_s:.0f} s"))
    rows.append(
        Row("memory", "most of any collector", f"{most_mb:.0f} MB", f"{_MEMORY_MB:.0f} MB", most_mb <= _MEMORY_MB)
    )
    return rows


def _whole(room: Room, case: str, what: str) -> list[Row]:
    """Everything comes to its end, and nothing may be missing."""
    unflushed_count = room.finish()
    found = _toll(room)
    measured = str(found) + (f"; {unflushed_count} emitters were told otherwise" if unflushed_count else "")
    measured += f"; {found.counted} said to be missing" if found.counted else ""
    wrong_count = found.lost_count + found.counted + unflushed_count
    is_good = found.is_sound and not wrong_count and found.emitted_count > 0
    return [Row(case, what, measured, "0 lost, 0 doubled, 0 out of order", is_good)]


def _cut(room: Room, case: str, what: str) -> list[Row]:
    """Everything comes to its end; emitters were killed, so that their ends are missing, without holes, and counted."""
    killed_count = sum(one.process.returncode is not None for one in room.emitters)
    room.finish()
    found = _toll(room)
    measured = f"{found}; of the lost {found.hole_count} before stored ones"
    is_good = found.is_sound and not found.hole_count and found.emitted_count > 0
    each = f"{found.uncounted} of {found.missing}; {found.counted} counted, {found.overcounted} of them not lost"
    is_told = not found.uncounted and not found.overcounted
    return [
        Row(case, what, measured, "nothing but the ends of the killed, 0 doubled, 0 out of order", is_good),
        Row(case, "lost and not counted as a gap", f"{each}; {killed_count} killed", "0, and 0 too many", is_told),
    ]


def _toll(room: Room) -> Toll:
    done_counts = {name: n for one in room.emitters for name, n in one.done_counts().items()}
    return toll(room.store, done_counts, {one.orders.name: one.fact_count() for one in room.emitters})


def _some(room: Room, count: int, per_s: float = _PACE_PER_S) -> list[Emitter]:
    """Emitters that have begun."""
    those = [room.emit(f"emitter-{number}", per_s=per_s) for number in range(count)]
    wait_until(lambda: all(one.tally.done_count for one in those), "the emitters emit")
    return those


def _collector_killed(room: Room, draw: random.Random) -> list[Row]:
    _some(room, 3)
    kill_count = scaled(20)
    for _ in range(kill_count):
        room.begin_serving()
        time.sleep(draw.uniform(0.2, 1.5))  # while it starts, takes up what was there, or takes what is new
        room.kill_collector()
    room.serve()
    return _whole(room, "collector killed", f"kill -9, {kill_count} times at random, 3 emitters")


def _emitter_killed(room: Room, draw: random.Random) -> list[Row]:
    room.serve()
    kill_count = scaled(20)
    for first in range(0, kill_count, _KILLED_AT_ONCE):
        numbers = range(first, min(first + _KILLED_AT_ONCE, kill_count))
        those = [room.emit(f"emitter-{number}", per_s=_PACE_PER_S) for number in numbers]
        wait_until(lambda those=those: all(one.tally.done_count for one in those), "the emitters emit")  # type: ignore[misc]
        for one in those:
            time.sleep(draw.uniform(0.0, 0.5))
            one.kill()
    return _cut(room, "emitter killed", f"kill -9, {kill_count} emitters at random")


def _stopped(room: Room, draw: random.Random) -> list[Row]:
    collector = room.serve()
    those = _some(room, 3)
    for held in (collector, those[0].process, collector, those[1].process):
        room.hold(held, draw.uniform(1.0, 4.0))
        time.sleep(0.5)
    return _whole(room, "stopped", "SIGSTOP of the collector twice, of two emitters once")


def _restarted(room: Room, draw: random.Random) -> list[Row]:
    room.serve()
    _some(room, 3)
    count = scaled(5)
    for _ in range(count):
        time.sleep(draw.uniform(0.1, 1.0))
        room.stop_collector()
        time.sleep(draw.uniform(0.0, 1.0))
        room.serve()
    return _whole(room, "restarted", f"SIGTERM and a new one on the same port, {count} times")


def _disk_full(room: Room, draw: random.Random) -> list[Row]:
    disk = room.folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        return [noted("disk full", "not measured", "this user may not mount a small disk")]
    room.on_leaving(lambda: subprocess.run(["umount", "-l", str(disk)], check=False))
    room.store = disk / "store.db"
    room.serve()
    for number in range(3):
        room.emit(f"emitter-{number}", per_s=_PACE_PER_S, body_bytes=1000)

    def is_full() -> bool:
        state = os.statvfs(disk)
        return state.f_bavail * state.f_frsize < 64 * 1024

    wait_until(is_full, "the disk is full")
    time.sleep(draw.uniform(2.0, 4.0))
    subprocess.run(["mount", "-o", "remount,size=512m", str(disk)], check=True)
    return _whole(room, "disk full", "of the store, for some seconds, then there is room again")


def _crowd(room: Room, draw: random.Random) -> list[Row]:
    room.serve()
    count = scaled(200)
    for number in range(count):
        room.emit(f"emitter-{number}", count=50)
    return _whole(room, "crowd", f"{count} emitters at once")


def _flood(room: Room, draw: random.Random) -> list[Row]:
    room.serve()
    others = [room.emit(f"other-{number}", per_s=100.0, is_timed=True) for number in range(4)]
    wait_until(lambda: all(one.tally.done_count for one in others), "the others emit")
    began_s = time.monotonic()
    room.emit("flood", count=scaled(100_000)).process.wait(120)
    took_s = time.monotonic() - began_s
    longest_ms = max(one.tally.longest_ns for one in others) / 1e6
    (row,) = _whole(room, "flood", f"one sends {scaled(200_000):,} facts in {took_s:.0f} s beside 4 others")
    told = f"{row.measured}; the others waited {longest_ms:.0f} ms at most until stored"
    return [Row(row.case, row.figure, told, row.goal, row.is_good)]


def _backlog(room: Room, draw: random.Random) -> list[Row]:
    emitter = room.emit("backlog", count=scaled(100_000), flush_s=0.0)
    emitter.process.wait(300)
    began_s = time.monotonic()
    room.serve()
    wait_until(room.is_spool_empty, "the backlog is delivered")
    took_s = time.monotonic() - began_s
    (row,) = _whole(room, "backlog", f"{scaled(200_000):,} facts in the spool of a process that is gone")
    return [Row(row.case, row.figure, f"{row.measured}; delivered in {took_s:.1f} s", row.goal, row.is_good)]


def _fork(room: Room, draw: random.Random) -> list[Row]:
    room.serve()
    for number in range(4):
        room.emit(f"emitter-{number}", count=draw.randrange(200, 2000), fork_count=4)
    return _whole(room, "fork", "4 emitters, each with 4 children from the middle of its work")


def _soak(room: Room, draw: random.Random) -> list[Row]:
    room.serve()
    those = _some(room, 4)
    ends_s, fault_count = time.monotonic() + scaled(30), 0
    while time.monotonic() < ends_s:
        time.sleep(draw.uniform(0.0, 1.0))
        assert room.collector is not None
        match draw.choice(("kill", "restart", "stop collector", "stop emitter", "kill emitter")):
            case "kill":
                room.kill_collector()
                room.serve()
            case "restart":
                room.stop_collector()
                room.serve()
            case "stop collector":
                room.hold(room.collector, draw.uniform(0.1, 2.0))
            case "stop emitter":
                room.hold(draw.choice(those).process, draw.uniform(0.1, 2.0))
            case _:
                victim = draw.choice(those)
                victim.kill()
                those.remove(victim)
                those.append(room.emit(f"emitter-{len(room.emitters)}", per_s=_PACE_PER_S))
        fault_count += 1
    return _cut(room, "soak", f"{scaled(30)} s, {fault_count} random faults, 4 emitters")


_SCENARIOS: dict[str, Callable[[Room, random.Random], list[Row]]] = {
    "collector": _collector_killed,
    "emitter": _emitter_killed,
    "stop": _stopped,
    "restart": _restarted,
    "disk": _disk_full,
    "crowd": _crowd,
    "flood": _flood,
    "backlog": _backlog,
    "fork": _fork,
    "soak": _soak,
}
