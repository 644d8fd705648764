"""The alert's page and the suspects under the hands of an operator: from each line to its span, and every state in words."""

import msgspec
import pytest

from tests.tui.pilots import Driver, driving
from tests.tui.story import ALERTS, SUSPECTS, TRACE_ID, StoryFeed
from trajectory.view.muting import key_of_agent, key_of_kind
from trajectory.view.views import Missing, TraceQuery
from tui.screens.alert import AlertScreen
from tui.screens.cockpit import CockpitScreen
from tui.screens.runs import RunsScreen
from tui.screens.signals import SignalsScreen
from tui.screens.span import SpanScreen

SIZES = [(80, 24), (120, 36), (200, 50), (60, 20), (44, 12)]


def page(driver: Driver) -> AlertScreen:
    screen = driver.app.screen
    assert isinstance(screen, AlertScreen)
    return screen


def opened_span(driver: Driver) -> str:
    screen = driver.app.screen
    assert isinstance(screen, SpanScreen)
    return screen.span_id


@pytest.mark.parametrize("size", SIZES)
async def test_the_page_shows_the_root_of_its_path_and_each_pane_is_one_key_away_at_every_size(
    size: tuple[int, int],
) -> None:
    async with driving(size=size) as driver:
        await driver.press("enter", "a", "enter")
        assert len(driver.text.splitlines()) == size[1]
        assert "A1" in driver.text and "cascade" in driver.text
        assert "◆ ✓ research#2" in driver.text
        await driver.press("2")
        assert "reached" in driver.text
        await driver.press("b")
        assert "read_cache" in driver.text and "34 %" in driver.text
        await driver.press("1")
        assert "research#2" in driver.text


async def test_from_each_line_one_gets_to_its_span() -> None:
    async with driving(size=(120, 40)) as driver:
        await driver.press("enter", "a", "enter")
        screen = page(driver)
        for line in list(screen.path.lines):
            if not line.span_id.startswith("d") or line.span_id.startswith("de"):
                screen.path.want(line.key)
                await driver.press("enter")
                if line.span_id:
                    assert opened_span(driver) == line.span_id
                    await driver.press("escape")
                assert driver.app.screen is screen


@pytest.mark.parametrize("size", [(120, 36), (80, 16), (60, 14)])
async def test_down_and_up_go_from_choice_to_choice_and_each_line_is_seen_on_the_way(size: tuple[int, int]) -> None:
    feed = StoryFeed()
    feed.alerts[0] = msgspec.structs.replace(feed.alerts[0], unknown=[f"what {n} said" for n in range(30)])
    async with driving(feed, size=size) as driver:
        await driver.press("enter", "a", "enter")
        screen = page(driver)
        for number in "1234":
            await driver.press(number)
            pane = screen.page
            for direction in (1, -1):
                stops, seen, before = [pane.cursor], set[int](), (-1, -1)
                for _ in range(2 * len(pane.lines)):
                    seen |= set(range(pane.top, min(pane.top + pane.room, len(pane.lines))))
                    if before == (pane.cursor, pane.top):
                        break
                    before = pane.cursor, pane.top
                    screen.action_line(direction)
                    stops += [pane.cursor] * (pane.cursor != stops[-1])
                chosen = [pane.lines[at].choice for at in stops[1:]]
                assert before == (pane.cursor, pane.top) and seen == set(range(len(pane.lines)))
                assert all(opens for _, opens in chosen) and len(set(chosen)) == len(chosen)
        screen.path.go(0)
        root = feed.alerts[0].path[0]
        assert screen.path.value == f"{root.name}: {root.text}"


async def test_an_alert_is_opened_from_the_list_of_runs() -> None:
    async with driving() as driver:
        await driver.press("tab")
        assert isinstance(driver.app.screen, RunsScreen)
        await driver.press("j", "enter")
        assert page(driver).alert_key == ALERTS[1].key
        assert "No path: it is about one place." in driver.text
        await driver.press("escape", "!")
        assert driver.where == "runs" and driver.app.data_screen is not None
        assert driver.app.data_screen.row_of(driver.app.data_screen.pane) == ALERTS[0], "the next one, and round"
        await driver.press("escape")
        assert driver.where == "runs"


async def test_brackets_walk_the_alerts_and_say_where_they_end() -> None:
    async with driving() as driver:
        await driver.press("enter", "a", "enter", "]", "]")
        assert "search_web four times" in driver.text
        await driver.press("]")
        assert "no alert after this one" in driver.text
        await driver.press("[", "[", "[")
        assert "no alert before this one" in driver.text
        assert "alert A1" in driver.text.splitlines()[0]


async def test_a_finding_on_the_way_is_opened_over_this_one_and_escape_comes_back() -> None:
    async with driving() as driver:
        await driver.press("enter", "a", "enter", "2")
        page(driver).about.want("alert context:d4")
        await driver.press("enter")
        assert page(driver).alert_key == "context:d4"
        await driver.press("escape")
        assert page(driver).alert_key == ALERTS[0].key


