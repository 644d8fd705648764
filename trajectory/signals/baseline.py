"""What is usual for one stream of numbers, and whether it has left that: a robust reference and a two-sided CUSUM over it.

Invariant: bounded memory, the same alarms for the same numbers, and nothing said before the warm-up; what looks unusual does not
become usual while it is being judged. Called by `watch` for each series.

How it judges: a value is compared, on a log scale where it is a quantity, with the median of the reference; its distance in
robust deviations, clipped, is summed above an allowance (E. S. Page, Continuous Inspection Schemes, Biometrika 1954); a sum above
the limit is an alarm, whose onset is where the sum last was nothing. The deviation is the widest of 1.4826 MAD and what the tails
of the reference say (so that a rare second mode is usual too), never under a floor, and widened by how much neighbours depend on
each other: sqrt((1 + r) / (1 - r)) with r their correlation.
"""

from bisect import bisect_left, insort
from collections import deque
from math import exp, log, sqrt
from typing import NamedTuple

WARM_UP_COUNT = 40
REFERENCE_COUNT = 240  # the latest usual values
_HELD_COUNT = 40  # the newest values wait so long before they may become usual
_CLIP = 4.0  # one value is at most so much evidence: three of the most extreme ones in a row are needed
# Allowance and limit of each sum: large changes at once, smaller ones that stay, and such that only order shows.
_FAST, _SLOW, _SIGNS = (0.8, 10.0), (0.3, 17.0), (0.4, 14.0)
_LEAST_LOG = 0.2  # a change of quantities by less than a fifth is no alarm
_FLOOR_LOG = 0.15  # of a deviation of quantities: differences of less than about a sixth are nobody's concern
_EVERY = 12  # values between two looks at the reference
_MOST_WIDENING = 4.0
_SETTLED_COUNT = 60  # so long after an alarm without a return, what is seen now is usual
_RETURNED_COUNT = 6  # so many usual values in a row end an alarm


class Usual(NamedTuple):
    """What is usual: the middle, and between what nine of ten values lie. In the stream's own unit."""

    middle: float
    low: float
    high: float


class Alarm(NamedTuple):
    """The stream has left what is usual. `seen` is the middle of the values since `onset_ns`; `sureness` 0 to 1."""

    seen: float
    usual: Usual
    onset_ns: int
    at_ns: int
    value_count: int  # since the onset
    sureness: float

    @property
    def is_above(self) -> bool:
        return self.seen > self.usual.middle


