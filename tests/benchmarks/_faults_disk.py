"""Faults of disks: full, read-only, and with bytes that are not what was written. Scenarios of `faults`."""

import os
import random
import resource
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tests.benchmarks import AbsentError, Row
from tests.benchmarks._faults_judged import PACE_PER_S, some, tally, whole
from tests.benchmarks._faults_room import Emitter, Room, wait_until
from tests.benchmarks._faults_truth import numbers_readable
from tests.benchmarks._rounds import noted, scaled
from trajectory.emitter.leftover import Leftover
from trajectory.model.fact import Gap
from trajectory.store.journal import journal_of
from trajectory.store.sqlite import open_reader

_HEAD_BYTES = 512  # of a spool file: its status, and whose it is


def full(room: Room, draw: random.Random) -> list[Row]:
    disk = _small_disk(room, "4m")
    if disk is None:
        return [noted("disk full", "not measured", "this user may not mount a small disk")]
    room.serve()
    for number in range(3):
        room.emit(f"emitter-{number}", per_s=PACE_PER_S, body_bytes=1000)

    def is_full() -> bool:
        state = os.statvfs(disk)
        return state.f_bavail * state.f_frsize < 64 * 1024

    wait_until(is_full, "the disk is full")
    time.sleep(draw.uniform(2.0, 4.0))
    subprocess.run(["mount", "-o", "remount,size=512m", str(disk)], check=True)
    return [whole(room, "disk full", "of the store, for some seconds, then there is room again")]


def read_only(room: Room, draw: random.Random) -> list[Row]:
    disk = _small_disk(room, "256m")
    if disk is None:
        return [noted("disk read-only", "not measured", "this user may not mount a small disk")]
    collector = room.serve()
    some(room, 3)
    time.sleep(draw.uniform(0.5, 1.5))
    # No disk can be made read-only under an open file, so first every write of the living collector is refused.
    for pid in room.collecting_pids():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    time.sleep(draw.uniform(2.0, 4.0))
    lives = collector.poll() is None
    for pid in room.collecting_pids():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    if lives:
        time.sleep(draw.uniform(1.0, 2.0))
        room.kill_collector()
    _remount(disk, "ro")
    refused = room.begin_serving()
    wait_until(lambda: refused.poll() is not None, "the collector refuses a disk that is read-only", 30.0)
    said = room.said()
    time.sleep(draw.uniform(0.5, 1.5))
    _remount(disk, "rw")
    room.serve()
    row = whole(room, "disk read-only", "no write is taken for some seconds, then a start on a read-only disk")
    is_clear = lives and refused.returncode != 0 and str(room.store) in said and "Traceback" not in said
    goal = "the collector lives on while it cannot write, and refuses to start in one clear line"
    return [row, Row(row.case, "what it says", said[-200:] if lives else "it ended", goal, is_clear)]


