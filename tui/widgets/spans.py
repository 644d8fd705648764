"""The pane of where the time went, beside the cockpit on the widest screens: the run's first spans as a waterfall, unfolded.

Invariant: lines are made once for each view; what the pane does not hold is said in its title. The timeline's screen has folds,
and all spans.
"""

from trajectory.view.rows import SpanRow
from trajectory.view.scale import Scale
from trajectory.view.views import TraceView
from tui.drawing.entries import Entry, entries, trace_end_ns
from tui.drawing.line import Line
from tui.drawing.numbers import grouped
from tui.drawing.waterfall import Columns, waterfall_header, waterfall_line
from tui.signs import Signs
from tui.widgets.pane import Pane

HELD = 500  # spans


class SpansPane(Pane):
    """Shows the spans of a view."""

    def __init__(self, signs: Signs, *, number: int) -> None:
        super().__init__("spans", signs, title="Timeline", number=number, wide_cursor=True)
        self._entries: list[Entry] = []
        self._of: TraceView | None = None
        self._start_ns = 0
        self._end_ns = 1

    def take(self, view: TraceView, now_ns: int) -> None:
        """Takes a view of a run that has come to `now_ns`."""
        self._start_ns = view.trace.started_ns
        self._end_ns = max(now_ns, trace_end_ns(view.spans, now_ns), self._start_ns + 1)
        if view is not self._of:
            self._of = view
            self._entries = entries(view.spans, set(), self._end_ns)
        held = len(view.spans)
        is_whole = held >= view.spans_matching
        self.status = grouped(held) if is_whole else f"the first {grouped(held)} of {grouped(view.spans_matching)}"
        self.show(
            [entry.key for entry in self._entries],
            self._line,
            lambda width: [waterfall_header(width, self._scale(width))],
        )

    def _scale(self, width: int) -> Scale:
        return Scale(self._start_ns, self._end_ns, Columns.of(width).chart)

    def _line(self, index: int, width: int) -> Line:
        return waterfall_line(self._entries[index], width, self._scale(width), self.signs, self._end_ns)

    @property
    def row(self) -> SpanRow | None:
        """The span under the cursor."""
        return self._entries[self.cursor].row if self.cursor < len(self._entries) else None

    def is_error(self, index: int) -> bool:
        """Whether a line tells of a failure."""
        entry = self._entries[index]
        return not entry.gap_ns and (entry.row.status == "error" or entry.errors > 0)
