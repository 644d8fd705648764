"""The collector's ZeroMQ mouth: frames in from emitters, into the journal, acknowledgements out; watchers' frames handed on.

Invariant: nothing is acknowledged before it is in the journal, and a bad frame costs nothing but itself. Of a frame only the
envelope is read: what its facts say is for whoever settles the journal. One thread owns the socket, the order, the journal.
"""

import time
from collections.abc import Callable

import zmq

from trajectory.collector import skew
from trajectory.collector.guard import Guard
from trajectory.collector.line import Asked, News
from trajectory.collector.order import Lane, Order
from trajectory.collector.quotas import Limits, Quotas
from trajectory.errors import StoreError, WireError
from trajectory.protocol import codec, frames
from trajectory.protocol.codec import AnyFrame, AskFrame, ByeFrame, FactsFrame, HelloFrame, TellFrame
from trajectory.store.journal import SEGMENT_BYTES, Journal, Position

_MAX_ROUND_FRAMES = 256
_MAX_ROUND_S = 0.02
_HARD_LIMIT_BYTES = 2 * frames.MAX_FRAME_BYTES  # beyond this libzmq hangs up before it takes the memory
_HANDSHAKE_MS = 10_000  # for a connection to say what it is: each takes one of the files that a process may have
_HELD_S = 0.01  # between two looks at acknowledgements that are held back
_WAITING_FRAMES = 16  # of one connection in our memory before they are read: what is more waits with who sends it
_AGAIN_NS = 1_000_000_000  # before a journal that failed is tried again
_HEARD_NS = 10_000_000_000
_COUNTED_NS = 1_000_000_000
BACKLOG_BYTES = 512 * 1024 * 1024  # of frames that are not settled: beyond it emitters hold theirs

Context = zmq.Context[zmq.Socket[bytes]]


