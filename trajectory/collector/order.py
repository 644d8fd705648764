"""Puts each emitter's facts in their order, once, and names what is missing.

Invariant: for each (emitter, boot) the accepted frames continue one another without holes; a position is skipped only when its
emitter says in a HELLO that it no longer holds it, and then the skip is a gap among what is kept. Owned by the intake's loop.
"""

from collections.abc import Callable

from trajectory.protocol import frames
from trajectory.store.journal import Position

MAX_LANES = 4096


class Lane:
    """How far one boot of one emitter has come: `next_seq` is the first position not yet accepted, `kept_seq` the first
    not yet in the journal, `held_seq` the first that its emitter still holds. `hello` is the frame in which it said who it
    is, `told_segment` the journal's segment that has it, `kept_at` where the journal stood then. `credit_facts` is what it
    may bring at once, as of `credit_at_s`."""

    __slots__ = (
        "boot_id", "credit_at_s", "credit_facts", "emitter_id", "heard_ns", "held_seq", "hello", "kept_at", "kept_seq",
        "next_seq", "routing_id", "said_bye", "told_segment",
    )  # fmt: skip

    def __init__(self, emitter_id: bytes, boot_id: bytes, kept_seq: int) -> None:
        self.emitter_id = emitter_id
        self.boot_id = boot_id
        self.next_seq = self.kept_seq = self.held_seq = kept_seq
        self.hello = b""
        self.told_segment = 0
        self.kept_at = Position()
        self.heard_ns = 0
        self.routing_id = b""
        self.said_bye = False
        self.credit_facts = self.credit_at_s = 0.0


class Order:
    """Accepts frames in any order of arrival. `kept_seq` tells how far a source was kept before; it may raise StoreError."""

    def __init__(self, kept_seq: Callable[[bytes, bytes], int]) -> None:
        self._kept_seq = kept_seq
        self._lanes: dict[tuple[bytes, bytes], Lane] = {}
        self.settled = Position()  # what is in the store of the journal: a lane that is not must stay

    def lanes(self) -> list[Lane]:
        """Every boot of every emitter that was heard since this process began, the most that are kept."""
        return list(self._lanes.values())

    def lane(self, emitter_id: bytes, boot_id: bytes) -> Lane | None:
        """The lane of an emitter that has said HELLO to this process; None for any other."""
        return self._lanes.get((emitter_id, boot_id))

    def greet(self, emitter_id: bytes, boot_id: bytes, held_seq: int, hello: bytes = b"") -> Lane:
        """An emitter says who it is, and that it holds everything from `held_seq` on. Raises StoreError.

        An emitter that this store has never seen may hold less than all, because another collector took the rest: that is
        no loss.
        """
        key = (emitter_id, boot_id)
        lane = self._lanes.get(key)
        if lane is None:
            lane = Lane(*key, self._kept_seq(*key))
            self._make_room()
            self._lanes[key] = lane
        if lane.hello != hello:
            lane.hello, lane.told_segment = hello, 0
        lane.held_seq = max(lane.held_seq, held_seq)
        if not lane.next_seq:
            lane.next_seq = lane.kept_seq = lane.held_seq
        return lane

    def skip(self, lane: Lane, now_ns: int) -> bytes:
        """A frame with a gap in the place of what the emitter no longer holds and nobody kept; empty where nothing is missing."""
        lost_count = lane.held_seq - lane.next_seq
        if lost_count <= 0:
            return b""
        lane.next_seq = lane.held_seq
        gap = frames.pack((frames.GAP, now_ns, lost_count, "sequence"))
        return frames.facts_frame(lane.emitter_id, lane.boot_id, lane.held_seq - 1, [gap])

    def accept(self, lane: Lane, first_seq: int, count: int) -> bool:
        """Whether a frame brings something new; not where all of it was there before, or something before it has not come.

        A frame that is ahead is not kept: its emitter holds it, and sends it again from where the acknowledgement stands.
        """
        if first_seq > lane.next_seq or first_seq + count <= lane.next_seq:
            return False
        lane.next_seq = first_seq + count
        return True

    @staticmethod
    def kept(lane: Lane, at: Position) -> None:
        """What was accepted is in the journal, which now ends at `at`."""
        lane.kept_seq, lane.kept_at = lane.next_seq, at

    @staticmethod
    def forget(lane: Lane) -> None:
        """Takes a lane back to what was kept, after a write that failed."""
        lane.next_seq, lane.told_segment = lane.kept_seq, 0

    def _make_room(self) -> None:
        """Drops the lanes unheard for longest: whoever comes back after that connects anew, and says HELLO."""
        if len(self._lanes) >= MAX_LANES:
            settled = [item for item in self._lanes.items() if item[1].kept_at <= self.settled]
            for key, _ in sorted(settled, key=lambda item: item[1].heard_ns)[: MAX_LANES // 4]:
                del self._lanes[key]
