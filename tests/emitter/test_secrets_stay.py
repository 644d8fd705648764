"""Secrets planted in every field that an agent can fill, sought on the wire, in the spool, in the store and in every export."""

import signal
import threading
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import trajectory
from tests.collector.test_processes import free_endpoint, serving
from trajectory.cli import main
from trajectory.emitter import tracer as tracers
from trajectory.emitter.link import Link
from trajectory.emitter.processors.chain import Processing
from trajectory.emitter.queue import Fact
from trajectory.protocol.codec import encode
from trajectory.store.sqlite import open_reader
from trajectory.testing import FakeCollector

# Put together here, so that no scanner of repositories takes them for real ones.
KEY = "AKIA" + "Q3EGRIJ5MNPW7XYZ"
TOKEN = "ghp_" + "x7Kq2LmZ9vB4nC6dR8tY1wE3uI5oP0aSdFgH"
PASSWORD = "correct-horse-7-battery"
PLANTED = (KEY, TOKEN, PASSWORD)
TRACE_FORMATS = ("jsonl", "otlp.json", "otlp.pb", "trace.json", "md")
BOTH = f"{KEY} and {TOKEN}"


@pytest.fixture(autouse=True)
def _data_of_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def plant() -> None:
    """An agent that says secrets wherever it can say anything."""
    attributes = {"password": PASSWORD, KEY: 1, "a": BOTH, "deep": {"api_key": PASSWORD, TOKEN: [BOTH, {"x": BOTH}]}}
    messages = [
        {"role": "user", "content": f"use {BOTH}"},
        {"role": "user", "content": f'{{"password": "{PASSWORD}"}}'},
    ]
    with (
        trajectory.session(f"session {BOTH}"),
        trajectory.agent(f"agent {KEY}", title=f"title {BOTH}", attributes=attributes) as agent,
    ):
        trajectory.thought(f"thought {BOTH}")
        trajectory.plan([f"step {BOTH}", KEY])
        trajectory.context(f"source {KEY}", [f"document {BOTH}", {"password": PASSWORD, TOKEN: BOTH}])
        with trajectory.model(f"model {KEY}", messages, [{"name": BOTH}], f"system {BOTH}", attributes) as call:
            for letter in f"I was told {BOTH} and password={PASSWORD} just now, once.":
                call.delta(letter)
            call.output({"role": "assistant", "content": BOTH}, finish_reason=KEY)
        with trajectory.tool(f"tool {KEY}", arguments={"q": BOTH, "client_secret": PASSWORD}) as tool:
            tool.result({"headers": {"Authorization": f"Bearer {PASSWORD}"}, "body": BOTH})
        with pytest.raises(ValueError), trajectory.span(f"span {BOTH}", kind=KEY, attributes=attributes) as span:
            span.set(f"set {KEY}", BOTH)
            span.set("bytes", BOTH.encode())
            span.event(f"event {BOTH}", password=PASSWORD, text=BOTH)
            raise ValueError(f"the server refused password={PASSWORD} {BOTH}")
        with trajectory.delegate(f"peer {KEY}", task=f"task {BOTH}") as work:
            with trajectory.accept(work.headers, agent=f"peer {KEY}", task={"task": BOTH}, title=TOKEN) as taken:
                taken.returned(BOTH)
            work.returned([BOTH, {"password": PASSWORD}])
        agent.output(f"-----BEGIN PRIVATE KEY-----\n{TOKEN}\n-----END PRIVATE KEY-----")


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every frame that leaves this process."""
    frames: list[bytes] = []
    send = Link.send

    def noting(self: Link, frame: bytes) -> bool:
        frames.append(frame)
        return send(self, frame)

    monkeypatch.setattr(Link, "send", noting)
    return frames


def found_in(data: bytes) -> list[str]:
    return [secret for secret in PLANTED if secret.encode() in data]


def test_no_planted_secret_is_on_the_wire(collector: FakeCollector, wire: list[bytes]) -> None:
    trajectory.init(f"service {KEY}", collector.endpoint, resource={"password": PASSWORD, TOKEN: BOTH})
    plant()
    assert trajectory.flush(20)
    assert len(collector.facts) > 40
    assert found_in(b"".join(wire)) == []
    assert collector.errors == []
    placeholders = {
        kind: b"".join(wire).count(f"[secret:{kind}:".encode()) for kind in ("aws_key", "github_token", "named")
    }
    assert min(placeholders.values()) >= 5, placeholders


def test_without_redaction_they_are_found_so_the_search_would_see_them(
    collector: FakeCollector, wire: list[bytes]
) -> None:
    trajectory.init("service", collector.endpoint, redact="off")
    plant()
    assert trajectory.flush(20)
    assert found_in(b"".join(wire)) == list(PLANTED)


def test_no_planted_secret_is_in_the_spool(tmp_path: Path) -> None:
    trajectory.init(
        f"service {KEY}", free_endpoint(), {"password": PASSWORD}, policy="spool", spool_dir=tmp_path / "spool"
    )
    plant()
    before = tracers.use(None)
    assert before is not None
    before.close(0.1)
    spooled = b"".join(path.read_bytes() for path in (tmp_path / "spool").rglob("*") if path.is_file())
    assert b"[secret:aws_key:" in spooled
    assert found_in(spooled) == []


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    """A store that a real collector filled from this process, and left."""
    path, endpoint = tmp_path / "store" / "s.db", free_endpoint()
    path.parent.mkdir()
    with serving(endpoint, path) as collector:
        trajectory.init(f"service {KEY}", endpoint, resource={"password": PASSWORD, TOKEN: BOTH})
        plant()
        assert trajectory.flush(20)
        in_use = b"".join(file.read_bytes() for file in path.parent.rglob("*") if file.is_file())
        assert found_in(in_use) == []
        collector.send_signal(signal.SIGTERM)
        collector.wait(30)
    yield path


def test_no_planted_secret_is_in_a_store_or_in_anything_exported_from_it(store: Path, tmp_path: Path) -> None:
    reader = open_reader(store)
    batches = list(reader.all_batches())
    told = b"".join(encode(batch) for batch in batches)
    digests = {
        digest
        for batch in batches
        for fact in batch.facts
        for those in getattr(fact, "contents", {}).values()
        for digest in those
    }
    bodies = reader.payloads(list(digests))
    assert len(bodies) == len(digests) > 10  # every body that is named is there, under its new digest
    (trace_id,) = {trace.hex() for trace in reader.trace_ids()}
    reader.close()
    assert b"[secret:aws_key:" in told
    assert found_in(told + b"".join(body for _, body in bodies.values())) == []
    assert found_in(b"".join(file.read_bytes() for file in store.parent.rglob("*") if file.is_file())) == []
    for point in entry_points(group="trajectory.exporters"):
        out = tmp_path / f"out.{point.name}"
        command = "export" if point.name in TRACE_FORMATS else "graph"
        assert main([command, trace_id, "-o", str(out), "--store", str(store)]) == 0
        assert out.stat().st_size > 100
        assert found_in(out.read_bytes()) == []


def test_all_of_it_happens_on_the_senders_thread(collector: FakeCollector, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[str] = []
    packed = Processing.packed

    def noting(self: Processing, facts: list[Fact]) -> Iterator[tuple[bytes, int]]:
        for together, count in packed(self, facts):
            threads.extend([threading.current_thread().name] * count)
            yield together, count

    monkeypatch.setattr(Processing, "packed", noting)
    trajectory.init("service", collector.endpoint)
    plant()
    assert trajectory.flush(20)
    assert len(threads) >= len(collector.facts) > 40
    assert set(threads) == {"trajectory-sender"}


@pytest.mark.parametrize("before", range(2030, 2050, 3))
def test_where_an_exception_is_cut_no_part_of_a_secret_is_left(collector: FakeCollector, before: int) -> None:
    trajectory.init("service", collector.endpoint)
    with pytest.raises(ValueError), trajectory.span("s"):
        raise ValueError("x" * (before - 10) + f" the key {KEY} " + f"line {KEY}\n" * 700)
    assert trajectory.flush(20)
    assert KEY[:8] not in repr(collector.facts)
    assert KEY[-8:] not in repr(collector.facts)
