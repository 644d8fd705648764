"""One span, whole: its fields at the left, what went in and came out at the right; on narrow screens one tab at a time.

Invariant: content is shown as it was recorded, indented and folded where it is JSON, never interpreted; a cut is said, and
undone by enter. `[` and `]` go to the span's siblings without leaving. Asks for the span with its contents.
"""

import re
from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container

from trajectory.view.link import Link
from trajectory.view.rows import AlertRow, Content, SpanQuery, SpanRow, SpanView, View
from tui.drawing.content import ContentLine, content_lines, content_text, content_title, json_line, span_headline
from tui.drawing.fields import Field, span_fields
from tui.drawing.line import Line, cut, spread
from tui.drawing.numbers import many, size
from tui.keys import bindings_on
from tui.links import link_to
from tui.screens.base import DataScreen
from tui.widgets.pane import Pane

# What an operator looks for first: what came out.
_FIRST_SLOTS = ("result", "output", "returned")
_MODES = {"text": "for reading", "raw": "as it was stored", "messages": "all of them, one below the other"}
_PLACE = re.compile(r"\d+ [0-9a-f]*([.\[].*?)?(?: \d+| end)?$", re.DOTALL)  # in JSON, in the key of a line
_REST = "rest"  # key of the line that stands for what was cut


def _likeliest(slots: list[str]) -> int:
    return next((slots.index(slot) for slot in _FIRST_SLOTS if slot in slots), 0)


