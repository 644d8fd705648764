"""Draws the edges of a pane: the title at the left of the top edge, its status at the right. A heavy frame has the focus."""

from collections.abc import Sequence

from trajectory.view.text import truncate
from tui.drawing.line import Line, cut, measure, spread
from tui.signs import Signs


def top_edge(title: str, status: str, width: int, signs: Signs, focused: bool, framed: bool = True) -> Line:
    """The top edge in exactly `width` cells; the status leaves before the title is cut."""
    frame = signs.frame_focus if focused else signs.frame
    role = "frame-focus" if focused else "frame"
    left, right = (frame[0] + frame[1], frame[1] + frame[2]) if framed else (frame[1] * 2, frame[1] * 2)
    room = width - 4
    if status and measure([(title, "")]) + measure([(status, "")]) + 4 > room:
        status = truncate(status, room - measure([(title, "")]) - 4) if room - measure([(title, "")]) > 12 else ""
    name: Line = [(f" {truncate(title, max(0, room - 2))} ", "title" if focused else "dim")] if title else []
    end: Line = [(f" {status} ", "dim")] if status else []
    fill = max(0, room - measure(name) - measure(end))
    return cut([(left, role), *name, (frame[1] * fill, role), *end, (right, role)], width)


def tabs_edge(tabs: Sequence[tuple[str, str]], here: str, status: str, width: int) -> Line:
    """The panes that there are by number, the one that is shown in brackets, in exactly `width` cells; names leave before
    numbers do, and the status of the pane is there where it fits beside them."""
    for names in (tabs, [(id, name if id == here else "") for id, name in tabs]):
        line: Line = []
        for number, (id, name) in enumerate(names, 1):
            text = f"{number} {name}".strip()
            line += [(f"[{text}]", "title") if id == here else (f" {text} ", "dim"), (" ", "")]
        if measure(line) <= width:
            break
    return spread(line, [(status, "dim")] if measure(line) + measure([(status, "")]) < width else [], width)


def bottom_edge(width: int, signs: Signs, focused: bool) -> Line:
    """The bottom edge in exactly `width` cells."""
    frame = signs.frame_focus if focused else signs.frame
    return cut([(frame[4] + frame[1] * (width - 2) + frame[5], "frame-focus" if focused else "frame")], width)
