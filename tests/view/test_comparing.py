"""The comparison of two series: against distributions that are known, the same each time, and silent on too little."""

from random import Random

import pytest
from msgspec import structs

from trajectory.view.comparing import LEAST_CALLS, Compared, compared, quantile
from trajectory.view.signal_rows import SignalPoint, SignalSeries

BOUNDS = [0.01 * 2**at for at in range(14)]


def series(
    name: str, seed: int, count: int = 400, slower: float = 1.0, failing: float = 0.1, windows: int = 20
) -> SignalSeries:
    """Calls whose times are log-normal about half a second, a tenth of which fail, spread over windows."""
    random = Random(seed)
    buckets = [0] * (len(BOUNDS) + 1)
    for _ in range(count):
        took_s = random.lognormvariate(-0.7, 0.5) * slower
        buckets[sum(took_s > bound for bound in BOUNDS)] += 1
    errors = sum(random.random() < failing for _ in range(count))
    each = count // windows
    points = [
        SignalPoint(at, each, input_tokens=int(each * random.gauss(1000, 60) * slower), tokens_known=each)
        for at in range(windows)
    ]
    return SignalSeries(name, "model", SignalPoint(calls=count, errors=errors), points, "", buckets, [])


def measure(found: list[Compared], what: str) -> Compared:
    return next(each for each in found if each.what == what)


def test_two_of_one_distribution_are_seldom_told_apart_and_two_of_others_always() -> None:
    wrong = dict.fromkeys(("latency p50", "latency p95", "error rate", "tokens a call"), 0)
    for seed in range(30):
        same = compared(series("a", seed), series("b", 1000 + seed), BOUNDS)
        for what in wrong:
            wrong[what] += measure(same, what).verdict != "not told apart"
    assert max(wrong.values()) <= 5, wrong  # 95 % intervals: 1.5 of 30 are to be expected
    slow = compared(series("a", 1), series("b", 2, slower=1.8, failing=0.4), BOUNDS)
    assert {measure(slow, what).verdict for what in wrong} == {"more"}
    assert {measure(compared(series("b", 2, slower=1.8), series("a", 1), BOUNDS), "latency p50").verdict} == {"less"}


def test_the_interval_holds_the_true_difference() -> None:
    held = 0
    for seed in range(20):
        found = measure(
            compared(series("a", seed, failing=0.1), series("b", 500 + seed, failing=0.3), BOUNDS), "error rate"
        )
        assert found.low is not None and found.high is not None
        held += found.low <= 0.2 <= found.high
    assert held >= 17


def test_the_same_series_give_the_same_intervals() -> None:
    assert compared(series("a", 1), series("b", 2), BOUNDS) == compared(series("a", 1), series("b", 2), BOUNDS)


@pytest.mark.parametrize(("count", "windows", "of"), [(LEAST_CALLS - 1, 1, "calls"), (400, 4, "windows")])
def test_of_too_few_nothing_is_said(count: int, windows: int, of: str) -> None:
    found = compared(series("a", 1), series("b", 2, count=count, windows=windows), BOUNDS)
    tokens = measure(found, "tokens a call")
    assert (tokens.verdict, tokens.of, tokens.low) == ("too few", of, None)
    assert (measure(found, "latency p50").verdict == "too few") is (of == "calls")


def test_one_bucket_does_not_tell_more_than_its_width() -> None:
    """All of one a hair below a bound, all of the other a hair above it: how much slower is known only to a factor of four."""
    counts = [[0] * 7 + [200, 0] + [0] * 6, [0] * 7 + [0, 200] + [0] * 6]
    pair = [
        SignalSeries(name, "model", SignalPoint(calls=200), [], "", c, []) for name, c in zip("ab", counts, strict=True)
    ]
    found = measure(compared(*pair, BOUNDS), "latency p50")
    assert found.low is not None and found.high is not None and found.low < 0.4 and found.high > 1.5


def test_a_p95_needs_three_calls_beyond_it() -> None:
    found = compared(series("a", 1, count=59, windows=1), series("b", 2), BOUNDS)
    assert (measure(found, "latency p95").verdict, measure(found, "latency p95").least) == ("too few", 60)
    assert measure(found, "latency p50").verdict != "too few"


def test_what_nobody_knows_is_not_compared_and_an_empty_histogram_has_no_middle() -> None:
    empty = SignalSeries("a", "tool", SignalPoint())
    assert compared(empty, empty, BOUNDS) == []
    assert quantile([], 0.5, BOUNDS) is None and quantile([0] * 15, 0.5, BOUNDS) is None
    assert quantile([0] * 14 + [3], 1.0, BOUNDS) == 2 * BOUNDS[-1]


def test_what_one_side_lacks_and_what_it_had_for_nothing_has_no_share_to_differ_by() -> None:
    found = measure(compared(series("a", 1), SignalSeries("b", "model", SignalPoint()), BOUNDS), "latency p50")
    assert found.first is not None and found.second is None and found.change is None
    points = [SignalPoint(at_ns=at, calls=20, input_tokens=1_000 * (at == 0), tokens_known=20) for at in range(20)]
    seldom = SignalSeries("a", "model", SignalPoint(calls=400), points, "", [], [])
    tokens = measure(compared(seldom, series("b", 2), BOUNDS), "tokens a call")
    assert tokens.verdict == "more" and tokens.low is not None  # of the windows drawn, some hold no token at all


def test_a_mean_is_of_the_calls_that_say_their_tokens() -> None:
    """Half of the calls of one say nothing of tokens, as a stream without usage does: they used no fewer."""
    silent = series("b", 2)
    silent = structs.replace(silent, points=[structs.replace(each, calls=2 * each.calls) for each in silent.points])
    first, second = (
        measure(compared(series("a", 1), each, BOUNDS), "tokens a call") for each in (series("b", 2), silent)
    )
    assert first == second and first.second is not None
