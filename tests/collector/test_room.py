"""What the collector keeps in memory, and what it forgets.

Invariant: forgetting loses nothing, because a trace is judged and summed up before and read from the store after.
"""

import gc

import pytest

from tests.collector.builders import SOURCE, Clock, FailingStore, SaysOnEnd, ended, started
from trajectory.collector import held as holding
from trajectory.collector import pipeline as pipelines
from trajectory.collector.pipeline import Pipeline
from trajectory.graph.span import Span
from trajectory.model.fact import Batch, Fact

TRACES = 20
SPANS = 5


def trace_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


def run_of(number: int, *, is_open: bool = False) -> list[Fact]:
    facts: list[Fact] = [started(1, trace_id=trace_id(number))]
    for child in range(2, SPANS + 1):
        facts += [started(child, parent=1, trace_id=trace_id(number)), ended(child, trace_id=trace_id(number))]
    return facts if is_open else [*facts, ended(1, "error", trace_id=trace_id(number))]


def take(pipeline: Pipeline, runs: list[list[Fact]]) -> None:
    facts = [fact for run in runs for fact in run]
    batches = [Batch(SOURCE, pipeline.writer.next_seq(SOURCE.emitter_id, SOURCE.boot_id), facts)]
    pipeline.store(batches)
    pipeline.fold(batches)


@pytest.fixture(autouse=True)
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "KEPT_SPANS", 10 * SPANS)


def held(pipeline: Pipeline) -> set[bytes]:
    return {folded.trace.trace_id for folded in pipeline.traces()}


def test_ended_traces_beyond_the_limit_are_judged_summed_up_forgotten_and_read_again_when_someone_asks() -> None:
    store, clock = FailingStore(), Clock()
    pipeline = Pipeline(store, [SaysOnEnd], clock)
    take(pipeline, [run_of(n) for n in range(1, TRACES + 1)])
    pipeline.make_room()
    assert len(held(pipeline)) == 10
    gone = {trace_id(n) for n in range(1, TRACES + 1)} - held(pipeline)
    for one in gone:
        assert [f.message for f in store.findings(one)] == ["failed, and it is over"]
        summary = store.summary(one)
        assert summary is not None and (summary.state, summary.steps, summary.critical) == ("failed", SPANS, 1)
        again = pipeline.folded(one)
        assert again is not None and len(again.trace.spans) == SPANS


def test_a_trace_that_goes_on_stays_while_ended_ones_make_room() -> None:
    store, clock = FailingStore(), Clock()
    pipeline = Pipeline(store, (), clock)
    take(pipeline, [run_of(n, is_open=True) for n in range(1, 13)])
    clock.passes(60)
    take(pipeline, [run_of(n) for n in range(13, TRACES + 1)])
    pipeline.make_room()
    assert held(pipeline) == {trace_id(n) for n in range(1, 13)}


def test_a_trace_that_someone_looks_at_stays() -> None:
    store, clock = FailingStore(), Clock()
    pipeline = Pipeline(store, (), clock)
    take(pipeline, [run_of(n) for n in range(1, TRACES + 1)])
    clock.passes(60)
    looked_at = trace_id(1)
    pipeline.folded(looked_at)
    pipeline.make_room()
    assert looked_at in held(pipeline)
    assert len(held(pipeline)) == 10


def test_traces_beyond_the_hard_limit_are_forgotten_though_they_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "MAX_TRACES", 12)
    store, clock = FailingStore(), Clock()
    pipeline = Pipeline(store, (), clock)
    take(pipeline, [run_of(n, is_open=True) for n in range(1, TRACES + 1)])
    pipeline.make_room()
    assert len(held(pipeline)) == 12


def test_a_trace_that_is_listed_no_more_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipelines, "LISTED_TRACES", 5)
    pipeline = Pipeline(FailingStore(), (), Clock())
    take(pipeline, [run_of(n) for n in range(1, TRACES + 1)])
    pipeline.make_room()
    gone = trace_id(1)
    assert gone not in held(pipeline) and len(list(pipeline.runs.rows())) == 5
    take(pipeline, [[started(99, parent=1, trace_id=gone)]])
    again = pipeline.folded(gone)
    assert again is not None and len(again.trace.spans) == SPANS + 1


def test_what_is_forgotten_is_free_at_once() -> None:
    pipeline = Pipeline(FailingStore(), [SaysOnEnd], Clock())
    take(pipeline, [run_of(n) for n in range(1, TRACES + 1)])
    gc.collect()
    gc.disable()
    try:
        before = living_spans()
        pipeline.make_room()
        assert before - living_spans() == (TRACES - 10) * SPANS
    finally:
        gc.enable()


def living_spans() -> int:
    return sum(type(one) is Span for one in gc.get_objects())
