"""Instants and columns."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from trajectory.view.scale import Scale, axis_label, round_step_ns

NS = 1_000_000_000
instants = st.integers(0, 2**62)


@given(instants, instants, st.integers(1, 500), instants)
def test_every_instant_has_a_column_inside_the_drawing(start: int, end: int, cells: int, at: int) -> None:
    assert 0 <= Scale(start, end, cells).cell(at) < cells


@given(instants, st.integers(1, 10**15), st.integers(1, 500), st.lists(instants, min_size=2))
def test_later_never_lies_left_of_earlier(start: int, range_ns: int, cells: int, times: list[int]) -> None:
    scale = Scale(start, start + range_ns, cells)
    columns = [scale.cell(at) for at in sorted(times)]
    assert columns == sorted(columns)


@given(instants, st.integers(1, 10**15), st.integers(1, 500), instants, st.integers(0, 10**15))
def test_a_stretch_takes_at_least_one_column(start: int, range_ns: int, cells: int, began: int, took: int) -> None:
    first, last = Scale(start, start + range_ns, cells).stretch(began, began + took)
    assert 0 <= first <= last < cells


@given(st.integers(1, 10**17), st.integers(10, 400))
def test_ticks_are_apart_and_inside(range_ns: int, cells: int) -> None:
    columns = [column for column, _ in Scale(0, range_ns, cells).ticks(9)]
    assert columns[0] == 0
    assert all(0 <= column < cells for column in columns)
    assert all(later - earlier >= 8 for earlier, later in itertools.pairwise(columns))


@given(st.integers(1, 10**17))
def test_a_step_is_at_least_what_was_asked_for(least: int) -> None:
    assert round_step_ns(least) >= least


def test_two_stretches_that_touch_share_no_column() -> None:
    scale = Scale(0, 100, 10)
    assert scale.stretch(0, 50)[1] < scale.stretch(50, 100)[0]


def test_a_column_begins_at_its_instant() -> None:
    scale = Scale(1000, 2000, 10)
    assert [scale.cell(scale.at(column)) for column in range(10)] == list(range(10))


def test_labels_fit_the_length_of_the_run() -> None:
    assert axis_label(20 * NS, 100 * NS) == "20s"
    assert axis_label(90 * NS, 600 * NS) == "1m30"
    assert axis_label(3600 * NS, 10_000 * NS) == "1h"
    assert axis_label(500_000_000, NS) == "500ms"
    assert axis_label(0, NS) == "0"
