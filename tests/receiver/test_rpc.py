"""OTLP over gRPC: the same facts as over HTTP, and the statuses that exporters go by."""

import time

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from tests.collector.builders import wait_for
from tests.dialects.build import request
from tests.receiver.room import Room, new_trace, spans
from tests.receiver.test_receiver import HeldWay
from trajectory.receiver import rpc
from trajectory.receiver.gate import Gate
from trajectory.receiver.receiver import Receiver

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


def test_spans_and_logs_come_in_over_grpc_with_and_without_gzip(room: Room) -> None:
    trace_id = new_trace()
    root, child = spans(trace_id, "plan", "search")
    with grpc.insecure_channel(room.receiver.grpc) as channel:
        export = TraceServiceStub(channel).Export
        export(request(root), timeout=20, wait_for_ready=True)
        export(request(child), timeout=20, wait_for_ready=True, compression=grpc.Compression.Gzip)
        logs = ExportLogsServiceRequest()
        record = logs.resource_logs.add().scope_logs.add().log_records.add()
        record.trace_id, record.span_id, record.event_name = trace_id, child.span_id, "note"
        LogsServiceStub(channel).Export(logs, timeout=20, wait_for_ready=True)
    wait_for(lambda: sum(len(s.events) for s in room.trace(trace_id).spans.values()) == 1, lambda: time.sleep(0.01))
    assert {span.name for span in room.trace(trace_id).spans.values()} == {"plan", "search"}


def test_what_is_no_request_is_an_invalid_argument_and_never_sent_again(room: Room) -> None:
    before = room.quarantined()
    with grpc.insecure_channel(room.receiver.grpc) as channel:
        with pytest.raises(grpc.RpcError) as failed:
            channel.unary_unary(EXPORT)(b"\xff\xff\xff", timeout=20, wait_for_ready=True)
        assert failed.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    wait_for(lambda: room.quarantined() == before + 1, lambda: time.sleep(0.01))


def test_a_bomb_is_refused_before_it_is_inflated_whole(room: Room) -> None:
    with grpc.insecure_channel(room.receiver.grpc) as channel:
        with pytest.raises(grpc.RpcError) as failed:
            channel.unary_unary(EXPORT)(
                bytes(80 * 1024 * 1024), timeout=30, wait_for_ready=True, compression=grpc.Compression.Gzip
            )
        assert failed.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert channel.unary_unary(EXPORT)(b"", timeout=20, wait_for_ready=True) == b""


async def test_under_pressure_it_says_when_to_come_again_and_without_a_token_it_says_so() -> None:
    receiver = Receiver(HeldWay(), patience_s=0.0)
    server, port = await rpc.begin("127.0.0.1:0", receiver, Gate(lambda token: token == "good"))
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            export = TraceServiceStub(channel).Export
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await export(request(*spans(new_trace(), "plan")), timeout=20, wait_for_ready=True)
            assert failed.value.code() == grpc.StatusCode.UNAUTHENTICATED
            token = (("authorization", "Bearer good"),)
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await export(request(*spans(new_trace(), "plan")), timeout=20, wait_for_ready=True, metadata=token)
            assert failed.value.code() == grpc.StatusCode.UNAVAILABLE
            details = dict(failed.value.trailing_metadata() or ())["grpc-status-details-bin"]
            (detail,) = Status.FromString(details).details
            delay = RetryInfo()
            assert detail.Unpack(delay) and delay.retry_delay.seconds == 1
    finally:
        await server.stop(None)
        receiver.close()
