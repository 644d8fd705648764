"""Time and identity as they are injected into a tracer.

Invariant: no other file of the emitter's hot path reads a clock or draws a random number. Real ones here, a manual clock and
counting ids in `trajectory.testing`.
"""

import os
import random
import time
from collections.abc import Callable
from functools import partial
from itertools import repeat
from typing import Protocol, cast


class Clock(Protocol):
    """Two readings in nanoseconds: one that never goes back, one that people agree on."""

    def mono_ns(self) -> int: ...

    def wall_ns(self) -> int: ...


class IdSource(Protocol):
    """Fresh identifiers: 16 bytes for a trace, 8 for a span."""

    def next_trace(self) -> bytes: ...

    def next_span(self) -> bytes: ...


class SystemClock:
    """The machine's clocks."""

    mono_ns = staticmethod(time.monotonic_ns)
    wall_ns = staticmethod(time.time_ns)


class RandomIds:
    """Identifiers from a generator that is seeded by the operating system once: a forked child makes its own RandomIds.

    os.urandom for every id would cost ten times as much, and collisions need 2**32 spans in one trace either way.
    """

    def __init__(self) -> None:
        bits = random.Random(os.urandom(32)).getrandbits
        self.next_trace = _stream(bits, 16)
        self.next_span = _stream(bits, 8)


def _stream(bits: Callable[[int], int], size_bytes: int) -> Callable[[], bytes]:
    """Random bytes at each call. Built of C's parts alone, so it costs little and no thread can enter it twice.

    Zero, which names nothing, comes once in 2**64: less often than a machine miscounts.
    """
    numbers = iter(partial(bits, size_bytes * 8), -1)
    write = cast("Callable[[int, int, str], bytes]", int.to_bytes)
    return map(write, numbers, repeat(size_bytes), repeat("big")).__next__
