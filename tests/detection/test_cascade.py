"""Rules of `cascade`."""

import pytest

from tests.detection.asking import judged, last, loud
from tests.detection.stories import (
    CLEAN,
    DOWN,
    answered_unheard,
    escaped,
    given_again,
    honest,
    invented,
    invented_after_exception,
    invented_after_many_tries,
    of_last_month,
    retried,
    substituted,
    trip,
)
from tests.scenarios import Scenario
from trajectory.detection.cascade import Cascades
from trajectory.graph.echoes import is_failed
from trajectory.graph.trace import Trace
from trajectory.model.fact import Finding
from trajectory.model.words import Severity, SpanKind


def found(run: Scenario) -> tuple[Trace, list[Finding]]:
    trace, said = judged(run, [Cascades])
    return trace, loud(said)


def one(run: Scenario) -> tuple[Trace, Finding]:
    trace, findings = found(run)
    (finding,) = findings
    return trace, finding


def agents_on(trace: Trace, finding: Finding) -> list[str]:
    """Agents along the path, each run of one agent once."""
    names = [trace.spans[span_id].agent_name for span_id in finding.path]
    return [n for i, n in enumerate(names) if i == 0 or names[i - 1] != n]


def test_an_invented_value_is_followed_from_the_failed_tool_to_the_answer() -> None:
    run = invented()
    trace, finding = one(run)
    assert finding.severity == Severity.CRITICAL
    assert finding.root_span_id == run.names["search"]
    assert (finding.agent, finding.peer_agent) == ("researcher", "planner")
    assert agents_on(trace, finding) == ["researcher", "planner", "booker", "planner"]
    assert run.names["quote"] in finding.path
    assert "made up H99" in finding.message and DOWN[:20] in finding.message


def test_a_path_is_in_order_of_time() -> None:
    for story in (invented, substituted):
        trace, finding = one(story())
        starts = [trace.spans[span_id].start_ns for span_id in finding.path]
        assert starts == sorted(starts)


def test_an_exception_that_the_agent_hid_is_a_root_as_well() -> None:
    run = invented_after_exception()
    _, finding = one(run)
    assert finding.root_span_id == run.names["search"]
    assert "ConnectionError" in finding.value


def test_a_substitute_that_a_later_check_disproves_is_a_cascade() -> None:
    run = substituted()
    trace, finding = one(run)
    assert finding.severity == Severity.CRITICAL
    assert finding.root_span_id == run.names["fetch_page"]
    assert agents_on(trace, finding) == ["research", "planner", "writer", "reviewer", "writer"]
    assert finding.confidence >= 0.9


def test_a_second_best_source_is_enough_where_nobody_was_told() -> None:
    _, finding = one(substituted(ledger=False))
    assert finding.confidence < 0.9


def test_another_source_that_is_as_good_is_no_cascade() -> None:
    assert found(substituted(source="fetch_mirror", ledger=False))[1] == []


@pytest.mark.parametrize(
    ("thought", "confidence", "count"),
    [
        ("The mirror may do.", 0.2, 1),
        ("A fallback, as the page is down.", None, 1),
        ("The mirror is as good.", 0.9, 0),
    ],
)
def test_a_source_that_its_agent_doubted_is_second_best(thought: str, confidence: float | None, count: int) -> None:
    run = Scenario()
    with run.agent("planner", task="Write a memo on revenue in the EU."):
        run.says("Research first.")
        with run.delegate("research", "Find revenue in the EU."):
            run.says("Opening S3.")
            run.tool("fetch_page", {"source": "S3"}, DOWN)
            run.thinks(thought, confidence)
            run.tool("fetch_mirror", {"source": "S3"}, {"region": "EU", "amount": 38.9, "unit": "M EUR"})
            run.says("EU revenue is 38.9M EUR (S3).")
        run.says("The writer takes over: EU 38.9M EUR.")
        with run.delegate("writer", "Write a memo. Figures: EU 38.9M EUR (S3)"):
            run.says("MEMO: EU revenue is 38.9M EUR.")
        run.says("MEMO: EU revenue is 38.9M EUR.")
    assert len(found(run)[1]) == count


@pytest.mark.parametrize(
    ("known", "count"),
    [
        (["Last month QX-4410 cost 1,374.50 EUR."], 1),
        (["QX-4410 costs 1,374.50 EUR."], 0),
        (["Last month QX-4410 cost 1,374.50 EUR.", "QX-4410 costs 1,374.50 EUR."], 0),
    ],
    ids=["of the past", "of now", "of both"],
)
def test_a_value_that_was_known_before_is_outdated_only_where_it_was_of_the_past(known: list[str], count: int) -> None:
    run = Scenario()
    with run.agent("planner", task="Order one QX-4410."):
        run.says("Asking for the price.")
        with run.delegate("keeper", "What does QX-4410 cost?"):
            for each in known:
                run.hears(each, role="system")
            run.says("Looking.")
            run.tool("price", {"part": "QX-4410"}, error=("ConnectionError", "the warehouse does not answer"))
            run.says("QX-4410 costs 1,374.50 EUR.")
        run.says("Ordered. QX-4410 costs 1,374.50 EUR.")
    assert len(found(run)[1]) == count


