"""What an SQLite store does with files: its own, other people's, damaged ones, full disks."""

import fcntl
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from urllib.parse import quote

import pytest

from tests.store.builders import SOURCE, TRACE_A, TRACE_B, StoppedClock, ended, facts_in, finding, payload, started
from trajectory.errors import StoreError
from trajectory.model.content import digest
from trajectory.model.fact import Batch, Fact, Heartbeat, Payload, Source
from trajectory.store import migrations, sqlite
from trajectory.store.contract import TraceSummary
from trajectory.store.faults import as_store_error
from trajectory.store.lock import earlier_endpoints, writer_of
from trajectory.store.migrations import APPLICATION_ID, FORMAT
from trajectory.store.sqlite import open_reader, open_writer
from trajectory.store.writer import SqliteWriter


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def writer(path: Path) -> Iterator[SqliteWriter]:
    opened = open_writer(path)
    yield opened
    opened.close()


def store_with(path: Path, facts: list[Fact]) -> None:
    writer = open_writer(path)
    writer.append([Batch(SOURCE, 0, facts)])
    writer.close()


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# Files of its own


def test_files_are_for_their_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deeper" / "store.db"
    umask = os.umask(0)
    try:
        writer = open_writer(path)
        writer.append([Batch(SOURCE, 0, [started()])])
    finally:
        os.umask(umask)
    assert {entry.name for entry in path.parent.iterdir()} == {
        "store.db",
        "store.db-wal",
        "store.db-shm",
        "store.db.lock",
    }
    assert {mode_of(entry) for entry in path.parent.iterdir()} == {0o600}
    assert {mode_of(path.parent), mode_of(path.parent.parent)} == {0o700}
    writer.close()


def test_a_closed_store_is_one_file_and_its_lock(path: Path) -> None:
    store_with(path, [started()])
    assert {entry.name for entry in path.parent.iterdir()} == {"store.db", "store.db.lock"}


def test_what_was_stored_is_there_after_reopening(path: Path) -> None:
    body = payload("said")
    store_with(path, [body, started(contents=[body.digest]), ended()])
    writer = open_writer(path)
    assert writer.next_seq(SOURCE.emitter_id, SOURCE.boot_id) == 3
    writer.append([Batch(SOURCE, 0, [body, started(contents=[body.digest]), ended(), Heartbeat(1, 0)])])
    assert facts_in(writer.all_batches()) == [started(contents=[body.digest]), ended(), Heartbeat(1, 0)]
    assert writer.trace_ids() == [TRACE_A]
    writer.close()


def test_a_frame_says_when_it_was_received(path: Path) -> None:
    clock = StoppedClock(77)
    writer = open_writer(path, clock=clock)
    writer.append([Batch(SOURCE, 0, [started()])])
    clock.at_ns = 99
    writer.append([Batch(SOURCE, 1, [ended()])])
    writer.close()
    with sqlite3.connect(path) as raw:
        assert raw.execute("SELECT received_at_ns FROM frames ORDER BY id").fetchall() == [(77,), (99,)]
    raw.close()


def test_the_file_says_what_it_is(path: Path) -> None:
    store_with(path, [started()])
    raw = sqlite3.connect(path)
    assert raw.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    assert raw.execute("PRAGMA user_version").fetchone() == (FORMAT,)
    assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    raw.close()


def test_an_empty_file_becomes_a_store(path: Path) -> None:
    path.touch()
    store_with(path, [started()])
    assert facts_in(open_reader(path).all_batches()) == [started()]


# Names


@pytest.mark.parametrize(
    "name", ["a b.db", "why?mode=memory", "a#b", "50%41.db", ":memory:", "naïve.db", "-x", "a&b=c;d"]
)
def test_a_path_is_taken_as_it_is_and_a_url_decoded(tmp_path: Path, name: str) -> None:
    store_with(tmp_path / name, [started()])
    assert (tmp_path / name).stat().st_size > 0
    for location in (tmp_path / name, f"sqlite://{quote(str(tmp_path / name))}", f"sqlite:///{tmp_path}/{quote(name)}"):
        reader = open_reader(location)
        assert facts_in(reader.all_batches()) == [started()]
        reader.close()


