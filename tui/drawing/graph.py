"""Draws delegations as a graph in layers: who gave work to whom, from left to right, a second giver as a second line.

Invariant: every delegation is a line from its giver to its taker, or a note below where it closes a circle or there is no room;
how an edge is known, and whether a cascade took it, is told without colour. The cockpit's second pane draws with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from trajectory.view.rows import DelegationRow, Lane
from tui.drawing.canvas import Canvas
from tui.drawing.layered import Arrow, Box, Laid, Place, lay_out
from tui.drawing.line import Bit, Line, put_label, short
from tui.drawing.numbers import many
from tui.drawing.path import Way
from tui.signs import LEFT, RIGHT, Signs, mark_sign, state_sign

MOST_BOXES = 150
_LONGEST_LABEL = 24
_GRADES = {"observed": "", "declared": "d"}  # written on the line; anything else is a guess


@dataclass(frozen=True, slots=True)
class GraphDrawing:
    """One bit for each cell of each row; where each box stands; the boxes in reading order; what gave each its work."""

    rows: list[list[Bit]]
    places: dict[str, Place]
    order: list[str]
    given: dict[str, DelegationRow]

    @property
    def width(self) -> int:
        return max((len(row) for row in self.rows), default=0)


def draw_graph(
    lanes: Sequence[Lane], delegations: Sequence[DelegationRow], signs: Signs, way: Way | None = None
) -> GraphDrawing:
    """The graph of delegations between lanes. With a way its path alone is marked; without, every cascade's."""
    pairs: dict[tuple[str, str], list[DelegationRow]] = {}
    given: dict[str, DelegationRow] = {}
    labels: dict[str, None] = {}
    for row in sorted(delegations, key=lambda each: each.sent_ns):
        pairs.setdefault((row.source, row.target), []).append(row)
        given.setdefault(row.target, row)
        labels |= {row.source: None, row.target: None}
    shown = list(labels)[:MOST_BOXES]
    lane_of = {lane.label: lane for lane in lanes}
    boxes = [Box(label, _box_line(label, lane_of.get(label), given.get(label), signs, way)) for label in shown]
    arrows = [Arrow(*ends, _note(rows, signs), _is_heavy(rows, way)) for ends, rows in pairs.items()]
    laid = lay_out(boxes, arrows, signs)
    _write_notes(laid, len(labels) - len(shown), signs)
    order = sorted(laid.places, key=lambda key: (laid.places[key].layer, laid.places[key].y))
    return GraphDrawing(laid.canvas.rows(signs), laid.places, order, given)


def _box_line(label: str, lane: Lane | None, given: DelegationRow | None, signs: Signs, way: Way | None) -> Line:
    state = lane.state if lane else given.state if given else ""
    mark = way.marks.get(label, "") if way is not None else lane.mark if lane else ""
    name, role = short(label, _LONGEST_LABEL)
    if name != label:
        name, role = put_label(label, _LONGEST_LABEL)
    line: Line = [("[", "frame"), (name.rstrip(), role), (" ", ""), state_sign(signs, state)]
    return [*line, *([mark_sign(signs, mark)] if mark else []), ("]", "frame")]


def _note(rows: list[DelegationRow], signs: Signs) -> Line:
    """What is written on the line: how it is known where that is not seen, that control passed, what was lost, how often."""
    grades = {row.grade for row in rows}
    known = next((sign for grade, sign in _GRADES.items() if grade in grades), "i")
    note: Line = [(known, "dim")] if known else []
    if all(row.mode == "transfer" for row in rows):
        note.append((signs.transfer[0], "delegation"))
    if any(row.lost for row in rows):
        note.append((signs.medium, "warning"))
    if len(rows) > 1:
        note.append((f"{signs.times}{len(rows)}", "dim"))
    return note


def _is_heavy(rows: list[DelegationRow], way: Way | None) -> bool:
    if way is None:
        return any(row.on_error_path for row in rows)
    return any(row.delegation_id in way.delegations for row in rows)


def _write_notes(laid: Laid, hidden_count: int, signs: Signs) -> None:
    """Below the graph: the edges that lead back, and how many agents there is no room for."""
    canvas: Canvas = laid.canvas
    lines: list[Line] = []
    for arrow in laid.back:
        ends = [short(label, _LONGEST_LABEL) for label in (arrow.source, arrow.target)]
        role = "error" if arrow.heavy else "delegation"
        head = signs.lines_heavy[LEFT | RIGHT] if arrow.heavy else signs.lines[LEFT | RIGHT]
        lines.append(
            [(f"{signs.again} ", "dim"), ends[0], (f" {head}", role), *arrow.note, (f"{signs.arrow} ", role), ends[1]]
        )
    if hidden_count > 0:
        lines.append([(f"{signs.ellipsis} {many(hidden_count, 'more agent')}: the tree has them all", "dim")])
    top = canvas.height + bool(canvas.height)
    for at, line in enumerate(lines):
        canvas.write(0, top + at, line)


def graph_legend(signs: Signs) -> Line:
    """What the lines of the graph mean, in one line."""
    named = [
        (signs.lines_heavy[LEFT | RIGHT], "cascade", "error"),
        ("d", "declared", "delegation"),
        ("i", "inferred", "delegation"),
        (signs.medium, "lost", "warning"),
        (signs.again, "back", "dim"),
    ]
    return [bit for sign, word, role in named for bit in ((sign, role), (f" {word}  ", "dim"))]
