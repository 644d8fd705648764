"""What a replay asks for and how it draws an instant: the bar, the agents' lanes, what one knew, who held what, steps, alerts.

Invariant: the panes show the last instant that came, and say which; on narrow screens one of them shares the screen with the
agents. `replay` moves through time and adds the keys.
"""

from textual.app import ComposeResult
from textual.containers import Container

from trajectory.view.query import parse
from trajectory.view.rows import StepRow, TraceRow
from trajectory.view.views import InstantQuery, InstantView, Query, View
from tui.drawing.instant import alert_at_line, doing_line, instant_summary, known_line
from tui.drawing.knowledge import matrix_head, matrix_lines, shown_items
from tui.drawing.lanes import LaneDrawing, draw_lanes, lanes_legend
from tui.drawing.line import Line
from tui.drawing.numbers import coarse, grouped, many, took
from tui.drawing.page import PageLine
from tui.drawing.scrubber import ScrubberDrawing, draw_scrubber
from tui.drawing.tail import step_line
from tui.playhead import Playhead
from tui.screens.base import DataScreen
from tui.widgets.page import PagePane
from tui.widgets.pane import Pane
from tui.widgets.scrubber import Scrubber

_TAIL = 200


class ReplayDrawing(DataScreen):
    """The replay of one run, from an instant on (0: its end); `lane` is the label or the span of the agent to look at."""

    name_here = "replay"
    shown_always = "agents"
    _below = "items"
    view: InstantView | None

    def __init__(self, trace_id: str, at_ns: int = 0, lane: str = "", trace: TraceRow | None = None) -> None:
        super().__init__()
        self.trace_id = trace_id
        self.head = Playhead(at_ns)
        self._wanted_lane = lane
        self._trace = trace
        self._wanted_ns: int | None = None  # a time since the start to go to
        self._read_ratio = 0.0
        self._needed_only = True
        self._steps: list[StepRow] = []
        self._drawn: tuple[InstantView | None, int, LaneDrawing | None] = (None, 0, None)
        self._bar: ScrubberDrawing | None = None

    def compose_body(self) -> ComposeResult:
        signs = self.tui.signs
        self.scrubber = Scrubber(self._scrubber_lines, id="scrubber")
        self.agents = Pane("agents", signs, title="Agents", number=1)
        self.known = Pane("known", signs, title="Knows", number=2)
        self.steps = Pane("steps", signs, title="Steps", number=3)
        self.alerts = Pane("found", signs, title="Alerts", number=4)
        self.items = PagePane("items", signs, "Knowledge", 5, self._item_lines, self.plan, self._item_head)
        self.agents.legend = lanes_legend(signs)
        for pane in (self.known, self.steps):
            pane.can_follow = pane.follows = True
        yield self.scrubber
        yield Container(self.agents, self.known, id="above", classes="columns")
        yield Container(self.items, id="between", classes="columns")
        yield Container(self.steps, self.alerts, id="middle", classes="columns")

    def panes(self) -> list[Pane]:
        return [self.agents, self.known, self.steps, self.alerts, self.items]

    def crumbs(self) -> list[str]:
        title = self._trace.title if self._trace else ""
        return ["runs", f"{self.trace_id[:4]} {title}".strip(), "replay"]

    def asks(self) -> InstantQuery:
        return InstantQuery(self.trace_id, self.head.at_ns, self.agents.selected, _TAIL)

    def is_for(self, query: Query) -> bool:
        return isinstance(query, InstantQuery) and query.trace_id == self.trace_id

    def takes(self, view: View) -> bool:
        return isinstance(view, InstantView) and view.whole.trace_id == self.trace_id

    def accept(self, view: View) -> None:
        """Takes an instant, also of a question that has been overtaken, and whether or not other screens are paused."""
        if not isinstance(view, InstantView) or not self.takes(view):
            super().accept(view)
            return
        self.missing, self._read_ratio = "", view.read_ratio
        if view.read_ratio >= 1:
            self.view = view
            self.head.at_ns = self.head.at_ns or view.at_ns
        self.redraw()
        self.update_bars()

    # Layout

    def lay_out(self, width: int, height: int) -> None:
        above, middle = self.query_one("#above"), self.query_one("#middle")
        between = self.query_one("#between")
        above.display = middle.display = between.display = True
        lanes = len(self.view.lanes) if self.view else 6
        self.scrubber.display = height >= 8
        height -= 2 * self.scrubber.display
        if width >= 100:
            above.styles.height = max(6, min(lanes + 5, height * 3 // 5))
            self.known.styles.width = self.alerts.styles.width = max(40, width * 38 // 100)
            middle.styles.height = "1fr"
            between.styles.height = max(3, min(len(self.items.lines) + 3, height // 4))
        elif width < 60 or height < 12:
            self._arrange_one()
        else:
            below = next(pane for pane in self.panes() if pane.id == self._below)
            for pane in self.panes()[1:]:
                pane.display = pane is below
            self._show_only(self.agents, below)
            above.styles.height = "1fr"
            above.styles.layout = "vertical"
            size = max(5, min(lanes + 4, height * 3 // 5))
            self.agents.styles.height = size
            if below is not self.known:
                above.styles.height = size
                middle.styles.height = between.styles.height = "1fr"

    def _arrange(self, width: int, height: int) -> None:
        self.query_one("#above").styles.layout = "horizontal"
        super()._arrange(width, height)

    def _show_only(self, *shown: Pane) -> None:
        for name, inside in self._rows_of_panes():
            self.query_one(name).display = any(pane in shown for pane in inside)

    def _arrange_one(self) -> None:
        for pane in self.panes():
            pane.display = pane is self.pane
        self._show_only(self.pane)
        for name, _ in self._rows_of_panes():
            self.query_one(name).styles.height = "1fr"

    def _rows_of_panes(self) -> tuple[tuple[str, tuple[Pane, ...]], ...]:
        """The containers, and what is in each."""
        return (
            ("#above", (self.agents, self.known)),
            ("#between", (self.items,)),
            ("#middle", (self.steps, self.alerts)),
        )

    # Drawing

    @property
    def end_ns(self) -> int:
        """The last instant that one can go to: now, where the run goes on."""
        if self.view is None:
            return self.head.at_ns
        return max(self.view.end_ns, self.tui.now_ns if self.goes_on else 0)

    @property
    def goes_on(self) -> bool:
        """Whether the run is not over."""
        return self.view is not None and self.view.whole.state == "live"

    def _when(self, at_ns: int) -> str:
        return self.when(at_ns, self.view.start_ns if self.view else 0)

    def summary(self, width: int) -> list[Line]:
        if self.view is None:
            done = f"  {round(100 * self._read_ratio)} %" if self._read_ratio else ""
            return [[(f" reading {self.trace_id[:4]} {self.signs.ellipsis}{done}", "dim")]]
        now = self._when(self.head.at_ns)
        return [
            instant_summary(
                self.view, self.head.at_ns, self.end_ns, self.head.speed, self.head.is_playing, now, width, self.signs
            )
        ]

    def _scrubber_lines(self, width: int) -> list[Line]:
        if self.view is None:
            return []
        self._bar = draw_scrubber(self.view.ticks, self.view.start_ns, self.end_ns, self.head.at_ns, width, self.signs)
        return self._bar.lines

    def draw_view(self, view: InstantView) -> None:
        is_first = self._trace is None or not self.agents.keys
        self._trace = view.whole
        if self._wanted_lane:
            self._look_at(view)
        self.agents.title = f"Agents at {self._when(view.at_ns)}"
        self.agents.show(
            [each.lane.span_id for each in view.lanes],
            lambda index, width: self._lane_line(view, index, width),
            lambda width: self._lanes(view, width).axis,
        )
        before = len(self.items.lines)
        self._draw_known(view)
        self._draw_items(view)
        self._draw_steps(view)
        self._draw_alerts(view)
        if is_first or before != len(self.items.lines):
            self.plan()

    def _look_at(self, view: InstantView) -> None:
        wanted, self._wanted_lane = self._wanted_lane, ""
        names = [(each.lane.label, each.lane.span_id, each.lane.agent) for each in view.lanes]
        found = next((span_id for label, span_id, agent in names if wanted in (label, span_id)), "")
        found = found or next((span_id for _, span_id, agent in names if wanted == agent), "")
        if found:
            self.agents.want(found)

    def _said_width(self, width: int) -> int:
        return max(10, min(30, width // 4)) if width >= 50 else 0

    def _lanes(self, view: InstantView, width: int) -> LaneDrawing:
        before, before_width, drawn = self._drawn
        if drawn is None or before is not view or before_width != width:
            drawn = draw_lanes(
                [each.lane for each in view.lanes],
                view.delegations,
                width - self._said_width(width) - 1,
                self.signs,
                start_ns=view.start_ns,
                now_ns=view.at_ns,
                end_ns=view.end_ns,
                axis_lines=2 if self.app.size.width >= 100 else 1,
                end_label="end",
            )
            self._drawn = (view, width, drawn)
        return drawn

    def _lane_line(self, view: InstantView, index: int, width: int) -> Line:
        said = doing_line(view.lanes[index], view.at_ns, self._said_width(width), self.signs)
        return [*self._lanes(view, width).lines[index], (" ", ""), *said]

    def _draw_known(self, view: InstantView) -> None:
        rows = view.known
        self.known.title = f"{view.known_of or 'Nobody'} knows"
        tokens = f"{coarse(view.known_tokens)} tok {self.signs.dot} " if view.known_tokens else ""
        self.known.status = f"{tokens}{many(view.known_count, 'item')}"
        self.known.banner = [] if rows else [[("nothing was recorded of what it knew by then", "dim")]]
        self.known.show(
            [f"{number} {row.what} {row.span_id}" for number, row in enumerate(rows)],
            lambda index, width: known_line(rows[index], width, self.signs),
        )

    def _draw_items(self, view: InstantView) -> None:
        shown = shown_items(view.held, needed_only=self._needed_only)
        self.items.title = f"Knowledge at {self._when(view.at_ns)}"
        mode = "needed items only" if self._needed_only else "all items"
        self.items.status = f"{grouped(len(shown))} of {grouped(view.held_total)}  K {mode}"
        self.items.fill()

    def _item_head(self, width: int) -> list[Line]:
        view = self.view
        shown = shown_items(view.held, needed_only=self._needed_only) if view else []
        return matrix_head(shown, [each.lane.label for each in view.lanes], width) if view else []

    def _item_lines(self, width: int) -> list[PageLine]:
        view = self.view
        if view is None:
            return []
        shown = shown_items(view.held, needed_only=self._needed_only)
        lines = matrix_lines(shown, [each.lane.label for each in view.lanes], width, self.signs)
        none = view.held_why_not or ("nothing needed was handed over by then" if view.held else "nothing was by then")
        return [*lines, *([PageLine("none", [(none, "dim")])] if view.held_why_not or not lines else [])]

    def _draw_steps(self, view: InstantView) -> None:
        keep = parse(self.filter_text, start_ns=view.start_ns)
        steps = self._steps = [row for row in view.tail if keep(row, view.at_ns)]
        self.steps.title = f"Steps up to {self._when(view.at_ns)}"
        self.steps.status = f"{grouped(view.open_count)} open"
        self.steps.show(
            [f"{row.step_id}" for row in steps],
            lambda index, width: step_line(steps[index], self._when(steps[index].at_ns), width, self.signs),
        )

    def _draw_alerts(self, view: InstantView) -> None:
        rows, at_ns = view.alerts, view.at_ns
        later = sum(row.known_ns > at_ns for row in rows)
        self.alerts.title = "Alerts by then"
        self.alerts.status = f"{len(rows)}, {later} known later" if later else f"{len(rows)}"
        self.alerts.banner = [] if rows else [[(f"{self.signs.ok} of what had happened, nothing is known", "dim")]]
        self.alerts.show(
            [row.key for row in rows],
            lambda index, width: alert_at_line(
                rows[index], at_ns, self._when(rows[index].opened_ns), width, self.signs
            ),
        )

    def moved(self, pane: Pane) -> None:
        if pane is self.agents:
            self.tui.ask_now()

    def banner(self) -> list[Line]:
        if self.view is None and self._read_ratio and not self.missing:
            return [[(f"Reading the run {self.signs.ellipsis} {round(100 * self._read_ratio)} %", "strong")]]
        return super().banner()

    def counted(self) -> str:
        return f"{len(self._steps)} of {len(self.view.tail)} steps shown" if self.view else ""

    def apply_filter(self, text: str) -> None:
        super().apply_filter(text)
        self.redraw()

    def rest_hint(self, width: int) -> list[Line]:
        view = self.view
        if view is None:
            return [[]]
        coming = view.after[0] - view.at_ns if view.after else 0
        said = f" next in {took(coming, True)}" if coming else " nothing comes after this"
        return [[(said, "dim"), ("   / filters the steps; a click on the bar goes there", "dim")]]
