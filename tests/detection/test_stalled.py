"""Rules of `flow.stalled`. The scenario's clock is the only one."""

from collections.abc import Mapping

from tests.detection.stories import stuck
from tests.scenarios import Scenario
from trajectory.detection.stalled import FLOOR_S, MODEL_FLOOR_S, StalledSpans
from trajectory.detection.usual import MAX_NAMES_COUNT, UsualDurations
from trajectory.graph.trace import Trace
from trajectory.model.fact import Finding
from trajectory.model.words import SYNTHETIC_TIME, SpanKind


class Watch:
    """A detector over a scenario that is still being told; settles as told, each second of its clock."""

    def __init__(self, run: Scenario, usual_s: Mapping[tuple[str, str], float] | None = None) -> None:
        self.run = run
        self.detector = StalledSpans(usual_s)
        self.trace: Trace = run.empty_trace()
        self._count = 0

    def after(self, seconds: float) -> list[Finding]:
        """What is found once `seconds` have passed since everything told so far was heard."""
        self._hear()
        list(self.detector.settle(self.run.now_ns, self.trace))
        self.run.passes(seconds)
        self._hear()
        return list(self.detector.settle(self.run.now_ns, self.trace))

    def _hear(self) -> None:
        for fact in self.run.facts[self._count :]:
            self.trace.apply(fact, self.run.source)
            list(self.detector.observe(fact, self.trace))
        self._count = len(self.run.facts)


def test_open_work_without_a_sign_of_life_is_stalled_and_only_the_innermost() -> None:
    run = stuck()
    (finding,) = Watch(run).after(FLOOR_S + 5)
    assert finding.span_id == run.names["drill"]
    assert finding.agent == "worker"
    assert finding.path == [run.names["drill"], run.names["worker"]]


def test_before_the_floor_nothing_stalls() -> None:
    assert Watch(stuck()).after(FLOOR_S - 5) == []


def test_a_model_call_has_a_longer_floor() -> None:
    run = Scenario()
    run.opens(SpanKind.MODEL, "chat")
    watch = Watch(run)
    assert watch.after(MODEL_FLOOR_S - 5) == []
    assert len(watch.after(10)) == 1


def test_work_that_usually_takes_long_may_take_long() -> None:
    assert Watch(stuck(), {("tool", "drill"): 60.0}).after(400) == []
    assert len(Watch(stuck(), {("tool", "drill"): 60.0}).after(500)) == 1


def test_what_completed_calls_of_the_trace_took_counts_more_than_the_table() -> None:
    run = Scenario()
    run.opens(SpanKind.AGENT, "worker", agent="worker")
    for _ in range(3):
        call = run.opens(SpanKind.TOOL, "drill", under="worker")
        run.passes(99)
        run.ends(call)
    run.opens(SpanKind.TOOL, "drill", under="worker")
    assert Watch(run, {("tool", "drill"): 1.0}).after(700) == []


def test_an_event_is_a_sign_of_life() -> None:
    run = stuck()
    watch = Watch(run)
    watch.after(FLOOR_S - 5)
    run.thinks("still digging", under="drill")
    assert watch.after(FLOOR_S - 5) == []


def test_a_process_that_is_heard_hangs_and_one_that_is_not_is_dead() -> None:
    run = stuck()
    (dead,) = Watch(run).after(100)
    assert "not been heard" in dead.message
    run = stuck()
    watch = Watch(run)
    watch.after(90)
    run.heartbeat()
    (hung,) = watch.after(5)
    assert "alive" in hung.message
    assert hung.key == dead.key


def test_facts_that_come_late_stall_nothing() -> None:
    run = stuck()
    watch = Watch(run)
    watch.run.passes(10_000)
    assert watch.after(0) == []


def test_a_span_that_ended_is_forgotten() -> None:
    run = stuck()
    watch = Watch(run)
    assert len(watch.after(60)) == 1
    run.ends(run.names["drill"])
    run.ends(run.names["worker"])
    assert watch.after(1000) == []


def test_synthetic_time_stalls_nothing() -> None:
    run = Scenario()
    run.opens(SpanKind.TOOL, "drill", attributes={SYNTHETIC_TIME: True})
    assert Watch(run).after(1000) == []


def test_who_waits_for_work_that_was_given_away_is_not_named() -> None:
    run = Scenario()
    run.opens(SpanKind.AGENT, "planner", agent="planner")
    run.opens(SpanKind.DELEGATION, "delegate booker", under="planner")
    assert Watch(run).after(1000) == []


def finished(seconds: int) -> Trace:
    run = stuck()
    run.passes(seconds)
    run.ends(run.names["drill"])
    run.ends(run.names["worker"])
    return run.trace()


def test_what_earlier_runs_took_is_learnt_while_it_is_read() -> None:
    usual = UsualDurations()
    watch = Watch(stuck(), usual)
    for seconds in (59, 59, 400):
        usual.learn(finished(seconds))
    assert watch.after(400) == []
    assert len(watch.after(100)) == 1


def test_what_usually_takes_how_long_is_bounded() -> None:
    usual = UsualDurations()
    run = Scenario()
    for number in range(MAX_NAMES_COUNT + 5):
        run.ends(run.opens(SpanKind.TOOL, f"tool {number}"))
    usual.learn(run.trace())
    assert len(usual) == MAX_NAMES_COUNT
    assert ("tool", "tool 0") not in usual and len(list(usual)) == MAX_NAMES_COUNT
    assert usual["tool", f"tool {MAX_NAMES_COUNT + 4}"] == 1.0
