"""Whether a number follows from other numbers: a sum, a difference, a share, a multiple, a percentage of them, a conversion.

Invariant: pure, and bounded by `MAX_KNOWN_COUNT` of the known numbers. What is added must be of one make (prices to prices); a
small whole number may divide or multiply a known one and is never added to it, for then any slip would be a sum. Called by
whoever tells work from damage.
"""

from collections.abc import Iterable, Iterator
from datetime import date

from trajectory.detection.items import Item
from trajectory.detection.units import dimension_of, says_same

MAX_KNOWN_COUNT = 150
_CLOSE_RATIO = 0.0051  # what rounding leaves
_PART_RATIO = 0.05  # of the least part of a sum, that a sum may be off
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
    alike = [_value(k) for k in counted if _may_be_added(item, k)]
    percents = [_value(k) for k in counted if k.key.endswith(" %")]
    others = [*(_value(k) for k in counted), *map(float, _SMALL)]
    if any(_is_close(value, result) and _tells(value, result, least) for result, least in _sums(alike)):
        return True
    for one in alike:
        results = (r for b in others if b for r in (one * b, one / b))
        shares = (r for p in percents for r in (one * p / 100, one * (1 + p / 100), one * (1 - p / 100)))
        if any(_is_close(value, r) for r in (*results, *shares)) and not _is_one_digit_off(value, one):
            return True
    if item.kind == "quantity" and item.key.endswith(" %"):
        figures = [_value(k) for k in counted]
        ratios = (r for a in figures for b in figures if b and a != b for r in (100 * a / b, 100 * (a - b) / b))
        return any(_is_close(value, r) for r in ratios)
    return False


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


def _sums(alike: list[float]) -> Iterator[tuple[float, float]]:
    """Sums and differences of two, and the sum of all, each with the least that went into it."""
    for at, one in enumerate(alike):
        for other in alike[at + 1 :]:
            least = min(abs(one), abs(other))
            yield one + other, least
            yield abs(one - other), least
        yield one + one, abs(one)
    if len(alike) > 2:
        yield sum(alike), min(map(abs, alike))


def _tells(value: float, result: float, least: float) -> bool:
    """Whether a number is nearer to a sum than its least part is large: else anything near a large number were a sum."""
    return abs(abs(value) - abs(result)) <= _PART_RATIO * least


def _value(item: Item) -> float:
    """A number with its scale: `38.9M EUR` is 38,900,000."""
    return float(item.key.partition(" ")[0])


def _is_close(value: float, result: float) -> bool:
    return abs(abs(value) - abs(result)) <= _CLOSE_RATIO * max(abs(result), 1e-9)


def _is_one_digit_off(value: float, known: float) -> bool:
    """Whether a number is a known one with a nought more or fewer: a slip far more often than a product."""
    return known != 0 and any(abs(value / known - f) < 1e-9 for f in (10.0, 0.1))
