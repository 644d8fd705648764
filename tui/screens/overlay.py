"""What lies over a screen for a moment: help, made from the table of keys, and the health of the feed. `esc` closes it.

Invariant: help lists every key that works where it was asked for, and no other; under an overlay the feed goes on.
"""

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container
from textual.screen import ModalScreen

from trajectory.view.rows import Health
from tui.drawing.bars import Contact, footer_line
from tui.drawing.line import Line, cut, put
from tui.drawing.numbers import grouped, lag
from tui.keys import SCREENS, Moved, bindings_on, footer_keys, help_groups
from tui.looking import Looking
from tui.signs import Signs
from tui.widgets.bar import Bar, Footer
from tui.widgets.drawn import ROLE_CLASSES
from tui.widgets.pane import Pane

PURPOSES = {
    "runs": "Runs: every run that is known, live ones first. Open one to see its agents.",
    "cockpit": "Cockpit: one run. Who is working, who asked whom, what went wrong, what just happened.",
    "timeline": "Timeline: one run, span by span. Where the time went, and where it failed.",
    "alert": "Alert: what went wrong, the way it took from agent to agent, and what could have stopped it.",
    "delegation": "Delegation: what one agent knew, what it passed on, what came back, and what was made of it.",
    "span": "Inspector: one span, whole. What went in, what came out, and everything known about it.",
}
_PANES = {
    "agents": "Agents: one lane per invocation, oldest first; it starts where someone delegated to it.",
    "delegations": "Delegations: who gave work to whom; a heavy line lies on a cascade, a dotted one is inferred.",
    "alerts": "Alerts: what the detectors found; the path of the one under the cursor is drawn. Enter opens it, x has it.",
    "tail": "Tail: the newest steps. Scroll up and it stands still; f follows again.",
    "suspects": "Suspects: steps that may have decided how the run went, likeliest first. Reasons, no model, no verdict.",
    "path": "Path: from the root to where it ended, one hop a step. Enter opens the span of a line.",
    "about": "About: how far it came, what let it through, what else was found on its way, what is not known.",
    "items": "Boundary: each thing that one side held, sent, got or gave back. v shows all, or the texts; u what used it later.",
    "item": "Item: where the one under the cursor came from and what used it later. Enter opens the span of a line.",
    "verdict": "Verdict: how much came through, what came back and was used, what it cost, what was done again.",
    "fields": "Fields: names and values; y copies the one under the cursor.",
    "content": "Content: as it was recorded. / finds, w wraps, y copies all of it.",
}
_COLUMNS_NARROW = (("Move", "Take away", "App"), ("Find", "Live", "Look", "Alerts"))
_COLUMNS_WIDE = (("Move", "Alerts", "App"), ("Find", "Live"), ("Look", "Take away"))


class Overlay(ModalScreen[None]):
    """A screen that `esc` closes, with panes of fixed lines."""

    name_here: ClassVar[str] = ""
    COMPONENT_CLASSES: ClassVar[set[str]] = ROLE_CLASSES
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


