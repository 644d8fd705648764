"""A pane of plots: lines that are made for its width and its height, without a cursor on them.

Invariant: made anew after each change of its size, and once for each view; a click on it says over which column it was. The
signals' screen has one.
"""

from collections.abc import Callable

from textual.events import Click
from textual.message import Message

from tui.drawing.line import Line
from tui.signs import Signs
from tui.widgets.pane import Pane

Make = Callable[[int, int], list[Line]]  # width and height in cells


class PlotPane(Pane):
    """Shows what `make` makes."""

    class Pointed(Message):
        """A cell was clicked; `x` counts from the first of the lines."""

        def __init__(self, x: int) -> None:
            super().__init__()
            self.x = x

    def __init__(self, id: str, signs: Signs, title: str, number: int, make: Make) -> None:
        super().__init__(id, signs, title=title, number=number)
        self.has_cursor = False
        self._make = make

    def fill(self) -> None:
        """Makes the lines anew."""
        lines = self._make(self.inner_width, max(0, self.size.height - (2 if self.is_framed else 1) - len(self.banner)))
        self.show([str(at) for at in range(len(lines))], lambda index, _width: lines[index])

    def on_resize(self) -> None:
        self.fill()
        super().on_resize()

    def on_click(self, event: Click) -> None:
        super().on_click(event)
        if event.y > 0:
            self.post_message(self.Pointed(event.x - self._inset))
