"""The receiver as a process of its own beside the collector: decoding other people's spans holds up neither intake nor judgement.

Invariant: it keeps nothing: what it answered as taken is in the collector's journal, so it may be killed at any time, is begun
anew, and exporters send again what was not answered. Begun by `trajectory serve`, as `python -m trajectory.receiver.process`.
"""

import asyncio
import contextlib
import ctypes
import logging
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from trajectory.collector import child
from trajectory.collector.garbage import collect_rarely
from trajectory.emitter.credentials import name_key
from trajectory.protocol.keys import ClientKeys
from trajectory.receiver.beside import Settings
from trajectory.receiver.carrier import Carrier
from trajectory.receiver.gate import Gate, Knows
from trajectory.receiver.http import IS_CROWDED, HttpApp
from trajectory.receiver.receiver import Receiver
from trajectory.receiver.tokens import Tokens

_MAX_CONNECTIONS = 512
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # as mallopt(3) has them
_KEPT_BYTES = 8 * 1024 * 1024
_HEAD_S = 10.0  # for a connection's first request to say what it is


def main() -> None:
    """The process's body."""
    settings = child.told(Settings)
    if settings is None:
        return
    logging.getLogger("uvicorn").addHandler(logging.NullHandler())  # what went wrong is said in the answer, and counted
    if settings.secret:
        name_key(settings.collector, ClientKeys(bytes.fromhex(settings.secret), bytes.fromhex(settings.server)))
    collect_rarely()
    _keep_freed_memory()
    asyncio.run(_serve(settings))


def _keep_freed_memory() -> None:
    """Has glibc keep what one body needed for the next: to give it back and ask anew is half of what a large one costs."""
    with contextlib.suppress(AttributeError, OSError):  # another C library, or another system
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES // 2)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


async def _serve(settings: Settings) -> None:
    knows: Knows | None = Tokens(settings.keys, ("emit", "admin")) if settings.keys else None
    gate = Gate(knows, frozenset(settings.hosts))
    carrier = Carrier(settings.collector)
    receiver = Receiver(carrier)
    async with contextlib.AsyncExitStack() as undo:
        if settings.http_fd >= 0:
            await undo.enter_async_context(_http(socket.socket(fileno=settings.http_fd), receiver, gate))
        if settings.grpc:
            await undo.enter_async_context(_grpc(settings.grpc, receiver, gate))
        await _until_orphaned()
    receiver.close()
    await asyncio.to_thread(carrier.close)


async def _until_orphaned() -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(0, ended.set)
    await ended.wait()
    loop.remove_reader(0)


class _Protocol(HttpToolsProtocol):
    """uvicorn's protocol, which ends a connection on which no whole request's head has come in time, and copies bodies less."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._first = self.loop.call_later(_HEAD_S, self._end_if_silent, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._first.cancel()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"][IS_CROWDED] = len(self.connections) > _MAX_CONNECTIONS

    def on_body(self, body: bytes) -> None:
        if not self.cycle.body:  # a part is handed on as it is: a bytearray would be filled with it, and copied again
            self.cycle.body = b""  # type: ignore[assignment]
        super().on_body(body)

    def _end_if_silent(self, transport: asyncio.Transport) -> None:
        if self.cycle is None:
            transport.abort()


class _Server(uvicorn.Server):
    """uvicorn's, which leaves this process's signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def _http(listening: socket.socket, receiver: Receiver, gate: Gate) -> AsyncIterator[None]:
    config = uvicorn.Config(
        HttpApp(receiver, gate),
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=3,
    )
    server = _Server(config)
    serving = asyncio.ensure_future(server.serve([listening]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving


@contextlib.asynccontextmanager
async def _grpc(endpoint: str, receiver: Receiver, gate: Gate) -> AsyncIterator[None]:
    from trajectory.receiver import rpc  # loads grpcio

    server, _ = await rpc.begin(endpoint, receiver, gate)
    try:
        yield
    finally:
        await server.stop(3.0)


if __name__ == "__main__":
    main()
