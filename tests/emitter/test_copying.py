"""The dual path: what goes over the wire is on disk too, whole after every write, and harms no agent where it cannot be."""

import errno
import logging
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import trajectory
from tests.cli.terminal import free_endpoint
from trajectory.dialects.jsonl import read_jsonl
from trajectory.emitter.copying import Copy
from trajectory.emitter.identity import Identity
from trajectory.model.fact import Batch, Fact, Payload, SpanEnded, SpanStarted
from trajectory.protocol import frames
from trajectory.testing import FakeCollector

ME = Identity(b"e" * 16, b"b" * 16, {"service.name": "svc"})


def batches(path: Path) -> list[Batch]:
    with path.open("rb") as lines:
        return list(read_jsonl(lines, str(path)))


def facts(path: Path) -> list[Fact]:
    return [fact for batch in batches(path) for fact in batch.facts]


def heartbeat(number: int) -> bytes:
    return frames.pack((frames.HEARTBEAT, number, number, []))


def test_the_file_says_what_the_wire_says_after_redaction(collector: FakeCollector, tmp_path: Path) -> None:
    path = tmp_path / "said-%p.jsonl"
    trajectory.init("svc", collector.endpoint, jsonl=path, spool_dir=tmp_path)
    with trajectory.agent("planner"), trajectory.tool("login", arguments={"password": "hunter2-hunter2"}):
        trajectory.thought("I log in")
    assert trajectory.flush(10)
    written = tmp_path / f"said-{os.getpid()}.jsonl"
    told = [fact for fact in facts(written) if isinstance(fact, (SpanStarted, SpanEnded, Payload))]
    assert told == [fact for fact in collector.facts if isinstance(fact, (SpanStarted, SpanEnded, Payload))]
    assert len(told) >= 6 and b"hunter2" not in written.read_bytes()
    assert written.stat().st_mode & 0o777 == 0o600
    assert {batch.source.resource["service.name"] for batch in batches(written)} == {"svc"}


def test_where_no_collector_ever_is_and_memory_is_full_the_file_has_all(tmp_path: Path) -> None:
    path = tmp_path / "said.jsonl"
    script = """
import trajectory
with trajectory.agent("planner"):
    for number in range(3000):
        with trajectory.span(f"span {number}", attributes={"text": "x" * 100}):
            pass
"""
    environment = os.environ | {
        "TRAJECTORY_ENDPOINT": free_endpoint(), "TRAJECTORY_JSONL": str(path), "TRAJECTORY_POLICY": "drop",
    }  # fmt: skip
    code = f"import trajectory; trajectory.init(memory_bytes=3_000_000)\n{script}"
    subprocess.run([sys.executable, "-P", "-c", code], env=environment, check=True, timeout=60)
    names = [fact.name for fact in facts(path) if isinstance(fact, SpanStarted) and fact.name.startswith("span")]
    assert names == [f"span {number}" for number in range(3000)]


def test_a_full_file_is_turned_and_the_new_one_has_its_bodies(collector: FakeCollector, tmp_path: Path) -> None:
    path = tmp_path / "said.jsonl"
    trajectory.init("svc", collector.endpoint, jsonl=path, jsonl_bytes=1, spool_dir=tmp_path)
    for _ in range(2):
        with trajectory.tool("search", arguments={"city": "Lyon"}):
            pass
        assert trajectory.flush(10)
    trajectory.init("other", collector.endpoint, spool_dir=tmp_path)  # closes the file
    turned = facts(tmp_path / "said.jsonl.1")
    assert [fact.body for fact in turned if isinstance(fact, Payload)] == [b'{"city":"Lyon"}']


def test_a_disk_that_is_full_is_counted_said_once_and_leaves_a_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    copy = Copy(str(tmp_path / "said"), 0, ME)
    copy.add(heartbeat(1), 1)
    copy.write()
    write = os.write

    def full(file: int, data: bytes) -> int:
        if len(data) > 20:
            return write(file, data[:20])
        raise OSError(errno.ENOSPC, "No space left on device")

    def nothing(file: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with caplog.at_level(logging.WARNING, "trajectory"):
        for broken in (full, nothing):
            monkeypatch.setattr("trajectory.emitter.copying.os.write", broken)
            copy.add(heartbeat(2), 1)
            copy.write()
            monkeypatch.undo()
    copy.add(heartbeat(3), 1)
    copy.close()
    assert caplog.text.count("cannot be written") == 1
    assert [fact.at_ns for fact in facts(tmp_path / "said")] == [1, 3]  # type: ignore[union-attr]
    assert [batch.first_seq for batch in batches(tmp_path / "said")] == [0, 3]


def test_a_link_is_not_followed_and_a_process_has_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    linked = Copy(str(tmp_path / "link"), 0, ME)
    linked.add(heartbeat(1), 1)
    linked.close()
    assert not (tmp_path / "elsewhere").exists()
    first, second = Copy(str(tmp_path / "said"), 0, ME), Copy(str(tmp_path / "said"), 0, ME)
    for number, copy in enumerate((first, second)):
        copy.add(heartbeat(number), 1)
        copy.write()
    assert second.path == tmp_path / f"said.{os.getpid()}"
    first.close()
    second.close()
    assert [len(facts(copy.path)) for copy in (first, second)] == [1, 1]
    os.mkfifo(tmp_path / "pipe")
    pipe = Copy(str(tmp_path / "pipe"), 0, ME)
    pipe.add(heartbeat(1), 1)
    pipe.close()
    assert stat.S_ISFIFO((tmp_path / "pipe").lstat().st_mode)


def test_a_file_that_others_may_read_is_made_the_users_own_and_what_is_none_takes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "said"
    path.touch(0o644)
    first, second, third = (Copy(str(path), 0, ME) for _ in range(3))
    for number, copy in enumerate((first, second, third)):
        copy.add(heartbeat(number), 1)
        copy.write()
    assert path.stat().st_mode & 0o777 == 0o600 and len(facts(path)) == 1
    third.close()
    own = tmp_path / f"said.{os.getpid()}"  # one file of a process's own is enough
    assert {*tmp_path.iterdir()} == {path, own} and len(facts(own)) == 1
    device = Copy("/dev/null", 0, ME)
    device.add(heartbeat(1), 1)
    device.add(b"\xc1", 2)  # no collector could read it either
    device.close()
    assert caplog.text.count("cannot be written") == 1, "the third, and the device after it"
    first.close()
    second.close()
