"""What OTLP costs on its way in: the receiver's CPU beside the plain cost of decoding the same bodies.

Invariant: the same bodies are decoded here and sent over HTTP to a receiver's process beside a real collector, turn by turn. To
decode is to parse the protobuf message, have every attribute as a Python value, and every JSON text among them read, once.
"""

import http.client
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.benchmarks import Row
from tests.benchmarks._rounds import Child, Figures, Target, interleaved, module, noted, scaled, times
from tests.benchmarks._serve import cpu_ns_of
from tests.benchmarks.queryable import otlp_requests
from trajectory.dialects.otlp import read_request
from trajectory.dialects.otlp_protobuf import span_groups
from trajectory.receiver.beside import ReceiverProcess, Settings

NAME = "receiver"
GOAL = "a body of 650 kB of graph spans costs at most twice its decoding"
HEADERS = {"Content-Type": "application/x-protobuf"}
GRAPHS = Target(2.0, 1.5, times)
CALLS, NODES, MESSAGE_CHARS = 7, 5, 2100  # of a graph whose every node repeats the state: 650 kB


def run() -> list[Row]:
    """A row for small spans, and one for spans that repeat their state."""
    with receiving() as (receiver, far_end):
        small = interleaved(
            {
                "decoded": lambda: _decoded(list(otlp_requests(scaled(10_000), 1))),
                "taken": _taking(receiver, far_end, lambda turn: list(otlp_requests(scaled(10_000), turn))),
            }
        )
        large = interleaved(
            {
                "decoded": lambda: _decoded([graph_request(at) for at in range(scaled(20))]),
                "read": lambda: _read([graph_request(at) for at in range(scaled(20))]),
                "taken": _taking(
                    receiver, far_end, lambda turn: [graph_request(turn * 100 + at) for at in range(scaled(20))]
                ),
            }
        )
    ratio = small["taken"]["span_ns"] / small["decoded"]["span_ns"]
    body = len(graph_request(0))
    taken, decoded, read = (large[side]["body_ns"] / 1e6 for side in ("taken", "decoded", "read"))
    return [
        noted(
            "small spans, 500 a body", "CPU / decoding",
            f"{ratio:.3g}x: {small['taken']['span_ns'] / 1000:.1f} / {small['decoded']['span_ns'] / 1000:.1f} µs a span of 8 "
            f"attributes; answered when stored: {small['taken']['spans_a_second']:,.0f} spans/s over one connection",
        ),
        GRAPHS.row(
            f"a body of {body / 1000:.0f} kB",
            "CPU / decoding",
            taken / decoded,
            f"its decoding: {taken:.1f} / {decoded:.1f} ms, median of 5",
        ),
        noted(
            "the same body",
            "read into facts alone",
            f"{times(read / decoded)} its decoding: {read:.1f} ms; the rest is HTTP, and bringing the facts to the collector",
        ),
    ]  # fmt: skip


@contextmanager
def receiving() -> Iterator[tuple[ReceiverProcess, Child]]:
    """A collector in a process, and a receiver beside it that is up."""
    with (
        tempfile.TemporaryDirectory() as room,
        Child(module("_serve", "collector", Path(room) / "store.db")) as far_end,
    ):
        receiver = ReceiverProcess(Settings(far_end.ready["endpoint"], "127.0.0.1:0", ""))
        try:
            post(receiver.http, [b""])  # the first one begins it
            yield receiver, far_end
        finally:
            receiver.close()


def post(at: str, bodies: list[bytes]) -> None:
    """Sends bodies one after the other on one connection; each is stored when this goes on to the next."""
    connection = http.client.HTTPConnection(at, timeout=60)
    for body in bodies:
        connection.request("POST", "/v1/traces", body, HEADERS)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
    connection.close()


def _taking(receiver: ReceiverProcess, far_end: Child, made: Callable[[int], list[bytes]]) -> Callable[[], Figures]:
    turns = iter(range(1, 1000))

    def once() -> Figures:
        bodies = made(next(turns))
        spans = sum(_count(body) for body in bodies)
        began_s, began_ns = time.monotonic(), cpu_ns_of(receiver.pid)
        post(receiver.http, bodies)
        spent_ns, took_s = cpu_ns_of(receiver.pid) - began_ns, time.monotonic() - began_s
        while far_end.ask("count")["waiting_bytes"]:  # the next turn begins with a collector at rest
            time.sleep(0.05)
        return {"span_ns": spent_ns / spans, "body_ns": spent_ns / len(bodies), "spans_a_second": spans / took_s}

    return once


def _decoded(bodies: list[bytes]) -> Figures:
    spans = sum(_count(body) for body in bodies)
    began_ns = time.process_time_ns()
    for body in bodies:
        for _, found in span_groups(body):
            for span in found:
                for value in span.attributes.values():  # type: ignore[union-attr]
                    if isinstance(value, str) and value[:1] in ("{", "["):
                        json.loads(value)
    spent_ns = time.process_time_ns() - began_ns
    return {"span_ns": spent_ns / spans, "body_ns": spent_ns / len(bodies), "spans_a_second": 0.0}


def _read(bodies: list[bytes]) -> Figures:
    began_ns = time.process_time_ns()
    for body in bodies:
        read_request(body, "protobuf")
    return {"body_ns": (time.process_time_ns() - began_ns) / len(bodies)}


def _count(body: bytes) -> int:
    request = ExportTraceServiceRequest.FromString(body)
    return sum(len(scope.spans) for group in request.resource_spans for scope in group.scope_spans)


def graph_request(number: int) -> bytes:
    """A graph of agents whose nodes each repeat the whole state in input and output, in OpenInference's attributes."""
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    state: list[dict[str, Any]] = []
    for call in range(CALLS):
        text = f"{number} {call} " + "the hotel in Lyon has a lift and is free in March; " * (MESSAGE_CHARS // 51)
        state.append(
            {"type": "ai" if call % 2 else "human", "content": text, "id": f"message-{call}", "tool_calls": []}
        )
        for node in range(NODES):
            span = spans.add(
                trace_id=(number + 1).to_bytes(16, "big"),
                span_id=(call * NODES + node + 1).to_bytes(8, "big"),
                name=("researcher", "agent", "tools", "call_model", "booker")[node],
                start_time_unix_nano=1_790_000_000_000_000_000,
                end_time_unix_nano=1_790_000_001_000_000_000,
            )
            said = json.dumps({"messages": state})
            metadata = json.dumps({"langgraph_node": "agent", "lc_agent_name": "researcher", "thread_id": "t"})
            held = {"openinference.span.kind": "CHAIN", "input.value": said, "output.value": said, "metadata": metadata}
            for key, value in held.items():
                span.attributes.add(key=key).value.string_value = value
    return request.SerializeToString()
