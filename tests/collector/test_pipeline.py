"""Stored, folded, judged: findings become facts, what memory forgets the store brings back, what fails costs only itself."""

import time
from collections.abc import Iterator
from functools import partial
from typing import ClassVar

import pytest

from tests.collector.builders import (
    NOW_NS,
    SECOND_NS,
    SOURCE,
    TRACE,
    Clock,
    FailingStore,
    SaysOnEnd,
    bench,
    ended,
    finding,
    span_id,
    started,
)
from trajectory.collector import held, relearning
from trajectory.collector.alert_rows import alert_rows
from trajectory.collector.health import Vitals
from trajectory.collector.pace import NOTHING_NS, QUICK_NS, Pace
from trajectory.collector.payloads import Payloads
from trajectory.collector.pipeline import Pipeline
from trajectory.collector.rows import TraceRows
from trajectory.collector.spans import span_rows
from trajectory.detection.stalled import StalledSpans
from trajectory.errors import StoreError, TrajectoryError
from trajectory.graph.trace import Trace
from trajectory.model.fact import Batch, Fact, Finding, Found, Heartbeat, Marked, Source, trace_of
from trajectory.model.words import CLOCK_OFFSET
from trajectory.signals.watch import Watch
from trajectory.view.muting import key_of_kind

FAILED: list[Fact] = [started(1), started(2, parent=1, kind="tool"), ended(2, status="error"), ended(1)]


def take(pipeline: Pipeline, *facts: Fact, source: Source = SOURCE) -> None:
    """Facts come in, behind those that came before."""
    batch = Batch(source, pipeline.writer.next_seq(source.emitter_id, source.boot_id), list(facts))
    pipeline.store([batch])
    pipeline.fold([batch])


def found_in(store: FailingStore, trace_id: bytes = TRACE) -> list[str]:
    """The findings' messages among a trace's stored facts."""
    return [f.finding.message for b in store.facts(trace_id) for f in b.facts if isinstance(f, Found)]


def test_a_finding_is_stored_as_a_fact_and_listed_once_grown() -> None:
    store = FailingStore()
    pipeline = Pipeline(store, [SaysOnEnd], Clock())
    take(pipeline, *FAILED)
    pipeline.tick()
    assert found_in(store) == ["failed", "failed, and it is over"]
    assert [f.message for f in store.findings(TRACE)] == ["failed, and it is over"]
    assert store.summaries()[0].critical == 1


class SaysWhenItSettles(SaysOnEnd):
    """The same, by and by."""

    def observe(self, fact: Fact, trace: Trace) -> list[Finding]:
        return []


def test_a_trace_that_was_summed_up_and_not_judged_yet_is_judged_by_the_next_collector() -> None:
    store, clock = FailingStore(), Clock()
    before = Pipeline(store, [SaysWhenItSettles], clock)
    take(before, *FAILED)
    before._judging.step = lambda now_ns: None  # type: ignore[method-assign]  # it is killed before that
    before.tick()
    assert [summary.state for summary in store.summaries()] == ["done"] and not store.findings()
    after = Pipeline(store, [SaysWhenItSettles], clock)
    assert after.recover() == 1
    for _ in range(4):
        after.tick()
        clock.passes(1)
    assert [f.message for f in store.findings(TRACE)] == ["failed, and it is over"]
    assert Pipeline(store, [SaysWhenItSettles], clock).recover() == 0


def test_a_restart_finds_nothing_again() -> None:
    store = FailingStore()
    before = Pipeline(store, [SaysOnEnd], Clock())
    take(before, *FAILED[:-1])
    before.tick()
    frames = store.last_frame()
    after = Pipeline(store, [SaysOnEnd], Clock())
    assert after.recover() == 1
    after.tick()
    after.finish()
    assert store.last_frame() == frames
    assert found_in(store) == ["failed", "failed, and it is over"]


