"""One request on its way: what each answer of a real backend makes of it, how long it waits, and what is said."""

import time

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.cli.terminal import free_endpoint
from tests.export.build import trip
from tests.forwarder.backends import Aborts, Says, dripping, grpc_backend, http_backend, partly
from trajectory.forwarder.answers import LONGEST_PAUSE_S, Backend, Verdict, of_http, pause_in, pause_of
from trajectory.forwarder.http import HttpBackend
from trajectory.forwarder.requests import MAX_SPANS, Portion, halves, requests_of, span_count
from trajectory.forwarder.rpc import GrpcBackend
from trajectory.forwarder.sending import FIRST_PAUSE_S, LAST_PAUSE_S, UNSURE_TRIES, Sending, backend_of
from trajectory.forwarder.target import Target, target_of


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
