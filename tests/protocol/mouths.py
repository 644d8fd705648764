"""Every mouth that takes bytes from outside, with bytes that it takes: what the fuzzers alter and feed.

Invariant: `Mouth.read` returns, or raises nothing at all, for any bytes whatever: the refusals that a mouth documents are
swallowed here, so what comes out is a fault. Needs neither pytest nor Hypothesis. Used by the tests beside it and by the
benchmark `fuzz`.
"""

import asyncio
import contextlib
import gzip
import json
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from functools import cache
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.protocol.mouth import Mouth, refusing
from tests.protocol.written import written
from trajectory.collector import watching
from trajectory.dialects.otlp import read_logs, read_request
from trajectory.dialects.sniff import read_file
from trajectory.emitter import baton
from trajectory.emitter.courier import is_same_place
from trajectory.emitter.identity import Identity
from trajectory.emitter.leftover import claimed
from trajectory.emitter.spool import Spool
from trajectory.errors import ImportFormatError, QueryError, StoreError, WireError
from trajectory.model.content import digest
from trajectory.model.fact import (
    Batch,
    Evidence,
    Fact,
    Finding,
    Found,
    Gap,
    Heartbeat,
    Marked,
    Payload,
    SpanEnded,
    SpanEvent,
    SpanLinked,
    SpanStarted,
    SpanUpdated,
    trace_of,
)
from trajectory.protocol import codec, frames
from trajectory.receiver.gate import Gate, is_equal
from trajectory.receiver.http import HttpApp
from trajectory.receiver.receiver import Receiver
from trajectory.receiver.requests import Signal
from trajectory.receiver.rpc import ComingIn, exporting
from trajectory.store import bodies
from trajectory.store.journal import Journal, JournalReader
from trajectory.store.settling import Settling
from trajectory.view.query import parse
from trajectory.view.rows import Health
from trajectory.view.views import RunsQuery, RunsView, SpanQuery, TraceQuery

TRACE, SPAN, EMITTER, BOOT = bytes(range(16)), bytes(range(8)), b"e" * 16, b"b" * 16
SAID = b"what was said"
_SPOOL_NAME = f"{EMITTER.hex()}-{BOOT.hex()}.spool"


def facts() -> list[Fact]:
    """One fact of each kind."""
    finding = Finding("cascade", "critical", 0.5, TRACE, SPAN, "why", path=[SPAN], evidence=[Evidence(SPAN, "text")])
    body = Payload(digest("text/plain", SAID), "text/plain", SAID)
    deep = {"k": [1, 2.5, None, True, b"x", {"deeper": ["é" * 40]}], "gen_ai.tool.name": "search"}
    return [
        SpanStarted(TRACE, SPAN, b"", 5, 6, "tool", "search", "research", "operational", deep, {"input": [body.digest]}),
        SpanEnded(TRACE, SPAN, 7, 8, "error", "no", {"error.type": "E"}),
        SpanEvent(TRACE, SPAN, 7, 8, "thought", "cognitive", {"confidence": 0.4}),
        SpanUpdated(TRACE, SPAN, 7, 8, {"tokens": 3}),
        SpanLinked(TRACE, SPAN, 9, "retry_of", TRACE, SPAN),
        body,
        Heartbeat(9, 10, [SPAN]),
        Gap(11, 3, "queue_full"),
        Found(12, finding),
        Marked(TRACE, 13, finding.key, "mute", "seen"),
    ]  # fmt: skip


def _read_frame(raw: bytes) -> None:
    """As the intake does, and further: what it takes has to be storable, and has to come back."""
    frame = codec.read_frame(raw)
    if isinstance(frame, codec.AskFrame):
        watching.read_query(frame.query)
    elif isinstance(frame, codec.TellFrame):
        watching.read_mark(frame.marked)
    elif isinstance(frame, codec.HelloFrame):
        kept = bodies.read_resource(bodies.write_struct(frame.resource))
        assert set(map(type, kept)) <= {str}
    elif isinstance(frame, codec.FactsFrame):
        each = frame.each()
        read = list(codec.read_facts(frame.facts))
        assert frame.count == len(each) == len(read), "facts are lost, or made, on the way"
        for one in each:
            with contextlib.suppress(WireError):
                _store(codec.decode_fact(one))


def _read_fact(raw: bytes) -> None:
    _store(codec.decode_fact(raw))


