"""Facts to the collector's intake, in the name of whoever sent them, over the wire that emitters use.

Invariant: `done` is called once for everything that was given, with an empty text when all of it is on the collector's disk; what
is not there yet is kept, and sent again to whoever answers next. One thread owns the connection and the lanes.
"""

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

import zmq

from trajectory.emitter.link import Link
from trajectory.emitter.outbox import FRAME_BYTES, Outbox
from trajectory.model.fact import Batch, Fact, Gap
from trajectory.protocol import frames
from trajectory.protocol.codec import encode, encode_facts
from trajectory.protocol.frames import MAX_FRAME_BYTES

Done = Callable[[str], None]

_IDLE_S = 1.0
_SILENCE_S = 5.0  # without an answer to what is under way: the connection is made anew
_RESEND_S = 1.0  # it answers and takes nothing: what was under way is forgotten there
_REFUSED_S = 1.0
_QUIET_S = 600.0  # a lane that has nothing to say for so long says BYE
_MOST_LANES = 1024
_LARGEST_FACT_BYTES = MAX_FRAME_BYTES - 2 * FRAME_BYTES  # others may stand before it in its frame
_AT_ONCE = 32  # facts that are packed together; an array of 16 and more has a header of three bytes
_END_S = 5.0
_UNBOUNDED_BYTES = 1 << 62  # whoever gives bounds what is under way


class _Ticket:
    """One `bring`: called back when the last of its lanes has come so far."""

    def __init__(self, done: Done) -> None:
        self._done: Done | None = done
        self.waiting_count = 0

    def came(self) -> None:
        self.waiting_count -= 1
        if self.waiting_count <= 0:
            self.end("")

    def end(self, reason: str) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(reason)


class _Lane:
    """One source's facts, numbered, until the intake has them."""

    def __init__(self, emitter_id: bytes, boot_id: bytes, resource: dict[str, object]) -> None:
        self.emitter_id = emitter_id
        self.boot_id = boot_id
        self.resource = resource
        self.outbox = Outbox(_UNBOUNDED_BYTES)
        self.tickets: deque[tuple[int, _Ticket]] = deque()
        self.window = frames.WINDOW_FRAMES
        self.greeted = self.answered = False
        self.used_s = self.moved_s = 0.0

    def disconnect(self) -> None:
        self.greeted = self.answered = False
        self.outbox.rewind()

    def acknowledged(self, next_seq: int, window: int, now_s: float) -> None:
        self.answered, self.window = True, window
        if next_seq > self.outbox.base_seq:
            self.moved_s = now_s
        self.outbox.acknowledged(next_seq)
        while self.tickets and self.tickets[0][0] <= self.outbox.base_seq:
            self.tickets.popleft()[1].came()

    def give_up(self, reason: str) -> None:
        while self.tickets:
            self.tickets.popleft()[1].end(reason)


