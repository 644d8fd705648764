"""One span, whole: its fields at the left, what went in and came out at the right; on narrow screens one tab at a time.

Invariant: content is shown as it was recorded, indented where it is JSON, never interpreted; a cut is said. `[` and `]` go to
the span's siblings without leaving. Asks for the span with its contents.
"""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container

from trajectory.view.rows import AlertRow, SpanQuery, SpanView, View
from tui.drawing.content import content_lines, content_title, json_line, span_headline
from tui.drawing.fields import span_fields
from tui.drawing.line import Line, spread
from tui.keys import bindings_on
from tui.screens.base import DataScreen
from tui.widgets.pane import Pane

# What an operator looks for first: what came out.
_FIRST_SLOTS = ("result", "output", "returned")


def _likeliest(slots: list[str]) -> int:
    return next((slots.index(slot) for slot in _FIRST_SLOTS if slot in slots), 0)


class SpanScreen(DataScreen):
    """The inspector of one span."""

    name_here = "span"
    BINDINGS: ClassVar[list[Binding]] = bindings_on("span")  # type: ignore[assignment]
    view: SpanView | None

    def __init__(self, trace_id: str, span_id: str, start_ns: int = 0) -> None:
        super().__init__()
        self.trace_id = trace_id
        self.span_id = span_id
        self._start_ns = start_ns
        self._tab = 0  # of the contents
        self._tab_of = ""  # the span for which it was chosen
        self._wraps = True
        self._pan = 0
        self._shown = 1  # which of the two panes, where there is room for one
        self._lines: list[tuple[str, bool]] = []
        self._fields: list[tuple[str, Line]] = []
        self._drawn_for: tuple[object, ...] = ()

    def compose_body(self) -> ComposeResult:
        signs = self.tui.signs
        self.fields = Pane("fields", signs, title="Fields")
        self.content = Pane("content", signs, title="Content")
        yield Container(self.fields, self.content, id="both", classes="columns")

    def panes(self) -> list[Pane]:
        return [self.fields, self.content]

    def begin(self) -> None:
        self.focus_pane(1)

    def crumbs(self) -> list[str]:
        where = self.view.row.label if self.view else ""
        return ["runs", self.trace_id[:4], *([where] if where else []), f"span {self.span_id[:4]}"]

    def asks(self) -> SpanQuery:
        return SpanQuery(self.trace_id, self.span_id)

    def takes(self, view: View) -> bool:
        return isinstance(view, SpanView) and view.row.span_id == self.span_id

    def lay_out(self, width: int, height: int) -> None:
        self.query_one("#both").styles.height = "1fr"
        if width >= 100:
            self.fields.styles.width = max(46, width * 42 // 100)
            return
        for index, pane in enumerate(self.panes()):
            pane.display = index == self._shown

    def reveal_pane(self, pane: Pane) -> None:
        super().reveal_pane(pane)
        self._shown = self.panes().index(pane)
        if self.app.size.width < 100:
            for each in self.panes():
                each.display = each is pane

    def action_next_pane(self, delta: int) -> None:
        self.focus_pane(1 - self._shown)
        self.redraw()

    def banner_pane(self) -> Pane:
        return self.panes()[self._shown]

    def summary(self, width: int) -> list[Line]:
        if self.view is None:
            return [[(f" opening span {self.span_id[:8]} {self.signs.ellipsis}", "dim")]]
        line = [(" ", ""), *span_headline(self.view, self.signs, self.tui.now_ns)]
        around: Line = []
        for key, there in (("[", self.view.previous_id), ("]", self.view.next_id)):
            around.append((f"{key} {'before' if key == '[' else 'next'}  ", "" if there else "frame"))
        return [spread(line, around, width)]

    # Drawing

    def draw_view(self) -> None:
        view = self.view
        if view is None:
            return
        start_ns = self._start_ns or view.row.start_ns
        width = self.fields.inner_width
        self._fields = span_fields(view, width, self.signs, start_ns, self.when(view.row.start_ns, start_ns))
        self.fields.show(
            [str(index) for index in range(len(self._fields))], lambda index, _width: self._fields[index][1]
        )
        self._draw_content(view)

    def _draw_content(self, view: SpanView) -> None:
        if not view.contents:
            self.content.banner += [[("No content was recorded on this span.", "dim")], *self._said(view)]
            self.content.show([], lambda _index, _width: [])
            self._lines = []
            return
        if self._tab_of != self.span_id:
            self._tab_of, self._tab = self.span_id, _likeliest([content.slot for content in view.contents])
        self._tab = min(self._tab, len(view.contents) - 1)
        content = view.contents[self._tab]
        width = self.content.inner_width
        drawn_for = (content.digest, content.text, width, self._wraps)
        if drawn_for != self._drawn_for:
            self._lines = content_lines(content, width, wrap=self._wraps)
            self._drawn_for = drawn_for
        self.content.status = content_title(content, self.signs) + ("" if self._wraps else f", column {self._pan + 1}")
        self.content.show([str(index) for index in range(len(self._lines))], self._line, self._tabs)

    def _said(self, view: SpanView) -> list[Line]:
        return [[], [(view.row.text, "error" if view.row.status == "error" else "")]] if view.row.text else []

    def _tabs(self, width: int) -> list[Line]:
        line: Line = []
        for index, content in enumerate(self.view.contents if self.view else []):
            number = index + (2 if self.app.size.width < 100 else 1)
            line += [(f" {self.signs.rule} ", "frame")] if line else []
            line.append((f"{number} {content.slot}", "title" if index == self._tab else "dim"))
        if self.app.size.width < 100:
            line = [("1 fields", "dim"), (f" {self.signs.rule} ", "frame"), *line]
        return [line, [(self.signs.lines[12] * width, "frame")]]

    def _line(self, index: int, width: int) -> Line:
        text, is_json = self._lines[index]
        text = text[self._pan :] if not self._wraps else text
        line = json_line(text) if is_json else [(text, "")]
        found = self.filter_text.casefold()
        if found and found in text.casefold():
            at = text.casefold().index(found)
            line = [(text[:at], ""), (text[at : at + len(found)], "found"), (text[at + len(found) :], "")]
        return line

    def counted(self) -> str:
        return f"{len(self._matches())} of {len(self._lines)} lines"

    def rest_hint(self, width: int) -> list[Line]:
        return [[(" / find in the content", "dim")]]

    # Keys

    def action_pane(self, number: str) -> None:
        """Goes to a tab: on wide screens 1 to 9 are contents, on narrow ones 1 is the fields."""
        at = int(number) - (1 if self.app.size.width >= 100 else 2)
        count = len(self.view.contents) if self.view else 0
        if at == -1:
            self.focus_pane(0)
        elif at < count:
            self._tab = at
            self.content.top = self.content.cursor = self._pan = 0
            self.focus_pane(1)
        else:
            self.say(f"there is no tab {number} here")
        self.redraw()
        self.update_bars()

    def action_sibling(self, direction: int) -> None:
        goal = (self.view.previous_id if direction < 0 else self.view.next_id) if self.view else ""
        if not goal:
            self.say("no sibling before this one" if direction < 0 else "no sibling after this one")
            return
        self.span_id = goal
        self.content.top = self.content.cursor = self.fields.top = self.fields.cursor = self._pan = 0
        self.update_bars()

    def apply_filter(self, text: str) -> None:
        """Finds a text in the content; every text can be looked for, so nothing is a fault here."""
        self.filter_text = text
        self.redraw()
        self.update_bars()

    def _matches(self) -> list[int]:
        found = self.filter_text.casefold()
        return [index for index, (text, _) in enumerate(self._lines) if found and found in text.casefold()]

    def action_match(self, delta: int) -> None:
        matches = self._matches()
        if not matches:
            self.say("nothing found: / looks for something" if self.filter_text else "nothing looked for: / does")
            return
        here = self.content.cursor
        later = [index for index in matches if (index - here) * delta > 0]
        self.content.go((min(later) if delta > 0 else max(later)) if later else matches[0 if delta > 0 else -1])

    def action_wrap(self) -> None:
        self._wraps = not self._wraps
        self._pan = 0
        self.redraw()
        self.say("long lines are wrapped" if self._wraps else "long lines are cut; h and l pan")

    def action_fold(self) -> None:
        self._pan_by(-8)

    def action_unfold(self) -> None:
        self._pan_by(8)

    def _pan_by(self, delta: int) -> None:
        if self._wraps:
            self.say("lines are wrapped; w lets them pan")
            return
        self._pan = max(0, self._pan + delta)
        self.redraw()

    def action_open(self) -> None:
        if self.pane is self.fields:
            self.focus_pane(1)
        else:
            self.say("this is the whole of it; esc goes back")

    def action_timeline(self) -> None:
        self.tui.open_timeline(self.trace_id, self.span_id, None)

    def row_of(self, pane: Pane) -> object | None:
        if self.view is None:
            return None
        return self.view.contents[self._tab] if pane is self.content and self.view.contents else self.view

    def value_of(self, pane: Pane) -> str:
        if self.view is None:
            return ""
        if pane is self.fields:
            return self._fields[pane.cursor][0] if pane.cursor < len(self._fields) else ""
        return self.view.contents[self._tab].text if self.view.contents else self.view.row.text

    def action_acknowledge(self) -> None:
        self._mark("acknowledged", "acknowledge")

    def action_mute(self) -> None:
        self._mark("muted", "mute")

    def _mark(self, state: str, action: str) -> None:
        alerts: list[AlertRow] = self.view.alerts if self.view else []
        if not alerts:
            self.say("no alert is on this span")
            return
        self.tui.mark(alerts[0], "reopen" if alerts[0].state == state else action)
