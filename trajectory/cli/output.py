"""How commands print: tables of clean text, numbers as a person reads them.

Invariant: nothing that an agent wrote reaches the terminal uncleaned, and where standard output is no terminal, or NO_COLOR
is set, there are no escape sequences. A list that goes to no terminal is for a program: a tab between fields. Called by the
commands.
"""

import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from trajectory.view.text import cells, clean, seen, truncate

_NUMBER = re.compile(r"(\d+(\.\d+)?( ?(k|M|%|ns|µs|ms|s))?|\d+:\d\d min|·|)")
_SEVERITY_SIGN = {"critical": "▲", "warning": "△", "info": "▽"}
_SEVERITY_COLOUR = {"critical": "31", "warning": "33", "info": "36"}


def say(text: str) -> None:
    """A message to whoever runs the command; not part of the output."""
    print(clean(text), file=sys.stderr, flush=True)


def json_line(value: Any) -> str:
    """A value as JSON on one line; what cannot be seen is escaped, because a terminal obeys C1 controls too."""
    return seen(json.dumps(value, ensure_ascii=not has_unicode()))


def is_terminal() -> bool:
    """Whether a person reads standard output as it is, and no file or program."""
    return sys.stdout.isatty()


def has_colour() -> bool:
    return is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def has_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") in ("utf8", "utf16", "utf32")


def coloured(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if code and has_colour() else text


def bold(text: str) -> str:
    return coloured(text, "1")


def sign(severity: str) -> str:
    """A severity as a sign that reads without colour."""
    shown = _SEVERITY_SIGN.get(severity, "·") if has_unicode() else {"critical": "!", "warning": "?"}.get(severity, ".")
    return coloured(shown, _SEVERITY_COLOUR.get(severity, ""))


_FORMULA = re.compile(r"[=@]|[+-](?![\d.,]* ?\S{0,3}$)")  # a number with its sign and unit is none


def legend(severities: Iterable[str], others: Iterable[str] = ()) -> list[str]:
    """One line on what the signs above it mean, those of severities and `others`; none where there is no sign."""
    found = set(severities)
    signs = [*(f"{sign(one)} {one}" for one in _SEVERITY_SIGN if one in found), *others]
    return [f"signs: {'  '.join(signs)}"] if signs else []


def width() -> int:
    """Columns to print into; unlimited where the output is no terminal."""
    return os.get_terminal_size().columns if is_terminal() else 10_000


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A list of things, one a row, under headers: in columns on a terminal; elsewhere whole fields with a tab between."""
    if is_terminal():
        return columns(headers, rows)
    return ["\t".join(_no_formula(clean(str(cell))) for cell in row) for row in (headers, *rows)]


def _no_formula(cell: str) -> str:
    """A cell that a spreadsheet takes for text: what agents call themselves could begin as a formula does."""
    return f"'{cell}" if _FORMULA.match(cell) else cell


def columns(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Rows under headers, numbers to the right, the last column cut where the terminal ends; also on a page that is piped."""
    texts = [[clean(str(cell)) for cell in row] for row in rows]
    right = [bool(texts) and all(_is_number(row[n]) for row in texts) for n in range(len(headers))]
    widths = [max(cells(line[n]) for line in [list(headers), *texts]) for n in range(len(headers))]
    lines = [_line(headers, widths, right)] if any(headers) else []
    return [*lines, *(_line(row, widths, right) for row in texts)]


def _line(row: Sequence[str], widths: list[int], right: list[bool]) -> str:
    padded = []
    for text, wide, is_number in zip(row, widths, right, strict=True):
        blank = " " * (wide - cells(text))
        padded.append(blank + text if is_number else text + blank)
    return truncate("  ".join(padded).rstrip(), width())


def _is_number(text: str) -> bool:
    return bool(_NUMBER.fullmatch(text))


def count(number: int) -> str:
    """A count in at most five characters: 812, 12.4k, 3.1M."""
    if number < 10_000:
        return str(number)
    return f"{number / 1000:.1f}k" if number < 1_000_000 else f"{number / 1e6:.1f}M"


def duration(ns: int) -> str:
    """A duration with its unit and at most three digits before it."""
    if ns <= 0:
        return "·"
    for limit_ns, divisor, unit in ((1_000_000, 1e3, "µs"), (1_000_000_000, 1e6, "ms"), (60_000_000_000, 1e9, "s")):
        if ns < limit_ns:
            value = ns / divisor
            return f"{value:.0f} {unit}" if value >= 100 else f"{value:.1f} {unit}"
    minutes, seconds = divmod(ns // 1_000_000_000, 60)
    return f"{minutes}:{seconds:02d} min"


def plural(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
