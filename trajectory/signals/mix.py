"""Which tools an agent calls how often, and whether that mix has changed: the latest runs against those before.

Invariant: bounded memory in runs and tools, the same alarms for the same runs, nothing said before the warm-up. Runs are what is
compared, because the calls of one run depend on each other: how much more runs differ than chance would make them widens what is
usual. Called by `watch` for each agent.

How it judges: a G-test of the window against the reference, divided by the overdispersion of the runs in the reference, as a
normal deviate (E. B. Wilson and M. M. Hilferty, The Distribution of Chi-Square, 1931); and the mix must differ by a quarter.
"""

from collections import Counter, deque
from collections.abc import Mapping
from math import exp, log, sqrt

from trajectory.signals.baseline import RETURNED, SETTLED, Alarm, Usual

WARM_UP_COUNT = 40  # runs in the reference
REFERENCE_COUNT = 160
WINDOW_COUNT = 16  # the latest runs, which are judged and not usual yet
MAX_TOOLS_COUNT = 40  # more of them count as one
_MOST_CALLS = 5  # of one tool in one run: a page of ninety is no habit
_LEAST_DEVIATE = 5.5
_LEAST_CHANGE = 0.25  # of all calls are of other tools than before
_ENDING_CHANGE = 0.15
_SETTLED_COUNT = 40  # after so many runs of an alarm, what is seen now is usual
_EVERY = 16  # runs between two looks at how much they differ
_OTHER = "other tools"

Mix = Mapping[str, int]


