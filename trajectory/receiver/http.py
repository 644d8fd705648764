"""OTLP over HTTP: `POST /v1/traces`, `/v1/logs`, `/v1/metrics`, as an ASGI application.

Invariant: every request is answered, with the status that makes a well-behaved exporter do the right thing, in the encoding that
it asked in. Bodies are bounded before and after inflating, and in time. Served by uvicorn.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from trajectory.dialects.otlp import Media
from trajectory.receiver import requests
from trajectory.receiver.bodies import BODY_S, MAX_BODY_BYTES, RefusedError, unpacked
from trajectory.receiver.door import IS_CROWDED
from trajectory.receiver.gate import Gate
from trajectory.receiver.receiver import Hold, Receiver
from trajectory.receiver.requests import CONTENT_TYPES, Signal

_SIGNALS: dict[str, Signal] = {"/v1/traces": "traces", "/v1/logs": "logs", "/v1/metrics": "metrics"}
_BUSY_S = 1

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class HttpApp:
    """The application. `receiver` and the application live in the same event loop."""

    def __init__(self, receiver: Receiver, gate: Gate) -> None:
        self._receiver = receiver
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # uvicorn asks for nothing else: life-span events and websockets are switched off
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        media: Media = "json" if "json" in headers.get("content-type", "").lower() else "protobuf"
        held = self._receiver.hold()
        try:
            answer = await self._answer(scope, headers, receive, held)
        except RefusedError as fault:
            self._receiver.note_refused(fault)
            extra = [(b"retry-after", str(fault.retry_after_s).encode())] if fault.retry_after_s else []
            if fault.status == 405:
                extra.append((b"allow", b"POST"))
            if fault.status == 401:
                extra.append((b"www-authenticate", b"Bearer"))
            if scope.get("state", {}).get(IS_CROWDED):  # a server that is not ours may have none
                extra.append((b"connection", b"close"))
            await _send(send, fault.status, requests.written(requests.refused(fault), media), media, extra)
            return
        except Exception as fault:
            failed = RefusedError(500, f"this cannot be taken: {type(fault).__name__}: {fault}")
            self._receiver.note_refused(failed)
            await _send(send, failed.status, requests.written(requests.refused(failed), media), media)
            return
        finally:
            held.release()
        await _send(send, 200, requests.written(answer, media), media)

    async def _answer(self, scope: Scope, headers: dict[str, str], receive: Receive, held: Hold) -> Any:
        self._gate.check(headers)
        if scope.get("state", {}).get(IS_CROWDED):  # a server that is not ours may have none
            raise RefusedError(503, "too many are connected: come again", _BUSY_S)
        signal = _SIGNALS.get(scope["path"].rstrip("/"))
        if signal is None:
            raise RefusedError(404, "OTLP is taken at /v1/traces, /v1/logs and /v1/metrics")
        if scope["method"] != "POST":
            raise RefusedError(405, "OTLP is sent by POST")
        media = requests.media_of(headers.get("content-type", ""))
        said_bytes = headers.get("content-length", "")
        try:
            async with asyncio.timeout(BODY_S):
                body = await _body(receive, said_bytes, held)
        except TimeoutError:
            raise RefusedError(408, f"the body did not come within {BODY_S:.0f} s") from None
        body = await unpacked(body, headers.get("content-encoding", ""))
        held.release()  # from here on the receiver counts it
        return await self._receiver.take(signal, media, body)


async def _body(receive: Receive, said_bytes: str, held: Hold) -> bytes:
    if said_bytes.isdecimal() and (len(said_bytes) > 19 or int(said_bytes) > MAX_BODY_BYTES):
        raise RefusedError(413, f"the body is larger than {MAX_BODY_BYTES} bytes: send smaller batches")
    parts: list[bytes] = []
    size_bytes = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RefusedError(400, "the connection ended within the body")
        part = message.get("body", b"")
        size_bytes += len(part)
        if size_bytes > MAX_BODY_BYTES:
            raise RefusedError(413, f"the body is larger than {MAX_BODY_BYTES} bytes: send smaller batches")
        held.add(len(part))
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


async def _send(
    send: Send, status: int, body: bytes, media: Media, extra: list[tuple[bytes, bytes]] | None = None
) -> None:
    headers = [(b"content-type", CONTENT_TYPES[media].encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *(extra or [])]})
    await send({"type": "http.response.body", "body": body})
