"""Other ends: a real HTTP server that answers as scripted and keeps what it was sent, and one that talks without end."""

import contextlib
import json
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Says(NamedTuple):
    """An answer. A status of 0 hangs until the server is closed, the others below 0 are told in `_MISDEEDS`."""

    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes = b""


EARLY, DRIPS, CUT_OFF, ENDLESS, DRIPS_ON = -1, -2, -3, -4, -5
_MISDEEDS = {  # what comes at once, and what comes from then on until the server is closed
    EARLY: (b"", b""),
    DRIPS: (b"", b"H"),
    CUT_OFF: (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfine", b""),
    DRIPS_ON: (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
    ENDLESS: (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65_536),
}


class Got(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Seen:
    """What came, and where it came to."""

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.port = 0
        self.url = ""


@contextmanager
def http_server(
    *script: Says,
    last: Says | None = None,
    port: int = 0,
    answer: Callable[[Got], Says] | None = None,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Seen]:
    """Answers as scripted, then with `last`; or as `answer` says."""
    seen, steps, closed = Seen(), list(script), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle(self) -> None:
            with contextlib.suppress(ConnectionError):  # whoever asked has heard enough
                super().handle()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got = Got(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            seen.got.append(got)
            says = answer(got) if answer is not None else steps.pop(0) if steps else last or Says()
            if says.status <= 0:
                self.close_connection = True
                return self.misbehave(says.status)
            self.send_response(says.status)
            for name, value in says.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(says.body)))
            self.end_headers()
            self.wfile.write(says.body)

        def misbehave(self, status: int) -> None:
            if not status:
                closed.wait(30)
                return
            first, more = _MISDEEDS[status]
            try:
                self.wfile.write(first)
                while more and not closed.wait(0.01):
                    self.wfile.write(more)
            except OSError:
                return  # whoever asked is gone

        do_GET = do_POST

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    seen.port = server.server_address[1]
    seen.url = f"https://localhost:{seen.port}" if tls is not None else f"http://127.0.0.1:{seen.port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        closed.set()
        server.shutdown()
        server.server_close()
        thread.join(10)


@contextmanager
def talking(says: bytes) -> Iterator[int]:
    """The port of a server that says the same again and again, whatever it hears, and never comes to an end."""
    closed = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                while not closed.wait(0.01):
                    self.request.sendall(says)
            except OSError:
                return  # whoever asked is gone

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            closed.set()
            server.shutdown()
