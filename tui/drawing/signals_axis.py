"""The axis of a view of signals: its windows by the clock, and in them the findings and the spikes.

Invariant: in a window the gravest finding is marked, and a spike only where nothing was found. The signals' screen draws with it.
"""

from collections.abc import Iterator, Sequence
from datetime import tzinfo

from trajectory.view.rows import SignalsView
from tui.drawing.numbers import wall
from tui.drawing.plot import Axis, Mark
from tui.signs import Signs, severity_sign

_GRAVER = ("info", "warning", "critical")
_MINUTE_NS = 60_000_000_000


def clock(at_ns: int, window_ns: int, zone: tzinfo | None) -> str:
    """When a window begins: to the minute, or to the second where windows are shorter than that."""
    told = wall(at_ns, zone)
    return told if window_ns < _MINUTE_NS else told[:5]


def axis_of(
    view: SignalsView, count: int, stood_out: Sequence[int], cursor: int, zone: tzinfo | None, signs: Signs
) -> Axis:
    """The axis, with the windows of `stood_out` marked as spikes."""
    marks: dict[int, Mark] = dict.fromkeys(stood_out, (signs.up, "warning"))
    graded = sorted(view.marks, key=lambda mark: _GRAVER.index(mark.severity) if mark.severity in _GRAVER else -1)
    for mark in graded:
        at = (mark.at_ns - view.begin_ns) // max(1, view.window_ns)
        if 0 <= at < count:
            marks[at] = severity_sign(signs, mark.severity)
    return Axis(count, lambda at: clock(view.begin_ns + at * view.window_ns, view.window_ns, zone), marks, cursor)


def telling(view: SignalsView, zone: tzinfo | None) -> Iterator[str]:
    """The findings in words, one sentence for each window and kind."""
    for mark in view.marks:
        times = f", {mark.count} times" if mark.count > 1 else ""
        yield f"{clock(mark.at_ns, view.window_ns, zone)}: {mark.severity} {mark.kind}{times}"
