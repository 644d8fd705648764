"""What the signals' screen asks for and draws: a table of series, plots of the one under the cursor, the runs of a time.

Invariant: all plots have one axis of time, with a cursor that stays at its time while windows pass; a panel is drawn from a view
of its own. `signals` adds the keys.
"""

from typing import Any

from textual.app import ComposeResult

from trajectory.view.comparing import Compared, compared
from trajectory.view.query import parse
from trajectory.view.signal_rows import SignalMark, SignalSeries
from trajectory.view.spikes import spikes
from trajectory.view.text import wrapped
from trajectory.view.views import Query, SignalsQuery, SignalsView, View
from tui.drawing.line import Line, spread
from tui.drawing.numbers import many
from tui.drawing.plot import Axis, Band, plot_lines, room_for, spoken_band
from tui.drawing.runs import id_width, run_line, runs_header
from tui.drawing.signals import (
    METRICS,
    WINDOWS,
    Metric,
    metric_called,
    nothing_lines,
    panel_line,
    ranked_runs,
    series_head,
    series_line,
    told_minutes,
    values_of,
)
from tui.drawing.signals_axis import axis_of, clock, has_days, length, telling
from tui.drawing.signals_compared import compare_head, compared_line
from tui.drawing.signals_marks import gravest, is_about, marks_line
from tui.panels import Panel
from tui.screens.signals_place import OTHER, SignalsPlace
from tui.widgets.pane import Pane
from tui.widgets.plot import PlotPane

_SERIES = 60
_PANEL_SERIES = 8
_FEWEST, _MOST = 12, 240  # windows

Values = list[float | None]


