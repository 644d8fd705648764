"""A screen whose panes are pages: lines that open spans and alerts, and in which a text is found.

Invariant: `/` finds in the pane that has the focus and filters nothing; `n` and `N` go from find to find. The page of an alert
and that of a delegation are such screens.
"""

from typing import Any

from tui.drawing.line import Line
from tui.screens.base import DataScreen
from tui.widgets.page import PagePane
from tui.widgets.pane import Pane


class PagedScreen(DataScreen):
    """Several pages, the first of them the one that the screen is about."""

    finds_text = True

    @property
    def pages(self) -> list[PagePane]:
        """The panes by their own kind."""
        raise NotImplementedError

    def panes(self) -> list[Pane]:
        return [*self.pages]

    @property
    def page(self) -> PagePane:
        """The pane with the focus."""
        return next((pane for pane in self.pages if pane is self.pane), self.pages[0])

    def counted(self) -> str:
        return f"{len(self.page.matches())} of {len(self.page.lines)} lines"

    def rest_hint(self, width: int) -> list[Line]:
        return [[(f" {self.signs.enter} opens what a line tells of; / finds a text", "dim")]]

    def fill(self) -> None:
        """Makes the lines of all pages anew."""
        for page in self.pages:
            page.wanted_text = self.filter_text
            page.fill()

    def open_line(self, trace_id: str, trace: Any) -> None:
        """Opens the alert or the span that the line under the cursor tells of."""
        line = self.page.line
        if line is not None and line.alert_key:
            self.tui.open_alert(trace_id, line.alert_key, trace=trace)
        elif line is not None and line.span_id:
            self.tui.open_span(trace_id, line.span_id, trace.started_ns if trace else 0)
        else:
            self.say("nothing to open on this line")

    def apply_filter(self, text: str) -> None:
        """Finds a text on the page; every text can be looked for, so nothing is a fault here."""
        self.filter_text = text
        self.redraw()
        self.update_bars()

    def action_match(self, delta: int) -> None:
        matches = self.page.matches()
        if not matches:
            self.say("nothing found in this pane" if self.filter_text else "nothing looked for: / does")
            return
        self.tui.remember()
        here = self.pane.cursor
        later = [index for index in matches if (index - here) * delta > 0]
        self.pane.go((min(later) if delta > 0 else max(later)) if later else matches[0 if delta > 0 else -1])

    def is_error(self, pane: Pane, index: int) -> bool:
        return self.page.lines[index].is_error

    def value_of(self, pane: Pane) -> str:
        return self.page.value
