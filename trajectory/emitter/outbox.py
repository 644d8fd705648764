"""Facts that are packed and numbered, kept until the collector has stored and acknowledged them.

Invariant: every fact from `base_seq` to `next_seq` is here, in memory or in the spool, so whatever a reconnecting collector
lacks can be sent again. Memory is bounded by bytes; what it has no room for, or nobody takes for a while, goes to the spool
where there is one. The sender's thread alone calls it.
"""

import time
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

from trajectory.protocol import frames
from trajectory.protocol.frames import MAX_FACTS

if TYPE_CHECKING:
    from trajectory.emitter.spool import Place, Spool

FRAME_BYTES = 64 * 1024
LIMIT_BYTES = 64 * 1024 * 1024
OVERHEAD_BYTES = 41  # what Python adds to each part
SPOOLED_BYTES = 400  # what a parcel costs in memory while its facts are on disk
PATIENCE_S = 0.25  # unacknowledged that long, facts go to the spool, where a kill of the process does not reach them


class Parcel:
    """Consecutive packed facts that travel in one frame: `count` of them in `parts`, each part one or more.

    In the spool, `parts` is empty and `place` says where they are.
    """

    __slots__ = ("count", "first_seq", "parts", "place", "size_bytes")

    def __init__(self, first_seq: int, parts: list[bytes] | None = None) -> None:
        """`parts`, where they are given, are one fact each."""
        self.first_seq = first_seq
        self.parts = parts or []
        self.count = len(self.parts)
        self.size_bytes = 0
        self.place: Place | None = None

    @property
    def end_seq(self) -> int:
        return self.first_seq + self.count

    @property
    def facts(self) -> list[bytes]:
        """The facts one by one."""
        return self.parts if len(self.parts) == self.count else frames.facts_in(b"".join(self.parts), self.count)


class Outbox:
    """Unacknowledged parcels, oldest first; the first `in_flight` of them were sent on the present connection."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES, spool: "Spool | None" = None) -> None:
        self._parcels: deque[Parcel] = deque()
        self._growing: Parcel | None = None  # the last one, while it was neither sent nor spooled and has room
        self._limit_bytes = limit_bytes
        self._size_bytes = 0
        self._spool = spool
        self._spooled_count = 0  # parcels: always the oldest ones
        self._tended_s = 0.0
        self._moved = False
        self.in_flight = 0
        self.base_seq = 0
        self.next_seq = 0

    @property
    def full(self) -> bool:
        return self._size_bytes >= self._limit_bytes

    @property
    def has_spool(self) -> bool:
        return self._spool is not None

    @property
    def empty(self) -> bool:
        return not self._parcels

    def add(self, packed: bytes, count: int = 1) -> None:
        """Numbers so many facts, packed one behind the other, and puts them into the last parcel.

        That is one that has room and was neither sent nor spooled yet.
        """
        parcel = self._growing
        if parcel is None or parcel.count + count > MAX_FACTS:
            parcel = self._growing = Parcel(self.next_seq)
            self._parcels.append(parcel)
        size_bytes = len(packed) + OVERHEAD_BYTES
        parcel.parts.append(packed)
        parcel.count += count
        parcel.size_bytes += size_bytes
        self._size_bytes += size_bytes
        self.next_seq += count
        if parcel.count >= MAX_FACTS or parcel.size_bytes >= FRAME_BYTES:
            self._growing = None

    def next_unsent(self) -> Parcel | None:
        """The oldest parcel that was not sent on this connection, its facts in memory, if only in this copy of it."""
        if len(self._parcels) <= self.in_flight:
            return None
        parcel = self._parcels[self.in_flight]
        return parcel if parcel.place is None else self._from_spool(parcel)

    def sent(self) -> None:
        """The parcel that `next_unsent` gave is on its way."""
        self.in_flight += 1
        if self.in_flight >= len(self._parcels):
            self._growing = None

    def rewind(self) -> None:
        """Nothing counts as sent any more: the connection is gone."""
        self.in_flight = 0

    def acknowledged(self, next_seq: int) -> None:
        """Lets go of everything below `next_seq`, to the very fact."""
        self._moved = self._moved or next_seq > self.base_seq
        while self._parcels and self._parcels[0].end_seq <= next_seq:
            parcel = self._parcels.popleft()
            self._size_bytes -= parcel.size_bytes
            self.in_flight = max(0, self.in_flight - 1)
            self._forget_place(parcel)
        if not self._parcels:
            self._growing = None
        elif self._parcels[0].first_seq < next_seq:
            self._trim(self._parcels[0], next_seq)
        self.base_seq = self._parcels[0].first_seq if self._parcels else self.next_seq

    def tend(self, now_s: float, waiting_count: int) -> None:
        """Looks after memory and spool; `waiting_count` facts are in the queue. Called at every turn, it does little."""
        if self._moved or not self._parcels:
            self._moved, self._tended_s = False, now_s
        if self._spool is None:
            return
        if self.full or now_s - self._tended_s >= PATIENCE_S:
            self._tended_s = now_s
            self.spill()
        self._spool.note(self.base_seq, self.next_seq + waiting_count)

    def spill(self) -> None:
        """Brings what is in memory into the spool, in order, as far as it takes it."""
        for parcel in islice(self._parcels, self._spooled_count, None):
            place = self._spool.write(parcel.first_seq, parcel.facts) if self._spool is not None else None
            if place is None:
                return
            self._size_bytes += SPOOLED_BYTES - parcel.size_bytes
            parcel.place, parcel.parts, parcel.size_bytes = place, [], SPOOLED_BYTES
            if parcel is self._growing:
                self._growing = None
            self._spooled_count += 1

    def close(self) -> None:
        """Lets go of the spool, which stays where something in it has not been acknowledged."""
        if self._spool is not None:
            self._spool.close(is_needed=not self.empty)

    def _from_spool(self, parcel: Parcel) -> Parcel:
        """A copy with its facts. Those that the disk does not give back are gaps, each in its place."""
        written = self._spool.read(parcel.place) if self._spool is not None and parcel.place is not None else None
        if written is None:
            written = [frames.pack((frames.GAP, time.time_ns(), 1, "spool_damaged"))] * parcel.count
        return Parcel(parcel.first_seq, written[-parcel.count :])  # the first ones may be acknowledged

    def _trim(self, parcel: Parcel, next_seq: int) -> None:
        stored_count = next_seq - parcel.first_seq
        if parcel.place is None:
            parcel.parts = parcel.facts[stored_count:]
            left_bytes = sum(map(len, parcel.parts)) + OVERHEAD_BYTES * len(parcel.parts)
            self._size_bytes += left_bytes - parcel.size_bytes
            parcel.size_bytes = left_bytes
        parcel.first_seq = next_seq
        parcel.count -= stored_count

    def _forget_place(self, parcel: Parcel) -> None:
        if parcel.place is not None:
            self._spooled_count -= 1
            if not self._spooled_count and self._spool is not None:
                self._spool.clear()
