"""The signals' screen under the hands of an operator: from a spike to its runs and on, panels of their own, and two compared."""

from pathlib import Path

import msgspec
import pytest

from tests.tui.pilots import Driver, driving
from tests.tui.story import NOW_NS, TRACE_ID, S, StoryFeed
from trajectory.view.link import Link, parse_link
from trajectory.view.query import parse
from trajectory.view.signal_rows import SignalPoint, SignalSeries
from trajectory.view.spikes import LEAST_COUNT, spikes
from trajectory.view.views import Query, SignalsQuery, SignalsView, View
from tui.panels import MAX_PANELS_COUNT
from tui.screens.signals import SignalsScreen
from tui.screens.signals_place import kept_of
from tui.screens.timeline import TimelineScreen
from tui.settings import _KNOWN, Settings

PANELS = """\
theme = "nord"

[[panels]]
title = "slow models"
metric = "p95"
group = "model"
window = "1h"
threshold = 2.5

[[panels]]
metric = "speed"

[[panels]]
metric = "errors"
threshold = "many"

[[panels]]
metric = "errors"
windows = "1h"

[[panels]]
group = "tool"

[[panels]]
metric = "calls"
group = "tool"
window = "30 d"

[[panels]]
metric = "calls"
window = "31d"
"""
NOW_S = NOW_NS // S
EXAMPLE = Path(__file__).parents[2] / "examples" / "settings.toml"


def screen_of(driver: Driver) -> SignalsScreen:
    screen = driver.app.screen
    assert isinstance(screen, SignalsScreen)
    return screen


def asked(driver: Driver) -> SignalsQuery:
    return screen_of(driver).asks()


async def test_from_a_spike_enter_leads_to_its_runs_and_from_there_to_its_steps() -> None:
    async with driving() as driver:
        await driver.press("p")
        before = asked(driver).at_ns
        await driver.press(*["left_square_bracket"] * 5)
        assert "anomaly.latency" in driver.text and asked(driver).at_ns < before
        assert "none before this time" in driver.text
        await driver.press(*["right_square_bracket"] * 5)
        assert "cascade" in driver.text and (asked(driver).name, asked(driver).work) == ("gpt-4o", "model")
        await driver.press("enter")
        assert screen_of(driver).pane.id == "runs-then"
        await driver.press("enter")
        assert driver.where == "timeline" and driver.app.data_screen is not None
        assert driver.app.data_screen.filter_text == 'kind=model model:"gpt-4o"'
        await driver.press("enter")
        assert driver.where == "span"


async def test_the_cursor_of_the_time_stays_where_it_is_while_windows_pass() -> None:
    async with driving() as driver:
        await driver.press("p", "h", "h")
        at_ns = asked(driver).at_ns
        driver.app.feed.moved()  # type: ignore[attr-defined]
        await driver.beat(2)
        assert asked(driver).at_ns == at_ns
        await driver.press("l")
        assert asked(driver).at_ns == at_ns + 60_000_000_000
        await driver.press("exclamation_mark")
        point = screen_of(driver).point
        assert point is not None and point.errors


async def test_group_window_and_metric_change_by_a_key() -> None:
    async with driving() as driver:
        await driver.press("p")
        seen = []
        for _ in range(6):
            seen.append(asked(driver).by)
            await driver.press("b")
        assert seen == ["model", "agent", "tool", "edge", "service", "version"] and asked(driver).by == "model"
        minutes = []
        for _ in range(6):
            await driver.press("w")
            minutes.append(asked(driver).minutes)
        assert minutes == [360, 1440, 10_080, 43_200, 15, 60]
        titles = set()
        for _ in range(9):
            await driver.press("v")
            titles.add(driver.text.splitlines()[1].split("·")[1].strip())
        assert len(titles) == 9 and "output length, characters a call" in titles


