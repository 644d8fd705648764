"""What is published of the book: an immutable copy, whose counts never go back.

Invariant: another thread may read a `Published` as long as it likes; making one costs as much as changed since the last. A series
of which something was taken back stands still until it is above that again, for whoever counts takes less for a restart. Made by
the collector's loop, read by `/metrics`.
"""

from collections.abc import Mapping
from typing import NamedTuple

from trajectory.signals.book import Book, Exemplar, Labels
from trajectory.signals.figures import Figures, Spread

_SPREADS = ("seconds", "first_chunk", "input_tokens", "output_tokens")
_COUNTS = tuple(name for name in Figures.__struct_fields__ if name not in _SPREADS)


class Vital(NamedTuple):
    """One number of the collector's own health. `is_count`: it only grows."""

    name: str
    meaning: str
    value: float
    is_count: bool


class Published(NamedTuple):
    """The totals since the process began, by label; exemplars by label and bucket; the collector's health."""

    series: Mapping[Labels, Figures] = {}
    exemplars: Mapping[Labels, tuple[tuple[int, Exemplar], ...]] = {}
    vitals: tuple[Vital, ...] = ()
    about: Mapping[str, str] = {}  # what the collector says of itself: version, store


class Publishing:
    """Copies a book, what changed in it each time."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._series: dict[Labels, Figures] = {}
        self._exemplars: dict[Labels, tuple[tuple[int, Exemplar], ...]] = {}

    def copy(self, vitals: tuple[Vital, ...], about: Mapping[str, str]) -> Published:
        """The book as it stands now."""
        touched, self._book.touched = self._book.touched, set()
        for labels in touched:
            self._series[labels] = at_least(self._book.totals[labels], self._series.get(labels))
            if labels in self._book.exemplars:
                self._exemplars[labels] = tuple(self._book.exemplars[labels].items())
        return Published(dict(self._series), dict(self._exemplars), vitals, about)


def at_least(now: Figures, before: Figures | None) -> Figures:
    """A copy of figures, of which nothing is less than before."""
    copied = Figures(**{name: getattr(now, name) for name in _COUNTS})
    for name in _SPREADS:
        spread: Spread = getattr(now, name)
        setattr(copied, name, Spread(spread.count, spread.sum, list(spread.buckets)))
    if before is not None:
        for name in _COUNTS:
            if getattr(before, name) > getattr(copied, name):
                setattr(copied, name, getattr(before, name))
        for name in _SPREADS:
            _raise(getattr(copied, name), getattr(before, name))
    return copied


def _raise(spread: Spread, before: Spread) -> None:
    spread.sum = max(spread.sum, before.sum)
    if before.buckets:
        spread.buckets = list(map(max, spread.buckets or before.buckets, before.buckets))
        spread.count = sum(spread.buckets)
