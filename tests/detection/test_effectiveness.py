"""Rules of what crossed a delegation and of how well it went: small runs, each with one thing that happens to an item."""

import pytest

from tests.detection.asking import judged, last
from tests.detection.stories import FULL_TASK, altered, called_in_process, forgetful, trip
from tests.scenarios import Scenario
from trajectory.detection.boundary import observability
from trajectory.detection.crossing import NO_PART, NO_RETURN, Crossed
from trajectory.detection.effectiveness import Effectiveness, Figures
from trajectory.detection.lost import ContextAtBoundaries
from trajectory.graph.trace import Trace
from trajectory.model.fact import Found, SpanLinked
from trajectory.model.words import INPUT_TOKENS, OUTPUT_TOKENS, LinkKind, SpanKind


def found(run: Scenario) -> Trace:
    """The trace with what the detector of lost and altered context says of it."""
    trace, said = judged(run, [ContextAtBoundaries])
    for finding in last(said):
        trace.apply(Found(trace.last_ns, finding), run.source)
    return trace


def items(trace: Trace, number: int = 0) -> dict[str, Crossed]:
    return {item.text: item for item in Effectiveness(trace).crossing(trace.delegations()[number]).items}


def figures(trace: Trace, number: int = 0) -> Figures:
    return Effectiveness(trace).of(trace.delegations()[number])


def works(
    task: str, answer: str, again: str = "", second: str = "", said: str = "On.", error: bool = False
) -> Scenario:
    """A planner asks a writer for something, and then for something more."""
    run = Scenario()
    with run.agent("planner", task="Get the quarterly report of the Lyon office ready."):
        run.says("First a draft.")
        with run.delegate("writer", task, error=("TimeoutError", "no answer in 5 s") if error else None):
            run.says(answer)
        run.says(said)
        if again:
            with run.delegate("writer", again):
                run.says(second)
            run.says("Done.")
    return run


def test_what_the_delegators_code_got_from_an_agent_or_a_tool_it_held_whatever_its_model_saw() -> None:
    passed = items(found(called_in_process()), 1)
    assert [passed[text].change for text in ("HR-8841", "640 EUR", "2026-06-03")] == ["same"] * 3
    assert passed["HR-8841"].held == "HR-8841"
    assert passed["T-77"].change == "added"  # which nobody had given it


def test_what_was_passed_on_arrived_and_what_the_work_needs_and_never_got_is_lost() -> None:
    whole, cut = found(trip()), found(forgetful())
    assert figures(whole).lost == figures(whole).altered == 0
    assert figures(whole).needed == figures(whole).arrived == 6
    lost = [item for item in items(cut).values() if item.change == "lost"]
    assert [(i.text, i.held, i.sent, i.got) for i in lost] == [("step-free", "step-free", "", "")]
    assert "never was" in lost[0].needed
    known = figures(cut)
    assert known.lost == 1 and known.needed == (known.arrived or 0) + 1


def test_a_loss_is_one_only_where_a_finding_or_the_work_itself_says_that_it_is_needed() -> None:
    run = Scenario()
    with run.agent("planner", task="Plan a trip for T-77 and T-88, at most 900 EUR."):
        run.says("First the one.")
        with run.delegate("booker", "Look after the first of them."):
            run.says("Looking.")
            run.tool("lookup", {"id": "T-77"}, "nothing")
            run.says("Nothing.")
        run.says("So be it.")
    crossed = items(run.trace())
    assert crossed["T-77"].change == "lost" and "came to use it" in crossed["T-77"].needed
    assert crossed["T-88"].change == "unsent" and not crossed["T-88"].needed


def test_a_value_that_arrives_changed_is_altered_and_counts_as_needed() -> None:
    trace = found(altered())
    crossed = next(i for i in items(trace).values() if i.change == "altered")
    assert "900 EUR" in crossed.held and crossed.sent == crossed.got == "90 EUR"
    assert figures(trace).altered == 1
    assert figures(trace).needed == (figures(trace).arrived or 0) + 1 + (figures(trace).lost or 0)


