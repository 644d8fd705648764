"""Rules of `plan.deviation`, over one agent's plans and what it then does."""

from collections.abc import Callable, Sequence

import pytest
from msgspec.structs import replace

from tests.detection.asking import judged, last, loud
from tests.detection.stories import REQUEST
from tests.scenarios import Scenario
from trajectory.detection.plan_deviation import PlanDeviations
from trajectory.model.fact import Finding, Payload, SpanEvent
from trajectory.model.words import EVENT_PLAN

PLAN = ("search_hotels", "check_budget", "book_hotel", "answer")
OFFERED = [{"type": "function", "function": {"name": n, "parameters": {}}} for n in ("search", "quote", "book")]


def does(run: Scenario, *tools: str) -> None:
    for name in tools:
        run.tool(name, {"city": "Lyon"}, f"{name} went well")


def planned(steps: Sequence[str], tell: Callable[[Scenario], object], tools: object = None) -> Scenario:
    run = Scenario()
    with run.agent("planner", task=REQUEST):
        run.plans(steps)
        run.says("As planned.", tools=tools)
        tell(run)
        run.says("Done.")
    return run


def alarms(run: Scenario) -> list[Finding]:
    return loud(judged(run, [PlanDeviations])[1])


def test_a_step_that_was_left_out_is_named() -> None:
    (finding,) = alarms(planned(PLAN, lambda run: does(run, "search_hotels", "book_hotel")))
    assert (finding.agent, finding.value) == ("planner", "check_budget")
    assert "left out" in finding.message


def test_a_step_done_before_an_earlier_one_is_named() -> None:
    (finding,) = alarms(planned(PLAN, lambda run: does(run, "search_hotels", "book_hotel", "check_budget")))
    assert finding.value == "book_hotel"
    assert "before “check_budget”" in finding.message


def test_a_sentence_that_names_a_tool_on_offer_is_as_clear_as_its_name() -> None:
    steps = ("Search hotels in Lyon", "Ask for a quote of the best one", "Book it")
    (finding,) = alarms(planned(steps, lambda run: does(run, "search", "book"), OFFERED))
    assert finding.value == steps[1]


def test_a_delegation_may_be_what_a_step_means() -> None:
    def tell(run: Scenario) -> None:
        with run.delegate("research", "Find hotels in Lyon."):
            run.says("H7.")
        does(run, "book_hotel")

    assert alarms(planned(("ask research for hotels", "book hotel"), tell)) == []


def test_steps_without_words_plans_that_are_no_list_and_tools_that_are_no_definitions_are_left_out() -> None:
    steps = ("Search hotels in Lyon", "…", "Ask for a quote of the best one", "Book it")
    (finding,) = alarms(planned(steps, lambda run: does(run, "search", "book"), OFFERED))
    assert finding.value == steps[2]
    assert alarms(planned(steps, lambda run: does(run, "search", "book"), "[search, quote, book")) == []
    run = planned(PLAN, lambda run: does(run, "search_hotels", "book_hotel"))
    bodies = {f.digest for f in run.facts if isinstance(f, SpanEvent) and f.name == EVENT_PLAN for f in held_by(f, run)}
    run.facts = [
        replace(f, body=f.body[:-1]) if isinstance(f, Payload) and f.digest in bodies else f for f in run.facts
    ]
    assert alarms(run) == []


def held_by(event: SpanEvent, run: Scenario) -> list[Payload]:
    addresses = {address for addresses in event.contents.values() for address in addresses}
    return [f for f in run.facts if isinstance(f, Payload) and f.digest in addresses]


def test_work_that_no_step_names_is_for_information() -> None:
    steps = ("search_hotels", "book_hotel")
    (finding,) = last(judged(planned(steps, lambda run: does(run, *steps, "send_email")), [PlanDeviations])[1])
    assert (finding.severity, finding.value) == ("info", "send_email")


def test_a_step_that_somebody_asked_for_it_does_is_no_work_outside_the_plan() -> None:
    def tell(run: Scenario) -> None:
        does(run, "search_hotels")
        with run.delegate("coder", "Draw prices by night."):
            does(run, "draw_chart")
            run.says("Drawn.")

    assert judged(planned(("search_hotels", "chart"), tell), [PlanDeviations])[1] == []


def _failed(run: Scenario) -> None:
    run.tool("search_hotels", {"city": "Lyon"}, error=("ConnectionError", "unreachable"))
    does(run, "check_budget")


def _found_nothing(run: Scenario) -> None:
    run.tool("search_hotels", {"city": "Lyon"}, "no results")
    does(run, "check_budget")


def _planned_anew(run: Scenario) -> None:
    does(run, "search_hotels")
    run.plans(("search_hotels", "book_hotel"))
    does(run, "book_hotel")


def _by_another(run: Scenario) -> None:
    does(run, "search_hotels")
    with run.delegate("clerk", "Finish the stay."):
        does(run, "check_budget", "book_hotel")
        run.says("Done.")


def _twice(run: Scenario) -> None:
    does(run, "search_hotels", "check_budget", "search_hotels", "check_budget", "book_hotel")


def _passed_on(run: Scenario) -> None:
    """Control goes to a writer, who has the text reviewed."""
    does(run, "search_hotels")
    with run.delegate("writer", "Finish the memo.", mode="transfer"):
        run.says("I begin.")
        with run.delegate("reviewer", "Is this well?"):
            run.says("It is.")


CLEAN: dict[str, Callable[[], Scenario]] = {
    "as planned": lambda: planned(PLAN, lambda run: does(run, *PLAN[:3])),
    "a step that nobody can see": lambda: planned(
        ("search_hotels", "compare prices", "book_hotel", "answer"),
        lambda run: does(run, "search_hotels", "book_hotel"),
    ),
    "a thought in the plan": lambda: planned(
        ("search_hotels", "make sure that the dates are right", "book_hotel"),
        lambda run: does(run, "search_hotels", "book_hotel"),
    ),
    "optional": lambda: planned(
        ("search_hotels", "check_budget if needed", "book_hotel"), lambda run: does(run, "search_hotels", "book_hotel")
    ),
    "in other words than the work": lambda: planned(
        ("understand the wish", "gather options", "settle it"), lambda run: does(run, "search_hotels", "book_hotel")
    ),
    "failed on the way": lambda: planned(PLAN, _failed),
    "found nothing": lambda: planned(PLAN, _found_nothing),
    "planned anew": lambda: planned(PLAN, _planned_anew),
    "by another": lambda: planned(PLAN, _by_another),
    "passed on": lambda: planned(("search_hotels", "write", "review"), _passed_on),
    "twice": lambda: planned(PLAN, _twice),
    "one step": lambda: planned(("search_hotels",), lambda run: does(run, "book_hotel")),
    "the same step twice": lambda: planned(
        ("search", "book", "search"), lambda run: does(run, "search", "book", "search")
    ),
    "other spelling": lambda: planned(
        ("Search hotels", "check the budget", "BookHotel"), lambda run: does(run, *PLAN[:3])
    ),
    "no plan": lambda: planned((), lambda run: does(run, "book_hotel")),
}


@pytest.mark.parametrize("name", CLEAN)
def test_work_that_keeps_to_its_plan_interrupts_nobody(name: str) -> None:
    assert alarms(CLEAN[name]()) == []


def test_an_agent_at_work_is_not_judged() -> None:
    run = planned(PLAN, lambda run: does(run, "search_hotels", "book_hotel"))
    facts = run.facts[:-1]
    assert judged(run, [PlanDeviations], facts)[1] == []
