"""How many spans a second go in until they can be queried: ours beside MLflow's server and Phoenix.

Invariant: the same spans (8 attributes, traces of 100) go in turn by turn, OTLP/HTTP into theirs, our wire into ours, and the
time ends when the last of them is a row of their SQLite file, or folded and stored in ours. A server that cannot be
installed or started within the time is said to be so. `TRAJECTORY_BENCH_INSTALL_S` is how long an installation may take.
"""

import os
import socket
import sqlite3
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.benchmarks import AbsentError, Row
from tests.benchmarks._loading import await_all, send
from tests.benchmarks._peers import interpreter_with
from tests.benchmarks._rounds import Child, Figures, Target, interleaved, module, noted, scaled, times
from tests.benchmarks._team import Load, plain_trace

NAME = "queryable"
GOAL = "spans can be queried here 100 times sooner than in MLflow, 500 times sooner than in Phoenix"
LEARNED = (
    "One order of changes in each trace, instead of a set of touched spans in each of six detectors: of these spans"
    " a fact is settled in 22 µs of CPU that took 31 (medians of 4, in turn). Kept.",
    "The row of a trace that is over saved once, after it is judged, instead of twice: about 8 % less, but the list"
    " of runs would say for up to a second that a run goes on which is over. Not taken.",
    "Without any detector a fact takes 12 µs: what is left is folding, sums, the index of words and the row of each"
    " trace. Folding in several processes by trace would be the next step; stitching and anomalies go across "
    "traces.",
)
ROUNDS = 3
TRACE_SPANS, REQUEST_SPANS = 100, 500
OTLP_SPANS = 10_000
START_S, STORE_S = 120.0, 180.0
START_NS = 1_790_000_000_000_000_000


@dataclass(frozen=True, slots=True)
class Peer:
    """A server of other people: how it is installed and started, and where its spans end up."""

    name: str
    package: str
    arguments: tuple[str, ...]  # with {port} and {folder}
    environment: dict[str, str]
    headers: dict[str, str]
    database: str
    span_count: int
    target: Target