async def test_what_is_asked_for_by_a_key_comes_though_the_view_is_paused() -> None:
    feed = StoryFeed()
    async with driving(feed) as driver:
        await driver.press("space", "p")
        await driver.beat(2)
        screen = screen_of(driver)
        assert "asking" not in screen.runs.status and screen.runs.keys
        await driver.press("h", "b")
        await driver.beat(2)
        assert (
            "asking" not in screen.runs.status and screen.view is not None and screen.view.series[0].name == "research"
        )
        held = screen.view
        feed.moved()
        await driver.beat(2)
        assert screen.view is held


async def test_only_one_agent_is_shown_and_escape_shows_all_again() -> None:
    async with driving() as driver:
        await driver.press("p", "b", "d")
        assert (asked(driver).agent, asked(driver).by) == ("research", "model")
        await driver.press("escape")
        assert (asked(driver).agent, asked(driver).by, driver.where) == ("", "agent", "signals")
        await driver.press("escape")
        assert driver.where == "runs"


@pytest.mark.parametrize("keys", [["enter", "p"], ["enter", "j", "j", "enter", "p"]])
async def test_a_run_and_an_agent_have_signals_of_their_own(keys: list[str]) -> None:
    async with driving() as driver:
        await driver.press(*keys)
        assert asked(driver).trace_id == TRACE_ID and asked(driver).minutes == 0
        assert asked(driver).agent == ("" if len(keys) == 2 else "research")


async def test_a_run_of_a_time_is_opened_at_that_time_and_of_one_run_all_of_it_is_shown() -> None:
    async with driving() as driver:
        await driver.press("p", "h", "3")
        screen = screen_of(driver)
        assert any(row.started_ns > screen._stretch()[0] for row in (screen.view.runs if screen.view else [])), (
            "one began in it"
        )
        for row in list(screen.view.runs if screen.view else []):
            screen.runs.want(row.trace_id)
            await driver.press("enter")
            timeline = driver.app.screen
            assert isinstance(timeline, TimelineScreen) and timeline.trace_id == row.trace_id
            assert "only the work of gpt-4o" in driver.text
            await driver.press("escape", "escape")
        await driver.press("escape", "enter", "p", "3", "enter")
        assert isinstance(driver.app.screen, TimelineScreen) and driver.app.screen.filter_text == ""


async def test_a_filter_leaves_out_series_while_it_is_typed() -> None:
    async with driving() as driver:
        await driver.press("p", "slash", *"sonnet")
        screen = screen_of(driver)
        assert list(screen.series.keys) == ["series model claude-sonnet-4"] and "1 of 3 series" in driver.text
        await driver.press("enter", "j")
        assert screen.here is not None and "gpt-4o" not in driver.text
        await driver.press("escape")
        assert len(screen.series.keys) == 3


async def test_signals_are_gone_to_by_their_word_and_by_a_link_and_the_link_of_all_names_no_run() -> None:
    async with driving() as driver:
        await driver.press("colon", *"signals", "enter")
        await driver.beat()
        assert driver.where == "signals"
        await driver.press("U")
        assert driver.app.clipboard == "trajectory://all?v=signals&m=p95&by=model&w=1h&of=gpt-4o&kind=model"
        await driver.press("escape")
        assert driver.app.land(parse_link(driver.app.clipboard))
        await driver.ready()
        assert driver.where == "signals"
        await driver.press("escape")
        assert driver.app.land(Link(TRACE_ID, view="signals"))
        await driver.ready()
        assert asked(driver).trace_id == TRACE_ID


async def test_where_nothing_was_counted_it_is_said_and_no_key_does_more_than_say_so() -> None:
    class Silent(StoryFeed):
        is_loading = True

        def _answer(self, query: Query) -> View:
            view = super()._answer(query)
            if not isinstance(view, SignalsView):
                return view
            end_ns = view.begin_ns if self.is_loading else view.end_ns
            return msgspec.structs.replace(
                view, series=[], total=0, is_loading=self.is_loading, runs=[], runs_total=0, end_ns=end_ns
            )

    feed = Silent()
    async with driving(feed) as driver:
        await driver.press("p")
        assert "What was counted before is being read." in driver.text
        feed.is_loading = False
        feed.moved()
        await driver.beat(2)
        assert "Nothing was counted in this time: w shows more of it" in driver.text
        for key, said in (
            ("]", "nothing is plotted"),
            ("!", "nothing failed in this time"),
            ("=", "no series is under the cursor to compare"),
            ("d", "this shows only the one under the cursor"),
            ("l", "this is the newest"),
            ("enter", "no run is known of this time"),
        ):
            await driver.press(key)
            assert said in driver.text, key
        await driver.press("3", "enter")
        assert "no run is under the cursor" in driver.text


