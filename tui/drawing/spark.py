"""Small pictures of amounts over time: a row of eight-level blocks. Used by the list of runs, the cockpit and the timeline."""

from collections.abc import Iterable, Sequence

from trajectory.view.scale import Scale
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


def density(stretches: Iterable[tuple[int, int]], scale: Scale) -> list[int]:
    """How many of the stretches (start_ns, end_ns) cover each column of the scale."""
    steps = [0] * (scale.cells + 1)
    for start_ns, end_ns in stretches:
        first, last = scale.stretch(start_ns, end_ns)
        steps[first] += 1
        steps[last + 1] -= 1
    counts, now = [], 0
    for step in steps[:-1]:
        now += step
        counts.append(now)
    return counts
