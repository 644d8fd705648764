"""Whether a pattern of the detectors can be made to hang: each over texts made to be slow for it, and over four times as much.

Invariant: the texts come from the patterns' own parts (what each repeat repeats, again and again, with and without an end that
does not fit), so that a new pattern is attacked without anybody thinking of it. Four times the text may take at most
`_GROWTH_RATIO` times as long: sixteen times is the square. Times under `_LEAST_S` tell nothing.
"""

import importlib
import pkgutil
import re
import re._constants as c
import re._parser as parser
import time
from collections.abc import Iterable, Iterator
from typing import Any

import trajectory.detection
from tests.benchmarks import Row

NAME = "patterns"
GOAL = "four times the text takes four times the time, whatever the text"
CHARS_COUNT = 16 * 1024
_HANDED_CHARS = {
    "failure_text._COMPLAINT": 160,
    "failure_text._ERROR_TITLE": 200,
}  # no more of a text is handed to these
_GROWTH_RATIO = 10.0  # other work on the machine alone made it 7.7
_LEAST_S = 0.02
_MAX_UNITS_COUNT = 30  # of one pattern
_COMMON = ("a", "1", " ", "\n", "-", "A", "a ", "1,", "a1", "- ", "a.", "\"'", "not ", "é", "\u200b", "[", "<p", "x=")


def run() -> list[Row]:
    """A row for each pattern that grows too fast, and one with the slowest of all."""
    rows: list[Row] = []
    slowest, slowest_s, worst_ratio = "", 0.0, 0.0
    patterns = compiled()
    for name, pattern in patterns.items():
        chars = _HANDED_CHARS.get(name, CHARS_COUNT)
        for unit in units(pattern):
            for end in ("", "\x00"):
                long_s = _spent(pattern, unit, end, chars)
                slowest, slowest_s = max((slowest, slowest_s), (f"{name} over {unit!r}", long_s), key=lambda s: s[1])
                if long_s < _LEAST_S:
                    continue
                long_s, short_s = (min(_spent(pattern, unit, end, n) for _ in range(3)) for n in (chars, chars // 4))
                ratio = long_s / max(short_s, 1e-9) if long_s >= _LEAST_S else 0.0
                worst_ratio = max(worst_ratio, ratio)
                if ratio > _GROWTH_RATIO:
                    case = f"{name} over {unit!r}"
                    rows.append(Row(case, "growth", f"{ratio:.1f}, {long_s:.2f} s", f"{_GROWTH_RATIO}", False))
    rows.append(Row(f"{len(patterns)} patterns", "worst growth", f"{worst_ratio:.1f}", f"{_GROWTH_RATIO}", not rows))
    rows.append(Row(slowest, "slowest, 16 K characters", f"{slowest_s * 1000:.0f} ms", "", None))
    return rows


def compiled() -> dict[str, re.Pattern[str]]:
    """Every pattern that a module of the detectors has compiled, by module and name, each once."""
    found: dict[re.Pattern[str], str] = {}
    for info in pkgutil.iter_modules(trajectory.detection.__path__):
        module = importlib.import_module(f"trajectory.detection.{info.name}")
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
                found.setdefault(value, f"{info.name}.{name}")
    return {name: pattern for pattern, name in found.items()}


def parts(pattern: re.Pattern[str]) -> Any:
    """A pattern as Python's own parser reads it."""
    return parser.parse(pattern.pattern, pattern.flags)


def units(pattern: re.Pattern[str]) -> list[str]:
    """Texts which, said again and again, may be slow for a pattern: one for each of its repeats, and the common ones."""
    said = dict.fromkeys(text for text in _repeats(parts(pattern)) if text.strip("\x00"))
    return [*list(said)[:_MAX_UNITS_COUNT], *_COMMON]


def _spent(pattern: re.Pattern[str], unit: str, end: str, chars: int) -> float:
    text = (unit * (chars // len(unit) + 1))[:chars] + end
    begun = time.process_time()
    for _ in pattern.finditer(text):
        pass
    return time.process_time() - begun


def _repeats(tree: Iterable[Any]) -> Iterator[str]:
    """What each repeat in a pattern repeats, and what each sequence with one in it begins with."""
    items = list(tree)
    if any(is_repeat(op) for op, _ in items):
        yield "".join(_one(op, value) for op, value in items)[:64]
    for op, value in items:
        if is_repeat(op):
            yield "".join(_one(o, v) for o, v in value[2])[:64]
        for inner in inner_of(op, value):
            yield from _repeats(inner)


def is_repeat(op: Any) -> bool:
    return op in (c.MAX_REPEAT, c.MIN_REPEAT, c.POSSESSIVE_REPEAT)


def inner_of(op: Any, value: Any) -> list[Any]:
    """The sequences inside a part."""
    if is_repeat(op):
        return [value[2]]
    if op is c.SUBPATTERN:
        return [value[3]]
    if op is c.BRANCH:
        return list(value[1])
    if op in (c.ASSERT, c.ASSERT_NOT):
        return [value[1]]
    return [value] if op is c.ATOMIC_GROUP else []


def _one(op: Any, value: Any) -> str:
    """A text that a part fits, the first of each choice."""
    if op is c.LITERAL:
        return chr(value)
    if op is c.IN:
        return _of_class(value)
    if op in (c.ANY, c.NOT_LITERAL):
        return "a"
    if op in (c.ASSERT, c.ASSERT_NOT, c.AT):
        return ""
    inner = inner_of(op, value)
    return "".join(_one(o, v) for o, v in inner[0]) if inner else ""


_OF_CATEGORY = {c.CATEGORY_DIGIT: "1", c.CATEGORY_SPACE: " ", c.CATEGORY_WORD: "a", c.CATEGORY_NOT_DIGIT: "a"}


def _of_class(members: Any) -> str:
    """A character of a class; of a negated one a letter."""
    for op, value in members:
        if op is c.NEGATE:
            return "a"
        if op is c.LITERAL:
            return chr(value)
        if op is c.RANGE:
            return chr(value[0])
        if op is c.CATEGORY:
            return _OF_CATEGORY.get(value, "-")
    return ""
