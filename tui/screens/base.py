"""The keys that mean the same on every screen over data: moving, finding, pausing, looking, taking along.

Invariant: `esc` undoes one thing: the prompt, the zoom, the filter, then the screen; a key that can do nothing here says why.
Each key of the table in `tui.keys` is a method `action_<name>` here or in the screen that it belongs to.
"""

from collections.abc import Callable
from typing import ClassVar

from textual.events import Key as KeyEvent
from textual.widgets import Input

from trajectory.errors import QueryError
from trajectory.view.query import parse
from trajectory.view.rows import AlertRow
from tui import key_words
from tui.drawing.numbers import stamp, wall
from tui.finding import Candidate, filter_candidates, observed
from tui.links import agent_of
from tui.plain import as_json
from tui.screens.framed import FramedScreen
from tui.widgets.pane import Pane
from tui.widgets.prompt import Prompt


class DataScreen(FramedScreen):
    """A screen over data, with its keys. `finds_text`: `/` looks for a text there, and filters no rows."""

    finds_text: ClassVar[bool] = False

    def told_of_key(self, event: KeyEvent) -> str:
        if self.is_prompting:
            return ""
        pressed = {event.key, event.character or event.key}
        return key_words.elsewhere(pressed, self.name_here, self.signs, self.tui.settings.moved)

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
        self.tui.remember()
        self.pane.move(-len(self.pane.keys))

    def action_last(self) -> None:
        self.tui.remember()
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
        """Opens what is under the cursor."""
        raise NotImplementedError

    def _key_escape(self) -> None:
        """The toolkit's would let go of what is selected, and the key then undo one thing more."""

    def action_back(self) -> None:
        if self.is_prompting:
            self.close_prompt()
        elif self.selections:
            self.clear_selection()
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
        self._pane_before = self.pane
        self._prompt_for = then
        self.query_one(Prompt).open(sign, value, self._candidates, self.tui.typed.setdefault(sign, []))
        self.plan()

    def _candidates(self, text: str) -> list[Candidate]:
        """How what is typed could go on: places for `:`, fields and values for a filter, nothing for a text to find."""
        if self.query_one(Prompt).sign == ":":
            return self.tui.places_called(text) if text.strip() else []
        if self.finds_text:
            return []
        if text.startswith("@"):
            saved = [f"@{name}" for name in self.tui.settings.filters]
            return [(name, name) for name in saved if name.startswith(text) and name != text]
        if self._observed[0] is not self.view:
            self._observed = self.view, observed(self.view)
        return filter_candidates(text, self._observed[1])

    def on_descendant_focus(self) -> None:
        super().on_descendant_focus()
        pane = self.focused
        if self.is_prompting and isinstance(pane, Pane):  # clicked, and what is typed next is still for the prompt
            self._pane_before = pane
            self.query_one(Prompt).take_focus()

    def on_prompt_offered(self, event: Prompt.Offered) -> None:
        event.stop()
        self.update_bars()

    def close_prompt(self) -> None:
        """Closes the prompt and gives the pane its focus back. A filter with a fault is left for what was there before it."""
        self.query_one(Prompt).display = False
        self.query_one("#hint").styles.width = "1fr"
        if self.filter_error:
            self.apply_filter(self._filter_before)
        self._prompt_for = None
        self.set_focus(self._pane_before or self.panes()[0], scroll_visible=False)
        self.plan()

    def action_filter(self) -> None:
        self._filter_before = self.filter_text
        self.ask("/", self.filter_text, lambda text: self.tui.tell(self.tui.settings.keep_filter(text)))

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self.query_one(Prompt).sign == "/":
            self.apply_filter(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        then, text, prompt = self._prompt_for, event.value, self.query_one(Prompt)
        if prompt.sign == "/" and self.filter_error:
            return  # what is good at its beginning is not what is meant: it is to be mended, or left
        prompt.keep()
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
            self.query_one(Prompt).underline(error.position)
        else:
            self.filter_error = None
            self.query_one(Prompt).underline(-1)
            self.filter_text = text.strip()
            self.tui.ask_now()
        self.update_bars()

    def action_match(self, delta: int) -> None:
        pane = self.pane
        if not self.filter_text:
            self.say("no filter is set: / sets one")
        elif pane.keys:
            self.tui.remember()
            pane.go((pane.cursor + delta) % len(pane.keys))

    def is_error(self, pane: Pane, index: int) -> bool:
        """Whether a row of a pane shows an error."""
        return False

    def action_next_error(self) -> None:
        pane = self.pane
        count = len(pane.keys)
        for step in range(1, count + 1):
            if self.is_error(pane, (pane.cursor + step) % count):
                self.tui.remember()
                pane.go((pane.cursor + step) % count)
                return
        self.say("no error in this list")

    def action_go_to(self) -> None:
        self.ask(":", "", self.tui.go_to)

    def go_to_time(self, at_ns: int) -> bool:
        """Goes to a time since the start of the run; False where this screen knows no times."""
        return False

    def action_before(self) -> None:
        if self.is_prompting:
            self.close_prompt()
        self.tui.go_back()

    def action_after(self) -> None:
        self.tui.go_forward()

    def action_mark(self) -> None:
        self.tui.ask_letter(sets=True)

    def action_to_mark(self) -> None:
        self.tui.ask_letter(sets=False)

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
        if self.tui.copy_selected():
            return
        value = self.value_of(self.pane)
        self.say(self.tui.copy(value) if value else "nothing to copy here")

    def action_copy_json(self) -> None:
        row = self.row_of(self.pane)
        self.say(self.tui.copy_row(row) if row is not None else "nothing to copy here")

    def action_link(self) -> None:
        link = self.link()
        self.say(self.tui.copy(str(link)) if link else "nothing here has a link")

    def action_edit(self) -> None:
        text, suffix = self.text_of(self.pane)
        self.say(self.tui.edit(text, suffix) if text else "nothing to open here")

    def text_of(self, pane: Pane) -> tuple[str, str]:
        """What the editor gets, and the suffix of its file: the row under the cursor."""
        row = self.row_of(pane)
        return ("", "") if row is None else (as_json(row), ".json")

    def action_export(self) -> None:
        self.tui.show_exports()

    def action_picture(self) -> None:
        self.say(self.tui.save_picture())

    def action_agent(self) -> None:
        agent = agent_of(self.row_of(self.pane))
        if agent:
            self.tui.open_agent(str(getattr(self, "trace_id", "")), agent)
        else:
            self.say("no agent is known for this line")

    def alert_here(self) -> AlertRow | str:
        """The alert that the keys of alerts are about; else why there is none."""
        raise NotImplementedError

    def action_acknowledge(self) -> None:
        alert = self.alert_here()
        if isinstance(alert, str):
            self.say(alert)
        else:
            self.tui.mark(alert, "reopen" if alert.state == "acknowledged" else "acknowledge")

    def action_mute(self) -> None:
        alert = self.alert_here()
        if isinstance(alert, str):
            self.say(alert)
        else:
            self.tui.ask_mute(alert)
