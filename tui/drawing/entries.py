"""The lines of a timeline: which spans are one line, which are folded away, and where nothing ran.

Invariant: `entries` keeps the order of the rows and hides nothing without a count (a folded span says how many are in it, equal
siblings become one line with `×6`, time in which nothing ran becomes a gap with its length, a hand-over and the work of the one
agent that took it are one line); each entry has its own key. `waterfall` draws them.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from trajectory.view.rows import SpanRow

_EQUAL_SIBLINGS = 5


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
    tokens: int = 0  # of all that the line stands for
    cost_usd: float | None = None
    is_critical: bool = False


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
        taken, entry = _entry(rows, index, folded)
        alike = rows[index : index + entry.times]
        costs = [each.cost_usd for each in alike if each.cost_usd is not None]
        found.append(
            replace(
                entry,
                given=given,
                depth=row.depth - len(joined_at),
                tokens=sum(each.tokens for each in alike),
                cost_usd=sum(costs) if costs else None,
                is_critical=any(each.is_critical for each in alike),
            )
        )
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


def _entry(rows: Sequence[SpanRow], index: int, folded: Collection[str]) -> tuple[int, Entry]:
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
