"""Every state is told apart without colour, at each level of signs: what is drawn of two states is never the same text."""

from collections.abc import Callable, Mapping, Sequence

import msgspec
import pytest

from tests.tui.story import ALERTS, DELEGATIONS, LANES, NOW_NS, RUNS, START_NS, STEPS
from trajectory.view.rows import Lane, LaneBar
from tui.drawing.alerts import alert_line
from tui.drawing.delegation import change_sign
from tui.drawing.frame import top_edge
from tui.drawing.lanes import draw_lanes
from tui.drawing.line import plain
from tui.drawing.runs import run_line
from tui.drawing.tail import step_line
from tui.drawing.tree import branch_line, branches
from tui.signs import LEVELS, Signs, mark_sign, signs_at

S = 1_000_000_000


def _run(state: str, signs: Signs) -> str:
    return plain(run_line(msgspec.structs.replace(RUNS[0], state=state), 112, 4, signs, NOW_NS))


def _narrow_run(state: str, signs: Signs) -> str:
    return plain(run_line(msgspec.structs.replace(RUNS[0], state=state), 60, 4, signs, NOW_NS))


def _severity(severity: str, signs: Signs) -> str:
    return plain(alert_line(msgspec.structs.replace(ALERTS[0], severity=severity), 60, signs, START_NS))


def _alert(state: str, signs: Signs) -> str:
    return plain(alert_line(msgspec.structs.replace(ALERTS[0], state=state), 60, signs, START_NS))


def _step(status: str, signs: Signs) -> str:
    step = next(step for step in STEPS if step.what == "tool")
    return plain(step_line(msgspec.structs.replace(step, status=status), "", 60, signs))


def _what(what: str, signs: Signs) -> str:
    return plain(step_line(msgspec.structs.replace(STEPS[0], what=what), "", 60, signs))


def _delegation(changes: Mapping[str, str], signs: Signs) -> str:
    row = msgspec.structs.replace(DELEGATIONS[0], **changes)
    return plain(branch_line(branches([row])[1], {}, 60, signs, START_NS))


def _grade(grade_and_mode: str, signs: Signs) -> str:
    grade, mode = grade_and_mode.split()
    return _delegation({"grade": grade, "mode": mode}, signs)


def _sent(state: str, signs: Signs) -> str:
    return _delegation({"state": state}, signs)


def _lane(state: str, signs: Signs) -> str:
    lane = msgspec.structs.replace(LANES[1], state=state)
    return plain(draw_lanes([lane], [], 80, signs, start_ns=START_NS, now_ns=NOW_NS).lines[0])


def _bar(kind_and_status: str, signs: Signs) -> str:
    kind, status = kind_and_status.split()
    bar = LaneBar("b", kind, 2 * S, 6 * S, status)
    return plain(
        draw_lanes([Lane("a", "a", "", "a", "ok", 0, 9 * S, [bar])], [], 60, signs, start_ns=0, now_ns=9 * S).lines[0]
    )


def _change(change: str, signs: Signs) -> str:
    return change_sign(change, signs)[0]


def _mark(mark: str, signs: Signs) -> str:
    return mark_sign(signs, mark)[0]


def _frame(focus: str, signs: Signs) -> str:
    return plain(top_edge("Runs", "", 40, signs, focus == "focused", True))


CASES: dict[str, tuple[Callable[[str, Signs], str], Sequence[str]]] = {
    "runs": (_run, ("live", "done", "failed", "cut_off")),
    "runs where it is narrow": (_narrow_run, ("live", "done", "failed", "cut_off")),
    "severities": (_severity, ("critical", "warning", "info")),
    "alerts": (_alert, ("open", "acknowledged", "muted", "closed")),
    "steps": (_step, ("running", "ok", "error")),
    "kinds of steps": (_what, ("model", "tool", "delegate", "receive", "return", "thought", "error")),
    "delegations": (_sent, ("sent", "received", "returned", "failed", "lost")),
    "grades and modes": (_grade, ("observed call", "inferred call", "observed transfer", "inferred transfer")),
    "agents": (_lane, ("running", "waiting", "ok", "error", "cut_off")),
    "bars": (_bar, ("model ok", "tool ok", "retry ok", "tool error", "other ok")),
    "items that crossed": (_change, ("same", "lost", "added", "altered", "returned", "unsent")),
    "places on a cascade": (_mark, ("", "root", "carried", "answer")),
    "frames": (_frame, ("focused", "")),
}


@pytest.mark.parametrize("level", LEVELS)
def test_no_two_states_are_drawn_alike(level: str) -> None:
    signs = signs_at(level)
    for what, (draw, states) in CASES.items():
        drawn: dict[str, str] = {}
        for state in states:
            text = draw(state, signs)
            assert text not in drawn, f"{what}: {state!r} looks like {drawn.get(text)!r}: {text!r}"
            drawn[text] = state


@pytest.mark.parametrize("level", LEVELS)
def test_signs_that_stand_in_one_place_are_different(level: str) -> None:
    signs = signs_at(level)
    for place in (
        ("running", "ok", "error", "queued", "paused", "cut_off"),
        ("high", "medium", "low"),
        ("root", "carried", "answer", "gate"),
        ("model", "tool", "retry", "gap", "waiting", "error"),
        ("same", "lost", "added", "changed"),
        ("folded", "unfolded"),
        ("call", "transfer", "back"),
        ("frame", "frame_focus"),
        ("lines", "lines_heavy"),
    ):
        assert len({getattr(signs, name) for name in place}) == len(place), place
