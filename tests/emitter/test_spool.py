"""Facts on disk: what no collector takes is kept, found by the next one, and delivered once and in order."""

import errno
import os
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.emitter.test_sender import Line, numbers
from trajectory.emitter import spool as spools
from trajectory.emitter.courier import Courier, delivering, is_same_place
from trajectory.emitter.identity import Identity
from trajectory.emitter.keeping import BLOCK, BLOCK_S, SPOOL, Keeping, keeping_of
from trajectory.emitter.leftover import Leftover, claimed, names_in
from trajectory.emitter.outbox import Outbox
from trajectory.emitter.queue import FactQueue
from trajectory.emitter.spool import Spool
from trajectory.model.fact import Gap
from trajectory.protocol import frames
from trajectory.testing import FakeCollector

NOBODY = "tcp://127.0.0.1:1"
WHO = Identity(b"e" * 16, b"b" * 16, {"service.name": "dead"})


def fact(number: int, size: int = 0) -> bytes:
    return frames.pack((2, b"t" * 16, b"s" * 8, number, 0, "ok", "x" * size))


def facts(first: int, count: int) -> list[bytes]:
    return [fact(number) for number in range(first, first + count)]


def spooled(directory: Path, endpoint: str = NOBODY, who: Identity = WHO, known_seq: int = 30) -> Path:
    """The file of a dead process: three records of ten facts, each with its sequence number as its time."""
    spool = Spool(directory, who, endpoint)
    for first_seq in (0, 10, 20):
        assert spool.write(first_seq, facts(first_seq, 10))
    spool.note(0, known_seq)
    spool.close(is_needed=True)
    return spool.path


def deliver(directory: Path, collector: FakeCollector) -> int:
    return Courier(directory, collector.endpoint, quiet_s=0.0).round()


def gaps(collector: FakeCollector) -> list[tuple[int, str]]:
    return [(one.count, one.reason) for one in collector.facts if isinstance(one, Gap)]


def times(collector: FakeCollector) -> list[int]:
    return [getattr(one, "at_ns", -1) for one in collector.facts if not isinstance(one, Gap)]


def keeping(directory: Path, **more: Any) -> Keeping:
    return Keeping(SPOOL, directory, **more)


# the file


