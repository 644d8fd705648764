"""What values are known so far: a growing set that is asked by meaning.

Invariant: bounded; beyond the bounds everything counts as known, so that a detector that ran out of room is silent and never
wrong. Called by the detectors that walk a timeline.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

from trajectory.detection.derived import MAX_KNOWN_COUNT, is_derived, make_of
from trajectory.detection.items import Item, keys_of, lookup_key
from trajectory.detection.words import stems

MAX_VALUES_COUNT = 50_000
FIGURE, LETTERS = "figure", "letters"
_NEAR_CHARS = 60
_APART = re.compile(r"[^a-z0-9]+")

Key = tuple[str, str]


class Known:
    """Values, each under all the keys that it may be asked by."""

    def __init__(self) -> None:
        self._keys: set[Key] = set()
        self._numbers: dict[str, Item] = {}
        self.is_full = False

    def add(self, items: Iterable[Item]) -> None:
        """Takes values in."""
        for item in items:
            if len(self._keys) > MAX_VALUES_COUNT:
                self.is_full = True
                return
            self._keys.update(all_keys(item))
            if item.figure or item.kind == "date":
                self._numbers.pop(item.key, None)
                self._numbers[item.key] = item
                if len(self._numbers) > MAX_KNOWN_COUNT:
                    del self._numbers[next(iter(self._numbers))]

    def __contains__(self, item: Item) -> bool:
        return self.is_full or not self._keys.isdisjoint(asking_keys(item))

    def implies(self, item: Item, beside: Iterable[Item] = ()) -> bool:
        """Whether a number follows from the latest numbers that are known, and from how many of what stand beside it."""
        counts = (other for other in beside if other.figure and other.kind != item.kind and other.figure != item.figure)
        return is_derived(item, [*counts, *self._numbers.values()])


def all_keys(item: Item) -> list[Key]:
    """The keys under which a value is found."""
    keys = keys_of(item)
    if item.figure:
        keys.append((FIGURE, item.figure.lstrip("-")))
    if item.kind == "identifier":
        keys.append((LETTERS, _APART.sub("", item.key)))
    return keys


def asking_keys(item: Item) -> list[Key]:
    """The keys by which a value asks: a number by its digits alone, an identifier also by its letters and digits alone."""
    if item.figure:
        return [(FIGURE, item.figure.lstrip("-"))]
    if item.kind == "identifier":
        return [lookup_key(item), (LETTERS, _APART.sub("", item.key)), (FIGURE, item.key.lstrip("0"))]
    return [lookup_key(item)]


def key_of(item: Item) -> Key:
    """The one key by which a value is remembered."""
    return asking_keys(item)[0]


def may_replace(was: Item, now: Item) -> bool:
    """Whether two values are of one kind and one make, so that one can be mistaken for the other: two amounts in one currency,
    two identifiers of one pattern of letters and digits."""
    if was.kind != now.kind or key_of(was) == key_of(now) or was.kind not in _KINDS:
        return False
    if was.kind == "number" and not (_is_code(was) and _is_code(now)):
        return False
    return shape_of(was) == shape_of(now)


_KINDS = ("money", "quantity", "identifier", "email", "date", "time", "number")
_YEARS = range(1800, 2100)


def shape_of(item: Item) -> str:
    """A value's pattern: of an identifier, its fixed letters and where its others and its digits are; of a bare number, how many
    digits it has."""
    if item.kind == "number":
        return f"{len(item.figure)} digits"
    return _pattern_of(item.key) if item.kind == "identifier" else make_of(item)


def _is_code(item: Item) -> bool:
    """Whether a bare number stands for something (a post code, the end of a card) and is no count and no year."""
    return item.figure.isdigit() and len(item.figure) >= 4 and item.text.isdigit() and int(item.figure) not in _YEARS


@lru_cache(maxsize=8192)
def _pattern_of(key: str) -> str:
    runs = re.findall(r"[a-z]+|\d+|[^a-z\d]+", key)
    return "".join(
        f"9{len(run) if len(runs) == 1 or len(run) > 3 else ''}" if run.isdigit() else ("a" if len(run) < 4 else run)
        for run in runs
    )


def words_near(item: Item, said: str) -> set[str]:
    """The stems of the words about a value in a plain text."""
    end = item.start + len(item.text)
    return stems(f"{said[max(item.start - _NEAR_CHARS, 0) : item.start]} {said[end : end + _NEAR_CHARS]}")
