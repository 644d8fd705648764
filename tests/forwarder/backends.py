"""Backends for tests: real servers on free ports that answer as they are told, and keep what they were sent."""

import gzip
import socketserver
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
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

from tests.alerting.servers import Got, Says, http_server

PROTOBUF = {"Content-Type": "application/x-protobuf"}


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
    seen, steps = Seen(), list(script)

    def answer(got: Got) -> Says:
        assert got.headers["content-encoding"] == "gzip"
        request = ExportTraceServiceRequest.FromString(gzip.decompress(got.body))
        step = steps.pop(0) if steps else Says()
        says = step if isinstance(step, Says) else step(request)
        seen.note(got.headers | {":path": got.path}, request, 200 <= says.status < 300)
        return says._replace(headers=PROTOBUF | says.headers)

    with http_server(port=port, answer=answer) as server:
        seen.port = server.port
        yield seen


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
