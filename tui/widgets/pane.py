"""A framed list on the line interface: a title, rows drawn when they are seen, a cursor, and whether it follows the end.

Invariant: the cursor and the view are held by the key of a row, never by its number, so what arrives, leaves or is sorted
moves nothing under the operator's eye; a pane that follows shows the end until it is scrolled up. One widget, however many rows.
"""

import re
from collections.abc import Callable, Sequence

from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.geometry import Region, Size
from textual.message import Message

from tui.drawing.frame import bottom_edge, tabs_edge, top_edge
from tui.drawing.line import Line, cut
from tui.signs import Signs
from tui.widgets.drawn import Laid
from tui.widgets.selecting import Selecting

Draw = Callable[[int, int], Line]  # index of a row, width in cells
_CHIPS = re.compile(r"[^\s\u2500-\u259f#=+-](?:[^ \u2500-\u259f]| (?! ))*")  # words of the edge, up to a double space


class Pane(Selecting, can_focus=True):
    """Shows the rows that it is given; knows nothing of what they are."""

    class Moved(Message):
        """Another row is under the cursor."""

        def __init__(self, pane: "Pane") -> None:
            super().__init__()
            self.pane = pane

    class Titled(Message):
        """A word above the rows was clicked: the title of a column, or a tab; `x` is its cell of the row."""

        def __init__(self, word: str, x: int) -> None:
            super().__init__()
            self.word = word
            self.x = x

    class Chipped(Message):
        """A part of the upper edge was clicked: a tab, or how the pane stands."""

        def __init__(self, pane: "Pane", text: str) -> None:
            super().__init__()
            self.pane = pane
            self.text = text

    class Folded(Message):
        """The sign of a fold was clicked, in the row under the cursor."""

    class Opened(Message):
        """The row under the cursor was clicked twice."""

    def __init__(self, id: str, signs: Signs, *, title: str = "", number: int = 0, wide_cursor: bool = False) -> None:
        super().__init__(id=id)
        self.signs = signs
        self._title = title
        self._status = ""
        self.number = number
        self.is_framed = True
        self.can_follow = False
        self.follows = False
        self.has_cursor = True
        self.is_touched = False
        self.rests_on_first = False  # until it is touched, the cursor is on the first row, whichever that is
        self.cursor = 0
        self.top = 0
        self.banner: list[Line] = []
        self.tabs: list[
            tuple[str, str]
        ] = []  # in the place of the title: the panes that there are, their ids and names
        self.legend: Line = []  # on the last line, where rows leave it and the one above free
        self.keys: Sequence[str] = ()
        self._gutter = 2 if wide_cursor else 0
        self._draw: Draw = lambda _index, _width: []
        self._head: Callable[[int], list[Line]] = lambda _width: []
        self._head_lines: list[Line] = []
        self._wanted = ""
        self.unseen = 0
        self._seen: list[Laid] = []  # what was painted last
        self._seen_size = Size(0, 0)
        self._is_due = False
        self.refit: Callable[[], None] | None = None  # makes rows anew that were made for the width before
        self._fitted_width = 0

    # What is shown

    def show(self, keys: Sequence[str], draw: Draw, head: Callable[[int], list[Line]] | None = None) -> None:
        """Takes new rows. The row under the cursor stays the same one, on the same line of the screen, while it exists."""
        before = self.selected
        fresh = self._fresh(keys)
        rests = self.rests_on_first and not self.is_touched and not self._wanted
        index = 0 if rests else self._index_of(keys, self._wanted or before)
        if self._wanted and index >= 0:
            self._wanted, before = "", ""
        self.keys, self._draw = keys, draw
        if head:
            self._head = head
        self._measure()
        if self.follows:
            self.unseen = 0
            self._to_end()
        else:
            self.unseen += fresh if self.can_follow else 0
            self._anchor(index, bool(before))
        self.repaint()
        if self.selected != before:
            self.post_message(self.Moved(self))

    def _fresh(self, keys: Sequence[str]) -> int:
        """How many of the keys came behind the last one that is known."""
        if not self.keys or not keys:
            return 0
        at = self._index_of(keys, self.keys[-1])
        return len(keys) - 1 - at if at >= 0 else len(keys)

    @property
    def row_count(self) -> int:
        """How many lines there are to show, one for each key here."""
        return len(self.keys)

    def line_of(self, index: int) -> int:
        """On which of the lines the row of a key is."""
        return index

    def key_at(self, x: int, line: int) -> int:
        """Which key is at a cell of a line; -1 for none."""
        return line if 0 <= line < len(self.keys) else -1

    def _anchor(self, index: int, was_known: bool) -> None:
        old = self.cursor
        self.cursor = max(0, min(index if index >= 0 else old, len(self.keys) - 1))
        if was_known and index >= 0 and (self.is_touched or self.top):
            self.top += index - old
            self._clamp()
        else:
            self._clamp()
            self._reveal()

    @staticmethod
    def _index_of(keys: Sequence[str], key: str) -> int:
        try:
            return keys.index(key) if key else -1
        except ValueError:
            return -1

    def want(self, key: str) -> None:
        """Puts the cursor on the row of this key, now or as soon as it is there."""
        index = self._index_of(self.keys, key)
        self._wanted = "" if index >= 0 else key
        if index >= 0:
            self.go(index)

    @property
    def title(self) -> str:
        """What the pane shows, at the left of its upper edge."""
        return self._title

    @title.setter
    def title(self, title: str) -> None:
        if title != self._title:
            self._title = title
            self.repaint()

    @property
    def status(self) -> str:
        """How much of it and how it stands, at the right of its upper edge."""
        return self._status

    @status.setter
    def status(self, status: str) -> None:
        if status != self._status:
            self._status = status
            self.repaint()

    @property
    def selected(self) -> str:
        """The key of the row under the cursor, or nothing."""
        return self.keys[self.cursor] if 0 <= self.cursor < len(self.keys) else ""

    @property
    def room(self) -> int:
        """How many rows fit."""
        frame = 2 if self.is_framed else 1
        return max(1, self.size.height - frame - len(self._head_lines) - len(self.banner))

    @property
    def inner_width(self) -> int:
        """Cells of a row, beside frame and cursor."""
        return max(1, self.size.width - (4 if self.is_framed else 2) - self._gutter)

    def _measure(self) -> None:
        self._head_lines = self._head(self.inner_width) if self.size.width else []

    def redraw(self) -> None:
        """Draws the same rows again, as after a change of width or of a title."""
        self._measure()
        self._clamp()
        self.repaint()

    def on_hide(self) -> None:
        self._fitted_width = 0  # whoever draws it while it has no width is asked again when it has one

    def on_resize(self) -> None:
        if self.refit and self._fitted_width != self.size.width:
            self.refit()
        self._fitted_width = self.size.width
        self._measure()
        if self.follows:
            self._to_end()
        else:
            self._clamp()
            self._reveal()
        self.repaint()

    # Moving

    def go(self, index: int) -> None:
        """Puts the cursor on a row; reaching the end of what can be followed follows it, leaving it stops that."""
        before = self.selected
        self.is_touched = True
        self.cursor = max(0, min(index, len(self.keys) - 1))
        self._reveal()
        if self.can_follow:
            self.follows = self.cursor >= len(self.keys) - 1
            self.unseen = 0 if self.follows else self.unseen
        self.repaint()
        if self.selected != before:
            self.post_message(self.Moved(self))

    def move(self, delta: int) -> None:
        """Moves the cursor; a pane without one scrolls."""
        if self.has_cursor:
            self.go(self.cursor + delta)
        else:
            self.scroll_rows(delta)

    def scroll_rows(self, delta: int) -> None:
        """Scrolls without moving the cursor to another row."""
        self.is_touched = True
        self.top += delta
        self._clamp()
        if self.can_follow:
            self.follows = self.top >= len(self.keys) - self.room
            self.unseen = 0 if self.follows else self.unseen
        self.repaint()

    def follow(self) -> None:
        """Shows the end, and goes on doing so."""
        self.follows = True
        self.unseen = 0
        self._to_end()
        self.repaint()
        self.post_message(self.Moved(self))

    def _to_end(self) -> None:
        self.cursor = max(0, len(self.keys) - 1)
        self.top = max(0, len(self.keys) - self.room)

    def _clamp(self) -> None:
        self.top = max(0, min(self.top, self.row_count - self.room))

    def _reveal(self) -> None:
        line = self.line_of(self.cursor)
        self.top = min(self.top, line)
        self.top = max(self.top, line - self.room + 1, 0)

    # Mouse

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        event.stop()
        self.scroll_rows(3)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        event.stop()
        self.scroll_rows(-3)

    def on_click(self, event: Click) -> None:
        if self.text_selection is not None:  # the mouse was dragged over a text
            return
        if event.y == 0:
            self._click_edge(event.x)
            return
        above = 1 + len(self.banner) + len(self._head_lines)
        text = "".join(text for text, _, _ in self._lay(event.y))
        if 1 + len(self.banner) <= event.y < above and text[event.x : event.x + 1].strip():
            word = (text[: event.x].split(" ")[-1] + text[event.x :]).split()[0]
            self.post_message(self.Titled(word, event.x - self._inset))
            return
        index = self.key_at(event.x - self._inset, event.y - above + self.top) if event.y >= above else -1
        if index >= 0 and self.has_cursor:
            self.go(index)
            if event.chain == 2:
                self.post_message(self.Opened())
            elif self._is_fold(text, event.x):
                self.post_message(self.Folded())

    @property
    def _inset(self) -> int:
        """Cells before the first one of a row."""
        return (2 if self.is_framed else 1) + self._gutter

    def _click_edge(self, x: int) -> None:
        """On the upper edge each part of the status may be clicked: what is between double spaces or dots."""
        laid = self._lay(0)
        text = "".join(text for text, _, _ in laid)
        for found in _CHIPS.finditer(text):
            if found.start() <= x < found.end():
                self.post_message(self.Chipped(self, found.group().strip()))

    def _is_fold(self, text: str, x: int) -> bool:
        """Whether a cell of a row is the sign of its fold: nothing but the cursor stands before it."""
        before = text[1 if self.is_framed else 0 : x].replace(self.signs.cursor, "").strip()
        return not before and text[x : x + 1] in (self.signs.folded, self.signs.unfolded)

    def on_focus(self) -> None:
        self.repaint()

    def on_blur(self) -> None:
        self.repaint()

    # Drawing

    def repaint(self) -> None:
        """Sees to it that the lines that have changed are painted, once, after what is being done now."""
        if not self._is_due:
            self._is_due = True
            self.call_later(self._repaint)

    def _repaint(self) -> None:
        self._is_due = False
        size = self.size
        fresh = [self._lay(y) for y in range(size.height)]
        if size != self._seen_size:
            self.refresh()
        else:
            dirty = [y for y, (new, old) in enumerate(zip(fresh, self._seen, strict=True)) if new != old]
            if dirty:
                self.refresh(*[Region(0, y, size.width, 1) for y in dirty])
        self._seen, self._seen_size = fresh, size

    def laid(self, y: int) -> Laid:
        is_known = self.size == self._seen_size and y < len(self._seen)
        return self._seen[y] if is_known else self._lay(y)

    @property
    def selectable(self) -> tuple[int, int, int, int]:
        width, height = self.size
        side = 1 if self.is_framed else 0
        return side, 1, width - side, height - side

    def selection_began(self) -> None:
        """What is selected stays where it is: the end is no longer followed."""
        if self.follows:
            self.follows = False
            self.post_message(self.Moved(self))

    def _edge_status(self) -> str:
        """The status as its edge shows it, at the size that the pane has now."""
        return self._status

    def _lay(self, y: int) -> Laid:
        """One line of the pane, edges included."""
        width, height = self.size
        signs, focused = self.signs, self.has_focus
        if y == 0 and self.tabs:
            return _plainly(tabs_edge(self.tabs, self.id or "", self._edge_status(), width))
        if y == 0:
            title = f"{self.number} {self._title}" if self.number and self._title else self._title
            return _plainly(top_edge(title, self._edge_status(), width, signs, focused, self.is_framed))
        if self.is_framed and y == height - 1:
            return _plainly(bottom_edge(width, signs, focused))
        return self._inside(y - 1, width)

    def _inside(self, y: int, width: int) -> Laid:
        above = [*self.banner, *self._head_lines]
        if y < len(above):
            pad = " " * self._gutter if y >= len(self.banner) else ""
            return self._framed([(pad, ""), *above[y]], y, width)
        index = self.top + y - len(above)
        if index >= self.row_count:
            is_last = y == self.size.height - 3 and index > self.row_count and self.is_framed
            return self._framed(self.legend if is_last else [], y, width)
        return self._row(index, y, width)

    def _row(self, index: int, y: int, width: int) -> Laid:
        """One of the lines that are shown, at a line of the pane."""
        here = index == self.cursor and self.has_cursor
        line = self._draw(index, self.inner_width)
        if self._gutter:
            line = [(f"{self.signs.cursor} " if here else "  ", "cursor"), *line]
        under = ("line-here" if self.has_focus else "line-kept") if here else ""
        return self._framed(line, y, width, under, here and not self._gutter and self.has_focus)

    def _framed(self, line: Line, y: int, width: int, under: str = "", marked: bool = False) -> Laid:
        """The line between the sides of the frame; the right side shows which part of the rows is seen."""
        pad = (self.signs.cursor, "cursor") if marked else (" ", "")
        sides = 2 if self.is_framed else 0
        inside = [pad, *cut(line, max(0, width - 2 - sides)), (" ", "")]
        laid = [(text, role, under) for text, role in inside]
        if not self.is_framed:
            return laid
        role = "frame-focus" if self.has_focus else "frame"
        side = (self.signs.frame_focus if self.has_focus else self.signs.frame)[3]
        return [(side, role, ""), *laid, (self.signs.thumb if self._in_thumb(y) else side, role, "")]

    def _in_thumb(self, y: int) -> bool:
        rows, room = self.row_count, self.room
        y -= len(self.banner) + len(self._head_lines)
        if rows <= room or y < 0 or room < 2:
            return False
        size = max(1, room * room // rows)
        start = (room - size) * self.top // max(1, rows - room)
        return start <= y < start + size


def _plainly(line: Line) -> Laid:
    return [(text, role, "") for text, role in line]