class Carrier:
    """Brings batches to the collector at `endpoint`. `bring` may be called from any thread, and calls back on the carrier's."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._given: deque[tuple[list[Batch], Done]] = deque()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._lanes: dict[bytes, _Lane] = {}  # by emitter
        self._by_boot: dict[bytes, _Lane] = {}
        self._boots = 0
        self._run_id = os.urandom(16)
        self._link: Link | None = None
        self._retry_s = self._heard_s = self._tended_s = 0.0
        self._ends_by_s: float | None = None
        self._thread = threading.Thread(target=self._run, name="trajectory-carrier", daemon=True)
        self._thread.start()

    def bring(self, batches: list[Batch], done: Done) -> None:
        """Takes batches on; each is of one source and its `first_seq` is of no matter. Their order is kept for each source."""
        self._given.append((batches, done))
        self._wake()

    def close(self) -> None:
        """Says goodbye for every source when all is on the collector's disk, a few seconds at most."""
        self._ends_by_s = time.monotonic() + _END_S
        self._wake()
        self._thread.join(_END_S + 1.0)
        os.close(self._wake_write)
        os.close(self._wake_read)

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # full: it will wake anyway
            os.write(self._wake_write, b"\0")

    # --- the carrier's thread -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._is_over():
            now_s = time.monotonic()
            try:
                self._connect(now_s)
                self._hear(now_s)
                self._take(now_s)
                self._speak(now_s)
                self._tend(now_s)
            except zmq.ZMQError:
                self._lose_link(_REFUSED_S)
            self._rest()
        self._farewell()
        self._lose_link(0.0)
        for lane in self._lanes.values():
            lane.give_up("the receiver stops")
        while self._given:  # where there never was a connection
            self._given.popleft()[1]("the receiver stops")

    def _is_over(self) -> bool:
        if self._ends_by_s is None:
            return False
        return time.monotonic() > self._ends_by_s or not (self._given or self._has_more)

    @property
    def _has_more(self) -> bool:
        return any(not lane.outbox.empty for lane in self._lanes.values())

    def _connect(self, now_s: float) -> None:
        if self._link is None:
            if now_s < self._retry_s:
                return
            self._link = Link(self._endpoint, self._wake_read)
            self._disconnect(now_s)
        if self._link.watch():
            self._disconnect(now_s)
        if now_s - self._heard_s <= _SILENCE_S:
            if any(lane.outbox.in_flight and now_s - lane.moved_s > _RESEND_S for lane in self._lanes.values()):
                self._resend(now_s)
        elif any(lane.greeted and (not lane.answered or lane.outbox.in_flight) for lane in self._lanes.values()):
            self._lose_link(0.0)

    def _resend(self, now_s: float) -> None:
        """What is under way for long: sent once more, because an intake drops what it cannot keep, and doubles nothing."""
        for lane in self._lanes.values():
            if lane.outbox.in_flight and now_s - lane.moved_s > _RESEND_S:
                lane.outbox.rewind()
                lane.moved_s = now_s

    def _disconnect(self, now_s: float) -> None:
        self._heard_s = now_s
        for lane in self._lanes.values():
            lane.disconnect()

    def _lose_link(self, pause_s: float) -> None:
        link, self._link = self._link, None
        self._retry_s = time.monotonic() + pause_s
        self._disconnect(time.monotonic())
        if link is not None:
            link.close()

    def _hear(self, now_s: float) -> None:
        while self._link is not None and (frame := self._link.receive()) is not None:
            self._heard_s = now_s
            try:
                answer = frames.answer(frame)
            except ValueError:
                continue  # what is no answer acknowledges nothing
            if isinstance(answer, str):
                self._refused(answer)
            elif answer is not None and (lane := self._by_boot.get(answer.boot_id)) is not None and lane.greeted:
                lane.acknowledged(answer.next_seq, answer.window, now_s)

    def _refused(self, reason: str) -> None:
        """Whoever was not answered yet is meant; where all were, something is wrong with all of us."""
        refused = [lane for lane in self._lanes.values() if lane.greeted and not lane.answered]
        for lane in refused or list(self._lanes.values()):
            lane.give_up(f"the collector refuses: {reason}")
            self._forget(lane)
        if not refused:
            self._lose_link(_REFUSED_S)

    def _take(self, now_s: float) -> None:
        while self._given:
            batches, done = self._given.popleft()
            ticket = _Ticket(done)
            ticket.waiting_count = 1  # so that it does not end while lanes are added
            for batch in batches:
                lane = self._lane_of(batch)
                if lane.outbox.empty:
                    lane.moved_s = now_s
                for packed, count in _packed(batch.facts):
                    lane.outbox.add(packed, count)
                lane.used_s = now_s
                lane.tickets.append((lane.outbox.next_seq, ticket))
                ticket.waiting_count += 1
            ticket.came()

    def _lane_of(self, batch: Batch) -> _Lane:
        source = batch.source
        lane = self._lanes.get(source.emitter_id)
        if lane is not None and lane.resource == source.resource:
            return lane
        if lane is not None and not lane.outbox.empty:
            return lane  # its facts go first; the resource of a process hardly changes
        if lane is not None:
            self._leave(lane)
        self._boots += 1
        boot_id = _boot_id(self._run_id, self._boots)
        lane = _Lane(source.emitter_id, boot_id, source.resource)
        self._lanes[source.emitter_id] = self._by_boot[boot_id] = lane
        return lane

    def _speak(self, now_s: float) -> None:
        link = self._link
        if link is None or not link.up:
            return
        for lane in self._lanes.values():
            if lane.outbox.empty and lane.greeted:
                continue
            if not lane.greeted and not lane.outbox.empty:
                hello = frames.hello(lane.emitter_id, lane.boot_id, lane.resource, lane.outbox.base_seq)
                lane.greeted = link.send(hello)
                lane.moved_s = now_s
            while lane.answered and lane.outbox.in_flight < lane.window:
                parcel = lane.outbox.next_unsent()
                if parcel is None:
                    break
                frame = frames.facts_frame(lane.emitter_id, lane.boot_id, parcel.first_seq, parcel.parts, parcel.count)
                if not link.send(frame):
                    return
                lane.outbox.sent()

    def _tend(self, now_s: float) -> None:
        if now_s - self._tended_s < _IDLE_S and len(self._lanes) <= _MOST_LANES:
            return
        self._tended_s = now_s
        idle = sorted((lane for lane in self._lanes.values() if lane.outbox.empty), key=lambda lane: lane.used_s)
        excess_count = len(self._lanes) - _MOST_LANES
        for at, lane in enumerate(idle):
            if at < excess_count or now_s - lane.used_s > _QUIET_S:
                self._leave(lane)

    def _leave(self, lane: _Lane) -> None:
        """All of the lane is stored, and whoever comes again begins a new one."""
        if self._link is not None and self._link.up and lane.answered:
            self._link.send(frames.bye(lane.emitter_id, lane.boot_id, lane.outbox.next_seq))
        self._forget(lane)

    def _forget(self, lane: _Lane) -> None:
        if self._lanes.get(lane.emitter_id) is lane:
            del self._lanes[lane.emitter_id]
        self._by_boot.pop(lane.boot_id, None)

    def _farewell(self) -> None:
        for lane in [lane for lane in self._lanes.values() if lane.outbox.empty]:
            self._leave(lane)

    def _rest(self) -> None:
        busy = self._has_more
        pause_s = _RESEND_S / 4 if busy else _IDLE_S
        if self._link is None:
            time.sleep(min(pause_s, max(0.0, self._retry_s - time.monotonic())) or 0.001)
        else:
            self._link.wait(pause_s)
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 65536)


def _boot_id(run_id: bytes, number: int) -> bytes:
    return run_id[:8] + number.to_bytes(8, "big")


def _packed(facts: list[Fact]) -> Iterator[tuple[bytes, int]]:
    """Facts as the wire has them, and how many: small ones several at once, one behind the other.

    One that no frame can hold is a gap in its place.
    """
    for at in range(0, len(facts), _AT_ONCE):
        some = facts[at : at + _AT_ONCE]
        packed = encode_facts(some)
        if len(packed) <= FRAME_BYTES:
            yield packed[3 if len(some) > 15 else 1 :], len(some)
        else:
            yield from ((_packed_alone(fact), 1) for fact in some)


def _packed_alone(fact: Fact) -> bytes:
    packed = encode(fact)
    if len(packed) > _LARGEST_FACT_BYTES:
        return encode(Gap(time.time_ns(), 1, "quarantined", f"a fact of {len(packed)} bytes is larger than a frame"))
    return packed
