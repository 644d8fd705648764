"""The replay: a bar that always fits, panes that never tell what came later, and keys that move through time."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tui.pilots import driving
from tests.tui.rows import HOSTILE, delegations, labels, lanes, texts, times
from tests.tui.story import START_NS, TRACE_ID, S, StoryFeed, at
from tests.tui.test_drawing import holds
from trajectory.view.rows import AlertAt, HeldCell, HeldRow, KnownRow, LaneAt, TickRow
from trajectory.view.text import cells
from trajectory.view.views import InstantQuery, InstantView
from tui.drawing.instant import alert_at_line, doing_line, known_line
from tui.drawing.knowledge import matrix_head, matrix_lines
from tui.drawing.lanes import draw_lanes
from tui.drawing.line import measure, plain
from tui.drawing.scrubber import draw_scrubber, tick_sign
from tui.screens.replay import ReplayScreen
from tui.signs import ASCII, LEVELS, UNICODE, signs_at

ticks = st.builds(
    TickRow,
    at_ns=times,
    what=st.sampled_from(["delegation", "return", "error", "alert", "new"]),
    text=st.sampled_from(["A1", "A12", "", HOSTILE, "日本"]),
    span_id=texts,
    severity=st.sampled_from(["info", "warning", "critical", "new", ""]),
)
widths, levels = st.integers(20, 220), st.sampled_from(LEVELS)


@settings(max_examples=80)
@given(st.lists(ticks, max_size=30), times, times, times, widths, levels)
def test_the_bar_and_its_ticks_fit_and_a_column_is_an_instant(
    rows: list[TickRow], start_ns: int, took_ns: int, at_ns: int, width: int, level: str
) -> None:
    signs = signs_at(level)
    drawing = draw_scrubber(rows, start_ns, start_ns + took_ns, at_ns, width, signs)
    assert [measure(line) for line in drawing.lines] == [width, width]
    bar, below = (plain(line) for line in drawing.lines)
    assert bar.count(signs.cursor) >= 1 and (level != "ascii" or bar.isascii())
    for column in range(-5, width + 5):
        assert start_ns <= drawing.instant(column) <= max(start_ns + took_ns, start_ns + 1)
    if drawing.chart_at + drawing.scale.cells <= width:
        for row in rows:  # a tick, or a graver one, stands below its instant
            assert below[drawing.chart_at + drawing.scale.cell(row.at_ns)] != " "
            assert cells(tick_sign(row, signs)[0]) == 1


@settings(max_examples=60)
@given(st.lists(lanes, max_size=6), st.lists(delegations, max_size=6), times, times, widths, levels)
def test_a_chart_that_goes_on_beyond_now_fits(  # what is to come is empty, whatever the rows say
    rows: list, sent: list, now_ns: int, more_ns: int, width: int, level: str
) -> None:
    drawing = draw_lanes(rows, sent, width, signs_at(level), start_ns=0, now_ns=now_ns, end_ns=now_ns + more_ns)
    assert all(measure(line) == width for line in (*drawing.lines, *drawing.axis))


@settings(max_examples=60)
@given(
    st.builds(LaneAt, lanes, texts, st.sampled_from(["model", "tool", "delegation", "x"]), texts, times, st.lists(labels)),
    st.builds(KnownRow, st.sampled_from(["user", "lost", "altered", "x" * 30, HOSTILE]), texts, times, texts),
    st.builds(AlertAt, texts, texts, texts, texts, texts, texts, texts, texts, times, times),
    times,
    st.integers(10, 150),
    levels,
)  # fmt: skip
def test_lines_of_an_instant_fit(
    lane: LaneAt, known: KnownRow, alert: AlertAt, at_ns: int, width: int, level: str
) -> None:
    signs = signs_at(level)
    drawn = [
        doing_line(lane, at_ns, width, signs),
        known_line(known, width, signs),
        alert_at_line(alert, at_ns, "00:00.000", width, signs),
    ]
    assert [measure(line) for line in drawn] == [width] * 3
    assert not any(ord(char) < 32 for line in drawn for char in plain(line))


def test_what_an_agent_did_is_told_apart_without_colour() -> None:
    base = StoryFeed().lanes[0]
    states = [base.__class__(**{f: getattr(base, f) for f in base.__struct_fields__ if f != "state"}, state=state)
              for state in ("ahead", "ok", "error", "cut_off", "running")]  # fmt: skip
    said = [plain(doing_line(LaneAt(lane), 0, 24, ASCII)) for lane in states]
    said.append(plain(doing_line(LaneAt(states[-1], waits_for=["writer#1"]), 0, 24, ASCII)))
    said.append(plain(doing_line(LaneAt(states[-1], "search", "tool", "x", 0), S, 24, ASCII)))
    assert len({*said}) == len(said)
    late = AlertAt("k", "A1", "critical", "cascade", "open", "x", "", "", S, 5 * S)
    assert "known 3.0 s later" in plain(alert_at_line(late, 2 * S, "", 80, UNICODE))
    assert "known" not in plain(alert_at_line(late, 5 * S, "", 80, UNICODE))


def replay(screen: object) -> ReplayScreen:
    assert isinstance(screen, ReplayScreen)
    return screen


async def test_keys_move_through_a_run_and_the_panes_follow() -> None:
    async with driving() as driver:
        await driver.press("enter", "r")
        screen = replay(driver.app.screen)
        assert screen.view is not None and screen.head.at_ns == screen.view.at_ns == screen.view.end_ns
        await driver.press("shift+left", "shift+left")
        assert screen.head.at_ns == screen.end_ns - 2 * ((screen.end_ns - START_NS) // 20) == screen.view.at_ns
        was_ns = screen.head.at_ns
        await driver.press("left")
        assert (
            screen.head.at_ns
            == screen.view.at_ns
            == screen.view.after[0] - (screen.view.after[0] - screen.head.at_ns)
            < was_ns
        )
        await driver.press("left_square_bracket")
        here = screen.head.at_ns
        assert here in [tick.at_ns for tick in screen.view.ticks] and screen.view.at_ns == here
        await driver.press("right_square_bracket", "left_square_bracket")
        assert screen.head.at_ns == here
        while "not started" not in driver.text:
            await driver.press("shift+left")
        assert screen.head.at_ns > START_NS
        await driver.press("exclamation_mark")
        assert "error" in driver.text and any(
            t.what == "error" and t.at_ns == screen.head.at_ns for t in screen.view.ticks
        )
        await driver.press("j")
        assert (
            screen.view.known_of == screen.view.lanes[1].lane.label and f"{screen.view.known_of} knows" in driver.text
        )
        await driver.press("L")
        assert driver.where == "cockpit"


async def test_playing_goes_on_by_the_clock_at_its_speed_and_stops_at_the_end() -> None:
    feed = StoryFeed()
    feed.runs = [row.__class__(**{f: getattr(row, f) for f in row.__struct_fields__ if f != "state"}, state="done")
                 for row in feed.runs]  # fmt: skip
    async with driving(feed) as driver:
        driver.app.open_replay(TRACE_ID, at(0))
        await driver.beat(3)
        screen = replay(driver.app.screen)
        await driver.press("space")
        driver.clock.passes(3)
        await driver.beat()
        assert screen.head.at_ns == at(3) and screen.view is not None and screen.view.at_ns == at(3)
        await driver.press("greater_than_sign")
        driver.clock.passes(2)
        await driver.beat()
        assert (screen.head.speed, screen.head.at_ns) == (2, at(7))
        await driver.press("space")
        driver.clock.passes(5)
        await driver.beat()
        assert screen.head.at_ns == at(7)
        await driver.press("space")
        driver.clock.passes(1000)
        await driver.beat(2)
        assert screen.head.at_ns == screen.end_ns and not screen.head.is_playing
        await driver.press("space")
        assert screen.head.at_ns < at(1) and screen.head.is_playing


async def test_where_one_comes_from_says_at_which_instant_it_opens() -> None:
    async with driving() as driver:
        await driver.press("enter", "a")
        alert = next(row for row in driver.app.data_screen.view.alerts)  # type: ignore[union-attr]
        await driver.press("r")
        assert replay(driver.app.screen).head.at_ns == alert.opened_ns
        await driver.press("escape", "enter")
        assert driver.where == "alert"
        await driver.press("r")
        screen = replay(driver.app.screen)
        assert screen.head.at_ns == alert.path[0].at_ns if alert.path else alert.opened_ns
        assert screen.agents.selected == next(
            each.lane.span_id for each in screen.view.lanes if each.lane.label == alert.path[0].label  # type: ignore[union-attr]
        )  # fmt: skip
        await driver.press("escape", "t", "r")
        assert driver.where == "replay"


async def test_a_click_on_the_bar_goes_there_and_a_run_that_is_being_read_says_how_far() -> None:
    class Slow(StoryFeed):
        ratio = 0.4

        def _instant(self, query: InstantQuery):  # type: ignore[no-untyped-def]
            whole = super()._instant(query)
            if self.ratio == 1:
                return whole
            return whole.__class__(-1, whole.health, whole.whole, whole.trace, 0, 0, 0, self.ratio)

    feed = Slow()
    async with driving(feed) as driver:
        driver.app.open_replay(TRACE_ID, at(50))
        await driver.beat(2)
        assert "40 %" in driver.text
        await driver.pilot.click("#scrubber", offset=(60, 0))
        assert replay(driver.app.screen).end_ns == at(50), "of a run that is not known yet"
        feed.ratio = 1
        await driver.beat(2)
        screen = replay(driver.app.screen)
        assert screen.view is not None and screen.view.at_ns == at(50)
        await driver.pilot.click("#scrubber", offset=(60, 0))
        await driver.beat()
        assert screen._bar is not None and screen.head.at_ns == screen._bar.instant(60) == screen.view.at_ns


async def test_each_pane_opens_what_it_tells_of_and_what_is_copied_is_what_it_says() -> None:
    async with driving() as driver:
        driver.app.open_replay(TRACE_ID, at(1), "nobody#9")
        await driver.beat(3)
        screen = replay(driver.app.screen)
        assert screen.agents.cursor == 0, "an agent that is not known is not looked for"
        await driver.press("4", "enter")
        assert "nothing to open here" in driver.text, "nothing was found by then"
        await driver.press("y")
        assert "nothing to copy here" in driver.text
        await driver.press("]", "]", "]", "]", "]", "]", "2", "G", "y", "enter")
        assert screen.view is not None
        assert driver.app.clipboard == screen.view.known[-1].text and driver.where == "span"
        await driver.press("escape", "3", "G", "y", "enter")
        assert driver.app.clipboard == screen._steps[-1].text and driver.where == "span"
        await driver.press("escape", "a", "y", "enter")
        assert driver.app.clipboard == screen.view.alerts[0].summary and driver.where == "alert"
        await driver.press("escape", "1", "y")
        assert driver.app.clipboard == screen.agents.selected


async def test_steps_are_filtered_by_what_they_are_and_by_the_time_of_the_run() -> None:
    async with driving() as driver:
        await driver.press("enter", "r")
        screen = replay(driver.app.screen)
        await driver.press("slash", *"at", "colon", *"31s", "full_stop", "full_stop", *"34s", "enter")
        begun = [step.at_ns for step in screen._steps]
        assert begun and min(begun) <= at(34) and all(step.at_ns + step.duration_ns >= at(31) for step in screen._steps)
        assert f"{len(begun)} of " in driver.text
        await driver.press("escape")
        assert len(screen._steps) > len(begun)


async def test_before_the_first_and_after_the_last_instant_there_is_nothing_and_what_was_paused_goes_on() -> None:
    class Ended(StoryFeed):
        def _instant(self, query: InstantQuery) -> InstantView:
            view = super()._instant(query)
            nobodys = HeldRow("EUR", "constraint", True, [HeldCell(99, "held")])
            return msgspec.structs.replace(
                view, after=[at_ns for at_ns in view.after if at_ns < view.end_ns], held=[nobodys]
            )

    async with driving(Ended()) as driver:
        await driver.press("enter", "space", "r", "right")
        assert "nothing came after this" in driver.text
        screen = replay(driver.app.screen)
        assert screen.view is not None
        screen.go_to_instant(screen.view, 0)
        screen.action_step(-1)
        assert "nothing came before this" not in screen.said, "what was before that instant has not come yet"
        await driver.beat()
        await driver.press("left")
        assert "nothing came before this" in driver.text
        await driver.press("5", "g", "enter")
        assert driver.where == "replay", "of an item that no agent is known to hold"
        await driver.press("L")
        assert driver.where == "cockpit" and not driver.app.is_paused


held = st.builds(
    HeldRow,
    text=texts,
    kind=texts,
    is_needed=st.booleans(),
    cells=st.lists(
        st.builds(HeldCell, st.integers(-1, 30), st.sampled_from(["held", "lost", "differs", "new"]), texts), max_size=9
    ),
)


@settings(max_examples=40)
@given(st.lists(held, max_size=5), st.lists(labels, max_size=20), st.integers(30, 200), levels)
def test_the_items_against_the_agents_have_their_width(found, labels, width, level) -> None:  # type: ignore[no-untyped-def]
    holds(matrix_head(found, labels, width), width)
    holds([line.line for line in matrix_lines(found, labels, width, signs_at(level))], width)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("width", [60, 140])
def test_held_lost_and_differing_are_told_by_sign(level: str, width: int) -> None:
    signs = signs_at(level)
    states = [None, HeldCell(0, "held"), HeldCell(0, "lost"), HeldCell(0, "differs", "15:00")]
    rows = [HeldRow("x", "k", True, [*([cell] if cell else []), HeldCell(1, "held")]) for cell in states]
    drawn = [plain(matrix_lines([row], ["a", "b"], width, signs)[0].line) for row in rows]
    assert len(set(drawn)) == len(drawn) and "15:00" in drawn[3]


async def test_what_was_needed_and_lost_stands_first_and_k_shows_the_rest() -> None:
    async with driving(size=(80, 24)) as driver:
        await driver.press("enter", "r")
        assert "research#2 ✗" in driver.text and "research#2 ~ 15:00" in driver.text
        assert "4 of 5" in driver.text and "press.example" not in driver.text
        await driver.press("K")
        assert "press.example" in driver.text
        await driver.press("y")
        assert driver.app.clipboard.startswith("fiscal year FY25: ")
        await driver.press("2", "K")
        assert "needed items only" in driver.text
        await driver.press("g", "enter")
        assert driver.where == "agent" and "research#2" in driver.text.splitlines()[0]


async def test_where_not_all_items_are_compared_it_stands_below_those_that_are() -> None:
    async with driving(size=(120, 50)) as driver:
        await driver.press("enter", "r")
        screen = driver.app.screen
        assert isinstance(screen, ReplayScreen) and isinstance(screen.view, InstantView)
        screen.accept(msgspec.structs.replace(screen.view, held_why_not="items of the first 60 alone are compared"))
        below = [plain(line.line) for line in screen.items.lines]
        assert len(below) > 1 and below[-1] == "items of the first 60 alone are compared"
