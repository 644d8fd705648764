"""The collector's sums: what is counted once stays so over restarts, late facts, memory that forgets, and deletions."""

import weakref
from collections.abc import Callable

import pytest

from tests.collector.builders import NOW_NS, SECOND_NS, SOURCE, TRACE, Clock, FailingStore, SaysOnEnd, ended, started
from tests.scenarios import SOURCE as TEAM
from tests.scenarios import Scenario
from trajectory.collector import handovers, held
from trajectory.collector.importing import through_pipeline
from trajectory.collector.pipeline import Pipeline
from trajectory.collector.rows import TraceRows
from trajectory.collector.sums import Sums
from trajectory.errors import StoreError
from trajectory.model.fact import Batch, Fact
from trajectory.model.words import INPUT_TOKENS, MODEL_NAME, OUTPUT_TOKENS
from trajectory.signals.book import Book
from trajectory.signals.figures import Figures
from trajectory.signals.tally import read_saved

USED = {MODEL_NAME: "gpt-4o", INPUT_TOKENS: 1000, OUTPUT_TOKENS: 10}


def take(pipeline: Pipeline, *facts: Fact) -> None:
    batch = Batch(SOURCE, pipeline.writer.next_seq(SOURCE.emitter_id, SOURCE.boot_id), list(facts))
    pipeline.store([batch])
    pipeline.fold([batch])


def call(number: int, parent: int = 1, **more: object) -> list[Fact]:
    """A model call that used 1,000 tokens in and 10 out."""
    trace = {key: value for key, value in more.items() if key == "trace_id"}
    return [started(number, parent=parent, kind="model", **trace), ended(number, attributes=USED, **more)]  # type: ignore[arg-type]


def total(book: Book, kind: str) -> Figures:
    found = Figures()
    for labels, figures in book.totals.items():
        if labels.kind == kind:
            found.add(figures)
    return found


def in_windows(book: Book, kind: str) -> tuple[int, float]:
    those = [figures for _, labels, figures in book.since(0) if labels.kind == kind]
    return sum(f.count for f in those), sum(f.input_tokens.sum for f in those)


def saved(store: FailingStore, kind: str) -> tuple[int, float]:
    """How many of a kind all the saved tallies tell of, and their tokens."""
    tallies = [read_saved(row.body) for row in store.tallies()]
    those = [f for tally in tallies if tally for group, f in tally.groups if group.kind == kind]
    return sum(f.count for f in those), sum(f.input_tokens.sum for f in those)


def test_what_a_trace_did_is_counted_once_however_often_it_is_summed_up() -> None:
    store, clock = FailingStore(), Clock()
    pipeline = Pipeline(store, [SaysOnEnd], clock)
    take(pipeline, started(1), *call(2))
    pipeline.finish()
    take(pipeline, *call(3), started(4, parent=1, kind="tool", name="dig"), ended(4, "error"))
    for _ in range(3):
        clock.passes(1)
        pipeline.finish()
    take(pipeline, ended(1))
    pipeline.finish()
    models, tools = total(pipeline.sums.book, "model"), total(pipeline.sums.book, "tool")
    assert (models.count, models.input_tokens.sum, models.cost_known) == (2, 2000, 2)
    assert (tools.count, tools.errors) == (1, 1)
    assert total(pipeline.sums.book, "finding").count == 1  # it grew, and is one
    assert saved(store, "model") == in_windows(pipeline.sums.book, "model") == (2, 2000)


def test_a_late_child_corrects_what_was_counted() -> None:
    store = FailingStore()
    pipeline = Pipeline(store, [], Clock())
    take(pipeline, started(1), *call(2))
    pipeline.finish()
    take(pipeline, *call(3, parent=2), *call(4, parent=2))
    pipeline.finish()
    models = total(pipeline.sums.book, "model")
    assert (models.count, models.input_tokens.sum) == (2, 2000)  # the outer one only wraps them
    assert saved(store, "model") == (2, 2000)


def go_on_after_a_restart(pipeline: Pipeline) -> Pipeline:
    after = Pipeline(pipeline.writer, [], Clock())
    after.recover()
    return after


def go_on_after_a_stop(pipeline: Pipeline) -> Pipeline:
    pipeline.finish()
    return go_on_after_a_restart(pipeline)


