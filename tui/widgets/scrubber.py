"""The bar of a replay: drawn as any bar, and a click or a drag on it says where one wants to be."""

from textual.events import MouseDown, MouseMove, MouseUp
from textual.message import Message

from tui.widgets.bar import Bar


class Scrubber(Bar):
    """Posts Dragged with the column; what instant that is, the screen knows."""

    class Dragged(Message):
        """The mouse is down on a column."""

        def __init__(self, column: int) -> None:
            super().__init__()
            self.column = column

    def on_mouse_down(self, event: MouseDown) -> None:
        event.stop()
        self.capture_mouse()
        self.post_message(self.Dragged(event.x))

    def on_mouse_move(self, event: MouseMove) -> None:
        if self.app.mouse_captured is self:
            event.stop()
            self.post_message(self.Dragged(event.x))

    def on_mouse_up(self, event: MouseUp) -> None:
        event.stop()
        self.release_mouse()
