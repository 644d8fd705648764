"""Facts that are packed and numbered, kept until the collector has stored and acknowledged them.

Invariant: every fact from `base_seq` to `next_seq` is here, so whatever a reconnecting collector lacks can be sent again.
The sender's thread alone calls it. It is bounded by bytes; a spool on disk would stand behind these same methods.
"""

from collections import deque

from trajectory.protocol.frames import MAX_FACTS

FRAME_BYTES = 64 * 1024
LIMIT_BYTES = 64 * 1024 * 1024
OVERHEAD_BYTES = 41  # what Python adds to each packed fact


class Parcel:
    """Consecutive packed facts that travel in one frame."""

    __slots__ = ("facts", "first_seq", "size_bytes")

    def __init__(self, first_seq: int) -> None:
        self.first_seq = first_seq
        self.facts: list[bytes] = []
        self.size_bytes = 0

    @property
    def end_seq(self) -> int:
        return self.first_seq + len(self.facts)


class Outbox:
    """Unacknowledged parcels, oldest first; the first `in_flight` of them were sent on the present connection."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._parcels: deque[Parcel] = deque()
        self._limit_bytes = limit_bytes
        self._size_bytes = 0
        self.in_flight = 0
        self.base_seq = 0
        self.next_seq = 0

    def __len__(self) -> int:
        return len(self._parcels)

    @property
    def full(self) -> bool:
        return self._size_bytes >= self._limit_bytes

    @property
    def empty(self) -> bool:
        return not self._parcels

    def add(self, packed: bytes) -> None:
        """Numbers a packed fact and puts it into the last parcel that has room and was not sent yet."""
        if len(self._parcels) > self.in_flight and _has_room(self._parcels[-1]):
            parcel = self._parcels[-1]
        else:
            parcel = Parcel(self.next_seq)
            self._parcels.append(parcel)
        parcel.facts.append(packed)
        parcel.size_bytes += len(packed) + OVERHEAD_BYTES
        self._size_bytes += len(packed) + OVERHEAD_BYTES
        self.next_seq += 1

    def next_unsent(self) -> Parcel | None:
        """The oldest parcel that was not sent on this connection."""
        return self._parcels[self.in_flight] if len(self._parcels) > self.in_flight else None

    def sent(self) -> None:
        """The parcel that `next_unsent` gave is on its way."""
        self.in_flight += 1

    def rewind(self) -> None:
        """Nothing counts as sent any more: the connection is gone."""
        self.in_flight = 0

    def acknowledged(self, next_seq: int) -> None:
        """Lets go of everything below `next_seq`, to the very fact."""
        while self._parcels and self._parcels[0].end_seq <= next_seq:
            parcel = self._parcels.popleft()
            self._size_bytes -= parcel.size_bytes
            self.in_flight = max(0, self.in_flight - 1)
        if self._parcels and self._parcels[0].first_seq < next_seq:
            self._trim(self._parcels[0], next_seq)
        self.base_seq = self._parcels[0].first_seq if self._parcels else self.next_seq

    def _trim(self, parcel: Parcel, next_seq: int) -> None:
        stored = parcel.facts[: next_seq - parcel.first_seq]
        stored_bytes = sum(map(len, stored)) + OVERHEAD_BYTES * len(stored)
        del parcel.facts[: len(stored)]
        parcel.first_seq = next_seq
        parcel.size_bytes -= stored_bytes
        self._size_bytes -= stored_bytes


def _has_room(parcel: Parcel) -> bool:
    return len(parcel.facts) < MAX_FACTS and parcel.size_bytes < FRAME_BYTES
