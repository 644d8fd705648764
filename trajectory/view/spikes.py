"""Which values of a series stand out: far above what is usual in it, by its median and that of the distances from it.

Invariant: pure; what is not known, not finite, or among too few others never stands out. The plots mark them, and the keys go
from one to the next.
"""

from collections.abc import Sequence
from math import isfinite
from statistics import median

LEAST_COUNT = 8  # known values
_FAR = 6.0  # times the median distance
_LEAST_RATIO = (
    2.0  # times the median: durations come out of buckets that double, and a steady series has next to no distances
)


def spikes(values: Sequence[float | None]) -> list[int]:
    """The places of the values that stand out, in their order."""
    known = [value for value in values if value is not None and isfinite(value)]
    if len(known) < LEAST_COUNT:
        return []
    middle = median(known)
    far = max(_FAR * median(abs(value - middle) for value in known), (_LEAST_RATIO - 1) * abs(middle))
    return [
        at
        for at, value in enumerate(values)
        if value is not None and isfinite(value) and value - middle > max(far, 0.0)
    ]
