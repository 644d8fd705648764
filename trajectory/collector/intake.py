"""The collector's ZeroMQ mouth: frames in from emitters, acknowledgements out after the commit, questions of watchers.

Invariant: nothing is acknowledged before it is stored, and one bad frame or fact costs nothing but itself: it is counted,
and its place is kept by a gap. One thread owns the socket, the order, the pipeline.
"""

import time
from collections.abc import Callable

import zmq

from trajectory.collector import watching
from trajectory.collector.guard import Guard
from trajectory.collector.order import Lane, Order
from trajectory.collector.pipeline import Pipeline
from trajectory.collector.publish import Publisher
from trajectory.collector.quotas import Limits, Quotas
from trajectory.errors import StoreError, TrajectoryError, WireError
from trajectory.model.fact import Batch, Fact, Gap, Source
from trajectory.protocol import codec, frames
from trajectory.protocol.codec import AnyFrame, AskFrame, ByeFrame, FactsFrame, HelloFrame, TellFrame
from trajectory.view.rows import View

_MAX_ROUND_FRAMES = 256
_MAX_ROUND_S = 0.02
_HARD_LIMIT_BYTES = 4 * frames.MAX_FRAME_BYTES  # beyond this libzmq hangs up before it takes the memory
_HELD_S = 0.01  # between two looks at acknowledgements that are held back
_RETRY_STORE_NS = 1_000_000_000

Context = zmq.Context[zmq.Socket[bytes]]
Ask = tuple[bytes, AskFrame | TellFrame]  # who asks, and what


