"""Which of a request's values a task carries changed: another number, date or identifier in the same place.

Invariant: a value counts as altered only where one value of the request is missing on the other side, exactly one new value
of the same kind stands there among the same words, and the new one was known to the delegator from nowhere and follows from
nothing that it knew: a sum, a difference, a share or a multiple is work, not damage. Pure; called by `lost`.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from trajectory.detection.boundary import Boundary
from trajectory.detection.items import Item, items_in
from trajectory.detection.reader import Reader
from trajectory.detection.words import around, plain, stems

_KINDS = ("money", "quantity", "date", "period", "identifier", "number")
_NEAR_CHARS = 40
_MAX_VALUES_COUNT = 60  # of one side: beyond, a text is data and not a brief


class Alteration(NamedTuple):
    """A value as it was and as it became, each with the words about it."""

    was: str
    now: str
    before: str
    after: str
    confidence: float
    key: str  # of the value as it was


class _Placed(NamedTuple):
    item: Item
    near: set[str]
    quote: str


def alterations(boundary: Boundary, reader: Reader) -> Iterator[Alteration]:
    """The values that crossed a boundary changed, in the request's order."""
    sent = [i for i in boundary.sent.items() if i.kind in _KINDS]
    asked = [i for i in boundary.asked_items if i.kind in _KINDS] if sent else []
    if not asked or max(len(asked), len(sent)) > _MAX_VALUES_COUNT:
        return
    missing = _once(i for i in asked if i not in boundary.sent and i not in boundary.received)
    novel = _once(i for i in sent if i not in boundary.known) if missing else []
    figures = [float(i.figure) for i in asked if i.figure]
    novel = [i for i in novel if not is_derived(i, figures)]
    if missing and novel:
        texts = [reader.text(d) or "" for d in boundary.sent.readable]
        yield from _paired(_placed(boundary.asked_texts, missing), _placed(texts, novel))


def _paired(missing: list[_Placed], novel: list[_Placed]) -> Iterator[Alteration]:
    """Values that went and came in one place, where no other could be meant."""
    for was in missing:
        rivals = [now for now in novel if _may_replace(was, now)]
        if len(rivals) == 1 and sum(1 for other in missing if _may_replace(other, rivals[0])) == 1:
            now = rivals[0]
            confidence = 0.9 if len(was.near & now.near) > 1 else 0.8
            yield Alteration(was.item.text, now.item.text, was.quote, now.quote, confidence, was.item.key)


def _placed(texts: Iterable[str], wanted: list[Item]) -> list[_Placed]:
    """Each value with the words about it, where it first stands in the texts."""
    left = {(i.kind, i.key) for i in wanted}
    found: list[_Placed] = []
    for text in texts:
        said = plain(text)
        for item in items_in(text):
            if (item.kind, item.key) in left:
                left.discard((item.kind, item.key))
                end = item.start + len(item.text)
                words = f"{said[max(item.start - _NEAR_CHARS, 0) : item.start]} {said[end : end + _NEAR_CHARS]}"
                found.append(_Placed(item, stems(words), around(said, item.start, end)))
    return found


def _once(items: Iterable[Item]) -> list[Item]:
    return list({(item.kind, item.key): item for item in items}.values())


def _may_replace(was: _Placed, now: _Placed) -> bool:
    """Whether a new value stands where an old one stood: same kind, same unit or make, some of the same words about it."""
    if was.item.kind != now.item.kind or make_of(was.item) != make_of(now.item):
        return False
    return bool(was.near & now.near)


def make_of(item: Item) -> str:
    """What two values must share to be taken for one another: a unit, a currency, an identifier's letters."""
    if item.kind in ("money", "quantity"):
        return item.key.partition(" ")[2]
    if item.kind == "identifier":
        return "".join("0" if c.isdigit() else c for c in item.key).rstrip("0").replace("00", "0") or "0"
    return ""


def is_derived(item: Item, figures: list[float]) -> bool:
    """Whether a number follows from two of the request's numbers, or from one and a small whole number."""
    if not item.figure:
        return False
    value = float(item.figure)
    known = [*figures, *(float(n) for n in range(2, 13)), 100.0, 1000.0]
    for a in figures:
        for b in known:
            results = (a + b, a - b, b - a, a * b, a / b if b else 0.0, b / a if a else 0.0)
            if any(abs(value - r) <= 0.005 * max(abs(r), 1e-9) for r in results) and not _is_one_digit_off(value, a):
                return True
    return False


def _is_one_digit_off(value: float, known: float) -> bool:
    """Whether a number is a known one with a nought more or fewer: a slip far more often than a sum."""
    return known != 0 and any(abs(value / known - f) < 1e-9 for f in (10.0, 0.1))
