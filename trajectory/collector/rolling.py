"""The book rolled up for plots: sums by what is asked, in windows of one length, kept while nothing in them changes.

Invariant: what is kept is what would be summed up anew; who asks again pays for the windows that changed since, and one answer
for a few milliseconds of it: the newest windows come first, and the next answer goes on. Bounded in questions. One for each
publisher; called by `signal_rows`.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from trajectory.signals.book import Book, Labels
from trajectory.signals.figures import Figures
from trajectory.signals.measures import Kind

MAX_QUESTIONS = 16
BUDGET_NS = 15_000_000  # of one answer
_NEWEST = 2  # windows that are likely to change

Key = tuple[str, str]  # a series: its name and kind
Found = tuple[str, ...]  # of a finding: its kind, severity, agent, service, and what it is of
NameOf = Callable[[Labels], Key | None]  # None: it is not asked for
FoundOf = Callable[[Labels], Found | None]


class Slot:
    """The sums of one window of a plot, and the findings in it."""

    __slots__ = ("found", "series", "stamp")

    def __init__(self, stamp: tuple[int, ...] = ()) -> None:
        self.stamp = stamp
        self.series: dict[Key, Figures] = {}
        self.found: dict[Found, int] = {}

    def put(self, labels: Labels, figures: Figures, name_of: NameOf, found_of: FoundOf) -> None:
        """Adds what is asked for of one group."""
        if labels.kind == Kind.FINDING:
            found = found_of(labels)
            if found is not None:
                self.found[found] = self.found.get(found, 0) + figures.count
        key = name_of(labels)
        if key is not None:
            sums = self.series.get(key)
            if sums is None:
                sums = self.series[key] = Figures()
            sums.add(figures)


class Sums(NamedTuple):
    """Slots by the minute in which they begin, and of each series all of it; not `is_whole`: older ones are yet to come."""

    slots: dict[int, Slot]
    totals: dict[Key, Figures]
    is_whole: bool = True


class _Kept:
    def __init__(self) -> None:
        self.slots: dict[int, Slot] = {}
        self.before: tuple[object, dict[Key, Figures]] = (None, {})  # all but the newest slots, and their sums


class Rolling:
    """What was summed up of a book, by question. `question` is whatever `name_of` and `found_of` follow from."""

    def __init__(self, budget_ns: int = BUDGET_NS) -> None:
        self._budget_ns = budget_ns
        self._kept: OrderedDict[object, _Kept] = OrderedDict()

    def sums(
        self, book: Book, begin: int, width: int, question: object, name_of: NameOf, found_of: FoundOf
    ) -> Sums:  # fmt: skip
        """The windows of a book from a minute on, a multiple of `width`, in slots of so many minutes."""
        kept = self._kept.pop((question, width), None) or _Kept()
        self._kept[question, width] = kept
        while len(self._kept) > MAX_QUESTIONS:
            self._kept.popitem(last=False)
        windows: dict[int, list[int]] = {}
        for window in book.windows:
            if window >= begin:
                windows.setdefault(window - window % width, []).append(window)
        slots: dict[int, Slot] = {}
        began_ns, is_whole = time.monotonic_ns(), True
        for at in sorted(windows, reverse=True):
            stamp = (len(windows[at]), *sorted(book.stamps[window] for window in windows[at])[-2:])
            slot = kept.slots.get(at)
            if slot is None or slot.stamp != stamp:
                if time.monotonic_ns() - began_ns > self._budget_ns:
                    is_whole = False
                    if slot is not None:
                        slots[at] = slot  # as it was
                    continue
                slot = Slot(stamp)
                for window in windows[at]:
                    for labels, figures in book.windows[window].items():
                        slot.put(labels, figures, name_of, found_of)
            slots[at] = slot
        kept.slots = slots
        older, newest = [*slots.items()][_NEWEST:], [*slots.values()][:_NEWEST]
        stamps = tuple((at, slot.stamp) for at, slot in older)
        if kept.before[0] != stamps:
            kept.before = stamps, totals_of(slot for _, slot in older)
        return Sums(slots, totals_of(newest, kept.before[1]), is_whole)


def totals_of(slots: Iterable[Slot], before: dict[Key, Figures] | None = None) -> dict[Key, Figures]:
    """The sums of slots, and of what is known `before` them."""
    totals: dict[Key, Figures] = {}
    for key, figures in (before or {}).items():
        totals[key] = Figures()
        totals[key].add(figures)
    for slot in slots:
        for key, figures in slot.series.items():
            if key not in totals:
                totals[key] = Figures()
            totals[key].add(figures)
    return totals
