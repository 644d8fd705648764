"""The line at the bottom in which a filter or a place to go to is typed; the column of a fault is underlined.

Invariant: what is typed is text, never markup, and every key that types is meant for it until it is closed: tab completes, up and
down go through what was entered before. A screen opens it and reads what Textual's `Input` posts.
"""

from collections.abc import Callable
from typing import ClassVar

from rich.highlighter import Highlighter
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input, Label

from tui.finding import Candidate
from tui.keys import bindings_on

_KEPT = 50  # entered texts, for each sign


class _Fault(Highlighter):
    """Underlines one column."""

    def __init__(self) -> None:
        self.column = -1

    def highlight(self, text: Text) -> None:
        if 0 <= self.column <= len(text):
            text.stylize("underline bold", self.column, max(self.column + 1, len(text)))


class _Likeliest(Suggester):
    """Shows the rest of the first candidate, which the right arrow takes."""

    def __init__(self, candidates: Callable[[], list[Candidate]]) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._candidates = candidates

    async def get_suggestion(self, value: str) -> str | None:
        return next((whole for whole, _ in self._candidates() if whole.startswith(value)), None)


class Entry(Input):
    """The input, with the prompt's keys."""

    name_here: ClassVar[str] = "prompt"
    BINDINGS: ClassVar[list[Binding]] = bindings_on("prompt")  # type: ignore[assignment]

    def __init__(self, prompt: "Prompt", fault: _Fault) -> None:
        super().__init__(
            id="prompt-input",
            compact=True,
            highlighter=fault,
            suggester=_Likeliest(lambda: prompt.candidates),
            max_length=1000,
            select_on_focus=False,
        )
        self._prompt = prompt

    def action_complete(self, delta: int) -> None:
        self._prompt.complete(delta)

    def action_typed(self, delta: int) -> None:
        self._prompt.step_back(delta)

    async def action_back(self) -> None:
        await self.screen.run_action("back")


class Prompt(Horizontal):
    """A sign, then an input of one line. `candidates` is what could be meant, `chosen` the one that tab has put in, or -1."""

    class Offered(Message):
        """There is something else to choose from, or something else is chosen."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.sign = "/"
        self.candidates: list[Candidate] = []
        self.chosen = -1
        self._offers: Callable[[str], list[Candidate]] = lambda _text: []
        self._typed: list[str] = []  # what was entered before, the newest last
        self._at = 0  # the one of those that is shown; their count where none is
        self._draft = ""  # what was typed before going through them
        self._put = ""  # by us, and not by the operator
        self._fault = _Fault()
        self.display = False

    def compose(self) -> ComposeResult:
        yield Label(" / ", id="prompt-sign", markup=False)
        yield Entry(self, self._fault)

    @property
    def entry(self) -> Entry:
        return self.query_one(Entry)

    @property
    def offered(self) -> list[str]:
        """The candidates as they are shown."""
        return [shown for _, shown in self.candidates]

    def underline(self, column: int) -> None:
        """Shows which zero-based column does not parse; -1 for none."""
        self._fault.column = column
        self.entry.refresh()

    def open(self, sign: str, value: str, offers: Callable[[str], list[Candidate]], typed: list[str]) -> None:
        """Shows the prompt with a text to begin with, and takes the focus; `typed` is kept up by `keep`."""
        self.sign, self._offers, self._typed = sign, offers, typed
        self._at, self._draft = len(typed), value
        self._fault.column = -1
        self.query_one(Label).update(f" {sign} ")
        self.candidates, self.chosen = [], -1
        self._show(value)
        self.display = True
        self.entry.select_all()
        self.take_focus()

    def take_focus(self) -> None:
        """Gives the input the focus."""
        self.screen.set_focus(self.entry, scroll_visible=False)

    def type_in(self, character: str) -> None:
        """Types a character, in the place of what is selected."""
        self.entry.replace(character, *self.entry.selection)

    def keep(self) -> None:
        """Remembers what is entered, once."""
        text = self.entry.value.strip()
        if text:
            self._typed[:] = [*(each for each in self._typed if each != text), text][-_KEPT:]

    def _show(self, text: str) -> None:
        self._put = text
        self.entry.value = text
        self.entry.cursor_position = len(text)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Offers anew what is typed by hand; what we put in leaves the choice as it is."""
        text = self.entry.value  # two tabs at once: of the first one's text nobody wants to know any more
        if text == self._put and self.chosen >= 0:
            return
        self._put = ""
        self.candidates, self.chosen = self._offers(text), -1
        self.post_message(self.Offered())

    def complete(self, delta: int) -> None:
        """Puts in the next candidate, or the one before."""
        if not self.candidates:
            return
        count = len(self.candidates)
        self.chosen = (self.chosen + delta) % count if self.chosen >= 0 or delta > 0 else count - 1
        self._show(self.candidates[self.chosen][0])
        self.post_message(self.Offered())

    def step_back(self, delta: int) -> None:
        """Shows what was entered before, or after that; at the end what was being typed."""
        at = self._at + delta
        if not 0 <= at <= len(self._typed):
            return
        if self._at == len(self._typed):
            self._draft = self.entry.value
        self._at, self.chosen = at, -1
        self._show(self._typed[at] if at < len(self._typed) else self._draft)