def test_a_crash_between_store_and_fold_is_made_good_at_the_next_start() -> None:
    store = FailingStore()
    Pipeline(store, [SaysOnEnd], Clock()).store([Batch(SOURCE, 0, FAILED)])
    assert store.stale_traces() == [TRACE]
    after = Pipeline(store, [SaysOnEnd], Clock())
    assert after.recover() == 1
    after.tick()
    assert found_in(store) == ["failed", "failed, and it is over"]
    assert store.stale_traces() == []
    assert next(after.runs.rows()).state == "done"


def test_a_trace_that_memory_forgot_reads_the_same_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "MAX_TRACES", 2)
    monkeypatch.setattr(held, "_MIN_TRACES", 1)
    clock = Clock()
    store = FailingStore()
    pipeline = Pipeline(store, [SaysOnEnd], clock)
    take(pipeline, *FAILED)
    pipeline.finish()
    before = _rows(pipeline)
    for number in range(3):
        clock.passes(60)
        other = bytes([number]) * 16
        take(pipeline, started(1, trace_id=other), ended(1, trace_id=other))
        pipeline.make_room()
    assert TRACE not in [f.trace.trace_id for f in pipeline.traces()]
    assert _rows(pipeline) == before
    pipeline.tick()
    assert len(pipeline.traces()) == 2 and len(list(pipeline.runs.rows())) == 4


def _rows(pipeline: Pipeline) -> list[object]:
    folded = pipeline.folded(TRACE)
    assert folded is not None
    rows = TraceRows(folded, NOW_NS, is_live=True)
    return [rows.trace_row(), rows.lanes(), rows.delegation_rows(), alert_rows(rows), rows.tail(100), span_rows(rows)]


def test_a_trace_that_is_looked_at_is_not_the_first_to_be_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "MAX_TRACES", 2)
    monkeypatch.setattr(held, "_MIN_TRACES", 1)
    clock = Clock()
    pipeline = Pipeline(FailingStore(), [], clock)
    for number in range(2):
        clock.passes(1)
        take(pipeline, started(1, trace_id=bytes([number]) * 16), ended(1, trace_id=bytes([number]) * 16))
    clock.passes(1)
    pipeline.folded(bytes(16))
    clock.passes(1)
    take(pipeline, started(1), ended(1))
    pipeline.make_room()
    assert [f.trace.trace_id for f in pipeline.traces()] == [bytes(16), TRACE]


def test_own_facts_that_could_not_be_stored_are_stored_when_the_store_is_back() -> None:
    store = FailingStore()
    pipeline = Pipeline(store, [SaysOnEnd], Clock())
    take(pipeline, *FAILED)
    store.is_full = True
    with pytest.raises(StoreError):
        pipeline.tick()
    store.is_full = False
    pipeline.tick()
    assert found_in(store) == ["failed", "failed, and it is over"]
    assert len(store.findings(TRACE)) == 1


def test_an_earlier_part_that_cannot_be_read_now_is_read_with_the_next_fact() -> None:
    store = FailingStore()
    before = Pipeline(store, [], Clock())
    take(before, started(1))
    before.tick()
    after = Pipeline(store, [], Clock())
    store.is_unreadable = True
    batch = Batch(SOURCE, 1, [started(2, parent=1)])
    after.store([batch])
    after.fold([batch])
    assert "locked" in after.vitals.trouble and after.traces() == []
    store.is_unreadable = False
    take(after, ended(2), ended(1))
    (folded,) = after.traces()
    assert set(folded.trace.spans) == {span_id(1), span_id(2)} and folded.trace.state == "done"


class Raises:
    """A detector that fails, and one finding that cannot be stored."""

    name = "raises"

    def observe(self, fact: Fact, trace: Trace) -> Iterator[Finding]:
        yield finding(1, at_ns=1 << 70)
        yield finding(2, trace_id=b"short", at_ns=-1)
        raise RuntimeError("broken")

    def settle(self, now_ns: int, trace: Trace) -> list[Finding]:
        raise RecursionError


def test_a_detector_that_raises_or_talks_nonsense_costs_only_itself() -> None:
    store = FailingStore()
    pipeline = Pipeline(store, [Raises, SaysOnEnd], Clock())
    faults = set()
    for fact in FAILED:
        take(pipeline, fact)
        faults.add(pipeline.vitals.fault.partition(":")[0])
    pipeline.tick()
    assert found_in(store) == ["failed", "failed, and it is over"]
    assert faults == {"what a detector found", "the detector raises"}
    assert pipeline.vitals.fault in pipeline.vitals.failing