async def test_the_ends_of_the_time_are_said_and_so_is_what_a_comparison_and_a_panel_do_not_take(
    tmp_path: Path,
) -> None:
    (tmp_path / "settings.toml").write_text(PANELS)
    async with driving(settings=Settings(tmp_path / "settings.toml")) as driver:
        await driver.press("p", "v")
        assert "a panel has its own metric" in driver.text
        await driver.press("j", "j", "l")
        assert "this is the newest" in driver.text
        for _ in range(60):
            screen_of(driver).action_at(-1)
        await driver.ready()
        assert "no time before this one is shown: w shows more" in driver.text
        await driver.press("=", "j", "=", "enter")
        assert "esc ends the comparison first" in driver.text
        feed = driver.app.feed
        assert isinstance(feed, StoryFeed)
        feed.moved()
        await driver.beat(2)
        assert "Comparison" in driver.text, "what was compared stays while it is the same"


@pytest.mark.parametrize(
    ("link", "said", "window", "shown"),
    [
        (f"all?v=signals&at={NOW_S - 600}", "", "1 h", 10),
        (f"all?v=signals&w=15m&at={NOW_S - 7200}", "", "6 h", 120),
        (f"all?v=signals&at={NOW_S - 90 * 86_400}", "that was more than 30 d ago", "30 d", None),
        (f"{TRACE_ID}?v=signals&at={NOW_S - 60}", "", "all of it", 1),
        ("all?v=signals&m=nosuch", "no metric nosuch", "1 h", None),
        ("all?v=signals&of=nosuch&kind=model", "that series has no work in this time", "1 h", None),
    ],
)
async def test_a_link_leads_to_the_time_that_it_names_or_as_near_as_can_be_and_says_so(
    link: str, said: str, window: str, shown: int | None
) -> None:
    async with driving(open_link=parse_link(f"trajectory://{link}"), beats=1) as driver:
        for _ in range(4):
            if said in driver.text:
                break
            await driver.beat()
        assert said in driver.text and screen_of(driver)._window == window
        await driver.beat(2)
        begin_ns, end_ns = screen_of(driver)._stretch()
        assert shown is None or begin_ns <= NOW_NS - shown * 60 * S < end_ns


async def test_a_series_that_a_link_names_is_waited_for_while_what_was_counted_before_is_read() -> None:
    class Reading(StoryFeed):
        is_loading = True

        def _answer(self, query: Query) -> View:
            view = super()._answer(query)
            return msgspec.structs.replace(view, is_loading=self.is_loading) if isinstance(view, SignalsView) else view

    feed = Reading()
    async with driving(feed, open_link=parse_link("trajectory://all?v=signals&of=nosuch&kind=model")) as driver:
        assert "has no work" not in driver.text
        feed.is_loading = False
        feed.moved()
        await driver.beat(2)
        assert "that series has no work in this time" in driver.text


@pytest.mark.parametrize(
    ("by", "kind", "name", "kept"),
    [
        ("model", "model", "gpt-4o", 'kind=model model:"gpt-4o"'),
        ("tool", "tool", 'sea"rch', 'kind=tool name:"search"'),
        ("agent", "model", "research", 'kind=model agent:"research"'),
        ("agent", "agent", "research", 'kind=agent name:"research"'),
        ("edge", "delegation", "a → b", "kind=delegation"),
        ("service", "model", "newsroom", "kind=model"),
        ("service", "tool", "newsroom", "kind=tool"),
        ("tool", "tool", "(none)", "kind=tool"),
        ("tool", "tool", "other", "kind=tool"),
    ],
)
def test_of_a_run_what_a_series_counts_is_kept(by: str, kind: str, name: str, kept: str) -> None:
    assert kept_of(SignalSeries(name, kind, SignalPoint()), by) == kept
    assert parse(kept) and kept_of(None, by) == ""


