"""A store that the first release wrote opens for ever, once a writer has brought it up: the golden is such a store, as SQL."""

import sqlite3
from pathlib import Path

from msgspec.structs import replace

from tests.store.builders import OTHER, SOURCE, TRACE_A, TRACE_B, StoppedClock, ended, finding, payload, started
from trajectory.model.fact import Batch, Fact, Gap, Heartbeat
from trajectory.store.bodies import write_struct
from trajectory.store.contract import LIVE, TraceSummary
from trajectory.store.sqlite import open_reader, open_writer

GOLDEN = Path(__file__).with_name("goldens") / "format_1.sql"
BODY = payload("do the same thing again and " * 5)
FIRST: list[Fact] = [BODY, *(started(TRACE_A, at_ns=n, contents=[BODY.digest]) for n in range(8))]
SECOND: list[Fact] = [ended(TRACE_A), started(TRACE_B), Heartbeat(3, 4, [b"s" * 8]), Gap(5, 2, "queue_full")]
SUMMARY = TraceSummary(TRACE_A, "title", "goal", "done", "session", "planner", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 1)


def write(path: Path) -> None:
    """What the golden was made of."""
    writer = open_writer(path, clock=StoppedClock(1234))
    writer.append([Batch(SOURCE, 0, FIRST), Batch(OTHER, 7, SECOND)])
    writer.save_summaries([SUMMARY])
    writer.save_findings([finding()])
    writer.close()


def dump(path: Path) -> list[str]:
    raw = sqlite3.connect(path)
    marks = [
        f"PRAGMA {name} = {raw.execute(f'PRAGMA {name}').fetchone()[0]};" for name in ("application_id", "user_version")
    ]
    lines = [*marks, *raw.iterdump()]
    raw.close()
    return lines


def restore(path: Path) -> None:
    raw = sqlite3.connect(path)
    raw.executescript(GOLDEN.read_text(encoding="utf-8"))
    raw.close()


def test_a_store_of_the_first_format_is_brought_up_and_read(tmp_path: Path) -> None:
    restore(tmp_path / "store.db")
    open_writer(tmp_path / "store.db").close()
    reader = open_reader(tmp_path / "store.db")
    assert list(reader.all_batches()) == [Batch(SOURCE, 0, FIRST[1:]), Batch(OTHER, 7, SECOND)]
    assert list(reader.facts(TRACE_B)) == [Batch(OTHER, 7, SECOND[1:2])]
    assert reader.payload(BODY.digest) == (BODY.media_type, BODY.body)
    assert reader.summaries() == [SUMMARY]
    assert reader.findings() == [finding()]
    assert reader.stale_traces() == [TRACE_A, TRACE_B]
    assert reader.next_seq(OTHER.emitter_id, OTHER.boot_id) == 11
    assert reader.check() == []
    reader.close()


def test_a_store_of_the_first_format_is_written_on(tmp_path: Path) -> None:
    restore(tmp_path / "store.db")
    writer = open_writer(tmp_path / "store.db")
    assert writer.append([Batch(OTHER, 10, [*SECOND[3:], ended(TRACE_B)])]) == 3
    assert [fact for batch in writer.facts(TRACE_B) for fact in batch.facts] == [started(TRACE_B), ended(TRACE_B)]
    writer.close()


def test_a_new_store_has_the_tables_of_one_that_was_brought_up(tmp_path: Path) -> None:
    write(tmp_path / "store.db")
    restore(tmp_path / "golden.db")
    open_writer(tmp_path / "golden.db").close()
    new, brought_up = (
        [line for line in dump(tmp_path / name) if not line.startswith("INSERT")] for name in ("store.db", "golden.db")
    )
    assert new == brought_up


def test_what_was_live_in_a_store_of_the_first_format_is_live_in_this(tmp_path: Path) -> None:
    restore(tmp_path / "store.db")
    live = replace(SUMMARY, state=LIVE)
    raw = sqlite3.connect(tmp_path / "store.db")
    raw.execute("UPDATE summaries SET body = ?", (write_struct(live),))
    raw.commit()
    raw.close()
    writer = open_writer(tmp_path / "store.db")
    assert writer.live_summaries() == [live]
    writer.close()


def test_a_body_of_the_first_format_that_is_another_is_told_by_the_check(tmp_path: Path) -> None:
    restore(tmp_path / "store.db")
    open_writer(tmp_path / "store.db").close()
    raw = sqlite3.connect(tmp_path / "store.db")
    raw.execute("UPDATE payloads SET codec = 0, body = ?", (b"something else",))
    raw.commit()
    raw.close()
    reader = open_reader(tmp_path / "store.db")
    assert reader.check() == [f"payload {BODY.digest.hex()}: its body is not what its digest says"]
    reader.close()
