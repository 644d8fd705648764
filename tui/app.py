"""The dashboard: a Textual app over any feed. It owns the one ticker, the stack of screens, and what all screens share.

Invariant: it only reads, but for marking alerts; it depends on `trajectory.view` and on nothing else of ours; the feed is
touched by the ticker's thread alone. The command line makes it with a feed, runs it, then calls `release` before it closes
the feed.
"""

import time
from collections.abc import Callable, Iterable
from datetime import tzinfo
from typing import ClassVar, cast

from textual.app import SystemCommand
from textual.binding import Binding
from textual.events import Key
from textual.screen import Screen

from trajectory.errors import TrajectoryError
from trajectory.view.feed import Feed
from trajectory.view.link import Link
from trajectory.view.rows import AlertRow, Health
from trajectory.view.views import Query
from tui import key_words, keys, screens
from tui.drawing.bars import Contact
from tui.drawing.line import Line
from tui.drawing.numbers import wall
from tui.drawing.states import banner_lines
from tui.guide import Guide
from tui.marks import Marks
from tui.screens.base import DataScreen
from tui.screens.runs import RunsScreen
from tui.seen import Seen
from tui.settings import Settings
from tui.taking import Taking
from tui.ticker import TICKS_PER_S, Arrived, Marked, Ticker
from tui.widgets.pane import Pane
from tui.widgets.prompt import Prompt

_STALE_AFTER_S = 1.8


