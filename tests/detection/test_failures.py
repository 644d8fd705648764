"""Rules of where a failure began, and of who got over it."""

import pytest

from tests.detection.asking import judged, loud
from tests.detection.stories import DOWN, HOTELS, REQUEST, escaped
from tests.scenarios import Scenario
from trajectory.detection.cascade import Cascades
from trajectory.detection.failures import Failures
from trajectory.model.fact import Finding, SpanEnded
from trajectory.model.words import DELEGATION_TARGET, SpanKind

FAULT = ("ConnectionError", "inventory unreachable")


def roots(run: Scenario) -> list[str]:
    trace = run.trace()
    failures = Failures(trace)
    failures.refresh()
    assert [s.span_id for s in trace.root_errors()] == [r.span.span_id for r in failures if not r.is_silent]
    return [root.name for root in failures]


def cascades(run: Scenario) -> list[Finding]:
    return loud(judged(run, [Cascades])[1])


def test_one_exception_that_ends_six_spans_is_one_failure() -> None:
    run = Scenario()
    with (
        run.agent("planner", task=REQUEST, error=FAULT),
        run.delegate("researcher", "Find a hotel.", error=FAULT),
        run.delegate("scout", "Look.", error=FAULT),
    ):
        run.tool("search", {"city": "Lyon"}, error=FAULT)
    assert sum(isinstance(f, SpanEnded) and f.status == "error" for f in run.facts) == 6
    assert roots(run) == ["search"]
    assert [f.root_span_id for f in cascades(run)] == [run.names["search"]]


@pytest.mark.parametrize(
    "steering", ["langgraph.errors.GraphInterrupt", "Handoff", "StopIteration", "asyncio.CancelledError", "ModelRetry"]
)
def test_an_exception_that_steers_is_no_failure(steering: str) -> None:
    run = Scenario()
    with (
        run.agent("planner", task=REQUEST, error=(steering, "on")),
        run.delegate("b", "Go on.", error=(steering, "on")),
    ):
        run.tool("transfer", {"to": "b"}, error=(steering, "on"))
    assert roots(run) == []
    assert cascades(run) == []


def test_what_is_cancelled_because_something_else_failed_is_no_failure() -> None:
    run = Scenario()
    with run.agent("planner", task=REQUEST, error=("ExceptionGroup", "1 sub-exception")):
        run.tool("search", {"city": "Lyon"}, error=FAULT)
        run.tool("weather", {"city": "Lyon"}, error=("asyncio.CancelledError", ""))
    assert roots(run) == ["search"]


def test_a_timeout_over_cancelled_work_is_where_it_began() -> None:
    run = Scenario()
    with run.agent("planner", task=REQUEST, error=("TimeoutError", "60 s")):
        run.tool("search", {"city": "Lyon"}, error=("CancelledError", ""))
    assert roots(run) == ["planner"]


def test_an_answer_that_says_that_it_failed_counts() -> None:
    run = Scenario()
    with run.agent("planner", task=REQUEST):
        run.tool("search", {"city": "Lyon"}, DOWN)
        run.tool("call", {"n": 1}, {"isError": True, "content": [{"type": "text", "text": "no such page"}]})
        run.tool("sh", {"cmd": "make"}, {"exit_code": 2, "stderr": "make: *** [all] Error 2"})
        run.tool("fetch_page", {"id": 1}, "")
        run.tool("search", {"city": "Nice"}, HOTELS)
    assert roots(run) == ["search", "call", "sh", "fetch_page"]


def apart(error: tuple[str, str] | None, answer: str = "") -> Scenario:
    """A call that waits for an agent whose span stands beside it, under the root: it is known by the agent's name."""
    run = Scenario()
    root = run.opens(SpanKind.OTHER, "workflow")
    lead = run.opens(SpanKind.AGENT, "lead", agent="lead", under="workflow")
    call = run.opens(SpanKind.TOOL, "ask_scout", under="lead", attributes={DELEGATION_TARGET: "scout"})
    scout = run.opens(SpanKind.AGENT, "scout", agent="scout", under="workflow")
    tool = run.opens(SpanKind.TOOL, "search", under="scout")
    run.ends(tool, FAULT)
    run.ends(scout, error)
    run.ends(call, error, answer or None)
    run.ends(lead, error)
    run.ends(root, error)
    return run


def test_an_exception_goes_up_through_a_call_that_waits_elsewhere_in_the_tree() -> None:
    run = apart(FAULT)
    trace, said = judged(run, [Cascades])
    (finding,) = loud(said)
    assert [trace.spans[i].name for i in finding.path] == ["search", "scout", "ask_scout", "lead", "workflow"]
    assert finding.attributes["affected_agents"] == ["scout", "lead"]
    assert finding.attributes["reached_answer"] is True
    assert finding.attributes["boundary_span"] == run.names["ask_scout"].hex()


def test_a_cascade_says_how_far_it_spread_and_who_let_it_through() -> None:
    run = escaped()
    (finding,) = cascades(run)
    assert finding.attributes["affected_agents"] == ["researcher", "planner"]
    assert finding.attributes["affected_count"] == len(finding.attributes["affected_spans"]) == len(finding.path)
    assert (finding.attributes["boundary_span"], finding.attributes["boundary"]) == (
        run.names["delegate researcher"].hex(),
        "answer",
    )


def forked() -> Scenario:
    """A value that nobody gave goes to two agents, and both give it back."""
    run = Scenario()
    with run.agent("planner", task=REQUEST):
        with run.delegate("researcher", "Find a hotel."):
            run.tool("search", {"city": "Lyon"}, DOWN)
            run.says("I found H99.")
        for name in ("booker", "writer"):
            with run.delegate(name, f"Work on H99, {name}."):
                run.says("H99 is done.")
        run.says("H99 is booked.")
    return run


def test_a_fork_and_its_join_are_one_cascade_that_names_both_as_carriers_beside_its_path() -> None:
    run = forked()
    trace = run.trace()
    (finding,) = cascades(run)
    assert [trace.spans[span_id].agent_name for span_id in finding.path] == ["researcher", "researcher", "planner"]
    carriers = [trace.spans[bytes.fromhex(span_id)] for span_id in finding.attributes["carriers"]]
    assert [(span.agent_name, span.name) for span in carriers] == [("booker", "chat"), ("writer", "chat")]
    assert "booker#1, writer#1 carried it too" in finding.message
    assert finding.attributes["affected_agents"] == ["researcher", "planner", "booker", "writer"]
    assert finding.attributes["values"] == ["H99"]


def test_a_decoy_stays_out() -> None:
    """The same number by chance before the failure, a form that everyone is given, a value that the request held."""
    run = Scenario()
    form = "Company FORM-2026: always name the room 4711."
    with run.agent("planner", task=f"{REQUEST} Room 4711.", system=form):
        run.says("First a hotel.")
        with run.delegate("researcher", "Find a hotel; room 4711."):
            run.tool("search", {"city": "Lyon"}, DOWN)
            run.says("By FORM-2026 it is room 4711, reference T-77.")
        with run.delegate("booker", "Book room 4711 by FORM-2026, reference T-77."):
            run.says("Booked 4711, T-77.")
        run.says("Room 4711 is booked under T-77.")
    assert cascades(run) == []
