"""Plots: as wide as they are to be whatever is in them, gaps where nothing is known, and what matters told by its shape."""

from collections.abc import Sequence
from math import inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tui.hostile import TEXTS
from tui.drawing.line import measure, plain
from tui.drawing.plot import GUTTER, Axis, Band, nice_top, plot_lines, spoken_band
from tui.drawing.signals import small_picture
from tui.signs import LEVELS, signs_at

VALUES = st.lists(st.none() | st.floats(-5, 1e9) | st.sampled_from([nan, inf, -inf, 0.0]), max_size=40)


def band(values: Sequence[float | None], title: str = "latency", threshold: float | None = None) -> Band:
    return Band(title, values, lambda value: f"{value:g}", threshold)


def axis(count: int, cursor: int = -1, **marks: tuple[str, str]) -> Axis:
    return Axis(count, lambda at: f"14:{at:02}", {int(at[1:]): mark for at, mark in marks.items()}, cursor)


def drawn(of: Band, level: str = "unicode", width: int = 60, cursor: int = -1) -> list[str]:
    return [plain(line) for line in plot_lines([of], axis(len(of.values), cursor), width, 9, signs_at(level))]


@settings(max_examples=60, deadline=None)
@given(
    VALUES, VALUES, st.integers(0, 90), st.integers(0, 24), st.sampled_from(LEVELS), st.sampled_from(TEXTS), st.floats()
)
def test_lines_are_as_wide_as_asked_and_no_more_than_asked(
    first: list[float | None], second: list[float | None], width: int, height: int, level: str, title: str, limit: float
) -> None:
    bands = [band(first, title, limit), band(second, title)]
    lines = plot_lines(bands, axis(len(first), 3, _2=("▲", "error")), width, height, signs_at(level))
    assert len(lines) <= height
    assert {measure(line) for line in lines} <= {width}
    assert not any(ord(char) < 32 for line in lines for char in plain(line))


@pytest.mark.parametrize("level", LEVELS)
def test_what_is_not_known_is_a_gap_and_zero_is_none(level: str) -> None:
    signs = signs_at(level)
    each = 7
    rows = drawn(band([4.0, None, nan, inf, -1.0, 0.0, 4.0]), level, GUTTER + 1 + 7 * each)[1:-3]
    columns = ["".join(row[GUTTER + 1 + at * each] for row in rows) for at in range(7)]
    assert columns[1:5] == [" " * len(rows)] * 4
    assert columns[5].strip() == signs.waiting
    assert columns[0] == columns[6] and " " not in columns[0]


@pytest.mark.parametrize("level", LEVELS)
def test_threshold_cursor_and_marks_are_shapes(level: str) -> None:
    signs = signs_at(level)
    with_limit = drawn(band([1.0, 1.0, 9.0], threshold=5.0), level)
    assert any(signs.lines_dotted * 3 in line for line in with_limit)
    assert with_limit != drawn(band([1.0, 1.0, 9.0]), level)
    assert drawn(band([1.0, 1.0, 9.0]), level, cursor=1) != drawn(band([1.0, 1.0, 9.0]), level, cursor=2)
    marked = plot_lines([band([1.0, 2.0])], axis(2, 0, _1=(signs.high, "critical")), 60, 8, signs)
    assert signs.high in plain(marked[-3])


def test_more_windows_than_columns_show_the_highest_of_each_column() -> None:
    values: list[float | None] = [1.0] * 200
    values[77] = 100.0
    rows = drawn(band(values), width=40)[1:-3]
    assert sum(char != " " for char in rows[0][GUTTER + 1 :]) == 1


@given(st.floats(1e-9, 1e12))
def test_the_top_of_a_plot_is_over_its_values_and_no_more_than_twice(value: float) -> None:
    assert value * (1 - 1e-6) <= nice_top(value) <= 2 * value


def test_a_band_is_said_in_words() -> None:
    said = spoken_band(band([1.0, None, 7.0, 3.0], threshold=2.0), axis(4))
    assert said == (
        "latency: 3 at 14:03, least 1 at 14:00, most 7 at 14:02, over 2 in 2 of 3 windows, known in 3 of 4 windows"
    )
    assert spoken_band(band([None, nan]), axis(2)) == "latency: nothing is known of this time"


@given(VALUES, st.integers(1, 40))
def test_a_small_picture_is_as_wide_as_asked(values: list[float | None], width: int) -> None:
    clean = [value if value is not None and 0 <= value < inf else None for value in values]
    assert len(small_picture(clean, width, signs_at("unicode"))) == width
