"""Whether a number follows from other numbers: a sum, a difference, a share, a multiple, a percentage of them, a conversion.

Invariant: pure, and bounded by `MAX_KNOWN_COUNT` of the known numbers. What is added must be of one make (prices to prices); a
small whole number may divide or multiply a known one and is never added to it, for then any slip would be a sum. Called by
whoever tells work from damage.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from datetime import date
from math import inf

from trajectory.detection.items import Item
from trajectory.detection.units import dimension_of, says_same

MAX_KNOWN_COUNT = 150
_CLOSE_RATIO = 0.0051  # what rounding leaves
_PART_RATIO = 0.05  # of the least part of a sum, that a sum may be off
_LEAST = 1e-9  # what is less is nothing
_SMALL = range(2, 13)


def make_of(item: Item) -> str:
    """What two values must share to be taken for one another: a unit, a currency, an identifier's letters."""
    if item.kind in ("money", "quantity"):
        return item.key.partition(" ")[2]
    if item.kind == "identifier":
        return "".join("0" if c.isdigit() else c for c in item.key).rstrip("0").replace("00", "0") or "0"
    return ""


def is_derived(item: Item, known: Iterable[Item]) -> bool:
    """Whether a number follows from known ones, or a date from one and a number of days. A number without a unit may follow
    from any."""
    if item.kind == "date":
        return _is_counted_day(item, known)
    if not item.figure:
        return False
    value = _value(item)
    counted = list({(k.kind, k.key): k for k in known if k.figure}.values())[:MAX_KNOWN_COUNT]
    if any(says_same(item, k) for k in counted):
        return True
    alike = sorted(_value(k) for k in counted if _may_be_added(item, k))
    if _is_sum(value, alike):
        return True
    percents = [_value(k) for k in counted if k.key.endswith(" %")]
    sizes = sorted(abs(b) for b in (*map(_value, counted), *map(float, _SMALL)) if b)
    for one in alike:
        shares = (r for p in percents for r in (one * p / 100, one * (1 + p / 100), one * (1 - p / 100)))
        is_one = _is_multiple(value, abs(one), sizes) or any(_is_close(value, r) for r in shares)
        if is_one and not _is_one_digit_off(value, one):
            return True
    return item.kind == "quantity" and item.key.endswith(" %") and _is_percentage(value, sorted(map(_value, counted)))


def _is_counted_day(item: Item, known: Iterable[Item]) -> bool:
    """Whether a date is so many days, nights or weeks from a known one."""
    day = _day(item.key)
    if day is None:
        return False
    held = list(known)[:MAX_KNOWN_COUNT]
    counts = {round(float(k.figure) * _DAYS[make_of(k)]) for k in held if k.kind == "quantity" and make_of(k) in _DAYS}
    days = [other for k in held if k.kind == "date" and (other := _day(k.key)) is not None]
    return any(abs((day - other).days) in counts for other in days)


_DAYS = {"day": 1, "night": 1, "week": 7, "fortni": 14}


def _day(key: str) -> date | None:
    try:
        return date.fromisoformat(key if key[0] != "-" else f"2000{key[1:]}")
    except ValueError:
        return None


def _may_be_added(item: Item, known: Item) -> bool:
    if item.kind == "number" or known.kind == "number":
        return True
    return item.kind == known.kind and (make_of(item) == make_of(known) or dimension_of(item) != "")


# What follows looks for the second number of a pair where it has to lie among sorted ones: to try all pairs takes twenty times as
# long, and is asked for each new number of a run.


def _is_sum(value: float, alike: list[float]) -> bool:
    """Whether a number is a sum or a difference of two, twice one, or the sum of all."""
    low, high = _about(value)
    for at, one in enumerate(alike):
        for first, last in ((low - one, high - one), (-high - one, -low - one)):
            if any(_tells(value, one + alike[k], one, alike[k]) for k in _between(alike, first, last)):
                return True
        for first, last in ((one - high, one - low), (one + low, one + high)):
            if any(k != at and _tells(value, one - alike[k], one, alike[k]) for k in _between(alike, first, last)):
                return True
    return len(alike) > 2 and _tells(value, sum(alike), *alike)


def _is_multiple(value: float, one: float, sizes: list[float]) -> bool:
    """Whether a number is one times another, or divided by it; whichever their signs are."""
    low, high = _about(value)
    if not one:
        return _is_close(value, 0)
    least = one / high if high else 0
    return any(_is_close(value, one * sizes[k]) for k in _between(sizes, low / one, high / one)) or any(
        _is_close(value, one / sizes[k]) for k in _between(sizes, least, one / low if low > 0 else inf)
    )


def _is_percentage(value: float, figures: list[float]) -> bool:
    """Whether a number is what percentage one is of another, or by how much it is more or less."""
    low, high = (part / 100 for part in _about(value))
    for whole in filter(None, figures):
        size = abs(whole)
        spans = ((low * size, high * size), (-high * size, -low * size))
        for first, last in (*spans, *((whole + first, whole + last) for first, last in spans)):
            for part in (figures[k] for k in _between(figures, first, last)):
                ratios = (100 * part / whole, 100 * (part - whole) / whole)
                if part != whole and any(_is_close(value, ratio) for ratio in ratios):
                    return True
    return False


def _between(ordered: list[float], first: float, last: float) -> range:
    """The places of those of sorted numbers that lie between two."""
    return range(bisect_left(ordered, first), bisect_right(ordered, last))


def _about(value: float) -> tuple[float, float]:
    """Between what the size of a result lies that is close to a number, a little more than needed."""
    size = abs(value)
    return size / (1 + 2 * _CLOSE_RATIO) - _LEAST, size / (1 - 2 * _CLOSE_RATIO) + _LEAST


def _tells(value: float, result: float, *parts: float) -> bool:
    """Whether a number is close to a sum, and nearer than its least part is large: else anything near a large number were one."""
    return _is_close(value, result) and abs(abs(value) - abs(result)) <= _PART_RATIO * min(map(abs, parts))


def _value(item: Item) -> float:
    """A number with its scale: `38.9M EUR` is 38,900,000."""
    return float(item.key.partition(" ")[0])


def _is_close(value: float, result: float) -> bool:
    return abs(abs(value) - abs(result)) <= _CLOSE_RATIO * max(abs(result), _LEAST)


def _is_one_digit_off(value: float, known: float) -> bool:
    """Whether a number is a known one with a nought more or fewer: a slip far more often than a product."""
    return known != 0 and any(abs(value / known - f) < 1e-9 for f in (10.0, 0.1))
