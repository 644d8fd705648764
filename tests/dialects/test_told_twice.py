"""What two instrumentations tell of one call, or one tells twice, is one call and one error."""

import json

from tests.dialects.build import edges, fold, otel_span

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
