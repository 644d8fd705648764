"""The frame of every screen over data: header, summary, panes, prompt and footer, and what happens to a view that comes.

Invariant: a screen draws the last view that came for its own query and nothing else; when the feed is lost it keeps that
view and marks it. Subclasses say what to ask for (`asks`) and how to draw what comes (`draw_view`); `base` adds the keys.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.containers import Container
from textual.events import Key as KeyEvent
from textual.events import Resize
from textual.screen import Screen

from trajectory.view.link import Link
from trajectory.view.rows import Health, Missing, Query, View
from tui import keys
from tui.drawing.bars import Contact, footer_line, header_line, offers_line
from tui.drawing.line import Line, cut, measure, spread
from tui.links import link_to
from tui.plain import spoken
from tui.signs import Signs
from tui.widgets.bar import Bar, Footer
from tui.widgets.pane import Pane
from tui.widgets.prompt import Prompt

if TYPE_CHECKING:
    from tui.app import TrajectoryApp

NARROWEST, LOWEST = 40, 10


class FramedScreen(Screen[None]):
    """A screen with panes. `name_here` is its name in the table of keys."""

    name_here: ClassVar[str] = ""
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
        self._observed: tuple[object, dict[str, list[str]]] = (None, {})  # values for the prompt, of a view
        self._arrival: tuple[str, str, str] | None = None  # a pane, and a row of it by key or by span, to go to

    # What subclasses say

    def asks(self) -> Query:
        """What to ask the feed for."""
        raise NotImplementedError

    def is_for(self, query: Query) -> bool:
        """Whether what came for this query still belongs here."""
        return query == self.asks()

    def beat(self) -> None:
        """Moves on what moves by itself; called at each tick, before the feed is asked."""

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

    def link(self) -> Link | None:
        """The link to what is under the cursor, or nothing where there is nothing."""
        view = getattr(self.view, "trace", None)
        trace_id, started_ns = str(getattr(self, "trace_id", "")), int(getattr(view, "started_ns", 0))
        return link_to(self.row_of(self.pane), trace_id, started_ns, self.link_view)

    @property
    def link_view(self) -> str:
        """What a link says of where it leads."""
        return self.name_here

    @property
    def subject(self) -> str:
        """What the screen is about, of the things that it can be about without being another screen."""
        return ""

    def key_of_span(self, pane: Pane, span_id: str) -> str:
        """The key of the row of a pane that tells of a span."""
        return span_id

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
        self._arrive()
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
            pane.is_framed = width >= 60 and not self.tui.is_plain
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
        if self._arrival and self.view is not None:
            self._arrive()
            self._arrival = None

    def banner_pane(self) -> Pane:
        """Where the banner stands."""
        return self.panes()[0]

    def banner(self) -> list[Line]:
        """What stands above the first pane's rows: what is wrong with the feed."""
        return self.tui.banner(self.missing)

    def update_bars(self) -> None:
        """Draws header, summary, hint and footer again where they changed."""
        if self.is_prompting:
            self.query_one("#hint").styles.width = measure(self._count_beside())
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

    def _to_crumb(self, text: str) -> None:
        """Goes back to the screen that a crumb names, where it is still open below this one."""
        start = text.rstrip(self.signs.ellipsis + "…")
        below = [each for each in self.app.screen_stack[:-1] if isinstance(each, FramedScreen)]
        wanted = next((each for each in reversed(below) if start and each.crumbs()[-1].startswith(start)), None)
        while wanted is not None and self.app.screen is not wanted:
            self.app.pop_screen()

    def _footer(self, width: int) -> list[tuple[str, str, str]]:
        if self.is_prompting:
            return self._offers(width)
        most = keys.FOOTER_KEYS_WIDE if width >= 100 else keys.FOOTER_KEYS_NARROW
        pane = self.pane.id or ""
        return footer_line(keys.footer_keys(self.name_here, pane, self.signs, self.tui.settings.moved), width, most)

    def _offers(self, width: int) -> list[tuple[str, str, str]]:
        """Below the prompt: what it could go on with, else what is wrong with what is typed, else its keys."""
        prompt = self.query_one(Prompt)
        if prompt.candidates:
            return offers_line(prompt.offered, prompt.chosen, width, self.signs)
        if self.filter_error and prompt.sign == "/":
            text = f" column {self.filter_error[1] + 1}: {self.filter_error[0]}"
            return [(text, role, "") for text, role in cut([(text, "error")], width)]
        return footer_line(keys.footer_keys("prompt", "", self.signs), width, keys.FOOTER_KEYS_NARROW)

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
        return self.rest_hint(width)

    def _count_beside(self) -> Line:
        """Beside the prompt: how much is left over, or where the fault is."""
        if self.query_one(Prompt).sign != "/":
            return []
        if self.filter_error:
            return [(f" fault in column {self.filter_error[1] + 1} ", "error")]
        return [(f" {self.counted()} ", "dim")]

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

    @property
    def is_prompting(self) -> bool:
        return bool(self.query_one(Prompt).display)
