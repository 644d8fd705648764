"""Small pictures of amounts over time: a row of eight-level blocks. Used by the list of runs, the cockpit and the timeline."""

from collections.abc import Sequence

from tui.signs import Signs


def spark(values: Sequence[int], signs: Signs, width: int = 0) -> str:
    """One block a value, the highest as a full one, zero as the lowest; the newest `width` values where a width is given."""
    if width:
        values = values[-width:]
    top = max(values, default=0)
    if top <= 0:
        return signs.spark[0] * len(values)
    levels = len(signs.spark) - 1
    return "".join(signs.spark[0 if value <= 0 else max(1, value * levels // top)] for value in values)
