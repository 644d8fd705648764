"""A feed from a running collector over ZeroMQ.

Invariant: one question is under way at a time, and an answer to an older one is thrown away. When nobody is there in time, the
socket is made anew, so a collector that comes back is not met by a queue of old questions; a question to one that is there and
busy stays, and is not asked again.
"""

import contextlib
import threading
import time
from collections.abc import Callable

import zmq

from trajectory.collector import exporting, watching
from trajectory.errors import TrajectoryError, WireError
from trajectory.model.fact import Marked
from trajectory.protocol.handshake import HandshakeWatch
from trajectory.protocol.keys import ClientKeys
from trajectory.view.feed import FeedBusy, FeedLost, Format, NotAdmitted
from trajectory.view.views import Query, View

_ANSWER_S = 1.5


class RemoteFeed:
    """Asks the collector at `endpoint`, with keys where it asks for them. Usable from any thread, one call at a time."""

    def __init__(self, endpoint: str, timeout_s: float = _ANSWER_S, keys: ClientKeys | None = None) -> None:
        self.endpoint = endpoint
        self._keys = keys
        self._handshakes: HandshakeWatch | None = None
        self._timeout_s = timeout_s
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket: zmq.Socket[bytes] | None = None
        self._request_id = 0
        self._asked: tuple[Query, int] | None = None  # what is under way, and whether it was sent
        self._is_sent = False
        self._lock = threading.Lock()
        self._store = ""  # as the collector said last
        try:
            self._connect()
        except WireError:
            self._context.term()
            raise

    def _connect(self) -> tuple[zmq.Socket[bytes], HandshakeWatch]:
        if self._socket is not None and self._handshakes is not None:
            return self._socket, self._handshakes
        socket = self._context.socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RECONNECT_IVL, 100)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
        if self._keys is not None:
            self._keys.apply(socket)
        handshakes = HandshakeWatch(socket, self.endpoint, self._keys is not None)
        try:
            socket.connect(self.endpoint)
        except zmq.ZMQError as fault:
            handshakes.close()
            socket.close(linger=0)
            raise WireError(
                f"{self.endpoint} is no endpoint ({fault.strerror}): give one like tcp://127.0.0.1:5570"
            ) from None
        self._socket, self._handshakes = socket, handshakes
        return socket, handshakes

    def pull(self, query: Query, since: int) -> View | None:
        with self._lock:
            if self._asked != (query, since):
                self._asked, self._is_sent = (query, since), False
                self._request_id += 1
            try:
                view = self._exchange(watching.ask(self._request_id, since, query))
            except FeedBusy:
                raise  # it stays under way
            except TrajectoryError:
                self._asked = None
                raise
            self._asked = None
        if view is not None:
            self._store = view.health.store
        return view

    def mark(self, trace_id: str, alert_key: str, action: str, for_s: int = 0) -> None:
        with self._lock:
            self._request_id += 1
            self._asked, self._is_sent = None, False
            now_ns = time.time_ns()
            until_ns = now_ns + for_s * 1_000_000_000 if for_s > 0 else 0
            marked = Marked(bytes.fromhex(trace_id), now_ns, alert_key, action, until_ns=until_ns)
            self._exchange(watching.tell(self._request_id, marked))

    def _exchange(self, frame: bytes) -> View | None:
        """Sends a frame, unless it is under way, and waits for its answer."""
        socket, handshakes = self._connect()
        deadline_s = time.monotonic() + self._timeout_s
        while (left_s := deadline_s - time.monotonic()) > 0:
            if not handshakes.wait(left_s, zmq.POLLIN if self._is_sent else zmq.POLLOUT):
                self._give_up_on(handshakes.fault())
            elif not self._is_sent:
                with contextlib.suppress(zmq.Again):  # refused since it was looked at: why is told in a moment
                    socket.send(frame, zmq.NOBLOCK)
                    self._is_sent = True
            else:
                answer = watching.read_answer(socket.recv(zmq.NOBLOCK))
                if isinstance(answer.request_id, str):
                    raise TrajectoryError(answer.request_id)
                if answer.request_id == self._request_id:
                    return answer.view
        if handshakes.is_up and self._is_sent:
            raise FeedBusy(f"{self.endpoint} is busy: it has not answered within {self._timeout_s:g} s")
        self._drop()
        raise FeedLost(f"no answer from {self.endpoint} within {self._timeout_s:g} s: is a collector running there?")

    def _give_up_on(self, fault: str) -> None:
        if fault:
            self._drop()
            raise NotAdmitted(fault)

    def _drop(self) -> None:
        if self._handshakes is not None:
            self._handshakes.close()
        if self._socket is not None:
            self._socket.close(linger=0)
        self._socket = self._handshakes = self._asked = None

    def formats(self) -> list[Format]:
        return exporting.formats()

    def export(self, trace_id: str, chosen: Format, path: str, told: Callable[[str], bool]) -> None:
        """Reads the collector's store, which has to be on this machine: whole runs do not travel over the wire."""
        exporting.export(
            exporting.store_here(self.endpoint, self._store, trace_id, chosen), trace_id, chosen, path, told
        )

    def close(self) -> None:
        with self._lock:
            self._drop()
            self._context.term()