class SpanScreen(DataScreen):
    """The inspector of one span."""

    name_here = "span"
    finds_text = True
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
        self._mode = "text"
        self._whole = ""  # the digest of a body that was cut and is wanted whole
        self._turned: set[str] = set()  # what was folded or opened in the contents
        self._lines: list[ContentLine] = []
        self._fields: list[Field] = []
        self._drawn_for: tuple[object, ...] = ()
        self._for_editor = ""  # the digest of a body that was cut and is fetched for the editor

    def compose_body(self) -> ComposeResult:
        signs = self.tui.signs
        self.fields = Pane("fields", signs, title="Fields")
        self.content = Pane("content", signs, title="Content")
        yield Container(self.fields, self.content, id="both", classes="columns")

    def panes(self) -> list[Pane]:
        return [self.fields, self.content]

    def begin(self) -> None:
        self.focus_pane(1)

    @property
    def subject(self) -> str:
        return self.span_id

    def link(self) -> Link | None:
        row = self.view.row if self.view else SpanRow(self.span_id, "", 0, "", "", "", "", 0, 0)
        return link_to(row, self.trace_id, self._start_ns, "")

    def text_of(self, pane: Pane) -> tuple[str, str]:
        if self.view is None or pane is not self.content or not self.view.contents:
            return super().text_of(pane)
        return self._text_of(self.view.contents[self._tab])

    @staticmethod
    def _text_of(content: Content) -> tuple[str, str]:
        text, is_json = content_text(content)
        return text, ".json" if is_json else ".txt"

    def crumbs(self) -> list[str]:
        where = self.view.row.label if self.view else ""
        return ["runs", self.trace_id[:4], *([where] if where else []), f"span {self.span_id[:4]}"]

    def asks(self) -> SpanQuery:
        whole = self._for_editor or self._whole
        return SpanQuery(self.trace_id, self.span_id, raw=self._mode == "raw", whole=whole)

    @property
    def ticks(self) -> bool:
        return self.view is not None and not self.view.row.end_ns

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
        when = self.when(view.row.start_ns, start_ns)
        self._fields = span_fields(view, self.trace_id, width, self.signs, start_ns, when)
        self.fields.show([str(index) for index in range(len(self._fields))], self._field_line)
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
        shown = view.contents if self._mode == "messages" else [view.contents[self._tab]]
        width = self.content.inner_width
        drawn_for = (*((each.digest, each.text) for each in shown), width, self._wraps, self._mode, len(self._turned))
        if drawn_for != self._drawn_for:
            self._lines = [line for number, each in enumerate(shown) for line in self._lines_of(each, number, width)]
            self._drawn_for = drawn_for
        mode = "" if self._mode == "text" else f" {self.signs.dot} {self._mode}"
        title = many(len(shown), "body", "bodies") if len(shown) > 1 else content_title(shown[0], self.signs)
        self.content.status = f"{title}{mode}" + ("" if self._wraps else f", column {self._pan + 1}")
        self.content.show([line.key for line in self._lines], self._line, self._tabs)

    def _lines_of(self, content: Content, number: int, width: int) -> list[ContentLine]:
        """The lines of one body, under its title where all are shown; and what stands for the rest of it."""
        of = f"{number} {content.digest}"
        turned = {place[len(of) :] for place in self._turned if place.startswith(of)}
        lines = content_lines(content, width, self.signs, wrap=self._wraps, turned=turned, is_raw=self._mode == "raw")
        lines = [replace(line, key=f"{of}{line.key}", fold=line.fold and of + line.fold) for line in lines]
        if content.is_cut:
            shown = size(len(content.text.encode("utf-8", "replace")))
            text = f"{self.signs.ellipsis} {shown} of {size(content.size_bytes)}: {self.signs.enter} loads the rest"
            if self._whole == content.digest:
                text = f"{self.signs.ellipsis} {shown} of {size(content.size_bytes)}: no more can be shown here"
            lines.append(ContentLine(text, "warning", f"{of} {_REST}", content.text, content.digest))
        if self._mode == "messages":
            lines = [ContentLine(content_title(content, self.signs), "title", f"{of} title", content.text), *lines]
            lines = [*([ContentLine("", "", f"{of} gap")] if number else []), *lines]
        return lines

    def action_edit(self) -> None:
        """Opens the value in the editor; of a content that is cut here, the whole as soon as it has come."""
        contents = self.view.contents if self.view and self.pane is self.content else []
        if contents and contents[self._tab].is_cut and contents[self._tab].digest != self._whole:
            self._for_editor = contents[self._tab].digest
            self.say("fetching all of it for the editor")
            self.tui.ask_now()
        else:
            super().action_edit()

    def accept(self, view: View) -> None:
        """Shows a view; one that was fetched for the editor goes there, and is not drawn."""
        wanted = self._for_editor
        if not wanted or not isinstance(view, SpanView) or not self.takes(view):
            super().accept(view)
            return
        self._for_editor = ""
        content = next((each for each in view.contents if each.digest == wanted), None)
        if content is not None and self.tui.screen is self:
            told = self.tui.edit(*self._text_of(content))
            self.say(f"{told} (it had {size(len(content.text))} of it)" if content.is_cut else told)

    def _said(self, view: SpanView) -> list[Line]:
        return [[], [(view.row.text, "error" if view.row.status == "error" else "")]] if view.row.text else []

    def _tabs(self, width: int) -> list[Line]:
        line: Line = []
        for index, content in enumerate(self.view.contents if self.view else []):
            number = index + (2 if self.app.size.width < 100 else 1)
            line += [(f" {self.signs.rule} ", "frame")] if line else []
            is_shown = index == self._tab or self._mode == "messages"
            line.append((f"{number} {content.slot}", "title" if is_shown else "dim"))
        if self.app.size.width < 100:
            line = [("1 fields", "dim"), (f" {self.signs.rule} ", "frame"), *line]
        return [line, [(self.signs.lines[12] * width, "frame")]]

    def _field_line(self, index: int, width: int) -> Line:
        field = self._fields[index]
        if not field.opens[1] or index != self.fields.cursor or not self.fields.has_focus:
            return field.line
        return spread(field.line, [(self.signs.enter, "key")], width)

    def _line(self, index: int, width: int) -> Line:
        here = self._lines[index]
        text = here.text[self._pan :] if not self._wraps else here.text
        line = json_line(text) if here.role == "json" else [(text, here.role)]
        found = self.filter_text.casefold()
        if found and found in text.casefold():
            at = text.casefold().index(found)
            line = [(text[:at], ""), (text[at : at + len(found)], "found"), (text[at + len(found) :], "")]
        return line

    def counted(self) -> str:
        return f"{len(self._matches())} of {len(self._lines)} lines"

    def rest_hint(self, width: int) -> list[Line]:
        line = self._line_here if self.pane is self.content else None
        place = _PLACE.match(line.key) if line and line.role == "json" else None
        if place and place[1]:
            return [cut([(f" {place[1]}", "key"), ("   y copies it", "dim")], width)]
        return [[(" / find in the content", "dim")]]

    @property
    def _line_here(self) -> ContentLine | None:
        """The line of the content under the cursor."""
        at = self.content.cursor
        return self._lines[at] if at < len(self._lines) else None

    # Keys

    def action_pane(self, number: str) -> None:
        """Goes to a tab: on wide screens 1 to 9 are contents, on narrow ones 1 is the fields."""
        at = int(number) - (1 if self.app.size.width >= 100 else 2)
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

    def action_sibling(self, direction: int) -> None:
        goal = (self.view.previous_id if direction < 0 else self.view.next_id) if self.view else ""
        if not goal:
            self.say("no sibling before this one" if direction < 0 else "no sibling after this one")
            return
        self.tui.remember()
        self.span_id = goal
        self._whole = self._for_editor = ""
        self._turned.clear()
        self.content.top = self.content.cursor = self.fields.top = self.fields.cursor = self._pan = 0
        self.update_bars()

    def apply_filter(self, text: str) -> None:
        """Finds a text in the content; every text can be looked for, so nothing is a fault here."""
        self.filter_text = text
        self.redraw()
        self.update_bars()

    def _matches(self) -> list[int]:
        found = self.filter_text.casefold()
        return [index for index, line in enumerate(self._lines) if found and found in line.text.casefold()]

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
        if self.pane is self.fields:
            self._open_field()
        elif line is not None and line.key.endswith(f" {_REST}"):
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

    def action_mode(self) -> None:
        names = list(_MODES)
        self._mode = names[(names.index(self._mode) + 1) % len(names)]
        self.content.top = self.content.cursor = self._pan = 0
        self.tui.ask_now()
        self.redraw()
        self.say(f"{self._mode}: {_MODES[self._mode]}")

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
            return self._fields[pane.cursor].value if pane.cursor < len(self._fields) else ""
        line = self._line_here
        return line.copied if line and self.view.contents else self.view.row.text

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