def test_what_is_written_is_read_back_by_its_place_and_by_whoever_finds_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "new" / "spool", WHO, NOBODY)
    place = spool.write(5, facts(5, 3))
    assert place is not None
    assert spool.read(place) == facts(5, 3)
    assert stat.S_IMODE(spool.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(spool.path.parent.stat().st_mode) == 0o700
    assert claimed(spool.path) is None  # its process lives
    spool.note(5, 9)
    spool.close(is_needed=True)
    left = claimed(spool.path)
    assert left is not None
    assert (left.identity, left.endpoint, left.base_seq, left.known_seq) == (WHO, NOBODY, 5, 9)
    assert list(left.records()) == [(5, facts(5, 3))]
    assert not left.is_damaged
    left.let_go()


def test_a_file_is_claimed_by_one_at_a_time_and_by_none_when_it_is_gone(tmp_path: Path) -> None:
    path = spooled(tmp_path)
    first = claimed(path)
    assert first is not None
    assert claimed(path) is None
    first.finish()
    assert claimed(path) is None
    first.let_go()
    assert names_in(tmp_path) == []


def test_what_is_no_spool_file_is_left_alone(tmp_path: Path) -> None:
    path = spooled(tmp_path / "spool")
    (tmp_path / "spool" / "notes.txt").write_text("mine")
    link = path.with_name("f" * 32 + "-" + "f" * 32 + ".spool")
    link.symlink_to(path)
    assert set(names_in(tmp_path / "spool")) == {path, link}
    assert claimed(link) is None
    assert names_in(tmp_path / "absent") == []
    os.mkfifo(pipe := path.with_name("e" * 32 + "-" + "e" * 32 + ".spool"))
    assert claimed(pipe) is None
    for name, made_s in (("dead.new", 0), ("young.new", time.time())):
        (tmp_path / "spool" / name).touch()
        os.utime(tmp_path / "spool" / name, (made_s, made_s))
    names_in(tmp_path / "spool")  # what a process that died while it made its file left behind goes
    assert {one.name for one in (tmp_path / "spool").iterdir() if one.suffix == ".new"} == {"young.new"}


@pytest.mark.parametrize(
    "raw",
    [b"\xc1", frames.pack([1, 2]), frames.pack([b"e" * 16, b"b", "", {}]), frames.pack([b"e" * 16, b"b" * 16, "", 5])],
)
def test_a_head_that_names_no_source_leaves_what_the_name_of_the_file_says(tmp_path: Path, raw: bytes) -> None:
    whole = spooled(tmp_path / "whole")
    size_bytes, _ = spools.SOURCE.unpack_from(whole.read_bytes(), spools.HEAD_BYTES - spools.SOURCE.size)
    records = whole.read_bytes()[spools.HEAD_BYTES + size_bytes :]
    path = tmp_path / whole.name
    head = spools.MAGIC + spools.status_of(0, 30) + spools.SOURCE.pack(len(raw), crc32(raw))
    path.write_bytes(head + raw + records)
    left = claimed(path)
    assert left is not None and left.is_damaged and left.identity == WHO._replace(resource={}) and left.endpoint == ""
    assert [first_seq for first_seq, _ in left.records()] == [0, 10, 20]
    left.let_go()
    left.let_go()


def test_a_record_that_says_it_is_larger_than_any_frame_or_is_no_list_is_passed_over(tmp_path: Path) -> None:
    path = spooled(tmp_path)
    raw = path.read_bytes()
    no_list = spools.record_of(30, [])
    huge = spools.RECORD.pack(spools.MARK, 40, frames.MAX_FRAME_BYTES + 1, 0, 0)[:-4]
    huge += crc32(huge).to_bytes(4, "big") + bytes(frames.MAX_FRAME_BYTES + 1)
    path.write_bytes(raw + no_list + huge + spools.record_of(50, facts(50, 1)))
    left = claimed(path)
    assert left is not None and [first_seq for first_seq, _ in left.records()] == [0, 10, 20, 50] and left.is_damaged
    left.let_go()
    assert spools.facts_of(b"\xc1", crc32(b"\xc1")) is None


def test_a_disk_that_is_full_at_the_beginning_leaves_no_file_and_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(spools, "AGAIN_S", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        spool = Spool(tmp_path, WHO, NOBODY)
        assert spool.write(0, facts(0, 3)) is None
        assert list(tmp_path.iterdir()) == []
    place = spool.write(0, facts(0, 3))
    assert place is not None and spool.read(place) == facts(0, 3)
    spool.let_go()
    spool.let_go()
    assert spool.read(place) is None and spool.path.exists()


@pytest.mark.parametrize(
    ("environment", "directory"),
    [
        ({"TRAJECTORY_SPOOL_DIR": "/named", "XDG_DATA_HOME": "/data"}, "/named"),
        ({"XDG_DATA_HOME": "/data"}, "/data/trajectory/spool"),
        ({"HOME": "/home/ann"}, "/home/ann/.local/share/trajectory/spool"),
    ],
)
def test_the_spool_lies_where_it_was_said_or_among_the_users_data(
    environment: dict[str, str], directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TRAJECTORY_SPOOL_DIR", "XDG_DATA_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert spools.default_dir() == Path(directory)


def test_a_user_without_a_home_has_no_spool_and_nothing_else_is_missing(
    absent: FakeCollector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def nobody(_: int) -> Any:
        raise KeyError("no such user")

    for name in ("TRAJECTORY_SPOOL_DIR", "XDG_DATA_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    line = Line(absent.endpoint, keeping=Keeping(SPOOL))
    line.put(10)
    absent.listen()
    with delivering(absent.endpoint):
        assert line.delivery.flush(10)
    assert numbers(absent) == list(range(1, 11)) and line.delivery.close(5)
    assert "there is no spool here" in caplog.text


class Babbling(FakeCollector):
    """A collector that answers something odd before it answers."""

    def __init__(self, answer: bytes) -> None:
        super().__init__()
        self._answer = answer

    def _take(self, socket: Any, peer: bytes, frame: bytes) -> None:
        socket.send_multipart([peer, self._answer])
        super()._take(socket, peer, frame)


ODD = [
    b"\xc1",
    frames.pack("text"),
    frames.pack((99, frames.ACK, b"b" * 16, 1, 1)),
    frames.pack((frames.PROTOCOL_VERSION, "x")),
]
OTHERS = frames.pack((frames.PROTOCOL_VERSION, frames.ACK, b"somebody else's!", 1 << 40, 1))


@pytest.mark.parametrize("answer", ODD)
def test_a_courier_leaves_the_file_to_another_time_where_the_answer_is_none(tmp_path: Path, answer: bytes) -> None:
    with Babbling(answer) as collector:
        path = spooled(tmp_path, collector.endpoint)
        assert deliver(tmp_path, collector) == 1 and path.exists()


def test_an_answer_to_somebody_else_is_passed_over(tmp_path: Path) -> None:
    with Babbling(OTHERS) as collector:
        spooled(tmp_path, collector.endpoint)
        assert deliver(tmp_path, collector) == 0
        assert times(collector) == list(range(30))
        line = Line(collector.endpoint)
        line.put(3)
        assert line.delivery.flush(5) and line.delivery.close(5)


def test_a_file_for_an_endpoint_that_is_none_stays(tmp_path: Path) -> None:
    path = spooled(tmp_path, "nonsense")
    courier = Courier(tmp_path, "nonsense", quiet_s=0.0)
    assert courier.round() == 1 and path.exists()
    courier.stop()  # which was never started


def test_a_file_without_anything_to_deliver_is_deleted_at_the_end(tmp_path: Path) -> None:
    spool = Spool(tmp_path, WHO, NOBODY)
    assert spool.write(0, facts(0, 3))
    whole_bytes = spool.path.stat().st_size
    spool.clear()
    assert spool.path.stat().st_size < whole_bytes
    place = spool.write(3, facts(3, 1))
    assert place is not None and spool.read(place) == facts(3, 1)
    spool.close(is_needed=False)
    assert list(tmp_path.iterdir()) == []


def test_a_record_that_was_cut_off_leaves_the_ones_before_it(tmp_path: Path) -> None:
    path = spooled(tmp_path)
    os.truncate(path, path.stat().st_size - 7)
    left = claimed(path)
    assert left is not None
    assert [first_seq for first_seq, _ in left.records()] == [0, 10]
    assert not left.is_damaged
    left.let_go()


def _read(path: Path) -> tuple[list[tuple[int, list[bytes]]], bool, Identity]:
    left = claimed(path)
    assert left is not None
    try:
        return list(left.records()), left.is_damaged, left.identity
    finally:
        left.let_go()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_happens_to_the_bytes_the_records_that_are_given_out_are_right(
    tmp_path: Path, data: st.DataObject
) -> None:
    path = spooled(tmp_path)
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    put = data.draw(st.binary(max_size=60))
    removed_count = data.draw(st.integers(0, 60))
    path.write_bytes(whole[:at] + put + whole[at + removed_count :])
    try:
        records, _, who = _read(path)
        written = [(n, facts(n, 10)) for n in (0, 10, 20)]
        assert all(record in written for record in records)
        if len(put) == removed_count:
            assert [record for record in written if _is_outside(whole, record, at, removed_count)] == [
                record for record in records if _is_outside(whole, record, at, removed_count)
            ]
        assert (who.emitter_id, who.boot_id) == (WHO.emitter_id, WHO.boot_id)
    finally:
        path.unlink()


def _is_outside(whole: bytes, record: tuple[int, list[bytes]], at: int, count: int) -> bool:
    """Whether a record stands where nothing was put over it: damage at a border reaches two."""
    raw = spools.record_of(*record)
    begins = whole.index(raw)
    return begins + len(raw) <= at or at + count <= begins


def test_a_directory_that_holds_its_limit_takes_no_more_and_takes_again_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spools, "AGAIN_S", 0.0)
    other = spooled(tmp_path)
    spool = Spool(tmp_path, WHO._replace(boot_id=b"c" * 16), NOBODY, limit_bytes=2 * other.stat().st_size - 1)
    assert [spool.write(0, facts(0, 10)) is not None for _ in range(3)] == [True, True, False]
    other.unlink()
    assert spool.write(0, facts(0, 10)) is not None
    spool.close(is_needed=False)


def test_a_full_disk_leaves_no_half_record_and_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spools, "AGAIN_S", 0.0)
    spool = Spool(tmp_path, WHO, NOBODY)
    assert spool.write(0, facts(0, 10))
    size_bytes = spool.path.stat().st_size
    real = os.pwrite

    def full(file: int, view: Any, at: int) -> int:
        if at > size_bytes:
            raise OSError(errno.ENOSPC, "no space left")
        return real(file, view[:20], at)

    monkeypatch.setattr(os, "pwrite", full)
    assert spool.write(10, facts(10, 10)) is None
    assert spool.path.stat().st_size == size_bytes
    monkeypatch.setattr(os, "pwrite", real)
    assert spool.write(10, facts(10, 10))
    spool.close(is_needed=True)
    assert [first_seq for first_seq, _ in _read(spool.path)[0]] == [0, 10]


# the outbox on top of it


def test_an_outbox_beyond_its_memory_spools_in_order_and_gives_all_of_it_out(tmp_path: Path) -> None:
    outbox = Outbox(20_000, Spool(tmp_path, WHO, NOBODY))
    for number in range(2000):
        outbox.add(fact(number))
        outbox.tend(0.0, 0)
        assert not outbox.full
    sent: list[bytes] = []
    while (parcel := outbox.next_unsent()) is not None:
        assert parcel.first_seq == len(sent)
        sent += parcel.facts
        outbox.sent()
    assert sent == facts(0, 2000)
    outbox.acknowledged(105)
    outbox.rewind()
    again = outbox.next_unsent()
    assert again is not None and again.first_seq == 105 and again.facts[0] == fact(105)
    outbox.acknowledged(2000)
    assert outbox.empty
    outbox.close()
    assert list(tmp_path.iterdir()) == []


def test_what_nobody_takes_for_a_while_is_spooled_and_what_is_taken_is_not(tmp_path: Path) -> None:
    spool = Spool(tmp_path, WHO, NOBODY)
    outbox = Outbox(spool=spool)
    start_bytes = spool.path.stat().st_size
    for second in range(10):
        outbox.add(fact(second))
        outbox.acknowledged(second)
        outbox.tend(second * 0.9, 0)
    assert spool.path.stat().st_size == start_bytes
    outbox.tend(20.0, 0)
    assert spool.path.stat().st_size > start_bytes
    spool.close(is_needed=True)
    assert _read(spool.path)[0] == [(9, facts(9, 1))]


def test_facts_that_the_disk_does_not_give_back_are_gaps_in_their_places(tmp_path: Path) -> None:
    spool = Spool(tmp_path, WHO, NOBODY)
    outbox = Outbox(spool=spool)
    for number in range(3):
        outbox.add(fact(number))
    outbox.spill()
    outbox.add(fact(3))
    with spool.path.open("r+b") as file:
        file.seek(-5, os.SEEK_END)
        file.write(b"\0\0\0\0\0")
    outbox.acknowledged(1)
    damaged = outbox.next_unsent()
    assert damaged is not None and damaged.first_seq == 1
    read = [frames.unpack(one) for one in damaged.facts]
    assert [(one[0], one[2:]) for one in read] == [(frames.GAP, [1, "spool_damaged"])] * 2
    outbox.close()


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["add", "send", "ack", "rewind", "spill", "tend"]), max_size=80), st.randoms())
def test_an_outbox_never_loses_or_reorders_a_fact(tmp_path: Path, steps: list[str], random: Any) -> None:
    outbox = Outbox(3000, Spool(tmp_path, WHO, NOBODY))
    for now, step in enumerate(steps):
        if step == "add":
            for _ in range(random.randint(1, 40)):
                outbox.add(fact(outbox.next_seq))
        elif step == "send" and outbox.next_unsent() is not None:
            outbox.sent()
        elif step == "ack":
            outbox.acknowledged(random.randint(outbox.base_seq, outbox.next_seq))
        elif step == "rewind":
            outbox.rewind()
        elif step == "spill":
            outbox.spill()
        elif step == "tend":
            outbox.tend(now / 2, 0)
    outbox.rewind()
    held: list[bytes] = []
    while (parcel := outbox.next_unsent()) is not None:
        held += parcel.facts
        outbox.sent()
    assert held == facts(outbox.base_seq, outbox.next_seq - outbox.base_seq)
    outbox.acknowledged(outbox.next_seq)
    outbox.close()
    assert list(tmp_path.iterdir()) == []


