"""Rules of `flow.loop`, over made-up teams: circles without progress beside repetition that gets on."""

from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.detection.asking import judged, last, loud
from tests.detection.stories import FULL_TASK, HOTELS, REQUEST, trip
from tests.scenarios import Scenario
from trajectory.detection.loop import MIN_TRIES_COUNT, MIN_TURNS_COUNT, Loops
from trajectory.model.fact import Finding
from trajectory.model.words import DELEGATION_MODE, DELEGATION_TARGET, INPUT_TOKENS, SpanKind

DOWN = "Error: 503 Service Unavailable from the inventory"
TOURS = [{"id": "T1", "name": "Old town", "price": "40 EUR"}, {"id": "T2", "name": "River", "price": "25 EUR"}]


def alarms(run: Scenario) -> list[Finding]:
    return loud(judged(run, [Loops])[1])


def alone(tell: Callable[[Scenario], object]) -> Scenario:
    run = Scenario()
    with run.agent("worker", task=REQUEST):
        run.says("I begin.")
        tell(run)
        run.says("Done.")
    return run


def inside(*way: tuple[str, str], mode: str = "call", said: str = "") -> Scenario:
    """Each agent gives the next task to the next agent, inside its own work or by handing over control."""
    run = Scenario()
    with ExitStack() as open_works:
        open_works.enter_context(run.agent("planner", task=REQUEST))
        for name, task in way:
            run.says(said or f"Over to {name}.")
            open_works.enter_context(run.delegate(name, task, mode=mode))
        run.says(said or "I stop here.")
    return run


def asking_back(turns: int) -> Scenario:
    return inside(
        *[
            ("researcher", "Which dates are meant for the hotel in Lyon?"),
            ("planner", "Ask for the dates of the stay in Lyon."),
        ]
        * turns
    )


def ring(turns: int) -> Scenario:
    way = [("sales", "Who approves the discount of order W-17?"), ("legal", "Is the discount of order W-17 approved?")]
    return inside(*[*way, ("finance", "Order W-17 wants a discount: please approve.")] * turns)


def handing_over(turns: int) -> Scenario:
    """Control passes to and fro with the same words."""
    return inside(
        *[("billing", "This customer asks about an invoice."), ("support", "This customer asks about a delivery.")]
        * turns,
        mode="transfer",
        said="That is no matter for my desk, I pass it on.",
    )


def handing_over_without_a_task(turns: int) -> Scenario:
    """Control passes to and fro, and nothing tells what was asked: only what each agent then says."""
    run = Scenario()
    with run.agent("planner", task=REQUEST):
        run.says("Over to billing.")
        begun: list[bytes] = []
        for name in ("billing", "support") * turns:
            passed = {DELEGATION_TARGET: name, DELEGATION_MODE: "transfer"}
            begun.append(run.opens(SpanKind.DELEGATION, f"to {name}", attributes=passed))
            run._stack.append(begun[-1])
            begun.append(run.opens(SpanKind.AGENT, name, agent=name))
            run._stack.append(begun[-1])
            said = {"role": "assistant", "content": f"That is no matter for {name}, somebody else has to look at it."}
            run.ends(run.opens(SpanKind.MODEL, "chat", contents={"output": [said]}))
        for span_id in reversed(begun):
            run._stack.pop()
            run.ends(span_id)
        run.says("I stop here.")
    return run


def handing_over_without_a_word(turns: int) -> Scenario:
    return inside(
        *[("billing", ""), ("support", "")] * turns,
        mode="transfer",
        said="That is no matter for my desk, I pass it on.",
    )


def supervising(turns: int) -> Scenario:
    """A supervisor sends the same draft round, and gets the same back."""

    def tell(run: Scenario) -> None:
        for _ in range(turns):
            with run.delegate("writer", "Write a paragraph on tides for children."):
                run.says("Tides rise and fall as the moon goes round.")
            with run.delegate("reviewer", "Review the paragraph on tides for children."):
                run.says("The paragraph lacks a picture of the moon.")

    return alone(tell)


def searching(turns: int, gap: bool = True) -> Scenario:
    def tell(run: Scenario) -> None:
        for turn in range(turns):
            run.tool("search_hotels", {"city": "Lyon"}, HOTELS)
            if gap:
                run.says(f"Thought {turn}: let me search.")

    return alone(tell)


def two_calls(turns: int) -> Scenario:
    def tell(run: Scenario) -> None:
        for _ in range(turns):
            run.tool("search_hotels", {"city": "Lyon"}, HOTELS)
            run.tool("search_tours", {"city": "Lyon"}, TOURS)

    return alone(tell)


def finding_nothing(turns: int) -> Scenario:
    return alone(
        lambda run: [run.tool("search_hotels", {"city": "Lyon", "gym": True}, {"results": []}) for _ in range(turns)]
    )


