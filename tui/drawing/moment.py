"""What was going on in a run at one instant: each agent in a line, who worked, who waited for whom, who was done or yet to come.

    research#2   ▓ fetch_page             00:00.945
    planner#1    · waits for research#2   00:00.351

Invariant: pure, from the lanes and delegations of the view; nothing is said of what is not known. The alert's page draws with it.
"""

from collections.abc import Callable, Iterable

from trajectory.view.rows import DelegationRow, Lane, PathStep
from trajectory.view.text import cells, clean
from trajectory.view.views import TraceView
from tui.drawing.line import Line, put_label, spread
from tui.drawing.numbers import duration
from tui.drawing.page import PageLine
from tui.signs import Signs, mark_sign, state_sign

_KINDS = {"model": "model", "tool": "tool", "retrieval": "tool", "retry": "retry"}
_ORDER = ("works", "waits", "between", "over", "ahead")


def moment_lines(
    view: TraceView, steps: Iterable[PathStep], at_ns: int, width: int, signs: Signs, when: Callable[[int], str]
) -> list[PageLine]:
    """Those who worked first, then those who waited, those who were done, those who had not begun. `steps` give spans names."""
    names = {step.span_id: step.name for step in steps}
    waits = _waits(view.delegations, at_ns)
    label = min(max((cells(clean(lane.label)) for lane in view.lanes), default=4), 20, max(4, width // 3))
    found = []
    for number, lane in enumerate(view.lanes):
        rank, said, since_ns, span_id = _doing(lane, waits.get(lane.label, []), names, at_ns, signs)
        left: Line = [put_label(lane.label, label, "strong" if rank == "works" else ""), (" ", "")]
        left += [mark_sign(signs, lane.mark), (" ", ""), *said]
        end: Line = [(f"{when(since_ns)}", "dim")] if since_ns else []
        line = PageLine(
            f"at {lane.span_id or number}", spread(left, end, width), span_id or lane.span_id, value=lane.label
        )
        found.append((_ORDER.index(rank), number, line))
    return [line for _, _, line in sorted(found, key=lambda each: each[:2])]


def _waits(delegations: Iterable[DelegationRow], at_ns: int) -> dict[str, list[DelegationRow]]:
    """Who waited for whose answer, by who waited."""
    waiting: dict[str, list[DelegationRow]] = {}
    for row in delegations:
        is_open = row.sent_ns <= at_ns and (not row.returned_ns or at_ns < row.returned_ns)
        if is_open and row.mode != "transfer" and row.state != "lost":
            waiting.setdefault(row.source, []).append(row)
    return waiting


def _doing(
    lane: Lane, waits: list[DelegationRow], names: dict[str, str], at_ns: int, signs: Signs
) -> tuple[str, Line, int, str]:
    """How an agent stood: the place in the order, in words, since when, and the span that tells of it."""
    if lane.start_ns > at_ns or not lane.start_ns:
        return "ahead", [("not begun", "dim")], 0, ""
    busy = [bar for bar in lane.bars if bar.start_ns <= at_ns and (not bar.end_ns or at_ns <= bar.end_ns)]
    if busy:
        bar = max(busy, key=lambda each: each.start_ns)
        role = _KINDS.get(bar.kind, "")
        sign = getattr(signs, role) if role else signs.gap
        text: Line = [(f"{sign} ", role), (names.get(bar.span_id) or bar.kind, "strong")]
        return "works", text, bar.start_ns, bar.span_id
    if lane.end_ns and lane.end_ns <= at_ns:
        state = lane.state if lane.state in ("ok", "error", "cut_off") else "ok"
        sign, role = state_sign(signs, state)
        return "over", [(sign, role), (f" done {duration(at_ns - lane.end_ns)} before", "dim")], 0, ""
    if waits:
        whom = ", ".join(dict.fromkeys(row.target for row in waits))
        return (
            "waits",
            [(f"{signs.waiting} ", "waiting"), (f"waits for {whom}", "")],
            waits[0].sent_ns,
            waits[0].span_id,
        )
    before = [bar for bar in lane.bars if bar.end_ns and bar.end_ns < at_ns]
    since_ns = max((bar.end_ns for bar in before), default=lane.start_ns)
    return "between", [(f"{signs.waiting} ", "waiting"), ("between two steps", "dim")], since_ns, ""
