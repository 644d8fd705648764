"""In a real terminal the real command shows, letter for letter, what the screens show under test, and leaves nothing behind."""

import os
import re
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tests.benchmarks._pty import Terminal
from tests.recorded import recorded_feed
from tests.tui.pilots import Driver, driving
from tests.tui.tmux import IS_THERE, Tmux

pytestmark = pytest.mark.skipif(not IS_THERE, reason="tmux is not installed")

COLOURED = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;[0-9;]*)?m")
NAMED = {"Enter": "enter", "Escape": "escape", "Tab": "tab", "?": "question_mark", "[": "left_square_bracket"}


def watch(window: Tmux, store: Path, *words: str) -> None:
    window.type_in("watch", "--no-settings", "--store", store, *words)


async def shows(window: Tmux, driver: Driver) -> None:
    """The window comes to show exactly what the app under test shows once it has all that it asked for."""
    await driver.beat(2)
    with suppress(AssertionError):
        window.until(lambda: window.text == driver.text)
    assert window.text == driver.text


async def press(window: Tmux, driver: Driver, *keys: str) -> None:
    for key in keys:
        window.press(key)
        await driver.pilot.press(NAMED.get(key, key))
        await driver.ready()
        await shows(window, driver)


async def test_a_terminal_shows_what_the_app_paints_at_any_size_and_gets_itself_back(
    recorded_store: Path, tmp_path: Path
) -> None:
    with Tmux(tmp_path, 80, 24) as window, recorded_feed(recorded_store) as feed:
        modes_before = window.modes
        watch(window, recorded_store)
        async with driving(feed, size=(80, 24)) as driver:
            await shows(window, driver)
            assert "alternate_on=1 mouse_any_flag=1" in window.modes
            await press(window, driver, "Enter", "a", "Enter", "Escape", "t")
            for size in ((200, 50), (120, 36)):
                window.resize(*size)
                await driver.pilot.resize_terminal(*size)
                await shows(window, driver)
            await press(window, driver, "Enter", "Escape", "Escape", "d", "d", "Escape", "r", "?")
        window.press("q")
        window.until(lambda: window.modes == modes_before)
        window.until(window.is_at_prompt)
        assert "Traceback" not in window.text


async def test_without_colour_there_is_none_and_a_dashboard_outlives_the_terminal_it_is_looked_at_from(
    recorded_store: Path, tmp_path: Path
) -> None:
    with Tmux(tmp_path, 120, 36, NO_COLOR="1") as window, recorded_feed(recorded_store) as feed:
        modes_before = window.modes
        watch(window, recorded_store)
        async with driving(feed, size=(120, 36)) as driver:
            await shows(window, driver)
            await press(window, driver, "Enter", "a")
            assert not COLOURED.search(window.styled)
            for _ in range(2):
                with Terminal(window.attaching, 120, 36) as terminal:
                    terminal.until(lambda lines: "\n".join(line.rstrip() for line in lines) == driver.text)
                    window.detach()
                await press(window, driver, "j")
        pid = window.told("#{pane_pid}")
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGTERM)
        window.until(lambda: window.modes == modes_before)
