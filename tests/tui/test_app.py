"""The app under the hands of an operator: every key on every screen, and what must hold while rows pour in."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.tui.pilots import Driver, driving
from tests.tui.story import ALERTS, NOW_NS, RUNS, SPANS, START_NS, STEPS, TRACE_ID, StoryFeed, health, run
from trajectory.errors import QueryError
from trajectory.view.rows import StepRow
from trajectory.view.views import Missing, Query, RunsQuery, RunsView, SpanQuery, TraceQuery, View
from tui.app import TrajectoryApp
from tui.keys import DATA_SCREENS, keys_on
from tui.screens.alert import AlertScreen
from tui.screens.cockpit import CockpitScreen
from tui.screens.runs import RunsScreen
from tui.screens.span import SpanScreen
from tui.screens.timeline import TimelineScreen
from tui.widgets.pane import Pane

PATHS = {
    "runs": [],
    "cockpit": ["enter"],
    "timeline": ["t"],
    "span": ["enter", "a", "enter", "enter"],
    "alert": ["enter", "a", "enter"],
    "delegation": ["enter", "d", "j", "j", "d"],
    "agent": ["enter", "j", "j", "enter"],
    "signals": ["p"],
    "replay": ["enter", "r"],
}
SIZES = [(80, 24), (120, 36), (200, 50), (60, 20), (44, 12)]


async def at(driver: Driver, screen: str) -> None:
    await driver.press(*PATHS[screen])
    assert driver.where == screen


def cockpit(driver: Driver) -> CockpitScreen:
    screen = driver.app.screen
    assert isinstance(screen, CockpitScreen)
    return screen


def a_step(step_id: int, text: str = "step") -> StepRow:
    return StepRow(step_id, START_NS + step_id, "planner#1", "event", "", f"{text} {step_id}", "1001")


# Places


@pytest.mark.parametrize("screen", DATA_SCREENS)
async def test_every_key_works_on_every_screen(screen: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(str(tmp_path))
    async with driving(size=(100, 30), beats=2) as driver:
        await at(driver, screen)
        here = driver.app.screen
        for row in keys_on(screen):
            skipped = ("back", "before", "live", "app.quit", "app.copy_or_quit", "app.suspend_process")
            for key in row.keys[:1] if row.name not in skipped else []:
                await driver.press(key)
                assert driver.app.is_running, row.action
                assert len(driver.text.splitlines()) == 30
                while driver.app.screen is not here:
                    assert driver.where != "runs" or screen == "runs", row.action
                    await driver.press("escape")
                if driver.app.screen.is_prompting:
                    await driver.press("escape")


@pytest.mark.parametrize("size", SIZES)
async def test_every_screen_draws_at_every_size(size: tuple[int, int]) -> None:
    async with driving(size=size) as driver:
        for keys in (["enter"], ["t"], ["enter"], ["escape", "r"], ["question_mark"], ["escape", "i"]):
            await driver.press(*keys)
            lines = driver.text.splitlines()
            assert len(lines) == size[1]
            assert "live" in lines[0] or driver.where in ("help", "health")


async def test_five_escapes_lead_back_to_the_runs_and_never_quit() -> None:
    async with driving() as driver:
        await driver.press("enter", "t", "enter", "slash", "x", "question_mark")
        await driver.press(*["escape"] * 8)
        assert driver.where == "runs"
        assert driver.app.is_running


async def test_q_quits_at_once_from_anywhere() -> None:
    for path, key in (([], "q"), (["t", "enter"], "q"), (["question_mark"], "q"), (["enter"], "ctrl+c")):
        async with driving(beats=1) as driver:
            await driver.press(*path)
            await driver.pilot.press(key)
            await driver.pilot.pause()
            assert not driver.app.is_running


async def test_three_keys_lead_from_the_door_to_the_root_of_a_cascade_and_a_fourth_opens_it() -> None:
    feed = StoryFeed()
    async with driving(feed) as driver:
        await driver.press("enter", "a", "enter")
        assert isinstance(driver.app.screen, AlertScreen)
        assert "◆ ✓ research#2     tool       read_cache S3" in driver.text
        await driver.press("enter")
        screen = driver.app.screen
        assert isinstance(screen, SpanScreen)
        assert screen.span_id == "91c4"
        assert "root of a cascade" in driver.text
        assert SpanQuery(TRACE_ID, "91c4") in feed.asked


async def test_a_window_of_the_timeline_slides_to_the_last_span_and_to_the_next_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tui.screens.timeline._WINDOW", 8)
    async with driving() as driver:
        await driver.press("enter", "t")
        screen = driver.app.screen
        assert isinstance(screen, TimelineScreen)
        await driver.press("G")
        await driver.beat(2)
        assert screen.row is not None and screen.row.span_id == SPANS[-1].span_id
        last = screen._offset
        screen.spans.go(0)
        await driver.beat(2)
        assert screen._offset == last - 4 and screen.row == SPANS[last], "the window slides back, the cursor stays"
        await driver.press("g")
        await driver.beat(2)
        seen = []
        for _ in range(7):
            await driver.press("!")
            await driver.beat(2)
            assert screen.row is not None
            seen.append(screen.row.span_id)
        failed = [row.span_id for row in SPANS if row.status == "error"]
        assert seen == [*failed, *failed][:7]


async def test_t_on_a_lane_opens_the_timeline_on_its_span() -> None:
    async with driving() as driver:
        await driver.press("enter", "j", "j", "t")
        screen = driver.app.screen
        assert isinstance(screen, TimelineScreen)
        assert screen.row is not None and screen.row.span_id == "a07e"


async def test_brackets_walk_the_siblings() -> None:
    async with driving() as driver:
        await driver.press("enter", "a", "enter", "enter", "[")
        assert isinstance(driver.app.screen, SpanScreen)
        assert driver.app.screen.view is not None and driver.app.screen.view.row.span_id == "8f02"
        await driver.press("]")
        assert driver.app.screen.view.row.span_id == "91c4"


async def test_go_to_finds_runs_agents_spans_and_alerts() -> None:
    names = {
        "c3f8": "span",
        "7f2e": "cockpit",
        "alerts": "cockpit",
        "a2": "alert",
        "runs": "runs",
        "research#2": "agent",
    }
    async with driving() as driver:
        for text, where in names.items():
            await driver.press("enter", "colon", *["number_sign" if c == "#" else c for c in text], "enter")
            assert driver.where == where, text
            while driver.where != "runs":
                await driver.press("escape")


async def test_a_trace_can_be_open_from_the_start() -> None:
    async with driving(open_trace=TRACE_ID) as driver:
        assert driver.where == "cockpit"
        assert "Q3 revenue memo" in driver.text


async def test_going_nowhere_says_so() -> None:
    async with driving() as driver:
        await driver.press("colon", "z", "z", "enter")
        assert "no run, alert, agent or span is called zz" in driver.text


async def test_a_pane_has_the_focus_before_the_next_key_is_read() -> None:
    async with driving() as driver:
        await driver.press("enter")
        screen = cockpit(driver)
        screen.action_alerts()
        assert screen.focused is screen.alerts
        screen.action_open()
        assert isinstance(driver.app.screen, AlertScreen)
        await driver.beat()


# The feed


async def test_one_pull_at_a_time_and_only_for_what_is_new() -> None:
    feed = StoryFeed()
    async with driving(feed, beats=1) as driver:
        driver.app.ticker.tick()
        driver.app.ticker.tick()
        driver.app.ticker.tick()
        asked = len(feed.asked)
        await driver.beat()
        assert len(feed.asked) <= asked + 2
        await driver.press("enter")
        assert any(isinstance(query, TraceQuery) for query in feed.asked)


async def test_a_feed_with_no_news_is_asked_half_as_often_until_it_has_some() -> None:
    feed = StoryFeed()
    async with driving(feed) as driver:
        await driver.beat(20)
        before = len(feed.asked)
        await driver.beat(10)
        assert len(feed.asked) - before == 5
        feed.moved()
        await driver.beat(2)
        before = len(feed.asked)
        await driver.beat(10)
        assert len(feed.asked) - before == 10


async def test_what_is_over_is_not_drawn_anew_each_second(monkeypatch: pytest.MonkeyPatch) -> None:
    feed, drawn = StoryFeed(), list[str]()
    async with driving(feed) as driver:
        runs = driver.app.screen
        assert isinstance(runs, RunsScreen)
        redraw = runs.redraw
        monkeypatch.setattr(runs, "redraw", lambda: (drawn.append("redraw"), redraw()))
        driver.clock.passes(1)
        await driver.beat()
        assert drawn == ["redraw"]
        over = [msgspec.structs.replace(row, state="done") if row.state == "live" else row for row in feed.runs]
        feed.runs = over
        feed.moved()
        await driver.beat(2)
        drawn.clear()
        for _ in range(3):
            driver.clock.passes(1)
            await driver.beat()
        assert drawn == []


async def test_a_lost_feed_keeps_the_last_truth_and_says_its_age() -> None:
    feed = StoryFeed()
    async with driving(feed) as driver:
        feed.lost = True
        driver.clock.passes(2)
        await driver.beat(2)
        assert "reconnecting" in driver.text
        assert "last heard 2 s ago" in driver.text
        assert "Q3 revenue memo" in driver.text
        assert "? stale" in driver.text


async def test_a_busy_collector_is_told_from_a_lost_one() -> None:
    feed = StoryFeed()
    async with driving(feed) as driver:
        feed.busy = True
        driver.clock.passes(3)
        await driver.beat(2)
        assert "busy" in driver.text.splitlines()[0] and "The collector is busy: no answer for 3 s." in driver.text
        feed.busy = False
        feed.moved()
        await driver.beat(2)
        assert "● live" in driver.text and "busy" not in driver.text


async def test_a_feed_that_hangs_is_stale_within_two_seconds() -> None:
    async with driving() as driver:
        driver.app.ticker.in_flight = True
        driver.clock.passes(2)
        driver.app.beat()
        await driver.pilot.pause()
        assert "reconnecting" in driver.text
        driver.app.ticker.in_flight = False


async def test_a_feed_that_comes_back_keeps_the_selection() -> None:
    feed = StoryFeed()
    async with driving(feed) as driver:
        await driver.press("j", "j")
        feed.lost = True
        driver.clock.passes(60)
        await driver.beat(2)
        feed.lost = False
        feed.moved()
        await driver.beat(2)
        assert "● live" in driver.text
        assert isinstance(driver.app.screen, RunsScreen)
        assert driver.app.screen.list.selected == run("7f31", "", "", 0, 0).trace_id


async def test_a_feed_that_begins_anew_is_read_anew_whatever_it_counted_before() -> None:
    feed = StoryFeed()
    feed.version = 1000
    async with driving(feed) as driver:
        feed.lost = True
        await driver.beat(2)
        feed.lost, feed.version, feed.runs = False, 1, feed.runs[:1]
        await driver.beat(2)
        assert "1 runs" in driver.text or "1 run " in driver.text


async def test_runs_that_begin_wait_above_the_line_that_is_looked_at() -> None:
    feed = StoryFeed()
    async with driving(feed) as driver:
        await driver.press("j", "j")
        screen = driver.app.screen
        assert isinstance(screen, RunsScreen)
        at, before = screen.list.cursor, driver.text.splitlines()
        feed.runs = [run(f"{9000 + number}", "new", "done", 1, 1) for number in range(7)] + feed.runs
        feed.moved()
        await driver.beat(2)
        assert (screen.list.cursor, screen.new_count) == (at, 7) and "7 new" in driver.text
        shown = driver.text.splitlines()
        assert [line for line in shown if "▌" in line] == [line for line in before if "▌" in line]
        await driver.press("g")
        assert screen.new_count == 0 and screen.list.selected == feed.runs[0].trace_id


async def test_a_feed_never_heard_names_its_address() -> None:
    feed = StoryFeed()
    feed.lost = True
    async with driving(feed) as driver:
        assert "connecting" in driver.text.splitlines()[0]
        assert "Connecting to tcp://127.0.0.1:5570" in driver.text


async def test_an_empty_list_says_how_to_fill_it() -> None:
    feed = StoryFeed()
    feed.runs, feed.health = [], health(state="listening", facts_per_s=0.0)
    async with driving(feed, size=(80, 24)) as driver:
        assert "No runs yet. Listening on tcp://127.0.0.1:5570" in driver.text
        assert "trajectory demo" in driver.text


async def test_dropped_facts_turn_counts_into_lower_bounds() -> None:
    feed = StoryFeed()
    feed.health = health(dropped_count=3120)
    feed.runs[0] = msgspec.structs.replace(feed.runs[0], is_partial=True)
    async with driving(feed) as driver:
        assert "drop 3 120" in driver.text
        assert "lower bounds" in driver.text
        assert "214+" in driver.text


async def test_an_answer_to_what_is_not_asked_any_more_and_one_of_another_kind_are_not_shown() -> None:
    feed = StoryFeed()
    async with driving(feed) as driver:
        screen = driver.app.data_screen
        assert isinstance(screen, RunsScreen)
        screen.answered(RunsQuery("what was typed before"), RunsView(9, health(), [], 7))
        screen.answered(screen.asks(), feed._answer(TraceQuery(TRACE_ID)))
        assert screen.rows == feed.runs and screen.view is not None


async def test_a_run_that_is_not_there_is_said_so() -> None:
    class Empty(StoryFeed):
        def _trace(self, query):  # type: ignore[no-untyped-def]
            return Missing(self.version, self.health, "there is no such run")

    async with driving(Empty(), open_trace="ff" * 16) as driver:
        assert "there is no such run" in driver.text


OPENED: dict[str, Callable[[TrajectoryApp], None]] = {
    "cockpit": lambda app: app.open_run(RUNS[0]),
    "timeline": lambda app: app.open_timeline(TRACE_ID, "91c4", None),
    "span": lambda app: app.open_span(TRACE_ID, "91c4", 0),
    "alert": lambda app: app.open_alert(TRACE_ID, "cascade:91c4", "A1"),
    "delegation": lambda app: app.open_delegation(TRACE_ID, "d2"),
    "agent": lambda app: app.open_agent(TRACE_ID, "a07e"),
    "signals": lambda app: app.open_signals(TRACE_ID),
    "replay": lambda app: app.open_replay(TRACE_ID),
}


@pytest.mark.parametrize("screen", OPENED)
async def test_no_key_breaks_a_screen_of_a_run_that_is_gone(
    screen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone(StoryFeed):
        def _answer(self, query: Query) -> View:
            known = isinstance(query, RunsQuery)
            return super()._answer(query) if known else Missing(self.version, self.health, "there is no such run")

    monkeypatch.chdir(tmp_path)
    async with driving(Gone(), size=(160, 45), beats=1) as driver:
        OPENED[screen](driver.app)
        await driver.beat(2)
        here = driver.app.data_screen
        assert here is not None and driver.where == screen and here.view is None
        for row in keys_on(screen):
            if row.name not in ("back", "before", "live") and not row.name.startswith("app."):
                await driver.app.run_action(row.action.replace("{key}", row.keys[0]), here)
                while driver.app.screen is not here:
                    await driver.ready(is_drawn=False)
                    driver.app.pop_screen()
                if here.is_prompting:
                    here.close_prompt()
        here.plan()
        await driver.press("escape") if here.zoomed else await driver.beat()
        assert driver.where == screen and "there is no such run" in driver.text


# What must not move


async def test_the_selection_is_a_run_and_not_a_line() -> None:
    feed = StoryFeed()
    async with driving(feed) as driver:
        await driver.press("j", "j", "j")
        screen = driver.app.screen
        assert isinstance(screen, RunsScreen)
        before, line = screen.list.selected, screen.list.cursor - screen.list.top
        feed.runs.insert(0, run("7fff", "a newer run", "live", 100, 1))
        feed.moved()
        await driver.beat(2)
        assert screen.list.selected == before
        assert screen.list.cursor - screen.list.top == line or screen.list.top == 0
        driver.clock.passes(2)
        await driver.press("s")
        assert screen.list.selected == before


async def test_a_tail_that_is_scrolled_up_does_not_move_in_a_flood() -> None:
    feed = StoryFeed()
    feed.steps = [a_step(number) for number in range(1, 200)]
    async with driving(feed) as driver:
        await driver.press("enter", "4", "k", "k", "k")
        tail = cockpit(driver).tail
        row = tail.size.height // 2
        before, line = tail.selected, tail.render_line(row).text
        for burst in range(30):
            feed.steps += [a_step(200 + burst * 300 + number) for number in range(300)]
            feed.moved()
            await driver.beat()
        assert tail.selected == before
        assert tail.render_line(row).text == line
        assert "new · f" in driver.text
        await driver.press("f")
        assert f"step {feed.steps[-1].step_id}" in driver.text


async def test_a_tail_that_follows_shows_the_newest() -> None:
    feed = StoryFeed()
    async with driving(feed) as driver:
        await driver.press("enter")
        feed.steps.append(a_step(999, "the very newest"))
        feed.moved()
        await driver.beat()
        assert "the very newest" in driver.text
        assert "following" in driver.text


@pytest.mark.parametrize("width", [80, 120])
async def test_a_list_in_another_order_than_the_first_says_so_at_every_width(width: int) -> None:
    async with driving(size=(width, 24)) as driver:
        assert "by alerts" not in driver.text
        await driver.press("s")
        assert ("by alerts" in driver.text.splitlines()[1]) is (width < 100) and "alerts" in driver.text


async def test_a_look_into_another_run_comes_though_the_list_is_paused() -> None:
    feed = StoryFeed()
    async with driving(feed) as driver:
        await driver.press("j", "space")
        await driver.beat(2)
        first = feed.alerts[0].alert_id
        assert f"{first} " not in driver.text
        await driver.press("k")
        await driver.beat(2)
        assert f"{first} " in driver.text
        feed.alerts = feed.alerts[1:]
        feed.moved()
        await driver.beat(2)
        assert f"{first} " in driver.text


async def test_a_paused_view_stands_still_while_health_and_alerts_go_on() -> None:
    feed = StoryFeed()
    async with driving(feed) as driver:
        await driver.press("enter", "space")
        feed.steps.append(a_step(999, "while paused"))
        feed.alerts.append(
            msgspec.structs.replace(feed.alerts[0], key="new", alert_id="A9", summary="found while paused")
        )
        feed.health = health(facts_per_s=777.0)
        feed.moved()
        await driver.beat(2)
        assert "777 ev/s" in driver.text
        assert "found while paused" in driver.text
        assert "while paused 999" not in driver.text
        await driver.press("space")
        assert "while paused 999" in driver.text


async def test_following_the_newest_run_moves_on_to_it() -> None:
    feed = StoryFeed()
    async with driving(feed) as driver:
        await driver.press("j", "j", "f")
        feed.runs.insert(0, run("7fff", "the newest run", "live", 100, 1))
        feed.moved()
        await driver.beat(2)
        assert isinstance(driver.app.screen, RunsScreen)
        assert driver.app.screen.list.selected.startswith("7fff")


# Finding


async def test_a_filter_works_while_it_is_typed_and_escape_undoes_it() -> None:
    feed = StoryFeed()
    async with driving(feed) as driver:
        await driver.press("slash", *"digest", "enter")
        assert "weekly digest" in driver.text
        assert "billing" not in driver.text
        assert "1 of 7" in driver.text
        await driver.press("escape")
        assert "billing" in driver.text


async def test_a_filter_that_does_not_parse_keeps_the_last_good_result() -> None:
    feed = StoryFeed()
    async with driving(feed) as driver:
        await driver.press("slash", *"digest", "space", "left_parenthesis")
        assert "column" in driver.text
        assert "weekly digest" in driver.text
        assert all(
            query.filter in ("", *("digest"[:n] for n in range(7)))
            for query in feed.asked
            if isinstance(query, RunsQuery)
        )


async def test_the_next_error_is_one_key_away() -> None:
    async with driving() as driver:
        await driver.press("t", "exclamation_mark")
        assert isinstance(driver.app.screen, TimelineScreen)
        assert driver.app.screen.row is not None and driver.app.screen.row.status == "error"
        first, seen = driver.app.screen.row, [driver.app.screen.row]
        while len(seen) == 1 or seen[-1] is not first:
            await driver.press("exclamation_mark")
            seen.append(driver.app.screen.row)
        assert seen[:-1] == [row for row in SPANS if row.status == "error"], "each once, and round"


async def test_on_an_empty_timeline_and_on_a_leaf_the_keys_of_folds_do_nothing() -> None:
    async with driving() as driver:
        await driver.press("t", "slash", *"zzz", "enter")
        screen = driver.app.screen
        assert isinstance(screen, TimelineScreen) and not screen.spans.keys and "0 of 214" in driver.text
        await driver.press("n", "l", "h", "enter")
        assert "no span to open yet" in driver.text
        await driver.press("+")
        assert driver.where == "timeline"
        await driver.press("0", "escape", "j", "l", "h")
        assert screen.row is not None and screen.row.span_id == SPANS[0].span_id, "from a leaf to what it is in"
        await driver.press("h", "h")
        assert screen.row.span_id == SPANS[0].span_id and "1 folded" in driver.text


async def test_equal_siblings_are_opened_by_enter_and_by_l() -> None:
    feed = StoryFeed()
    feed.spans = [SPANS[0]] + [msgspec.structs.replace(SPANS[1], span_id=f"e{n}", children=0) for n in range(12)]
    feed.spans[7] = msgspec.structs.replace(feed.spans[7], name="between")
    async with driving(feed) as driver:
        await driver.press("t", "j")
        screen = driver.app.screen
        assert isinstance(screen, TimelineScreen)
        for key, shown in (("enter", 9), ("j", 9), ("l", 13)):
            if key == "l":
                screen.spans.go(len(screen.spans.keys) - 1)
            await driver.press(key)
            assert len(screen.spans.keys) == shown, key


async def test_folding_keeps_the_cursor_on_its_span() -> None:
    async with driving() as driver:
        await driver.press("t", *["j"] * 5)
        screen = driver.app.screen
        assert isinstance(screen, TimelineScreen) and screen.row is not None
        before, shown = screen.row.span_id, len(screen.spans.keys)
        await driver.press("h")
        assert screen.row.span_id == before
        assert len(screen.spans.keys) < shown
        await driver.press("l")
        assert len(screen.spans.keys) == shown


async def test_n_goes_from_match_to_match_and_round() -> None:
    async with driving() as driver:
        await driver.press("t", "slash", *"tool", "enter")
        screen = driver.app.screen
        assert isinstance(screen, TimelineScreen) and len(screen.spans.keys) > 2
        await driver.press("N")
        assert screen.spans.cursor == len(screen.spans.keys) - 1
        await driver.press("n", "n")
        assert screen.spans.cursor == 1


async def test_a_filter_that_only_the_feed_cannot_read_is_told_with_its_column() -> None:
    class Older(StoryFeed):
        def _runs(self, query: RunsQuery) -> RunsView:
            if "newer" in query.filter:
                raise QueryError("this collector knows no newer", 3)
            return super()._runs(query)

    async with driving(Older()) as driver:
        for key in ("slash", *"newer", "enter"):  # faster than the feed answers
            await driver.pilot.press(key)
        await driver.ready()
        await driver.beat(2)
        assert "column 4: this collector knows no newer" in driver.text.splitlines()[-2]


async def test_a_content_is_searched_line_by_line() -> None:
    async with driving() as driver:
        await driver.press("enter", "a", "enter", "enter", "slash", *"region", "enter", "n")
        screen = driver.app.screen
        assert isinstance(screen, SpanScreen)
        first = screen.content.cursor
        await driver.press("n")
        assert screen.content.cursor > first
        assert "region" in screen._lines[screen.content.cursor].text


# Marking and taking along


async def test_an_alert_is_marked_through_the_feed() -> None:
    feed = StoryFeed()
    async with driving(feed) as driver:
        await driver.press("enter", "a")
        for keys, at, action in (("x", 0, "acknowledge"), ("MM", 0, "mute"), ("jjx", 2, "reopen")):
            await driver.press(*keys)
            assert feed.marks.pop() == (TRACE_ID, feed.alerts[at].key, action, 0) and not feed.marks
            assert feed.alerts[at].alert_id in driver.text.splitlines()[-2], action


async def test_a_mark_that_does_not_arrive_is_said_so() -> None:
    feed = StoryFeed()
    async with driving(feed) as driver:
        await driver.press("enter", "a")
        feed.lost = True
        await driver.press("x")
        assert "A1 is unchanged" in driver.text


async def test_a_copy_is_on_the_clipboard_and_in_a_private_file(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    async with driving() as driver:
        await driver.press("enter", "a", "y")
        assert driver.app.clipboard == driver.app.data_screen.value_of(driver.app.data_screen.pane)
        (path,) = tmp_path.iterdir()
        assert path.read_text() == driver.app.clipboard
        assert path.stat().st_mode & 0o777 == 0o600
        await driver.press("Y")
        assert msgspec.json.decode(driver.app.clipboard)["alert_id"] == "A1"
        await driver.press("!", "y")
        assert driver.app.clipboard == ALERTS[1].message, "the next one: each of them is an error"
        for pane, copied in (("4", STEPS[-1].text), ("1", "a01f")):
            await driver.press(pane, "y")
            assert driver.app.clipboard == copied


async def test_a_picture_is_saved_here_and_is_private(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    async with driving() as driver:
        await driver.press("S")
        (path,) = tmp_path.glob("*.svg")
        assert "<svg" in path.read_text()
        assert path.stat().st_mode & 0o777 == 0o600
        assert "saved" in driver.text


def test_an_app_that_never_began_holds_no_feed() -> None:
    assert TrajectoryApp(StoryFeed()).release()


async def test_the_palette_does_what_it_lists() -> None:
    async with driving() as driver:
        await driver.press("enter", "ctrl+p", "ctrl+p")
        assert len(driver.app.screen_stack) == 4, "the default screen, two of ours, and one palette"
        await driver.press("escape")
        listed = {
            each.title.partition("  ")[0]: each.callback for each in driver.app.get_system_commands(driver.app.screen)
        }
        listed["timeline"]()
        await driver.ready()
        assert driver.where == "timeline"
        listed["choose a theme"]()
        await driver.ready()
        assert "which theme" in driver.text


# Text that is not ours


async def test_numbers_can_be_read_by_the_clock() -> None:
    async with driving() as driver:
        await driver.press("enter", "v")
        assert "14:02:10.902" in driver.text


async def test_themes_change_and_are_named() -> None:
    async with driving() as driver:
        await driver.press("T")
        assert driver.app.theme == "okabe-light"
        assert "theme okabe-light" in driver.text


async def test_health_shows_the_numbers_and_the_notices() -> None:
    feed = StoryFeed()
    feed.health = health(notices=["coder#1 sends from a clock that is 4 s behind."])
    async with driving(feed) as driver:
        await driver.press("i")
        assert "412 a second" in driver.text
        assert "a clock that is 4 s behind" in driver.text


async def test_help_is_about_the_screen_it_was_asked_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with driving() as driver:
        await driver.press("t", "question_mark")
        assert "fold, unfold" in driver.text
        assert "acknowledge" not in driver.text
        await driver.press("question_mark")
        assert "acknowledge" in driver.text
        await driver.press("tab", "tab")
        await driver.pilot.resize_terminal(80, 24)
        await driver.ready()
        assert driver.app.screen.focused is driver.app.screen.query_one("#keys-0"), (
            "the third column is not there any more"
        )
        keys = driver.app.screen.query_one("#keys-0", Pane)
        seen = []
        for key in ("G", "pageup", "ctrl+d", "ctrl+u", "g", "pagedown"):
            await driver.press(key)
            seen.append(keys.cursor)
        assert seen[0] == len(keys.keys) - 1 > seen[2] > seen[1] == seen[3] and seen[4] == 0 < seen[5]
        await driver.press("T", "S")
        assert driver.app.theme == "okabe-light" and len([*tmp_path.glob("*.svg")]) == 1
        await driver.press("question_mark")
        assert driver.where == "timeline"
        await driver.press("i", "question_mark")
        assert driver.where == "timeline", "the health of the feed is closed by it too"


async def test_help_does_what_the_key_under_its_cursor_does_and_says_what_it_cannot() -> None:
    async with driving() as driver:
        await driver.press("enter", "a", "question_mark")
        assert driver.text.index("acknowledge, reopen") < driver.text.index("next, previous line"), (
            "this pane's keys first"
        )
        await driver.press("slash", *"zzz", "enter")
        assert driver.where == "help" and "0 keys" in driver.text
        await driver.press("escape", "slash", *"timeline")
        assert "keys that say “timeline”" in driver.text and "next, previous line" not in driver.text
        await driver.press("enter")
        assert driver.where == "timeline"
        await driver.press("escape", "question_mark", "slash", *"mute w", "backspace", "backspace")
        assert "/ mute" in driver.text and driver.app.is_running
        await driver.press("escape")
        assert driver.where == "help" and "mute" not in driver.text.splitlines()[-2]
        await driver.press("escape")
        assert driver.where == "cockpit"
        await driver.press("1", "question_mark", "slash", *"mute", "enter")
        assert driver.where == "cockpit" and "no alert is under the cursor" in driver.text, "why it is disabled"
        await driver.press("question_mark", "question_mark", "slash", *"play, stop", "enter")
        assert driver.where == "help" and "is a key of: replay" in driver.text
        await driver.press("escape", "slash", *"by number", "enter")
        assert "press one of them there" in driver.text
        await driver.press("escape", "tab", "escape")
        assert driver.where == "cockpit"


async def test_the_clock_of_a_live_run_goes_on_between_views() -> None:
    async with driving() as driver:
        await driver.press("enter")
        assert "01:42" in driver.text
        for _ in range(3):
            driver.clock.passes(1)
            await driver.beat()
        assert "01:45" in driver.text
        assert driver.app.now_ns == NOW_NS + 3_000_000_000


async def test_a_terminal_that_is_too_small_is_told_so() -> None:
    async with driving(size=(30, 8)) as driver:
        assert "trajectory needs" in driver.text
