"""Draws the timeline: one line a span, a bar where it ran or for what it used, its name in a fixed column and never on the bar.

Invariant: every line has the width asked for; a bar lies where its time or its amount puts it, what is outside of the time shown
is told by its side, and what nobody said is a dash. Called by the timeline with the lines of `entries`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from trajectory.view.rows import DelegationRow, SpanRow
from trajectory.view.scale import Scale
from trajectory.view.text import cells, clean, wrapped
from tui.drawing.entries import Entry
from tui.drawing.line import Bit, Line, cut, put
from tui.drawing.numbers import coarse, duration, money
from tui.signs import LEFT, RIGHT, UP, Signs, mark_sign

_KIND_SIGNS = {"model": "model", "tool": "tool", "retrieval": "tool", "retry": "retry", "delegation": "call"}
_KIND_ROLES = {
    "model": "model",
    "tool": "tool",
    "retrieval": "tool",
    "retry": "retry",
    "delegation": "delegation",
    "agent": "strong",
}


UNKNOWN = "—"
BARS_BY = ("time", "tokens", "cost")


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the columns of a timeline of some width begin and end; what has no room has none."""

    name: int
    chart: int
    time: int = 9
    amount: int = 0

    @classmethod
    def of(cls, width: int, by: str = "time") -> "Columns":
        """Names take a third, at most 64 cells; what was used is shown from 96 cells on, or where it is what is drawn."""
        is_wide = width >= 96
        amount = 8 if is_wide else 9 if by != "time" else 0
        time = 9 if is_wide or by == "time" else 0
        name = max(16, min(64, width * 36 // 116))
        return cls(name, max(4, width - name - 2 - time - amount), time, amount)


@dataclass(frozen=True, slots=True)
class Measure:
    """What the length of bars says. `most` is the amount that is as long as the chart; unused for time."""

    by: str = "time"
    most: float = 0.0

    @classmethod
    def of(cls, found: Sequence[Entry], by: str) -> "Measure":
        """That of these lines: the longest bar is that of the one that used most."""
        return cls(by, max((amount for each in found if (amount := _amount(each, by))), default=0.0))

    def told(self, amount: float | None) -> str:
        """An amount as it is written."""
        if not amount:
            return ""
        return money(amount) if self.by == "cost" else coarse(amount)


def _amount(entry: Entry, by: str) -> float | None:
    """What a line used, None where it does not say."""
    return (entry.cost_usd if by == "cost" else float(entry.tokens)) or None


_TIME = Measure()


def waterfall_header(width: int, scale: Scale, measure: Measure = _TIME) -> Line:
    """Titles, and the axis over the bars."""
    columns = Columns.of(width, measure.by)
    labels = [" "] * columns.chart
    for column, label in scale.ticks() if measure.by == "time" else ((0, "0"),):
        if column + len(label) <= columns.chart and (not column or labels[column - 1] == " "):
            labels[column : column + len(label)] = label
    most = measure.told(measure.most)
    if measure.by != "time" and most and len(most) + 2 < columns.chart:
        labels[-len(most) :] = most
    end = put("TIME", columns.time, right=True)[0] if columns.time else ""
    if columns.amount:
        end += put("COST" if measure.by == "cost" else "TOKENS", columns.amount, right=True)[0]
    return cut([(put("SPAN", columns.name)[0] + " " + "".join(labels) + " " + end, "dim")], width)


def waterfall_line(entry: Entry, width: int, scale: Scale, signs: Signs, now_ns: int, measure: Measure = _TIME) -> Line:
    """One entry in exactly `width` cells, its bar on the scale, which is as wide as the chart of `Columns`."""
    columns = Columns.of(width, measure.by)
    if entry.gap_ns:
        return _gap_line(entry, width, columns, scale, signs, measure)
    row = entry.row
    end_ns = entry.end_ns or max(now_ns, row.start_ns)
    took = duration(end_ns - row.start_ns) if row.start_ns and not row.is_placeholder else signs.dash
    bar = _bar(entry, scale, signs, now_ns) if measure.by == "time" else _amount_bar(entry, scale.cells, signs, measure)
    chain: Bit = (signs.chain, "strong") if entry.is_critical else (" ", "")
    line = [*_name(entry, columns.name, signs), chain, *(_bold(bar) if entry.is_critical else bar), (" ", "")]
    if columns.time:
        line.append(put(took, columns.time, "running" if not entry.end_ns else "dim", right=True))
    if columns.amount:
        used = measure.told(_amount(entry, measure.by if measure.by == "cost" else "tokens"))
        line.append(put(used or signs.dot, columns.amount, "dim", right=True))
    return cut(line, width)


def _bold(bar: Line) -> Line:
    return [(text, f"{role} bold" if role else "") for text, role in bar]


def _name(entry: Entry, width: int, signs: Signs) -> Line:
    """Fold sign, kind, name, what came out, and at the right end of the column marks and counts."""
    row = entry.row
    end = _name_end(entry, signs)
    indent = " " * min(2 * entry.depth, width // 2)
    fold = (signs.folded if entry.is_folded else signs.unfolded) + " " if row.children else ""
    kind = "retry" if row.is_retry else "delegation" if entry.given else row.kind
    sign = getattr(signs, _KIND_SIGNS[kind]) + " " if kind in _KIND_SIGNS else ""
    room = width - sum(cells(clean(text)) for text, _ in end) - 1
    head: Line = [(indent, ""), (fold, "dim"), (sign, _KIND_ROLES.get(kind, "dim"))]
    role = "error" if row.status == "error" else "dim" if row.is_placeholder else "strong" * (row.kind == "agent")
    title, more = _titles(entry)
    head.append((title, role))
    if more:
        head.append((f"  {more}", "dim"))
    return [*cut(head, max(1, room)), (" ", ""), *end]


def _titles(entry: Entry) -> tuple[str, str]:
    """What a step is called, and what is said of it beside: a model call is called by what it said, and others by their names."""
    row = entry.row
    said = row.text if entry.times == 1 and not row.is_placeholder else ""
    if row.kind == "model" and said and row.status != "error":
        return said, ""
    if row.kind == "agent" and row.label:
        is_named = row.name and row.name != row.label.split("#")[0]
        return row.label, said or (row.name if is_named else "")
    return row.name, said


def _name_end(entry: Entry, signs: Signs) -> Line:
    row = entry.row
    end: Line = []
    if row.mark:
        end.append(mark_sign(signs, row.mark))
    if entry.times > 1:
        end.append((f"{signs.times}{entry.times}", "strong"))
    if entry.is_folded:
        end.append((f" {signs.folded}{row.descendants or row.children}", "dim"))
    errors = entry.errors + (row.status == "error" and entry.times == 1)
    if errors:
        end.append((f" {signs.error}" + (str(errors) if errors > 1 else ""), "error"))
    return end


def _bar(entry: Entry, scale: Scale, signs: Signs, now_ns: int) -> Line:
    row = entry.row
    if not row.start_ns or row.is_placeholder:
        return [(" " * scale.cells, "")]
    end_ns = entry.end_ns or max(now_ns, row.start_ns)
    if beyond := _beyond(row.start_ns, end_ns, scale, signs):
        return beyond
    first, last = scale.stretch(row.start_ns, end_ns)
    kind = "retry" if row.is_retry else row.kind
    size = last - first + 1
    bits: Line = [(" " * first, ""), *_body(row, kind, size, signs)]
    if (row.status == "error" or entry.errors) and end_ns <= scale.end_ns:
        bits = [(" " * first, ""), *_body(row, kind, size - 1, signs), (signs.error, "error")]
    return [*bits, (" " * (scale.cells - last - 1), "")]


def _beyond(start_ns: int, end_ns: int, scale: Scale, signs: Signs) -> Line:
    """For what lies outside of the time that is shown, on which side; else nothing."""
    if end_ns < scale.start_ns:
        return [(signs.opens, "dim"), (" " * (scale.cells - 1), "")]
    if start_ns > scale.end_ns:
        return [(" " * (scale.cells - 1), ""), (signs.closes, "dim")]
    return []


def _amount_bar(entry: Entry, size: int, signs: Signs, measure: Measure) -> Line:
    """A bar as long as what was used; a dash where nobody said how much that is."""
    amount = _amount(entry, measure.by)
    if amount is None:
        return [(UNKNOWN, "dim"), (" " * (size - 1), "")]
    length = max(1, min(size, round(size * amount / (measure.most or amount))))
    row = entry.row
    kind = "retry" if row.is_retry else row.kind
    return [*_body(row, kind, length, signs), (" " * (size - length), "")]


def _body(row: SpanRow, kind: str, size: int, signs: Signs) -> Line:
    if size < 1:
        return []
    if kind == "delegation" or (kind == "agent" and row.children):
        stroke = signs.lines[LEFT | RIGHT]
        if size == 1:
            return [(stroke, "frame-focus" if kind == "agent" else "delegation")]
        ends = signs.lines[UP | RIGHT | 2], signs.lines[UP | LEFT | 2]
        return [(ends[0] + stroke * (size - 2) + ends[1], "strong" if kind == "agent" else "delegation")]
    name = _KIND_SIGNS.get(kind, "gap")
    return [(getattr(signs, name) * size, _KIND_ROLES.get(kind, "dim"))]


def _gap_line(entry: Entry, width: int, columns: Columns, scale: Scale, signs: Signs, measure: Measure) -> Line:
    start_ns = entry.end_ns - entry.gap_ns
    first, last = scale.stretch(start_ns, entry.end_ns)
    indent = " " * min(2 * entry.depth, columns.name // 2)
    name: Bit = put(f"{indent}  {signs.gap} gap  no span", columns.name, "dim")
    chart: Line = [(" " * first, ""), (signs.gap * (last - first + 1), "dim"), (" " * (scale.cells - last - 1), "")]
    chart = _beyond(start_ns, entry.end_ns, scale, signs) or chart
    if measure.by != "time":
        chart = [(" " * scale.cells, "")]
    took = [put(duration(entry.gap_ns), columns.time, "dim", right=True)] if columns.time else []
    return cut([name, (" ", ""), *chart, (" ", ""), *took], width)


def span_preview(row: SpanRow, width: int, signs: Signs, when: str, given: DelegationRow | None = None) -> list[Line]:
    """A few facts of a span below the timeline; of an agent's work also the hand-over that it came by."""
    from tui.signs import state_sign

    state = state_sign(signs, "running" if not row.end_ns else row.status)
    head: Line = [
        ("span ", "dim"),
        (row.span_id[:8], "strong"),
        (f" {signs.dot} {row.kind} {signs.dot} ", "dim"),
        (row.label, ""),
    ]
    head += [(f" {signs.dot} {when} {signs.dot} ", "dim"), state, (f" {row.status.replace('_', ' ')}", state[1])]
    if row.is_retry:
        head += [("  ", ""), (f"{signs.retry} a retry", "retry")]
    if row.mark:
        head += [
            ("  ", ""),
            mark_sign(signs, row.mark),
            (" root of a cascade" if row.mark == "root" else " carried it on", "mark"),
        ]
    lines = [cut(head, width)]
    if given is not None:
        who = f"{given.source} {signs.transfer if given.mode == 'transfer' else signs.call} {given.target}"
        lines.append(_told("given", [(who, "delegation"), (f" {signs.dot} {given.mode}, {given.grade}", "dim")], width))
        lines += [_told("task", [(given.task, "")], width)] * bool(given.task)
        lines += [_told("lost", [(", ".join(given.lost), "warning")], width)] * bool(given.lost)
        lines += [_told("came back", [(given.returned, "")], width)] * bool(given.returned)
        return lines
    text_role = "error" if row.status == "error" else ""
    pieces = wrapped(row.text[: 4 * width], max(1, width - 10)) if row.text else []
    return lines + [
        cut([put(("failed" if text_role else "came out") if n == 0 else "", 10, "dim"), (piece, text_role)], width)
        for n, piece in enumerate(pieces[:4])
    ]


def _told(name: str, told: Line, width: int) -> Line:
    return cut([put(name, 10, "dim"), *told], width)
