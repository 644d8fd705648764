"""Draws who worked when and who asked whom: a lane for each invocation of an agent, joined by elbows where work was given.

    planner#1   ███┐·······┐···········█  ●
    research#1     └▶▓▓████┘           │  ✓
    coder#1                            └▶ ●

Invariant: every line is exactly as wide as asked for, no bar hides another agent's error, and no crowd of elbows hides work.
Rows in, lines out; `scale` says which column an instant has. The cockpit and the preview of a run draw with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from trajectory.view.rows import CriticalRow, DelegationRow, Lane, LaneBar
from trajectory.view.scale import Scale
from trajectory.view.text import cells, clean
from tui.drawing.cell import Cell
from tui.drawing.chain import paint_chain
from tui.drawing.line import Bit, Line, cut, joined, measure, put, put_label
from tui.drawing.path import Way
from tui.drawing.way import lay_way
from tui.signs import DOWN, LEFT, RIGHT, UP, Signs, mark_sign, state_sign

_KINDS = {"model": "model", "tool": "tool", "retry": "retry", "retrieval": "tool"}
_STATE_WIDTH = 4
_MOST_ELBOWS = 40  # more than these are arrow heads alone


@dataclass(slots=True)
class _Elbow:
    """Where one delegation bends: from the source's lane at `column` to the target's, an arrow in the next column."""

    row: DelegationRow
    source: int
    target: int
    column: int
    opens: bool  # whether the target's lane begins with it
    heavy: bool = False  # whether a cascade took it


@dataclass(frozen=True, slots=True)
class LaneDrawing:
    """Axis and lanes, each line `width` cells; `scale` is that of the chart, which begins at column `chart_at`."""

    axis: list[Line]
    lines: list[Line]
    scale: Scale
    chart_at: int


@dataclass(slots=True)
class _Plan:
    labels: int
    notes: int
    scale: Scale
    first: list[int] = field(default_factory=list)  # the first column that each lane's bars may use


def draw_lanes(
    lanes: Sequence[Lane],
    delegations: Sequence[DelegationRow],
    width: int,
    signs: Signs,
    *,
    start_ns: int,
    now_ns: int,
    axis_lines: int = 1,
    end_label: str = "now",
    way: Way | None = None,
    end_ns: int = 0,
    origin_ns: int | None = None,
    critical: Sequence[CriticalRow] | None = None,
) -> LaneDrawing:
    """The chart of a run from start_ns to now_ns. `axis_lines`: 0 none, 1 labels, 2 labels and a ruler with its end labelled.
    With `end_ns`, it goes on to there, and what is to come is left free, now marked by a line.
    The axis counts from the origin, by default from the start.
    With a way, its path alone is drawn over the lanes; without, every cascade's root is marked; with the critical path, that and
    no cascade."""
    is_critical = critical is not None
    way = None if is_critical else way
    plan = _plan(lanes, width, Scale(start_ns, max(now_ns, end_ns, start_ns + 1), 1, origin_ns))
    grid = [[Cell() for _ in range(plan.scale.cells)] for _ in lanes]
    elbows = _elbows(lanes, delegations, plan.scale)
    plan.first = [0] * len(lanes)
    _settle_columns(lanes, elbows, plan, now_ns)
    for index, lane in enumerate(lanes):
        marks_roots = way is None and not is_critical
        _paint_lane(grid[index], lane, plan.scale, plan.first[index], now_ns, signs, marks_roots=marks_roots)
        if critical is not None:
            paint_chain(grid[index], lane, critical, plan.scale, plan.first[index], signs)
    for elbow in elbows:
        on_path = elbow.row.on_error_path if way is None else elbow.row.delegation_id in way.delegations
        elbow.heavy = on_path and not is_critical
        if elbow.heavy or len(elbows) <= _MOST_ELBOWS:
            _join(grid, elbow)
    _paint_ends(grid, lanes, delegations, elbows, plan, now_ns, signs)
    if way is not None:
        lane_of = {lane.label: index for index, lane in enumerate(lanes)}
        arrows = {each.row.delegation_id: (each.target, each.column + 1) for each in elbows}
        lay_way(grid, way, lane_of, plan.first, plan.scale, arrows, signs)
    if end_ns > now_ns:
        _mark_now(grid, plan.scale.cell(now_ns), signs)
    marks = {lane.label: lane.mark for lane in lanes} if way is None else way.marks
    lines = [
        _line(grid[index], lane, marks.get(lane.label, ""), plan, width, signs) for index, lane in enumerate(lanes)
    ]
    return LaneDrawing(_axis(plan, width, axis_lines, signs, end_label), lines, plan.scale, plan.labels + 1)


def _plan(lanes: Sequence[Lane], width: int, time: Scale) -> _Plan:
    """The columns, for a scale whose cells are yet to be counted."""
    widest = max((cells(clean(lane.label)) for lane in lanes), default=0)
    labels = max(4, min(widest, 15 if width < 90 else 20, width // 4))
    chart = width - labels - 1 - _STATE_WIDTH
    notes = min(14, max((cells(clean(lane.note)) for lane in lanes), default=0))
    notes = notes + 1 if notes and chart - notes >= 44 else 0
    return _Plan(labels, notes, replace(time, cells=max(3, chart - notes)))


def _elbows(lanes: Sequence[Lane], delegations: Sequence[DelegationRow], scale: Scale) -> list[_Elbow]:
    at = {lane.label: index for index, lane in enumerate(lanes)}
    opened: set[str] = set()
    found = []
    for row in sorted(delegations, key=lambda each: each.sent_ns):
        source, target = at.get(row.source), at.get(row.target)
        if source is not None and target is not None and source != target:
            opens = row.target not in opened and lanes[target].start_ns >= row.sent_ns
            opened.update([row.target] if opens else [])
            found.append(_Elbow(row, source, target, min(scale.cell(row.sent_ns), scale.cells - 3), opens))
    return found


def _bar_columns(bar: LaneBar, scale: Scale, first: int, now_ns: int) -> tuple[int, int]:
    start, end = scale.stretch(bar.start_ns, bar.end_ns or now_ns)
    start = min(max(start, first), scale.cells - 1)
    return start, max(start, end)


def _settle_columns(lanes: Sequence[Lane], elbows: list[_Elbow], plan: _Plan, now_ns: int) -> None:
    """Moves an elbow behind the bar that it leaves from, and the target's bars behind its arrow; sources are settled first."""
    for elbow in elbows:
        taken: set[int] = set()
        for bar in lanes[elbow.source].bars:
            if bar.start_ns <= elbow.row.sent_ns:
                start, end = _bar_columns(bar, plan.scale, plan.first[elbow.source], now_ns)
                taken.update(range(start, end + 1))
        column = max(elbow.column, plan.first[elbow.source])
        if column in taken and column + 1 not in taken:
            column += 1
        elbow.column = max(0, min(column, plan.scale.cells - 3))
        if elbow.opens:
            plan.first[elbow.target] = elbow.column + 2