def corrupt_page(room: Room, draw: random.Random) -> list[Row]:
    """Bytes in the middle of a stopped store are altered; it is served again, then moved away, and served anew in its place."""
    room.serve()
    before = room.emit("before", count=scaled(2000))
    before.process.wait(120)
    room.stop_collector()
    sound, count, taken_count, shares, rows = room.store, scaled(8), 0, [], []
    for number in range(count):
        room.store = room.folder / f"damaged-{number}" / "store.db"
        room.store.parent.mkdir()
        shutil.copy(sound, room.store)
        _flip(room.store, draw, room.store.stat().st_size // 4, room.store.stat().st_size * 3 // 4, 64)
        during = room.emit(f"during-{number}", count=50, flush_s=5.0)
        _serve_damaged(room, during)
        aside = _moved_aside(room.store)
        shares.append(len(numbers_readable(aside, "before")) / before.tally.done_count)
        found = numbers_readable(aside, during.orders.name)
        taken_count += len(found) == during.tally.done_count
        room.serve()
        wait_until(room.is_spool_empty, "what was refused is taken by a fresh store")
        room.stop_collector()
        found |= numbers_readable(room.store, during.orders.name)
        if missing_count := during.tally.done_count - len(found):
            rows.append(Row("corrupt page", f"damage {number}", f"{missing_count} lost", "0 lost", False))
    what = f"64 bytes altered, {count} times; served again, then moved away"
    measured = (
        f"new facts stored {taken_count} times, else kept until there was a fresh store; of what was stored before "
    )
    measured += f"{100 * min(shares):.0f} to {100 * max(shares):.0f} % reads"
    rows.append(Row("corrupt page", what, measured, "nothing taken after it is lost; most of the rest reads", not rows))
    return rows


def _serve_damaged(room: Room, emitter: Emitter) -> None:
    """Serves a damaged store until an emitter has come to its end; a collector that refuses is as good, where it says why."""
    process = room.begin_serving()
    emitter.process.wait(60)
    if process.poll() is None:
        room.stop_collector()
    if "Traceback" in room.said():
        raise AbsentError(f"on a damaged store the collector says {room.said()[-300:]}")


def _moved_aside(store: Path) -> Path:
    """A store's files under another name, as an operator moves them. What waits beside it for a store stays."""
    aside = store.with_name("damaged.db")
    for end in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            store.with_name(store.name + end).rename(aside.with_name(aside.name + end))
    return aside


def corrupt_spool(room: Room, draw: random.Random) -> list[Row]:
    """Files that dead processes left are altered; the records between arrive, and the gaps have the size of the rest."""
    for number in range(scaled(6)):
        room.emit(f"emitter-{number}", count=draw.randrange(500, 3000), flush_s=0.0)
    for one in room.emitters:
        one.process.wait(120)
    known_count = 0
    for path in sorted(room.spool.glob("*.spool")):
        known_count += _known_count(path)
        for _ in range(draw.randrange(1, 4)):
            _flip(path, draw, _HEAD_BYTES, path.stat().st_size, draw.randrange(1, 50))
    room.serve()
    wait_until(room.is_spool_empty, "the spool is delivered")
    room.stop_collector()
    stored_count, missing_count = _counts(room.store)
    found = tally(room)
    measured = (
        f"{found}; {missing_count} said to be missing; {stored_count:,} + {missing_count} of {known_count:,} positions"
    )
    is_exact = stored_count + missing_count == known_count and not found.uncounted and found.is_sound
    row = Row("corrupt spool", f"{len(room.emitters)} files altered in 1 to 3 places", measured, "", is_exact)
    return [replace(row, goal="what is undamaged is stored once and in order, the rest is counted to the fact")]


def corrupt_journal(room: Room, draw: random.Random) -> list[Row]:
    """Frames that are acknowledged and not stored yet, altered while nobody runs."""
    collector = room.serve()
    if room.front() is None:
        return [noted("corrupt journal", "not measured", "the collector is one process")]
    os.kill(collector.pid, signal.SIGSTOP)  # so that nothing of what comes is stored
    for number in range(scaled(6)):
        room.emit(f"emitter-{number}", count=draw.randrange(500, 3000))
    wait_until(lambda: all(one.process.poll() is not None for one in room.emitters), "every emitter has ended")
    unflushed_count = sum(one.process.returncode != 0 for one in room.emitters)
    room.kill_collector()
    segments = sorted(journal_of(room.store).glob("*.frames"))
    if not segments:
        raise AbsentError(f"nothing came into the journal; {unflushed_count} emitters were told otherwise")
    for _ in range(draw.randrange(3, 9)):
        segment = draw.choice(segments)
        _flip(segment, draw, 8, segment.stat().st_size, draw.randrange(1, 50))
    room.serve()
    room.stop_collector()
    found = tally(room)
    measured = f"{found}; {found.counted} said to be missing, {found.uncounted} not, {found.overcounted} too many"
    measured += f"; {unflushed_count} emitters were told otherwise" if unflushed_count else ""
    what = f"of {len(room.emitters)} emitters, altered in some places while nobody runs"
    goal = "what is undamaged is stored once and in order, what is missing between is counted"
    is_good = found.is_sound and not found.uncounted and not found.overcounted and not unflushed_count
    return [Row("corrupt journal", what, measured, goal, is_good)]


def _known_count(path: Path) -> int:
    left = Leftover(path, os.open(path, os.O_RDONLY))
    try:
        return left.known_seq
    finally:
        left.let_go()


def _counts(store: Path) -> tuple[int, int]:
    """The facts of emitters in a store, each of its bodies for one, and how many it says are missing."""
    stored_count = missing_count = 0
    reader = open_reader(store)
    for batch in reader.all_batches():
        if batch.source.service.startswith("emitter-"):
            gaps = [fact.count for fact in batch.facts if isinstance(fact, Gap)]
            stored_count += len(batch.facts) - len(gaps)
            missing_count += sum(gaps)
    stored_count += reader.counts()["payloads"]
    reader.close()
    return stored_count, missing_count


def _flip(path: Path, draw: random.Random, first: int, last: int, count: int) -> None:
    """Alters bytes somewhere in a part of a file, every one of them."""
    at = draw.randrange(first, max(first + 1, last - count))
    with path.open("r+b") as file:
        file.seek(at)
        old = file.read(count)
        file.seek(at)
        file.write(bytes(byte ^ draw.randrange(1, 256) for byte in old))


def _small_disk(room: Room, size: str) -> Path | None:
    """A disk of its own for the room's store; None where this user may not mount one."""
    disk = room.folder / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)]
    if subprocess.run(command, capture_output=True).returncode:
        return None
    room.on_leaving(lambda: subprocess.run(["umount", "-l", str(disk)], check=False))
    room.store = disk / "store.db"
    return disk


def _remount(disk: Path, mode: str) -> None:
    """Waits until nobody has a file there open for writing."""

    def done() -> bool:
        return subprocess.run(["mount", "-o", f"remount,{mode}", str(disk)], capture_output=True).returncode == 0

    wait_until(done, f"the disk is {mode}", 20.0)
