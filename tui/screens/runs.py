"""The door: all runs, live ones first, with a look into the one under the cursor and what changed since it was opened.

Invariant: the selection sticks to a run's id; sorting is applied once a second at most; while the cursor is down in the list,
runs that begin wait above it, counted. Asks for the list and the preview.
"""

from collections.abc import Callable
from typing import ClassVar

import msgspec
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container

from trajectory.view.rows import AlertRow, TraceRow
from trajectory.view.views import RunsQuery, RunsView, View
from tui.drawing.alerts import preview_line
from tui.drawing.grouping import by_agent
from tui.drawing.lanes import draw_lanes
from tui.drawing.line import Line, spread
from tui.drawing.page import message_lines
from tui.drawing.runs import changes, id_width, run_line, runs_header, runs_summary
from tui.drawing.states import empty_lines
from tui.keys import bindings_on
from tui.screens.base import DataScreen
from tui.settings import SORTS
from tui.widgets.pane import Pane

# Orders that `s` steps through; the first is the feed's own: live first, then newest.
_ORDERS: tuple[tuple[str, Callable[[TraceRow], tuple[float, ...]] | None], ...] = (
    ("newest", None),
    ("alerts", lambda row: (-row.critical, -row.warnings, -row.infos, -row.started_ns)),
    ("errors", lambda row: (-row.errors, -row.started_ns)),
    ("tokens", lambda row: (-(row.input_tokens + row.output_tokens), -row.started_ns)),
    ("elapsed", lambda row: (row.started_ns - row.ended_ns, -row.started_ns)),
)

_COLUMN_ORDERS = {  # by the title of the column
    "STATE": "newest",
    "ST": "newest",
    "ERR": "errors",
    "ALERTS": "alerts",
    "TOKENS": "tokens",
    "ELAPSED": "elapsed",
}