def _paint_lane(
    grid: list[Cell], lane: Lane, scale: Scale, first: int, now_ns: int, signs: Signs, *, marks_roots: bool
) -> None:
    if lane.start_ns > now_ns:
        return
    start, end = scale.stretch(lane.start_ns, lane.end_ns or now_ns)
    for column in range(max(start, first), end + 1):
        grid[column].text, grid[column].role = signs.waiting, "waiting"
    marks: list[tuple[int, str, str]] = []
    for bar in lane.bars:
        low, high = _bar_columns(bar, scale, first, now_ns)
        role = _KINDS.get(bar.kind, "")
        for cell in grid[low : high + 1]:
            cell.text, cell.role = getattr(signs, role) if role else signs.gap, role or "dim"
        if bar.status == "error":
            marks.append((high, signs.error, "error"))
        if bar.mark == "root" and marks_roots:
            marks.append((low, signs.root, "mark"))
    for column, text, role in marks:
        grid[column].text, grid[column].role = text, role


def _join(grid: list[list[Cell]], elbow: _Elbow) -> None:
    down = elbow.target > elbow.source
    step = 1 if down else -1
    ends = {elbow.source: LEFT | (DOWN if down else UP), elbow.target: RIGHT | (UP if down else DOWN)}
    for lane in range(elbow.source, elbow.target + step, step):
        cell = grid[lane][elbow.column]
        if cell.is_free or lane == elbow.source or (lane == elbow.target and elbow.opens):
            cell.lines |= ends.get(lane, UP | DOWN)
            cell.heavy = cell.heavy or elbow.heavy