def test_a_second_best_source_that_was_announced_is_no_cascade() -> None:
    said = "EU revenue is 38.9M EUR by a cached copy (S3)."
    assert found(substituted(said=said, ledger=False))[1] == []


def test_an_exception_that_leaves_its_agent_and_ends_the_run_is_critical() -> None:
    run = escaped()
    trace, finding = one(run)
    assert finding.severity == Severity.CRITICAL
    assert finding.root_span_id == run.names["search"]
    assert finding.path[0] == run.names["search"] and finding.path[-1] == run.names["planner"]
    assert agents_on(trace, finding) == ["researcher", "planner"]


@pytest.mark.parametrize("story", [honest, retried, given_again, trip])
def test_a_failure_that_was_dealt_with_is_no_cascade(story: object) -> None:
    assert found(story())[1] == []  # type: ignore[operator]


def test_a_failure_that_stays_in_its_agent_is_no_cascade() -> None:
    run = Scenario()
    fault = ("ValueError", "bad")
    with run.agent("worker", task="x", error=fault):
        run.tool("search", {"q": 1}, error=fault)
    assert found(run)[1] == []


def test_two_failures_that_have_nothing_to_do_with_each_other_are_two_cascades() -> None:
    run = Scenario()
    with run.agent("planner", task="Find two hotels."):
        for city, hotel in (("Lyon", "H91"), ("Nice", "K92")):
            with run.delegate(f"scout {city}", f"Find a hotel in {city}."):
                run.tool("search", {"city": city}, DOWN)
                run.says(f"Take {hotel}.")
        run.says("I book H91 and K92.")
        run.tool("book", {"hotels": ["H91", "K92"]}, "done")
        run.says("Booked H91 and K92.")
    _, findings = found(run)
    assert {f.agent for f in findings} == {"scout Lyon", "scout Nice"}
    assert len({f.key for f in findings}) == 2


def test_what_a_cascade_brings_about_is_no_cascade_of_its_own() -> None:
    run = invented()
    _, findings = found(run)
    assert [f.root_span_id for f in findings] == [run.names["search"]]


def test_a_cascade_grows_under_one_key_and_never_shrinks() -> None:
    _, said = judged(invented(), [Cascades])
    assert len({f.key for f in said}) == 1
    ranks = [Severity(f.severity).rank for f in said]
    assert ranks == sorted(ranks)
    assert len(said) > 1 and len(said[-1].path) > len(said[0].path)


def test_one_value_after_many_tries_of_one_call_is_one_cascade() -> None:
    _, finding = one(invented_after_many_tries())
    assert "H99" in finding.message


def test_one_value_after_failures_of_two_calls_is_one_cascade() -> None:
    run = Scenario()
    with run.agent("planner", task="Find a hotel."):
        with run.delegate("researcher", "Find a hotel."):
            run.tool("search", {"city": "Lyon"}, DOWN)
            run.tool("look_up", {"city": "Lyon"}, DOWN)
            run.says("Take H99.")
        run.tool("book", {"hotel": "H99"}, "done")
        run.says("Booked H99.")
    _, finding = one(run)
    assert finding.root_span_id == run.names["look_up"]


def read_elsewhere(is_given: bool, is_one_talk: bool) -> Scenario:
    """An agent makes up a value, and another one reads it where it was said; `is_given`: somebody else gave it the work."""

    def books(run: Scenario) -> None:
        run.says("Booking H99.")
        run.tool("book", {"hotel": "H99"}, "done")
        run.says("Booked H99.")

    run = Scenario()
    if is_one_talk:
        run._stack.append(run.opens(SpanKind.OTHER, "talk"))
    with run.agent("research", task="Find a hotel in Lyon."):
        run.tool("search", {"city": "Lyon"}, DOWN)
        run.says("Take H99.")
    if is_given:
        with run.agent("lead", task="Have the trip booked."):
            run.says("The booker may read the talk.")
            with run.delegate("booker", "Book it.", sees=[{"role": "assistant", "content": "Take H99."}]):
                books(run)
            run.says("Booked.")
    else:
        with run.agent("booker", task="Book what was found."):
            run.hears("Take H99.", role="assistant")
            books(run)
    return run


