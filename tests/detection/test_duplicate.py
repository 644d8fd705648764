"""Rules of `flow.duplicate`, over made-up teams: each repetition without need beside needful ones that look almost like it."""

from collections.abc import Callable

import pytest

from tests.detection.asking import judged, last, loud
from tests.detection.stories import FULL_TASK, REQUEST, trip
from tests.scenarios import Scenario
from trajectory.detection.duplicate import Duplicates
from trajectory.detection.excuses import AGAIN
from trajectory.model.fact import Finding
from trajectory.model.words import INPUT_TOKENS, SpanKind

FOUND = "Grand Rhone (H7) in Lyon is step-free and costs 640 EUR for two nights."
SAME_FOUND = "The hotel H7, Grand Rhone in Lyon, is step-free; two nights cost 640 EUR."
RESAID = "Which hotel without steps in Lyon takes 2 people for 2 nights? No more than EUR 900 in total. Reference T-77."
REWORDED = "Look for a step-free hotel in Lyon for 2 people, 2 nights, total at most 900 EUR. Reference T-77."


def gives(run: Scenario, to: str, task: str, answer: str, error: tuple[str, str] | None = None) -> None:
    with run.delegate(to, task, error=error):
        run.says(answer)


def team(tell: Callable[[Scenario], None], task: str = REQUEST, agent: str = "planner") -> Scenario:
    run = Scenario()
    with run.agent(agent, task=task):
        run.says("First the hotel.")
        tell(run)
        run.says("H7 for 640 EUR.")
    return run


def side_by_side(run: Scenario, task: str, answers: dict[str, str]) -> None:
    """The same task to several agents at once."""
    sent = {}
    for name in answers:
        attributes = {"trajectory.delegation.target": name, "trajectory.delegation.mode": "call"}
        sent[name] = run.opens(SpanKind.DELEGATION, f"ask {name}", attributes=attributes, contents={"task": [task]})
    for name, answer in answers.items():
        worker = run.opens(SpanKind.AGENT, name, agent=name, under=f"ask {name}")
        run.ends(worker)
        run.ends(sent[name], returned=answer)


def twice(second: str = FULL_TASK, answer: str = SAME_FOUND, to: str = "researcher") -> Callable[[Scenario], None]:
    def tell(run: Scenario) -> None:
        gives(run, "researcher", FULL_TASK, FOUND)
        run.says("Now the hotel.")
        gives(run, to, second, answer)

    return tell


def alarms(run: Scenario) -> list[Finding]:
    return loud(judged(run, [Duplicates])[1])


FAULTY: dict[str, Callable[[], Scenario]] = {
    "the same agent again": lambda: team(twice()),
    "another agent": lambda: team(twice(to="scout")),
    "in other words": lambda: team(twice(REWORDED)),
    "in quite other words, with the same found": lambda: team(twice(RESAID)),
    "in other spacing and case": lambda: team(twice("  " + FULL_TASK.upper().replace(" ", "  "))),
    "the very same answer": lambda: team(twice(answer=FOUND)),
    "at once": lambda: team(
        lambda run: side_by_side(run, FULL_TASK, {"researcher": FOUND, "scout": SAME_FOUND}), "Book a trip to Lyon."
    ),
    "after other work": lambda: team(
        lambda run: [
            gives(run, "researcher", FULL_TASK, FOUND),
            gives(run, "booker", "Get a quote for hotel H7.", "H7: 640 EUR, firm."),
            gives(run, "researcher", FULL_TASK, FOUND),
        ]  # type: ignore[func-returns-value]
    ),
}


@pytest.mark.parametrize("name", FAULTY)
def test_work_that_was_done_and_is_given_again_is_a_duplicate(name: str) -> None:
    run = FAULTY[name]()
    (finding,) = alarms(run)
    assert finding.peer_agent == "planner"
    assert "step-free hotel in Lyon" in finding.value
    assert finding.root_span_id != finding.span_id


