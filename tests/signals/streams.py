"""Made-up streams of numbers in which nothing happens, of every shape that the work of agents has.

Invariant: a stream is what its name and its source of chance make it. Used by the tests of the baselines and by the benchmark.
"""

from collections.abc import Callable
from math import exp, pi, sin, sqrt
from random import Random

Stream = Callable[[int, Random], list[float]]


def lognormal(count: int, chance: Random, spread: float = 0.4) -> list[float]:
    return [exp(chance.gauss(0, spread)) for _ in range(count)]


def wide(count: int, chance: Random) -> list[float]:
    return lognormal(count, chance, 1.0)


def dependent(count: int, chance: Random, on_last: float = 0.7) -> list[float]:
    level, found = 0.0, []
    for _ in range(count):
        level = on_last * level + chance.gauss(0, 0.4 * sqrt(1 - on_last**2))
        found.append(exp(level))
    return found


def bimodal(count: int, chance: Random, part: float = 0.1) -> list[float]:
    return [exp(chance.gauss(2.3 if chance.random() < part else 0, 0.3)) for _ in range(count)]


def rare(count: int, chance: Random) -> list[float]:
    return bimodal(count, chance, 0.015)


def heavy(count: int, chance: Random) -> list[float]:
    return [chance.paretovariate(1.5) for _ in range(count)]


def whole(count: int, chance: Random) -> list[float]:
    return [float(chance.choice((3, 3, 3, 4, 5, 3, 2))) for _ in range(count)]


def constant(count: int, chance: Random) -> list[float]:
    return [1.0] * count


def zeros(count: int, chance: Random) -> list[float]:
    return [0.0 if chance.random() < 0.2 else float(chance.randint(1, 9)) for _ in range(count)]


def swinging(count: int, chance: Random, period: int = 500) -> list[float]:
    """A day's cycle of `period` values, by a factor of 2.7 from its lowest to its highest."""
    begin = chance.random() * 2 * pi
    return [exp(0.5 * sin(i / period * 2 * pi + begin) + chance.gauss(0, 0.3)) for i in range(count)]


def quickly(count: int, chance: Random) -> list[float]:
    return swinging(count, chance, 100)


def slowly(count: int, chance: Random) -> list[float]:
    return swinging(count, chance, 2000)


def growing(count: int, chance: Random) -> list[float]:
    """Ten times as much after ten thousand values."""
    return [exp(2.3 * i / 10_000 + chance.gauss(0, 0.3)) for i in range(count)]


def in_pairs(count: int, chance: Random, share: float = 0.05) -> list[float]:
    """Calls of which some fail, 1, and are tried again at once, in vain."""
    found: list[float] = []
    while len(found) < count:
        found += [1.0] * chance.choice((2, 3)) if chance.random() < share else [0.0]
    return found[:count]


def in_bursts(count: int, chance: Random, every: int = 200, length: int = 10) -> list[float]:
    """Calls that now and then fail for the most part, about ten in a row."""
    is_burst, found = False, []
    for _ in range(count):
        is_burst = chance.random() >= 1 / length if is_burst else chance.random() < 1 / every
        found.append(float(chance.random() < (0.7 if is_burst else 0.01)))
    return found


STREAMS: dict[str, Stream] = {
    "lognormal": lognormal, "wide": wide, "dependent": dependent, "bimodal": bimodal, "rare mode": rare, "heavy tail": heavy,
    "whole numbers": whole, "constant": constant, "zeros": zeros, "swing of 100": quickly, "swing of 500": swinging,
    "swing of 2000": slowly, "growing": growing,
}  # fmt: skip
