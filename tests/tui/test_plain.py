"""The plain layout, for screen readers: nothing is drawn, one pane is shown at a time, and states are words."""

import re

import pytest

from tests.tui.pilots import driving

DRAWN = re.compile(r"[^\x00-\x7f≠]|[-=#]{3}|\.{4}|\|\s*$", re.MULTILINE)


@pytest.mark.parametrize("keys", [[], ["enter"], ["enter", "a", "enter"], ["t"], ["enter", "d", "d"]])
async def test_nothing_is_drawn_and_the_row_is_said_in_words(keys: list[str]) -> None:
    async with driving(is_plain=True) as driver:
        await driver.press(*keys)
        assert not DRAWN.search(driver.text), driver.text
        screen = driver.app.data_screen
        assert screen is not None and sum(pane.display for pane in screen.panes()) == 1
        said = driver.text.splitlines()[-2].strip()
        assert re.match(r"[a-z]", said)


async def test_tab_shows_the_next_pane_and_the_error_is_a_word() -> None:
    async with driving(is_plain=True) as driver:
        await driver.press("enter")
        shown = []
        for _ in range(3):
            await driver.press("tab")
            screen = driver.app.data_screen
            assert screen is not None
            shown += [pane.id for pane in screen.panes() if pane.display]
            assert screen.focused is not None and screen.focused.id == shown[-1]
        assert len(set(shown)) == 3
        await driver.press("4", "exclamation_mark")
        assert "error, " in driver.text.splitlines()[-2]
        await driver.press("z")
        assert "one pane at a time" in driver.text
        await driver.press("2", "v")
        assert "the plain layout reads delegations out as a tree" in driver.text
        await driver.press("escape")
        assert driver.where == "runs"
