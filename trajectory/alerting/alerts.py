"""Findings of a trace as alerts: one for each thing that went wrong, however many findings tell of it.

Invariant: pure and stable. The same findings and marks, told in the same order, give the same alerts with the same ids; an alert
keeps its number while it grows, and whatever is found after it, however early that began. Called wherever alerts are shown or
counted.
"""

from trajectory.graph.trace import Trace
from trajectory.model.fact import Finding, Marked
from trajectory.model.words import ENDED_AT, Severity
from trajectory.view.muting import key_of_agent, key_of_kind
from trajectory.view.text import clean

_STATE_AFTER = {"acknowledge": "acknowledged", "mute": "muted", "reopen": "open"}


class Alert:
    """One alert: the findings of one kind that began at one span. `findings` are by severity, then confidence."""

    __slots__ = ("alert_id", "findings", "key", "mark", "opened_ns", "state")

    def __init__(self, key: str) -> None:
        self.key = key
        self.alert_id = ""
        self.state = "open"
        self.opened_ns = 0
        self.findings: list[Finding] = []
        self.mark: Marked | None = None  # what its state comes from

    @property
    def chief(self) -> Finding:
        """The finding that stands for all."""
        return self.findings[0]

    @property
    def severity(self) -> str:
        return self.chief.severity

    @property
    def values(self) -> list[str]:
        """What the findings name, each once."""
        return list(dict.fromkeys(f.value for f in self.findings if f.value))


def alert_key(finding: Finding) -> str:
    """What the findings of one alert share: the kind and the span at which it is anchored."""
    anchor = finding.root_span_id or finding.span_id
    return f"{finding.kind}:{anchor.hex()}"


def is_over(finding: Finding) -> bool:
    """Whether a finding tells of something that lasted and has ended."""
    return bool(finding.attributes.get(ENDED_AT))


def alerts_of(trace: Trace, now_ns: int = 0) -> list[Alert]:
    """The alerts of a trace in order of opening, numbered A1, A2, ... as found, with the marks that count at an instant."""
    alerts: dict[str, Alert] = {}
    for key, finding in trace.findings.items():
        alert = alerts.setdefault(alert_key(finding), Alert(alert_key(finding)))
        alert.findings.append(finding)
        seen_ns = finding.at_ns or trace.found_at_ns.get(key, 0)
        alert.opened_ns = min(alert.opened_ns, seen_ns) if alert.opened_ns else seen_ns
    for number, alert in enumerate(alerts.values(), 1):
        alert.alert_id = f"A{number}"
        alert.findings.sort(key=lambda f: (-_rank(f), -f.confidence, f.key))
        alert.mark = _mark_on(alert, trace, now_ns)
        if alert.mark is not None:
            alert.state = _STATE_AFTER.get(alert.mark.action, "open")
        if all(map(is_over, alert.findings)):
            alert.state = "closed"
    return sorted(alerts.values(), key=lambda a: (a.opened_ns, a.key))


def _mark_on(alert: Alert, trace: Trace, now_ns: int) -> Marked | None:
    """The latest mark of those on an alert, on all of its kind, and on those of its kind for its agent."""
    kind, agent = clean(alert.chief.kind), clean(alert.chief.agent)
    keys = (alert.key, key_of_kind(kind), key_of_agent(kind, agent))
    marks = [mark for key in keys if (mark := trace.marks.get(key)) and (not mark.until_ns or now_ns < mark.until_ns)]
    return max(marks, key=lambda mark: mark.at_ns, default=None)


def _rank(finding: Finding) -> int:
    return Severity(finding.severity).rank if finding.severity in tuple(Severity) else 0
