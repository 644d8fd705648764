"""What to mute, and for how long: this alert, its kind in this run, or its kind for its agent.

Invariant: nothing is muted before a line is chosen; `esc` mutes nothing. Opened by the app, which marks what is chosen.
"""

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container

from trajectory.view.muting import key_of_agent, key_of_kind
from trajectory.view.rows import AlertRow
from tui.drawing.line import Line
from tui.keys import bindings_on
from tui.screens.overlay import Overlay
from tui.signs import Signs
from tui.widgets.bar import Footer
from tui.widgets.pane import Pane

FOR_S = ((0, "until you unmute it"), (3600, "for 1 h"), (86400, "for 24 h"))
Muting = Callable[
    [str, str, int], None
]  # the key of the mark, what it mutes in words, for how many seconds (0: until reopened)


class MuteScreen(Overlay):
    """The choice of what to mute of an alert."""

    name_here = "mute"
    BINDINGS: ClassVar[list[Binding]] = bindings_on("mute")  # type: ignore[assignment]

    def __init__(self, signs: Signs, alert: AlertRow, then: Muting) -> None:
        super().__init__(signs)
        self._then = then
        self._for = 0
        self._alert_id = alert.alert_id
        self._choices = [
            (alert.key, alert.alert_id, f"this alert, {alert.alert_id}"),
            (key_of_kind(alert.kind), f"every {alert.kind}", f"every {alert.kind} in this run"),
        ]
        if alert.agent:
            by = f"every {alert.kind} of {alert.agent}"
            self._choices.append((key_of_agent(alert.kind, alert.agent), by, f"{by} in this run"))

    def compose(self) -> ComposeResult:
        with Container(id="mute-box"):
            yield Pane("mute", self.signs, title=f"Mute {self._alert_id}", wide_cursor=True)
            yield Footer(self._footer, id="footer")

    def on_mount(self) -> None:
        pane = self.query_one(Pane)
        pane.show([key for key, _, _ in self._choices], self._line)
        self.query_one("#mute-box").styles.height = len(self._choices) + 3
        self.set_focus(pane, scroll_visible=False)
        self.action_turn(0)

    def _line(self, index: int, width: int) -> Line:
        return [(self._choices[index][2], "")]

    def action_turn(self, delta: int) -> None:
        self._for = (self._for + delta) % len(FOR_S)
        self.query_one(Pane).status = FOR_S[self._for][1]

    def action_choose(self) -> None:
        key, words, _ = self._choices[self.query_one(Pane).cursor]
        self.dismiss(None)
        self._then(key, words, FOR_S[self._for][0])

    def on_pane_opened(self, event: Pane.Opened) -> None:
        event.stop()
        self.action_choose()
