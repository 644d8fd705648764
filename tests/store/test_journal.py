"""The journal: what was appended is read back in order by whoever comes next, whatever happened to the disk in between."""

import errno
import os
import random
import threading
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trajectory.errors import StoreError
from trajectory.model.fact import Batch, Gap, Heartbeat, Source
from trajectory.protocol import codec, frames
from trajectory.store import settling
from trajectory.store.journal import Journal, JournalReader, Position, journal_of, locked
from trajectory.store.sqlite import open_reader, open_writer

SOURCE = Source(b"emitter-of-test1", b"boot-of-a-test-1", {"service.name": "svc"})


def read_all(folder: Path, until: Position | None = None) -> list[bytes]:
    reader = JournalReader(folder)
    found: list[bytes] = []
    while records := reader.read(until=until):
        found += [record.frame for record in records]
        reader.settled(records[-1].end)
    reader.close()
    return found


@settings(max_examples=60)
@given(st.integers(0, 1 << 30), st.sampled_from([1, 300, 1 << 30]))
def test_what_is_appended_is_read_in_order_however_it_is_cut_into_segments_and_turns(
    seed: int, segment_bytes: int
) -> None:
    from tempfile import TemporaryDirectory

    chance = random.Random(seed)
    with TemporaryDirectory() as folder:
        place = Path(folder) / "journal"
        journal, reader = Journal(place, segment_bytes), JournalReader(place)
        sent: list[bytes] = []
        got: list[bytes] = []
        for turn in range(chance.randint(1, 20)):
            some = [chance.randbytes(chance.choice([0, 1, 60, 4000])) for _ in range(chance.randint(1, 4))]
            journal.append(some, turn)
            sent += some
            records = reader.read(until=journal.end) if chance.random() < 0.6 else []
            for record in records[: chance.randint(1, 5)]:
                got.append(record.frame)
                reader.settled(record.end)
        journal.close()
        while records := reader.read():
            got += [record.frame for record in records]
            reader.settled(records[-1].end)
        assert got == sent
        assert reader.damaged_count == 0
        reader.finish()
        assert not place.exists()


def test_a_record_larger_than_what_is_read_at_once_is_read_whole(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    large = [bytes(3_000_000), b"small", os.urandom(1_500_000)]
    journal.append(large, 7)
    assert read_all(tmp_path / "journal") == large


def test_files_are_their_owners_alone_and_those_that_are_settled_go(tmp_path: Path) -> None:
    place = tmp_path / "journal"
    journal = Journal(place, segment_bytes=10)
    for number in range(3):
        journal.append([b"frame %d" % number], number)
    assert place.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in sorted(place.iterdir())] == [0o600] * 3
    reader = JournalReader(place)
    reader.settled(reader.read(until=journal.end)[-1].end)
    reader.settled(reader.read(until=journal.end)[-1].end)
    assert len(list(place.iterdir())) == 2


def test_a_write_that_was_cut_off_is_no_record_and_what_a_later_writer_appends_is_read(tmp_path: Path) -> None:
    place = tmp_path / "journal"
    first = Journal(place)
    first.append([b"one", b"two" * 100], 1)
    first.close()
    (path,) = place.iterdir()
    os.truncate(path, path.stat().st_size - 7)
    second = Journal(place)
    second.append([b"three"], 2)
    reader = JournalReader(place)
    assert [record.frame for record in reader.read()] == [b"one"]
    assert read_all(place) == [b"one", b"three"]


def test_what_stands_around_damaged_bytes_is_read_and_the_damage_is_counted(tmp_path: Path) -> None:
    place = tmp_path / "journal"
    journal = Journal(place)
    frames_in = [b"frame %d " % number * 50 for number in range(20)]
    journal.append(frames_in, 1)
    (path,) = place.iterdir()
    raw = bytearray(path.read_bytes())
    at = raw.index(b"frame 7 ")
    raw[at] ^= 0xFF
    path.write_bytes(raw)
    reader = JournalReader(place)
    found: list[bytes] = []
    while records := reader.read():
        found += [record.frame for record in records]
        reader.settled(records[-1].end)
    assert found == [frame for frame in frames_in if not frame.startswith(b"frame 7 ")]
    assert reader.damaged_count == 1


@pytest.mark.parametrize("damaged", range(4))
def test_large_records_around_a_damaged_one_are_read(tmp_path: Path, damaged: int) -> None:
    frames_in = [bytes([number]) * 700_000 for number in range(5)]
    journal = Journal(tmp_path / "journal")
    journal.append(frames_in, 1)
    (path,) = (tmp_path / "journal").iterdir()
    raw = bytearray(path.read_bytes())
    raw[8 + damaged * 700_020 + 6] ^= 0xFF  # of its length
    path.write_bytes(raw)
    assert read_all(tmp_path / "journal") == frames_in[:damaged] + frames_in[damaged + 1 :]