class TrajectoryApp(Taking):
    """Shows what a feed knows. `open_trace` is the id of a run to open at once, `open_link` a link to go to, its ids whole;
    `clock` is monotonic, in seconds.

    `glyphs` is unicode, block, ascii, or nothing for what the locale allows; `theme` a name, or nothing for our dark one.
    Raises ConfigError for a theme that does not exist.
    `settings`, `seen` and `marks` are what is kept of the operator's, by default nothing; `is_plain` is for
    screen readers; with `is_guided` the hint line tells the next most useful key.
    With `ticks_per_s` 0 nothing ticks by itself: call `ticker.tick()`.
    """

    CSS_PATH = "app.tcss"
    TITLE = "trajectory"
    BINDINGS: ClassVar[list[Binding]] = []  # type: ignore[assignment]

    def __init__(
        self,
        feed: Feed,
        *,
        glyphs: str = "",
        theme: str | None = None,
        open_trace: str = "",
        open_link: Link | None = None,
        clock: Callable[[], float] = time.monotonic,
        zone: tzinfo | None = None,
        ticks_per_s: int = TICKS_PER_S,
        settings: Settings | None = None,
        seen: Seen | None = None,
        marks: Marks | None = None,
        is_plain: bool = False,
        is_guided: bool = False,
    ) -> None:
        super().__init__()
        self.feed = feed
        self.settings = settings or Settings()
        self.look(glyphs, theme, is_plain)
        self.clock = clock
        self.zone = zone
        self.ticker = Ticker(feed, self, self._wanted)
        self.feed_health = Health()
        self.seen = Seen() if seen is None else seen
        self.marks = marks or Marks()
        self.wall_times = self.settings.is_on("wall_times")
        self.shows_critical = False
        self.guide = Guide() if is_guided else None
        self.is_paused = False
        self._ticks_per_s = ticks_per_s
        self._open_link = open_link or (Link(open_trace) if open_trace else None)
        self._heard_s: float | None = None
        self._health_s = 0.0
        self._began_s = clock()
        self._tries = 0
        self._lost = self._is_busy = False
        self._refusal = ""
        self._contact_before = Contact()
        self._second_before = 0
        self.typed: dict[str, list[str]] = {}  # what was entered into the prompt, by its sign

    def on_mount(self) -> None:
        self.push_screen(RunsScreen())
        self.call_after_refresh(self.tell, self.settings.told)
        if self._open_link:
            self.land(self._open_link)
        if self._ticks_per_s:
            self.set_interval(1 / self._ticks_per_s, self.beat)
            self.call_after_refresh(self.beat)

    def on_unmount(self) -> None:
        self.ticker.stop()
        self.forget_files()
        self.seen.keep()

    def release(self, timeout_s: float = 3.0) -> bool:
        """Waits until nothing touches the feed any more, so that it may be closed; False where a pull still hangs.

        The thread that reads the terminal is told to end, too: where the terminal went while the app began, the toolkit did
        not get that far, and the thread would keep the process, and read on without a pause.
        """
        if (over := getattr(self._driver, "exit_event", None)) is not None:
            over.set()
        self.ticker.stop()
        return self.ticker.join(timeout_s)

    # The feed

    def _wanted(self) -> Query | None:
        screen = self.data_screen
        return screen.asks() if screen and screen.is_mounted else None

    def ask_now(self) -> None:
        """Pulls at once instead of at the next tick, because something else is wanted; not where nothing ticks by itself."""
        if self._ticks_per_s:
            self.ticker.tick()

    def beat(self) -> None:
        """One tick: pulls, and redraws what depends on time alone."""
        if (screen := self.data_screen) and screen.is_mounted:
            screen.beat()
        self.ticker.tick()
        contact, second = self.contact, self.now_ns // 1_000_000_000
        ticking = second != self._second_before and screen is not None and screen.ticks and not self.is_paused
        turned = contact.state != self._contact_before.state or contact.is_stale or contact.state == "connecting"
        if contact != self._contact_before or ticking:
            self._refresh_screen(turned or ticking)
        self._contact_before, self._second_before = contact, second

    def _refresh_screen(self, everything: bool) -> None:
        with self.batch_update():
            screen = self.data_screen
            if screen and screen.is_mounted:
                if everything:
                    screen.redraw()
                screen.update_bars()
            self._refresh_health()

    def _refresh_health(self) -> None:
        if getattr(self.screen, "name_here", "") == "health" and self.screen.is_mounted:
            cast("screens.HealthScreen", self.screen).update_bars()

    def on_arrived(self, message: Arrived) -> None:
        """Takes what a pull brought, and gives it to the screen that asked."""
        self.ticker.arrived(message)
        if message.error:
            self._tries += 1
            self._lost, self._is_busy = not message.is_busy, message.is_busy
            self._refusal = message.error if message.is_refused else ""
        else:
            self._heard_s, self._tries, self._lost, self._is_busy = self.clock(), 0, False, False
            self._refusal = ""
        if message.view is not None:
            self.feed_health, self._health_s = message.view.health, self.clock()
        screen = self.data_screen
        with self.batch_update():
            if message.view is not None and screen and screen.is_mounted:
                screen.answered(message.query, message.view)
        if message.query != self._wanted():
            self.ask_now()
        contact = self.contact
        if contact != self._contact_before:
            self._contact_before = contact
            self._refresh_screen(True)
        else:
            self._refresh_health()

    @property
    def contact(self) -> Contact:
        """How things stand with the feed."""
        if self._heard_s is None:
            waited_s = int(self.clock() - self._began_s)
            return Contact("connecting", max(1, self._tries), waited_s, self.is_paused, self._refusal)
        age_s = self.clock() - self._heard_s
        if self._lost or age_s > _STALE_AFTER_S:
            state = "busy" if self._is_busy else "reconnecting"
            return Contact(state, self._tries, int(age_s), self.is_paused, self._refusal)
        return Contact("live", 0, 0, self.is_paused)

    @property
    def now_ns(self) -> int:
        """The feed's clock, carried on by ours in whole seconds; it stands still while the feed is lost or a recording."""
        health = self.feed_health
        if health.state == "recorded" or self.contact.state != "live":
            return health.now_ns
        return health.now_ns + int(self.clock() - self._health_s) * 1_000_000_000

    def watch_app_focus(self, focus: bool) -> None:
        """A key brings the focus back too, where nothing tells that the window is looked at again."""
        self.ticker.is_unfocused = not focus

    def banner(self, missing: str, *, is_empty: bool = False) -> list[Line]:
        """What is wrong with the feed, for the top of the first pane; `is_empty` while nothing is shown yet."""
        known = "" if is_empty else wall(self.feed_health.now_ns, self.zone)
        return banner_lines(self.contact, self.feed_health, self.feed.endpoint, missing, known, self.signs)

    def on_key(self, event: Key) -> None:
        """A letter that was on its way to a pane while the prompt opened is typed into it, and no command."""
        screen = self.screen
        is_typing = isinstance(screen, DataScreen) and screen.is_mounted and screen.is_prompting
        if is_typing and event.is_printable and event.character:
            event.prevent_default()
            screen.query_one(Prompt).type_in(event.character)

    # Overlays

    def show_help(self, screen: str, pane: Pane) -> None:
        """Opens the help for a screen and one of its panes."""
        where = self.feed_health.endpoint or self.feed.endpoint
        store = self.feed_health.store or "none"
        parts = (f"feed {where}", f"theme {self.theme}", f"signs {self.signs.level}", f"store {store}")
        about = f" {self.signs.dot} ".join(parts)
        self.push_screen(screens.HelpScreen(self.signs, screen, pane.id or "", about))

    def show_health(self) -> None:
        """Opens the health of the feed."""
        self.push_screen(screens.HealthScreen(self.signs, lambda: (self.feed_health, self.contact), self.feed.endpoint))

    def pause(self) -> None:
        """Freezes the view, or lets it go on; intake and counters never stop."""
        self.is_paused = not self.is_paused
        if not self.is_paused:
            self.here.release()
        else:
            self.here.redraw()
            self.here.update_bars()

    def show_exports(self) -> None:
        """Opens the menu of formats for the run that is open, or under the cursor."""
        link = self.here.link()
        if link is None:
            self.tell("no run to export here")
            return
        try:
            formats = self.feed.formats()
        except TrajectoryError as error:
            self.tell(f"nothing exported: {error}")
            return
        menu = screens.ExportScreen(
            self.signs,
            link.trace[:8],
            formats,
            self.settings.text("export"),
            lambda each: self.export(link.trace, each),
        )
        self.push_screen(menu)

    def ask_letter(self, *, sets: bool) -> None:
        """Asks for the letter of a mark, to set it or to go to it."""
        marks = {letter: place.words for letter, place in self.marks_here.items()}
        self.push_screen(screens.MarksScreen(self.signs, marks, sets, self.set_mark if sets else self.go_to_mark))

    def came_back(self) -> None:
        """What was not asked for while an editor had the screen is not missing yet."""
        self._heard_s = self.clock() if self._heard_s is not None and not self._lost else self._heard_s

    # Looks

    async def action_save_picture(self) -> None:
        self.save_picture()

    # Alerts

    def mark(self, row: AlertRow, action: str) -> None:
        """Sends an operator's word on an alert; the answer comes as Marked. Open again is all that was muted with it."""
        key = row.muted_by if action == "reopen" and row.muted_by else row.key
        what = row.alert_id if key == row.key else f"{row.alert_id} and what was muted with it"
        self.ticker.mark(row.trace_id, key, what, action)

    def ask_mute(self, row: AlertRow) -> None:
        """Asks what of an alert to mute and for how long; one that is muted is open again at once."""
        if row.state == "muted":
            self.mark(row, "reopen")
            return

        def mute(key: str, what: str, for_s: int) -> None:
            self.ticker.mark(row.trace_id, key, what, "mute", for_s)

        self.push_screen(screens.MuteScreen(self.signs, row, mute))

    def on_marked(self, message: Marked) -> None:
        """Tells what became of a mark."""
        screen = self.data_screen
        if screen is None:
            return
        if message.error:
            screen.say(f"{message.what} is unchanged: {message.error}")
        else:
            done = {"acknowledge": "acknowledged", "mute": "muted", "reopen": "open again"}
            screen.say(f"{message.what} {done.get(message.action, message.action)}")
            self.ticker.refetch()

    # The palette

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Every action of the screen, with its key: the palette teaches."""
        name = getattr(screen, "name_here", "")
        for key in keys.keys_on(name, self.settings.moved) if name else []:
            if key.group != "Move" and "{" not in key.action:
                yield SystemCommand(
                    f"{key.word}  ({key_words.spelled(key.sign, self.signs)})", key.does, self._runner(key.action)
                )
        yield SystemCommand("choose a theme", "preview and choose a theme", self.search_themes)

    def _runner(self, action: str) -> Callable[[], None]:
        name = action if action.startswith("app.") else f"screen.{action}"

        def run() -> None:
            self.call_later(self.run_action, name)

        return run
