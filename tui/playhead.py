"""Where one is in a run, and how that moves: by the clock while it plays, by steps, strides and ticks.

Invariant: it stays within the run, and stops at its end unless the run goes on; it reads no clock and asks for nothing. Owned
by the replay's screen, which tells it the time and the last instant that came.
"""

from bisect import bisect_left, bisect_right

from trajectory.view.rows import TickRow
from trajectory.view.views import InstantView

SPEEDS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
STRIDES = 20  # of a run
_NS_PER_S = 1_000_000_000


class Playhead:
    """`at_ns` is where the operator wants to be, 0 for the end until that is known; `speed` is seconds of the run in one."""

    def __init__(self, at_ns: int = 0) -> None:
        self.at_ns = at_ns
        self.is_playing = False
        self._speed = SPEEDS.index(1)
        self._beat_s = 0.0

    @property
    def speed(self) -> float:
        return SPEEDS[self._speed]

    def faster(self, by: int) -> None:
        """Takes the next speed, or the one before; the ends stay."""
        self._speed = max(0, min(self._speed + by, len(SPEEDS) - 1))

    def play(self, now_s: float, start_ns: int, end_ns: int, *, goes_on: bool) -> None:
        """Plays, or stops; from the end of a run that is over it begins again."""
        self.is_playing, self._beat_s = not self.is_playing, now_s
        if self.is_playing and self.at_ns >= end_ns and not goes_on:
            self.at_ns = start_ns

    def beat(self, now_s: float, end_ns: int, *, goes_on: bool) -> bool:
        """Moves on by the time that has passed since the last beat; whether it moved."""
        passed_s, self._beat_s = now_s - self._beat_s, now_s
        if not self.is_playing:
            return False
        self.at_ns = min(end_ns, self.at_ns + round(passed_s * self.speed * _NS_PER_S))
        self.is_playing = goes_on or self.at_ns < end_ns
        return True

    def step(self, view: InstantView, direction: int) -> int:
        """The next instant (the one before, for -1) at which something happened, of those that came with a view; 0 for none."""
        known = [*view.before, view.at_ns, *view.after]
        at = bisect_right(known, self.at_ns) if direction > 0 else bisect_left(known, self.at_ns) - 1
        return known[at] if 0 <= at < len(known) else 0

    def tick(self, view: InstantView, direction: int, what: str = "") -> TickRow | None:
        """The next tick on the bar, or the one before, of one sort if that is said."""
        ticks = [t for t in view.ticks if (not what or t.what == what) and (t.at_ns - self.at_ns) * direction > 0]
        return ticks[0 if direction > 0 else -1] if ticks else None
