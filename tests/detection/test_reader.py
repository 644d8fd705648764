"""A reader serves one trace and goes with it.

Invariant: whatever detectors have read, a trace that nobody holds is freed, and its readings with it.
"""

import gc
import weakref

import pytest

from tests.scenarios import Scenario
from trajectory.detection.contract import registered_detectors
from trajectory.detection.judge import TraceJudge
from trajectory.detection.reader import reader_of
from trajectory.detection.reading import said_in
from trajectory.model.content import JSON


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        ('{"role": "user", "content": "a hotel in Lyon"}', "a hotel in Lyon"),
        ('{"role": "user", "parts": [{"type": "text", "content": "a hotel in Lyon"}]}', "a hotel in Lyon"),
        ('{"role": "assistant", "content": "I look"}', ""),
        ('{"role": "user", "content": [{"type": "text"}]}', ""),
        ('{"role": "user", "parts": [{"type": "tool_call_response", "response": "H7"}]}', ""),
        ('[{"role": "user", "content": "a hotel"}, {"role": "assistant", "content": "where?"}, 7]', "a hotel"),
        ('[{"role": "user", "content": "a hotel"}, {"role": "human", "content": "in Lyon"}]', "a hotel\nin Lyon"),
        ('{"messages": [{"role": "user", "content": "a hotel in Lyon"}], "step": 3}', "a hotel in Lyon"),
        ('{"messages": [[{"role": "user", "content": "a hotel in Lyon"}]]}', "a hotel in Lyon"),
        ('{"messages": []}', ""),
        ('{"task": "a hotel in Lyon"}', "task: a hotel in Lyon"),
        ("a hotel in Lyon", "a hotel in Lyon"),
    ],
)
def test_what_a_user_asked_is_read_out_of_every_holder(body: str, asked: str) -> None:
    assert said_in(JSON, body.encode()).asked == asked


def test_a_trace_that_detectors_have_read_is_freed_when_it_is_dropped() -> None:
    run = Scenario()
    with run.agent("planner", task="Find a hotel, at most 900 EUR"):
        with run.delegate("research", task="Find a hotel"):
            run.tool("search", {"city": "Lyon"}, result="H99 costs 850 EUR")
            run.returns("I found H99.")
        run.returns("Take H99.")
    trace = run.trace()
    judge = TraceJudge(trace, registered_detectors())
    judge.settle(trace.last_ns)
    reader = reader_of(trace)
    assert any(reader.text(d) for span in trace.spans.values() for ds in span.contents.values() for d in ds)
    left = weakref.ref(trace)
    del judge, trace, reader
    gc.collect()
    assert left() is None
