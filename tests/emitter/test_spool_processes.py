"""The spool in whole processes that end in every way: what was emitted is what is stored and what is counted as lost."""

import os
import random
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.terminal import free_endpoint, serving
from trajectory.emitter import put_count
from trajectory.emitter.courier import Courier
from trajectory.emitter.leftover import Leftover, claimed, names_in
from trajectory.model.fact import Gap, Heartbeat
from trajectory.store.contract import Reader
from trajectory.store.sqlite import open_reader
from trajectory.testing import FakeCollector

EMIT = """
import sys, trajectory
trajectory.init(service="short", endpoint=sys.argv[1])
for number in range(int(sys.argv[2])):
    with trajectory.span(f"step {number}"):
        pass
"""
EMIT_FOR_EVER = """
import mmap, struct, sys, threading, trajectory
trajectory.init(service="short", endpoint=sys.argv[1])
thread_count = int(sys.argv[2])
with open(sys.argv[3], "w+b") as file:
    file.truncate(8 * thread_count)
    tally = mmap.mmap(file.fileno(), 8 * thread_count)
def emit(own):
    for number in range(1 << 40):
        with trajectory.span("step"):
            pass
        struct.pack_into("<Q", tally, 8 * own, number + 1)
for own in range(thread_count):
    threading.Thread(target=emit, args=(own,)).start()
"""
EMIT_AND_STAY = EMIT + "print('emitted', flush=True)\nsys.stdin.read()\n"


@pytest.fixture(autouse=True)
def spool_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRAJECTORY_SPOOL_DIR", str(tmp_path / "spool"))
    return tmp_path / "spool"


