"""Draws the list of runs, a run's facts beside it, and what changed since an operator last looked.

Invariant: the columns that identify a run (state, id, title) never collapse; the others leave from the right as the width
shrinks. Counts of a run of which facts are known to be missing carry a `+`.
"""

from collections.abc import Sequence

from trajectory.view.rows import TraceRow
from tui.drawing.alerts import alert_counts
from tui.drawing.line import Bit, Line, cut, put
from tui.drawing.numbers import coarse, many, scaled, took
from tui.drawing.spark import spark
from tui.signs import Signs, state_sign

_STATE_WORDS = {"cut_off": "cut off"}
_ACTIVITY_CELLS = 15
_WIDEST_TITLE = 72  # wider screens leave room instead


def id_width(rows: Sequence[TraceRow]) -> int:
    """How many characters of an id tell all rows apart; at least four."""
    width = 4
    while width < 16 and len({row.trace_id[:width] for row in rows}) < len({row.trace_id for row in rows}):
        width += 1
    return width


def runs_header(width: int, ids: int) -> Line:
    """The titles of the columns, over the lines of `run_line`."""
    if width < 96:
        numbers = [
            put("AG", 3, right=True),
            put("STEPS", 7, right=True),
            put("ERR", 4, right=True),
            (" ALERTS   ELAPSED", ""),
        ]
        return [
            (text, "dim")
            for text, _ in cut([("ST ", ""), put("RUN", ids + 1), put("TITLE", _title(width, ids)), *numbers], width)
        ]
    columns = (("AGENTS", 7), ("DELEG", 6), ("STEPS", 7), ("ERR", 5))
    line = [put("STATE", 10), put("RUN", ids + 2), put("TITLE", _title(width, ids))]
    line += [put(name, size, right=True) for name, size in columns]
    line += [
        ("  ", ""),
        put("ALERTS", 9),
        put("TOKENS", 8, right=True),
        put("ELAPSED", 9, right=True),
        ("  ACTIVITY (60 s)", ""),
    ]
    return [(text, "dim") for text, _ in cut(line, width)]


def run_line(row: TraceRow, width: int, ids: int, signs: Signs, now_ns: int, *, stale: bool = False) -> Line:
    """One run in exactly `width` cells; with `stale`, the state is a question and the elapsed time stands still."""
    return (
        _narrow(row, width, ids, signs, now_ns, stale) if width < 96 else _wide(row, width, ids, signs, now_ns, stale)
    )


def _title(width: int, ids: int) -> int:
    fixed = 3 + ids + 1 + 3 + 7 + 4 + 17 if width < 96 else 10 + ids + 2 + 25 + 2 + 9 + 8 + 9 + 2 + _ACTIVITY_CELLS
    return max(8, min(_WIDEST_TITLE, width - fixed))


def _named(row: TraceRow) -> str:
    """The title, and of how many traces the run is where it is of several."""
    return row.title if row.traces == 1 else f"{row.title} ({row.traces} traces)"


def _count(count: int, row: TraceRow, width: int, role: str = "") -> Bit:
    return put(f"{coarse(count)}{'+' if row.is_partial else ''}", width, role, right=True)


def _sign(row: TraceRow, signs: Signs, stale: bool) -> Bit:
    return ("?", "warning") if stale and row.state == "live" else state_sign(signs, row.state)


def _alerts(row: TraceRow, width: int, signs: Signs) -> Line:
    return cut(alert_counts(row.critical, row.warnings, row.infos, signs), width)


def _elapsed(row: TraceRow, now_ns: int) -> str:
    end_ns = max(now_ns, row.ended_ns) if row.state == "live" and now_ns else row.ended_ns
    return took(end_ns - row.started_ns, row.state != "live")


