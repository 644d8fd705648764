"""Draws alerts: one a line, by shape of severity, then what, where, how sure and whether somebody has it in hand."""

from collections.abc import Sequence

from trajectory.view.rows import AlertRow
from trajectory.view.text import cells, clean
from tui.drawing.line import Line, put, spread
from tui.drawing.numbers import instant
from tui.signs import Signs, severity_sign

_STATES = {"acknowledged": "ack", "closed": "over"}


def state_of(row: AlertRow) -> str:
    """How it stands: by what was said of it here, else of its incident, where alerts are told."""
    return row.incident if row.state == "open" and row.incident in ("acknowledged", "muted", "closed") else row.state


def kind_width(rows: Sequence[AlertRow], width: int) -> int:
    """How many cells the column of kinds takes: as many as the longest needs, up to a quarter of the line."""
    return max(7, min(max((cells(clean(row.kind)) for row in rows), default=0), max(14, width // 4)))


def alert_line(
    row: AlertRow, width: int, signs: Signs, start_ns: int, *, run_ns: int = 0, kinds: int | None = None
) -> Line:
    """One alert in exactly `width` cells; one that is muted or acknowledged is dim. `kinds` is the width of their column."""
    sign, role = severity_sign(signs, row.severity)
    said_of = state_of(row)
    is_open = said_of == "open"
    role = role if is_open else "dim"
    line: Line = [
        (sign, role),
        (" ", ""),
        put(row.alert_id, 3 if len(row.alert_id) < 4 else len(row.alert_id), "strong"),
    ]
    if width >= 100:
        when = instant(row.opened_ns - start_ns, run_ns)
        line += [put(when, max(6, len(when) + 1), "dim"), (" ", "")]
    line += [
        put(row.kind, kind_width([row], width) if kinds is None else kinds, role),
        ("  ", ""),
        (_said(row, signs), "" if is_open else "dim"),
    ]
    if row.count > 1:
        line.append((f" {signs.times}{row.count}", "dim"))
    state = _STATES.get(said_of, said_of)
    return spread(
        line, [(f"{row.confidence:.2f} ", "dim"), put(state, max(5, len(state)), "" if is_open else "dim")], width
    )


def preview_line(row: AlertRow, width: int, signs: Signs) -> Line:
    """One alert below a run: sign, id, kind and summary."""
    sign, role = severity_sign(signs, row.severity)
    kind = put(row.kind, 20 if width > 76 else 14, "")
    return spread(
        [(sign, role), (" ", ""), (row.alert_id, "strong"), (" ", ""), kind, (" ", ""), (_said(row, signs), "")],
        [],
        width,
    )


def _said(row: AlertRow, signs: Signs) -> str:
    """An alert's line with the signs of this level in place of the collector's."""
    return (row.summary or row.message).replace("▸", signs.crumb).replace("⇢", signs.call)


def alert_counts(critical: int, warnings: int, infos: int, signs: Signs) -> Line:
    """`▲2 △1`, or a dot where there is nothing to see."""
    line: Line = []
    for count, severity in ((critical, "critical"), (warnings, "warning"), (infos, "info")):
        if count:
            sign, role = severity_sign(signs, severity)
            line += [(" ", "")] if line else []
            line.append((f"{sign}{count}", role))
    return line or [(signs.dot, "dim")]


def alerts_title(rows: Sequence[AlertRow], signs: Signs) -> str:
    """`2 open · 1 ack · 1 muted`, without what there is none of."""
    counts = [("open", "open"), ("acknowledged", "ack"), ("muted", "muted"), ("closed", "over")]
    parts = [f"{count} {word}" for state, word in counts if (count := sum(row.state == state for row in rows))]
    return f" {signs.dot} ".join(parts) or "none"
