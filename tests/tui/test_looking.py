"""Colours: every theme can be read and told apart, and the terminal's own palette is left to the terminal."""

from itertools import combinations

import pytest
from rich.color import ColorType
from textual.color import Color
from textual.theme import BUILTIN_THEMES

from tests.tui.pilots import driving
from tests.tui.story import StoryFeed
from trajectory.errors import ConfigError
from tui.app import TrajectoryApp
from tui.themes import LEAST_CONTRAST, OURS, contrast, legible, roles_of

TOLD_APART = ("kind-model", "kind-tool", "kind-delegation", "good", "bad", "attention")
TEXT = (*TOLD_APART, "loud", "quiet")
THEMES = [theme for theme in BUILTIN_THEMES.values() if not theme.ansi]


@pytest.mark.parametrize("theme", [*OURS, *THEMES], ids=lambda theme: theme.name)
def test_roles_can_be_read_and_told_apart_in_every_theme(theme) -> None:  # type: ignore[no-untyped-def]
    named = theme.to_color_system().generate()
    roles = roles_of(theme) | theme.variables
    for role in TEXT:
        assert contrast(Color.parse(roles[role]), Color.parse(named["background"])) >= LEAST_CONTRAST - 0.05, role
    for one, other in combinations(TOLD_APART, 2):
        assert Color.parse(roles[one]).rgb != Color.parse(roles[other]).rgb, (one, other)


def test_a_theme_keeps_its_own_colours_where_they_can_be_read() -> None:
    assert roles_of(BUILTIN_THEMES["nord"])["kind-model"] == "#88C0D0"
    assert roles_of(BUILTIN_THEMES["dracula"])["good"] == "#50FA7B"


@pytest.mark.parametrize("grey", [0, 60, 119, 128, 200, 255])
def test_a_colour_that_cannot_be_told_from_its_ground_becomes_what_stands_out_most(grey: int) -> None:
    ground = Color(grey, grey, grey)
    most = max(contrast(end, ground) for end in (Color(0, 0, 0), Color(255, 255, 255)))
    assert contrast(legible(ground, ground, 7), ground) >= min(7, most)


@pytest.mark.parametrize("theme", ["ansi-dark", "ansi-light"])
async def test_a_theme_of_the_terminals_palette_uses_no_other_colour(theme: str) -> None:
    async with driving(theme=theme) as driver:
        await driver.press("enter", "a", "enter")
        strips = driver.app.screen._compositor.render_strips()
        used = {
            colour.type
            for strip in strips
            for segment in strip
            if segment.style
            for colour in (segment.style.color, segment.style.bgcolor)
            if colour
        }
        assert used <= {ColorType.DEFAULT, ColorType.STANDARD}


def test_a_theme_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"no theme 'nosuch'; there are okabe-dark, okabe-light, .*nord"):
        TrajectoryApp(StoryFeed(), theme="nosuch")
    with pytest.raises(ConfigError, match=r"no theme 'nrod'; did you mean nord\?$"):
        TrajectoryApp(StoryFeed(), theme="nrod")