# the courier


def test_what_a_dead_process_left_is_delivered_as_its_own_and_deleted(tmp_path: Path, collector: FakeCollector) -> None:
    spooled(tmp_path, collector.endpoint)
    assert deliver(tmp_path, collector) == 0
    (source,) = collector.sources()
    assert (times(collector), source.resource, source.said_bye) == (list(range(30)), WHO.resource, True)
    assert list(tmp_path.iterdir()) == []


def test_what_the_collector_has_already_is_not_doubled(tmp_path: Path, collector: FakeCollector) -> None:
    path = spooled(tmp_path, collector.endpoint)
    again = path.read_bytes()
    assert deliver(tmp_path, collector) == 0
    path.write_bytes(again)
    assert deliver(tmp_path, collector) == 0
    assert (times(collector), collector.sources()[0].doubled_count) == (list(range(30)), 0)


def test_what_is_meant_for_another_endpoint_stays(tmp_path: Path, collector: FakeCollector) -> None:
    path = spooled(tmp_path, NOBODY)
    assert deliver(tmp_path, collector) == 0
    assert collector.sources() == []
    assert path.exists()
    assert is_same_place("tcp://localhost:5570", "tcp://127.0.0.1:5570/")
    assert not is_same_place("tcp://far:5570", "tcp://127.0.0.1:5570")


