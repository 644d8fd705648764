"""Puts each emitter's facts in their order, once, and names what is missing.

Invariant: for each (emitter, boot) the accepted facts have consecutive positions without repetition; a position is skipped
only when its emitter says that it no longer holds it, and then the skip is reported. Owned by the intake's loop.
"""

from collections.abc import Callable

from trajectory.model.fact import Batch, Fact, Source


class Lane:
    """How far one boot of one emitter has come: `next_seq` is the first position not yet accepted."""

    __slots__ = ("heard_ns", "next_seq", "routing_id", "source")

    def __init__(self, source: Source, next_seq: int) -> None:
        self.source = source
        self.next_seq = next_seq
        self.heard_ns = 0
        self.routing_id = b""


class Order:
    """Accepts frames in any order of arrival. `stored_seq` tells how far a source is in the store."""

    def __init__(self, stored_seq: Callable[[bytes, bytes], int]) -> None:
        self._stored_seq = stored_seq
        self._lanes: dict[tuple[bytes, bytes], Lane] = {}

    def lanes(self) -> list[Lane]:
        """Every boot of every emitter that was heard since this process began."""
        return list(self._lanes.values())

    def lane(self, emitter_id: bytes, boot_id: bytes) -> Lane | None:
        return self._lanes.get((emitter_id, boot_id))

    def greet(self, source: Source, held_seq: int) -> tuple[Lane, int]:
        """An emitter says who it is, and that it holds everything from `held_seq` on.

        Returns its lane and how many facts are lost for good: those between the store's end and `held_seq`. An emitter
        that this store has never seen may hold less than all, because another collector took the rest: that is no loss.
        """
        key = (source.emitter_id, source.boot_id)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = Lane(source, self._stored_seq(*key))
        lane.source = source
        is_known = lane.next_seq > 0
        lost_count = max(held_seq - lane.next_seq, 0)
        lane.next_seq = max(lane.next_seq, held_seq)
        return lane, lost_count if is_known else 0

    def accept(self, lane: Lane, first_seq: int, facts: list[Fact]) -> Batch | None:
        """The part of a frame that is new, or None: all of it was there before, or something before it has not come.

        A frame that is ahead is not kept: its emitter holds it, and sends it again from where the acknowledgement stands.
        """
        if first_seq > lane.next_seq or first_seq + len(facts) <= lane.next_seq:
            return None
        fresh = facts[lane.next_seq - first_seq :]
        batch = Batch(lane.source, lane.next_seq, fresh)
        lane.next_seq += len(fresh)
        return batch

    def forget(self, key: tuple[bytes, bytes]) -> None:
        """Takes a lane back to what the store holds, after a write that failed; drops it where nothing is heard any more."""
        lane = self._lanes.get(key)
        if lane is not None:
            lane.next_seq = self._stored_seq(*key)
