"""Going places: links, names, times, the jump list and marks; and the prompt in which they are typed."""

from pathlib import Path

import msgspec
import pytest
from textual.events import Key

from tests.tui.pilots import Driver, driving
from tests.tui.rows import HOSTILE
from tests.tui.story import ALERTS, DELEGATIONS, LANES, START_NS, TRACE_ID, S, StoryFeed
from trajectory.view.link import Link, alert_mark, parse_link
from trajectory.view.views import TraceQuery
from tui.keys import DATA_SCREENS
from tui.links import link_to, link_to_agent, link_to_delegation, link_to_instant, link_to_signals
from tui.marks import Marks, Place
from tui.screens.alert import AlertScreen
from tui.screens.cockpit import CockpitScreen
from tui.screens.delegation import DelegationScreen
from tui.screens.signals import SignalsScreen
from tui.screens.span import SpanScreen
from tui.screens.timeline import TimelineScreen
from tui.widgets.prompt import Entry

PATHS = {
    "runs": [],
    "cockpit": ["enter", "j", "j"],
    "timeline": ["t", "j", "j"],
    "span": ["enter", "a", "enter", "enter"],
    "alert": ["enter", "a", "enter"],
    "delegation": ["enter", "d", "j", "j", "d"],
    "replay": ["enter", "r", "left", "left"],
    "agent": ["enter", "j", "j", "enter"],
    "signals": ["enter", "p"],
}
_NAMES = {"#": "number_sign", ":": "colon", ".": "full_stop", "/": "slash", "=": "equals_sign", "?": "question_mark"}


def keys(text: str) -> list[str]:
    return [_NAMES.get(char, "space" if char == " " else char) for char in text]


def here(driver: Driver) -> tuple[str, str, str]:
    """Where one is: the screen, what it is about, and the row under the cursor."""
    screen = driver.app.data_screen
    assert screen is not None
    return screen.name_here, screen.subject, screen.pane.selected


# Links


async def test_a_link_that_is_copied_on_a_screen_lands_where_it_was_copied() -> None:
    async with driving() as driver:
        for screen in DATA_SCREENS:
            await driver.press(*PATHS[screen], "U")
            there, copied = here(driver), driver.app.clipboard
            assert there[0] == screen and parse_link(copied).trace == TRACE_ID, screen
            await driver.home()
            await driver.press("j", "colon")
            driver.app.screen.query_one(Entry).value = copied
            await driver.press("enter")
            await driver.beat(2)
            assert here(driver) == (("cockpit", "", here(driver)[2]) if screen == "runs" else there), screen
            await driver.home()
            await driver.press("g")


async def test_the_dashboard_opens_on_a_link() -> None:
    async with driving(open_link=Link(TRACE_ID, "91c4", view="timeline")) as driver:
        screen = driver.app.screen
        assert isinstance(screen, TimelineScreen) and screen.row is not None and screen.row.span_id == "91c4"
        await driver.press("escape")
        assert driver.where == "cockpit"
    async with driving(open_link=Link(TRACE_ID, alert=alert_mark(ALERTS[1].key))) as driver:
        assert isinstance(driver.app.screen, AlertScreen)
        assert driver.app.screen.alert_key == ALERTS[1].key


async def test_a_hostile_link_is_told_of_as_text_and_goes_nowhere() -> None:
    async with driving() as driver:
        await driver.press("colon")
        driver.app.screen.query_one(Entry).value = f"trajectory://7f3a/span/{HOSTILE}"
        await driver.press("enter")
        assert driver.where == "runs"
        assert "no link of ours" in driver.text
        await driver.press("colon", *keys("trajectory://ffff"), "enter")
        assert "no run here begins with ffff" in driver.text


@pytest.mark.parametrize("theirs", ["", "../x", HOSTILE, "no hex", "f" * 33])
def test_an_id_that_no_link_can_hold_has_none(theirs: str) -> None:
    links = [
        link_to(msgspec.structs.replace(LANES[0], span_id=theirs or "?"), TRACE_ID, 0, "agents"),
        link_to(DELEGATIONS[0], theirs, 0, ""),
        link_to_delegation(TRACE_ID, theirs or "?"),
        link_to_agent(TRACE_ID, theirs or "?"),
        link_to_instant(theirs, 0),
        link_to_instant(TRACE_ID, -1),
        link_to_signals(theirs),
    ]
    assert links == [None] * len(links)


# Times and words


