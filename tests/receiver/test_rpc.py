"""OTLP over gRPC: the same facts as over HTTP, and the statuses that exporters go by."""

import asyncio
import contextlib
import gc
import sys
import time
from collections.abc import AsyncIterator

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
from trajectory.receiver.beside import listen, name_of
from trajectory.receiver.gate import Gate
from trajectory.receiver.receiver import Receiver
from trajectory.receiver.rpc import begin

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


@contextlib.asynccontextmanager
async def serving(gate: Gate, patience_s: float = 20.0) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to a server of its own, whose facts go nowhere."""
    receiver = Receiver(HeldWay(), patience_s=patience_s)
    server, port = await rpc.begin("127.0.0.1:0", receiver, gate)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        await server.stop(None)
        receiver.close()


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


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
@pytest.mark.parametrize("size_mb", [80, 60])  # grpcio itself would inflate the second, as many at once as there come
def test_a_bomb_is_refused_before_it_is_inflated_whole(room: Room, size_mb: int, compression: grpc.Compression) -> None:
    with grpc.insecure_channel(room.receiver.grpc) as channel:
        with pytest.raises(grpc.RpcError) as failed:
            channel.unary_unary(EXPORT)(
                bytes(size_mb * 1024 * 1024), timeout=30, wait_for_ready=True, compression=compression
            )
        assert failed.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert "more than 400 times its size" in (failed.value.details() or "")
        assert channel.unary_unary(EXPORT)(b"", timeout=20, wait_for_ready=True) == b""


async def test_under_pressure_it_says_when_to_come_again_and_without_a_token_it_says_so() -> None:
    async with serving(Gate(_tokens), patience_s=0.0) as channel:
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


def _tokens(token: str) -> bool:
    return token == "good"


async def _endless() -> AsyncIterator[bytes]:
    await asyncio.Event().wait()
    yield b""


async def test_who_may_not_send_is_told_so_before_a_body_comes() -> None:
    async with serving(Gate(_tokens)) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await channel.stream_unary(EXPORT)(_endless(), timeout=20, wait_for_ready=True)
        assert failed.value.code() == grpc.StatusCode.UNAUTHENTICATED


async def test_few_bodies_come_in_at_a_time_and_one_that_does_not_come_is_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rpc, "_AT_ONCE", 1)
    monkeypatch.setattr(rpc, "PATIENCE_S", 0.05)
    monkeypatch.setattr(rpc, "BODY_S", 2.0)
    async with serving(Gate()) as channel:
        await channel.channel_ready()
        calls = [channel.stream_unary(EXPORT)(_endless(), timeout=20) for _ in range(3)]
        codes = [await call.code() for call in calls]
        assert sorted(code.name for code in codes) == ["DEADLINE_EXCEEDED", *["RESOURCE_EXHAUSTED"] * 2]
        assert await channel.unary_unary(EXPORT)(b"", timeout=20) == b""  # and it goes on


async def test_streams_that_say_nothing_keep_nobody_out_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "_AT_ONCE", 1)
    monkeypatch.setattr(rpc, "_HURRIED_S", 0.3)  # also for the body that comes, if its turn is before another's
    async with serving(Gate()) as channel:
        await channel.channel_ready()
        calls = [channel.stream_unary(EXPORT)(_endless(), timeout=20) for _ in range(3)]
        assert await channel.unary_unary(EXPORT)(b"", timeout=20) == b""
        for call in calls:
            call.cancel()


class _Kept:
    """A call whose end is kept, as grpcio keeps it."""

    ended: grpc.aio.AbortError | None = None

    def invocation_metadata(self) -> list[tuple[str, str]]:
        return []

    async def abort(self, *_: object) -> None:
        try:
            raise grpc.aio.AbortError
        except grpc.aio.AbortError as ended:
            self.ended = ended
            raise


@pytest.mark.parametrize("bodies", [[b"\xff" * 100_000], [b"\x1f\x8b" + bytes(100_000)], [b"one", b"more"], []])
async def test_a_body_that_is_refused_is_let_go_also_where_the_end_of_the_call_is_kept(bodies: list[bytes]) -> None:
    async def come() -> AsyncIterator[bytes]:
        for body in bodies:
            yield body

    receiver, call = Receiver(HeldWay()), _Kept()
    gc.disable()
    try:
        before = [sys.getrefcount(body) for body in bodies]
        with pytest.raises(grpc.aio.AbortError):
            await rpc.exporting("traces", receiver, Gate(), rpc.ComingIn())(come(), call)
        receiver.close()
        assert call.ended is not None
        async with asyncio.timeout(5):  # the thread that inflates lets go a moment later
            while [sys.getrefcount(body) for body in bodies] != before:
                await asyncio.sleep(0)
    finally:
        gc.enable()


async def test_a_port_that_is_taken_is_an_error_of_the_system() -> None:
    receiver = Receiver(HeldWay())
    with listen("127.0.0.1:0") as taken, pytest.raises(OSError, match=r"[Bb]ind"):
        await begin(name_of(taken), receiver, Gate())
    receiver.close()
