"""Rules of what is told of a model, a tool or an agent over many runs: once, with evidence, and by more than one of them."""

import re
from collections.abc import Callable
from functools import partial
from random import Random

import pytest

from tests.collector.builders import Clock, FailingStore
from tests.scenarios import START_NS, STEP_NS, Scenario
from trajectory.alerting.alerts import alerts_of
from trajectory.collector import endings, relearning
from trajectory.collector.pipeline import Pipeline
from trajectory.detection.judge import TraceJudge
from trajectory.detection.mixed import MixedSessions
from trajectory.graph.trace import Trace
from trajectory.model.fact import Batch, Finding
from trajectory.model.words import (
    ENDED_AT,
    ENDED_WHY,
    INPUT_TOKENS,
    MODEL_NAME,
    OUTPUT_TOKENS,
    SYNTHETIC_TIME,
    Severity,
)
from trajectory.signals import watch as watches
from trajectory.signals.anomalies import Anomalies, message_of
from trajectory.signals.anomaly import ERROR_RATE, LATENCY, TOOL_FREQUENCY, Anomaly, Ended, Graver
from trajectory.signals.baseline import RETURNED, SETTLED
from trajectory.signals.measures import Measure
from trajectory.signals.watch import Watch

MINUTE_NS = 60_000_000_000
Runs = Callable[..., list[Anomaly]]


class Team:
    """A team that runs once a minute, as it is told."""

    def __init__(self) -> None:
        self.watch = Watch()
        self.chance = Random(1)
        self.count = 0

    def runs(
        self, times: int = 1, calls: int = 1, seconds: float = 1.0, failing: float = 0.0, **more: str
    ) -> list[Anomaly]:
        """So many runs with so many calls of a tool each; what was told."""
        told: list[Anomaly] = []
        for _ in range(times):
            self.count += 1
            measures = [self.measure(i, seconds, failing, **more) for i in range(calls)]
            told += self.watch.put(self.trace_id, measures, self.now_ns)
        return told

    def measure(self, number: int, seconds: float, failing: float, tool: str = "search", version: str = "1") -> Measure:
        error = "TimeoutError" if self.chance.random() < failing else ""
        took_s = seconds * self.chance.lognormvariate(0, 0.3)
        return Measure(
            "tool", tool, "research", "svc", version, "", self.now_ns + number, number.to_bytes(8, "big"), error,
            duration_s=took_s,
        )  # fmt: skip

    @property
    def now_ns(self) -> int:
        return START_NS + self.count * MINUTE_NS

    @property
    def trace_id(self) -> bytes:
        return self.count.to_bytes(16, "big")


def test_a_slower_tool_is_told_once_with_the_runs_that_show_it() -> None:
    team = Team()
    assert team.runs(400, calls=2) == []
    began = team.count
    (told,) = team.runs(20, calls=2, seconds=4)
    assert told.key == (LATENCY, "tool", "svc", "research", "search") and told.deploy is None
    assert 3 <= told.trace_count <= len({place.trace_id for place in told.places}) + told.trace_count
    assert all(int.from_bytes(place.trace_id, "big") > began and place.value > 2 for place in told.places)
    assert told.alarm.onset_ns >= START_NS + (began - 1) * MINUTE_NS
    asked = {told.key.series: ""}
    assert team.watch.standings(asked)[told.key.series].is_lasting
    assert team.runs(60, calls=2) == [] and not team.watch.standings(asked)[told.key.series].is_lasting


def over(watch: Watch) -> list[tuple[str, str]]:
    return [(end.series, end.why) for end in watch.take_news() if isinstance(end, Ended)]