class ToolMix:
    """The stream of one agent's runs: how often each called which tool."""

    __slots__ = (
        "_alarm_count",
        "_dispersion",
        "_learnt",
        "_names",
        "_reference",
        "_runs",
        "_window",
        "_window_sum",
        "alarm",
        "ended",
    )

    def __init__(self) -> None:
        self._runs: deque[Mix] = deque()  # of the reference
        self._reference: Counter[str] = Counter()
        self._window: deque[tuple[int, Mix]] = deque()
        self._window_sum: Counter[str] = Counter()
        self._names: set[str] = set()
        self._dispersion = 1.0
        self._learnt = 0
        self._alarm_count = 0
        self.alarm: Alarm | None = None  # while it lasts
        self.ended = ""  # why the last one did

    @property
    def is_warm(self) -> bool:
        """Whether enough is known to judge by."""
        return len(self._runs) >= WARM_UP_COUNT

    def share(self, name: str) -> float:
        """What share of the calls is usually of a tool; 0 of one that is not known."""
        return self._reference[name] / self._reference.total() if self._reference else 0.0

    def put(self, calls: Mix, at_ns: int) -> Alarm | None:
        """Takes the calls of the next run; returns an alarm where one begins now. A run without calls is left out."""
        run: Counter[str] = Counter()
        for name, count in calls.items():
            if count > 0:
                run[self._known(name)] += min(count, _MOST_CALLS)
        if not run:
            return None
        self._window.append((at_ns, run))
        self._window_sum.update(run)
        if len(self._window) > WINDOW_COUNT:
            _, gone = self._window.popleft()
            _take(self._window_sum, gone)
            if self.alarm is None:
                self._learn(gone)
        if not self.is_warm or len(self._window) < WINDOW_COUNT:
            return None
        if self.alarm is not None:
            self._go_on(self.alarm, at_ns)
            return None
        change = self._change()
        if change < _LEAST_CHANGE:
            return None
        deviate = self._deviate()
        if deviate < _LEAST_DEVIATE:
            return None
        self._alarm_count = 0
        self.alarm = self._alarm(at_ns, min(0.99, 1 - exp(-deviate / 2)))
        return self.alarm

    def _known(self, name: str) -> str:
        if name not in self._names:
            if len(self._names) >= MAX_TOOLS_COUNT:
                return _OTHER
            self._names.add(name)
        return name

    def _shares(self) -> dict[str, tuple[float, float]]:
        """By tool, its share of the calls in the window, and in the reference."""
        now, before = self._window_sum.total(), self._reference.total()
        names = {*self._window_sum, *self._reference}
        return {name: (self._window_sum[name] / now, self._reference[name] / before) for name in sorted(names)}

    def _change(self) -> float:
        return sum(abs(seen - usual) for seen, usual in self._shares().values()) / 2

    def _deviate(self) -> float:
        """The G-test's statistic as a normal deviate. Tools that are rare in both count as one."""
        window, reference = self._window_sum.total(), self._reference.total()
        cells: dict[str, tuple[int, int]] = {}
        for name in {*self._window_sum, *self._reference}:
            seen, usual = self._window_sum[name], self._reference[name]
            cell = name if (seen + usual) * window / (window + reference) >= 1 else ""
            before = cells.get(cell, (0, 0))
            cells[cell] = (before[0] + seen, before[1] + usual)
        freedom = len(cells) - 1
        if freedom < 1:
            return 0.0
        g = 0.0
        for seen, usual in cells.values():
            both = (seen + usual) / (window + reference)
            g += seen * log(seen / (both * window)) if seen else 0.0
            g += usual * log(usual / (both * reference)) if usual else 0.0
        part = 2 / (9 * freedom)
        return float(((max(2 * g, 0.0) / self._dispersion / freedom) ** (1 / 3) - (1 - part)) / sqrt(part))

    def _alarm(self, at_ns: int, sureness: float) -> Alarm:
        what, (seen, usual) = max(self._shares().items(), key=lambda item: abs(item[1][0] - item[1][1]))
        wide = 1.645 * sqrt(self._dispersion * max(usual * (1 - usual), 1e-9) / self._window_sum.total())
        told = Usual(usual, max(usual - wide, 0.0), min(usual + wide, 1.0))
        since, onset_ns = self._onset(what, seen, usual)
        return Alarm(self._seen(what, since), told, min(onset_ns, at_ns), at_ns, since, sureness, seen > usual, what)

    def _onset(self, what: str, seen: float, usual: float) -> tuple[int, int]:
        """From which run in the window on the tool's share is nearer to what is seen: how many runs ago, and when."""
        total, best, since, at_ns = 0.0, -1.0, 1, self._window[-1][0]
        for ago, (ended_ns, run) in enumerate(reversed(self._window), 1):
            share = run[what] / sum(run.values())
            total += (share - (seen + usual) / 2) * (1 if seen > usual else -1)
            if total > best:
                best, since, at_ns = total, ago, ended_ns
        return since, at_ns

    def _go_on(self, alarm: Alarm, at_ns: int) -> None:
        self._alarm_count += 1
        if self._change() < _ENDING_CHANGE:
            self.alarm, self.ended = None, RETURNED
        elif self._alarm_count >= _SETTLED_COUNT:
            self.alarm, self.ended = None, SETTLED
            self._runs.clear()
            self._reference.clear()
            for _, run in self._window:
                self._learn(run)
        else:
            count = alarm.value_count + 1
            self.alarm = alarm._replace(seen=self._seen(alarm.what, count), at_ns=at_ns, value_count=count)

    def _seen(self, what: str, count: int) -> float:
        """The share of a tool in the latest runs."""
        runs = [run for _, run in self._window][-count:]
        return sum(run[what] for run in runs) / sum(sum(run.values()) for run in runs)

    def _learn(self, run: Mix) -> None:
        self._runs.append(run)
        self._reference.update(run)
        if len(self._runs) > REFERENCE_COUNT:
            _take(self._reference, self._runs.popleft())
        self._learnt += 1
        if self._learnt % _EVERY == 0:
            self._disperse()
            self._names = {*self._reference, *self._window_sum} - {_OTHER}

    def _disperse(self) -> None:
        """How much more runs differ from each other than if each call were drawn by itself (Pearson's statistic by freedom)."""
        total = self._reference.total()
        shares = {name: count / total for name, count in self._reference.items()}
        statistic, freedom = 0.0, 0
        for run in self._runs:
            calls = sum(run.values())
            statistic += sum((run[name] - calls * share) ** 2 / (calls * share) for name, share in shares.items())
            freedom += len(shares) - 1
        self._dispersion = min(max(statistic / freedom, 1.0), 10.0) if freedom else 1.0


def _take(counts: Counter[str], gone: Mix) -> None:
    counts.subtract(gone)
    for name in gone:
        if counts[name] <= 0:
            del counts[name]
