"""Time and identity as they are injected into a tracer.

Invariant: no other file of the emitter's hot path reads a clock or draws a random number. Real ones here, a manual clock and
counting ids in `trajectory.testing`.
"""

import os
import random
import time
from typing import Protocol


class Clock(Protocol):
    """Two readings in nanoseconds: one that never goes back, one that people agree on."""

    def mono_ns(self) -> int: ...

    def wall_ns(self) -> int: ...


class IdSource(Protocol):
    """Fresh identifiers: 16 bytes for a trace, 8 for a span, never all zero."""

    def next_trace(self) -> bytes: ...

    def next_span(self) -> bytes: ...


class SystemClock:
    """The machine's clocks."""

    mono_ns = staticmethod(time.monotonic_ns)
    wall_ns = staticmethod(time.time_ns)


class RandomIds:
    """Identifiers from a generator that is seeded by the operating system once a process.

    os.urandom for every id would cost ten times as much, and collisions need 2**32 spans in one trace either way.
    """

    def __init__(self) -> None:
        self.reseed()

    def reseed(self) -> None:
        """Draws a new seed: a forked child must not repeat its parent's ids."""
        self._bits = random.Random(os.urandom(32)).getrandbits

    def next_trace(self) -> bytes:
        return (self._bits(128) or 1).to_bytes(16, "big")

    def next_span(self) -> bytes:
        return (self._bits(64) or 1).to_bytes(8, "big")
