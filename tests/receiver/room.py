"""What the tests of the receiver ask of it: a request over a plain socket, and what the collector has of a trace."""

import http.client
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.collector.builders import wait_for
from tests.dialects.build import otel_span, request
from trajectory.collector.server import Collector
from trajectory.graph.trace import Trace
from trajectory.receiver.beside import ReceiverProcess
from trajectory.store.sqlite import open_reader

PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}
_numbers = itertools.count(1)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> dict[str, Any]:
        """An answer in JSON."""
        read: dict[str, Any] = json.loads(self.body)
        return read


class Room(NamedTuple):
    collector: Collector
    receiver: ReceiverProcess

    def post(
        self, body: bytes | Iterator[bytes], headers: dict[str, str], path: str = "/v1/traces", method: str = "POST"
    ) -> Answer:
        return ask(self.receiver.http, body, headers, path, method)

    def has(self, trace_id: bytes) -> Trace | None:
        folded = self.collector.pipeline.folded(trace_id)
        return folded.trace if folded is not None else None

    def trace(self, trace_id: bytes) -> Trace:
        """The trace, as soon as the collector has folded something of it."""
        wait_for(lambda: self.has(trace_id) is not None, lambda: time.sleep(0.01))
        found = self.has(trace_id)
        assert found is not None
        return found

    def stored_count(self, trace_id: bytes) -> int:
        """How many facts of a trace are stored."""
        reader = open_reader(Path(self.collector.store))
        try:
            return sum(len(batch.facts) for batch in reader.facts(trace_id))
        finally:
            reader.close()

    def quarantined(self) -> int:
        return self.collector.pipeline.vitals.quarantined_count


def ask(
    at: str, body: bytes | Iterator[bytes], headers: dict[str, str], path: str = "/v1/traces", method: str = "POST"
) -> Answer:
    """One request on a connection of its own; an iterator's parts go as chunks."""
    connection = http.client.HTTPConnection(at, timeout=30)
    try:
        connection.request(method, path, body, headers, encode_chunked=not isinstance(body, bytes))
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def new_trace() -> bytes:
    """An id that no other test has."""
    return b"receiver" + next(_numbers).to_bytes(8, "big")


def spans(trace_id: bytes, *names: str) -> list[Span]:
    """Spans of one trace, the first the root."""
    made = [otel_span(at, name, 0 if at == 1 else 1, at * 0.01) for at, name in enumerate(names, 1)]
    for span in made:
        span.trace_id = trace_id
    return made


def body_of(trace_id: bytes, *names: str) -> bytes:
    """A request in protobuf with such spans."""
    return request(*spans(trace_id, *names)).SerializeToString()


def json_of(trace_id: bytes, **fields: Any) -> dict[str, Any]:
    """A request in OTLP's JSON with one span."""
    span = {
        "traceId": trace_id.hex(), "spanId": "00000000000000aa", "name": "work", "kind": 1,
        "startTimeUnixNano": "1790000000000000000", "endTimeUnixNano": "1790000001000000000", "attributes": [],
    }  # fmt: skip
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span | fields]}]}]}
