"""OTLP over gRPC out, with the stubs of opentelemetry-proto.

Invariant: `send` ends within its deadline. grpcio is loaded here alone: whoever forwards by HTTP does without.
"""

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from trajectory import __version__
from trajectory.forwarder import answers
from trajectory.forwarder.answers import Answer, Verdict
from trajectory.forwarder.target import Target

DEADLINE_S = 10.0
_COMMON_LIMIT_BYTES = 4 * 1024 * 1024  # of a message, where a server sets no other
_CODE = grpc.StatusCode
_REFUSED = frozenset({_CODE.INVALID_ARGUMENT, _CODE.FAILED_PRECONDITION, _CODE.ALREADY_EXISTS})
_UNSURE = frozenset({_CODE.UNKNOWN, _CODE.INTERNAL, _CODE.DATA_LOSS, _CODE.OUT_OF_RANGE})


class GrpcBackend:
    def __init__(self, target: Target, deadline_s: float = DEADLINE_S) -> None:
        options = [
            ("grpc.primary_user_agent", f"trajectory/{__version__}"),
            ("grpc.min_reconnect_backoff_ms", 100),  # how long to wait is for the forwarder to say
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
            ("grpc.enable_retries", 0),
        ]
        if target.scheme == "grpcs":
            self._channel = grpc.secure_channel(target.authority, grpc.ssl_channel_credentials(), options)
        else:
            self._channel = grpc.insecure_channel(target.authority, options)
        self._metadata = tuple(target.headers.items())
        self._deadline_s = deadline_s
        self._export = TraceServiceStub(self._channel).Export  # type: ignore[no-untyped-call]

    def send(self, request: ExportTraceServiceRequest) -> Answer:
        try:
            response = self._export(
                request, timeout=self._deadline_s, metadata=self._metadata, compression=grpc.Compression.Gzip
            )
        except grpc.RpcError as fault:
            return _answer(fault, request.ByteSize())
        except ValueError as fault:  # metadata that gRPC does not take, a channel that was closed
            return Answer(Verdict.AGAIN, str(fault))
        return answers.of_response(response.SerializeToString())

    def close(self) -> None:
        self._channel.close()


def _answer(fault: grpc.RpcError, size_bytes: int) -> Answer:
    code = fault.code()
    reason = f"gRPC {code.name}, {fault.details()}"
    if code in _REFUSED:
        return Answer(Verdict.REFUSED, reason)
    if code in _UNSURE:
        return Answer(Verdict.UNSURE, reason)
    details = dict(fault.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    pause_s = answers.pause_in(details if isinstance(details, bytes) else b"")
    if code == _CODE.RESOURCE_EXHAUSTED and pause_s is None and size_bytes > _COMMON_LIMIT_BYTES:
        return Answer(Verdict.REFUSED, reason)  # what is exhausted is the room for one message
    return Answer(Verdict.AGAIN, reason, pause_s or 0.0)
