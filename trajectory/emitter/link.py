"""One ZeroMQ connection to one collector, as the sender sees it: up or down, frames out, frames in.

Invariant: nothing is queued for a peer that is not there (ZMQ_IMMEDIATE), so what `send` accepted belongs to the connection
that is up now, and after `down` everything unacknowledged has to be sent again. The sender's thread alone calls it.
"""

import zmq
from zmq.utils.monitor import parse_monitor_message

from trajectory.protocol.frames import MAX_FRAME_BYTES

_UP = int(zmq.EVENT_HANDSHAKE_SUCCEEDED)
_DOWN = int(zmq.EVENT_DISCONNECTED)
_FAILED = int(zmq.EVENT_CONNECT_RETRIED) | int(zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL) | int(zmq.EVENT_CLOSED)


class Link:
    """A DEALER that reconnects by itself. `failed` says that at least one try to connect found nobody."""

    def __init__(self, endpoint: str) -> None:
        """Begins to connect. Raises zmq.ZMQError on an endpoint that cannot be one."""
        self._shares_context = endpoint.startswith("inproc:")
        self._context: zmq.Context[zmq.Socket[bytes]] = (
            zmq.Context.instance() if self._shares_context else zmq.Context(io_threads=1)
        )
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        _configure(self._socket)
        self._monitor = None if self._shares_context else self._socket.get_monitor_socket(_UP | _DOWN | _FAILED)
        self.up = self._shares_context  # inproc connects in the call and reports nothing
        self.failed = False
        self._ready: set[object] = set()
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        if self._monitor is not None:
            self._poller.register(self._monitor, zmq.POLLIN)
        try:
            self._socket.connect(endpoint)
        except zmq.ZMQError:
            self.close()
            raise

    def watch(self) -> bool:
        """Reads what happened to the connection; True if it went down or came up since the last call."""
        changed = False
        while self._monitor is not None and (told := self._read(self._monitor)) is not None:
            event = int(parse_monitor_message(told)["event"])
            self.failed = self.failed or event & _FAILED != 0
            if event in (_UP, _DOWN):
                self.up = event == _UP
                changed = True
        return changed

    def send(self, frame: bytes) -> bool:
        """Hands a frame to the connection; False if it takes none now."""
        try:
            self._socket.send(frame, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def receive(self) -> bytes | None:
        """One frame that came before the last `wait` returned, or None."""
        parts = self._read(self._socket)
        return None if parts is None else parts[-1]

    def wait(self, timeout_s: float) -> None:
        """Returns when something came or the time is over."""
        self._ready = {socket for socket, _ in self._poller.poll(max(0, int(timeout_s * 1000)))}

    def _read(self, socket: "zmq.Socket[bytes]") -> list[bytes] | None:
        # Asked only where the poll said so: an idle process asks in vain twenty times a second.
        if socket not in self._ready:
            return None
        try:
            return socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            self._ready.discard(socket)
            return None

    def close(self) -> None:
        """Ends the connection; what was accepted and not written yet is given up, because only an ACK means delivery."""
        if self._monitor is not None:
            self._socket.disable_monitor()
            self._monitor.close(linger=0)
        self._socket.close(linger=0)
        if not self._shares_context:
            self._context.term()


def _configure(socket: "zmq.Socket[bytes]") -> None:
    socket.setsockopt(zmq.IMMEDIATE, 1)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.SNDHWM, 1000)
    socket.setsockopt(zmq.RECONNECT_IVL, 100)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 2000)
    socket.setsockopt(zmq.HEARTBEAT_IVL, 2000)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 10_000)
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_BYTES)
