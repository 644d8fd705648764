"""Collectors that forward, killed in the middle: every span reaches the backend, nothing waits for it, it says how it goes."""

import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.cli.terminal import free_endpoint, serving, trajectory
from tests.collector.builders import wait_for
from tests.export.build import SECOND_NS, START_NS, trip
from tests.forwarder.backends import Says, http_backend
from trajectory.collector.importing import WireDelivery
from trajectory.collector.remote import RemoteFeed
from trajectory.forwarder.position import directory_of
from trajectory.model.fact import Batch, Source, SpanEnded, SpanStarted
from trajectory.protocol.frames import MAX_FACTS
from trajectory.store.sqlite import open_reader
from trajectory.view.views import RunsQuery, RunsView

SOURCE = Source(b"forwarded-source", b"boot-of-forwards", {"service.name": "svc"})
QUIET = ("--otlp-http", "off", "--otlp-grpc", "off")


def soon() -> None:
    time.sleep(0.01)


def children_of(pid: int) -> list[Path]:
    """What the system shows of the processes that a collector began, whichever of its threads did, once they are their own."""
    found = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    children = [Path("/proc", child) for part in found for child in part]
    return [child for child in children if b"-m\0trajectory." in (child / "cmdline").read_bytes()]


def spans(first: int, count: int) -> Batch:
    """So many spans of one trace, each of two facts."""
    facts = []
    for number in range(first, first + count):
        span_id, at_ns = (number + 1).to_bytes(8, "big"), START_NS + number * SECOND_NS
        facts += [
            SpanStarted(b"t" * 16, span_id, b"", at_ns, 0, "tool", f"span {number}"),
            SpanEnded(b"t" * 16, span_id, at_ns + 1, 0, "ok"),
        ]
    return Batch(SOURCE, 2 * first, facts)


def deliver(endpoint: str, batch: Batch) -> None:
    with WireDelivery(endpoint) as delivery:
        delivery([batch])


def test_what_a_collector_stores_reaches_the_backend_across_kills_of_both_and_in_order(tmp_path: Path) -> None:
    store, endpoint = tmp_path / "store", free_endpoint()
    with http_backend(Says(), Says(503), Says(503)) as seen:
        words = ("--forward", f"http://127.0.0.1:{seen.port}", *QUIET)
        with serving(store, endpoint, *words) as collector:
            deliver(endpoint, spans(0, 100))
            wait_for(lambda: len(set(seen.names())) == 100, soon)
            deliver(endpoint, spans(100, 200))
            collector.send_signal(signal.SIGKILL)
            collector.wait(30)
        with serving(store, endpoint, *words):
            deliver(endpoint, spans(300, 100))
            wait_for(lambda: len(set(seen.names())) == 400, soon)
        names = seen.names()
        assert set(names) == {f"span {n}" for n in range(400)}
        firsts = list(dict.fromkeys(names))
        assert firsts == sorted(firsts, key=lambda name: int(name.split()[1]))
        assert max(Counter(names).values()) <= 2
    private = directory_of(store)
    assert {path.stat().st_mode & 0o777 for path in private.iterdir()} == {
        0o600
    } and private.stat().st_mode & 0o077 == 0


def test_a_backend_that_is_dead_holds_up_nobody_and_health_says_so_until_it_is_back(tmp_path: Path) -> None:
    store, endpoint = tmp_path / "store", free_endpoint()
    port = int(free_endpoint().rpartition(":")[2])
    os.environ["TRAJECTORY_FORWARD_HEADERS"] = "authorization=Bearer%20s3cret-token"
    try:
        with serving(store, endpoint, "--forward", f"http://127.0.0.1:{port}", *QUIET) as collector:
            deliver(endpoint, spans(0, MAX_FACTS))
            feed = RemoteFeed(endpoint, timeout_s=10)

            def notices() -> str:
                view = feed.pull(RunsQuery(), -1)
                return " ".join(view.health.notices) if isinstance(view, RunsView) else ""

            wait_for(lambda: f"forwarding to http://127.0.0.1:{port}/v1/traces waits: " in notices(), soon)
            assert "Nothing is lost" in notices()
            with http_backend(port=port) as seen:
                wait_for(lambda: len(set(seen.names())) == MAX_FACTS, soon)
                wait_for(lambda: "forwarding" not in notices(), soon)
                assert {headers["authorization"] for headers, _ in seen.requests} == {"Bearer s3cret-token"}
            feed.close()
            collector.send_signal(signal.SIGTERM)
            assert collector.stderr is not None and "s3cret" not in collector.stderr.read()
    finally:
        del os.environ["TRAJECTORY_FORWARD_HEADERS"]
    reader = open_reader(store)
    assert sum(len(batch.facts) for batch in reader.all_batches()) >= 2 * MAX_FACTS
    reader.close()


