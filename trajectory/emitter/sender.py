"""The sender: one thread that takes facts from the queue, packs and numbers them, and brings them to the collector.

Invariant: a fact leaves the outbox only when the collector has acknowledged it; after every reconnect the HELLO's answer says
where the collector's store ends, and sending goes on from exactly there. Runs in a daemon thread that `delivery` starts.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

import zmq

from trajectory.emitter import forking
from trajectory.emitter.identity import Identity
from trajectory.emitter.link import Link
from trajectory.emitter.misuse import report
from trajectory.emitter.outbox import Outbox
from trajectory.emitter.packing import Packing
from trajectory.emitter.plan import Plan
from trajectory.emitter.processors.chain import Processing
from trajectory.emitter.queue import Fact, FactQueue, FlushMark
from trajectory.protocol import frames

if TYPE_CHECKING:
    from trajectory.emitter.copying import Copy

TAKE_COUNT = 2048  # facts packed between two looks at the socket


class Timing(NamedTuple):
    """The sender's patience, in seconds."""

    gather_s: float = 0.025  # how long facts wait for company
    idle_s: float = 0.05  # between looks at an empty queue
    beat_s: float = 2.0  # between heartbeats
    resend_s: float = 2.0  # answered without progress that long, what is in flight is sent again
    silence_s: float = 10.0  # unanswered that long, the connection is made anew
    refused_s: float = 10.0  # after a refusal, before the next try
    farewell_s: float = 0.25  # for the answer to BYE
    forget_s: float = 600.0  # then bodies travel anew: a store may have retired the last trace that named one


class Origin(Protocol):
    """What a sender asks of the tracer whose facts it carries."""

    def pulse(self) -> Fact | None: ...

    def now_ns(self) -> int: ...