class _Sum:
    """Evidence on one side: what steps add up to above an allowance, and the values since it was nothing."""

    __slots__ = ("allowance", "limit", "since", "total")

    def __init__(self, allowance: float, limit: float) -> None:
        self.allowance = allowance
        self.limit = limit
        self.total = 0.0
        self.since: deque[tuple[int, float]] = deque(maxlen=_SETTLED_COUNT)

    def put(self, step: float, at_ns: int, seen: float) -> None:
        grown = self.total + step - self.allowance
        if grown <= 0:
            self.clear()
        else:
            self.total = min(grown, 2 * self.limit)
            self.since.append((at_ns, seen))

    def clear(self) -> None:
        self.total = 0.0
        if self.since:
            self.since.clear()

    @property
    def middle(self) -> float:
        values = sorted(value for _, value in self.since)
        return values[len(values) // 2]


class Baseline:
    """One stream. `is_quantity`: values are positive amounts, judged by their ratios; else by their differences."""

    __slots__ = (
        "_count", "_deviations", "_held", "_is_quantity", "_looked", "_middle", "_order", "_reference", "_sorted",
        "_sums", "_usual_run", "alarm",
    )  # fmt: skip

    def __init__(self, *, is_quantity: bool = True) -> None:
        self._is_quantity = is_quantity
        self._reference: deque[float] = deque()
        self._sorted: list[float] = []  # the same, by size
        self._held: deque[float] = deque()
        self._count = 0
        self._looked = -_EVERY
        self._middle = 0.0
        self._deviations = (1.0, 1.0)  # below and above the middle
        self._sums = [_Sum(*bounds) for bounds in (_FAST, _FAST, _SLOW, _SLOW, _SIGNS, _SIGNS)]  # below and above, each
        self._usual_run = 0
        self.alarm: Alarm | None = None  # while it lasts

    @property
    def is_warm(self) -> bool:
        """Whether enough is known to judge by."""
        return len(self._reference) >= WARM_UP_COUNT

    @property
    def usual(self) -> Usual | None:
        """What is usual; None before the warm-up."""
        if not self.is_warm:
            return None
        return Usual(self._told(self._middle), self._told(self._at(0.05)), self._told(self._at(0.95)))

    def put(self, value: float, at_ns: int) -> Alarm | None:
        """Takes the next value; returns an alarm where one begins now. A value that is not finite, or a negative quantity, is
        left out."""
        if value != value or value in (float("inf"), float("-inf")) or (self._is_quantity and value < 0):
            return None
        seen = log(value + 1e-9) if self._is_quantity else value
        self._count += 1
        if not self.is_warm:
            self._learn(seen)
            return None
        if self._count - self._looked >= _EVERY:
            self._look()
        begins = self._judge(seen, at_ns)
        self._hold(seen)
        return begins

    # --- judging ----------------------------------------------------------------------------------------------------

    def _judge(self, seen: float, at_ns: int) -> Alarm | None:
        distance = seen - self._middle
        away = distance / self._deviations[distance > 0]
        clipped = max(-_CLIP, min(_CLIP, away))
        order = (distance > 0) - (distance < 0)
        for each, step in zip(self._sums, (-clipped, clipped, -clipped, clipped, -order, order), strict=True):
            each.put(step, at_ns, seen)
        if self.alarm is not None:
            self._go_on(abs(away))
            return None
        for each in self._sums:
            if each.total > each.limit and self._matters(each):
                self.alarm = self._alarm(each, at_ns)
                self._usual_run = 0
                return self.alarm
        return None

    def _matters(self, told: "_Sum") -> bool:
        away = abs(told.middle - self._middle)
        return away >= (_LEAST_LOG if self._is_quantity else max(self._deviations) / 2)

    def _alarm(self, told: "_Sum", at_ns: int) -> Alarm:
        usual = self.usual
        assert usual is not None
        away = abs(told.middle - self._middle) / min(self._deviations)
        count = len(told.since)
        sureness = 1 - exp(-away * sqrt(count) / 4)
        return Alarm(self._told(told.middle), usual, told.since[0][0], at_ns, count, min(sureness, 0.99))

    def _go_on(self, away: float) -> None:
        """An alarm ends when the stream is back for a while, or when it has stayed where it is for so long that it is usual."""
        self._usual_run = self._usual_run + 1 if away < 2 else 0
        if self._usual_run >= _RETURNED_COUNT:
            self._end()
        elif len(self._held) >= _SETTLED_COUNT:
            settled = list(self._held)
            self._reference.clear()
            self._sorted.clear()
            self._end()
            for value in settled:
                self._learn(value)
            self._look()

    def _end(self) -> None:
        self.alarm = None
        for each in self._sums:
            each.clear()
        self._held.clear()

    # --- learning ---------------------------------------------------------------------------------------------------

    def _hold(self, seen: float) -> None:
        """Keeps the newest values apart; the older of them become usual unless something is going on."""
        self._held.append(seen)
        if self.alarm is None and all(each.total < each.limit / 2 for each in self._sums):
            while len(self._held) > _HELD_COUNT:
                self._learn(self._held.popleft())
        while len(self._held) > 2 * _SETTLED_COUNT:
            self._held.popleft()

    def _learn(self, seen: float) -> None:
        self._reference.append(seen)
        insort(self._sorted, seen)
        if len(self._reference) > REFERENCE_COUNT:
            gone = self._reference.popleft()
            del self._sorted[bisect_left(self._sorted, gone)]

    def _look(self) -> None:
        """Works out the middle and the deviations anew."""
        self._looked = self._count
        ordered = self._sorted
        self._middle = middle = ordered[len(ordered) // 2]
        spread = sorted(abs(value - middle) for value in ordered)
        usual = 1.4826 * spread[len(spread) // 2]
        tail = 0.025 if len(ordered) >= 80 else 0.05
        far = 1.96 if len(ordered) >= 80 else 1.645
        floor = _FLOOR_LOG if self._is_quantity else max(1e-9, 0.05 * abs(middle))
        wide = self._widening(middle) * (1 + 3 / len(ordered))
        for each in self._sums[-2:]:  # signs have no deviation that could be widened
            each.limit = _SIGNS[1] * self._widening(middle) ** 2
        below = max(usual, (middle - self._at(tail)) / far, floor) * wide
        above = max(usual, (self._at(1 - tail) - middle) / far, floor) * wide
        self._deviations = (below, above)

    def _widening(self, middle: float) -> float:
        """How much more a sum of neighbours varies than one of strangers; their correlation is that of signs, so that one
        value far away does not decide it."""
        before, same, count = 0.0, 0.0, 0
        for value in self._reference:
            sign = 1.0 if value > middle else -1.0 if value < middle else 0.0
            same += sign * before
            count += bool(sign and before)
            before = sign
        # Of normal neighbours with correlation r the signs correlate as 2/pi asin(r); a straight line is near enough below 0.9.
        r = max(0.0, min(0.88, 1.45 * same / count if count else 0.0))
        return min(_MOST_WIDENING, sqrt((1 + r) / (1 - r))) if r > 2 / sqrt(max(count, 1)) else 1.0

    def _at(self, part: float) -> float:
        return self._sorted[min(int(part * len(self._sorted)), len(self._sorted) - 1)]

    def _told(self, seen: float) -> float:
        return max(exp(seen) - 1e-9, 0.0) if self._is_quantity else seen
