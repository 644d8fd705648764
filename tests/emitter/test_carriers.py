"""What carries the baton besides HTTP headers: MCP, A2A, environments, frames, queues."""

import json
import subprocess
import sys
from typing import Any

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

import trajectory
from trajectory.emitter import baton
from trajectory.emitter.current import Carried, Scope
from trajectory.testing import CapturingCollector, FakeCollector

TRACE, SPAN = b"t" * 16, b"s" * 8
PLACE = Scope(TRACE, SPAN, "chat 17", Carried("vendor=1", (("user", "7"),)))
OTHER = Scope(b"o" * 16, b"p" * 8)
HEADERS = baton.headers_of(PLACE)

anything = st.recursive(
    st.none() | st.integers() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["_meta", "metadata", "params", "message"]), inner),
    max_leaves=8,
)


class MetaOfAModel:
    """Gives pairs when it is iterated, as a pydantic model does."""

    def __iter__(self) -> Any:
        return iter([("progressToken", 3), *HEADERS.items()])


@pytest.mark.parametrize(
    "carrier",
    [
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search", "_meta": HEADERS}},
        {"name": "search", "_meta": {"progressToken": 3, **HEADERS}},
        {"jsonrpc": "2.0", "method": "message/send", "params": {"message": {"role": "user", "metadata": HEADERS}}},
        {"jsonrpc": "2.0", "method": "message/send", "params": {"message": {"parts": []}, "metadata": HEADERS}},
        {"messageId": "1", "metadata": HEADERS},
        {name.upper(): value for name, value in HEADERS.items()} | {"PATH": "/bin"},
        [(name, value.encode()) for name, value in HEADERS.items()],
        baton.frame_of(PLACE),
        bytearray(baton.frame_of(PLACE)),
        baton.frame_of(PLACE).decode(),
        MetaOfAModel(),
    ],
    ids=["mcp request", "mcp params", "a2a message", "a2a params", "one a2a message", "environment", "kafka",
         "frame", "bytearray", "text", "model"],
)  # fmt: skip
def test_the_baton_is_found_in_what_carries_it(carrier: object) -> None:
    place = baton.read(carrier)
    assert place is not None
    assert (place.trace_id, place.span_id, place.session) == (TRACE, SPAN, "chat 17")
    assert place.carried == PLACE.carried


def test_of_several_batons_the_one_nearest_the_top_counts() -> None:
    inner = {"params": {"_meta": baton.headers_of(OTHER)}}
    for carrier in (HEADERS | inner, {"params": {"_meta": HEADERS, "message": {"metadata": inner}}}):
        place = baton.read(carrier)
        assert place is not None and place.trace_id == TRACE


@given(anything)
def test_nothing_that_might_carry_a_baton_makes_it_raise(carrier: object) -> None:
    assert baton.read(carrier) is None
    assert baton.read(json.dumps(carrier, default=repr)) is None


@pytest.mark.parametrize("frame", ["[" * 60_000, json.dumps(HEADERS | {"x": "x" * 70_000}), "traceparent", b"\xff"])
def test_a_frame_that_is_too_deep_too_long_or_none_names_nothing(frame: str | bytes) -> None:
    assert baton.read(frame) is None


def test_a_child_gets_the_environment_and_no_other_baton_in_it(
    captured: CapturingCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACESTATE", "stale=1")
    monkeypatch.setenv("PLAIN", "stays")
    with trajectory.delegate("child") as work:
        given = work.environment
    assert given["PLAIN"] == "stays"
    assert "TRACESTATE" not in given
    assert given["TRACEPARENT"] == f"00-{captured.span('delegate child').trace_id.hex()}-{work.span_id.hex()}-01"


@pytest.mark.usefixtures("captured")
def test_a_subprocess_works_below_the_delegation_that_started_it(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import os, trajectory\nwith trajectory.accept(os.environ, agent='child'): pass\ntrajectory.flush(20)"
    with FakeCollector() as collector:
        monkeypatch.setenv("TRAJECTORY_ENDPOINT", collector.endpoint)
        monkeypatch.setenv("TRAJECTORY_POLICY", "drop")
        with trajectory.session("chat"), trajectory.delegate("child") as work:
            subprocess.run([sys.executable, "-c", code], env=work.environment, check=True, timeout=60)
        (span,) = collector.spans()
    assert (span.trace_id, span.parent_id) == (work.trace_id, work.span_id)
    assert span.attributes["gen_ai.conversation.id"] == "chat"


def test_a_frame_crosses_zeromq(captured: CapturingCollector) -> None:
    with zmq.Context() as context, context.socket(zmq.PAIR) as one, context.socket(zmq.PAIR) as other:
        one.bind("inproc://carriers")
        other.connect("inproc://carriers")
        with trajectory.delegate("booker") as work:
            one.send_multipart([work.frame, b"Quote H7"])
            frame, task = other.recv_multipart()
            with trajectory.accept(frame, agent="booker", task=task.decode()):
                pass
    assert captured.span("invoke_agent booker").parent_id == work.span_id


def test_before_the_start_no_carrier_names_anything() -> None:
    work = trajectory.delegate("booker")
    assert baton.read(work.frame) is None
    assert baton.read(work.environment) is None


def test_of_nested_sessions_the_inner_one_crosses_and_the_outer_one_is_back_afterwards(
    captured: CapturingCollector,
) -> None:
    with trajectory.session("outer"):
        with trajectory.session("inner"), trajectory.delegate("one") as first:
            inner = baton.read(first.frame)
        with trajectory.delegate("two") as second:
            outer = baton.read(second.headers)
    assert inner is not None and inner.session == "inner"
    assert outer is not None and outer.session == "outer"
