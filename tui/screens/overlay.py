"""What lies over a screen for a moment, such as the health of the feed. `esc` closes it.

Invariant: under an overlay the feed goes on.
"""

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container
from textual.screen import ModalScreen

from trajectory.view.rows import Health
from tui.drawing.bars import Contact, footer_line
from tui.drawing.line import Line, put
from tui.drawing.numbers import grouped, lag
from tui.key_words import footer_keys
from tui.keys import Moved, bindings_on
from tui.looking import Looking
from tui.signs import Signs
from tui.widgets.pane import Pane


class Overlay(ModalScreen[None]):
    """A screen that `esc` closes, with panes of fixed lines."""

    name_here: ClassVar[str] = ""
    AUTO_FOCUS = None

    def __init__(self, signs: Signs) -> None:
        super().__init__()
        self.signs = signs

    @property
    def pane(self) -> Pane:
        """The pane that the keys move in."""
        focused = self.focused
        return focused if isinstance(focused, Pane) else self.query(Pane).first()

    @property
    def moved(self) -> Moved:
        """Keys of the operator's own."""
        return self.app.settings.moved if isinstance(self.app, Looking) else {}

    def _footer(self, width: int) -> list[tuple[str, str, str]]:
        return footer_line(footer_keys(self.name_here, "", self.signs, self.moved), width, 6)

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

    def action_back(self) -> None:
        self.dismiss(None)

    async def action_theme(self) -> None:
        await self.app.run_action("app.next_theme")

    async def action_picture(self) -> None:
        await self.app.run_action("app.save_picture")

    def action_help(self) -> None:
        self.dismiss(None)


def fixed_pane(id: str, signs: Signs, title: str) -> Pane:
    """A pane for lines that do not change: scrolled, without a cursor."""
    pane = Pane(id, signs, title=title)
    pane.has_cursor = False
    return pane


def show_lines(pane: Pane, lines: list[Line]) -> None:
    """Puts fixed lines into a pane."""
    pane.show([str(index) for index in range(len(lines))], lambda index, _width: lines[index])


class HealthScreen(Overlay):
    """How good the numbers are: rate, lag, what was dropped, and what the feed has to say."""

    name_here = "health"
    BINDINGS: ClassVar[list[Binding]] = bindings_on("health")  # type: ignore[assignment]

    def __init__(self, signs: Signs, health: Callable[[], tuple[Health, Contact]], endpoint: str) -> None:
        super().__init__(signs)
        self._health = health
        self._endpoint = endpoint

    def compose(self) -> ComposeResult:
        with Container(id="health-box"):
            yield fixed_pane("health", self.signs, "Health of the feed")

    def on_mount(self) -> None:
        self.set_focus(self.query_one(Pane), scroll_visible=False)
        self.update_bars()

    def update_bars(self) -> None:
        """Reads the numbers again."""
        health, contact = self._health()
        pane = self.query_one("#health", Pane)
        pane.status = health.state if contact.state == "live" else contact.state
        show_lines(pane, _health_lines(health, contact, self._endpoint, self.signs))


def _health_lines(health: Health, contact: Contact, endpoint: str, signs: Signs) -> list[Line]:
    heard = {"live": "just now", "connecting": "never"}.get(contact.state, f"{contact.age_s} s ago")
    dropped = "warning" if health.dropped_count else ""
    fields = [
        ("address", health.endpoint or endpoint, ""),
        ("store", health.store or "none", ""),
        ("last heard", heard, "" if contact.state == "live" else "warning"),
        ("facts", f"{health.facts_per_s:.0f} a second", ""),
        ("lag", f"{lag(health.lag_ns)}, from an agent's hand to here, the worst of the last second", ""),
        ("dropped", f"{grouped(health.dropped_count)} facts known to be missing", dropped),
        ("unreadable", f"{grouped(health.quarantined_count)} put aside", "warning" if health.quarantined_count else ""),
        ("emitters", f"{grouped(health.emitters)} heard in the last 10 s", ""),
    ]
    lines: list[Line] = [[put(name, 12, "dim"), (value, role)] for name, value, role in fields]
    lines += [[], [("Notices", "title")]] if health.notices else [[], [("No notices.", "dim")]]
    return lines + [[(f"{signs.high} ", "warning"), (notice, "")] for notice in health.notices]
