"""A collector on a real socket that stores in memory, and misbehaves when a test asks it to.

Invariant: it speaks the protocol of `trajectory.protocol.frames` strictly, acknowledges only what it holds, and holds every
sequence number once. Its own thread owns the socket; every other method may be called from any thread.
"""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import zmq

from trajectory.emitter.testing.capture import CapturedSpan, fold_spans
from trajectory.errors import WireError
from trajectory.model.fact import Fact, Payload
from trajectory.protocol import frames
from trajectory.protocol.codec import AnyFrame, ByeFrame, FactsFrame, HelloFrame, decode_fact, read_frame

Key = tuple[bytes, bytes]  # emitter id and boot id


class Stored:
    """What came from one life of one emitter."""

    def __init__(self, held_seq: int = 0) -> None:
        self.facts: dict[int, Fact] = {}
        self.resource: dict[str, Any] = {}
        self.hello_count = 0
        self.doubled_count = 0  # facts that came although they were held already
        self.next_seq = held_seq  # the end of what is held; it began where the emitter's own memory did
        self.said_bye = False


class FakeCollector:
    """A collector for tests: `with FakeCollector() as collector: trajectory.init(endpoint=collector.endpoint)`.

    `hold_acks` withholds acknowledgements, `lose_frames` fails to store, `vanish` closes the socket as a killed process
    would, `listen` opens it again on the same endpoint, `forget` loses the store. The endpoint is a free TCP port of this
    machine unless one is given.
    """

    def __init__(self, endpoint: str = "tcp://127.0.0.1:*") -> None:
        self.endpoint = endpoint
        self.errors: list[str] = []
        self.frame_count = 0
        self._stored: dict[Key, Stored] = {}
        self._holding = False
        self._refusal = ""
        self._losing_count = 0
        self._owed: dict[bytes, Key] = {}
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._changed = threading.Condition()

    def __enter__(self) -> "FakeCollector":
        return self.listen()

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.vanish()

    # what tests tell it

    def listen(self) -> "FakeCollector":
        """Opens the socket and answers from here on. Raises WireError where the endpoint cannot be had."""
        if self._thread is not None:
            return self
        shared = self.endpoint.startswith("inproc:")
        self._context = zmq.Context.instance() if shared else zmq.Context()
        socket = self._context.socket(zmq.ROUTER)
        socket.setsockopt(zmq.LINGER, 0)
        try:
            socket.bind(self.endpoint)
        except zmq.ZMQError as fault:
            socket.close()
            raise WireError(f"cannot listen at {self.endpoint}: {fault}") from None
        bound = socket.getsockopt(zmq.LAST_ENDPOINT)
        self.endpoint = bound.rstrip(b"\0").decode() if isinstance(bound, bytes) else self.endpoint
        self._stop.clear()
        self._thread = threading.Thread(target=self._serve, args=(socket,), daemon=True, name="fake-collector")
        self._thread.start()
        return self

    def vanish(self) -> None:
        """Closes the socket at once, without a word, as kill -9 would; what is stored stays."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stop.set()
            thread.join()
        if self._context is not None and not self.endpoint.startswith("inproc:"):
            self._context.term()
        self._context = None

    def hold_acks(self, holding: bool = True) -> None:
        """Stores without acknowledging, until told otherwise."""
        self._holding = holding

    def lose_frames(self, count: int) -> None:
        """Forgets the next so many frames of facts as a failing store does, and answers all the same."""
        self._losing_count = count

    def refuse(self, reason: str) -> None:
        """Answers every frame with a refusal; an empty reason ends that."""
        self._refusal = reason

    def forget(self) -> None:
        """Loses everything that was stored."""
        with self._changed:
            self._stored.clear()

    # what tests ask it

    def sources(self) -> list[Stored]:
        """What is stored, by source: its identity, its resource and its facts in their order."""
        with self._changed:
            return list(self._stored.values())

    @property
    def facts(self) -> list[Fact]:
        """All facts, source by source, each source in the order of its sequence."""
        return [stored.facts[seq] for stored in self.sources() for seq in sorted(stored.facts)]

    def spans(self, name: str | None = None, kind: str | None = None) -> list[CapturedSpan]:
        """The spans of all sources, folded from their facts."""
        return [one for one in fold_spans(self.facts) if name in (None, one.name) and kind in (None, one.kind)]

    def payload(self, digest: bytes) -> Payload:
        """The body under a digest. Raises LookupError where none came."""
        for fact in self.facts:
            if isinstance(fact, Payload) and fact.digest == digest:
                return fact
        raise LookupError(f"no payload {digest.hex()} came")

    def wait_until(self, holds: Callable[["FakeCollector"], bool], timeout_s: float = 10.0) -> bool:
        """Waits until the condition holds of this collector; False if it does not within the time."""
        deadline_s = time.monotonic() + timeout_s
        while not holds(self):
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return False
            with self._changed:
                self._changed.wait(min(left_s, 0.05))
        return True

    # the thread

    def _serve(self, socket: "zmq.Socket[bytes]") -> None:
        try:
            while not self._stop.is_set():
                if socket.poll(10):
                    peer, *_, frame = socket.recv_multipart()
                    self._take(socket, peer, frame)
                self._pay(socket)
        finally:
            socket.close(linger=0)

    def _take(self, socket: "zmq.Socket[bytes]", peer: bytes, frame: bytes) -> None:
        self.frame_count += 1
        if self._refusal:
            socket.send_multipart([peer, frames.refused(self._refusal)])
            return
        try:
            read = read_frame(frame)
            key = self._store(read)
        except WireError as fault:
            self.errors.append(str(fault))
            return
        if key is not None:
            self._owed[peer] = key
        with self._changed:
            self._changed.notify_all()

    def _store(self, read: AnyFrame) -> Key | None:
        if not isinstance(read, (HelloFrame, FactsFrame, ByeFrame)):
            return None
        key = (read.emitter_id, read.boot_id)
        with self._changed:
            stored = self._stored.setdefault(key, Stored(getattr(read, "first_seq", 0)))
            if isinstance(read, HelloFrame):
                stored.hello_count += 1
                stored.resource = read.resource
                stored.next_seq = max(stored.next_seq, read.next_seq)
            elif isinstance(read, ByeFrame):
                stored.said_bye = True
            elif self._losing_count:
                self._losing_count -= 1
            elif read.first_seq <= stored.next_seq:  # what is ahead is not kept: its emitter holds it
                for seq, raw in enumerate(read.each(), read.first_seq):
                    stored.doubled_count += seq in stored.facts
                    stored.facts[seq] = decode_fact(raw)
                stored.next_seq = max(stored.next_seq, read.first_seq + read.count)
        return key

    def _pay(self, socket: "zmq.Socket[bytes]") -> None:
        """Acknowledges what is owed, unless acknowledgements are withheld."""
        if self._holding:
            return
        for peer, key in self._owed.items():
            with self._changed:
                next_seq = self._stored.get(key, Stored()).next_seq
            socket.send_multipart([peer, frames.ack(key[1], next_seq)])
        self._owed.clear()
