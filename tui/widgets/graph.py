"""A pane over a graph that may be larger than itself: the cursor goes from box to box, and the view after it, in both directions.

Invariant: the box under the cursor is seen; it is told by its sign, without colour. The cockpit shows delegations in it.
"""

from textual.events import MouseScrollLeft, MouseScrollRight

from trajectory.view.text import cells
from tui.drawing.canvas import window
from tui.drawing.graph import GraphDrawing
from tui.signs import Signs
from tui.widgets.drawn import Laid
from tui.widgets.pane import Pane


class GraphPane(Pane):
    """Shows a drawing; its keys are the boxes' in reading order."""

    def __init__(self, id: str, signs: Signs, *, title: str, number: int) -> None:
        super().__init__(id, signs, title=title, number=number)
        self._drawing = GraphDrawing([], {}, [], {})
        self._left = 0

    def draw(self, drawing: GraphDrawing) -> None:
        """Takes another drawing."""
        self._drawing = drawing
        self.show(drawing.order, lambda _index, _width: [])

    @property
    def row_count(self) -> int:
        return len(self._drawing.rows)

    def line_of(self, index: int) -> int:
        return self._drawing.places[self.keys[index]].y if 0 <= index < len(self.keys) else 0

    def key_at(self, x: int, line: int) -> int:
        at = x + self._left
        for index, key in enumerate(self.keys):
            place = self._drawing.places[key]
            if place.y == line and place.x <= at < place.x + place.width:
                return index
        return -1

    def _edge_status(self) -> str:
        """Also which part of it is seen, where that is not all of it."""
        width, room, status = self._drawing.width, self.inner_width, super()._edge_status()
        if width <= room:
            return status
        part = f"cells {self._left + 1}{self.signs.dash}{min(width, self._left + room)} of {width}"
        return f"{part} {self.signs.dot} {status}" if status else part

    def aside(self, direction: int) -> bool:
        """Goes to the nearest box of the next column that way; False where there is none."""
        places = self._drawing.places
        here = places.get(self.selected)
        if here is None:
            return False
        ahead = [key for key in self.keys if (places[key].layer - here.layer) * direction > 0]
        if not ahead:
            return False
        nearest = min(ahead, key=lambda key: (abs(places[key].layer - here.layer), abs(places[key].y - here.y)))
        self.go(list(self.keys).index(nearest))
        return True

    def pan(self, delta: int) -> None:
        """Shows what is further left or right, and leaves the cursor."""
        self._left = max(0, min(self._left + delta, self._drawing.width - self.inner_width))
        self.repaint()

    def on_mouse_scroll_left(self, event: MouseScrollLeft) -> None:
        event.stop()
        self.pan(-6)

    def on_mouse_scroll_right(self, event: MouseScrollRight) -> None:
        event.stop()
        self.pan(6)

    def _anchor(self, index: int, was_known: bool) -> None:
        self.cursor = max(0, min(index if index >= 0 else self.cursor, len(self.keys) - 1))
        self._clamp()
        self._reveal()

    def _clamp(self) -> None:
        super()._clamp()
        self._left = max(0, min(self._left, self._drawing.width - self.inner_width))

    def _reveal(self) -> None:
        super()._reveal()
        place = self._drawing.places.get(self.selected)
        if place is not None and self.size.width:  # a pane that was not laid out has no part to show
            self._left = max(min(self._left, place.x), place.x + place.width - self.inner_width, 0)

    def _row(self, index: int, y: int, width: int) -> Laid:
        row = self._drawing.rows[index]
        place = self._drawing.places.get(self.selected)
        is_here = place is not None and place.y == index
        if is_here and place is not None:
            row = [*row]
            row[place.x] = (self.signs.cursor, "cursor")
        room = self.inner_width
        if not is_here or place is None:
            return self._framed(window(row, self._left, room), y, width)
        first = max(0, place.x - self._left)
        end = max(first, min(room, place.x + place.width - self._left))
        under = "line-here" if self.has_focus else "line-kept"
        laid = self._framed([], y, width)
        edges = (laid[:2], laid[-2:]) if self.is_framed else (laid[:1], laid[-1:])
        parts = [(first, 0, ""), (end - first, first, under), (room - end, end, "")]
        inside = [(t, r, below) for size, at, below in parts for t, r in window(row, self._left + at, size)]
        used = sum(cells(text) for text, _, _ in inside)
        return [*edges[0], *inside, (" " * (room - used), "", ""), *edges[1]]
