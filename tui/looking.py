"""How the dashboard looks: its signs, its theme, and the palettes in which actions and themes are chosen.

Invariant: a theme that does not exist is refused by name, never replaced in silence. The app is one of these.
"""

from textual.app import App
from textual.command import CommandPalette
from textual.theme import ThemeProvider

from trajectory.errors import ConfigError
from tui.signs import level_of, signs_at
from tui.themes import OURS, roles_of


class Looking(App[None]):
    """An app with signs and themes."""

    def look(self, glyphs: str, theme: str | None) -> None:
        """Takes a level of signs and a theme, each with what stands for nothing. Raises ConfigError for an unknown theme."""
        self.signs = signs_at(glyphs or level_of())
        self.set_class(self.signs.level == "ascii", "-ascii")
        for each in OURS:
            self.register_theme(each)
        if theme and theme not in self.available_themes:
            raise ConfigError(f"there is no theme {theme[:40]!r}; there are {', '.join(self.theme_names)}", "theme")
        self.theme = theme or OURS[0].name

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Colours of the roles for themes that do not name them."""
        return roles_of(self.current_theme)

    @property
    def theme_names(self) -> list[str]:
        """All themes, ours first."""
        ours = [each.name for each in OURS]
        return [*ours, *sorted(name for name in self.available_themes if name not in ours)]

    def next_theme(self) -> str:
        """Takes the next theme; returns its name."""
        names = self.theme_names
        self.theme = names[(names.index(self.theme) + 1) % len(names)]
        return self.theme

    async def action_next_theme(self) -> None:
        self.next_theme()

    def action_command_palette(self) -> None:
        if not isinstance(self.screen, CommandPalette):
            self.push_screen(CommandPalette(placeholder="what to do", id="--command-palette"))

    def search_themes(self) -> None:
        """Lets a theme be chosen by its name."""
        self.push_screen(CommandPalette(providers=[ThemeProvider], placeholder="which theme"))