def test_one_call_that_puts_two_agents_to_work_gives_nothing_twice() -> None:
    run = Scenario()
    with run.agent("planner", task=REQUEST):
        asks = run.opens(SpanKind.TOOL, "ask_both", contents={"arguments": [{"task": FULL_TASK}]})
        for name, question in {"researcher": "Which hotel?", "scout": "Is it step-free?"}.items():
            given = {"input": [question], "output": [FOUND]}
            run.ends(run.opens(SpanKind.AGENT, name, agent=name, under="ask_both", contents=given))
        run.ends(asks, result=FOUND)
    trace = run.trace()
    tasks = {d.target_agent: [trace.text(digest) for digest in d.task_digests()] for d in trace.delegations()}
    assert tasks == {
        "researcher": ["Which hotel?"],
        "scout": ["Is it step-free?"],
    }  # and not the call's arguments, twice
    assert not alarms(run)


def test_one_call_that_asks_two_agents_the_same_gives_nothing_twice() -> None:
    run = Scenario()
    with run.agent("planner", task=REQUEST):
        asks = run.opens(SpanKind.TOOL, "ask_both", contents={"arguments": [{"task": FULL_TASK}]})
        for name in ("researcher", "scout"):
            given = {"input": [FULL_TASK], "output": [FOUND]}
            run.ends(run.opens(SpanKind.AGENT, name, agent=name, under="ask_both", contents=given))
        run.ends(asks, result=FOUND)
    assert not alarms(run)


def test_work_that_nobody_known_gave_twice_is_a_duplicate_too() -> None:
    run = Scenario()
    for _ in range(2):
        with run.delegate("researcher", FULL_TASK):
            run.says(FOUND)
    (finding,) = alarms(run)
    assert (finding.agent, finding.peer_agent) == ("researcher", "")


@pytest.mark.parametrize(
    ("task", "mode", "why"),
    [
        ("Do it again with fresh data: " + FULL_TASK, "call", AGAIN[0]),
        (FULL_TASK, "transfer", "control was handed over"),
    ],
)
def test_what_is_given_again_on_purpose_is_for_information(task: str, mode: str, why: str) -> None:
    run = Scenario()
    with run.agent("planner", task=REQUEST):
        for each in (FULL_TASK, task):
            with run.delegate("researcher", each, mode=mode):
                run.says(FOUND)
                run.returns(FOUND)
            run.says("Now the hotel.")
    said = [(f.severity, f.message.endswith(why)) for f in last(judged(run, [Duplicates])[1])]
    assert said == [("info", True)]


def test_the_same_work_given_by_two_agents_is_done_twice() -> None:
    def tell(run: Scenario) -> None:
        gives(run, "researcher", FULL_TASK, FOUND)
        with run.delegate("lead", "Plan the days in Lyon by yourself, with all that is to be seen there."):
            run.says("First the hotel.")
            gives(run, "scout", FULL_TASK, SAME_FOUND)
            run.says("Two days.")

    (finding,) = alarms(team(tell))
    assert finding.agent == "scout"


def test_more_of_the_same_grows_one_finding_and_its_cost() -> None:
    run = team(lambda run: [gives(run, "researcher", FULL_TASK, FOUND) for _ in range(4)] and None)
    said = judged(run, [Duplicates])[1]
    (finding,) = last(said)
    assert len(said) > 1 and len(finding.path) == 4


def test_the_cost_is_that_of_the_work_that_was_for_nothing() -> None:
    run = Scenario()
    with run.agent("planner", task=REQUEST):
        for _ in range(2):
            with run.delegate("researcher", FULL_TASK):
                run.ends(run.opens(SpanKind.MODEL, "chat", attributes={INPUT_TOKENS: 1200}))
                run.says(FOUND)
    (finding,) = alarms(run)
    assert "1,200 tokens" in finding.message