def test_a_value_in_no_condition_that_arrives_changed_is_altered_too() -> None:
    run = Scenario()
    with run.agent("planner", task="Plan a stay in Lyon under the reference T-7714. The guest room is R-204."):
        run.says("First the hotel.")
        with run.delegate("researcher", "Find a hotel in Lyon under the reference T-7741."):
            run.says("H7.")
        run.says("H7.")
    told = items(found(run))
    assert (told["T-7714"].change, told["T-7714"].sent) == ("altered", "T-7741")
    assert (told["R-204"].change, told["R-204"].sent) == ("unsent", "")


def test_of_very_many_values_the_first_are_shown() -> None:
    refs = " ".join(f"T-{number}" for number in range(1000, 2500))
    trace = found(trip(task=f"Find a hotel for {refs}."))
    shown = [text for text in items(trace) if text.startswith("T-")]
    assert 100 < len(shown) < 1500 and "T-1000" in shown


def test_what_is_new_in_a_task_is_added_unless_it_follows_from_what_was_held() -> None:
    extra = trip(task=FULL_TASK + " Ask for H99. Each night at most 450 EUR.", heard=None)
    crossed = items(extra.trace())
    assert crossed["H99"].change == "added" and not crossed["H99"].note
    assert crossed["450 EUR"].change == "added" and crossed["450 EUR"].note
    assert figures(extra.trace()).added == 1


def test_what_came_back_is_what_was_neither_sent_nor_held_and_used_is_what_others_did_with_it() -> None:
    trace = trip().trace()
    crossed = {text: item for text, item in items(trace).items() if item.change == "returned"}
    assert set(crossed) == {"H7", "640 EUR"}
    assert [(use.role, trace.span_label(use.span)) for use in crossed["H7"].uses][:2] == [
        ("said", "planner#1"), ("given", "planner#1"),
    ]  # fmt: skip
    assert (figures(trace).returned, figures(trace).used) == (2, 2)
    unused = works("Write the draft.", "The draft is D-4711.", said="I do it myself.").trace()
    assert (figures(unused).returned, figures(unused).used) == (1, 0)


def test_an_answer_is_no_part_of_what_was_held_before_though_no_model_call_says_what_that_was() -> None:
    run = Scenario()
    with run.agent("planner", task="Find a hotel in Lyon."):
        run.delegates_unseen("researcher", "Find a hotel in Lyon.", "H7 is free, for 640 EUR.")
        run.delegates_unseen("booker", "Book H7.", "H7 is booked, as B-4711.")
        run.returns("Booked as B-4711, 640 EUR.")
    first, second = (items(run.trace(), n) for n in range(2))
    assert {t for t, i in first.items() if i.change == "returned"} == {"H7", "640 EUR"}
    assert {t for t, i in second.items() if i.change == "returned"} == {"B-4711"}
    assert second["H7"].held and second["H7"].change == "same"


def test_an_answer_of_which_less_came_back_than_was_said_dropped_something() -> None:
    run = Scenario()
    with run.agent("planner", task="Get the figure."):
        run.says("Asking.")
        sent = run.opens("delegation", "delegate analyst", attributes={"trajectory.delegation.target": "analyst"})
        run._stack.append(sent)
        with run.agent("analyst", task="Get the figure."):
            run.says("It is 41.2M EUR as of 2025-10-01.")
        run._stack.pop()
        run.ends(sent, returned="It is 41.2M EUR.")
        run.says("41.2M EUR it is.")
    assert items(run.trace())["2025-10-01"].change == "dropped"
    assert items(run.trace())["41.2M EUR"].change == "returned"


def both(answers: dict[str, str], result: str) -> Scenario:
    """One call of a planner that puts two agents to work; an empty answer was not captured."""
    run = Scenario()
    with run.agent("planner", task="Find a hotel in Lyon."):
        asks = run.opens(SpanKind.TOOL, "ask_both", contents={"arguments": [{"task": "Find one."}]})
        for name, answer in answers.items():
            said = {"input": [f"Find one, {name}."]} | ({"output": [answer]} if answer else {})
            run.ends(run.opens(SpanKind.AGENT, name, agent=name, under="ask_both", contents=said))
        run.ends(asks, result=result)
    return run


