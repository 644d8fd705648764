"""The pane of who worked when: a lane for each invocation of an agent, many of one agent together until that is opened.

Invariant: the chart is drawn once for each view, path, width and instant, however often its lines are painted. The cockpit's
first pane.
"""

from trajectory.view.rows import Lane
from trajectory.view.views import TraceView
from tui.drawing.chain import chain_line, of_drawn
from tui.drawing.grouping import Grouped, by_agent
from tui.drawing.lanes import LaneDrawing, draw_lanes, lanes_legend
from tui.drawing.line import Line
from tui.drawing.path import Way, way_line
from tui.drawing.window import Window, delegations_in, lanes_in
from tui.signs import Signs
from tui.widgets.pane import Pane


class LanesPane(Pane):
    """Shows the lanes of a run, and over them the path of one alert."""

    def __init__(self, signs: Signs, *, number: int) -> None:
        super().__init__("agents", signs, title="Agents", number=number)
        self.groups = Grouped([], [])  # the lanes as they are drawn
        self.axis_lines = 2
        self._opened: set[str] = set()  # agents whose lanes are drawn one by one
        self._view: TraceView | None = None
        self._way: Way | None = None
        self._end_ns = 0
        self._window: Window | None = None
        self._shows_critical = False
        self._drawn: LaneDrawing | None = None
        self._drawn_for: tuple[object, ...] = ()

    def take(
        self, view: TraceView, way: Way | None, end_ns: int, window: Window | None, *, shows_critical: bool
    ) -> None:
        """Takes a view of a run that has come to `end_ns`, of which the window is drawn, None for all."""
        self._view, self._way, self._end_ns = view, way, end_ns
        self._window, self._shows_critical = window, shows_critical
        self.groups = by_agent(view.lanes, view.delegations, self.signs, way, self._opened)
        keys = [lane.label if lane.label in self.groups.agents else lane.span_id for lane in self.groups.lanes]
        self.show(keys, self._line, self._head_of)

    def open_group(self, agent: str) -> None:
        """Draws the lanes of an agent one by one from now on."""
        self._opened.add(agent)
        self._drawn = None

    def close_group(self, agent: str) -> bool:
        """Draws them as one again; False where they were not opened."""
        was_open = agent in self._opened
        self._opened.discard(agent)
        self._drawn = None
        return was_open

    @property
    def lane(self) -> Lane | None:
        """The lane under the cursor."""
        return self.groups.lanes[self.cursor] if self.cursor < len(self.groups.lanes) else None

    def _chart(self, view: TraceView, width: int) -> LaneDrawing:
        window, groups = self._window, self.groups
        start_ns, end_ns = window or (view.trace.started_ns, self._end_ns)
        drawn_for = (id(view), id(self._way), width, start_ns, end_ns, self.axis_lines, self._shows_critical)
        if self._drawn is None or self._drawn_for != drawn_for:
            self._drawn_for = drawn_for
            self._drawn = draw_lanes(
                lanes_in(groups.lanes, window, self._end_ns) if window else groups.lanes,
                delegations_in(groups.delegations, window) if window else groups.delegations,
                width,
                self.signs,
                start_ns=start_ns,
                now_ns=end_ns,
                axis_lines=self.axis_lines,
                end_label=self.signs.closes if window else "now" if view.trace.state == "live" else "end",
                way=None if window else groups.way,
                origin_ns=view.trace.started_ns,
                critical=of_drawn(view.critical, view.lanes, groups.lanes, groups.agents)
                if self._shows_critical
                else None,
            )
        return self._drawn

    def _head_of(self, width: int) -> list[Line]:
        self.legend = lanes_legend(self.signs, width)
        return [*self._caption(self._view, width), *self._chart(self._view, width).axis] if self._view else []

    def _caption(self, view: TraceView, width: int) -> list[Line]:
        """What is drawn over the lanes, in words."""
        if self._shows_critical:
            return [chain_line(view.critical, view.lanes, width, self.signs)]
        return caption(None if self._window else self._way, width, self.signs)

    def _line(self, index: int, width: int) -> Line:
        return self._chart(self._view, width).lines[index] if self._view else []


def caption(way: Way | None, width: int, signs: Signs) -> list[Line]:
    """The path that is drawn, in words."""
    return [way_line(way, width, signs)] if way else []
