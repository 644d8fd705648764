"""`/metrics`: what is published of the sums, for Prometheus, by a thread that touches nothing else.

Invariant: a scrape reads an immutable copy and holds up nobody. OpenMetrics with exemplars where the scraper takes it. Begun by
`trajectory serve --metrics`.
"""

import asyncio
import logging
import threading

from trajectory.errors import ConfigError
from trajectory.receiver.beside import listen, name_of
from trajectory.receiver.bodies import RefusedError
from trajectory.receiver.door import IS_CROWDED, Door, serve_forever
from trajectory.receiver.gate import Gate
from trajectory.receiver.http import Receive, Scope, Send
from trajectory.signals.exposition import media_type, text_of
from trajectory.signals.families import families
from trajectory.signals.published import Published

_REFUSED = {401: (b"www-authenticate", b"Bearer"), 405: (b"allow", b"GET"), 503: (b"connection", b"close")}


class Scraped:
    """Listens at `host` and `port` (0: a free one) from the beginning on. Raises ConfigError where it cannot."""

    def __init__(self, host: str, port: int, gate: Gate) -> None:
        self._published = Published()
        self._gate = gate
        self._texts: dict[str, tuple[Published, asyncio.Future[bytes]]] = {}
        try:
            self._listening = listen(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        except OSError as fault:
            raise ConfigError(f"--metrics: {fault}", "metrics") from None
        logging.getLogger("uvicorn").addHandler(logging.NullHandler())  # what a client sends may be anything
        self._door = Door(self)
        self._thread = threading.Thread(
            target=serve_forever, args=(self._door, self._listening), name="metrics", daemon=True
        )
        self._thread.start()

    @property
    def place(self) -> str:
        """Where it listens, as host and port."""
        return name_of(self._listening)

    def publish(self, published: Published) -> None:
        """From now on scrapes are answered from this copy."""
        self._published = published

    def close(self) -> None:
        self._door.should_exit = True
        self._thread.join()
        self._listening.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        extra: list[tuple[bytes, bytes]] = []
        try:
            media, body = await self._answer(scope, headers)
            status = 200
        except RefusedError as fault:
            status, media, body = fault.status, "text/plain; charset=utf-8", f"{fault}\n".encode()
            extra = [_REFUSED[status]] if status in _REFUSED else []
        said = [(b"content-type", media.encode()), (b"content-length", str(len(body)).encode()), *extra]
        await send({"type": "http.response.start", "status": status, "headers": said})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, headers: dict[str, str]) -> tuple[str, bytes]:
        self._gate.check(headers)
        if scope.get("state", {}).get(IS_CROWDED):
            raise RefusedError(503, "too many are connected: come again")
        if scope["path"].rstrip("/") != "/metrics":
            raise RefusedError(404, "metrics are at /metrics")
        if scope["method"] not in ("GET", "HEAD"):
            raise RefusedError(405, "metrics are read by GET")
        media, published = media_type(headers.get("accept", "")), self._published
        kept = self._texts.get(media)
        if kept is None or kept[0] is not published:  # written once, however many ask at once
            writing = asyncio.ensure_future(asyncio.to_thread(_written, published, media))
            kept = self._texts[media] = published, writing
        return media, await asyncio.shield(kept[1])


def _written(published: Published, media: str) -> bytes:
    return text_of(families(published), media)
