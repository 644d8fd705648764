"""What two instrumentations tell of one call, or one tells twice, is one call and one error."""

import json

import pytest

from tests.dialects.build import edges, fold, otel_span, request, traces
from trajectory.collector.wording import goal_of
from trajectory.detection.boundary import observability
from trajectory.dialects.otlp import read_request
from trajectory.graph.trace import Trace
from trajectory.model.fact import Batch
from trajectory.model.words import Slot

DOWN = {"exception.type": "builtins.ConnectionError", "exception.message": "the bus is down"}


def agent(number: int, name: str, parent: int = 0, at: float = 0.0, lasts: float = 9.0, **attributes: object):
    return otel_span(
        number, f"{name}.run", parent, at, lasts, openinference__span__kind="AGENT", agent__name=name, **attributes
    )


def tool(number: int, name: str, parent: int, at: float, lasts: float = 1.0, **attributes: object):
    return otel_span(number, name, parent, at, lasts, openinference__span__kind="TOOL", tool__name=name, **attributes)


def native(number: int, name: str, parent: int, at: float, lasts: float = 1.0, **attributes: object):
    return otel_span(
        number, f"execute_tool {name}", parent, at, lasts, gen_ai__operation__name="execute_tool", gen_ai__tool__name=name,
        **attributes,
    )  # fmt: skip


def test_an_agent_as_tool_that_two_instrumentations_tell_is_no_tool_of_either():
    trace = fold(
        agent(1, "dispatcher"),
        tool(2, "buyer", 1, 1, 5),
        native(3, "buyer", 2, 1, 5),
        agent(4, "buyer", 3, 2, 3),
        tool(5, "order_part", 4, 3),
        native(6, "order_part", 5, 3),
    )
    assert edges(trace) == [("dispatcher", "buyer", "call", "observed")]
    assert {name: len(calls) for name, calls in trace.tools().items()} == {"order_part": 1}


def test_an_exception_that_a_good_span_lets_through_is_one_root_error():
    trace = fold(
        agent(1, "dispatcher", error="ConnectionError: the bus is down", events=[("exception", DOWN)]),
        otel_span(2, "step", 1, 1, 5, openinference__span__kind="CHAIN", events=[("exception", DOWN)]),
        tool(3, "read_sensor", 2, 2, error="ConnectionError: the bus is down", events=[("exception", DOWN)]),
        otel_span(4, "rest", 1, 8, 0.1),
    )
    assert [span.name for span in trace.root_errors()] == ["read_sensor"]


def test_another_error_above_a_good_span_is_an_error_of_its_own():
    late = {"exception.type": "TimeoutError", "exception.message": "too late"}
    trace = fold(
        agent(1, "dispatcher", error="TimeoutError: too late", events=[("exception", late)]),
        otel_span(2, "step", 1, 1, 5, openinference__span__kind="CHAIN"),
        tool(3, "read_sensor", 2, 2, error="ConnectionError: the bus is down", events=[("exception", DOWN)]),
    )
    assert sorted(span.name for span in trace.root_errors()) == ["invoke_agent dispatcher", "read_sensor"]


def test_a_notice_of_an_error_inside_a_call_is_no_call_and_no_root():
    trace = fold(
        agent(1, "diagnostician"),
        tool(2, "read_sensor", 1, 1, error="", output__value="ToolError: Tool Error"),
        otel_span(
            3, "error", 2, 1.5, 0.1, error="", openinference__span__kind="TOOL", output__value="ToolError: Tool Error",
            input__value=json.dumps({"error": "Tool Error", "input": {"machine": "P-7"}}),
        ),
    )  # fmt: skip
    assert {name: len(calls) for name, calls in trace.tools().items()} == {"read_sensor": 1}
    assert [span.name for span in trace.root_errors()] == ["read_sensor"]


# --- which of two is an echo -------------------------------------------------------------------------------------------


def walk(number: int, parent: int, at: float, lasts: float = 1.0, path: str = "", **more: object):
    asked = {"input__value": json.dumps({"path": path})} if path else {}
    return tool(number, "walk", parent, at, lasts, **asked, **more)


def calls_of(*spans) -> list[int]:
    """The calls of `walk`, each by its span's number, and that they are as many as are counted."""
    for in_order in (True, False):
        trace = fold(agent(1, "indexer"), *spans, in_order=in_order)
        calls = [int(span.span_id.hex(), 16) for span in trace.tools()["walk"]]
        assert trace.agents()["indexer"].tool_calls == len(calls)
        assert trace.agents()["indexer"].spans == 1 + len(calls)
    return calls


def test_a_tool_that_calls_itself_is_called_twice_where_one_teller_tells_both():
    assert calls_of(walk(2, 1, 1, 5, "/a"), walk(3, 2, 2, 1, "/a/b")) == [2, 3]
    assert calls_of(walk(2, 1, 1, 5), walk(3, 2, 2)) == [2, 3]  # nothing at all tells the two apart


