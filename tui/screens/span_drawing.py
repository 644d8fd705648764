"""What the inspector of a span asks for and how it draws what comes: fields at the left, contents at the right, uses below.

Invariant: content is shown as it was recorded, indented and folded where it is JSON, never interpreted; a cut is said. A narrow
screen shows fields or contents. `span` adds the keys.
"""

import re
from dataclasses import replace

from textual.app import ComposeResult
from textual.containers import Container

from trajectory.view.link import Link
from trajectory.view.rows import Content, SpanRow
from trajectory.view.views import SpanQuery, SpanView, View
from tui.drawing.content import ContentLine, content_lines, content_text, content_title, json_line, span_headline
from tui.drawing.delegation import used_lines
from tui.drawing.fields import Field, span_fields
from tui.drawing.line import Line, cut, spread
from tui.drawing.numbers import many, size
from tui.drawing.page import PageLine
from tui.links import link_to
from tui.screens.base import DataScreen
from tui.widgets.page import PagePane
from tui.widgets.pane import Pane

# What an operator looks for first: what came out; of a delegation, what was asked for.
_FIRST_SLOTS = ("result", "output", "returned")
_FIRST_OF_DELEGATION = ("task", "input", "arguments", "context")
MODES = {"text": "for reading", "raw": "as it was stored", "messages": "all of them, one below the other"}
_PLACE = re.compile(r"\d+ [0-9a-f]*([.\[].*?)?(?: \d+| end)?$", re.DOTALL)  # in JSON, in the key of a line
REST = "rest"  # key of the line that stands for what was cut


def _likeliest(slots: list[str], kind: str) -> int:
    first = _FIRST_OF_DELEGATION if kind == "delegation" else _FIRST_SLOTS
    return next((slots.index(slot) for slot in first if slot in slots), 0)


class SpanDrawing(DataScreen):
    """The inspector of one span, without its keys."""

    name_here = "span"
    finds_text = True
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
        self._followed: str | None = None  # the text whose values are followed on; nothing of it: what came of the span
        self._is_due = False  # its uses have not been shown yet
        self._for_editor = ""  # the digest of a body that was cut and is fetched for the editor

    def compose_body(self) -> ComposeResult:
        signs = self.tui.signs
        self.fields = Pane("fields", signs, title="Fields", number=1)
        self.content = Pane("content", signs, title="Content")
        self.used = PagePane("used", signs, "Used later by", 0, self._used_lines, self.plan)
        self.fields.refit = self.content.refit = self._refit  # their lines are broken for their width
        yield Container(self.fields, self.content, id="both", classes="columns")
        yield Container(self.used, id="below", classes="columns")

    def panes(self) -> list[Pane]:
        return [self.fields, self.content, self.used]

    def tabs(self) -> list[tuple[str, str]]:
        return []  # the contents are tabs of their own

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
        is_raw, is_asked = self._mode == "raw", self._followed is not None
        return SpanQuery(
            self.trace_id, self.span_id, raw=is_raw, whole=whole, used=is_asked, value=self._followed or ""
        )

    @property
    def ticks(self) -> bool:
        return self.view is not None and not self.view.row.end_ns

    def takes(self, view: View) -> bool:
        return isinstance(view, SpanView) and view.row.span_id == self.span_id

    def lay_out(self, width: int, height: int) -> None:
        self.query_one("#both").styles.height = "1fr"
        below = self.query_one("#below")
        below.display = self.used.display = self._followed is not None
        below.styles.height = max(3, min(len(self.used.lines) + 2, height * 2 // 5))
        if width >= 100:
            self.fields.styles.width = max(46, width * 42 // 100)
            return
        for index, pane in enumerate((self.fields, self.content)):
            pane.display = index == self._shown

    def reveal_pane(self, pane: Pane) -> None:
        super().reveal_pane(pane)
        if pane is self.used:
            return
        self._shown = self.panes().index(pane)
        if self.app.size.width < 100:
            for each in (self.fields, self.content):
                each.display = each is pane

    def action_next_pane(self, delta: int) -> None:
        at, count = self.panes().index(self.pane), 2 + (self._followed is not None)
        self.focus_pane((at + delta) % count)
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

    def _refit(self) -> None:
        if self.view is not None:
            self.draw_view(self.view)

    def draw_view(self, view: SpanView) -> None:
        start_ns = self._start_ns or view.row.start_ns
        width = self.fields.inner_width
        when = self.when(view.row.start_ns, start_ns)
        self._fields = span_fields(view, self.trace_id, width, self.signs, start_ns, when)
        self.fields.show([str(index) for index in range(len(self._fields))], self._field_line)
        self._draw_content(view)
        self.used.fill()
        self.used.status = "esc closes"
        if self._is_due and view.used is not None:
            self._is_due = False
            self.plan()
            self.focus_pane(2)
            self.used.go(next((at for at, line in enumerate(self.used.lines) if line.span_id), 0))

    def _used_lines(self, width: int) -> list[PageLine]:
        view = self.view
        if view is None or view.used is None:
            return [PageLine("asking", [(f"asking where it went {self.signs.ellipsis}", "dim")])]
        return used_lines(
            view.used, width, self.signs, lambda at_ns: self.when(at_ns, self._start_ns or view.row.start_ns)
        )

    def _draw_content(self, view: SpanView) -> None:
        if not view.contents:
            self.content.banner += [[("No content was recorded on this span.", "dim")], *self._said(view)]
            self.content.show([], lambda _index, _width: [])
            self._lines = []
            return
        if self._tab_of != self.span_id:
            self._tab_of = self.span_id
            self._tab = _likeliest([content.slot for content in view.contents], view.row.kind)
        self._tab = min(self._tab, len(view.contents) - 1)
        shown = view.contents if self._mode == "messages" else [view.contents[self._tab]]
        width = self.content.inner_width
        of = tuple((each.digest, each.text) for each in shown)
        drawn_for = (of, width, self._wraps, self._mode, len(self._turned), self._whole)
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
            lines.append(ContentLine(text, "warning", f"{of} {REST}", content.text, content.digest))
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
            line += [(f" {self.signs.rule} ", "frame")] if line else []
            is_shown = index == self._tab or self._mode == "messages"
            line.append((f"{index + 2} {content.slot}", "title" if is_shown else "dim"))
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

    def _matches(self) -> list[int]:
        found = self.filter_text.casefold()
        return [index for index, line in enumerate(self._lines) if found and found in line.text.casefold()]

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
