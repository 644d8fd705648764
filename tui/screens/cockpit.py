"""One run: who is working, who asked whom, what is wrong, what just happened, and which steps are suspected.

Invariant: the tail never moves while it is scrolled up; alerts go on while the view is paused; the path of the alert under the
cursor is drawn over lanes and delegations, and no other. Asks for lanes, delegations, alerts, newest steps and suspects.
"""

from typing import ClassVar

from textual.binding import Binding

from trajectory.view.rows import AlertRow, DelegationRow, Lane, SpanRow, StepRow, SuspectRow, TraceRow
from trajectory.view.text import wrapped
from trajectory.view.undelegated import undelegated
from trajectory.view.views import SpanView, TraceQuery, TraceView, View
from tui.drawing.alerts import alert_line, alerts_title, kind_width
from tui.drawing.bars import run_summary
from tui.drawing.delegation import delegation_at
from tui.drawing.graph import GraphDrawing, draw_graph
from tui.drawing.line import Line
from tui.drawing.numbers import grouped, took
from tui.drawing.page import PageLine
from tui.drawing.path import Way
from tui.drawing.suspects import suspect_lines
from tui.drawing.tree import Branch, branch_line, branches
from tui.drawing.window import Window
from tui.keys import bindings_on
from tui.screens.alert import SUSPECTS_SHOWN
from tui.screens.cockpit_layout import CockpitLayout
from tui.widgets.lanes import caption
from tui.widgets.pane import Pane
from tui.widgets.spans import HELD
from tui.widgets.tail import PULLED


