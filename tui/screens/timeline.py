"""One run span by span: where the time went, depth first, with folds, gaps, errors and the place of each on a cascade.

Invariant: what is folded is counted on the line that hides it; the cursor stays on its span while spans arrive. A window of the
run's spans is held, which slides with the cursor and is asked around what is gone to; the axis, the density and the next error
are those of the whole run.
"""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding

from trajectory.view.rows import DelegationRow, SpanRow, TraceRow
from trajectory.view.scale import Scale
from trajectory.view.views import Outline, TraceQuery, TraceView, View
from tui.drawing.bars import run_summary
from tui.drawing.delegation import delegation_at
from tui.drawing.density import density_lines
from tui.drawing.entries import Entry, entries, trace_end_ns
from tui.drawing.line import Line, measure, spread
from tui.drawing.numbers import grouped, took
from tui.drawing.waterfall import BARS_BY, Columns, Measure, span_preview, waterfall_header, waterfall_line
from tui.drawing.window import Window
from tui.keys import bindings_on
from tui.screens.timed import TimedScreen
from tui.widgets.pane import Pane

_WINDOW = 1000  # spans held at once


class TimelineScreen(TimedScreen):
    """The timeline of one run."""

    name_here = "timeline"
    BINDINGS: ClassVar[list[Binding]] = bindings_on("timeline")  # type: ignore[assignment]
    view: TraceView | None

    def __init__(self, trace_id: str, span_id: str = "", trace: TraceRow | None = None) -> None:
        super().__init__()
        self.trace_id = trace_id
        self._wanted = self._around = span_id  # to put the cursor on, and to ask the window around
        self._around_ns: int | None = None  # or a time since the start
        self._by = BARS_BY[0]
        self._measure = Measure()
        self._trace = trace
        self._folded: set[str] = set()
        self._entries: list[Entry] = []
        self._left: TraceView | None = None  # the view that the cursor leaves for another window's last line
        self._entries_of: tuple[TraceView | None, frozenset[str], str] = (None, frozenset(), "")
        self._keys: list[str] = []
        self._offset = 0
        self._end_ns = 1
        self._start_ns = 0

    def compose_body(self) -> ComposeResult:
        signs = self.tui.signs
        self.density = Pane("density", signs)
        self.spans = Pane("spans", signs, title="Timeline", wide_cursor=True)
        self.preview = Pane("preview", signs)
        for pane in (self.density, self.preview):
            pane.has_cursor = False
            pane.can_focus = False
        yield self.density
        yield self.spans
        yield self.preview

    def begin(self) -> None:
        self.focus_pane(0)
        if self._wanted:
            self.spans.want(self._wanted)

    def arrive(self, pane: str = "", key: str = "", span_id: str = "") -> None:
        super().arrive(pane, key, span_id)
        wanted = key or span_id
        if wanted and wanted not in self._keys and not self._around:
            self._wanted = self._around = wanted.split(" ")[-1]

    def panes(self) -> list[Pane]:
        return [self.spans, self.preview, self.density]

    def crumbs(self) -> list[str]:
        return ["runs", f"{self.trace_id[:4]} {self._trace.title if self._trace else ''}".strip(), "timeline"]

    def asks(self) -> TraceQuery:
        return TraceQuery(
            self.trace_id,
            filter=self.filter_text,
            tail=0,
            spans=_WINDOW,
            spans_offset=self._offset,
            outline=True,
            critical=self.tui.shows_critical,
            costs=self._by == "cost",
            around=self._around,
            around_ns=self._around_ns,
        )

    def takes(self, view: View) -> bool:
        return isinstance(view, TraceView) and view.trace.trace_id == self.trace_id

    def lay_out(self, width: int, height: int) -> None:
        self.density.display = width >= 100 and height >= 24
        self.density.styles.height = 4
        self.preview.display = self.app.size.height >= 20
        self.preview.styles.height = 6 if height >= 28 else 4

    def summary_height(self, width: int) -> int:
        return 1

    def summary(self, width: int) -> list[Line]:
        if self.view is None:
            return [[(f" opening {self.trace_id[:4]} {self.signs.ellipsis}", "dim")]]
        right: Line = []
        if self.view.spans_matching > len(self.view.spans):
            first, last = self._offset + 1, self._offset + len(self.view.spans)
            right = [(f"{first} to {last} of {grouped(self.view.spans_matching)} ", "warning")]
        elif self._folded:
            right = [(f"{len(self._folded)} folded ", "dim")]
        room = width - measure(right) - 1 if right else width
        return [spread(run_summary(self.view.trace, room, self.signs, self.tui.now_ns, self.contact), right, width)]

    def counted(self) -> str:
        return f"{self.view.spans_matching} of {self.view.spans_total} spans match" if self.view else ""

    # Drawing

    def draw_view(self, view: TraceView) -> None:
        self._trace = view.trace
        self._start_ns = view.trace.started_ns
        live_ns = self.tui.now_ns if view.trace.state == "live" else view.trace.ended_ns
        self._end_ns = max(live_ns, trace_end_ns(view.spans, live_ns), self._start_ns + 1)
        self._enter(view)
        self._go_around(view)
        self.spans.show(self._keys, self._line, self._axis)
        if self._left is not None and self._left is not view:
            self._left = None
            self.spans.move(len(self._keys))
        self._titles(view)

    def _enter(self, view: TraceView) -> None:
        """Makes the lines; once for each view and folding, because a run may have thousands of spans."""
        made_of = (view, frozenset(self._folded), self._by)
        before = self._entries_of
        if before[0] is not view or before[1:] != made_of[1:]:
            self._entries_of = made_of
            self._entries = entries(view.spans, made_of[1], self._end_ns)
            self._keys = [entry.key for entry in self._entries]
            self._measure = Measure.of(self._entries, self._by)

    def _go_around(self, view: TraceView) -> None:
        """Puts the cursor where the window was asked around, as soon as that came."""
        wanted, is_time = self._wanted, self._around_ns is not None
        if self._around or is_time:
            self._offset = view.spans_offset
            wanted = view.around
            if not wanted:
                among = "those that match" if self.filter_text else "the spans of this run"
                self.say("nothing had begun then" if is_time else f"span {self._around[:16]} is not among {among}")
        self._wanted, self._around, self._around_ns = "", "", None
        if wanted:
            self.spans.want(next((entry.key for entry in self._entries if _tells_of(entry, wanted)), wanted))

    def go_to_time(self, at_ns: int) -> bool:
        self._around, self._around_ns = "", at_ns
        self.tui.ask_now()
        return True

    def _scale(self, width: int) -> Scale:
        start_ns, end_ns = self.window or (self._start_ns, self._end_ns)
        return Scale(start_ns, end_ns, Columns.of(width, self._by).chart, self._start_ns)

    def whole(self) -> Window | None:
        return Window(self._start_ns, self._end_ns) if self.view is not None else None

    def stretch_here(self) -> tuple[int, int]:
        entry = self._entries[self.spans.cursor] if self._entries else None
        if entry is None or not entry.row.start_ns:
            return self._start_ns, self._end_ns
        return entry.row.start_ns - entry.gap_ns, entry.row.start_ns if entry.gap_ns else entry.end_ns or self._end_ns

    def _axis(self, width: int) -> list[Line]:
        return [waterfall_header(width, self._scale(width), self._measure)]

    def _line(self, index: int, width: int) -> Line:
        entry = self._entries[index]
        return waterfall_line(entry, width, self._scale(width), self.signs, self._end_ns, self._measure)

    def _titles(self, view: TraceView) -> None:
        total = grouped(view.spans_total)
        at = f"span {self.spans.cursor + 1} of {total}" if self._entries else f"0 of {total}"
        path = "critical path" if self.tui.shows_critical else ""
        self.spans.title = "Timeline" if self._by == "time" else f"Timeline, bars by {self._by}"
        self.spans.status = f" {self.signs.dot} ".join(each for each in (path, self.in_time(), at) if each)
        self._draw_density(view)
        row = self.row
        self.preview.title = f"{row.span_id[:8]} {row.name}" if row else ""
        self.preview.status = f"{self.signs.enter} open" if row else ""
        when = self.when(row.start_ns, self._start_ns) if row else ""
        given = self._given(row) if row else None
        lines = span_preview(row, self.preview.inner_width, self.signs, when, given) if row else []
        self.preview.show([str(index) for index in range(len(lines))], lambda index, _width: lines[index])

    def _draw_density(self, view: TraceView) -> None:
        width = max(4, self.density.inner_width)
        lines = density_lines(view.outline or Outline(), width, self.signs, self.window, self.whole())
        self.density.title = "Activity"
        self.density.status = f"0{self.signs.dash}{took(self._end_ns - self._start_ns)}"
        self.density.show(["0", "1"], lambda index, _width: lines[index])

    @property
    def row(self) -> SpanRow | None:
        """The span under the cursor."""
        at = self.spans.cursor
        return self._entries[at].row if 0 <= at < len(self._entries) else None

    def moved(self, pane: Pane) -> None:
        if pane is self.spans and self.view is not None:
            self._titles(self.view)
            self._slide(self.view)

    def _slide(self, view: TraceView) -> None:
        """Moves the window over the spans when the cursor reaches its end or its beginning, and there are more."""
        if self.spans.cursor == len(self._entries) - 1 and self._offset + len(view.spans) < view.spans_matching:
            self._offset += _WINDOW // 2
        elif self.spans.cursor == 0 and self._offset and self.spans.is_touched:
            self._offset = max(0, self._offset - _WINDOW // 2)

    # Keys

    def row_of(self, pane: Pane) -> object | None:
        return self.row

    def value_of(self, pane: Pane) -> str:
        return self.row.span_id if self.row else ""

    def is_error(self, pane: Pane, index: int) -> bool:
        entry = self._entries[index]
        return not entry.gap_ns and (entry.row.status == "error" or entry.errors > 0)

    def action_first(self) -> None:
        self._offset = 0
        super().action_first()

    def action_last(self) -> None:
        view = self.view
        last = max(0, view.spans_matching - _WINDOW) if view is not None else 0
        if last != self._offset:
            self._offset, self._left = last, view
            self.tui.ask_now()
        super().action_last()

    def action_next_error(self) -> None:
        """The next error of the run: in the window, else further on, else from the beginning."""
        count, cursor = len(self._entries), self.spans.cursor
        further = next((at for at in range(cursor + 1, count) if self.is_error(self.spans, at)), -1)
        failed = self.view.outline.failed if self.view is not None and self.view.outline is not None else []
        if further >= 0 or self.filter_text or not failed or self.view is None:
            super().action_next_error()
            return
        end = self._offset + len(self.view.spans)
        place, span_id = next((one for one in failed if one[0] >= end), failed[0])
        if not self._offset <= place < end:
            self._offset = max(0, place - _WINDOW // 2)
            self.tui.ask_now()
        self.spans.want(span_id)

    def action_bars(self) -> None:
        """What the length of a bar says: the next of time, tokens, cost."""
        self._by = BARS_BY[(BARS_BY.index(self._by) + 1) % len(BARS_BY)]
        self.redraw()
        self.tui.ask_now()
        self.say(f"bars by {self._by}" + ("" if self._by == "time" else ": a dash where nobody said"))

    def _given(self, row: SpanRow) -> DelegationRow | None:
        """The delegation that a line is, or that its work came by."""
        rows = self.view.delegations if self.view else []
        return delegation_at(rows, row.span_id) if row.kind in ("agent", "delegation") else None

    def action_open(self) -> None:
        row = self.row
        if row is None:
            self.say("no span to open yet")
        elif self._entries[self.spans.cursor].times > 1:
            self.action_unfold()
        else:
            self.tui.open_span(self.trace_id, row.span_id, self._start_ns)

    def action_delegation(self) -> None:
        row = self.row
        rows = self.view.delegations if self.view else []
        found = delegation_at(rows, row.span_id, row.label) if row else None
        if found is None:
            self.say("no delegation is known that this work was given by")
        else:
            self.tui.open_delegation(self.trace_id, found.delegation_id, self._trace)

    def action_replay(self) -> None:
        row = self.row
        self.tui.open_replay(self.trace_id, row.start_ns if row else 0, row.label if row else "", self._trace)

    def action_unfold(self) -> None:
        if not self._entries:
            return
        entry = self._entries[self.spans.cursor]
        if entry.times > 1:
            self._folded.add(f"open {entry.row.span_id}")
            self._refold(entry.row.span_id)
        elif entry.row.span_id in self._folded:
            self._folded.discard(entry.row.span_id)
            self._refold(entry.row.span_id)
        elif entry.row.children:
            self.spans.move(1)

    def on_pane_folded(self, event: Pane.Folded) -> None:
        event.stop()
        row = self.row
        if row is not None and row.span_id in self._folded:
            self.action_unfold()
        elif row is not None and row.children:
            self.action_fold()

    def action_fold(self) -> None:
        row = self.row
        if row is None:
            return
        if row.children and row.span_id not in self._folded:
            self._folded.add(row.span_id)
            self._refold(row.span_id)
        else:
            given = self._entries[self.spans.cursor].given
            above = given.parent_id if given else row.parent_id
            if above in [entry.row.span_id for entry in self._entries]:
                self.spans.want(above)

    def _refold(self, span_id: str) -> None:
        self.redraw()
        self.spans.want(span_id)
        self.update_bars()


def _tells_of(entry: Entry, span_id: str) -> bool:
    """Whether a line is about a span: a hand-over is on the line of the work that it gave."""
    return span_id == (entry.given.span_id if entry.given else entry.key)
