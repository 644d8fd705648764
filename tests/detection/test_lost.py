"""Rules of `context.lost` and `context.altered`."""

import pytest

from tests.detection.asking import judged, last, loud
from tests.detection.stories import (
    REQUEST,
    altered,
    derived,
    forgetful,
    in_a_form,
    rewritten,
    shared_history,
    trip,
    unlike_parts,
)
from tests.scenarios import Scenario
from trajectory.detection.boundary import observability
from trajectory.detection.lost import ContextAtBoundaries
from trajectory.model.fact import Finding


def found(run: Scenario) -> list[Finding]:
    return loud(judged(run, [ContextAtBoundaries])[1])


def by_kind(findings: list[Finding]) -> dict[str, Finding]:
    return {f.kind: f for f in findings}


def test_what_is_said_to_be_a_must_is_lost_where_the_rest_was_passed_on() -> None:
    run = Scenario()
    with run.agent("lead", task="Plan two nights in Lisbon, at most 900 EUR, vegan breakfast is a must."):
        run.says("First hotels.")
        with run.delegate("researcher", "Find hotels in Lisbon, at most 900 EUR."):
            run.says("Casa Azul.")
        run.says("Casa Azul.")
    (finding,) = found(run)
    assert (finding.kind, finding.value, finding.agent) == ("context.lost", "vegan breakfast", "researcher")


def test_a_constraint_that_the_task_leaves_out_is_lost_as_it_was_written() -> None:
    run = forgetful()
    (finding,) = found(run)
    assert (finding.kind, finding.value) == ("context.lost", "step-free")
    assert (finding.agent, finding.peer_agent) == ("researcher", "planner")
    assert finding.path == [run.names["delegate researcher"], run.names["researcher"]]
    assert "must not exceed 900 EUR" in finding.message or "parameter" in finding.message
    assert any("step-free" in e.text for e in finding.evidence)


def test_a_like_task_to_another_agent_that_says_more_is_evidence() -> None:
    run = Scenario()
    with run.agent("lead", task="Plan two nights in Lisbon, at most 900 EUR, vegan breakfast is a must."):
        run.says("Two searches.")
        with run.delegate("scout", "Find hotels in Lisbon, at most 900 EUR. Vegan breakfast is a must."):
            run.says("Casa Azul.")
        with run.delegate("researcher", "Find hotels in Lisbon, at most 900 EUR."):
            run.says("Casa Verde.")
        run.says("Casa Azul.")
    (finding,) = found(run)
    assert (finding.value, finding.agent, "scout#1" in finding.message) == ("vegan breakfast", "researcher", True)


def test_two_bounds_of_one_thing_in_other_measures_are_two_conditions() -> None:
    run = Scenario()
    with run.agent(
        "lead", task="Plan a stay. The stay must cost at most 900 EUR. The stay must last at most 3 nights."
    ):
        run.says("First hotels.")
        with run.delegate("researcher", "Find a stay that costs at most 900 EUR."):
            run.says("Casa Azul.")
        run.says("Casa Azul.")
    assert [f.value for f in found(run)] == ["last at most 3 nights"]


@pytest.mark.parametrize(("bound", "values"), [("up to", ["900 EUR"]), ("at least", [])])
def test_a_bound_is_altered_by_another_in_its_direction_whatever_words_are_near(bound: str, values: list[str]) -> None:
    run = Scenario()
    with run.agent("lead", task="Plan two nights in Lisbon with a view of the river. No more than 900 EUR, please."):
        run.says("First hotels.")
        task = f"Find hotels in Lisbon with a river view for a couple who walk a lot. Pay {bound} 90 EUR."
        with run.delegate("researcher", task):
            run.says("Casa Azul.")
        run.says("Casa Azul.")
    assert [f.value for f in found(run) if f.kind == "context.altered"] == values


