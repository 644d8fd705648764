"""A widget that is drawn line by line from bits with roles; the theme gives each role its style.

Invariant: every line passes `cut`, so it is exactly as wide as the widget and holds no control code. Panes and bars build on it.
"""

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from tui.drawing.line import ROLES, Line, cut


class Drawn(Widget):
    """Draws lines of roles on the line interface, one strip at a time."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"drawn--{role}" for role in (*ROLES, "line-here", "line-kept")}
    ALLOW_SELECT = False

    def role_style(self, role: str) -> Style:
        """The style of a role; nothing for the plain one."""
        return self.get_component_rich_style(f"drawn--{role}", partial=True) if role else Style.null()

    def strip(self, line: Line, width: int, under: Style | None = None) -> Strip:
        """The line as a strip of `width` cells; `under` is laid below every bit, as for the line of the cursor."""
        base = self.rich_style if under is None else self.rich_style + under
        segments = [Segment(text, base + self.role_style(role)) for text, role in cut(line, width)]
        return Strip(segments, width)