class Intake:
    """Binds `endpoint` and serves it, round by round. Raises WireError where it cannot be bound.

    `endpoint` is afterwards the address that was really bound (port 0 is chosen). `kept_seq` tells how far the store, or an
    earlier intake's journal, has a source. What came in for others is in `asked` and `news`.
    """

    def __init__(
        self,
        endpoint: str,
        journal: Journal,
        kept_seq: Callable[[bytes, bytes], int],
        now_ns: Callable[[], int],
        context: Context,
        guard: Guard | None = None,
        quotas: Quotas | None = None,
        backlog_bytes: int = BACKLOG_BYTES,
    ) -> None:
        self._journal = journal
        self._now_ns = now_ns
        self._order = Order(kept_seq)
        self._guard = guard
        self._quotas = quotas or Quotas(Limits())
        self._backlog_bytes = backlog_bytes
        self._again_ns = 0
        self._trouble = ""
        self._lane_count = self._heard_count = self._counted_ns = 0
        self._unread: list[str] = []
        self._refused: list[str] = []
        self.asked: list[Asked] = []
        self._socket = _socket(context)
        self.poller = zmq.Poller()
        self.poller.register(self._socket, zmq.POLLIN)
        if guard is not None:
            self.poller.register(guard.protect(context, self._socket), zmq.POLLIN)
        _bind(self._socket, endpoint)
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")

    def news(self) -> News:
        """How things stand, and what went wrong since this was last asked."""
        unread, self._unread = self._unread, []
        refused, self._refused = self._refused, []
        return News(*self._journal.end, self._emitters(), unread, refused, self._trouble)

    def _emitters(self) -> int:
        """How many were heard lately; counted again once a second, because there may be thousands."""
        now_ns, lanes = self._now_ns(), self._order.lanes()
        if len(lanes) != self._lane_count or abs(now_ns - self._counted_ns) > _COUNTED_NS:
            self._lane_count, self._counted_ns = len(lanes), now_ns
            self._heard_count = sum(1 for lane in lanes if now_ns - lane.heard_ns < _HEARD_NS)
        return self._heard_count

    def settled(self, position: Position) -> None:
        """So far the journal is in the store."""
        self._order.settled = position

    def answer(self, routing_id: bytes, frame: bytes) -> None:
        """Brings a watcher, or an emitter, a frame; one that is gone or does not read asks again when it is back."""
        try:
            self._socket.send_multipart((routing_id, frame), zmq.NOBLOCK)
        except zmq.ZMQError:
            return

    def round(self, timeout_s: float) -> bool:
        """Waits for frames, takes a bounded number of them, keeps, acknowledges. True where any came.

        Raises nothing that a frame or the journal could bring about: such a fault is counted and said in the news.
        """
        if self._quotas.is_holding:
            timeout_s = min(timeout_s, _HELD_S)
        came = self.poller.poll(int(timeout_s * 1000))
        for lane in self._quotas.due():
            self._acknowledge(lane)
        if not came:
            return False
        for refusal in self._guard.let_in() if self._guard is not None else ():
            self._refused.append(refusal)
        kept: list[bytes] = []
        touched: dict[int, Lane] = {}
        started_s = time.monotonic()
        for _ in range(_MAX_ROUND_FRAMES):
            try:
                routing_id, body, user_id = self._receive()
            except zmq.Again:
                break
            self._take(routing_id, body, user_id, kept, touched)
            if time.monotonic() - started_s > _MAX_ROUND_S:
                break
        self._keep(kept, touched)
        return True

    def _receive(self) -> tuple[bytes, bytes, str]:
        """Whose connection, what it brought, and the key that it was let in with. Raises zmq.Again."""
        if self._guard is None:
            routing_id, *parts = self._socket.recv_multipart(zmq.NOBLOCK)
            return routing_id, parts[-1] if parts else b"", ""
        pieces = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
        body = pieces[-1].bytes if len(pieces) > 1 else b""
        return pieces[0].bytes, body, str(pieces[-1].get("User-Id"))

    def _take(self, routing_id: bytes, body: bytes, user_id: str, kept: list[bytes], touched: dict[int, Lane]) -> None:
        try:
            frame = codec.read_frame(body)
            refusal = self._guard.refusal(user_id, frame) if self._guard is not None else ""
            if refusal:
                self._refuse(routing_id, refusal)
            elif isinstance(frame, (AskFrame, TellFrame)):
                self.asked.append(Asked(routing_id, body))
            else:
                self._read(routing_id, frame, body, kept, touched)
        except WireError as fault:
            self._unread.append(str(fault))
            self.answer(routing_id, frames.refused(str(fault)))
        except StoreError as fault:
            self._in_trouble(fault)  # not answered: the emitter says HELLO again

    def _read(
        self, routing_id: bytes, frame: AnyFrame, body: bytes, kept: list[bytes], touched: dict[int, Lane]
    ) -> None:
        assert isinstance(frame, (HelloFrame, FactsFrame, ByeFrame))
        now_ns = self._now_ns()
        if isinstance(frame, HelloFrame):
            if self._is_one_too_many(routing_id, frame, now_ns):
                return
            known = self._order.lane(frame.emitter_id, frame.boot_id)
            hello = skew.noted(frame, body, now_ns, known.hello if known is not None else b"")
            lane = self._order.greet(frame.emitter_id, frame.boot_id, frame.next_seq, hello)
        else:
            known = self._order.lane(frame.emitter_id, frame.boot_id)
            if known is None:
                return  # what is older than this process: its emitter sees the new connection, and says HELLO first
            lane = known
        lane.routing_id = routing_id
        lane.heard_ns = now_ns
        lane.said_bye = isinstance(frame, ByeFrame)
        touched[id(lane)] = lane
        if 0 < self._again_ns - now_ns <= _AGAIN_NS or self._is_too_far_behind():  # more: the clock was set back
            return  # the acknowledgement says that nothing was taken
        fresh = [gap] if (gap := self._order.skip(lane, now_ns)) else []
        if isinstance(frame, FactsFrame):
            count = frame.count
            self._quotas.took(lane, count)
            if self._order.accept(lane, frame.first_seq, count):
                fresh.append(body)
        elif isinstance(frame, ByeFrame) and frame.next_seq == lane.next_seq:
            fresh.append(body)  # so that what a damaged journal lacks of the end is known to be missing
        if fresh and lane.told_segment != self._journal.segment:
            lane.told_segment = self._journal.segment
            kept.append(_told(lane))
        kept += fresh

    def _is_too_far_behind(self) -> bool:
        end, settled = self._journal.end, self._order.settled
        behind_bytes = (end.segment - settled.segment) * SEGMENT_BYTES + end.offset - settled.offset
        is_behind = settled.segment > 0 and behind_bytes > self._backlog_bytes
        if is_behind:
            self._trouble = (
                "facts come faster than they are judged: emitters hold theirs until there is room. Nothing is lost."
            )
        return is_behind

    def _keep(self, kept: list[bytes], touched: dict[int, Lane]) -> None:
        """Into the journal, then acknowledged; where that fails nothing is taken, and emitters send again."""
        try:
            if kept:
                self._journal.append(kept, self._now_ns())
                self._trouble = ""
        except StoreError as fault:
            self._in_trouble(fault)
            for lane in touched.values():
                self._order.forget(lane)
        for lane in touched.values():
            self._order.kept(lane, self._journal.end)
            if lane.said_bye or not self._quotas.holds(lane):
                self._acknowledge(lane)

    def _acknowledge(self, lane: Lane) -> None:
        self.answer(lane.routing_id, frames.ack(lane.boot_id, lane.kept_seq, self._quotas.window(lane)))

    def _is_one_too_many(self, routing_id: bytes, frame: HelloFrame, now_ns: int) -> bool:
        if self._order.lane(frame.emitter_id, frame.boot_id) is not None:
            return False
        lanes = self._order.lanes()
        refusal = self._quotas.refusal(lanes, len(lanes), now_ns)
        if refusal:
            self._refuse(routing_id, refusal)
        return bool(refusal)

    def _refuse(self, routing_id: bytes, refusal: str) -> None:
        self._refused.append(refusal)
        self.answer(routing_id, frames.refused(refusal))

    def _in_trouble(self, fault: StoreError) -> None:
        self._trouble = f"{fault}. Nothing is lost while the emitters hold their facts."
        self._again_ns = self._now_ns() + _AGAIN_NS

    def close(self) -> None:
        self._socket.close(linger=500)
        if self._guard is not None:
            self._guard.close()
        self._journal.close()


def _told(lane: Lane) -> bytes:
    """The HELLO of a segment, which says by itself whose facts it has, and from where on: what came before is elsewhere."""
    hello = codec.read_frame(lane.hello)
    assert isinstance(hello, HelloFrame)
    return frames.hello(lane.emitter_id, lane.boot_id, hello.resource, lane.kept_seq)


def _socket(context: Context) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.ROUTER)
    socket.setsockopt(zmq.MAXMSGSIZE, _HARD_LIMIT_BYTES)
    socket.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
    socket.setsockopt(zmq.RCVHWM, _WAITING_FRAMES)
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
