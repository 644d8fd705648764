"""Every screen looks as it did when somebody last looked at it and was content."""

import pytest

from tests.tui.goldens import GROUPS, HERE, PATHS, STATES, drawn, drawn_state, path_of


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


@pytest.mark.parametrize("screen", [screen for screen in PATHS if screen in GROUPS["ascii"][2]])
def test_the_chrome_of_an_ascii_screen_is_ascii(screen: str) -> None:
    text = path_of(f"{screen}-ascii").read_text(encoding="utf-8")
    said_by_agents = "≠—“”…▸⇢×·"
    assert all(char.isascii() or char in said_by_agents for char in text)