class CockpitScreen(CockpitLayout):
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
        self._branches: list[Branch] = []
        self._drawing: GraphDrawing | None = None
        self._drawing_for: tuple[object, ...] = ()
        self._alert_rows: list[AlertRow] = []
        self._way: Way | None = None

    def begin(self) -> None:
        self.tree_pane.refit = self.graph.refit = self._say_undelegated
        self.focus_named(self._first_pane or "agents")

    def focus_named(self, name: str) -> None:
        """Gives the pane of this name the focus."""
        named = [pane.id for pane in self.panes()]
        self.focus_pane(
            named.index(name) if name in named else 1
        )  # of the two that draw delegations, the one that is shown

    def crumbs(self) -> list[str]:
        return ["runs", f"{self.trace_id[:4]} {self.run_title}"]

    def asks_rows(self) -> TraceQuery:
        spans = HELD if self.is_ultra else 0
        return TraceQuery(
            self.trace_id,
            filter=self.filter_text,
            tail=PULLED,
            spans=spans,
            suspects=SUSPECTS_SHOWN,
            critical=self.tui.shows_critical,
        )

    def takes(self, view: View) -> bool:
        return isinstance(view, TraceView) and view.trace.trace_id == self.trace_id

    @property
    def has_way(self) -> bool:
        return self._way is not None or self.tui.shows_critical

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
        before = self._counts
        self._draw_alerts(view)
        self._draw_way(view)
        self.tail.take(view.tail, self.filter_text, self._when)
        self.tail.retitle(is_paused=self.tui.is_paused)
        if self.is_ultra:
            self.spans.take(view, self._end_ns(view))
        if before != self._counts or len(self.agents.keys) + 4 != self.agents.size.height:
            self.plan()
        self.inspect()

    @property
    def _counts(self) -> tuple[int, ...]:
        """What the sizes of panes depend on."""
        return len(self._alert_rows), len(self.suspects.lines), len(self.agents.keys), len(self._branches)

    def draw_paused(self, view: View) -> None:
        if isinstance(view, TraceView):
            before = len(self._alert_rows)
            self._draw_alerts(view)
            if before != len(self._alert_rows):
                self.plan()

    def _when(self, at_ns: int) -> str:
        return self.when(at_ns, self.start_ns)

    def _end_ns(self, view: TraceView) -> int:
        return max(self.tui.now_ns, view.trace.ended_ns) if view.trace.state == "live" else view.trace.ended_ns

    def _draw_agents(self, view: TraceView) -> None:
        end_ns = self._end_ns(view)
        self.agents.take(view, self._way, end_ns, self.window, shows_critical=self.tui.shows_critical)
        others = "  ".join(f"{number} {name}" for number, (_, name) in enumerate(self.tabs(), 1) if number > 1)
        span = f"0{self.signs.dash}{took(end_ns - self.start_ns, view.trace.state != 'live')}"
        self.agents.status = self.in_time() or (others if self.app.size.width < 100 else span)

    def whole(self) -> Window | None:
        view = self.view
        return Window(view.trace.started_ns, max(self._end_ns(view), view.trace.started_ns + 1)) if view else None

    def stretch_here(self) -> tuple[int, int]:
        row, whole = self.row_of(self.pane), self.whole() or Window(0, 1)
        row = row.row if isinstance(row, SpanView) else row
        begins = [at for name in ("start_ns", "at_ns", "sent_ns", "opened_ns") if (at := getattr(row, name, 0))]
        ends = [at for name in ("end_ns", "returned_ns") if (at := getattr(row, name, 0))]
        if not begins:
            return whole
        is_instant = isinstance(row, AlertRow | StepRow | SuspectRow)
        return begins[0], begins[0] if is_instant else ends[0] if ends else whole.end_ns

    def _draw_delegations(self, view: TraceView) -> None:
        self._branches = branches(view.delegations)
        self._say_undelegated()
        if self.draws_graph:
            self._draw_graph(view)
            return
        lanes = {lane.label: lane for lane in view.lanes}
        run_ns = self._end_ns(view) - self.start_ns
        self.tree_pane.status = grouped(len(view.delegations))
        self.tree_pane.show(
            [branch.key for branch in self._branches],
            lambda index, width: branch_line(
                self._branches[index], lanes, width, self.signs, self.start_ns, self._way, run_ns
            ),
            lambda width: [] if self.agents.display else caption(self._way, width, self.signs),
        )

    def _say_undelegated(self) -> None:
        """Why there is none, over as many lines as it takes at this width."""
        pane, view = self.delegations, self.view
        said = undelegated(view.trace.agents) if view and not view.delegations else ""
        pieces = wrapped(said, pane.inner_width, least=1 / 3) if said else []
        pane.banner = [[(piece.strip(), "dim")] for piece in pieces]

    def _draw_graph(self, view: TraceView) -> None:
        groups = self.agents.groups
        drawn_for = (id(view), id(self._way), len(groups.lanes))
        if self._drawing is None or drawn_for != self._drawing_for:
            self._drawing_for = drawn_for
            self._drawing = draw_graph(groups.lanes, groups.delegations, self.signs, groups.way)
        self.graph.draw(self._drawing)
        self.graph.status = grouped(len(view.delegations))

    def _draw_alerts(self, view: TraceView) -> None:
        rows = self._alert_rows = view.alerts
        run_ns = self._end_ns(view) - self.start_ns
        self.alerts.status = alerts_title(rows, self.signs)
        self.alerts.banner = [] if rows else [[(f"{self.signs.ok} nothing found so far", "ok")]]
        self.alerts.show(
            [row.key for row in rows],
            lambda index, width: alert_line(
                rows[index], width, self.signs, self.start_ns, run_ns=run_ns, kinds=kind_width(rows, width)
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

    def suspect_lines(self, width: int) -> list[PageLine]:
        view = self.view
        return suspect_lines(view.suspects, view.limits, self._way, width, self.signs, self._when) if view else []

    def _suspect(self) -> SuspectRow | None:
        """The suspect under the cursor."""
        line, rows = self.suspects.line, self.view.suspects if self.view else []
        return next((row for row in rows if line and row.span_id == line.span_id), None)

    def moved(self, pane: Pane) -> None:
        if pane is self.tail:
            self.tail.retitle(is_paused=self.tui.is_paused)
        elif pane is self.alerts and self.view is not None:
            before = self._way is None
            self._draw_way(self.view)
            if before != (self._way is None):
                self.plan()
        super().moved(pane)

    def chipped(self, pane: Pane, text: str) -> None:
        if pane is self.tail and self.tui.is_paused:
            self.tui.pause()
        elif pane is self.tail and not pane.follows:
            self.action_follow()
        elif pane is self.tail:
            pane.follows = False
            self.moved(pane)

    def counted(self) -> str:
        return f"{len(self.tail.steps)} of {self.view.tail_total} steps" if self.view else ""

    # Keys

    def row_of(self, pane: Pane) -> object | None:
        if self.view is None or not pane.selected:
            return None
        if pane is self.graph:
            return self._in_graph(pane.selected)
        at = pane.cursor
        rows: dict[Pane, object | None] = {
            self.agents: self.agents.lane,
            self.alerts: self._alert_rows[at] if pane is self.alerts and at < len(self._alert_rows) else None,
            self.tail: self.tail.step,
            self.suspects: self._suspect(),
            self.spans: self.spans.row,
            self.inspector: self.inspector.held,
        }
        if pane is self.tree_pane and at < len(self._branches):
            return self._branches[at].row or self._lane(self._branches[at].label)
        return rows.get(pane)

    def _lane(self, label: str) -> Lane | None:
        return next((lane for lane in (self.view.lanes if self.view else []) if lane.label == label), None)

    def _in_graph(self, label: str) -> object | None:
        """What a box stands for: a lane, a group of them, else a delegation that never began."""
        lane = next((each for each in self.agents.groups.lanes if each.label == label), None)
        return lane or (self._drawing.given.get(label) if self._drawing else None)

    @property
    def link_view(self) -> str:
        return {self.agents: "agents", self.tree_pane: "delegations", self.graph: "delegations"}.get(self.pane, "")

    def key_of_span(self, pane: Pane, span_id: str) -> str:
        if pane is self.tree_pane:
            return next((b.key for b in self._branches if b.row and b.row.span_id == span_id), "")
        return span_id

    def is_error(self, pane: Pane, index: int) -> bool:
        if pane is self.agents and self.view:
            lane = self.agents.groups.lanes[index]
            return lane.errors > 0 or lane.state == "error"
        if pane is self.tail:
            return self.tail.steps[index].status == "error" or self.tail.steps[index].what == "error"
        if pane is self.spans:
            return self.spans.is_error(index)
        if pane is self.graph:
            found = self._in_graph(pane.keys[index])
            return isinstance(found, DelegationRow) or (isinstance(found, Lane) and found.errors > 0)
        if pane is self.tree_pane:
            row = self._branches[index].row
            return row is not None and (row.state in ("failed", "lost") or bool(row.lost) or row.on_error_path)
        return pane is self.alerts

    def value_of(self, pane: Pane) -> str:
        row = self.row_of(pane)
        if isinstance(row, AlertRow):
            return row.message
        if pane is self.suspects or pane is self.inspector:
            return self.suspects.value if pane is self.suspects else self.inspector.value
        return row.text if isinstance(row, StepRow) else pane.selected

    @property
    def trace(self) -> TraceRow | None:
        """The run, as far as it is known."""
        return self.view.trace if self.view else None

    def action_open(self) -> None:
        row = self.row_of(self.pane)
        if self.pane is self.inspector:
            self.open_inspected()
        elif isinstance(row, Lane) and row.label in self.agents.groups.agents:
            self._open_group(self.agents.groups.agents[row.label])
        elif isinstance(row, Lane):
            self.tui.open_agent(self.trace_id, row.span_id, self.trace)
        elif isinstance(row, AlertRow):
            self.alerts.is_touched = True
            self.tui.open_alert(self.trace_id, row.key, row.alert_id, self.trace)
        elif isinstance(row, DelegationRow):
            self.tui.open_delegation(self.trace_id, row.delegation_id, self.trace)
        elif isinstance(row, StepRow | SuspectRow | SpanRow) and row.span_id:
            self.tui.open_span(self.trace_id, row.span_id, self.start_ns)
        else:
            self.say("nothing to open here yet")

    def _open_group(self, agent: str) -> None:
        """Draws the lanes of an agent one by one, and its boxes."""
        self.agents.open_group(agent)
        self._regroup(next((lane.span_id for lane in self.view.lanes if lane.agent == agent), "") if self.view else "")

    def _regroup(self, key: str) -> None:
        """Draws the lanes anew, with the cursor on one of them."""
        self.redraw()
        self.agents.want(key)
        self.plan()

    def action_unfold(self) -> None:
        row = self.row_of(self.agents)
        if self.pane is self.graph:
            self._go_aside(1)
        elif self.pane is self.agents and isinstance(row, Lane) and row.label in self.agents.groups.agents:
            self._open_group(self.agents.groups.agents[row.label])
        else:
            self.say("l opens a lane that stands for many invocations: no such lane is under the cursor")

    def action_fold(self) -> None:
        """Draws the lanes of the agent under the cursor as one again."""
        row = self.row_of(self.agents)
        if self.pane is self.graph:
            self._go_aside(-1)
            return
        if self.pane is not self.agents or not isinstance(row, Lane) or not self.agents.close_group(row.agent):
            self.say("h closes lanes that were opened out of one: no such lane is under the cursor")
            return
        self._regroup("")
        key = next((label for label, agent in self.agents.groups.agents.items() if agent == row.agent), row.span_id)
        self.agents.want(key)

    def action_mode(self) -> None:
        """Of delegations the next drawing, elsewhere the other way to write times."""
        if self.pane is not self.delegations:
            self.action_times()
        elif self.tui.is_plain:
            self.say("the plain layout reads delegations out as a tree")
        else:
            label = self._label_here()
            self.draws_graph = not self.draws_graph
            self.focus_named("graph" if self.draws_graph else "delegations")
            self.plan()
            self.redraw()
            key = label if self.draws_graph else next((b.key for b in self._branches if b.label == label), "")
            self.delegations.want(key)
            self.say(
                "delegations as a graph: h and l go to the next column" if self.draws_graph else "delegations as a tree"
            )

    def _label_here(self) -> str:
        """The agent under the cursor of the delegations."""
        if self.draws_graph:
            return self.graph.selected
        return self._branches[self.tree_pane.cursor].label if self.tree_pane.cursor < len(self._branches) else ""

    def _go_aside(self, direction: int) -> None:
        """Goes to the next column of the graph."""
        if not self.graph.aside(direction):
            self.say("no further column that way")

    def action_timeline(self) -> None:
        row = self.row_of(self.pane)
        self.tui.open_timeline(self.trace_id, str(getattr(row, "span_id", "")), self.trace)

    def action_signals(self) -> None:
        self.tui.open_signals(self.trace_id, "", self.trace)

    def action_signals_of_all(self) -> None:
        self.tui.open_signals_of_service(self.trace)

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
        if self.pane is self.graph and self._drawing is not None:
            row = self._drawing.given.get(self.graph.selected)
        if self.pane is self.delegations and isinstance(row, DelegationRow):
            self.tui.open_delegation(self.trace_id, row.delegation_id, self.trace)
            return
        spans = [str(getattr(row, name, "")) for name in ("root_span_id", "span_id")]
        label = str(getattr(row, "label", ""))
        rows = self.view.delegations if self.view else []
        found = next((d for span_id in spans if (d := delegation_at(rows, span_id))), delegation_at(rows, "", label))
        self.focus_named("delegations")
        if found is not None:
            self.delegations.want(found.target if self.draws_graph else found.delegation_id)

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
