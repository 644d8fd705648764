"""The mouse does what keys do: a crumb goes back, a title sorts, a fold folds, a chip follows, a key in the footer is pressed."""

from msgspec import structs
from textual.events import Click, MouseScrollDown, MouseScrollLeft, MouseScrollRight, MouseScrollUp

from tests.tui.pilots import Driver, driving
from tests.tui.story import StoryFeed
from tui.screens.replay import ReplayScreen
from tui.screens.signals import SignalsScreen
from tui.widgets.pane import Pane


async def click(driver: Driver, word: str, line: int) -> None:
    """Clicks the first letter of a word on a line of the screen."""
    at = driver.text.splitlines()[line].index(word)
    await driver.pilot.click(offset=(at, line))
    await driver.ready()
    await driver.beat()


async def test_a_crumb_goes_back_to_its_screen() -> None:
    async with driving() as driver:
        await driver.press("enter", "t", "enter")
        assert driver.where == "span"
        await click(driver, "7f3a", 0)
        assert driver.where == "cockpit"
        await click(driver, "trajectory", 0)
        assert driver.where == "cockpit"
        await click(driver, "runs", 0)
        assert driver.where == "runs"


async def test_the_title_of_a_column_sorts_by_it() -> None:
    async with driving() as driver:
        for title, order in (("TOKENS", "tokens"), ("ERR", "errors"), ("STATE", "newest")):
            await click(driver, title, 3)
            assert f"sort {order}" in driver.text
        await click(driver, "TITLE", 3)
        assert "sort newest" in driver.text


async def test_the_sign_of_a_fold_folds_and_unfolds() -> None:
    async with driving() as driver:
        await driver.press("t")
        line = next(at for at, text in enumerate(driver.text.splitlines()) if "▾" in text and "planner#1" in text)
        before = driver.text
        await click(driver, "▾", line)
        assert "1 folded" in driver.text
        await click(driver, "▸", line)
        assert "folded" not in driver.text and driver.text.count("\n") == before.count("\n")


def line_of(driver: Driver, text: str) -> int:
    """The first line of the screen that holds a text."""
    return next(at for at, line in enumerate(driver.text.splitlines()) if text in line)


async def test_every_key_of_the_footer_can_be_clicked() -> None:
    async with driving() as driver:
        await click(driver, "enter" if "enter" in driver.text.splitlines()[-1] else "⏎ open", 35)
        assert driver.where == "cockpit"
        for word, where in (
            ("t timeline", "timeline"),
            ("esc back", "cockpit"),
            ("? help", "help"),
            ("esc", "cockpit"),
        ):
            await click(driver, word, 35)
            assert driver.where == where
        await click(driver, "^p commands", 35)
        assert "what to do" in driver.text


async def test_the_chip_of_the_tail_stops_following_and_follows_again() -> None:
    async with driving() as driver:
        await driver.press("enter")
        await click(driver, "● following", line_of(driver, "4 Tail"))
        assert "0 new · f" in driver.text
        await click(driver, "0 new", line_of(driver, "4 Tail"))
        assert "● following" in driver.text
        await driver.press("space")
        await click(driver, "paused · space", line_of(driver, "4 Tail"))
        assert "● following" in driver.text


async def test_a_click_selects_two_open_and_the_wheel_scrolls_past_the_cursor() -> None:
    async with driving(size=(120, 30)) as driver:
        await driver.press("enter", "4", "g")
        screen = driver.app.screen
        tail = screen.query_one("#tail", Pane)
        chosen, top = tail.selected, tail.top
        await driver.pilot._post_mouse_events([MouseScrollDown], tail, (5, 3))
        await driver.ready()
        assert tail.top > top and tail.selected == chosen
        await driver.pilot._post_mouse_events([MouseScrollUp], tail, (5, 3))
        await driver.pilot._post_mouse_events([MouseScrollUp], tail, (5, 3))
        await driver.ready()
        assert tail.top == 0 and tail.selected == chosen
        await driver.pilot._post_mouse_events([MouseScrollDown], tail, (5, 3))
        await driver.ready()
        await driver.pilot.click(tail, offset=(5, 2))
        await driver.ready()
        assert tail.selected == tail.keys[tail.top + 1] != chosen
        await driver.pilot.double_click(tail, offset=(5, 2))
        await driver.ready()
        assert driver.where == "span"


