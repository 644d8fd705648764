"""Draws which agent held which item at an instant: items in rows, agents in columns; where those do not fit, the agents by name.

    ITEM              PLANNER#1   RESEARCH#1  RESEARCH#2
    ▲ fiscal year FY25 ✓ held     ✓ held      ✗ lost
    ~ 17:00            ✓ held     ·           ~ 15:00

Invariant: held, lacking and differing are told by sign, and what is none of them is a dot. Rows in, lines out; the replay's
screen draws with it.
"""

from collections.abc import Sequence

from trajectory.view.rows import HeldCell, HeldRow
from tui.drawing.line import Line, cut, put, put_label
from tui.drawing.page import PageLine
from tui.signs import Signs

_COLUMN = 11  # cells that an agent has at least
_MOST_NAMED = 12


def shown_items(rows: Sequence[HeldRow], *, needed_only: bool) -> list[HeldRow]:
    """The items of a mode."""
    return [row for row in rows if row.is_needed] if needed_only else [*rows]


def matrix_head(rows: Sequence[HeldRow], labels: Sequence[str], width: int) -> list[Line]:
    """The names of the columns; none where the agents are named in each row."""
    places = _places(rows, labels)
    columns = _columns(len(places), width)
    if not columns:
        return []
    line: Line = [("  ", ""), put("ITEM", columns[0] - 2, "dim"), (" ", "")]
    for place in places:
        line += [put_label(labels[place].upper(), columns[1] - 1, "dim"), (" ", "")]
    return [cut(line, width)]


def matrix_lines(rows: Sequence[HeldRow], labels: Sequence[str], width: int, signs: Signs) -> list[PageLine]:
    """One line for each item."""
    places = _places(rows, labels)
    columns = _columns(len(places), width)
    lines = []
    for row in rows:
        line = _in_columns(row, places, columns, signs) if columns else _by_name(row, labels, width, signs)
        said = ", ".join(
            f"{labels[cell.lane]} {cell.text or cell.state}" for cell in row.cells if 0 <= cell.lane < len(labels)
        )
        is_bad = any(cell.state != "held" for cell in row.cells)
        lines.append(PageLine(f"{row.kind} {row.text}", cut(line, width), value=f"{row.text}: {said}", is_error=is_bad))
    return lines


def _places(rows: Sequence[HeldRow], labels: Sequence[str]) -> list[int]:
    """The lanes that any of the items is about."""
    return sorted({cell.lane for row in rows for cell in row.cells if 0 <= cell.lane < len(labels)})


def _columns(count: int, width: int) -> tuple[int, int] | None:
    """Cells of the item and of each agent; None where they do not fit."""
    item = max(20, min(32, width // 4))
    if width < 90 or not count or (width - item - 1) // count < _COLUMN:
        return None
    return item, min(18, (width - item - 1) // count)


def _head(row: HeldRow, cells: int, signs: Signs) -> Line:
    states = {cell.state for cell in row.cells}
    sign, role = (
        (signs.changed, "warning")
        if "differs" in states
        else (signs.high, "critical")
        if "lost" in states
        else (" ", "")
    )
    return [(sign, role), (" ", ""), put(row.text, cells, "strong" if role else ""), (" ", "")]


def _said(cell: HeldCell | None, signs: Signs) -> tuple[str, str]:
    if cell is None:
        return signs.waiting, "dim"
    if cell.state == "differs":
        return f"{signs.changed} {cell.text}", "warning"
    return (f"{signs.error} lost", "error") if cell.state == "lost" else (f"{signs.ok} held", "ok")


def _in_columns(row: HeldRow, places: Sequence[int], columns: tuple[int, int], signs: Signs) -> Line:
    by_lane = {cell.lane: cell for cell in row.cells}
    line = _head(row, columns[0] - 2, signs)
    for place in places:
        text, role = _said(by_lane.get(place), signs)
        line += [put(text, columns[1] - 1, role), (" ", "")]
    return line


def _by_name(row: HeldRow, labels: Sequence[str], width: int, signs: Signs) -> Line:
    """What lacks it or has it otherwise first: those are what one looks for."""
    line = _head(row, max(10, min(24, width // 3)), signs)
    cells = sorted((c for c in row.cells if 0 <= c.lane < len(labels)), key=lambda cell: cell.state == "held")
    for cell in cells[:_MOST_NAMED]:
        text, role = _said(cell, signs)
        line += [
            (f"{labels[cell.lane][:20]} ", ""),
            (text.removesuffix(" held").removesuffix(" lost"), role),
            ("  ", ""),
        ]
    return line
