"""The receiver as a process of its own beside the collector: decoding other people's spans holds up neither intake nor judgement.

Invariant: it keeps nothing: what it answered as taken is in the collector's journal, so it may be killed at any time, is begun
anew, and exporters send again what was not answered. Begun by `trajectory serve`, as `python -m trajectory.receiver.process`.
"""

import asyncio
import contextlib
import os
import select
import socket
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator

import msgspec
import uvicorn

from trajectory.collector import child
from trajectory.collector.keyring import Keyring
from trajectory.emitter.credentials import name_key
from trajectory.errors import ConfigError
from trajectory.protocol.keys import ClientKeys, digest_of
from trajectory.receiver.carrier import Carrier
from trajectory.receiver.gate import Gate, Knows, is_equal
from trajectory.receiver.http import HttpApp
from trajectory.receiver.receiver import Receiver

HTTP_ENDPOINT = "127.0.0.1:4318"
GRPC_ENDPOINT = "127.0.0.1:4317"
_START_S = 20.0
_END_S = 8.0
_AGAIN_S = 1.0
_LOOK_S = 1.0
_MAX_CONNECTIONS = 512


class Settings(msgspec.Struct, frozen=True):
    """What a receiver is told. An empty address is one at which it does not listen; without a keyring nobody needs a token.

    `secret` and `server` are its keys to the collector, in hexadecimal, where that asks for keys.
    """

    collector: str
    http: str = HTTP_ENDPOINT
    grpc: str = GRPC_ENDPOINT
    keys: str = ""
    secret: str = ""
    server: str = ""
    hosts: list[str] = []


class Said(msgspec.Struct, frozen=True):
    """What a receiver says at its start: where it listens, and for each place where it cannot, why not."""

    http: str = ""
    grpc: str = ""
    http_trouble: str = ""
    grpc_trouble: str = ""


class ReceiverProcess:
    """A receiver, begun anew where it dies. `said` is what it said at first."""

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigError where it does not begin at all."""
        self._settings = settings
        self._process, self.said = self._begin()
        self._is_ending = threading.Event()
        self._watch = threading.Thread(target=self._keep, name="trajectory-receiver-watch", daemon=True)
        self._watch.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        """Lets it answer what it has, and ends it."""
        self._is_ending.set()
        child.end(self._process, _END_S)
        self._watch.join()

    def _begin(self) -> "tuple[subprocess.Popen[bytes], Said]":
        process = child.begin("trajectory.receiver.process", self._settings, subprocess.PIPE)
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], _START_S)
        line = process.stdout.readline() if ready else b""
        process.stdout.close()
        if not line:
            process.kill()
            process.wait()
            raise ConfigError("the OTLP receiver did not begin: what it said stands above", "otlp-http")
        return process, msgspec.json.decode(line, type=Said)

    def _keep(self) -> None:
        while not self._is_ending.is_set():
            self._process.wait()
            while not self._is_ending.wait(_AGAIN_S):
                with contextlib.suppress(ConfigError):
                    self._process, _ = self._begin()
                    break


class _Tokens:
    """The bearer tokens of those who may send, read anew where the keyring has changed."""

    def __init__(self, directory: str) -> None:
        self._keyring = Keyring(directory)
        self._looked_s = -_LOOK_S
        self._changed_ns = -1
        self._digests: list[str] = []

    def __call__(self, token: str) -> bool:
        now_s = time.monotonic()
        if now_s - self._looked_s >= _LOOK_S:
            self._looked_s = now_s
            changed_ns = self._keyring.changed_ns()
            if changed_ns != self._changed_ns:
                self._changed_ns = changed_ns
                may_send = [c for c in self._keyring.clients() if c.role in ("emit", "admin") and c.token_digest]
                self._digests = [client.token_digest for client in may_send]
        digest = digest_of(token)
        return any(is_equal(digest, known) for known in self._digests)


def listen(endpoint: str) -> socket.socket:
    """A listening socket at `host:port`. Raises OSError with what to do."""
    host, _, port = endpoint.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host.strip("[]"), int(port)))
        listening.listen(_MAX_CONNECTIONS)
    except (OSError, ValueError, OverflowError) as fault:
        listening.close()
        reason = fault.strerror if isinstance(fault, OSError) and fault.strerror else str(fault)
        raise OSError(f"{endpoint} cannot be bound: {reason}") from None
    return listening


def main() -> None:
    """The process's body."""
    settings = child.told(Settings)
    if settings is None:
        return
    if settings.secret:
        name_key(settings.collector, ClientKeys(bytes.fromhex(settings.secret), bytes.fromhex(settings.server)))
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    knows: Knows | None = _Tokens(settings.keys) if settings.keys else None
    gate = Gate(knows, frozenset(settings.hosts))
    carrier = Carrier(settings.collector)
    receiver = Receiver(carrier)
    said = Said()
    async with contextlib.AsyncExitStack() as undo:
        if settings.http:
            try:
                at = await undo.enter_async_context(_http(settings.http, receiver, gate))
                said = msgspec.structs.replace(said, http=at)
            except OSError as fault:
                said = msgspec.structs.replace(said, http_trouble=str(fault))
        if settings.grpc:
            try:
                at = await undo.enter_async_context(_grpc(settings.grpc, receiver, gate))
                said = msgspec.structs.replace(said, grpc=at)
            except (OSError, ImportError) as fault:
                trouble = "grpcio is not installed" if isinstance(fault, ImportError) else str(fault)
                said = msgspec.structs.replace(said, grpc_trouble=trouble)
        os.write(1, msgspec.json.encode(said) + b"\n")
        await _until_orphaned()
    receiver.close()
    await asyncio.to_thread(carrier.close)


async def _until_orphaned() -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(0, ended.set)
    await ended.wait()
    loop.remove_reader(0)


class _Server(uvicorn.Server):
    """uvicorn's, which leaves this process's signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def _http(endpoint: str, receiver: Receiver, gate: Gate) -> AsyncIterator[str]:
    listening = listen(endpoint)
    config = uvicorn.Config(
        HttpApp(receiver, gate), http="h11", ws="none", lifespan="off", log_config=None, access_log=False, server_header=False,
        date_header=False, limit_concurrency=_MAX_CONNECTIONS, timeout_keep_alive=30, timeout_graceful_shutdown=3,
    )  # fmt: skip
    server = _Server(config)
    serving = asyncio.ensure_future(server.serve([listening]))
    try:
        host, port = listening.getsockname()[:2]
        yield f"{f'[{host}]' if ':' in host else host}:{port}"
    finally:
        server.should_exit = True
        await serving
        listening.close()


@contextlib.asynccontextmanager
async def _grpc(endpoint: str, receiver: Receiver, gate: Gate) -> AsyncIterator[str]:
    from trajectory.receiver import rpc

    listen(endpoint).close()  # grpcio says nothing of why it cannot
    server, port = await rpc.begin(endpoint, receiver, gate)
    try:
        yield f"{endpoint.rpartition(':')[0]}:{port}"
    finally:
        await server.stop(3.0)


if __name__ == "__main__":
    main()
