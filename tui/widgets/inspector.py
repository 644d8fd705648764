"""The pane that follows the cursor: the span that is under it, what came out and what went in first, then all that is known.

Invariant: while another span is awaited the one before stays, and the title says which is shown; a long body is cut, and said how
much is left. On wide screens it stands beside the rows.
"""

from collections.abc import Callable

from trajectory.view.views import SpanView
from tui.drawing.inspector import inspector_lines
from tui.drawing.line import Line
from tui.drawing.page import PageLine
from tui.signs import Signs
from tui.widgets.page import PagePane

_LEAST_BODY = 6  # lines


class InspectorPane(PagePane):
    """Shows one span in a column. `when` writes an instant, `now_ns` says how late it is."""

    def __init__(self, signs: Signs, *, number: int, when: Callable[[int], str], now_ns: Callable[[], int]) -> None:
        super().__init__("inspector", signs, "Inspector", number, self._make_lines, lambda: None, self._head_of)
        self._when = when
        self._now_ns = now_ns
        self.held: SpanView | None = None
        self.shown = ""  # the span that was last answered for, or said to be missing
        self.start_ns = 0  # of the run

    def take(self, span_id: str, view: SpanView | None, missing: str = "") -> None:
        """Takes the answer for a span."""
        if span_id != self.shown:
            self.top = self.cursor = 0
            self.is_touched = False
        self.shown, self.held = span_id, view
        self.banner = [[(missing, "dim")]] if missing else []
        self.status = ""
        self.title = f"Inspector {self.signs.dot} {span_id[:4]}" if span_id else "Inspector"
        self.fill()

    def await_(self, span_id: str) -> None:
        """Says that another span is asked for."""
        self.status = f"{span_id[:4]} {self.signs.ellipsis}" if span_id != self.shown else ""

    def _make_lines(self, width: int) -> list[PageLine]:
        view = self.held
        if view is None:
            return []
        most = max(_LEAST_BODY, self.size.height // 3)
        start_ns = self.start_ns or view.row.start_ns
        when = self._when(view.row.start_ns)
        return inspector_lines(view, width, self.signs, start_ns=start_ns, when=when, now_ns=self._now_ns(), most=most)

    def _head_of(self, _width: int) -> list[Line]:
        return []
