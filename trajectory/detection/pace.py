"""When a detector that reads a whole trace reads it again.

Invariant: a short trace is read whenever it changed; a long one when it is complete, when it has grown by a tenth, or when it
has grown by a fiftieth and two milliseconds for each of its spans have passed. So the reads of a trace, live or replayed, are
bounded by the logarithm of its length, and all of them together cost a multiple of it. Pure: time is an argument.
"""

from trajectory.graph.trace import Trace

SHORT_COUNT = 500  # spans
_REST_NS_PER_SPAN = 2_000_000


class Pace:
    """What a trace was when it was last read."""

    def __init__(self) -> None:
        self._version = -1
        self._size = 0
        self._at_ns = 0

    def is_due(self, trace: Trace, now_ns: int) -> bool:
        """Whether to read it now; if so, it counts as read."""
        if trace.told_version == self._version:
            return False
        size = len(trace.spans)
        due = (
            size < SHORT_COUNT
            or not trace.open_count
            or size >= self._size + self._size // 10
            or (size >= self._size + self._size // 50 and now_ns - self._at_ns >= size * _REST_NS_PER_SPAN)
        )
        if due:
            self._version, self._size, self._at_ns = trace.told_version, size, now_ns
        return due
