"""Zooming in time: the part of a run that a chart shows.

Invariant: pure; a window lies inside the run, is never empty, and holds the instant about which it was made narrower; one as wide
as the run is none. The timeline and the lanes zoom with it, and the density strip marks it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from trajectory.view.rows import DelegationRow, Lane

LEAST_NS = 1_000_000


class Window(NamedTuple):
    """From start_ns to end_ns."""

    start_ns: int
    end_ns: int

    def shows(self, start_ns: int, end_ns: int) -> bool:
        """Whether any of a stretch lies in it."""
        return start_ns <= self.end_ns and end_ns >= self.start_ns


def zoomed(whole: Window, now: Window | None, start_ns: int, end_ns: int, closer: bool) -> Window | None:
    """Half of what is shown, or twice as much, about the middle of that part of a stretch that is shown; None for all of it."""
    shown = now or whole
    whole_ns = whole.end_ns - whole.start_ns
    range_ns = max((shown.end_ns - shown.start_ns) // 2, LEAST_NS) if closer else (shown.end_ns - shown.start_ns) * 2
    if range_ns >= whole_ns:
        return None
    if shown.shows(start_ns, end_ns):
        start_ns, end_ns = max(start_ns, shown.start_ns), min(end_ns, shown.end_ns)
    middle_ns = (start_ns + max(start_ns, end_ns)) // 2
    begin_ns = max(whole.start_ns, min(middle_ns - range_ns // 2, whole.end_ns - range_ns))
    return Window(begin_ns, begin_ns + range_ns)


def lanes_in(lanes: Sequence[Lane], window: Window, now_ns: int) -> list[Lane]:
    """The lanes, all of them, with the part of their work that lies in a window."""
    return [
        msgspec.structs.replace(
            lane,
            start_ns=max(lane.start_ns, window.start_ns)
            if window.shows(lane.start_ns, lane.end_ns or now_ns)
            else window.end_ns + 1,
            end_ns=min(lane.end_ns, window.end_ns),
            bars=[
                bar
                if bar.end_ns <= window.end_ns
                else msgspec.structs.replace(bar, end_ns=window.end_ns, status="ok")  # it failed later, if at all
                for bar in lane.bars
                if window.shows(bar.start_ns, bar.end_ns or now_ns)
            ],
        )
        for lane in lanes
    ]


def delegations_in(delegations: Sequence[DelegationRow], window: Window) -> list[DelegationRow]:
    """The delegations that were sent in a window; one that came back later is out as far as it shows."""
    return [
        row if row.returned_ns <= window.end_ns else msgspec.structs.replace(row, returned_ns=0)
        for row in delegations
        if window.start_ns <= row.sent_ns <= window.end_ns
    ]
