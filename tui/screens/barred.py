"""The lines around the panes: header, summary, hint and footer; and one sentence that is said until the next key.

Invariant: the run's identity and the health of the feed are on screen at any width; a bar is drawn again where it changed.
Built on by `framed`.
"""

from textual.events import Key as KeyEvent

from trajectory.view.rows import Health
from tui import key_words
from tui.drawing.bars import Contact, footer_line, header_line, offers_line
from tui.drawing.line import Line, cut, measure, spread
from tui.plain import spoken
from tui.screens.asking import AskingScreen
from tui.widgets.bar import Bar, Footer
from tui.widgets.prompt import Prompt

NARROWEST, LOWEST = 40, 10


class BarredScreen(AskingScreen):
    """A screen with bars above and below."""

    def update_bars(self) -> None:
        """Draws header, summary, hint and footer again where they changed."""
        if self.is_prompting:
            self.query_one("#hint").styles.width = measure(self._count_beside())
        for bar in self.query(Bar):
            bar.update()
        self.query_one(Footer).update()

    @property
    def contact(self) -> Contact:
        return self.tui.contact

    @property
    def health_now(self) -> Health:
        return self.tui.feed_health

    def _tiny(self, width: int) -> list[Line]:
        return [
            [
                (
                    f"trajectory needs {NARROWEST}x{LOWEST}; here are {self.app.size.width}x{self.app.size.height}",
                    "warning",
                )
            ]
        ]

    def _header(self, width: int) -> list[Line]:
        return [header_line(["trajectory", *self.crumbs()], self.health_now, self.contact, width, self.signs)]

    def _to_crumb(self, text: str) -> None:
        """Goes back to the screen that a crumb names, where it is still open below this one."""
        start = text.rstrip(self.signs.ellipsis + "…")
        below = [each for each in self.app.screen_stack[:-1] if isinstance(each, BarredScreen)]
        wanted = next((each for each in reversed(below) if start and each.crumbs()[-1].startswith(start)), None)
        while wanted is not None and self.app.screen is not wanted:
            self.app.pop_screen()

    def _footer(self, width: int) -> list[tuple[str, str, str]]:
        if self.is_prompting:
            return self._offers(width)
        most = key_words.FOOTER_KEYS_WIDE if width >= 100 else key_words.FOOTER_KEYS_NARROW
        pane = self.pane.id or ""
        return footer_line(
            key_words.footer_keys(self.name_here, pane, self.signs, self.tui.settings.moved), width, most
        )

    def _offers(self, width: int) -> list[tuple[str, str, str]]:
        """Below the prompt: what it could go on with, else what is wrong with what is typed, else its keys."""
        prompt = self.query_one(Prompt)
        if prompt.candidates:
            return offers_line(prompt.offered, prompt.chosen, width, self.signs)
        if self.filter_error and prompt.sign == "/":
            text = f" column {self.filter_error[1] + 1}: {self.filter_error[0]}"
            return [(text, role, "") for text, role in cut([(text, "error")], width)]
        return footer_line(key_words.footer_keys("prompt", "", self.signs), width, key_words.FOOTER_KEYS_NARROW)

    def _hint(self, width: int) -> list[Line]:
        if self.is_prompting:
            return [self._count_beside()]
        if self.said:
            return [[(" ", ""), (self.said, "strong")]]
        if self.tui.doing:
            return [[(f" {self.signs.running} {self.tui.doing}", "strong")]]
        if self.filter_error:
            return [[(f" column {self.filter_error[1] + 1}: {self.filter_error[0]}", "error")]]
        if self.filter_text:
            shown: Line = [(" / ", "key"), (self.filter_text, "strong")]
            return [spread(shown, [(f"{self.counted()}, n/N to step, esc to clear ", "dim")], width)]
        if self.tui.is_plain:
            return [[(" " + spoken(self.row_of(self.pane)), "strong")]]
        guide = None if self.is_urgent else self.tui.guide
        if guide and (told := guide.hint(self.name_here, self.pane.id or "")):
            return [[(f" {told.format(enter=self.signs.enter, root=self.signs.root)}", "dim")]]
        return self.rest_hint(width)

    def _count_beside(self) -> Line:
        """Beside the prompt: how much is left over, or where the fault is."""
        if self.query_one(Prompt).sign != "/":
            return []
        if self.filter_error:
            return [(f" fault in column {self.filter_error[1] + 1} ", "error")]
        return [(f" {self.counted()} ", "dim")]

    @property
    def is_urgent(self) -> bool:
        """Whether the hint that this screen has of its own goes before a newcomer's next key."""
        return False

    def rest_hint(self, width: int) -> list[Line]:
        """The hint while nothing is typed, filtered or said."""
        return [[(" / filters, : goes to anything by its name", "dim")]]

    def say(self, text: str) -> None:
        """Shows one sentence until the next key."""
        self.said = text
        self.query_one("#hint-line").display = True
        self.update_bars()

    def told_of_key(self, event: KeyEvent) -> str:
        """What is to be said of a key that does nothing here; nothing of one that does something."""
        raise NotImplementedError

    def on_key(self, event: KeyEvent) -> None:
        told = self.told_of_key(event)
        if told:
            self.say(told)
        elif self.said:
            self.said = ""
            self.update_bars()

    @property
    def is_prompting(self) -> bool:
        return bool(self.query_one(Prompt).display)