async def test_two_series_are_compared_and_escape_ends_that() -> None:
    async with driving() as driver:
        await driver.press("p", "equals_sign", "j", "equals_sign")
        assert "Comparison" in driver.text and "latency p95" in driver.text and "% faster, 95 %: " in driver.text
        await driver.press("escape")
        assert "Comparison" not in driver.text and driver.where == "signals"


async def test_panels_come_first_and_a_wrong_one_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(PANELS)
    read = Settings(path)
    assert [panel.metric for panel in read.panels] == ["p95", "calls"] and read.panels[1].minutes == 30 * 24 * 60
    assert [fault.partition(": ")[0] for fault in read.faults] == [f"settings.toml:{n}" for n in (11, 15, 19, 21, 31)]
    assert "one of p95, p50" in read.faults[0] and "a number above 0" in read.faults[1]
    assert "a panel has no windows" in read.faults[2] and "needs a metric" in read.faults[3]
    assert "window is to be a time of 1min to 30d" in read.faults[4]
    async with driving(settings=Settings(path)) as driver:
        assert "settings.toml:11: metric is to be one of" in driver.text
        await driver.press("p")
        first = next(line for line in driver.text.splitlines() if "slow models" in line)
        assert "▲" in first and "over" in first and "gpt-4o" in first and "2.5 s" in first
        assert "┄" in driver.text
        await driver.press("j")
        assert asked(driver).also[1].minutes == 30 * 24 * 60 and "calls  search_web" in driver.text
        await driver.press("T")  # a change is written around the panels
    assert [panel.metric for panel in Settings(path).panels] == ["p95", "calls"]


def test_the_example_of_settings_has_every_setting_and_no_fault() -> None:
    read = Settings(EXAMPLE)
    assert read.faults == [] and set(read.values) == set(_KNOWN)
    assert read.filters and read.moved and [panel.minutes for panel in read.panels] == [60, 30 * 24 * 60]


def test_more_panels_than_can_be_shown_are_left_out_and_each_value_is_of_its_kind(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text('[[panels]]\nmetric = "p95"\n' * (MAX_PANELS_COUNT + 1) + "[[panels]]\nmetric = 95\n")
    read = Settings(path)
    assert len(read.panels) == MAX_PANELS_COUNT and len(read.faults) == 2
    many = f"settings.toml:{2 * MAX_PANELS_COUNT + 1}: there are more than {MAX_PANELS_COUNT} panels"
    assert read.faults[0].startswith(many) and "metric is to be one of p95" in read.faults[1]


@pytest.mark.parametrize(
    "body", ["panels = 3", 'panels = ["p95"]', "[panels]\nmetric = 'p95'", "[[panels]]\nthreshold = nan"]
)
def test_panels_that_are_no_tables_are_told(tmp_path: Path, body: str) -> None:
    (tmp_path / "settings.toml").write_text(body)
    read = Settings(tmp_path / "settings.toml")
    assert not read.panels and len(read.faults) == 1


async def test_the_plain_layout_says_figures_in_words() -> None:
    async with driving(is_plain=True) as driver:
        await driver.press("p", "tab")
        assert "latency p95  gpt-4o: 4.1 s at 14:02, least" in driver.text and "in 60 of 60 windows" in driver.text
        assert "warning anomaly.latency, 2 times" in driver.text


def test_a_value_stands_out_among_enough_others_and_never_alone() -> None:
    usual: list[float | None] = [1.0, 1.1, 0.9, None, 1.0, 1.05, 0.95, 1.0, 1.1]
    assert spikes([*usual, 5.0]) == [9] and spikes(usual) == []
    assert spikes([*usual, 1.9]) == []  # within a bucket of durations
    assert spikes([0.0] * (LEAST_COUNT - 2) + [9.0]) == []
    assert spikes([*usual, float("nan"), float("inf"), 5.0]) == [11]
