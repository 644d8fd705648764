"""A damaged store is made whole again: what reads is all there, in order, and nothing is made up; the damaged file is kept."""

import os
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.collector.builders import NOW_NS, SOURCE, SaysOnEnd, ended, started
from tests.store.builders import facts_in
from trajectory.collector.pipeline import Pipeline
from trajectory.collector.repair import repair
from trajectory.errors import StoreError
from trajectory.model import lists
from trajectory.model.content import digest
from trajectory.model.fact import Batch, Fact, Heartbeat, Payload, Source
from trajectory.store.contract import Pin, Reader
from trajectory.store.sqlite import open_reader, open_writer

PAGE_BYTES = 4096
TRACES = [bytes([n]) * 16 for n in range(1, 31)]
OTHER = Source(b"another-emitter1", b"boot-of-another1", {"service.name": "other"})


def write(path: Path) -> None:
    """Thirty traces of two emitters, with bodies, a list, findings, a pin."""
    with closing(open_writer(path)) as writer:
        pipeline = Pipeline(writer, [SaysOnEnd], lambda: NOW_NS)
        seqs = {SOURCE.emitter_id: 0, OTHER.emitter_id: 0}
        for number, trace in enumerate(TRACES):
            bodies = [Payload(digest("b", body), "b", body) for body in (os.urandom(n) for n in (200, 9000))]
            listed = lists.write(b"", [body.digest for body in bodies])
            entry = Payload(digest(lists.LIST, listed), lists.LIST, listed)
            facts: list[Fact] = [*bodies, entry, Heartbeat(NOW_NS, 1)]
            facts.append(started(1, trace_id=trace, contents={"input": [b"\x01" + entry.digest]}))
            for n in range(2, 30):
                facts += [started(n, 1, trace_id=trace), ended(n, trace_id=trace, status="error" if n == 5 else "ok")]
            facts.append(ended(1, trace_id=trace))
            source = (SOURCE, OTHER)[number % 2]
            batches = [Batch(source, seqs[source.emitter_id], facts)]
            seqs[source.emitter_id] += len(facts)
            pipeline.store(batches)
            pipeline.fold(batches)
        writer.set_pins([Pin("session", "chat")], pinned=True)
        pipeline.finish()


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "store.db"
    write(path)
    return path


def pages_of(path: Path) -> dict[str, list[int]]:
    """Which pages belong to which table; skips the test where SQLite was built without that table of its own."""
    raw = sqlite3.connect(path)
    try:
        rows = raw.execute("SELECT name, pageno FROM dbstat WHERE pageno > 1").fetchall()
    except sqlite3.OperationalError:
        pytest.skip("this SQLite does not tell")
    finally:
        raw.close()
    pages: dict[str, list[int]] = {}
    for name, page in rows:
        pages.setdefault(name, []).append(page)
    return pages


def leaf_of(path: Path, table: str) -> int:
    """A page in the middle of a table that holds some of its rows."""
    with closing(sqlite3.connect(path)) as raw:
        query = "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY pageno"
        leaves = [page for (page,) in raw.execute(query, (table,))]
    return leaves[len(leaves) // 2]


def damaged(sound: Path, path: Path, *pages: int) -> None:
    content = bytearray(sound.read_bytes())
    for page in pages:
        content[(page - 1) * PAGE_BYTES : page * PAGE_BYTES] = b"\xa5" * PAGE_BYTES
    path.write_bytes(content)


def of_each(reader: Reader) -> dict[bytes, list[Fact]]:
    return {trace: facts_in(reader.facts(trace)) for trace in TRACES}


@pytest.mark.parametrize(
    "table",
    [
        "summaries",
        "summaries_by_start",
        "traces",
        "frame_traces",
        "findings",
        "sqlite_sequence",
        "housekeeping",
        "pins",
    ],
)
def test_what_can_be_made_out_of_the_facts_is_made_again(sound: Path, tmp_path: Path, table: str) -> None:
    path = tmp_path / "store.db"
    damaged(sound, path, *pages_of(sound)[table])
    before = path.read_bytes()
    done = repair(str(path))
    assert (done.lost_frame_count, done.lost_payload_count) == (0, 0)
    assert done.damaged.read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} == {"store.db", "store.db.damaged-1", "store.db.lock"}
    with closing(open_reader(sound)) as old, closing(open_reader(path)) as new:
        assert new.check() == []
        assert of_each(new) == of_each(old)
        assert [s.trace_id for s in new.summaries()] == [s.trace_id for s in old.summaries()]
        assert {f.key: f for f in new.findings()} == {f.key: f for f in old.findings()}
        assert new.counts()["payloads"] == old.counts()["payloads"]
        assert new.pins() == ([] if table == "pins" else old.pins())
        for source in (SOURCE, OTHER):
            assert new.next_seq(source.emitter_id, source.boot_id) == old.next_seq(source.emitter_id, source.boot_id)


