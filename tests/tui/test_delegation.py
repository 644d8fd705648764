"""One delegation on the screen: every line in its width, what was not captured as such, and the way from an item to its uses."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tui import rows
from tests.tui.pilots import Driver, driving
from tests.tui.story import DELEGATIONS, ITEMS, TRACE_ID, StoryFeed, delegation_view
from tests.tui.test_drawing import holds, levels
from trajectory.view.rows import FiguresRow, ItemRow, UsedRow
from trajectory.view.views import DelegationQuery, DelegationView
from tui.drawing.delegation import (
    MODES,
    delegation_at,
    history_lines,
    item_lines,
    items_head,
    sides_line,
    text_lines,
    used_lines,
)
from tui.drawing.figures import figures_line, verdict_lines
from tui.drawing.line import plain
from tui.screens.delegation import DelegationScreen
from tui.screens.span import SpanScreen
from tui.signs import LEVELS, UNICODE, signs_at

OPEN = ("enter", "d", "j", "j", "d")


def told() -> DelegationView:
    view = delegation_view("d2", DELEGATIONS, ITEMS)
    assert view is not None
    return view


def page(driver: Driver) -> DelegationScreen:
    screen = driver.app.screen
    assert isinstance(screen, DelegationScreen)
    return screen


@settings(max_examples=40)
@given(rows.crossings, st.integers(36, 200), levels, st.sampled_from(MODES[:2]))
def test_the_lines_of_a_delegation_have_their_width(view, width, signs, mode) -> None:  # type: ignore[no-untyped-def]
    holds([sides_line(view, width, signs, lambda _: "00:00.000"), figures_line(view.figures, width, signs)], width)
    holds([items_head(view, width)], width)
    holds([line.line for line in item_lines(view, mode, width, signs) if line.value], width)
    followed = [UsedRow(item.text, item.kind, item.uses, item.uses_count) for item in view.items]
    holds([line.line for line in used_lines(followed, width, signs, str) if line.span_id], width)
    for item in view.items:
        holds([line.line for line in history_lines(item, width, signs, str) if line.span_id], width)
    holds([line.line for line in verdict_lines(view, width, signs) if line.span_id], width)
    holds([line.line for line in text_lines(view, width, signs) if line.value], width)


def test_every_line_is_known_by_a_key_of_its_own() -> None:
    view = told()
    for lines in (
        item_lines(view, "all", 100, UNICODE),
        text_lines(view, 100, UNICODE),
        verdict_lines(view, 60, UNICODE),
        *(history_lines(item, 60, UNICODE, str) for item in view.items),
    ):
        assert len({line.key for line in lines}) == len(lines)


@pytest.mark.parametrize("level", LEVELS)
def test_what_happened_to_an_item_is_told_by_its_sign_alone(level: str) -> None:
    view, signs = told(), signs_at(level)
    lines = {item.change: plain(item_lines(view, "all", 110, signs)[n].line) for n, item in enumerate(view.items)}
    heads = {change: line[:2] for change, line in lines.items()}
    assert heads["lost"] == heads["dropped"]  # neither arrived
    assert len({*heads.values()}) == len(heads) - 1


def test_what_was_not_captured_is_a_question_mark_and_what_was_not_there_a_dot() -> None:
    item = ItemRow("k", "money", "5 EUR", "returned", back="5 EUR")
    seen = msgspec.structs.replace(told(), items=[item])
    unseen = msgspec.structs.replace(seen, hidden=[("held", "what the delegator held was not captured")])
    assert "?" not in plain(item_lines(seen, "all", 100, UNICODE)[0].line)
    assert plain(item_lines(unseen, "all", 100, UNICODE)[0].line).split()[2] == "?"


def test_of_a_hand_off_it_is_said_that_nothing_comes_back() -> None:
    view = told()
    row = msgspec.structs.replace(view.row, mode="transfer")
    view = msgspec.structs.replace(view, row=row, hidden=[("back", "nothing comes back of a hand-off")])
    (line,) = [plain(each.line) for each in text_lines(view, 100, UNICODE) if each.key == "returned title"]
    assert line == "What came of it  nothing comes back of a hand-off"


def test_figures_that_are_not_known_are_never_nothing() -> None:
    view = delegation_view("d1", DELEGATIONS, ITEMS)
    assert view is not None
    line = plain(figures_line(view.figures, 120, UNICODE))
    assert "sent not observable" in line and "back ?" in line and "? tok" in line and " 0" not in line
    assert "Not observable: " in plain(item_lines(view, "needed", 100, UNICODE)[0].line)
    assert sum("? " in plain(each.line)[:2] for each in verdict_lines(view, 60, UNICODE)) == 4


def test_where_nothing_was_needed_there_is_no_share_and_of_several_it_is_said_how_many_are_not_known() -> None:
    figures = FiguresRow(needed=0, arrived=0, unseen=3, unheard=1, delegations=5)
    view = msgspec.structs.replace(told(), figures=figures)
    assert "sent 0 of 0 needed" in plain(figures_line(figures, 120, UNICODE)) and "%" not in plain(
        figures_line(figures, 120, UNICODE)
    )
    text = [plain(line.line).strip() for line in verdict_lines(view, 60, UNICODE)]
    assert "of 3 delegations what was sent is not observable" in text
    assert "of 1 delegation what was used is not observable" in text
    for total, title in ((5, "All 5 between the two"), (40, "The latest 5 of 40 between the two")):
        several = msgspec.structs.replace(view, between=figures, between_total=total)
        assert title in [plain(line.line) for line in verdict_lines(several, 60, UNICODE)]


def test_a_span_belongs_to_the_delegation_that_it_carries_begins_or_was_done_for() -> None:
    named = msgspec.structs.replace(DELEGATIONS[1], target_span_id="a07e")
    those = [DELEGATIONS[0], named, DELEGATIONS[6]]
    assert delegation_at(those, "d4d4") is named
    assert delegation_at(those, "a07e") is named
    assert delegation_at(those, "none", "research#1") is DELEGATIONS[6]  # the last by which it was given work
    assert delegation_at(those, "none", "nobody") is None


async def test_from_a_run_to_an_item_and_on_to_the_span_that_used_it() -> None:
    async with driving(size=(80, 24)) as driver:
        await driver.press(*OPEN)
        assert "sent 1 of 4 needed" in driver.text and "▲ needed" in driver.text
        await driver.press("u")
        assert page(driver).pane is page(driver).item
        await driver.press("enter")
        assert isinstance(driver.app.screen, SpanScreen) and driver.app.screen.span_id == "c3f8"
        await driver.press("escape", "1", "j", "u")
        assert "nobody used EUR later, as far as was recorded" in driver.text
        await driver.press("j", "y")
        assert driver.app.clipboard == "17:00"
        await driver.press("Y")
        assert msgspec.json.decode(driver.app.clipboard)["change"] == "altered"
        await driver.press("v")
        assert "its own" in driver.text and "9 of 9 items" in driver.text
        await driver.press("v")
        assert "− Use the newest sources, by 15:00." in driver.text and "+ Use the newest sources." in driver.text
        await driver.press("v")
        assert page(driver).under == ITEMS[2]  # where the cursor was
        await driver.press("3")
        assert "does again what was rejected" in driver.text
        await driver.press("escape")
        assert driver.where == "cockpit"


async def test_siblings_are_walked_without_leaving_and_only_the_open_one_is_asked_for() -> None:
    feed = StoryFeed()
    async with driving(feed) as driver:
        await driver.press(*OPEN, "]")
        await driver.beat()
        assert "archivist" in driver.text and "Not observable: " in driver.text
        await driver.press("u", "enter", *["["] * 2)
        await driver.beat()
        assert "[ 1 of 9 ]" in driver.text
        await driver.press("[")
        assert "no delegation before this one" in driver.text
        await driver.press("escape")
        feed.moved()
        await driver.beat(2)
        asked = [isinstance(query, DelegationQuery) for query in feed.asked]
        assert any(asked) and not any(asked[-2:])


async def test_the_cursor_stays_on_its_item_while_others_come() -> None:
    feed = StoryFeed()
    async with driving(feed) as driver:
        await driver.press(*OPEN, "j", "j")
        feed.items = [ItemRow("constraint new", "constraint", "in French", "lost", held="in French"), *ITEMS]
        feed.moved()
        await driver.beat(2)
        assert page(driver).under == ITEMS[2]


async def test_a_delegation_is_reached_from_the_timeline_and_from_an_alert() -> None:
    async with driving() as driver:
        await driver.press("t", "d")
        assert "no delegation is known" in driver.text
        await driver.press("escape")
        driver.app.open_timeline(TRACE_ID, "3002", None)  # a call of research#2
        await driver.beat(3)
        await driver.press("d")
        assert page(driver).delegation_id == "d2"
        driver.app.open_alert(TRACE_ID, "context:d4", "A2")
        await driver.beat(3)
        await driver.press("d")
        assert page(driver).delegation_id == "d2"