def begin(code: str, endpoint: str, count: int, *more: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", code, endpoint, str(count), *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(code: str, endpoint: str, count: int) -> str:
    """Runs to the end; returns what it said on standard error."""
    _, said = begin(code, endpoint, count).communicate(timeout=60)
    return said


def wait_until(holds: Callable[[], bool], what: str) -> None:
    pause = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < pause, f"waited in vain until {what}"
        os.sched_yield()


def status_of(path: Path) -> tuple[int, int]:
    """How far the emitter says that it is acknowledged, and how far it has come."""
    base_seq, known_seq = struct.unpack_from(">QQ", path.read_bytes()[:64], 8)
    return int(base_seq), int(known_seq)


def file_of(process: "subprocess.Popen[str]", spool_dir: Path) -> Path:
    """The file of an emitter that has emitted all that it will."""
    assert process.stdout is not None
    assert process.stdout.readline() == "emitted\n"
    wait_until(lambda: bool(names_in(spool_dir)), "the emitter has a file")
    return names_in(spool_dir)[0]


def kill_when_known(process: "subprocess.Popen[str]", spool_dir: Path, fact_count: int) -> Path:
    """Kills an emitter as soon as its file says that it has put so many facts."""
    path = file_of(process, spool_dir)
    wait_until(lambda: status_of(path)[1] >= fact_count, f"{fact_count} facts are known of")
    process.kill()
    process.communicate()
    return path


def done(tally: Path) -> int:
    """The spans that an emitter for ever has begun and ended."""
    raw = tally.read_bytes() if tally.exists() else b""
    return sum(struct.unpack(f"<{len(raw) // 8}Q", raw))


def told(collector: FakeCollector) -> tuple[int, int]:
    """The facts that were stored and those that are counted as lost; positions that a HELLO skipped are lost too."""
    stored = [fact for fact in collector.facts if not isinstance(fact, (Gap, Heartbeat))]
    (source,) = collector.sources()
    return len(stored), source.next_seq - len(stored) - sum(isinstance(fact, Heartbeat) for fact in collector.facts)


def steps(reader: Reader) -> list[str]:
    facts = [fact for batch in reader.all_batches() for fact in batch.facts]
    return [fact.name for fact in facts if type(fact).__name__ == "SpanStarted"]


def test_what_a_script_left_without_any_collector_is_shown_by_the_next_serve(tmp_path: Path, spool_dir: Path) -> None:
    endpoint, store = free_endpoint(), tmp_path / "store.db"
    assert [run(EMIT, endpoint, 500) for _ in range(2)] == ["", ""]
    assert len(names_in(spool_dir)) == 2
    assert [oct(one.stat().st_mode & 0o777) for one in names_in(spool_dir)] == ["0o600"] * 2
    with serving(store, endpoint):
        wait_until(lambda: not names_in(spool_dir), "the spool is empty")
    reader = open_reader(store)
    found = steps(reader)
    assert sorted(found) == sorted([f"step {number}" for number in range(500)] * 2)
    for batch in reader.all_batches():
        assert batch.source.service == "short"
        assert not any(isinstance(fact, Gap) for fact in batch.facts)
    assert {summary.state for summary in reader.summaries()} == {"done"}
    reader.close()


def test_what_was_emitted_for_the_port_of_before_is_taken_up_where_the_store_is_served_now(
    tmp_path: Path, spool_dir: Path
) -> None:
    before, now, store = free_endpoint(), free_endpoint(), tmp_path / "store.db"
    with serving(store, before):
        assert run(EMIT, before, 100) == ""
    assert run(EMIT, before, 200) == ""
    with serving(tmp_path / "another.db", free_endpoint()):
        assert run(EMIT, now, 300) == ""
    assert len(names_in(spool_dir)) == 2
    with serving(store, now):
        wait_until(lambda: not names_in(spool_dir), "the spool is empty")
    reader = open_reader(store)
    assert len(steps(reader)) == 600
    reader.close()


def test_a_damaged_spool_costs_what_was_damaged_and_the_store_counts_it(tmp_path: Path, spool_dir: Path) -> None:
    endpoint, store = free_endpoint(), tmp_path / "store.db"
    assert run(EMIT, endpoint, 500) == ""
    (path,) = names_in(spool_dir)
    whole = path.read_bytes()
    at = whole.index(b"step 250")
    path.write_bytes(whole[:at] + b"STEP" + whole[at + 4 :])
    with serving(store, endpoint):
        wait_until(lambda: not names_in(spool_dir), "the spool is empty")
    assert [one.suffix for one in spool_dir.iterdir()] == [".damaged"]
    reader = open_reader(store)
    facts = [fact for batch in reader.all_batches() if batch.source.service == "short" for fact in batch.facts]
    gaps = [fact for fact in facts if isinstance(fact, Gap)]
    assert sum(gap.count for gap in gaps) + len(facts) - len(gaps) == 1000
    assert "step 250" not in steps(reader) and {"step 0", "step 499"} <= set(steps(reader))
    assert reader.check() == []
    reader.close()


def test_a_killed_emitter_without_a_collector_loses_only_what_was_not_written_and_it_is_counted(
    tmp_path: Path, spool_dir: Path
) -> None:
    with FakeCollector() as collector:
        endpoint = collector.endpoint
    process = begin(EMIT_AND_STAY, endpoint, 20_000)
    kill_when_known(process, spool_dir, 40_000)
    collector.listen()
    assert Courier(spool_dir, endpoint, quiet_s=0.0).round() == 0
    stored_count, lost_count = told(collector)
    assert stored_count + lost_count == 40_000
    collector.vanish()


@pytest.mark.parametrize("thread_count", [1, 4])
@pytest.mark.parametrize("is_there", [True, False], ids=["with a collector", "without a collector"])
def test_what_is_shown_as_lost_to_a_kill_at_any_moment_is_what_was_lost(
    thread_count: int, is_there: bool, tmp_path: Path, spool_dir: Path
) -> None:
    draw = random.Random(f"{thread_count} {is_there}")
    for number in range(3):
        tally = tmp_path / f"tally-{number}"
        with FakeCollector() as collector:
            endpoint = collector.endpoint
            process = begin(EMIT_FOR_EVER, endpoint, thread_count, str(tally))
            wait_until(lambda: any(map(put_count.known_seq, names_in(spool_dir))), "the emitter's count is shared")
            (path,) = names_in(spool_dir)
            if not is_there:
                collector.vanish()
            at_least = draw.randrange(5000)
            wait_until(lambda: done(tally) >= at_least, "it has emitted so much")  # noqa: B023
            process.kill()
            process.communicate()
            done_count = done(tally)
            collector.listen()
            assert Courier(spool_dir, endpoint, quiet_s=0.0).round() == 0
            assert 0 <= sum(told(collector)) - 2 * done_count <= 2 * thread_count  # a span a thread is not in the tally
            assert collector.sources()[0].doubled_count == 0
            assert put_count.known_seq(path) is None


def test_what_waited_for_a_second_is_not_lost_to_a_kill(spool_dir: Path) -> None:
    with FakeCollector() as collector:
        endpoint = collector.endpoint
    process = begin(EMIT_AND_STAY, endpoint, 5000)
    path = file_of(process, spool_dir)
    wait_until(lambda: _written_count(path) == 10_000, "everything is written")
    process.kill()
    process.communicate()
    collector.listen()
    assert Courier(spool_dir, endpoint, quiet_s=0.0).round() == 0
    assert told(collector) == (10_000, 0)
    collector.vanish()


def _written_count(path: Path) -> int:
    """The facts that are in the file of a living process."""
    left = Leftover(path, os.open(path, os.O_RDONLY))
    try:
        return sum(len(facts) for _, facts in left.records())
    finally:
        left.let_go()


def test_a_killed_emitter_whose_collector_did_not_store_is_delivered_or_counted(
    spool_dir: Path, collector: FakeCollector
) -> None:
    collector.lose_frames(1 << 30)
    process = begin(EMIT_AND_STAY, collector.endpoint, 3000)
    path = kill_when_known(process, spool_dir, 6000)
    known_seq = status_of(path)[1]
    collector.lose_frames(0)
    assert Courier(spool_dir, collector.endpoint, quiet_s=0.0).round() == 0
    (source,) = collector.sources()
    assert (source.next_seq, source.doubled_count) == (known_seq, 0)
    assert 6000 <= known_seq <= 6003  # with heartbeats
    assert sum(told(collector)) <= known_seq


def test_a_killed_emitter_is_counted_by_the_serve_that_it_spoke_to(tmp_path: Path, spool_dir: Path) -> None:
    endpoint, store = free_endpoint(), tmp_path / "store.db"
    with serving(store, endpoint) as server:
        process = begin(EMIT_AND_STAY, endpoint, 2000)
        path = file_of(process, spool_dir)
        server.send_signal(signal.SIGSTOP)
        wait_until(lambda: status_of(path)[1] >= 4000, "all is known of")
        process.kill()
        process.communicate()
        server.send_signal(signal.SIGCONT)
        wait_until(lambda: not names_in(spool_dir), "the file is delivered")
    reader = open_reader(store)
    facts = [fact for batch in reader.all_batches() if batch.source.service == "short" for fact in batch.facts]
    lost_count = sum(fact.count for fact in facts if isinstance(fact, Gap))
    kept = [fact for fact in facts if not isinstance(fact, (Gap, Heartbeat))]
    assert len({repr(fact) for fact in kept}) == len(kept)
    assert 4000 <= len(kept) + lost_count <= 4010  # heartbeats may be among what was lost
    reader.close()


@pytest.mark.parametrize(
    ("setup", "asks"),
    [
        ("", True),
        ("import signal; signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))", True),
        ("import os, signal; signal.signal(signal.SIGTERM, lambda *_: os._exit(3))", True),
    ],
    ids=["no handler", "a handler that exits", "a handler that ends at once"],
)
def test_sigterm_delivers_and_then_does_what_it_did(setup: str, asks: bool, collector: FakeCollector) -> None:
    init = 'trajectory.init(service="short", endpoint=sys.argv[1])'
    code = EMIT_AND_STAY.replace(init, f"{setup}\n{init[:-1]}, on_sigterm={asks})").replace(
        "sys.stdin.read()", "\nfor number in range(50): trajectory.span('last').__enter__()\nsys.stdin.read()"
    )
    process = begin(code, collector.endpoint, 1000)
    assert process.stdout is not None and process.stdout.readline() == "emitted\n"
    collector.wait_until(lambda it: bool(it.sources()))  # half a second is for a collector that is there
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == (-signal.SIGTERM if not setup else 3)
    assert len(collector.spans()) >= 1000
    assert all(not span.open for span in collector.spans() if span.name != "last")


def test_sigterm_without_a_collector_spools(spool_dir: Path) -> None:
    code = EMIT_AND_STAY.replace("endpoint=sys.argv[1])", "endpoint=sys.argv[1], on_sigterm=True)")
    with FakeCollector() as collector:
        endpoint = collector.endpoint
    process = begin(code, endpoint, 1000)
    assert process.stdout is not None and process.stdout.readline() == "emitted\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == -signal.SIGTERM
    process.communicate()
    collector.listen()
    assert Courier(spool_dir, endpoint, quiet_s=0.0).round() == 0
    assert told(collector) == (2000, 0)
    collector.vanish()


def test_a_disk_that_fills_up_costs_only_what_it_had_no_room_for_and_that_is_counted(spool_dir: Path) -> None:
    limited = (
        "import resource, sys; sys.dont_write_bytecode = True\n"  # Python would leave it cut, for every other process to fail at
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
    )
    with FakeCollector() as collector:
        endpoint = collector.endpoint
    said = run(limited + EMIT, endpoint, 5000)
    assert "takes no facts" in said and "Traceback" not in said
    collector.listen()
    assert Courier(spool_dir, endpoint, quiet_s=0.0).round() == 0
    stored_count, lost_count = told(collector)
    assert stored_count + lost_count == 10_000
    assert 200 < stored_count < 2000
    collector.vanish()


def test_under_drop_and_block_nothing_is_written(spool_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for policy in ("drop", "block"):
        monkeypatch.setenv("TRAJECTORY_POLICY", policy)
        assert run(EMIT, free_endpoint(), 100) == ""
    assert not spool_dir.exists()


def test_a_forked_child_leaves_its_own_file_and_its_parents_is_free_when_the_parent_is_gone(spool_dir: Path) -> None:
    code = """
import os, sys, trajectory
trajectory.init(service="short", endpoint=sys.argv[1])
with trajectory.span("parent"): pass
trajectory.flush(0.3)
if os.fork() == 0:
    with trajectory.span("child"): pass
    trajectory.flush(0.3)
    print(os.getpid(), flush=True)
    sys.stdin.read()
"""
    process = begin(code, free_endpoint(), 0)
    assert process.stdout is not None
    assert process.stdout.readline()
    assert process.wait(30) == 0
    free: list[Leftover] = []

    def is_free() -> bool:
        free.extend(left for path in names_in(spool_dir) if (left := claimed(path)) is not None)
        return bool(free)

    wait_until(is_free, "the parent's file is free")  # unless the child is just trying to deliver it
    assert [left.identity.resource["process.pid"] for left in free] == [process.pid]
    free[0].let_go()
    process.communicate("")