def test_a_mark_is_stored_before_it_is_answered_and_outlives_a_restart() -> None:
    store = FailingStore()
    before = Pipeline(store, [SaysOnEnd], Clock())
    take(before, *FAILED)
    before.tick()
    before.mark(Marked(TRACE, NOW_NS, f"cascade:{span_id(2).hex()}", "acknowledge", "known"))
    after = Pipeline(store, [SaysOnEnd], Clock())
    folded = after.folded(TRACE)
    assert folded is not None
    (alert,) = alert_rows(TraceRows(folded, NOW_NS, is_live=True))
    assert alert.state == "acknowledged"
    before.finish()
    assert store.summaries()[0].critical == 0


def test_a_mute_lasts_as_long_as_was_said_by_the_collectors_clock_and_outlives_a_restart() -> None:
    store, clock = FailingStore(), Clock()
    before = Pipeline(store, [SaysOnEnd], clock)
    take(before, *FAILED)
    before.tick()
    kind = key_of_kind("cascade")
    before.mark(Marked(TRACE, 7, kind, "mute", until_ns=7 + 60 * SECOND_NS))  # a watcher whose clock is far behind
    before.finish()
    assert store.summaries()[0].critical == 0
    after = Pipeline(store, [SaysOnEnd], clock)

    def states() -> list[tuple[str, str]]:
        folded = after.folded(TRACE)
        assert folded is not None
        return [(a.state, a.muted_by) for a in alert_rows(TraceRows(folded, clock(), is_live=True))]

    assert states() == [("muted", kind)]
    clock.passes(59)
    after.tick()
    version = after.version
    assert states() == [("muted", kind)]
    clock.passes(2)
    after.tick()
    assert states() == [("open", "")]
    assert after.version > version, "whoever watches is told"
    assert store.summaries()[0].critical == 1


def test_a_mark_of_an_unknown_trace_is_refused() -> None:
    with pytest.raises(TrajectoryError, match="there is no run"):
        Pipeline(FailingStore(), [], Clock()).mark(Marked(b"u" * 16, NOW_NS, "key", "mute"))


def test_a_saved_row_moves_the_version_so_that_lists_of_runs_end_up_right() -> None:
    pipeline = Pipeline(FailingStore(), [], Clock())
    take(pipeline, started(1))
    pipeline.tick()
    take(pipeline, ended(1))
    version = pipeline.version
    pipeline.tick()
    assert pipeline.version > version
    assert [row.state for row in pipeline.runs.rows()] == ["done"]


def test_a_silent_process_cuts_its_trace_off_until_it_is_heard_again() -> None:
    clock = Clock()
    pipeline = Pipeline(FailingStore(), [], clock)
    take(pipeline, started(1))
    pipeline.tick()
    clock.passes(16)
    pipeline.tick()
    assert [row.state for row in pipeline.runs.rows()] == ["cut_off"]
    take(pipeline, Heartbeat(clock(), 0))
    clock.passes(1)
    pipeline.tick()
    assert [row.state for row in pipeline.runs.rows()] == ["live"]


def test_a_clock_that_is_set_back_by_an_hour_puts_no_judgement_off() -> None:
    clock = Clock()
    pipeline = Pipeline(FailingStore(), [], clock)
    take(pipeline, started(1))
    pipeline.tick()
    clock.passes(-3600)
    pipeline.tick()
    clock.passes(3600 + 16)
    pipeline.tick()
    clock.passes(-3600)
    take(pipeline, Heartbeat(clock(), 0))
    pipeline.tick()
    assert [row.state for row in pipeline.runs.rows()] == ["live"]


def test_facts_of_no_trace_make_no_trace() -> None:
    pipeline = Pipeline(FailingStore(), [], Clock())
    take(pipeline, Heartbeat(NOW_NS, 0), started(1, trace_id=b""))
    assert pipeline.traces() == [] and trace_of(Heartbeat(NOW_NS, 0)) == b""


