"""Why a connection does not come about although somebody listens there: said in one line, at once, and not by silence.

Invariant: a socket's own monitor is asked, so what is said was seen by libzmq. Called by everything that connects: the
emitter's link, remote feeds, import.
"""

import struct

import zmq

_AUTH = int(zmq.EVENT_HANDSHAKE_FAILED_AUTH)
_PROTOCOL = int(zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL)
_NO_DETAIL = int(zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL)
_SUCCEEDED = int(zmq.EVENT_HANDSHAKE_SUCCEEDED)
_DISCONNECTED = int(zmq.EVENT_DISCONNECTED)
FAILED = _AUTH | _PROTOCOL | _NO_DETAIL
_MISMATCH = int(zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH)
_ENOUGH = 3  # hung up on once, a peer may just have been stopped


_EVENT = struct.Struct("=Hi")  # as zmq_socket_monitor writes it: the event's id and its value


def event_in(told: list[bytes]) -> tuple[int, int]:
    """The event and the value that a socket's monitor tells; pyzmq's own reading of them loads asyncio."""
    event, value = _EVENT.unpack(told[0])
    return event, value


class Verdict:
    """What the failed handshakes with one endpoint mean; `has_keys` says whether ours are with keys."""

    def __init__(self, endpoint: str, has_keys: bool) -> None:
        self._endpoint = endpoint
        self._has_keys = has_keys
        self._hung_up_count = 0

    def of(self, event: int, value: int) -> str:
        """The reason, and what to do; empty for an event that says nothing about keys."""
        if event == _AUTH:
            return f"{self._endpoint} does not know this key, or revoked it: get one made there by trajectory keys add"
        if event == _PROTOCOL and value == _MISMATCH:
            return self._mismatch()
        if event == _PROTOCOL:
            return f"{self._endpoint} does not speak as a collector does: is one listening there?"
        if event == _SUCCEEDED:
            self._hung_up_count = 0
        # libzmq hangs up without a word on whoever encrypts for another server's key, and may do so on a mismatch.
        self._hung_up_count += event == _NO_DETAIL
        return self._hung_up() if self._hung_up_count >= _ENOUGH and event == _NO_DETAIL else ""

    def _hung_up(self) -> str:
        if self._has_keys:
            return f"{self._endpoint} hangs up: it is not the collector that this key is for, or takes no keys"
        return f"{self._endpoint} hangs up: it asks for a key (TRAJECTORY_KEY_FILE), or is no collector"

    def _mismatch(self) -> str:
        if self._has_keys:
            return (
                f"{self._endpoint} takes no keys: serve it with --keys, or go without TRAJECTORY_KEY_FILE and the like"
            )
        return (
            f"{self._endpoint} asks for a key: name a key file in TRAJECTORY_KEY_FILE (trajectory keys add makes one)"
        )


class HandshakeWatch:
    """Listens to a socket's handshakes; made before it connects, closed before the socket is."""

    def __init__(self, socket: "zmq.Socket[bytes]", endpoint: str, has_keys: bool) -> None:
        self._socket = socket
        self._verdict = Verdict(endpoint, has_keys)
        self.monitor: zmq.Socket[bytes] = socket.get_monitor_socket(FAILED | _SUCCEEDED | _DISCONNECTED)
        self.is_up = False  # whether the connection stands, as far as `fault` has read

    def fault(self) -> str:
        """Why the connection cannot come about; empty as far as is known."""
        said = ""
        while self.monitor.poll(0):
            event, value = event_in(self.monitor.recv_multipart())
            if event in (_SUCCEEDED, _DISCONNECTED):
                self.is_up = event == _SUCCEEDED
            said = self._verdict.of(event, value) or said
        return said

    def wait(self, timeout_s: float, event: int = zmq.POLLIN) -> bool:
        """Returns when the socket has a message (True), or when a handshake failed or the time is over (False).

        With `zmq.POLLOUT` it waits until the socket takes one: a refused connection leaves a socket that takes none,
        and whoever sends on it without asking waits for good.
        """
        poller = zmq.Poller()
        poller.register(self._socket, event)
        poller.register(self.monitor, zmq.POLLIN)
        return self._socket in dict(poller.poll(max(0, int(timeout_s * 1000) + 1)))

    def close(self) -> None:
        self._socket.disable_monitor()
        self.monitor.close(linger=0)
