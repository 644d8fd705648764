"""Figures over time, of all runs, a run, an agent: a table of series, plots of the one under the cursor, the runs of a time.

Invariant: what is under the cursor of the time is what `enter` leads to: the runs of that time, and from there the steps; `esc`
ends a comparison, then widens what was narrowed, then leaves. Opened from the runs, the cockpit and an agent.
"""

from typing import ClassVar

from textual.binding import Binding

from trajectory.view.rows import TraceRow
from trajectory.view.signal_rows import SignalPoint
from tui.drawing.plot import Axis, room_for
from tui.drawing.signals import ALL, BY, METRICS
from tui.keys import bindings_on
from tui.screens.signals_drawing import SignalsDrawing, count_of, key_of
from tui.screens.signals_place import kept_of
from tui.widgets.pane import Pane
from tui.widgets.plot import PlotPane


class SignalsScreen(SignalsDrawing):
    """The figures, and the keys to walk them."""

    name_here = "signals"
    BINDINGS: ClassVar[list[Binding]] = bindings_on("signals")  # type: ignore[assignment]

    def _to_time(self, at_ns: int) -> None:
        self._at_ns = at_ns
        if self.view is not None:
            self._again(self.view)

    def action_at(self, delta: int) -> None:
        view = self._shown
        at = self._cursor(view) + delta if view is not None else -1
        if view is None or not 0 <= at < count_of(view):
            self.say("no time before this one is shown: w shows more" if delta < 0 else "this is the newest")
            return
        self._to_time(view.begin_ns + at * view.window_ns)

    def action_spike(self, direction: int) -> None:
        view = self._shown
        bands = self._bands(view) if view is not None else []
        if view is None or not bands:
            self.say("nothing is plotted")
            return
        axis = self._axis(view, bands)
        further = [at for at in axis.marks if (at - axis.cursor) * direction > 0]
        if not further:
            self.say(
                "no spike, and nothing that was found, after this time" if direction > 0 else "none before this time"
            )
            return
        at = min(further) if direction > 0 else max(further)
        self._to_time(view.begin_ns + at * view.window_ns)
        found = ", ".join(mark.kind for mark in view.marks if (mark.at_ns - view.begin_ns) // view.window_ns == at)
        self.say(f"{axis.when(at)}: {found or 'far above what is usual here'}")

    def action_next_error(self) -> None:
        """The next window in which something failed, else the first."""
        view = self._shown
        failed = (
            sorted({(p.at_ns - view.begin_ns) // view.window_ns for s in self._plotted for p in s.points if p.errors})
            if view
            else []
        )
        if view is None or not failed:
            self.say("nothing failed in this time")
            return
        cursor = self._cursor(view)
        self._to_time(view.begin_ns + next((at for at in failed if at > cursor), failed[0]) * view.window_ns)

    def action_mode(self) -> None:
        if self.panel is not None:
            self.say("a panel has its own metric, from your settings")
            return
        self._metric = METRICS[(METRICS.index(self._metric) + 1) % len(METRICS)]
        self.redraw()
        self.update_bars()

    def action_group(self) -> None:
        self._group(BY[(BY.index(self._by) + 1) % len(BY)])
        self.say(f"by {self._by}" + ("; a panel has a group of its own" if self.panel is not None else ""))

    def _group(self, by: str) -> None:
        self._by, self._chosen = by, []
        self.tui.ask_now()
        self.redraw()
        self.update_bars()

    def action_span_of_time(self) -> None:
        self._window = self._windows[(self._windows.index(self._window) + 1) % len(self._windows)]
        self._at_ns = None
        self.tui.ask_now()
        self.update_bars()
        own = "; a panel has a window of its own" if self.panel is not None else ""
        self.say(f"the last {self._window}{own}" if self._window != ALL else "all of the run")

    def action_compare(self) -> None:
        here = self.here
        if here is None:
            self.say("no series is under the cursor to compare")
            return
        key = key_of(here)
        self._chosen = [k for k in self._chosen if k != key] if key in self._chosen else [*self._chosen[:1], key]
        self.redraw()
        self.plan()
        said = "compared below; = on another changes B" if self._is_comparing else "= on another compares them"
        self.say(said if self._chosen else "nothing is chosen")

    def action_narrow(self) -> None:
        here = self.here
        if here is None or self._by not in ("agent", "service") or here.name.startswith("("):
            self.say("by agent or service (b), this shows only the one under the cursor")
            return
        self._scopes.append((self._scope, self._by))
        self._scope = (here.name, self._scope[1]) if self._by == "agent" else (self._scope[0], here.name)
        self._group("model")
        self.say(f"only {here.name}: esc shows all again")

    def action_back(self) -> None:
        others = self.is_prompting or self.selections or self.filter_text or (self.zoomed and not self.tui.is_plain)
        if self._chosen and not others:
            self._chosen = []
            self.redraw()
            self.plan()
        elif self._scopes and not others:
            self._scope, by = self._scopes.pop()
            self._group(by)
        else:
            super().action_back()

    def action_open(self) -> None:
        if self.pane is not self.runs:
            if self._is_comparing or not self.runs.keys:
                self.say("esc ends the comparison first" if self._is_comparing else self.nothing_then())
            else:
                self.focus_pane(2)
            return
        row = self.row
        if row is None:
            self.say("no run is under the cursor")
            return
        at_ns = max(0, self._stretch()[0] - row.started_ns)
        keep = kept_of(self.here, self._by) if not self.trace_id else ""
        self.tui.open_timeline(row.trace_id, "", row, keep)
        if at_ns:
            self.tui.here.go_to_time(at_ns)
        if keep and self.here is not None:
            said = f"only the work of {self.here.name}: esc shows all of the run"
            self.tui.call_after_refresh(self.tui.tell, said)  # there once the timeline is

    def go_to_time(self, at_ns: int) -> bool:
        if self._trace is None:
            self.say("of all runs times are by the clock: h and l walk them")
        else:
            self._to_time(self._trace.started_ns + at_ns)
        return True

    @property
    def row(self) -> TraceRow | None:
        """The run under the cursor."""
        return next((row for row in (self.view.runs if self.view else []) if row.trace_id == self.runs.selected), None)

    @property
    def point(self) -> SignalPoint | None:
        """The figures of the series under the cursor at the time under the cursor."""
        at_ns, until_ns = self._stretch()
        return next((p for each in self._plotted[:1] for p in each.points if at_ns <= p.at_ns < until_ns), None)

    def row_of(self, pane: Pane) -> object | None:
        return self.here if pane is self.series else self.point if pane is self.plot else self.row

    def value_of(self, pane: Pane) -> str:
        return self.runs.selected if pane is self.runs else self.here.name if self.here else ""

    def on_plot_pane_pointed(self, event: PlotPane.Pointed) -> None:
        event.stop()
        view = self._shown
        columns = Axis(count_of(view), str, {}).columns(room_for(self.plot.inner_width))
        at = event.x - (self.plot.inner_width - room_for(self.plot.inner_width))
        if view is not None and 0 <= at < len(columns):
            self._to_time(view.begin_ns + columns[at].start * view.window_ns)
