"""The turns: each source's frames in their order, a flood before nobody else's, nothing settled that was not stored."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trajectory.collector import turns as turning
from trajectory.collector.desk import Desk
from trajectory.collector.pipeline import Pipeline
from trajectory.collector.publish import Publisher
from trajectory.collector.turns import Turns
from trajectory.protocol import frames
from trajectory.store.journal import Journal, JournalReader
from trajectory.store.sqlite import open_writer
from trajectory.view.rows import Health


def frame(source: int, first_seq: int) -> bytes:
    return frames.facts_frame(bytes([source]) * 16, b"b" * 16, first_seq, [frames.pack((8, 1, 1, "x"))])


def test_one_of_each_source_comes_before_a_second_of_any(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append([*(frame(1, n) for n in range(50)), frame(2, 0), frame(3, 0), frame(2, 1)], 1)
    turns = Turns(JournalReader(tmp_path))
    turns.look(journal.end)
    taken = [record.frame for record in turns.take(6)]
    assert taken == [frame(1, 0), frame(2, 0), frame(3, 0), frame(1, 1), frame(2, 1), frame(1, 2)]


def test_the_journal_is_settled_up_to_the_first_frame_that_is_not(tmp_path: Path) -> None:
    journal = Journal(tmp_path, segment_bytes=10)
    for one in (frame(1, 0), frame(1, 1), frame(2, 0)):
        journal.append([one], 1)
    reader = JournalReader(tmp_path)
    turns = Turns(reader)
    for _ in range(3):
        turns.look(journal.end)
    assert [record.frame for record in turns.take(2)] == [frame(1, 0), frame(2, 0)]
    turns.settled()
    left = JournalReader(tmp_path)
    assert [record.frame for record in left.read()] == [frame(1, 1)]
    assert [record.frame for record in turns.take(9)] == [frame(1, 1)]
    turns.settled()
    assert len(turns) == 0 and reader.position == journal.end


@settings(max_examples=80)
@given(
    st.lists(st.integers(1, 4), max_size=40),
    st.lists(st.tuples(st.integers(1, 5), st.booleans()), min_size=1, max_size=30),
    st.sampled_from([10, 200, 1 << 20]),
)
def test_each_frame_comes_in_its_sources_order_whatever_fails_and_a_crash_repeats_and_skips_none(
    sources: list[int], rounds: list[tuple[int, bool]], segment_bytes: int
) -> None:
    with TemporaryDirectory() as folder:
        journal = Journal(Path(folder), segment_bytes)
        sent = [frame(source, sources[:place].count(source)) for place, source in enumerate(sources)]
        for one in sent:
            journal.append([one], 1)
        turns = Turns(JournalReader(Path(folder)))
        stored: list[bytes] = []
        for count, is_stored in rounds:
            turns.look(journal.end)
            taken = turns.take(count)
            if is_stored:
                stored += [record.frame for record in taken]
                turns.settled()
            else:
                turns.put_back()
        again: list[bytes] = []
        after = Turns(JournalReader(Path(folder)))
        while after.look(None) or (taken := after.take(100)):
            again += [record.frame for record in taken]
            after.settled()
        assert sorted({*stored, *again}) == sorted(sent)
        for source in set(sources):
            own = [one for one in stored if bytes([source]) * 16 in one]
            assert own == [frame(source, n) for n in range(len(own))]


def test_a_frame_that_the_disk_gives_back_otherwise_is_passed_over_and_counted(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append([frame(1, 0)], 1)
    reader = JournalReader(tmp_path)
    turns = Turns(reader)
    turns.look(journal.end)
    journal.append([frame(1, 1)], 1)
    turns.look(journal.end)  # the first is not at hand any more
    (path,) = tmp_path.glob("*.frames")
    raw = bytearray(path.read_bytes())
    raw[60] ^= 0xFF
    path.write_bytes(raw)
    assert [record.frame for record in turns.take(5)] == [frame(1, 1)]
    assert reader.damaged_count == 1
    turns.settled()
    assert len(turns) == 0


def test_what_cannot_be_read_has_a_turn_of_its_own_and_no_more_is_looked_at_than_may_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turning, "MAX_WAITING", 3)
    journal = Journal(tmp_path)
    journal.append([frame(1, 0), frame(1, 1), b"no frame"], 1)
    turns = Turns(JournalReader(tmp_path))
    turns.look(journal.end)
    journal.append([frame(2, 0)], 1)
    turns.look(journal.end)  # three wait
    assert [record.frame for record in turns.take(9)] == [frame(1, 0), b"no frame", frame(1, 1)]
    turns.settled()
    turns.look(journal.end)
    assert [record.frame for record in turns.take(9)] == [frame(2, 0)]


def test_a_journal_that_does_not_read_as_it_was_written_is_said_once(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.append([frame(1, 0), frame(1, 1), frame(1, 2)], 1)
    (path,) = (tmp_path / "journal").glob("*.frames")
    path.write_bytes(path.read_bytes().replace(frame(1, 1), frame(2, 1)))
    pipeline = Pipeline(open_writer(tmp_path / "store.db"), [], time.time_ns)
    publisher = Publisher(pipeline, Health, is_live=lambda: True, clock=lambda: 0)
    desk = Desk(pipeline, publisher, JournalReader(tmp_path / "journal"), time.time_ns)
    while desk.settle(journal.end):
        pass
    journal.append([frame(1, 3)], 1)
    assert desk.settle(journal.end)
    health = pipeline.vitals.health(0, emitters=0, store="", endpoint="")
    assert [notice for notice in health.notices if "as it was written" in notice] == [
        "1 frames or facts could not be read, the last: the journal does not read as it was written: is its disk failing?"
    ]
