"""The line at the bottom in which a filter or a place to go to is typed; the column of a fault is underlined.

Invariant: what is typed is text, never markup. A screen opens it and reads what Textual's `Input` posts.
"""

from rich.highlighter import Highlighter
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.suggester import Suggester
from textual.widgets import Input, Label

from trajectory.view.query import FIELDS


class _Fault(Highlighter):
    """Underlines one column."""

    def __init__(self) -> None:
        self.column = -1

    def highlight(self, text: Text) -> None:
        if 0 <= self.column <= len(text):
            text.stylize("underline bold", self.column, max(self.column + 1, len(text)))


class _Fields(Suggester):
    """Completes the name of a field at the end of a filter."""

    async def get_suggestion(self, value: str) -> str | None:
        word = value.rsplit(" ", 1)[-1].lstrip("-!(")
        names = [name for name in FIELDS if len(word) > 1 and name.startswith(word) and name != word]
        return value + names[0][len(word) :] + ":" if names else None


class Prompt(Horizontal):
    """A sign, then an input of one line."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.sign = "/"
        self._fault = _Fault()
        self.display = False

    def compose(self) -> ComposeResult:
        yield Label(" / ", id="prompt-sign", markup=False)
        yield Input(
            id="prompt-input",
            compact=True,
            highlighter=self._fault,
            suggester=_Fields(case_sensitive=True),
            max_length=1000,
        )

    @property
    def fault(self) -> int:
        """The zero-based column that does not parse, or -1."""
        return self._fault.column

    @fault.setter
    def fault(self, column: int) -> None:
        self._fault.column = column
        self.query_one(Input).refresh()

    def open(self, sign: str, value: str) -> None:
        """Shows the prompt with a text to begin with, and takes the focus."""
        self.sign = sign
        self._fault.column = -1
        self.query_one(Label).update(f" {sign} ")
        entry = self.query_one(Input)
        entry.value = value
        entry.cursor_position = len(value)
        self.display = True
        self.screen.set_focus(entry, scroll_visible=False)
