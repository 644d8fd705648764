"""Exports for a dashboard: from a store at rest, from a collector on this machine, and not from one on another."""

import stat
from pathlib import Path

import pytest

from tests.collector.builders import SOURCE, TRACE, Clock, SaysOnEnd, started, wait_for
from tests.collector.test_feeds import failed_run, running, written
from tests.store.memory import MemoryStore
from trajectory.collector.exporting import formats, store_here
from trajectory.collector.importing import WireDelivery, through_pipeline
from trajectory.collector.pipeline import Pipeline
from trajectory.collector.remote import RemoteFeed
from trajectory.collector.store_feed import StoreFeed
from trajectory.errors import StoreError, TrajectoryError
from trajectory.export.contract import choose
from trajectory.model.fact import Batch
from trajectory.store.sqlite import open_reader, open_writer
from trajectory.view.feed import FeedBusy, Format
from trajectory.view.link import Link
from trajectory.view.reaching import pulled, reached, whole_trace
from trajectory.view.rows import Health
from trajectory.view.views import Missing, Query, RunsQuery, RunsView, View

REPORT = Format(".md", "trace", "a report")
DRAWING = Format(".mmd", "spans", "a graph")


def yes(_progress: str) -> bool:
    return True


@pytest.fixture
def store(tmp_path: Path) -> Path:
    writer = open_writer(tmp_path / "store")
    pipeline = Pipeline(writer, [SaysOnEnd], Clock())
    through_pipeline(pipeline)([Batch(SOURCE, 0, failed_run().facts)])
    pipeline.finish()
    writer.close()
    return tmp_path / "store"


def test_every_format_on_the_menu_has_an_exporter_and_every_exporter_of_a_run_is_on_the_menu() -> None:
    for each in formats():
        assert each.of in choose(f"run{each.suffix}", each.of).of
    assert {each.suffix for each in formats() if each.of == "trace"} >= {".jsonl", ".otlp.json", ".trace.json", ".md"}
    assert formats()[0].of == "trace"


def test_a_run_of_a_store_at_rest_is_written_privately_by_a_process_that_says_how_far_it_is(store: Path) -> None:
    feed, told = StoreFeed(open_reader(store), str(store)), []
    feed.export(TRACE.hex(), REPORT, str(store.parent / "run.md"), lambda said: told.append(said) is None)
    written = store.parent / "run.md"
    assert f"trajectory open trajectory://{TRACE.hex()}/span/" in written.read_text()
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert told[0] == "beginning" and REPORT.suffix in {each.suffix for each in feed.formats()}
    feed.export(TRACE.hex(), Format(".jsonl", "trace", "facts"), str(store.parent / "run.jsonl"), yes)
    assert "TimeoutError" in (store.parent / "run.jsonl").read_text()
    with pytest.raises(TrajectoryError, match="has no run"):
        feed.export("ab" * 16, REPORT, str(store.parent / "none.md"), yes)
    assert not (store.parent / "none.md").exists()
    feed.close()


def test_an_export_that_nobody_waits_for_leaves_nothing(store: Path) -> None:
    feed = StoreFeed(open_reader(store), str(store))
    with pytest.raises(TrajectoryError, match="before it was done"):
        feed.export(TRACE.hex(), REPORT, str(store.parent / "run.md"), lambda _progress: False)
    assert not [path for path in store.parent.iterdir() if "run.md" in path.name or path.suffix == ".part"]
    feed.close()


def test_a_run_of_a_collector_on_this_machine_is_written_from_its_store(tmp_path: Path) -> None:
    with running(tmp_path / "store") as collector:
        feed = RemoteFeed(collector.endpoint, timeout_s=5)
        with pytest.raises(StoreError, match="on another machine"):
            feed.export(TRACE.hex(), REPORT, str(tmp_path / "early.md"), yes)  # nothing was heard of its store yet
        assert feed.formats() == formats()
        with WireDelivery(collector.endpoint) as delivery:
            delivery([Batch(SOURCE, 0, failed_run().facts)])
        wait_for(lambda: _runs(feed) == 1, lambda: _runs(feed))
        assert reached(feed, Link(TRACE.hex()[:6])).trace == TRACE.hex()
        feed.export(TRACE.hex(), DRAWING, str(tmp_path / "run.mmd"), yes)
        assert (tmp_path / "run.mmd").read_text().startswith("flowchart")
        feed.close()


def _runs(feed: RemoteFeed) -> int:
    view = feed.pull(RunsQuery(), -1)
    return len(view.rows) if isinstance(view, RunsView) else 0


@pytest.mark.parametrize("endpoint", ["tcp://10.0.0.7:5570", "tcp://127.0.0.1:5570", "ipc:///tmp/x"])
def test_a_store_that_is_not_served_here_is_not_opened_and_the_command_for_there_is_told(
    endpoint: str, store: Path
) -> None:
    with pytest.raises(StoreError, match=r"there: trajectory graph --of spans abababababab -o FILE\.mmd"):
        store_here(endpoint, str(store), "ab" * 16, DRAWING)


def test_a_span_is_reached_by_the_beginning_of_its_id_where_no_other_begins_so() -> None:
    memory = MemoryStore()
    written(memory, [started(0xABCD << 48, agent="a"), started(0xAB12 << 48, agent="b")])
    feed = StoreFeed(memory, "the-store")
    assert reached(feed, Link(TRACE.hex(), "abcd")).span == "abcd" + "0" * 12
    assert reached(feed, Link(TRACE.hex(), agent="ab12")).agent == "ab12" + "0" * 12
    feed.close()


class Busy:
    """A feed that has so much to do that it answers the third time."""

    def __init__(self, busy_count: int) -> None:
        self.left = busy_count

    def pull(self, query: Query, since: int) -> View | None:
        self.left -= 1
        if self.left >= 0:
            raise FeedBusy("busy")
        return Missing(1, Health(), "an answer")


def test_a_feed_that_is_busy_is_asked_again_a_few_times() -> None:
    assert pulled(Busy(2), RunsQuery()) == Missing(1, Health(), "an answer")  # type: ignore[arg-type]
    with pytest.raises(FeedBusy):
        pulled(Busy(9), RunsQuery())  # type: ignore[arg-type]


def test_the_beginning_of_an_id_is_the_one_that_it_can_be(store: Path) -> None:
    feed = StoreFeed(open_reader(store), "the-store")
    assert whole_trace(feed, TRACE.hex()[:3]) == TRACE.hex()
    assert reached(feed, Link(TRACE.hex()[:6], "f" * 16)).span == "f" * 16  # it may come yet
    signals = Link("all", view="signals")
    assert reached(feed, signals) is signals
    with pytest.raises(StoreError, match="several spans that begin with 0000"):
        reached(feed, Link(TRACE.hex(), "0000"))
    with pytest.raises(StoreError, match="no span that begins with ffff"):
        reached(feed, Link(TRACE.hex(), "ffff"))
    for wrong in ("ffffff", "f" * 32):
        with pytest.raises(StoreError, match="has no run"):
            whole_trace(feed, wrong)
    with pytest.raises(StoreError, match="no beginning of a trace id"):
        whole_trace(feed, "x) or (-y")
    feed.close()
