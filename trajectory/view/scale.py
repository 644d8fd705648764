"""Turns instants into columns of a drawing, and chooses the round instants to write on its axis.

Invariant: for any instants and any width, a column lies inside the drawing, later never lies left of earlier, and a
stretch takes at least one column. Lanes, the timeline and the density strip share one `Scale`, so that they line up.
"""

from dataclasses import dataclass

_NS_PER_S = 1_000_000_000
_ROUND_S = (1, 2, 5, 10, 20, 25, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400)


@dataclass(frozen=True, slots=True)
class Scale:
    """`cells` columns that cover start_ns to end_ns; instants outside are drawn in the first or last column.

    `origin_ns` is the instant that the axis counts from, where that lies before the start.
    """

    start_ns: int
    end_ns: int
    cells: int
    origin_ns: int | None = None

    @property
    def range_ns(self) -> int:
        """The covered time; at least one nanosecond."""
        return max(1, self.end_ns - self.start_ns)

    def cell(self, at_ns: int) -> int:
        """The column of an instant, 0 to cells - 1."""
        raw = (at_ns - self.start_ns) * self.cells // self.range_ns
        return max(0, min(self.cells - 1, raw))

    def stretch(self, start_ns: int, end_ns: int) -> tuple[int, int]:
        """First and last column of a stretch; the same one where it is short. The end instant itself is not part of it."""
        first = self.cell(start_ns)
        return first, max(first, self.cell(max(start_ns, end_ns - 1)))

    def at(self, cell: int) -> int:
        """The instant at the left edge of a column."""
        return self.start_ns + cell * self.range_ns // max(1, self.cells)

    def ticks(self, gap_cells: int = 9) -> list[tuple[int, str]]:
        """Columns and labels of round instants since the origin, at least `gap_cells` apart."""
        step_ns = round_step_ns(self.range_ns * gap_cells // max(1, self.cells) + 1)
        before_ns = max(0, self.start_ns - (self.start_ns if self.origin_ns is None else self.origin_ns))
        ticks = []
        offset_ns = -(-before_ns // step_ns) * step_ns
        while offset_ns - before_ns <= self.range_ns:
            cell = (offset_ns - before_ns) * self.cells // self.range_ns
            if cell < self.cells:
                ticks.append((cell, axis_label(offset_ns, self.range_ns)))
            offset_ns += step_ns
        return ticks


def round_step_ns(least_ns: int) -> int:
    """The smallest round step of at least `least_ns`: 1, 2 or 5 times a power of ten below a second, then clock steps."""
    if least_ns > 500_000_000:
        for step_s in _ROUND_S:
            if step_s * _NS_PER_S >= least_ns:
                return step_s * _NS_PER_S
        days = -(-least_ns // (86400 * _NS_PER_S))
        return days * 86400 * _NS_PER_S
    power = 1
    while True:
        for factor in (1, 2, 5):
            if factor * power >= least_ns:
                return factor * power
        power *= 10


def axis_label(offset_ns: int, range_ns: int) -> str:
    """How an instant is written on an axis that covers range_ns: `0`, `20s`, `3m`, `1m30`, `250ms`, `33.5s`."""
    if offset_ns == 0:
        return "0"
    if range_ns < 2 * _NS_PER_S <= offset_ns:  # a short time, long after the start
        return f"{offset_ns / 1e9:.12g}s"
    if range_ns < 2_000:
        return f"{offset_ns}ns"
    if range_ns < 2_000_000:
        return f"{offset_ns / 1e3:g}µs"
    if range_ns < 2 * _NS_PER_S:
        return f"{offset_ns / 1e6:g}ms"
    seconds = offset_ns // _NS_PER_S
    if range_ns <= 300 * _NS_PER_S:
        return f"{offset_ns / _NS_PER_S:g}s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes}m{seconds:02}" if seconds else f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h{minutes:02}" if minutes else f"{hours}h"
    return f"{hours // 24}d"
