"""The sums over all traces: totals since this process began, and the last month in windows, with the latest trace of each.

Invariant: bounded whatever names come: beyond a limit for each label, and for all of them together, work is summed up under
`other`. Windows are made longer with age, or earlier where there are too many points of one length, until a month has passed.
What is taken back is taken from where it was put. Owned by the collector's loop; what other threads read is a copy.
"""

from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

from trajectory.detection.masking import masked
from trajectory.signals.figures import MAX_NAME_CHARS, OTHER, SECONDS, WINDOW_NS, Figures, Group, Tally
from trajectory.signals.measures import Kind, Measure
from trajectory.signals.tally import Changes
from trajectory.view.text import clean

MAX_SERIES = 4096
DAY_MINUTES = 24 * 60
KEPT_MINUTES = 30 * DAY_MINUTES


class Length(NamedTuple):
    """How long windows are while they are younger than so many minutes, and how many series there may be in them."""

    minutes: int
    until: int
    most: int


# All together about 25 MB. Each length is a multiple of the one before.
LENGTHS = (
    Length(1, 2 * 60, 10_000),
    Length(15, DAY_MINUTES, 8_000),
    Length(60, 7 * DAY_MINUTES, 6_000),
    Length(360, KEPT_MINUTES, 6_000),
)
_AHEAD_MINUTES = 2  # a window that lies further ahead is some clock's fault
_MAX_NAMES = (256, 256, 128, 64, 64, 64)  # name (of each kind), agent, service, version, provider, error
_MAX_PLACED = 20_000
_MAX_READ_CHARS = 1_000  # of a name, for secrets in it; more than is kept, so that none is cut in two


class Labels(NamedTuple):
    """What a series is of; as `figures.Group` without its window."""

    kind: str
    name: str
    agent: str
    service: str
    version: str
    provider: str
    error: str


class Exemplar(NamedTuple):
    """One call that a bucket of durations holds."""

    trace_id: bytes
    seconds: float
    at_ns: int


