"""Other ends for channels: a real HTTP server that answers as scripted and keeps what it was sent, and one for SMTP."""

import json
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Says(NamedTuple):
    """An answer. A status of 0 hangs until the server is closed, -1 closes at once, -2 drips an endless head."""

    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes = b"ok"


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
        self.url = ""


@contextmanager
def http_server(*script: Says, last: Says | None = None) -> Iterator[Seen]:
    """Answers as scripted, then with `last`."""
    seen, steps, closed = Seen(), list(script), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.got.append(Got(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            says = steps.pop(0) if steps else last or Says()
            if says.status <= 0:
                self.close_connection = True
                while says.status == 0 and not closed.wait(30):
                    pass
                while says.status == -2 and not closed.wait(0.01):
                    try:
                        self.wfile.write(b"H")
                    except OSError:
                        return
                return
            self.send_response(says.status)
            for name, value in says.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(says.body)))
            self.end_headers()
            self.wfile.write(says.body)

        do_GET = do_POST

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    seen.url = f"http://127.0.0.1:{server.server_address[1]}"
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
def smtp_server(refusal: bytes = b"") -> Iterator[tuple[int, list[str]]]:
    """The port of a mail server without TLS, and the mails that it took. `refusal` is what it says to a recipient."""
    mails: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 here\r\n")
            while line := self.rfile.readline(1000):
                word = line.split()[0].upper() if line.split() else b""
                if word == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    lines = []
                    while (said := self.rfile.readline(10_000)) not in (b".\r\n", b""):
                        lines.append(said.decode())
                    mails.append("".join(lines))
                answer = refusal if refusal and word == b"RCPT" else b"250 ok"
                self.wfile.write(answer + b"\r\n")
                if word == b"QUIT":
                    return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server.server_address[1], mails
        finally:
            server.shutdown()
            thread.join(10)
