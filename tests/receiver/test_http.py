"""OTLP over HTTP, as exporters and others send it: every encoding, every refusal, nothing lost and nothing twice."""

import asyncio
import contextlib
import gzip
import http.client
import json
import time
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.collector.builders import wait_for
from tests.dialects.build import otel_span, request
from tests.receiver.room import JSON, PROTOBUF, Room, body_of, json_of, new_trace, spans
from tests.receiver.test_receiver import HeldWay
from trajectory.receiver import bodies, bounds, door, process, requests
from trajectory.receiver import http as http_room
from trajectory.receiver.beside import listen
from trajectory.receiver.bodies import MAX_BODY_BYTES
from trajectory.receiver.gate import Gate
from trajectory.receiver.http import HttpApp
from trajectory.receiver.receiver import Receiver

RAW_DEFLATE = zlib.compressobj(wbits=-15)


def chunks(body: bytes) -> Iterator[bytes]:
    yield from (body[at : at + 100] for at in range(0, len(body), 100))


@pytest.mark.parametrize("coding", ["", "gzip", "deflate", "raw deflate", "chunked", "gzip chunked"])
def test_spans_come_in_by_every_coding_of_a_body(room: Room, coding: str) -> None:
    trace_id = new_trace()
    body = body_of(trace_id, "plan", "search", "answer")
    headers = dict(PROTOBUF)
    if "gzip" in coding:
        body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
    elif "deflate" in coding:
        packer = zlib.compressobj(wbits=-15) if coding.startswith("raw") else zlib.compressobj()
        body, headers["Content-Encoding"] = packer.compress(body) + packer.flush(), "deflate"
    answer = room.post(chunks(body) if "chunked" in coding else body, headers)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/x-protobuf")
    assert not ExportTraceServiceResponse.FromString(answer.body).HasField("partial_success")
    assert {span.name for span in room.trace(trace_id).spans.values()} == {"plan", "search", "answer"}


def test_a_gzip_body_of_several_members_is_read_whole_and_what_stands_behind_one_is_refused(room: Room) -> None:
    first, second = new_trace(), new_trace()
    packed = gzip.compress(body_of(first, "one")) + gzip.compress(body_of(second, "two"))
    assert room.post(packed, PROTOBUF | {"Content-Encoding": "gzip"}).status == 200
    assert room.trace(first).spans and room.trace(second).spans
    assert room.post(packed + b"more", PROTOBUF | {"Content-Encoding": "gzip"}).status == 400
    assert room.post(zlib.compress(b"") + b"more", PROTOBUF | {"Content-Encoding": "deflate"}).status == 400


def test_a_connection_that_asks_nothing_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "_HEAD_S", 0.05)

    async def talk() -> bytes:
        receiver = Receiver(HeldWay())
        with listen("127.0.0.1:0") as listening:
            async with process._http(listening, receiver, Gate()):
                reader, writer = await asyncio.open_connection(*listening.getsockname()[:2])
                writer.write(b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\n")
                try:
                    said = await asyncio.wait_for(reader.read(), 10)
                except ConnectionResetError:
                    said = b""
                writer.close()
        receiver.close()
        return said

    assert asyncio.run(talk()) == b""


def test_whoever_is_one_too_many_is_told_to_come_again_and_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "_MAX_CONNECTIONS", 1)

    async def talk() -> list[tuple[int, str | None, str | None]]:
        receiver = Receiver(HeldWay())
        with listen("127.0.0.1:0") as listening:
            async with process._http(listening, receiver, Gate()):
                first = http.client.HTTPConnection(*listening.getsockname()[:2], timeout=10)
                second = http.client.HTTPConnection(*listening.getsockname()[:2], timeout=10)
                said = [await asyncio.to_thread(asked, connection) for connection in (first, second, first)]
                first.close()
                second.close()
        receiver.close()
        return said

    def asked(connection: http.client.HTTPConnection) -> tuple[int, str | None, str | None]:
        connection.request("POST", "/v1/traces", b"", PROTOBUF)
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.getheader("retry-after"), answer.getheader("connection")

    assert asyncio.run(talk()) == [(200, None, None), (503, "1", "close"), (200, None, None)]


