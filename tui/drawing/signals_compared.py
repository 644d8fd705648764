"""Two series compared, one measure a line, in words: `B is 12 % slower, 95 %: 5 to 20 %`.

Invariant: what cannot be told apart, or is of too few, is said so, and never as a number alone. Rows and a width in, lines out;
the signals' screen draws with it.
"""

from collections.abc import Callable

from trajectory.view.comparing import Compared
from tui.drawing.line import Line, cut, put
from tui.drawing.numbers import coarse, money
from tui.drawing.signals import seconds, share
from tui.signs import Signs

_WRITE: dict[str, Callable[[float], str]] = {"s": seconds, "ratio": share, "tokens": coarse, "usd": money}
_WORDS = {
    "s": ("is {} slower", "is {} faster"),
    "ratio": ("fails {} more", "fails {} less"),
    "tokens": ("uses {} more", "uses {} less"),
    "usd": ("costs {} more", "costs {} less"),
}
_LABEL, _VALUE = 16, 9


def compare_head(first: str, second: str, width: int) -> list[Line]:
    """Which two are compared."""
    name = max(8, (width - 24) // 2)
    head: Line = [
        ("A ", "mark"),
        (first[:name], "strong"),
        ("   B ", "mark"),
        (second[:name], "strong"),
        ("   esc ends it", "dim"),
    ]
    columns: Line = [put("", _LABEL), *(put(word, _VALUE, "dim", right=True) for word in ("A", "B"))]
    return [cut(head, width), cut(columns, width)]


def compared_line(row: Compared, width: int, signs: Signs) -> Line:
    """One measure of two series, and in words what lies between them."""
    line: Line = [put(row.what, _LABEL)]
    line += [
        put(signs.dash if each is None else _WRITE[row.unit](each), _VALUE, "strong", right=True)
        for each in (row.first, row.second)
    ]
    line.append(("  ", ""))
    said, role = _said(row, signs)
    return cut([*line, (said, role)], width)


def _said(row: Compared, signs: Signs) -> tuple[str, str]:
    if row.low is None or row.high is None or row.change is None:
        if row.known < row.least:
            return f"too few: {row.known} {row.of} on a side, {row.least} are needed", "dim"
        return "known of one of them only", "dim"
    unit = " points" if row.unit == "ratio" else " %"
    if row.verdict == "not told apart":
        low, high = (_signed(value, signs) for value in (row.low, row.high))
        return f"not told apart, 95 %: {low} to {high}{unit}", "dim"
    more, less = _WORDS[row.unit]
    ends = sorted((abs(row.low), abs(row.high)))
    word = (more if row.verdict == "more" else less).format(f"{_percent(abs(row.change))}{unit}")
    return f"B {word}, 95 %: {_percent(ends[0])} to {_percent(ends[1])}{unit}", "warning"


def _percent(value: float) -> str:
    """`12`, `1.4`: a share times a hundred."""
    hundredth = value * 100
    return f"{hundredth:,.0f}" if hundredth >= 9.95 else f"{hundredth:.1f}"


def _signed(value: float, signs: Signs) -> str:
    return f"{'+' if value > 0 else signs.lost if value < 0 else ''}{_percent(abs(value))}"
