"""The table of keys: no key does two things on a screen, every action exists, and nothing is listed that does not work."""

import pytest

from tests.tui.pilots import driving
from tui import screens
from tui.app import TrajectoryApp
from tui.key_words import (
    FOOTER_KEYS_NARROW,
    FOOTER_KEYS_WIDE,
    FOOTERS,
    elsewhere,
    footer_keys,
    help_groups,
)
from tui.keymap import moved_keys
from tui.keys import DATA_SCREENS, GROUPS, KEYS, SCREENS, bindings_on, keys_on
from tui.screens.agent import AgentScreen
from tui.screens.alert import AlertScreen
from tui.screens.cockpit import CockpitScreen
from tui.screens.delegation import DelegationScreen
from tui.screens.help import HelpScreen
from tui.screens.menu import ExportScreen, MarksScreen
from tui.screens.mute import MuteScreen
from tui.screens.overlay import HealthScreen
from tui.screens.replay import ReplayScreen
from tui.screens.runs import RunsScreen
from tui.screens.signals import SignalsScreen
from tui.screens.span import SpanScreen
from tui.screens.timeline import TimelineScreen
from tui.signs import UNICODE, signs_at
from tui.widgets.prompt import Entry

CLASSES = {
    each.name_here: each
    for each in (
        RunsScreen,
        CockpitScreen,
        TimelineScreen,
        SpanScreen,
        AlertScreen,
        AgentScreen,
        DelegationScreen,
        ReplayScreen,
        SignalsScreen,
        HelpScreen,
        HealthScreen,
        ExportScreen,
        MuteScreen,
        MarksScreen,
        Entry,
    )
}


@pytest.mark.parametrize("screen", SCREENS)
def test_a_key_does_one_thing_on_a_screen(screen: str) -> None:
    pressed = [key for row in keys_on(screen) for key in row.keys]
    assert len(pressed) == len(set(pressed))


def test_every_screen_is_loaded_by_its_name_and_no_other() -> None:
    assert screens.TimelineScreen is TimelineScreen and not hasattr(screens, "NoSuchScreen")


@pytest.mark.parametrize("screen", SCREENS)
def test_every_action_exists_where_it_is_listed(screen: str) -> None:
    for row in keys_on(screen):
        owner = TrajectoryApp if row.name.startswith("app.") else CLASSES[screen]
        assert callable(getattr(owner, f"action_{row.name.removeprefix('app.')}", None)), (screen, row.action)


@pytest.mark.parametrize("screen", SCREENS)
def test_every_key_is_bound(screen: str) -> None:
    bound = {binding.key for binding in bindings_on(screen)}
    assert bound == {key for row in keys_on(screen) for key in row.keys}


def test_every_row_has_a_group_and_a_screen() -> None:
    for row in KEYS:
        assert row.group in GROUPS
        assert row.screens and set(row.screens) <= set(SCREENS)


@pytest.mark.parametrize("where", FOOTERS)
def test_a_footer_names_keys_of_its_own_screen_and_not_too_many(where: str) -> None:
    screen, _, pane = where.partition(".")
    names = {row.name for row in keys_on(screen)}
    assert set(FOOTERS[where]) <= names
    assert len(footer_keys(screen, pane, UNICODE)) == len(FOOTERS[where]) <= FOOTER_KEYS_WIDE
    assert FOOTER_KEYS_NARROW < FOOTER_KEYS_WIDE


def test_help_lists_every_key_of_a_screen() -> None:
    for screen in SCREENS:
        for pane in ("", "alerts"):
            rows = [row for group in help_groups([screen], UNICODE, pane=pane).values() for row in group]
            assert all(row.sign in " ".join(each.sign for each in rows) for row in keys_on(screen))
            assert len({row.does for row in rows}) == len(rows)


def test_keys_are_spelled_in_ascii_where_signs_are() -> None:
    assert all(row.sign.isascii() for rows in help_groups(SCREENS, signs_at("ascii")).values() for row in rows)


async def test_the_help_says_by_which_name_settings_move_the_key_under_the_cursor() -> None:
    named = []
    async with driving() as driver:
        await driver.press("question_mark", "slash", *"pane")
        for _ in range(3):
            named.append(driver.text.splitlines()[-2].partition("[keys] ")[2].strip())
            await driver.press("down")
    assert named == ["next-pane-next", "", "zoom"], "that of many keys cannot be moved"
    assert moved_keys(dict.fromkeys(filter(None, named), "f5"))[0]


async def test_a_key_of_other_screens_is_said_to_do_nothing_here() -> None:
    async with driving() as driver:
        await driver.press("s")
        assert "does nothing here" not in driver.text
        await driver.press("enter", "A", "s")
        assert "s (next order of the runs) does nothing here; it does on: runs" in driver.text
        await driver.press("left_square_bracket", "slash", "s")
        assert "does nothing here" not in driver.text
    for screen in DATA_SCREENS:
        bound = {key for row in keys_on(screen) for key in row.keys}
        assert not any(elsewhere([key], screen, UNICODE) for key in bound)