def test_what_was_meant_for_where_the_collector_was_before_is_delivered_where_it_is(
    tmp_path: Path, collector: FakeCollector
) -> None:
    spooled(tmp_path, NOBODY)
    assert Courier(tmp_path, collector.endpoint, quiet_s=0.0, earlier=["tcp://other:1", f"{NOBODY}/"]).round() == 0
    assert times(collector) == list(range(30))
    assert list(tmp_path.iterdir()) == []


def test_what_was_meant_for_an_earlier_place_goes_there_where_somebody_else_listens_now(
    tmp_path: Path, collector: FakeCollector
) -> None:
    spooled(tmp_path, collector.endpoint)
    with FakeCollector() as moved:
        assert Courier(tmp_path, moved.endpoint, quiet_s=0.0, earlier=[collector.endpoint]).round() == 0
        assert (times(collector), moved.sources()) == (list(range(30)), [])


def test_facts_that_died_with_their_process_are_one_gap_of_their_number(
    tmp_path: Path, collector: FakeCollector
) -> None:
    spooled(tmp_path, collector.endpoint, known_seq=31)
    assert deliver(tmp_path, collector) == 0
    assert (times(collector), gaps(collector)) == (list(range(30)), [(1, "process_died")])
    assert collector.sources()[0].next_seq == 31


