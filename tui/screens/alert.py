"""One alert, whole: its path hop by hop, how far it came and what to do, the moment of each hop, and the suspects of the run.

Invariant: every line that tells of a span opens it; an alert that is no longer found stays as it was last known, and that is
said. `[` and `]` go to the run's other alerts without leaving. Asks for the run with its alerts and suspects.
"""

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container

from trajectory.view.plotted import plotted_of_anomaly
from trajectory.view.rows import AlertRow, TraceRow
from trajectory.view.text import wrapped
from trajectory.view.views import TraceQuery, TraceView, View
from tui.drawing.delegation import delegation_at
from tui.drawing.line import Line
from tui.drawing.moment import moment_lines
from tui.drawing.numbers import grouped, many
from tui.drawing.page import PageLine, about_lines, headline, message_lines, path_lines
from tui.drawing.path import Way
from tui.drawing.suspects import NOT_A_VERDICT, suspect_lines
from tui.keys import bindings_on
from tui.links import is_alert
from tui.screens.paged import PagedScreen
from tui.signs import severity_sign
from tui.widgets.page import PagePane
from tui.widgets.pane import Pane

SUSPECTS_SHOWN = 10


class AlertScreen(PagedScreen):
    """The page of one alert."""

    name_here = "alert"
    shown_always = "path"
    _below = "about"
    BINDINGS: ClassVar[list[Binding]] = bindings_on("alert")  # type: ignore[assignment]
    view: TraceView | None

    def __init__(self, trace_id: str, alert_key: str, alert_id: str = "", trace: TraceRow | None = None) -> None:
        super().__init__()
        self.trace_id = trace_id
        self.alert_key = alert_key
        self._alert_id = alert_id  # or, where no key is given, what a link calls it
        self._trace = trace
        self.alert: AlertRow | None = None
        self._is_gone = False

    def compose_body(self) -> ComposeResult:
        signs = self.tui.signs
        self.path = PagePane("path", signs, "Path", 1, self._path_lines, self.plan)
        self.about = PagePane("about", signs, "About", 2, self._about_lines, self.plan)
        self.suspects = PagePane("suspects", signs, "Suspects", 3, self._suspect_lines, self.plan)
        self.suspects.status = NOT_A_VERDICT
        self.moment = PagePane("moment", signs, "Moment", 4, self._moment_lines, self.plan)
        for pane in self.pages:
            pane.is_by_choice = True
        yield Container(self.path, self.about, id="upper", classes="columns")
        yield Container(self.suspects, self.moment, id="lower", classes="columns")

    @property
    def pages(self) -> list[PagePane]:
        """The panes by their own kind."""
        return [self.path, self.about, self.suspects, self.moment]

    @property
    def subject(self) -> str:
        return self.alert_key

    @property
    def link_view(self) -> str:
        return ""

    def crumbs(self) -> list[str]:
        title = self._trace.title if self._trace else ""
        return ["runs", f"{self.trace_id[:4]} {title}".strip(), f"alert {self._alert_id}".strip()]

    def asks(self) -> TraceQuery:
        return TraceQuery(self.trace_id, tail=0, suspects=SUSPECTS_SHOWN)

    def takes(self, view: View) -> bool:
        return isinstance(view, TraceView) and view.trace.trace_id == self.trace_id

    # Layout

    def lay_out(self, width: int, height: int) -> None:
        upper, lower = self.query_one("#upper"), self.query_one("#lower")
        upper.display = lower.display = True
        if width >= 100:
            upper.styles.height = "1fr"
            self.about.styles.width = max(40, width * 40 // 100)
            self.moment.styles.width = max(46, width * 40 // 100)
            most = max(len(self.suspects.lines), len(self.moment.lines))
            lower.styles.height = max(5, min(most + 2, height // 3))
            return
        below = next(pane for pane in self.pages[1:] if pane.id == self._below)
        if width < 60 or height < 14:
            self._arrange_one(self.pane)
            return
        upper.styles.layout = "vertical"
        size = max(5, min(len(below.lines) + 2, max(height // 3, height - len(self.path.lines) - 5)))
        for pane in self.pages[1:]:
            pane.display = pane is below
        lower.display = below is not self.about
        upper.styles.height = height - (size if lower.display else 0)
        lower.styles.height = below.styles.height = size

    def _arrange_one(self, shown: Pane) -> None:
        for pane in self.panes():
            pane.display = pane is shown
        upper, lower = self.query_one("#upper"), self.query_one("#lower")
        upper.display = shown in (self.path, self.about)
        lower.display = not upper.display
        upper.styles.height = lower.styles.height = "1fr"

    def _arrange(self, width: int, height: int) -> None:
        self.query_one("#upper").styles.layout = "horizontal"
        super()._arrange(width, height)

    def summary_height(self, width: int) -> int:
        if self.alert is None or self.app.size.height < 20:
            return 1
        return 1 + len(self._message(self.alert, width))

    def summary(self, width: int) -> list[Line]:
        if self.alert is None:
            text = (
                f" no alert {self._alert_id}" if self.view else f" opening alert {self._alert_id} {self.signs.ellipsis}"
            )
            return [[(text, "dim")]]
        return [headline(self.alert, width, self.signs, self._when), *self._message(self.alert, width)]

    def _message(self, alert: AlertRow, width: int) -> list[Line]:
        return message_lines(alert, width, 4 if self.app.size.height >= 28 else 3)

    @property
    def is_urgent(self) -> bool:
        return self._graver() is not None

    def rest_hint(self, width: int) -> list[Line]:
        """A graver alert may come while this one is read: it is named until it is gone to."""
        graver = self._graver()
        if graver is None:
            return super().rest_hint(width)
        sign, role = severity_sign(self.signs, graver.severity)
        return [
            [
                (f" {sign} {graver.alert_id} {graver.kind}", role),
                (f" is graver: type :{graver.alert_id} to open it", "dim"),
            ]
        ]

    def _graver(self) -> AlertRow | None:
        if self.view is None or self.alert is None or self.alert.severity == "critical":
            return None
        return next((row for row in self.view.alerts if row.severity == "critical" and row.state == "open"), None)

    # Drawing

    def _when(self, at_ns: int) -> str:
        return self.when(at_ns, self._trace.started_ns if self._trace else 0)

    def draw_view(self, view: TraceView) -> None:
        self._trace = view.trace
        if not self.alert_key:
            named = (row.key for row in view.alerts if is_alert(self._alert_id, row.key, row.alert_id))
            self.alert_key = next(named, "")
        found = next((row for row in view.alerts if row.key == self.alert_key), None)
        self._is_gone = found is None
        before = self.alert, [len(pane.lines) for pane in self.pages]
        self.alert = found or (self.alert if self.alert and self.alert.key == self.alert_key else None)
        if self.alert:
            self._alert_id = self.alert.alert_id
        self.fill()
        self._title(view)
        if before != (self.alert, [len(pane.lines) for pane in self.pages]):
            self.plan()

    def _path_lines(self, width: int) -> list[PageLine]:
        return path_lines(self.alert, width, self.signs, self._when) if self.alert else []

    def _about_lines(self, width: int) -> list[PageLine]:
        return about_lines(self.alert, self.view.alerts, width, self.signs) if self.alert and self.view else []

    def _suspect_lines(self, width: int) -> list[PageLine]:
        way, view = Way.of(self.alert) if self.alert else None, self.view
        return suspect_lines(view.suspects, view.limits, way, width, self.signs, self._when) if view else []

    def _moment_ns(self, alert: AlertRow) -> int:
        """The instant of the hop under the cursor, else of the root, else of when it was found."""
        line = self.path.line
        here = next((step for step in [*alert.path, *alert.beside] if line and step.span_id == line.span_id), None)
        step = here or (alert.path[0] if alert.path else None)
        return step.at_ns if step else alert.opened_ns

    def _moment_lines(self, width: int) -> list[PageLine]:
        alert, view = self.alert, self.view
        if alert is None or view is None:
            return []
        steps = [*alert.path, *alert.beside]
        return moment_lines(view, steps, self._moment_ns(alert), width, self.signs, self._when)

    def _fill_moment(self) -> None:
        self.moment.fill()
        self.moment.title = f"At {self._when(self._moment_ns(self.alert))}" if self.alert else "Moment"

    def _title(self, view: TraceView) -> None:
        alert = self.alert
        self._fill_moment()
        hops = len(alert.path) if alert else 0
        place = next((at for at, row in enumerate(view.alerts, 1) if alert and row.key == alert.key), 0)
        self.path.title = "Path" if hops else "Where"
        self.path.status = f"1 root, {many(hops - 1, 'hop')}" if hops else ""
        self.about.status = f"{place} of {many(len(view.alerts), 'alert')}" if place else ""
        if self.app.size.width < 100:
            others = [pane for pane in self.pages[1:] if pane.id != self._below]
            words = "  ".join(f"{pane.number} {pane.id}" for pane in others)
            self.path.status = f"{self.path.status}  {words}".strip()
        if alert is None:
            many_ = f"{grouped(len(view.alerts))} there are" if view.alerts else "there is none"
            self.path.banner = [
                *self.banner(),
                [(f"No alert {self._alert_id or 'of this kind'} in this run: {many_}.", "strong")],
                [("What came since may have taken it back. esc goes back.", "dim")],
            ]
        elif self._is_gone:
            said = "This alert is no longer found: what came since took it back. This is what was known."
            self.path.banner = [
                *self.banner(),
                *([(piece, "warning")] for piece in wrapped(said, self.path.inner_width)),
            ]

    def banner(self) -> list[Line]:
        if self.view is None and not self.missing and self.contact.state == "live":
            return [[(f"Asking for the alert {self.signs.ellipsis}", "dim")]]
        return super().banner()

    def moved(self, pane: Pane) -> None:
        if pane is self.path:
            self._fill_moment()

    # Keys

    def action_walk(self, direction: int) -> None:
        """To the next step of the path, or the one before; the moment follows."""
        self.focus_pane(0)
        here = self.path.cursor
        hops = [at for at, line in enumerate(self.path.lines) if line.key.startswith("hop ") and "." not in line.key]
        later = [at for at in hops if (at - here) * direction > 0]
        if later:
            self.path.go(min(later) if direction > 0 else max(later))
        else:
            self.say("this is where it ended" if direction > 0 else "this is where it began")

    def action_open(self) -> None:
        self.open_line(self.trace_id, self._trace)

    def action_sibling(self, direction: int) -> None:
        rows: Sequence[AlertRow] = self.view.alerts if self.view else []
        at = next((index for index, row in enumerate(rows) if row.key == self.alert_key), -1)
        goal = at + direction if at >= 0 else 0
        if not 0 <= goal < len(rows):
            self.say("no alert before this one" if direction < 0 else "no alert after this one")
            return
        self.tui.remember()
        self.alert_key = rows[goal].key
        for pane in self.panes()[:2]:
            pane.top = pane.cursor = 0
        self.redraw()
        self.update_bars()

    def action_suspects(self) -> None:
        self.focus_pane(2)

    def action_delegation(self) -> None:
        line, rows = self.page.line, self.view.delegations if self.view else []
        ids = [line.span_id if line else "", *((self.alert.root_span_id, self.alert.span_id) if self.alert else ())]
        found = next((row for span_id in ids if (row := delegation_at(rows, span_id))), None)
        if found is None:
            self.say("this line is about no delegation")
        else:
            self.tui.open_delegation(self.trace_id, found.delegation_id, self._trace)

    def action_replay(self) -> None:
        line, alert = self.page.line, self.alert
        path = alert.path if alert else []
        step = next((hop for hop in path if line and hop.span_id == line.span_id), path[0] if path else None)
        at_ns = step.at_ns if step else alert.opened_ns if alert else 0
        label = step.label if step else alert.agent if alert else ""
        self.tui.open_replay(self.trace_id, at_ns, label, self._trace)

    def action_signals(self) -> None:
        """Of an anomaly its series over all runs, else the work of its agent in this one."""
        row = self.alert
        if row is None:
            self.say("no alert is here")
            return
        plotted = plotted_of_anomaly(row.kind, row.of, row.series, row.agent, row.service, row.opened_ns)
        if plotted is not None:
            self.tui.open_signals(plotted=plotted)
        else:
            self.tui.open_signals(self.trace_id, row.agent, self._trace)

    def action_timeline(self) -> None:
        line = self.page.line
        self.tui.open_timeline(self.trace_id, line.span_id if line else "", self._trace)

    def row_of(self, pane: Pane) -> object | None:
        line = self.suspects.line
        if pane is not self.suspects or line is None or self.view is None:
            return self.alert
        return next((row for row in self.view.suspects if row.span_id == line.span_id), None)

    def alert_here(self) -> AlertRow | str:
        return "no alert is here" if self.alert is None or self._is_gone else self.alert
