"""What the cockpit of a run asks for and how it draws what comes: lanes, delegations, alerts, newest steps and suspects.

Invariant: the tail never moves while it is scrolled up; alerts go on while the view is paused; the path of the alert under the
cursor is drawn over lanes and delegations, and no other. `cockpit` adds the keys.
"""

from trajectory.view.rows import AlertRow, StepRow, SuspectRow
from trajectory.view.text import wrapped
from trajectory.view.undelegated import undelegated
from trajectory.view.views import SpanView, TraceQuery, TraceView, View
from tui.drawing.alerts import alert_line, alerts_title, kind_width
from tui.drawing.bars import run_summary
from tui.drawing.graph import GraphDrawing, draw_graph
from tui.drawing.line import Line
from tui.drawing.numbers import grouped, took
from tui.drawing.page import PageLine
from tui.drawing.path import Way
from tui.drawing.suspects import suspect_lines
from tui.drawing.tree import Branch, branch_line, branches
from tui.drawing.window import Window
from tui.screens.alert import SUSPECTS_SHOWN
from tui.screens.cockpit_layout import CockpitLayout
from tui.widgets.lanes import caption
from tui.widgets.pane import Pane
from tui.widgets.spans import HELD
from tui.widgets.tail import PULLED


class CockpitDrawing(CockpitLayout):
    """The cockpit of one run, without its keys."""

    name_here = "cockpit"
    view: TraceView | None

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

    def draw_view(self, view: TraceView) -> None:
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

    def draw_paused(self, view: TraceView) -> None:
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

    def moved(self, pane: Pane) -> None:
        if pane is self.tail:
            self.tail.retitle(is_paused=self.tui.is_paused)
        elif pane is self.alerts and self.view is not None:
            before = self._way is None
            self._draw_way(self.view)
            if before != (self._way is None):
                self.plan()
        super().moved(pane)

    def counted(self) -> str:
        return f"{len(self.tail.steps)} of {self.view.tail_total} steps" if self.view else ""