class Book:
    """`put` and `add` keep it up; `now_ns` is the wall clock of the call."""

    def __init__(self) -> None:
        self.totals: dict[Labels, Figures] = {}
        self.windows: dict[int, dict[Labels, Figures]] = {}
        self.stamps: dict[int, int] = {}  # of each window: another number whenever something in it changed
        self.exemplars: dict[Labels, dict[int, Exemplar]] = {}
        self.touched: set[Labels] = set()  # totals that changed; emptied by whoever copies them
        self.version = 0
        self._placed: dict[tuple[str, ...], Labels] = {}
        self._names: dict[tuple[str, int], set[str]] = {}
        self._from = [0] * len(LENGTHS)  # minutes: from where on windows are of each length
        self._newest = 0
        self._counts = [0] * len(LENGTHS)  # points in windows of each length
        self._stamp = 0

    def put(self, changes: Changes, trace_id: bytes, now_ns: int) -> None:
        """What a trace adds to the whole and takes back."""
        self.passes(now_ns)
        for measure in changes.removed:
            self._put(measure, -1)
        for measure in changes.added:
            labels = self._put(measure, 1)
            if measure.duration_s is not None:
                latest = self.exemplars.setdefault(labels, {})
                at = bisect_left(SECONDS, measure.duration_s)
                latest[at] = Exemplar(trace_id, measure.duration_s, measure.at_ns)
        if changes.tally:
            self.add(changes.tally)
        self.version += 1

    def add(self, tally: Tally, *, is_new: bool = True) -> None:
        """Sums of a trace; those that an earlier process counted (not `is_new`) go into the windows only."""
        for group, figures in tally.items():
            labels = self._labels(group[1:])
            if is_new:
                self.totals.setdefault(labels, Figures()).add(figures)
                self.touched.add(labels)
            window = self._window(group.window)
            if window is not None:
                self._at(window, labels).add(figures)
        self.version += 1

    def passes(self, now_ns: int) -> None:
        """Time passes: old windows are made longer, and go."""
        newest = now_ns // WINDOW_NS
        is_full = any(count > length.most for count, length in zip(self._counts, LENGTHS, strict=True))
        if newest == self._newest and not is_full:
            return
        self._newest = newest
        if (
            newest < self._from[1]
        ):  # a clock that was ahead by a day and more is right again: all that it made has no place
            self.windows.clear()
            self.stamps.clear()
            self._from, self._counts = [0] * len(LENGTHS), [0] * len(LENGTHS)
        for at, length in enumerate(LENGTHS):
            grid = LENGTHS[min(at + 1, len(LENGTHS) - 1)].minutes  # a window of the next length is whole
            begin = newest - length.until
            self._age(at, begin - begin % grid)
            while self._counts[at] > length.most:
                oldest = min(window for window in self.windows if self._from[at] <= window < self._end_of(at))
                begin = oldest - oldest % grid + grid
                if length is LENGTHS[-1] and begin > newest:
                    break  # it is of now
                self._age(at, begin)

    def since(self, minute: int) -> Iterator[tuple[int, Labels, Figures]]:
        """All points of windows from a minute on, in no order."""
        for window, series in self.windows.items():
            if window >= minute:
                for labels, figures in series.items():
                    yield window, labels, figures

    def window_minutes(self, minute: int) -> int:
        """How long windows are at a minute."""
        return next((length.minutes for at, length in enumerate(LENGTHS) if minute >= self._from[at]), KEPT_MINUTES)

    def _end_of(self, at: int) -> int:
        """Before which minute windows are of a length."""
        return min([self._newest + _AHEAD_MINUTES + 1, *self._from[:at]])

    def _age(self, at: int, begin: int) -> None:
        """Windows of a length that begin before a minute are made longer, or go."""
        if begin <= self._from[at]:
            return
        old, before = self._from[at], self._end_of(at)
        self._from[at] = begin
        for window in [each for each in self.windows if old <= each < min(begin, before)]:
            gone = self.windows.pop(window)
            del self.stamps[window]
            self._counts[at] -= len(gone)
            longer_window = self._window(window)
            if longer_window is not None:
                for labels, figures in gone.items():
                    self._at(longer_window, labels).add(figures)

    def _put(self, measure: Measure, times: int) -> Labels:
        labels = self._labels(
            (
                measure.kind, measure.name, measure.agent, measure.service, measure.version, measure.provider, measure.error,
            )
        )  # fmt: skip
        figures = self.totals.get(labels)
        if figures is None:
            figures = self.totals[labels] = Figures()
        figures.put(measure, times)
        self.touched.add(labels)
        window = self._window(measure.at_ns // WINDOW_NS)
        if window is not None:
            self._at(window, labels).put(measure, times)
        return labels

    def _window(self, minute: int) -> int | None:
        """The window in which a minute is summed up now; None where it is too old, or yet to come."""
        if minute > self._newest + _AHEAD_MINUTES:
            return None
        for begin, length in zip(self._from, LENGTHS, strict=True):
            if minute >= begin:
                return minute - minute % length.minutes
        return None

    def _at(self, window: int, labels: Labels) -> Figures:
        self._stamp += 1
        self.stamps[window] = self._stamp
        series = self.windows.get(window)
        if series is None:
            series = self.windows[window] = {}
        figures = series.get(labels)
        if figures is None:
            figures = series[labels] = Figures()
            self._counts[next(at for at, begin in enumerate(self._from) if window >= begin)] += 1
        return figures

    def _labels(self, said: tuple[str, ...]) -> Labels:
        placed = self._placed.get(said)
        if placed is None:
            cut = tuple(masked(clean(text[:_MAX_READ_CHARS]))[:MAX_NAME_CHARS] for text in said)
            placed = self._placed.get(cut) or self._place(cut)
            if (
                len(self._placed) >= _MAX_PLACED
            ):  # names come from agents; where they went follows from the names that are known
                self._placed.clear()
            self._placed[cut] = placed
            if all(len(text) <= MAX_NAME_CHARS for text in said):
                self._placed[said] = placed
        return placed

    def _place(self, cut: tuple[str, ...]) -> Labels:
        kind, *rest = cut
        labels = Labels(kind, *(self._known(kind, at, text) for at, text in enumerate(rest)))
        if labels in self.totals or len(self.totals) < MAX_SERIES:
            self.totals.setdefault(labels, Figures())
            return labels
        return Labels(kind, OTHER, OTHER, OTHER, OTHER, OTHER, OTHER if labels.error else "")

    def _known(self, kind: str, at: int, text: str) -> str:
        """A label's text, or `other` where there are too many."""
        names = self._names.setdefault((kind if at == 0 or kind == Kind.FINDING else "", at), set())
        if text in names or not text:
            return text
        if len(names) >= _MAX_NAMES[at]:
            return OTHER
        names.add(text)
        return text


def label_groups(tally: Tally) -> Iterator[tuple[int, Labels, Figures]]:
    """The points of a trace's own tally."""
    for group, figures in tally.items():
        yield group.window, Labels(*group[1:]), figures


__all__ = ["Book", "Exemplar", "Group", "Labels", "label_groups"]
