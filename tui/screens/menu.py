"""Two questions that lie over a screen: which format to export in, and which letter a mark has.

Invariant: what is asked is answered with one key and the question is gone; `esc` changes nothing. Opened by the app.
"""

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container

from trajectory.view.feed import Format
from tui.drawing.line import Line, put
from tui.keys import bindings_on
from tui.screens.overlay import Overlay
from tui.signs import Signs
from tui.widgets.bar import Footer
from tui.widgets.pane import Pane


class ExportScreen(Overlay):
    """The formats that a run can be exported in: those of the whole run first, then those of one of its graphs."""

    name_here = "export"
    BINDINGS: ClassVar[list[Binding]] = bindings_on("export")  # type: ignore[assignment]

    def __init__(
        self, signs: Signs, title: str, formats: list[Format], last: str, then: Callable[[Format], None]
    ) -> None:
        super().__init__(signs)
        self._title = title
        self._formats = formats
        self._last = last
        self._then = then
        self._graphs = list(dict.fromkeys(each.of for each in formats if each.of != "trace"))
        graph = last.partition(" ")[0]
        self._of = self._graphs.index(graph) if graph in self._graphs else 0
        self._shown: list[Format] = []

    def compose(self) -> ComposeResult:
        with Container(id="export-box"):
            yield Pane("export", self.signs, title=f"Export {self._title}", wide_cursor=True)
            yield Footer(self._footer, id="footer")

    def on_mount(self) -> None:
        pane = self.query_one(Pane)
        self.fill()
        if self._last in pane.keys:
            pane.want(self._last)
        self.set_focus(pane, scroll_visible=False)

    def fill(self) -> None:
        """Shows the formats of the run, and those of the graph that is chosen."""
        of = self._graphs[self._of] if self._graphs else ""
        self._shown = [each for each in self._formats if each.of in ("trace", of)]
        pane = self.query_one(Pane)
        pane.status = f"graphs of: {of}" if of else ""
        pane.show([_key(each) for each in self._shown], self._line)
        self.query_one("#export-box").styles.height = len(self._shown) + 3

    def _line(self, index: int, width: int) -> Line:
        each = self._shown[index]
        graph = "" if each.of == "trace" else f"{each.of}: "
        return [put(each.suffix, 12, "key"), (" ", ""), (f"{graph}{each.title}", "")]

    def action_choose(self) -> None:
        pane = self.query_one(Pane)
        if pane.cursor < len(self._shown):
            chosen = self._shown[pane.cursor]
            self.dismiss(None)
            self._then(chosen)

    def on_pane_opened(self, event: Pane.Opened) -> None:
        event.stop()
        self.action_choose()

    def action_turn(self, delta: int) -> None:
        if self._graphs:
            suffix = self.query_one(Pane).selected.partition(" ")[2]
            self._of = (self._of + delta) % len(self._graphs)
            self.fill()
            self.query_one(Pane).want(next((_key(f) for f in self._shown if _key(f).endswith(f" {suffix}")), ""))


def _key(chosen: Format) -> str:
    """What the setting names it by, too."""
    return f"{chosen.of} {chosen.suffix}"


class MarksScreen(Overlay):
    """The marks of a run, while it is waited for the letter of one: to set it, or to go to it."""

    name_here = "marks"
    BINDINGS: ClassVar[list[Binding]] = bindings_on("marks")  # type: ignore[assignment]

    def __init__(self, signs: Signs, marks: dict[str, str], sets: bool, then: Callable[[str], None]) -> None:
        super().__init__(signs)
        self._marks = marks
        self._sets = sets
        self._then = then

    def compose(self) -> ComposeResult:
        with Container(id="marks-box"):
            yield Pane("marks", self.signs, title="Mark this place as" if self._sets else "Go to the mark")
            yield Footer(self._footer, id="footer")

    def on_mount(self) -> None:
        pane = self.query_one(Pane)
        pane.has_cursor = False
        pane.status = "a letter"
        lines: list[Line] = [[(f"{letter}  ", "key"), (said, "")] for letter, said in sorted(self._marks.items())]
        lines = lines or [[("no mark in this run yet", "dim")]]
        pane.show([str(index) for index in range(len(lines))], lambda index, _width: lines[index])
        self.query_one("#marks-box").styles.height = min(len(lines), 26) + 3

    def action_letter(self, letter: str) -> None:
        self.dismiss(None)
        self._then(letter)
