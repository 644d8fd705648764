"""What OTLP costs on its way in: the receiver's CPU beside the plain cost of decoding the same bodies.

Invariant: each body is sent over HTTP to a receiver's process beside a real collector, and decoded here right after it, in the
same weather. To decode is to parse the protobuf message, have every attribute as a Python value, and every JSON text among them
read, once, with nothing of ours.
"""

import http.client
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.benchmarks import Row
from tests.benchmarks._rounds import Child, Figures, Target, module, noted, scaled, times
from tests.benchmarks._serve import cpu_ns_of
from tests.benchmarks.queryable import REQUEST_SPANS, otlp_requests
from trajectory.dialects.otlp import read_request
from trajectory.receiver.beside import ReceiverProcess, Settings

NAME = "receiver"
GOAL = "a body of 650 kB of graph spans costs at most twice its decoding"
HEADERS = {"Content-Type": "application/x-protobuf"}
GRAPHS = Target(2.0, 1.5, times)
BODIES, AT_ONCE = 100, 20  # in all, and before the collector is let come to rest
CALLS, NODES, MESSAGE_CHARS = 7, 5, 2100  # of a graph whose every node repeats the state: 650 kB
LEARNED = (
    "uvloop in the place of asyncio's loop: 3.56 times the decoding instead of 3.69 in turn, which is the noise of the two. "
    "Not taken: a package more.",
    "Reading into facts alone is 2.2 times the decoding: 35 spans of 50 µs each, of which no line takes more than a tenth; a "
    "state that is repeated is read and hashed once already. Without another language the goal's rest, which HTTP and the way "
    "to the collector take whole, is out of reach.",
)


def run() -> list[Row]:
    """A row for small spans, and some for spans that repeat their state."""
    bodies = scaled(BODIES)
    with receiving() as (receiver, far_end):
        small = _apart(receiver, far_end, list(otlp_requests(bodies * REQUEST_SPANS, 1)))
        large = _apart(receiver, far_end, [graph_request(number) for number in range(bodies)])
    parsed, decoded, read, taken = (large[side] / 1e6 for side in ("parsed", "decoded", "read", "taken"))
    return [
        noted(
            f"small spans, {REQUEST_SPANS} a body", "CPU / decoding",
            f"{times(small['taken'] / small['decoded'])}: {small['taken'] / 1000 / REQUEST_SPANS:.1f} / "
            f"{small['decoded'] / 1000 / REQUEST_SPANS:.1f} µs a span of 8 attributes; answered when stored: "
            f"{REQUEST_SPANS * 1e9 / small['answered']:,.0f} spans/s over one connection",
        ),
        GRAPHS.row(
            f"a body of {len(graph_request(0)) / 1000:.0f} kB",
            "CPU / decoding",
            taken / decoded,
            f"its decoding: {taken:.1f} / {decoded:.1f} ms, median of {bodies}",
        ),
        noted(
            "the same body",
            "read into facts alone",
            f"{times(read / decoded)} its decoding: {read:.1f} ms; the rest is HTTP, and bringing the facts to the collector",
        ),
        noted("the same body", "parsed alone", f"{parsed:.2g} ms: no value of it in Python, no JSON read"),
    ]  # fmt: skip


def _apart(receiver: ReceiverProcess, far_end: Child, bodies: list[bytes]) -> Figures:
    """What a body costs each side, ns of CPU in the median, and how many pass until it is answered."""
    sides: dict[str, Callable[[bytes], Any]] = {
        "decoded": _decode,
        "read": lambda body: read_request(body, "protobuf"),
        "parsed": ExportTraceServiceRequest.FromString,
    }
    spent: dict[str, list[int]] = {side: [] for side in (*sides, "taken", "answered")}
    left = iter(bodies)
    while some := list(islice(left, AT_ONCE)):
        with closing(http.client.HTTPConnection(receiver.http, timeout=60)) as connection:
            for body in some:
                began_ns, began_cpu_ns = time.monotonic_ns(), cpu_ns_of(receiver.pid)
                _post(connection, body)
                spent["taken"].append(cpu_ns_of(receiver.pid) - began_cpu_ns)
                spent["answered"].append(time.monotonic_ns() - began_ns)
                for side, does in sides.items():
                    began_ns = time.process_time_ns()
                    does(body)
                    spent[side].append(time.process_time_ns() - began_ns)
        while far_end.ask("count")["waiting_bytes"]:
            time.sleep(0.05)
    return {side: median(figures) for side, figures in spent.items()}


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
    with closing(http.client.HTTPConnection(at, timeout=60)) as connection:
        for body in bodies:
            _post(connection, body)


def _post(connection: http.client.HTTPConnection, body: bytes) -> None:
    connection.request("POST", "/v1/traces", body, HEADERS)
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200, answer.status


def _decode(body: bytes) -> None:
    for group in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in group.scope_spans:
            for span in scope.spans:
                values = {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in span.attributes}
                for value in values.values():
                    if isinstance(value, str) and value[:1] in ("{", "["):
                        json.loads(value)


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
