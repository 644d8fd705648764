"""A sentence that was taken over word for word, but for one value.

Invariant: all other words of the sentence are those of the one that it was taken from, which are several, and all other values
too. A value in fewer digits is rounded, and a sentence in other words may be about something else: neither counts. Pure, linear
in the two texts. Called by the detector of ignored results.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from trajectory.detection.constraints import SENTENCE
from trajectory.detection.items import Item
from trajectory.detection.words import stems

_LEAST_WORDS_COUNT = 4
_MAX_SENTENCES_COUNT = 200
_KINDS = ("identifier", "money", "quantity", "email", "date", "time", "number")


class _Sentence(NamedTuple):
    """The stems of a sentence's words that are no value, and its values in order."""

    words: frozenset[str]
    values: list[Item]


def miscopied(text: str, values: list[Item], later: str, later_values: list[Item]) -> tuple[Item, Item] | None:
    """The value of a text, and the one that stands in its place in a later text; None where all was taken over as it was. Texts
    are in their normal form, the values with their places in them."""
    sentences = list(_sentences(text, values))
    held = {(item.kind, item.key) for item in values}
    for copy in _sentences(later, later_values):
        for one in sentences:
            pair = _one_apart(one, copy) if one.words == copy.words else None
            if pair is not None and (pair[1].kind, pair[1].key) not in held:
                return pair
    return None


def _sentences(text: str, values: Iterable[Item]) -> Iterator[_Sentence]:
    """Sentences with values, and with words enough to be known again."""
    left = sorted((v for v in values if v.kind in _KINDS), key=lambda v: v.start)
    count = 0
    for match in SENTENCE.finditer(text):
        held: list[Item] = []
        while left and left[0].start < match.end():
            held.append(left.pop(0))
        if not held:
            continue
        count += 1
        if count > _MAX_SENTENCES_COUNT:
            return
        words = stems(match[0]).difference(*(stems(v.text) for v in held))
        if len(words) >= _LEAST_WORDS_COUNT:
            yield _Sentence(frozenset(words), held)


def _one_apart(one: _Sentence, copy: _Sentence) -> tuple[Item, Item] | None:
    """The one value that differs, where it is of the same kind and told as exactly."""
    if len(one.values) != len(copy.values):
        return None
    apart = [(was, now) for was, now in zip(one.values, copy.values, strict=True) if was.key != now.key]
    if len(apart) != 1:
        return None
    was, now = apart[0]
    return apart[0] if was.kind == now.kind and _places(was) == _places(now) else None


def _places(item: Item) -> int:
    return len(item.figure.partition(".")[2])
