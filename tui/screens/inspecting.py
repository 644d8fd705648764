"""A screen over a run beside whose rows, where there is room, the span under the cursor stands open.

Invariant: there is one pull at a time: for the span when another is under the cursor, else for the rows and the span in turn;
of each only what is new comes. Built on by the cockpit and the timeline.
"""

from trajectory.view.rows import AlertRow
from trajectory.view.views import Missing, Query, SpanQuery, SpanView, View
from tui.screens.base import DataScreen
from tui.widgets.inspector import InspectorPane
from tui.widgets.pane import Pane

WIDE = 160  # columns from which it stands there
_LEAST, _MOST = 46, 64
_CHARS = 4096  # of each body


class InspectingScreen(DataScreen):
    """`inspector` is among the panes of the body, and `asks_rows` says what else is asked for."""

    trace_id: str
    inspector: InspectorPane

    def __init__(self) -> None:
        super().__init__()
        self._inspected = ""  # the span to show
        self._beats = 0

    def make_inspector(self, number: int) -> InspectorPane:
        """The pane, to be put into the body."""
        self.inspector = InspectorPane(
            self.tui.signs,
            number=number,
            when=lambda at_ns: self.when(at_ns, self.start_ns),
            now_ns=lambda: self.tui.now_ns,
        )
        return self.inspector

    @property
    def start_ns(self) -> int:
        """When the run began, as far as is known."""
        return int(self.view.trace.started_ns) if self.view is not None else 0

    @property
    def is_wide(self) -> bool:
        return self.app.size.width >= WIDE and not self.tui.is_plain

    @property
    def inspector_width(self) -> int:
        """Cells that it takes, frame and all."""
        return max(_LEAST, min(_MOST, self.app.size.width * 28 // 100)) if self.is_wide else 0

    def asks_rows(self) -> Query:
        """What to ask for beside the span."""
        raise NotImplementedError

    def asks(self) -> Query:
        if not self.is_wide or self.view is None or not self._inspected:
            return self.asks_rows()
        its_turn = self._beats // 2 % 2  # by two beats, because a quiet feed is asked at every other one
        is_due = self.inspector.shown != self._inspected or its_turn
        return self._asks_span() if is_due else self.asks_rows()

    def _asks_span(self) -> SpanQuery:
        return SpanQuery(self.trace_id, self._inspected, content_limit=_CHARS)

    def is_for(self, query: Query) -> bool:
        return query in (self.asks_rows(), self._asks_span())

    def beat(self) -> None:
        super().beat()
        self._beats += 1

    def answered(self, query: Query, view: View) -> None:
        if not isinstance(query, SpanQuery):
            super().answered(query, view)
            return
        is_held = self.tui.is_paused and query.span_id == self.inspector.shown
        if not is_held and isinstance(view, SpanView | Missing):
            found, missing = (view, "") if isinstance(view, SpanView) else (None, view.reason)
            self.inspector.start_ns = self.start_ns
            self.inspector.take(query.span_id, found, missing)
            self.update_bars()

    def inspect(self) -> None:
        """Shows the span under the cursor of the pane with the focus; of the inspector itself, what it shows."""
        if self.pane is self.inspector or self.view is None:
            return
        row = self.row_of(self.pane)
        names = ("root_span_id", "span_id") if isinstance(row, AlertRow) else ("span_id",)
        span_id = next((text for name in names if (text := str(getattr(row, name, "")))), "")
        if span_id and span_id != self._inspected:
            self._inspected = span_id
            self.inspector.await_(span_id)
            if self.is_wide:
                self.tui.ask_now()

    def on_descendant_focus(self) -> None:
        super().on_descendant_focus()
        self.inspect()

    def moved(self, pane: Pane) -> None:
        super().moved(pane)
        if pane is self.pane:
            self.inspect()

    def open_inspected(self) -> None:
        """Opens what the line under the inspector's cursor tells of."""
        line = self.inspector.line
        if line is not None and line.alert_key:
            self.tui.open_alert(self.trace_id, line.alert_key)
        elif line is not None and line.span_id:
            self.tui.open_span(self.trace_id, line.span_id, self.start_ns)
        else:
            self.say("nothing to open on this line")
