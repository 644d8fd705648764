"""A process that takes what emitters send and keeps only counts: our wire with acknowledgements, OTLP over HTTP with 200.

Invariant: everything is acknowledged as it comes, so what is measured is the sender. Prints where it listens; each line on
its standard input is answered with the counts since the last one. Run by the benchmarks as a child.
"""

import gzip
import json
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import zmq
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from trajectory.protocol import frames
from trajectory.protocol.codec import ByeFrame, FactsFrame, HelloFrame, read_frame

_counts: Counter[str] = Counter()
_bodies: list[bytes] = []


class _Otlp(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        _counts["otlp_bytes"] += len(body)
        _bodies.append(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


def _serve_wire(socket: "zmq.Socket[bytes]") -> None:
    while True:
        peer, *_, body = socket.recv_multipart()
        _counts["wire_bytes"] += len(body)
        frame = read_frame(body)
        if isinstance(frame, FactsFrame):
            _counts["facts"] += frame.count
            socket.send_multipart([peer, frames.ack(frame.boot_id, frame.first_seq + frame.count)])
        elif isinstance(frame, (HelloFrame, ByeFrame)):
            socket.send_multipart([peer, frames.ack(frame.boot_id, frame.next_seq)])


def _otlp_spans() -> int:
    """How many spans came over HTTP since this was last asked."""
    bodies, _bodies[:] = list(_bodies), []
    requests = map(ExportTraceServiceRequest.FromString, bodies)
    return sum(len(scope.spans) for request in requests for r in request.resource_spans for scope in r.scope_spans)


def main() -> None:
    """Serves until standard input ends."""
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.ROUTER)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    http = ThreadingHTTPServer(("127.0.0.1", 0), _Otlp)
    for serve in (http.serve_forever, lambda: _serve_wire(socket)):
        threading.Thread(target=serve, daemon=True).start()
    print(json.dumps({"endpoint": f"tcp://127.0.0.1:{port}", "http_port": http.server_address[1]}), flush=True)
    for _ in sys.stdin:
        counts = {**_counts, "otlp_spans": _otlp_spans()}
        _counts.clear()
        print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    main()
    sys.stdout.flush()
