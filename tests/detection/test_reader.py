"""A reader serves one trace and goes with it.

Invariant: whatever detectors have read, a trace that nobody holds is freed, and its readings with it.
"""

import gc
import weakref

import pytest

from tests.scenarios import Scenario
from trajectory.detection.contract import registered_detectors
from trajectory.detection.copied import as_condition
from trajectory.detection.judge import TraceJudge
from trajectory.detection.reader import Knowledge, reader_of
from trajectory.detection.reading import said_in
from trajectory.detection.sameness import REDO, says
from trajectory.detection.shown import answers_in
from trajectory.model.content import JSON, MESSAGE


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


def test_a_condition_without_a_word_that_tells_is_held_by_anything() -> None:
    reader = reader_of(Scenario().empty_trace())
    assert Knowledge(reader, []).holds(as_condition("…"))
    assert not Knowledge(reader, []).holds(as_condition("Pay with the certificate."))


def test_a_redo_is_read_at_either_end_of_a_long_text_and_not_in_its_middle() -> None:
    filler = "tides rise and fall, " * 2_000
    assert says(REDO, "Do it again. " + filler) and says(REDO, filler + "Do it again.")
    assert not says(REDO, filler + "Do it again. " + filler)


@pytest.mark.parametrize(
    ("body", "answers"),
    [
        (
            '{"parts": [{"type": "tool_call_response", "id": "c1", "response": "H7"}, 7, {"type": "text"}]}',
            [("c1", "H7")],
        ),
        ('{"parts": "tool_call_response"}', []),
        ('["tool_call_response"]', []),
        ("tool_call_response", []),
    ],
)
def test_a_tool_s_answers_are_read_out_of_a_message(body: str, answers: list[tuple[str, str]]) -> None:
    assert list(answers_in((MESSAGE, body.encode()))) == answers
    assert list(answers_in((JSON, body.encode()))) == []


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
