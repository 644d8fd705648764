"""What a screen asks the feed for and what becomes of the answer: what every screen over data says of itself.

Invariant: while the view is paused, what comes is kept and drawn when it goes on; of what is missing it is said why, and the
last truth stays. `barred` adds the lines around the panes, `framed` the panes.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import ComposeResult
from textual.screen import Screen

from trajectory.view.link import Link
from trajectory.view.views import Missing, Query, View
from tui.drawing.line import Line
from tui.links import link_to
from tui.signs import Signs
from tui.widgets.pane import Pane

if TYPE_CHECKING:
    from tui.app import TrajectoryApp


class AskingScreen(Screen[None]):
    """A screen over data. `name_here` is its name in the table of keys."""

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
        self._filter_before = ""  # as it was when one began to type another
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

    @property
    def ticks(self) -> bool:
        """Whether time alone changes what is shown: something is not over."""
        row = getattr(self.view, "whole", None) or getattr(self.view, "trace", None)
        return row is not None and row.state == "live"

    def crumbs(self) -> list[str]:
        """Where this screen is."""
        raise NotImplementedError

    def panes(self) -> list[Pane]:
        """The panes, in the order of their numbers."""
        raise NotImplementedError

    def compose_body(self) -> ComposeResult:
        """The panes, in their containers."""
        raise NotImplementedError

    def draw_view(self, view: Any) -> None:
        """Hands the rows of `view`, which is the screen's own, to the panes."""
        raise NotImplementedError

    def lay_out(self, width: int, height: int) -> None:
        """Sizes and shows the panes for a body of this size."""
        raise NotImplementedError

    def summary(self, width: int) -> list[Line]:
        """The lines below the header."""
        raise NotImplementedError

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
        raise NotImplementedError

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
        raise NotImplementedError

    @property
    def pane(self) -> Pane:
        """The pane that the keys are for."""
        raise NotImplementedError

    def redraw(self) -> None:
        """Draws the view again, with its banner."""
        raise NotImplementedError

    def update_bars(self) -> None:
        """Draws the lines around the panes again where they changed."""
        raise NotImplementedError

    # The app

    @property
    def tui(self) -> "TrajectoryApp":
        """The app, by its own type."""
        return cast("TrajectoryApp", self.app)

    @property
    def signs(self) -> Signs:
        return self.tui.signs

    # What comes

    def answered(self, query: Query, view: View) -> None:
        """Takes the answer to a query, if that still belongs here."""
        if self.is_for(query):
            self.accept(view)

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

    def draw_paused(self, view: Any) -> None:
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

    def banner_pane(self) -> Pane:
        """Where the banner stands."""
        return self.panes()[0]

    def banner(self) -> list[Line]:
        """What stands above the first pane's rows: what is wrong with the feed."""
        return self.tui.banner(self.missing, is_empty=self.view is None)