async def test_a_time_moves_the_cursor_of_the_timeline() -> None:
    async with driving() as driver:
        await driver.press("t")
        screen = driver.app.screen
        assert isinstance(screen, TimelineScreen)
        for typed in ("00:33.5", ":00:33.52", "33510ms"):
            await driver.press("g", "colon", *keys(typed), "enter")
            assert screen.row is not None and screen.row.span_id == "91c4", typed


async def test_a_time_opens_the_timeline_from_elsewhere() -> None:
    async with driving() as driver:
        await driver.press("enter", "colon", *keys("1:16"), "enter")
        await driver.beat()
        screen = driver.app.screen
        assert isinstance(screen, TimelineScreen)
        assert screen.row is not None and screen.row.span_id == "b2cf"


async def test_words_go_where_their_keys_go() -> None:
    async with driving() as driver:
        await driver.press("colon", *keys("suspects"), "enter")
        assert driver.where == "runs" and "is called suspects" in driver.text, "no run is open"
        await driver.press("colon", "space", "enter")
        assert driver.where == "runs" and "is called" not in driver.text
        for word, where, pane in (("timeline", "timeline", "spans"), ("delegations", "cockpit", "delegations")):
            await driver.press("enter", "a", "enter", "colon", *keys(word), "enter")
            await driver.beat()
            assert driver.where == where
            assert driver.app.data_screen is not None and driver.app.data_screen.pane.id == pane
            await driver.press(*["escape"] * 4)


# Where one was


async def test_going_back_goes_to_where_one_was_and_to_the_row_there() -> None:
    async with driving() as driver:
        await driver.press("enter", "j", "j")
        lane = here(driver)
        await driver.press("t", "G")
        await driver.press("ctrl+o")
        assert driver.where == "timeline" and here(driver)[2] == lane[2]
        await driver.press("ctrl+o")
        assert here(driver) == lane
        await driver.press("ctrl+o")
        assert driver.where == "runs"
        await driver.press("ctrl+o")
        assert "nowhere else" in driver.text


async def test_what_was_closed_is_opened_again_by_going_back() -> None:
    async with driving() as driver:
        await driver.press("enter", "a", "enter", "enter", "]")
        assert isinstance(driver.app.screen, SpanScreen)
        there = driver.app.screen.span_id
        await driver.press("escape", "escape", "ctrl+o", "ctrl+o")
        await driver.beat(2)
        assert isinstance(driver.app.screen, SpanScreen) and driver.app.screen.span_id == there


async def test_a_mark_is_set_and_gone_to_by_its_letter_and_belongs_to_its_run() -> None:
    async with driving() as driver:
        await driver.press("t", *["j"] * 6, "m", "q")
        there = here(driver)
        assert driver.app.is_running
        assert "marked as q" in driver.text
        await driver.press("g", "escape", "apostrophe")
        assert f"timeline ▸ Timeline ▸ span {there[2]}" in driver.text
        await driver.press("q")
        await driver.beat(2)
        assert here(driver) == there
        await driver.press("escape", "escape", "j", "apostrophe", "q")
        assert "no mark q in this run" in driver.text
        await driver.press("apostrophe", "escape")
        assert driver.where == "runs"


async def test_going_back_passes_over_what_cannot_be_found_again() -> None:
    async with driving() as driver:
        await driver.press("enter")
        gone = Place(lambda: None, "", None, "", "", "a screen that had no link")
        driver.app.been += [gone, gone]
        await driver.press("ctrl+o")
        assert driver.where == "runs" and driver.app.been == []


async def test_going_forward_comes_back_to_what_was_gone_back_from_until_one_goes_elsewhere() -> None:
    async with driving() as driver:
        await driver.press("enter", "j", "j", "t", "G")
        places = [here(driver)]
        for _ in range(2):
            await driver.press("ctrl+o")
            places.append(here(driver))
        for place in reversed(places[:-1]):
            await driver.press("ctrl+f")
            await driver.beat()
            assert here(driver) == place
        await driver.press("ctrl+f")
        assert "nothing was gone back from" in driver.text
        await driver.press("ctrl+o", "escape", "ctrl+f")
        assert "nothing was gone back from" in driver.text


async def test_where_no_run_is_there_is_no_link_no_mark_and_no_time_to_go_to() -> None:
    async with driving() as driver:
        await driver.press("slash", *"zzz", "enter")
        for pressed, said in (
            (("m", "a"), "nothing to mark here"),
            (("U",), "nothing here has a link"),
            (("colon", *keys("1:16"), "enter"), "is called 1:16"),
            (("P",), "no run is under the cursor"),
            (("enter",), "no run to open yet"),
            (("t",), "no run to open yet"),
        ):
            await driver.press(*pressed)
            assert driver.where == "runs" and said in driver.text, said
        await driver.press("p", "escape", "escape", "ctrl+o", "ctrl+o")
        assert driver.app.is_running


