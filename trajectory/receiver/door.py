"""The HTTP server of every door of ours: uvicorn, made to end connections that say nothing and to count those that are too many.

Invariant: a client that is slow, silent or one of a crowd costs a connection and never a thread. It leaves the process's signals
alone. Called by the receiver's process and by `/metrics`.
"""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

IS_CROWDED = "is_crowded"  # in a request's state: more are connected than may be
_MAX_CONNECTIONS = 512
_TOLD_CONNECTIONS = 64  # beyond them, which are told to come again; those after them are ended, before files run out
_BACKLOG = 128  # as many are accepted before the first of them can be ended
_HEAD_S = 10.0  # for a connection's first request to say what it is


class _Protocol(HttpToolsProtocol):
    """uvicorn's protocol, which ends a connection on which no whole request's head has come in time, and copies bodies less."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._first = self.loop.call_later(_HEAD_S, self._end_if_silent, transport)
        if len(self.connections) > _MAX_CONNECTIONS + _TOLD_CONNECTIONS:
            transport.abort()

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


class Door(uvicorn.Server):
    """Serves an ASGI application of plain HTTP: `await serve([socket])`, until `should_exit` is set, then 3 s at most."""

    def __init__(self, application: Any) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                http=_Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,
                backlog=_BACKLOG,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=3,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve_forever(door: Door, listening: socket.socket) -> None:
    """A thread's body: serves there until the door is told to exit."""
    asyncio.run(door.serve([listening]))
