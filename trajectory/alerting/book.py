"""Incidents as rows that people read: out of a state, or made for the asking.

Invariant: reads only, and what it gives is bounded by the question. Called by `trajectory alerts` and by a collector that is
asked over the wire.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from trajectory.alerting.incidents import Incident
from trajectory.alerting.message import message_of
from trajectory.alerting.outbox import Standing, dead_letters, standings, told_of
from trajectory.alerting.policy import rank_of
from trajectory.alerting.state import incidents_in, read_state
from trajectory.view.incident_rows import ChannelRow, IncidentRow
from trajectory.view.rows import Health
from trajectory.view.views import AlertsQuery, AlertsView

_MAX_PLACES = 20


def kept_alerts(
    path: Path, query: AlertsQuery, now_ns: int, health: Health, version: int = 0, most: int = -1
) -> AlertsView | None:
    """What the state at a path knows, of its newest `most` looked at; None where there is none. Raises StoreError."""
    state = read_state(path)
    if state is None:
        return None
    try:
        every = [
            one
            for is_closed in (False, True)
            for one in incidents_in(state, closed=is_closed, beginning=query.id, most=most)
        ]
        view = alerts_view(every, query, now_ns, health, standings(state), version)
        dead: dict[str, list[tuple[str, str]]] = {}
        for channel, key, _, why in dead_letters(state):
            dead.setdefault(key, []).append((channel, why))

        def with_told(row: IncidentRow) -> IncidentRow:
            return msgspec.structs.replace(row, told=told_of(state, row.id), untold=dead.get(row.id, []))

        return msgspec.structs.replace(
            view, open=[with_told(row) for row in view.open], closed=[*map(with_told, view.closed)]
        )
    finally:
        state.close()


def alerts_view(
    every: Iterable[Incident],
    query: AlertsQuery,
    now_ns: int,
    health: Health,
    channels: Sequence[Standing] = (),
    version: int = 0,
    *,
    is_kept: bool = True,
) -> AlertsView:
    """The answer to a question about incidents, whose channels are not known."""
    asked = [one for one in every if one.id.startswith(query.id) and one.state != "pending"]
    opened = sorted(
        (one for one in asked if one.state != "closed"),
        key=lambda one: (rank_of(one.severity), one.last_ns),
        reverse=True,
    )
    closed = sorted((one for one in asked if one.state == "closed"), key=lambda one: one.closed_ns, reverse=True)
    return AlertsView(
        version=version,
        health=health,
        open=[row_of(one, now_ns) for one in opened[: max(query.limit, 0)]],
        closed=[row_of(one, now_ns) for one in closed[: max(query.closed, 0)]],
        channels=[ChannelRow(c.name, c.sent, c.waiting, c.dead, c.trouble, c.failures) for c in channels],
        total=len(opened),
        closed_total=len(closed),
        is_kept=is_kept,
    )


def row_of(one: Incident, now_ns: int) -> IncidentRow:
    """An incident as a row."""
    said = message_of(one, "open")
    return IncidentRow(
        one.id, one.shown_state(now_ns), said.severity, said.kind, said.title, said.text, said.link, said.agent,
        said.peer_agent, said.service, said.rule, one.count, one.trace_count, one.trace_id, one.opened_ns, one.last_ns,
        one.closed_ns, one.muted_until_ns, one.places[-_MAX_PLACES:],
    )  # fmt: skip
