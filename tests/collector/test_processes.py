"""Real emitters, a real collector, real sockets: the collector is killed in mid-stream, and nothing acknowledged is lost."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from trajectory.collector.remote import RemoteFeed
from trajectory.model.fact import Gap, SpanEnded, SpanStarted
from trajectory.store.contract import Reader
from trajectory.store.sqlite import open_reader
from trajectory.view.feed import FeedLost
from trajectory.view.views import RunsQuery, RunsView, TraceQuery, TraceView

EMITTER = """
import sys, trajectory
trajectory.init(service=sys.argv[1])
count = int(sys.argv[2])
with trajectory.agent(sys.argv[1]):
    for number in range(count):
        with trajectory.span(f"{sys.argv[1]} {number}", kind="tool"):
            pass
        if number % 50 == 49:
            print(number, flush=True)
            sys.stdin.readline()
sys.exit(0 if trajectory.flush(60) else 1)
"""


def free_endpoint() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


@contextmanager
def serving(endpoint: str, store: Path) -> Iterator[subprocess.Popen[str]]:
    """A collector in a process of its own, from the moment when it listens."""
    command = [sys.executable, "-m", "trajectory", "serve", "--bind", endpoint, "--store", str(store)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("listening"), line
        yield process
    finally:
        process.kill()
        process.wait(30)
        assert process.stderr is not None
        process.stderr.close()


def emitting(endpoint: str, name: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", EMITTER, name, str(count)],
        env={**os.environ, "TRAJECTORY_ENDPOINT": endpoint},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def go_on(process: subprocess.Popen[str], turns: int) -> None:
    """Lets an emitter tell `turns` more times fifty spans."""
    assert process.stdout is not None and process.stdin is not None
    for _ in range(turns):
        process.stdout.readline()
        process.stdin.write("\n")
        process.stdin.flush()


def stored_facts(reader: Reader) -> int:
    return sum(len(batch.facts) for batch in reader.all_batches())


def wait_stored(store: Path, at_least: int) -> None:
    """Waits until a store holds so many facts, as a reader beside the collector sees it."""
    deadline_s = time.monotonic() + 30
    reader = open_reader(store)
    try:
        while stored_facts(reader) < at_least:
            assert time.monotonic() < deadline_s
            os.sched_yield()
    finally:
        reader.close()


def test_a_collector_that_is_killed_again_and_again_loses_and_doubles_nothing(tmp_path: Path) -> None:
    store, endpoint = tmp_path / "store", free_endpoint()
    names, turns = ("alice", "bob"), 8
    emitters = [emitting(endpoint, name, 50 * turns) for name in names]
    try:
        for life in range(3):
            with serving(endpoint, store) as collector:
                for emitter in emitters:
                    go_on(emitter, 2)
                wait_stored(store, at_least=60 * (life + 1))
                collector.send_signal(signal.SIGKILL)
                collector.wait(30)
            for emitter in emitters:
                go_on(emitter, 1 if life < 2 else 0)
        with serving(endpoint, store) as collector:
            assert [emitter.communicate("\n" * turns, timeout=90) and emitter.returncode for emitter in emitters] == [
                0,
                0,
            ]
            collector.send_signal(signal.SIGTERM)
            assert collector.wait(30) == 0
    finally:
        for emitter in emitters:
            emitter.kill()
            emitter.communicate()
    _assert_each_once(store, {f"{name} {number}" for name in names for number in range(50 * turns)})


def _assert_each_once(store: Path, names: set[str]) -> None:
    reader = open_reader(store)
    facts = [fact for batch in reader.all_batches() for fact in batch.facts]
    starts = Counter(fact.name for fact in facts if isinstance(fact, SpanStarted) and fact.kind == "tool")
    ends = Counter(fact.span_id for fact in facts if isinstance(fact, SpanEnded))
    assert set(starts) == names
    assert set(starts.values()) == set(ends.values()) == {1}
    assert not [fact for fact in facts if isinstance(fact, Gap)]
    assert [s.state for s in reader.summaries()] == ["done", "done"]
    assert reader.stale_traces() == []
    reader.close()


def test_a_watcher_is_told_that_nobody_answers_and_goes_on_when_the_collector_is_back(tmp_path: Path) -> None:
    store, endpoint = tmp_path / "store", free_endpoint()
    feed = RemoteFeed(endpoint, timeout_s=0.2)
    with pytest.raises(FeedLost, match=r"within 0\.2 s: is a collector running there"):
        feed.pull(RunsQuery(), -1)
    for _ in range(2):
        with serving(endpoint, store):
            view = _pull_again(feed, RunsQuery())
            assert isinstance(view, RunsView) and view.rows == []
        with pytest.raises(FeedLost):
            feed.pull(RunsQuery(), -1)
    feed.close()


def _pull_again(feed: RemoteFeed, query: RunsQuery | TraceQuery) -> object:
    deadline_s = time.monotonic() + 20
    while True:
        try:
            return feed.pull(query, -1)
        except FeedLost:
            assert time.monotonic() < deadline_s


def test_a_huge_trace_that_is_watched_leaves_time_for_facts(tmp_path: Path) -> None:
    """Twenty thousand spans come in while two watchers ask for all of it as fast as they can."""
    from tests.collector.builders import SOURCE, TRACE, ended, started
    from trajectory.collector.importing import WireDelivery, turns
    from trajectory.model.fact import Batch, Fact

    facts: list[Fact] = [started(1, name="root")]
    for number in range(2, 20_002):
        facts += [started(number, parent=1, kind="tool"), ended(number)]
    store, endpoint = tmp_path / "store", free_endpoint()
    stop = threading.Event()
    pulled: list[object] = []

    def watch() -> None:
        feed = RemoteFeed(endpoint, timeout_s=10)
        while not stop.is_set():
            pulled.append(feed.pull(TraceQuery(TRACE.hex(), spans=100_000, filter="kind:tool"), -1))
        feed.close()

    with serving(endpoint, store):
        watchers = [threading.Thread(target=watch, daemon=True) for _ in range(2)]
        for watcher in watchers:
            watcher.start()
        with WireDelivery(endpoint) as delivery:
            for batches in turns([Batch(SOURCE, 0, facts)], 4096):
                delivery(batches)  # raises where the collector does not answer for ten seconds
        stop.set()
        for watcher in watchers:
            watcher.join(20)
    assert any(isinstance(view, TraceView) for view in pulled)
    reader = open_reader(store)
    assert stored_facts(reader) >= len(facts)
    reader.close()