@pytest.mark.parametrize(
    ("kind", "name", "agent", "said"),
    [
        ("agent", "research", "research", "Runs of research take "),
        ("delegation", "booker", "planner", "Delegations from planner to booker take "),
        ("delegation", "booker", "", "Delegations to booker take "),
        ("model", "", "planner", "Calls of a model by planner take "),
    ],
)
def test_whose_runs_calls_and_delegations_left_what_is_usual_is_said(
    kind: str, name: str, agent: str, said: str
) -> None:
    team = Team()
    told: list[Anomaly] = []
    for _ in range(450):
        team.count += 1
        seconds = (9.0 if team.count > 400 else 1.0) * team.chance.lognormvariate(0, 0.3)
        one = Measure(kind, name, agent, "svc", "1", "", team.now_ns, b"12345678", duration_s=seconds)
        told += team.watch.put(team.trace_id, [one], team.now_ns)
    assert [message_of(each).startswith(said) for each in told] == [True]


def test_of_what_has_no_time_of_its_own_only_its_failures_are_watched() -> None:
    team = Team()
    for number in range(3):
        one = Measure("tool", "search", "research", "svc", "1", "", team.now_ns, b"%08d" % number)
        assert team.watch.put(team.trace_id, [one], team.now_ns) == []
    assert {key.metric for key in team.watch._new} == {ERROR_RATE, TOOL_FREQUENCY}


@pytest.mark.parametrize(("seconds", "failing", "metric"), [(9, 0, LATENCY), (1, 1, ERROR_RATE)])
def test_a_large_sudden_change_is_told_on_few_values_and_is_grave_when_it_goes_on(
    seconds: float, failing: float, metric: str
) -> None:
    team = Team()
    team.runs(400)
    (told,) = team.runs(9, seconds=seconds, failing=failing)
    assert told.key.metric == metric and told.alarm.value_count < 10 and not told.is_grave
    assert team.watch.take_news() == []
    assert team.runs(15, seconds=seconds, failing=failing) == []
    (graver,) = team.watch.take_news()
    assert isinstance(graver, Graver) and graver.anomaly.is_grave and graver.anomaly.key == told.key
    assert graver.anomaly.alarm.value_count < 20 and graver.anomaly.alarm.onset_ns == told.alarm.onset_ns


def test_one_run_alone_is_no_anomaly_however_long_it_is() -> None:
    team = Team()
    team.runs(400)
    assert team.runs(1, calls=500, seconds=9, failing=1) == []
    assert team.runs(60) == []


def test_a_tool_that_fails_and_an_agent_that_calls_another_are_told() -> None:
    team = Team()
    team.runs(400, calls=3)
    told = team.runs(30, calls=3, failing=0.7)
    assert [one.key.metric for one in told] == [ERROR_RATE] and told[0].alarm.seen > 0.3
    assert re.match(r"\d+ % of calls of search by research fail, usually \d+ %", message_of(told[0]))
    other = Team()
    other.runs(100, calls=3)
    told = other.runs(30, calls=3, tool="browse")
    assert [(one.key.metric, one.alarm.seen > 0.3) for one in told] == [(TOOL_FREQUENCY, True)]
    asked = {told[0].key.series: told[0].alarm.what}
    standing = other.watch.standings(asked)[told[0].key.series]
    assert standing.is_lasting and standing.middle == told[0].alarm.usual.middle
    middles = set()
    for _ in range(200):
        other.runs(1, calls=3, tool="browse")
        middles |= {standing.middle for standing in other.watch.standings(asked).values()} or {None}
    now = 1.0 if told[0].alarm.what == "browse" else 0.0
    assert middles == {told[0].alarm.usual.middle, None, now}  # it is learnt anew, and not known meanwhile
    mixed = message_of(told[0])
    assert re.match(r"\d+ % of the tool calls of research are of [\w-]+, usually ", mixed) and mixed.endswith(" runs)")


def test_a_step_that_came_with_a_version_says_so_and_is_not_told_at_once() -> None:
    team = Team()
    team.runs(400, version="1")
    assert team.runs(watches._VERSION_COUNT - 1, seconds=5, version="2") == []
    (told,) = team.runs(20, seconds=5, version="2")
    assert message_of(told).endswith(", when version 2 came after 1")
    assert told.deploy is not None and (told.deploy.before, told.deploy.after) == ("1", "2")
    assert team.runs(100, seconds=5, version="2") == []


