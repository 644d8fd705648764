"""One delegation: what crossed it, item by item, where each item went on to be used, and how well the hand-over went.

Invariant: the cursor is on an item by what it is, so it stays there while the run goes on; every use opens its span; `[` and `]`
go to the run's other delegations without leaving. Asks for that one delegation, which is worked out only while it is open.
"""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container

from trajectory.view.link import Link
from trajectory.view.rows import ItemRow, TraceRow
from trajectory.view.views import DelegationQuery, DelegationView, View
from tui.drawing.delegation import (
    MODES,
    history_lines,
    item_lines,
    items_head,
    items_of,
    sides_line,
    text_lines,
)
from tui.drawing.figures import figures_line, verdict_lines
from tui.drawing.line import Line
from tui.drawing.page import PageLine
from tui.keys import bindings_on
from tui.links import link_to_delegation
from tui.screens.paged import PagedScreen
from tui.widgets.page import PagePane
from tui.widgets.pane import Pane


class DelegationScreen(PagedScreen):
    """The page of one delegation."""

    name_here = "delegation"
    shown_always = "items"
    _below = "item"
    BINDINGS: ClassVar[list[Binding]] = bindings_on("delegation")  # type: ignore[assignment]
    view: DelegationView | None

    def __init__(self, trace_id: str, delegation_id: str, trace: TraceRow | None = None) -> None:
        super().__init__()
        self.trace_id = trace_id
        self.delegation_id = delegation_id
        self._trace = trace
        self._mode = MODES[0]
        self._last = ""  # the item that was under the cursor

    def compose_body(self) -> ComposeResult:
        signs = self.tui.signs
        self.items = PagePane("items", signs, "Boundary", 1, self._item_lines, self.plan, self._head)
        self.item = PagePane("item", signs, "Item", 2, self._history_lines, self.plan)
        self.verdict = PagePane("verdict", signs, "Verdict", 3, self._verdict_lines, self.plan)
        yield self.items
        yield Container(self.item, self.verdict, id="lower", classes="columns")

    @property
    def pages(self) -> list[PagePane]:
        return [self.items, self.item, self.verdict]

    @property
    def subject(self) -> str:
        return self.delegation_id

    def link(self) -> Link | None:
        return link_to_delegation(self.trace_id, self.delegation_id)

    def crumbs(self) -> list[str]:
        title = self._trace.title if self._trace else ""
        number = str(self.view.number) if self._is_here(self.view) and self.view else self.delegation_id[:4]
        return ["runs", f"{self.trace_id[:4]} {title}".strip(), f"delegation {number}"]

    def asks(self) -> DelegationQuery:
        return DelegationQuery(self.trace_id, self.delegation_id)

    def takes(self, view: View) -> bool:
        return isinstance(view, DelegationView) and self._is_here(view)

    def _is_here(self, view: DelegationView | None) -> bool:
        return view is not None and view.row.delegation_id == self.delegation_id

    # Layout

    def lay_out(self, width: int, height: int) -> None:
        lower = self.query_one("#lower")
        lower.display = True
        if width < 60 or height < 14:
            for pane in self.panes():
                pane.display = pane is self.pane
            lower.display = self.pane is not self.items
            lower.styles.height = "1fr"
            return
        is_wide = width >= 100
        if not is_wide:
            self.item.display, self.verdict.display = self._below == "item", self._below == "verdict"
        has_focus = self.pane is not self.items
        spare = height - len(self.items.lines) - 4
        most = height * 2 // 3 if has_focus else height * 3 // 5
        lower.styles.height = max(5, min(max(spare, most if has_focus else height // 3), most))
        self.verdict.styles.width = max(44, width * 42 // 100) if is_wide else "1fr"

    def summary_height(self, width: int) -> int:
        return 2 if self.app.size.height >= 16 else 1

    def summary(self, width: int) -> list[Line]:
        view = self.view
        if view is None:
            return [[(f" opening delegation {self.delegation_id[:8]} {self.signs.ellipsis}", "dim")]]
        return [sides_line(view, width, self.signs, self._when), figures_line(view.figures, width, self.signs)]

    # Drawing

    def _when(self, at_ns: int) -> str:
        return self.when(at_ns, self.view.trace.started_ns if self.view else 0)

    def draw_view(self, view: DelegationView) -> None:
        self._trace = view.trace
        before = [len(pane.lines) for pane in self.pages]
        self.fill()
        self._titles(view)
        if before != [len(pane.lines) for pane in self.pages]:
            self.plan()

    def _titles(self, view: DelegationView) -> None:
        shown, whole = len(items_of(view, self._mode)), view.items_total
        self.items.title = "Texts" if self._mode == "text" else "Boundary"
        counted = "" if self._mode == "text" else f"{shown} of {whole} items  "
        self.items.status = f"{counted}v {self._mode}"
        self.item.status = "" if self.app.size.width >= 100 else "3 verdict"
        self.verdict.status = "" if self.app.size.width >= 100 else "2 item"

    def _head(self, width: int) -> list[Line]:
        return [] if self._mode == "text" else [items_head(self.view, width)]

    def _item_lines(self, width: int) -> list[PageLine]:
        view = self.view
        if view is None:
            return []
        return (
            text_lines(view, width, self.signs)
            if self._mode == "text"
            else item_lines(view, self._mode, width, self.signs)
        )

    @property
    def under(self) -> ItemRow | None:
        """The item under the cursor; while the texts are shown, the one that was."""
        known = {item.key: item for item in self.view.items} if self.view else {}
        return known.get(self.items.selected) or known.get(self._last)

    def _history_lines(self, width: int) -> list[PageLine]:
        return history_lines(self.under, width, self.signs, self._when) if self.view else []

    def _verdict_lines(self, width: int) -> list[PageLine]:
        return verdict_lines(self.view, width, self.signs) if self.view else []

    def moved(self, pane: Pane) -> None:
        if pane is self.items:
            self._last = self.under.key if self.under else ""
            self.item.cursor = self.item.top = 0
            self.item.fill()

    def banner(self) -> list[Line]:
        if self.view is None and not self.missing and self.contact.state == "live":
            return [[(f"Asking for the delegation {self.signs.ellipsis}", "dim")]]
        return super().banner()

    def on_descendant_focus(self) -> None:
        super().on_descendant_focus()
        self.plan()

    # Keys

    def action_next_pane(self, delta: int) -> None:
        self.focus_pane((self.panes().index(self.pane) + delta) % len(self.panes()))

    def action_open(self) -> None:
        if self.pane is self.items and self.under is not None:
            self.focus_pane(1)
        else:
            self.open_line(self.trace_id, self._trace)

    def action_used(self) -> None:
        item = self.under
        if item is None:
            self.say("no item is under the cursor: v shows the items")
        elif not item.uses:
            self.say(f"nobody used {item.text[:40]} later, as far as was recorded")
        else:
            self.focus_pane(1)
            self.item.want(f"use {item.uses[0].span_id} {item.uses[0].what}")

    def action_mode(self) -> None:
        self._mode = MODES[(MODES.index(self._mode) + 1) % len(MODES)]
        self.redraw()
        if self._last and self._mode != "text":
            self.items.want(self._last)
        self.plan()
        self.update_bars()

    def action_sibling(self, direction: int) -> None:
        view = self.view
        goal = (view.previous_id if direction < 0 else view.next_id) if view else ""
        if not goal:
            self.say("no delegation before this one" if direction < 0 else "no delegation after this one")
            return
        self.tui.remember()
        self.delegation_id, self._last = goal, ""
        for pane in self.panes():
            pane.top = pane.cursor = 0
        self.tui.ask_now()
        self.update_bars()

    def action_timeline(self) -> None:
        line = self.page.line
        span_id = line.span_id if line and line.span_id else self.delegation_id
        self.tui.open_timeline(self.trace_id, span_id, self._trace)

    def row_of(self, pane: Pane) -> object | None:
        return self.under if pane is self.items and self.under is not None else self.view