def test_a_hole_in_the_middle_moves_the_collector_behind_it(tmp_path: Path, collector: FakeCollector) -> None:
    path = spooled(tmp_path, collector.endpoint)
    whole = path.read_bytes()
    at = whole.index(fact(14))
    path.write_bytes(whole[:at] + b"\0\0\0" + whole[at + 3 :])
    assert deliver(tmp_path, collector) == 0
    assert times(collector) == [*range(10), *range(20, 30)]
    assert gaps(collector) == [(1, "spool_damaged")]  # the other nine are the collector's to count: it was told of 20
    assert collector.sources()[0].next_seq == 30
    assert [one.suffix for one in tmp_path.iterdir()] == [".damaged"]
    assert deliver(tmp_path, collector) == 0
    assert len(collector.facts) == 21


def test_few_damaged_files_are_kept(tmp_path: Path, collector: FakeCollector) -> None:
    for number in range(6):
        path = spooled(tmp_path, collector.endpoint, Identity(b"e" * 16, bytes([number]) * 16, {}))
        with path.open("r+b") as file:
            file.write(b"\0\0\0")
        os.utime(path, ns=(number * 10**9, number * 10**9))
    assert deliver(tmp_path, collector) == 0
    assert len(times(collector)) == 180
    assert sorted(path.name[33:35] for path in tmp_path.iterdir()) == ["02", "03", "04", "05"]


