"""The story as it stood at an instant, for goldens and walks: its rows, without what came later."""

from msgspec.structs import replace

from trajectory.view.rows import AlertAt, HeldCell, HeldRow, KnownRow, Lane, LaneAt, TickRow
from trajectory.view.views import InstantQuery, InstantView, TraceView


def instant_view(whole: TraceView, query: InstantQuery) -> InstantView:
    """What a collector would answer of a run that is told by these rows."""
    start_ns, end_ns = whole.trace.started_ns, whole.trace.ended_ns
    at_ns = max(start_ns, min(query.at_ns or end_ns, end_ns))
    sent = [d for d in whole.delegations if d.sent_ns <= at_ns]
    handed = [replace(d, returned_ns=d.returned_ns if d.returned_ns <= at_ns else 0) for d in sent]
    waits = {d.source: [o.target for o in handed if o.source == d.source and not o.returned_ns] for d in handed}
    lanes = [_lane(lane, waits.get(lane.label, []), at_ns) for lane in whole.lanes]
    alerts = [a for a in whole.alerts if a.opened_ns <= at_ns]
    begun = [step for step in whole.tail if step.at_ns <= at_ns]
    tail = [s if s.at_ns + s.duration_ns <= at_ns else replace(s, status="running", duration_ns=0) for s in begun]
    times = sorted({s.at_ns for s in whole.tail} | {b.start_ns for lane in whole.lanes for b in lane.bars})
    shown = next((each.lane.label for each in lanes if each.lane.span_id == query.lane), "")
    heard = [KnownRow("tool", s.text, s.at_ns, s.span_id) for s in tail if s.label == shown]
    task = [KnownRow("task", f"what {shown} was asked", start_ns, query.lane)] if shown else []
    open_ = [s for s in tail if s.status == "running"]
    ticks = [TickRow(d.sent_ns, "delegation", d.target, d.span_id) for d in whole.delegations]
    ticks += [TickRow(s.at_ns, "error", s.text, s.span_id) for s in whole.tail if s.status == "error"]
    ticks += [TickRow(a.opened_ns, "alert", a.alert_id, a.span_id, a.severity) for a in whole.alerts]
    return InstantView(
        version=whole.version,
        health=whole.health,
        whole=whole.trace,
        trace=replace(whole.trace, steps=len(tail), errors=0, critical=len(alerts), warnings=0, infos=0),
        at_ns=at_ns,
        start_ns=start_ns,
        end_ns=end_ns,
        lanes=lanes,
        delegations=handed,
        alerts=[
            AlertAt(a.key, a.alert_id, a.severity, a.kind, a.state, a.summary, a.agent, a.span_id, a.opened_ns, end_ns)
            for a in alerts
        ],
        tail=tail[-query.tail :],
        open=open_,
        open_count=len(open_),
        known_of=shown,
        known=[*task, *heard],
        known_count=len(task) + len(heard),
        ticks=sorted(ticks, key=lambda tick: tick.at_ns),
        before=[t for t in times if t < at_ns],
        after=[t for t in times if t > at_ns],
        held=_held(lanes),
        held_total=len(_held(lanes)),
    )


_ITEMS: tuple[tuple[str, str, bool, dict[str, tuple[str, str]]], ...] = (
    ("fiscal year FY25", "constraint", True, {"research#2": ("lost", "")}),
    ("EUR", "constraint", True, {"research#2": ("lost", "")}),
    ("17:00", "time", True, {"research#2": ("differs", "15:00")}),
    ("Q3", "period", True, {}),
    ("https://press.example/P1", "url", False, {}),
)


def _held(lanes: list[LaneAt]) -> list[HeldRow]:
    """The items of the story against the agents that had begun."""
    begun = [(n, each.lane.label) for n, each in enumerate(lanes) if each.lane.state != "ahead"]
    return [
        HeldRow(text, kind, needed, [HeldCell(n, *known.get(label, ("held", ""))) for n, label in begun])
        for text, kind, needed, known in _ITEMS
    ]


def _lane(lane: Lane, waits_for: list[str], at_ns: int) -> LaneAt:
    if lane.start_ns > at_ns:
        return LaneAt(replace(lane, state="ahead", bars=[], mark="", note="", end_ns=0))
    is_over = 0 < lane.end_ns <= at_ns
    bars = [replace(b, end_ns=b.end_ns if b.end_ns <= at_ns else 0) for b in lane.bars if b.start_ns <= at_ns]
    state = lane.state if is_over else "waiting" if waits_for else "running"
    then = replace(lane, state=state, bars=bars, note="", end_ns=lane.end_ns if is_over else 0)
    doing = next((bar for bar in reversed(bars) if not bar.end_ns), None)
    if is_over or doing is None:
        return LaneAt(then, waits_for=[] if is_over else waits_for)
    return LaneAt(then, f"{doing.kind} {doing.span_id}", doing.kind, doing.span_id, doing.start_ns, waits_for)
