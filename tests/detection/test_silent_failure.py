"""Rules of `tool.silent_failure`."""

import pytest

from tests.detection.asking import judged, last
from tests.detection.stories import DOWN, invented, talks_about_errors
from tests.scenarios import Scenario
from trajectory.detection.silent_failure import SilentFailures
from trajectory.model.fact import Finding, Payload, SpanEnded, SpanStarted
from trajectory.model.words import Severity, SpanKind


def found(run: Scenario) -> list[Finding]:
    return last(judged(run, [SilentFailures])[1])


def one_call(result: object, name: str = "search") -> Scenario:
    run = Scenario()
    with run.agent("worker", task="Search."):
        run.tool(name, {"q": 1}, result)
        run.says("Done.")
    return run


def test_a_fault_under_an_ok_span_is_a_warning_that_names_tool_agent_and_words() -> None:
    run = one_call(DOWN)
    (finding,) = found(run)
    assert finding.severity == Severity.WARNING
    assert (finding.agent, finding.span_id, finding.value) == ("worker", run.names["search"], DOWN)
    assert "search in worker#1" in finding.message
    assert [e.span_id for e in finding.evidence] == [run.names["search"]]
    assert finding.detector == "tool.silent_failure"


def test_a_declined_request_is_for_information() -> None:
    (finding,) = found(one_call("Error: user not found"))
    assert finding.severity == Severity.INFO


def test_an_error_span_is_not_silent() -> None:
    run = Scenario()
    with run.agent("worker"):
        run.tool("search", {"q": 1}, error=("ValueError", "Error: bad"))
    assert found(run) == []


def test_good_news_and_documents_about_errors_are_no_failures() -> None:
    assert found(talks_about_errors()) == []


@pytest.mark.parametrize(("name", "count"), [("read_file", 1), ("get_user", 1), ("search_files", 0), ("list_users", 0)])
def test_nothing_is_a_failure_only_of_tools_that_owe_content(name: str, count: int) -> None:
    findings = found(one_call("", name))
    assert len(findings) == count
    assert all(f.severity == Severity.INFO for f in findings)


def test_a_call_that_waited_for_an_agent_is_a_delegation_s_matter() -> None:
    run = one_call(DOWN, "ask_booker")
    at_ns = run.trace().spans[run.names["ask_booker"]].start_ns + 1
    run.facts += [
        SpanStarted(run.trace_id, b"a-worker", b"", at_ns, 0, "agent", "booker", "booker"),
        SpanEnded(run.trace_id, b"a-worker", at_ns + 1, 0, "ok"),
    ]
    assert judged(run, [SilentFailures], settle_every=10**6)[1] == []


@pytest.mark.parametrize(("is_retry", "severity"), [(True, Severity.INFO), (False, Severity.WARNING)])
def test_a_fault_that_a_call_with_other_arguments_says_it_mends_is_for_information(
    is_retry: bool, severity: Severity
) -> None:
    run = Scenario()
    with run.agent("worker"):
        failed = run.tool("search", {"q": 1}, DOWN)
        run.tool("search", {"q": 2}, "H7", retry_of=failed if is_retry else b"")
    assert [f.severity for f in found(run)] == [severity]


def test_a_delegatee_s_answer_is_no_tool_result() -> None:
    run = Scenario()
    with run.agent("planner", task="x"):
        call = run.opens(SpanKind.TOOL, "ask_booker")
        run.opens(SpanKind.AGENT, "booker", agent="booker", under="ask_booker")
        run.ends(run.names["booker"])
        run.ends(call, result="Error: the booker found nothing")
    assert found(run) == []


def test_the_same_call_made_again_with_success_takes_the_alarm_back() -> None:
    run = Scenario()
    with run.agent("worker"):
        run.tool("search", {"q": 1}, DOWN)
        run.tool("search", {"q": 1}, "3 hits")
    said = judged(run, [SilentFailures])[1]
    assert [f.severity for f in said] == [Severity.WARNING, Severity.INFO]
    assert len({f.key for f in said}) == 1


def test_another_call_with_success_does_not() -> None:
    run = Scenario()
    with run.agent("worker"):
        run.tool("search", {"q": 1}, DOWN)
        run.tool("search", {"q": 2}, "3 hits")
    assert [f.severity for f in found(run)] == [Severity.WARNING]


def test_a_child_that_comes_before_its_parents_ends_up_with_its_agent() -> None:
    run = invented()
    spans = [f for f in run.facts if not isinstance(f, Payload)]
    agents = [f for f in spans if isinstance(f, SpanStarted) and f.kind == SpanKind.AGENT]
    late = [f for f in spans if f not in agents] + agents
    findings = last(judged(run, [SilentFailures], late)[1])
    assert {f.agent for f in findings} == {"researcher", "booker"}


def test_an_answer_that_only_the_model_was_shown_is_read_there() -> None:
    run = Scenario()
    with run.agent("worker", task="Search."):
        run.tool("search", {"q": 1}, DOWN, shown_only=True)
        run.tool("list", {"q": 1}, "3 hits", shown_only=True)
        run.says("It is down.")
    (finding,) = found(run)
    assert (finding.span_id, finding.value) == (run.names["search"], DOWN)


def test_nothing_is_said_where_results_were_not_captured() -> None:
    run = Scenario(captures_content=False)
    with run.agent("worker"):
        run.tool("search", {"q": 1}, DOWN)
    assert found(run) == []


def test_a_call_that_two_spans_tell_of_fails_once() -> None:
    run = Scenario()
    with run.agent("worker", task="Search."):
        outer = run.opens(SpanKind.TOOL, "search")
        inner = run.opens(SpanKind.TOOL, "search", under="search")
        run.ends(inner, result=DOWN)
        run.ends(outer, result=DOWN)
    assert [f.span_id for f in found(run)] == [outer]
