"""One request on its way: what each answer of a real backend makes of it, how long it waits, and what is said."""

import sys
import time
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.cli.terminal import free_endpoint
from tests.collector.builders import Clock
from tests.export.build import trip
from tests.forwarder.backends import Aborts, Says, dripping, grpc_backend, http_backend, partly
from tests.store.memory import MemoryStore
from trajectory.cli.forward import _Patience
from trajectory.errors import ConfigError, StoreError
from trajectory.forwarder.answers import LONGEST_PAUSE_S, Backend, Verdict, of_http, pause_in, pause_of
from trajectory.forwarder.backlog import FRAMES
from trajectory.forwarder.forwarder import AGAIN_S, LATE_S, LOOK_S, Forwarder
from trajectory.forwarder.http import HttpBackend
from trajectory.forwarder.position import Position, PositionFile, directory_of
from trajectory.forwarder.process import Settings, _Ending, _forward
from trajectory.forwarder.requests import MAX_SPANS, Portion, halves, requests_of, span_count
from trajectory.forwarder.rpc import GrpcBackend
from trajectory.forwarder.sending import FIRST_PAUSE_S, LAST_PAUSE_S, UNSURE_TRIES, Sending, backend_of
from trajectory.forwarder.target import Target, target_of
from trajectory.model.fact import Batch, Source, SpanEnded, SpanStarted


class Pauses:
    """Waits not at all and notes how long it should have; ends the sending after so many."""

    def __init__(self, most: int = 100) -> None:
        self.seconds: list[float] = []
        self._most = most

    def __call__(self, seconds: float) -> bool:
        self.seconds.append(seconds)
        return len(self.seconds) >= self._most


def request() -> ExportTraceServiceRequest:
    trace = trip().trace()
    (made,) = requests_of([Portion(trace, list(trace.spans.values()), is_over=True)], lambda resource: {})
    return made


def sending(target: Target, pauses: Pauses, backend: Backend | None = None) -> Sending:
    return Sending(target, backend or backend_of(target), pauses, chance=lambda: 1.0)


def at(port: int, scheme: str = "http", **headers: str) -> Target:
    return target_of(f"{scheme}://127.0.0.1:{port}", headers)


def test_a_request_goes_to_the_path_of_the_specification_with_the_headers_that_were_given() -> None:
    with http_backend() as seen:
        assert sending(at(seen.port, Authorization="Bearer s3cret-token"), Pauses()).send(request())
    ((headers, came),) = seen.requests
    assert headers[":path"] == "/v1/traces" and headers["authorization"] == "Bearer s3cret-token"
    assert headers["content-type"] == "application/x-protobuf" and came == request()


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_backend_is_asked_again_with_longer_and_longer_pauses(status: int) -> None:
    pauses = Pauses()
    with http_backend(*[Says(status)] * 9) as seen:
        task = sending(at(seen.port), pauses)
        assert task.send(request())
    assert pauses.seconds == [min(LAST_PAUSE_S, FIRST_PAUSE_S * 2**n) for n in range(9)]
    assert len(seen.taken) == span_count(request()) == task.standing.sent_count and not task.standing.trouble


def test_a_backend_that_says_when_is_left_alone_until_then() -> None:
    pauses = Pauses()
    with http_backend(Says(503, {"Retry-After": "17"}), Says(429, {"Retry-After": "999999"})) as seen:
        assert sending(at(seen.port), pauses).send(request())
    assert pauses.seconds == [17.0, LONGEST_PAUSE_S]


def test_pauses_are_spread_so_that_many_do_not_come_at_once() -> None:
    with http_backend(Says(503), Says(503)) as seen:
        pauses = Pauses()
        assert Sending(at(seen.port), backend_of(at(seen.port)), pauses, chance=lambda: 0.0).send(request())
    assert pauses.seconds == [0.5 * FIRST_PAUSE_S, FIRST_PAUSE_S]


def test_a_backend_that_is_not_there_yet_gets_all_when_it_comes() -> None:
    port = int(free_endpoint().rpartition(":")[2])
    told: list[str] = []

    class Arrives(Pauses):
        def __call__(self, seconds: float) -> bool:
            told.append(task.standing.trouble)
            if len(self.seconds) == 2:
                self.backend = http_backend(port=port)
                self.seen = self.backend.__enter__()
            return super().__call__(seconds)

    pauses = Arrives()
    task = sending(at(port), pauses)
    try:
        assert task.send(request())
        assert len(pauses.seconds) == 3 and len(pauses.seen.taken) == span_count(request())
        assert all("refused" in reason for reason in told)
    finally:
        pauses.backend.__exit__(None, None, None)


