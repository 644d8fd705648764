"""A canvas for lines that meet: each cell holds the directions of what passes it, so corners and crossings come by themselves.

Invariant: lines of one net join where they meet; those of two nets cross, and what crosses is drawn straight on, so that nobody
reads a turn that is not there. Every cell is one terminal cell wide. Graphs are drawn on it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from trajectory.view.text import cells, clean
from tui.drawing.line import Bit, Line
from tui.signs import DOWN, LEFT, RIGHT, UP, Signs


@dataclass(slots=True)
class _Spot:
    """What passes one cell: directions by net, and which nets are heavy here."""

    nets: dict[int, int] = field(default_factory=dict)
    heavy: set[int] = field(default_factory=set)


class Canvas:
    """Lines and texts at places counted from 0; a text hides the lines below it."""

    def __init__(self) -> None:
        self._spots: dict[tuple[int, int], _Spot] = {}
        self._texts: dict[tuple[int, int], Bit] = {}
        self.width = self.height = 0

    def across(self, net: int, y: int, first: int, last: int, opens: int, *, heavy: bool = False) -> None:
        """A line along a row, both ends included; `opens` says at which of them (LEFT, RIGHT) it goes on."""
        for x in range(first, last + 1):
            left = LEFT if x > first or opens & LEFT else 0
            right = RIGHT if x < last or opens & RIGHT else 0
            self._pass(net, x, y, left | right, heavy)

    def along(self, net: int, x: int, first: int, last: int, *, heavy: bool = False) -> None:
        """A line along a column between two rows, in either order, both included."""
        top, bottom = sorted((first, last))
        for y in range(top, bottom + 1):
            self._pass(net, x, y, (UP if y > top else 0) | (DOWN if y < bottom else 0), heavy)

    def _pass(self, net: int, x: int, y: int, directions: int, heavy: bool) -> None:
        spot = self._spots.setdefault((x, y), _Spot())
        spot.nets[net] = spot.nets.get(net, 0) | directions
        if heavy:
            spot.heavy.add(net)
        self._reach(x, y)

    def write(self, x: int, y: int, line: Iterable[Bit]) -> int:
        """Writes bits from a place on; returns how many cells they took."""
        start = x
        for text, role in line:
            for char in clean(text):
                size = cells(char)
                if size == 0:  # belongs to the character before
                    before = self._texts.get((x - 1, y), (" ", role))
                    self._texts[x - 1, y] = before[0] + char, before[1]
                    continue
                self._texts[x, y] = char, role
                for more in range(1, size):
                    self._texts[x + more, y] = "", role
                x += size
        if x > start:
            self._reach(x - 1, y)
        return x - start

    def _reach(self, x: int, y: int) -> None:
        self.width, self.height = max(self.width, x + 1), max(self.height, y + 1)

    def rows(self, signs: Signs) -> list[list[Bit]]:
        """Every row as one bit for each cell; the second cell of a wide character is an empty text."""
        return [[self._cell(x, y, signs) for x in range(self.width)] for y in range(self.height)]

    def _cell(self, x: int, y: int, signs: Signs) -> Bit:
        written = self._texts.get((x, y))
        if written is not None:
            return written
        spot = self._spots.get((x, y))
        if spot is None:
            return " ", ""
        nets = spot.nets
        # Where two cross, the heavy one is seen to go on, else the one that stands.
        net = next(iter(nets)) if len(nets) == 1 else max(nets, key=lambda each: (each in spot.heavy, nets[each] & UP))
        is_heavy = net in spot.heavy
        return (signs.lines_heavy if is_heavy else signs.lines)[nets[net]], "error" if is_heavy else "delegation"


def window(row: list[Bit], left: int, width: int) -> Line:
    """Cells of a row from `left` on as a line of `width` cells; half of a wide character is a space."""
    line: Line = []
    for x in range(left, left + width):
        text, role = row[x] if 0 <= x < len(row) else (" ", "")
        is_cut = cells(text) == 2 and x == left + width - 1
        if (text == "" and x == left) or is_cut:
            text = " "
        if line and line[-1][1] == role:
            line[-1] = line[-1][0] + text, role
        else:
            line.append((text, role))
    return line
