"""Plots: as wide as they are to be whatever is in them, gaps where nothing is known, and what matters told by its shape."""

from collections.abc import Sequence
from datetime import UTC
from math import inf, nan

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tui.hostile import TEXTS
from trajectory.view.comparing import Compared
from trajectory.view.rows import Health
from trajectory.view.signal_rows import SignalMark, SignalPoint, SignalSeries
from trajectory.view.views import SignalsView
from tui.drawing.line import measure, plain
from tui.drawing.plot import GUTTER, Axis, Band, nice_top, plot_lines, spoken_band
from tui.drawing.signals import metric_called, nothing_lines, panel_line, small_picture, values_of
from tui.drawing.signals_axis import axis_of, clock, length
from tui.drawing.signals_compared import compared_line
from tui.drawing.signals_marks import is_about
from tui.signs import LEVELS, signs_at

MINUTE_NS = 60_000_000_000
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


# Figures, findings and comparisons, as lines


def series(name: str, kind: str = "model", *at_minutes: int) -> SignalSeries:
    points = [SignalPoint(minute * MINUTE_NS, 1) for minute in at_minutes]
    return SignalSeries(name, kind, SignalPoint(calls=len(points)), points)


@pytest.mark.parametrize(
    ("by", "of", "name", "mine"),
    [
        ("model", "model", "gpt-4o", "gpt-4o"),
        ("tool", "tool", "search", "search"),
        ("agent", "agent", "research", "research"),
        ("agent", "model", "gpt-4o", "planner"),  # its agent's work
        ("edge", "delegation", "research", "planner → research"),
        ("service", "model", "gpt-4o", "newsroom"),
        ("version", "model", "gpt-4o", "newsroom 1.4"),
    ],
)
def test_an_anomaly_is_about_the_series_of_what_it_names_in_each_grouping(
    by: str, of: str, name: str, mine: str
) -> None:
    mark = SignalMark(0, "anomaly", "warning", agent="planner", service="newsroom", of=of, name=name)
    assert is_about(mark, series(mine, of), by)
    assert not is_about(mark, series(mine + "x", of), by) or by == "version"
    assert not is_about(mark, series(mine, "retrieval"), by)
    assert not is_about(mark, series("other 1.4", of), by)


def test_the_length_of_answers_is_of_those_that_are_known() -> None:
    length = metric_called("output-length").of
    assert length(SignalPoint(calls=4, output_chars=200, chars_known=2)) == 100
    assert length(SignalPoint(calls=4)) is None


def test_what_lies_outside_of_the_time_that_is_shown_is_in_no_window_of_it() -> None:
    view = SignalsView(1, Health(), 10 * MINUTE_NS, MINUTE_NS, end_ns=13 * MINUTE_NS)
    assert values_of(series("a", "model", 9, 11, 13), metric_called("calls"), view.begin_ns, MINUTE_NS, 3) == [
        None,
        1.0,
        None,
    ]
    marks = [SignalMark(minute * MINUTE_NS, "cascade", "critical") for minute in (9, 12, 13)]
    view = msgspec.structs.replace(view, marks=marks)
    assert [*axis_of(view, 3, (), 0, UTC, signs_at("unicode")).marks] == [2]


def test_a_window_is_told_in_its_largest_whole_unit_and_a_day_that_no_calendar_has_is_left_out() -> None:
    assert [length(seconds * 1_000_000_000) for seconds in (15, 75, 900, 3600, 5400)] == [
        "15 s",
        "75 s",
        "15 min",
        "1 h",
        "90 min",
    ]
    assert clock(10**30, MINUTE_NS, UTC, with_day=True) == "--:--"
    assert clock(0, MINUTE_NS, UTC, with_day=True) == "1 Jan 00:00"


def test_what_cannot_be_compared_says_why() -> None:
    signs = signs_at("unicode")
    few = Compared("latency p95", "s", 1.0, 2.0, None, None, "too few", "calls", 7, 20)
    assert plain(compared_line(few, 90, signs)).rstrip().endswith("too few: 7 calls on a side, 20 are needed")
    one = Compared("cost a call", "usd", None, 2.0, None, None, "too few", "windows", 30, 8)
    assert plain(compared_line(one, 90, signs)).rstrip().endswith("known of one of them only")


def test_a_panel_of_which_nothing_is_known_is_over_no_limit() -> None:
    line = plain(panel_line("slow models", metric_called("p95"), None, 2.5, 90, signs_at("unicode")))
    assert "nothing known" in line and "limit 2.5 s" in line and "over" not in line


def test_where_no_series_is_it_is_said_whether_one_may_come_and_what_was_never_counted() -> None:
    said = [plain(nothing_lines(is_loading, count)[0]) for is_loading, count in ((True, 3), (False, 3), (False, 0))]
    assert "is being read" in said[0] and "3 runs of an earlier release were never counted" in said[1]
    assert said[2] == "Nothing was counted in this time: w shows more of it"
