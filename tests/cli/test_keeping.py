"""A store that does not grow for ever: pins, bounds and compaction as a person uses them, on real stores and collectors."""

import json
import os
import signal
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.terminal import Done, free_endpoint, serving, trajectory
from tests.store.builders import SOURCE, StoppedClock
from trajectory.model.content import digest
from trajectory.model.fact import Batch, Payload, SpanEnded, SpanStarted
from trajectory.model.words import SESSION_ID
from trajectory.store.contract import TraceSummary
from trajectory.store.sqlite import open_reader, open_writer

HOUR_NS = 3600 * 1_000_000_000
SIZE_BYTES = 100_000


def trace_id(number: int) -> str:
    return f"{number:02x}" * 16


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Ten finished traces of a body each, the first heard of ten hours ago and the last an hour ago."""
    path = tmp_path / "store.db"
    clock = StoppedClock()
    with closing(open_writer(path, clock=clock)) as writer:
        for number in range(1, 11):
            clock.at_ns = time.time_ns() - (11 - number) * HOUR_NS
            trace = bytes.fromhex(trace_id(number))
            body = os.urandom(SIZE_BYTES)
            said = Payload(digest("b", body), "b", body)
            session = f"chat-{number % 2}"
            facts = [
                said,
                SpanStarted(
                    trace, b"s" * 8, b"", clock.at_ns, 0, "agent", "work", "planner",
                    attributes={SESSION_ID: session}, contents={"input": [said.digest]},
                ),
                SpanEnded(trace, b"s" * 8, clock.at_ns + 1, 0, "ok"),
            ]  # fmt: skip
            writer.append([Batch(SOURCE, 3 * (number - 1), facts)])
            summary = TraceSummary(trace, state="done", session_id=session, started_ns=clock.at_ns, last_frame=number)
            writer.save_summaries([summary])
    return path


def left(store: Path) -> set[int]:
    with closing(open_reader(store)) as reader:
        assert reader.check() == []
        return {trace_id[0] for trace_id in reader.trace_ids()}


def refused(done: Done) -> str:
    assert done.code == 2
    assert len(done.err.strip().splitlines()) == 1, done.err
    return done.err.strip()


def days(hours: float) -> str:
    return str(hours / 24)


def test_compacting_retires_what_is_old_and_gives_the_room_back(store: Path) -> None:
    before_bytes = store.stat().st_size
    planned = trajectory("compact", "--keep-days", days(5.5), "--dry-run", "--json", "--store", store).json_lines()
    assert [line["retired"] for line in planned] == [trace_id(number) for number in range(1, 6)]
    assert store.stat().st_size == before_bytes
    done = trajectory("compact", "--keep-days", days(5.5), "--json", "--store", store)
    *retired, sizes = done.json_lines()
    assert [line["retired"] for line in retired] == [trace_id(number) for number in range(1, 6)]
    assert sizes == {"before_bytes": before_bytes, "after_bytes": store.stat().st_size}
    assert store.stat().st_size < 0.6 * before_bytes
    assert "5 traces retired" in done.err
    assert left(store) == set(range(6, 11))
    assert trajectory("show", trace_id(6), "--store", store).code == 0
    assert "no trace starts with" in refused(trajectory("show", trace_id(5), "--store", store))


def test_compacting_to_a_size_keeps_the_newest_and_the_pinned(store: Path) -> None:
    assert trajectory("pin", trace_id(1)[:6], "chat-0", "--store", store).out.splitlines() == [
        f"pinned trace {trace_id(1)}",
        "pinned session chat-0",
    ]
    done = trajectory("compact", "--store", store, TRAJECTORY_KEEP_GB="0.001")
    assert done.code == 0
    assert left(store) >= {1, 2, 4, 6, 8, 10}
    assert 3 not in left(store) and 9 in left(store)
    done = trajectory("compact", "--store", store, "--keep-gb", "0.0002")
    assert left(store) == {1, 2, 4, 6, 8, 10}
    assert done.code == 1
    assert "what is left is pinned, open or new" in done.err


def test_compacting_without_bounds_retires_nothing(store: Path) -> None:
    done = trajectory("compact", "--store", store)
    assert (done.code, done.out) == (0, "")
    assert left(store) == set(range(1, 11))


def test_pins_are_listed_and_let_go(store: Path) -> None:
    assert "nothing is pinned" in trajectory("pin", "--store", store).err
    trajectory("pin", "chat-1", trace_id(4), "--store", store)
    assert trajectory("pin", "--json", "--store", store).json_lines() == [
        {"kind": "session", "name": "chat-1"},
        {"kind": "trace", "name": trace_id(4)},
    ]
    rows = trajectory("traces", "--json", "--store", store).json_lines()
    assert {int(row["trace_id"][:2], 16) for row in rows if row["pinned"]} == {1, 3, 4, 5, 7, 9}
    assert trajectory("traces", "--store", store).out.count("done, pinned") == 6
    done = trajectory("unpin", "chat-1", trace_id(4), trace_id(6), "--json", "--store", store)
    assert done.json_lines() == [{"unpinned": "session", "name": "chat-1"}, {"unpinned": "trace", "name": trace_id(4)}]
    assert "1 name was not pinned before" in done.err
    assert trajectory("pin", "--json", "--store", store).out == ""


def test_a_name_that_is_nobodys_or_two_things_is_refused_and_a_session_to_come_can_be_pinned(store: Path) -> None:
    assert "a session to come needs --session" in refused(trajectory("pin", "nobody", "--store", store))
    assert "names nothing" in refused(trajectory("pin", "", "--store", store))
    assert trajectory("pin", "07", "--session", "--store", store).out == "pinned session 07\n"
    with closing(open_writer(store)) as writer:
        summary = writer.summary(bytes.fromhex(trace_id(8)))
        assert summary is not None
        writer.save_summaries([TraceSummary(summary.trace_id, state="done", session_id="07")])
    assert "add --session, or give more digits" in refused(trajectory("pin", "07", "--store", store))
    assert trajectory("pin", "0707", "--store", store).out == f"pinned trace {trace_id(7)}\n"
    assert trajectory("unpin", "07", "--store", store).out == "unpinned session 07\n"


@pytest.mark.parametrize(
    "words", [("--keep-days", "0"), ("--keep-gb", "-1"), ("--keep-days", "nan"), ("--keep-gb", "much")]
)
def test_a_bound_that_makes_no_sense_is_bad_usage(store: Path, words: tuple[str, str]) -> None:
    for command in ("compact", "serve"):
        done = trajectory(command, *words, "--store", store)
        assert done.code == 2
        assert "is not a number above 0" in done.err
    assert trajectory("compact", "--store", store, TRAJECTORY_KEEP_DAYS="x").code == 2
    assert left(store) == set(range(1, 11))


def test_a_store_that_is_served_is_kept_within_its_bounds_and_pinned_meanwhile(store: Path) -> None:
    with serving(store, free_endpoint(), "--keep-days", days(5.5)) as collector:
        wait_for_no_more_than(store, 5)
        assert trajectory("pin", "chat-1", "--store", store).out == "pinned session chat-1\n"
        served = refused(trajectory("compact", "--store", store))
        assert f"is being written by process {collector.pid} (collector at tcp://" in served
        assert f"stop it (kill {collector.pid}), look at it (trajectory watch --connect tcp://" in served
        assert trajectory("compact", "--keep-days", days(8.5), "--dry-run", "--store", store).code == 0
        collector.send_signal(signal.SIGTERM)
        collector.wait(20)
        assert collector.stderr is not None
        assert "retired" in collector.stderr.read()
    assert left(store) == set(range(6, 11))


def wait_for_no_more_than(store: Path, count: int) -> None:
    deadline_s = time.monotonic() + 30
    while time.monotonic() < deadline_s:
        with closing(open_reader(store)) as reader:
            if len(reader.trace_ids()) <= count:
                return
    raise AssertionError(f"still more than {count} traces")


def test_a_collector_that_is_killed_while_it_retires_goes_on_where_it_was(store: Path) -> None:
    for n in range(3):
        with serving(store, free_endpoint(), "--keep-days", days(5.5)) as collector:
            if n < 2:
                wait_for_no_more_than(store, 9 - n)
                collector.kill()
                collector.wait(20)
            else:
                wait_for_no_more_than(store, 5)
    assert left(store) == set(range(6, 11))
    trajectory("compact", "--store", store)
    with closing(open_reader(store)) as reader:
        counts = reader.counts()
    assert (counts["traces"], counts["payloads"], counts["frames"]) == (5, 5, 5)
    assert store.stat().st_size < 7 * SIZE_BYTES


def test_json_is_all_that_is_on_standard_output(store: Path) -> None:
    for words in (["compact", "--keep-days", days(5)], ["pin", "chat-1"], ["unpin", "chat-1"], ["pin"]):
        out = trajectory(*words, "--json", "--store", store).out
        assert all(isinstance(json.loads(line), dict) for line in out.splitlines())
