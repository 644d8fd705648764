"""Findings among figures: which series an anomaly is about, which is the gravest, and those of one window in words.

Invariant: pure; a finding that names no series is about none. The signals' screen draws with it.
"""

from collections.abc import Collection, Sequence

from trajectory.view.signal_rows import SignalMark, SignalSeries
from tui.drawing.line import Line
from tui.signs import Signs, severity_sign

_GRAVER = ("info", "warning", "critical")


def is_about(mark: SignalMark, series: SignalSeries, by: str) -> bool:
    """Whether an anomaly is about a series of a table by agent, model, tool, edge, service or version."""
    if not mark.of or mark.of != series.kind:
        return False
    if by in ("model", "tool"):
        return series.name == mark.name
    if by == "agent":
        return series.name == (mark.name if mark.of == "agent" else mark.agent)
    if by == "edge":
        return series.name == f"{mark.agent} → {mark.name}"
    if by == "service":
        return series.name == mark.service
    return bool(mark.service) and series.name.startswith(f"{mark.service} ")


def rank(mark: SignalMark) -> int:
    """How grave it is."""
    return _GRAVER.index(mark.severity) if mark.severity in _GRAVER else -1


def gravest(marks: Sequence[SignalMark]) -> SignalMark | None:
    """The gravest, the latest of several."""
    return max(marks, key=lambda mark: (rank(mark), mark.at_ns), default=None)


def state_bit(state: str, signs: Signs) -> str:
    """How an incident stands, with its sign; nothing of one that is open."""
    sign = {"closed": signs.ok, "muted": signs.paused, "acknowledged": signs.same}.get(state)
    return f"{sign} {state}" if sign else ""


def marks_line(marks: Sequence[SignalMark], signs: Signs, about: Collection[int] = ()) -> Line:
    """The findings of one window, in words; `about` are those (by identity) that are about what is plotted."""
    line: Line = []
    for mark in marks:
        sign, role = severity_sign(signs, mark.severity)
        is_other = bool(mark.of) and id(mark) not in about
        whose = f" of {mark.name or mark.agent}" if is_other else ""
        times = f" {signs.times}{mark.count}" if mark.count > 1 else ""
        state = state_bit(mark.state, signs)
        line += [
            (f"{sign} ", "dim" if is_other else role),
            (f"{mark.kind}{whose}", "dim" if is_other or state else role),
            (f"{times}{' ' if state else ''}{state}   ", "dim"),
        ]
    return line
