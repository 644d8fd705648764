"""What is usual for one stream of numbers, and whether it has left that: a robust reference and two-sided CUSUMs over it.

Invariant: bounded memory, the same alarms for the same numbers, nothing said before the warm-up; what looks unusual does not
become usual while it is being judged. Called by `watch` for each series.

How it judges: a value's distance from what is usual, on a log scale where it is a quantity, in robust deviations and clipped, is
summed above an allowance (E. S. Page, Continuous Inspection Schemes, Biometrika 1954); a sum above its limit is an alarm. Usual
is a zone: from the lowest to the highest level that the stream had lately, so that a day's cycle and a slow drift are usual once
they were seen. The deviation is the widest of 1.4826 MAD and what the tails of the reference say (a rare second mode is usual
too), never under a floor, and widened by how much neighbours depend on each other.
"""

from bisect import bisect_left, insort
from collections import deque
from itertools import islice
from math import exp, inf, log, sqrt
from typing import NamedTuple

WARM_UP_COUNT = 40
REFERENCE_COUNT = 240  # the latest usual values
LEVELS_COUNT = 96  # middles of so many blocks are remembered
_BLOCK_COUNT = 24  # values of a block: after each, the reference is looked at anew
_DEPENDENCE_LOOKS = 4  # how much neighbours depend on each other changes slowly: looked at each fourth time
_HELD_COUNT = 40  # the newest values wait so long before they may become usual,
_MOST_HELD_COUNT = 100  # and so long at most while something may be going on
_CLIP = 4.0  # one value is at most so much evidence: three of the most extreme ones in a row are needed
# Allowance and limit of each sum: large changes at once, smaller ones that stay, and such that only order shows.
_FAST, _FAST_LIMIT = 0.8, 10.0
_SLOW, _SLOW_LIMIT = 0.3, 17.0
_SIGNS, _SIGNS_LIMIT = 0.4, 14.0
_LEAST_LOG = 0.2  # a change of quantities by less than a fifth is no alarm
_FLOOR_LOG = 0.15  # of a deviation of quantities: differences of less than about a sixth are nobody's concern
_YOUNG_COUNT = 160  # of a stream this young little is known: small changes take twice the evidence,
_YOUNG_FAST = 1.2  # and what counts as a large one is larger by so many deviations
_CALMING = 0.97  # at each look: a stream that had an alarm, and more so two, takes more evidence for a while
_MOST_WIDENING = 4.0
_SETTLED_COUNT = 60  # so long after an alarm without a return, what is seen now is usual
_RETURNED_COUNT = 6  # so many more usual values than unusual ones end an alarm
_MOST = 1e300
RETURNED, SETTLED = "usual again", "the new level has become the usual one"  # why an alarm ended


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
    is_above: bool
    what: str = ""  # of several shares, the one that changed most


