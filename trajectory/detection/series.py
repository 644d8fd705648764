"""Which series a finding is about, where it is about one: an anomaly is of a model's calls, a tool's, an agent's.

Invariant: pure, and nothing where a finding does not say. The sums, alerts and rows of alerts read it.
"""

from trajectory.model.fact import Finding
from trajectory.model.words import SpanKind


def series_of(finding: Finding) -> tuple[str, str]:
    """The kind of work (model, tool, agent, delegation), and of which model, tool or agent it is; else nothing."""
    of = finding.attributes.get("of")
    if not isinstance(of, str) or "metric" not in finding.attributes:
        return "", ""
    return of, finding.agent if of == SpanKind.AGENT else finding.value
