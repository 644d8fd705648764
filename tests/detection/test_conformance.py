"""What every registered detector keeps, ours and strangers': the promises of the seam, over every named run."""

import functools
import random
import time
from collections.abc import Callable

import pytest

from tests.detection.asking import judged, last, loud
from tests.detection.stories import CLEAN, FAULTY
from tests.scenarios import Scenario
from trajectory.detection.contract import Detector, registered_detectors
from trajectory.detection.judge import TraceJudge
from trajectory.graph.trace import Trace
from trajectory.model.fact import Fact, Finding, Payload
from trajectory.model.words import Severity

REGISTERED = registered_detectors()
STORIES = {**{name: story for name, (story, _) in FAULTY.items()}, **CLEAN}
WINDOW_COUNT = 8  # of facts within which a collector may see them in another order
BOUND_S = 5.0  # the square of what is sent would take minutes

every_detector = pytest.mark.parametrize("factory", REGISTERED, ids=lambda f: f().name)
every_story = pytest.mark.parametrize("name", STORIES)


@functools.cache
def told(name: str) -> Scenario:
    return STORIES[name]()


@functools.cache
def verdict(name: str) -> tuple[Trace, list[Finding]]:
    """What all detectors say of a story. They share nothing but the trace, so each is held to its word in one go."""
    return judged(told(name), REGISTERED)


def facts_of(run: Scenario) -> list[Fact]:
    return [fact for fact in run.facts if not isinstance(fact, Payload)]


def test_ours_are_registered() -> None:
    names = {factory().name for factory in REGISTERED}
    assert names >= {
        "cascade", "context.boundary", "flow.stalled", "tool.bad_arguments", "tool.blind_retry", "tool.silent_failure",
    }  # fmt: skip


@every_story
def test_all_together_find_what_is_wrong_and_nothing_else(name: str) -> None:
    assert {(f.kind, f.agent) for f in loud(verdict(name)[1])} == (FAULTY[name][1] if name in FAULTY else set())


@every_story
def test_duplicates_change_nothing(name: str) -> None:
    doubled = [fact for fact in facts_of(told(name)) for _ in range(2)]
    assert last(judged(told(name), REGISTERED, doubled)[1]) == last(verdict(name)[1])


@every_story
def test_reordering_inside_a_window_changes_nothing(name: str) -> None:
    run = told(name)
    facts = facts_of(run)
    expected = last(judged(run, REGISTERED, facts, settle_every=WINDOW_COUNT)[1])
    for seed in range(3):
        chance = random.Random(seed)
        mixed = [f for i in range(0, len(facts), WINDOW_COUNT) for f in _shuffled(facts[i : i + WINDOW_COUNT], chance)]
        assert last(judged(run, REGISTERED, mixed, settle_every=WINDOW_COUNT)[1]) == expected, seed


@every_story
def test_a_replay_says_the_same_and_every_span_that_a_finding_names_exists(name: str) -> None:
    trace, said = verdict(name)
    assert judged(STORIES[name](), REGISTERED)[1] == said
    for finding in said:
        named = [finding.span_id, finding.root_span_id, *finding.path, *(e.span_id for e in finding.evidence)]
        assert set(named) <= set(trace.spans)
        assert finding.evidence
        _is_well_formed(finding)


@every_detector
def test_a_long_run_costs_a_bounded_time(factory: Callable[[], Detector]) -> None:
    run = _long_run(5_000)
    trace = run.empty_trace()
    judge = TraceJudge(trace, [factory])
    spent_s = 0.0
    for count, fact in enumerate(run.facts):
        trace.apply(fact, run.source)
        start = time.process_time()
        judge.observe(fact)
        if count % 200 == 0:
            judge.settle(trace.last_ns)
        spent_s += time.process_time() - start
    judge.settle(trace.last_ns)
    assert judge.raised == {}
    assert spent_s < BOUND_S


def _shuffled(facts: list[Fact], chance: random.Random) -> list[Fact]:
    mixed = list(facts)
    chance.shuffle(mixed)
    return mixed


def _is_well_formed(finding: Finding) -> None:
    assert Severity(finding.severity)
    assert 0 < finding.confidence <= 1
    assert finding.message and "\n" not in finding.message


@functools.cache
def _long_run(count: int) -> Scenario:
    """A planner that gives work again and again, with failures in it that never end."""
    run = Scenario()
    with run.agent("planner", task="Find hotels; each must be step-free and at most 900 EUR."):
        while len(run.facts) < count:
            turn = len(run.facts)
            run.says(f"Now part {turn}.", knows=[{"role": "user", "content": f"part {turn} must be step-free"}])
            with run.delegate(f"scout {turn % 7}", f"Find hotel {turn}, at most 900 EUR."):
                result = "Error: 503 Service Unavailable" if turn % 3 else [{"id": f"H{turn}"}]
                run.tool("search", {"part": turn}, result)
                run.says(f"I take H{turn}.")
    return run


@functools.cache
def _wide_run(count: int) -> Scenario:
    """One agent that fails often and gives work to many."""
    run = Scenario()
    with run.agent("planner"):
        for turn in range(count):
            if turn % 3:
                run.tool("search", {"part": turn % 50}, None, error=("Boom", "no") if turn % 20 == 1 else None)
            else:
                with run.delegate(f"scout {turn % 7}", ""):
                    run.tool("look", {}, "seen")
    return run


@every_detector
def test_a_wide_agent_with_many_failures_and_hand_overs_costs_a_bounded_time(factory: Callable[[], Detector]) -> None:
    trace = _wide_run(4_000).trace()
    judge = TraceJudge(trace, [factory])
    start = time.process_time()
    judge.settle(trace.last_ns)
    assert judge.raised == {}
    assert time.process_time() - start < BOUND_S