class SignalsDrawing(SignalsPlace):
    """The table, the plots and the runs."""

    def __init__(self, *where: Any, **at: Any) -> None:
        super().__init__(*where, **at)
        self._chosen: list[str] = []  # keys of series to compare
        self._compared: tuple[object, list[Compared]] = (None, [])
        self._answered: Query | None = None  # the question that the view shown answers

    def compose_body(self) -> ComposeResult:
        signs = self.tui.signs
        self.series = Pane("series", signs, title="Signals", number=1)
        self.plot = PlotPane("plot", signs, "Over time", 2, self._plot_lines)
        self.runs = Pane("runs-then", signs, title="Runs", number=3)
        self.series.rests_on_first = True
        yield self.series
        yield self.plot
        yield self.runs

    def panes(self) -> list[Pane]:
        return [self.series, self.plot, self.runs]

    @property
    def subject(self) -> str:
        return self.trace_id

    def crumbs(self) -> list[str]:
        title = self._trace.title if self._trace else ""
        run = [f"{self.trace_id[:4]} {title}".strip()] if self.trace_id else []
        return ["runs", *run, "signals"]

    def asks(self) -> SignalsQuery:
        points = max(_FEWEST, min(room_for(self.plot.inner_width), _MOST))
        at_ns, until_ns = self._stretch()
        here = self.here
        also = [SignalsQuery(by=p.group, minutes=p.minutes, points=points, limit=_PANEL_SERIES) for p in self._panels]
        return SignalsQuery(
            by=self._by,
            trace_id=self.trace_id,
            agent=self._scope[0],
            service=self._scope[1],
            minutes=WINDOWS.get(self._window, 0),
            points=points,
            limit=_SERIES,
            at_ns=at_ns,
            until_ns=until_ns,
            also=tuple(also),
            name=here.name if here is not None and self._is_told_apart else "",
            work=here.kind if here is not None and self._is_told_apart else "",
        )

    def takes(self, view: View) -> bool:
        return isinstance(view, SignalsView)

    @property
    def _panels(self) -> "list[Panel]":
        return [] if self.trace_id else self.tui.settings.panels

    # Layout

    def lay_out(self, width: int, height: int) -> None:
        if height < 14:
            for pane in self.panes():
                pane.display = pane is self.pane
            return
        rows = len(self.series.keys) + 3
        low = max(5, len(self.runs.keys) + 2 + (1 if self.runs.keys else 0))
        self.series.styles.height = max(5, min(rows, height // 3))
        self.runs.styles.height = (
            min(low, max(5, height // 4)) if not self._is_comparing else min(11, max(7, height // 3))
        )

    def summary(self, width: int) -> list[Line]:
        agent, service = self._scope
        panel = self.panel
        who = (
            "a panel of yours: all runs"
            if panel is not None
            else f"agent {agent}"
            if agent
            else f"service {service}"
            if service
            else "this run"
            if self.trace_id
            else "all runs"
        )
        dot = self.signs.dot
        by, window = (panel.group, told_minutes(panel.minutes)) if panel is not None else (self._by, self._window)
        line: Line = [(f" {who}", "strong"), (f" by {by} {dot} ", "dim"), (self._shown_metric.title, "strong")]
        each = f", each {length(self._shown.window_ns)}" if self._shown else ""
        line.append((f" {dot} {window}{each}", "dim"))
        total = self.view.total if self.view else 0
        of = f"{len(self._list)} of " if total > len(self._list) else ""
        return [spread(line, [(f"{of}{many(total, 'series', 'series')} ", "dim")], width)]

    def apply_filter(self, text: str) -> None:
        super().apply_filter(text)
        self.redraw()

    def rest_hint(self, width: int) -> list[Line]:
        return [[(" h l walk the time, [ ] the spikes; enter: the runs of that time", "dim")]]

    def counted(self) -> str:
        return f"{len(self._list)} of {self.view.total} series" if self.view else ""

    # What is shown

    @property
    def _list(self) -> list[SignalSeries]:
        """The series that pass the filter."""
        keep = parse(self.filter_text)
        return [each for each in (self.view.series if self.view else []) if keep(each, self.tui.now_ns)]

    @property
    def panel(self) -> "Panel | None":
        """The panel under the cursor."""
        word, _, number = self.series.selected.partition(" ")
        panels = self._panels
        return panels[int(number)] if word == "panel" and int(number) < len(panels) else None

    @property
    def _shown_metric(self) -> Metric:
        return metric_called(self.panel.metric) if self.panel else self._metric

    @property
    def here(self) -> SignalSeries | None:
        """The series under the cursor."""
        return next((each for each in self._list if key_of(each) == self.series.selected), None)

    @property
    def _is_told_apart(self) -> bool:
        """Whether the runs of the series under the cursor are told from others: not in one run, nor of the rest (`other`)."""
        return self.here is not None and not self.trace_id and self.here.name != OTHER

    @property
    def _shown(self) -> SignalsView | None:
        """The view that is plotted: that of the panel under the cursor, or the screen's own."""
        view, panel = self.view, self.panel
        if view is None or panel is None:
            return view
        at = self._panels.index(panel)
        return view.also[at] if at < len(view.also) else None

    def _bands(self, view: SignalsView) -> list[Band]:
        """What is plotted: of a panel each series, of a series each metric, the chosen one first."""
        panel, here, metric = self.panel, self.here, self._shown_metric
        if panel is not None:
            ranked = sorted(
                ((_values(each, metric, view), each) for each in view.series), key=lambda pair: -_most(pair[0])
            )
            return [
                Band(
                    f"{metric.title}  {each.name}",
                    values,
                    metric.write,
                    panel.threshold,
                    self._note(view, values, metric),
                )
                for values, each in ranked
                if _most(values) >= 0
            ]
        if here is None:
            return []
        found = []
        for each in (metric, *(other for other in METRICS if other is not metric)):
            values = _values(here, each, view)
            if each is metric or any(values):
                found.append(
                    Band(f"{each.title}  {here.name}", values, each.write, None, self._note(view, values, each))
                )
        return found

    def _note(self, view: SignalsView, values: Values, metric: Metric) -> Line:
        value = values[self._cursor(view)] if values else None
        return [("here ", "dim"), (self.signs.dash if value is None else metric.write(value), "strong")]

    def _cursor(self, view: SignalsView) -> int:
        """The window under the time's cursor; -1 where the view has none."""
        count = count_of(view)
        if not count:
            return -1
        if self._at_ns is not None:
            return max(0, min((self._at_ns - view.begin_ns) // max(1, view.window_ns), count - 1))
        worked = [
            (p.at_ns - view.begin_ns) // max(1, view.window_ns) for each in self._plotted for p in each.points[-1:]
        ]
        return max(0, min(max(worked, default=count - 1), count - 1))

    @property
    def _plotted(self) -> list[SignalSeries]:
        if self.panel is not None:
            return self._shown.series if self._shown else []
        return [self.here] if self.here else []

    def _stretch(self) -> tuple[int, int]:
        """From when to before when goes the window under the time's cursor; nothing while nothing is known."""
        view = self._shown
        at = self._cursor(view) if view is not None else -1
        if view is None or at < 0:
            return 0, 0
        at_ns = view.begin_ns + at * view.window_ns
        return at_ns, at_ns + view.window_ns

    def _axis(self, view: SignalsView, bands: list[Band]) -> Axis:
        stood_out = spikes(bands[0].values) if bands else []
        others = [m for m in view.marks if m.of and not any(self._is_about(m, each) for each in self._plotted)]
        return axis_of(view, count_of(view), stood_out, self._cursor(view), self.tui.zone, self.signs, others)

    def _plot_lines(self, width: int, height: int) -> list[Line]:
        view = self._shown
        if view is None:
            return []
        bands = self._bands(view)
        if not bands:
            return nothing_lines(view.is_loading, view.uncounted)
        axis = self._axis(view, bands)
        if self.tui.is_plain:
            said = [*(spoken_band(band, axis) for band in bands), *telling(view, self.tui.zone, self.signs)]
            return [[(piece.strip(), "")] for sentence in said for piece in wrapped(sentence, max(16, width))]
        return plot_lines(bands, axis, width, height, self.signs)

    # Drawing

    def answered(self, query: Query, view: View) -> None:
        super().answered(query, view)
        if self.held is None:
            self._answered = query

    def draw_paused(self, view: SignalsView) -> None:
        """Draws what came in answer to another question than what is shown: paused is what comes by itself."""
        if self._answered != self.asks():
            self.release()

    def draw_view(self, view: SignalsView) -> None:
        self._arrive_at_place(view)
        before = len(self.series.keys), len(self.runs.keys)
        panels = [f"panel {number}" for number in range(len(self._panels))]
        listed = {key_of(each): each for each in self._list}
        keys = [*panels, *listed]
        self.series.show(
            keys,
            lambda index, width: (
                self._series_line(view, listed[keys[index]], width)
                if index >= len(panels)
                else self._panel_line(view, index, width)
            ),
            lambda width: [series_head(self._by, width)],
        )
        self.series.status = f"v {self._metric.name}  b {self._by}  w {self._window}"
        if not listed:
            self.series.banner = [*self.banner(), *nothing_lines(view.is_loading, view.uncounted)]
        self._chosen = [key for key in self._chosen if key in listed]
        self.plot.fill()
        self._draw_runs(view)
        if before != (len(self.series.keys), len(self.runs.keys)):
            self.plan()

    def _arrive_at_place(self, view: SignalsView) -> None:
        """Puts the cursors on what a link named, when it comes."""
        if self._wanted_at_s:
            self._find_place(view.end_ns)
            self.tui.ask_now()
        if self._wanted and view.series:
            if self._wanted in map(key_of, view.series):
                self.series.want(self._wanted)
                self._wanted = ""
            elif not view.is_loading:
                self._not_here.append("that series has no work in this time")
                self._wanted = ""
        told = self.told_not_here()
        if told:
            self.say(told)

    def _series_line(self, view: SignalsView, series: SignalSeries, width: int) -> Line:
        values, key = _values(series, self._metric, view), key_of(series)
        mark = "AB"[self._chosen.index(key)] if key in self._chosen else ""
        return series_line(series, values, mark, bool(spikes(values)), width, self.signs, self._worst_of(series, view))

    def _worst_of(self, series: SignalSeries, view: SignalsView) -> SignalMark | None:
        """The gravest anomaly of a series in this time, the latest of several."""
        return gravest([mark for mark in view.marks if self._is_about(mark, series)])

    def _is_about(self, mark: SignalMark, series: SignalSeries) -> bool:
        return is_about(mark, series, self.panel.group if self.panel else self._by)

    def _panel_line(self, view: SignalsView, number: int, width: int) -> Line:
        panel, also = self._panels[number], view.also
        metric = metric_called(panel.metric)
        worst: tuple[str, float] | None = None
        for each in also[number].series if number < len(also) else []:
            value = next((v for point in reversed(each.points) if (v := metric.of(point)) is not None), None)
            if value is not None and (worst is None or value > worst[1]):
                worst = each.name, value
        title = panel.title or f"{metric.title} by {panel.group}"
        return panel_line(title, metric, worst, panel.threshold, width, self.signs)

    @property
    def _is_comparing(self) -> bool:
        return len(self._chosen) == 2

    def _draw_runs(self, view: SignalsView) -> None:
        self.runs.banner = []
        if self._is_comparing:
            self._draw_comparison(view)
            return
        at_ns, until_ns = self._stretch()
        with_day = self._shown is not None and has_days(self._shown)
        times = [clock(each, until_ns - at_ns, self.tui.zone, with_day=with_day) for each in (at_ns, until_ns)]
        span = self.signs.dash.join(times)
        found, first = ranked_runs(view.runs if view.runs_at_ns == at_ns else [], self._shown_metric)
        rows = {row.trace_id: row for row in found}
        whose = f" of {self.here.name}" if self.here is not None and self._is_told_apart else ""
        self.runs.title = f"Runs {span}{whose}" if until_ns else "Runs"
        more = "+" if view.runs_are_more else ""
        of = f"{len(found)} of " if view.runs_total > len(found) else ""
        self.runs.status = (
            f"{first}{of}{view.runs_total}{more}"
            if rows
            else ""
            if view.runs_at_ns == at_ns
            else f"asking {self.signs.ellipsis}"
        )
        ids, shown = id_width(found), self._shown
        marks = [mark for mark in (shown.marks if shown else []) if at_ns <= mark.at_ns < until_ns]
        about = {id(mark) for mark in marks if any(self._is_about(mark, each) for each in self._plotted)}
        marks.sort(key=lambda mark: id(mark) not in about)
        self.runs.banner = [marks_line(marks, self.signs, about)] if marks else []
        if until_ns and not rows and view.runs_at_ns == at_ns:
            self.runs.banner.append([(self.nothing_then(), "dim")])
        self.runs.show(
            [*rows],
            lambda index, width: run_line(found[index], width, ids, self.signs, self.tui.now_ns),
            lambda width: [runs_header(width, ids)] if rows else [],
        )

    def nothing_then(self) -> str:
        """What is said where no run is of this time."""
        whose = f" in which {self.here.name} was at work" if self.here is not None and self._is_told_apart else ""
        return f"no run is known of this time{whose}"

    def _draw_comparison(self, view: SignalsView) -> None:
        listed = {key_of(each): each for each in self._list}
        first, second = (listed[key] for key in self._chosen)
        asked = (first, second)
        if self._compared[0] != asked:
            self._compared = asked, compared(first, second, view.bounds_s)
        rows = self._compared[1]
        self.runs.title, self.runs.status = "Comparison", "95 %, by bootstrap"
        self.runs.show(
            [row.what for row in rows],
            lambda index, width: compared_line(rows[index], width, self.signs),
            lambda width: compare_head(first.name, second.name, width),
        )

    def moved(self, pane: Pane) -> None:
        if pane is self.series and self.view is not None:
            self._again(self.view)

    def _again(self, view: SignalsView) -> None:
        """Draws what follows from another time, or another series, and asks for its runs."""
        self.plot.fill()
        self._draw_runs(view)
        self.tui.ask_now()
        self.update_bars()

    def banner(self) -> list[Line]:
        if self.view is None and not self.missing and self.contact.state == "live":
            return [[(f"Asking for the signals {self.signs.ellipsis}", "dim")]]
        return super().banner()


def key_of(series: SignalSeries) -> str:
    return f"series {series.kind} {series.name}"


def count_of(view: SignalsView | None) -> int:
    """How many windows a view has."""
    return min(2000, max(0, -(-(view.end_ns - view.begin_ns) // view.window_ns))) if view and view.window_ns > 0 else 0


def _values(series: SignalSeries, metric: Metric, view: SignalsView) -> Values:
    return values_of(series, metric, view.begin_ns, view.window_ns, count_of(view))


def _most(values: Values) -> float:
    return max((value for value in values if value is not None), default=-1.0)
