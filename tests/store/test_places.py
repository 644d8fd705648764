"""Where bodies rest is found by digest, however many there are, across merges, deletions, failures and processes."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.store.builders import SOURCE, TRACE_A, payload, started
from trajectory.errors import StoreError
from trajectory.model.fact import Batch, Fact, Payload
from trajectory.store.packs import OpenPacks, Pack, PackHead, place_of
from trajectory.store.places import RECORD_BYTES, position, record_of
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


def test_a_digest_is_found_at_its_own_place_and_not_across_two_records() -> None:
    digest = b"ab" * 8
    across = record_of(bytes(8) + digest[:8], 1)  # the middle of two records looks like it
    records = bytes(3) + digest + bytes(RECORD_BYTES - 19) + across + record_of(digest, 7)
    assert position(records, digest) == 2 * RECORD_BYTES
    assert position(records[: 2 * RECORD_BYTES], digest) == -1
    assert position(b"", digest) == -1


def test_a_body_that_is_not_found_by_its_digest_is_told_by_the_check(path: Path) -> None:
    coming = bodies(0, 60)
    writer = open_writer(path)
    stored(writer, coming)
    writer.close()
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("DELETE FROM digest_buckets")
        raw.commit()
    reader = open_reader(path)
    said = reader.check()
    assert said and all(line.endswith("it is not found by its digest") for line in said)
    reader.close()


def test_bodies_that_come_again_are_stored_once_also_where_few_are_remembered(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trajectory.store.places_writer._AGAIN_LIMIT", 3)
    writer, coming = open_writer(path), bodies(0, 100)
    for _ in range(3):
        stored(writer, coming)
    assert writer.counts()["payloads"] == len(coming)
    assert_found(writer, coming)
    writer.close()


def test_of_open_packs_so_many_bytes_are_held_and_one_that_is_gone_holds_nothing(path: Path) -> None:
    writer = open_writer(path)
    first, second = payload("first " * 100), payload("second " * 100)
    for body in (first, second):
        stored(writer, [body])
    places = {body.digest: writer._places.find([body.digest])[body.digest] for body in (first, second)}
    packs = OpenPacks(writer._database, limit_bytes=1000)
    for body in (first, second):
        assert packs.body(body.digest, places[body.digest]) == (body.media_type, body.body)
    assert packs.held(first.digest) is None and packs.held(second.digest) == (second.media_type, second.body)
    assert packs.body(first.digest, place_of(99, 0)) is None
    writer.close()


@pytest.mark.parametrize(
    ("head", "plain", "reason"),
    [
        (PackHead(b"d" * 15, [1], ["t"], b"\0"), b"x", "the head of a pack is damaged"),
        (PackHead(b"d" * 16, [1], ["t"], b""), b"x", "the head of a pack is damaged"),
        (PackHead(b"d" * 16, [2], ["t"], b"\0"), b"x", "it holds less than its head says"),
        (PackHead(b"d" * 16, [-2], ["t"], b"\0"), b"x", "it holds less than its head says"),
        (PackHead(b"d" * 16, [1], ["t"], b"\1"), b"x", "it holds less than its head says"),
    ],
)
def test_a_pack_whose_head_does_not_fit_it_is_refused(head: PackHead, plain: bytes, reason: str) -> None:
    with pytest.raises(StoreError, match=reason):
        list(Pack(head, plain).entries())
