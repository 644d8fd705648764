"""Errors are told from control flow, and said in one line."""

import pytest

from tests.dialects.build import ended, facts, otel_span, raw
from trajectory.dialects.faults import fault_of
from trajectory.dialects.raw import RawEvent
from trajectory.model.control_flow import is_control_flow
from trajectory.model.fact import SpanEvent


@pytest.mark.parametrize(
    "name",
    [
        "ParentCommand",
        "langgraph.errors.ParentCommand",
        "GraphInterrupt",
        "NodeInterrupt",
        "GraphBubbleUp",
        "Handoff",
        "StopIteration",
        "StopAsyncIteration",
        "GeneratorExit",
        "asyncio.exceptions.CancelledError",
        "trio.Cancelled",
        "TaskCancelled",
        "pydantic_ai.exceptions.ModelRetry",
        "ToolRetryError",
        "ApprovalRequired",
    ],
)
def test_exceptions_that_steer_are_no_errors(name):
    assert is_control_flow(name)
    fault = fault_of(raw(status="error", message="Command(goto='x')", error__type=name))
    assert (str(fault.status), fault.control_flow, fault.message) == ("unset", name, "")


@pytest.mark.parametrize(
    "name",
    [
        "ConnectionError",
        "KeyboardInterrupt",
        "InvalidCommand",
        "HandoffError",
        "OSError",
        "MaxRetryError",
        "RetryError",
        "OrderCancelledError",
        "TimeoutError",
        "StopLossError",
        "",
    ],
)
def test_exceptions_that_fail_are_errors(name):
    assert not is_control_flow(name)


def test_a_control_flow_event_on_an_ok_span_is_no_exception_event():
    span = otel_span(1, "x", events=[("exception", {"exception.type": "langgraph.errors.ParentCommand"})])
    (event,) = [fact for fact in facts(span) if isinstance(fact, SpanEvent)]
    assert event.name == "control_flow"
    assert ended(span).attributes["trajectory.control_flow"] == "langgraph.errors.ParentCommand"


def test_an_errors_message_is_the_exceptions_and_not_the_traceback():
    span = raw(
        status="error",
        message="ConnectionError('refused')Traceback (most recent call last):\n  File ...",
        events=[
            RawEvent("exception", 1, {"exception.type": "requests.ConnectionError", "exception.message": "refused"})
        ],
    )
    fault = fault_of(span)
    assert (str(fault.status), fault.message, fault.error_type) == (
        "error", "ConnectionError: refused", "requests.ConnectionError"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("status", "message", "error_type"),
    [
        (
            "ConnectionError('refused')Traceback (most recent call last):\n x",
            "ConnectionError('refused')",
            "ConnectionError",
        ),
        ("{'message': 'Error running tool', 'data': {'error': 'refused'}}", "Error running tool: refused", ""),
        ("boom", "boom", ""),
        ("", "", ""),
    ],
)
def test_without_an_exception_event_the_status_is_cut_to_what_it_says(status, message, error_type):
    fault = fault_of(raw(status="error", message=status))
    assert (fault.message, fault.error_type) == (message, error_type)


def test_an_error_type_alone_marks_an_error():
    assert str(fault_of(raw(error__type="TimeoutError")).status) == "error"
    assert str(fault_of(raw(status="ok", error__type="TimeoutError")).status) == "ok"


def test_a_handled_exception_leaves_a_good_span_good():
    events = [RawEvent("exception", 1, {"exception.type": "ValueError", "exception.message": "x"})]
    assert str(fault_of(raw(status="ok", events=events)).status) == "ok"
