"""One run in five panes: who is working, who asked whom, what is wrong, what just happened, and which steps are suspected.

Invariant: at any size each pane is one key away; the tail never moves while it is scrolled up; alerts go on while the view
is paused; the path of the alert under the cursor is drawn over lanes and delegations, and no other. Asks for the run's
lanes, delegations, alerts, newest steps and suspects.
"""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container

from trajectory.view.rows import (
    AlertRow,
    DelegationRow,
    Lane,
    StepRow,
    SuspectRow,
    TraceQuery,
    TraceRow,
    TraceView,
    View,
)
from tui.drawing.alerts import alert_line, alerts_title, kind_width
from tui.drawing.bars import run_summary
from tui.drawing.chain import chain_line, of_drawn
from tui.drawing.delegation import delegation_at
from tui.drawing.grouping import Grouped, by_agent
from tui.drawing.lanes import LaneDrawing, draw_lanes, lanes_legend
from tui.drawing.line import Line
from tui.drawing.numbers import grouped, took
from tui.drawing.page import PageLine
from tui.drawing.path import Way, way_line
from tui.drawing.suspects import NOT_A_VERDICT, suspect_lines
from tui.drawing.tail import step_line
from tui.drawing.tree import Branch, branch_line, branches, tree_legend
from tui.drawing.window import Window, delegations_in, lanes_in
from tui.keys import bindings_on
from tui.screens.alert import SUSPECTS_SHOWN
from tui.screens.timed import TimedScreen
from tui.widgets.page import PagePane
from tui.widgets.pane import Pane

_TAIL_PULLED = 400
_TAIL_KEPT = 5000
_WIDE = 160  # columns from which alerts and suspects stand side by side


