"""What to do, and what was going on: the parts of an alert's page that lead on from it."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tui import rows
from tests.tui.pilots import driving
from tests.tui.story import ALERTS, START_NS, TRACE_ID, StoryFeed, at
from tests.tui.test_drawing import holds, levels
from trajectory.view.views import TraceQuery, TraceView
from tui.drawing.advice import advice, value_name
from tui.drawing.line import plain
from tui.drawing.moment import moment_lines
from tui.drawing.numbers import stamp
from tui.drawing.path import Way
from tui.screens.alert import AlertScreen
from tui.signs import UNICODE

KINDS = [
    "cascade",
    "tool.silent_failure",
    "tool.bad_arguments",
    "tool.blind_retry",
    "context.lost",
    "context.altered",
    "context.invented",
    "context.leaked",
    "context.mixed",
    "context.stale",
    "context.truncated",
    "context.pressure",
    "context.ignored",
    "flow.loop",
    "flow.duplicate",
    "flow.orphan",
    "flow.deadlock",
    "flow.stalled",
    "plan.deviation",
    "goal.drift",
    "anomaly.latency",
    "quality.tone",
    "telemetry.gap",
]


def the_run() -> TraceView:
    view = StoryFeed().pull(TraceQuery(TRACE_ID), -1)
    assert isinstance(view, TraceView)
    return view


def moment(at_s: float) -> dict[str, str]:
    steps = ALERTS[0].path
    lines = moment_lines(the_run(), steps, at(at_s), 60, UNICODE, lambda at_ns: stamp(at_ns - START_NS))
    return {plain(each.line).split()[0]: " ".join(plain(each.line).split()[1:]) for each in lines}


@settings(max_examples=25)
@given(
    st.lists(rows.lanes, max_size=5), st.lists(rows.delegations, max_size=5), rows.times, st.integers(36, 120), levels
)
def test_a_moment_fits_and_has_a_line_for_every_lane(lanes, delegations, at_ns, width, signs) -> None:  # type: ignore[no-untyped-def]
    view = msgspec.structs.replace(the_run(), lanes=lanes, delegations=delegations)
    lines = moment_lines(view, ALERTS[0].path, at_ns, width, signs, lambda _: "00:00.000")
    assert len(lines) == len(lanes)
    holds([line.line for line in lines], width)


def test_a_moment_says_who_worked_who_waited_for_whom_who_was_done_and_who_had_not_begun() -> None:
    then = moment(33.5)
    assert then["research#2"].startswith("◆ ▓ read_cache S3") and "00:33.500" in then["research#2"]
    assert "waits for" in then["planner#1"] and "research#2" in then["planner#1"]
    assert "done" in then["research#1"]
    assert then["reviewer#1"].endswith("not begun")
    assert next(iter(then)) == "research#2"


def test_every_kind_has_a_sentence_on_what_to_do_and_a_cascade_names_its_root_and_its_gate() -> None:
    for kind in KINDS:
        alert = msgspec.structs.replace(ALERTS[0], kind=kind)
        assert advice(alert, Way.of(alert)), kind
    root, gate = advice(ALERTS[0], Way.of(ALERTS[0]))
    lost = msgspec.structs.replace(ALERTS[1], kind="context.lost", summary="planner ⇢ research  lost FY25")
    with_lost = msgspec.structs.replace(ALERTS[0], related=[lost.key])
    *_, handed = advice(with_lost, Way.of(with_lost), [lost])
    assert lost.alert_id in handed and "lost FY25" in handed
    alone = msgspec.structs.replace(ALERTS[0], path=ALERTS[0].path[:1])
    assert len(advice(alone, Way.of(alone))) == 1, "nothing crossed, so there is nowhere to stop it"
    assert "read_cache S3, research#2" in root and "research#2" in gate
    assert value_name("context.pressure") == "" and value_name("unheard of") == "value"
    assert advice(msgspec.structs.replace(ALERTS[0], kind="unheard of"), None) == []


async def test_the_arrows_walk_the_path_and_the_moment_follows() -> None:
    async with driving(size=(120, 36)) as driver:
        await driver.press("enter", "a", "enter")
        screen = driver.app.screen
        assert isinstance(screen, AlertScreen) and screen.moment.title == "At 00:33.500"
        seen = [screen.path.line.span_id if screen.path.line else ""]
        for _ in ALERTS[0].path[1:]:
            await driver.press("right")
            seen.append(screen.path.line.span_id if screen.path.line else "")
        assert seen == [step.span_id for step in ALERTS[0].path]
        assert screen.moment.title == f"At {stamp(ALERTS[0].path[-1].at_ns - START_NS)}"
        await driver.press("right")
        assert "this is where it ended" in driver.text
        await driver.press("left", "left")
        assert screen.path.line is not None and screen.path.line.span_id == seen[-3]
