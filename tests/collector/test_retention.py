"""The collector keeps its store within bounds while it serves: what is retired leaves every view, and may begin anew."""

import pytest

from tests.collector.builders import NOW_NS, SOURCE, Clock, ended, finding, started
from tests.store.memory import MemoryStore
from trajectory.collector.folded import FoldedTrace
from trajectory.collector.health import Vitals
from trajectory.collector.pace import Pace
from trajectory.collector.pipeline import Pipeline
from trajectory.collector.rows import TraceRows
from trajectory.model.fact import Batch, Fact, Found
from trajectory.model.words import SESSION_ID
from trajectory.store.contract import Pin, Writer
from trajectory.store.retention import Bounds

HOUR_S = 3600.0
BOUNDS = Bounds(keep_ns=int(24 * HOUR_S * 1e9))
OLD, OPEN, PINNED = (bytes([n]) * 16 for n in (1, 2, 3))


class Hands:
    """A test's clock as a store asks it."""

    def __init__(self, clock: Clock) -> None:
        self.now_ns = clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


def serve(store: Writer, clock: Clock) -> Pipeline:
    made = Pipeline(store, (), clock)
    made._retention_pace = Pace(0)  # a slow machine must not make it rest
    made.keep(BOUNDS)
    return made


@pytest.fixture
def pipeline(clock: Clock) -> Pipeline:
    return serve(MemoryStore(Hands(clock)), clock)


def take(pipeline: Pipeline, *facts: Fact) -> None:
    batch = Batch(SOURCE, pipeline.writer.next_seq(SOURCE.emitter_id, SOURCE.boot_id), list(facts))
    pipeline.store([batch])
    pipeline.fold([batch])


def notices(vitals: Vitals) -> list[str]:
    return vitals.health(NOW_NS, emitters=0, store="", endpoint="").notices


def state(folded: FoldedTrace, clock: Clock) -> str:
    return TraceRows(folded, clock(), is_live=True).state()


def test_a_tick_retires_what_is_old_and_says_so(pipeline: Pipeline, clock: Clock) -> None:
    take(pipeline, started(1, trace_id=OLD), ended(1, trace_id=OLD))
    take(pipeline, started(1, trace_id=PINNED), ended(1, trace_id=PINNED))
    pipeline.writer.set_pins([Pin("trace", PINNED.hex())], pinned=True)
    pipeline.tick()
    assert notices(pipeline.vitals) == []
    clock.passes(25 * HOUR_S)
    take(pipeline, started(1, trace_id=OPEN, at_ns=clock()))
    before = pipeline.version
    pipeline.tick()
    assert pipeline.version > before
    assert {row.trace_id for row in list(pipeline.runs.rows())} == {OPEN.hex(), PINNED.hex()}
    assert pipeline.writer.trace_ids() == [PINNED, OPEN]
    assert pipeline.folded(OLD) is None
    assert notices(pipeline.vitals) == ["retired 1 trace older than 1 day"]


def test_a_trace_whose_process_still_speaks_is_not_retired(pipeline: Pipeline, clock: Clock) -> None:
    take(pipeline, started(1, trace_id=OPEN))
    folded = pipeline.folded(OPEN)
    assert folded is not None
    for _ in range(40):
        clock.passes(HOUR_S)
        folded.trace.heard_ns[SOURCE.emitter_id] = clock()  # heartbeats say so
        pipeline.tick()
    assert state(folded, clock) == "live"
    assert pipeline.writer.trace_ids() == [OPEN]
    clock.passes(HOUR_S)
    assert state(folded, clock) == "cut_off"
    pipeline.tick()
    assert pipeline.writer.trace_ids() == []


def test_a_fact_of_a_retired_trace_begins_it_anew_and_nothing_counts_as_lost(pipeline: Pipeline, clock: Clock) -> None:
    take(pipeline, started(1, trace_id=OLD), started(2, parent=1, trace_id=OLD), ended(2, trace_id=OLD))
    pipeline.tick()
    clock.passes(25 * HOUR_S)
    pipeline.tick()
    assert list(pipeline.runs.rows()) == []
    take(pipeline, started(3, parent=1, trace_id=OLD, at_ns=clock()), ended(3, trace_id=OLD, at_ns=clock() + 1))
    pipeline.tick()
    folded = pipeline.folded(OLD)
    assert folded is not None
    assert [fact for batch in pipeline.writer.facts(OLD) for fact in batch.facts] == [
        started(3, parent=1, trace_id=OLD, at_ns=clock()),
        ended(3, trace_id=OLD, at_ns=clock() + 1),
    ]
    row = TraceRows(folded, clock(), is_live=True).trace_row()
    assert not row.is_partial
    assert pipeline.vitals.dropped_count == 0
    assert notices(pipeline.vitals) == ["retired 1 trace older than 1 day"]


def test_what_was_found_in_a_retired_trace_is_not_stored_behind_its_back(pipeline: Pipeline, clock: Clock) -> None:
    take(pipeline, started(1, trace_id=OLD), ended(1, trace_id=OLD))
    pipeline.tick()
    clock.passes(25 * HOUR_S)
    folded = pipeline.folded(OLD)
    assert folded is not None
    pipeline._keep(folded, [finding(trace_id=OLD)])
    pipeline.retire(0.1)
    pipeline.tick()
    pipeline.finish()
    assert list(pipeline.writer.all_batches()) == []
    assert pipeline.writer.findings() == []
    assert pipeline.writer.summaries() == []


def test_a_trace_that_was_never_folded_is_folded_before_it_is_judged(clock: Clock) -> None:
    store = MemoryStore(Hands(clock))
    session = {SESSION_ID: "chat"}
    facts: list[Fact] = [
        started(1, trace_id=PINNED, attributes=session),
        ended(1, trace_id=PINNED),
        started(1, trace_id=OLD),
        Found(NOW_NS, finding(trace_id=OPEN)),
    ]
    store.append([Batch(SOURCE, 0, facts)])
    store.set_pins([Pin("session", "chat")], pinned=True)
    pipeline = serve(store, clock)
    clock.passes(25 * HOUR_S)
    pipeline.tick()
    assert store.trace_ids() == [PINNED]


def test_a_store_that_cannot_retire_is_a_notice_and_facts_go_on(pipeline: Pipeline, clock: Clock) -> None:
    take(pipeline, started(1, trace_id=PINNED), ended(1, trace_id=PINNED))
    pipeline.tick()
    pipeline.writer.set_pins([Pin("trace", PINNED.hex())], pinned=True)
    pipeline.keep(Bounds(keep_bytes=1))
    clock.passes(HOUR_S)
    pipeline.tick()
    pipeline.retire(5.0)  # a tick has ten milliseconds for it, in which a slow machine may not come to an end
    (notice,) = notices(pipeline.vitals)
    assert "nothing may go: what is left is pinned, open or new" in notice
    take(pipeline, started(1, trace_id=OPEN))
    assert pipeline.vitals.trouble == ""