def test_a_call_told_from_two_layers_by_one_teller_is_one():
    assert calls_of(walk(2, 1, 1, 5, "/a"), walk(3, 2, 2, 1, "/a")) == [2]
    assert calls_of(walk(2, 1, 1, 5, "/a"), native(3, "walk", 2, 2)) == [2]


def test_a_call_tried_twice_inside_is_no_single_one_and_the_try_that_ended_as_it_did_is_told_twice():
    assert calls_of(walk(2, 1, 1, 5), native(3, "walk", 2, 2, error="down"), native(4, "walk", 2, 4)) == [2, 3]


def test_a_call_made_under_one_that_is_over_is_another():
    assert calls_of(walk(2, 1, 1, 1), native(3, "walk", 2, 5)) == [2, 3]


# --- the whole of a run under two instrumentations ---------------------------------------------------------------------


def run_under_two() -> list[Batch]:
    """A run that a framework tells without contents, and an instrumentation on top of it with them."""
    own = [
        otel_span(1, "invoke_agent planner", 0, 0, 2, gen_ai__operation__name="invoke_agent", gen_ai__agent__name="planner"),
        native(4, "finder", 3, 1.2, 4.5, gen_ai__tool__call__id="c1"),
        otel_span(5, "invoke_agent finder", 4, 1.3, 4.3, gen_ai__operation__name="invoke_agent", gen_ai__agent__name="finder"),
        native(8, "look_up", 7, 2.2, 0.5),
    ]  # fmt: skip
    on_top = [
        agent(2, "planner", 1, 0.1, 8, input__value="A room for two, at most 90 EUR."),
        tool(3, "finder", 2, 1, 5, input__value='{"task": "A room for two."}', output__value="Room 4 costs 80 EUR."),
        agent(6, "finder", 5, 1.4, 4.1, input__value="A room for two."),
        tool(7, "look_up", 6, 2, 1, input__value='{"beds": 2}', output__value="Error: 503 Service Unavailable"),
    ]
    told = [request(*own, scope="framework"), request(*on_top, scope="on top")]
    return [batch for each in told for batch in read_request(each.SerializeToString(), "protobuf").batches]


@pytest.fixture(params=[1, -1])
def twofold(request: pytest.FixtureRequest) -> Trace:
    (trace,) = traces(run_under_two()[:: request.param])
    return trace


def test_a_run_under_two_instrumentations_has_each_call_once_and_both_sides_of_its_delegation(twofold: Trace):
    assert edges(twofold) == [("planner", "finder", "call", "observed")]
    (delegation,) = twofold.delegations()
    assert [twofold.text(d) for d in delegation.received_digests()] == ["A room for two."]
    assert "A room for two." in (twofold.text(delegation.task_digests()[0]) or "")
    assert [twofold.text(d) for d in delegation.returned_digests()] == ["Room 4 costs 80 EUR."]
    assert {name: (u.spans, u.tool_calls) for name, u in twofold.agents().items()} == {
        "planner": (2, 1),
        "finder": (2, 1),
    }
    assert {name: len(calls) for name, calls in twofold.tools().items()} == {"look_up": 1}


def test_an_agent_works_until_the_last_of_those_that_tell_of_it(twofold: Trace):
    planner = twofold.invocations()[0]
    assert planner.end_ns - planner.start_ns == 8_100_000_000


def test_what_a_boundary_of_such_a_run_allows_is_checked(twofold: Trace):
    assert observability(twofold) == []


def test_a_crew_is_asked_its_tasks_and_called_by_the_first_and_not_by_the_context_of_the_second():
    tasks = [
        {"description": "What does ACME cost?", "context": None},
        {"description": "Judge the risk."},
        {"key": 7},
        "x",
    ]
    given = [
        json.dumps({"agent": {"role": role}, "context": told}) for role, told in (("a", ""), ("b", "ACME is at 41.20."))
    ]

    def crew(listed: str) -> Trace:
        return fold(
            otel_span(
                1, "Crew.kickoff", 0, 0, 9, openinference__span__kind="CHAIN", input__value="{}", crew_tasks=listed
            ),
            agent(2, "analyst", 1, 1, 3, input__value=given[0]),
            agent(3, "officer", 1, 5, 3, input__value=given[1]),
        )

    trace = crew(json.dumps(tasks))
    assert trace.root is not None
    asked = [trace.text(digest) for digest in trace.root.digests(Slot.TASK)]
    assert asked == ["What does ACME cost?", "Judge the risk."]
    assert goal_of(trace) == "What does ACME cost?"
    for listed in ("", "[", '{"description": "x"}', json.dumps(tasks)[:40]):  # cut, or of another shape
        assert goal_of(crew(listed)) == "ACME is at 41.20."