async def test_a_link_to_the_signals_of_a_run_goes_to_the_time_that_it_names() -> None:
    async with driving() as driver:
        assert driver.app.land(Link(TRACE_ID, at_ns=60 * S, view="signals"))
        await driver.beat(3)
        screen = driver.app.screen
        assert isinstance(screen, SignalsScreen)
        begin_ns, end_ns = screen._stretch()
        assert begin_ns <= START_NS + 60 * S < end_ns
        await driver.press("escape", "escape", "p", "colon", *keys("1:16"), "enter")
        assert driver.where == "signals" and "times are by the clock" in driver.text


async def test_what_is_folded_away_is_asked_for_when_a_mark_leads_to_it() -> None:
    async with driving() as driver:
        await driver.press("t", *["j"] * 6, "m", "q")
        there = here(driver)
        await driver.press("g", "h", "apostrophe", "q")
        screen = driver.app.screen
        assert isinstance(screen, TimelineScreen) and there[2] not in screen.spans.keys
        assert any(isinstance(query, TraceQuery) and query.around == there[2] for query in driver.app.feed.asked)  # type: ignore[attr-defined]
        await driver.press("l", "apostrophe", "q")
        assert here(driver) == there


async def test_going_back_while_a_name_is_typed_closes_the_prompt() -> None:
    async with driving() as driver:
        await driver.press("enter", "colon", "x", "ctrl+o")
        assert driver.app.data_screen is not None and not driver.app.data_screen.is_prompting


async def test_marks_are_there_after_a_restart_and_hold_nothing_that_was_said(tmp_path: Path) -> None:
    kept = tmp_path / "marks.json"
    async with driving(marks=Marks(kept)) as driver:
        await driver.press("t", *["j"] * 6, "m", "q")
        there = here(driver)
    assert b"revenue" not in kept.read_bytes()
    async with driving(marks=Marks(kept)) as driver:
        await driver.press("apostrophe")
        assert f"timeline  span {there[2]}" in driver.text
        await driver.press("q")
        await driver.beat(2)
        assert here(driver) == there
    whole = kept.read_bytes()
    for before, after in (
        (b"trajectory://", b"elsewhere://"),
        (b'"q"', b'"qq"'),
        (b'"q"', b'"1"'),
        (b"://7f3a", b"://7f3b"),
    ):
        kept.write_bytes(whole.replace(before, after))
        assert not Marks(kept).of(TRACE_ID), after


async def test_a_delegation_is_gone_to_by_its_number() -> None:
    async with driving() as driver:
        await driver.press("enter", "colon", "d", "2", "enter")
        screen = driver.app.screen
        assert isinstance(screen, DelegationScreen) and screen.view is not None
        assert screen.view.number == 2
        await driver.press("escape", "colon", "d", "9", "9", "enter")
        assert "no run, alert, agent or span is called d99" in driver.text


async def test_what_is_outside_of_the_window_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.screens.timeline._WINDOW", 4)
    feed = StoryFeed()
    feed.steps = []  # so that nobody but the timeline knows of spans
    async with driving(feed) as driver:
        for typed, found in (
            ("c3f8", "c3f8"),
            ("00:33.51", "91c4"),
            ("trajectory://7f3a/span/c3f8?v=timeline", "c3f8"),
        ):
            await driver.press("enter", "colon")
            driver.app.screen.query_one(Entry).value = typed
            await driver.press("enter")
            await driver.beat(2)
            screen = driver.app.screen
            assert isinstance(screen, TimelineScreen), typed
            assert screen.row is not None and screen.row.span_id == found, typed
            await driver.press(*["escape"] * 3)
        await driver.press("enter", "colon", *"9999", "enter")
        await driver.beat()
        assert "span 9999 is not among the spans of this run" in driver.text


# The prompt


async def test_what_is_typed_at_once_with_the_slash_is_typed_and_no_command() -> None:
    async with driving() as driver:
        await driver.press("enter")
        for key, char in (("slash", "/"), ("q", "q"), ("z", "z"), ("x", "x")):
            driver.app.post_message(Key(key, char))
        await driver.pilot.pause()
        await driver.beat()
        assert driver.app.is_running
        assert driver.app.screen.query_one(Entry).value == "qzx"


