"""The panes of every screen over data, in their frame: their sizes, which of them has the focus, and one of them alone.

Invariant: everything fits the terminal, or one line says that it does not; a pane that is gone to is seen, whatever its place
in the layout. Subclasses say where their panes are (`lay_out`); `base` adds the keys.
"""

from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Container
from textual.events import Resize

from tui.screens.barred import LOWEST, NARROWEST, BarredScreen
from tui.widgets.bar import Bar, Footer
from tui.widgets.pane import Pane
from tui.widgets.prompt import Prompt

TABBED = 60  # columns; on fewer one pane is shown at a time, without a frame, and the others are tabs


class FramedScreen(BarredScreen):
    """A screen with panes. Where there is no room for all, `shown_always` is the id of the one that shares the screen with one
    other, `_below`: the last one that was gone to. Empty where panes are arranged otherwise."""

    shown_always: ClassVar[str] = ""
    _below: str = ""

    def compose(self) -> ComposeResult:
        yield Bar(self._tiny, id="tiny")
        yield Bar(self._header, id="header", clicked=self._to_crumb)
        yield Bar(self.summary, id="summary")
        yield Container(*self.compose_body(), id="body")
        with Container(id="hint-line"):
            yield Prompt(id="prompt")
            yield Bar(self._hint, id="hint")
        yield Footer(self._footer, id="footer")

    def begin(self) -> None:
        """Puts the focus and the cursor where they begin."""
        self.focus_pane(0)

    def on_mount(self) -> None:
        if self.tui.is_plain:
            self.zoomed = self.panes()[0].id or ""
        self.plan()
        self.begin()
        self.redraw()
        self._arrive()
        self.tui.ask_now()

    def on_screen_resume(self) -> None:
        """What another screen was answered is not known here."""
        self.tui.ticker.refetch()

    def on_resize(self, event: Resize) -> None:
        self.plan()

    def plan(self) -> None:
        """Fits everything to the size of the terminal."""
        if not self.query(Pane):  # being built, or taken down
            return
        width, height = self.app.size
        tiny = width < NARROWEST or height < LOWEST
        self.set_class(tiny, "-tiny")
        if tiny:
            return
        hint = height >= 20 or self.is_prompting
        summary = self.summary_height(width)
        self.query_one("#summary").styles.height = summary
        self.query_one("#summary").display = summary > 0
        self.query_one("#hint-line").display = hint
        for pane in self.panes():
            pane.is_framed = width >= TABBED and not self.tui.is_plain
        self._arrange(width, height - 2 - summary - hint)
        self.update_bars()

    def _arrange(self, width: int, height: int) -> None:
        for pane in self.panes():
            pane.styles.width, pane.styles.height = "1fr", "1fr"
            pane.display = True
        self.lay_out(width, height)
        shown = self.zoomed or (self.pane.id if width < TABBED else "") or ""
        if shown:
            self._show_alone(shown)
        tabs = self.tabs() if width < TABBED and not self.tui.is_plain else []
        for pane in self.panes():
            pane.tabs = tabs if len(tabs) > 1 else []

    def tabs(self) -> list[tuple[str, str]]:
        """The panes that the narrowest screens show one at a time, in the order of their numbers: ids and names."""
        return [(pane.id or "", pane.title or pane.id or "") for pane in self.panes() if pane.can_focus]

    def _show_alone(self, shown: str) -> None:
        for pane in self.query("#body Pane").results(Pane):
            pane.display = pane.id == shown
            pane.styles.width, pane.styles.height = "100%", "100%"
        for box in reversed([*self.query("#body Container").results(Container)]):  # the inner ones first
            box.display = any(child.display for child in box.children)
            box.styles.width, box.styles.height = "1fr", "1fr"

    @property
    def pane(self) -> Pane:
        """The pane with the focus, also while the prompt has it; else the first one."""
        focused = self.focused
        return focused if isinstance(focused, Pane) else self._pane_before or self.panes()[0]

    def focus_pane(self, index: int) -> None:
        """Gives a pane the focus, and shows it where it was folded away."""
        pane = self.panes()[index]
        self.reveal_pane(pane)
        self.set_focus(pane, scroll_visible=False)
        if self.app.size.width < TABBED:
            self.plan()

    def reveal_pane(self, pane: Pane) -> None:
        """Makes a pane visible; a zoomed one gives way."""
        if self.app.size.width < TABBED:
            for above in (pane, *pane.ancestors):
                above.display = True
        if self.zoomed and self.zoomed != pane.id:
            self.zoomed = pane.id or ""
            self.plan()
        if self.shown_always:
            if pane.id != self.shown_always:
                self._below = pane.id or ""
            pane.display = True
            self.call_after_refresh(self.plan)

    def arrive(self, pane: str = "", key: str = "", span_id: str = "") -> None:
        """Gives a pane the focus, and puts its cursor on a row, by key or by span, as soon as that is there."""
        self._arrival = (pane, key, span_id)
        if self.is_mounted:
            self._arrive()

    def _arrive(self) -> None:
        if self._arrival is None:
            return
        name, key, span_id = self._arrival
        named = [pane.id for pane in self.panes()]
        if name in named:
            self.focus_pane(named.index(name))
        pane = self.pane
        key = key or (self.key_of_span(pane, span_id) if span_id and self.view is not None else "")
        if key:
            pane.follows = False
            pane.want(key)
        if key or not span_id:
            self._arrival = None

    def redraw(self) -> None:
        """Draws the view again, with its banner."""
        for pane in self.panes():
            pane.banner = []
        self.banner_pane().banner = self.banner()
        if self.view is not None:
            self.draw_view(self.view)
        for pane in self.panes():
            pane.redraw()
        if self._arrival and self.view is not None:
            self._arrive()
            self._arrival = None

    def on_descendant_focus(self) -> None:
        self.update_bars()

    def on_pane_chipped(self, event: Pane.Chipped) -> None:
        """A tab that is clicked is gone to; what else stands on an edge, the screen knows."""
        event.stop()
        named = event.text.strip("[]").casefold()
        for number, (id, name) in enumerate(self.tabs(), 1):
            if named in (f"{number} {name}".casefold(), str(number)):
                self.focus_pane([pane.id for pane in self.panes()].index(id))
                return
        self.chipped(event.pane, event.text)

    def chipped(self, pane: Pane, text: str) -> None:
        """A part of how a pane stands was clicked."""

    def on_pane_moved(self, event: Pane.Moved) -> None:
        event.stop()
        self.moved(event.pane)
        self.update_bars()

    def moved(self, pane: Pane) -> None:
        """Another row is under a pane's cursor."""
