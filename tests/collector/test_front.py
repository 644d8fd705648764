"""The intake in a process of its own: it goes with its collector, and when it dies alone a new one goes on where it ended."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
import zmq

from tests.collector.builders import SOURCE, started, wait_for
from tests.collector.test_processes import emitting, free_endpoint, go_on, serving
from tests.emitter.test_spool import ODD, OTHERS, Babbling
from trajectory.collector import child, front, server
from trajectory.collector.front import FrontProcess, await_ready
from trajectory.collector.importing import WireDelivery
from trajectory.collector.line import Failed, Line, Message, Ready
from trajectory.collector.server import Collector
from trajectory.errors import ConfigError, StoreError, TrajectoryError, WireError
from trajectory.model.fact import Batch
from trajectory.store.journal import journal_of
from trajectory.store.sqlite import open_reader


@contextmanager
def apart(store: Path, endpoint: str = "tcp://127.0.0.1:*") -> Iterator[tuple[Collector, FrontProcess]]:
    collector = Collector(str(store), (), endpoint, is_apart=True)
    thread = threading.Thread(target=collector.run, daemon=True)
    thread.start()
    try:
        assert isinstance(collector._front, FrontProcess)
        yield collector, collector._front
    finally:
        collector.stop()
        thread.join(30)
        assert not thread.is_alive()


def is_there(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def test_what_an_intake_acknowledged_before_it_was_killed_is_stored_and_a_new_one_takes_the_rest(
    tmp_path: Path,
) -> None:
    store = tmp_path / "store"
    with apart(store) as (collector, front):
        with WireDelivery(collector.endpoint) as delivery:
            delivery([Batch(SOURCE, 0, [started(1), started(2)])])
        os.kill(front.pid, signal.SIGKILL)
        wait_for(lambda: collector._front is not front and collector._front.is_alive(), lambda: time.sleep(0.01))
        with WireDelivery(collector.endpoint) as delivery:
            delivery([Batch(SOURCE, 0, [started(1), started(2), started(3)])])
    reader = open_reader(store)
    assert [fact for batch in reader.all_batches() for fact in batch.facts] == [started(1), started(2), started(3)]
    reader.close()
    assert not journal_of(store).exists()


def test_a_real_emitter_loses_and_doubles_nothing_when_the_intake_is_killed_under_it(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with apart(store, free_endpoint()) as (collector, front), emitting(collector.endpoint, "agent", 500) as emitter:
        go_on(emitter, 3)
        os.kill(front.pid, signal.SIGKILL)
        go_on(emitter, 7)
        assert emitter.wait(60) == 0
    reader = open_reader(store)
    names = [getattr(fact, "name", "") for batch in reader.all_batches() for fact in batch.facts]
    reader.close()
    assert [name for name in names if name.startswith("agent ")] == [f"agent {number}" for number in range(500)]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_an_intake_is_gone_with_its_collector_even_while_it_is_stopped(tmp_path: Path) -> None:
    with serving(free_endpoint(), tmp_path / "store") as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        (pid,) = map(int, children)
        os.kill(pid, signal.SIGSTOP)
        process.kill()
        process.wait(20)
        wait_for(lambda: not is_there(pid), lambda: time.sleep(0.01), "the intake is still there")


def test_why_an_intake_cannot_begin_is_said_as_by_one_in_a_thread(tmp_path: Path) -> None:
    with apart(tmp_path / "one") as (collector, _), pytest.raises(WireError, match="already in use"):
        Collector(str(tmp_path / "other"), (), collector.endpoint, is_apart=True)


def test_a_store_with_a_long_path_is_served_too(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 100)
    with apart(folder / "store") as (collector, _), WireDelivery(collector.endpoint) as delivery:
        delivery([Batch(SOURCE, 0, [started(1)])])
    reader = open_reader(folder / "store")
    assert reader.counts()["facts"] == 1
    reader.close()


@pytest.mark.parametrize(
    ("answer", "said"), [(OTHERS, ""), (ODD[3], ""), (ODD[0], "no frame"), (ODD[2], "speaks protocol version 99")]
)
def test_an_import_takes_only_what_answers_it(answer: bytes, said: str) -> None:
    with Babbling(answer) as collector, WireDelivery(collector.endpoint) as delivery:
        with pytest.raises(WireError, match=said) if said else nullcontext():
            delivery([Batch(SOURCE, 0, [started(1)])])
        assert said or collector.facts == [started(1)]


class Beginning:
    """An intake that says one thing, or nothing, and lives or not."""

    def __init__(self, line: Line, lives: bool) -> None:
        self.line = line
        self._lives = lives

    def is_alive(self) -> bool:
        return self._lives

    def close(self) -> None:
        self.line.close()


@pytest.mark.parametrize(
    ("said", "lives", "fault", "words"),
    [
        (Failed("ConfigError", "no such keys", "keys"), False, ConfigError, "no such keys"),
        (Failed("StoreError", "the disk is full"), False, StoreError, "the disk is full"),
        (Failed("SomethingNew", "what it says"), False, WireError, "what it says"),
        (None, False, WireError, "the intake ended at its start"),
        (None, True, WireError, "the intake did not begin within 0 s"),
    ],
)
def test_why_an_intake_did_not_begin_is_raised_as_what_it_is(
    said: Message | None, lives: bool, fault: type[TrajectoryError], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front, "_START_S", 0.05)
    monkeypatch.setattr(front, "_LOOK_S", 0.01)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    ours = Line(context, "inproc://line", is_ours=True)
    theirs = Line(context, "inproc://line", is_ours=False)
    try:
        if said is not None:
            theirs.say(said)
        with pytest.raises(fault, match=words) as raised:
            await_ready(Beginning(ours, lives))
        assert getattr(raised.value, "key", "") == getattr(said, "key", "")
        theirs.say(Ready("tcp://127.0.0.1:1"))
        assert await_ready(Beginning(ours, lives=True)) == "tcp://127.0.0.1:1"
    finally:
        theirs.close()
        ours.close()
        context.term()


@pytest.mark.parametrize(
    "module", ["trajectory.collector.front", "trajectory.collector.exporting", "trajectory.receiver.process"]
)
def test_a_child_whose_parent_is_gone_before_it_was_told_anything_ends_in_silence(module: str) -> None:
    ran = subprocess.run([sys.executable, "-m", module], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")


def test_a_child_that_does_not_end_when_it_is_asked_to_is_killed() -> None:
    waits = "import signal; signal.pause()"
    process = subprocess.Popen([sys.executable, "-S", "-c", waits], stdin=subprocess.PIPE)
    child.end(process, 0.01)
    assert process.returncode == -signal.SIGKILL


@pytest.fixture
def resting(tmp_path: Path) -> Iterator[Collector]:
    """A collector whose loop a test turns by hand."""
    collector = Collector(str(tmp_path / "store"), (), "tcp://127.0.0.1:*")
    yield collector
    collector.stop()
    collector.run()


def test_an_intake_that_cannot_begin_again_is_told_and_tried_again_after_a_while(
    resting: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(front: object) -> str:
        raise WireError("the port is taken")

    vitals = resting.pipeline.vitals
    with monkeypatch.context() as patch:
        patch.setattr(server, "await_ready", failing)
        resting._begin_anew()
    assert vitals.intake_trouble == "the intake ended and cannot begin anew: the port is taken"
    before = resting._front
    resting._begin_anew()  # too soon
    assert resting._front is before
    resting._again_s = 0.0
    resting._begin_anew()
    assert resting._front is not before
    wait_for(lambda: not vitals.intake_trouble, lambda: resting.round(0.01))


def test_what_fails_in_a_tick_ends_no_loop_and_is_told_until_it_goes_on(resting: Collector) -> None:
    def full() -> None:
        raise StoreError("the disk is full")

    vitals = resting.pipeline.vitals
    resting._try(full)
    assert vitals.trouble == "the disk is full. Nothing is lost: it is tried again."
    resting._try(lambda: None)
    assert vitals.trouble == ""
    resting._try(lambda: [][0])
    assert vitals.fault.startswith("the collector's tick: IndexError")
