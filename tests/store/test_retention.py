"""What is retired and what is kept: the oldest finished first, until the bounds hold; the open and the pinned never."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.store.builders import SOURCE, StoppedClock, facts_in, started
from tests.store.memory import MemoryStore
from trajectory.errors import StoreError
from trajectory.model.content import digest
from trajectory.model.fact import Batch, Fact, Heartbeat, Payload
from trajectory.store import erase
from trajectory.store.contract import Activity, Pin, Retired, TraceSummary, Writer
from trajectory.store.retention import RECENT_NS, Bounds, Retention, Standing, plan, standing_at_rest
from trajectory.store.sqlite import change_pins, open_reader, open_writer
from trajectory.store.writer import SqliteWriter

DAY_NS = 24 * 3600 * 1_000_000_000
START_NS = 1_790_000_000 * 1_000_000_000


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock(START_NS)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: StoppedClock) -> Iterator[Writer]:
    opened: Writer = (
        MemoryStore(clock) if request.param == "memory" else open_writer(tmp_path / "store.db", clock=clock)
    )
    yield opened
    opened.close()


@pytest.fixture
def writer(tmp_path: Path, clock: StoppedClock) -> Iterator[SqliteWriter]:
    with closing(open_writer(tmp_path / "store.db", clock=clock)) as opened:
        yield opened


def trace(number: int) -> bytes:
    return number.to_bytes(16, "big")


def put(store: Writer, number: int, *, size_bytes: int = 0, state: str = "done", session: str = "") -> None:
    """A trace of one fact, with a body of its own."""
    body = os.urandom(size_bytes)
    payload = Payload(digest("b", body), "b", body)
    facts: list[Fact] = [payload, started(trace(number), contents=[payload.digest])]
    store.append([Batch(SOURCE, store.next_seq(SOURCE.emitter_id, SOURCE.boot_id), facts)])
    store.save_summaries([TraceSummary(trace(number), state=state, session_id=session, steps=1)])


def retention(
    store: Writer, clock: StoppedClock, bounds: Bounds, standing: Callable[[Activity], Standing] | None = None
) -> Retention:
    return Retention(
        store, bounds, clock.now_ns, standing or (lambda activity: standing_at_rest(activity, clock.at_ns))
    )


def retire(keeper: Retention) -> list[int]:
    """Steps until there is nothing more to do for now."""
    retired: list[bytes] = []
    for _ in range(1000):
        retired += keeper.step(0.01)
        if keeper.is_idle:
            return [int.from_bytes(each, "big") for each in retired]
    raise AssertionError("it never ends")


def left(store: Writer) -> list[int]:
    return [int.from_bytes(trace_id, "big") for trace_id in store.trace_ids()]


def test_without_bounds_everything_is_kept(store: Writer, clock: StoppedClock) -> None:
    put(store, 1)
    clock.at_ns += 10_000 * DAY_NS
    assert retire(retention(store, clock, Bounds())) == []
    assert left(store) == [1]


def test_what_was_heard_of_last_before_the_bound_goes_oldest_first(store: Writer, clock: StoppedClock) -> None:
    for number in (3, 1, 2):
        put(store, number)
        clock.at_ns += DAY_NS
    put(store, 3)  # heard of again
    keeper = retention(store, clock, Bounds(keep_ns=DAY_NS + 1))
    clock.at_ns += 1
    assert retire(keeper) == [1]
    assert left(store) == [3, 2]
    clock.at_ns += DAY_NS
    assert retire(keeper) == [2]
    clock.at_ns += DAY_NS
    assert retire(keeper) == [3]
    assert keeper.said() == "retired 3 traces older than 1 day"
    assert store.retired() == Retired(3, clock.at_ns)
    assert store.counts()["payloads"] == 0


def test_open_traces_stay_and_those_that_nobody_has_in_mind_a_day_longer(store: Writer, clock: StoppedClock) -> None:
    put(store, 1, state="live")
    put(store, 2)
    clock.at_ns += 2 * RECENT_NS
    keeper = retention(store, clock, Bounds(keep_ns=RECENT_NS))
    assert retire(keeper) == [2]
    clock.at_ns += 2 * DAY_NS
    opened = retention(store, clock, Bounds(keep_ns=RECENT_NS), lambda activity: Standing(True, ""))
    assert retire(opened) == []
    assert retire(keeper) == [1]


def test_pinned_traces_and_sessions_stay_also_those_to_come(store: Writer, clock: StoppedClock) -> None:
    pins = [Pin("trace", trace(1).hex()), Pin("session", "chat")]
    assert store.set_pins(pins, pinned=True) == pins
    assert store.set_pins(pins, pinned=True) == []
    for number, session in enumerate(("", "", "chat", "chatter"), 1):
        put(store, number, session=session)
    keeper = retention(store, clock, Bounds(keep_ns=DAY_NS))
    clock.at_ns += 2 * DAY_NS
    assert retire(keeper) == [2, 4]
    assert store.pins() == pins
    put(store, 5, session="chat")
    clock.at_ns += 2 * DAY_NS
    assert retire(keeper) == []
    assert store.set_pins([*pins, Pin("session", "x")], pinned=False) == pins
    clock.at_ns += 2 * DAY_NS
    assert sorted(retire(keeper)) == [1, 3, 5]


def test_a_session_that_only_its_facts_tell_is_pinned_too(store: Writer, clock: StoppedClock) -> None:
    """A trace whose summary is not there yet: who asks for its standing folds it, and the pin is looked at again."""
    store.append([Batch(SOURCE, 0, [started(trace(1))])])
    store.set_pins([Pin("session", "chat")], pinned=True)
    clock.at_ns += 2 * DAY_NS
    assert retire(retention(store, clock, Bounds(keep_ns=DAY_NS), lambda activity: Standing(False, "chat"))) == []
    assert retire(retention(store, clock, Bounds(keep_ns=DAY_NS), lambda activity: Standing(False, ""))) == [1]


def test_a_store_beyond_its_size_is_brought_below_it_and_left_alone_until_it_is_beyond_it_again(
    store: Writer, clock: StoppedClock
) -> None:
    for number in range(30):
        put(store, number, size_bytes=100_000)
        clock.at_ns += 1
    keeper = retention(store, clock, Bounds(keep_bytes=2_000_000))
    assert retire(keeper) == []
    assert "nothing may go" in keeper.trouble  # all of it is new
    clock.at_ns += 2 * RECENT_NS
    gone = retire(keeper)
    assert gone == list(range(len(gone)))
    assert 1_600_000 < store.room().needed_bytes <= 1_800_000
    assert keeper.trouble == ""
    assert keeper.said() == f"retired {len(gone)} traces to stay below 0.002 GB"
    put(store, 30, size_bytes=100_000)
    clock.at_ns += 2 * RECENT_NS
    assert retire(keeper) == []
    for number in range(31, 34):
        put(store, number, size_bytes=100_000)
    assert retire(keeper)[:1] == [len(gone)]


def test_a_bound_that_cannot_hold_is_told_and_does_not_keep_the_loop_busy(
    writer: SqliteWriter, clock: StoppedClock
) -> None:
    writer.set_pins([Pin("session", "chat")], pinned=True)
    put(writer, 1, size_bytes=300_000, session="chat")
    clock.at_ns += 2 * RECENT_NS
    keeper = retention(writer, clock, Bounds(keep_bytes=100_000))
    assert retire(keeper) == []
    assert "pinned, open or new" in keeper.trouble
    statements: list[str] = []
    with writer._database.connection() as connection:
        connection.set_trace_callback(statements.append)
    keeper.step(0.01)
    assert statements == []
    put(writer, 2, size_bytes=300_000)
    clock.at_ns += 2 * RECENT_NS
    assert retire(keeper) == [2]


def test_heartbeats_of_a_retired_time_go_too(store: Writer, clock: StoppedClock) -> None:
    store.append([Batch(SOURCE, 0, [Heartbeat(1, 2)]), Batch(SOURCE, 1, [started(trace(1)), Heartbeat(3, 4)])])
    clock.at_ns += DAY_NS
    store.append([Batch(SOURCE, 3, [Heartbeat(5, 6)]), Batch(SOURCE, 4, [started(trace(2)), Heartbeat(7, 8)])])
    clock.at_ns += DAY_NS
    assert retire(retention(store, clock, Bounds(keep_ns=DAY_NS + 1))) == [1]
    assert facts_in(store.all_batches()) == [Heartbeat(5, 6), started(trace(2)), Heartbeat(7, 8)]
    assert store.next_seq(SOURCE.emitter_id, SOURCE.boot_id) == 6


def test_a_store_that_fails_is_told_and_left_alone_for_a_minute(writer: SqliteWriter, clock: StoppedClock) -> None:
    put(writer, 1)
    keeper = retention(writer, clock, Bounds(keep_ns=DAY_NS))
    clock.at_ns += 2 * DAY_NS
    with writer._database.connection() as connection:
        connection.execute("PRAGMA query_only = ON")
        assert retire(keeper) == []
        assert keeper.trouble.startswith("nothing can be retired: ")
        connection.execute("PRAGMA query_only = OFF")
    assert keeper.step(0.01) == []
    clock.at_ns += 61 * 1_000_000_000
    assert retire(keeper) == [1]
    assert keeper.trouble == ""


def test_a_plan_is_what_then_happens_and_changes_nothing(
    writer: SqliteWriter, clock: StoppedClock, tmp_path: Path
) -> None:
    for number in range(20):
        put(writer, number, size_bytes=100_000, session="chat" if number == 2 else "")
        clock.at_ns += 1
    writer.set_pins([Pin("session", "chat")], pinned=True)
    clock.at_ns += 2 * RECENT_NS
    for bounds in (Bounds(), Bounds(keep_ns=2 * RECENT_NS + 10), Bounds(keep_bytes=1_000_000)):
        with closing(open_reader(tmp_path / "store.db")) as reader:
            planned = [int.from_bytes(each, "big") for each in plan(reader, bounds, clock.at_ns)]
        assert len(left(writer)) == 20
    assert planned[:4] == [0, 1, 3, 4]
    done = retire(retention(writer, clock, Bounds(keep_bytes=1_000_000)))
    assert abs(len(done) - len(planned)) <= 2 and set(done) >= set(planned[:-2])


def test_pins_are_set_beside_the_writer(writer: SqliteWriter, tmp_path: Path) -> None:
    pin = Pin("session", "chat")
    assert change_pins(tmp_path / "store.db", [pin], pinned=True) == [pin]
    assert writer.pins() == [pin]
    assert not writer.retire(trace(1), "chat")
    assert change_pins(tmp_path / "store.db", [pin], pinned=False) == [pin]
    assert writer.pins() == []
    with pytest.raises(StoreError, match="no store at"):
        change_pins(tmp_path / "none.db", [pin], pinned=True)


def test_a_deleted_trace_is_no_longer_pinned(store: Writer) -> None:
    put(store, 1)
    store.set_pins([Pin("trace", trace(1).hex())], pinned=True)
    store.delete_trace(trace(1))
    assert store.pins() == []
    assert store.retired() == Retired()


# Room


def test_free_pages_that_are_many_are_given_back_in_steps(writer: SqliteWriter, clock: StoppedClock) -> None:
    for number in range(40):
        put(writer, number, size_bytes=1_000_000)
    clock.at_ns += 2 * DAY_NS
    put(writer, 40, size_bytes=1_000_000)
    before = writer.room()
    retire(retention(writer, clock, Bounds(keep_ns=DAY_NS)))
    after = writer.room()
    assert before.file_bytes > 40_000_000 and after.needed_bytes < 2_000_000
    assert after.file_bytes - after.needed_bytes <= 16_000_000
    assert writer.check() == []


def test_a_store_that_cannot_give_back_in_steps_is_written_anew(tmp_path: Path, clock: StoppedClock) -> None:
    path = tmp_path / "store.db"
    with closing(open_writer(path, clock=clock)) as writer:
        with writer._database.connection() as connection:
            connection.execute("PRAGMA auto_vacuum = NONE")
            connection.execute("VACUUM")
        for number in range(10):
            put(writer, number, size_bytes=100_000)
        writer.delete_trace(*map(trace, range(9)))
        assert writer.room().file_bytes > 900_000
        said: list[str] = []
        writer.compact(said.append)
        assert len(said) == 1 and "written anew" in said[0]
        assert writer.room().file_bytes < 400_000
        writer.delete_trace(trace(9))
        assert writer.room().file_bytes == writer.room().needed_bytes
        assert writer.check() == []


def test_a_store_is_not_written_anew_where_the_disk_has_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: SqliteWriter
) -> None:
    put(writer, 1, size_bytes=100_000)
    monkeypatch.setattr("trajectory.store.room.can_give_back", lambda database: False)
    monkeypatch.setattr("trajectory.store.room.shutil.disk_usage", lambda path: _Full())
    with pytest.raises(StoreError, match=r"0 MB must be free on its disk, 0 MB are: free some space"):
        writer.compact(print)
    assert left(writer) == [1]


class _Full:
    free = 1000


def test_heartbeats_of_long_ago_go_a_page_at_a_time(writer: SqliteWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erase, "_PAGE_FRAMES", 2)
    for number in range(5):
        writer.append([Batch(SOURCE, number, [Heartbeat(1, 2)])])
    assert writer.forget_loose(START_NS + 1, -1.0) and writer.counts()["facts"] == 3
    assert writer.forget_loose(START_NS + 1, -1.0) and not writer.forget_loose(START_NS + 1, -1.0)
    assert writer.counts()["facts"] == 0 and not writer.forget_loose(START_NS + 1, 1.0)
