"""Draws the critical path over the lanes: what the end of the run waited for stays as it is, all other work becomes a thin line.

    critical path  research#2 28 s, planner#1 21 s, writer#1 12 s
    planner#1   ███┐·······┐━━━━━━━━━━━█  ●
    research#1     └▶──────┘           │  ✓

Invariant: what failed stays in sight, on the path or not; agents are named in the order of how long they were waited for.
Called by `lanes`, and by the cockpit for the line above them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from trajectory.view.rows import CriticalRow, Lane
from trajectory.view.scale import Scale
from tui.drawing.cell import Cell
from tui.drawing.line import Line, cut, measure
from tui.drawing.numbers import duration
from tui.signs import LEFT, RIGHT, Signs

_WORK = ("model", "tool", "retry", "dim")


def of_drawn(
    rows: Sequence[CriticalRow], lanes: Sequence[Lane], drawn: Sequence[Lane], agents: Mapping[str, str]
) -> list[CriticalRow]:
    """The path by the lanes that are drawn, of which some stand for all lanes of an agent (by label, as in `Grouped`)."""
    alone = {lane.span_id for lane in drawn if lane.label not in agents}
    groups = {agents[lane.label]: lane.span_id for lane in drawn if lane.label in agents}
    goes_to = {lane.span_id: groups.get(lane.agent, lane.span_id) for lane in lanes if lane.span_id not in alone}
    return [msgspec.structs.replace(row, lane_span_id=goes_to.get(row.lane_span_id, row.lane_span_id)) for row in rows]


def paint_chain(
    cells: list[Cell], lane: Lane, rows: Sequence[CriticalRow], scale: Scale, first: int, signs: Signs
) -> None:
    """Paints one lane's part of the path; `first` is the first column that its bars may use."""
    on: set[int] = set()
    for row in rows:
        if row.lane_span_id == lane.span_id and row.end_ns >= scale.start_ns and row.start_ns <= scale.end_ns:
            low, high = scale.stretch(row.start_ns, row.end_ns)
            on.update(range(max(low, min(first, scale.cells - 1)), max(high, min(first, scale.cells - 1)) + 1))
    for column, cell in enumerate(cells):
        if column in on and cell.role in ("", "waiting"):
            cell.text, cell.role = signs.lines_heavy[LEFT | RIGHT], "strong"
        elif column in on:
            cell.role = f"{cell.role} bold"
        elif cell.role in _WORK:
            cell.text, cell.role = signs.lines[LEFT | RIGHT], "dim"


def chain_line(rows: Sequence[CriticalRow], lanes: Sequence[Lane], width: int, signs: Signs) -> Line:
    """For whom the end of the run waited, and how long for each, in exactly `width` cells."""
    labels = {lane.span_id: lane.label for lane in lanes}
    waited: Counter[str] = Counter()
    for row in rows:
        waited[labels.get(row.lane_span_id, "")] += row.end_ns - row.start_ns
    line: Line = [("critical path  ", "strong")]
    for number, (label, took_ns) in enumerate(waited.most_common()):
        part: Line = [(", " * bool(number), "dim"), (label or "no agent", ""), (f" {duration(took_ns)}", "dim")]
        if measure([*line, *part]) > width - 3:
            line.append((f", {signs.ellipsis}", "dim"))
            break
        line += part
    return cut(line, width)
