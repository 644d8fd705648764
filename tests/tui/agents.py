"""One agent's trajectory of the story, for goldens and walks: made from its spans and hand-overs as a collector would."""

from trajectory.view.agent_rows import AgentFacts, AgentMessage, AgentStep, UsualRow
from trajectory.view.query import parse
from trajectory.view.rows import AlertRow, DelegationRow, SpanRow
from trajectory.view.views import AgentQuery, AgentView, TraceView

_USUAL = [
    UsualRow("retries", 4, 0, 1, "", True),
    UsualRow("context", 18_200, 9_000, 20_000, "tokens"),
    UsualRow("duration", 27_600_000_000, 4_000_000_000, 12_000_000_000, "ns", True),
    UsualRow("tools", 3, 3, 3),
]


def agent_view(whole: TraceView, query: AgentQuery) -> AgentView | None:
    """What a collector would answer of a run that is told by these rows; None where it has no such agent."""
    names = [(lane.span_id, lane.label, lane.agent) for lane in whole.lanes]
    place = next((n for n, each in enumerate(names) if query.agent in each), -1)
    if place < 0:
        return None
    lane = whole.lanes[place]
    spans = [s for s in whole.spans if s.label == lane.label and s.kind in ("model", "tool")]
    given = [d for d in whole.delegations if d.target == lane.label][:1]
    gave = [d for d in whole.delegations if d.source == lane.label]
    alerts = [a for a in whole.alerts if lane.label in (a.agent, a.peer_agent)]
    steps = sorted(_steps(lane.end_ns, spans, given, gave, alerts), key=lambda step: step.at_ns)
    keep = parse(query.filter, start_ns=whole.trace.started_ns)
    steps = [step for step in steps if keep(step, whole.trace.ended_ns)]
    rows = steps if query.each or query.filter else _folded(steps)
    at = next((n for n, row in enumerate(rows) if query.around and row.span_id == query.around), query.offset)
    offset = max(0, min(at, len(rows) - query.limit))
    window = rows[offset : offset + query.limit]
    return AgentView(
        version=whole.version,
        health=whole.health,
        trace=whole.trace,
        facts=AgentFacts(
            lane.label, lane.agent, lane.service, lane.span_id, lane.state, lane.mark, lane.start_ns, lane.end_ns,
            ["gpt-x"], 31, lane.errors, sum(s.is_retry for s in spans), 24_100, 6700, 7400, 12,
            [900, 4000, 8000, 9100, 14_000, 18_200], 18_200, 32_000, 900_000_000, 5_600_000_000, 3, 0.09,
        ),
        number=place + 1,
        total=len(names),
        given=given,
        gave=gave,
        gave_total=len(gave),
        arrived=(5, 7) if lane.note else None,
        steps=window,
        offset=offset,
        rows_total=len(rows),
        folded=len(steps) - len(rows),
        failed=[(n, row.key) for n, row in enumerate(rows) if row.status == "error"],
        messages=[message for row in window if (message := _message(row, query.raw)) is not None],
        alerts=alerts,
        usual=_USUAL if lane.note else [],
        usual_of=20 if lane.note else 0,
        previous_id=names[place - 1][0] if place else "",
        next_id=names[place + 1][0] if place + 1 < len(names) else "",
    )  # fmt: skip


def _steps(
    end_ns: int, spans: list[SpanRow], given: list[DelegationRow], gave: list[DelegationRow], alerts: list[AlertRow]
) -> list[AgentStep]:
    found = {a.root_span_id or a.span_id: [(a.severity, a.alert_id)] for a in alerts}
    steps = [
        AgentStep(
            f"{s.kind} {s.span_id}", s.start_ns, "retry" if s.is_retry else s.kind, s.name, s.status, s.text, s.span_id,
            s.end_ns - s.start_ns if s.end_ns else 0, s.tokens, s.mark, found=found.get(s.span_id, []),
        )
        for s in spans
    ]  # fmt: skip
    for d in given:
        task = "Find Q3 revenue for EU and US. Cite sources."
        key, own = d.delegation_id, found.get(d.span_id, [])
        steps.append(
            AgentStep(
                f"receive {key}", d.sent_ns, "receive", d.source, "", task, d.span_id, delegation_id=key, found=own
            )
        )
        if end_ns:
            said = "EU 38.9M (S3), US 71.2M (S1)."
            steps.append(
                AgentStep(f"return {key}", end_ns, "return", d.source, "ok", said, d.span_id, delegation_id=key)
            )
    for d in gave:
        key = d.delegation_id
        steps.append(
            AgentStep(f"delegate {key}", d.sent_ns, "delegate", d.target, "", d.task, d.span_id, delegation_id=key)
        )
    return steps


def _folded(steps: list[AgentStep]) -> list[AgentStep]:
    """The retries of a call that failed alike, as one."""
    retried = [step for step in steps if step.what == "retry" and step.status == "error"]
    if len(retried) < 2:
        return steps
    took_ns = sum(step.duration_ns for step in retried)
    first = retried[0]
    one = AgentStep(
        first.key,
        first.at_ns,
        first.what,
        first.name,
        first.status,
        first.text,
        first.span_id,
        took_ns,
        0,
        "",
        len(retried),
    )
    return [one if step is first else step for step in steps if step is first or step not in retried]


_WHO = {"receive": "task", "delegate": "asked", "return": "gave", "retry": "tool"}


def _message(row: AgentStep, raw: bool) -> AgentMessage | None:
    text = f'{{"text": "{row.text}"}}' if raw else row.text
    name = "" if row.what == "model" else row.name
    if not row.text:
        return None
    return AgentMessage(
        row.key, row.at_ns, _WHO.get(row.what, row.what), name, text, row.span_id, row.key, row.status == "error",
        mark=row.mark, found=row.found,
    )  # fmt: skip