def test_late_and_repeated_measures_do_not_count_twice() -> None:
    team = Team()
    team.runs(400)
    measures = [team.measure(i, 9, 0) for i in range(3)]
    for _ in range(100):
        assert team.watch.put(team.trace_id, measures, team.now_ns) == []
    old = [
        Measure("tool", "search", "research", "svc", "1", "", START_NS + i, b"%08d" % i, duration_s=9)
        for i in range(60)
    ]
    for i, one in enumerate(old):
        assert team.watch.put(b"old-%12d" % i, [one], team.now_ns) == []


def test_a_hundred_thousand_names_do_not_drive_out_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches, "MAX_SERIES_COUNT", 20)
    monkeypatch.setattr(watches, "MAX_NEW_COUNT", 10)
    monkeypatch.setattr(watches, "MAX_SPANS_COUNT", 500)
    team = Team()
    team.runs(400)
    for i in range(2000):
        team.runs(1, tool=f"tool-{i}")
    assert len(team.watch) <= 30 and len(team.watch._counted) <= 500
    assert [one.key.metric for one in team.runs(30, seconds=9)] == [LATENCY]


@pytest.mark.parametrize("at_ns", [-1, 0, START_NS * 2, -(2**63), 2**63 - 1])
def test_a_clock_that_is_wrong_spoils_nothing(at_ns: int) -> None:
    team = Team()
    team.runs(400)
    wrong = Measure("tool", "search", "research", "svc", "1", "", at_ns, b"12345678", duration_s=float("nan"))
    assert team.watch.put(b"trace-of-a-clock", [wrong], team.now_ns) == []
    assert len(team.runs(30, seconds=9)) == 1


@pytest.mark.parametrize("ahead_ns", [40 * MINUTE_NS, 400 * 24 * 60 * MINUTE_NS])
def test_clocks_that_jump_ahead_and_back_make_nothing_late(ahead_ns: int) -> None:
    team = Team()
    team.runs(400)
    ahead = Measure("tool", "search", "research", "svc", "1", "", team.now_ns + ahead_ns, b"12345678", duration_s=1.0)
    team.watch.put(b"trace-of-a-clock", [ahead], team.now_ns + ahead_ns)
    assert [one.key.metric for one in team.runs(20, seconds=9)] == [LATENCY]
    assert team.runs(20, seconds=9) == [] and over(team.watch) == []


def told_run(number: int, tokens: int) -> Scenario:
    run = Scenario(trace_id=b"run-%012d" % number)
    run.now_ns = START_NS + number * 60 * STEP_NS
    with run.agent("planner", task="Find a hotel"):
        run.says("I search.", attributes={MODEL_NAME: "gpt-4o", INPUT_TOKENS: tokens, OUTPUT_TOKENS: 10})
        run.returns("H99")
    return run


def test_the_finding_says_seen_usual_since_when_and_on_what() -> None:
    watch, chance, said = Watch(), Random(3), list[Finding]()
    for number in range(120):
        trace = told_run(number, int(1000 * chance.lognormvariate(0, 0.2)) * (1 if number < 90 else 5)).trace()
        judge = TraceJudge(trace, [partial(Anomalies, watch)])
        assert not [f for f in judge.settle(trace.last_ns) if number < 90]
        said += judge._said.values()
        assert judge.settle(trace.last_ns) == []
    by_kind = {finding.kind: finding for finding in said}
    assert len(said) == len(by_kind) == 2 and set(by_kind) == {"anomaly.tokens", "anomaly.cost"}
    tokens = by_kind["anomaly.tokens"]
    assert tokens.message.startswith("Calls of gpt-4o by planner use 4,335 tokens, usually about 1,")
    assert "(830 to 1,390 tokens), since 2026-" in tokens.message
    assert tokens.agent == "planner" and tokens.value == "gpt-4o"
    assert tokens.evidence[0].span_id == tokens.span_id and tokens.confidence > 0.6
    assert tokens.attributes["usual_low"] < 1100 < tokens.attributes["usual_high"] < tokens.attributes["seen"]
    assert len(tokens.attributes["traces"]) == 3 and tokens.at_ns == tokens.attributes["since_unix_nano"]
    assert tokens.severity in (Severity.INFO, Severity.WARNING)