def test_what_is_stored_already_goes_by_command_with_open_spans_marked(tmp_path: Path) -> None:
    store, captured = tmp_path / "store", tmp_path / "trip.jsonl"
    from trajectory.export.jsonl import JSONL

    with captured.open("wb") as out:
        JSONL.write(trip().subject(), out)
    assert trajectory("import", captured, "--store", store).code == 0
    with http_backend() as seen:
        url = f"http://127.0.0.1:{seen.port}"
        done = trajectory(
            "forward", "--all", url, "--store", store, "--forward-header", "Authorization: Bearer s3cret-token"
        )
        assert done.code == 0 and "9 spans of 1 trace sent" in done.err and "s3cret" not in done.err + done.out
        assert len(seen.taken) == 9 and all(span.end_time_unix_nano for span in seen.taken)
        marked = [
            s.name
            for s in seen.taken
            for a in s.attributes
            if (a.key, a.value.string_value) == ("trajectory.span.state", "open")
        ]
        assert marked == ["quote"]
        assert trajectory("forward", "00", url, "--store", store).code == 0 and len(seen.taken) == 18
    lone = trajectory("forward", url, "--store", store)
    assert (lone.code, "give a trace and a URL, or --all and a URL" in lone.err) == (2, True)
    gone = trajectory("forward", "--all", url, "--store", store, "--patience", "0.1")
    assert gone.code == 1 and "gave up" in gone.err
    with http_backend(Says(400), *[Says(400)] * 20) as seen:
        refused = trajectory("forward", "--all", f"http://127.0.0.1:{seen.port}", "--store", store)
        assert refused.code == 1 and "9 spans refused" in refused.err


@pytest.mark.parametrize(
    "words",
    [
        ("ftp://h",), ("http://user:s3cret@h",), ("grpc://h/path",), ("http://",), ("http://h:99999",), ("http://h", "--forward", "http://h"),
        ("http://h", "--forward-header", "s3cret"), ("http://h", "--forward-header", "X: s3cret\x01"),
    ],
)  # fmt: skip
def test_what_cannot_be_forwarded_to_is_bad_usage_and_no_secret_is_repeated(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    refused = trajectory("serve", "--bind", free_endpoint(), "--store", tmp_path / "s", *QUIET, "--forward", *words)
    assert refused.code == 2 and len(refused.err.splitlines()) == 1 and "s3cret" not in refused.err


def test_a_header_without_a_url_is_bad_usage(tmp_path: Path) -> None:
    words = ("--forward-header", "X: s3cret")
    refused = trajectory("serve", "--bind", free_endpoint(), "--store", tmp_path / "s", *QUIET, *words, timeout_s=20)
    assert refused.code == 2 and "--forward" in refused.err and "s3cret" not in refused.err
    assert len(refused.err.strip().splitlines()) == 1


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="no system that shows environments")
@pytest.mark.parametrize("is_forwarding", [True, False])
def test_no_child_of_a_collector_has_the_headers_in_its_environment(
    is_forwarding: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAJECTORY_FORWARD_HEADERS_1", "x=s3cret")
    with http_backend() as seen:
        words = ("--forward", f"http://127.0.0.1:{seen.port}") if is_forwarding else ()
        with serving(tmp_path / "s", free_endpoint(), *QUIET, *words) as ours:
            wait_for(lambda: len(children_of(ours.pid)) == 1 + is_forwarding, soon)
            found = [(child / "environ").read_bytes() for child in children_of(ours.pid)]
    assert all(found) and not any(b"s3cret" in environment for environment in found)


def test_two_backends_have_headers_of_their_own(tmp_path: Path) -> None:
    from trajectory.cli.forwarding import targets_in
    from trajectory.forwarder.target import targets_of

    first, second = targets_in(["http://a", "grpc://b:1"], [(1, "X-Key: k2"), (0, "X-Key: k1")])
    assert (first.url, first.headers) == ("http://a:4318/v1/traces", {"X-Key": "k1"})
    assert (second.url, second.headers) == ("grpc://b:1", {"x-key": "k2"})
    shared = trajectory(
        "serve", "--forward", "http://a", "--forward", "http://b", "--store", tmp_path / "s", "--bind", free_endpoint(),
        *QUIET, TRAJECTORY_FORWARD_HEADERS="x=s3cret",
    )  # fmt: skip
    assert shared.code == 2 and "TRAJECTORY_FORWARD_HEADERS_1" in shared.err
    (only,) = targets_of(["https://h/api/otel/?q=1"], [[]], {"TRAJECTORY_FORWARD_HEADERS": "a=b%20c,d=e"})
    assert only.url == "https://h:443/api/otel/v1/traces?q=1" and only.headers == {"a": "b c", "d": "e"}
    assert "q=1" not in only.name