def test_what_may_be_of_no_use_to_a_part_of_the_work_is_for_information() -> None:
    run = Scenario()
    with run.agent("lead", task="Find hotels in Lisbon for at most 900 EUR, with answers on the hotels in French."):
        run.says("First hotels.")
        with run.delegate("researcher", "Find a hotel in Lisbon, at most 900 EUR."):
            run.says("Casa Azul.")
        run.says("Casa Azul.")
    assert [(f.value, f.severity) for f in last(judged(run, [ContextAtBoundaries])[1])] == [("French", "info")]


def test_a_parameter_of_a_tool_counts_beside_definitions_that_are_none_and_what_hands_over() -> None:
    tools: list[object] = [7, {"function": 5}, {"name": "ask_boss", "parameters": {"properties": {"message": {}}}}]
    tools.append({"name": "search", "parameters": {"properties": {"step_free": {}}}})
    run = Scenario()
    with run.agent("planner", task="Plan a stay in Lyon. The hotel must be step-free."):
        run.says("First the hotel.")
        with run.delegate("researcher", "Find a nice place to sleep in Lyon."):
            run.says("H7.", tools=tools)
        run.says("H7.")
    (finding,) = found(run)
    assert (finding.value, "parameter" in finding.message) == ("step-free", True)


def test_a_full_task_loses_nothing() -> None:
    assert found(trip()) == []


def test_work_on_a_thing_already_chosen_needs_no_constraints_of_the_choice() -> None:
    assert {f.agent for f in found(forgetful())} == {"researcher"}


def test_parts_that_do_not_need_a_constraint_do_not_lose_it() -> None:
    assert found(unlike_parts()) == []


def test_what_two_tasks_have_of_one_form_makes_them_no_like_tasks() -> None:
    assert found(in_a_form()) == []


def test_a_delegatee_that_is_shown_the_history_loses_nothing() -> None:
    assert found(shared_history()) == []


def test_what_somebody_says_later_is_received() -> None:
    run = Scenario()
    with run.agent("planner", task=REQUEST):
        run.says("First the hotel.")
        with run.delegate("researcher", "Find a hotel in Lyon, at most 900 EUR."):
            run.hears("By the way, it must be step-free.")
            run.tool("search", {"step_free": True, "city": "Lyon"}, "H7")
            run.says("H7")
    assert found(run) == []


def test_a_tool_s_data_is_no_instruction() -> None:
    run = Scenario()
    with run.agent("planner", task=REQUEST):
        run.says("First the hotel.")
        with run.delegate("researcher", "Find a hotel in Lyon, at most 900 EUR."):
            run.tool("search", {"step_free": False, "city": "Lyon"}, [{"id": "H3", "step-free": False}])
            run.says("H3")
    assert [f.value for f in found(run)] == ["step-free"]


def test_a_like_task_that_had_it_is_evidence() -> None:
    run = Scenario()
    with run.agent("planner", task="Report revenue in the US and the EU for fiscal year FY25."):
        run.says("Two parts.")
        with run.delegate("research", "Find revenue of the US for fiscal year FY25."):
            run.says("US: 71.2M")
        with run.delegate("research", "Find revenue of the EU."):
            run.says("EU: 38.9M")
    (finding,) = found(run)
    assert finding.value == "fiscal year FY25"
    assert finding.span_id == run.names["research"]
    assert "research#1" in finding.message


def test_a_delegatee_without_spans_has_had_nothing_but_its_task() -> None:
    run = Scenario()
    with run.agent("planner", task=REQUEST):
        run.says("First the hotel.")
        run.delegates_unseen("researcher", "Find a hotel in Lyon, the total must not exceed 900 EUR.", "H3, 410 EUR")
        run.says("H3.")
    (finding,) = found(run)
    assert (finding.agent, finding.value) == ("researcher", "step-free")
    assert finding.path == [run.names["delegate researcher"]]


