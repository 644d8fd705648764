"""Rules of `goal.drift`, and of how a detector is switched on and off."""

import pytest

from tests.detection.asking import judged, last
from tests.detection.stories import CLEAN
from tests.scenarios import Scenario
from trajectory.detection.contract import registered_detectors
from trajectory.detection.drift import GoalDrift
from trajectory.model.fact import Finding, Payload
from trajectory.model.words import Severity

ASKED = "Find out why pump P-7 in the boiler house leaks, and order the spare part for it."


def found(run: Scenario) -> list[Finding]:
    return last(judged(run, [GoalDrift])[1])


def repaired(task: str, does: str, answer: str, closing: str) -> Scenario:
    run = Scenario()
    with run.agent("lead", task=ASKED):
        run.says("I look into the pump and its leak.")
        with run.delegate("worker", task):
            run.tool("search", {"query": does}, [{"title": f"{does}, all about it"}])
            run.says(answer)
        run.says(closing)
    return run


AWAY = (
    "Write a cheerful newsletter about upcoming birthday celebrations in the marketing department.",
    "funny birthday newsletter headlines",
    "The newsletter celebrates every colleague's birthday with balloons and cake.",
    "Everybody in marketing will love this newsletter about birthdays and balloons.",
)
HOME = "The leak came from a worn seal of pump P-7; its spare part is ordered."


def test_work_that_leaves_the_task_for_good_is_a_warning_at_the_step_that_left() -> None:
    run = repaired(*AWAY)
    (finding,) = found(run)
    assert (finding.severity, finding.agent, finding.span_id) == (
        Severity.WARNING,
        "lead",
        run.names["delegate worker"],
    )
    assert "newsletter" in finding.value and "pump P-7" in finding.evidence[0].text


def wandering(*steps: str) -> Scenario:
    run = Scenario()
    with run.agent("lead", task=ASKED):
        run.says("I look into the pump and its leak.")
        for step in steps:
            run.says(step)
    return run


PARTY = (
    "Balloons and streamers for a cheerful birthday celebration should arrive on Friday afternoon.",
    "Marketing colleagues enjoy chocolate cake with strawberries and whipped cream.",
    "Invitations went out yesterday evening, together with funny headlines about newsletters.",
    "Musicians will play jazz while everybody dances until midnight in the garden.",
    "Photographs of all guests shall hang along the staircase next week.",
)


def test_steps_of_one_s_own_that_never_come_back_are_a_warning_at_the_first() -> None:
    (finding,) = found(wandering(*PARTY))
    assert (finding.agent, finding.value) == ("lead", PARTY[0])
    assert "has nothing of what was asked, and so do the" in finding.message
    assert found(wandering(*PARTY, HOME)) == [] and found(wandering(*PARTY[:1])) == []


def test_work_that_comes_back_to_the_task_has_not_left_it() -> None:
    assert found(repaired(*AWAY[:2], HOME, HOME)) == []


def test_long_work_in_words_of_its_own_is_the_task_s_where_its_tools_led_there() -> None:
    run = Scenario()
    with run.agent("lead", task=ASKED):
        run.tool(
            "look",
            {"at": "boiler house"},
            "Gasket 40x52 Viton, flange torque 25 Nm, maker Kolben Nord, catalogue page 12",
        )
        for turn in range(6):
            run.tool(
                "read", {"catalogue": "Kolben Nord", "page": turn, "gasket": "40x52 Viton", "flange": "torque"}, "ok"
            )
            run.says("Gasket Viton, flange torque, catalogue page of Kolben Nord.")
    assert found(run) == []


@pytest.mark.parametrize("name", CLEAN)
def test_a_clean_run_has_not_left_its_task(name: str) -> None:
    assert found(CLEAN[name]()) == []


def test_facts_in_another_order_and_twice_change_nothing() -> None:
    run = repaired(*AWAY)
    facts = [f for f in run.facts if not isinstance(f, Payload)]
    assert last(judged(run, [GoalDrift], [*facts[::-1], *facts], settle_every=10**6)[1]) == found(run)


def test_what_is_optional_runs_where_it_is_named_and_the_rest_unless_named_with_a_minus(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TRAJECTORY_DETECTORS", raising=False)
    usual = {made().name for made in registered_detectors()}
    assert "goal.drift" not in usual and "flow.loop" in usual
    monkeypatch.setenv("TRAJECTORY_DETECTORS", "goal.drift, -flow.loop")
    assert {made().name for made in registered_detectors()} == usual - {"flow.loop"} | {"goal.drift"}
    told: list[str] = []
    assert {made().name for made in registered_detectors("-cascades", told.append)} == usual
    assert told == ["TRAJECTORY_DETECTORS: there is no detector cascades; did you mean cascade?"]