def test_a_crowd_that_asks_nothing_is_ended_before_files_run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "_MAX_CONNECTIONS", 1)
    monkeypatch.setattr(door, "_TOLD_CONNECTIONS", 1)

    async def talk() -> list[bytes]:
        receiver = Receiver(HeldWay())
        with listen("127.0.0.1:0") as listening:
            async with process._http(listening, receiver, Gate()):
                held = [await asyncio.open_connection(*listening.getsockname()[:2]) for _ in range(5)]
                ended = [reader for reader, _ in held[2:]]
                said = await asyncio.wait_for(asyncio.gather(*map(until_ended, ended)), 5)  # before the head was due
                for _, writer in held:
                    writer.close()
        receiver.close()
        return said

    async def until_ended(reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""

    assert asyncio.run(talk()) == [b"", b"", b""]


def test_json_is_answered_in_json_and_says_the_same(room: Room) -> None:
    trace_id = new_trace()
    answer = room.post(json.dumps(json_of(trace_id)).encode(), {"Content-Type": "Application/JSON; charset=utf-8"})
    assert (answer.status, answer.headers["content-type"], answer.message) == (200, "application/json", {})
    assert [span.name for span in room.trace(trace_id).spans.values()] == ["work"]


def test_the_same_bytes_again_are_taken_once(room: Room) -> None:
    trace_id = new_trace()
    body = body_of(trace_id, "plan", "search")
    assert [room.post(body, PROTOBUF).status for _ in range(4)] == [200] * 4
    other = new_trace()
    assert room.post(body_of(other, "else"), PROTOBUF).status == 200
    room.trace(other)  # whatever came of the retries came before
    assert [room.stored_count(one) for one in (trace_id, other)] == [4, 2]


def test_a_batch_that_holds_old_and_new_spans_adds_the_new_ones(room: Room) -> None:
    trace_id = new_trace()
    root, child, late = spans(trace_id, "plan", "search", "late")
    assert room.post(request(root, child).SerializeToString(), PROTOBUF).status == 200
    assert room.post(request(child, late).SerializeToString(), PROTOBUF).status == 200
    wait_for(lambda: len(room.trace(trace_id).spans) == 3, lambda: time.sleep(0.01))


def test_a_span_that_cannot_be_read_is_rejected_alone_and_counted_with_its_reason(room: Room) -> None:
    trace_id = new_trace()
    good, bad = spans(trace_id, "good", "bad")
    bad.span_id = b"short"
    before = room.quarantined()
    answer = room.post(request(bad, good).SerializeToString(), PROTOBUF)
    said = ExportTraceServiceResponse.FromString(answer.body).partial_success
    assert answer.status == 200 and said.rejected_spans == 1 and "span id has 5 bytes" in said.error_message
    assert [span.name for span in room.trace(trace_id).spans.values()] == ["good"]
    wait_for(lambda: room.quarantined() == before + 1, lambda: time.sleep(0.01))
    assert any("span id has 5 bytes" in notice for notice in room.collector.health().notices)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (body_of(new_trace(), "plan")[:-3], PROTOBUF, 400),
        (b"\xff\xfe\xfd not protobuf", PROTOBUF, 400),
        (b'{"resourceSpans": 7}', JSON, 400),
        (b"[" * 100_000, JSON, 400),
        (b'{"resourceSpans": ["\xff"]}', JSON, 400),
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b"{}", {}, 415),
        (b"{}", JSON | {"Content-Encoding": "br"}, 415),
        (b"no gzip at all", PROTOBUF | {"Content-Encoding": "gzip"}, 400),
        (gzip.compress(b"x" * 1000)[:-9], PROTOBUF | {"Content-Encoding": "gzip"}, 400),
        (gzip.compress(bytes(80 * 1024 * 1024)), PROTOBUF | {"Content-Encoding": "gzip"}, 413),
        (b"", PROTOBUF | {"Content-Length": str(MAX_BODY_BYTES + 1)}, 413),
        (b"", PROTOBUF | {"Content-Length": "9" * 19}, 413),
        (b"", PROTOBUF | {"Host": "evil.example:4318"}, 403),
        (b"", PROTOBUF | {"Origin": "https://evil.example"}, 403),
        (b"", PROTOBUF | {"Origin": "null"}, 403),
    ],
    ids=map(str, range(16)),
)  # fmt: skip
def test_what_is_no_request_gets_the_right_status_and_a_reason(
    room: Room, body: bytes, headers: dict[str, str], status: int
) -> None:
    answer = room.post(body, headers)
    assert answer.status == status
    is_json = "json" in headers.get("Content-Type", "")
    assert answer.message["message"] if is_json else Status.FromString(answer.body).message
    assert room.post(b"", PROTOBUF).status == 200  # it goes on


def test_a_body_that_grows_beyond_the_limit_is_cut_off(room: Room) -> None:
    part = bytes(1024 * 1024)
    try:
        status = room.post((part for _ in range(80)), PROTOBUF).status
    except (BrokenPipeError, ConnectionResetError):
        status = 413  # it hung up before we had sent all of it, which says the same
    assert status == 413


