"""One or more fixed lines: the header, a summary, a hint, the footer. A bit may carry an action, which a click runs."""

from collections.abc import Callable
from itertools import accumulate

from rich.style import Style
from textual.events import Click
from textual.strip import Strip

from trajectory.view.text import cells
from tui.drawing.line import Line
from tui.widgets.drawn import Drawn

Actions = list[tuple[str, str, str]]  # text, role, action


class Bar(Drawn):
    """Draws what `draw(width)` returns; repaints only when that has changed since it was last asked by `update`."""

    def __init__(
        self, draw: Callable[[int], list[Line]], *, id: str | None = None, clicked: Callable[[str], None] | None = None
    ) -> None:
        super().__init__(id=id)
        self._draw = draw
        self._lines: list[Line] = []
        self._clicked = clicked  # gets the text of a bit that is clicked

    def on_click(self, event: Click) -> None:
        if self._clicked is None or event.y >= len(self._lines):
            return
        texts = [text for text, _role in self._lines[event.y]]
        ends = accumulate(map(cells, texts))
        self._clicked(next((text for text, end in zip(texts, ends, strict=True) if event.x < end), ""))

    def update(self) -> None:
        """Draws again; repaints where something differs."""
        lines = self._draw(self.size.width) if self.size.width else []
        if lines != self._lines:
            self._lines = lines
            self.refresh()

    def on_resize(self) -> None:
        self.update()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        return self.strip(self._lines[y] if y < len(self._lines) else [], width)


class Footer(Drawn):
    """The likeliest next keys; each can be clicked."""

    def __init__(self, draw: Callable[[int], Actions], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._draw = draw
        self._bits: Actions = []

    def update(self) -> None:
        """Draws again; repaints where something differs."""
        bits = self._draw(self.size.width) if self.size.width else []
        if bits != self._bits:
            self._bits = bits
            self.refresh()

    def on_resize(self) -> None:
        self.update()

    def render_line(self, y: int) -> Strip:
        segments = []
        for text, role, action in self._bits:
            style = self.style_of(role)
            segments.append(self.segment(text, style + Style(meta={"@click": action}) if action else style))
        return Strip(segments).adjust_cell_length(self.size.width, self.rich_style)
