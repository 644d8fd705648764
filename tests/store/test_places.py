"""Where bodies rest is found by digest, however many there are, across merges, deletions, failures and processes."""

import random
from pathlib import Path

import pytest

from tests.store.builders import SOURCE, TRACE_A, payload, started
from trajectory.errors import StoreError
from trajectory.model.fact import Batch, Fact, Payload
from trajectory.store.places_writer import KeyFilter
from trajectory.store.sqlite import open_reader, open_writer
from trajectory.store.writer import SqliteWriter


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are made of few digests."""
    monkeypatch.setattr("trajectory.store.places_writer.RECENT_LIMIT", 20)


def bodies(first: int, last: int) -> list[Payload]:
    return [payload(f"body {n}") for n in range(first, last)]


def stored(writer: SqliteWriter, coming: list[Payload]) -> None:
    facts: list[Fact] = list(coming)
    writer.append([Batch(SOURCE, writer.next_seq(SOURCE.emitter_id, SOURCE.boot_id), facts)])


def run_levels(writer: SqliteWriter) -> set[int]:
    return {level for (level,) in writer._database.rows("SELECT level FROM digest_runs")}


def assert_found(store: SqliteWriter, coming: list[Payload]) -> None:
    assert store.payloads([one.digest for one in coming]) == {o.digest: (o.media_type, o.body) for o in coming}


def test_each_body_is_found_and_stored_once_across_runs_and_merges(path: Path) -> None:
    writer = open_writer(path)
    coming = bodies(0, 2000)
    picks = random.Random(3)
    for at in range(0, len(coming), 20):
        stored(writer, coming[at : at + 20] + picks.sample(coming[: at + 20], 5))
    assert max(run_levels(writer)) >= 1
    assert writer.counts()["payloads"] == len(coming)
    assert_found(writer, coming)
    assert writer.check() == []
    reader = open_reader(path)
    assert reader.payloads([one.digest for one in coming]).keys() == {one.digest for one in coming}
    reader.close()
    writer.close()


def test_a_writer_that_opens_a_store_knows_what_is_in_it_before_it_has_read_all(path: Path) -> None:
    coming = bodies(0, 900)
    for at in range(0, 900, 30):
        writer = open_writer(path)
        stored(writer, coming[max(0, at - 300) : at + 30])
        writer.close()
    writer = open_writer(path)
    stored(writer, coming)
    assert writer.counts()["payloads"] == 900
    assert_found(writer, coming)
    writer.close()


def test_a_reader_finds_what_was_stored_and_merged_since_it_looked(path: Path) -> None:
    writer = open_writer(path)
    coming = bodies(0, 1000)
    stored(writer, coming[:10])
    reader = open_reader(path)
    for at in range(10, 1000, 30):
        stored(writer, coming[at : at + 30])
        asked = coming[max(0, at - 200) : at + 30]
        assert reader.payloads([one.digest for one in asked]).keys() == {one.digest for one in asked}
    reader.close()
    writer.close()


def test_what_is_deleted_is_found_no_more_and_can_be_stored_again(path: Path) -> None:
    writer = open_writer(path)
    coming = bodies(0, 600)
    for at in range(0, 600, 30):
        stored(writer, coming[at : at + 30])
    gone = coming[::7]
    writer.append([Batch(SOURCE, 600, [started(TRACE_A, contents=[one.digest for one in gone])])])
    reader = open_reader(path)
    assert reader.payload(gone[0].digest) == ("text/plain", gone[0].body)
    writer.delete_trace(TRACE_A)
    for store in (writer, reader):
        assert store.payloads([one.digest for one in gone]) == {}
    assert writer.counts()["payloads"] == 600 - len(gone)
    assert writer.check() == []
    stored(writer, coming)
    assert writer.counts()["payloads"] == 600
    assert_found(writer, coming)
    assert reader.payload(gone[0].digest) == ("text/plain", gone[0].body)
    assert writer.check() == []
    reader.close()
    writer.close()


def test_after_an_append_that_failed_bodies_are_where_they_were(path: Path) -> None:
    writer = open_writer(path)
    coming = bodies(0, 400)
    stored(writer, coming[:300])
    pages = writer._database.number("PRAGMA page_count")
    writer._database.rows(f"PRAGMA max_page_count = {pages + 1}")
    for _ in range(3):
        with pytest.raises(StoreError, match="disk is full"):
            stored(writer, bodies(300, 6000))
        assert writer.payload(coming[350].digest) is None
    writer._database.rows("PRAGMA max_page_count = 100000")
    for at in range(300, 400, 10):
        stored(writer, coming[at : at + 10])
    assert writer.counts()["payloads"] == 400
    assert_found(writer, coming)
    assert writer.check() == []
    writer.close()


def test_a_digest_that_can_be_none_is_refused(path: Path) -> None:
    writer = open_writer(path)
    with pytest.raises(StoreError, match="5 bytes"):
        stored(writer, [Payload(b"short", "b", b"")])
    writer.close()


def test_a_merge_that_was_cut_short_is_begun_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trajectory.store.places_writer._STEP_RECORDS", 256)
    coming = bodies(0, 800)
    for at in range(0, 800, 40):
        writer = open_writer(path)  # each ends in the middle of a merge, as a killed one does
        for part in (coming[at : at + 20], coming[at + 20 : at + 40], []):
            stored(writer, part)
        writer.close()
    writer = open_writer(path)
    stored(writer, bodies(800, 801))
    assert writer._database.number("SELECT count(*) FROM digest_runs WHERE level < 0") <= 1
    assert writer.counts()["payloads"] == 801
    assert_found(writer, coming)
    writer.close()


def test_the_filter_never_denies_what_is_there_and_seldom_says_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trajectory.store.places_writer._FILTER_BITS", (12, 15))
    digests = [one.digest for one in bodies(0, 4000)]
    keys = KeyFilter()
    keys.add(digests[:2000])
    assert all(digest in keys for digest in digests[:2000])
    assert sum(digest in keys for digest in digests[2000:]) < 200