def test_other_paths_and_methods_are_told_what_there_is(room: Room) -> None:
    assert room.post(b"", PROTOBUF, "/").status == 404
    answer = room.post(b"", {}, "/v1/traces", "GET")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


def test_metrics_are_taken_and_not_kept(room: Room) -> None:
    assert room.post(b'{"resourceMetrics": []}', JSON, "/v1/metrics").status == 200
    assert room.post(b'{"resourceMetrics": 1}', JSON, "/v1/metrics").status == 400


def test_values_of_any_shape_are_read_or_rejected_and_nothing_else_is_lost(room: Room) -> None:
    deep: object = {"stringValue": "x"}
    for _ in range(200):
        deep = {"arrayValue": {"values": [deep]}}
    odd = [
        {"startTimeUnixNano": "0", "endTimeUnixNano": 0},
        {"startTimeUnixNano": str(16_725_225_600_000_000_000)},  # the year 2500: beyond 64 bits with a sign
        {"startTimeUnixNano": 1.5, "name": 7, "kind": "NOBODY", "status": [], "events": "no", "links": {"a": 1}},
        {"attributes": [{"key": "deep", "value": deep}, {"key": "n", "value": {"intValue": "9" * 400}}]},
        {"attributes": [{"key": f"k{at}", "value": {"stringValue": "v"}} for at in range(100_000)]},
        {"name": "\x1b[2J\u202e[/]" * 1000},
        {"traceId": "00" * 16},
        {"spanId": "zz"},
    ]
    for fields in odd:
        answer = room.post(json.dumps(json_of(new_trace(), **fields)).encode(), JSON)
        assert answer.status == 200, fields
    trace_id = new_trace()
    assert room.post(body_of(trace_id, "after"), PROTOBUF).status == 200
    assert room.trace(trace_id).spans


def test_a_log_record_becomes_an_event_of_its_span_and_messages_its_content(room: Room) -> None:
    trace_id = new_trace()
    (span,) = spans(trace_id, "chat gpt-5")
    span.attributes.extend(otel_span(1, "x", gen_ai__operation__name="chat").attributes)
    ids = {"traceId": trace_id.hex(), "spanId": span.span_id.hex(), "timeUnixNano": "1790000000000000001"}
    details = [
        {"key": "gen_ai.input.messages", "value": {"stringValue": json.dumps([{"role": "user", "content": "Lyon?"}])}},
    ]  # fmt: skip
    records = [
        ids | {"eventName": "gen_ai.client.inference.operation.details", "attributes": details},
        ids | {"severityNumber": 13, "body": {"stringValue": "the cache is cold"}},
    ]
    logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}
    assert room.post(json.dumps(logs).encode(), JSON, "/v1/logs").status == 200  # before its span
    assert room.post(request(span).SerializeToString(), PROTOBUF).status == 200
    wait_for(lambda: not room.trace(trace_id).spans[span.span_id].is_placeholder, lambda: time.sleep(0.01))
    held = room.trace(trace_id).spans[span.span_id]
    assert "input" in held.contents and held.kind == "model"
    assert [(event.name, event.attributes["severity"]) for event in held.events] == [("log", "warn")]


def asgi(*messages: dict[str, object], **scope: object) -> tuple[int, bytes]:
    """The answer to a request whose body comes in such messages, and then not at all."""
    said: list[dict[str, Any]] = []
    coming = iter(messages)

    async def receive() -> dict[str, Any]:
        message = next(coming, None)
        if message is None:
            await asyncio.Event().wait()
        if message is not None and "fault" in message:
            raise RuntimeError(message["fault"])
        return dict(message or {})

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    async def talk() -> None:
        receiver = Receiver(HeldWay())
        asked = {
            "type": "http",
            "path": "/v1/traces",
            "method": "POST",
            "headers": [(b"content-type", b"application/json")],
        }
        await HttpApp(receiver, Gate())({**asked, **scope}, receive, send)
        receiver.close()

    asyncio.run(talk())
    return (said[0]["status"], said[1]["body"]) if said else (0, b"")


@pytest.mark.parametrize(
    ("message", "status", "reason"),
    [
        ({"type": "http.disconnect"}, 400, b"the connection ended within the body"),
        ({"type": "http.request", "body": b"{", "more_body": True}, 408, b"the body did not come within 0 s"),
        ({"fault": "of the server"}, 500, b"this cannot be taken: RuntimeError: of the server"),
    ],
)
def test_a_body_that_does_not_come_whole_is_said(
    message: dict[str, object], status: int, reason: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_room, "BODY_S", 0.01)
    answered = asgi(message)
    assert answered[0] == status and reason in answered[1]


