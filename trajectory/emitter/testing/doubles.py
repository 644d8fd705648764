"""Time and identity that a test decides: a clock that stands still, and ids that count.

Invariant: the same calls give the same readings and ids, in every process.
"""

import itertools
import threading

START_NS = 1_750_000_000_000_000_000


class ManualClock:
    """A clock that moves only when it is told to."""

    def __init__(self, wall_ns: int = START_NS, mono_ns: int = 1_000_000_000) -> None:
        self._wall_ns = wall_ns
        self._mono_ns = mono_ns

    def mono_ns(self) -> int:
        """Nanoseconds from an origin of its own."""
        return self._mono_ns

    def wall_ns(self) -> int:
        """Nanoseconds since 1970, UTC."""
        return self._wall_ns

    def advance(self, seconds: float) -> None:
        """Moves both readings on."""
        self._mono_ns += int(seconds * 1e9)
        self._wall_ns += int(seconds * 1e9)

    def step_wall(self, seconds: float) -> None:
        """Moves the wall clock alone, as a correction by the network does."""
        self._wall_ns += int(seconds * 1e9)


class CountingIds:
    """Trace and span ids 1, 2, 3 and so on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._traces = itertools.count(1)
        self._spans = itertools.count(1)

    def next_trace(self) -> bytes:
        """The next id of a trace: 16 bytes, its number at their end."""
        with self._lock:
            return next(self._traces).to_bytes(16, "big")

    def next_span(self) -> bytes:
        """The next id of a span: 8 bytes, its number at their end."""
        with self._lock:
            return next(self._spans).to_bytes(8, "big")