class Intake:
    """Binds `endpoint` and serves it, round by round. Raises WireError where it cannot be bound.

    `endpoint` is afterwards the address that was really bound (port 0 is chosen).
    """

    def __init__(
        self,
        endpoint: str,
        pipeline: Pipeline,
        publisher: Publisher,
        now_ns: Callable[[], int],
        context: Context,
        guard: Guard | None = None,
        quotas: Quotas | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._publisher = publisher
        self._now_ns = now_ns
        self._order = Order(pipeline.writer.next_seq)
        self._store_again_ns = 0
        self._guard = guard
        self._quotas = quotas or Quotas(Limits())
        self._socket = _socket(context)
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        if guard is not None:
            self._poller.register(guard.protect(context, self._socket), zmq.POLLIN)
        _bind(self._socket, endpoint)
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")

    def heard_ns(self) -> list[int]:
        """When each emitter was last heard."""
        return [lane.heard_ns for lane in self._order.lanes()]

    def round(self, timeout_s: float) -> bool:
        """Waits for frames, takes a bounded number of them, stores, acknowledges, folds, answers. True where any came.

        Raises nothing that a frame, the store or a fold could bring about: such a fault is counted and said in Health.
        """
        if self._quotas.is_holding:
            timeout_s = min(timeout_s, _HELD_S)
        came = self._poller.poll(int(timeout_s * 1000))
        for lane in self._quotas.due():
            self._acknowledge(lane)
        if not came:
            return False
        self._let_in()
        batches: list[Batch] = []
        touched: dict[int, Lane] = {}
        asks: list[Ask] = []
        started_s = time.monotonic()
        for _ in range(_MAX_ROUND_FRAMES):
            try:
                routing_id, body, user_id = self._receive()
            except zmq.Again:
                break
            self._take(routing_id, body, user_id, batches, touched, asks)
            if time.monotonic() - started_s > _MAX_ROUND_S:
                break
        self._commit(batches, touched)
        for routing_id, ask in asks:
            self._answer(routing_id, ask)
        return True

    def _let_in(self) -> None:
        for refusal in self._guard.let_in() if self._guard is not None else ():
            self._pipeline.vitals.refused(refusal)

    def _receive(self) -> tuple[bytes, bytes, str]:
        """Whose connection, what it brought, and the key that it was let in with. Raises zmq.Again."""
        if self._guard is None:
            routing_id, *parts = self._socket.recv_multipart(zmq.NOBLOCK)
            return routing_id, parts[-1] if parts else b"", ""
        pieces = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
        body = pieces[-1].bytes if len(pieces) > 1 else b""
        return pieces[0].bytes, body, str(pieces[-1].get("User-Id"))

    def _take(
        self,
        routing_id: bytes,
        body: bytes,
        user_id: str,
        batches: list[Batch],
        touched: dict[int, Lane],
        asks: list[Ask],
    ) -> None:
        try:
            frame = codec.read_frame(body)
            refusal = self._guard.refusal(user_id, frame) if self._guard is not None else ""
            if refusal:
                self._pipeline.vitals.refused(refusal)
                self._send(routing_id, frames.refused(refusal))
                return
            self._read(routing_id, frame, batches, touched, asks)
        except WireError as fault:
            self._pipeline.vitals.quarantined(str(fault))
            self._send(routing_id, frames.refused(str(fault)))
        except StoreError as fault:
            self._in_trouble(fault)  # not answered: the emitter says HELLO again

    def _read(
        self, routing_id: bytes, frame: AnyFrame, batches: list[Batch], touched: dict[int, Lane], asks: list[Ask]
    ) -> None:
        if isinstance(frame, (AskFrame, TellFrame)):
            asks.append((routing_id, frame))
            return
        now_ns = self._now_ns()
        if isinstance(frame, HelloFrame):
            if self._is_one_too_many(routing_id, frame, now_ns):
                return
            lane = self._order.greet(Source(frame.emitter_id, frame.boot_id, frame.resource), frame.next_seq)
        else:
            known = self._order.lane(frame.emitter_id, frame.boot_id)
            if known is None:
                return  # what is older than this process: its emitter sees the new connection, and says HELLO first
            lane = known
        lane.routing_id = routing_id
        lane.heard_ns = now_ns
        lane.said_bye = isinstance(frame, ByeFrame)
        touched[id(lane)] = lane
        if self._store_again_ns > now_ns:
            return  # the store is in trouble: the acknowledgement says that nothing was taken
        found = [self._order.skip(lane, now_ns)]
        if isinstance(frame, FactsFrame):
            self._quotas.took(lane, len(frame.facts))
            found.append(self._order.accept(lane, frame.first_seq, self._facts(frame)))
        batches += [batch for batch in found if batch is not None]

    def _facts(self, frame: FactsFrame) -> list[Fact]:
        """The facts of a frame; what is none is quarantined and leaves a gap at its place."""
        facts: list[Fact] = []
        for raw in frame.facts:
            try:
                facts.append(codec.decode_fact(raw))
            except WireError as fault:
                self._pipeline.vitals.reasons.append(str(fault))
                facts.append(Gap(self._now_ns(), 1, "quarantined"))
        return facts

    def _commit(self, batches: list[Batch], touched: dict[int, Lane]) -> None:
        """Stores, then acknowledges, then folds; where the store fails nothing is taken, and emitters send again."""
        try:
            if batches:
                self._pipeline.store(batches)
                self._pipeline.vitals.trouble = ""
        except StoreError as fault:
            self._in_trouble(fault)
            for lane in touched.values():
                self._order.forget(lane)
            batches = []
        for lane in touched.values():
            self._order.stored(lane)
            if lane.said_bye or not self._quotas.holds(lane):
                self._acknowledge(lane)
        if batches:
            self._pipeline.fold(batches)

    def _acknowledge(self, lane: Lane) -> None:
        self._send(lane.routing_id, frames.ack(lane.source.boot_id, lane.stored_seq, self._quotas.window(lane)))

    def _is_one_too_many(self, routing_id: bytes, frame: HelloFrame, now_ns: int) -> bool:
        if self._order.lane(frame.emitter_id, frame.boot_id) is not None:
            return False
        lanes = self._order.lanes()
        refusal = self._quotas.refusal(lanes, len(lanes), now_ns)
        if refusal:
            self._pipeline.vitals.refused(refusal)
            self._send(routing_id, frames.refused(refusal))
        return bool(refusal)

    def _in_trouble(self, fault: StoreError) -> None:
        self._pipeline.vitals.trouble = f"{fault}. Nothing is lost while the emitters hold their facts."
        self._store_again_ns = self._now_ns() + _RETRY_STORE_NS

    def _answer(self, routing_id: bytes, ask: AskFrame | TellFrame) -> None:
        try:
            view = self._said(ask)
        except TrajectoryError as fault:
            if isinstance(fault, WireError):
                self._pipeline.vitals.quarantined(str(fault))
            self._send(routing_id, frames.refused(str(fault)))
        except Exception as fault:  # whatever hostile data makes of our rows: this answer fails, the collector goes on
            self._send(routing_id, frames.refused(f"this cannot be shown: {type(fault).__name__}"))
            self._pipeline.vitals.faulted("a view", fault)
        else:
            self._send(routing_id, watching.answer(ask.request_id, view))

    def _said(self, ask: AskFrame | TellFrame) -> View | None:
        if isinstance(ask, AskFrame):
            return self._publisher.answer(watching.read_query(ask.query), ask.since_version)
        self._pipeline.mark(watching.read_mark(ask.marked))
        return None

    def _send(self, routing_id: bytes, frame: bytes) -> None:
        try:
            self._socket.send_multipart((routing_id, frame), zmq.NOBLOCK)
        except zmq.ZMQError:
            return  # a peer that is gone or does not read: it asks again, or resends, when it is back

    def close(self) -> None:
        self._socket.close(linger=500)
        if self._guard is not None:
            self._guard.close()


def _socket(context: Context) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.ROUTER)
    socket.setsockopt(zmq.MAXMSGSIZE, _HARD_LIMIT_BYTES)
    socket.setsockopt(zmq.RCVHWM, 1024)
    socket.setsockopt(zmq.SNDHWM, 1024)
    return socket


def _bind(socket: zmq.Socket[bytes], endpoint: str) -> None:
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as fault:
        socket.close(linger=0)
        if fault.errno == zmq.EADDRINUSE:
            reason = "is already in use: stop what listens there (another collector?), or choose another with --bind"
        else:
            reason = f"cannot be bound ({fault.strerror}): give an address like {frames.DEFAULT_ENDPOINT}"
        raise WireError(f"{endpoint} {reason}") from None
