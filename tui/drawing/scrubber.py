"""Draws where in a run one is, as a bar, and below it what there is to go to: delegations, errors, alerts.

     00:00 │███████████████▌┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄│ 01:42
             ▶  ✗    △A2        ▲A1     ▶    ┘  ✗

Invariant: each line is exactly as wide as asked for; ticks stand below their instants, of two in one column the graver one
is drawn, and no label covers a tick. Rows in, lines out; the replay's screen draws with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from trajectory.view.rows import TickRow
from trajectory.view.scale import Scale
from trajectory.view.text import cells, clean
from tui.drawing.cell import Cell
from tui.drawing.line import Bit, Line, cut
from tui.drawing.numbers import took
from tui.signs import LEFT, UP, Signs, severity_sign

_RANKS = {"return": 1, "delegation": 2, "info": 3, "warning": 4, "error": 5, "critical": 6}
_LONGEST_LABEL = 4


@dataclass(frozen=True, slots=True)
class ScrubberDrawing:
    """Two lines; the bar begins at column `chart_at`, and `scale` is its own."""

    lines: list[Line]
    scale: Scale
    chart_at: int

    def instant(self, column: int) -> int:
        """The instant below a column; that of the nearest end for one beside the bar."""
        at = column - self.chart_at
        if at >= self.scale.cells:
            return self.scale.end_ns
        return self.scale.at(max(0, at))


def draw_scrubber(
    ticks: Sequence[TickRow], start_ns: int, end_ns: int, at_ns: int, width: int, signs: Signs
) -> ScrubberDrawing:
    """The bar of a run from start_ns to end_ns, filled up to at_ns, and its ticks."""
    end = took(end_ns - start_ns)
    start = "0" if end.endswith("s") else "0:00:00" if len(end) > 5 else "00:00"
    label = max(cells(start), cells(end))
    scale = Scale(start_ns, max(end_ns, start_ns + 1), max(3, width - 2 * label - 6))
    here = scale.cell(at_ns)
    bar: Line = [
        (f" {start:>{label}} ", "dim"),
        (signs.rule, "frame"),
        (signs.model * here, "running"),
        (signs.cursor, "cursor"),
        (signs.lines_dotted * (scale.cells - here - 1), "frame"),
        (signs.rule, "frame"),
        (f" {end:<{label}} ", "dim"),
    ]
    chart_at = label + 3
    below: Line = [(" " * chart_at, ""), *_bits(_ticks(ticks, scale, signs))]
    return ScrubberDrawing([cut(bar, width), cut(below, width)], scale, chart_at)


def tick_sign(tick: TickRow, signs: Signs) -> Bit:
    """The sign of a tick, one cell, and its role."""
    if tick.what == "alert":
        return severity_sign(signs, tick.severity)
    if tick.what == "error":
        return signs.error, "error"
    return (signs.lines[UP | LEFT] if tick.what == "return" else signs.arrow), "delegation"


def _rank(tick: TickRow) -> int:
    return _RANKS.get(tick.severity if tick.what == "alert" else tick.what, 0)


def _ticks(ticks: Sequence[TickRow], scale: Scale, signs: Signs) -> list[Cell]:
    row = [Cell() for _ in range(scale.cells)]
    gravest: dict[int, TickRow] = {}
    for tick in ticks:
        column = scale.cell(tick.at_ns)
        if column not in gravest or _rank(tick) > _rank(gravest[column]):
            gravest[column] = tick
    for column, tick in gravest.items():
        row[column].text, row[column].role = tick_sign(tick, signs)
    for column, tick in sorted(gravest.items(), key=lambda each: (-_rank(each[1]), each[0])):
        label = clean(tick.text)
        stop = column + 1 + len(label)
        if tick.what != "alert" or not label.isascii() or not 0 < len(label) <= _LONGEST_LABEL or stop > scale.cells:
            continue
        if all(not cell.role for cell in row[column + 1 : stop + 1]):
            for cell, letter in zip(row[column + 1 : stop], label, strict=True):
                cell.text, cell.role = letter, row[column].role
    return row


def _bits(row: Sequence[Cell]) -> Line:
    line: Line = []
    for cell in row:
        if line and line[-1][1] == cell.role:
            line[-1] = (line[-1][0] + cell.text, cell.role)
        else:
            line.append((cell.text, cell.role))
    return line
