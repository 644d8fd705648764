"""Traces that are one run are one row, counted once: live, after a restart, and at rest, and their own rows where one looks."""

import random
from collections.abc import Callable

import pytest

from tests.broken_runs import SHAPES, BrokenRun, linked, messages, texts
from tests.collector.builders import NOW_NS, Clock, started, wait_for
from tests.store.memory import MemoryStore
from trajectory.collector import joined
from trajectory.collector.at_rest import StoredLibrary, stored_run
from trajectory.collector.listing import Listing
from trajectory.collector.pipeline import Pipeline
from trajectory.collector.publish import Publisher
from trajectory.collector.rows import TraceRows
from trajectory.errors import StoreError
from trajectory.model.fact import Batch
from trajectory.store.contract import TraceSummary
from trajectory.view.rows import Health, TraceRow
from trajectory.view.views import RunsQuery, RunsView


def told(*runs: BrokenRun, store: MemoryStore | None = None, seed: int | None = None) -> Pipeline:
    """A collector that heard some runs, each trace in a batch."""
    pipeline = Pipeline(store or MemoryStore(), (), Clock(NOW_NS + 10**12))
    parts = [part for run in runs for part in run.parts]
    if seed is not None:
        random.Random(seed).shuffle(parts)
    seqs: dict[bytes, int] = {}
    for part in parts:
        key = part.source.emitter_id
        batch = Batch(part.source, seqs.get(key, 0), part.facts)
        seqs[key] = batch.first_seq + len(part.facts)
        pipeline.store([batch])
        pipeline.fold([batch])
    pipeline.finish()
    return pipeline


def listed(runs: Listing) -> list[TraceRow]:
    while runs.runs.joined.read_on():
        pass
    return list(runs.rows(by_run=True))


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_a_run_is_one_row_with_the_first_traces_names_and_all_counts(shape: Callable[[int, float], BrokenRun]) -> None:
    run = shape(1, 0)
    pipeline = told(run)
    each = list(pipeline.runs.rows())
    (row,) = listed(pipeline.runs)
    assert (row.trace_id, row.run_id, row.traces) == (run.parts[0].trace_id.hex(),) * 2 + (len(run.parts),)
    assert row.steps == sum(r.steps for r in each) and row.started_ns == min(r.started_ns for r in each)
    assert row.title == next(r.title for r in each if r.trace_id == row.trace_id)
    assert pipeline.runs.count(by_run=True) == 1 and pipeline.runs.count() == len(run.parts)


def test_live_after_a_restart_and_at_rest_the_same_is_joined_in_any_order() -> None:
    runs = [messages(1, 0), linked(1, 100), texts(1, 200)]
    store = MemoryStore()
    rows = listed(told(*runs, store=store).runs)
    assert [row.traces for row in rows] == [3, 8, 3]
    assert listed(Pipeline(store, (), Clock()).runs) == rows
    assert listed(StoredLibrary(store).runs) == rows
    assert [r.run_id for r in listed(told(*runs, seed=3).runs)] == [r.run_id for r in rows]


def test_two_runs_alike_side_by_side_are_never_one_row() -> None:
    rows = listed(told(messages(1, 0), messages(2, 0.5)).runs)
    assert [row.traces for row in rows] == [1] * 6


def test_a_trace_is_listed_by_itself_until_all_that_is_saved_was_read() -> None:
    store = MemoryStore()
    told(messages(1, 0), store=store)
    runs = StoredLibrary(store).runs
    assert [row.traces for row in runs.rows(by_run=True)] == [1] * 3
    assert [row.traces for row in listed(runs)] == [3]


def test_a_filter_looks_at_each_trace_and_finds_those_of_a_run_by_its_id() -> None:
    run = messages(1, 0)
    pipeline = told(run)
    publisher = Publisher(pipeline, lambda: Health(now_ns=NOW_NS), is_live=lambda: True, clock=lambda: 0)
    view = publisher.answer(RunsQuery(), -1)
    assert isinstance(view, RunsView) and ([row.traces for row in view.rows], view.total) == ([3], 1)
    of_run = publisher.answer(RunsQuery(filter=f"run:{run.parts[0].trace_id.hex()[:12]}"), -1)
    assert isinstance(of_run, RunsView) and len(of_run.rows) == of_run.total == 3


def test_what_changes_in_a_part_changes_its_run_and_what_is_deleted_leaves_it() -> None:
    run = messages(1, 0)
    pipeline = told(run)
    assert listed(pipeline.runs)[0].state == "done"
    part = run.parts[1]
    more = Batch(
        part.source, len(part.facts), [started(99, agent="researcher", trace_id=part.trace_id, at_ns=NOW_NS + 10**12)]
    )
    pipeline.store([more])
    pipeline.fold([more])
    wait_for(lambda: listed(pipeline.runs)[0].state == "live", pipeline.tick)  # it sums up in a tenth of the time
    pipeline.writer.delete_trace(part.trace_id)
    pipeline.runs.forget(part.trace_id)
    assert [row.traces for row in listed(pipeline.runs)] == [2]


def test_summaries_of_an_earlier_release_are_listed_each_by_itself() -> None:
    store = MemoryStore()
    store.save_summaries([TraceSummary(n.to_bytes(16, "big"), state="done", started_ns=n) for n in range(1, 600)])
    runs = StoredLibrary(store).runs
    assert len(listed(runs)) == 599 and runs.count(by_run=True) == 599


def test_a_trace_of_a_store_is_shown_with_its_run_also_where_nobody_summed_up() -> None:
    run = messages(1, 0)
    store = MemoryStore()
    told(run, store=store)
    for is_summed_up in (True, False):
        if not is_summed_up:
            store._summaries.clear()
        folded = StoredLibrary(store).folded(run.parts[2].trace_id)
        assert folded is not None
        found, traces = stored_run(store, TraceRows(folded, NOW_NS, False))
        assert [t.trace_id for t in traces] == found.trace_ids == [part.trace_id for part in run.parts]
        assert [(j.agent, j.to_agent) for j in found.of(run.parts[2].trace_id)] == [("coordinator", "booker")]


class Unreadable(MemoryStore):
    """A store whose summaries are on a damaged page."""

    def summaries(self, *_: object, **__: object) -> list[TraceSummary]:
        raise StoreError("the store is damaged")


def test_summaries_that_cannot_be_read_are_not_joined() -> None:
    runs = joined.Joined(Unreadable())
    assert runs.read_on() and not runs.read_on()


def test_of_the_parts_of_runs_only_so_many_rows_are_kept_as_they_were_read(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    told(messages(1, 0), linked(1, 100), store=store)
    runs = StoredLibrary(store).runs
    rows = listed(runs)
    monkeypatch.setattr(joined, "MAX_TRACES", 2)
    again = StoredLibrary(store).runs
    again.runs.joined = runs.runs.joined
    assert list(again.rows(by_run=True)) == rows and len(again.runs._parts) == 2
