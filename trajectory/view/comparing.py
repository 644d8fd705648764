"""Two series of figures against each other: each measure of both, and between what their difference lies, by bootstrap.

Invariant: pure and seeded: the same series give the same intervals. Nothing is said of too few calls, which for a p95 are more
than for a middle, and a difference whose interval holds none is said not to be told apart. The signals' screen shows it.

Times and errors are drawn again from the counts of their histograms (each bucket's count from a Poisson distribution, which is
the bootstrap for counts); tokens and cost, of which only sums are known, from whole windows of time. Where the values lie within
a bucket is not known, so that is drawn as well: the wider, the more of all values one bucket holds.
"""

from collections.abc import Callable, Sequence
from math import ceil, exp
from random import Random
from typing import NamedTuple

from trajectory.view.signal_rows import SignalPoint, SignalSeries

LEAST_CALLS, LEAST_WINDOWS = 20, 8
DRAWS = 400
_SEED = 20_231
_MANY = 40  # from this count on, a Poisson distribution is drawn as the normal one
_MOST_WINDOWS = 120
Verdict = str  # more, less, not told apart, too few


class Compared(NamedTuple):
    """One measure of two series: its values, and how much more the second is, between `low` and `high` with 95 %: as a share of
    the first, of a `ratio` its own difference. `unit`: s, ratio, tokens, usd. Of too few `known` of `of` (calls, windows) there
    are on one side, and `least` are needed."""

    what: str
    unit: str
    first: float | None
    second: float | None
    low: float | None
    high: float | None
    verdict: Verdict
    of: str = "calls"
    known: int = 0
    least: int = 0

    @property
    def change(self) -> float | None:
        """How much more the second is, as `low` and `high` are."""
        if self.first is None or self.second is None or (self.unit != "ratio" and self.first <= 0):
            return None
        return self.second - self.first if self.unit == "ratio" else self.second / self.first - 1


def compared(first: SignalSeries, second: SignalSeries, bounds_s: Sequence[float]) -> list[Compared]:
    """The measures in which two series can be compared. Times in seconds, errors as a share of calls, the rest for each call."""
    found = []
    for what, name in (("latency", "seconds"), ("first token", "first_chunks")):
        counts = getattr(first, name), getattr(second, name)
        for part, says in ((0.5, "p50"), (0.95, "p95")):
            if name == "seconds" or part == 0.5:
                found.append(_times(f"{what} {says}", counts, part, bounds_s))
    found.append(_errors(first.total, second.total))
    found.append(_means("tokens a call", "tokens", first, second, _tokens))
    found.append(_means("cost a call", "usd", first, second, _cost))
    return [each for each in found if each.first is not None or each.second is not None]


def quantile(
    counts: Sequence[float], part: float, bounds: Sequence[float], random: Random | None = None
) -> float | None:
    """About where so large a part of a histogram lies below, between the bounds of its bucket; None of nothing. With `random`
    at a place in that bucket where it may as well lie."""
    wanted, below = part * sum(counts), 0.0
    for at, count in enumerate(counts):
        if count > 0 and below + count >= wanted:
            low = bounds[at - 1] if at else 0.0
            high = bounds[at] if at < len(bounds) else 2 * bounds[-1]
            within = (wanted - below) / count
            if random is not None and within > 0:
                within **= exp(random.gauss(0, count / sum(counts)))
            return low + (high - low) * within
        below += count
    return None


def _judged(
    what: str, unit: str, first: float | None, second: float | None, draws: list[float], few: tuple[str, int, int]
) -> Compared:
    """`few` is what there may be too few of, how many there are, and how many are needed."""
    if few[1] < few[2] or first is None or second is None or not draws:
        return Compared(what, unit, first, second, None, None, "too few", *few)
    draws = sorted(draws)
    low, high = draws[len(draws) * 25 // 1000], draws[-1 - len(draws) * 25 // 1000]
    verdict = "more" if low > 0 else "less" if high < 0 else "not told apart"
    return Compared(what, unit, first, second, low, high, verdict, *few)


def least_calls(part: float) -> int:
    """How many calls a quantile needs: at least three beyond it."""
    return max(LEAST_CALLS, ceil(3 / (1 - part) - 1e-9))


def _times(what: str, counts: tuple[list[int], list[int]], part: float, bounds: Sequence[float]) -> Compared:
    values = [quantile(each, part, bounds) for each in counts]
    draws = []
    few = "calls", min(map(sum, counts)), least_calls(part)
    if few[1] >= few[2]:
        random = Random(_SEED)
        for _ in range(DRAWS):
            drawn = [quantile([_poisson(count, random) for count in each], part, bounds, random) for each in counts]
            if drawn[0] and drawn[1] is not None:
                draws.append(drawn[1] / drawn[0] - 1)
    return _judged(what, "s", values[0], values[1], draws, few)


def _errors(first: SignalPoint, second: SignalPoint) -> Compared:
    sides = [(each.errors, max(0, each.calls - each.errors)) for each in (first, second)]
    random = Random(_SEED)
    few = "calls", min(first.calls, second.calls), LEAST_CALLS
    draws = [_share(sides[1], random) - _share(sides[0], random) for _ in range(DRAWS)] if few[1] >= few[2] else []
    values = [failed / (failed + good) if failed + good else None for failed, good in sides]
    return _judged("error rate", "ratio", values[0], values[1], draws, few)


def _share(side: tuple[int, int], random: Random) -> float:
    failed, good = (_poisson(count, random) for count in side)
    return failed / (failed + good) if failed + good else 0.0


def _poisson(mean: int, random: Random) -> int:
    if mean <= 0:
        return 0
    if mean >= _MANY:
        return max(0, round(random.gauss(mean, mean**0.5)))
    limit, at, product = exp(-mean), 0, random.random()
    while product > limit:
        at += 1
        product *= random.random()
    return at


Sum = tuple[float, int]  # what was used, by how many calls


def _tokens(point: SignalPoint) -> Sum:
    return float(point.input_tokens + point.output_tokens), point.tokens_known


def _cost(point: SignalPoint) -> Sum:
    return point.cost_usd, max(0, point.calls - point.cost_unknown)


def _means(
    what: str, unit: str, first: SignalSeries, second: SignalSeries, of: Callable[[SignalPoint], Sum]
) -> Compared:
    sides = [[each for each in map(of, one.points[-_MOST_WINDOWS:]) if each[1] > 0] for one in (first, second)]
    values = [_mean(side) for side in sides]
    if not any(values):
        return Compared(what, unit, None, None, None, None, "too few")
    calls = min(sum(count for _, count in side) for side in sides)
    windows = min(map(len, sides))
    few = ("calls", calls, LEAST_CALLS) if calls < LEAST_CALLS else ("windows", windows, LEAST_WINDOWS)
    draws = []
    if few[1] >= few[2]:
        random = Random(_SEED)
        for _ in range(DRAWS):
            drawn = [_mean(random.choices(side, k=len(side))) for side in sides]
            if drawn[0] and drawn[1] is not None:
                draws.append(drawn[1] / drawn[0] - 1)
    return _judged(what, unit, values[0], values[1], draws, few)


def _mean(side: Sequence[Sum]) -> float | None:
    count = sum(each for _, each in side)
    return sum(used for used, _ in side) / count if count else None
