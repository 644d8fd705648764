"""Brings read batches into a store: through the pipeline, or through the collector that is writing that store.

Invariant: the same file imported twice is stored once, because a batch's boot is the digest of what it was read from.
Called by `trajectory import`.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator

import zmq

from trajectory.collector.pipeline import Pipeline
from trajectory.errors import WireError
from trajectory.model.fact import Batch, Source
from trajectory.model.hashing import blake2b
from trajectory.protocol import frames
from trajectory.protocol.codec import encode
from trajectory.protocol.frames import FACTS, MAX_FACTS, MAX_FRAME_BYTES, PROTOCOL_VERSION
from trajectory.protocol.handshake import HandshakeWatch
from trajectory.protocol.keys import ClientKeys

_WINDOW_FRAMES = 16
_ANSWER_S = 10.0

Deliver = Callable[[list[Batch]], None]


class Numbering:
    """Gives the batches of one file positions: each source counts from 0, under a boot that is the file's own."""

    def __init__(self, content_digest: bytes) -> None:
        self._content_digest = content_digest
        self._next_seq: dict[bytes, int] = {}

    def number(self, batches: Iterable[Batch]) -> list[Batch]:
        numbered = []
        for batch in batches:
            emitter_id = batch.source.emitter_id
            boot_id = blake2b(self._content_digest + batch.source.boot_id, digest_size=16).digest()
            first_seq = self._next_seq.get(emitter_id, 0)
            self._next_seq[emitter_id] = first_seq + len(batch.facts)
            numbered.append(Batch(Source(emitter_id, boot_id, batch.source.resource), first_seq, batch.facts))
        return numbered


def turns(batches: Iterable[Batch], fact_count: int) -> Iterator[list[Batch]]:
    """The batches in lists of about `fact_count` facts, so that memory and a transaction stay bounded."""
    turn: list[Batch] = []
    held = 0
    for batch in batches:
        for at in range(0, len(batch.facts), fact_count):
            part = Batch(batch.source, batch.first_seq + at, batch.facts[at : at + fact_count])
            turn.append(part)
            held += len(part.facts)
            if held >= fact_count:
                yield turn
                turn, held = [], 0
    if turn:
        yield turn


def through_pipeline(pipeline: Pipeline) -> Deliver:
    """Stores, folds and judges in this process. Raises StoreError."""

    def deliver(batches: list[Batch]) -> None:
        pipeline.store(batches)
        pipeline.fold(batches)
        pipeline.make_room()

    return deliver


class WireDelivery:
    """Sends batches to the collector at `endpoint` and waits until they are stored. Use with `with`.

    Raises WireError where nobody answers, or the collector refuses.
    """

    def __init__(self, endpoint: str, keys: ClientKeys | None = None) -> None:
        self.endpoint = endpoint
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        if keys is not None:
            keys.apply(self._socket)
        self._handshakes = HandshakeWatch(self._socket, endpoint, keys is not None)
        try:
            self._socket.connect(endpoint)
        except zmq.ZMQError as fault:
            self.__exit__()
            raise WireError(f"the collector's address {endpoint} cannot be reached: {fault.strerror}") from None

    def __enter__(self) -> "WireDelivery":
        return self

    def __exit__(self, *_: object) -> None:
        self._handshakes.close()
        self._socket.close(linger=0)
        self._context.term()

    def __call__(self, batches: list[Batch]) -> None:
        for batch in batches:
            source = batch.source
            self._send(frames.hello(source.emitter_id, source.boot_id, source.resource, batch.first_seq))
            stored = self._answer(source.boot_id)
            under_way = 0
            for at, frame in _frames_of(batch, stored):
                self._send(frame)
                under_way += 1
                if under_way >= _WINDOW_FRAMES or at >= batch.first_seq + len(batch.facts):
                    while self._answer(source.boot_id) < at:
                        pass
                    under_way = 0

    def _answer(self, boot_id: bytes) -> int:
        """The position up to which the collector has stored."""
        while True:
            self._wait_for(zmq.POLLIN)
            try:
                answer = frames.answer(self._socket.recv())
            except ValueError:
                answer = "it answers something that is no frame"
            if isinstance(answer, str):
                raise WireError(f"the collector at {self.endpoint} refuses: {answer}")
            if answer is not None and answer.boot_id == boot_id:
                return answer.next_seq

    def _send(self, frame: bytes) -> None:
        is_sent = False
        while not is_sent:
            self._wait_for(zmq.POLLOUT)
            with contextlib.suppress(zmq.Again):  # refused since it was looked at: why is told in a moment
                self._socket.send(frame, zmq.NOBLOCK)
                is_sent = True

    def _wait_for(self, event: int) -> None:
        deadline_s = time.monotonic() + _ANSWER_S
        while not self._handshakes.wait(deadline_s - time.monotonic(), event):
            if fault := self._handshakes.fault():
                raise WireError(fault)
            if time.monotonic() >= deadline_s:
                raise WireError(f"the collector at {self.endpoint} does not answer: is it stuck? (trajectory doctor)")


def _frames_of(batch: Batch, stored_seq: int) -> Iterable[tuple[int, bytes]]:
    """The frames that hold what of a batch is not stored yet, each with the position behind it."""
    source = batch.source
    skipped = max(stored_seq - batch.first_seq, 0)
    facts = batch.facts[skipped:]
    at = batch.first_seq + skipped
    while facts:
        count = min(MAX_FACTS, len(facts))
        frame = encode((PROTOCOL_VERSION, FACTS, source.emitter_id, source.boot_id, at, facts[:count]))
        while len(frame) > MAX_FRAME_BYTES and count > 1:
            count //= 2
            frame = encode((PROTOCOL_VERSION, FACTS, source.emitter_id, source.boot_id, at, facts[:count]))
        facts = facts[count:]
        at += count
        yield at, frame
