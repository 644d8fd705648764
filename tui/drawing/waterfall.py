"""Draws the timeline: one line a span, depth first, a bar where it ran, its name in a fixed column and never on the bar.

Invariant: `entries` keeps the order of the rows, hides nothing without a count (a folded span says how many are in it, equal
siblings become one line with `×6`, time in which nothing ran becomes a gap with its length, a hand-over and the work of the one
agent that took it are one line), and each entry has its own key.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from trajectory.view.rows import DelegationRow, Outline, SpanRow
from trajectory.view.scale import Scale
from trajectory.view.text import cells, clean, wrapped
from tui.drawing.line import Bit, Line, cut, put
from tui.drawing.numbers import coarse, duration
from tui.signs import LEFT, RIGHT, UP, Signs, mark_sign

_EQUAL_SIBLINGS = 5
_KIND_SIGNS = {"model": "model", "tool": "tool", "retrieval": "tool", "retry": "retry", "delegation": "call"}
_KIND_ROLES = {
    "model": "model",
    "tool": "tool",
    "retrieval": "tool",
    "retry": "retry",
    "delegation": "delegation",
    "agent": "strong",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: a span; with `times` > 1, equal siblings of which it is the first; with `gap_ns`, a time without spans; with
    `given`, the work of an agent together with the delegation that it came by. `depth` is how far in it is drawn."""

    row: SpanRow
    key: str
    end_ns: int
    times: int = 1
    gap_ns: int = 0
    is_folded: bool = False
    errors: int = 0
    given: SpanRow | None = None
    depth: int = 0


def trace_end_ns(rows: Sequence[SpanRow], now_ns: int) -> int:
    """The last instant of the rows; now, where something still runs and now is known."""
    last = max((max(row.start_ns, row.end_ns) for row in rows), default=0)
    return max(last, now_ns) if any(not row.end_ns for row in rows) else last


