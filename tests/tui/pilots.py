"""Runs the app under test: a manual clock, no timer, and one way to let a tick happen and to read the screen as text."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC
from typing import Any

import pytest
from textual import _wait
from textual._compositor import Compositor
from textual._context import visible_screen_stack
from textual.cache import LRUCache
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet
from textual.pilot import Pilot
from textual.widget import Widget

from tests.tui.story import StoryFeed
from trajectory.view.feed import Feed
from tui.app import TrajectoryApp
from tui.ticker import Arrived

# The pilot takes a process that gets no processor for one that has nothing to do; on a busy machine that is no sign. Here a
# screen counts as ready when all queues were empty and what it shows stays (`Driver.ready`), so nothing has to be slept.
_wait.SLEEP_GRANULARITY = 0.0
_MAX_LOOKS_COUNT, _ENOUGH_LOOKS_COUNT = 400, 2
_MAX_TURNS_COUNT = 100_000
_MOST_SCREENS_COUNT = 12
_asked_count = 0  # how often any widget asked to be drawn anew: while this grows, the screen is not at rest


async def _wait_for_screen(pilot: Pilot[None], timeout: float = 30.0) -> bool:
    """Returns when nothing is left for the event loop to do but to wait: Textual's own sends each widget a message, and waits."""
    loop: Any = asyncio.get_running_loop()
    for _ in range(_MAX_TURNS_COUNT):
        if not loop._ready:
            return True
        await asyncio.sleep(0)
    return False


def _refresh(widget: Widget, *regions: Any, **options: Any) -> Widget:
    global _asked_count
    _asked_count += 1
    return _REFRESH(widget, *regions, **options)


def _render_update(compositor: Compositor, full: bool = False, **options: Any) -> Any:
    """Nothing for a terminal that nobody looks at: what has changed is drawn once the screen is at rest (`Driver.ready`)."""
    return _RENDER_UPDATE(compositor, full, **options) if full else None


def _parse_rules(sheet: Stylesheet, css: str, *where: Any, **options: Any) -> list[RuleSet]:
    """A style sheet is read once in a process, and not once in each app: an app has its own, of the same texts and colours."""
    key = (frozenset(sheet._variables.items()), css, where, tuple(options.items()))
    if key not in _PARSED:
        _PARSED[key] = _PARSE_RULES(sheet, css, *where, **options)
    return _PARSED[key]


_PARSED: LRUCache[Any, list[RuleSet]] = LRUCache(1024)
_REFRESH, _RENDER_UPDATE, _PARSE_RULES = Widget.refresh, Compositor.render_update, Stylesheet._parse_rules
Widget.refresh = _refresh  # type: ignore[method-assign,assignment]
Pilot._wait_for_screen = _wait_for_screen  # type: ignore[method-assign,assignment]
Compositor.render_update = _render_update  # type: ignore[method-assign]
Stylesheet._parse_rules = _parse_rules  # type: ignore[method-assign,assignment]


class ManualClock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def passes(self, seconds: float) -> None:
        self.now_s += seconds


class Driver:
    """An app that is running, and hands to drive it."""

    def __init__(self, app: TrajectoryApp, pilot: Pilot[None], clock: ManualClock) -> None:
        self.app = app
        self.pilot = pilot
        self.clock = clock
        self._came = asyncio.Event()  # a pull has ended
        self._arrived = app.ticker.arrived
        app.ticker.arrived = self._note_arrival  # type: ignore[method-assign]

    def _note_arrival(self, message: Arrived) -> None:
        self._arrived(message)
        self._came.set()

    async def beat(self, times: int = 1, *, is_drawn: bool = True) -> None:
        """Lets the app tick, and waits until what it pulled is on the screen."""
        for _ in range(times):
            self.app.beat()
            async with asyncio.timeout(10):
                while self.app.ticker.in_flight:
                    self._came.clear()
                    await self._came.wait()
            await self.ready(is_drawn=is_drawn)

    async def ready(self, *, is_drawn: bool = True) -> None:
        """Returns when every widget has worked off what it was sent and the screen stays as it is, and can be drawn.

        A key goes from the app to its screen, to a widget and back: through as many queues, one at each look.
        """
        before, same_count = -1, 0
        for _ in range(_MAX_LOOKS_COUNT):
            await self.pilot.pause()
            if self.app._resize_timer is not None:  # another size is waited with for a moment, in case that more come
                self.app._check_resize()
                continue
            same_count = same_count + 1 if self._is_idle and _asked_count == before else 0
            before = _asked_count
            if same_count >= _ENOUGH_LOOKS_COUNT:
                if is_drawn:
                    _RENDER_UPDATE(self.app.screen._compositor, screen_stack=self.app._background_screens)
                return
        raise AssertionError("the screen does not come to rest")

    @property
    def _is_idle(self) -> bool:
        screen = self.app.screen
        pumps = [self.app, *screen.walk_children(with_self=True)]
        return not (screen._layout_required or screen._callbacks or any(p.message_queue_size for p in pumps))

    async def press(self, *keys: str) -> None:
        """Presses keys, and lets the app tick after each; what the last one leads to is drawn."""
        for count, key in enumerate(keys, 1):
            await self.pilot.press(key)
            await self.ready(is_drawn=False)
            await self.beat(is_drawn=count == len(keys))

    async def home(self) -> None:
        """Goes back to the list of runs; on the way nothing is drawn."""
        for _ in range(_MOST_SCREENS_COUNT):
            if self.where == "runs":
                return
            await self.pilot.press("escape")
            await self.ready(is_drawn=False)
        raise AssertionError(f"{self.where} is not left by escape")

    @property
    def text(self) -> str:
        """What is on the screen, as lines of text."""
        return screen_text(self.app)

    @property
    def where(self) -> str:
        """The name of the uppermost screen."""
        return str(getattr(self.app.screen, "name_here", ""))


def screen_text(app: TrajectoryApp) -> str:
    """The screen as plain text; the one place that looks into Textual's compositor."""
    visible_screen_stack.set(app._background_screens)  # what an overlay lets through
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)


@contextmanager
def full_disk() -> Iterator[None]:
    """No file grows by a byte meanwhile, of this process; new ones can be made."""
    resource = pytest.importorskip("resource")
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))


@asynccontextmanager
async def driving(
    feed: Feed | None = None, size: tuple[int, int] = (120, 36), beats: int = 3, **options: Any
) -> AsyncIterator[Driver]:
    """An app over a feed (the story's) at a size, after its first ticks."""
    clock = ManualClock()
    options.setdefault("glyphs", "unicode")
    app = TrajectoryApp(feed or StoryFeed(), clock=clock, zone=UTC, ticks_per_s=0, **options)
    async with app.run_test(size=size) as pilot:
        driver = Driver(app, pilot, clock)
        await driver.ready()
        await driver.beat(beats)
        yield driver
