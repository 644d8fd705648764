"""Keeps work that is repeated, and grows with what it reads, to a share of the loop's time.

Invariant: work that took c nanoseconds is not due again before it has rested `rests` times c; what is quick never rests. So a
huge trace is summed up, judged and shown less often, and facts go on coming in. Called by the pipeline and the publisher.
"""

import time
from collections.abc import Callable

QUICK_NS = 10_000_000
NOTHING_NS = 1_000_000

MonotonicClock = Callable[[], int]


class Pace:
    """When one piece of work may be done again. `clock` is monotonic, in nanoseconds."""

    __slots__ = ("_clock", "_due_ns", "_rests")

    def __init__(self, rests: int, clock: MonotonicClock = time.monotonic_ns) -> None:
        self._rests = rests
        self._clock = clock
        self._due_ns = 0

    @property
    def is_due(self) -> bool:
        return self._clock() >= self._due_ns

    def took(self, began_ns: int) -> int:
        """Notes that work which began at `began_ns` has ended; returns how long it took, in nanoseconds."""
        ended_ns = self._clock()
        cost_ns = ended_ns - began_ns
        self._due_ns = ended_ns + self._rests * cost_ns if cost_ns > QUICK_NS else 0
        return cost_ns

    def rests_for(self, cost_ns: int) -> None:
        """Notes work of many small parts that took `cost_ns` of the processor's time; only what is nothing never rests."""
        self._due_ns = self._clock() + self._rests * cost_ns if cost_ns > NOTHING_NS else 0
