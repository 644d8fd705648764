"""Every screen looks as it did when somebody last looked at it and was content."""

import pytest

from tests.tui.goldens import CASES, STATES, drawn, path_of


@pytest.mark.parametrize("name", [*CASES, *STATES])
async def test_a_screen_looks_as_it_did(name: str) -> None:
    assert await drawn(name) == path_of(name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [name for name in CASES if name.endswith("ascii")])
def test_the_chrome_of_an_ascii_screen_is_ascii(name: str) -> None:
    text = path_of(name).read_text(encoding="utf-8")
    said_by_agents = "≠—“”…▸⇢×·"
    assert all(char.isascii() or char in said_by_agents for char in text)