def test_any_damage_costs_what_it_hit_and_nothing_is_made_up(sound: Path, tmp_path: Path) -> None:
    chance = random.Random(7)
    kept = {1, *pages_of(sound)["sqlite_schema"]}  # without a schema nothing is a store: a copy has to help
    pages = [page for page in range(1, sound.stat().st_size // PAGE_BYTES + 1) if page not in kept]
    with closing(open_reader(sound)) as old:
        was, payloads = of_each(old), old.counts()["payloads"]
    for n in range(7):
        path = tmp_path / f"store{n}.db"
        damaged(sound, path, *chance.sample(pages, chance.randint(1, 4)))
        done = repair(str(path))
        with closing(open_reader(path)) as new:
            assert new.check() == []
            for trace, facts in of_each(new).items():
                assert facts == [fact for fact in was[trace] if fact in facts]
            assert new.counts()["payloads"] <= payloads
            is_whole = of_each(new) == was
            assert is_whole or done.lost_frame_count
            assert not done.lost_frame_count or not is_whole or done.fact_count


def test_a_damaged_body_costs_its_pack_and_no_other_body(sound: Path, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    damaged(sound, path, pages_of(sound)["packs"][9])
    done = repair(str(path))
    assert done.lost_payload_count > 0 and done.lost_frame_count == 0
    with closing(open_reader(sound)) as old, closing(open_reader(path)) as new:
        assert of_each(new) == of_each(old)
        lost_count = old.counts()["payloads"] - new.counts()["payloads"]
        assert done.lost_payload_count <= lost_count < 30  # what only a lost list names is lost with it


def test_a_repaired_store_is_served_on(sound: Path, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    damaged(sound, path, pages_of(sound)["frames"][3], pages_of(sound)["packs"][5])
    assert repair(str(path)).lost_frame_count
    with closing(open_writer(path)) as writer:
        pipeline = Pipeline(writer, [SaysOnEnd], lambda: NOW_NS)
        next_seq = writer.next_seq(SOURCE.emitter_id, SOURCE.boot_id)
        again = [started(1, trace_id=TRACES[0]), ended(1, trace_id=TRACES[0], at_ns=NOW_NS + 9)]
        frames = writer.last_frame()
        pipeline.store([Batch(SOURCE, next_seq - 1, again)])  # the first of them was stored before
        assert writer.last_frame() == frames + 1
        assert facts_in(writer.all_batches(frames)) == again[1:]
        pipeline.finish()


def test_a_store_in_use_is_not_repaired(sound: Path, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    damaged(sound, path)
    with closing(open_writer(path)), pytest.raises(StoreError, match="is being written by process"):
        repair(str(path))


def test_what_cannot_be_put_in_place_is_told_and_kept(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store.db"
    damaged(sound, path, 5)
    before = path.read_bytes()

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(StoreError, match=r"store\.db\.repaired, and stays there: Operation not permitted"):
        repair(str(path))
    assert path.read_bytes() == before
    with closing(open_reader(path.with_name("store.db.repaired"))) as new:
        assert new.check() == []


@pytest.mark.parametrize(
    ("damage", "facts_lost"),
    [
        ("UPDATE frames SET codec = 0, body = x'c1' WHERE id = (SELECT min(id) FROM frames)", True),
        ("DELETE FROM sqlite_sequence", False),
        ("DELETE FROM sources", False),
        ("UPDATE sources SET emitter_id = 'no bytes ' || id", False),
        ("UPDATE sources SET resource = x'c1'", False),
        ("UPDATE sources SET next_seq = 'no number'", False),
    ],
)
def test_rows_that_say_nothing_right_cost_what_they_said(
    sound: Path, tmp_path: Path, damage: str, facts_lost: bool
) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(sound.read_bytes())
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA foreign_keys = OFF")
        raw.execute(damage)
        raw.commit()
    repair(str(path))
    with closing(open_reader(sound)) as whole, closing(open_reader(path)) as repaired:
        before, after = of_each(whole), of_each(repaired)
        differs = [trace_id for trace_id, facts in before.items() if after.get(trace_id) != facts]
        assert repaired.check() == [] and (len(differs) == 1 if facts_lost else not differs)


def test_a_log_beside_a_damaged_store_is_kept_with_it(sound: Path, tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    damaged(sound, path, *pages_of(sound)["summaries"])
    path.with_name("store.db-wal").write_bytes(b"what a killed writer left")
    done = repair(str(path))
    assert done.damaged.with_name(f"{done.damaged.name}-wal").read_bytes() == b"what a killed writer left"
    assert not path.with_name("store.db-wal").exists()
    with closing(open_reader(path)) as repaired:
        assert repaired.check() == []
