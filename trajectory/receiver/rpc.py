"""OTLP over gRPC: the three export services.

Invariant: the statuses are those by which exporters tell what to send again: UNAVAILABLE and RESOURCE_EXHAUSTED with a delay, and
INVALID_ARGUMENT never again. Who may not send is told so before anything of the body is read, few bodies come in at a time, and
they are inflated here, within the bounds of HTTP's. Served by grpcio, which is loaded only where it is asked for.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from trajectory.receiver.bodies import BODY_S, MAX_BODY_BYTES, RefusedError, encoding_of, unpacked
from trajectory.receiver.gate import Gate
from trajectory.receiver.receiver import PATIENCE_S, Receiver
from trajectory.receiver.requests import Signal

_AT_ONCE = 8  # bodies that come in: each is held twice, in grpcio and here
_HURRIED_S = 2.0  # for a body to come in while others wait
_MAX_CONNECTIONS = 256  # with those of HTTP fewer than a process may have files
_MAX_STREAMS = 100  # of one connection
_HANDSHAKE_MS = 10_000
_BUSY_S = 1
_SERVICES: dict[Signal, str] = {
    "traces": "opentelemetry.proto.collector.trace.v1.TraceService",
    "logs": "opentelemetry.proto.collector.logs.v1.LogsService",
    "metrics": "opentelemetry.proto.collector.metrics.v1.MetricsService",
}
_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
}


async def begin(endpoint: str, receiver: Receiver, gate: Gate) -> tuple["grpc.aio.Server", int]:
    """A server that is listening at `host:port`, and its port. Raises OSError where it cannot be had."""
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", MAX_BODY_BYTES),
            ("grpc.per_message_decompression", 0),  # grpcio would inflate as many at once as there come
            ("grpc.max_allowed_incoming_connections", _MAX_CONNECTIONS),
            ("grpc.max_concurrent_streams", _MAX_STREAMS),
            ("grpc.server_handshake_timeout_ms", _HANDSHAKE_MS),
            ("grpc.so_reuseport", 0),  # a second collector is to be told that the port is taken
        ]
    )
    coming_in = ComingIn()
    for signal, service in _SERVICES.items():
        server.add_generic_rpc_handlers((_handler(service, exporting(signal, receiver, gate, coming_in)),))
    try:
        port = server.add_insecure_port(endpoint)
    except RuntimeError as fault:
        raise OSError(str(fault)) from None
    if not port:
        raise OSError(f"{endpoint} cannot be bound")
    await server.start()
    return server, port


def _handler(service: str, export: Callable[[AsyncIterator[bytes], Any], Awaitable[Any]]) -> grpc.GenericRpcHandler:
    method = grpc.stream_unary_rpc_method_handler(  # the wire knows no difference; a unary one's body is read before we are asked
        export,
        request_deserializer=None,  # as bytes: they are read where HTTP's are
        response_serializer=lambda message: message.SerializeToString(),
    )
    return grpc.method_handlers_generic_handler(service, {"Export": method})


def exporting(
    signal: Signal, receiver: Receiver, gate: Gate, coming_in: "ComingIn"
) -> Callable[[AsyncIterator[bytes], Any], Awaitable[Any]]:
    """What one export service does with a request's body; a refusal ends the call by its status."""

    async def take(bodies: AsyncIterator[bytes], headers: dict[str, str]) -> Any:
        gate.check(headers)
        held = receiver.hold()
        try:
            async with coming_in.turn():
                body = await _body(bodies)
            held.add(len(body))
            body = await unpacked(body, encoding_of(body))
        finally:
            held.release()  # from here on the receiver counts it
        return await receiver.take(signal, "protobuf", body)

    async def export(bodies: AsyncIterator[bytes], context: "grpc.aio.ServicerContext[bytes, Any]") -> Any:
        headers = {str(key): str(value) for key, value in context.invocation_metadata() or ()}
        headers.setdefault("host", "localhost")  # gRPC is not spoken by pages
        try:
            return await take(bodies, headers)
        except RefusedError as fault:
            refused = fault.bare()  # grpcio keeps for long how a call was ended
            del bodies
        receiver.note_refused(refused)
        code = _CODES.get(refused.status, grpc.StatusCode.UNKNOWN)
        await context.abort(code, str(refused), _details(code, refused))

    return export


class ComingIn:
    """The bodies that come in at once, few of them. How long one is, grpcio does not say before it is there whole."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(_AT_ONCE)
        self._waiting_count = 0
        self._limits: set[asyncio.Timeout] = set()

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """One body's turn, which is short while others wait: streams that say nothing would keep everybody out.

        Raises RefusedError where it does not come soon enough, or the body does not.
        """
        self._waiting_count += 1
        if self._free.locked():
            self._hurry(asyncio.get_running_loop().time() + _HURRIED_S)
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._free.acquire()
        except TimeoutError:
            raise RefusedError(429, "more comes than can be taken at once: come again", _BUSY_S) from None
        finally:
            self._waiting_count -= 1
        try:
            async with asyncio.timeout(_HURRIED_S if self._waiting_count else BODY_S) as limit:
                self._limits.add(limit)
                try:
                    yield
                finally:
                    self._limits.discard(limit)
        except TimeoutError:
            raise RefusedError(408, "the body did not come in time: come again") from None
        finally:
            self._free.release()

    def _hurry(self, soon_s: float) -> None:
        for limit in self._limits:
            until_s = limit.when()
            if until_s is not None and until_s > soon_s:
                limit.reschedule(soon_s)


async def _body(bodies: AsyncIterator[bytes]) -> bytes:
    """The one request of a call. Its end is waited for: before it, grpcio keeps what it handed on."""
    found: list[bytes] = []
    async for body in bodies:
        found.append(body)
        if len(found) > 1:
            break
    if len(found) != 1:
        raise RefusedError(400, "a call has one request, and this one none or more")
    return found[0]


def _details(code: grpc.StatusCode, fault: RefusedError) -> tuple[tuple[str, bytes], ...]:
    """The trailer that says when to come again (google.rpc.RetryInfo); without it a full receiver is not tried again."""
    if not fault.retry_after_s:
        return ()
    packed = AnyMessage()
    packed.Pack(RetryInfo(retry_delay=Duration(seconds=fault.retry_after_s)))
    status = Status(code=code.value[0], message=str(fault), details=[packed])
    return (("grpc-status-details-bin", status.SerializeToString()),)
