"""One ZeroMQ connection to one collector, as the sender sees it: up or down, frames out, frames in.

Invariant: nothing is queued for a peer that is not there (ZMQ_IMMEDIATE), so what `send` accepted belongs to the connection
that is up now, and after `down` everything unacknowledged has to be sent again. The sender's thread alone calls it.
"""

import time

import zmq

from trajectory.emitter.credentials import keys_for
from trajectory.emitter.misuse import report
from trajectory.errors import ConfigError
from trajectory.protocol import handshake
from trajectory.protocol.keys import ClientKeys

REFUSED_S = 2.0  # after a handshake that the keys were the end of; libzmq itself gives up then
_MAX_ANSWER_BYTES = 64 * 1024  # who answers may be anybody: a collector says no more than a reason
_UP = int(zmq.EVENT_HANDSHAKE_SUCCEEDED)
_DOWN = int(zmq.EVENT_DISCONNECTED)
_FAILED = int(zmq.EVENT_CONNECT_RETRIED) | handshake.FAILED | int(zmq.EVENT_CLOSED)


class Link:
    """A DEALER that reconnects by itself. `failed` says that at least one try to connect found nobody."""

    def __init__(self, endpoint: str, wake_fd: int | None = None) -> None:
        """Begins to connect, with the keys named for it. Raises zmq.ZMQError on an endpoint, or a key, that cannot be one.

        `wait` returns too when there is something to read at `wake_fd`, which is the caller's to read.
        """
        self._endpoint = endpoint
        self._wake_fd = wake_fd
        self._shares_context = endpoint.startswith("inproc:")
        self._context: zmq.Context[zmq.Socket[bytes]] = (
            zmq.Context.instance() if self._shares_context else zmq.Context(io_threads=1)
        )
        self.up = self._shares_context  # inproc connects in the call and reports nothing
        self.failed = False
        self._again_s = 0.0
        self._ready: set[object] = set()
        self._poller = zmq.Poller()
        try:
            self._open(self._keys())
        except (zmq.ZMQError, ConfigError) as fault:
            self._leave_context()
            if isinstance(fault, zmq.ZMQError):
                raise
            raise zmq.ZMQError(zmq.EINVAL, str(fault)) from None

    def watch(self) -> bool:
        """Reads what happened to the connection; True if it went down or came up since the last call."""
        changed = False
        while self._monitor is not None and (told := self._read(self._monitor)) is not None:
            event, value = handshake.event_in(told)
            self.failed = self.failed or event & _FAILED != 0
            self._judge(event, value)
            if event in (_UP, _DOWN):
                self.up = event == _UP
                changed = True
        if 0 < self._again_s <= time.monotonic():
            self._open_again()
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

    def close(self) -> None:
        """Ends the connection; what was accepted and not written yet is given up, because only an ACK means delivery."""
        self._shut()
        self._leave_context()

    def _open(self, keys: ClientKeys | None) -> None:
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        self._monitor: zmq.Socket[bytes] | None = None
        self._ready, self._poller = set(), zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        if self._wake_fd is not None:
            self._poller.register(self._wake_fd, zmq.POLLIN)
        self._verdict = handshake.Verdict(self._endpoint, keys is not None)
        _configure(self._socket)
        if keys is not None:
            keys.apply(self._socket)
        try:
            if not self._shares_context:
                self._monitor = self._socket.get_monitor_socket(_UP | _DOWN | _FAILED)
                self._poller.register(self._monitor, zmq.POLLIN)
            self._socket.connect(self._endpoint)
        except zmq.ZMQError:
            self._shut()
            raise

    def _judge(self, event: int, value: int) -> None:
        """Says once that a key does not suit, and tries again later: the key, or the collector, may change."""
        said = self._verdict.of(event, value)
        if said:
            report("handshake", "trajectory: %s; facts are kept", said)
            self._again_s = time.monotonic() + REFUSED_S

    def _open_again(self) -> None:
        self._again_s = time.monotonic() + REFUSED_S
        try:
            keys = self._keys()
        except ConfigError:  # the key file is gone, or half-written
            return
        self._shut()
        self._again_s = 0.0
        self._open(keys)

    def _keys(self) -> ClientKeys | None:
        return None if self._shares_context else keys_for(self._endpoint)

    def _shut(self) -> None:
        if self._monitor is not None:
            self._socket.disable_monitor()
            self._monitor.close(linger=0)
            self._monitor = None
        self._socket.close(linger=0)

    def _leave_context(self) -> None:
        if not self._shares_context:
            self._context.term()

    def _read(self, socket: "zmq.Socket[bytes]") -> list[bytes] | None:
        # Asked only where the poll said so: an idle process asks in vain twenty times a second.
        if socket not in self._ready:
            return None
        try:
            return socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            self._ready.discard(socket)
            return None


def _configure(socket: "zmq.Socket[bytes]") -> None:
    socket.setsockopt(zmq.IMMEDIATE, 1)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.SNDHWM, 1000)
    socket.setsockopt(zmq.RECONNECT_IVL, 100)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 2000)
    socket.setsockopt(zmq.HEARTBEAT_IVL, 2000)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 10_000)
    socket.setsockopt(zmq.MAXMSGSIZE, _MAX_ANSWER_BYTES)
