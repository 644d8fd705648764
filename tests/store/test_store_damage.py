"""A store that is damaged, or a stranger's: everything answers, or refuses in one printable line, and nothing else."""

import os
import sqlite3
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.store.builders import SOURCE, TRACE_A, TRACE_B, TRACE_C, ended, finding, payload, started
from trajectory.errors import StoreError
from trajectory.model.fact import Batch, Fact, Finding, Heartbeat
from trajectory.protocol import frames
from trajectory.store import bodies
from trajectory.store.contract import TraceSummary, Writer
from trajectory.store.journal import journal_of
from trajectory.store.lock import earlier_endpoints, writer_of
from trajectory.store.reader import SqliteReader
from trajectory.store.sqlite import open_reader, open_writer

BODY = payload("hello " * 100)
READINGS: list[Callable[[SqliteReader], Any]] = [
    lambda r: [*r.summaries(), r.summary(TRACE_A)],
    lambda r: [trace_id.hex() for trace_id in r.trace_ids() + r.stale_traces()],
    lambda r: r.find_trace("a"),
    lambda r: list(r.facts(TRACE_A, 5)),
    lambda r: list(r.all_batches()),
    lambda r: r.payload(BODY.digest),
    lambda r: r.findings(),
    lambda r: r.next_seq(SOURCE.emitter_id, SOURCE.boot_id) + r.last_frame() + r.data_version(),
    lambda r: r.counts(),
    lambda r: [*r.tallies(), r.tally(TRACE_A)],
    lambda r: r.check(),
]
WRITINGS: list[Callable[[Writer], Any]] = [
    lambda w: w.append([Batch(SOURCE, 500, [started(), payload("new"), started(b"z" * 16)])]),
    lambda w: w.save_summaries([TraceSummary(TRACE_A)]),
    lambda w: w.save_findings([finding()]),
    lambda w: w.delete_trace(TRACE_A),
]


def build(path: Path) -> None:
    writer = open_writer(path)
    for n in range(12):
        facts: list[Fact] = [
            payload(f"said {n}"),
            started(contents=[BODY.digest]),
            BODY,
            ended(TRACE_B),
            Heartbeat(1, 2),
        ]
        writer.append([Batch(SOURCE, 8 * n, [*facts, ended(TRACE_C), started(), ended()])])
    writer.save_summaries([TraceSummary(TRACE_A, title="x"), TraceSummary(TRACE_B)])
    writer.save_findings([finding(), finding(TRACE_B)])
    writer.close()


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sound") / "store.db"
    build(path)
    return path.read_bytes()


def assert_answers_or_refuses(path: Path) -> list[str]:
    """Does everything that can be done with a store; returns the refusals, each of one printable line."""
    refusals: list[str] = []

    def attempt(action: Callable[[Any], Any], on: Any) -> Any:
        try:
            return action(on)
        except StoreError as refused:
            refusals.append(str(refused))

    for opening, actions in ((open_reader, READINGS), (open_writer, WRITINGS)):
        opened = attempt(opening, path)
        for action in actions if opened else ():
            attempt(action, opened)
        if opened:
            opened.close()
    assert all(line.isprintable() for line in refusals)
    return refusals


def test_a_sound_store_refuses_nothing(tmp_path: Path) -> None:
    build(tmp_path / "store.db")
    assert assert_answers_or_refuses(tmp_path / "store.db") == []


@given(flips=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=20))
@settings(max_examples=60)
def test_any_flipped_bytes_are_answered_or_refused(sound: bytes, flips: list[tuple[int, int]]) -> None:
    content = bytearray(sound)
    for place, value in flips:
        content[place % len(content)] = value
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "store.db"
        path.write_bytes(content)
        assert_answers_or_refuses(path)


