"""A team of hundreds on a screen: lanes of one agent as one, elbows that hide no work, hops that are told apart."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tui import rows
from tests.tui.pilots import driving
from tests.tui.story import ALERTS, StoryFeed
from tests.tui.test_drawing import NS, edge, holds, lane, levels, widths
from trajectory.view.rows import DelegationRow, Lane, PathStep
from trajectory.view.views import Query, TraceView, View
from tui.drawing.grouping import MOST_LANES, by_agent
from tui.drawing.lanes import draw_lanes, lanes_legend
from tui.drawing.line import measure, plain
from tui.drawing.path import Way
from tui.signs import UNICODE


def crowd(count: int) -> tuple[list[Lane], list[DelegationRow]]:
    """A giver, and workers to whom it gave work one after the other."""
    giver = lane("boss#1", 0, count + 9, ("model", 0, count + 9, "ok"))
    workers = [
        msgspec.structs.replace(lane(f"worker#{n}", n, n + 9, ("tool", n, n + 8, "ok")), agent="worker")
        for n in range(1, count + 1)
    ]
    return [giver, *workers], [edge("boss#1", f"worker#{n}", n, n + 9) for n in range(1, count + 1)]


@settings(max_examples=25)
@given(st.lists(rows.lanes, max_size=60), st.lists(rows.delegations, max_size=60), rows.alerts, widths, levels)
def test_every_lane_is_drawn_once_alone_or_in_its_group(lanes, delegations, alert, width, signs) -> None:  # type: ignore[no-untyped-def]
    shown = by_agent(lanes, delegations, signs, Way.of(alert))
    drawn = draw_lanes(shown.lanes, shown.delegations, width, signs, start_ns=0, now_ns=200 * NS, way=shown.way)
    holds(drawn.lines, width)
    if len(lanes) <= MOST_LANES:
        assert shown.lanes is lanes
    hidden = {lane.label for lane in lanes} - {lane.label for lane in shown.lanes}
    assert {lane.agent for lane in lanes if lane.label in hidden} <= set(shown.agents.values())


def test_a_hundred_invocations_of_one_agent_are_one_lane_until_they_are_opened() -> None:
    lanes, edges = crowd(100)
    shown = by_agent(lanes, edges, UNICODE)
    assert [each.label for each in shown.lanes] == ["boss#1", "worker ×100"]
    assert [(each.source, each.target) for each in shown.delegations] == [("boss#1", "worker ×100")]
    assert shown.delegations[0].returned_ns == 109 * NS
    assert len(by_agent(lanes, edges, UNICODE, opened=["worker"]).lanes) == 101


def test_who_is_on_the_path_of_the_alert_stays_out_of_the_group() -> None:
    lanes, edges = crowd(100)
    steps = [PathStep("s", "worker#7", "tool", NS), PathStep("t", "boss#1", "model", 2 * NS, way="answer")]
    alert = msgspec.structs.replace(ALERTS[0], path=steps, affected_agents=["worker#7", "worker#8", "boss#1"])
    shown = by_agent(lanes, edges, UNICODE, Way.of(alert))
    assert [each.label for each in shown.lanes] == ["boss#1", "worker ×99", "worker#7"]
    assert shown.way is not None and shown.way.marks["worker ×99"] == "carried"


def test_a_crowd_of_delegations_hides_nobodys_work() -> None:
    lanes, edges = crowd(100)
    drawn = draw_lanes(lanes, edges, 120, UNICODE, start_ns=0, now_ns=109 * NS)
    giver, *workers = (plain(line) for line in drawn.lines)
    assert "┐" not in giver and giver.count("█") > 90
    assert not any("│" in text for text in workers) and all("▶" in text for text in workers)


def test_two_hops_of_a_path_never_read_as_one_number() -> None:
    lanes = [lane("a", 0, 60, ("model", 0, 30, "ok")), lane("b", 30, 60, ("tool", 30, 60, "ok"))]
    steps = [
        PathStep(str(n), "a" if n == 0 else "b", "x", (29 + n) * NS, way="words" if n == 1 else "") for n in range(4)
    ]
    way = Way.of(msgspec.structs.replace(ALERTS[0], path=steps, affected_agents=["a", "b"]))
    drawn = draw_lanes(lanes, [edge("a", "b", 30, 60)], 49, UNICODE, start_ns=0, now_ns=60 * NS, way=way)
    text = plain(drawn.lines[1])
    assert [text.count(sign) for sign in "123"] == [1, 1, 1]
    assert not any(pair in text for pair in ("12", "23", "13", "21", "32", "31"))


def test_a_legend_that_does_not_fit_leaves_out_whole_words() -> None:
    whole = plain(lanes_legend(UNICODE)).split("  ")
    for width in range(10, 100):
        legend = lanes_legend(UNICODE, width)
        parts = plain(legend).split("  ")
        assert parts == whole[: len(parts)] and (measure(legend) <= width or len(parts) == 1)


class _Crowd(StoryFeed):
    def _answer(self, query: Query) -> View:
        view = super()._answer(query)
        lanes, edges = crowd(100)
        if isinstance(view, TraceView):
            return msgspec.structs.replace(view, lanes=lanes, delegations=edges, alerts=[])
        return view


async def test_enter_on_a_group_of_lanes_draws_them_one_by_one() -> None:
    async with driving(_Crowd(), size=(120, 36)) as driver:
        await driver.press("enter", "1", "j")
        assert "worker ×100" in driver.text and "┃ worker#1 " not in driver.text
        await driver.press("enter")
        await driver.beat()
        assert "worker ×100" not in driver.text and "┃ worker#2 " in driver.text