class RunsScreen(DataScreen):
    """The list of runs."""

    name_here = "runs"
    BINDINGS: ClassVar[list[Binding]] = bindings_on("runs")  # type: ignore[assignment]
    view: RunsView | None

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[TraceRow] = []
        self.order = 0
        self.follows_newest = False
        self.new_count = 0  # runs that wait above the list
        self._rows_of = ""  # the filter that the rows came by
        self._sorted_at_s = -1.0
        self._ids = 4
        self._shown_alerts: dict[str, AlertRow] = {}  # by the key of their line in the preview

    def compose_body(self) -> ComposeResult:
        signs = self.tui.signs
        self.order = SORTS.index(self.tui.settings.text("sort") or SORTS[0])
        self.list = Pane("runs", signs, title="Runs", wide_cursor=True)
        self.preview = Pane("preview", signs)
        self.changes = Pane("changes", signs, title="What changed")
        self.preview.has_cursor = self.changes.has_cursor = self.changes.can_focus = False
        yield self.list
        yield Container(self.preview, self.changes, id="below", classes="columns")

    def panes(self) -> list[Pane]:
        return [self.list, self.preview, self.changes]

    def crumbs(self) -> list[str]:
        return ["runs"]

    def asks(self) -> RunsQuery:
        return RunsQuery(filter=self.filter_text, preview=self.list.selected)

    def takes(self, view: View) -> bool:
        return isinstance(view, RunsView)

    def lay_out(self, width: int, height: int) -> None:
        below = self.query_one("#below")
        self.changes.display = width >= 100
        self.changes.styles.width = 36
        size = self._below_size(height)
        below.display = size >= 4 and self.app.size.height >= 20 and bool(self.rows)
        below.styles.height = size

    def _below_size(self, height: int) -> int:
        """Lines below the list: on a high screen all that the list leaves over, up to three fifths."""
        if self.app.size.width < 100:
            return min(6, height - 8)
        spare = min(height - len(self.rows) - 4, height * 3 // 5) if self.app.size.height >= 40 else 0
        return min(max(13, spare), height - 8)

    @property
    def ticks(self) -> bool:
        return any(row.state == "live" for row in self.rows)

    def summary_height(self, width: int) -> int:
        return 1 if width >= 100 else 0

    def summary(self, width: int) -> list[Line]:
        if self.view is None:
            return [[]]
        right: Line = [("sort ", "dim"), (_ORDERS[self.order][0], "strong"), (f" {self.signs.unfolded}", "dim")]
        right += [
            ("   filter ", "dim"),
            (self.filter_text or "none", "strong" if self.filter_text else "dim"),
            (" ", ""),
        ]
        return [spread([(f" {runs_summary(self.rows, self.view.total, self.signs)}", "")], right, width)]

    def rest_hint(self, width: int) -> list[Line]:
        if width < 100:
            return [[(" / filters, : goes to anything by its name", "dim")]]
        return [[(" / filter: state:live  agent:research  alerts>0  err>0  tokens>100k  title~memo  last:1h", "dim")]]

    def counted(self) -> str:
        return f"{len(self.rows)} of {self.view.total} runs" if self.view else ""

    # Drawing

    def draw_view(self, view: RunsView) -> None:
        before = len(self.rows)
        self.rows = self._in_order(self._in_place(view.rows))
        self._ids = id_width(self.rows)
        keys = [row.trace_id for row in self.rows]
        if self.follows_newest:
            self.list.want(next((row.trace_id for row in self.rows if row.state == "live"), ""))
        self.list.banner = [*self.banner(), *([] if self.rows else self._nothing())]
        head = (lambda width: [runs_header(width, self._ids)]) if keys else (lambda width: [])
        self.list.show(keys, self._line, head)
        self._title()
        self._draw_preview()
        if before != len(self.rows) and (not before or not self.rows or self.app.size.height >= 40):
            self.plan()

    def draw_paused(self, view: RunsView) -> None:
        """Of a list that is paused only the look into another run is new."""
        held, new = self.view.preview if self.view else None, view.preview
        if self.view and new and (held is None or held.trace.trace_id != new.trace.trace_id):
            self.view = msgspec.structs.replace(self.view, preview=new)
            self._draw_preview()

    def _line(self, index: int, width: int) -> Line:
        return run_line(self.rows[index], width, self._ids, self.signs, self.tui.now_ns, stale=self.contact.is_stale)

    def _title(self) -> None:
        at = f"{self.list.cursor + 1} of {len(self.rows)}" if self.rows else ""
        if self.follows_newest:
            at = f"{self.signs.running} following newest {self.signs.dot} {at}"
        elif self.new_count:
            at = f"{self.new_count} new {self.signs.dot} g {self.signs.dot} {at}"
        if self.order and not self.summary_height(self.app.size.width):  # else the line above the list says it
            at = f"by {_ORDERS[self.order][0]} {self.signs.dot} {at}"
        self.list.status = at

    def _in_place(self, rows: list[TraceRow]) -> list[TraceRow]:
        """The rows where the operator has them: who looks at one further down is not moved by those that begin, nor by a full
        list that drops its oldest."""
        self.new_count = 0
        is_held = self.list.is_touched and self.list.cursor > 0 and not self.follows_newest and not self.order
        if not is_held or self._rows_of != self.filter_text:
            self._rows_of = self.filter_text
            return rows
        fresh = {row.trace_id: row for row in rows}
        is_full = len(rows) >= self.asks().limit
        kept = [fresh.pop(row.trace_id, row) for row in self.rows if is_full or row.trace_id in fresh]
        self.new_count = len(fresh)
        return kept

    def _in_order(self, rows: list[TraceRow]) -> list[TraceRow]:
        """The rows sorted; within a second of the last sort, known rows keep their places and new ones come first."""
        name_key = _ORDERS[self.order][1]
        now_s = self.tui.clock()
        if self._sorted_at_s >= 0 and now_s - self._sorted_at_s < 1.0 and name_key:
            fresh = {row.trace_id: row for row in rows}
            kept = [fresh.pop(row.trace_id) for row in self.rows if row.trace_id in fresh]
            return [*fresh.values(), *kept]
        self._sorted_at_s = now_s
        return sorted(rows, key=name_key) if name_key else list(rows)

    def _nothing(self) -> list[Line]:
        if self.view and self.view.total:
            return [[], [(f"No run matches. {self.view.total} are hidden by the filter; esc clears it.", "")]]
        where = self.health_now.endpoint or self.tui.feed.endpoint
        return empty_lines(where, self.health_now.state == "recorded")

    @property
    def row(self) -> TraceRow | None:
        """The run under the cursor."""
        at = self.list.cursor
        return self.rows[at] if 0 <= at < len(self.rows) else None

    def _draw_preview(self) -> None:
        row = self.row
        self.preview.title = f"{row.trace_id[: self._ids]}  {row.title}" if row else ""
        self.preview.status = "preview" if row and self.app.size.width >= 100 else ""
        lines, alerts = self._preview_lines(row) if row else ([], [])
        self._shown_alerts = {f"alert {alert.key}": alert for alert in alerts}
        keys = [str(index) for index in range(len(lines))]
        width, room = self.preview.inner_width, self.preview.size.height - 2 - len(lines) - len(alerts)
        for key, alert in self._shown_alerts.items():
            said = message_lines(alert, width - 5, 2) if room >= 2 * len(alerts) else []
            keys += [key, *(f"{key} {number}" for number in range(len(said)))]
            lines += [preview_line(alert, width, self.signs), *([("     ", ""), *line] for line in said)]
        self.preview.show(keys, lambda index, _width: lines[index])
        twin = self._twin(row) if row else None
        news = changes(row, self.tui.seen.get(row.trace_id), twin, self.signs) if row else []
        self.changes.show([str(index) for index in range(len(news))], lambda index, _width: news[index])

    def _preview_lines(self, row: TraceRow) -> tuple[list[Line], list[AlertRow]]:
        """What is known of a run without opening it, and its first open alerts."""
        width, room = self.preview.inner_width, self.preview.size.height - 2
        lines: list[Line] = [[("Goal ", "dim"), (row.goal, "")]] if row.goal else []
        held = self.view.preview if self.view else None
        if held is None or held.trace.trace_id != row.trace_id:
            return lines, []
        most = max(3, room - len(lines) - len(held.lanes) - 4)
        alerts = [alert for alert in held.alerts if alert.state == "open"][:most]
        space = room - len(lines) - len(alerts)
        if space >= 3 and held.lanes:
            gap: list[Line] = [[]] if space >= len(held.lanes) + 2 else []
            now_ns = self.tui.now_ns if row.state == "live" else row.ended_ns
            shown = by_agent(held.lanes, held.delegations, self.signs)
            drawn = draw_lanes(
                shown.lanes, shown.delegations, width, self.signs, start_ns=row.started_ns, now_ns=now_ns, axis_lines=1
            )
            axis = drawn.axis if space > len(drawn.lines) + len(gap) else []
            lines += [*gap, *axis, *drawn.lines[: space - len(axis)], *gap]
        return lines, alerts

    def _twin(self, row: TraceRow) -> TraceRow | None:
        """The newest older run of the same title."""
        same = [each for each in self.rows if each.title == row.title and each.started_ns < row.started_ns]
        return max(same, key=lambda each: each.started_ns, default=None)

    def moved(self, pane: Pane) -> None:
        if pane is self.list:
            self._title()
            self._draw_preview()

    # Keys

    def row_of(self, pane: Pane) -> object | None:
        return self._alert_here or self.row

    @property
    def _alert_here(self) -> AlertRow | None:
        """The alert under the cursor of the preview, while that has the focus."""
        return self._shown_alerts.get(self.preview.selected) if self.pane is self.preview else None

    def on_descendant_focus(self) -> None:
        super().on_descendant_focus()
        self.preview.has_cursor = self.preview.has_focus
        if self.preview.has_focus and self._shown_alerts and not self._alert_here:
            self.preview.want(next(iter(self._shown_alerts)))

    def value_of(self, pane: Pane) -> str:
        alert = self._alert_here
        return alert.message if alert else self.list.selected

    def is_error(self, pane: Pane, index: int) -> bool:
        if pane is self.preview:
            return pane.keys[index] in self._shown_alerts
        return self.rows[index].errors > 0 or self.rows[index].state == "failed"

    def action_open(self) -> None:
        alert = self._alert_here
        if alert is not None:
            self.tui.open_alert(alert.trace_id, alert.key, alert.alert_id, self.row)
        else:
            self._enter("")

    def action_alerts(self) -> None:
        self._enter("alerts")

    def action_delegations(self) -> None:
        self._enter("delegations")

    def _enter(self, pane: str) -> None:
        if self.row:
            self.tui.open_run(self.row, pane)
        else:
            self.say("no run to open yet")

    def action_timeline(self) -> None:
        if self.row:
            self.tui.open_timeline(self.row.trace_id, "", self.row)
        else:
            self.say("no run to open yet")

    def action_signals(self) -> None:
        self.tui.open_signals()

    def action_signals_of_all(self) -> None:
        self.tui.open_signals_of_service(self.row)

    def action_follow(self) -> None:
        self.follows_newest = not self.follows_newest
        self.redraw()
        self.say("the newest live run stays selected" if self.follows_newest else "the selection stays where it is")

    def action_line(self, delta: int) -> None:
        self.follows_newest = False
        super().action_line(delta)

    def action_first(self) -> None:
        self.list.go(0)
        self.redraw()
        super().action_first()

    def on_pane_titled(self, event: Pane.Titled) -> None:
        event.stop()
        if event.word in _COLUMN_ORDERS:
            self.order = SORTS.index(_COLUMN_ORDERS[event.word]) - 1
            self.action_sort()

    def chipped(self, pane: Pane, text: str) -> None:
        if pane is self.list and self.follows_newest:
            self.action_follow()
        elif pane is self.list and self.new_count:
            self.action_first()

    def action_sort(self) -> None:
        self.order = (self.order + 1) % len(_ORDERS)
        self._sorted_at_s = -1.0
        self.tui.keep("sort", _ORDERS[self.order][0])
        self.redraw()
        self.say(f"sorted by {_ORDERS[self.order][0]}")
