"""Wide and narrow screens: what stands beside the rows follows the cursor, and one pane at a time has tabs."""

from tests.tui.pilots import Driver, driving
from tests.tui.story import StoryFeed
from trajectory.view.rows import DelegationRow
from trajectory.view.undelegated import undelegated
from trajectory.view.views import SpanQuery, TraceQuery
from tui.screens.cockpit import CockpitScreen


def inspector_of(driver: Driver) -> str:
    """What stands in the inspector's column, as text."""
    return "\n".join(line[line.rfind("│", 0, -2) :] for line in driver.text.splitlines())


async def test_the_inspector_follows_the_cursor_of_the_pane_with_the_focus() -> None:
    async with driving(size=(160, 45)) as driver:
        await driver.press("enter")
        await driver.beat()
        assert "Inspector · a01f" in driver.text
        await driver.press("j")
        assert "Inspector · a01f" not in driver.text and "research#1" in inspector_of(driver)
        await driver.press("a", "j")
        assert "delegation" in inspector_of(driver)


async def test_one_thing_is_asked_for_at_a_tick_and_what_is_known_is_not_asked_for_again() -> None:
    feed = StoryFeed()
    async with driving(feed, size=(160, 45)) as driver:
        await driver.press("enter", "j")
        before = len(feed.asked)
        await driver.beat(4)
        asked = feed.asked[before:]
        assert len(asked) == 4
        assert {type(query) for query in asked} == {TraceQuery, SpanQuery}
        feed.moved()
        feed.spans = []
        await driver.beat(2)
        assert driver.where == "cockpit" and "planner#1" in driver.text


async def test_the_inspector_opens_the_span_that_it_shows() -> None:
    async with driving(size=(160, 45)) as driver:
        await driver.press("enter", "j", "6", "enter")
        assert driver.where == "span"
        await driver.press("escape", "1", "k")
        assert "Inspector · a01f" in driver.text


async def test_the_inspector_opens_the_alert_on_a_line_and_stands_still_while_paused() -> None:
    feed = StoryFeed()
    async with driving(feed, size=(160, 45)) as driver:
        driver.app.open_run(feed.runs[0], "tail")
        await driver.beat(2)
        screen = driver.app.screen
        assert isinstance(screen, CockpitScreen)
        screen.tail.want(next(str(step.step_id) for step in feed.steps if step.span_id == "91c4"))
        await driver.beat(4)
        assert "Inspector · 91c4" in driver.text
        await driver.press("6")
        for found, where in (("alert_key", "alert"), ("", "cockpit")):
            at = next(
                n
                for n, line in enumerate(screen.inspector.lines)
                if bool(line.alert_key) == bool(found) and (found or not line.span_id)
            )
            screen.inspector.go(at)
            await driver.press("enter")
            assert driver.where == where
            await driver.press(*["escape"] * (where == "alert"))
        assert "nothing to open on this line" in driver.text
        await driver.press("space")
        held = screen.inspector.held
        feed.moved()
        await driver.beat(6)
        assert screen.inspector.held is held


async def test_a_narrower_screen_has_no_inspector_and_says_so() -> None:
    async with driving(size=(159, 45)) as driver:
        await driver.press("enter", "6")
        assert "Inspector" not in driver.text and "there is no pane 6 here" in driver.text
        await driver.pilot.resize_terminal(160, 45)
        await driver.beat(2)
        assert "6 Inspector" in driver.text


async def test_the_widest_screen_has_the_timeline_too_and_each_pane_is_a_key_away() -> None:
    async with driving(size=(230, 60)) as driver:
        await driver.press("enter", "7", "j", "j")
        assert driver.app.screen.focused is driver.app.screen.query_one("#spans")
        screen = driver.app.screen
        assert isinstance(screen, CockpitScreen) and screen.inspector.held and screen.spans.row
        assert screen.inspector.held.row.span_id == screen.spans.row.span_id != "a01f"
        await driver.press("!")
        assert screen.spans.is_error(screen.spans.cursor) and screen.spans.row is not None
        assert screen.spans.row.status == "error"
        await driver.press("v")  # the same view is drawn again, with other times
        assert len(screen.spans.keys) > 20
        for number, title in enumerate(
            ("agents", "delegations", "alerts", "tail", "suspects", "inspector", "spans"), 1
        ):
            await driver.press(str(number))
            assert driver.app.screen.focused.id == title
        await driver.press("z")
        assert "7 Timeline" in driver.text and "1 Agents" not in driver.text


