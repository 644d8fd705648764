"""A widget that is drawn line by line from bits with roles; the theme gives each role its style.

Invariant: every line passes `cut`, so it is exactly as wide as the widget and holds no control code, and `Signs.written`, so
that what is ours is written at the level of the signs; styles are looked up once for each theme. Panes and bars build on it.
The styles are the app's, which names them by `ROLE_CLASSES`: a widget or a screen that has its own costs Textual a style
sheet's walk for each role, whenever it opens.
"""

from collections.abc import Callable
from typing import ClassVar, cast

from rich.segment import Segment
from rich.style import Style
from textual.app import App
from textual.strip import Strip
from textual.widget import Widget

from tui.drawing.line import ROLES, Line, cut
from tui.signs import UNICODE

ROLE_CLASSES = {f"drawn--{role}" for role in (*ROLES, "line-here", "line-kept")}
Laid = list[tuple[str, str, str]]  # text, role, role of what is laid below it


class Roled(App[None]):
    """An app in which roles have styles."""

    COMPONENT_CLASSES: ClassVar[set[str]] = ROLE_CLASSES

    def __init__(self, *, ansi_color: bool | None = None) -> None:
        super().__init__(ansi_color=ansi_color)
        self._role_styles: dict[str, Style] = {}

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._role_styles.clear()

    def role_style(self, role: str) -> Style:
        """The style that the theme gives to a role."""
        style = self._role_styles.get(role)
        if style is None:
            style = self._role_styles[role] = self.get_component_styles(f"drawn--{role}").partial_rich_style
        return style


class Drawn(Widget):
    """Draws lines of roles on the line interface, one strip at a time."""

    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._written: Callable[[str], str] = UNICODE.written
        self._styles_of: dict[tuple[str, str], Style] = {}

    def on_mount(self) -> None:
        signs = getattr(self.app, "signs", UNICODE)
        self._written = signs.written

    def segment(self, text: str, style: Style) -> Segment:
        """A styled text, written at the level of the signs."""
        return Segment(self._written(text), style)

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles_of.clear()
        self.refresh()

    def style_of(self, role: str, under: str = "") -> Style:
        """The style of a role, or of several one after the other, on what lies below it."""
        style = self._styles_of.get((role, under))
        if style is None:
            style = self.rich_style
            for name in (under, *role.split()):
                style += cast(Roled, self.app).role_style(name) if name else Style.null()
            self._styles_of[role, under] = style
        return style

    def strip(self, line: Line, width: int) -> Strip:
        """The line as a strip of `width` cells."""
        return Strip([self.segment(text, self.style_of(role)) for text, role in cut(line, width)], width)

    def laid_strip(self, laid: Laid, width: int) -> Strip:
        """A line that has been cut and laid over something, as a strip."""
        return Strip([self.segment(text, self.style_of(role, under)) for text, role, under in laid], width)
