"""A run as it stood at an instant that one moves through it: what each agent did and knew, the steps up to then, the alerts.

Invariant: the bar is where the operator wants to be, at once; the panes show the last instant that came, and say which. It
moves by keys, by the mouse, and while it plays by the app's one ticker. Asks for one instant at a time.
"""

from typing import ClassVar

from textual.binding import Binding

from trajectory.view.link import Link
from trajectory.view.rows import AlertAt, HeldRow, KnownRow, LaneAt, StepRow
from trajectory.view.views import InstantView
from tui.keys import bindings_on
from tui.links import link_to_instant
from tui.playhead import STRIDES
from tui.screens.replay_drawing import ReplayDrawing
from tui.widgets.pane import Pane
from tui.widgets.scrubber import Scrubber


class ReplayScreen(ReplayDrawing):
    """The replay of one run, from an instant on (0: its end); `lane` is the label or the span of the agent to look at."""

    BINDINGS: ClassVar[list[Binding]] = bindings_on("replay")  # type: ignore[assignment]

    # Moving through time

    def go_to_instant(self, view: InstantView, at_ns: int) -> None:
        """Moves to an instant of the run that `view` is of, as near as it has one."""
        self.head.at_ns = max(view.start_ns, min(at_ns, self.end_ns))
        self.update_bars()
        self.tui.ask_now()

    def draw_view(self, view: InstantView) -> None:
        super().draw_view(view)
        self._go_to_wanted()

    def go_to_time(self, at_ns: int) -> bool:
        self._wanted_ns = at_ns
        self._go_to_wanted()
        return True

    def _go_to_wanted(self) -> None:
        if self.view is not None and self._wanted_ns is not None:
            wanted, self._wanted_ns = self._wanted_ns, None
            self.go_to_instant(self.view, self.view.start_ns + wanted)

    def link(self) -> Link | None:
        start_ns = self.view.start_ns if self.view else 0
        return link_to_instant(self.trace_id, max(0, self.head.at_ns - start_ns)) if start_ns else None

    def beat(self) -> None:
        """Moves on while it plays."""
        if self.view is not None and self.head.beat(self.tui.clock(), self.end_ns, goes_on=self.goes_on):
            self.update_bars()

    def action_play(self) -> None:
        if self.view is not None:
            self.head.play(self.tui.clock(), self.view.start_ns, self.end_ns, goes_on=self.goes_on)
            self.go_to_instant(self.view, self.head.at_ns)

    def action_speed(self, delta: int) -> None:
        self.head.faster(delta)
        self.say(f"{self.head.speed:g} s of the run in one")

    def action_step(self, delta: int) -> None:
        if self.view is None:
            return
        self.head.is_playing = False
        found = self.head.step(self.view, delta)
        if found:
            self.go_to_instant(self.view, found)
        elif self.head.at_ns == self.view.at_ns:
            self.say("nothing came before this" if delta < 0 else "nothing came after this")

    def action_stride(self, delta: int) -> None:
        if self.view is not None:
            stride_ns = max(1, (self.end_ns - self.view.start_ns) // STRIDES)
            self.go_to_instant(self.view, self.head.at_ns + delta * stride_ns)

    def action_tick(self, delta: int) -> None:
        self._to_tick(delta, "", "no event")

    def action_next_error(self) -> None:
        self._to_tick(1, "error", "no error")

    def _to_tick(self, delta: int, what: str, none: str) -> None:
        view = self.view
        tick = self.head.tick(view, delta, what) if view is not None else None
        if view is None or tick is None:
            self.say(f"{none} {'after' if delta > 0 else 'before'} this")
            return
        self.head.is_playing = False
        self.go_to_instant(view, tick.at_ns)
        self.say(f"{tick.what} {tick.text}")

    def action_live(self) -> None:
        """Leaves the replay; what was paused goes on."""
        if self.tui.is_paused:
            self.tui.pause()
        self.app.pop_screen()

    def on_scrubber_dragged(self, event: Scrubber.Dragged) -> None:
        event.stop()
        if self._bar is not None and self.view is not None:
            self.head.is_playing = False
            self.go_to_instant(self.view, self._bar.instant(event.column))

    # Keys

    def row_of(self, pane: Pane) -> object | None:
        view, at = self.view, pane.cursor
        if view is None:
            return None
        lists: dict[str, list[object]] = {
            "agents": [*view.lanes],
            "known": [*view.known],
            "steps": [*self._steps],
            "found": [*view.alerts],
        }
        if pane is self.items:
            known = [f"{row.kind} {row.text}" for row in view.held]
            return view.held[known.index(self.items.selected)] if self.items.selected in known else None
        rows = lists[pane.id or ""]
        return rows[at] if 0 <= at < len(rows) else None

    def value_of(self, pane: Pane) -> str:
        if pane is self.items:
            return self.items.value
        row = self.row_of(pane)
        if isinstance(row, AlertAt):
            return row.summary
        return row.text if isinstance(row, StepRow | KnownRow) else pane.selected

    def action_open(self) -> None:
        row, start_ns = self.row_of(self.pane), self.view.start_ns if self.view else 0
        if isinstance(row, HeldRow):
            self._open_holder(row)
        elif isinstance(row, LaneAt):
            self.tui.open_timeline(self.trace_id, row.doing_span_id or row.lane.span_id, self._trace)
        elif isinstance(row, AlertAt):
            self.tui.open_alert(self.trace_id, row.key, row.alert_id, self._trace)
        elif isinstance(row, StepRow | KnownRow) and row.span_id:
            self.tui.open_span(self.trace_id, row.span_id, start_ns)
        else:
            self.say("nothing to open here")

    def _open_holder(self, row: HeldRow) -> None:
        """Goes to the agent that lacks an item or has it otherwise, else to the first that held it."""
        lanes = self.view.lanes if self.view else []
        cells = sorted((c for c in row.cells if 0 <= c.lane < len(lanes)), key=lambda cell: cell.state == "held")
        if cells:
            self.tui.open_agent(self.trace_id, lanes[cells[0].lane].lane.span_id, self._trace)

    def action_needed(self) -> None:
        self._needed_only = not self._needed_only
        self.focus_pane(4)
        self.redraw()
        self.plan()
        self.say("items that were needed" if self._needed_only else "all items that are known")

    def action_timeline(self) -> None:
        row = self.row_of(self.pane)
        span_id = row.lane.span_id if isinstance(row, LaneAt) else str(getattr(row, "span_id", ""))
        self.tui.open_timeline(self.trace_id, span_id, self._trace)

    def action_alerts(self) -> None:
        self.focus_pane(3)