class Sender:
    """Carries the facts of one process to one collector until it is told to close."""

    def __init__(
        self,
        identity: Identity,
        endpoint: str,
        queue: FactQueue,
        origin: Origin,
        outbox: Outbox,
        timing: Timing,
        processing: Processing | None = None,
        copy: "Copy | None" = None,
    ) -> None:
        self._identity = identity
        self._endpoint = endpoint or frames.DEFAULT_ENDPOINT
        self._queue = queue
        self._origin = origin
        self._timing = timing
        self._outbox = outbox
        self._packing = Packing(origin.now_ns)
        self._processing = processing or Processing(Plan(), origin.now_ns)
        self._copy = copy
        self._uncarried_count = 0  # facts that are in the copy, and for which the outbox had no room
        self._link: Link | None = None
        self._marks: deque[tuple[int, FlushMark]] = deque()
        self._window = frames.WINDOW_FRAMES
        self._greeted = False
        self._answered = False  # the HELLO has its ACK: frames may go
        self._said_bye_s = 0.0
        self._bye_answered = False
        self._heard_s = self._moved_s = self._gathered_s = self._beat_s = 0.0
        self._retry_s = 0.0
        self._forgot_s = time.monotonic()
        self._close_by_s: Callable[[], float] | None = None
        self.reached = False  # a collector was there at least once

    @property
    def present(self) -> bool:
        """Whether a collector is there, or was."""
        return self.reached or (self._link is not None and self._link.up)

    @property
    def absent(self) -> bool:
        """Whether a try to connect found nobody, and none found somebody."""
        failed = self._retry_s > 0 if self._link is None else self._link.failed
        return failed and not self.present

    @property
    def delivered(self) -> bool:
        """Whether everything that was put is stored and acknowledged."""
        return self._outbox.empty and not len(self._queue)

    def close_by(self, deadline_s: Callable[[], float]) -> None:
        """Asks the thread to send what is there, say BYE and end, by `deadline_s()` of the monotonic clock at the latest."""
        self._close_by_s = deadline_s

    def run(self) -> None:
        """The thread's body. Ends after `close_by`; a fault of ours is reported, and the connection made anew."""
        while not self._over():
            try:
                self._turn()
            except Exception as fault:
                report("sender", "trajectory: sending failed, trying again: %r", fault)
                self._lose_link(self._timing.refused_s / 10)
        self._lose_link(0.0)
        self._leave()

    def _turn(self) -> None:
        now_s = time.monotonic()
        self._connect(now_s)
        self._hear(now_s)
        self._gather(now_s)
        self._tend(now_s)
        self._speak(now_s)
        if not self._over():
            self._rest()

    # connection

    def _connect(self, now_s: float) -> None:
        if self._link is None:
            if now_s < self._retry_s:
                return
            try:
                self._link = Link(self._endpoint)
            except zmq.ZMQError as fault:
                report("endpoint", "trajectory: cannot send to %r: %s; facts stay in memory", self._endpoint, fault)
                self._retry_s = now_s + self._timing.refused_s
                return
            self._forget_connection(now_s)
        if self._link.watch():
            self._forget_connection(now_s)
        waiting = self._greeted and (not self._answered or self._outbox.in_flight > 0)
        if waiting and now_s - self._heard_s > self._timing.silence_s:
            self._lose_link(0.0)
        elif self._outbox.in_flight and self._heard_s > self._moved_s + self._timing.resend_s:
            # It answers, and takes nothing: its store failed, and what was in flight then is forgotten there.
            self._outbox.rewind()

    def _forget_connection(self, now_s: float) -> None:
        self._outbox.rewind()
        self._greeted = self._answered = self._bye_answered = False
        self._said_bye_s = 0.0
        self._heard_s = now_s

    def _lose_link(self, pause_s: float) -> None:
        link, self._link = self._link, None
        self._retry_s = time.monotonic() + pause_s
        self._forget_connection(time.monotonic())
        if link is not None:
            link.close()

    # in

    def _hear(self, now_s: float) -> None:
        while self._link is not None and (frame := self._link.receive()) is not None:
            self._heard_s = now_s
            try:
                answer = frames.answer(frame)
            except ValueError:
                report("answer", "trajectory: %s answers something that is no frame", self._endpoint)
                continue
            if isinstance(answer, str):
                self._refused(answer)
            elif answer is not None and answer.boot_id == self._identity.boot_id:
                self._acknowledged(answer.next_seq, answer.window, now_s)

    def _acknowledged(self, next_seq: int, window: int, now_s: float) -> None:
        if not self._greeted:
            return  # an answer to an earlier connection
        if not self._answered and self.reached:
            # Perhaps another store answers than before, one without the bodies. Sending each once more is cheap.
            self._processing.forget_sent()
        self._answered = self.reached = True
        self._window = window
        if next_seq > self._outbox.base_seq:
            self._moved_s = now_s
        self._outbox.acknowledged(next_seq)
        self._bye_answered = bool(self._said_bye_s)
        while self._marks and self._marks[0][0] <= self._outbox.base_seq:
            self._marks.popleft()[1].reached.set()

    def _refused(self, reason: str) -> None:
        report("refused", "trajectory: %s refuses our facts: %s", self._endpoint, reason)
        self._lose_link(self._timing.refused_s)

    # queue

    def _gather(self, now_s: float) -> None:
        self._pulse(now_s)
        if self._close_by_s is not None:
            self._add_rest()
        due = now_s - self._gathered_s >= self._timing.gather_s or len(self._queue) >= frames.MAX_FACTS
        if not len(self._queue) or not due:
            return
        if self._outbox.full and self._copy is None:
            self._queue.shut()
            return
        self._pack_some()
        if not len(self._queue):
            self._gathered_s = now_s

    def _pack_some(self) -> None:
        # A fork waits for this: its child would have the locks of libraries that search texts, and nobody to release them.
        with forking.forkless:
            facts, mark = self._queue.take(TAKE_COUNT)
            if not self._outbox.full:
                self._tell_uncarried()
            for packed, count in self._processing.packed(facts):
                self._add(packed, count)
            self._note_drops()
            if mark is not None:
                self._mark(mark)

    def _add_rest(self) -> None:
        """At the end: what processors held back until more would come."""
        if not len(self._queue):
            with forking.forkless:
                for packed, count in self._processing.rest():
                    self._add(packed, count)

    def _add(self, packed: bytes, count: int = 1) -> None:
        """Takes facts on for the wire and the copy; where the wire has no room left, for the copy alone."""
        if self._copy is not None:
            self._copy.add(packed, count)
            if self._outbox.full:
                self._uncarried_count += count
                self._queue.note_lost(count)
                return
        self._outbox.add(packed, count)

    def _tend(self, now_s: float) -> None:
        """Keeps what is not acknowledged, and what a kill would cost: before anything of it is sent."""
        if self._copy is not None and self._copy.write():
            self._processing.forget_sent()
        self._queue.put_count.settle(self._outbox.next_seq + self._processing.held_count)
        self._outbox.tend(now_s, self._queue.waiting_count)

    def _note_drops(self) -> None:
        count = self._queue.take_dropped()
        if count:
            self._add(self._gap_of(count))

    def _tell_uncarried(self) -> None:
        """The wire hears of what the copy alone has, and gets its bodies anew where they are named again."""
        if self._uncarried_count:
            self._processing.forget_sent()
            self._outbox.add(self._gap_of(self._uncarried_count))
            self._uncarried_count = 0

    def _gap_of(self, count: int) -> bytes:
        return self._packing.pack((frames.GAP, self._origin.now_ns(), count, "queue_full"))

    def _mark(self, mark: FlushMark) -> None:
        mark.dropped_count = self._queue.dropped_count
        if self._outbox.base_seq == self._outbox.next_seq and self._answered:
            mark.reached.set()
        else:
            self._marks.append((self._outbox.next_seq, mark))

    def _pulse(self, now_s: float) -> None:
        if now_s - self._forgot_s >= self._timing.forget_s:
            self._forgot_s = now_s
            self._processing.forget_sent()
        if self._answered and now_s - self._beat_s >= self._timing.beat_s:
            self._beat_s = now_s
            beat = self._origin.pulse()
            if beat is not None:
                self._add(self._packing.pack(beat))

    # out

    def _speak(self, now_s: float) -> None:
        link = self._link
        if link is None or not link.up:
            return
        emitter_id, boot_id, resource = self._identity
        if not self._greeted:
            self._greeted = link.send(
                frames.hello(emitter_id, boot_id, resource, self._outbox.base_seq, self._origin.now_ns())
            )
            self._heard_s = now_s
        while self._answered and self._outbox.in_flight < self._window:
            parcel = self._outbox.next_unsent()
            if parcel is None:
                break
            frame = frames.facts_frame(emitter_id, boot_id, parcel.first_seq, parcel.parts, parcel.count)
            if not link.send(frame):
                break
            if self._outbox.in_flight == 0:
                self._heard_s = self._moved_s = now_s
            self._outbox.sent()
        if not self._outbox.full and not self._queue.limit:
            self._queue.reopen()
        # Said when all is acknowledged, and not sooner: then the next ACK can only be the answer to it.
        if self._close_by_s is not None and self._answered and self.delivered and not self._said_bye_s:
            self._said_bye_s = now_s if link.send(frames.bye(emitter_id, boot_id, self._outbox.next_seq)) else 0.0

    # end

    def _over(self) -> bool:
        """Whether the thread may end: everything acknowledged and BYE said, or the time for it used up."""
        if self._close_by_s is None:
            return False
        now_s = time.monotonic()
        if self.delivered and self._said_bye_s:
            return self._bye_answered or now_s - self._said_bye_s > self._timing.farewell_s
        if self.delivered and self.reached and not self._answered:
            return True  # all is stored, and whoever stored it has gone: nobody is left to say BYE to
        return now_s >= self._close_by_s()

    def _leave(self) -> None:
        """What was not acknowledged in time goes to the spool, if there is one, behind what is there already."""
        self._queue.shut()
        self._queue.wait_no_more()
        while len(self._queue) and (self._copy is not None or (self._outbox.has_spool and not self._outbox.full)):
            self._pack_some()
            self._tend(time.monotonic())
        self._add_rest()
        self._tell_uncarried()
        self._outbox.spill()
        self._tend(time.monotonic())
        self._outbox.close()
        if self._copy is not None:
            self._copy.close()

    def _rest(self) -> None:
        pause_s = self._timing.gather_s if len(self._queue) or self._outbox.in_flight else self._timing.idle_s
        if len(self._queue) >= frames.MAX_FACTS and not self._outbox.full:
            pause_s = 0.0
        if self._link is None:
            time.sleep(pause_s or self._timing.gather_s)
        else:
            self._link.wait(pause_s)