def test_an_agent_whose_own_spans_do_not_say_was_asked_what_its_delegator_sent() -> None:
    run = Scenario()
    with run.agent("clerk", task=REQUEST):
        with run.delegate("planner", REQUEST, hears=""):
            run.says("First the hotel.", knows=[])
            run.delegates_unseen(
                "researcher", "Find a hotel in Lyon, the total must not exceed 900 EUR.", "H3, 410 EUR"
            )
            run.says("H3.", knows=[])
        run.says("H3.")
    (finding,) = found(run)
    assert (finding.peer_agent, finding.agent, finding.value) == ("planner", "researcher", "step-free")


def test_what_was_not_captured_is_not_judged_and_said_to_be_hidden() -> None:
    run = trip(task="Find a hotel.", captures=False)
    assert found(run) == []
    trace = run.trace()
    hidden = observability(trace)
    assert {check.partition(".")[2] for check, _, _ in hidden} == {
        "lost", "altered", "ignored", "invented", "leaked", "mixed", "stale"
    }  # fmt: skip
    assert {delegation_id for _, delegation_id, _ in hidden} == {d.delegation_id for d in trace.delegations()}
    assert all(reason for _, _, reason in hidden)


def test_where_both_sides_were_captured_nothing_is_hidden() -> None:
    assert observability(trip().trace()) == []


@pytest.mark.parametrize("budget", ["90 EUR", "9000 EUR", "700 EUR"])
def test_a_changed_amount_is_altered_and_shown_both_ways(budget: str) -> None:
    finding = by_kind(found(altered(budget)))["context.altered"]
    assert finding.value == "900 EUR"
    assert budget in finding.message
    assert (finding.agent, finding.peer_agent) == ("researcher", "planner")


def test_a_changed_identifier_is_altered() -> None:
    run = Scenario()
    with run.agent("planner", task="Cancel reservation TRIP-101 today."):
        run.says("On it.")
        with run.delegate("desk", "Cancel reservation TRIP-110 today."):
            run.says("Cancelled.")
    (finding,) = found(run)
    assert (finding.kind, finding.value) == ("context.altered", "TRIP-101")


def test_a_changed_date_is_altered() -> None:
    run = Scenario()
    with run.agent("planner", task="Book a table on March 3rd for Ana."):
        run.says("On it.")
        with run.delegate("desk", "Book a table on 2026-03-13 for Ana."):
            run.says("Booked.")
    (finding,) = found(run)
    assert (finding.kind, finding.value) == ("context.altered", "March 3rd")


def test_the_same_value_in_another_writing_is_kept() -> None:
    assert found(rewritten()) == []


def test_a_value_that_follows_from_the_request_is_work_and_not_damage() -> None:
    assert found(derived()) == []


def test_a_value_that_the_delegator_was_given_by_a_tool_is_not_altered() -> None:
    run = Scenario()
    with run.agent("planner", task="Cancel the reservation of Ana, TRIP-101."):
        run.tool("look_up", {"name": "Ana"}, {"reservation": "TRIP-110", "replaces": "TRIP-101"})
        run.says("It has a new number.")
        with run.delegate("desk", "Cancel the reservation of Ana, TRIP-110."):
            run.says("Cancelled.")
    assert found(run) == []


def test_a_constraint_that_a_tool_of_the_delegatee_takes_is_needed() -> None:
    run = Scenario()
    with run.agent("planner", task="Find a hotel in Lyon. The hotel must be step-free."):
        run.says("On it.")
        with run.delegate("researcher", "Find a hotel in Lyon."):
            run.tool("search", {"city": "Lyon", "step_free": False}, "H3")
            run.says("H3")
    (finding,) = found(run)
    assert finding.value == "step-free"
    assert "parameter" in finding.message


def test_a_task_about_what_was_chosen_before_may_drop_the_conditions_of_the_choice() -> None:
    run = Scenario()
    with run.agent("planner", task=REQUEST):
        run.says("First the hotel.")
        run.tool("search", {"city": "Lyon"}, "H7, step-free, 640 EUR")
        run.says("H7 it is.")
        with run.delegate("booker", "Book hotel H7, the total must not exceed 900 EUR."):
            run.says("Booked.")
    assert found(run) == []


