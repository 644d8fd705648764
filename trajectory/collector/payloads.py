"""The bodies that facts name by digest, as many as memory is given for, the rest from the store.

Invariant: holds at most `limit_bytes`, Python's own share included; what is not held is read from the store, and what is not
there is None.
"""

from collections import OrderedDict
from collections.abc import Callable
from sys import intern

Body = tuple[str, bytes]
LIMIT_BYTES = 4 * 1024 * 1024
_OVERHEAD_BYTES = 300  # what Python adds to each: many small bodies weigh more than their text


class Payloads:
    """A cache in front of `stored`, least recently used out first. Called by one thread."""

    def __init__(self, stored: Callable[[bytes], Body | None], limit_bytes: int = LIMIT_BYTES) -> None:
        self._stored = stored
        self._limit_bytes = limit_bytes
        self._held: OrderedDict[bytes, Body] = OrderedDict()
        self._held_bytes = 0

    def put(self, digest: bytes, media_type: str, body: bytes) -> None:
        if digest in self._held or len(body) + _OVERHEAD_BYTES > self._limit_bytes:
            return
        self._held[digest] = (intern(media_type), body)
        self._held_bytes += len(body) + _OVERHEAD_BYTES
        while self._held_bytes > self._limit_bytes:
            _, (_, dropped) = self._held.popitem(last=False)
            self._held_bytes -= len(dropped) + _OVERHEAD_BYTES

    def get(self, digest: bytes) -> Body | None:
        held = self._held.get(digest)
        if held is not None:
            self._held.move_to_end(digest)
            return held
        found = self._stored(digest)
        if found is not None:
            self.put(digest, *found)
        return found
