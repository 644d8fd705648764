"""Draws how a run stood at an instant: what each agent was doing, what one knew, which alerts were about something by then.

Invariant: each line is exactly as wide as asked for, and what was only known later says so. Rows in, lines out; the replay's
screen draws with it.
"""

from trajectory.view.rows import AlertAt, KnownRow, LaneAt
from trajectory.view.views import InstantView
from tui.drawing.alerts import alert_counts
from tui.drawing.line import Line, cut, joined, put, spread
from tui.drawing.numbers import coarse, duration, grouped, many, scaled
from tui.signs import Signs, severity_sign

_KINDS = {"model": "model", "tool": "tool", "retrieval": "tool", "retry": "retry"}
_ENDS = {"ok": "done", "error": "failed", "cut_off": "cut off", "ahead": "not started"}
_WHOSE = {
    "user": "strong",
    "task": "strong",
    "assistant": "model",
    "tool": "tool",
    "lost": "error",
    "altered": "warning",
}


def doing_line(row: LaneAt, at_ns: int, width: int, signs: Signs) -> Line:
    """What an agent was doing, for how long, or whom it waited for, in exactly `width` cells."""
    lane = row.lane
    if lane.state in _ENDS:
        return cut([(_ENDS[lane.state], "error" if lane.state == "error" else "dim")], width)
    if row.waits_for:
        who = ", ".join(row.waits_for[:3]) + (f" +{len(row.waits_for) - 3}" if len(row.waits_for) > 3 else "")
        return cut([("waits for ", "dim"), (who, "delegation")], width)
    if not row.doing:
        return cut([("between steps", "dim")], width)
    role = _KINDS.get(row.doing_kind, "delegation" if row.doing_kind == "delegation" else "dim")
    sign = getattr(signs, {"model": "model", "tool": "tool", "delegation": "call"}.get(row.doing_kind, "gap"))
    took_ns = at_ns - row.doing_ns
    took: Line = [(duration(took_ns), "running")] if width > 16 and took_ns >= 1_000_000 else []
    return spread([(f"{sign} ", role), (row.doing, "")], took, width)


def known_line(row: KnownRow, width: int, signs: Signs) -> Line:
    """One thing that an agent had in view: whose words it is, and what it says."""
    role = _WHOSE.get(row.what, "dim")
    what = {"lost": f"{signs.error} lost", "altered": f"{signs.medium} changed"}.get(row.what, row.what)
    return cut([put(what, 10, role), (" ", ""), (row.text, role if row.what in ("lost", "altered") else "")], width)


def alert_at_line(row: AlertAt, at_ns: int, when: str, width: int, signs: Signs) -> Line:
    """An alert by what it is about; at the right, how much later it was found, where it was not found by then."""
    sign, role = severity_sign(signs, row.severity)
    role = role if row.state == "open" else "dim"
    said = row.summary.replace("▸", signs.crumb).replace("⇢", signs.call)
    line: Line = [(sign, role), (" ", ""), put(row.alert_id, max(3, len(row.alert_id[:6])), "strong"), (" ", "")]
    line += [(f"{when} ", "dim")] if width >= 60 else []
    line += [(row.kind, role), ("  ", ""), (said, "")]
    late_ns = row.known_ns - at_ns
    return spread(line, [(f"known {duration(late_ns)} later", "warning")] if late_ns > 0 else [], width)


def instant_summary(
    view: InstantView, goal_ns: int, end_ns: int, speed: float, is_playing: bool, when: str, width: int, signs: Signs
) -> Line:
    """Where one is, how fast it plays, and what was counted by then; at the right how far the end is."""
    wide, row = width >= 100, view.trace
    pace: Line = [
        (f" {signs.arrow if is_playing else signs.paused} ", "running" if is_playing else "warning"),
        (f"{signs.times}{speed:g}  ", "dim"),
        (when, "strong"),
    ]
    begun = sum(each.lane.state != "ahead" for each in view.lanes)
    tokens = row.input_tokens + row.output_tokens
    steps = f"step {grouped(row.steps)} of {grouped(view.whole.steps)}"
    parts: list[Line] = [
        pace,
        [(steps if wide else f"{row.steps}/{view.whole.steps} steps", "")],
        [(f"{begun} of {many(len(view.lanes), 'lane')}", "")] if wide else [],
        [(f"{view.open_count} open", "")],
        [(many(row.errors, "error") if wide else f"{row.errors} err", "error" if row.errors else "dim")],
        [(f"{scaled(tokens)} tokens" if wide else f"{coarse(tokens)} tok", "")],
        alert_counts(row.critical, row.warnings, row.infos, signs) if view.alerts else [],
    ]
    ahead_ns = end_ns - goal_ns
    word = "live" if view.whole.state == "live" else "the end"
    right: Line = [(f"{word} is {duration(ahead_ns)} ahead ", "dim")] if wide and ahead_ns > 0 else []
    return spread(joined(parts, "   " if wide else "  "), right, width)