def test_what_may_still_be_on_the_wire_is_not_called_lost(tmp_path: Path, collector: FakeCollector) -> None:
    path = spooled(tmp_path, collector.endpoint, known_seq=40)
    courier = Courier(tmp_path, collector.endpoint, quiet_s=3600)
    for set_to_s in (0, time.time() + 7200):  # a clock that is set makes no process longer dead
        os.utime(path, (set_to_s, set_to_s))
        assert courier.round() == 1
    assert (times(collector), gaps(collector)) == (list(range(30)), [])
    assert path.exists()


def test_a_collector_that_goes_or_refuses_leaves_the_file_for_another_time(
    tmp_path: Path, collector: FakeCollector
) -> None:
    path = spooled(tmp_path, collector.endpoint)
    collector.refuse("not now")
    assert deliver(tmp_path, collector) == 1
    collector.vanish()
    assert deliver(tmp_path, collector) == 1
    assert path.exists()
    collector.refuse("")
    collector.listen()
    assert deliver(tmp_path, collector) == 0
    assert times(collector) == list(range(30))


def test_many_couriers_deliver_each_file_once(tmp_path: Path, collector: FakeCollector) -> None:
    for number in range(12):
        spooled(tmp_path, collector.endpoint, Identity(b"e" * 16, bytes([number]) * 16, {}))
    couriers = [Courier(tmp_path, collector.endpoint, quiet_s=0.0, every_s=0.01) for _ in range(4)]
    for courier in couriers:
        courier.start(forever=True)
    assert collector.wait_until(lambda it: len(it.facts) == 360 and not names_in(tmp_path))
    for courier in couriers:
        courier.stop(5)
    assert len(collector.sources()) == 12
    assert all(sorted(source.facts) == list(range(30)) for source in collector.sources())
    assert sum(source.doubled_count for source in collector.sources()) == 0
    assert sum(source.hello_count for source in collector.sources()) == 12


def test_who_listens_delivers_what_it_finds_while_it_lasts(tmp_path: Path, collector: FakeCollector) -> None:
    spooled(tmp_path, collector.endpoint)
    with delivering(collector.endpoint, tmp_path):
        assert collector.wait_until(lambda it: len(it.facts) == 30 and not names_in(tmp_path))
    assert not [one for one in threading.enumerate() if one.name == "trajectory-courier" and one.is_alive()]


