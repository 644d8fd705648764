"""Help: the keys of a screen and of its pane, made from the table of keys, and what each sign means.

Invariant: every key that works where help was asked for is listed once, those of the pane first, and no other; `enter` does
on the screen below what its key would, and what cannot be done there is said. `/` leaves the keys that say a text.
"""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container
from textual.events import Key as Pressed

from tui.drawing.legend import sign_lines
from tui.drawing.line import Line, cut, put, spread
from tui.drawing.numbers import many
from tui.key_words import HERE, HelpRow, help_groups, spelled
from tui.keys import SCREENS, bindings_on, key_id
from tui.screens.overlay import Overlay, fixed_pane, show_lines
from tui.signs import Signs
from tui.widgets.bar import Bar, Footer
from tui.widgets.pane import Pane

PURPOSES = {
    "runs": "Runs: every run that is known, live ones first. Open one to see its agents.",
    "cockpit": "Cockpit: one run. Who is working, who asked whom, what went wrong, what just happened.",
    "timeline": "Timeline: one run, span by span. Where the time went, and where it failed.",
    "alert": "Alert: what went wrong, the way it took from agent to agent, and what could have stopped it.",
    "delegation": "Delegation: what one agent knew, what it passed on, what came back, and what was made of it.",
    "span": "Inspector: one span, whole. What went in, what came out, and everything known about it.",
    "agent": "Agent: one agent's whole way through a run. What it was given, each step, what it gave back.",
    "replay": "Replay: the run as it was known at one instant. Who held what, and what had been found by then.",
    "signals": "Signals: figures over time. From a spike to the runs of that time, and on to their steps.",
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
    "series": "Signals: your panels first, then a line for each series; what is under the cursor is plotted.",
    "plot": "Over time: one axis for all plots. h and l walk it, the runs of the time under the cursor are below.",
    "runs-then": "Runs: those at work at the time under the cursor. Enter opens one at that time, with the work of the series.",
    "facts": "Agent: who it is, what it cost, and whom it worked with. Enter opens what a line tells of.",
    "steps": "Steps: each thing it did, in order; what is alike is behind one line, which l opens.",
    "messages": "Messages: those around the step under the cursor; v shows them as they were stored.",
    "content": "Content: as it was recorded. / finds, w wraps, y copies all of it.",
}
_NARROW = ((HERE, "Move", "Take away"), ("Find", "Live", "Look", "Alerts", "App"))
_WIDE = ((HERE, "Move"), ("Find", "Live", "Alerts"), ("Look", "Take away", "App"))
_ALL_NARROW = (("Move", "Take away", "App"), ("Find", "Live", "Look", "Alerts"))
_ALL_WIDE = (("Move", "Alerts", "App"), ("Find", "Live"), ("Look", "Take away"))


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
        self._wanted: str | None = None  # what the keys that are shown are to say, while that is typed
        self._told = ""
        self._rows: dict[str, HelpRow] = {}  # by the key of their line

    def compose(self) -> ComposeResult:
        yield Bar(self._top, id="header")
        yield Bar(self._purpose, id="summary")
        with Container(id="help-body", classes="columns"):
            for index in range(3):
                yield Pane(f"keys-{index}", self.signs)
        yield fixed_pane("signs", self.signs, "Signs")
        yield Bar(self._last, id="about")
        yield Footer(self._footer, id="footer")

    def on_mount(self) -> None:
        self.fill()

    def on_resize(self) -> None:
        self.fill()

    @property
    def _columns(self) -> list[Pane]:
        return list(self.query("#help-body Pane").results(Pane))

    def fill(self) -> None:
        """Lays the keys out in two columns, or in three where there is room; those that say what is typed, in one."""
        width, height = self.app.size
        named = SCREENS if self._all else (self._screen_name,)
        groups = help_groups(named, self.signs, self.moved, pane="" if self._all else self._pane_name)
        wide = width >= 100
        layout: tuple[tuple[str, ...], ...] = (
            (_ALL_WIDE if wide else _ALL_NARROW) if self._all else (_WIDE if wide else _NARROW)
        )
        if self._wanted:
            groups = {"": [row for name in (HERE, *groups) for row in groups.pop(name, []) if row.says(self._wanted)]}
            layout = (("",),)
        self._rows = {}
        panes = self._columns
        for pane, names in zip(panes, [*layout, (), ()], strict=False):
            pane.display = bool(names)
            if names:
                self._fill_column(pane, [(name, groups[name]) for name in names if name in groups])
        signs = self.query_one("#signs", Pane)
        lines = sign_lines(self.signs, width - 4, "" if self._all else self._screen_name)
        signs.styles.height = min(len(lines) + 2, max(3, height // 3))
        show_lines(signs, lines)
        if not (isinstance(self.focused, Pane) and self.focused.display):
            self.set_focus(panes[0], scroll_visible=False)

    def _fill_column(self, pane: Pane, groups: list[tuple[str, list[HelpRow]]]) -> None:
        names = [name for name, _ in groups]
        pane.title = (
            " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))).lower().capitalize() if names else ""
        )
        pane.status = ""
        if self._wanted:
            found = many(len(groups[0][1]), "key")
            pane.title, pane.status = f"keys that say “{self._wanted}”", found
        lines: list[tuple[str, Line]] = []
        for name, rows in groups:
            lines += [(f"before {name}", [])] if lines else []
            lines += [(f"title {name}", [(name, "title")])] if name else []
            for row in rows:
                key = f"{name} {row.does}"
                self._rows[key] = row
                lines.append((key, [("  ", ""), put(row.sign, 9, "key"), (" ", ""), (row.does, "")]))
        pane.show([key for key, _ in lines], lambda index, _width: lines[index][1])
        if pane.selected not in self._rows:
            pane.want(next((key for key, _ in lines if key in self._rows), ""))
            pane.top = 0

    def _top(self, width: int) -> list[Line]:
        where = "all screens" if self._all else self._screen_name
        line: Line = [
            (f" trajectory {self.signs.crumb} ", "dim"),
            ("help", "strong"),
            (f" {self.signs.crumb} {where}", "dim"),
        ]
        return [cut(line, width)]

    def _purpose(self, width: int) -> list[Line]:
        return [
            [(" " + PURPOSES.get(self._screen_name, ""), "strong")],
            [(" " + _PANES.get(self._pane_name, ""), "dim")],
        ]

    def _last(self, width: int) -> list[Line]:
        if self._told:
            return [[(f" {self._told}", "strong")]]
        row = self._rows.get(self.pane.selected)
        named = f"[keys] {key_id(row.key)}" if row and "{" not in row.key.action else ""
        if self._wanted is not None:
            typed: Line = [(" / ", "key"), (self._wanted, "strong"), (self.signs.cursor, "cursor")]
            return [spread(typed, [(f"{named} ", "dim")], width)]
        said = f" {self.signs.dot} ".join(filter(None, (named, self._about)))
        return [cut([(f" {said}", "dim")], width)]

    # Keys

    def on_key(self, event: Pressed) -> None:
        """While a text is typed, what can be read is part of it."""
        self._tell("")
        if self._wanted is None:
            return
        if event.key == "backspace":
            self._find(self._wanted[:-1])
        elif event.is_printable and event.character:
            self._find(self._wanted + event.character)
        else:
            return
        event.stop()
        event.prevent_default()

    def _find(self, text: str | None) -> None:
        self._wanted = text
        self.fill()
        self.query_one("#about", Bar).update()

    def _tell(self, text: str) -> None:
        if text != self._told:
            self._told = text
            self.query_one("#about", Bar).update()

    def action_find_key(self) -> None:
        self.set_focus(self._columns[0], scroll_visible=False)
        self._find("")

    def action_column(self, delta: int) -> None:
        shown = [pane for pane in self._columns if pane.display]
        at = shown.index(self.pane) if self.pane in shown else 0
        self.set_focus(shown[(at + delta) % len(shown)], scroll_visible=False)

    def action_back(self) -> None:
        if self._wanted is None:
            self.dismiss(None)
        else:
            self._find(None)

    def action_run(self) -> None:
        """Closes the help and does what the key under the cursor does; where that is no key of the screen below, says so."""
        row = self._rows.get(self.pane.selected)
        if row is None:
            return
        key = row.key
        if self._screen_name not in key.screens:
            self._tell(f"{spelled(key.sign, self.signs)} is a key of: {', '.join(key.screens)}")
        elif "{" in key.action:
            self._tell(f"that is several keys, {spelled(key.sign, self.signs)}: press one of them there")
        else:
            self.dismiss(None)
            self.app.call_later(self.app.run_action, key.bound)

    def on_pane_moved(self, event: Pane.Moved) -> None:
        event.stop()
        self.query_one("#about", Bar).update()

    def on_pane_opened(self, event: Pane.Opened) -> None:
        event.stop()
        self.action_run()

    def action_help(self) -> None:
        if self._all:
            self.dismiss(None)
            return
        self._all = True
        self.fill()
        self.query_one("#header", Bar).update()
