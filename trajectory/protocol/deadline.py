"""One deadline for a whole HTTP answer, however slowly it comes: urllib3's own timeout begins anew with every byte.

Invariant: a connection is cut at its deadline, in the head of an answer and in its body. Called by whoever sends to other
people's servers: the forwarder, and the channels of alerts.
"""

import contextlib
import socket
import threading
from typing import Any


class Deadline:
    """Cuts the connection on which an answer is awaited for too long: urllib3's own timeout begins anew with every byte."""

    def __init__(self, seconds: float) -> None:
        self.reason = ""
        self._seconds = seconds
        self._timer = threading.Timer(seconds, lambda: None)

    def __enter__(self) -> None:
        self.reason = ""

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        if self._timer.is_alive():
            self._timer.join()  # at once: what it says is said of this answer, and not of the next

    def begin(self, connection: socket.socket) -> None:
        self._timer = threading.Timer(self._seconds, self._cut, (connection,))
        self._timer.daemon = True
        self._timer.start()

    def _cut(self, connection: socket.socket) -> None:
        self.reason = f"no whole answer within {self._seconds:g} s"
        with contextlib.suppress(OSError):  # closed already
            socket.socket.shutdown(connection, socket.SHUT_RDWR)  # and not TLS's own, which another thread is in


def watched(kind: Any, deadline: Deadline) -> Any:
    """The kind of connection whose answers have a deadline."""

    class Watched(kind):  # type: ignore[misc]
        def getresponse(self) -> Any:
            deadline.begin(self.sock)
            return super().getresponse()

    return Watched
