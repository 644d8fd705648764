"""Puts each emitter's facts in their order, once, and names what is missing.

Invariant: for each (emitter, boot) the accepted facts have consecutive positions without repetition; a position is skipped
only when its emitter says in a HELLO that it no longer holds it, and then the skip is a gap in what is stored. Owned by the
intake's loop.
"""

from collections.abc import Callable

from trajectory.model.fact import Batch, Fact, Gap, Source

MAX_LANES = 4096


class Lane:
    """How far one boot of one emitter has come: `next_seq` is the first position not yet accepted, `stored_seq` the first
    not yet stored, `held_seq` the first that its emitter still holds. `credit_facts` is what it may bring at once, as of
    `credit_at_s`."""

    __slots__ = (
        "credit_at_s", "credit_facts", "heard_ns", "held_seq", "next_seq", "routing_id", "said_bye", "source", "stored_seq",
    )  # fmt: skip

    def __init__(self, source: Source, stored_seq: int) -> None:
        self.source = source
        self.next_seq = self.stored_seq = self.held_seq = stored_seq
        self.heard_ns = 0
        self.routing_id = b""
        self.said_bye = False
        self.credit_facts = self.credit_at_s = 0.0


class Order:
    """Accepts frames in any order of arrival. `stored_seq` tells how far a source is in the store; it may raise StoreError."""

    def __init__(self, stored_seq: Callable[[bytes, bytes], int]) -> None:
        self._stored_seq = stored_seq
        self._lanes: dict[tuple[bytes, bytes], Lane] = {}

    def lanes(self) -> list[Lane]:
        """Every boot of every emitter that was heard since this process began, the most that are kept."""
        return list(self._lanes.values())

    def lane(self, emitter_id: bytes, boot_id: bytes) -> Lane | None:
        """The lane of an emitter that has said HELLO to this process; None for any other."""
        return self._lanes.get((emitter_id, boot_id))

    def greet(self, source: Source, held_seq: int) -> Lane:
        """An emitter says who it is, and that it holds everything from `held_seq` on. Raises StoreError.

        An emitter that this store has never seen may hold less than all, because another collector took the rest: that is
        no loss.
        """
        key = (source.emitter_id, source.boot_id)
        lane = self._lanes.get(key)
        if lane is None:
            lane = Lane(source, self._stored_seq(*key))
            self._make_room()
            self._lanes[key] = lane
        lane.source = source
        lane.held_seq = max(lane.held_seq, held_seq)
        if not lane.next_seq:
            lane.next_seq = lane.stored_seq = lane.held_seq
        return lane

    def skip(self, lane: Lane, now_ns: int) -> Batch | None:
        """A gap in the place of what the emitter no longer holds and the store never got; None where nothing is missing."""
        lost_count = lane.held_seq - lane.next_seq
        if lost_count <= 0:
            return None
        lane.next_seq = lane.held_seq
        return Batch(lane.source, lane.held_seq - 1, [Gap(now_ns, lost_count, "sequence")])

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

    @staticmethod
    def stored(lane: Lane) -> None:
        """What was accepted is stored."""
        lane.stored_seq = lane.next_seq

    @staticmethod
    def forget(lane: Lane) -> None:
        """Takes a lane back to what the store holds, after a write that failed."""
        lane.next_seq = lane.stored_seq

    def _make_room(self) -> None:
        """Drops the lanes unheard for longest: whoever comes back after that connects anew, and says HELLO."""
        if len(self._lanes) >= MAX_LANES:
            for key, _ in sorted(self._lanes.items(), key=lambda item: item[1].heard_ns)[: MAX_LANES // 4]:
                del self._lanes[key]