# the delivery


@pytest.fixture
def absent(collector: FakeCollector) -> Iterator[FakeCollector]:
    """A collector that is not there yet: `listen` brings it."""
    collector.vanish()
    yield collector


def test_a_close_without_a_collector_spools_and_the_next_process_delivers(
    absent: FakeCollector, tmp_path: Path
) -> None:
    first = Line(absent.endpoint, keeping=keeping(tmp_path))
    first.put(5000)
    assert not first.delivery.close(0.1)
    assert len(names_in(tmp_path)) == 1
    absent.listen()
    second = Line(absent.endpoint, keeping=keeping(tmp_path))
    second.put(1)
    assert second.delivery.flush(10)
    assert absent.wait_until(lambda it: len(it.facts) == 5001 and len(names_in(tmp_path)) == 1)
    assert second.delivery.close(5)
    by_length = sorted((list(numbered(source)) for source in absent.sources()), key=len)
    assert by_length == [[1], list(range(1, 5001))]
    assert names_in(tmp_path) == []


def numbered(source: Any) -> Iterator[int]:
    return (getattr(source.facts[seq], "at_ns", -1) for seq in sorted(source.facts))


def test_beyond_memory_the_disk_takes_it_and_nothing_is_dropped(absent: FakeCollector, tmp_path: Path) -> None:
    line = Line(absent.endpoint, limit_bytes=20_000, keeping=keeping(tmp_path))
    line.put(20_000)
    assert not line.delivery.flush(0.3)
    absent.listen()
    assert line.delivery.flush(20)
    assert numbers(absent) == list(range(1, 20_001))
    assert line.delivery.queue.dropped_count == 0
    assert line.delivery.close(5)
    assert names_in(tmp_path) == []


def test_beyond_memory_and_disk_facts_are_dropped_and_counted(absent: FakeCollector, tmp_path: Path) -> None:
    limits = keeping(tmp_path, spool_bytes=100_000)
    line = Line(absent.endpoint, limit_facts=1000, limit_bytes=20_000, keeping=limits)
    waiting = threading.Event()
    for _ in range(1000):
        line.put(100)
        if line.delivery.queue.dropped_count:
            break
        waiting.wait(0.002)
    dropped_count = line.delivery.queue.dropped_count
    assert dropped_count
    assert sum(one.stat().st_size for one in tmp_path.iterdir()) <= 100_000
    absent.listen()
    line.delivery.flush(10)
    assert line.delivery.flush(10)
    assert sum(count for count, _ in gaps(absent)) == dropped_count
    assert len(times(absent)) == line.put_count - dropped_count
    assert times(absent) == sorted(times(absent))
    assert line.delivery.close(5)


