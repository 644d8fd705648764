"""Text that the mouse selects in a widget that draws its own lines, as it is on the screen and without the frame around it.

Invariant: what a copy takes is what was under the mouse when it was selected, even where other rows have come there since.
Panes are such widgets; Textual keeps what is selected on a screen, and `y` copies it.
"""

from functools import lru_cache
from itertools import accumulate

from rich.segment import Segment
from rich.style import Style
from textual.selection import Selection
from textual.strip import Strip

from trajectory.view.text import cells
from tui.widgets.drawn import Drawn, Laid

_place = lru_cache(1 << 16)(
    lambda x, y: Style.from_meta({"offset": (x, y)})
)  # making one costs more than drawing its text


def _placed(strip: Strip, y: int) -> Strip:
    """The strip with the place of each segment, by which Textual finds what the mouse selects (see `Strip.apply_offsets`)."""
    segments, x = [], 0
    for text, style, _ in strip:
        segments.append(Segment(text, style + _place(x, y) if style else _place(x, y)))
        x += len(text)
    return Strip(segments, strip.cell_length)


class Selecting(Drawn):
    """Draws `laid(y)`, with what is selected marked."""

    ALLOW_SELECT = True

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._taken = ""  # the text that is selected
        self._is_selected = False

    def laid(self, y: int) -> Laid:
        """One line of the widget."""
        raise NotImplementedError

    @property
    def selectable(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of what can be selected, the last two not in it."""
        raise NotImplementedError

    def selection_began(self) -> None:
        """Something here is selected now."""

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        strip = self.laid_strip(self.laid(y), width)
        selection = self.text_selection
        span = self._span(selection, y) if selection is not None else None
        if span is not None:
            text = "".join(segment.text for segment in strip)
            first, last = (cells(text[:at]) for at in span)
            mark: Style = self.screen.get_component_rich_style("screen--selection")
            strip = Strip.join(
                [
                    strip.crop(0, first),
                    strip.crop(first, last).apply_style(mark + Style(reverse=True)),
                    strip.crop(last),
                ]
            )
        return _placed(strip, y)

    def _span(self, selection: Selection, y: int) -> tuple[int, int] | None:
        """First and last character of a line that is selected, the last one not in it."""
        left, top, right, bottom = self.selectable
        found = selection.get_span(y)
        if found is None or not top <= y < bottom:
            return None
        text = "".join(text for text, _, _ in self.laid(y))
        ends = list(accumulate((cells(char) for char in text), initial=0))
        inner = [at for at in range(len(text)) if left <= ends[at] < right]
        first, end = max(found[0], min(inner, default=0)), max(inner, default=-1) + 1
        last = end if found[1] < 0 else min(found[1], end)
        return (first, last) if first < last else None

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The text, and what stands between it and the next widget's."""
        return (self._taken, "\n") if self._taken else None

    def selection_updated(self, selection: Selection | None) -> None:
        """Takes the text when it is selected."""
        if selection is not None and not self._is_selected:
            self.selection_began()
        self._is_selected = selection is not None
        lines = []
        for y in range(self.size.height if selection is not None else 0):
            span = self._span(selection, y) if selection is not None else None
            if span is not None:
                text = "".join(text for text, _, _ in self.laid(y))
                lines.append(self._written(text[span[0] : span[1]]).rstrip())
        self._taken = "\n".join(lines)
        self.refresh()
