"""Faults of measure: crowds, floods, backlogs, forks, and everything at random for a while. Scenarios of `faults`."""

import os
import random
import signal
import time
from dataclasses import replace

from tests.benchmarks import Row
from tests.benchmarks._faults_judged import PACE_PER_S, begun, cut, some, whole
from tests.benchmarks._faults_room import Room, hold, wait_until
from tests.benchmarks._rounds import scaled

_CROWD_S = 400.0
_BACKLOG_PER_S = (
    8000.0  # spans: what comes faster for long than it is packed finds the queue full, and is told of as that
)


def crowd(room: Room, draw: random.Random) -> list[Row]:
    room.serve()
    count = scaled(200)
    for number in range(count):
        room.emit(f"emitter-{number}", count=50, flush_s=_CROWD_S)  # to start so many takes two cores their time
    return [whole(room, "crowd", f"{count} emitters at once", patience_s=_CROWD_S)]


def flood(room: Room, draw: random.Random) -> list[Row]:
    room.serve()
    others = [room.emit(f"other-{number}", per_s=100.0, is_timed=True) for number in range(4)]
    begun(others)
    began_s = time.monotonic()
    room.emit("flood", count=scaled(100_000)).process.wait(300)
    took_s = time.monotonic() - began_s
    row = whole(room, "flood", f"one sends {scaled(200_000):,} facts in {took_s:.0f} s beside 4 others")
    longest_ms = max(one.tally.longest_ns for one in others) / 1e6
    return [replace(row, measured=f"{row.measured}; the others waited {longest_ms:.0f} ms at most until stored")]


def backlog(room: Room, draw: random.Random) -> list[Row]:
    room.emit("backlog", count=scaled(100_000), per_s=_BACKLOG_PER_S, flush_s=0.0).process.wait(900)
    began_s = time.monotonic()
    room.serve()
    wait_until(room.is_spool_empty, "the backlog is delivered", 600.0)
    took_s = time.monotonic() - began_s
    row = whole(room, "backlog", f"{scaled(200_000):,} facts in the spool of a process that is gone")
    return [replace(row, measured=f"{row.measured}; delivered in {took_s:.1f} s")]


def fork(room: Room, draw: random.Random) -> list[Row]:
    room.serve()
    for number in range(4):
        room.emit(f"emitter-{number}", count=draw.randrange(200, 2000), fork_count=4)
    return [whole(room, "fork", "4 emitters, each with 4 children from the middle of its work")]


def soak(room: Room, draw: random.Random) -> list[Row]:
    room.serve()
    those = some(room, 4)
    ends_s, fault_count = time.monotonic() + scaled(30), 0
    while time.monotonic() < ends_s:
        time.sleep(draw.uniform(0.0, 1.0))
        assert room.collector is not None
        match draw.choice(
            ("kill", "restart", "stop collector", "kill front", "stop front", "stop emitter", "kill emitter")
        ):
            case "kill":
                room.kill_collector()
            case "restart":
                room.stop_collector()
            case "stop collector":
                room.hold(room.collector, draw.uniform(0.1, 2.0))
            case "kill front" if (front := room.front()) is not None:
                os.kill(front, signal.SIGKILL)
                time.sleep(draw.uniform(0.0, 2.0))
            case "stop front" if (front := room.front()) is not None:
                hold([front], draw.uniform(0.1, 2.0))
            case "kill emitter":
                victim = draw.choice(those)
                victim.kill()
                those.remove(victim)
                those.append(room.emit(f"emitter-{len(room.emitters)}", per_s=PACE_PER_S))
            case _:
                room.hold(draw.choice(those).process, draw.uniform(0.1, 2.0))
        if room.collector.poll() is not None:
            room.serve()
        fault_count += 1
    return cut(room, "soak", f"{scaled(30)} s, {fault_count} random faults, 4 emitters")
