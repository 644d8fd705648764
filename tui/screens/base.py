"""What all screens over data share: header, summary, panes, prompt, footer, and the keys that mean the same everywhere.

Invariant: a screen draws the last view that came for its own query and nothing else; when the feed is lost it keeps that
view and marks it. `esc` undoes one thing: the prompt, the zoom, the filter, then the screen. Subclasses say what to ask for
(`asks`), and how to draw what comes (`draw_view`).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.containers import Container
from textual.events import Key as KeyEvent
from textual.events import Resize
from textual.screen import Screen
from textual.widgets import Input

from trajectory.errors import QueryError
from trajectory.view.query import parse
from trajectory.view.rows import Health, Missing, Query, View
from tui import keys
from tui.drawing.bars import Contact, footer_line, header_line
from tui.drawing.line import Line, spread
from tui.drawing.numbers import stamp, wall
from tui.signs import Signs
from tui.widgets.bar import Bar, Footer
from tui.widgets.pane import Pane
from tui.widgets.prompt import Prompt

if TYPE_CHECKING:
    from tui.app import TrajectoryApp

NARROWEST, LOWEST = 40, 10


class DataScreen(Screen[None]):
    """A screen with panes. `name_here` is its name in the table of keys."""

    name_here: ClassVar[str] = ""
    has_filter: ClassVar[bool] = True
    AUTO_FOCUS = None
    ENABLE_COMMAND_PALETTE: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.view: Any = None  # the last view of this screen's own kind
        self.held: View | None = None  # came while paused
        self.filter_text = ""
        self.filter_error: tuple[str, int] | None = None
        self.zoomed = ""
        self.said = ""
        self.missing = ""
        self._prompt_for: Callable[[str], None] | None = None
        self._pane_before: Pane | None = None  # had the focus before the prompt

    # What subclasses say

    def asks(self) -> Query:
        """What to ask the feed for."""
        raise NotImplementedError

    def crumbs(self) -> list[str]:
        """Where this screen is."""
        raise NotImplementedError

    def panes(self) -> list[Pane]:
        """The panes, in the order of their numbers."""
        raise NotImplementedError

    def compose_body(self) -> ComposeResult:
        """The panes, in their containers."""
        raise NotImplementedError

    def draw_view(self) -> None:
        """Hands the rows of `self.view` to the panes."""
        raise NotImplementedError

    def lay_out(self, width: int, height: int) -> None:
        """Sizes and shows the panes for a body of this size."""
        raise NotImplementedError

    def summary(self, width: int) -> list[Line]:
        """The lines below the header."""
        return []

    def summary_height(self, width: int) -> int:
        """How many lines the summary takes."""
        return 1

    def takes(self, view: View) -> bool:
        """Whether this is the screen's kind of view."""
        raise NotImplementedError

    def row_of(self, pane: Pane) -> object | None:
        """The row under a pane's cursor."""
        raise NotImplementedError

    def value_of(self, pane: Pane) -> str:
        """What `y` copies."""
        return pane.selected

    def counted(self) -> str:
        """What a filter leaves over: `3 of 214`."""
        return ""

    # Structure

    @property
    def tui(self) -> "TrajectoryApp":
        """The app, by its own type."""
        from tui.app import TrajectoryApp

        app = self.app
        if not isinstance(app, TrajectoryApp):
            raise TypeError("this screen belongs to another app")
        return app

    @property
    def signs(self) -> Signs:
        return self.tui.signs

    def compose(self) -> ComposeResult:
        yield Bar(self._tiny, id="tiny")
        yield Bar(self._header, id="header")
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
        self.plan()
        self.begin()
        self.tui.ask_now()

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
            pane.is_framed = width >= 60
        self._arrange(width, height - 2 - summary - hint)
        self.update_bars()

    def _arrange(self, width: int, height: int) -> None:
        for pane in self.panes():
            pane.styles.width, pane.styles.height = "1fr", "1fr"
            pane.display = True
        self.lay_out(width, height)
        if self.zoomed:
            self._zoom()

    def _zoom(self) -> None:
        for pane in self.panes():
            pane.display = pane.id == self.zoomed
            pane.styles.width, pane.styles.height = "100%", "100%"
            if pane.display and isinstance(pane.parent, Container):
                pane.parent.display = True
        for row in self.query("#body > Container"):
            row.display = any(child.display for child in row.children)
            row.styles.height = "1fr"

    @property
    def pane(self) -> Pane:
        """The pane with the focus, also while the prompt has it; else the first one."""
        focused = self.focused
        return focused if isinstance(focused, Pane) else self._pane_before or self.panes()[0]

    def focus_pane(self, index: int) -> None:
        """Gives a pane the focus, and shows it where it was folded away."""
        panes = self.panes()
        if 0 <= index < len(panes):
            self.reveal_pane(panes[index])
            self.set_focus(panes[index], scroll_visible=False)

    def reveal_pane(self, pane: Pane) -> None:
        """Makes a pane visible; a zoomed one gives way."""
        if self.zoomed and self.zoomed != pane.id:
            self.zoomed = pane.id or ""
            self.plan()

    # What comes

    def accept(self, view: View) -> None:
        """Takes a view that came for this screen's query; while paused, keeps it for later."""
        if isinstance(view, Missing):
            self._accept_missing(view)
            return
        if not self.takes(view):
            return
        self.missing = ""
        if self.tui.is_paused and self.view is not None:
            self.held = view
            self.draw_paused(view)
        else:
            self.view, self.held = view, None
            self.redraw()
        self.update_bars()

    def draw_paused(self, view: View) -> None:
        """Draws what goes on while the view is paused."""

    def _accept_missing(self, view: Missing) -> None:
        if view.position >= 0:
            self.filter_error = (view.reason, view.position)
        else:
            self.missing = view.reason
        self.redraw()
        self.update_bars()

    def release(self) -> None:
        """Draws what came while paused."""
        if self.held is not None:
            self.view, self.held = self.held, None
        self.redraw()
        self.update_bars()

    def redraw(self) -> None:
        """Draws the view again, with its banner."""
        for pane in self.panes():
            pane.banner = []
        self.banner_pane().banner = self.banner()
        if self.view is not None:
            self.draw_view()
        for pane in self.panes():
            pane.redraw()

    def banner_pane(self) -> Pane:
        """Where the banner stands."""
        return self.panes()[0]

    def banner(self) -> list[Line]:
        """What stands above the first pane's rows: what is wrong with the feed."""
        return self.tui.banner(self.missing)

    def update_bars(self) -> None:
        """Draws header, summary, hint and footer again where they changed."""
        for bar in self.query(Bar):
            bar.update()
        self.query_one(Footer).update()

    # Bars

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

    def _footer(self, width: int) -> list[tuple[str, str, str]]:
        most = keys.FOOTER_KEYS_WIDE if width >= 100 else keys.FOOTER_KEYS_NARROW
        pane = self.pane.id or ""
        return footer_line(keys.footer_keys(self.name_here, pane, self.signs), width, most)

    def _hint(self, width: int) -> list[Line]:
        if self.said:
            return [[(" ", ""), (self.said, "strong")]]
        if self.filter_error:
            return [[(" ", ""), (f"{self.filter_error[0]} (column {self.filter_error[1] + 1})", "error")]]
        if self.filter_text:
            shown: Line = [(" / ", "key"), (self.filter_text, "strong")]
            return [spread(shown, [(f"{self.counted()}, n/N to step, esc to clear ", "dim")], width)]
        if self.is_prompting:
            return [[(self.counted(), "dim")]]
        return self.rest_hint(width)

    def rest_hint(self, width: int) -> list[Line]:
        """The hint while nothing is typed, filtered or said."""
        return [[(" /", "dim")]]

    def say(self, text: str) -> None:
        """Shows one sentence until the next key."""
        self.said = text
        self.query_one("#hint-line").display = True
        self.update_bars()

    def on_key(self, event: KeyEvent) -> None:
        if self.said:
            self.said = ""
            self.update_bars()

    def on_descendant_focus(self) -> None:
        self.update_bars()

    def on_pane_moved(self, event: Pane.Moved) -> None:
        event.stop()
        self.moved(event.pane)
        self.update_bars()

    def moved(self, pane: Pane) -> None:
        """Another row is under a pane's cursor."""

    def on_pane_opened(self, event: Pane.Opened) -> None:
        event.stop()
        self.action_open()

    # Keys: move

    def action_line(self, delta: int) -> None:
        self.pane.move(delta)

    def action_half(self, direction: int) -> None:
        self.pane.move(direction * max(1, self.pane.room // 2))

    def action_page(self, direction: int) -> None:
        self.pane.move(direction * self.pane.room)

    def action_first(self) -> None:
        self.pane.move(-len(self.pane.keys))

    def action_last(self) -> None:
        self.pane.move(len(self.pane.keys))

    def action_next_pane(self, delta: int) -> None:
        shown = [pane for pane in self.panes() if pane.display]
        at = shown.index(self.pane) if self.pane in shown else 0
        self.set_focus(shown[(at + delta) % len(shown)], scroll_visible=False)

    def action_pane(self, number: str) -> None:
        if int(number) > len(self.panes()):
            self.say(f"there is no pane {number} here")
        else:
            self.focus_pane(int(number) - 1)

    def action_open(self) -> None:
        self.say("nothing to open here")

    def action_back(self) -> None:
        if self.is_prompting:
            self.close_prompt()
        elif self.zoomed:
            self.zoomed = ""
            self.plan()
        elif self.filter_text:
            self.apply_filter("")
        elif len(self.app.screen_stack) > 2:
            self.app.pop_screen()

    # Keys: find

    @property
    def is_prompting(self) -> bool:
        return bool(self.query_one(Prompt).display)

    def ask(self, sign: str, value: str, then: Callable[[str], None]) -> None:
        """Opens the prompt; `then` gets what is typed when it is entered."""
        self._prompt_for = then
        self._pane_before = self.pane
        self.query_one(Prompt).open(sign, value)
        self.plan()

    def close_prompt(self) -> None:
        """Closes the prompt and gives the pane its focus back."""
        self.query_one(Prompt).display = False
        self._prompt_for = None
        self.set_focus(self._pane_before or self.panes()[0], scroll_visible=False)
        self.plan()

    def action_filter(self) -> None:
        self.ask("/", self.filter_text, lambda _text: None)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self.query_one(Prompt).sign == "/":
            self.apply_filter(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        then, text = self._prompt_for, event.value
        self.close_prompt()
        if then:
            then(text)

    def apply_filter(self, text: str) -> None:
        """Filters by the text if it parses; a fault is shown at its column and the last good result stays."""
        try:
            parse(text)
        except QueryError as error:
            self.filter_error = (str(error), error.position)
            self.query_one(Prompt).fault = error.position
        else:
            self.filter_error = None
            self.query_one(Prompt).fault = -1
            self.filter_text = text.strip()
            self.tui.ask_now()
        self.update_bars()

    def action_match(self, delta: int) -> None:
        pane = self.pane
        if not self.filter_text:
            self.say("no filter is set: / sets one")
        elif pane.keys:
            pane.go((pane.cursor + delta) % len(pane.keys))

    def is_error(self, pane: Pane, index: int) -> bool:
        """Whether a row of a pane shows an error."""
        return False

    def action_next_error(self) -> None:
        pane = self.pane
        count = len(pane.keys)
        for step in range(1, count + 1):
            if self.is_error(pane, (pane.cursor + step) % count):
                pane.go((pane.cursor + step) % count)
                return
        self.say("no error in this list")

    def action_go_to(self) -> None:
        self.ask(":", "", self.tui.go_to)

    # Keys: live, look, take away

    def action_pause(self) -> None:
        self.tui.pause()

    def action_zoom(self) -> None:
        self.zoomed = "" if self.zoomed else (self.pane.id or "")
        self.plan()

    def action_times(self) -> None:
        self.tui.wall_times = not self.tui.wall_times
        self.redraw()
        self.say("times by the clock" if self.tui.wall_times else "times since the start of the run")

    def when(self, at_ns: int, start_ns: int) -> str:
        """An instant as the operator wants it: since the start, or by the clock."""
        if not at_ns:
            return "--:--.---"
        return wall(at_ns, self.tui.zone, millis=True) if self.tui.wall_times else stamp(at_ns - start_ns)

    def action_health(self) -> None:
        self.tui.show_health()

    def action_theme(self) -> None:
        self.say(f"theme {self.tui.next_theme()}")

    def action_help(self) -> None:
        self.tui.show_help(self.name_here, self.pane)

    def action_copy(self) -> None:
        value = self.value_of(self.pane)
        self.say(self.tui.copy(value) if value else "nothing to copy here")

    def action_copy_json(self) -> None:
        row = self.row_of(self.pane)
        self.say(self.tui.copy_row(row) if row is not None else "nothing to copy here")

    def action_picture(self) -> None:
        self.say(self.tui.save_picture())

    def action_acknowledge(self) -> None:
        self.say("no alert is under the cursor")

    def action_mute(self) -> None:
        self.say("no alert is under the cursor")
