"""The count of what was put, which outlives its process: exact under threads, its own in a child, gone when nobody needs it."""

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from trajectory.emitter import put_count
from trajectory.emitter.identity import Identity
from trajectory.emitter.leftover import claimed
from trajectory.emitter.plan import Plan
from trajectory.emitter.processors.chain import Processing
from trajectory.emitter.put_count import PutCount, forget, known_seq
from trajectory.emitter.queue import FactQueue
from trajectory.emitter.spool import Spool
from trajectory.model.words import EVENT_DELTA
from trajectory.protocol import frames

WHO = Identity(b"e" * 16, os.urandom(16), {})


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Path]:
    """The path of a spool file that is there."""
    if not put_count.MEMORY.is_mount():
        pytest.skip("this system has no /dev/shm")
    path = tmp_path / f"{os.urandom(8).hex()}.spool"
    path.touch()
    yield path
    forget(path)


def put(queue: FactQueue, count: int) -> None:
    for number in range(count):
        queue.put((1, number))


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before_s)


@pytest.mark.usefixtures("hasty")
def test_threads_that_put_while_the_count_is_brought_over_and_facts_are_taken_are_counted_exactly(spool: Path) -> None:
    queue = FactQueue(lambda: True, limit_facts=1 << 20)
    threads = [threading.Thread(target=put, args=(queue, 20_000)) for _ in range(4)]
    for thread in threads:
        thread.start()
    queue.put_count.share(spool)
    numbered_count = counted = 0
    while any(thread.is_alive() for thread in threads):
        before, counted = counted, queue.put_count.words[0]
        assert before <= counted  # no thread that was held up takes back what others counted
        numbered_count += len(queue.take(64)[0])
        queue.put_count.settle(numbered_count)
    assert known_seq(spool) == 80_000


def test_positions_that_the_sender_adds_or_leaves_out_are_settled(spool: Path) -> None:
    queue = FactQueue(lambda: True, limit_facts=10)
    put(queue, 12)  # two are dropped
    queue.put_count.share(spool)
    queue.put_count.settle(0)
    assert known_seq(spool) == 12
    taken, _ = queue.take(6)
    queue.put_count.settle(len(taken) + 1)  # with a heartbeat
    assert known_seq(spool) == 13
    assert queue.take_dropped() == 2
    queue.put_count.settle(len(taken) + 2)  # and a gap that stands for two
    assert known_seq(spool) == 12
    put(queue, 1)
    assert known_seq(spool) == 13


def test_a_piece_of_an_answer_that_waits_for_more_is_still_to_come(spool: Path) -> None:
    queue, processing = FactQueue(lambda: True), Processing(Plan(), lambda: 1)
    piece = (frames.SPAN_EVENT, b"t" * 16, b"s" * 8, 1, 1, EVENT_DELTA, "cognitive", {"text": "two words "}, {})
    queue.put_count.share(spool)
    out_count = 0
    for count in (1, 2, 3):
        queue.put(piece)
        out_count += sum(many for _, many in processing.packed(queue.take(10)[0]))
        assert out_count < count
        queue.put_count.settle(out_count + processing.held_count)
        assert known_seq(spool) == count
    out_count += len(list(processing.rest()))
    queue.put_count.settle(out_count + processing.held_count)
    assert known_seq(spool) == out_count == 3


def test_a_forked_child_does_not_count_for_its_parent(spool: Path) -> None:
    queue = FactQueue(lambda: True)
    queue.put_count.share(spool)
    put(queue, 3)
    child = os.fork()
    if not child:
        put(queue, 1000)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert known_seq(spool) == 3
    put(queue, 1)
    assert known_seq(spool) == 4


def test_a_count_is_there_with_its_spool_file_and_stands_over_an_older_status(tmp_path: Path) -> None:
    queue = FactQueue(lambda: True)
    held = Spool(tmp_path, WHO, "tcp://127.0.0.1:1", count=queue.put_count)
    put(queue, 7)
    held.note(0, 5)
    held.let_go()  # as a kill does
    left = claimed(held.path)
    assert left is not None and left.known_seq == 7
    left.finish()
    left.let_go()
    assert known_seq(held.path) is None


@pytest.mark.parametrize("is_needed", [True, False])
def test_a_process_that_comes_to_its_end_leaves_no_count(is_needed: bool, tmp_path: Path) -> None:
    count = PutCount()
    held = Spool(tmp_path, WHO, "tcp://127.0.0.1:1", count=count)
    assert known_seq(held.path) == 0
    held.close(is_needed)
    assert known_seq(held.path) is None
    count.words[0] += 1  # what is put after the end hurts nobody


def test_a_count_whose_spool_file_was_deleted_is_swept_by_the_next_one(spool: Path, tmp_path: Path) -> None:
    PutCount().share(spool)
    other = tmp_path / "other.spool"
    other.touch()
    spool.unlink()
    PutCount().share(other)
    assert (known_seq(spool), known_seq(other)) == (None, 0)
    forget(other)


def test_without_memory_that_outlives_the_process_a_queue_counts_for_itself(
    spool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(put_count, "MEMORY", tmp_path)  # a disk
    queue = FactQueue(lambda: True)
    queue.put_count.share(spool)
    put(queue, 3)
    assert (queue.put_count.words[0], known_seq(spool)) == (3, None)


def test_what_stands_in_the_place_of_a_count_and_is_none_is_not_believed(spool: Path, tmp_path: Path) -> None:
    place = put_count._path(spool)
    for content in (b"", b"x" * 15, b"\xff" * 16):
        place.write_bytes(content)
        assert known_seq(spool) is None
        place.unlink()
    place.symlink_to(spool)
    assert known_seq(spool) is None
    place.unlink()
    os.mkfifo(place)
    assert known_seq(spool) is None
    count = PutCount()
    count.share(spool)
    assert not count.is_shared
