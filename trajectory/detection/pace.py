"""When a detector that reads a whole trace reads it again.

Invariant: reading costs about a tenth of a millisecond a span, so a short trace is read whenever it changed, and a long one
when it has grown by a tenth, is complete, or two milliseconds for each of its spans have passed: a twentieth of the time at
most, and all the reading of a trace together a small multiple of its length. Pure: time is an argument.
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
        if trace.version == self._version:
            return False
        size = len(trace.spans)
        due = (
            size < SHORT_COUNT
            or not trace.open_count
            or size >= self._size + self._size // 10
            or now_ns - self._at_ns >= size * _REST_NS_PER_SPAN
        )
        if due:
            self._version, self._size, self._at_ns = trace.version, size, now_ns
        return due
