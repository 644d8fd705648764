"""Which spans came already: exporters send a batch again when its answer was lost, and their retries are the very same spans.

Invariant: a span is known from when its facts are on the collector's disk, and not sooner. The last `limit` are remembered;
one that is older, or came to an earlier process, is stored and folded again, which changes nothing that is shown. Owned by the
receiver's loop.
"""

from collections.abc import Iterable

from trajectory.dialects.raw import RawSpan

LIMIT = 200_000  # spans; 90 bytes each


class Seen:
    """The keys of spans, the least recently added forgotten first."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._keys: dict[int, None] = {}

    def is_new(self, key: int) -> bool:
        return key not in self._keys

    def add(self, keys: Iterable[int]) -> None:
        for key in keys:
            self._keys.pop(key, None)
            self._keys[key] = None
        while len(self._keys) > self._limit:
            del self._keys[next(iter(self._keys))]


def key_of(span: RawSpan) -> int:
    """What a retry has in common with the first try; an open span and its end differ."""
    return hash((span.trace_id, span.span_id, span.start_ns, span.end_ns, span.name))
