"""The keys of the screens that draw a run along its time: closer, further, all of it, and the critical path on or off.

Invariant: what is zoomed to is a window on the run that the cursor's span was in; the critical path is on or off for all screens
alike. The cockpit and the timeline are built on it.
"""

from tui.drawing.numbers import duration
from tui.drawing.window import Window, zoomed
from tui.screens.base import DataScreen


class TimedScreen(DataScreen):
    """A screen with a time axis. `window` is the part of the run that it shows, None for all of it."""

    window: Window | None = None

    def whole(self) -> Window | None:
        """From when to when the run goes; None while nothing is known of it."""
        raise NotImplementedError

    def stretch_here(self) -> tuple[int, int]:
        """From when to when goes what is under the cursor."""
        raise NotImplementedError

    def in_time(self) -> str:
        """What of the run is shown, in a few words; nothing for all of it."""
        whole = self.whole()
        if self.window is None or whole is None:
            return ""
        start_ns, end_ns = (at_ns - whole.start_ns for at_ns in self.window)
        if end_ns - start_ns < 1_000_000_000:
            return f"{duration(end_ns - start_ns)} from {start_ns / 1e9:.3f} s"
        return f"{start_ns / 1e9:.1f}{self.signs.dash}{end_ns / 1e9:.1f} s"

    def action_time_zoom(self, direction: int) -> None:
        """Shows half as much of the time, or twice as much, about what is under the cursor; 0: all of it."""
        whole = self.whole()
        if whole is None:
            self.say("nothing to zoom into yet")
            return
        before = self.window
        self.window = zoomed(whole, before, *self.stretch_here(), closer=direction > 0) if direction else None
        if before == self.window:
            self.say("closer is not possible" if direction > 0 else "all of the time is shown")
        self.redraw()
        self.update_bars()

    def action_critical(self) -> None:
        """Shows what the end of the run waited for, or does not any more."""
        self.tui.shows_critical = not self.tui.shows_critical
        self.redraw()
        self.plan()
        self.tui.ask_now()
        self.say("the critical path: what the end waited for" if self.tui.shows_critical else "critical path off")
