"""What all detectors of the flow of work keep together, over the runs of each: no alarm on another's clean runs, the same
findings in any order within a window and however often facts come, and evidence that exists."""

import random

import pytest

from tests.detection import test_deadlock, test_duplicate, test_loop, test_orphan, test_plan_deviation
from tests.detection.asking import judged, last, loud
from tests.scenarios import Scenario
from trajectory.detection.deadlock import Deadlocks
from trajectory.detection.duplicate import Duplicates
from trajectory.detection.loop import Loops
from trajectory.detection.orphan import Orphans
from trajectory.detection.plan_deviation import PlanDeviations
from trajectory.model.fact import Fact, Payload

FLOW = [Deadlocks, Duplicates, Loops, Orphans, PlanDeviations]
WINDOW_COUNT = 8

CLEAN = {
    **{
        f"duplicate: {name}": lambda tell=tell: test_duplicate.team(tell) for name, tell in test_duplicate.CLEAN.items()
    },
    **{f"loop: {name}": story for name, story in test_loop.CLEAN.items()},
    **{f"orphan: {name}": story for name, story in test_orphan.CLEAN.items()},
    **{f"plan: {name}": story for name, story in test_plan_deviation.CLEAN.items()},
}
FAULTY = {
    "ring": lambda: test_deadlock.ring("a", "b", "c").run,
    **{f"loop: {name}": lambda tell=tell: tell(4) for name, (tell, _) in test_loop.FAULTY.items()},
    **{f"duplicate: {name}": story for name, story in test_duplicate.FAULTY.items()},
    "orphan": lambda: test_orphan.planner(test_orphan.given, test_orphan.abandoned),
}

RUNS = {**FAULTY, **CLEAN}


def facts_of(run: Scenario) -> list[Fact]:
    return [fact for fact in run.facts if not isinstance(fact, Payload)]


@pytest.mark.parametrize("name", RUNS)
def test_each_run_is_judged_alike_however_it_comes_and_a_clean_run_of_one_is_clean_for_all(name: str) -> None:
    run: Scenario = RUNS[name]()  # type: ignore[no-untyped-call]
    trace, said = judged(run, FLOW)
    assert name in FAULTY or [f.message for f in loud(said)] == []
    facts = facts_of(run)
    doubled = [fact for fact in facts for _ in range(2)]
    assert last(judged(run, FLOW, doubled)[1]) == last(said)
    expected = last(judged(run, FLOW, facts, settle_every=WINDOW_COUNT)[1])
    for seed in range(2):
        chance = random.Random(seed)
        windows = [facts[at : at + WINDOW_COUNT] for at in range(0, len(facts), WINDOW_COUNT)]
        mixed = [fact for window in windows for fact in chance.sample(window, len(window))]
        assert last(judged(run, FLOW, mixed, settle_every=WINDOW_COUNT)[1]) == expected, seed
    for finding in said:
        named = [finding.span_id, finding.root_span_id, *finding.path, *(e.span_id for e in finding.evidence)]
        assert set(named) <= set(trace.spans)
        assert finding.evidence and "\n" not in finding.message and 0 < finding.confidence <= 1