def test_a_run_that_is_not_over_is_not_judged_until_it_is_quiet() -> None:
    watch, run = Watch(), Scenario()
    with run.agent("planner"):
        run.says("I search.", attributes={MODEL_NAME: "m", INPUT_TOKENS: 5})
        trace = run.trace()
    detector = Anomalies(watch)
    detector.settle(trace.last_ns, trace)
    detector.settle(trace.last_ns + STEP_NS, trace)
    assert len(watch) == 0
    detector.settle(trace.last_ns + 60 * STEP_NS, trace)
    assert len(watch) > 0
    assert list(Anomalies().settle(trace.last_ns, trace)) == []


def test_runs_whose_times_are_made_up_have_no_place_among_others() -> None:
    watch, run = Watch(), Scenario()
    with run.agent("planner"):
        run.says("I search.", attributes={MODEL_NAME: "m", INPUT_TOKENS: 5, SYNTHETIC_TIME: True})
    trace = run.trace()
    Anomalies(watch).settle(trace.last_ns, trace)
    assert {key.kind for key in (*watch._new, *watch._warm)} == {"agent"}


def collected(store: FailingStore, runs: list[Scenario], clock: Clock, pipeline: Pipeline | None = None) -> Pipeline:
    """A collector gets runs, one a minute; a new one learns first what is usual."""
    if pipeline is None:
        pipeline = Pipeline(store, [Anomalies, MixedSessions], clock)
        for _ in range(500):
            pipeline.tick()
        assert pipeline._relearning is None
    for run in runs:
        batch = Batch(run.source, pipeline.writer.next_seq(run.source.emitter_id, run.source.boot_id), run.facts)
        pipeline.store([batch])
        pipeline.fold([batch])
        clock.at_ns = run.now_ns
        clock.passes(10)
        pipeline.tick()
    pipeline.finish()
    return pipeline


@pytest.fixture(autouse=True)
def learns_without_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relearning, "_RESTS", 0)


def states(store: FailingStore, finding: Finding) -> tuple[str, int, str]:
    """How an anomaly's alert stands, when it was over, and why."""
    trace = Trace(finding.trace_id)
    for batch in store.facts(finding.trace_id):
        for fact in batch.facts:
            trace.apply(fact, batch.source)
    (alert,) = (a for a in alerts_of(trace) if finding in a.findings)
    return alert.state, finding.attributes[ENDED_AT], finding.attributes.get(ENDED_WHY, "")


def anomalies(store: FailingStore) -> list[Finding]:
    return store.findings(kind="anomaly.*")


@pytest.mark.parametrize(("after", "why", "is_restarted"), [(1000, RETURNED, True), (6000, SETTLED, False)])
def test_an_anomaly_says_when_it_ended_and_why_also_over_a_restart(after: int, why: str, is_restarted: bool) -> None:
    store, clock = FailingStore(), Clock(START_NS)
    first = collected(store, [told_run(n, (1000 if n < 90 else 6000) + n % 7) for n in range(105)], clock)
    assert [(states(store, f)[0], f.severity) for f in anomalies(store)] == [("open", Severity.WARNING)] * 2
    after_it = [told_run(n, after + n % 7) for n in range(105, 190)]
    collected(store, after_it, clock, None if is_restarted else first)
    begun_ns, last_ns = told_run(105, 1).now_ns, told_run(189, 1).now_ns
    for finding in anomalies(store):
        state, ended_ns, because = states(store, finding)
        assert state == "closed" and because == why and begun_ns <= ended_ns < last_ns, finding.message
        assert finding.message.endswith(f": {why}") and finding.at_ns < ended_ns
        (summary,) = (s for s in store.summaries() if s.trace_id == finding.trace_id)
        assert not summary.infos and not summary.warnings