async def test_an_alert_is_marked_on_its_page() -> None:
    feed = StoryFeed()
    async with driving(feed) as driver:
        await driver.press("enter", "a", "enter", "x")
        assert feed.marks == [(TRACE_ID, ALERTS[0].key, "acknowledge", 0)]


async def test_a_mute_asks_what_and_how_long_and_its_undoing_takes_back_as_much() -> None:
    feed = StoryFeed()
    alert = feed.alerts[0]
    by_kind, by_agent = key_of_kind(alert.kind), key_of_agent(alert.kind, alert.agent)
    async with driving(feed, size=(80, 24)) as driver:
        await driver.press("enter", "a", "M")
        assert driver.where == "mute" and "this alert, A1" in driver.text and "until you unmute it" in driver.text
        await driver.press("escape")
        assert feed.marks == [] and driver.where == "cockpit"
        await driver.press("M", "j", "l", "enter")
        assert feed.marks.pop() == (TRACE_ID, by_kind, "mute", 3600)
        assert f"every {alert.kind} muted" in driver.text
        await driver.press("M", "j", "j", "enter")
        assert feed.marks.pop() == (TRACE_ID, by_agent, "mute", 0)
        feed.alerts[0] = msgspec.structs.replace(alert, state="muted", muted_by=by_agent)
        feed.moved()
        await driver.beat(2)
        assert "1 muted" in driver.text
        await driver.press("M")
        assert feed.marks == [(TRACE_ID, by_agent, "reopen", 0)]
        assert driver.where == "cockpit" and "A1 and what was muted with it open again" in driver.text


async def test_from_an_anomaly_one_gets_to_its_series_and_from_another_alert_to_the_work_of_its_agent() -> None:
    feed = StoryFeed()
    odd = msgspec.structs.replace(feed.alerts[2], kind="anomaly.latency", of="model", series="gpt-4o")
    feed.alerts[2] = msgspec.structs.replace(odd, path=[], span_id="none", root_span_id="")
    async with driving(feed) as driver:
        await driver.press("enter", "a", "enter", "p")
        screen = driver.app.screen
        assert isinstance(screen, SignalsScreen) and screen.trace_id == TRACE_ID
        assert screen.asks().agent == feed.alerts[0].agent
        await driver.press("escape", "]", "]", "p")
        screen = driver.app.screen
        assert isinstance(screen, SignalsScreen) and screen.trace_id == "" and screen.here is not None
        assert screen.here.name == "gpt-4o"
        await driver.press("escape", "d")
        assert "this line is about no delegation" in driver.text


async def test_of_an_alert_without_an_agent_there_is_one_choice_less_to_mute() -> None:
    feed = StoryFeed()
    feed.alerts[0] = msgspec.structs.replace(feed.alerts[0], agent="")
    async with driving(feed) as driver:
        await driver.press("enter", "a", "M")
        assert (
            driver.where == "mute"
            and "every cascade in this run" in driver.text
            and "every cascade of" not in driver.text
        )


async def test_an_alert_that_is_no_longer_found_stays_as_it_was_known_and_cannot_be_marked() -> None:
    feed = StoryFeed()
    async with driving(feed) as driver:
        await driver.press("enter", "a", "enter")
        feed.alerts = feed.alerts[1:]
        feed.moved()
        await driver.beat(2)
        assert "no longer found" in driver.text
        assert "read_cache S3" in driver.text
        await driver.press("x")
        assert "no alert is here" in driver.text
        assert feed.marks == []


async def test_no_alert_is_said_so() -> None:
    feed = StoryFeed()
    feed.alerts = []
    async with driving(feed) as driver:
        driver.app.open_alert(TRACE_ID, "cascade:91c4", "A1")
        await driver.beat(3)
        assert "No alert A1 in this run: there is none." in driver.text
        await driver.press("enter", "x", "exclamation_mark", "n", "y", "t")
        assert driver.app.is_running


async def test_a_page_that_waits_for_its_run_says_so() -> None:
    feed = StoryFeed()
    async with driving(feed) as driver:
        driver.app.open_alert(TRACE_ID, "cascade:91c4", "A1")
        await driver.pilot.pause()
        assert "Asking for the alert" in driver.text
        assert "opening alert A1" in driver.text
        driver.app.open_agent(TRACE_ID, "a07e")
        await driver.pilot.pause()
        assert "Asking for the agent" in driver.text
        driver.app.open_signals(TRACE_ID)
        await driver.pilot.pause()
        assert "Asking for the signals" in driver.text


async def test_a_run_that_is_gone_is_said_so_on_the_page() -> None:
    class Empty(StoryFeed):
        def _trace(self, query):  # type: ignore[no-untyped-def]
            return Missing(self.version, self.health, "there is no such run")

    async with driving(Empty(), open_trace=TRACE_ID) as driver:
        driver.app.open_alert(TRACE_ID, "cascade:91c4", "A1")
        await driver.beat(3)
        assert "there is no such run" in driver.text