PEERS = (
    Peer(
        "MLflow", "mlflow",
        ("-m", "mlflow", "server", "--host", "127.0.0.1", "--port", "{port}",
         "--backend-store-uri", "sqlite:///{folder}/mlflow.db", "--workers", "1"),
        {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        {"x-mlflow-experiment-id": "0"}, "mlflow.db", 2000, Target(20, 100, times, is_floor=True),
    ),
    Peer(
        "Phoenix", "arize-phoenix", ("-m", "phoenix.server.main", "serve"),
        {"PHOENIX_WORKING_DIR": "{folder}", "PHOENIX_PORT": "{port}", "PHOENIX_GRPC_PORT": "{other_port}",
         "PHOENIX_HOST": "127.0.0.1", "PHOENIX_TELEMETRY_ENABLED": "false"},
        {}, "phoenix.db", 1000, Target(100, 500, times, is_floor=True),
    ),
)  # fmt: skip


def run() -> list[Row]:
    """Two rows for each peer that could be had: our wire into ours, and OTLP into both."""
    rows: list[Row] = []
    for peer in PEERS:
        try:
            rows += _against(peer)
        except AbsentError as reason:
            rows.append(Row("spans/s until queryable", f"ours / {peer.name}", f"not measured: {reason}", "", False))
    return rows


def _against(peer: Peer) -> list[Row]:
    python = interpreter_with(peer.package)
    ours = Load(scaled(40_000), b"benchmark-boot-1", plain_trace)
    with _serving(peer, python) as (address, database):
        sides = {"ours": lambda: _ours(ours), "OTLP": _ours_by_otlp(), "theirs": _into(peer, address, database)}
        taken = interleaved(sides, ROUNDS)
    rates = {side: figures["spans_a_second"] for side, figures in taken.items()}
    figure, ours_count, otlp_count = "spans/s until queryable", ours.fact_count // 2, scaled(OTLP_SPANS)

    def compared(rate: float, count: int) -> str:
        sides = f"{rate:,.0f} / {rates['theirs']:,.0f} spans/s by the wall"
        return f"{peer.name}'s: {sides}, median of {ROUNDS} times {count:,} / {peer.span_count:,} spans"

    by_wire, by_otlp = (rates[side] / rates["theirs"] for side in ("ours", "OTLP"))
    return [
        peer.target.row(figure, f"ours / {peer.name}", by_wire, compared(rates["ours"], ours_count)),
        noted(figure, f"OTLP into both / {peer.name}", f"{times(by_otlp)} {compared(rates['OTLP'], otlp_count)}"),
    ]


def _ours_by_otlp() -> Callable[[], Figures]:
    """OTLP over HTTP into our receiver, as into theirs, until the last span is folded and stored."""
    rounds = iter(range(1, 1000))

    def once() -> Figures:
        from tests.benchmarks.receiver import post, receiving

        bodies = list(otlp_requests(scaled(OTLP_SPANS), next(rounds)))
        with receiving() as (receiver, far_end):
            began_s = time.monotonic()
            post(receiver.http, bodies)
            while far_end.ask("facts")["facts"] < 2 * scaled(OTLP_SPANS):
                time.sleep(0.02)
            return {"spans_a_second": scaled(OTLP_SPANS) / (time.monotonic() - began_s)}

    return once


def _ours(load: Load) -> Figures:
    with (
        tempfile.TemporaryDirectory() as room,
        Child(module("_serve", "collector", Path(room) / "store.db")) as far_end,
    ):
        began_s = time.monotonic()
        send(load, far_end.ready["endpoint"])
        await_all(load, far_end)
        return {"spans_a_second": load.fact_count / 2 / (time.monotonic() - began_s)}


def _into(peer: Peer, address: str, database: Path) -> Callable[[], Figures]:
    rounds = iter(range(1, 1000))

    def once() -> Figures:
        requests = list(otlp_requests(peer.span_count, next(rounds)))
        before = _stored(database)
        began_s = time.monotonic()
        for body in requests:
            _post(address, body, peer.headers)
        while _stored(database) < before + peer.span_count:
            if time.monotonic() - began_s > STORE_S:
                raise AbsentError(f"{peer.name} had not stored {peer.span_count} spans after {STORE_S:.0f} s")
            time.sleep(0.02)
        return {"spans_a_second": peer.span_count / (time.monotonic() - began_s)}

    return once


@contextmanager
def _serving(peer: Peer, python: str) -> Iterator[tuple[str, Path]]:
    """The address of its OTLP intake and its database; the server is stopped at the end."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        places = {"port": str(_free_port()), "other_port": str(_free_port()), "folder": folder}
        environment = {**os.environ, **{name: value.format(**places) for name, value in peer.environment.items()}}
        command = [python, *(argument.format(**places) for argument in peer.arguments)]
        server = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            address, database = f"http://127.0.0.1:{places['port']}/v1/traces", Path(folder) / peer.database
            _await_start(peer, server, address, database)
            yield address, database
        finally:
            server.terminate()
            try:
                server.wait(15)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _await_start(peer: Peer, server: "subprocess.Popen[bytes]", address: str, database: Path) -> None:
    """Returns when the server has taken and stored a first trace."""
    deadline_s = time.monotonic() + START_S
    (warm_up,) = otlp_requests(TRACE_SPANS, 0)
    while time.monotonic() < deadline_s:
        if server.poll() is not None:
            raise AbsentError(f"{peer.name} ended with {server.returncode} at its start")
        try:
            _post(address, warm_up, peer.headers)
        except (OSError, urllib.error.URLError):
            time.sleep(0.5)
            continue
        while _stored(database) < TRACE_SPANS and time.monotonic() < deadline_s:
            time.sleep(0.1)
        return
    raise AbsentError(f"{peer.name} took no spans within {START_S:.0f} s")


def _stored(database: Path) -> int:
    """How many spans are rows of its database; 0 while it is being made."""
    try:
        connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=1.0)
        try:
            (count,) = connection.execute("SELECT count(*) FROM spans").fetchone()
        finally:
            connection.close()
    except sqlite3.Error:
        return 0
    return int(count)


def _post(address: str, body: bytes, headers: dict[str, str]) -> None:
    request = urllib.request.Request(address, body, {"Content-Type": "application/x-protobuf", **headers})
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()


def otlp_requests(count: int, round_number: int) -> Iterator[bytes]:
    """Bodies in protobuf of so many spans of 8 attributes, other ones for each round."""
    for first in range(0, count, REQUEST_SPANS):
        request = ExportTraceServiceRequest()
        spans = request.resource_spans.add().scope_spans.add().spans
        for number in range(first, min(first + REQUEST_SPANS, count)):
            trace, place = divmod(number, TRACE_SPANS)
            start_ns = START_NS + number * 1000
            span = spans.add(
                trace_id=(round_number << 64 | trace + 1).to_bytes(16, "big"),
                span_id=(round_number << 32 | number + 1).to_bytes(8, "big"),
                parent_span_id=b"" if not place else (round_number << 32 | trace * TRACE_SPANS + 1).to_bytes(8, "big"),
                name="search",
                start_time_unix_nano=start_ns,
                end_time_unix_nano=start_ns + 500,
            )
            for key in range(8):
                span.attributes.add(key=f"attribute.{key}").value.string_value = f"value {number} of {key}"
        yield request.SerializeToString()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