@pytest.mark.parametrize("is_given", [False, True])
def test_a_value_that_another_agent_only_read_was_let_through_in_words(is_given: bool) -> None:
    run = read_elsewhere(is_given, is_one_talk=True)
    trace, finding = one(run)
    assert finding.attributes["boundary"] == "words"
    assert trace.spans[bytes.fromhex(finding.attributes["boundary_span"])].agent_name == "booker"
    assert ", which reached booker#1" in finding.message


def test_a_value_that_its_own_agent_answered_with_reached_nobody_else_on_its_way() -> None:
    _, finding = one(read_elsewhere(is_given=True, is_one_talk=False))
    assert "then made up H99 (it is in the final answer); booker#1, lead#1 carried it too" in finding.message


def test_a_value_that_the_request_held_is_not_invented() -> None:
    run = Scenario()
    with run.agent("planner", task="Is H99 free? If in doubt book it."):
        with run.delegate("researcher", "Is H99 free?"):
            run.tool("search", {"id": "H99"}, DOWN)
            run.says("Take H99.")
        run.tool("book", {"hotel": "H99"}, "done")
        run.says("Booked H99.")
    assert found(run)[1] == []


def test_names_in_code_are_the_author_s_own() -> None:
    run = Scenario()
    with run.agent("lead", task="Write a parser."):
        with run.delegate("coder", "Write a parser."):
            run.tool("run_tests", {"n": 1}, {"exit_code": 1, "stderr": "SyntaxError"})
            run.says("Rewritten:\n```python\ntoken42 = lex(utf8)\n```")
        run.tool("commit", {"code": "token42 = lex(utf8)"}, "done")
        run.says("Done: ```token42```")
    assert found(run)[1] == []


def test_where_content_was_not_captured_no_value_is_called_invented() -> None:
    assert found(CLEAN["not captured"]())[1] == []


def test_every_finding_quotes_its_evidence_briefly() -> None:
    for story in (invented, substituted, escaped):
        for finding in last(judged(story(), [Cascades])[1]):
            assert finding.evidence
            assert all(0 < len(e.text) <= 160 for e in finding.evidence)


def test_an_agent_that_heard_something_else_in_between_is_not_said_to_invent() -> None:
    run = Scenario()
    with run.agent("planner", task="Find a hotel."):
        with run.delegate("researcher", "Find a hotel."):
            run.tool("search", {"city": "Lyon"}, DOWN)
            run.tool("ask_colleague", {"who": "Ana"}, "take the one by the river")
            run.says("Take H99.")
        run.tool("book", {"hotel": "H99"}, "done")
        run.says("Booked H99.")
    assert found(run)[1] == []


def test_what_an_agent_makes_up_over_an_invented_value_belongs_to_the_first_cascade() -> None:
    run = Scenario()
    with run.agent("planner", task="Find a hotel."):
        with run.delegate("researcher", "Find a hotel."):
            run.tool("search", {"city": "Lyon"}, DOWN)
            run.says("Take H99.")
        with run.delegate("booker", "Quote H99."):
            run.tool("quote", {"hotel": "H99"}, "Error: 500 internal")
            run.says("H99 costs 777 EUR.")
        run.tool("pay", {"amount": "777 EUR", "for": "H99"}, "done")
        run.says("Paid 777 EUR for H99.")
    _, finding = one(run)
    assert finding.root_span_id == run.names["search"]


def test_what_stands_in_for_a_call_that_raised_is_followed_also_where_only_the_delegator_heard_it() -> None:
    trace, finding = one(answered_unheard())
    assert [is_failed(call) for call in trace.tools()["price"]] == [True]  # counted once, and as an error
    assert finding.severity == Severity.WARNING  # the planner's own answer was not captured
    assert "1,374.50 EUR, which nothing that was captured before holds" in finding.message
    assert "ConnectionError: the warehouse does not answer" in finding.value
    _, finding = one(of_last_month())
    assert finding.severity == Severity.CRITICAL
    assert "1,374.50 EUR, which was known only of an earlier time" in finding.message


def test_a_second_best_source_that_answers_when_asked_again_stood_in_for_nothing() -> None:
    run = Scenario()
    with run.agent("planner", task="What is the revenue?"):
        with run.delegate("research", "Find the revenue."):
            run.tool("read_cache", {"source": "S3"}, "Error: 503 Service Unavailable")
            run.tool("read_cache", {"source": "S3"}, {"amount": 38.9, "unit": "M EUR"})
            run.says("It is 38.9M EUR.")
        run.tool("publish", {"amount": 38.9}, "done")
        run.says("38.9M EUR.")
    assert found(run)[1] == []