def test_a_reader_that_fails_over_a_body_costs_that_body_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise RuntimeError("a body that nobody thought of")

    monkeypatch.setattr("trajectory.receiver.requests.read", failing)
    status, said = asgi({"type": "http.request", "body": b"{}"})
    assert status == 500 and b"a body that nobody thought of" in said


def _small(tag: int, count: int) -> bytes:
    """A trace request of one span with so many empty messages of a kind."""
    body = bytes((tag, 0)) * count
    for outer in (0x12, 0x12, 0x0A):
        length, left = b"", len(body)
        while left > 0x7F:
            length, left = length + bytes((left & 0x7F | 0x80,)), left >> 7
        body = bytes((outer,)) + length + bytes((left,)) + body
    return body


@pytest.mark.parametrize("part", [0x5A, 0x4A, 0x6A], ids=["events", "attributes", "links"])
def test_a_body_of_more_parts_than_memory_is_for_is_refused_before_it_is_read(
    part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "MAX_PARTS", 500)
    bounds.check(_small(part, 497), "protobuf", ExportTraceServiceRequest)
    with pytest.raises(bodies.RefusedError, match="more parts than are taken at once") as said:
        requests.read("traces", "protobuf", _small(part, 498), lambda span: True)
    assert said.value.status == 413


@pytest.mark.parametrize(
    ("body", "is_taken"),
    [
        (b"[" + b"{}," * 700_000 + b"{}]", False),
        (b'["\\"' + b",[:{" * 300_000 + b'", "' + b",[:{" * 20, True),  # a text, and one that is cut
        (b"[" + b'{"k":"v"},' * 300_000 + b"{}]", True),
    ],
    ids=["many", "signs in a text", "large"],
)
def test_the_parts_of_json_are_counted_beside_its_texts(
    body: bytes, is_taken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "_JSON_PARTS", 1 << 20)
    with contextlib.nullcontext() if is_taken else pytest.raises(bodies.RefusedError, match="more parts"):
        bounds.check(body, "json", ExportTraceServiceRequest)


def test_parts_of_protobuf_are_counted_as_protobuf_reads_them() -> None:
    whole = request(*spans(new_trace(), "plan", "search", "book"))
    whole.resource_spans.add().scope_spans.add().spans.add(flags=7, name="x" * 300).events.add(time_unix_nano=9)
    held = whole.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="k").value.kvlist_value.values
    held.add(key="k").value.array_value.values.add().double_value = 0.5
    held.add(key="k").value.int_value = 1 << 40
    body = whole.SerializeToString()
    count = bounds.parts_in(body, ExportTraceServiceRequest.DESCRIPTOR, 1000)
    assert count == _parts_of(whole) > 20
    group = b"\x7b\x7c"  # of an old protobuf: it begins and ends
    assert bounds.parts_in(group + body, ExportTraceServiceRequest.DESCRIPTOR, 1000) == count
    assert bounds.parts_in(body, ExportTraceServiceRequest.DESCRIPTOR, 5) == 6
    for end in range(len(body)):
        assert bounds.parts_in(body[:end], ExportTraceServiceRequest.DESCRIPTOR, 1000) <= count


def _parts_of(message: Message) -> int:
    held = [value for field, value in message.ListFields() if field.message_type is not None]
    inner = [one for value in held for one in ([value] if isinstance(value, Message) else value)]
    return len(inner) + sum(map(_parts_of, inner))


def test_what_is_no_request_of_http_is_not_answered() -> None:
    assert asgi(type="lifespan") == (0, b"")


@pytest.mark.parametrize("step_bytes", [7, 1000])
def test_a_body_is_inflated_in_steps_and_never_beyond_the_limits(
    step_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = bytes(range(256)) * 20
    packed = gzip.compress(plain)
    monkeypatch.setattr(bodies, "_STEP_BYTES", step_bytes)
    assert bodies.inflated(packed + packed, "gzip") == plain + plain
    for size in (22, 386, 5000):  # of which the last step's whole output hangs on bits that were read before
        packer = zlib.compressobj(wbits=-15)
        assert bodies.inflated(packer.compress(bytes(size)) + packer.flush(), "deflate") == bytes(size)
    for refused, status, reason in (
        (b"", 400, "is cut"),
        (packed[:-9], 400, "is cut"),
        (packed, 413, "more than 5000 bytes"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(bodies, "MAX_BODY_BYTES", 5000)
            with pytest.raises(bodies.RefusedError, match=reason) as said:
                bodies.inflated(refused, "gzip")
            assert said.value.status == status