class Baseline:
    """One stream. `is_quantity`: values are positive amounts, judged by their ratios; else by their differences."""

    __slots__ = (
        "_above", "_alarm_count", "_allowances", "_below", "_count", "_edges", "_held", "_held_ns", "_is_at_rest",
        "_is_quantity", "_learnt", "_levels", "_limits", "_looks", "_middle", "_reference", "_restless", "_since",
        "_sorted", "_sums", "_usual_run", "_widening", "alarm", "ended",
    )  # fmt: skip

    def __init__(self, *, is_quantity: bool = True) -> None:
        self._is_quantity = is_quantity
        self._reference: deque[float] = deque()
        self._sorted: list[float] = []  # the same, by size
        self._count = 0  # of all that was learnt since the stream settled where it is
        self._levels: deque[float] = deque(maxlen=LEVELS_COUNT)
        self._held: deque[float] = deque()
        self._held_ns: deque[int] = deque()  # when they were
        self._learnt = 0  # since the last look
        self._middle = 0.0
        self._edges = (0.0, 0.0)  # of the zone that is usual
        self._below = self._above = 1.0  # deviations
        self._allowances = (_FAST, _SLOW)
        self._looks = 0
        self._widening = 1.0
        self._restless = 0.0  # alarms, the earlier the less they count
        self._sums = [0.0] * 6  # below and above: fast, slow, signs
        self._is_at_rest = True  # all of them are nothing, and stay so while nothing is unusual
        self._since = [0] * 6  # how many values ago each was nothing
        self._limits = (_FAST_LIMIT, _FAST_LIMIT, _SLOW_LIMIT, _SLOW_LIMIT, _SIGNS_LIMIT, _SIGNS_LIMIT)
        self._alarm_count = 0  # values of the alarm that lasts
        self._usual_run = 0  # how many more of them are usual than not
        self.alarm: Alarm | None = None  # while it lasts
        self.ended = ""  # why the last one did

    @property
    def is_warm(self) -> bool:
        """Whether enough is known to judge by."""
        return len(self._reference) >= WARM_UP_COUNT

    @property
    def usual(self) -> Usual | None:
        """What is usual; None before the warm-up."""
        if not self.is_warm:
            return None
        low, high = self._edges
        return Usual(
            self._told(self._middle), self._told(min(self._at(0.05), low)), self._told(max(self._at(0.95), high))
        )

    def put(self, value: float, at_ns: int) -> Alarm | None:
        """Takes the next value; returns an alarm where one begins now. What is not finite, enormous, or a negative quantity is
        left out."""
        if self._is_quantity:
            if not 0 <= value <= _MOST:
                return None
            seen = log(value + 1e-9)
        else:
            if not -_MOST <= value <= _MOST:
                return None
            seen = value
        if len(self._reference) < WARM_UP_COUNT:
            self._learn(seen)
            if len(self._reference) == WARM_UP_COUNT:
                self._look()
            return None
        low, high = self._edges
        if seen > high:
            away = (seen - high) / self._above
            step, order = (away if away < _CLIP else _CLIP), 1.0
        elif seen < low:
            away = (low - seen) / self._below
            step, order = (-away if away < _CLIP else -_CLIP), -1.0
        else:
            away = step = order = 0.0
        is_over, is_calm = (False, True) if self._is_at_rest and not order else self._sum_up(step, order)
        held = self._held
        held.append(seen)
        self._held_ns.append(at_ns)
        if self.alarm is not None:
            self._go_on(self.alarm, away, order > 0, at_ns)
            return None
        if is_over and self._begin(at_ns):
            return self.alarm
        most = _HELD_COUNT if is_calm else _MOST_HELD_COUNT
        while len(held) > most:
            self._learn(held.popleft())
            self._held_ns.popleft()
            if self._learnt >= _BLOCK_COUNT:
                self._look()
        return None

    # --- judging ----------------------------------------------------------------------------------------------------

    def _sum_up(self, step: float, order: float) -> tuple[bool, bool]:
        """Whether a sum is over its limit, and whether all are under half of theirs."""
        sums, since, (fast, slow) = self._sums, self._since, self._allowances
        is_over, is_calm = False, True
        grown_by = (
            -step - fast, step - fast, -step - slow, step - slow,
            -order - _SIGNS, order - _SIGNS,
        )  # fmt: skip
        for i, more in enumerate(grown_by):
            before = sums[i]
            total = before + more
            if total <= 0:
                if before:
                    sums[i] = 0.0
                continue
            if not before:
                since[i] = 0
            since[i] += 1
            limit = self._limits[i]
            if total > limit:
                is_over = True
                if total > 2 * limit:
                    total = 2 * limit
            sums[i] = total
            if total >= limit / 2:
                is_calm = False
        self._is_at_rest = not any(sums)
        return is_over, is_calm

    def _begin(self, at_ns: int) -> bool:
        """Whether an alarm begins: if what was summed up is a change that matters."""
        for i, total in enumerate(self._sums):
            if total <= self._limits[i]:
                continue
            count = min(self._since[i], len(self._held))
            middle = self._held_middle(count)
            beyond = middle - self._edges[1] if i % 2 else self._edges[0] - middle
            deviation = self._above if i % 2 else self._below
            if beyond < (_LEAST_LOG if self._is_quantity else deviation / 2):
                continue
            usual = self.usual
            assert usual is not None
            sureness = _sure(beyond / deviation, count)
            count = self._onset(self._onset(count, i % 2), i % 2)
            onset_ns = min(self._held_ns[-count], at_ns)
            seen = self._told(self._held_middle(count))
            self._usual_run = self._alarm_count = 0
            self._restless += 1
            self.alarm = Alarm(seen, usual, onset_ns, at_ns, count, sureness, bool(i % 2))
            return True
        return False

    def _onset(self, count: int, is_above: int) -> int:
        """From which of the last `count` values on they are nearer to what is seen than to what was: how many values ago."""
        seen, middle = self._held_middle(count), self._middle
        most = _CLIP * (self._above if is_above else self._below)
        total, best, since = 0.0, -inf, count
        for ago, value in enumerate(islice(reversed(self._held), count), 1):
            away = min(max(value - (seen + middle) / 2, -most), most)
            total += away if is_above else -away
            if total > best:
                best, since = total, ago
        return since

    def _go_on(self, alarm: Alarm, away: float, is_above: bool, at_ns: int) -> None:
        """An alarm grows; it ends when the stream is back for a while, or has stayed where it is for so long that it is usual."""
        self._alarm_count += 1
        is_usual = away < 0.5 or is_above != alarm.is_above
        self._usual_run = max(self._usual_run + (1 if is_usual else -1), 0)
        if self._usual_run >= _RETURNED_COUNT:
            self._end(RETURNED)
        elif self._alarm_count >= _SETTLED_COUNT:
            settled = list(self._held)[-_SETTLED_COUNT:]
            self._reference.clear()
            self._sorted.clear()
            self._count = 0  # of what it is now little is known
            self._end(SETTLED)
            for value in settled:
                self._learn(value)
            self._look()
        else:
            count = alarm.value_count + 1
            middle = self._held_middle(min(count, len(self._held)))
            above, below = (middle - self._edges[1]) / self._above, (self._edges[0] - middle) / self._below
            sureness = max(alarm.sureness, _sure(above if alarm.is_above else below, count))
            self.alarm = alarm._replace(seen=self._told(middle), at_ns=at_ns, value_count=count, sureness=sureness)

    def _held_middle(self, count: int) -> float:
        return sorted(islice(self._held, len(self._held) - count, None))[count // 2]

    def _end(self, why: str) -> None:
        self.alarm, self.ended = None, why
        self._sums = [0.0] * 6
        self._is_at_rest = True
        self._held.clear()
        self._held_ns.clear()

    # --- learning ---------------------------------------------------------------------------------------------------

    def _learn(self, seen: float) -> None:
        self._reference.append(seen)
        insort(self._sorted, seen)
        self._learnt += 1
        self._count += 1
        if len(self._reference) > REFERENCE_COUNT:
            del self._sorted[bisect_left(self._sorted, self._reference.popleft())]

    def _look(self) -> None:
        """Works out the middle, the zone and the deviations anew."""
        self._learnt = 0
        ordered, count = self._sorted, len(self._sorted)
        self._middle = middle = ordered[count // 2]
        block = sorted(islice(self._reference, count - _BLOCK_COUNT, None))
        self._levels.append(block[_BLOCK_COUNT // 2])
        usual = 1.4826 * sorted([abs(value - middle) for value in ordered])[count // 2]
        self._looks += 1
        if self._looks % _DEPENDENCE_LOOKS == 1 or count < REFERENCE_COUNT:
            self._widening = self._widened(middle)
        widening = self._widening
        noise = self._waver() * 1.2533 * usual * widening / sqrt(_BLOCK_COUNT)
        self._edges = (min(middle, min(self._levels) + noise), max(middle, max(self._levels) - noise))
        tail, far = (0.025, 1.96) if count >= 80 else (0.05, 1.645)
        floor = _FLOOR_LOG if self._is_quantity else max(1e-9, 0.05 * abs(middle))
        wide = widening * (1 + 3 / count)
        self._below = max(max(usual, (middle - self._at(tail)) / far) * wide, floor)
        self._above = max(max(usual, (self._at(1 - tail) - middle) / far) * wide, floor)
        self._restless *= _CALMING
        doubt = 1 + self._restless**2
        young = (_YOUNG_COUNT / self._count) ** 2
        error = 1.2533 / sqrt(count)  # of the middle, in deviations
        self._allowances = (_FAST + error + min(_YOUNG_FAST * young, _YOUNG_FAST), _SLOW + error)
        fast, slow = _FAST_LIMIT * (1 + max(self._restless - 1, 0) ** 2), _SLOW_LIMIT * (doubt + young)
        signs = _SIGNS_LIMIT * (doubt + young) * widening * widening  # signs have no deviation that could be widened
        self._limits = (fast, fast, slow, slow, signs, signs)

    def _waver(self) -> float:
        """How many standard errors the outermost levels lie beyond the true ones: two where levels follow upon each other like
        strangers, next to none where they go up and down slowly (J. von Neumann's ratio, 1941)."""
        levels = self._levels
        count = len(levels)
        if count < 4:
            return 2.0
        middle = sum(levels) / count
        spread = sum([(level - middle) ** 2 for level in levels])
        steps = sum([(b - a) ** 2 for a, b in zip(levels, islice(levels, 1, None), strict=False)])
        return 2.0 if steps >= 1.5 * spread else 2 * (steps / (1.5 * spread)) ** 2

    def _widened(self, middle: float) -> float:
        """How much more a sum of neighbours varies than one of strangers: sqrt((1 + r) / (1 - r)) with r their correlation,
        which is that of signs, so that one value far away does not decide it."""
        signs = [(value > middle) - (value < middle) for value in self._reference]
        neighbours = [a * b for a, b in zip(signs, islice(signs, 1, None), strict=False)]
        count = len(neighbours) - neighbours.count(0)
        if not count:
            return 1.0
        # Of normal neighbours with correlation r the signs correlate as 2/pi asin(r); a straight line is near enough below 0.9.
        r = min(0.88, 1.45 * sum(neighbours) / count)
        return min(_MOST_WIDENING, sqrt((1 + r) / (1 - r))) if r > 2 / sqrt(count) else 1.0

    def _at(self, part: float) -> float:
        return self._sorted[min(int(part * len(self._sorted)), len(self._sorted) - 1)]

    def _told(self, seen: float) -> float:
        return max(exp(min(seen, 690.0)) - 1e-9, 0.0) if self._is_quantity else seen


def _sure(deviations: float, count: int) -> float:
    """How sure a change of the middle of so many values is."""
    return min(0.99, 1 - exp(-max(deviations, 0.0) * sqrt(count) / 2.5))
