"""The critical path: what the end of a run waited for, on shapes by name and on any forest of spans."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.graph.pictures import TRACE, folded
from tests.graph.test_fold import span_id
from trajectory.graph.critical import CriticalPath, critical_path_of
from trajectory.graph.trace import Trace
from trajectory.model.fact import Fact, SpanEnded, SpanStarted

_T0 = 1_000_000

# Number, its parent's number (0: none), start, end (None: open).
Shape = list[tuple[int, int, int, int | None]]

SHAPES: dict[str, tuple[Shape, list[int], list[tuple[int, int, int]]]] = {
    "one after the other": (
        [(1, 0, 0, 100), (2, 1, 10, 40), (3, 1, 40, 90)],
        [1, 2, 3],
        [(1, 0, 10), (2, 10, 40), (3, 40, 90), (1, 90, 100)],
    ),
    "side by side, the last to end counts": (
        [(1, 0, 0, 100), (2, 1, 10, 50), (3, 1, 10, 80), (4, 1, 10, 60)],
        [1, 3],
        [(1, 0, 10), (3, 10, 80), (1, 80, 100)],
    ),
    "side by side, twice": (
        [(1, 0, 0, 100), (2, 1, 10, 50), (3, 1, 10, 40), (4, 1, 55, 70), (5, 1, 55, 90)],
        [1, 2, 5],
        [(1, 0, 10), (2, 10, 50), (1, 50, 55), (5, 55, 90), (1, 90, 100)],
    ),
    "a child that outlives its parent holds up the end": (
        [(1, 0, 0, 60), (2, 1, 10, 30), (3, 1, 20, 100)],
        [1, 3],
        [(1, 0, 20), (3, 20, 100)],
    ),
    "a child that outlives its parent and that nobody waits for": (
        [(1, 0, 0, 100), (2, 1, 10, 30), (3, 2, 20, 95), (4, 1, 30, 100)],
        [1, 2, 4],
        [(1, 0, 10), (2, 10, 30), (4, 30, 100)],
    ),
    "control that passes on goes through those who passed it": (
        [(1, 0, 0, 100), (2, 1, 10, 30), (3, 2, 29, 30), (4, 3, 30, 90)],
        [1, 2, 3, 4],
        [(1, 0, 10), (2, 10, 29), (3, 29, 30), (4, 30, 90), (1, 90, 100)],
    ),
    "what still runs is what the end waits for": (
        [(1, 0, 0, None), (2, 1, 10, 40), (3, 1, 50, None), (4, 3, 60, 70)],
        [1, 2, 3, 4],
        [(1, 0, 10), (2, 10, 40), (1, 40, 50), (3, 50, 60), (4, 60, 70)],
    ),
    "two roots, one after the other": (
        [(1, 0, 0, 40), (2, 0, 50, 100)],
        [1, 2],
        [(1, 0, 40), (2, 50, 100)],
    ),
}


def run_of(shape: Shape) -> Trace:
    facts: list[Fact] = []
    for number, parent, start, end in shape:
        above = span_id(parent) if parent else b""
        facts.append(SpanStarted(TRACE, span_id(number), above, _T0 + start, 0, "tool", f"n{number}"))
        if end is not None:
            facts.append(SpanEnded(TRACE, span_id(number), _T0 + end, 0, "ok"))
    return folded(facts)


def stretches(path: CriticalPath) -> list[tuple[int, int, int]]:
    numbers = {span_id(number): number for number in range(1, 40)}
    return [(numbers[s.span.span_id], s.start_ns - _T0, s.end_ns - _T0) for s in path.stretches]


@pytest.mark.parametrize("name", SHAPES)
def test_the_end_waited_for(name: str) -> None:
    shape, on_path, in_time = SHAPES[name]
    path = critical_path_of(run_of(shape))
    assert path.spans == {span_id(number) for number in on_path}
    assert stretches(path) == in_time


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    """Any forest: children may begin before their parents, and end after them, or not at all."""
    count = draw(st.integers(1, 24))
    times = st.integers(0, 60)
    made: Shape = []
    for number in range(1, count + 1):
        start, end = draw(times), draw(st.one_of(times, st.none()))
        made.append((number, draw(st.integers(0, number - 1)), start, end if end is None else max(start, end)))
    return made


@given(shapes())
def test_on_any_forest_the_path_is_a_chain_in_time_that_reaches_the_end(shape: Shape) -> None:
    trace = run_of(shape)
    path = critical_path_of(trace)
    for before, after in pairwise(path.stretches):
        assert before.end_ns <= after.start_ns
    for span, start_ns, end_ns in path.stretches:
        assert span.span_id in path.spans
        assert span.start_ns <= start_ns < end_ns <= (span.end_ns or trace.last_ns)
    for own in path.spans:
        parent = trace.spans[own].parent
        assert parent is None or parent.span_id in path.spans
    last = [span for span in trace.spans.values() if (span.end_ns or trace.last_ns) == trace.last_ns]
    assert path.spans & {span.span_id for span in last}


def test_a_deep_chain_and_a_wide_fan_are_walked_without_recursion() -> None:
    deep: Shape = [(number, number - 1, number, 5000 - number) for number in range(1, 2001)]
    wide: Shape = [(1, 0, 0, 9000), *((number, 1, number, number + 1) for number in range(2, 2001))]
    assert len(critical_path_of(run_of(deep)).spans) == len(critical_path_of(run_of(wide)).spans) == 2000
