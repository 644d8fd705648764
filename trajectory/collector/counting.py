"""What was counted, to be put together by what is asked: of the last minutes, of one trace, of a store at rest.

Invariant: read-only. What an earlier release stored was never counted: how many such traces there are is said, or they are folded
now where somebody waits for it. Called by the publisher's libraries and by `trajectory metrics`.
"""

from collections.abc import Iterator
from typing import NamedTuple

from trajectory.collector.folded import FoldedTrace
from trajectory.signals.book import KEPT_MINUTES, Book, Labels, label_groups
from trajectory.signals.figures import WINDOW_NS, Figures, Group, group_of
from trajectory.signals.prices import default_prices
from trajectory.signals.tally import TraceTally, read_saved
from trajectory.store.contract import Reader, TallyRow

_MAX_TALLIES = 20_000  # read of a store at rest, the newest
_MOST_FINE = 2_000  # spans: so many are summed up anew in some ten milliseconds, and what is dear is asked less often
_UNITS_NS = tuple(seconds * 1_000_000_000 for seconds in (1, 2, 5, 10, 20, 30))

Point = tuple[int, Labels, Figures]


class Counted(NamedTuple):
    """The sums of windows, and up to when they are."""

    book: Book
    newest_ns: int
    uncounted: int = 0
    is_loading: bool = False


def trace_points(folded: FoldedTrace) -> Iterator[Point]:
    """A trace's own points; one that is not being counted, because it is only looked at, is counted for itself."""
    tally = folded.tally or folded.trace.notes.get(TraceTally)
    if tally is None:
        tally = folded.trace.notes[TraceTally] = TraceTally(folded.trace, default_prices())
    tally.look()
    return label_groups(tally.tally)


def finely(folded: FoldedTrace, unit_ns: int) -> list[Point]:
    """A trace's own points in windows of `unit_ns`; `trace_points` must have looked at it."""
    tally = folded.tally or folded.trace.notes[TraceTally]
    found: dict[tuple[int, Labels], Figures] = {}
    for measure in tally.current():
        key = measure.at_ns // unit_ns, Labels(*group_of(measure)[1:])
        found.setdefault(key, Figures()).put(measure)
    return [(window, labels, figures) for (window, labels), figures in found.items()]


def unit_of(folded: FoldedTrace, most: int) -> int:
    """How long a window of a trace is to be that is shown whole in so many: less than a minute where it is short and small."""
    took_ns = folded.trace.last_ns - folded.trace.first_ns
    if len(folded.trace.spans) > _MOST_FINE or most < 1:
        return WINDOW_NS
    return next((unit for unit in _UNITS_NS if took_ns <= unit * most), WINDOW_NS)


def counted_at_rest(reader: Reader) -> Counted:
    """What a store knows of the month before its newest work, its newest traces first."""
    newest_ns = next((row.last_ns for row in reader.tallies()), 0)
    book, since = Book(), max(newest_ns // WINDOW_NS + 1 - KEPT_MINUTES, 0)
    book.passes(newest_ns)
    for _, row in zip(range(_MAX_TALLIES), reader.tallies(since * WINDOW_NS), strict=False):
        saved = read_saved(row.body)
        if saved is not None:
            book.add(dict(saved.groups), is_new=False)
            book.passes(newest_ns)
    return Counted(book, newest_ns, len(reader.untallied()))


def saved_groups(row: TallyRow | None) -> list[Group]:
    """Of what there was work in a trace, by what is saved of it."""
    saved = read_saved(row.body) if row is not None else None
    return [group for group, _ in saved.groups] if saved is not None else []


def saved_points(reader: Reader, since: int) -> Iterator[Point]:
    """The points of the saved tallies in windows from a minute on."""
    for row in reader.tallies(since * WINDOW_NS):
        saved = read_saved(row.body)
        for group, figures in saved.groups if saved is not None else ():
            if group.window >= since:
                yield group.window, Labels(*group[1:]), figures
