"""Damaged stores, full disks and read-only files at the command line: one line that says what to do, and nothing gets worse."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.terminal import Done, free_endpoint, serving, trajectory
from tests.collector.test_repair import PAGE_BYTES, TRACES, damaged, leaf_of, pages_of, write
from trajectory.errors import StoreError
from trajectory.store.sqlite import open_reader

NOBODY = ("--connect", "tcp://127.0.0.1:9")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "store.db"
    write(path)
    return path


@pytest.fixture
def store(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(sound, tmp_path / "store.db"))


def refused(done: Done) -> str:
    assert done.code == 2
    assert len(done.err.strip().splitlines()) == 1, done.err
    return done.err.strip()


def whole(path: Path) -> int:
    """How many traces a store holds that nothing is wrong with."""
    with closing(open_reader(path)) as reader:
        assert reader.check() == []
        return len(reader.trace_ids())


def reads(path: Path, trace: bytes) -> bool:
    """Whether a trace can be read to its end."""
    with closing(open_reader(path)) as reader:
        try:
            return bool(list(reader.facts(trace)))
        except StoreError:
            return False


def store_check(path: Path) -> dict[str, str]:
    checks = trajectory("doctor", *NOBODY, "--json", "--store", path).json_lines()
    (check,) = [check for check in checks if check["name"] == "store"]
    return check


def test_a_damaged_page_costs_what_is_on_it_and_doctor_mends_it(sound: Path, store: Path) -> None:
    pages_of(sound)
    page = leaf_of(sound, "frames")
    damaged(sound, store, page)
    whole_traces = [trace for trace in TRACES if reads(store, trace)]
    bad = next(trace for trace in TRACES if trace not in whole_traces)
    assert "trajectory doctor --repair" in refused(trajectory("show", bad.hex(), "--json", "--store", store))
    assert trajectory("show", whole_traces[0].hex(), "--json", "--store", store).code == 0
    assert len(trajectory("traces", "--ids", "--store", store).out.split()) == len(TRACES)
    check = store_check(store)
    assert (check["state"], check["mend"]) == ("bad", "trajectory doctor --repair")
    assert check["said"].count(str(store)) == 1
    with serving(store, free_endpoint()):
        assert "is being written by process" in refused(trajectory("doctor", "--repair", "--store", store))
    done = trajectory("doctor", "--repair", "--json", "--store", store)
    (told,) = done.json_lines()
    assert done.code == 0 and told["lost_frame_count"] > 0 and told["fact_count"] > 0
    assert Path(told["damaged"]).read_bytes()[(page - 1) * PAGE_BYTES :][:PAGE_BYTES] == b"\xa5" * PAGE_BYTES
    assert store_check(store)["state"] == "ok"
    assert whole(store) >= len(whole_traces)
    assert "nothing to repair" in trajectory("doctor", "--repair", "--store", store).err


def test_a_list_whose_pins_are_damaged_is_a_list(sound: Path, store: Path) -> None:
    damaged(sound, store, *pages_of(sound)["pins"], *pages_of(sound)["sqlite_autoindex_pins_1"])
    done = trajectory("traces", "--store", store)
    assert done.code == 0 and len(done.out.splitlines()) == len(TRACES) + 1
    assert "is damaged" in done.err
    check = store_check(store)
    assert (check["state"], check["mend"]) == ("bad", "trajectory doctor --repair")
    assert check["said"].count("is damaged: ") == 1
    mended = trajectory("doctor", "--repair", "--store", store)
    assert (mended.code, mended.out) == (0, "") and f"facts saved in {store}, lost 0 frames" in mended.err


def test_a_store_that_is_served_while_its_middle_is_damaged_is_served(sound: Path, store: Path) -> None:
    damaged(sound, store, pages_of(sound)["frames"][4], pages_of(sound)["housekeeping"][0])
    with serving(store, free_endpoint(), "--keep-days", "1") as collector:
        collector.terminate()
        assert collector.wait(30) == 0
        assert collector.stderr is not None
        assert "Traceback" not in collector.stderr.read()
    done = trajectory("compact", "--keep-days", "1", "--store", store)
    assert done.code == 1
    assert "nothing can be retired" in done.err and "trajectory doctor --repair" in done.err


def limited(store: Path, blocks: int, *words: str) -> Done:
    """A command that may write no file beyond so many blocks of 512 bytes: what a full disk does to it. Nor any bytecode: Python
    would leave it cut, for every other process to fail at."""
    command = f'ulimit -f {blocks}; exec "$@"'
    environment = {
        name: said for name, said in os.environ.items() if not name.startswith("COVERAGE_")
    }  # nor what it reached
    run = subprocess.run(
        ["sh", "-c", command, "sh", sys.executable, "-P", "-m", "trajectory", *words, "--store", str(store)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
        env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    return Done(run.returncode, run.stdout, run.stderr)


def test_a_full_disk_stops_a_compaction_and_damages_nothing(store: Path) -> None:
    with closing(sqlite3.connect(store)) as raw:
        raw.execute("UPDATE frames SET received_at_ns = 1")
        raw.commit()
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = whole(store)
    for blocks in (8, 32, 128):
        done = limited(store, blocks, "compact", "--keep-days", "1")
        assert "Traceback" not in done.err
        assert "disk" in done.err.splitlines()[0]
        assert whole(store) <= before
    assert trajectory("compact", "--keep-days", "1", "--store", store).code == 0
    assert whole(store) == 0
    with closing(open_reader(store)) as reader:
        counts = reader.counts()
    assert (counts["frames"], counts["payloads"]) == (0, 0)


def test_a_full_disk_leaves_a_store_of_an_older_format_as_it_was(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    golden = Path(__file__).parents[1] / "store" / "goldens" / "format_1.sql"
    with closing(sqlite3.connect(store)) as raw:
        raw.executescript(golden.read_text(encoding="utf-8"))
    done = limited(store, 16, "serve", "--bind", free_endpoint())
    assert "is left in its format 1, a copy cannot be kept" in refused(done)
    assert {path.name for path in tmp_path.iterdir()} <= {"store.db", "store.db-wal", "store.db-shm", "store.db.lock"}
    with closing(sqlite3.connect(store)) as raw:
        assert raw.execute("PRAGMA user_version").fetchone() == (1,)
    assert trajectory("compact", "--store", store).code == 0
    assert whole(store) == 2


def test_what_is_read_only_is_neither_compacted_nor_pinned(store: Path) -> None:
    with closing(sqlite3.connect(store)) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    subprocess.run(["sh", "-c", f"chmod 400 {store}"], check=True)
    if _is_writable(store):
        pytest.skip("whoever runs this may write everything")
    for words in (["compact"], ["pin", TRACES[0].hex()]):
        assert "cannot be written" in refused(trajectory(*words, "--store", store))
    assert whole(store) == len(TRACES)


def _is_writable(path: Path) -> bool:
    try:
        path.open("ab").close()
    except OSError:
        return False
    return True
