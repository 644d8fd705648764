"""From a row under a cursor to the link that leads back to it.

Invariant: pure, and None rather than a link that does not parse: ids of rows come from elsewhere. The screens call it.
"""

from typing import Any

from trajectory.errors import ConfigError
from trajectory.view.link import Link, alert_mark
from trajectory.view.plotted import Plotted
from trajectory.view.rows import AlertRow, DelegationRow, Lane, LaneAt, TraceRow
from trajectory.view.views import DelegationView, SpanView

_BEGINNINGS = ("at_ns", "start_ns", "sent_ns")


def link_to(row: object, trace_id: str, started_ns: int, view: str) -> Link | None:
    """The link to a row of a run that began at `started_ns` (0: not known); to the run where the row has no place in it."""
    if isinstance(row, TraceRow):
        return _parsing(row.trace_id)
    if isinstance(row, AlertRow):
        return _parsing(trace_id or row.trace_id, alert=alert_mark(row.key))
    span_id = str(getattr(row, "span_id", ""))
    if not span_id:
        return _parsing(trace_id, view=view)
    begins = [at for name in _BEGINNINGS if isinstance(at := getattr(row, name, None), int)]
    at_ns = begins[0] - started_ns if begins and started_ns and begins[0] >= started_ns else None
    return _parsing(trace_id, span=span_id, at_ns=at_ns, view=view)


def _parsing(trace_id: str, **place: Any) -> Link | None:
    try:
        return Link(trace_id, **place)
    except ConfigError:
        return None


def link_to_delegation(trace_id: str, delegation_id: str) -> Link | None:
    """The link to a delegation's page."""
    return _parsing(trace_id, delegation=delegation_id)


def link_to_agent(trace_id: str, span_id: str) -> Link | None:
    """The link to an agent's page, by the span of its lane."""
    return _parsing(trace_id, agent=span_id)


def agent_of(row: object) -> str:
    """The agent that a row tells of, by the span of its lane or its label; of a hand-over the one that got the work."""
    if isinstance(row, LaneAt):
        return row.lane.span_id
    if isinstance(row, Lane):
        return row.span_id
    if isinstance(row, DelegationRow):
        return row.target_span_id or row.target
    if isinstance(row, AlertRow):
        return next((step.label for step in row.path), row.agent)
    if isinstance(row, SpanView | DelegationView):
        return agent_of(row.row)
    return next((text for name in ("label", "agent") if (text := str(getattr(row, name, "")))), "")


def link_to_instant(trace_id: str, at_ns: int) -> Link | None:
    """The link to a run's replay at an instant since its start."""
    return _parsing(trace_id, at_ns=at_ns, view="replay")


def link_to_signals(trace_id: str, plotted: Plotted | None = None) -> Link | None:
    """The link to the signals of a run, or of all of them (`EVERY_TRACE`), and to what is plotted there."""
    return _parsing(trace_id, view="signals", plotted=plotted)


def is_alert(wanted: str, key: str, alert_id: str) -> bool:
    """Whether a link's word for an alert means the one of this key and number."""
    return wanted in (alert_id, alert_mark(key))
