"""Which traces ran at what time, for ruling out those that did not: by agent, in the index of `stitching`.

Invariant: an answer names every trace that ran then, and takes no longer than those that ran about then are many.
"""

from bisect import bisect_left, bisect_right, insort

from trajectory.model.ends import Ends

SKEW_NS = 2_000_000_000  # how far apart two processes' clocks may be


class Meanwhile:
    """When the traces ran in which one agent worked, by their start."""

    def __init__(self) -> None:
        self._starts: list[tuple[int, bytes]] = []
        self._last_ns: dict[bytes, int] = {}  # 0 while it is open
        self._longest_ns = 0
        self._open: set[bytes] = set()

    def add(self, trace_id: bytes, ends: Ends) -> None:
        insort(self._starts, (ends.started_ns, trace_id))
        self._last_ns[trace_id] = ends.last_ns
        if ends.is_open:
            self._open.add(trace_id)
        else:
            self._longest_ns = max(self._longest_ns, ends.last_ns - ends.started_ns)

    def remove(self, trace_id: bytes, ends: Ends) -> bool:
        """True where none is left."""
        del self._starts[bisect_left(self._starts, (ends.started_ns, trace_id))]
        del self._last_ns[trace_id]
        self._open.discard(trace_id)
        return not self._starts

    def begun(self, from_ns: int, to_ns: int) -> list[bytes]:
        """Those that started between two instants."""
        first, last = bisect_left(self._starts, (from_ns, b"")), bisect_right(self._starts, (to_ns, b"\xff" * 17))
        return [trace_id for _, trace_id in self._starts[first:last]]

    def over(self, from_ns: int, to_ns: int) -> list[bytes]:
        """Those that ran at any time between two instants."""
        ended = (t for t in self.begun(from_ns - self._longest_ns, to_ns) if self._last_ns[t] >= from_ns)
        return [*ended, *self._open]

    def at(self, at_ns: int) -> list[bytes]:
        """Those that ran at an instant, or so near to it that a clock may hide it."""
        return self.over(at_ns - SKEW_NS, at_ns + SKEW_NS)