@pytest.mark.parametrize("again", [go_on_after_a_restart, go_on_after_a_stop])
@pytest.mark.parametrize("is_open", [True, False])
def test_a_restart_neither_loses_nor_doubles(again: Callable[[Pipeline], Pipeline], is_open: bool) -> None:
    store = FailingStore()
    before = Pipeline(store, [], Clock())
    take(before, started(1), *call(2), *([] if is_open else [ended(1)]))
    before.finish()
    take(before, *call(3))  # stored, and not summed up when it dies
    after = again(before)
    counted = total(before.sums.book, "model").count
    take(after, *call(4))
    after.finish()
    after.finish()
    models = total(after.sums.book, "model")
    assert counted + models.count == 3 and models.input_tokens.sum == models.count * 1000
    assert saved(store, "model") == in_windows(after.sums.book, "model") == (3, 3000)


def test_a_trace_that_memory_forgot_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "MAX_TRACES", 2)
    monkeypatch.setattr(held, "_MIN_TRACES", 1)
    store, clock = FailingStore(), Clock()
    pipeline = Pipeline(store, [], clock)
    take(pipeline, started(1), *call(2), ended(1))
    pipeline.finish()
    for number in range(3):
        clock.passes(20)
        other = bytes([number]) * 16
        take(pipeline, started(1, trace_id=other), ended(1, trace_id=other))
        pipeline.make_room()
    assert TRACE not in [f.trace.trace_id for f in pipeline.traces()]
    assert pipeline.folded(TRACE) is not None  # somebody looks at it
    pipeline.finish()
    take(pipeline, *call(3))
    pipeline.finish()
    models = total(pipeline.sums.book, "model")
    assert (models.count, models.input_tokens.sum) == (2, 2000)
    assert saved(store, "model") == in_windows(pipeline.sums.book, "model") == (2, 2000)


def test_what_is_retired_leaves_the_store_and_stays_counted() -> None:
    store = FailingStore()
    pipeline = Pipeline(store, [], Clock())
    take(pipeline, started(1), *call(2), ended(1))
    pipeline.finish()
    store.delete_trace(TRACE)
    pipeline._drop(TRACE)
    assert list(store.tallies()) == [] and total(pipeline.sums.book, "model").count == 1
    take(pipeline, started(5), *call(6, parent=5), ended(5))
    pipeline.finish()
    assert total(pipeline.sums.book, "model").count == 2 and saved(store, "model") == (1, 1000)


def test_what_could_not_be_saved_is_counted_when_it_is() -> None:
    store = FailingStore()
    pipeline = Pipeline(store, [], Clock())
    take(pipeline, started(1), *call(2), ended(1))
    store.is_full = True
    with pytest.raises(StoreError):
        pipeline.finish()
    assert total(pipeline.sums.book, "model").count == 0
    store.is_full = False
    pipeline.finish()
    assert total(pipeline.sums.book, "model").count == 1 and saved(store, "model") == (1, 1000)


def test_an_import_is_counted_and_lies_in_no_window_of_today() -> None:
    store = FailingStore()
    pipeline = Pipeline(store, [], Clock())
    long_ago = NOW_NS - 90 * 24 * 3600 * SECOND_NS
    facts = [started(1, at_ns=long_ago), *call(2, at_ns=long_ago + 5), ended(1, at_ns=long_ago + 9)]
    for _ in range(2):
        through_pipeline(pipeline)([Batch(SOURCE, 0, facts)])
        pipeline.finish()
    assert total(pipeline.sums.book, "model").count == 1
    assert in_windows(pipeline.sums.book, "model") == (0, 0) and saved(store, "model") == (1, 1000)


def test_a_trace_of_no_agent_is_counted_too() -> None:
    pipeline = Pipeline(FailingStore(), [], Clock())
    take(pipeline, *call(2, parent=0), *call(3, parent=0))
    pipeline.finish()
    models = total(pipeline.sums.book, "model")
    assert (models.count, models.input_tokens.sum) == (2, 2000)


def one_delegation(trace_id: bytes = b"scenario-trace-1") -> Scenario:
    """A planner asks another agent, and both say what they were given."""
    run = Scenario(trace_id)
    with run.agent("planner", task="Cancel the booking BK-20931 in Lyon"):
        with run.delegate("research", task="Cancel the booking BK-20931"):
            run.tool("cancel", {"code": "BK-20931"}, result="cancelled")
            run.returns("It is cancelled.")
        run.returns("Done.")
    return run