class HelpScreen(Overlay):
    """All keys of a screen, then the signs. `?` again shows those of all screens, and closes at last."""

    name_here = "help"
    BINDINGS: ClassVar[list[Binding]] = bindings_on("help")  # type: ignore[assignment]

    def __init__(self, signs: Signs, screen: str, pane: str, about: str) -> None:
        super().__init__(signs)
        self._screen_name = screen
        self._pane_name = pane
        self._about = about
        self._all = False

    def compose(self) -> ComposeResult:
        yield Bar(self._top, id="header")
        yield Bar(self._purpose, id="summary")
        with Container(id="help-body", classes="columns"):
            for index in range(3):
                yield fixed_pane(f"keys-{index}", self.signs, "")
        yield fixed_pane("signs", self.signs, "Signs")
        yield Bar(lambda width: [[(f" {self._about}", "dim")]], id="about")
        yield Footer(self._footer, id="footer")

    def on_mount(self) -> None:
        self.fill()

    def on_resize(self) -> None:
        self.fill()

    def fill(self) -> None:
        """Lays the keys out in two columns, or in three where there is room."""
        width, height = self.app.size
        columns = _COLUMNS_WIDE if width >= 100 else _COLUMNS_NARROW
        groups = help_groups(SCREENS if self._all else (self._screen_name,), self.signs, self.moved)
        panes = list(self.query("#help-body Pane").results(Pane))
        for pane, names in zip(panes, [*columns, ()], strict=False):
            pane.display = bool(names)
            pane.title = (
                " and ".join((", ".join(names[:-1]), names[-1])).lower().capitalize()
                if len(names) > 1
                else "".join(names)
            )
            show_lines(pane, _key_lines([(name, groups[name]) for name in names if name in groups]))
        signs = self.query_one("#signs", Pane)
        lines = sign_lines(self.signs, width - 4)
        signs.styles.height = min(len(lines) + 2, max(3, height // 3))
        show_lines(signs, lines)
        self.set_focus(panes[0], scroll_visible=False)

    def _top(self, width: int) -> list[Line]:
        where = "all screens" if self._all else self._screen_name
        return [
            cut(
                [
                    (f" trajectory {self.signs.crumb} ", "dim"),
                    ("help", "strong"),
                    (f" {self.signs.crumb} {where}", "dim"),
                ],
                width,
            )
        ]

    def _purpose(self, width: int) -> list[Line]:
        return [
            [(" " + PURPOSES.get(self._screen_name, ""), "strong")],
            [(" " + _PANES.get(self._pane_name, ""), "dim")],
        ]

    def action_help(self) -> None:
        if self._all:
            self.dismiss(None)
            return
        self._all = True
        self.fill()
        self.query_one("#header", Bar).update()


def _key_lines(groups: list[tuple[str, list[tuple[str, str]]]]) -> list[Line]:
    lines: list[Line] = []
    for name, rows in groups:
        lines += [[]] if lines else []
        lines.append([(name, "title")])
        lines += [[("  ", ""), put(sign, 9, "key"), (" ", ""), (does, "")] for sign, does in rows]
    return lines


def sign_lines(signs: Signs, width: int) -> list[Line]:
    """What each sign means, in as many lines as it takes."""
    named = [
        ((signs.running, "running", "running"), (signs.ok, "ok", "ok"), (signs.error, "error", "error")),
        (
            (signs.queued, "waiting", "dim"),
            (signs.paused, "paused", "dim"),
            (signs.cut_off, "cut off, lost", "warning"),
        ),
        ((signs.high, "critical", "critical"), (signs.medium, "warning", "warning"), (signs.low, "info", "dim")),
        ((signs.gate, "let through", "mark"), (signs.answer, "in the answer", "mark")),
        (
            (signs.root, "root of a cascade", "mark"),
            (signs.carried, "carried it on", "mark"),
            ("1 2", "its hops", "mark"),
        ),
        ((signs.model, "model", "model"), (signs.tool, "tool", "tool"), (signs.retry, "retry", "retry")),
        ((signs.gap, "gap, other", "dim"), (signs.waiting, "waiting", "waiting")),
        (
            (signs.lines[6] + signs.lines[9] + signs.arrow, "delegated", "delegation"),
            (signs.lines[5], "returned", "delegation"),
        ),
        ((signs.chain, "critical path", "strong"),),
        ((signs.lines_heavy[12] * 2, "on a cascade", "error"), (signs.lines_dotted * 2, "inferred", "delegation")),
        (
            (signs.same, "same", "dim"),
            (signs.lost, "lost", "error"),
            (signs.changed, "altered", "warning"),
            (signs.added, "added", "running"),
            (signs.returned, "came back", "delegation"),
        ),
    ]
    lines: list[Line] = [[]]
    for group in named:
        bits: Line = [bit for sign, word, role in group for bit in ((sign, role), (f" {word}  ", ""))]
        size = sum(len(text) for text, _ in bits)
        if lines[-1] and sum(len(text) for text, _ in lines[-1]) + size > width:
            lines.append([])
        lines[-1].extend([*bits, ("  ", "")])
    return lines


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