async def drag(driver: Driver, start: tuple[int, int], end: tuple[int, int]) -> None:
    await driver.pilot.mouse_down(offset=start)
    await driver.pilot.hover(offset=end)
    await driver.pilot.mouse_up(offset=end)
    await driver.ready()


async def test_text_is_selected_by_the_mouse_and_copied_without_its_frame() -> None:
    async with driving() as driver:
        await driver.press("enter", "a")
        line = line_of(driver, "▲ A1")
        row = driver.text.splitlines()[line]
        chosen = driver.app.screen.query_one("#alerts", Pane).selected
        await drag(driver, (row.index("stale figure"), line), (118, line + 1))
        await driver.press("y")
        copied = driver.app.clipboard
        assert copied.splitlines()[0].startswith("stale figure, 2 hops") and "context.lost" in copied.splitlines()[1]
        assert "┃" not in copied and "│" not in copied
        assert "copied" in driver.text.splitlines()[-2]
        assert driver.app.screen.query_one("#alerts", Pane).selected == chosen
        await driver.press("y")
        assert "stale figure, 2 hops" not in driver.app.clipboard  # nothing is selected any more: the value of the row


async def test_what_is_selected_is_copied_as_it_was_even_when_other_rows_came_there() -> None:
    feed = StoryFeed()
    async with driving(feed) as driver:
        await driver.press("enter", "4")
        line = line_of(driver, "check_totals")
        row = driver.text.splitlines()[line]
        await drag(driver, (row.index("check_totals"), line), (row.index("check_totals") + 12, line))
        feed.steps = [*feed.steps, *(structs.replace(feed.steps[-1], step_id=9000 + at, text="new") for at in range(5))]
        feed.moved()
        await driver.beat(2)
        assert driver.text.splitlines()[line] == row  # it does not follow while something is selected
        await driver.press("ctrl+c")
        assert driver.app.clipboard == "check_totals"
        assert driver.where == "cockpit"


async def test_a_tab_of_the_inspector_is_clicked_and_what_lies_between_and_below_tabs_is_none() -> None:
    async with driving() as driver:
        await driver.press("enter", "a", "enter", "enter")
        assert driver.where == "span"
        tabs = line_of(driver, "2 arguments │ 3 result")
        content = driver.app.screen.query_one("#content", Pane)
        before = content.status
        await click(driver, "2 arguments", tabs)
        first = content.status
        assert first != before
        await click(driver, "│ 3 result", tabs)
        await driver.pilot.click(offset=(110, tabs + 1))
        await driver.ready()
        assert content.status == first
        await click(driver, "3 result", tabs)
        assert content.status == before


async def test_a_click_where_no_row_is_changes_nothing_and_one_after_a_drag_keeps_what_is_selected() -> None:
    async with driving() as driver:
        await driver.press("enter", "a")
        screen = driver.app.screen
        alerts, agents = screen.query_one("#alerts", Pane), screen.query_one("#agents", Pane)
        chosen = alerts.selected, agents.selected
        await driver.pilot.click(agents, offset=(20, agents.size.height - 2))
        await click(driver, "0–01:42", line_of(driver, "1 Agents"))
        assert (alerts.selected, agents.selected) == chosen
        line = line_of(driver, "▲ A1")
        await drag(driver, (20, line), (30, line + 1))
        await driver.pilot._post_mouse_events([Click], alerts, (20, 2))
        await driver.ready()
        assert driver.app.screen.get_selected_text() and alerts.selected == chosen[0]
        await driver.press("escape")
        assert driver.where == "cockpit" and not driver.app.screen.get_selected_text()


