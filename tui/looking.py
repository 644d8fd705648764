"""How the dashboard looks: its signs, its theme, and the palettes in which actions and themes are chosen.

Invariant: a theme that does not exist is refused by name, never replaced in silence. The app is one of these.
"""

import os

from textual.command import CommandPalette
from textual.theme import ThemeProvider

from trajectory.errors import ConfigError
from trajectory.view.nearly import meant
from tui.keymap import keymap_of
from tui.settings import Settings
from tui.signs import PLAIN, level_of, signs_at
from tui.themes import OURS, UNCOLOURED, roles_of
from tui.widgets.drawn import Roled


class Looking(Roled):
    """An app with signs and themes."""

    settings: Settings
    is_plain = False  # one pane at a time, nothing drawn, states in words

    def __init__(self) -> None:
        # What has no colour is not painted grey on black either: it is drawn with the terminal's own, and these left out.
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)

    def look(self, glyphs: str, theme: str | None, is_plain: bool = False) -> None:
        """Takes a level of signs and a theme, each with what stands for nothing. Raises ConfigError for an unknown theme; one
        that is only set is left out, and told."""
        self.is_plain = is_plain
        self.signs = PLAIN if is_plain else signs_at(glyphs or level_of())
        self.set_class(self.signs.level == "ascii", "-ascii")
        for each in OURS:
            self.register_theme(each)
        if theme and theme not in self.available_themes:
            there = f"; there are {', '.join(self.theme_names)}"
            raise ConfigError(f"there is no theme {theme[:40]!r}{meant(theme, self.theme_names, there)}", "theme")
        kept = self.settings.text("theme")
        if kept and kept not in self.available_themes:
            self.settings.faults.append(f"there is no theme {kept!r}{meant(kept, self.theme_names)}")
            kept = ""
        self.theme = theme or kept or (UNCOLOURED if self.no_color else OURS[0].name)
        self.set_keymap(keymap_of(self.settings.moved))

    def on_mount(self) -> None:
        self.theme_changed_signal.subscribe(self, lambda theme: self.keep("theme", theme.name))

    def keep(self, name: str, value: str | bool) -> None:
        """Keeps a setting that was changed on the screen; says so where it cannot be written."""
        if fault := self.settings.set(name, value):
            self.tell(fault)

    def tell(self, text: str) -> None:
        """Says one sentence on the screen."""

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