def test_a_small_number_in_words_is_the_same_number() -> None:
    run = Scenario()
    with run.agent("editor", task="Revise the memo; at most 3 rounds, and it must stay formal."):
        run.says("On it.")
        with run.delegate("writer", "Revise the memo, no more than three rounds, and stay formal."):
            run.tool("revise", {"rounds": 3}, "done")
            run.says("Revised.")
    assert found(run) == []


def test_what_was_altered_is_not_called_lost_as_well() -> None:
    assert {f.kind for f in found(altered())} == {"context.altered"}


def _passed_on(asked: str, task: str) -> Scenario:
    run = Scenario()
    with run.agent("lead", task=asked):
        run.says("On it.")
        with run.delegate("worker", task):
            run.says("Done.")
        run.says("Done.")
    return run


@pytest.mark.parametrize(
    ("asked", "task", "value"),
    [
        ("Write it in at most 400 words.", "Write it in at least 400 words.", "at most 400 words"),
        ("Never touch the main database.", "Touch the main database if needed.", "Never touch the main database"),
        ("It must include the annex pages.", "It must not include the annex pages.", "include the annex pages"),
        ("Keep the fare under 900 EUR.", "Keep the fare under 900 USD.", "900 EUR"),
        ("Stay within 10 km of the station.", "Stay within 10 miles of the station.", "10 km"),
        ("Fetch at least 34 regions.", "Fetch at least 41 regions.", "34 regions"),
        ("The call is at 5pm sharp.", "The call is at 16:00 sharp.", "5pm"),
    ],
)  # fmt: skip
def test_a_condition_that_arrives_turned_is_altered(asked: str, task: str, value: str) -> None:
    (finding,) = found(_passed_on(asked, task))
    assert (finding.kind, finding.value) == ("context.altered", value)


@pytest.mark.parametrize(
    ("asked", "task"),
    [
        ("Never touch the production database.", "The production database stays untouched."),
        ("Never book a morning slot.", "Morning slots are excluded, book none."),
        ("Stay within 10 km of the station.", "Stay within 6.2 miles of the station."),
        ("Finish within 2 days.", "You have 48 hours, finish within them."),
        ("At most 400 words.", "No more than 400 words."),
        ("Only non-stop flights.", "Exclude flights that are not non-stop."),
        ("The call is at 5pm.", "The call is at 17:00."),
        ("Bis zum 3. März 2026, höchstens 900 EUR.", "By March 3rd 2026, at most €900."),
    ],
)
def test_a_condition_in_other_words_is_kept(asked: str, task: str) -> None:
    assert found(_passed_on(asked, task)) == []


def test_one_condition_of_several_that_stays_behind_is_lost() -> None:
    asked = "Release the ledger. Never touch production. There must be at least 90 tests. It has to be out before May 4, 2027."
    run = _passed_on(asked, "Build the ledger. Never touch production. At least 90 tests.")
    (finding,) = found(run)
    assert (finding.kind, finding.value) == ("context.lost", "out before May 4, 2027")


def test_a_condition_that_other_work_is_given_later_was_not_lost() -> None:
    run = Scenario()
    with run.agent(
        "lead", task="Build it. Never touch production. At least 90 tests. It must be out before May 4, 2027."
    ):
        run.says("On it.")
        with run.delegate("builder", "Build it. Never touch production. At least 90 tests."):
            run.says("Built.")
        with run.delegate("announcer", "Announce it; it must be out before May 4, 2027."):
            run.says("Announced.")
        run.says("Done.")
    assert found(run) == []