@given(length=st.integers(0, 1 << 17))
@settings(max_examples=20)
def test_a_store_cut_off_anywhere_is_answered_or_refused(sound: bytes, length: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "store.db"
        path.write_bytes(sound)
        os.truncate(path, length % len(sound))
        assert_answers_or_refuses(path)


def test_what_a_strangers_schema_says_reaches_no_terminal_as_it_is(tmp_path: Path, sound: bytes) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(sound)
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA writable_schema = ON")
    raw.execute(
        "UPDATE sqlite_master SET name = 'a\x1b[2Jb', tbl_name = 'a\x1b[2Jb', sql = 'CREATE \x1b' WHERE name = 'frames'"
    )
    raw.commit()
    raw.close()
    refusals = assert_answers_or_refuses(path)
    assert any("[2J" in line for line in refusals)


@pytest.mark.parametrize("value", ["'\x1b[2J'", "x'00ff'", "-5", "3.7", "9223372036854775807", "x'91'"])
def test_any_value_in_any_column_is_answered_or_refused(tmp_path: Path, sound: bytes, value: str) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(sound)
    raw = sqlite3.connect(path)
    tables = ["sources", "frames", "traces", "frame_traces", "payloads", "summaries", "findings"]
    columns = [(table, row[1]) for table in tables for row in raw.execute(f"PRAGMA table_info({table})")]
    raw.close()
    refused = 0
    for table, column in columns:
        path.write_bytes(sound)
        raw = sqlite3.connect(path)
        try:
            raw.execute(f"UPDATE OR IGNORE {table} SET {column} = {value}")
            raw.commit()
        except sqlite3.IntegrityError:  # a row id takes whole numbers only
            raw.rollback()
        raw.close()
        refused += bool(assert_answers_or_refuses(path))
    assert refused > 0


def zeros(count: int) -> bytes:
    """An array of so many numbers in msgpack."""
    return b"\xdd" + count.to_bytes(4, "big") + bytes(count)


ENDED = frames.pack((frames.SPAN_ENDED, TRACE_A, b"s" * 8, 7, 8, "ok", "", {"many": None}))[:-1]
MANY = (
    b"\xdd" + (3 << 20).to_bytes(4, "big") + b"\x80" * (3 << 20)
)  # each takes one byte here, and eighty when it is read

BOMBS = {
    "a frame of a fact with many values": ("frames", b"\x91" + ENDED + MANY),
    "a frame of many numbers": ("frames", zeros(12_000_000)),
    "a frame beyond what a frame may be": ("frames", zeros(255) + bytes(20_000_000)),
    "a pack": ("packs", bytes(60_000_000)),
    "sums": ("tallies", bytes(100_000_000)),
}


@pytest.mark.parametrize(("table", "plain"), BOMBS.values(), ids=BOMBS)
def test_a_small_row_that_inflates_takes_no_memory(tmp_path: Path, sound: bytes, table: str, plain: bytes) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(sound)
    raw = sqlite3.connect(path)
    bomb = bodies.zstd.compress(plain)
    assert len(bomb) < len(plain) / 1000
    raw.execute("INSERT OR IGNORE INTO tallies (trace_id, last_ns, codec, body) VALUES (?, 1, 2, x'')", (TRACE_A,))
    raw.execute(f"UPDATE {table} SET codec = 2, body = ?", (bomb,))
    raw.commit()
    raw.close()
    del plain
    tracemalloc.start()
    try:
        refusals = assert_answers_or_refuses(path)
        assert any("damaged" in line for line in refusals)
        assert tracemalloc.get_traced_memory()[1] < 70_000_000
    finally:
        tracemalloc.stop()


def test_what_holds_many_values_in_a_row_of_its_own_is_damaged_before_it_is_read() -> None:
    tracemalloc.start()
    try:
        assert bodies.read_resource(b"\x81\xa1k" + MANY) == {}
        with pytest.raises(StoreError, match="a Finding is damaged, it holds too many values"):
            bodies.read_struct(b"\x91" + MANY, Finding)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


STRANGERS = {
    "view": (
        "ALTER TABLE summaries RENAME TO kept",
        """CREATE VIEW summaries AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)
           SELECT x'00' AS trace_id, 1 AS started_ns, 1 AS last_frame, x'00' AS body, 1 AS is_live FROM n""",
    ),
    "view of a function": (
        "ALTER TABLE summaries RENAME TO kept",
        """CREATE VIEW summaries AS SELECT zeroblob(1000000000) AS body, zeroblob(16) AS trace_id, 1 AS started_ns,
           1 AS last_frame, 1 AS is_live FROM kept""",
    ),
    "computed column": (
        "ALTER TABLE summaries RENAME TO kept",
        """CREATE TABLE summaries (trace_id, started_ns, last_frame, is_live, body AS (zeroblob(900000000)))""",
        "INSERT INTO summaries SELECT trace_id, 1, 1, 1 FROM kept",
    ),
    "trigger": ("CREATE TRIGGER grasp AFTER INSERT ON frames BEGIN DELETE FROM traces; DELETE FROM findings; END",),
}


@pytest.mark.parametrize("statements", STRANGERS.values(), ids=STRANGERS)
def test_a_strangers_view_or_trigger_is_refused_and_never_runs(
    tmp_path: Path, sound: bytes, statements: tuple[str, ...]
) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(sound)
    raw = sqlite3.connect(path)
    for statement in statements:
        raw.execute(statement)
    raw.commit()
    refusals = assert_answers_or_refuses(path)
    assert any("is not as Trajectory makes a store" in line for line in refusals)
    assert raw.execute("SELECT 1 FROM traces WHERE trace_id = ?", (TRACE_B,)).fetchone()
    raw.close()


def test_a_store_with_a_table_of_no_known_kind_is_refused(tmp_path: Path, sound: bytes) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(sound)
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA writable_schema = ON")
    raw.execute("INSERT INTO sqlite_master VALUES ('table', 'a', 'a', 0, 'CREATE VIRTUAL TABLE a USING nobodys(x)')")
    raw.commit()
    raw.close()
    with pytest.raises(StoreError, match="no such module: nobodys"):
        open_reader(path)


@pytest.mark.parametrize("beside", [".lock", "-wal"])
def test_a_pipe_beside_a_store_is_not_waited_for(tmp_path: Path, sound: bytes, beside: str) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(sound)
    os.mkfifo(f"{path}{beside}")
    reader = open_reader(path)
    assert reader.summaries()
    reader.close()
    assert writer_of(path) is None
    assert earlier_endpoints(path) == []


def test_reading_another_users_store_writes_nothing(
    tmp_path: Path, sound: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(sound)
    journal_of(path).mkdir()  # as if its collector had been killed
    owner = path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    reader = open_reader(path)
    assert reader.summaries()
    reader.close()
    assert path.read_bytes() == sound
    assert journal_of(path).is_dir()
    assert not Path(f"{path}.lock").exists()