def _narrow(row: TraceRow, width: int, ids: int, signs: Signs, now_ns: int, stale: bool) -> Line:
    line: Line = [_sign(row, signs, stale), ("  ", ""), put(row.trace_id[:ids], ids + 1, "dim")]
    line += [put(_named(row), _title(width, ids) - 1, "strong"), (" ", ""), put(str(row.agents), 3, right=True)]
    line += [
        _count(row.steps, row, 7),
        put(coarse(row.errors), 4, "error" if row.errors else "dim", right=True),
        (" ", ""),
    ]
    line += [*_alerts(row, 8, signs), put(_elapsed(row, now_ns), 8, right=True)]
    return cut(line, width)


def _wide(row: TraceRow, width: int, ids: int, signs: Signs, now_ns: int, stale: bool) -> Line:
    sign, role = _sign(row, signs, stale)
    state = "stale" if stale and row.state == "live" else _STATE_WORDS.get(row.state, row.state)
    line: Line = [(sign, role), (" ", ""), put(state, 8, role), put(row.trace_id[:ids], ids + 2, "dim")]
    line += [put(_named(row), _title(width, ids) - 1, "strong"), (" ", ""), put(str(row.agents), 7, right=True)]
    line += [put(str(row.delegations), 6, right=True), _count(row.steps, row, 7)]
    line += [put(coarse(row.errors), 5, "error" if row.errors else "dim", right=True), ("  ", "")]
    line += [*_alerts(row, 9, signs), put(scaled(row.input_tokens + row.output_tokens), 8, right=True)]
    line += [put(_elapsed(row, now_ns), 9, right=True), ("  ", "")]
    busy = row.state == "live" and row.activity
    return cut([*line, (spark(row.activity, signs, _ACTIVITY_CELLS) if busy else "", "model")], width)


def runs_summary(rows: Sequence[TraceRow], total: int, signs: Signs) -> str:
    """`7 runs · 3 live · 4 with alerts`."""
    live = sum(row.state == "live" for row in rows)
    alerted = sum(bool(row.critical or row.warnings or row.infos) for row in rows)
    shown = many(total, "run") if len(rows) == total else f"{len(rows)} of {many(total, 'run')}"
    return f" {signs.dot} ".join((shown, f"{live} live", f"{alerted} with alerts"))


def changes(row: TraceRow, seen: TraceRow | None, twin: TraceRow | None, signs: Signs) -> list[Line]:
    """What is new since the run was last opened, and how it compares with the one before it of the same title."""
    lines: list[Line] = [*_since(row, seen)]
    if twin:
        lines += [[("", "")], [("Compared with ", ""), (twin.trace_id[:4], "strong"), (" (same title)", "dim")]]
        lines += _compared(row, twin, signs)
    return lines


def _since(row: TraceRow, seen: TraceRow | None) -> list[Line]:
    if seen is None:
        return [[("not opened yet", "dim")]]
    parts = (
        (row.steps - seen.steps, "step"),
        (row.errors - seen.errors, "error"),
        (row.critical + row.warnings + row.infos - seen.critical - seen.warnings - seen.infos, "alert"),
        (row.delegations - seen.delegations, "delegation"),
    )
    lines: list[Line] = [
        [(f"+{count:>3} {word if count == 1 else word + 's'}", "")] for count, word in parts if count > 0
    ]
    if not lines:
        return [[("nothing since you last opened it", "dim")]]
    return [[("Since you last opened it", "dim")], *lines]


def _compared(row: TraceRow, twin: TraceRow, signs: Signs) -> list[Line]:
    tokens, before = row.input_tokens + row.output_tokens, twin.input_tokens + twin.output_tokens
    share = f"{round(100 * (tokens - before) / before):+d} %".replace("-", "−") if before else signs.dot
    lasted, lasted_before = (took(each.ended_ns - each.started_ns) for each in (row, twin))
    worse = "error" if row.errors > twin.errors else ""
    return [
        [("  tokens  ", "dim"), (share, "")],
        [
            ("  errors  ", "dim"),
            (f"{twin.errors} → {row.errors}" if signs.level != "ascii" else f"{twin.errors} > {row.errors}", worse),
        ],
        [
            ("  elapsed ", "dim"),
            (f"{lasted_before} → {lasted}" if signs.level != "ascii" else f"{lasted_before} > {lasted}", ""),
        ],
    ]
