"""Plots of figures over time: bands of bars one above the other, on one axis of time, with marks and a cursor in it.

Invariant: every line is `width` cells; a value that is not known, or not finite, leaves a gap, and a zero is drawn as a zero;
what is over a threshold, marked, or under the cursor is told by its shape. Bands and width in, lines out; the signals' screen
draws with it, and the plain layout says the same in words.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10

from tui.drawing.line import Bit, Line, cut, put, spread
from tui.signs import LEFT, RIGHT, UP, Signs

GUTTER = 9  # cells for what the height means
_MOST_ROWS = 12
_ROWS_OF_ONE = 4  # a band's title and three rows: less is no picture
_ASCII_LEVELS = "_:#"
Write = Callable[[float], str]
Mark = tuple[str, str]  # sign, role


@dataclass(frozen=True, slots=True)
class Band:
    """One plot: a value for each window of the time, or None. `note` stands at the right of its title."""

    title: str
    values: Sequence[float | None]
    write: Write
    threshold: float | None = None
    note: Line | None = None


@dataclass(frozen=True, slots=True)
class Axis:
    """The time that all bands share: windows of equal length, what is marked in them, and the one under the cursor (-1: none)."""

    count: int
    when: Callable[[int], str]  # when a window begins, in words
    marks: Mapping[int, Mark]
    cursor: int = -1

    def columns(self, room: int) -> list[range]:
        """Which windows each column of the plot shows: several columns for one, or one for several."""
        if self.count <= 0 or room <= 0:
            return []
        if self.count <= room:
            return [range(at, at + 1) for at in (place * self.count // room for place in range(room))]
        return [range(self.count * at // room, self.count * (at + 1) // room) for at in range(room)]


def known(value: float | None) -> float | None:
    """The value, where it is a number that can be drawn."""
    return value if value is not None and isfinite(value) and value >= 0 else None


def room_for(width: int) -> int:
    """How many columns a plot of this width has."""
    return max(0, width - GUTTER - 1)


def plot_lines(bands: Sequence[Band], axis: Axis, width: int, height: int, signs: Signs) -> list[Line]:
    """The bands that fit, the first one highest, over the marks and the axis; at most `height` lines."""
    columns = axis.columns(room_for(width))
    if not bands or not columns or height < 5:
        return [cut([("no room for a plot", "dim")], width)] if height > 0 and bands else []
    space = height - 3
    shown = bands[: max(1, min(len(bands), space // _ROWS_OF_ONE))]
    most = min(_MOST_ROWS, max(1, (space - len(shown)) // len(shown)))
    first = min(_MOST_ROWS, space - len(shown) - most * (len(shown) - 1))
    lines: list[Line] = []
    for at, band in enumerate(shown):
        lines += _band_lines(band, axis, columns, width, max(1, first if at == 0 else most), signs)
    return lines + _axis_lines(axis, columns, width, signs)


def _highest(windows: range, values: Sequence[float | None]) -> float | None:
    found = [value for at in windows if at < len(values) and (value := known(values[at])) is not None]
    return max(found, default=None)


def nice_top(value: float) -> float:
    """The least of 1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten that a value does not exceed; 1 for nothing."""
    if value <= 0:
        return 1.0
    size = 10.0 ** floor(log10(value))
    return next((step * size for step in (1, 1.5, 2, 3, 4, 5, 6, 8) if step * size >= value * (1 - 1e-9)), 10 * size)


def _band_lines(band: Band, axis: Axis, columns: list[range], width: int, rows: int, signs: Signs) -> list[Line]:
    heights = [_highest(windows, band.values) for windows in columns]
    limit = known(band.threshold)
    top = nice_top(
        max([value for value in heights if value is not None] + ([limit] if limit is not None else []), default=0.0)
    )
    levels = _ASCII_LEVELS if signs.level == "ascii" else signs.spark
    at_limit = min(rows - 1, int(limit / top * rows)) if limit is not None else -1
    lines = [spread([(band.title, "strong")], band.note or [], width)]
    for row in range(rows - 1, -1, -1):
        told = band.write(top) if row == rows - 1 else "0" if row == 0 else ""
        if row == at_limit and limit is not None:
            told = band.write(limit)
        line: Line = [put(told, GUTTER - 1, "dim", right=True), (" ", ""), (signs.rule, "frame")]
        for windows, value in zip(columns, heights, strict=True):
            is_here = axis.cursor in windows
            is_over = limit is not None and value is not None and value > limit
            _add(line, _cell(value, top, row, rows, levels, at_limit, signs, is_here=is_here, is_over=is_over))
        lines.append(cut(line, width))
    return lines


def _cell(
    value: float | None, top: float, row: int, rows: int, levels: str, at_limit: int, signs: Signs, *, is_here: bool,
    is_over: bool,
) -> Bit:  # fmt: skip
    """One cell of a bar: full, a part of it, what lies behind it, or nothing."""
    steps = len(levels)
    fill = max(0, ceil(value / top * rows * steps - 1e-9) - row * steps) if value is not None else 0
    if fill > 0:
        return levels[min(fill, steps) - 1], "cursor" if is_here else "error" if is_over else "model"
    if row == at_limit:
        return signs.lines_dotted, "warning"
    if value == 0 and row == 0:
        return signs.waiting, "dim"
    return (signs.rule, "cursor") if is_here and value is not None else (" ", "")


def _add(line: Line, bit: Bit) -> None:
    if line[-1][1] == bit[1] and len(line) > 3:
        line[-1] = line[-1][0] + bit[0], bit[1]
    else:
        line.append(bit)


def _axis_lines(axis: Axis, columns: list[range], width: int, signs: Signs) -> list[Line]:
    """What is marked, the axis with the cursor on it, and the times."""
    marks: Line = [put("marked", GUTTER - 1, "dim", right=True), (" ", ""), (" ", "frame")]
    rule: Line = [(" " * GUTTER, ""), (signs.lines[UP | RIGHT], "frame")]
    before: range | None = None
    for windows in columns:
        is_first, before = windows != before, windows
        found = next((axis.marks[at] for at in windows if at in axis.marks), None) if is_first else None
        _add(marks, found or (" ", ""))
        _add(
            rule,
            (signs.lines_heavy[UP | LEFT | RIGHT], "cursor")
            if axis.cursor in windows
            else (signs.lines[LEFT | RIGHT], "frame"),
        )
    return [cut(marks, width), cut(rule, width), cut(_times(axis, columns, width), width)]


def _times(axis: Axis, columns: list[range], width: int) -> Line:
    """The time of the cursor at its place, and of others where they leave it free."""
    room = [" "] * max(0, width)

    def write(at: int, *, anyway: bool = False) -> None:
        text = axis.when(columns[at].start)
        start = min(GUTTER + 1 + at, width - len(text))
        around = room[max(0, start - 2) : start + len(text) + 2]
        if start >= 0 and (anyway or not "".join(around).strip()):
            room[start : start + len(text)] = text

    here = next((at for at, windows in enumerate(columns) if axis.cursor in windows), -1)
    if here >= 0:
        write(here, anyway=True)
    step = max(1, len(columns) // max(1, len(columns) // 16))
    for at in range(0, len(columns), step):
        write(next(place for place, windows in enumerate(columns) if windows == columns[at]))
    start = min(GUTTER + 1 + here, width - len(axis.when(columns[here].start))) if here >= 0 else width
    size = len(axis.when(columns[here].start)) if here >= 0 else 0
    text = "".join(room)
    return [(text[:start], "dim"), (text[start : start + size], "cursor"), (text[start + size :], "dim")]


def spoken_band(band: Band, axis: Axis) -> str:
    """A band in words: its newest, least and highest value, and when these were."""
    values = [(at, value) for at, each in enumerate(band.values) if (value := known(each)) is not None]
    if not values:
        return f"{band.title}: nothing is known of this time"
    low, high = min(values, key=lambda each: each[1]), max(values, key=lambda each: each[1])
    said = f"{band.title}: {band.write(values[-1][1])} at {axis.when(values[-1][0])}"
    said += f", least {band.write(low[1])} at {axis.when(low[0])}, most {band.write(high[1])} at {axis.when(high[0])}"
    limit = known(band.threshold)
    if limit is not None:
        over = sum(value > limit for _, value in values)
        said += f", over {band.write(limit)} in {over} of {len(values)} windows"
    return f"{said}, known in {len(values)} of {axis.count} windows"
