"""Backends for tests: real servers on free ports that answer as they are told, and keep what they were sent."""

import gzip
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

PROTOBUF = {"Content-Type": "application/x-protobuf"}


class Says(NamedTuple):
    """An answer over HTTP; a status of 0 hangs until the backend is closed."""

    status: int = 200
    headers: Mapping[str, str] = PROTOBUF
    body: bytes = b""


def partly(count: int, why: str) -> Says:
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans, response.partial_success.error_message = count, why
    return Says(body=response.SerializeToString())


Script = Callable[[ExportTraceServiceRequest], Says]


class Seen:
    """What came: requests in their order, with their headers, and the spans of those that were taken."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], ExportTraceServiceRequest]] = []
        self.taken: list[Any] = []
        self.port = 0

    def note(self, headers: dict[str, str], request: ExportTraceServiceRequest, is_taken: bool) -> None:
        self.requests.append((headers, request))
        if is_taken:
            self.taken += [s for group in request.resource_spans for scope in group.scope_spans for s in scope.spans]

    def names(self) -> list[str]:
        return [span.name for span in self.taken]


@contextmanager
def http_backend(*script: Says | Script, port: int = 0) -> Iterator[Seen]:
    """Answers as scripted, one after the other, and then takes all."""
    seen, steps, closed = Seen(), list(script), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.headers["Content-Encoding"] == "gzip"
            request = ExportTraceServiceRequest.FromString(gzip.decompress(body))
            step = steps.pop(0) if steps else Says()
            says = step if isinstance(step, Says) else step(request)
            headers = {k.lower(): v for k, v in self.headers.items()} | {":path": self.path}
            seen.note(headers, request, 200 <= says.status < 300)
            if not says.status:
                closed.wait(30)
                return
            self.send_response(says.status)
            for name, value in says.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(says.body)))
            self.end_headers()
            self.wfile.write(says.body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    seen.port = server.server_address[1]
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
def dripping(head: bytes, slow: bytes) -> Iterator[int]:
    """The port of a server that answers with the first at once, and with the second a byte every hundredth of a second."""
    closed = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(1)
            try:
                self.request.sendall(head)
                for byte in slow:
                    if closed.wait(0.01):
                        return
                    self.request.sendall(bytes([byte]))
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


class Aborts(NamedTuple):
    code: grpc.StatusCode
    retry_s: int = -1


@contextmanager
def grpc_backend(*script: Aborts | int) -> Iterator[Seen]:
    """Aborts as scripted, or rejects so many spans, one after the other, and then takes all."""
    seen, steps = Seen(), list(script)

    def export(request: ExportTraceServiceRequest, context: grpc.ServicerContext) -> ExportTraceServiceResponse:
        step = steps.pop(0) if steps else 0
        headers = {key: str(value) for key, value in context.invocation_metadata()}
        seen.note(headers, request, isinstance(step, int))
        response = ExportTraceServiceResponse()
        if isinstance(step, int):
            response.partial_success.rejected_spans = step
            return response
        if step.retry_s >= 0:
            packed = AnyMessage()
            packed.Pack(RetryInfo(retry_delay=Duration(seconds=step.retry_s)))
            status = Status(code=step.code.value[0], details=[packed])
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(step.code, "as told")
        return response

    method = grpc.unary_unary_rpc_method_handler(
        export, ExportTraceServiceRequest.FromString, ExportTraceServiceResponse.SerializeToString
    )
    service = "opentelemetry.proto.collector.trace.v1.TraceService"
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": method}),))
    seen.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield seen
    finally:
        server.stop(None).wait()
