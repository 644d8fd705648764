"""Findings of a trace as alerts: one for each thing that went wrong, however many findings tell of it.

Invariant: pure and stable. The same findings and marks give the same alerts with the same ids, so an alert keeps its
number while it grows. Called wherever alerts are shown or counted.
"""

from trajectory.graph.trace import Trace
from trajectory.model.fact import Finding
from trajectory.model.words import Severity

_STATE_AFTER = {"acknowledge": "acknowledged", "mute": "muted", "reopen": "open"}


class Alert:
    """One alert: the findings of one kind that began at one span. `findings` are by severity, then confidence."""

    __slots__ = ("alert_id", "findings", "key", "opened_ns", "state")

    def __init__(self, key: str) -> None:
        self.key = key
        self.alert_id = ""
        self.state = "open"
        self.opened_ns = 0
        self.findings: list[Finding] = []

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


def alerts_of(trace: Trace) -> list[Alert]:
    """The alerts of a trace in order of opening, numbered A1, A2, ..."""
    alerts: dict[str, Alert] = {}
    for key, finding in trace.findings.items():
        alert = alerts.setdefault(alert_key(finding), Alert(alert_key(finding)))
        alert.findings.append(finding)
        seen_ns = finding.at_ns or trace.found_at_ns.get(key, 0)
        alert.opened_ns = min(alert.opened_ns, seen_ns) if alert.opened_ns else seen_ns
    ordered = sorted(alerts.values(), key=lambda a: (a.opened_ns, a.key))
    for number, alert in enumerate(ordered, 1):
        alert.alert_id = f"A{number}"
        alert.findings.sort(key=lambda f: (-_rank(f), -f.confidence, f.key))
        mark = trace.marks.get(alert.key)
        if mark is not None:
            alert.state = _STATE_AFTER.get(mark.action, "open")
    return ordered


def _rank(finding: Finding) -> int:
    return Severity(finding.severity).rank if finding.severity in tuple(Severity) else 0