def test_what_comes_back_of_a_call_that_asks_several_is_what_each_of_them_answered() -> None:
    answers = {"researcher": "H7 is free, until 2025-10-01.", "scout": "R22 is step-free."}
    trace = both(answers, "H7 is free. R22 is step-free.").trace()
    assert [items(trace, n).keys() for n in (0, 1)] == [{"H7", "2025-10-01"}, {"R22"}]
    assert items(trace)["2025-10-01"].change == "dropped"
    assert {d.target_agent: [trace.text(x) for x in d.returned_digests()] for d in trace.delegations()} == {
        name: [answer] for name, answer in answers.items()
    }


def test_the_figures_of_a_call_that_asks_several_are_each_agents_own() -> None:
    trace = both({"researcher": "H7 is free.", "scout": "R22 and R23 are."}, "H7 is free. R22 and R23 are.").trace()
    known = Effectiveness(trace)
    assert [known.of(each).returned for each in trace.delegations()] == [1, 2]


def test_where_a_call_brings_back_one_result_for_several_whose_own_answers_are_not_known_none_is_told() -> None:
    trace = both({"researcher": "", "scout": ""}, "H7 is free.").trace()
    crossing = Effectiveness(trace).crossing(trace.delegations()[0])
    assert crossing.hidden["back"] == NO_PART and not crossing.items


def handed_over(answer: str) -> Trace:
    """A planner passes control to a writer, and gets a receipt; an empty answer was not captured."""
    run = Scenario()
    with run.agent("planner", task="Find a hotel in Lyon."):
        run.says("Over to you.")
        to_whom = {"trajectory.delegation.target": "writer", "trajectory.delegation.mode": "transfer"}
        passes = run.opens("delegation", "pass on", attributes=to_whom, contents={"task": ["Find one."]})
        run._stack.append(passes)
        with run.agent("writer", task="Find one."):
            if answer:
                run.says(answer)
        run._stack.pop()
        run.ends(passes, returned="Transferred to W-4711.")
    return run.trace()


def test_nothing_comes_back_of_a_hand_off_and_that_is_no_gap_in_what_was_captured() -> None:
    trace = handed_over("")
    (delegation,) = trace.delegations()
    crossing = Effectiveness(trace).crossing(delegation)
    assert crossing.hidden["back"] == crossing.hidden["used"] == NO_RETURN and "W-4711" not in items(trace)
    assert "context.ignored" not in [check for check, _, _ in observability(trace)]


def test_what_comes_of_a_hand_off_is_the_answer_of_who_got_control_and_not_the_receipt() -> None:
    trace = handed_over("H7 is free.")
    (delegation,) = trace.delegations()
    assert [trace.text(digest) for digest in delegation.returned_digests()] == ["H7 is free."]
    assert {text: i.change for text, i in items(trace).items()} == {"H7": "returned"}


def test_an_item_knows_where_it_came_from_and_what_used_it_later() -> None:
    trace = trip().trace()
    crossed = items(trace)["H7"]
    assert trace.span_label(crossed.trail[0].span) == "researcher#1" and crossed.trail[0].role == "result"
    assert [u.at_ns for u in crossed.uses] == sorted(u.at_ns for u in crossed.uses)
    returned_ns = trace.delegations()[0].returned_ns
    assert all(use.at_ns >= returned_ns and trace.span_label(use.span) != "researcher#1" for use in crossed.uses)


def test_where_nothing_was_captured_nothing_is_known_and_never_nothing() -> None:
    trace = trip(captures=False).trace()
    known = figures(trace)
    assert (known.needed, known.lost, known.altered, known.added, known.returned, known.used) == (None,) * 6
    assert known.tokens is None and known.cost_usd is None
    assert known.took_ns and (known.unseen, known.unheard) == (1, 1)
    total = Effectiveness(trace).total(trace.delegations())
    assert total is not None and total.needed is None and total.unseen == len(trace.delegations())
    assert "needed" not in known.known


