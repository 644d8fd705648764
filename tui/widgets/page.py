"""A pane of a page: lines that are made for its width, each of which may open a span or an alert.

Invariant: after a change of width the lines are made anew, and the screen is told when that changed how many there are. The
cockpit's suspects and the three panes of an alert's page are such panes.
"""

from collections.abc import Callable

from tui.drawing.line import Line, plain
from tui.drawing.page import PageLine
from tui.signs import Signs
from tui.widgets.pane import Pane

Make = Callable[[int], list[PageLine]]  # width in cells


class PagePane(Pane):
    """Shows what `make` makes, under what `head` makes; `resized` is called where a change of width made more lines or fewer."""

    def __init__(
        self,
        id: str,
        signs: Signs,
        title: str,
        number: int,
        make: Make,
        resized: Callable[[], None],
        head: Callable[[int], list[Line]] | None = None,
    ) -> None:
        super().__init__(id, signs, title=title, number=number)
        self._columns = head
        self.lines: list[PageLine] = []
        self.wanted_text = ""  # marked where it stands
        self.is_by_choice = False  # keys go from one thing that opens to the next, and not from line to line
        self.refit = self._refit
        self._make = make
        self._resized = resized

    def fill(self) -> None:
        """Makes the lines anew."""
        lines = self.lines = self._make(self.inner_width)
        self.show([line.key for line in lines], lambda index, _width: self._marked(lines[index].line), self._columns)

    def _refit(self) -> None:
        before = len(self.lines)
        self.fill()
        if before != len(self.lines):
            self._resized()

    def _choices(self) -> list[int]:
        """The first line of each thing that can be opened; none where keys go from line to line."""
        told = [line.choice for line in self.lines] if self.is_by_choice else []
        return [at for at, choice in enumerate(told) if choice[1] and (at == 0 or choice != told[at - 1])]

    def move(self, delta: int) -> None:
        """Goes to another choice, as far as `delta` lines reach, at least to the next one. No line is passed unseen: where one
        would be, behind the last choice, and back to a cursor that was scrolled out of sight, it scrolls."""
        choices, sign = self._choices(), 1 if delta > 0 else -1
        ahead = [at for at in choices[::sign] if (at - self.cursor) * sign > 0]
        is_in_sight = self.cursor < self.top + self.room if delta > 0 else self.cursor >= self.top
        if not choices:
            super().move(delta)
        elif abs(delta) >= len(self.keys):
            self.go(ahead[-1] if ahead else self.cursor)
            self.scroll_rows(delta)
        elif not (ahead and is_in_sight):
            self.scroll_rows(delta)
        else:
            goal = ([at for at in ahead if abs(at - self.cursor) <= abs(delta)] or ahead[:1])[-1]
            if (self._top_for(goal, choices) - self.top) * sign > self.room:
                self.scroll_rows(sign * max(1, self.room - 1))
            else:
                self.go(goal)

    def _top_for(self, index: int, choices: list[int]) -> int:
        """The first line to show for a choice to be seen with all that is told of it, as far as there is room."""
        last = next((at for at in choices if at > index), len(self.keys)) - 1
        first = 0 if choices and index <= choices[0] else index
        top = min(max(self.top, last - self.room + 1), first)
        return max(min(top, index), index - self.room + 1, 0)

    def _reveal(self) -> None:
        choices = self._choices()
        if choices and self.cursor < len(self.keys):
            self.top = self._top_for(self.cursor, choices)
        else:
            super()._reveal()

    @property
    def line(self) -> PageLine | None:
        """The line under the cursor."""
        return self.lines[self.cursor] if self.cursor < len(self.lines) else None

    @property
    def value(self) -> str:
        """What a copy of the line under the cursor takes."""
        line = self.line
        return (line.value or plain(line.line).strip()) if line else ""

    def matches(self) -> list[int]:
        """The lines that hold the text that is looked for."""
        found = self.wanted_text.casefold()
        return [at for at, line in enumerate(self.lines) if found and found in plain(line.line).casefold()]

    def _marked(self, line: Line) -> Line:
        found, text = self.wanted_text.casefold(), plain(line)
        at = text.casefold().find(found) if found else -1
        if at < 0:
            return line
        return [(text[:at], ""), (text[at : at + len(found)], "found"), (text[at + len(found) :], "")]
