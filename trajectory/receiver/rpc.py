"""OTLP over gRPC: the three export services.

Invariant: the statuses are those by which exporters tell what to send again: UNAVAILABLE and RESOURCE_EXHAUSTED with a delay, and
INVALID_ARGUMENT never again. Served by grpcio, which is loaded only where it is asked for.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from trajectory.receiver.bodies import MAX_BODY_BYTES, RefusedError
from trajectory.receiver.gate import Gate
from trajectory.receiver.receiver import Receiver
from trajectory.receiver.requests import Signal

_SERVICES: dict[Signal, str] = {
    "traces": "opentelemetry.proto.collector.trace.v1.TraceService",
    "logs": "opentelemetry.proto.collector.logs.v1.LogsService",
    "metrics": "opentelemetry.proto.collector.metrics.v1.MetricsService",
}
_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
}


async def begin(endpoint: str, receiver: Receiver, gate: Gate) -> tuple["grpc.aio.Server", int]:
    """A server that is listening at `host:port`, and its port. Raises OSError where it cannot be had."""
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", MAX_BODY_BYTES),
            ("grpc.so_reuseport", 0),  # a second collector is to be told that the port is taken
        ]
    )
    for signal, service in _SERVICES.items():
        server.add_generic_rpc_handlers((_handler(service, exporting(signal, receiver, gate)),))
    try:
        port = server.add_insecure_port(endpoint)
    except RuntimeError as fault:
        raise OSError(str(fault)) from None
    if not port:
        raise OSError(f"{endpoint} cannot be bound")
    await server.start()
    return server, port


def _handler(service: str, export: Callable[[bytes, Any], Awaitable[Any]]) -> grpc.GenericRpcHandler:
    method = grpc.unary_unary_rpc_method_handler(
        export,
        request_deserializer=None,  # as bytes: they are read where HTTP's are
        response_serializer=lambda message: message.SerializeToString(),
    )
    return grpc.method_handlers_generic_handler(service, {"Export": method})


def exporting(signal: Signal, receiver: Receiver, gate: Gate) -> Callable[[bytes, Any], Awaitable[Any]]:
    """What one export service does with a request's body; a refusal ends the call by its status."""

    async def export(body: bytes, context: "grpc.aio.ServicerContext[bytes, Any]") -> Any:
        headers = {str(key): str(value) for key, value in context.invocation_metadata() or ()}
        headers.setdefault("host", "localhost")  # gRPC is not spoken by pages
        try:
            gate.check(headers)
            return await receiver.take(signal, "protobuf", body)
        except RefusedError as fault:
            receiver.note_refused(fault)
            code = _CODES.get(fault.status, grpc.StatusCode.UNKNOWN)
            await context.abort(code, str(fault), _details(code, fault))

    return export


def _details(code: grpc.StatusCode, fault: RefusedError) -> tuple[tuple[str, bytes], ...]:
    """The trailer that says when to come again (google.rpc.RetryInfo); without it a full receiver is not tried again."""
    if not fault.retry_after_s:
        return ()
    packed = AnyMessage()
    packed.Pack(RetryInfo(retry_delay=Duration(seconds=fault.retry_after_s)))
    status = Status(code=code.value[0], message=str(fault), details=[packed])
    return (("grpc-status-details-bin", status.SerializeToString()),)