def failing(turns: int) -> Scenario:
    return alone(lambda run: [run.tool("search_hotels", {"city": "Lyon"}, DOWN) for _ in range(turns)])


def talking(turns: int) -> Scenario:
    """Agents that talk side by side, in turn."""
    run = Scenario()
    root = run.opens(SpanKind.OTHER, "group chat")
    for _ in range(turns):
        for name, text in (
            ("coder", "I need the file with the measured tides before I can plot anything."),
            ("analyst", "Please plot the tides first, then I can say which file is measured."),
        ):
            run.opens(SpanKind.AGENT, name, agent=name, under="group chat")
            run.ends(run.names[name], returned=text)
    run.ends(root)
    return run


FAULTY: dict[str, tuple[Callable[[int], Scenario], str]] = {
    "one asks another who asks back": (asking_back, "planner → researcher → planner"),
    "three in a ring": (ring, "sales → legal → finance → sales"),
    "control passed to and fro": (handing_over, "billing → support → billing"),
    "control passed without a task": (handing_over_without_a_task, "billing → support → billing"),
    "control passed without a word": (handing_over_without_a_word, "billing → support → billing"),
    "a supervisor and two workers": (supervising, "worker → writer → worker → reviewer → worker"),
    "the same call": (searching, "search_hotels"),
    "two calls in turn": (two_calls, "search_hotels → search_tours"),
    "talk in turn": (talking, "coder → analyst"),
}


@pytest.mark.parametrize("name", FAULTY)
@pytest.mark.parametrize("turns", [MIN_TURNS_COUNT + 1, 6])
def test_a_circle_without_progress_is_told_once_with_its_members(name: str, turns: int) -> None:
    tell, way = FAULTY[name]
    (finding,) = alarms(tell(turns))
    if name not in ("three in a ring", "control passed to and fro"):  # where they come in may be another than the first
        assert finding.value == way
    assert {*way.split(" → ")} == {*finding.value.split(" → ")}
    assert finding.evidence and finding.path[0] == finding.root_span_id


@pytest.mark.parametrize("name", FAULTY)
def test_two_turns_are_no_loop(name: str) -> None:
    assert judged(FAULTY[name][0](2), [Loops])[1] == []


def test_a_search_that_finds_nothing_again_and_again_is_a_loop() -> None:
    assert len(alarms(finding_nothing(MIN_TRIES_COUNT))) == 1


@pytest.mark.parametrize(("result", "count"), [('{"hotels": [], "total": 0}', 1), ('{"hotels": [', 0), ("[1, 2", 0)])
def test_nothing_found_is_what_can_be_read_as_that(result: str, count: int) -> None:
    def tell(run: Scenario) -> None:
        for _ in range(MIN_TRIES_COUNT + 1):
            run.tool("search_hotels", {"city": "Lyon"}, result)
            run.says("Hm.")

    assert len(alarms(alone(tell))) == count


def test_a_call_that_fails_is_a_loop_after_more_tries() -> None:
    assert alarms(failing(MIN_TRIES_COUNT - 1)) == []
    assert len(alarms(failing(MIN_TRIES_COUNT))) == 1


def test_a_loop_keeps_its_key_while_it_grows() -> None:
    said = judged(searching(7), [Loops])[1]
    assert len(said) > 2
    assert len({f.key for f in said}) == 1
    assert "7 times" in said[-1].message


def test_the_cost_is_that_of_the_turns_after_the_first() -> None:
    def tell(run: Scenario) -> None:
        for _ in range(4):
            run.tool("search_hotels", {"city": "Lyon"}, HOTELS)
            run.ends(run.opens(SpanKind.MODEL, "chat", attributes={INPUT_TOKENS: 500}))

    (finding,) = alarms(alone(tell))
    assert "1,000 tokens" in finding.message


def pages(run: Scenario) -> None:
    for page in range(6):
        run.tool("list_hotels", {"city": "Lyon", "page": page}, [{"id": f"H{page}"}])


def pages_by_cursor(run: Scenario) -> None:
    for page in range(6):
        run.tool("next_page", {}, [{"id": f"H{page}"}])


def scrolls(run: Scenario) -> None:
    for _ in range(6):
        run.tool("scroll_down", {}, "The window was scrolled down by one page.")


def polls(run: Scenario) -> None:
    for _ in range(8):
        run.tool("get_build", {"id": 7}, {"id": 7, "status": "running"})
    run.tool("get_build", {"id": 7}, {"id": 7, "status": "passed"})


def polls_with_sleep(run: Scenario) -> None:
    for _ in range(5):
        run.tool("get_job", {"id": 7}, "Job 7 is still running, please wait.")
        run.tool("sleep", {"seconds": 5}, "")