@settings(max_examples=150)
@given(st.binary(max_size=400), st.integers(0, 200))
def test_any_bytes_at_all_are_read_without_end_or_fault(noise: bytes, at: int) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        place = Path(folder)
        journal = Journal(place)
        journal.append([b"frame %d" % number for number in range(8)], 1)
        journal.close()
        (path,) = place.iterdir()
        raw = path.read_bytes()
        path.write_bytes(raw[:at] + noise + raw[at:])
        good = {b"frame %d" % number for number in range(8)}
        assert set(read_all(place)) <= good


def test_what_could_not_be_written_is_not_there_and_the_next_write_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "journal"
    journal = Journal(place)
    journal.append([b"one"], 1)
    write = os.pwrite

    def writes_a_part(file: int, data: memoryview, at: int) -> int:
        if len(data) <= 10:
            raise OSError(28, "No space left on device")
        return write(file, data[:10], at)

    monkeypatch.setattr(os, "pwrite", writes_a_part)
    with pytest.raises(StoreError, match="No space left"):
        journal.append([b"two" * 20], 2)
    monkeypatch.undo()
    journal.append([b"three"], 3)
    assert read_all(place) == [b"one", b"three"]


def test_a_directory_that_others_can_enter_is_closed_and_one_that_is_no_directory_of_ours_is_refused(
    tmp_path: Path,
) -> None:
    place = tmp_path / "journal"
    place.mkdir(mode=0o755)
    Journal(place)
    assert place.stat().st_mode & 0o777 == 0o700
    (tmp_path / "link").symlink_to(place)
    with pytest.raises(StoreError, match="not this user's own"):
        Journal(tmp_path / "link")


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path / "journal"):
        with pytest.raises(StoreError, match="still written"), locked(tmp_path / "journal", patience_s=0.0):
            raise AssertionError
        entered = threading.Event()

        def wait() -> None:
            with locked(tmp_path / "journal", patience_s=20):
                entered.set()

        thread = threading.Thread(target=wait)
        thread.start()
        assert not entered.is_set()
    thread.join(20)
    assert entered.is_set()


def leave(store: Path, *more: bytes) -> None:
    """A store, and beside it the journal of a collector that was killed before it stored anything."""
    open_writer(store).close()
    journal = Journal(journal_of(store))
    packed = [codec.encode(Heartbeat(number, number)) for number in range(1, 4)]
    hello = frames.hello(SOURCE.emitter_id, SOURCE.boot_id, SOURCE.resource, 0)
    journal.append([hello, frames.facts_frame(SOURCE.emitter_id, SOURCE.boot_id, 0, packed), *more], 1)
    journal.close()


def test_who_opens_a_store_finds_what_a_killed_collector_had_acknowledged(tmp_path: Path) -> None:
    again = frames.facts_frame(SOURCE.emitter_id, SOURCE.boot_id, 2, [codec.encode(Heartbeat(n, n)) for n in (3, 4)])
    leave(tmp_path / "store", again)
    reader = open_reader(tmp_path / "store")
    assert list(reader.all_batches()) == [
        Batch(SOURCE, 0, [Heartbeat(n, n) for n in (1, 2, 3)]),
        Batch(SOURCE, 3, [Heartbeat(4, 4)]),
    ]
    reader.close()
    assert not journal_of(tmp_path / "store").exists()


def test_what_is_missing_of_a_damaged_journal_is_a_gap_of_its_size(tmp_path: Path) -> None:
    ahead = frames.facts_frame(SOURCE.emitter_id, SOURCE.boot_id, 8, [codec.encode(Heartbeat(9, 9)), b"\xc0"])
    leave(tmp_path / "store", b"no frame", ahead)
    writer = open_writer(tmp_path / "store")
    facts = [fact for batch in writer.all_batches() for fact in batch.facts][3:]
    assert facts == [Gap(1, 5, "journal_damaged"), Heartbeat(9, 9), Gap(1, 1, "quarantined")]
    assert writer.next_seq(SOURCE.emitter_id, SOURCE.boot_id) == 10
    writer.close()


def test_what_a_damaged_journal_lacks_before_a_farewell_is_a_gap_too(tmp_path: Path) -> None:
    leave(tmp_path / "store", frames.bye(SOURCE.emitter_id, SOURCE.boot_id, 9))
    reader = open_reader(tmp_path / "store")
    assert [fact for batch in reader.all_batches() for fact in batch.facts][3:] == [Gap(1, 6, "journal_damaged")]
    assert reader.next_seq(SOURCE.emitter_id, SOURCE.boot_id) == 9
    reader.close()


