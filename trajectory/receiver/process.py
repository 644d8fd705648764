"""The receiver as a process of its own beside the collector: decoding other people's spans holds up neither intake nor judgement.

Invariant: it keeps nothing: what it answered as taken is in the collector's journal, so it may be killed at any time, is begun
anew, and exporters send again what was not answered. Begun by `trajectory serve`, as `python -m trajectory.receiver.process`.
"""

import asyncio
import contextlib
import ctypes
import logging
import socket
from collections.abc import AsyncIterator

from trajectory.collector import child
from trajectory.collector.garbage import collect_rarely
from trajectory.emitter.credentials import name_key
from trajectory.protocol.keys import ClientKeys
from trajectory.receiver.beside import Settings
from trajectory.receiver.carrier import Carrier
from trajectory.receiver.door import Door
from trajectory.receiver.gate import Gate, Knows
from trajectory.receiver.http import HttpApp
from trajectory.receiver.receiver import Receiver
from trajectory.receiver.tokens import Tokens

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # as mallopt(3) has them
_KEPT_BYTES = 8 * 1024 * 1024


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


@contextlib.asynccontextmanager
async def _http(listening: socket.socket, receiver: Receiver, gate: Gate) -> AsyncIterator[None]:
    server = Door(HttpApp(receiver, gate))
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
