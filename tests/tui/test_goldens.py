"""Every screen looks as it did when somebody last looked at it and was content."""

import pytest

from tests.tui.goldens import GROUPS, HERE, STATES, drawn, drawn_state, path_of
from tests.tui.pilots import driving


@pytest.mark.parametrize("group", GROUPS)
async def test_screens_look_as_they_did(group: str) -> None:
    for name, text in (await drawn(group)).items():
        assert text == path_of(name).read_text(encoding="utf-8"), name


@pytest.mark.parametrize("state", STATES)
async def test_states_look_as_they_did(state: str) -> None:
    for name, text in (await drawn_state(state)).items():
        assert text == path_of(name).read_text(encoding="utf-8"), name


def test_every_golden_belongs_to_a_screen() -> None:
    names = {f"{screen}-{group}" for group, (_, _, screens) in GROUPS.items() for screen in screens}
    assert {path.stem for path in HERE.glob("*.txt")} == names | set(STATES)


SAID_BY_AGENTS = "≠"


@pytest.mark.parametrize("level", ["block", "ascii"])
def test_the_chrome_of_a_plainer_screen_is_plain(level: str) -> None:
    """At `ascii` whatever is not of an agent is ASCII; at `block` no shape of doubtful width is left."""
    for screen in GROUPS[level][2]:
        text = path_of(f"{screen}-{level}").read_text(encoding="utf-8")
        shapes = {char for char in text if not char.isascii()} - set(SAID_BY_AGENTS)
        if level == "block":
            shapes = {char for char in shapes if "\u25a0" <= char <= "\u27ff"}
        assert not shapes, screen


async def test_the_palette_of_an_ascii_screen_is_ascii() -> None:
    async with driving(glyphs="ascii") as driver:
        await driver.press("ctrl+p")
        assert "choose a theme" in driver.text
        assert driver.text.isascii()