def test_an_answer_after_which_nothing_was_captured_may_have_been_used() -> None:
    run = works("Write the draft.", "The draft is D-4711.")
    upto = next(
        n
        for n, f in enumerate(run.facts)
        if getattr(f, "span_id", b"") == run.names["delegate writer"] and "End" in type(f).__name__
    )
    trace = run.trace(run.facts[: upto + 1])
    assert (figures(trace).returned, figures(trace).used, figures(trace).unheard) == (1, None, 1)
    open_ = run.trace(run.facts[:upto])
    assert (figures(open_).returned, figures(open_).took_ns) == (None, None)


def test_money_is_what_the_innermost_spans_say_and_tokens_count_once_where_work_lies_in_work() -> None:
    run = Scenario()
    price = {INPUT_TOKENS: 100, OUTPUT_TOKENS: 10, "operation.cost": 0.25}
    with run.agent("planner", task="Go."):
        run.says("Going.", attributes=price)
        with run.delegate("lead", "Lead the work on T-77."):
            run.says("I ask.", attributes=price)
            with run.delegate("hand", "Do the work on T-77."):
                run.says("Done.", attributes=price)
            run.says("Done too.", attributes=price)
    trace = run.trace()
    known = Effectiveness(trace)
    outer, inner = trace.delegations()
    assert [(known.of(d).tokens, known.of(d).cost_usd) for d in (outer, inner)] == [(330, 0.75), (110, 0.25)]
    both = known.total([outer, inner])
    assert both is not None and (both.tokens, both.cost_usd) == (330, 0.75)


DRAFT = "Write the quarterly report of the Lyon office, number R-2025."


@pytest.mark.parametrize(
    ("run", "kind"),
    [
        (works(DRAFT, "The report R-2025 is written: 3 pages.", DRAFT, "The report R-2025 is written: 3 pages."), "repeat"),
        (works(DRAFT, "", DRAFT, "The report R-2025 is written.", error=True), "retry"),
        (works(DRAFT, "Here is R-2025.", "Revise the report R-2025: the totals are wrong.", "Here is R-2025, revised."), "redo"),
        (works(DRAFT, "Here is R-2025.", "Send it to the board of directors in Paris.", "Sent."), ""),
        (works(DRAFT, "Here is R-2025.", "Write the yearly report of the Paris office, number R-9.", "Here is R-9."), ""),
    ],
    ids=["repeat", "retry", "redo", "other work", "like work"],
)  # fmt: skip
def test_work_that_is_done_again_is_a_repeat_a_retry_or_redone(run: Scenario, kind: str) -> None:
    trace = run.trace()
    known = Effectiveness(trace)
    again = known.again(trace.delegations()[1])
    assert (again.kind if again is not None else "") == kind
    if again is not None:
        assert again.first is trace.delegations()[0]
    second = figures(trace, 1)
    assert (second.repeats, second.retries, second.redos) == tuple(int(kind == k) for k in ("repeat", "retry", "redo"))
    assert known.again(trace.delegations()[0]) is None


def test_a_retry_that_an_emitter_links_is_one_whatever_was_captured() -> None:
    run = works(DRAFT, "Here.", "Go on with the next part of it, please.", "Here.")
    first, second = (d.delegation_id for d in run.trace().delegations())
    run.facts.append(SpanLinked(run.trace_id, second, run.now_ns, LinkKind.RETRY_OF, run.trace_id, first))
    assert figures(run.trace(), 1).retries == 1


def test_sums_are_made_for_each_pair_and_for_each_agent_on_both_sides() -> None:
    trace = trip().trace()
    known = Effectiveness(trace)
    edges = dict(known.edges())
    assert [key[:2] for key in edges] == [("planner", "researcher"), ("planner", "booker")]
    agents = {a.agent: a for a in known.agents()}
    assert agents["planner"].took is None and agents["booker"].gave is None
    gave = agents["planner"].gave
    assert gave is not None and gave.delegations == 2
    assert gave.needed == sum(f.needed or 0 for f in edges.values())


def test_it_says_the_same_in_any_order_of_the_facts() -> None:
    run = trip()
    there, back = run.trace(), run.trace([*reversed(run.facts)])
    for number in range(2):
        assert figures(there, number) == figures(back, number)
        assert [i.key for i in items(there, number).values()] == [i.key for i in items(back, number).values()]