def retries_that_succeed(run: Scenario) -> None:
    for _ in range(MIN_TRIES_COUNT + 1):
        run.tool("search_hotels", {"city": "Lyon"}, DOWN)
    run.tool("search_hotels", {"city": "Lyon"}, HOTELS)


def raised_and_retried(run: Scenario) -> None:
    for _ in range(3):
        run.tool("search_hotels", {"city": "Lyon"}, error=("TimeoutError", "no answer in 5 s"))
    run.tool("search_hotels", {"city": "Lyon"}, HOTELS)


def map_reduce(run: Scenario) -> None:
    for name in ("Alpha", "Beta", "Gamma", "Delta"):
        with run.delegate("reader", f"Summarise the interview with {name} in one sentence for the report."):
            run.says("They want faster delivery and a clearer invoice.")


def reviews_with_progress(run: Scenario) -> None:
    draft = "Tides rise."
    for more in ("They fall.", "The moon pulls them.", "So does the sun.", "Each day they come twice."):
        with run.delegate("writer", f"Go on with the text: {draft}"):
            draft = f"{draft} {more}"
            run.says(draft)
        with run.delegate("reviewer", f"Review this text: {draft}"):
            run.says("It lacks something.")


def same_task_new_answers(run: Scenario) -> None:
    for name, price in (("Carlton", 512), ("Bellecour", 471), ("Rhone", 640), ("Perrache", 399)):
        with run.delegate("researcher", "Find one more hotel in Lyon."):
            run.says(f"Hotel {name} costs {price} EUR.")


def edits_and_tests(run: Scenario) -> None:
    for line in (3, 9, 12, 40):
        run.tool("edit_file", {"path": "a.py", "line": line}, "edited a.py")
        run.tool("run_tests", {}, "1 test of 12 failed: test_parse")


def same_question_of_a_user(run: Scenario) -> None:
    for turn in range(5):
        run.hears(f"Turn {turn}: tell me about my order once more, please.")
        run.says("I look it up.")
        run.tool("get_order", {"id": "W123"}, {"id": "W123", "state": "shipped", "items": ["lamp", "desk"]})
        run.says("It is shipped.")


def acknowledged(run: Scenario) -> None:
    for _ in range(6):
        run.tool("set_flag", {"name": "done"}, "ok")


def thoughts(run: Scenario) -> None:
    for turn in range(6):
        run.says(f"I think about part {turn} of the plan.")


def watched(run: Scenario) -> None:
    for _ in range(5):
        with run.delegate("watcher", "Report how service pay does."):
            run.says("Current status: healthy.")


def voted(run: Scenario) -> None:
    for name in ("one", "two", "three", "four"):
        with run.delegate(name, FULL_TASK):
            run.says("H7 for 640 EUR.")
    run.says("All four agree on H7.")


def other_calls_between(run: Scenario) -> None:
    for turn in range(5):
        run.tool("list_files", {"path": "."}, ["a.py", "b.py", "notes.md"])
        run.tool("read_file", {"path": f"part{turn}.md"}, f"Part {turn} tells of hotel H{turn} in Lyon.")


CLEAN: dict[str, Callable[[], Scenario]] = {
    **{
        tell.__name__: lambda tell=tell: alone(tell)  # type: ignore[misc]
        for tell in (
            pages, pages_by_cursor, scrolls, polls, polls_with_sleep, retries_that_succeed, raised_and_retried, map_reduce,
            reviews_with_progress, same_task_new_answers, edits_and_tests, same_question_of_a_user, acknowledged, thoughts,
            watched, voted, other_calls_between,
        )
    },
    "recursion into parts": lambda: inside(
        *[("planner", f"Solve part {n} of the timetable of Lyon.") for n in range(12)]
    ),
    "hand-overs with news": lambda: inside(
        *[(name, f"Invoice {n} of the customer is settled, please go on.") for n in range(5) for name in ("billing", "support")],
        mode="transfer",
    ),
    "all well": trip,
}  # fmt: skip


@pytest.mark.parametrize("name", CLEAN)
def test_repetition_that_gets_on_interrupts_nobody(name: str) -> None:
    assert alarms(CLEAN[name]()) == []


def test_a_loop_that_was_left_by_another_answer_is_for_information() -> None:
    (finding,) = last(judged(alone(retries_that_succeed), [Loops])[1])
    assert (finding.severity, finding.message.endswith("then it went on")) == ("info", True)


def test_without_content_nothing_is_said() -> None:
    run = Scenario(captures_content=False)
    with run.agent("worker"):
        for _ in range(9):
            run.tool("search_hotels", {"city": "Lyon"}, HOTELS)
    assert judged(run, [Loops])[1] == []