async def test_the_chips_of_the_list_of_runs_stop_following_and_show_what_is_new() -> None:
    feed = StoryFeed()
    async with driving(feed) as driver:
        await driver.press("f")
        await click(driver, "following newest", line_of(driver, "following newest"))
        assert "following newest" not in driver.text
        await driver.press("j", "j")
        feed.runs = [structs.replace(feed.runs[3], trace_id="9" * 32), *feed.runs]
        feed.moved()
        await driver.beat(2)
        await click(driver, "1 new", line_of(driver, "1 new"))
        assert "1 new" not in driver.text and driver.app.screen.query_one("#runs", Pane).selected == "9" * 32
        await click(driver, "1 of", line_of(driver, "1 of 8"))
        assert driver.app.screen.query_one("#runs", Pane).selected == "9" * 32


async def test_a_click_on_a_plot_goes_to_the_time_under_it() -> None:
    async with driving() as driver:
        await driver.press("p")
        screen = driver.app.screen
        assert isinstance(screen, SignalsScreen)
        seen = []
        for column in (20, 60, 100):
            await driver.pilot.click("#plot", offset=(column, 3))
            await driver.ready()
            seen.append(screen._stretch()[0])
        assert seen == sorted(set(seen))
        for aside in ((3, 3), (60, 0)):  # on the scale, and on the edge
            await driver.pilot.click("#plot", offset=aside)
            await driver.ready()
            assert screen._stretch()[0] == seen[-1]


async def test_a_graph_is_panned_by_the_wheel_and_a_click_between_its_boxes_changes_nothing() -> None:
    async with driving() as driver:
        await driver.press("enter", "d", "v")
        graph = driver.app.screen.query_one("#graph", Pane)
        chosen = graph.selected
        assert "cells 1–42 of 59" in driver.text
        for event, part in ((MouseScrollRight, "cells 7–48 of 59"), (MouseScrollLeft, "cells 1–42 of 59")):
            await driver.pilot._post_mouse_events([event], graph, (5, 3))
            await driver.ready()
            assert part in driver.text and graph.selected == chosen
        await driver.pilot.click(graph, offset=(16, 1))
        await driver.ready()
        assert graph.selected == chosen


async def test_the_bar_of_a_replay_follows_the_mouse_while_its_button_is_down() -> None:
    async with driving() as driver:
        await driver.press("enter", "r")
        screen = driver.app.screen
        assert isinstance(screen, ReplayScreen) and screen._bar is not None
        await driver.pilot.hover("#scrubber", offset=(30, 0))
        await driver.ready()
        assert screen.head.at_ns == screen.end_ns
        await driver.pilot.mouse_down("#scrubber", offset=(60, 0))
        await driver.pilot.hover("#scrubber", offset=(40, 0))
        await driver.ready()
        assert screen.head.at_ns == screen._bar.instant(40)
        await driver.pilot.mouse_up("#scrubber", offset=(40, 0))
        await driver.pilot.hover("#scrubber", offset=(80, 0))
        await driver.ready()
        assert screen.head.at_ns == screen._bar.instant(40)


async def test_two_clicks_take_a_line_of_what_lies_over_a_screen() -> None:
    feed = StoryFeed()
    async with driving(feed) as driver:
        await driver.press("enter", "a", "M")
        await driver.pilot.double_click("#mute", offset=(5, 2))
        await driver.ready()
        await driver.beat()
        assert driver.where == "cockpit" and len(feed.marks) == 1 and feed.marks[0][2] == "mute"
        await driver.press("question_mark", "slash", *"timeline")
        await driver.pilot.double_click("#keys-0", offset=(5, 1))
        await driver.ready()
        assert driver.where == "timeline"
        await driver.press("e")
        await driver.pilot.double_click("#export", offset=(5, 9))  # below its lines
        await driver.ready()
        assert driver.where == "export"
