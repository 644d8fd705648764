"""Time and identity as they are injected into a tracer.

Invariant: no other file of the emitter's hot path reads a clock or draws a random number. Real ones here, a manual clock and
counting ids in `trajectory.testing`.
"""

import os
import random
import time
from collections.abc import Callable
from typing import Protocol

_COUNTS_SLEEP: int | None = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))


class Clock(Protocol):
    """Two readings in nanoseconds: one that never goes back, one that people agree on."""

    def mono_ns(self) -> int: ...

    def wall_ns(self) -> int: ...


class IdSource(Protocol):
    """Fresh identifiers: 16 bytes for a trace, 8 for a span."""

    def next_trace(self) -> bytes: ...

    def next_span(self) -> bytes: ...


class SystemClock:
    """The machine's clocks. The wall clock is read once and carried on by one that nobody sets and that counts a sleep too.

    So a wall clock that is set in the middle of a run turns no order around and makes no span longer, or shorter than nothing.
    """

    mono_ns = staticmethod(time.monotonic_ns)

    def __init__(self, read_ns: Callable[[], int] = time.time_ns, steady_ns: Callable[[], int] | None = None) -> None:
        self._steady_ns = steady_ns or _steady_ns
        self._ahead_ns = read_ns() - self._steady_ns()

    def wall_ns(self) -> int:
        return self._steady_ns() + self._ahead_ns


def _steady_ns() -> int:
    return time.monotonic_ns() if _COUNTS_SLEEP is None else time.clock_gettime_ns(_COUNTS_SLEEP)


class RandomIds:
    """Identifiers from a generator that is seeded by the operating system once: a forked child makes its own RandomIds.

    os.urandom for every id would cost ten times as much, and collisions need 2**32 spans in one trace either way.
    """

    def __init__(self) -> None:
        bits = random.Random(os.urandom(32)).getrandbits
        self.next_trace = _stream(bits, 16)
        self.next_span = _stream(bits, 8)


def _stream(bits: Callable[[int], int], size_bytes: int) -> Callable[[], bytes]:
    """Random bytes at each call, which any thread may make.

    Zero, which names nothing, comes once in 2**64: less often than a machine miscounts.
    """
    size_bits = 8 * size_bytes

    def drawn() -> bytes:
        return bits(size_bits).to_bytes(size_bytes, "big")

    return drawn