def test_a_tilde_is_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    store_with(Path("~/store.db"), [started()])
    assert (tmp_path / "store.db").is_file()


def test_a_relative_path_is_taken_from_where_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store_with(Path("store.db"), [started()])
    assert (tmp_path / "store.db").is_file()


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("postgres://host/db", "'postgres' is not supported.*sqlite:///"),
        ("sqlite://relative/store.db", "no absolute path"),
        ("", "names no file"),
        ("a\0b", "names no file"),
    ],
)
def test_a_location_that_is_none_is_refused_by_readers_and_writers(location: str, said: str) -> None:
    for opening in (open_reader, open_writer):
        with pytest.raises(StoreError, match=said):
            opening(location)


# One writer


def test_a_second_writer_is_told_who_the_first_is(path: Path) -> None:
    first = open_writer(path, endpoint="tcp://127.0.0.1:5570")
    with pytest.raises(StoreError, match=rf"process {os.getpid()} \(collector at tcp://127.0.0.1:5570\).*--store"):
        open_writer(path)
    first.close()
    open_writer(path).close()


def test_one_file_under_two_names_has_one_writer(path: Path) -> None:
    path.with_name("link.db").symlink_to(path)
    first = open_writer(path)
    with pytest.raises(StoreError, match=f"process {os.getpid()}: stop it"):
        open_writer(path.with_name("link.db"))
    first.close()


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b'{"pid": "x", "endpoint": 1}', b"\xff\xff"])
def test_a_note_that_cannot_be_read_leaves_the_holder_unnamed(path: Path, note: bytes) -> None:
    first = open_writer(path)
    path.with_name("store.db.lock").write_bytes(note)
    with pytest.raises(StoreError, match="written by another process"):
        open_writer(path)
    assert writer_of(path) == (0, "")
    first.close()


def test_a_note_with_control_codes_is_shown_without_them(path: Path) -> None:
    first = open_writer(path, endpoint="tcp://\x1b[2Jx\n")
    with pytest.raises(StoreError) as refused:
        open_writer(path)
    assert str(refused.value).isprintable()
    first.close()


def test_a_writer_that_cannot_open_leaves_the_lock_free(path: Path) -> None:
    path.write_bytes(b"not a database" * 100)
    for _ in range(2):
        with pytest.raises(StoreError, match="not a Trajectory store"):
            open_writer(path)


def test_who_writes_a_store_can_be_asked(path: Path) -> None:
    assert writer_of(path) is None
    writer = open_writer(path, endpoint="tcp://127.0.0.1:5570\x1b")
    assert writer_of(path) == (os.getpid(), "tcp://127.0.0.1:5570")
    writer.close()
    assert writer_of(path) is None


def test_a_store_knows_where_it_was_served_before(path: Path) -> None:
    assert earlier_endpoints(path) == []
    for endpoint in ("tcp://a:1", "tcp://a:1", "", "tcp://a:2", "tcp://a:\x1b3", "tcp://a:1"):
        open_writer(path, endpoint=endpoint).close()
    assert earlier_endpoints(path) == ["tcp://a:2", "tcp://a:3"]
    for number in range(80):
        open_writer(path, endpoint=f"tcp://b:{number}/{'é' * 300}").close()
    assert [place.split("/")[2] for place in earlier_endpoints(path)] == [f"b:{number}" for number in range(15, 79)]


def test_a_note_of_an_earlier_release_names_where_the_store_was_served(path: Path) -> None:
    open_writer(path).close()
    path.with_name("store.db.lock").write_bytes(b'{"pid": 7, "endpoint": "tcp://a:1"}')
    open_writer(path, endpoint="tcp://a:2").close()
    assert earlier_endpoints(path) == ["tcp://a:1"]


