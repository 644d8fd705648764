"""The receiver as its collector's process sees it: two addresses, and a process behind them that may come and go.

Invariant: who connects over HTTP is never turned away because no receiver is there: the listening socket outlives it. Called by
`trajectory serve` and `trajectory run`; loads nothing of HTTP or gRPC itself.
"""

import importlib.util
import select
import socket
import subprocess

import msgspec

from trajectory.collector import child

HTTP_ENDPOINT = "127.0.0.1:4318"
GRPC_ENDPOINT = "127.0.0.1:4317"
_END_S = 8.0
_BACKLOG = 512


class Settings(msgspec.Struct, frozen=True):
    """What a receiver is told. An empty address is one at which it does not listen; without a keyring nobody needs a token.

    `http_fd` is the listening socket that it inherits. `secret` and `server` are its keys to the collector, in hexadecimal,
    where that asks for keys.
    """

    collector: str
    http: str = HTTP_ENDPOINT
    grpc: str = GRPC_ENDPOINT
    keys: str = ""
    secret: str = ""
    server: str = ""
    hosts: list[str] = []
    http_fd: int = -1


class ReceiverProcess(child.Attended):
    """A receiver's addresses, and the process behind them: begun with the first connection, and anew where it dies.

    `http` and `grpc` are where it listens, empty where it does not; `http_trouble` and `grpc_trouble` say why it cannot. Over
    HTTP the listening socket is this process's own, so who connects while there is no receiver waits for it. grpcio takes no
    socket of anybody's: with gRPC the process is there from the start.
    """

    def __init__(self, settings: Settings) -> None:
        self.http = self.grpc = self.http_trouble = self.grpc_trouble = ""
        self._listening: socket.socket | None = None
        if settings.http:
            try:
                self._listening = listen(settings.http)
                self.http = name_of(self._listening)
            except OSError as fault:
                self.http_trouble = str(fault)
        if settings.grpc:
            self._look_at_grpc(settings.grpc)
        http_fd = self._listening.fileno() if self._listening is not None else -1
        self._settings = msgspec.structs.replace(settings, http=self.http, grpc=self.grpc, http_fd=http_fd)
        super().__init__("trajectory-receiver", _END_S)

    def close(self) -> None:
        """Lets the process answer what it has, and ends it."""
        super().close()
        if self._listening is not None:
            self._listening.close()

    def _look_at_grpc(self, endpoint: str) -> None:
        if importlib.util.find_spec("grpc") is None:
            self.grpc_trouble = "grpcio is not installed"
            return
        try:
            with listen(endpoint) as free:  # grpcio does not say why it cannot
                self.grpc = name_of(free)
        except OSError as fault:
            self.grpc_trouble = str(fault)

    def _begin(self) -> "subprocess.Popen[bytes]":
        fds = () if self._listening is None else (self._listening.fileno(),)
        return child.begin("trajectory.receiver.process", self._settings, fds)

    def _is_wanted(self) -> bool:
        """Waits until somebody connects, which gRPC cannot wait for; False at the end."""
        if self.grpc:
            return True
        if self._listening is None:
            return False
        ready, _, _ = select.select([self._listening.fileno(), self._end_read], [], [])
        return self._end_read not in ready


def listen(endpoint: str) -> socket.socket:
    """A listening socket at `host:port`. Raises OSError with what to do."""
    host, _, port = endpoint.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host.strip("[]"), int(port)))
        listening.listen(_BACKLOG)
    except (OSError, ValueError, OverflowError) as fault:
        listening.close()
        reason = fault.strerror if isinstance(fault, OSError) and fault.strerror else str(fault)
        raise OSError(f"{endpoint} cannot be bound: {reason}") from None
    return listening


def name_of(listening: socket.socket) -> str:
    """Where it listens, as host and port."""
    host, port = listening.getsockname()[:2]
    return f"{f'[{host}]' if ':' in host else host}:{port}"


def free_address() -> str:
    """A free `host:port` on loopback, for whoever listens there next."""
    with listen("127.0.0.1:0") as free:
        return name_of(free)