def _store(fact: Fact) -> None:
    (kept,), body = bodies.write_facts([fact])
    (read,) = bodies.read_facts(body)
    assert type(read) is type(kept) is type(fact), "what was taken is not what is kept"
    assert trace_of(read) == trace_of(fact)
    bodies.time_span_ns([read])


def _read_spool(raw: bytes) -> None:
    path = Path(_room().name) / _SPOOL_NAME
    path.write_bytes(raw)
    left = claimed(path)
    assert left is not None
    for first_seq, packed in left.records():
        assert first_seq >= 0 and packed and all(type(one) is bytes for one in packed)
        frames.facts_frame(*left.identity[:2], first_seq, packed)
    frames.hello(*left.identity, left.base_seq)
    assert 0 <= left.base_seq <= left.known_seq
    is_same_place(left.endpoint, frames.DEFAULT_ENDPOINT)
    left.let_go()


def _read_journal(raw: bytes) -> None:
    """Read as a segment that nobody writes any more, up to its end, and settled."""
    directory = Path(_room().name) / "journal"
    directory.mkdir(exist_ok=True)
    (directory / "00000001.frames").write_bytes(raw)
    reader, settling = JournalReader(directory), Settling(lambda *_: 0)
    while records := reader.read():
        for record in records:
            for batch in settling.batches(record):
                assert batch.first_seq >= 0 and batch.facts
        assert records[-1].end > reader.position, "it does not come to its end"
        reader.position = records[-1].end
        settling.stored()
    reader.close()


def _read_baton(raw: bytes) -> None:
    baton.read(raw)
    baton.read({"traceparent": raw, "tracestate": [raw[:60], raw], "baggage": raw})
    baton.read([tuple(raw.split(b":", 1)), (raw, raw)])


def _read_body(raw: bytes) -> None:
    plain = bodies.expand_facts(raw[0] & 3 if raw else 0, raw[1:])
    bodies.unreadable_count(plain)
    bodies.read_facts(plain)
    bodies.read_resource(plain)
    bodies.read_struct(plain, Finding)


def _read_query(raw: bytes) -> None:
    with contextlib.suppress(WireError):
        watching.read_answer(raw)
    with contextlib.suppress(WireError, QueryError):
        parse(getattr(watching.read_query(raw), "filter", ""))


def _unpack(raw: bytes) -> None:
    frames.is_bounded(frames.unpack(raw))
    frames.answer(raw)


def _read_otlp(raw: bytes) -> None:
    for media in ("protobuf", "json"):
        for read in (read_request, read_logs):
            with contextlib.suppress(WireError):
                for batch in read(raw, media).batches:
                    for fact in batch.facts:
                        _store(fact)


class _Taking:
    """A way on which everything is stored at once."""

    def bring(self, batches: list[Batch], done: Callable[[str], None]) -> None:
        for batch in batches:
            for fact in batch.facts:
                _store(fact)
        done("")


def _read_http(raw: bytes) -> None:
    """A request whose first lines are its path and headers, as the server hands them on, and the rest its body."""
    head, _, body = raw.partition(b"\n\n")
    path, *lines = head.split(b"\n")
    pairs = [line.partition(b":") for line in lines]
    scope = {
        "type": "http", "method": "POST", "path": path.decode("latin-1"),
        "headers": [(name.strip().lower(), value.strip()) for name, _, value in pairs],
    }  # fmt: skip
    status = asyncio.run(_asked(scope, body))
    assert status in (200, 400, 401, 403, 404, 405, 413, 415), status


async def _asked(scope: MutableMapping[str, Any], body: bytes) -> int:
    said: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: MutableMapping[str, Any]) -> None:
        said.append(message)

    receiver = Receiver(_Taking())
    await HttpApp(receiver, Gate())(scope, receive, send)
    receiver.close()
    status: int = said[0]["status"]
    return status


class _Call:
    """A gRPC call with these headers; what aborts it raises, as grpcio's does."""

    def __init__(self, headers: list[tuple[str, str]]) -> None:
        self._headers = headers
        self.is_over = False

    def invocation_metadata(self) -> list[tuple[str, str]]:
        return self._headers

    async def abort(self, code: grpc.StatusCode, details: str, trailing: tuple[tuple[str, bytes], ...]) -> None:
        assert code is not grpc.StatusCode.UNKNOWN and details
        self.is_over = True
        raise grpc.aio.AbortError