@pytest.mark.parametrize(
    ("asked", "task", "value"),
    [
        (
            "A dinner for 14 guests on June 6, 2026. Spend no more than 1,500 EUR. No shellfish please.",
            "Draft a menu for 14 guests on June 6, 2026, no more than 1,500 EUR.",
            "No shellfish please",
        ),
        (
            "Book a van for 8 people on 2026-07-04, under 4000 NOK per day, automatic gearbox only.",
            "Rent a van for 8 people, 4 July 2026, below NOK 4,000 a day.",
            "automatic gearbox only",
        ),
    ],
)
def test_a_request_that_is_handed_on_whole_but_for_one_condition_loses_it(asked: str, task: str, value: str) -> None:
    (finding,) = found(_passed_on(asked, task))
    assert (finding.kind, finding.value) == ("context.lost", value)


@pytest.mark.parametrize(
    ("asked", "task"),
    [
        (
            "A dinner for 14 guests on June 6, 2026. Spend no more than 1,500 EUR. No shellfish please.",
            "Draft a menu for fourteen guests, 6 June 2026: no shellfish, budget 1500 euros.",
        ),
        (
            "Analyse sales of 2024 for Germany and France in EUR. Exclude online sales. Deliver a CSV.",
            "Compute 2024 store sales (offline only) for Germany in EUR as CSV.",
        ),
        (
            "Compare laptops under $1,300 with at least 16 GB memory and weight below 1.5 kg.",
            "Find laptops: less than 1300 USD, 16 GB memory or more, lighter than 3.3 lb.",
        ),
        (
            "Trouve un vol le 12 mars 2026, au plus 200 EUR, sans escale.",
            "Find a flight on 2026-03-12, no more than 200 EUR, sans escale.",
        ),
    ],
)
def test_a_request_in_other_words_is_handed_on_whole(asked: str, task: str) -> None:
    assert found(_passed_on(asked, task)) == []


@pytest.mark.parametrize("second", ["at most 700 EUR", ""])
def test_each_part_of_a_request_may_have_its_own_bound(second: str) -> None:
    run = Scenario()
    asked = "Find a hotel in Lyon, the total at most 900 EUR. Find a hotel in Nice, the total at most 700 EUR."
    with run.agent("planner", task=asked):
        run.says("Both.")
        for city, bound in (("Lyon", "at most 900 EUR"), ("Nice", second)):
            with run.delegate("researcher", f"Find a hotel in {city}, the total {bound}".strip(" ,")):
                run.says(f"H7 in {city}.", tools=[{"function": {"name": "search", "parameters": MAX_TOTAL}}])
    values = [f.value for f in found(run) if f.kind == "context.lost" and f.peer_agent == "planner"]
    assert values == [] if second else "at most 700 EUR" in values


MAX_TOTAL = {"type": "object", "properties": {"max_total": {"type": "number"}}}


def test_a_corrected_condition_is_not_lost_with_its_old_value() -> None:
    run = Scenario()
    with run.agent(
        "planner", task="Find a hotel in Lyon. The total must not exceed 900 EUR. It must be near the station."
    ):
        run.says("Yes.")
        run.hears("Correction: the total is 700 EUR and not 900 EUR.")
        run.says("Noted.")
        with run.delegate("researcher", "Find a hotel in Lyon, at most 700 EUR in total. It must be near the station."):
            run.says("H7.")
    assert found(run) == []


def test_a_date_whose_year_was_left_out_is_the_same_date() -> None:
    run = Scenario()
    with run.agent("planner", task="Book a room in Lyon for May 8, 2027."):
        run.says("Yes.")
        run.hears("Correction: it is May 6 and not May 8.")
        run.says("Noted.")
        with run.delegate("booker", "Book a room in Lyon for May 6, 2027."):
            run.says("Done.")
    assert found(run) == []


def test_a_request_that_is_passed_on_word_for_word_but_for_one_sentence_loses_it() -> None:
    asked = "Find Ines a room in Lyon. It is her first trip abroad. Where can she leave the suitcase that day? Answer by mail."
    (finding,) = found(_passed_on(asked, asked.replace("Where can she leave the suitcase that day? ", "")))
    assert finding.value == "Where can she leave the suitcase that day?"
    assert found(_passed_on(asked, asked.replace("It is her first trip abroad. ", ""))) == []
