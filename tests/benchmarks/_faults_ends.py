"""Faults of processes: collectors and emitters that are killed, stopped, restarted, moved. Scenarios of `faults`."""

import os
import random
import signal
import time
from collections.abc import Callable

from tests.benchmarks import Row
from tests.benchmarks._faults_judged import PACE_PER_S, begun, cut, some, whole
from tests.benchmarks._faults_room import Room, hold, wait_until
from tests.benchmarks._rounds import noted, scaled

_KILLED_AT_ONCE = 5
_OLD_FLUSH_S = 1.0  # of who emits to a port where nobody listens any more


def collector_killed(room: Room, draw: random.Random) -> list[Row]:
    some(room, 3)
    kill_count = scaled(20)
    for _ in range(kill_count):
        room.begin_serving()
        time.sleep(draw.uniform(0.2, 1.5))  # while it starts, takes up what was there, or takes what is new
        room.kill_collector()
    room.serve()
    return [whole(room, "collector killed", f"kill -9, {kill_count} times at random, 3 emitters")]


def front_killed(room: Room, draw: random.Random) -> list[Row]:
    def kill(front: int) -> None:
        os.kill(front, signal.SIGKILL)

    return _front_suffers(room, draw, "front killed", "kill -9 of the process that takes frames", kill)


def front_stopped(room: Room, draw: random.Random) -> list[Row]:
    def stop(front: int) -> None:
        hold([front], draw.uniform(0.5, 3.0))

    return _front_suffers(room, draw, "front stopped", "SIGSTOP of the process that takes frames", stop)


def main_stopped(room: Room, draw: random.Random) -> list[Row]:
    def stop(front: int) -> None:
        assert room.collector is not None
        hold([room.collector.pid], draw.uniform(0.5, 3.0))

    return _front_suffers(room, draw, "main stopped", "SIGSTOP of the collector without its front", stop)


def _front_suffers(room: Room, draw: random.Random, case: str, what: str, suffer: Callable[[int], None]) -> list[Row]:
    """The collector itself lives on, and has to go on taking: one that ends by itself is started again, and counted."""
    room.serve()
    if room.front() is None:
        return [noted(case, "not measured", "the collector is one process")]
    some(room, 3)
    count, ended_count = scaled(6), 0
    for _ in range(count):
        time.sleep(draw.uniform(0.2, 1.5))
        front = room.front()
        if front is not None:
            suffer(front)
        if not _is_whole_again(room):
            ended_count += 1
            room.serve()
    told = f"the collector ended {ended_count} times" if ended_count else "the collector went on each time"
    return [whole(room, case, f"{what}, {count} times, 3 emitters", told)]


def _is_whole_again(room: Room) -> bool:
    """Waits until the collector has a front again; False where it ended instead."""
    assert room.collector is not None
    collector = room.collector
    wait_until(lambda: collector.poll() is not None or room.front() is not None, "the collector has a front", 30.0)
    return collector.poll() is None


def emitter_killed(room: Room, draw: random.Random) -> list[Row]:
    room.serve()
    kill_count = scaled(20)
    for first in range(0, kill_count, _KILLED_AT_ONCE):
        those = some(room, min(_KILLED_AT_ONCE, kill_count - first))
        for one in those:
            time.sleep(draw.uniform(0.0, 1.0))
            one.kill()
    return cut(room, "emitter killed", f"kill -9, {kill_count} emitters at random")


def stopped(room: Room, draw: random.Random) -> list[Row]:
    collector = room.serve()
    those = some(room, 3)
    for held in (collector, those[0].process, collector, those[1].process):
        room.hold(held, draw.uniform(1.0, 4.0))
        time.sleep(0.5)
    return [whole(room, "stopped", "SIGSTOP of the collector twice, of two emitters once")]


def restarted(room: Room, draw: random.Random) -> list[Row]:
    room.serve()
    some(room, 3)
    count = scaled(5)
    for _ in range(count):
        time.sleep(draw.uniform(0.1, 1.0))
        room.stop_collector()
        time.sleep(draw.uniform(0.0, 1.0))
        room.serve()
    return [whole(room, "restarted", f"SIGTERM and a new one on the same port, {count} times")]


def moved(room: Room, draw: random.Random) -> list[Row]:
    """Emitters of an old port end while nobody listens there, at once or when the collector has long been elsewhere."""
    room.serve()
    count = scaled(3)
    for number in range(count):
        names = [f"place-{number}-{one}" for one in range(3)]
        those = [room.emit(name, per_s=PACE_PER_S / 4, flush_s=_OLD_FLUSH_S) for name in names]
        begun(those)
        time.sleep(draw.uniform(0.1, 1.0))
        draw.choice((room.kill_collector, room.stop_collector))()
        room.move()
        time.sleep(draw.uniform(0.0, 1.0))
        those[0].tally.stop()
        room.serve()
    what = f"a new one on a new port, {count} times, emitters of the old ones live on"
    return [whole(room, "moved", what, may_be_told_otherwise=True)]
