"""Faults of what lies between processes, and of their clocks. Scenarios of `faults`.

What a machine does not allow, or does not have, is said as not measured.
"""

import random
import subprocess
import sys
import time
from pathlib import Path

from tests.benchmarks import AbsentError, Row
from tests.benchmarks._faults_judged import begun, whole
from tests.benchmarks._faults_link import NEAR, Line
from tests.benchmarks._faults_room import Room
from tests.benchmarks._rounds import REPOSITORY, noted, scaled
from trajectory.model.fact import SpanStarted
from trajectory.store.sqlite import open_reader

_HOUR_NS = 3_600_000_000_000
_OTHER_CLOCK = Path(__file__).with_name("_other_clock")


def cut_off(room: Room, draw: random.Random) -> list[Row]:
    try:
        line = _between(room, draw)
    except AbsentError as reason:
        return [noted("network cut", "not measured", str(reason))]
    _three_emit(room, 100.0)
    # Short, beyond what an emitter waits for an answer, and beyond what ZeroMQ waits for a sign of life.
    lasts_s = [draw.uniform(0.5, 2.0), draw.uniform(3.0, 6.0), draw.uniform(11.0, 13.0)] * scaled(1)
    for cut_s in lasts_s:
        time.sleep(draw.uniform(0.5, 2.0))
        line.is_cut = True
        time.sleep(cut_s)
        line.is_cut = False
    what = f"between two hosts, with keys, {len(lasts_s)} times for {min(lasts_s):.0f} to {max(lasts_s):.0f} s"
    return [_told(whole(room, "network cut", what), line)]


def slow(room: Room, draw: random.Random) -> list[Row]:
    try:
        line = _between(room, draw)
    except AbsentError as reason:
        return [noted("slow network", "not measured", str(reason))]
    line.delay_s, line.loss_ratio, line.bytes_per_s = 0.2, 0.05, 1e6 / 8
    _three_emit(room, 20.0)
    time.sleep(scaled(15))
    return [_told(whole(room, "slow network", "200 ms each way, 5 % of packets lost, 1 Mbit/s, with keys"), line)]


def _between(room: Room, draw: random.Random) -> Line:
    """Puts collector and emitters onto two hosts, with keys. The emitters' spool is not the collector's: it is elsewhere."""
    line = Line(draw)
    room.on_leaving(line.close)
    keys = ["--keys", str(room.folder / "keys")]
    for action in (["init"], ["add", "team", "--role", "emit"]):
        command = [sys.executable, "-m", "trajectory", "keys", *action, *keys]
        said = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=60).stdout
    room.endpoint = f"tcp://{NEAR}:5570"
    room.collecting.before, room.collecting.more = line.inside(line.near), keys
    room.collecting.environment["TRAJECTORY_SPOOL_DIR"] = str(room.folder / "elsewhere")
    room.emitting.before = line.inside(line.far)
    room.emitting.environment["TRAJECTORY_KEY_FILE"] = said.strip()
    room.serve()
    return line


def _three_emit(room: Room, per_s: float) -> None:
    begun([room.emit(f"emitter-{number}", per_s=per_s) for number in range(3)])


def _told(row: Row, line: Line) -> Row:
    packets = f"{line.carried_count:,} packets came over, {line.lost_count:,} were lost"
    return Row(row.case, row.figure, f"{row.measured}; {packets}", row.goal, bool(row.is_good) and line.lost_count > 0)


def clock_set(room: Room, draw: random.Random) -> list[Row]:
    """The wall clock as Python reads it; libfaketime's would make every timed wait of Python fail."""
    faces = [room.folder / "collector.clock", room.folder / "emitters.clock"]
    for face, around in zip(faces, (room.collecting, room.emitting), strict=True):
        _set(face, 0)
        around.environment |= {"PYTHONPATH": str(_OTHER_CLOCK), "TRAJECTORY_FAULTS_CLOCK": str(face)}
    room.serve()
    _three_emit(room, 200.0)
    steps = [(face, hours) for face in faces for hours in (1, -1, 0)] * scaled(1)
    for face, hours in draw.sample(steps, len(steps)):
        time.sleep(draw.uniform(1.0, 3.0))
        _set(face, hours)
        if face == faces[1]:  # one that lives keeps to the clock that it began by
            room.emit(f"emitter-{len(room.emitters)}", count=200)
    time.sleep(2.0)
    row = whole(room, "clock set", f"by one or two hours, {len(steps)} times, of the collector and of its emitters")
    apart_h = _apart_h(room)
    told = f"{row.measured}; the stored facts' clocks are {apart_h:.1f} h apart"
    return [Row(row.case, row.figure, told, row.goal, bool(row.is_good) and apart_h > 1.9)]


def _set(face: Path, hours: int) -> None:
    """What a clock shows from here on, against the machine's."""
    with face.open("r+b" if face.exists() else "w+b") as file:
        file.write((hours * _HOUR_NS).to_bytes(8, "little", signed=True))


def _apart_h(room: Room) -> float:
    """How far the times of the stored spans are apart."""
    reader = open_reader(room.store)
    times = [fact.at_ns for batch in reader.all_batches() for fact in batch.facts if isinstance(fact, SpanStarted)]
    reader.close()
    return (max(times, default=0) - min(times, default=0)) / _HOUR_NS
