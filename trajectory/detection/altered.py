"""What of a request a task carries changed: another number, date, identifier or unit in one place, a bound the other way round,
a condition that lost its no.

Invariant: a value counts as altered only where one value of the request is missing on the other side, exactly one new value
of the same kind stands there among the same words, and the new one was known to the delegator from nowhere and follows from
nothing that it knew: a sum, a difference, a share or a multiple is work, not damage. A condition counts as turned only where its
own words stand on the other side. Pure; called by `lost`.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from trajectory.detection.boundary import Boundary
from trajectory.detection.constraints import Constraint, is_negated
from trajectory.detection.derived import is_derived, make_of
from trajectory.detection.items import CURRENCIES, Item, items_in
from trajectory.detection.reader import Reader
from trajectory.detection.units import dimension_of, unit_of
from trajectory.detection.words import around, plain, shorten, stems

_KINDS = ("money", "quantity", "date", "time", "period", "identifier", "number", "email")
_NEAR_CHARS = 40
_TELLING_COUNT = 2  # words that a condition has at least, to be known by them
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
    novel = [i for i in novel if not is_derived(i, asked) and not _is_known_day(i, boundary)]
    texts = [reader.text(d) or "" for d in boundary.sent.readable]
    if missing and novel:
        yield from _paired(_placed(boundary.asked_texts, missing), _placed(texts, novel), _bounded(boundary, reader))
    yield from _remeasured(asked, sent, boundary, texts)


def _is_known_day(item: Item, boundary: Boundary) -> bool:
    """Whether a date with a year is one that the delegator knew without."""
    return item.kind == "date" and item._replace(key=f"-{item.key[4:]}") in boundary.known


def turned(
    constraints: Iterable[Constraint], boundary: Boundary, reader: Reader
) -> Iterator[tuple[Constraint, Alteration]]:
    """The conditions that crossed a boundary with the same words and the other sense."""
    told: list[Constraint] = []
    sentences: list[tuple[str, frozenset[str]]] = []
    for digest in boundary.sent.readable:
        told += reader.told(digest)
        sentences += reader.sentences(digest).items()
    for one in constraints:
        if one.direction:
            now = _other_way_round(one, told)
        else:
            now = _without_its_no(one, sentences) if one.is_negative else _with_a_no(one, told)
        if now:
            yield one, Alteration(one.text, now, one.text, now, 0.85, "")


def _other_way_round(one: Constraint, told: list[Constraint]) -> str:
    """A bound of the same values that points the other way, where none points the same way."""
    keys = {v.key for v in one.values}
    alike = [c for c in told if c.direction and keys and keys <= {v.key for v in c.values}]
    if not alike or any(c.direction == one.direction for c in alike):
        return ""
    return alike[0].text


def _without_its_no(one: Constraint, sentences: list[tuple[str, frozenset[str]]]) -> str:
    """A sentence with all the words of what must not be, which says that it is to be."""
    if one.values or len(one.stems) < _TELLING_COUNT:
        return ""
    alike = [said for said, held in sentences if one.stems <= held]
    return shorten(alike[0], 120) if alike and not any(is_negated(said) for said in alike) else ""


def _with_a_no(one: Constraint, told: list[Constraint]) -> str:
    """A condition with the words of what must be, which says that it must not be."""
    if one.values or one.kind not in ("modal", "exclusion") or one.is_only or len(one.stems) < _TELLING_COUNT:
        return ""
    alike = [c for c in told if one.stems <= c.stems]
    return alike[0].text if alike and all(c.is_negative for c in alike) else ""


def _remeasured(asked: list[Item], sent: list[Item], boundary: Boundary, texts: list[str]) -> Iterator[Alteration]:
    """Values with the figure of before in another currency or another unit of measure."""
    for was in _once(i for i in asked if i.kind in ("money", "quantity")):
        now = [i for i in sent if i.kind == was.kind and i.figure == was.figure]
        if not now or any(i.key == was.key for i in now):
            continue
        changed = [
            i for i in now if _is_other_measure(was, i) and (i.kind, i.key) not in {(a.kind, a.key) for a in asked}
        ]
        if len(changed) == len(now):
            before, after = _placed(boundary.asked_texts, [was]), _placed(texts, changed[:1])
            if before and after:
                yield Alteration(was.text, changed[0].text, before[0].quote, after[0].quote, 0.85, was.key)


def _is_other_measure(was: Item, now: Item) -> bool:
    if was.kind == "money":
        ours, theirs = make_of(was), make_of(now)
        return ours in CURRENCIES and theirs in CURRENCIES and ours != theirs
    return bool(dimension_of(was) and dimension_of(now)) and unit_of(was) != unit_of(now)


def _bounded(boundary: Boundary, reader: Reader) -> dict[str, int]:
    """The values of the request's and of the task's bounds, with their directions."""
    asked = (c for digest in boundary.asked for c in reader.constraints(digest))
    told = (c for digest in boundary.sent.readable for c in reader.told(digest))
    return {value.key: c.direction for c in (*asked, *told) if c.direction for value in c.values}


def _paired(missing: list[_Placed], novel: list[_Placed], bounds: dict[str, int]) -> Iterator[Alteration]:
    """Values that went and came in one place, where no other could be meant."""

    def _may_replace(was: _Placed, now: _Placed) -> bool:
        return _is_alike(was, now) and (bool(was.near & now.near) or _is_one_bound(was.item, now.item, bounds))

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


def _is_alike(was: _Placed, now: _Placed) -> bool:
    """Whether two values are of one kind and one unit or make."""
    return was.item.kind == now.item.kind and make_of(was.item) == make_of(now.item)


def _is_one_bound(was: Item, now: Item, bounds: dict[str, int]) -> bool:
    """Whether two values are bounds in the same direction."""
    direction = bounds.get(was.key, 0)
    return direction != 0 and direction == bounds.get(now.key, 0)
