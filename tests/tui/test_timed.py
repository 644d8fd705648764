"""Along the time of a run: the critical path, bars by what was used, and zoom, as drawings and under the hands of an operator."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tui import rows
from tests.tui.pilots import Driver, driving
from tests.tui.story import NOW_NS, START_NS, StoryFeed
from tests.tui.test_drawing import NS, edge, holds, lane, levels, widths
from trajectory.view.rows import CriticalRow, Lane, LaneBar, SpanRow
from trajectory.view.scale import Scale
from trajectory.view.views import Outline
from tui.drawing.chain import chain_line, of_drawn
from tui.drawing.density import density_lines
from tui.drawing.entries import entries
from tui.drawing.lanes import draw_lanes
from tui.drawing.line import plain
from tui.drawing.waterfall import BARS_BY, UNKNOWN, Columns, Measure, waterfall_header, waterfall_line
from tui.drawing.window import LEAST_NS, Window, delegations_in, lanes_in, zoomed
from tui.screens.cockpit import CockpitScreen
from tui.screens.timeline import TimelineScreen
from tui.signs import UNICODE, signs_at

S = 1_000_000_000
instants = st.integers(0, 10**13)
wholes = st.builds(lambda start, range_ns: Window(start, start + range_ns), instants, st.integers(1, 10**13))


@given(wholes, st.lists(st.tuples(instants, st.integers(0, 10**12), st.booleans()), max_size=8))
def test_a_window_stays_inside_the_run_and_going_far_enough_out_shows_all_of_it(whole, moves) -> None:  # type: ignore[no-untyped-def]
    window = None
    for start_ns, took_ns, closer in moves:
        before = window or whole
        window = zoomed(whole, window, start_ns, start_ns + took_ns, closer)
        if window is not None:
            assert whole.start_ns <= window.start_ns < window.end_ns <= whole.end_ns
            assert window.end_ns - window.start_ns >= LEAST_NS
            middle_ns = (max(start_ns, before.start_ns) + min(start_ns + took_ns, before.end_ns)) // 2
            if closer and before.shows(start_ns, start_ns + took_ns):
                assert window.start_ns <= middle_ns <= window.end_ns
    for _ in range(30):
        window = zoomed(whole, window, 0, 0, closer=False)
    assert window is None


@given(st.lists(rows.spans, max_size=12), widths, levels, rows.times, wholes, st.sampled_from(BARS_BY), st.booleans())
def test_a_zoomed_timeline_by_any_measure_has_its_width(spans, width, signs, now, window, by, critical) -> None:  # type: ignore[no-untyped-def]
    spans = [msgspec.structs.replace(row, is_critical=critical, cost_usd=row.tokens / 1000 or None) for row in spans]
    found = entries(spans, set(), now)
    measure = Measure.of(found, by)
    scale = Scale(*window, Columns.of(width, by).chart, 0)
    holds([waterfall_line(entry, width, scale, signs, now, measure) for entry in found], width)
    holds([waterfall_header(width, scale, measure)], width)


@given(st.lists(rows.lanes, max_size=6), st.lists(rows.delegations, max_size=6), widths, levels, wholes, rows.times)
def test_zoomed_lanes_with_the_critical_path_have_their_width(lanes, sent, width, signs, window, now) -> None:  # type: ignore[no-untyped-def]
    chain = [CriticalRow(each.span_id, each.start_ns, each.end_ns or now) for each in lanes]
    shown, between = lanes_in(lanes, window, now), delegations_in(sent, window)
    drawn = draw_lanes(
        shown, between, width, signs, start_ns=window[0], now_ns=window[1], origin_ns=0, critical=chain, axis_lines=2
    )
    holds([*drawn.axis, *drawn.lines, chain_line(chain, lanes, width, signs)], width)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=240), st.integers(4, 300), wholes, st.data(), levels)
def test_the_ends_of_a_window_are_on_the_density_and_hide_no_failure(activity, width, whole, data, signs) -> None:  # type: ignore[no-untyped-def]
    window = Window(data.draw(st.integers(whole[0], whole[1] - 1)), whole[1])
    parts = list(range(0, len(activity), 7))
    lines = density_lines(Outline(activity, parts), width, signs, window, whole)
    bare = density_lines(Outline(activity, parts), width, signs)
    holds(lines, width)
    assert plain(lines[1]).count(signs.error) == plain(bare[1]).count(signs.error)
    assert signs.closes in plain(lines[0]) + plain(lines[1])


@pytest.mark.parametrize("level", ["unicode", "block", "ascii"])
def test_the_critical_path_is_told_apart_without_colour(level: str) -> None:
    signs = signs_at(level)
    lanes = [lane("a", 0, 40, ("model", 0, 10, "ok")), lane("b", 10, 30, ("tool", 10, 30, "error"))]
    chain = [CriticalRow("a", 0, 10 * NS), CriticalRow("b", 10 * NS, 30 * NS), CriticalRow("a", 30 * NS, 40 * NS)]

    def drawn(rows: list[CriticalRow] | None) -> list[str]:
        sent = [edge("a", "b", 10, 30)]
        drawing = draw_lanes(lanes, sent, 49, signs, start_ns=0, now_ns=40 * NS, critical=rows)
        return [plain(line)[5:45] for line in drawing.lines]

    on, off = drawn(chain), drawn(chain[1:2])
    assert signs.model * 10 in on[0] and signs.model not in off[0]
    assert signs.lines_heavy[12] * 5 in on[0] and signs.lines_heavy[12] not in off[0]
    assert signs.error in on[1] and signs.error in drawn(chain[:1])[1], "what failed stays in sight"
    spans = [SpanRow(f"{n}", "", 0, "tool", "t", "a#1", "ok", 1, 9, is_critical=n == 1) for n in range(2)]
    scale = Scale(0, 10, Columns.of(100).chart)
    lines = [plain(waterfall_line(entry, 100, scale, signs, 10)) for entry in entries(spans, (), 10)]
    assert [signs.chain in line for line in lines] == [False, True]


def test_a_bar_by_what_was_used_says_when_nobody_said_it() -> None:
    spans = [
        SpanRow("1", "", 0, "model", "chat", "a#1", "ok", 1, 9, tokens=400),
        SpanRow("2", "", 0, "model", "chat", "a#1", "ok", 1, 9, tokens=100, cost_usd=0.05),
        SpanRow("3", "", 0, "tool", "find", "a#1", "ok", 1, 9),
    ]
    found = entries(spans, (), 9)
    for by, longest in (("tokens", ["█" * 20, "█" * 5, UNKNOWN]), ("cost", [UNKNOWN, "█" * 20, UNKNOWN])):
        measure, columns = Measure.of(found, by), Columns.of(80, by)
        scale = Scale(0, 10, 20)
        lines = [plain(waterfall_line(entry, 80, scale, UNICODE, 9, measure)) for entry in found]
        assert [line[columns.name + 1 :][:20].strip() for line in lines] == longest
    assert "$0.05" in lines[1]


def test_what_is_outside_of_a_window_is_told_by_its_side_and_no_failure_is_drawn_where_none_was() -> None:
    early = SpanRow("1", "", 0, "tool", "early", "a#1", "ok", 1, 9)
    late = SpanRow("2", "", 0, "tool", "late", "a#1", "ok", 90, 99)
    through = SpanRow("3", "", 0, "tool", "through", "a#1", "error", 1, 99)
    lines = [
        plain(waterfall_line(entry, 80, Scale(20, 60, 20, 0), UNICODE, 99))
        for entry in entries([early, late, through], (), 99)
    ]
    name = Columns.of(80).name + 1
    charts = [line[name : name + 20] for line in lines]
    assert charts == ["⟨" + " " * 19, " " * 19 + "⟩", "▓" * 20]


def test_lanes_in_a_window_keep_who_is_not_in_it_and_say_nothing_of_later() -> None:
    bars = [LaneBar("x", "tool", 1, 99, "error")]
    whole = [Lane("a", "a", "", "a", "ok", 1, 99, bars), Lane("b", "b", "", "b", "ok", 70, 99)]
    shown = lanes_in(whole, Window(20, 60), 99)
    assert [(each.label, each.start_ns, each.end_ns) for each in shown] == [("a", 20, 60), ("b", 61, 60)]
    assert [(bar.end_ns, bar.status) for bar in shown[0].bars] == [(60, "ok")]


def test_the_path_follows_lanes_into_their_group() -> None:
    lanes = [Lane(f"w#{n}", "w", "", f"w{n}", "ok", 1, 9) for n in range(3)] + [Lane("a#1", "a", "", "a", "ok", 1, 9)]
    drawn = [Lane("w ×3", "w", "", "w0", "ok", 1, 9), lanes[3]]
    chain = [CriticalRow("w2", 1, 5), CriticalRow("a", 5, 9)]
    assert [row.lane_span_id for row in of_drawn(chain, lanes, drawn, {"w ×3": "w"})] == ["w0", "a"]


# Keys


def timeline(driver: Driver) -> TimelineScreen:
    screen = driver.app.screen
    assert isinstance(screen, TimelineScreen)
    return screen


async def test_the_timeline_shows_the_critical_path_and_its_bars_by_what_was_used() -> None:
    feed = StoryFeed()
    async with driving(feed) as driver:
        await driver.press("t", "c")
        assert sum("┃" in line[3:-1] for line in driver.text.splitlines()) >= 3
        assert "critical path" in driver.text
        await driver.press("b")
        assert "bars by tokens" in driver.text and UNKNOWN in driver.text
        await driver.press("b")
        assert "COST" in driver.text and "$" in driver.text
        await driver.press("b", "c")
        assert "bars by" not in driver.text.splitlines()[6] and "critical path off" in driver.text


async def test_zoom_shows_half_of_the_time_about_the_span_and_0_all_of_it() -> None:
    async with driving() as driver:
        await driver.press("t", *["j"] * 8, "+", "+", "+")
        screen = timeline(driver)
        assert screen.window is not None and screen.row is not None
        assert screen.window.end_ns - screen.window.start_ns == (NOW_NS - START_NS) // 8
        assert screen.window.shows(screen.row.start_ns, screen.row.end_ns)
        assert "⟨" in driver.text and "⟩" in driver.text
        await driver.press("-")
        assert screen.window.end_ns - screen.window.start_ns == (NOW_NS - START_NS) // 8 * 2
        await driver.press("0", "0")
        assert screen.window is None and "all of the time is shown" in driver.text
        for _ in range(40):
            screen.action_time_zoom(1)
        await driver.ready()
        assert "closer is not possible" in driver.text and screen.in_time().startswith("1 ms from ")


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_the_cockpit_zooms_and_shows_the_critical_path_too(size: tuple[int, int]) -> None:
    async with driving(size=size) as driver:
        await driver.press("enter", "j", "j", "c")
        lane = next(line for line in driver.text.splitlines() if line[2:].startswith("planner#1"))
        assert "critical path  " in driver.text and "━━" in lane
        await driver.press("+", "+")
        screen = driver.app.screen
        assert isinstance(screen, CockpitScreen) and screen.window is not None
        assert screen.agents.status.endswith(" s") and "–" in screen.agents.status
        await driver.press("0", "c")
        assert "critical path  " not in driver.text


async def test_an_opened_group_of_lanes_is_closed_again() -> None:
    feed = StoryFeed()
    more = [
        msgspec.structs.replace(feed.lanes[1], label=f"worker#{n}", agent="worker", span_id=f"{n:04x}")
        for n in range(1, 50)
    ]
    feed.lanes += more
    async with driving(feed) as driver:
        await driver.press("enter", "G")
        screen = driver.app.screen
        assert isinstance(screen, CockpitScreen)
        assert "worker ×49" in driver.text
        screen.agents.want("worker ×49")
        await driver.press("l")
        assert screen.agents.selected == "0001" and "worker ×49" not in driver.text
        await driver.press("j", "h")
        assert screen.agents.selected == "worker ×49"
        await driver.press("h")
        assert "no such lane is under the cursor" in driver.text
