"""Several processes at one store: a writer that is killed, readers beside it, a user who may not write."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.store.builders import SOURCE, TRACE_A, facts_in, started
from trajectory.errors import StoreError
from trajectory.model.content import digest
from trajectory.model.fact import Batch, Fact, Gap, Payload
from trajectory.store.sqlite import open_reader, open_writer

# Appends for ever: batches of one payload and seven facts, two a call; says how far each call came.
WRITER = """
import sys
from trajectory.model.content import digest
from trajectory.model.fact import Batch, Gap, Payload, Source, SpanStarted
from trajectory.store.sqlite import open_writer

writer = open_writer(sys.argv[1], endpoint="tcp://127.0.0.1:1")
source = Source(b"e" * 16, b"b" * 16, {"service.name": "planner"})

def facts(position):
    body = b"body %d" % position
    yield Payload(digest("t", body), "t", body)
    for seq in range(position + 1, position + 8):
        yield SpanStarted(b"\\xa0" * 16, b"s" * 8, b"", seq, 0, "agent", "n" * (seq % 50))

position = writer.next_seq(source.emitter_id, source.boot_id)
print(position, flush=True)
while True:
    writer.append([Batch(source, p, list(facts(p))) for p in (position, position + 8)])
    position += 16
    print(position, flush=True)
"""
A_CALL = 16  # positions


@contextmanager
def running_writer(path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait(30)
        if process.stdout:
            process.stdout.close()


def said_position(process: subprocess.Popen[str]) -> int:
    """The next position that a writer says; waits for it."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "the writer ended"
    return int(line)


def last_said(process: subprocess.Popen[str], so_far: int) -> int:
    assert process.stdout is not None
    whole_lines = [line for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    return int(whole_lines[-1]) if whole_lines else so_far


def expected_times(positions: int) -> list[int]:
    return [seq for seq in range(positions) if seq % 8]


def test_a_killed_writer_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    stored = 0
    for round_number in range(4):
        with running_writer(path) as process:
            assert said_position(process) == stored
            for _ in range(5 + 13 * round_number):
                acknowledged = said_position(process)
            process.kill()
            process.wait(30)
            acknowledged = last_said(process, acknowledged)
        writer = open_writer(path)
        stored = writer.next_seq(SOURCE.emitter_id, SOURCE.boot_id)
        assert acknowledged <= stored <= acknowledged + A_CALL
        assert [
            fact.at_ns for fact in facts_in(writer.facts(TRACE_A)) if not isinstance(fact, Payload)
        ] == expected_times(stored)
        bodies = [b"body %d" % position for position in range(0, stored, 8)]
        assert len(writer.payloads([digest("t", body) for body in bodies])) == len(bodies)
        assert writer.check() == []
        writer.close()


def test_a_writer_in_another_process_is_named(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with running_writer(path) as process:
        said_position(process)
        with pytest.raises(StoreError, match=rf"process {process.pid} \(collector at tcp://127.0.0.1:1\): stop it"):
            open_writer(path)
    open_writer(path).close()


def test_a_child_of_a_writer_does_not_hold_its_lock(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    script = (
        "import os, sys\nfrom trajectory.store.sqlite import open_writer\nwriter = open_writer(sys.argv[1])\n"
        "if os.fork() == 0:\n    print('child', flush=True)\n    sys.stdin.read()\n    os._exit(0)\n"
        "os.read(int(sys.argv[2]), 1)\nos._exit(0)\n"
    )
    gate, opener = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(path), str(gate)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=[gate],
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"child\n"
    with pytest.raises(StoreError, match=f"process {process.pid}"):
        open_writer(path)
    os.write(opener, b"x")
    process.wait(30)
    open_writer(path).close()  # although the child lives, and reads
    assert process.stdin is not None
    process.stdin.close()
    process.stdout.close()
    os.close(gate)
    os.close(opener)


def test_a_reader_beside_a_writer_sees_whole_appends_that_only_grow(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with running_writer(path) as process:
        said_position(process)
        acknowledged = said_position(process)
        reader = open_reader(path)
        seen = 0
        for _ in range(15):
            version = reader.data_version()
            stored = reader.next_seq(SOURCE.emitter_id, SOURCE.boot_id)
            assert stored % A_CALL == 0
            while acknowledged <= stored:
                acknowledged = said_position(process)
            assert reader.next_seq(SOURCE.emitter_id, SOURCE.boot_id) >= acknowledged
            assert reader.data_version() > version
            facts = facts_in(reader.facts(TRACE_A))
            assert len(facts) >= max(seen, len(expected_times(acknowledged)))
            assert len(facts) % len(expected_times(A_CALL)) == 0
            seen = len(facts)
        reader.close()


def test_a_reader_opens_what_a_killed_writer_left(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with running_writer(path) as process:
        said_position(process)
        acknowledged = said_position(process)
        process.kill()
        process.wait(30)
    reader = open_reader(path)
    assert reader.next_seq(SOURCE.emitter_id, SOURCE.boot_id) >= acknowledged
    assert reader.check() == []
    reader.close()


# Someone who may not: a super-user drops to nobody after the imports, anyone else is bound by the modes as they are.
STRANGER = """
import os, sys
from trajectory.errors import StoreError
from trajectory.store.sqlite import open_reader, open_writer
if os.geteuid() == 0:
    os.setuid(65534)
try:
    opened = {"read": open_reader, "write": open_writer}[sys.argv[1]](sys.argv[2])
    print(opened.counts()["facts"])
except StoreError as refused:
    print(refused)
"""


def as_stranger(action: str, path: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", STRANGER, action, str(path)], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A directory that anyone can enter, with a store of two facts in it."""
    directory = Path(tempfile.mkdtemp())
    writer = open_writer(directory / "store.db")
    facts: list[Fact] = [started(), Gap(1, 1, "sequence")]
    writer.append([Batch(SOURCE, 0, facts)])
    writer.close()
    (directory / "store.db.lock").unlink()
    yield directory
    directory.chmod(0o700)
    shutil.rmtree(directory)


def test_a_store_in_a_directory_that_cannot_be_written_is_read_and_nothing_is_left_there(reachable: Path) -> None:
    (reachable / "store.db").chmod(0o444)
    reachable.chmod(0o555)
    assert as_stranger("read", reachable / "store.db") == "2"
    assert [entry.name for entry in reachable.iterdir()] == ["store.db"]


def test_a_log_that_cannot_be_read_in_is_not_left_out_in_silence(reachable: Path) -> None:
    with running_writer(reachable / "new.db") as process:
        said_position(process)
        said_position(process)
    (reachable / "new.db-shm").unlink()
    (reachable / "new.db").chmod(0o444)
    reachable.chmod(0o555)
    assert "cannot be opened: check the permissions" in as_stranger("read", reachable / "new.db")


def test_a_store_that_may_not_be_read_says_so(reachable: Path) -> None:
    (reachable / "store.db").chmod(0o000)
    reachable.chmod(0o555)
    assert "permission denied" in as_stranger("read", reachable / "store.db")


def test_a_writer_in_a_directory_that_cannot_be_written_is_refused(reachable: Path) -> None:
    reachable.chmod(0o555)
    assert "cannot lock" in as_stranger("write", reachable / "store.db")
    assert "cannot make" in as_stranger("write", reachable / "new.db")
    assert "cannot make" in as_stranger("write", reachable / "new" / "new.db")


def test_a_writer_of_a_file_that_is_read_only_is_refused_as_it_opens(reachable: Path) -> None:
    (reachable / "store.db").chmod(0o444)
    reachable.chmod(0o777)
    assert "read-only" in as_stranger("write", reachable / "store.db")