def test_an_end_that_a_restart_lies_over_is_told_by_what_is_learnt_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    store, clock = FailingStore(), Clock(START_NS)
    collected(store, [told_run(n, (1000 if n < 90 else 6000) + n % 7) for n in range(105)], clock)
    monkeypatch.setattr(relearning, "MAX_TRACES", 60)
    blind = Pipeline(store, [], clock)  # nobody watched meanwhile
    for run in (told_run(n, 6000 + n % 7) for n in range(105, 200)):
        batch = Batch(run.source, blind.writer.next_seq(run.source.emitter_id, run.source.boot_id), run.facts)
        blind.store([batch])
        blind.fold([batch])
        clock.at_ns = run.now_ns
    blind.finish()
    assert {states(store, f)[1] for f in anomalies(store)} == {0}
    collected(store, [], clock)
    assert [states(store, f)[0] for f in anomalies(store)] == ["closed", "closed"]
    assert all(states(store, f)[2].startswith(SETTLED) for f in anomalies(store))


def test_what_nothing_comes_of_any_more_and_what_has_no_room_does_not_last_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    team = Team()
    team.runs(400)
    (told,) = team.runs(20, seconds=9)
    team.watch.pass_time(team.now_ns + watches.SILENT_NS - MINUTE_NS)
    team.watch.pass_time(team.now_ns - watches.SILENT_NS)  # the clock was set back
    assert over(team.watch) == []
    team.watch.pass_time(team.now_ns + watches.SILENT_NS)
    assert over(team.watch) == [(told.key.series, watches.SILENT)]
    assert [one.key for one in team.runs(1, seconds=9)] == [told.key]  # it goes on after all
    monkeypatch.setattr(watches, "MAX_SERIES_COUNT", 3)
    other = Team()
    other.watch, other.count = team.watch, team.count
    other.runs(41, tool="other")
    assert over(team.watch) == [(told.key.series, watches.FORGOTTEN)]


def test_a_collector_tells_it_and_knows_after_a_restart_what_is_usual() -> None:
    store, clock = FailingStore(), Clock(START_NS)
    collected(store, [told_run(n, 1000 + n % 7) for n in range(90)], clock)
    assert [s for s in store.summaries() if s.infos or s.warnings] == []
    collected(store, [told_run(n, 6000 + n % 7) for n in range(90, 110)], clock)
    told = [f for s in store.summaries() for f in store.findings(s.trace_id) if f.kind.startswith("anomaly.")]
    assert sorted(f.kind for f in told) == ["anomaly.cost", "anomaly.tokens"]
    assert {states(store, f) for f in told} == {("open", 0, "")}
    collected(store, [told_run(n, 6000 + n % 7) for n in range(110, 115)], clock)
    later = [f for s in store.summaries() for f in store.findings(s.trace_id) if f.kind.startswith("anomaly.")]
    assert later == told


def test_an_anomaly_of_which_nothing_is_known_is_over_after_a_while_and_only_so_many_are_followed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(endings, "MAX_LASTING", 2)
    lasting = endings.Endings(Watch())
    for number in range(3):
        attributes = {"series": f"series {number}", ENDED_AT: 0}
        told = Finding(
            "anomaly.duration", "warning", 0.9, b"t" * 16, b"s" * 8, "slow", value=str(number), attributes=attributes
        )
        lasting.note(told, START_NS)
    over_at = []
    for now_ns in (START_NS, START_NS + watches.SILENT_NS):
        while (grown := lasting.step(now_ns, is_learnt=True)) is not None:
            over_at.append((grown.attributes["series"], grown.attributes[ENDED_WHY], now_ns))
            lasting.told()
    assert over_at == [(f"series {n}", watches.SILENT, START_NS + watches.SILENT_NS) for n in (1, 2)]
