"""One span, whole: its fields at the left, what went in and came out at the right; on narrow screens one tab at a time.

Invariant: content is shown as it was recorded, indented and folded where it is JSON, never interpreted; a cut is said, and
undone by enter. `[` and `]` go to the span's siblings without leaving. Asks for the span with its contents.
"""

from typing import ClassVar

from textual.binding import Binding

from trajectory.view.rows import AlertRow
from tui.drawing.content import ContentLine
from tui.drawing.fields import Field
from tui.drawing.line import measure
from tui.keys import bindings_on
from tui.screens.span_drawing import MODES, REST, SpanDrawing
from tui.widgets.pane import Pane

_FOLLOWED_CHARS = 4000


class SpanScreen(SpanDrawing):
    """The inspector of one span."""

    BINDINGS: ClassVar[list[Binding]] = bindings_on("span")  # type: ignore[assignment]

    # Keys

    def action_pane(self, number: str) -> None:
        """Goes to a tab: 1 is the fields, and from 2 on each content has a number, at every width."""
        at = int(number) - 2
        count = len(self.view.contents) if self.view else 0
        if at == -1:
            self.focus_pane(0)
        elif at < count:
            self._tab = at
            self._mode = "raw" if self._mode == "raw" else "text"
            self.content.top = self.content.cursor = self._pan = 0
            self.focus_pane(1)
        else:
            self.say(f"there is no tab {number} here")
        self.redraw()
        self.update_bars()

    def on_pane_titled(self, event: Pane.Titled) -> None:
        """Goes to the tab that is clicked."""
        event.stop()
        end = 0
        for text, _ in self._tabs(self.content.inner_width)[0]:
            end += measure([(text, "")])
            if event.x < end:
                if text[:1].isdigit():
                    self.action_pane(text[0])
                return

    def action_sibling(self, direction: int) -> None:
        goal = (self.view.previous_id if direction < 0 else self.view.next_id) if self.view else ""
        if not goal:
            self.say("no sibling before this one" if direction < 0 else "no sibling after this one")
            return
        self.tui.remember()
        self.span_id = goal
        self._whole = self._for_editor = ""
        self._followed = None
        self._turned.clear()
        self.content.top = self.content.cursor = self.fields.top = self.fields.cursor = self._pan = 0
        self.update_bars()

    def apply_filter(self, text: str) -> None:
        """Finds a text in the content; every text can be looked for, so nothing is a fault here."""
        self.filter_text = text
        self.redraw()
        self.update_bars()

    def action_match(self, delta: int) -> None:
        matches = self._matches()
        if not matches:
            self.say("nothing found: / looks for something" if self.filter_text else "nothing looked for: / does")
            return
        self.tui.remember()
        here = self.content.cursor
        later = [index for index in matches if (index - here) * delta > 0]
        self.content.go((min(later) if delta > 0 else max(later)) if later else matches[0 if delta > 0 else -1])

    def action_wrap(self) -> None:
        self._wraps = not self._wraps
        self._pan = 0
        self.redraw()
        self.say("long lines are wrapped" if self._wraps else "long lines are cut; h and l pan")

    def action_fold(self) -> None:
        self._fold_or_pan(-8)

    def action_unfold(self) -> None:
        self._fold_or_pan(8)

    def _fold_or_pan(self, delta: int) -> None:
        line = self._line_here
        if not self._wraps:
            self._pan = max(0, self._pan + delta)
            self.redraw()
        elif line is None or line.role != "json" or not line.fold or self.pane is not self.content:
            self.say("nothing folds here; w cuts long lines, and lets them pan")
        elif self._is_folded(line) is (delta > 0):
            self._turn(line)

    def _is_folded(self, line: ContentLine) -> bool:
        at = self._lines.index(line)
        return not line.key.endswith(" end") and not any(
            each.key == f"{line.fold} end" for each in self._lines[at + 1 :]
        )

    def _turn(self, line: ContentLine) -> None:
        """Folds what is open, opens what is folded."""
        self._turned ^= {line.fold}
        self._drawn_for = ()
        self.redraw()
        self.content.want(line.fold)

    def action_open(self) -> None:
        """In the fields, what a line names; in the content, what is folded or was cut."""
        line = self._line_here
        if self.pane is self.used:
            goal = self.used.line.span_id if self.used.line else ""
            if goal:
                self.tui.open_span(self.trace_id, goal, self._start_ns)
            else:
                self.say("nothing to open on this line")
        elif self.pane is self.fields:
            self._open_field()
        elif line is not None and line.key.endswith(f" {REST}"):
            self._whole = line.fold
            self.say("asking for all of it")
            self.tui.ask_now()
        elif line is not None and line.fold:
            self._turn(line)
        else:
            self.say("nothing to open on this line; esc goes back")

    def _open_field(self) -> None:
        field = self._fields[self.fields.cursor] if self.fields.cursor < len(self._fields) else Field("", [])
        kind, goal = field.opens
        if kind == "span":
            self.tui.open_span(self.trace_id, goal, self._start_ns)
        elif kind == "alert":
            self.tui.open_alert(self.trace_id, goal)
        elif kind == "delegation":
            self.tui.open_delegation(self.trace_id, goal)
        elif kind == "timeline":
            self.tui.open_timeline(self.trace_id, goal, None)
        elif kind == "elsewhere":
            self.say(f"it is in another trace: {goal}")
        else:
            self.focus_pane(1)

    def action_used(self) -> None:
        """Asks where the value under the cursor went; from a pane of none, and again, where what came of the span did."""
        line = self._line_here if self.pane is self.content else None
        field = self.value_of(self.fields) if self.pane is self.fields else ""
        text = (line.copied if line is not None and line.role != "title" else field)[:_FOLLOWED_CHARS]
        self._followed, self._is_due = "" if self._followed == text else text, True
        self.plan()
        self.tui.ask_now()

    def action_back(self) -> None:
        """Closes the uses first."""
        if self._followed is None or self.is_prompting or self.zoomed or self.filter_text:
            super().action_back()
            return
        self._followed = None
        if self.pane is self.used:
            self.focus_pane(1)
        self.plan()
        self.tui.ask_now()

    def action_mode(self) -> None:
        names = list(MODES)
        self._mode = names[(names.index(self._mode) + 1) % len(names)]
        self.content.top = self.content.cursor = self._pan = 0
        self.tui.ask_now()
        self.redraw()
        self.say(f"{self._mode}: {MODES[self._mode]}")

    def action_timeline(self) -> None:
        self.tui.open_timeline(self.trace_id, self.span_id, None)

    def row_of(self, pane: Pane) -> object | None:
        if self.view is None:
            return None
        return self.view.contents[self._tab] if pane is self.content and self.view.contents else self.view

    def value_of(self, pane: Pane) -> str:
        if self.view is None:
            return ""
        if pane is self.used:
            return self.used.value
        if pane is self.fields:
            return self._fields[pane.cursor].value if pane.cursor < len(self._fields) else ""
        line = self._line_here
        return line.copied if line and self.view.contents else self.view.row.text

    def alert_here(self) -> AlertRow | str:
        return self.view.alerts[0] if self.view and self.view.alerts else "no alert is on this span"