def test_a_backend_that_hangs_is_left_at_its_timeout_and_asked_again() -> None:
    with http_backend(Says(0)) as seen:
        backend = HttpBackend(at(seen.port), read_s=0.05)
        assert sending(at(seen.port), Pauses(), backend).send(request())
        assert len(seen.requests) == 2 and len(seen.taken) == span_count(request())


@pytest.mark.parametrize(
    "head",
    [
        b"", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
    ],
)  # fmt: skip
def test_an_answer_that_comes_a_byte_at_a_time_is_left_at_one_deadline_and_asked_for_again(head: bytes) -> None:
    slow = b"1\r\nx\r\n" * 2000 if b"chunked" in head else b"HTTP/1.1 200 OK\r\nX: " + b"x" * 9000
    with dripping(head, slow) as port:
        backend, began_s = HttpBackend(at(port), read_s=0.3), time.monotonic()
        task = sending(at(port), Pauses(2), backend)
        assert not task.send(request())
        backend.close()
    assert task.standing.trouble == "no whole answer within 0.3 s" and time.monotonic() - began_s < 5


@pytest.mark.parametrize("status", [401, 403, 404, 302])
def test_a_closed_door_is_waited_out_and_no_header_goes_elsewhere(status: int) -> None:
    with (
        http_backend() as elsewhere,
        http_backend(Says(status, {"Location": f"http://127.0.0.1:{elsewhere.port}/v1/traces"})) as seen,
    ):
        assert sending(at(seen.port, Authorization="Bearer s3cret-token"), Pauses()).send(request())
        assert len(seen.requests) == 2 and elsewhere.requests == []


def test_what_a_backend_refuses_costs_the_spans_that_it_is_refused_for_and_no_others() -> None:
    def without_search(came: ExportTraceServiceRequest) -> Says:
        spans = [s.name for group in came.resource_spans for scope in group.scope_spans for s in scope.spans]
        return Says(400, {"Content-Type": "text/plain"}, b"no search here") if "search" in spans else Says()

    with http_backend(*[without_search] * 30) as seen:
        task = sending(at(seen.port), Pauses())
        assert task.send(request())
    assert task.standing.refused_count == 1 and task.standing.refusal == "HTTP 400, no search here"
    assert len(seen.taken) == span_count(request()) - 1 and "search" not in seen.names()


def test_too_large_a_request_goes_in_halves() -> None:
    with http_backend(Says(413)) as seen:
        assert sending(at(seen.port), Pauses()).send(request())
    assert [span_count(came) for _, came in seen.requests] == [span_count(request())] + [
        span_count(h) for h in halves(request())
    ]
    assert len(seen.taken) == span_count(request())


def test_a_fault_of_the_backend_is_tried_a_few_times_before_it_is_taken_for_the_requests() -> None:
    pauses = Pauses()
    with http_backend(*[Says(500)] * UNSURE_TRIES) as seen:
        assert sending(at(seen.port), pauses).send(request())
    assert len(pauses.seconds) == UNSURE_TRIES - 1 and len(seen.taken) == span_count(request())


def test_partial_success_is_counted_and_not_sent_again() -> None:
    with http_backend(partly(2, "too old")) as seen:
        task = sending(at(seen.port), Pauses())
        assert task.send(request())
    assert len(seen.requests) == 1
    assert (task.standing.refused_count, task.standing.refusal) == (2, "too old")
    assert task.standing.sent_count == span_count(request()) - 2


def test_a_backend_that_repeats_a_secret_does_not_get_it_said_and_a_hostile_one_no_control_codes() -> None:
    said = b"bad token s3cret-token\x1b[2J\r\n" + b"x" * 5000
    with http_backend(Says(401, {"Content-Type": "text/plain"}, said)) as seen:
        told: list[str] = []
        target = at(seen.port, Authorization="Bearer s3cret-token")
        Sending(target, backend_of(target), Pauses(), lambda standing: told.append(standing.trouble)).send(request())
    assert told[0].startswith("HTTP 401, bad token [secret]") and len(told[0]) <= 200
    assert "s3cret" not in "".join(told) and "\x1b" not in told[0]