class CockpitScreen(TimedScreen):
    """The cockpit of one run."""

    name_here = "cockpit"
    BINDINGS: ClassVar[list[Binding]] = bindings_on("cockpit")  # type: ignore[assignment]
    view: TraceView | None
    pane_names: ClassVar[tuple[str, ...]] = ("agents", "delegations", "alerts", "tail", "suspects")

    def __init__(self, trace_id: str, title: str = "", pane: str = "") -> None:
        super().__init__()
        self.trace_id = trace_id
        self.run_title = title
        self._first_pane = pane
        self._shows_graph = False  # on narrow screens, the second pane in the place of the first
        self._drawn: LaneDrawing | None = None
        self._drawn_for: tuple[object, ...] = ()
        self._groups = Grouped([], [])  # the lanes as they are drawn
        self._opened: set[str] = set()  # agents whose lanes are drawn one by one
        self._branches: list[Branch] = []
        self._alert_rows: list[AlertRow] = []
        self._shows_suspects = False  # but on the widest screens, the suspects in the place of the alerts
        self._way: Way | None = None
        self._steps: list[StepRow] = []
        self._step_keys: list[str] = []
        self._steps_filter = ""

    def compose_body(self) -> ComposeResult:
        signs = self.tui.signs
        self.agents = Pane("agents", signs, title="Agents", number=1)
        self.delegations = Pane("delegations", signs, title="Delegations", number=2)
        self.alerts = Pane("alerts", signs, title="Alerts", number=3)
        self.suspects = PagePane("suspects", signs, "Suspects", 5, self._suspect_lines, self.plan)
        self.suspects.status = NOT_A_VERDICT
        self.alerts.rests_on_first = self.suspects.rests_on_first = True
        self.tail = Pane("tail", signs, title="Tail", number=4)
        self.tail.can_follow = self.tail.follows = True
        self.delegations.legend = tree_legend(signs)
        yield Container(self.agents, self.delegations, id="above", classes="columns")
        yield Container(self.alerts, self.suspects, id="middle", classes="columns")
        yield self.tail

    def panes(self) -> list[Pane]:
        return [self.agents, self.delegations, self.alerts, self.tail, self.suspects]

    def begin(self) -> None:
        self.focus_named(self._first_pane or "agents")

    def focus_named(self, name: str) -> None:
        """Gives the pane of this name the focus."""
        self.focus_pane([pane.id for pane in self.panes()].index(name))

    def crumbs(self) -> list[str]:
        return ["runs", f"{self.trace_id[:4]} {self.run_title}"]

    def asks(self) -> TraceQuery:
        return TraceQuery(
            self.trace_id,
            filter=self.filter_text,
            tail=_TAIL_PULLED,
            suspects=SUSPECTS_SHOWN,
            critical=self.tui.shows_critical,
        )

    def takes(self, view: View) -> bool:
        return isinstance(view, TraceView) and view.trace.trace_id == self.trace_id

    # Layout

    def lay_out(self, width: int, height: int) -> None:
        above, middle = self.query_one("#above"), self.query_one("#middle")
        above.display = middle.display = True
        if width < 60:
            self._arrange_one()
            return
        stacked = width < 100
        self.agents.display = not (stacked and self._shows_graph)
        self.delegations.display = not stacked or self._shows_graph
        self.delegations.styles.width = "1fr" if stacked else max(46, width * 46 // 120)
        low = height < 14
        alert_size = self._alert_size(width, height)
        lane_size = self._lane_size(height - (0 if low else alert_size), stacked)
        middle.display = not low or self._shows_suspects
        self.alerts.display = width >= _WIDE or not self._shows_suspects
        self.suspects.display = width >= _WIDE or self._shows_suspects
        above.styles.height, middle.styles.height = lane_size, alert_size

    def _alert_size(self, width: int, height: int) -> int:
        """Lines of the alerts' and the suspects' panes: as many as there are, within a sixth of the screen or so; suspects, who
        need more for their reasons, have a third while they are in the alerts' place."""
        if self._shows_suspects and width < _WIDE:
            return max(4, min(len(self.suspects.lines) + 2, height // 3 + 1))
        most = 4 if height < 28 else 6 if height < 40 else 9
        rows = max(len(self._alert_rows), len(self.suspects.lines) if width >= _WIDE else 0)
        return max(3, min(rows + 2, most))

    def _lane_size(self, height: int, stacked: bool) -> int:
        """Lines of the lanes' pane, out of those that it shares with the tail: all lanes, if the tail keeps a third."""
        lanes = len(self._groups.lanes) if self.view else 7
        wanted = lanes + (5 if stacked else 7) + (self._way is not None or self.tui.shows_critical)
        return max(4, min(wanted, height - max(5, height // 3)))

    def _arrange_one(self) -> None:
        """One pane at a time, for the narrowest screens."""
        shown = self.pane
        for pane in self.panes():
            pane.display = pane is shown
        for name, inside in (("#above", (self.agents, self.delegations)), ("#middle", (self.alerts, self.suspects))):
            row = self.query_one(name)
            row.display = shown in inside
            row.styles.height = "1fr"

    def reveal_pane(self, pane: Pane) -> None:
        super().reveal_pane(pane)
        if pane in (self.agents, self.delegations):
            self._shows_graph = pane is self.delegations
        if pane in (self.alerts, self.suspects):
            self._shows_suspects = pane is self.suspects
            self.plan()
        if not pane.display or self.app.size.width < 100:
            pane.display = True
            self.call_after_refresh(self.plan)

    def summary_height(self, width: int) -> int:
        return 2 if width >= 100 and self.app.size.height >= 30 else 1

    def summary(self, width: int) -> list[Line]:
        live = self.held if isinstance(self.held, TraceView) else self.view
        if live is None:
            return [[(f" opening {self.trace_id[:4]} {self.signs.ellipsis}", "dim")]]
        goal: Line = [(" Goal: ", "dim"), (live.trace.goal, "")] if live.trace.goal else []
        return [run_summary(live.trace, width, self.signs, self.tui.now_ns, self.contact), goal]

    # Drawing

    def draw_view(self) -> None:
        view = self.view
        if view is None:
            return
        self.run_title = view.trace.title
        self.tui.seen[self.trace_id] = view.trace
        before = len(self._alert_rows) + len(self.suspects.lines), self.agents.size.height
        self._draw_alerts(view)
        self._draw_way(view)
        self._draw_tail(view)
        if before[0] != len(self._alert_rows) + len(self.suspects.lines) or len(self._groups.lanes) + 4 != before[1]:
            self.plan()

    def draw_paused(self, view: View) -> None:
        if isinstance(view, TraceView):
            before = len(self._alert_rows)
            self._draw_alerts(view)
            if before != len(self._alert_rows):
                self.plan()

    def _when(self, at_ns: int) -> str:
        return self.when(at_ns, self.view.trace.started_ns if self.view else 0)

    def _end_ns(self, view: TraceView) -> int:
        return max(self.tui.now_ns, view.trace.ended_ns) if view.trace.state == "live" else view.trace.ended_ns

    def _lanes(self, view: TraceView, width: int) -> LaneDrawing:
        """The chart at a width; drawn once for each view, width, part of the time and second."""
        whole_ns = self._end_ns(view)
        start_ns, end_ns = self.window or (view.trace.started_ns, whole_ns)
        made_of = (view, self._way, width, start_ns, end_ns, self.tui.shows_critical)
        if (
            self._drawn is None
            or len(self._drawn_for) != len(made_of)
            or not all(
                one is other or (isinstance(one, int) and one == other)
                for one, other in zip(made_of, self._drawn_for, strict=True)
            )
        ):
            self._drawn_for = made_of
            lanes, delegations = self._groups.lanes, self._groups.delegations
            is_live = view.trace.state == "live"
            self._drawn = draw_lanes(
                lanes if self.window is None else lanes_in(lanes, self.window, whole_ns),
                delegations if self.window is None else delegations_in(delegations, self.window),
                width,
                self.signs,
                start_ns=start_ns,
                now_ns=end_ns,
                axis_lines=2 if self.app.size.width >= 100 else 1,
                end_label=self.signs.closes if self.window else "now" if is_live else "end",
                way=self._groups.way if self.window is None else None,
                origin_ns=view.trace.started_ns,
                critical=of_drawn(view.critical, view.lanes, lanes, self._groups.agents)
                if self.tui.shows_critical
                else None,
            )
        return self._drawn

    def whole(self) -> Window | None:
        view = self.view
        return Window(view.trace.started_ns, max(self._end_ns(view), view.trace.started_ns + 1)) if view else None

    def stretch_here(self) -> tuple[int, int]:
        row, whole = self.row_of(self.pane), self.whole() or Window(0, 1)
        begins = [at for name in ("start_ns", "at_ns", "sent_ns", "opened_ns") if (at := getattr(row, name, 0))]
        ends = [at for name in ("end_ns", "returned_ns") if (at := getattr(row, name, 0))]
        if not begins:
            return whole
        is_instant = isinstance(row, AlertRow | StepRow | SuspectRow)
        return begins[0], begins[0] if is_instant else ends[0] if ends else whole.end_ns

    def _draw_agents(self, view: TraceView) -> None:
        self._groups = by_agent(view.lanes, view.delegations, self.signs, self._way, self._opened)
        keys = [lane.label if lane.label in self._groups.agents else lane.span_id for lane in self._groups.lanes]
        self.agents.show(keys, self._lane_line, self._lane_head)
        narrow = self.app.size.width < 100
        whole = f"0{self.signs.dash}{took(self._end_ns(view) - view.trace.started_ns, view.trace.state != 'live')}"
        self.agents.status = self.in_time() or ("2 graph  3 alerts  4 tail  5 suspects" if narrow else whole)

    def _lane_head(self, width: int) -> list[Line]:
        self.agents.legend = lanes_legend(self.signs, width)
        if self.view is None:
            return []
        return [*self._caption(width), *self._lanes(self.view, width).axis]

    def _caption(self, width: int) -> list[Line]:
        """The path that is drawn, in words."""
        if self.tui.shows_critical and self.view is not None and self.agents.display:
            return [chain_line(self.view.critical, self.view.lanes, width, self.signs)]
        if self.window is not None and self.agents.display:
            return []
        return [way_line(self._way, width, self.signs)] if self._way else []

    def _lane_line(self, index: int, width: int) -> Line:
        return self._lanes(self.view, width).lines[index] if self.view else []

    def _draw_delegations(self, view: TraceView) -> None:
        self._branches = branches(view.delegations)
        lanes = {lane.label: lane for lane in view.lanes}
        start_ns = view.trace.started_ns
        run_ns = self._end_ns(view) - start_ns
        self.delegations.status = grouped(len(view.delegations))
        self.delegations.banner = [] if view.delegations else [[("no delegation was recorded", "dim")]]
        self.delegations.show(
            [branch.key for branch in self._branches],
            lambda index, width: branch_line(
                self._branches[index], lanes, width, self.signs, start_ns, self._way, run_ns
            ),
            lambda width: [] if self.agents.display else self._caption(width),
        )

    def _draw_alerts(self, view: TraceView) -> None:
        rows = self._alert_rows = view.alerts
        start_ns = view.trace.started_ns
        run_ns = self._end_ns(view) - start_ns
        self.alerts.status = alerts_title(rows, self.signs)
        self.alerts.banner = [] if rows else [[(f"{self.signs.ok} nothing found so far", "ok")]]
        self.alerts.show(
            [row.key for row in rows],
            lambda index, width: alert_line(
                rows[index], width, self.signs, start_ns, run_ns=run_ns, kinds=kind_width(rows, width)
            ),
        )

    def _draw_way(self, view: TraceView) -> None:
        """Draws the path of the alert under the cursor, and what depends on it."""
        at = self.alerts.cursor
        way = Way.of(self._alert_rows[at]) if at < len(self._alert_rows) else None
        if way != self._way:
            self._way = way
        self.suspects.fill()
        self._draw_agents(view)
        self._draw_delegations(view)

    def _suspect_lines(self, width: int) -> list[PageLine]:
        view = self.view
        return suspect_lines(view.suspects, view.limits, self._way, width, self.signs, self._when) if view else []

    def _suspect(self) -> SuspectRow | None:
        """The suspect under the cursor."""
        line, rows = self.suspects.line, self.view.suspects if self.view else []
        return next((row for row in rows if line and row.span_id == line.span_id), None)

    def _draw_tail(self, view: TraceView) -> None:
        self._merge(view.tail)
        start_ns = view.trace.started_ns
        self.tail.show(
            self._step_keys,
            lambda index, width: step_line(
                self._steps[index], self.when(self._steps[index].at_ns, start_ns), width, self.signs
            ),
        )
        self._title_tail()

    def _merge(self, rows: list[StepRow]) -> None:
        """Adds what is new; drops the oldest only while the end is followed, so that nothing moves under the eye."""
        if self._steps_filter != self.filter_text or (
            self._steps and rows and rows[-1].step_id < self._steps[-1].step_id
        ):
            self._steps, self._steps_filter = [], self.filter_text
        first = rows[0].step_id if rows else 0
        kept = [step for step in self._steps if step.step_id < first] if rows else self._steps
        whole = [*kept, *rows]
        if self.tail.follows:
            whole = whole[-_TAIL_KEPT // 5 :]
        self._steps = whole[:_TAIL_KEPT]
        self._step_keys = [str(step.step_id) for step in self._steps]

    def _title_tail(self) -> None:
        if self.tui.is_paused:
            self.tail.status = f"{self.signs.paused} paused {self.signs.dot} space"
        elif self.tail.follows:
            self.tail.status = f"{self.signs.running} following {self.signs.dot} all agents"
        else:
            more = "+" if len(self._steps) >= _TAIL_KEPT else ""
            self.tail.status = f"{self.signs.paused} {self.tail.unseen}{more} new {self.signs.dot} f"

    def moved(self, pane: Pane) -> None:
        if pane is self.tail:
            self._title_tail()
        elif pane is self.alerts and self.view is not None:
            before = self._way is None
            self._draw_way(self.view)
            if before != (self._way is None):
                self.plan()

    def counted(self) -> str:
        return f"{len(self._steps)} of {self.view.tail_total} steps" if self.view else ""

    # Keys

    def row_of(self, pane: Pane) -> object | None:
        if self.view is None or not pane.selected:
            return None
        if pane is self.suspects:
            return self._suspect()
        rows: dict[str, list[object]] = {
            "agents": [*self._groups.lanes],
            "delegations": [branch.row or self._lane(branch.label) for branch in self._branches],
            "alerts": [*self._alert_rows],
            "tail": [*self._steps],
        }
        found = rows[pane.id or ""]
        return found[pane.cursor] if pane.cursor < len(found) else None

    def _lane(self, label: str) -> Lane | None:
        return next((lane for lane in (self.view.lanes if self.view else []) if lane.label == label), None)

    @property
    def link_view(self) -> str:
        return self.pane.id if self.pane in (self.agents, self.delegations) and self.pane.id else ""

    def key_of_span(self, pane: Pane, span_id: str) -> str:
        if pane is self.delegations:
            return next((b.key for b in self._branches if b.row and b.row.span_id == span_id), "")
        return span_id

    def is_error(self, pane: Pane, index: int) -> bool:
        if pane is self.agents and self.view:
            return self._groups.lanes[index].errors > 0 or self._groups.lanes[index].state == "error"
        if pane is self.tail:
            return self._steps[index].status == "error" or self._steps[index].what == "error"
        if pane is self.delegations:
            row = self._branches[index].row
            return row is not None and (row.state in ("failed", "lost") or bool(row.lost) or row.on_error_path)
        return pane is self.alerts

    def value_of(self, pane: Pane) -> str:
        row = self.row_of(pane)
        if isinstance(row, AlertRow):
            return row.message
        if isinstance(row, SuspectRow):
            return self.suspects.value
        return row.text if isinstance(row, StepRow) else pane.selected

    @property
    def trace(self) -> TraceRow | None:
        """The run, as far as it is known."""
        return self.view.trace if self.view else None

    def action_open(self) -> None:
        row = self.row_of(self.pane)
        start_ns = self.trace.started_ns if self.trace else 0
        if isinstance(row, Lane) and row.label in self._groups.agents:
            self._open_group(self._groups.agents[row.label])
        elif isinstance(row, Lane):
            self.tui.open_agent(self.trace_id, row.span_id, self.trace)
        elif isinstance(row, AlertRow):
            self.alerts.is_touched = True
            self.tui.open_alert(self.trace_id, row.key, row.alert_id, self.trace)
        elif isinstance(row, DelegationRow):
            self.tui.open_delegation(self.trace_id, row.delegation_id, self.trace)
        elif isinstance(row, StepRow | SuspectRow) and row.span_id:
            self.tui.open_span(self.trace_id, row.span_id, start_ns)
        else:
            self.say("nothing to open here yet")

    def _open_group(self, agent: str) -> None:
        """Draws the lanes of an agent one by one."""
        self._opened.add(agent)
        self._regroup(next((lane.span_id for lane in self.view.lanes if lane.agent == agent), "") if self.view else "")

    def _regroup(self, key: str) -> None:
        """Draws the lanes anew, with the cursor on one of them."""
        self._drawn = None
        self.redraw()
        self.agents.want(key)
        self.plan()

    def action_unfold(self) -> None:
        row = self.row_of(self.agents)
        if self.pane is self.agents and isinstance(row, Lane) and row.label in self._groups.agents:
            self._open_group(self._groups.agents[row.label])
        else:
            self.say("l opens a lane that stands for many invocations: no such lane is under the cursor")

    def action_fold(self) -> None:
        """Draws the lanes of the agent under the cursor as one again."""
        row = self.row_of(self.agents)
        if self.pane is not self.agents or not isinstance(row, Lane) or row.agent not in self._opened:
            self.say("h closes lanes that were opened out of one: no such lane is under the cursor")
            return
        self._opened.discard(row.agent)
        self._regroup("")
        key = next((label for label, agent in self._groups.agents.items() if agent == row.agent), row.span_id)
        self.agents.want(key)

    def action_timeline(self) -> None:
        row = self.row_of(self.pane)
        self.tui.open_timeline(self.trace_id, str(getattr(row, "span_id", "")), self.trace)

    def action_replay(self) -> None:
        row = self.row_of(self.pane)
        moments = ("opened_ns", "at_ns", "sent_ns")  # of an alert, a step or a suspect, a delegation
        at_ns = next((at for name in moments if (at := getattr(row, name, 0))), 0)
        at_ns = at_ns or (self.view.health.now_ns if self.view and self.tui.is_paused else 0)
        told = row.path[0] if isinstance(row, AlertRow) and row.path else row
        label = next((text for name in ("label", "source", "agent") if (text := getattr(told, name, ""))), "")
        self.tui.open_replay(self.trace_id, at_ns, label, self.trace)

    def action_delegations(self) -> None:
        """Goes to who asked whom, onto the delegation of what is under the cursor; from there, to what crossed."""
        row = self.row_of(self.pane)
        if self.pane is self.delegations and isinstance(row, DelegationRow):
            self.action_open()
            return
        spans = [str(getattr(row, name, "")) for name in ("root_span_id", "span_id")]
        label = str(getattr(row, "label", ""))
        rows = self.view.delegations if self.view else []
        found = next((d for span_id in spans if (d := delegation_at(rows, span_id))), delegation_at(rows, "", label))
        self.focus_named("delegations")
        if found is not None:
            self.delegations.want(found.delegation_id)

    def action_alerts(self) -> None:
        self.focus_named("alerts")

    def action_suspects(self) -> None:
        self.focus_named("suspects")

    def action_follow(self) -> None:
        self.focus_named("tail")
        self.tail.follow()
        self.redraw()

    def alert_here(self) -> AlertRow | str:
        row = self.row_of(self.alerts)
        if not isinstance(row, AlertRow) or self.pane is not self.alerts:
            return "no alert is under the cursor: a goes to the alerts"
        self.alerts.is_touched = True
        return row
