"""Draws a whole run in two lines: how much ran when, where something failed, and which part of it is shown below.

Invariant: each line is as wide as asked for, and no failure is hidden. Called by the timeline.
"""

from itertools import groupby, pairwise

from trajectory.view.scale import Scale
from trajectory.view.views import Outline
from tui.drawing.line import Line
from tui.drawing.spark import spark
from tui.drawing.window import Window
from tui.signs import Signs


def density_lines(
    outline: Outline, width: int, signs: Signs, window: Window | None = None, whole: Window | None = None
) -> list[Line]:
    """How much ran when in the whole run, and below it a tick where something failed; each `width` cells wide.

    The ends of a window are marked among the ticks; where one failed, in the line above.
    """
    parts = len(outline.activity)
    if not parts:
        return [[], []]
    firsts = [cell * parts // width for cell in range(width + 1)]
    shown = [max(outline.activity[a : max(b, a + 1)]) for a, b in pairwise(firsts)]
    ticks = [" "] * width
    for part in outline.failed_parts:
        ticks[min(part * width // parts, width - 1)] = signs.error
    above = list(spark(shown, signs))
    if window is not None and whole is not None:
        scale = Scale(whole.start_ns, whole.end_ns, width)
        for column, sign in zip(scale.stretch(*window), (signs.opens, signs.closes), strict=True):
            (ticks if ticks[column] == " " else above)[column] = sign
    return [_by_role(above, "model", signs), _by_role(ticks, "error", signs)]


def _by_role(cells: list[str], role: str, signs: Signs) -> Line:
    ends = (signs.opens, signs.closes)
    return [("".join(group), "key" if is_end else role) for is_end, group in groupby(cells, lambda cell: cell in ends)]
