"""The keys that mean the same on every screen over data: moving, finding, pausing, looking, taking along.

Invariant: `esc` undoes one thing: the prompt, the zoom, the filter, then the screen; a key that can do nothing here says why.
Each key of the table in `tui.keys` is a method `action_<name>` here or in the screen that it belongs to.
"""

from collections.abc import Callable

from textual.widgets import Input

from trajectory.errors import QueryError
from trajectory.view.query import parse
from tui.drawing.numbers import stamp, wall
from tui.screens.framed import FramedScreen
from tui.widgets.pane import Pane
from tui.widgets.prompt import Prompt


class DataScreen(FramedScreen):
    """A screen over data, with its keys."""

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
        shown = [pane for pane in self.panes() if pane.can_focus and (pane.display or self.tui.is_plain)]
        at = shown.index(self.pane) if self.pane in shown else 0
        self.focus_pane(self.panes().index(shown[(at + delta) % len(shown)]))

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
        elif self.zoomed and not self.tui.is_plain:
            self.zoomed = ""
            self.plan()
        elif self.filter_text:
            self.apply_filter("")
        elif len(self.app.screen_stack) > 2:
            self.app.pop_screen()

    # Keys: find

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
        self.ask("/", self.filter_text, lambda text: self.tui.tell(self.tui.settings.keep_filter(text)))

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
            text = self.tui.settings.meant(text)
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
        if self.tui.is_plain:
            self.say("the plain layout shows one pane at a time: tab is the next one")
            return
        self.zoomed = "" if self.zoomed else (self.pane.id or "")
        self.plan()

    def action_times(self) -> None:
        self.tui.wall_times = not self.tui.wall_times
        self.tui.keep("wall_times", self.tui.wall_times)
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
