"""Lays the path of a cascade over the lanes: a sign for each hop where it happened, a heavy line from one to the next.

Invariant: a hop hides neither an error nor another hop, and a line runs only where nobody worked; where a fault first came to
another agent stands the sign of the gate. Called by `lanes` when the bars and elbows are painted.
"""

from itertools import pairwise
from typing import NamedTuple

from trajectory.view.scale import Scale
from tui.drawing.cell import Cell
from tui.drawing.path import Way, hop_sign
from tui.signs import DOWN, LEFT, RIGHT, UP, Signs

Grid = list[list[Cell]]
_At = tuple[int, int]  # lane and column
_NEAR = (1, 2, 3, 4, 5, 6, -1, -2)


class _Hop(NamedTuple):
    at: int  # which step of the path
    lane: int
    column: int


def lay_way(
    grid: Grid, way: Way, lane_of: dict[str, int], first: list[int], scale: Scale, arrows: dict[str, _At], signs: Signs
) -> None:
    """Paints a way. `first`: the first column that each lane's bars may use; `arrows`: the arrow heads of the delegations that
    have an elbow, by their ids."""
    hops = _placed(grid, way, lane_of, first, scale, signs)
    for before, after in pairwise(hops):
        if not _elbow_of(way, after, arrows):
            _connect(grid, before, after)
    for hop in hops:
        cell = grid[hop.lane][hop.column]
        cell.text, cell.role, cell.lines = hop_sign(hop.at, signs), "mark", 0
    _paint_gate(grid, way, hops, arrows, signs)


def _placed(grid: Grid, way: Way, lane_of: dict[str, int], first: list[int], scale: Scale, signs: Signs) -> list[_Hop]:
    """The hops that have a place on the chart."""
    hops: list[_Hop] = []
    taken: set[_At] = set()
    for at, step in enumerate(way.steps):
        lane = lane_of.get(step.label)
        if lane is None:
            continue
        column = _spot(grid[lane], lane, max(scale.cell(step.at_ns), first[lane]), taken, signs)
        if column is not None:
            taken.add((lane, column))
            hops.append(_Hop(at, lane, column))
    return hops


def _elbow_of(way: Way, hop: _Hop, arrows: dict[str, _At]) -> _At | None:
    """The arrow head of the elbow by which a hop was come to: that is its line already."""
    step = way.steps[hop.at]
    return arrows.get(step.delegation_id) if step.way == "task" else None


def _spot(cells: list[Cell], lane: int, column: int, taken: set[_At], signs: Signs) -> int | None:
    """The column for a hop: its own, else the nearest where it hides neither a failure nor another hop, and reads as one number
    with none; later before earlier, so that hops stay in order, and lines only where there is no other room."""
    near = [c for c in (column, *(column + step for step in _NEAR)) if 0 <= c < len(cells)]
    open_to = [c for c in near if (lane, c) not in taken and cells[c].text != signs.error]
    crowded = {c for c in open_to if {(lane, c - 1), (lane, c + 1)} & taken}
    last = max((at for line, at in taken if line == lane), default=-1)
    rank = {
        c: 3 * bool(cells[c].lines) + 2 * (c in crowded) + (column <= c < last) + (cells[c].text == signs.arrow)
        for c in open_to
    }
    return min(open_to, key=lambda c: rank[c], default=None)


def _connect(grid: Grid, before: _Hop, after: _Hop) -> None:
    """A heavy line along the first lane to the column of the later hop, then up or down to it."""
    step = 1 if after.column > before.column else -1
    for column in range(before.column + step, after.column, step):
        _draw(grid[before.lane][column], LEFT | RIGHT)
    if before.lane == after.lane:
        return
    down = after.lane > before.lane
    if after.column != before.column:
        _draw(grid[before.lane][after.column], (LEFT if step > 0 else RIGHT) | (DOWN if down else UP))
    for lane in range(before.lane + (1 if down else -1), after.lane, 1 if down else -1):
        _draw(grid[lane][after.column], UP | DOWN)


def _draw(cell: Cell, directions: int) -> None:
    is_corner = (
        cell.lines not in (0, UP | DOWN, LEFT | RIGHT) and not cell.heavy
    )  # of an elbow that is no part of the way
    if (cell.is_free or cell.lines) and not is_corner:
        cell.lines |= directions
        cell.heavy = True


def _paint_gate(grid: Grid, way: Way, hops: list[_Hop], arrows: dict[str, _At], signs: Signs) -> None:
    """The sign of the gate on the way to the first hop at another agent, as near to that as nothing is hidden."""
    after = next((hop for hop in hops if hop.at >= way.gate >= 0), None)
    before = next((hop for hop in reversed(hops) if hop.at < way.gate), None)
    if after is None or before is None or before.lane == after.lane:
        return
    arrow = _elbow_of(way, after, arrows)
    step = 1 if before.lane > after.lane else -1  # from the later hop back to the earlier
    between = [(lane, after.column) for lane in range(after.lane + step, before.lane + step, step)]
    beside = [(after.lane, after.column - 1), (before.lane, before.column + 1)]
    taken = {(hop.lane, hop.column) for hop in hops}
    for lane, column in [*([arrow] if arrow else between), *beside]:
        cell = grid[lane][column] if 0 <= column < len(grid[lane]) else None
        if cell is None or (lane, column) in taken:
            continue
        if cell.lines or cell.is_free or cell.text == signs.arrow:
            cell.text, cell.role, cell.lines = signs.gate, "mark", 0
            return
