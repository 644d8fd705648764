"""`trajectory serve` with its receiver: who may come in, what it says where it cannot, and what a killed receiver costs."""

import argparse
import http.client
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import pytest

from tests.cli.terminal import free_endpoint, trajectory
from tests.collector.builders import wait_for
from tests.receiver.room import PROTOBUF, Room, ask, body_of, new_trace
from trajectory.cli.receiving import receiving, tell_places
from trajectory.protocol.keys import VARIABLES
from trajectory.receiver.beside import ReceiverProcess, Settings, listen, name_of


@pytest.fixture(autouse=True)
def _no_keys_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@contextmanager
def serving(store: Path, *arguments: str) -> Iterator[tuple[str, list[str]]]:
    """`trajectory serve` in a process of its own: where OTLP over HTTP is taken, and what it said at its start."""
    command = [
        sys.executable,
        "-P",
        "-m",
        "trajectory",
        "serve",
        "--bind",
        free_endpoint(),
        "--store",
        str(store),
        *arguments,
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    said: list[str] = []
    try:
        assert process.stderr is not None
        while not said or "OTLP" not in said[-1]:
            said.append(process.stderr.readline())
            assert said[-1], said
        yield said[-1].partition("http://")[2].split()[0] if "http://" in said[-1] else "", said
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_no_receiver_runs_before_somebody_sends_and_the_first_request_waits_for_it(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with serving(store, "--otlp-http", "127.0.0.1:*", "--otlp-grpc", "off") as (at, _):
        assert ask(at, body_of(trace_id := new_trace(), "plan"), PROTOBUF).status == 200
    assert [row["trace_id"] for row in trajectory("traces", "--json", "--store", store).json_lines()] == [
        trace_id.hex()
    ]


def test_a_killed_receiver_is_begun_anew_and_what_it_had_answered_is_there(room: Room) -> None:
    trace_id = new_trace()
    assert room.post(body_of(trace_id, "before"), PROTOBUF).status == 200
    killed = room.receiver.pid
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: room.receiver.pid != killed, lambda: time.sleep(0.01))
    assert room.post(body_of(trace_id, "before", "after"), PROTOBUF).status == 200
    wait_for(lambda: len(room.trace(trace_id).spans) == 2, lambda: time.sleep(0.01))


def test_exporters_that_send_again_lose_nothing_to_receivers_that_are_killed_again_and_again(room: Room) -> None:
    traces = [new_trace() for _ in range(4)]
    names = [f"step {number}" for number in range(60)]
    again_count, answered_count = [0] * len(traces), [0] * len(traces)

    def export(at: int) -> None:
        """As an SDK's exporter does: the very same bytes again, until they are answered."""
        for number in range(1, len(names) + 1):
            body = body_of(traces[at], *names[:number])
            while True:
                try:
                    if room.post(body, PROTOBUF).status == 200:
                        answered_count[at] += 1
                        break
                except (OSError, http.client.HTTPException):
                    again_count[at] += 1

    threads = [threading.Thread(target=export, args=(at,)) for at in range(len(traces))]
    for thread in threads:
        thread.start()
    killed: set[int] = set()
    seen_count = 0
    while len(killed) < 4 and any(thread.is_alive() for thread in threads):
        pid = room.receiver.pid
        if pid and pid not in killed and sum(answered_count) > seen_count + 10:  # in the midst of its work
            killed.add(pid)
            os.kill(pid, signal.SIGKILL)
            seen_count = sum(answered_count)
        time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert sum(again_count) > 0 and len(killed) > 1
    for trace_id in traces:
        wait_for(lambda trace_id=trace_id: len(room.trace(trace_id).spans) == len(names), lambda: time.sleep(0.01))  # type: ignore[misc]
        assert sorted(span.name for span in room.trace(trace_id).spans.values()) == sorted(names)


def test_a_port_that_is_taken_is_done_without_unless_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with listen("127.0.0.1:0") as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        refused = trajectory("serve", "--bind", free_endpoint(), "--store", tmp_path / "s", "--otlp-http", place)
        assert refused.code == 2 and f"--otlp-http: {place} cannot be bound" in refused.err
        assert "listening" not in refused.err
        monkeypatch.setattr("trajectory.cli.receiving.HTTP", place)
        args = argparse.Namespace(otlp_http=None, otlp_grpc="off", otlp_name=[], keys=None)
        collector: Any = SimpleNamespace(endpoint=free_endpoint(), own_keys=None)
        with receiving(args, collector) as receiver:
            assert receiver is not None and not receiver.http
            tell_places(receiver, lambda _: None)
        assert f"no OTLP over HTTP: {place} cannot be bound" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["4318", "localhost", "127.0.0.1:99999", "http://127.0.0.1:4318"])
def test_what_is_no_place_is_bad_usage(wrong: str) -> None:
    assert trajectory("serve", "--otlp-http", wrong).code == 2


def test_beyond_loopback_a_token_is_wanted_and_a_key_gives_one(tmp_path: Path) -> None:
    refused = trajectory("serve", "--store", tmp_path / "s", "--bind", free_endpoint(), "--otlp-http", "0.0.0.0:*")
    assert refused.code == 2 and "trajectory keys add" in refused.err
    assert trajectory("keys", "init").code == trajectory("keys", "add", "trips").code == 0
    assert trajectory("keys", "add", "looks", "--role", "watch").code == 0
    tokens = {}
    for name in ("trips", "looks"):
        _, _, said = trajectory("keys", "show", name, "--otlp").out.partition(
            "OTEL_EXPORTER_OTLP_HEADERS=authorization="
        )
        tokens[name] = unquote(said.strip())
    with serving(tmp_path / "s", "--otlp-http", "0.0.0.0:*", "--otlp-grpc", "off") as (at, _):
        at = at.replace("0.0.0.0", "127.0.0.1")
        body = body_of(new_trace(), "plan")
        for token in ("", "Bearer wrong", tokens["looks"], tokens["trips"].removeprefix("Bearer ")):
            answer = ask(at, body, PROTOBUF | {"Authorization": token})
            assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        good = PROTOBUF | {"Authorization": tokens["trips"], "Host": "collector.example:4318"}
        assert ask(at, body, good).status == 200
        assert trajectory("keys", "revoke", "trips").code == 0
        wait_for(lambda: ask(at, body, good).status == 401, lambda: time.sleep(0.05))


def test_where_grpc_cannot_be_had_is_said_and_nothing_is_begun_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with listen("127.0.0.1:0") as taken:
        receiver = ReceiverProcess(Settings("tcp://127.0.0.1:1", "", name_of(taken)))
        receiver.close()
        assert (receiver.http, receiver.grpc, receiver.pid) == ("", "", 0)
        assert receiver.grpc_trouble == f"{name_of(taken)} cannot be bound: Address already in use"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    receiver = ReceiverProcess(Settings("tcp://127.0.0.1:1", "", "127.0.0.1:0"))
    receiver.close()
    assert (receiver.grpc, receiver.grpc_trouble) == ("", "grpcio is not installed")