def test_what_came_through_at_a_delegation_is_worked_out_when_the_trace_is_over() -> None:
    run, store = one_delegation(), FailingStore()
    pipeline = Pipeline(store, [], Clock())
    pipeline.store([Batch(TEAM, 0, run.facts)])
    pipeline.fold([Batch(TEAM, 0, run.facts)])
    pipeline.finish()
    delegations = total(pipeline.sums.book, "delegation")
    assert (delegations.count, delegations.needed, delegations.arrived, delegations.crossings_known) == (1, 1, 1, 1)
    assert saved(store, "delegation") == (1, 0)
    again = Pipeline(store, [], Clock())
    assert again.folded(run.trace().trace_id) is not None
    again.finish()
    assert total(again.sums.book, "delegation").is_nothing


def test_a_trace_that_memory_forgot_is_not_held_until_what_crossed_in_it_is_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, pipeline = one_delegation(), Pipeline(FailingStore(), [], Clock())
    pipeline.store([Batch(TEAM, 0, run.facts)])
    pipeline.fold([Batch(TEAM, 0, run.facts)])
    pipeline._summarise(pipeline.traces(), is_sweep=True)  # it waits to be compared now
    left = weakref.ref(pipeline.traces()[0])
    monkeypatch.setattr(held, "_MIN_TRACES", 0)
    monkeypatch.setattr(held, "KEPT_SPANS", 0)
    pipeline.make_room()
    assert pipeline.traces() == [] and left() is None
    assert total(pipeline.sums.book, "delegation").count == 1


def raising_for(trace_id: bytes, does: Callable[..., object]) -> Callable[..., object]:
    """What raises for one trace, as its hostile facts might, and does for all others what it does."""

    def raising(itself: object, *words: object) -> object:
        folded = getattr(itself, "folded", None) or (words[0] if words else None)
        trace = getattr(folded, "trace", None) or getattr(itself, "trace", None)
        if getattr(trace, "trace_id", b"") == trace_id:
            raise RuntimeError("a fact that nobody thought of")
        return does(itself, *words)

    return raising


@pytest.mark.parametrize(
    ("owner", "name", "where"),
    [(TraceRows, "trace_row", "a summary"), (Sums, "look", "counting a trace")],
    ids=["a row", "sums"],
)
def test_a_trace_whose_facts_we_cannot_sum_up_costs_no_other_one_and_is_told(
    owner: type, name: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = b"another-trace-of"
    monkeypatch.setattr(owner, name, raising_for(TRACE, getattr(owner, name)))
    store = FailingStore()
    pipeline = Pipeline(store, [], Clock())
    take(pipeline, started(1), *call(2), ended(1))
    take(pipeline, started(3, trace_id=other), *call(4, parent=3, trace_id=other), ended(3, trace_id=other))
    pipeline.finish()
    assert other.hex() in {row.trace_id for row in pipeline.runs.rows()}
    assert saved(store, "model") == (1, 1000)
    assert pipeline.vitals.fault == f"{where}: RuntimeError: a fact that nobody thought of"


def test_what_cannot_be_compared_at_delegations_is_told_and_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(*_: object) -> None:
        raise RuntimeError("a text that nobody thought of")

    monkeypatch.setattr(Sums, "work_out", raising)
    store = FailingStore()
    pipeline = Pipeline(store, [], Clock())
    take(pipeline, started(1), *call(2), ended(1))
    pipeline.finish()
    assert pipeline.vitals.fault == "comparing what crossed: RuntimeError: a text that nobody thought of"
    assert saved(store, "model") == (1, 1000)


def test_of_traces_that_wait_to_be_compared_the_newest_are_kept_and_none_that_memory_forgot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(handovers, "_MAX_WAITING", 2)
    pipeline, traces = Pipeline(FailingStore(), [], Clock()), []
    for n in range(3):
        run = one_delegation(bytes([n + 1]) * 16)
        batch = Batch(TEAM, pipeline.writer.next_seq(TEAM.emitter_id, TEAM.boot_id), run.facts)
        pipeline.store([batch])
        pipeline.fold([batch])
        folded = pipeline.folded(run.trace_id)
        assert folded is not None
        traces.append(folded)
    waiting = handovers.Handovers()
    pipeline._summarise(traces, is_sweep=True)
    for folded in traces:
        waiting.add(folded)
    assert list(waiting._waiting) == [folded.trace.trace_id for folded in traces[1:]]
    waiting._begin()
    assert waiting._now is not None and waiting._now[0] is traces[1]
    waiting.forget(traces[1].trace.trace_id)
    assert waiting._now is None
