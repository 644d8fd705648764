"""Draws what just happened: one step of one agent a line. Used by the cockpit's tail."""

from trajectory.view.rows import StepRow
from tui.drawing.line import Line, measure, put, put_label, spread
from tui.drawing.numbers import coarse, duration
from tui.signs import Signs, mark_sign, state_sign

_WHAT_ROLES = {"model": "model", "tool": "tool", "retrieval": "tool", "delegate": "delegation", "receive": "delegation"}
_WHAT_SIGNS = {"delegate": "call", "receive": "receive", "return": "back"}


def step_line(row: StepRow, when: str, width: int, signs: Signs) -> Line:
    """When, who, what, how it went and what was said; duration and tokens where there is room."""
    wide = width >= 100
    role = _WHAT_ROLES.get(row.what, "delegation" if row.what == "return" else "")
    label_width = 12 if wide else 11
    line: Line = [(when, "dim"), ("  " if wide else " ", ""), put_label(row.label, label_width, "strong"), (" ", "")]
    line += [put(row.what, 9 if wide else 8, role), (" ", ""), *_sign(row, signs), (" ", "")]
    line.append((row.text, "error" if row.status == "error" or row.what == "error" else ""))
    return spread(line, _end(row, wide), width)


def _sign(row: StepRow, signs: Signs) -> Line:
    """Two cells: its place on a cascade, then how it went or which way it went."""
    mark = mark_sign(signs, row.mark)
    if row.status == "error" or row.what == "error":
        return [mark, (signs.error, "error")]
    if row.what in _WHAT_SIGNS:
        return [mark, (getattr(signs, _WHAT_SIGNS[row.what]), "delegation")]
    return [mark, state_sign(signs, row.status) if row.status else (" ", "")]


def _end(row: StepRow, wide: bool) -> Line:
    took = duration(row.duration_ns) if row.duration_ns else ""
    if not wide:
        return [(took, "dim")] if took else []
    tokens = f"{coarse(row.tokens)} tok" if row.tokens else ""
    end: Line = [put(took, 8, "dim", right=True), put(tokens, 10, "dim", right=True)]
    return end if measure(end) and (took or tokens) else []
