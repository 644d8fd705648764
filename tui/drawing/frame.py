"""Draws the edges of a pane: the title at the left of the top edge, its status at the right. A heavy frame has the focus."""

from trajectory.view.text import truncate
from tui.drawing.line import Line, cut, measure
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


def bottom_edge(width: int, signs: Signs, focused: bool) -> Line:
    """The bottom edge in exactly `width` cells."""
    frame = signs.frame_focus if focused else signs.frame
    return cut([(frame[4] + frame[1] * (width - 2) + frame[5], "frame-focus" if focused else "frame")], width)