def after_failure(run: Scenario) -> None:
    fault = ("ConnectionError", "inventory unreachable")
    gives(run, "researcher", FULL_TASK, "", error=fault)
    gives(run, "researcher", FULL_TASK, FOUND)


def after_an_excuse(run: Scenario) -> None:
    gives(run, "researcher", FULL_TASK, "I could not reach the inventory for hotels in Lyon.")
    gives(run, "researcher", FULL_TASK, "I could not reach the inventory for hotels in Lyon.")


def asked_back(run: Scenario) -> None:
    gives(run, "researcher", FULL_TASK, "Shall the hotel in Lyon be near the station?")
    gives(run, "researcher", FULL_TASK, FOUND)


def with_feedback(run: Scenario) -> None:
    gives(run, "researcher", FULL_TASK, FOUND)
    gives(run, "researcher", FULL_TASK + " H7 is too far out: look near the station instead.", "H9, 610 EUR.")


def told_to_redo(run: Scenario) -> None:
    gives(run, "researcher", FULL_TASK, FOUND)
    run.says("That was yesterday's list; do it again with fresh data.")
    gives(run, "researcher", FULL_TASK, SAME_FOUND)


def asked_by_the_user(run: Scenario) -> None:
    gives(run, "researcher", FULL_TASK, FOUND)
    run.hears("Sorry, I lost that. Which hotel was it?")
    run.says("I look.")
    gives(run, "researcher", FULL_TASK, SAME_FOUND)


def pages(run: Scenario) -> None:
    for page in range(1, 5):
        gives(
            run, "researcher", f"Read page {page} of the hotel list of Lyon.", f"Page {page}: hotels in Lyon, H{page}."
        )


def polls(run: Scenario) -> None:
    for said in ("Build 7 is running.", "Build 7 is running.", "Build 7 is running.", "Build 7 passed."):
        gives(run, "builder", "Is build 7 of the site ready?", said)


def polls_a_healthy_service(run: Scenario) -> None:
    for _ in range(4):
        gives(run, "watcher", "Report the health of service pay.", "Service pay is healthy; all probes answered.")


def map_reduce(run: Scenario) -> None:
    for name in ("Alpha", "Beta", "Gamma", "Delta"):
        gives(
            run,
            "reader",
            f"Summarise the customer interview with {name} in three sentences for the quarterly report of the team.",
            f"{name} wants faster delivery and a clearer invoice; the rest is fine.",
        )


def map_over_regions(run: Scenario) -> None:
    for name, share in (("north", 12), ("south", 31), ("east", 7)):
        gives(
            run,
            "analyst",
            f"Compute the revenue share of the {name} region for 2025.",
            f"The share is {share} percent.",
        )


def same_words_other_shard(run: Scenario) -> None:
    """Workers that are told the same, each with its own share of the data at hand."""
    side_by_side(
        run,
        "Summarise your share of the interviews.",
        {"one": "Customers in Lyon want parking near H7.", "two": "Guests of Nice ask for late breakfast, 42 of them."},
    )


def voting(run: Scenario) -> None:
    side_by_side(run, FULL_TASK, {"one": FOUND, "two": SAME_FOUND, "three": FOUND})
    run.says("Two of three agree on H7; majority vote decides.")


def second_opinion(run: Scenario) -> None:
    gives(run, "researcher", FULL_TASK, FOUND)
    run.says("I want a second opinion.")
    gives(run, "scout", FULL_TASK, SAME_FOUND)


def compared_by_a_tool(run: Scenario) -> None:
    side_by_side(run, FULL_TASK, {"one": FOUND, "two": SAME_FOUND})
    run.tool("majority_vote", {"answers": ["H7", "H7"]}, "H7")


def handed_on(run: Scenario) -> None:
    """A lead passes the very same task to a member of its team."""
    with run.delegate("lead", FULL_TASK):
        run.says("To the researcher.")
        gives(run, "researcher", FULL_TASK, FOUND)
        run.says(FOUND)


