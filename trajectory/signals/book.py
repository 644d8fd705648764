"""The sums over all traces: totals since this process began, and the last day in windows, with the latest trace of each.

Invariant: bounded whatever names come: beyond a limit for each label, and for all of them together, work is summed up under
`other`, and old windows are made longer until a day has passed. What is taken back is taken from where it was put. Owned by the
collector's loop; what other threads read is a copy.
"""

from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

from trajectory.detection.masking import masked
from trajectory.signals.figures import MAX_NAME_CHARS, OTHER, SECONDS, WINDOW_NS, Figures, Group, Tally
from trajectory.signals.measures import Measure
from trajectory.signals.tally import Changes
from trajectory.view.text import clean

MAX_SERIES = 4096
MAX_POINTS = 24_000  # series in windows: about 20 MB
DAY_MINUTES = 24 * 60
COARSE_MINUTES = 15
_FINE_MINUTES = 2 * 60  # so long each minute has a window of its own
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
        self.exemplars: dict[Labels, dict[int, Exemplar]] = {}
        self.touched: set[Labels] = set()  # totals that changed; emptied by whoever copies them
        self.version = 0
        self._placed: dict[tuple[str, ...], Labels] = {}
        self._names: dict[tuple[str, int], set[str]] = {}
        self._fine_from = self._coarse_from = 0  # minutes: short windows from there, long ones from there
        self._newest = 0
        self._points_count = 0

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
        if newest == self._newest and self._points_count <= MAX_POINTS:
            return
        self._newest = newest
        if (
            newest < self._coarse_from
        ):  # a clock that was ahead by a day and more is right again: all that it made has no place
            self.windows.clear()
            self._points_count = self._fine_from = self._coarse_from = 0
        fine_from, coarse_from = newest - _FINE_MINUTES, newest - DAY_MINUTES
        self._age(max(fine_from - fine_from % COARSE_MINUTES, self._fine_from), max(coarse_from, self._coarse_from))
        while self._points_count > MAX_POINTS and len(self.windows) > 1:
            oldest = min(self.windows)
            if self._fine_from + COARSE_MINUTES <= newest:
                self._age(self._fine_from + COARSE_MINUTES, self._coarse_from)
            else:
                self._age(self._fine_from, oldest + 1)

    def since(self, minute: int) -> Iterator[tuple[int, Labels, Figures]]:
        """All points of windows from a minute on, in no order."""
        for window, series in self.windows.items():
            if window >= minute:
                for labels, figures in series.items():
                    yield window, labels, figures

    def _age(self, fine_from: int, coarse_from: int) -> None:
        for window in [w for w in self.windows if w < fine_from and (w >= self._fine_from or w < coarse_from)]:
            longer = self._longer(window)
            if window < coarse_from:
                self._points_count -= len(self.windows.pop(window))
            elif longer != window:
                gone = self.windows.pop(window)
                self._points_count -= len(gone)
                for labels, figures in gone.items():
                    self._at(longer, labels).add(figures)
        self._fine_from, self._coarse_from = fine_from, coarse_from

    @staticmethod
    def _longer(window: int) -> int:
        return window - window % COARSE_MINUTES

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
        if minute >= self._fine_from:
            return minute if minute <= self._newest + _AHEAD_MINUTES else None
        return self._longer(minute) if self._longer(minute) >= self._coarse_from else None

    def _at(self, window: int, labels: Labels) -> Figures:
        series = self.windows.get(window)
        if series is None:
            series = self.windows[window] = {}
        figures = series.get(labels)
        if figures is None:
            figures = series[labels] = Figures()
            self._points_count += 1
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
        names = self._names.setdefault((kind if at == 0 else "", at), set())
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