def test_an_untrusted_certificate_is_not_accepted(tmp_path_factory: pytest.TempPathFactory) -> None:
    import shutil
    import ssl
    import subprocess
    import threading
    from http.server import HTTPServer, SimpleHTTPRequestHandler

    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    held = tmp_path_factory.mktemp("tls")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    files = ["-subj", "/CN=127.0.0.1", "-keyout", str(held / "key"), "-out", str(held / "cert")]
    subprocess.run([*command, *files], check=True, capture_output=True)
    server = HTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(held / "cert", held / "key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        task = sending(at(server.server_address[1], "https"), Pauses(most=1))
        assert not task.send(request()) and "certificate" in task.standing.trouble.lower()
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def test_grpc_sends_the_same_with_its_metadata() -> None:
    with grpc_backend() as seen:
        assert sending(at(seen.port, "grpc", Authorization="Bearer s3cret-token"), Pauses()).send(request())
        ((headers, came),) = seen.requests
    assert headers["authorization"] == "Bearer s3cret-token" and came == request()


def test_grpc_is_tried_again_when_it_says_so_and_a_refused_request_is_not() -> None:
    code, pauses = grpc.StatusCode, Pauses()
    with grpc_backend(
        Aborts(code.UNAVAILABLE), Aborts(code.RESOURCE_EXHAUSTED, 23), Aborts(code.UNAUTHENTICATED), 3
    ) as seen:
        task = sending(at(seen.port, "grpc"), pauses)
        assert task.send(request())
        assert pauses.seconds == [1.0, 23.0, 4.0] and task.standing.refused_count == 3
        assert len(seen.requests) == 4
    one = halves(halves(halves(halves(request())[0])[0])[0])[0]
    assert span_count(one) == 1
    with grpc_backend(Aborts(code.INVALID_ARGUMENT)) as seen:
        task = sending(at(seen.port, "grpc"), Pauses())
        assert task.send(one) and task.standing.refused_count == 1
        assert "INVALID_ARGUMENT" in task.standing.refusal and len(seen.requests) == 1


def test_a_grpc_backend_that_is_away_is_asked_again() -> None:
    target = at(int(free_endpoint().rpartition(":")[2]), "grpc")
    pauses = Pauses(most=3)
    task = sending(target, pauses, GrpcBackend(target, deadline_s=0.5))
    assert not task.send(request()) and len(pauses.seconds) == 3 and "UNAVAILABLE" in task.standing.trouble


def test_requests_hold_as_much_as_they_may_and_every_span_is_in_one() -> None:
    trace = trip().trace()
    portions = [Portion(trace, list(trace.spans.values()))] * 200
    whole = list(requests_of(portions, lambda resource: {}))
    assert sum(map(span_count, whole)) == 200 * len(trace.spans)
    assert all(span_count(made) <= MAX_SPANS for made in whole) and len(whole) < 10
    small = list(requests_of(portions[:1], lambda resource: {}, max_bytes=1))
    assert [span_count(made) for made in small] == [1] * len(trace.spans)


def test_a_retry_after_is_a_number_or_a_date_and_anything_else_is_none() -> None:
    assert pause_of("Thu, 01 Jan 1970 00:02:00 GMT", lambda: 100.0) == 20.0
    assert [pause_of(said, lambda: 0.0) for said in ("", "soon", "nan", "-3", "1e999")] == [0, 0, 0, 0, LONGEST_PAUSE_S]
    assert pause_in(b"\xff\xff\xff") is None
    assert of_http(200, {"content-type": "application/x-protobuf"}, b"\xff\xff", lambda: 0.0).verdict is Verdict.TAKEN


class Forwards:
    """A forwarder of a store in memory, what it said, and a clock that a backend may let pass."""

    def __init__(self, folder: Path, port: int, pauses: Pauses, *faults: str) -> None:
        self.store, self.clock, self.faults = MemoryStore(), Clock(), list(faults)
        self.told: list[list[str]] = []
        target = at(port)
        self.forwarder = Forwarder(
            folder / "store", self.opened, target, backend_of(target), 0, pauses, self.told.append, self.clock
        )

    def opened(self) -> MemoryStore:
        if self.faults:
            raise StoreError(self.faults.pop(0))
        return self.store

    def run(self, frame_count: int) -> None:
        for number in range(frame_count):
            facts = [SpanStarted(b"t" * 16, number.to_bytes(8, "big"), b"", 1, 0, "tool", f"span {number}"),
                     SpanEnded(b"t" * 16, number.to_bytes(8, "big"), 2, 0, "ok")]  # fmt: skip
            self.store.append([Batch(Source(b"e" * 16, b"b" * 16), 2 * number, facts)])
        self.forwarder.run()


def test_a_store_that_cannot_be_read_is_tried_again_until_the_end_and_that_is_told(tmp_path: Path) -> None:
    with http_backend() as seen:
        pauses = Pauses(2)
        forwards = Forwards(tmp_path, seen.port, pauses, "the store is busy")
        forwards.run(1)
        assert pauses.seconds == [AGAIN_S, LOOK_S] and seen.names() == ["span 0"]
        assert [[line.partition(" waits: ")[2] for line in said] for said in forwards.told] == [
            ["the store is busy"],
            [],
        ]
        Forwards(tmp_path, seen.port, Pauses(1), "the store is busy").run(0)
        assert len(seen.requests) == 1


def test_who_takes_less_than_comes_is_told_of_and_what_was_refused_too(tmp_path: Path) -> None:
    def slowly(came: ExportTraceServiceRequest) -> Says:
        forwards.clock.passes(LATE_S + 1)
        return Says()

    with http_backend(slowly, slowly, partly(2, "too old")) as seen:
        forwards = Forwards(tmp_path, seen.port, Pauses(1))
        forwards.run(2 * FRAMES + 7)
    behind = "is behind since 31 s, 7 frames: it takes less than comes"
    assert any(behind in line for said in forwards.told for line in said), forwards.told
    assert [line.partition(" refused ")[2] for line in forwards.told[-1]] == ["2 spans, the last: too old"]


def test_who_is_told_to_end_while_a_backend_is_away_goes_on_there_the_next_time(tmp_path: Path) -> None:
    with http_backend(Says(503)) as seen:
        Forwards(tmp_path, seen.port, Pauses(1)).run(1)
        assert seen.taken == []
        Forwards(tmp_path, seen.port, Pauses(1)).run(1)
        assert seen.names() == ["span 0"]


@pytest.mark.parametrize("said", [b"{", b"\xff", b'{"target": "x", "frame": 1, "open": ["no hex"]}', b"[" * 9_999])
def test_a_position_that_cannot_be_read_is_none_and_one_that_is_no_file_is_told(said: bytes, tmp_path: Path) -> None:
    position = PositionFile(tmp_path / "store", at(1))
    position.write(7, [b"t" * 16])
    assert position.read() == Position(at(1).name, 7, [(b"t" * 16).hex()])
    (path,) = directory_of(tmp_path / "store").iterdir()
    path.write_bytes(said)
    assert position.read() is None
    path.rename(path.with_suffix(".old"))
    path.symlink_to(path.with_suffix(".old"))
    with pytest.raises(StoreError, match=r"cannot be read, .*: check its permissions"):
        position.read()
    path.with_suffix(".new").mkdir()
    with pytest.raises(StoreError, match=r"cannot be written, .*: free some space"):
        position.write(8, [])


def test_grpc_says_whose_fault_it_was_and_a_message_that_is_too_large_is_sent_in_halves() -> None:
    large = request()
    large.resource_spans[0].scope_spans[0].spans[0].name = "x" * 5_000_000
    with grpc_backend(Aborts(grpc.StatusCode.INTERNAL)) as seen:
        backend = GrpcBackend(at(seen.port, "grpc"))
        assert backend.send(request()).verdict is Verdict.UNSURE
        assert backend.send(large).verdict is Verdict.REFUSED
        assert backend.send(request()).verdict is Verdict.TAKEN
        backend.close()
        answer = backend.send(request())
        assert (answer.verdict, "closed" in answer.reason) == (Verdict.AGAIN, True)
        with_tls = GrpcBackend(at(seen.port, "grpcs"), deadline_s=0.3).send(request())
        assert with_tls.verdict is Verdict.AGAIN and len(seen.requests) == 2


def test_without_grpcio_forwarding_by_grpc_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trajectory.forwarder.rpc", None)
    told: list[list[str]] = []
    _forward(Settings("store", 0, []), at(4317, "grpc"), _Ending(), told.append)
    assert told == [[f"nothing is forwarded to {at(4317, 'grpc').name}: forwarding by gRPC needs grpcio: "
                     "pip install 'trajectory-tracing[grpc]', or give an http URL"]]  # fmt: skip


def test_a_refusal_that_cannot_be_read_is_its_status_and_a_pause_is_found_among_other_details() -> None:
    headers = {"content-type": "application/x-protobuf"}
    assert of_http(400, headers, b"\xff\xff", lambda: 0.0).reason == "HTTP 400"
    status = Status()
    for detail in (ErrorInfo(reason="busy"), RetryInfo(retry_delay=Duration(seconds=7))):
        status.details.add().Pack(detail)
    assert pause_in(status.SerializeToString()) == 7.0
    assert list(requests_of([Portion(trip().trace(), [])], lambda resource: {})) == []


@pytest.mark.parametrize("url", ["http://h:0", "http://h/a b", "http://h/\u202e"])
def test_a_url_with_no_such_port_or_with_what_is_not_seen_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="no such port, or blanks in it"):
        target_of(url)


def test_patience_is_for_a_spell_of_trouble_and_not_for_longer() -> None:
    patience = _Patience(60.0)
    assert patience.pause(0.001) is False
    assert patience.pause(61.0) is True
