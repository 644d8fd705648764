"""`/metrics`: what is published of the sums, for Prometheus, by threads that touch nothing else.

Invariant: a scrape reads an immutable copy and holds up nobody; slow and many clients cost a bounded number of threads.
OpenMetrics with exemplars where the scraper takes it. Begun by `trajectory serve --metrics`.
"""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from trajectory.errors import ConfigError
from trajectory.receiver.bodies import RefusedError
from trajectory.receiver.gate import Gate
from trajectory.signals.exposition import media_type, text_of
from trajectory.signals.families import families
from trajectory.signals.published import Published

_MAX_CLIENTS = 16
_CLIENT_S = 5.0


class Scraped:
    """Listens at `host` and `port` (0: a free one) from the beginning on. Raises ConfigError where it cannot."""

    def __init__(self, host: str, port: int, gate: Gate) -> None:
        self._published = Published()
        self._gate = gate
        self._lock = threading.Lock()
        self._texts: dict[str, tuple[Published, bytes]] = {}
        try:
            self._server = _Server((host, port), _Handler)
        except OSError as fault:
            raise ConfigError(f"--metrics: {host}:{port} cannot be had: {fault.strerror}", "metrics") from None
        self._server.door = self
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    @property
    def place(self) -> str:
        """Where it listens, as host and port."""
        host, port = self._server.server_address[:2]
        return f"[{host!s}]:{port}" if ":" in str(host) else f"{host!s}:{port}"

    def publish(self, published: Published) -> None:
        """From now on scrapes are answered from this copy."""
        self._published = published

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, headers: dict[str, str], method: str, path: str) -> tuple[str, bytes]:
        """The content type and the text of a scrape. Raises RefusedError."""
        with self._lock:  # of the tokens, which are read anew now and then
            self._gate.check(headers)
        if urlsplit(path).path.rstrip("/") != "/metrics":
            raise RefusedError(404, "metrics are at /metrics")
        if method != "GET":
            raise RefusedError(405, "metrics are read by GET")
        media, published = media_type(headers.get("accept", "")), self._published
        kept = self._texts.get(media)
        if kept is None or kept[0] is not published:
            kept = self._texts[media] = published, text_of(families(published), media)
        return media, kept[1]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 32
    door: Scraped

    def __init__(self, *arguments: Any) -> None:
        if ":" in arguments[0][0]:
            import socket

            self.address_family = socket.AF_INET6
        self._room = threading.BoundedSemaphore(_MAX_CLIENTS)
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is nobody's concern."""


class _Handler(BaseHTTPRequestHandler):
    timeout = _CLIENT_S
    server: _Server
    server_version = "trajectory"
    sys_version = ""

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            content_type, body = self.server.door.answer(headers, self.command, self.path)
            self._send(200, content_type, body)
        except RefusedError as fault:
            self._send(fault.status, "text/plain; charset=utf-8", f"{fault}\n".encode())

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if status == 401:
            self.send_header("WWW-Authenticate", "Bearer")
        if status == 405:
            self.send_header("Allow", "GET")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is written to standard error: what a client sends may be anything."""