# --- how well it goes --------------------------------------------------------------------------------------------------


def test_facts_a_second_are_those_of_the_last_second() -> None:
    vitals = Vitals()
    for tenth in range(30):
        vitals.took(NOW_NS + tenth * SECOND_NS // 10, 5, 0)
    assert _health(vitals, NOW_NS + 29 * SECOND_NS // 10) == (50.0, 0)
    assert _health(vitals, NOW_NS + 4 * SECOND_NS) == (0.0, 0)
    assert vitals.fact_count == 150


def test_the_lag_is_the_worst_of_the_last_second_and_knows_imports_and_other_clocks() -> None:
    vitals = Vitals()
    vitals.took(NOW_NS, 1, NOW_NS - 30)
    vitals.took(NOW_NS, 1, NOW_NS - 70)
    vitals.took(NOW_NS, 1, NOW_NS + 500)
    vitals.took(NOW_NS, 1, NOW_NS - 7200 * SECOND_NS)
    assert _health(vitals, NOW_NS)[1] == 70
    assert _health(vitals, NOW_NS + SECOND_NS)[1] == 0


def test_what_nobody_asks_for_is_not_kept() -> None:
    vitals = Vitals()
    for second in range(1000):
        vitals.took(NOW_NS + second * SECOND_NS, 1, NOW_NS + second * SECOND_NS - 5)
    assert len(vitals._recent) == len(vitals._lag) == 1


def _health(vitals: Vitals, now_ns: int) -> tuple[float, int]:
    health = vitals.health(now_ns, emitters=0, store="", endpoint="")
    return health.facts_per_s, health.lag_ns


def test_a_collectors_health_measures_from_emitting_to_folding() -> None:
    with bench() as collector:
        peer = collector.peer()
        peer.hello()
        peer.facts(0, started(1, at_ns=NOW_NS - 40_000_000), ended(1, at_ns=NOW_NS - 10_000_000))
        collector.serve()
        health = collector.health()
        assert (health.state, health.facts_per_s, health.lag_ns, health.emitters) == ("live", 2.0, 40_000_000, 1)


def test_work_that_was_dear_rests_in_proportion_and_quick_work_never() -> None:
    clock = Clock(0)
    pace = Pace(9, clock)
    clock.at_ns = QUICK_NS
    assert pace.took(0) == QUICK_NS and pace.is_due
    clock.at_ns = 3 * QUICK_NS
    assert pace.took(0) == 3 * QUICK_NS and not pace.is_due
    clock.at_ns = 30 * QUICK_NS
    assert pace.is_due


def test_many_small_parts_rest_in_proportion_to_all_of_them() -> None:
    clock = Clock(0)
    pace = Pace(9, clock)
    pace.rests_for(NOTHING_NS)
    assert pace.is_due
    pace.rests_for(2 * NOTHING_NS)
    assert not pace.is_due
    clock.at_ns = 18 * NOTHING_NS
    assert pace.is_due


def test_a_trace_that_ended_is_summed_up_while_those_that_go_on_rest() -> None:
    pipeline = Pipeline(FailingStore(), [], Clock())
    pipeline.tick()
    pipeline._summing._live_pace.rests_for(1 << 60)
    other = b"o" * 16
    take(pipeline, started(1), started(1, trace_id=other), ended(1, trace_id=other))
    pipeline.tick()
    assert [row.trace_id for row in pipeline.runs.rows()] == [other.hex()]
    pipeline._summing._live_pace.rests_for(0)
    pipeline.tick()
    assert {row.trace_id: row.state for row in pipeline.runs.rows()} == {other.hex(): "done", TRACE.hex(): "live"}


def test_spans_in_memory_are_counted_as_they_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "MAX_TRACES", 2)
    monkeypatch.setattr(held, "_MIN_TRACES", 1)
    pipeline = Pipeline(FailingStore(), [SaysOnEnd], Clock())
    for number in range(1, 6):
        one = bytes([number]) * 16
        facts = [started(n, trace_id=one) for n in range(1, number + 1)]
        take(pipeline, *facts, ended(1, "error", trace_id=one))
        pipeline.tick()
    assert pipeline._held.span_count == sum(len(f.trace.spans) for f in pipeline.traces()) > 0


def test_bodies_beyond_the_limit_are_read_from_the_store() -> None:
    asked: list[bytes] = []

    def stored(digest: bytes) -> tuple[str, bytes] | None:
        asked.append(digest)
        return ("text/plain", b"stored") if digest != b"none" else None

    payloads = Payloads(stored, limit_bytes=1000)
    for name in (b"a", b"b", b"c"):
        payloads.put(name, "text/plain", b"x" * 100)
    assert payloads.get(b"c") == ("text/plain", b"x" * 100) and asked == []
    assert payloads.get(b"a") == ("text/plain", b"stored") and asked == [b"a"]
    assert payloads.get(b"none") is None


def test_how_long_earlier_runs_took_is_known_to_the_judges_of_later_ones() -> None:
    """A tool that took 100 s may take 700 s in the next run, and not 900 s."""
    clock, later = Clock(), b"a later trace..."
    pipeline = Pipeline(FailingStore(), [StalledSpans], clock)
    take(pipeline, started(1, kind="tool", name="dig"), ended(1, at_ns=NOW_NS + 100 * SECOND_NS))
    clock.passes(100)
    pipeline.tick()
    take(pipeline, started(2, kind="tool", name="dig", trace_id=later, at_ns=clock.at_ns))
    messages: list[str] = []
    for seconds in (1, 700, 200):
        clock.passes(seconds)
        pipeline.tick()
        messages.append(" ".join(f.message for f in pipeline.writer.findings(later)))
    assert messages[:2] == ["", ""]
    assert "800 s" in messages[2]


class CountsSettles:
    """A detector that counts how often it was asked, by all of its kind."""

    name = "test.settles"
    count = 0

    def observe(self, fact: Fact, trace: Trace) -> list[Finding]:
        return []

    def settle(self, now_ns: int, trace: Trace) -> list[Finding]:
        CountsSettles.count += 1
        return []


@pytest.mark.parametrize("is_looked_at", [False, True])
@pytest.mark.parametrize(
    "first_s", [1, 4]
)  # the first judging may itself come late, after an earlier one that was dear
def test_a_run_that_is_over_is_judged_once_more_when_facts_had_time_to_come_late(
    *, is_looked_at: bool, first_s: int
) -> None:
    clock = Clock()
    CountsSettles.count = 0
    pipeline = Pipeline(FailingStore(), [CountsSettles], clock)
    take(pipeline, started(1), ended(1))
    counts = []
    for seconds in (first_s, 1, 1, 3, 1, 100):
        clock.passes(seconds)
        if is_looked_at:
            pipeline.folded(TRACE)
        pipeline.tick()
        counts.append(CountsSettles.count)
    assert counts == [1, 1, 1, 2, 2, 2]


def test_a_run_that_is_over_is_only_read_when_somebody_looks_and_judged_whole_when_it_goes_on() -> None:
    store, clock = FailingStore(), Clock()
    CountsSettles.count = 0
    first = Pipeline(store, [CountsSettles], clock)
    take(first, started(1), ended(1))
    first.tick()
    first.finish()
    judged_count = CountsSettles.count
    then = Pipeline(store, [CountsSettles], clock)
    looked_at = then.folded(TRACE)
    assert looked_at is not None and list(looked_at.trace.spans) == [span_id(1)]
    for _ in range(3):
        clock.passes(10)
        then.tick()
    assert CountsSettles.count == judged_count
    more = [started(2, parent=1), ended(2)]
    then.store([Batch(SOURCE, 2, more)])
    then.fold([Batch(SOURCE, 2, more)])
    clock.passes(10)
    then.tick()
    assert CountsSettles.count > judged_count
    again = then.folded(TRACE)
    assert again is not looked_at and again is not None and sorted(again.trace.spans) == [span_id(1), span_id(2)]


class TakesLong:
    """A detector whose settling is noted, and takes longer than a tick may judge."""

    turns: ClassVar[list[str]] = []

    def __init__(self, name: str) -> None:
        self.name = name

    def observe(self, fact: Fact, trace: Trace) -> list[Finding]:
        return []

    def settle(self, now_ns: int, trace: Trace) -> list[Finding]:
        began_ns = time.monotonic_ns()
        while time.monotonic_ns() - began_ns < 30_000_000:
            pass
        self.turns.append(self.name)
        return []


def test_a_run_that_takes_long_to_judge_is_judged_in_parts_between_which_facts_and_questions_have_their_turn() -> None:
    clock = Clock()
    TakesLong.turns.clear()
    pipeline = Pipeline(FailingStore(), [partial(TakesLong, "one"), partial(TakesLong, "two")], clock)
    take(pipeline, started(1), ended(1))
    seen = []
    for _ in range(3):
        clock.passes(1)
        pipeline.tick()
        seen.append(list(TakesLong.turns))
    assert seen == [["one"], ["one", "two"], ["one", "two"]]


def test_a_mark_that_comes_with_the_facts_of_a_file_counts_as_one_that_was_made_here() -> None:
    store = FailingStore()
    pipeline = Pipeline(store, [SaysOnEnd], Clock())
    take(pipeline, *FAILED)
    pipeline.tick()
    take(pipeline, Marked(TRACE, NOW_NS, f"cascade:{span_id(2).hex()}", "acknowledge", "known"))
    (alert,) = alert_rows(TraceRows(pipeline.traces()[0], NOW_NS, is_live=True))
    assert alert.state == "acknowledged"


def test_a_fact_that_our_fold_cannot_take_costs_only_itself_also_when_it_is_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    apply = Trace.apply

    def raising(trace: Trace, fact: Fact, source: Source) -> object:
        if getattr(fact, "span_id", b"") == span_id(2):
            raise RuntimeError("a fact that nobody thought of")
        return apply(trace, fact, source)

    monkeypatch.setattr(Trace, "apply", raising)
    store = FailingStore()
    pipeline = Pipeline(store, [], Clock())
    take(pipeline, started(1), started(2, parent=1), started(3, parent=1), ended(3), ended(1))
    assert pipeline.vitals.fault == "folding a fact: RuntimeError: a fact that nobody thought of"
    assert set(pipeline.traces()[0].trace.spans) == {span_id(1), span_id(3)}
    pipeline.finish()
    assert len([fact for batch in store.facts(TRACE) for fact in batch.facts]) >= 5
    learns = relearning.Relearning(store, {}.get, Watch())
    learns._pace.rests_for(0)
    assert learns.step(NOW_NS) and len(learns._watch) == 0  # that run is left out, and whatever else there is goes on
    again = Pipeline(store, [], Clock())
    folded = again.folded(TRACE)
    assert folded is not None and set(folded.trace.spans) == {span_id(1), span_id(3)}
    assert again.vitals.fault == "folding a stored fact: RuntimeError: a fact that nobody thought of"


def test_no_more_steps_are_learnt_anew_than_there_is_time_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relearning, "MAX_STEPS", 3)
    store = FailingStore()
    pipeline = Pipeline(store, [], Clock())
    traces = [bytes([n]) * 16 for n in range(1, 4)]
    for n, trace_id in enumerate(traces):
        facts = [
            f for m in (2 * n + 1, 2 * n + 2) for f in (started(m, trace_id=trace_id), ended(m, trace_id=trace_id))
        ]
        take(pipeline, *facts)
    pipeline.finish()
    chosen = relearning.Relearning(store, {}.get, Watch())._latest()
    assert [summary.steps for summary in chosen] == [2] and chosen[0].trace_id == store.summaries()[0].trace_id


def test_of_clocks_that_are_off_only_so_many_hosts_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trajectory.collector.health._MAX_SKEWED", 2)
    vitals = Vitals()
    for n in range(3):
        host = {"host.name": f"host-{n}", CLOCK_OFFSET: 60 * SECOND_NS}
        vitals.noted(NOW_NS, Source(bytes([n]) * 16, b"b" * 16, host))
    said = " ".join(vitals.health(NOW_NS, emitters=3, store="", endpoint="").notices)
    assert "host-0" not in said and "host-1" in said and "host-2" in said