async def test_the_path_of_the_alert_under_the_cursor_is_drawn_and_no_other() -> None:
    async with driving() as driver:
        await driver.press("enter", "a")
        assert "A1 ◆ research#2 ╫ 2 planner#1" in driver.text
        await driver.press("j")
        assert "A1 ◆ research#2" not in driver.text


async def test_until_it_is_touched_the_list_of_alerts_stays_on_the_gravest_and_then_on_the_one_that_was_chosen() -> (
    None
):
    feed = StoryFeed()
    feed.alerts = feed.alerts[1:]
    async with driving(feed) as driver:
        await driver.press("enter", "a")
        feed.alerts = list(ALERTS)
        feed.moved()
        await driver.beat(2)
        assert "A1 ◆ research#2" in driver.text
        await driver.press("x")
        feed.alerts = [*ALERTS[1:], ALERTS[0]]
        feed.moved()
        await driver.beat(2)
        assert "A1 ◆ research#2" in driver.text


async def test_a_path_that_is_not_followed_says_where_it_happened_and_not_where_it_ended() -> None:
    feed = StoryFeed()
    feed.alerts = [msgspec.structs.replace(ALERTS[0], ending="", kind="context.lost", path=ALERTS[0].path[1:3])]
    async with driving(feed) as driver:
        await driver.press("enter", "a", "enter")
        assert "╫ it happened here: in the answer of research#2 to planner#1" in driver.text
        assert "reached no answer" not in driver.text
        assert "ended" not in driver.text


async def test_suspects_are_asked_for_where_they_are_shown_and_nowhere_else() -> None:
    feed = StoryFeed()
    async with driving(feed) as driver:
        await driver.press("enter", "a", "enter", "escape", "escape", "t")
        asked = [query for query in feed.asked if isinstance(query, TraceQuery)]
        assert {bool(query.suspects) for query in asked if query.spans} == {False}
        assert {bool(query.suspects) for query in asked if not query.spans} == {True}


async def test_a_suspect_is_shown_with_its_reasons_and_opens_its_span() -> None:
    async with driving(size=(80, 24)) as driver:
        await driver.press("enter", "b")
        assert "a ranking, not a verdict" in driver.text
        assert "took 38.9M from a cache that is 330 days old" in driver.text
        await driver.press("j", "k", "y")
        assert SUSPECTS[0].reasons[0] in driver.app.clipboard
        await driver.press("Y")
        assert msgspec.json.decode(driver.app.clipboard)["score"] == 0.34
        await driver.press("enter")
        assert opened_span(driver) == "91c4"


async def test_a_run_without_suspects_says_so_and_what_cannot_be_seen() -> None:
    feed = StoryFeed()
    feed.suspects, feed.limits = [], ["No contents were recorded in this run."]
    async with driving(feed) as driver:
        await driver.press("enter", "b")
        assert "No suspects: nothing that was recorded in this run speaks against a step." in driver.text
        assert "? No contents were recorded in this run." in driver.text


async def test_alerts_and_suspects_stand_side_by_side_where_there_is_room() -> None:
    async with driving(size=(200, 50)) as driver:
        await driver.press("enter")
        screen = driver.app.screen
        assert isinstance(screen, CockpitScreen)
        assert screen.alerts.display and screen.suspects.display
        await driver.press("4", "z", "z")
        assert screen.alerts.display and screen.agents.size.height > 2


async def test_a_text_is_found_on_the_page() -> None:
    async with driving() as driver:
        await driver.press("enter", "a", "enter", "slash", *"draft", "enter", "n")
        screen = page(driver)
        assert "draft 3" in screen.value_of(screen.path)


async def test_lines_are_made_anew_for_another_width() -> None:
    async with driving(size=(120, 36)) as driver:
        await driver.press("enter", "a", "enter")
        await driver.pilot.resize_terminal(80, 24)
        await driver.beat(2)
        lines = driver.text.splitlines()
        assert len(lines) == 24 and all(len(line) <= 80 for line in lines)
        assert "read_cache S3                        00:33.500" in driver.text


async def test_a_graver_alert_that_comes_while_one_is_read_is_named_and_gone_to_by_its_number() -> None:
    feed = StoryFeed()
    lesser = msgspec.structs.replace(ALERTS[1], severity="warning")
    feed.alerts = [lesser]
    async with driving(feed) as driver:
        await driver.press("enter", "a", "enter")
        assert page(driver).alert_key == lesser.key and "is graver" not in driver.text
        feed.alerts = [ALERTS[0], lesser]
        feed.moved()
        await driver.beat(2)
        assert "A1 cascade is graver: type :A1 to open it" in driver.text
        await driver.press("colon", "A", "1", "enter")
        assert page(driver).alert_key == ALERTS[0].key and "is graver" not in driver.text


async def test_a_short_path_leaves_its_room_to_what_to_do_on_a_small_screen() -> None:
    feed = StoryFeed()
    feed.alerts = [msgspec.structs.replace(feed.alerts[1], path=feed.alerts[0].path[:1])]
    async with driving(feed, size=(80, 24)) as driver:
        await driver.press("enter", "a", "enter")
        about = page(driver).about
        assert about.room >= len(about.lines) > 4 and "What to do" in driver.text