def review_cycle(run: Scenario) -> None:
    for draft in ("Tides rise at dawn.", "Tides rise twice a day.", "Tides rise twice a day, drawn by the moon."):
        gives(run, "writer", f"Write on tides. Draft so far: {draft}", draft)
        gives(run, "reviewer", f"Review this text: {draft}", f"Say more than “{draft}”.")


def checked_after_changes(run: Scenario) -> None:
    for change in ("the parser", "the lexer", "the printer"):
        gives(run, "coder", f"Change {change} to accept tabs.", f"Changed {change}.")
        gives(run, "tester", "Run the test suite of the compiler.", "All 120 tests of the compiler pass.")


def same_finding_on_each(run: Scenario) -> None:
    """Parts that are told apart by one word of a long form, and are all in order."""
    for part in ("brakes", "tyres", "lights", "mirrors"):
        gives(
            run,
            "mechanic",
            f"Inspect the {part} of the delivery van by the yearly list, note every fault, and answer in one sentence.",
            "No faults were seen.",
        )


def same_finding_on_each_name(run: Scenario) -> None:
    for name in ("Hamburg", "Bremen", "Rostock"):
        gives(
            run,
            "clerk",
            f"Read all letters that came in from {name} since spring, and say in a sentence what customers there want most.",
            "Customers want faster delivery, clearer invoices, better packing and a number to call.",
        )


def other_amount(run: Scenario) -> None:
    gives(run, "researcher", FULL_TASK, FOUND)
    gives(run, "researcher", FULL_TASK.replace("900", "700"), SAME_FOUND)


def narrowed(run: Scenario) -> None:
    gives(run, "researcher", "Find a hotel in Lyon for the team.", "There are many hotels in Lyon.")
    gives(run, "researcher", "Find a hotel in Lyon for the team with a gym, a pool, and breakfast.", FOUND)


def other_found_for_other_words(run: Scenario) -> None:
    gives(run, "researcher", FULL_TASK, FOUND)
    gives(run, "researcher", RESAID, "H12, Hotel Carlton, 710 EUR.")


def says_little(run: Scenario) -> None:
    for _ in range(3):
        gives(run, "researcher", "Continue.", "Continued.")


def new_answer(run: Scenario) -> None:
    gives(run, "researcher", "Find one hotel in Lyon.", "Hotel Carlton, H3, at 512 EUR.")
    gives(run, "researcher", "Find one hotel in Lyon.", "Hotel Bellecour, H8, at 471 EUR.")


CLEAN = {
    f.__name__: f
    for f in (
        after_failure, after_an_excuse, asked_back, with_feedback, told_to_redo, asked_by_the_user, pages, polls,
        polls_a_healthy_service, map_reduce, map_over_regions, same_words_other_shard, voting, second_opinion,
        compared_by_a_tool, handed_on, review_cycle, checked_after_changes, same_finding_on_each,
        same_finding_on_each_name, other_amount, narrowed, other_found_for_other_words, says_little, new_answer,
    )
}  # fmt: skip


@pytest.mark.parametrize("name", CLEAN)
def test_needful_repetition_interrupts_nobody(name: str) -> None:
    assert alarms(team(CLEAN[name])) == []


def test_a_team_that_is_to_compare_answers_may_ask_twice() -> None:
    ask = "Ask two researchers independently for a hotel in Lyon, and report what they agree on."
    run = team(lambda run: side_by_side(run, FULL_TASK, {"one": FOUND, "two": SAME_FOUND}), ask)
    (finding,) = last(judged(run, [Duplicates])[1])
    assert (finding.severity, finding.message.endswith("the answers are compared")) == ("info", True)


def test_without_content_nothing_is_said() -> None:
    run = Scenario(captures_content=False)
    with run.agent("planner"):
        for _ in range(3):
            gives(run, "researcher", FULL_TASK, FOUND)
    assert judged(run, [Duplicates])[1] == []


def test_a_common_run_has_none() -> None:
    assert judged(trip(), [Duplicates])[1] == []