def _paint_ends(
    grid: list[list[Cell]],
    lanes: Sequence[Lane],
    delegations: Sequence[DelegationRow],
    elbows: list[_Elbow],
    plan: _Plan,
    now_ns: int,
    signs: Signs,
) -> None:
    """Arrow heads, returns, what never arrived, and the tip of what still runs."""
    for elbow in elbows:
        head = grid[elbow.target][elbow.column + 1]
        if elbow.opens or head.is_free:
            head.text, head.role, head.lines = signs.arrow, "error" if elbow.heavy else "delegation", 0
        if elbow.row.returned_ns:
            _paint_return(grid[elbow.target], plan.scale.cell(elbow.row.returned_ns), elbow.column + 2, signs)
    at = {lane.label: index for index, lane in enumerate(lanes)}
    for row in delegations:
        source = at.get(row.source)
        if source is not None and row.target not in at:
            cell = grid[source][plan.scale.cell(row.sent_ns)]
            cell.text, cell.role, cell.lines = signs.cut_off, "warning", 0
    for index, lane in enumerate(lanes):
        tip = grid[index][plan.scale.cell(now_ns)]
        if lane.state == "running" and lane.start_ns <= now_ns and tip.is_free and not tip.lines:
            tip.text, tip.role = signs.goes_on, "running"


def _mark_now(grid: list[list[Cell]], column: int, signs: Signs) -> None:
    for row in grid:
        cell = row[column]
        if cell.text == " " and not cell.lines:
            cell.text, cell.role = signs.rule, "cursor"


def _paint_return(grid: list[Cell], column: int, first: int, signs: Signs) -> None:
    for cell in grid[max(column, first) : column + 4]:
        if cell.is_free and not cell.lines:
            cell.text, cell.role = signs.lines[UP | LEFT], "delegation"
            return


def _bits(grid: list[Cell], signs: Signs) -> Line:
    """The cells of a lane, neighbours of one role as one bit."""
    line: list[Bit] = []
    for cell in grid:
        text, role = cell.text, cell.role
        if cell.lines:
            text = (signs.lines_heavy if cell.heavy else signs.lines)[cell.lines]
            role = "error" if cell.heavy else "delegation"
        if line and line[-1][1] == role:
            line[-1] = (line[-1][0] + text, role)
        else:
            line.append((text, role))
    return line


def _line(grid: list[Cell], lane: Lane, mark: str, plan: _Plan, width: int, signs: Signs) -> Line:
    sign, role = state_sign(signs, lane.state)
    label_role = "strong" if lane.state == "running" else ""
    end: Line = [(" ", ""), mark_sign(signs, mark), (sign, role), (" ", "")]
    if plan.notes:
        end.append(put(lane.note, plan.notes, "warning"))
    return cut([put_label(lane.label, plan.labels, label_role), (" ", ""), *_bits(grid, signs), *end], width)


def _axis(plan: _Plan, width: int, axis_lines: int, signs: Signs, end_label: str) -> list[Line]:
    labels, ruler = [" "] * plan.scale.cells, [signs.lines[LEFT | RIGHT]] * plan.scale.cells
    for column, label in plan.scale.ticks():
        if column + len(label) <= plan.scale.cells and (not column or labels[column - 1] == " "):
            labels[column : column + len(label)] = label
            ruler[column] = signs.lines[LEFT | RIGHT | UP | DOWN]
    ruler[0], ruler[-1] = signs.lines[UP | DOWN | RIGHT], signs.lines[UP | DOWN | LEFT]
    indent = " " * (plan.labels + 1)
    whole = [
        cut([(indent + "".join(labels), "dim")], width),
        cut([(indent + "".join(ruler), "frame"), (f" {end_label}", "dim")], width),
    ]
    return whole[:axis_lines]


def lanes_legend(signs: Signs, width: int = 1000) -> Line:
    """What the bars and elbows mean, in one line, the least obvious first to stay where there is no room for all."""
    named = [(signs.model, "model", "model"), (signs.tool, "tool", "tool"), (signs.retry, "retry", "retry")]
    named += [(signs.error, "error", "error")]
    named.append((signs.lines[LEFT | DOWN] + signs.lines[UP | RIGHT] + signs.arrow, "call", "delegation"))
    named += [(signs.lines[UP | LEFT], "return", "delegation"), (signs.gate, "let through", "mark")]
    named += [(signs.root, "root", "mark"), (signs.waiting, "wait", "waiting")]
    parts: list[Line] = [[(sign, role), (f" {word}", "dim")] for sign, word, role in named]
    while len(parts) > 1 and measure(joined(parts, "  ")) > width:
        parts.pop()
    return joined(parts, "  ")
