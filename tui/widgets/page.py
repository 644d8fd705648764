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
