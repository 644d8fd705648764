"""Where on the signals' screen one is: whose figures, by what, which metric, window, series and time; and the link to it.

Invariant: a link that this place gives leads back to it, and one that names what is not there leads as near as can be, and says
so. `signals_drawing` draws from it.
"""

from trajectory.view.link import EVERY_TRACE, Link
from trajectory.view.plotted import Plotted
from trajectory.view.rows import TraceRow
from trajectory.view.signal_rows import SignalSeries
from trajectory.view.views import SignalsView
from tui.drawing.signals import ALL, BY, METRICS, WINDOWS, Metric, metric_called
from tui.links import link_to_signals
from tui.screens.base import DataScreen
from tui.widgets.pane import Pane

_MINUTE_NS = 60_000_000_000
OTHER = "other"  # what the sums have no name for
Scope = tuple[str, str]  # an agent, a service; empty: of all


class SignalsPlace(DataScreen):
    """Figures of all runs (`trace_id` empty), of one, or of the work of an agent of that name in it."""

    view: SignalsView | None
    series: Pane

    def __init__(
        self, trace_id: str = "", agent: str = "", trace: TraceRow | None = None, plotted: Plotted | None = None
    ) -> None:
        super().__init__()
        self.trace_id = trace_id
        self._trace = trace
        self._scope: Scope = (agent, "")
        self._scopes: list[tuple[Scope, str]] = []  # those before, each with its group
        self._by = "agent" if trace_id else "model"
        self._metric: Metric = METRICS[0]
        self._windows = [ALL, *WINDOWS] if trace_id else [*WINDOWS]
        self._window = ALL if trace_id else "1 h"
        self._at_ns: int | None = None  # in the window under the time's cursor; None: the newest with something in it
        self._wanted_at_s = 0  # it is to be found, and the window to hold it
        self._wanted = ""  # the series that is to be under the cursor
        self._not_here: list[str] = []  # what was asked for and is not
        if plotted is not None:
            self._show(plotted)

    def _show(self, plotted: Plotted) -> None:
        self._scope = (plotted.agent or self._scope[0], plotted.service)
        if plotted.by in BY:
            self._by = plotted.by
        if plotted.metric in {each.name for each in METRICS}:
            self._metric = metric_called(plotted.metric)
        elif plotted.metric:
            self._not_here.append(f"no metric {plotted.metric}")
        if plotted.minutes:
            self._window = next((name for name in WINDOWS if WINDOWS[name] >= plotted.minutes), [*WINDOWS][-1])
        self._wanted_at_s = plotted.at_s
        self._wanted = f"series {plotted.kind} {plotted.series}" if plotted.series else ""

    def _find_place(self, now_ns: int) -> None:
        """Once it is known what time it is, the window is made to hold the time that was asked for."""
        at_ns, self._wanted_at_s = self._wanted_at_s * 1_000_000_000, 0
        age = (now_ns - at_ns) // _MINUTE_NS + 1
        fitting = [name for name in WINDOWS if WINDOWS[name] > age]
        if self.trace_id and self._window == ALL:
            self._at_ns = at_ns
        elif fitting:
            if WINDOWS[self._window] <= age:
                self._window = fitting[0]
            self._at_ns = at_ns
        else:
            self._window = [*WINDOWS][-1]
            self._not_here.append(f"that was more than {self._window} ago")

    def told_not_here(self) -> str:
        """What a link asked for and is not here, once."""
        told, self._not_here = "; ".join(self._not_here), []
        return told

    def place(self) -> Plotted:
        """Where one is."""
        kind, _, name = self.series.selected.removeprefix("series ").partition(" ")
        is_series = self.series.selected.startswith("series ")
        return Plotted(
            self._metric.name,
            self._by,
            WINDOWS.get(self._window, 0),
            *self._scope,
            name if is_series else "",
            kind if is_series and kind in ("model", "tool", "retrieval", "agent", "delegation") else "",
            (self._at_ns or 0) // 1_000_000_000,
        )

    def link(self) -> Link | None:
        return link_to_signals(self.trace_id or EVERY_TRACE, self.place())


def kept_of(series: SignalSeries | None, by: str) -> str:
    """The filter that keeps of a run the work of a series; empty where its name is none of theirs."""
    if series is None or series.kind == "delegation":
        return "kind=delegation" if series is not None else ""
    kept, name = f"kind={series.kind}", series.name.replace('"', "")
    if series.name.startswith("(") or series.name == OTHER:
        return kept
    if by == "agent" and series.kind != "agent":
        return f'{kept} agent:"{name}"'
    if series.kind == "model":
        return f'{kept} model:"{name}"' if by == "model" else kept
    return f'{kept} name:"{name}"' if by in ("model", "tool", "agent") else kept