def _read_rpc(raw: bytes) -> None:
    """A call whose first lines are its headers, as grpcio hands them on, and the rest its body, to each of the services."""
    head, _, body = raw.partition(b"\n\n")
    pairs = [line.decode("latin-1").partition(":") for line in head.split(b"\n")]
    headers = [(name.strip().lower(), value.strip()) for name, _, value in pairs]
    asyncio.run(_called(headers, body))


async def _one(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _called(headers: list[tuple[str, str]], body: bytes) -> None:
    signals: tuple[Signal, ...] = ("traces", "logs", "metrics")
    for signal in signals:
        call, receiver = _Call(headers), Receiver(_Taking())
        try:
            gate = Gate(lambda token: is_equal(token, "sesame"))
            answer = await exporting(signal, receiver, gate, ComingIn())(_one(body), call)
            assert isinstance(answer.SerializeToString(), bytes)
        except grpc.aio.AbortError:
            assert call.is_over
        finally:
            receiver.close()


def _rpc_requests() -> list[bytes]:
    return [b"authorization: Bearer sesame\n\n" + request for request in _otlp_requests()] + [b"host: localhost\n\n"]


@cache
def _room() -> "tempfile.TemporaryDirectory[str]":
    """One for all cases of a process: to make one costs more than to read what is in it."""
    return tempfile.TemporaryDirectory(prefix="trajectory-fuzz-")


def _spool_file() -> bytes:
    """A file with three records. Its file in the room is written over by each case."""
    spool = Spool(Path(_room().name), Identity(EMITTER, BOOT, {"service.name": "svc"}), frames.DEFAULT_ENDPOINT)
    assert spool.path.name == _SPOOL_NAME
    packed = [codec.encode(fact) for fact in facts()]
    for first_seq in (0, 10, 20):
        spool.write(first_seq, packed)
    spool.note(3, 35)
    spool.close(is_needed=True)
    return spool.path.read_bytes()


def _journal_file(said: list[bytes]) -> bytes:
    """A segment with a few frames."""
    directory = Path(_room().name) / "sample"
    journal = Journal(directory)
    journal.append(said, 1_790_000_000_000_000_000)
    journal.close()
    (segment,) = directory.iterdir()
    return segment.read_bytes()


def _asks() -> Iterator[bytes]:
    for query in (
        RunsQuery(filter="status:error"),
        TraceQuery(TRACE.hex(), spans=10, filter="kind:tool"),
        SpanQuery(TRACE.hex(), SPAN.hex()),
    ):
        yield watching.ask(1, -1, query)


def _otlp_requests() -> list[bytes]:
    numbers = [{"intValue": "7"}, {"doubleValue": 0.5}, {"bytesValue": "eA=="}]
    span = {
        "traceId": TRACE.hex(), "spanId": (b"s" + SPAN[1:]).hex(), "name": "chat m", "kind": 3, "startTimeUnixNano": "5",
        "endTimeUnixNano": 9, "status": {"code": 2}, "events": [{"name": "e", "timeUnixNano": 6}],
        "attributes": [
            {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
            {"key": "n", "value": {"arrayValue": {"values": numbers}}},
        ],
    }  # fmt: skip
    text = {
        "resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [{"scope": {"name": "s"}, "spans": [span]}]}]
    }
    request = ExportTraceServiceRequest()
    told = (
        request.resource_spans.add().scope_spans.add().spans.add(trace_id=TRACE, span_id=b"s" + SPAN[1:], name="chat m")
    )
    told.attributes.add(key="gen_ai.operation.name").value.string_value = "chat"
    told.attributes.add(key="n").value.kvlist_value.values.add(key="k").value.double_value = 0.5
    logs = ExportLogsServiceRequest()
    record = logs.resource_logs.add().scope_logs.add().log_records.add(trace_id=TRACE, span_id=b"s" + SPAN[1:])
    record.event_name = "gen_ai.choice"
    record.body.kvlist_value.values.add(key="content").value.string_value = "so be it"
    return [json.dumps(text).encode(), request.SerializeToString(), logs.SerializeToString()]


def _http_requests() -> list[bytes]:
    text, spans, logs = _otlp_requests()
    return [
        b"/v1/traces\ncontent-type: application/json\nhost: localhost\n\n" + text,
        b"/v1/traces\ncontent-type: application/x-protobuf\ncontent-encoding: gzip\n\n" + gzip.compress(spans, mtime=0),
        b"/v1/logs\ncontent-type: application/x-protobuf\norigin: http://localhost\n\n" + logs,
        b"/v1/metrics\ncontent-type: application/json\ncontent-length: 2\n\n{}",
    ]


def _read_file(raw: bytes) -> None:
    for batch in read_file(raw, "x").batches:
        for fact in batch.facts:
            _store(fact)


def _files() -> list[bytes]:
    """A session log of each coding agent that we read, a chat log, spans as a console exporter prints them."""
    at = "2026-03-01T10:00:00.000Z"
    asked = {
        "type": "user",
        "uuid": "u1",
        "sessionId": "s",
        "timestamp": at,
        "message": {"role": "user", "content": "plan"},
    }
    block = {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "ls"}}
    said = {
        "id": "m1",
        "role": "assistant",
        "model": "m",
        "content": [block],
        "usage": {"input_tokens": 3, "output_tokens": 4},
    }
    answer = {"type": "assistant", "uuid": "a1", "sessionId": "s", "timestamp": at, "message": said}
    call = {"type": "function_call", "name": "shell", "call_id": "c", "arguments": "{}"}
    codex = [
        {"timestamp": at, "type": "session_meta", "payload": {"id": "s", "cwd": "/w", "originator": "codex_cli_rs"}},
        {"timestamp": at, "type": "event_msg", "payload": {"type": "user_message", "message": "plan"}},
        {"timestamp": at, "type": "response_item", "payload": call},
    ]
    chat = {"run_id": "r", "question": "?", "steps": [{"i": 0, "agent": "a", "role": "assistant", "content": "so"}]}
    ids = {"trace_id": TRACE.hex(), "span_id": (b"s" + SPAN[1:]).hex()}
    span = {"name": "x", "context": ids, "start_time": at, "attributes": {"a": 1}}
    lines = [[asked, answer], codex, [chat], [span]]
    return [b"\n".join(json.dumps(one).encode() for one in those) + b"\n" for those in lines]


def mouths() -> list[Mouth]:
    """All of them."""
    packed = [codec.encode(fact) for fact in facts()]
    body = codec.encode_facts(facts())
    marked = Marked(TRACE, 13, "key", "mute")
    said = [
        frames.hello(EMITTER, BOOT, {"service.name": "svc", "process.pid": 7, "list": ["a", 1.5]}, 3),
        frames.facts_frame(EMITTER, BOOT, 3, packed),
        frames.bye(EMITTER, BOOT, 13),
        *_asks(),
        watching.tell(2, marked),
    ]
    queries = [frames.pack(frames.unpack(ask)[4]) for ask in _asks()]
    traceparent = f"00-{TRACE.hex()}-{SPAN.hex()}-01"
    deflated = b"\2" + bodies.shrink(body * 3)[1]
    ended = frames.pack((frames.SPAN_ENDED, TRACE, SPAN, 7, 8, "ok", "", {"many": None}))[:-1]
    bomb = b"\2" + bodies.shrink(b"\x91" + ended + b"\xdd\0\xe0\0\0" + b"\x80" * 0xE00000)[1]
    return [
        Mouth("frames", refusing(_read_frame, WireError), said),
        Mouth("facts", refusing(_read_fact, WireError), packed),
        Mouth("plain frames", refusing(_unpack, ValueError), [*said, frames.ack(BOOT, 9), frames.refused("why")]),
        Mouth("queries", _read_query, [*queries, watching.answer(1, RunsView(1, Health(), [], 0)), frames.refused("why")]),
        Mouth("spool", _read_spool, [_spool_file()]),
        Mouth("journal", _read_journal, [_journal_file(said[:3])]),
        Mouth("baton", _read_baton, [
            f'{{"traceparent": "{traceparent}", "baggage": "session.id=chat-17,a=b;p=1"}}'.encode(),
            f'{{"params": {{"_meta": {{"traceparent": "{traceparent}", "tracestate": "a=b,c=d"}}}}}}'.encode(),
            traceparent.encode(),
        ]),
        Mouth("stored bodies", refusing(_read_body, StoreError), [b"\0" + body, deflated, bomb]),
        Mouth("otlp", _read_otlp, _otlp_requests()),
        Mouth("otlp http", _read_http, _http_requests()),
        Mouth("otlp grpc", _read_rpc, _rpc_requests()),
        Mouth("files", refusing(_read_file, ImportFormatError), _files()),
        *written(),
    ]  # fmt: skip