async def test_tab_completes_and_keeps_the_focus() -> None:
    async with driving() as driver:
        await driver.press("enter", "slash", "a", "g", "tab")
        entry = driver.app.screen.query_one(Entry)
        assert entry.value == "agent:" and entry.has_focus
        await driver.press("tab", "q", "shift+tab")
        assert driver.app.is_running and entry.has_focus
        entry.value = "agent:rese"
        await driver.press("tab")
        assert entry.value == "agent:research"
        await driver.press("tab", "enter")
        assert driver.app.data_screen is not None and driver.app.data_screen.filter_text == "agent:research#2"


async def test_a_click_on_a_pane_leaves_what_is_typed_to_the_prompt() -> None:
    async with driving() as driver:
        await driver.press("enter", "slash", "x")
        await driver.pilot.click("#tail")
        await driver.press("q")
        assert driver.app.screen.query_one(Entry).value == "xq"
        await driver.press("escape")
        assert driver.app.screen.focused is driver.app.screen.query_one("#tail")


async def test_a_filter_with_a_fault_is_not_taken_but_mended_or_left() -> None:
    async with driving() as driver:
        await driver.press("slash", *keys("agnt:x"), "enter")
        screen = driver.app.data_screen
        assert screen is not None and screen.is_prompting and "did you mean agent or agents?" in driver.text
        await driver.press("home", "delete", *keys("a"), "right", *keys("e"), "enter")
        assert not screen.is_prompting and screen.filter_text == "agent:x"
        for before in ("agent:x", ""):
            await driver.press("slash", "ctrl+u", *keys("agnt:x"), "enter", "escape")
            assert not screen.is_prompting and screen.filter_text == before
            await driver.press("escape")


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_while_a_filter_is_typed_its_fault_is_shown_whole_and_nothing_twice(size: tuple[int, int]) -> None:
    async with driving(size=size) as driver:
        await driver.press("slash", *"digest", "space", "left_parenthesis")
        lines = driver.text.splitlines()
        assert lines[-2].startswith(" / digest (") and lines[-2].count("digest") == 1
        assert "fault in column 9" in lines[-2]
        assert "column 9: something to look for is missing here" in lines[-1]
        await driver.press("backspace", "backspace")
        assert "1 of 7 runs" in driver.text.splitlines()[-2]
        assert driver.text.splitlines()[-2].count("digest") == 1


async def test_what_was_entered_comes_back_by_up_and_what_was_being_typed_by_down() -> None:
    async with driving() as driver:
        await driver.press("slash", *"memo", "enter", "slash", *["backspace"] * 4, *"digest", "enter", "escape")
        await driver.press("slash", "x", "up")
        entry = driver.app.screen.query_one(Entry)
        assert entry.value == "digest"
        await driver.press("up", "up")
        assert entry.value == "memo"
        await driver.press("down", "down")
        assert entry.value == "x"
        await driver.press("escape", "colon", "up")
        assert entry.value == ""


async def test_places_are_offered_while_a_name_is_typed() -> None:
    feed = StoryFeed()
    feed.alerts[2:] = [msgspec.structs.replace(row, kind=HOSTILE) for row in feed.alerts[2:]]
    feed.lanes[1] = msgspec.structs.replace(feed.lanes[1], label=HOSTILE)
    async with driving(feed) as driver:
        await driver.press("enter")
        assert HOSTILE not in [name for letter in "eogr" for name, _ in driver.app.places_called(letter)]
        await driver.press("escape")
        await driver.press("enter", "colon", *"rev")
        assert "reviewer#1" in driver.text.splitlines()[-1]
        await driver.press("tab", "enter")
        assert driver.where == "agent"
        await driver.press("colon", "a", "3")
        assert "A3" in driver.text.splitlines()[-1]
        assert not any(ord(char) < 32 for char in driver.text if char != "\n")
        await driver.press("tab", "enter")
        assert isinstance(driver.app.screen, AlertScreen)


async def test_a_filter_takes_a_stretch_of_the_run() -> None:
    async with driving() as driver:
        await driver.press("t", "slash", *keys("at:31.5s..33.6s kind:tool"), "enter")
        screen = driver.app.screen
        assert isinstance(screen, TimelineScreen) and screen.view is not None
        assert {row.span_id for row in screen.view.spans} == {"8f02", "91c4"}


async def test_the_cockpit_lands_on_the_delegation_of_a_link() -> None:
    async with driving(open_link=Link(TRACE_ID, "d4d4", view="delegations")) as driver:
        screen = driver.app.screen
        assert isinstance(screen, CockpitScreen)
        assert screen.pane is screen.delegations and screen.delegations.selected == "d2"