def entries(rows: Sequence[SpanRow], folded: Collection[str], end_ns: int) -> list[Entry]:
    """The lines to draw, with the children of folded spans left out."""
    range_ns = end_ns - min((row.start_ns for row in rows if row.start_ns), default=end_ns)
    gap_ns = max(100_000_000, range_ns // 12)
    found: list[Entry] = []
    index = 0
    busy_until = 0
    joined_at: list[int] = []  # depths of the delegations above that are drawn with the work that they gave
    given: SpanRow | None = None
    while index < len(rows):
        row = rows[index]
        while joined_at and row.depth <= joined_at[-1]:
            joined_at.pop()
        if is_joined(rows, index) and row.span_id not in folded:
            joined_at.append(row.depth)
            given = row
            index += 1
            continue
        if row.depth - len(joined_at) == 1 and busy_until and row.start_ns - busy_until >= gap_ns:
            gap = row.start_ns - busy_until
            found.append(Entry(row, f"gap {row.span_id}", row.start_ns, gap_ns=gap, depth=row.depth - len(joined_at)))
        taken, entry = _entry(rows, index, folded, end_ns)
        found.append(replace(entry, given=given, depth=row.depth - len(joined_at)))
        given = None
        if row.depth:
            busy_until = max(busy_until, *(each.end_ns or end_ns for each in rows[index : index + taken]))
        index += taken
    return found


def is_joined(rows: Sequence[SpanRow], index: int) -> bool:
    """Whether the row is a hand-over whose one child is the work of the agent that took it: these two are one line."""
    row = rows[index]
    after = rows[index + 1] if index + 1 < len(rows) else None
    if row.kind != "delegation" or row.children != 1 or after is None or row.status == "error":
        return False
    return after.kind == "agent" and after.parent_id == row.span_id


def _entry(rows: Sequence[SpanRow], index: int, folded: Collection[str], end_ns: int) -> tuple[int, Entry]:
    """How many rows the entry at `index` stands for, and the entry."""
    row = rows[index]
    if row.span_id in folded and row.children:
        size = _subtree(rows, index)
        inside = rows[index + 1 : index + size]
        return size, Entry(
            row, row.span_id, row.end_ns, is_folded=True, errors=sum(each.status == "error" for each in inside)
        )
    times = _equal(rows, index)
    if times >= _EQUAL_SIBLINGS and f"open {row.span_id}" not in folded:
        group = rows[index : index + times]
        last_ns = 0 if any(not each.end_ns for each in group) else max(each.end_ns for each in group)
        return times, Entry(
            row, f"group {row.span_id}", last_ns, times, errors=sum(each.status == "error" for each in group)
        )
    return 1, Entry(row, row.span_id, row.end_ns)


def _subtree(rows: Sequence[SpanRow], index: int) -> int:
    size = 1
    while index + size < len(rows) and rows[index + size].depth > rows[index].depth:
        size += 1
    return size


def _equal(rows: Sequence[SpanRow], index: int) -> int:
    """How many leaves from `index` on are siblings of one kind and name."""
    first = rows[index]
    if first.children or (index and _same(rows[index - 1], first)):
        return 1
    count = 1
    while index + count < len(rows) and _same(first, rows[index + count]):
        count += 1
    return count


def _same(first: SpanRow, other: SpanRow) -> bool:
    parts = ("parent_id", "kind", "name", "depth", "children", "is_retry")
    return not other.children and all(getattr(first, part) == getattr(other, part) for part in parts)


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the columns of a timeline of some width begin and end."""

    name: int
    chart: int
    time: int = 9
    tokens: int = 0

    @classmethod
    def of(cls, width: int) -> "Columns":
        """Names take a third, at most 64 cells; tokens are shown from 96 cells on."""
        tokens = 8 if width >= 96 else 0
        name = max(16, min(64, width * 36 // 116))
        return cls(name, max(4, width - name - 2 - 9 - tokens), 9, tokens)


def waterfall_header(width: int, scale: Scale) -> Line:
    """Titles, and the axis over the bars."""
    columns = Columns.of(width)
    labels = [" "] * columns.chart
    for column, label in scale.ticks():
        if column + len(label) <= columns.chart:
            labels[column : column + len(label)] = label
    end = put("TIME", columns.time, right=True)[0] + (
        put("TOKENS", columns.tokens, right=True)[0] if columns.tokens else ""
    )
    return cut([(put("SPAN", columns.name)[0] + " " + "".join(labels) + " " + end, "dim")], width)


def waterfall_line(entry: Entry, width: int, scale: Scale, signs: Signs, now_ns: int) -> Line:
    """One entry in exactly `width` cells, its bar on the scale, which is `Columns.of(width).chart` cells wide."""
    columns = Columns.of(width)
    if entry.gap_ns:
        return _gap_line(entry, width, columns, scale, signs)
    row = entry.row
    end_ns = entry.end_ns or max(now_ns, row.start_ns)
    took = duration(end_ns - row.start_ns) if row.start_ns and not row.is_placeholder else signs.dash
    line = [*_name(entry, columns.name, signs), (" ", ""), *_bar(entry, scale, signs, now_ns), (" ", "")]
    line.append(put(took, columns.time, "running" if not entry.end_ns else "dim", right=True))
    if columns.tokens:
        line.append(put(coarse(row.tokens) if row.tokens else signs.dot, columns.tokens, "dim", right=True))
    return cut(line, width)


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
    first, last = scale.stretch(row.start_ns, entry.end_ns or now_ns)
    kind = "retry" if row.is_retry else row.kind
    size = last - first + 1
    bits: Line = [(" " * first, ""), *_body(row, kind, size, signs)]
    after = scale.cells - last - 1
    if not entry.end_ns and after:
        bits.append((signs.goes_on, "running"))
        after -= 1
    elif row.status == "error" or entry.errors:
        bits = [(" " * first, ""), *_body(row, kind, size - 1, signs), (signs.error, "error")]
    return [*bits, (" " * after, "")]


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


def _gap_line(entry: Entry, width: int, columns: Columns, scale: Scale, signs: Signs) -> Line:
    first, last = scale.stretch(entry.end_ns - entry.gap_ns, entry.end_ns)
    indent = " " * min(2 * entry.depth, columns.name // 2)
    name: Bit = put(f"{indent}  {signs.gap} gap  no span", columns.name, "dim")
    chart: Line = [(" " * first, ""), (signs.gap * (last - first + 1), "dim"), (" " * (scale.cells - last - 1), "")]
    return cut(
        [name, (" ", ""), *chart, (" ", ""), put(duration(entry.gap_ns), columns.time, "dim", right=True)], width
    )


def density_lines(outline: Outline, width: int, signs: Signs) -> list[Line]:
    """How much ran when in the whole run, and below it a tick where something failed; each `width` cells wide."""
    from tui.drawing.spark import spark

    parts = len(outline.activity)
    if not parts:
        return [[], []]
    firsts = [cell * parts // width for cell in range(width + 1)]
    shown = [max(outline.activity[a : max(b, a + 1)]) for a, b in pairwise(firsts)]
    ticks = [" "] * width
    for part in outline.failed_parts:
        ticks[min(part * width // parts, width - 1)] = signs.error
    return [[(spark(shown, signs), "model")], [("".join(ticks), "error")]]


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