def test_what_is_missing_of_a_sources_beginning_is_a_gap_too(tmp_path: Path) -> None:
    open_writer(tmp_path / "store").close()
    journal = Journal(journal_of(tmp_path / "store"))
    hello = frames.hello(SOURCE.emitter_id, SOURCE.boot_id, SOURCE.resource, 2)
    facts = frames.facts_frame(SOURCE.emitter_id, SOURCE.boot_id, 5, [codec.encode(Heartbeat(9, 9))])
    journal.append([hello, facts], 1)
    journal.close()
    reader = open_reader(tmp_path / "store")
    told = [fact for batch in reader.all_batches() for fact in batch.facts]
    assert told == [Gap(1, 3, "journal_damaged"), Heartbeat(9, 9)]
    reader.close()


def test_a_farewell_behind_all_that_was_said_is_no_loss(tmp_path: Path) -> None:
    leave(tmp_path / "store", frames.bye(SOURCE.emitter_id, SOURCE.boot_id, 3), frames.bye(b"e" * 16, b"b" * 16, 7))
    reader = open_reader(tmp_path / "store")
    assert [type(fact) for batch in reader.all_batches() for fact in batch.facts] == [Heartbeat] * 3
    reader.close()


def test_a_journal_that_is_still_written_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "locked", partial(locked, patience_s=0.1))
    leave(tmp_path / "store")
    with locked(journal_of(tmp_path / "store")):
        reader = open_reader(tmp_path / "store")
        assert list(reader.all_batches()) == []
        reader.close()
    assert journal_of(tmp_path / "store").exists()


def segments(place: Path) -> list[Path]:
    return sorted(place.glob("*.frames"))


def test_a_journal_that_can_have_no_place_or_lost_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(StoreError, match="Not a directory"):
        Journal(tmp_path / "file" / "journal")
    place = tmp_path / "journal"
    journal = Journal(place)
    place.rmdir()
    with pytest.raises(StoreError, match="No such file"):
        journal.append([b"one"], 1)
    place.mkdir()
    journal.append([b"two"], 2)
    assert read_all(place) == [b"two"]


def test_a_segment_that_cannot_be_begun_is_not_there_and_the_next_write_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int, data: object, at: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    place = tmp_path / "journal"
    journal = Journal(place)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(StoreError, match="No space left"):
            journal.append([b"one"], 1)
    assert segments(place) == []
    journal.append([b"two"], 2)
    assert read_all(place) == [b"two"]


def test_a_segment_that_is_no_file_is_told_and_one_that_is_gone_is_passed_over(tmp_path: Path) -> None:
    journal = Journal(tmp_path, segment_bytes=1)
    for frame in (b"one", b"two"):
        journal.append([frame], 1)
    first, second = segments(tmp_path)
    reader = JournalReader(tmp_path)
    (record,) = reader.read()
    first.unlink()
    fresh = JournalReader(tmp_path)
    assert [each.frame for each in fresh.read(after=record.start)] == [b"two"]
    second.unlink()
    second.mkdir()
    for ask in (lambda it: it.read(), lambda it: it.again(Position(2, 8), Position(2, 30))):
        with pytest.raises(StoreError, match="Is a directory"):
            ask(JournalReader(tmp_path))


def test_damage_larger_than_what_is_read_at_once_is_passed_over(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append([b"before", b"x" * 3_000_000, b"after"], 1)
    (path,) = segments(tmp_path)
    raw = bytearray(path.read_bytes())
    at = raw.find(b"x" * 100)
    raw[at - 40 : at] = bytes(40)
    path.write_bytes(raw)
    reader = JournalReader(tmp_path)
    found: list[bytes] = []
    while records := reader.read():
        found += [record.frame for record in records]
        reader.settled(records[-1].end)
    assert found[-1:] == [b"after"] and b"x" * 3_000_000 not in found and reader.damaged_count
    reader.close()


def test_more_sources_than_are_remembered_are_stored_as_few_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "MAX_SOURCES", 2)
    open_writer(tmp_path / "store").close()
    journal = Journal(journal_of(tmp_path / "store"))
    ids = [bytes([n]) * 16 for n in range(1, 6)]
    for turn in range(2):
        for emitter_id in ids:
            packed = [codec.encode(Heartbeat(turn + 1, 1))]
            hello = [frames.hello(emitter_id, b"b" * 16, {"service.name": "svc"}, turn)]
            journal.append([*hello, frames.facts_frame(emitter_id, b"b" * 16, turn, packed)], 1)
    journal.close()
    reader = open_reader(tmp_path / "store")
    assert [reader.next_seq(emitter_id, b"b" * 16) for emitter_id in ids] == [2] * 5
    assert {type(fact) for batch in reader.all_batches() for fact in batch.facts} == {Heartbeat}
    reader.close()