def test_a_directory_that_cannot_be_written_is_said_once_and_facts_stay_in_memory(
    absent: FakeCollector, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a directory")
    line = Line(absent.endpoint, keeping=keeping(tmp_path / "file" / "spool"))
    line.put(100)
    assert not line.delivery.flush(1.5)  # long enough for a try to spool
    absent.listen()
    assert line.delivery.flush(10)
    assert numbers(absent) == list(range(1, 101))
    assert line.delivery.close(5)
    assert [one.getMessage().partition(" takes")[0] for one in caplog.records] == [
        f"trajectory: the spool {tmp_path / 'file' / 'spool'}"
    ]


# block


def test_a_blocked_put_goes_on_as_soon_as_there_is_room() -> None:
    queue = FactQueue(lambda: True, limit_facts=1, waits_s=30)
    assert queue.put((1, 0))
    done: list[bool] = []
    threads = [threading.Thread(target=lambda n=n: done.append(queue.put((1, n)))) for n in range(1, 9)]  # type: ignore[misc]
    for thread in threads:
        thread.start()
    taken: list[Any] = []
    deadline = threading.Event()
    for _ in range(2000):
        taken += queue.take(1)[0]
        if len(taken) == 9:
            break
        deadline.wait(0.005)
    for thread in threads:
        thread.join(10)
    assert (sorted(taken), done, queue.dropped_count) == ([(1, n) for n in range(9)], [True] * 8, 0)


def test_a_blocked_put_that_waits_in_vain_is_dropped_counted_and_the_next_one_does_not_wait() -> None:
    queue = FactQueue(lambda: True, limit_facts=1, waits_s=0.05)
    assert [queue.put((1, 0)), queue.put((1, 1))] == [True, False]
    queue._waits_s = 3600.0
    assert not queue.put_heavy((6, "b"), 10)
    assert (queue.dropped_count, queue.waiting_count) == (2, 3)
    assert queue.take(5) == ([(1, 0)], None)
    assert queue.put_heavy((6, "b"), 10)


def test_the_senders_own_thread_and_an_ending_process_never_wait() -> None:
    queue = FactQueue(lambda: True, limit_facts=1, waits_s=3600)
    queue.put((1, 0))
    queue.take(1)  # from here on this thread is the sender's
    assert [queue.put((1, 1)), queue.put((1, 2))] == [True, False]
    blocked: list[bool] = []
    thread = threading.Thread(target=lambda: blocked.append(queue.put((1, 3))))
    thread.start()
    queue.wait_no_more()
    thread.join(10)
    assert blocked == [False]


def test_a_blocking_agent_loses_nothing_to_a_collector_that_is_slow(absent: FakeCollector, tmp_path: Path) -> None:
    line = Line(absent.endpoint, limit_facts=100, limit_bytes=20_000, keeping=Keeping(BLOCK, block_s=30))
    agent = threading.Thread(target=line.put, args=(5000,))
    agent.start()
    absent.listen()
    agent.join(30)
    assert line.delivery.flush(10)
    assert numbers(absent) == list(range(1, 5001))
    assert line.delivery.close(5)


# settings


def test_settings_come_from_arguments_then_the_environment_then_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRAJECTORY_SPOOL_DIR")
    assert keeping_of() == Keeping()
    monkeypatch.setenv("TRAJECTORY_POLICY", "Drop")
    monkeypatch.setenv("TRAJECTORY_SPOOL_DIR", "/there")
    monkeypatch.setenv("TRAJECTORY_SPOOL_BYTES", "1e6")
    assert keeping_of() == Keeping("drop", Path("/there"), 1_000_000)
    assert keeping_of("block", "/here", 5, 6, 0.5) == Keeping("block", Path("/here"), 5, 6, 0.5)


def test_settings_that_make_no_sense_are_said_once_and_replaced(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        assert keeping_of("sppol", None, -5, "many", float("nan"))[:5:2] == (SPOOL, Keeping().spool_bytes, BLOCK_S)
    assert len(caplog.records) == 4


def test_a_leftover_is_not_held_by_a_child(tmp_path: Path) -> None:
    path = spooled(tmp_path)
    mine = claimed(path)
    assert isinstance(mine, Leftover)
    ready, lives = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        os.close(lives[1])
        os.write(ready[1], b".")
        os.read(lives[0], 1)  # until its parent has looked
        os._exit(0)
    os.read(ready[0], 1)
    mine.let_go()
    again = claimed(path)
    os.close(lives[1])
    assert os.waitpid(child, 0)[1] == 0
    for end in (*ready, lives[0]):
        os.close(end)
    assert again is not None
    again.let_go()


def test_what_waits_in_the_queue_at_the_end_goes_to_the_spool_too(absent: FakeCollector, tmp_path: Path) -> None:
    line = Line(absent.endpoint, keeping=keeping(tmp_path))
    line.put(20_000)
    assert not line.delivery.close(0.01)
    assert line.delivery._thread is not None
    line.delivery._thread.join(30)
    absent.listen()
    assert deliver(tmp_path, absent) == 0
    assert numbers(absent) == list(range(1, 20_001))