async def test_the_narrowest_screen_has_one_pane_and_a_tab_for_each() -> None:
    async with driving(size=(58, 20)) as driver:
        await driver.press("enter")
        assert "[1 agents]" in driver.text and "┏" not in driver.text and "│" not in driver.text.splitlines()[3]
        line = next(at for at, text in enumerate(driver.text.splitlines()) if "[1 agents]" in text)
        for tab, number in (("4 tail", 4), ("2 graph", 2), ("3 alerts", 3)):
            await driver.pilot.click(offset=(driver.text.splitlines()[line].index(tab) + 2, line))
            await driver.ready()
            assert f"[{tab}]" in driver.text and driver.app.screen.focused.number == number
        await driver.press("5")
        assert "[5 suspects]" in driver.text and "read_cache" in driver.text
    async with driving(size=(40, 10)) as driver:
        await driver.press("enter")
        assert "[1 agents]  2   3   4   5" in driver.text


async def test_delegations_are_a_tree_or_a_graph_and_the_cursor_goes_along() -> None:
    async with driving(size=(120, 36)) as driver:
        await driver.press("enter", "d", "j", "j", "v")
        assert "▌research#2" in driver.text
        await driver.press("h")
        assert "▌planner#1" in driver.text
        await driver.press("l", "l", "l")
        assert "▌tester#1" in driver.text and "cells 1–" not in driver.text
        await driver.press("enter")
        assert driver.where == "agent"
        await driver.press("escape", "d")
        assert driver.where == "delegation"
        await driver.press("escape", "v")
        assert "├─▶" in driver.text and "▌planner" not in driver.text


async def test_the_next_failure_among_delegations_is_one_key_away_as_tree_and_as_graph() -> None:
    async with driving(size=(120, 36)) as driver:
        await driver.press("enter", "d", "!")
        screen = driver.app.screen
        assert isinstance(screen, CockpitScreen)
        row = screen.row_of(screen.tree_pane)
        assert isinstance(row, DelegationRow) and (row.lost or row.on_error_path or row.state in ("failed", "lost"))
        await driver.press("v")
        seen = []
        for _ in range(4):
            await driver.press("!")
            seen.append(screen.graph.selected)
        assert "archivist" in seen, "who was asked and never began"
        assert "coder#1" not in seen and len(set(seen)) > 1, "and nobody to whom nothing happened"
        screen.graph.want("archivist")
        await driver.press("enter")
        assert driver.where == "delegation"
        await driver.press("escape")
        await driver.press("1", "j", "d")
        assert screen.graph.selected == "research#1", "the box of the agent under the cursor"
        await driver.press("1", "v")  # the times are written anew, and the graph stays
        assert "▌research#1" in driver.text


async def test_where_nobody_asked_anybody_it_is_said_why_and_what_to_do_at_each_width_as_tree_and_as_graph() -> None:
    feed = StoryFeed()
    feed.delegations = []
    async with driving(feed, size=(120, 36)) as driver:

        def said() -> str:
            return " ".join(driver.text.replace("│", " ").replace("┃", " ").split())

        sentence = undelegated(feed.runs[0].agents)
        await driver.press("enter", "d")
        assert "none of these" in driver.text and 'trajectory.delegate("name", task)' in sentence
        for size in ((80, 24), (60, 20)):
            await driver.pilot.resize_terminal(*size)
            await driver.ready()
            assert sentence in said()
        await driver.press("v")
        assert sentence in said()
        screen = driver.app.screen
        assert isinstance(screen, CockpitScreen)
        await driver.press("l")
        assert "no further column that way" in driver.text
        await driver.press("+")
        assert screen.window is not None and screen.whole() is not None
        assert screen.window.start_ns > screen.whole().start_ns, "with nothing under the cursor, about the middle"  # type: ignore[union-attr]


async def test_a_box_of_the_graph_is_clicked() -> None:
    async with driving(size=(160, 45)) as driver:
        await driver.press("enter", "d", "v", "z")
        lines = driver.text.splitlines()
        line = next(at for at, text in enumerate(lines) if "[writer#1" in text)
        await driver.pilot.click(offset=(lines[line].index("writer#1"), line))
        await driver.ready()
        assert "▌writer#1" in driver.text


async def test_which_part_of_the_graph_is_seen_is_told_for_the_size_that_it_has_now() -> None:
    async with driving(StoryFeed(), size=(120, 36)) as driver:
        await driver.press("enter", "d", "v")
        assert "cells 1–42 of 59" in driver.text
        await driver.pilot.resize_terminal(80, 24)
        await driver.ready()
        assert "cells" not in driver.text
        await driver.pilot.resize_terminal(120, 36)
        await driver.ready()
        assert "cells 1–42 of 59" in driver.text