def test_a_writer_waits_out_who_only_asks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_writer(path).close()
    with path.with_name("store.db.lock").open("rb") as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        monkeypatch.setattr(time, "sleep", lambda _: fcntl.flock(asking, fcntl.LOCK_UN))
        open_writer(path).close()


def test_a_writer_does_not_wait_for_ever_for_who_keeps_asking(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_writer(path).close()
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    with path.with_name("store.db.lock").open("rb") as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        with pytest.raises(StoreError, match="is being written"):
            open_writer(path)
    assert 0 < sum(waits) < 5


# Files that are not


def test_what_is_no_store_is_refused_as_it_was_found(path: Path) -> None:
    raw = sqlite3.connect(path)
    raw.execute("CREATE TABLE notes (text)")
    raw.commit()
    raw.close()
    before = path.read_bytes()
    for opening in (open_reader, open_writer):
        with pytest.raises(StoreError, match="another program's"):
            opening(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("pragma", ["application_id = 5", "user_version = 9"])
def test_an_empty_database_with_a_mark_of_its_own_is_another_programs(path: Path, pragma: str) -> None:
    raw = sqlite3.connect(path)
    raw.execute(f"PRAGMA {pragma}")
    raw.close()
    for opening in (open_reader, open_writer):
        with pytest.raises(StoreError, match="another program's"):
            opening(path)


@pytest.mark.parametrize("content", [b"x", b"SQLite format 3\0", b"hello\n" * 1000])
def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    for opening in (open_reader, open_writer):
        with pytest.raises(StoreError, match=r"not a Trajectory store|damaged"):
            opening(path)
    assert path.read_bytes() == content


def test_a_missing_file_is_missing_for_a_reader_and_not_made(path: Path) -> None:
    with pytest.raises(StoreError, match=r"no store at .*serve"):
        open_reader(path)
    assert not path.exists()


def test_an_empty_file_is_empty_for_a_reader(path: Path) -> None:
    path.touch()
    with pytest.raises(StoreError, match="empty"):
        open_reader(path)


def test_a_database_without_a_table_is_empty_for_a_reader(path: Path) -> None:
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA journal_mode = WAL")
    raw.close()
    with pytest.raises(StoreError, match="empty"):
        open_reader(path)


def test_a_directory_and_a_pipe_are_no_stores(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for opening in (open_reader, open_writer):
        with pytest.raises(StoreError, match="is a directory"):
            opening(tmp_path)
        with pytest.raises(StoreError, match="not a regular file"):
            opening(tmp_path / "pipe")
        with pytest.raises(StoreError, match=r"cannot (make|reach)"):
            opening(tmp_path / "pipe" / "store.db")


# Formats


def test_a_newer_format_is_refused_with_both_numbers(path: Path) -> None:
    store_with(path, [started()])
    raw = sqlite3.connect(path)
    raw.execute(f"PRAGMA user_version = {FORMAT + 1}")
    raw.close()
    for opening in (open_reader, open_writer):
        with pytest.raises(
            StoreError, match=rf"newer Trajectory \(format {FORMAT + 1}, this one reads {FORMAT}\): upgrade"
        ):
            opening(path)


def add_a_column(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE traces ADD COLUMN note TEXT")


def fail_half_way(connection: sqlite3.Connection) -> None:
    add_a_column(connection)
    connection.execute("CREATE TABLE traces (id)")


def with_steps(monkeypatch: pytest.MonkeyPatch, *more: object) -> None:
    monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, *more))
    for module in (migrations, sqlite):
        monkeypatch.setattr(module, "FORMAT", FORMAT + len(more))


def test_an_older_format_is_brought_up_by_a_writer_and_not_read_before(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_with(path, [started()])
    with_steps(monkeypatch, add_a_column)
    with pytest.raises(StoreError, match="older format"):
        open_reader(path)
    open_writer(path).close()
    assert facts_in(open_reader(path).all_batches()) == [started()]


def test_a_step_that_fails_leaves_the_store_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store_with(path, [started()])
    with monkeypatch.context() as patched:
        with_steps(patched, fail_half_way)
        with pytest.raises(StoreError):
            open_writer(path)
    assert facts_in(open_reader(path).all_batches()) == [started()]


def test_a_store_is_copied_before_its_format_changes_with_what_its_log_holds(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_with(path, [started()])
    raw = sqlite3.connect(path)
    raw.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
    raw.execute("CREATE TABLE in_the_log (id)")
    raw.commit()
    with monkeypatch.context() as patched:
        with_steps(patched, add_a_column)
        open_writer(path).close()
        copies = [p for p in path.parent.iterdir() if ".format-" in p.name]
    raw.close()
    assert [copy.name for copy in copies] == [f"{path.name}.format-{FORMAT}"]
    assert stat.S_IMODE(copies[0].stat().st_mode) == 0o600
    assert facts_in(open_reader(copies[0]).all_batches()) == [started()]
    copied = sqlite3.connect(copies[0])
    assert copied.execute("SELECT count(*) FROM sqlite_master WHERE name = 'in_the_log'").fetchone() == (1,)
    assert [row for row in copied.execute("PRAGMA table_info(traces)") if row[1] == "note"] == []
    copied.close()


def test_a_store_that_cannot_be_copied_is_not_migrated(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store_with(path, [started()])
    path.with_name(f"{path.name}.format-{FORMAT}").mkdir()
    with monkeypatch.context() as patched:
        with_steps(patched, add_a_column)
        with pytest.raises(StoreError, match=rf"left in its format {FORMAT}, a copy cannot be kept"):
            open_writer(path)
    assert facts_in(open_reader(path).all_batches()) == [started()]
    assert [p.name for p in path.parent.iterdir() if p.name.endswith(".new")] == []


def test_a_store_of_this_format_is_not_copied(path: Path) -> None:
    store_with(path, [started()])
    open_writer(path).close()
    assert [p.name for p in path.parent.iterdir() if ".format-" in p.name] == []


# Damage and full disks


def test_a_damaged_page_is_told_in_one_line_by_every_reading(path: Path) -> None:
    store_with(path, [Payload(bytes([n]) * 16, "b", os.urandom(5000)) for n in range(50)])
    content = bytearray(path.read_bytes())
    content[4096 * 3 :] = b"\xa5" * (len(content) - 4096 * 3)
    path.write_bytes(content)
    reader = open_reader(path)
    with pytest.raises(StoreError, match="damaged"):
        reader.payloads([bytes([n]) * 16 for n in range(50)])
    said = reader.check()
    assert said
    assert all(line.isprintable() for line in said)
    reader.close()


def test_a_file_that_was_cut_off_is_damaged(path: Path) -> None:
    store_with(path, [Payload(bytes([n]) * 16, "b", os.urandom(5000)) for n in range(50)])
    os.truncate(path, 4096 * 2)
    with pytest.raises(StoreError, match="damaged"):
        open_reader(path).counts()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("codec = 9", "codec"),
        ("codec = 1, body = x'0000'", "inflated"),
        ("codec = 0, body = x'c1'", "damaged"),
        ("codec = 0, body = x'91c0'", "1 facts cannot be read"),
        ("codec = 2, body = x'0000'", "inflated"),
        ("body = substr(body, 1, length(body) - 3)", "ends early"),
    ],
)
def test_a_damaged_frame_is_named_by_the_check(path: Path, damage: str, said: str) -> None:
    store_with(path, [Heartbeat(n, 0) for n in range(100)])
    raw = sqlite3.connect(path)
    raw.execute(f"UPDATE frames SET {damage}")
    raw.commit()
    raw.close()
    reader = open_reader(path)
    (line,) = reader.check()
    assert line.startswith("frame 1: ")
    assert said in line
    reader.close()


def test_a_body_that_inflates_without_end_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store_with(path, [payload("again " * 10_000)])
    monkeypatch.setattr("trajectory.store.packs.MAX_INFLATED_BYTES", 1000)
    with pytest.raises(StoreError, match="without end"):
        open_reader(path).payload(payload("again " * 10_000).digest)


def test_a_full_disk_takes_back_the_whole_append_and_the_writer_goes_on_when_there_is_room(
    writer: SqliteWriter,
) -> None:
    writer.append([Batch(SOURCE, 0, [started(TRACE_A)])])
    pages = writer._database.number("PRAGMA page_count")
    writer._database.rows(f"PRAGMA max_page_count = {pages + 4}")
    body = os.urandom(200_000)
    big = Payload(digest("b", body), "b", body)
    coming = [Batch(SOURCE, 1, [started(TRACE_B)]), Batch(SOURCE, 2, [big])]
    for _ in range(2):
        with pytest.raises(StoreError, match="disk is full: free some space"):
            writer.append(coming)
        assert writer.next_seq(SOURCE.emitter_id, SOURCE.boot_id) == 1
        assert writer.trace_ids() == [TRACE_A]
    writer._database.rows("PRAGMA max_page_count = 100000")
    writer.append(coming)
    assert facts_in(writer.all_batches()) == [started(TRACE_A), started(TRACE_B)]
    assert writer.payload(big.digest) == ("b", big.body)
    assert facts_in(writer.facts(TRACE_B)) == [started(TRACE_B)]
    assert writer.check() == []


def test_a_full_disk_leaves_summaries_and_findings_as_they_were(writer: SqliteWriter) -> None:
    writer.save_summaries([TraceSummary(TRACE_A, title="first")])
    writer._database.rows("PRAGMA max_page_count = 1")
    long = os.urandom(60_000).hex()
    with pytest.raises(StoreError, match="disk is full"):
        writer.save_summaries([TraceSummary(TRACE_A, title=long)])
    with pytest.raises(StoreError, match="disk is full"):
        writer.save_findings([finding(value=long)])
    assert [summary.title for summary in writer.summaries()] == ["first"]
    assert writer.findings() == []


def test_a_deleted_trace_gives_its_space_back_and_its_words_are_gone(path: Path) -> None:
    writer = open_writer(path)
    secret = Payload(b"p" * 16, "b", b"the secret word " + os.urandom(500_000))
    writer.append([Batch(SOURCE, 0, [secret, started(TRACE_A, contents=[secret.digest]), started(TRACE_B)])])
    before = writer.counts()["bytes"]
    writer.delete_trace(TRACE_A)
    assert before > 500_000
    assert writer.counts()["bytes"] < 200_000
    assert all(b"the secret word" not in entry.read_bytes() for entry in path.parent.iterdir())
    writer.close()


def test_a_few_deleted_words_among_others_are_gone_from_the_files_too(path: Path) -> None:
    writer = open_writer(path)
    said = [Payload(digest("b", body), "b", body) for body in (os.urandom(50) for _ in range(40))]  # rest as they are
    facts: list[Fact] = [*said, *(started(bytes([n]) * 16, contents=[body.digest]) for n, body in enumerate(said))]
    writer.append([Batch(SOURCE, 0, facts)])
    writer.delete_trace(bytes([17]) * 16)
    content = b"".join(entry.read_bytes() for entry in path.parent.iterdir())
    assert [n for n in range(40) if said[n].body not in content] == [17]
    assert all(writer.payload(body.digest) == ("b", body.body) for body in said if body is not said[17])
    assert writer.payload(said[17].digest) is None
    assert writer.check() == []
    writer.close()


def test_a_closed_writer_leaves_everything_in_the_one_file_although_a_reader_stays(path: Path) -> None:
    writer = open_writer(path)
    reader = open_reader(path)
    writer.append([Batch(SOURCE, 0, [started()])])
    writer.close()
    copy = path.with_name("copy.db")
    copy.write_bytes(path.read_bytes())
    assert facts_in(open_reader(copy).all_batches()) == [started()]
    reader.close()


# Threads


def test_one_reader_and_one_writer_serve_many_threads(path: Path, writer: SqliteWriter) -> None:
    reader = open_reader(path)
    failures: list[BaseException] = []

    def run(work: object) -> None:
        try:
            assert callable(work)
            for n in range(40):
                work(n)
        except BaseException as failure:
            failures.append(failure)

    def read(_: int) -> None:
        facts = facts_in(reader.facts(TRACE_A))
        assert len(facts) % 10 == 0
        assert reader.counts()["facts"] >= len(facts)

    works = [
        read,
        read,
        lambda n: writer.append([Batch(SOURCE, 10 * n, [started(at_ns=n)] * 10)]),
        lambda _: writer.counts(),
    ]
    threads = [Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert len(facts_in(reader.facts(TRACE_A))) == 400
    reader.close()


def test_a_reader_sees_that_another_connection_wrote(path: Path, writer: SqliteWriter) -> None:
    reader = open_reader(path)
    before = reader.data_version()
    assert reader.data_version() == before
    writer.save_summaries([TraceSummary(TRACE_A)])
    assert reader.data_version() != before
    reader.close()


def test_an_open_reader_hears_of_a_resource_that_became_known(path: Path, writer: SqliteWriter) -> None:
    reader = open_reader(path)
    writer.append([Batch(Source(SOURCE.emitter_id, SOURCE.boot_id), 0, [started()])])
    assert [batch.source.service for batch in reader.all_batches()] == [""]
    writer.append([Batch(SOURCE, 1, [ended()])])
    assert [batch.source.service for batch in reader.all_batches()] == ["planner", "planner"]
    reader.close()


def test_more_sources_and_traces_than_are_remembered_are_stored_as_few_are(
    writer: SqliteWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trajectory.store.writer._MAX_KNOWN_SOURCES", 2)
    monkeypatch.setattr("trajectory.store.writer._MAX_KNOWN_TRACES", 2)
    sources = [Source(bytes([n]) * 16, b"b" * 16) for n in range(5)]
    for seq in range(3):
        writer.append([Batch(source, seq, [started(source.emitter_id)]) for source in sources])
        writer.append([Batch(source, seq, [started(source.emitter_id)]) for source in sources])
    assert writer.trace_ids() == [source.emitter_id for source in sources]
    assert [len(facts_in(writer.facts(source.emitter_id))) for source in sources] == [3] * 5


def test_a_reader_cannot_write(path: Path, writer: SqliteWriter) -> None:
    reader = open_reader(path)
    with pytest.raises(StoreError, match="read-only"):
        reader._database.rows("DELETE FROM frames")
    reader.close()


def test_a_lock_that_is_a_link_and_a_name_that_no_disk_takes_are_told(path: Path, tmp_path: Path) -> None:
    path.with_name(path.name + ".lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="cannot lock"):
        open_writer(path)
    with pytest.raises(StoreError, match=r"cannot make .*: File name too long"):
        open_writer(tmp_path / ("x" * 300))


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (StoreError("as it is"), "as it is"),
        (
            OverflowError("Python int too large to convert to SQLite INTEGER"),
            "store.db cannot hold a value: Python int",
        ),
        (sqlite3.ProgrammingError("Cannot operate on a closed database."), "store.db is closed"),
        (sqlite3.DatabaseError("file is\nodd"), "store.db is damaged or not as expected: file is odd"),
    ],
)
def test_every_fault_of_a_store_is_one_line(fault: Exception, said: str) -> None:
    assert str(as_store_error(Path("store.db"), fault)).startswith(said)
