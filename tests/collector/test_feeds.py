"""Where screens get their views: a store at rest, a store that another process writes, a collector over the wire."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq

from tests.collector.builders import (
    NOW_NS,
    SOURCE,
    TRACE,
    Clock,
    SaysOnEnd,
    ended,
    finding,
    span_id,
    started,
    wait_for,
)
from tests.graph.pictures import picture
from tests.scenarios import Scenario
from tests.store.memory import MemoryStore
from trajectory.alerting.alerts import alert_key
from trajectory.collector import at_rest, counting, importing
from trajectory.collector.at_rest import StoredLibrary, fold_stored, stored_batches, stored_row
from trajectory.collector.importing import Numbering, WireDelivery, through_pipeline, turns
from trajectory.collector.pipeline import Pipeline
from trajectory.collector.publish import Publisher
from trajectory.collector.quotas import Limits
from trajectory.collector.remote import RemoteFeed
from trajectory.collector.rows import TraceRows
from trajectory.collector.server import Collector
from trajectory.collector.store_feed import StoreFeed
from trajectory.collector.watching import answer
from trajectory.errors import TrajectoryError, WireError
from trajectory.model.content import digest
from trajectory.model.fact import Batch, Fact, Heartbeat, Payload
from trajectory.protocol.codec import AskFrame, FactsFrame, decode_fact, read_frame
from trajectory.store.contract import TallyRow, TraceSummary
from trajectory.store.sqlite import open_reader, open_writer
from trajectory.view.feed import FeedBusy, FeedLost
from trajectory.view.rows import Health
from trajectory.view.views import Missing, RunsQuery, RunsView, SpanQuery, SpanView, TraceQuery, TraceView, View


@contextmanager
def running(store: Path, *, bind: str = "tcp://127.0.0.1:*", limits: Limits | None = None) -> Iterator[Collector]:
    """A collector in a thread, stopped and joined at the end."""
    collector = Collector(str(store), [SaysOnEnd], bind, limits=limits)
    thread = threading.Thread(target=collector.run, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        collector.stop()
        thread.join(20)
        assert not thread.is_alive()


def written(store: MemoryStore, facts: list[Fact]) -> None:
    """Facts through a pipeline into a store, with what it finds and its summary."""
    pipeline = Pipeline(store, [SaysOnEnd], Clock())
    through_pipeline(pipeline)([Batch(SOURCE, store.next_seq(SOURCE.emitter_id, SOURCE.boot_id), facts)])
    pipeline.finish()


def failed_run() -> Scenario:
    run = Scenario(TRACE)
    with run.agent("planner", task="Find a hotel"):
        run.tool("search", {"q": "x"}, error=("TimeoutError", "too slow"))
    return run


# --- at rest -----------------------------------------------------------------------------------------------------------


def test_a_store_at_rest_is_shown_as_recorded_and_nothing_in_it_is_live() -> None:
    store = MemoryStore()
    written(store, failed_run().facts[:-1])
    feed = StoreFeed(store, "the-store")
    view = feed.pull(TraceQuery(TRACE.hex(), spans=10), -1)
    assert isinstance(view, TraceView) and view.health.state == "recorded"
    assert view.trace.state == "cut_off" and [a.kind for a in view.alerts] == ["cascade"]
    assert [s.status for s in view.spans] == ["cut_off", "error"]
    assert feed.pull(TraceQuery(TRACE.hex(), spans=10), view.version) is None
    assert isinstance(feed.pull(SpanQuery(TRACE.hex(), span_id(1).hex()), -1), SpanView)
    assert isinstance(feed.pull(TraceQuery("ab" * 16), -1), Missing)
    with pytest.raises(TrajectoryError, match="for reading only"):
        feed.mark(TRACE.hex(), "key", "mute")
    feed.close()


def pulled(feed: StoreFeed, query: TraceQuery, since: int) -> View:
    """What is new, when it comes: an answer that was dear to make, as on a busy machine, stands for a moment."""
    deadline_s = time.monotonic() + 20
    while (view := feed.pull(query, since)) is None:
        assert time.monotonic() < deadline_s
        time.sleep(0.005)
    return view


def test_a_store_that_another_process_writes_is_followed_once_a_second(tmp_path: Path) -> None:
    now_s = [0.0]
    writer = open_writer(tmp_path / "store")
    run = failed_run().facts
    writer.append([Batch(SOURCE, 0, run[:2])])
    feed = StoreFeed(open_reader(tmp_path / "store"), "the-store", is_live=True, clock_s=lambda: now_s[0])
    query = TraceQuery(TRACE.hex(), spans=10)
    first = feed.pull(query, -1)
    assert isinstance(first, TraceView) and len(first.spans) == 1 and first.health.state == "live"
    writer.append([Batch(SOURCE, 2, run[2:])])
    assert feed.pull(query, first.version) is None
    now_s[0] = 1.5
    second = pulled(feed, query, first.version)
    assert isinstance(second, TraceView) and [s.status for s in second.spans] == ["ok", "error"]
    writer.delete_trace(TRACE)
    now_s[0] = 3.0
    assert isinstance(pulled(feed, query, second.version), Missing)
    feed.close()
    writer.close()


def test_following_a_store_ends_with_what_reading_it_afresh_would() -> None:
    store, run = MemoryStore(), failed_run()
    library = StoredLibrary(store)
    for number, fact in enumerate(run.facts):
        store.append([Batch(SOURCE, number, [fact])])
        library.folded(TRACE)
        library.refresh()
    followed = library.folded(TRACE)
    assert followed is not None
    assert picture(followed.trace) == picture(fold_stored(store, TRACE).trace)


@pytest.mark.parametrize("beats_before", [True, False], ids=["before", "while it is followed"])
def test_quiet_open_work_of_a_store_that_is_served_goes_on_while_its_process_is_heard(beats_before: bool) -> None:
    store, later_ns = MemoryStore(), NOW_NS + 60_000_000_000
    library = StoredLibrary(store, is_live=True)
    store.append([Batch(SOURCE, 0, [started(1)])])
    if not beats_before:
        library.folded(TRACE)
    store.append([Batch(SOURCE, 1, [Heartbeat(later_ns, 0)])])
    library.refresh()
    folded = library.folded(TRACE)
    assert folded is not None
    assert TraceRows(folded, later_ns, is_live=True).state() == "live"
    assert TraceRows(folded, later_ns + 60_000_000_000, is_live=True).state() == "cut_off"


def test_a_trace_can_be_folded_up_to_an_instant() -> None:
    store = MemoryStore()
    store.append([Batch(SOURCE, 0, [started(1), started(2, parent=1), ended(2), ended(1)])])
    assert fold_stored(store, TRACE, until_ns=NOW_NS + 2).trace.open_count == 2
    assert fold_stored(store, TRACE).trace.open_count == 0


def test_a_trace_is_sent_on_with_each_body_once_and_before_it_is_named() -> None:
    store, run = MemoryStore(), failed_run()
    store.append([Batch(SOURCE, 0, run.facts)])
    sent = [fact for batch in stored_batches(store, TRACE) for fact in batch.facts]
    bodies = [fact.digest for fact in sent if isinstance(fact, Payload)]
    assert len(bodies) == len(set(bodies)) == sum(isinstance(f, Payload) for f in run.facts)
    named: set[bytes] = set()
    for fact in sent:
        named |= {fact.digest} if isinstance(fact, Payload) else set()
        assert {d for ds in getattr(fact, "contents", {}).values() for d in ds} <= named


# --- over the wire -----------------------------------------------------------------------------------------------------


def test_an_alert_that_is_acknowledged_over_the_wire_stays_so_after_a_restart(tmp_path: Path) -> None:
    run = failed_run().facts
    key = alert_key(finding(2))
    with running(tmp_path / "store") as collector:
        feed = RemoteFeed(collector.endpoint, timeout_s=5)
        with WireDelivery(collector.endpoint) as delivery:
            delivery([Batch(SOURCE, 0, run)])
        query = TraceQuery(TRACE.hex())
        wait_for(lambda: bool(_states(feed, query)), lambda: feed.pull(query, -1))
        feed.mark(TRACE.hex(), key, "acknowledge")
        assert _states(feed, query) == {key: "acknowledged"}
        with pytest.raises(TrajectoryError, match="there is no run"):
            feed.mark("ab" * 16, key, "acknowledge")
        with pytest.raises(TrajectoryError, match="nothing to do with an alert"):
            feed.mark(TRACE.hex(), key, "explode")
        feed.close()
    with running(tmp_path / "store") as collector:
        feed = RemoteFeed(collector.endpoint, timeout_s=5)
        assert _states(feed, query) == {key: "acknowledged"}
        feed.close()


def _states(feed: RemoteFeed, query: TraceQuery) -> dict[str, str]:
    view = feed.pull(query, -1)
    return {alert.key: alert.state for alert in view.alerts} if isinstance(view, TraceView) else {}


def test_a_feed_without_a_collector_says_so_in_time() -> None:
    feed = RemoteFeed("tcp://127.0.0.1:1", timeout_s=0.05)
    for _ in range(2):
        with pytest.raises(FeedLost, match=r"no answer from tcp://127\.0\.0\.1:1"):
            feed.pull(RunsQuery(), -1)
        with pytest.raises(FeedLost):
            feed.mark(TRACE.hex(), "key", "mute")
    feed.close()


# --- imports -----------------------------------------------------------------------------------------------------------


def numbered(facts: list[Fact], content: bytes = b"digest-of-a-file") -> list[Batch]:
    return Numbering(content).number([Batch(SOURCE, 0, facts[:3]), Batch(SOURCE, 0, facts[3:])])


def test_a_files_sources_count_from_zero_under_a_boot_of_the_files_own() -> None:
    first, second = numbered(failed_run().facts)
    assert (first.first_seq, second.first_seq) == (0, 3)
    assert first.source.boot_id == second.source.boot_id != SOURCE.boot_id
    assert numbered(failed_run().facts, b"another")[0].source.boot_id != first.source.boot_id


def test_turns_are_bounded_and_lose_nothing() -> None:
    facts: list[Fact] = [started(n) for n in range(1, 26)]
    cut = list(turns([Batch(SOURCE, 0, facts[:12]), Batch(SOURCE, 12, facts[12:])], 5))
    assert all(sum(len(b.facts) for b in turn) < 10 for turn in cut)
    flat = [(b.first_seq + n, f) for turn in cut for b in turn for n, f in enumerate(b.facts)]
    assert flat == list(enumerate(facts))


def test_the_same_file_twice_is_stored_once() -> None:
    store = MemoryStore()
    pipeline = Pipeline(store, [SaysOnEnd], Clock())
    deliver = through_pipeline(pipeline)
    for _ in range(2):
        deliver(numbered(failed_run().facts))
        pipeline.finish()
    held = [fact for batch in store.facts(TRACE) for fact in batch.facts]
    told = [fact for fact in failed_run().facts if not isinstance(fact, Payload)]
    assert held[: len(told)] == told and len(held) == len(told) + 2


def test_a_file_through_a_running_collector_is_stored_once_however_often_it_is_sent(tmp_path: Path) -> None:
    facts: list[Fact] = [f for n in range(1, 1000) for f in (started(n), ended(n))]
    with running(tmp_path / "store") as collector:
        for _ in range(2):
            with WireDelivery(collector.endpoint) as delivery:
                for batches in turns(numbered(facts), 300):
                    delivery(batches)
        feed = RemoteFeed(collector.endpoint, timeout_s=5)
        view = feed.pull(RunsQuery(), -1)
        assert isinstance(view, RunsView) and view.health.dropped_count == view.health.quarantined_count == 0
        feed.close()
    reader = open_reader(tmp_path / "store")
    assert [fact for batch in reader.facts(TRACE) for fact in batch.facts] == facts
    assert [s.steps for s in reader.summaries()] == [999]
    reader.close()


def test_bodies_too_large_for_one_frame_travel_in_several(tmp_path: Path) -> None:
    from trajectory.model.content import digest

    bodies = [bytes([n]) * (5 * 1024 * 1024) for n in range(4)]
    facts: list[Fact] = [Payload(digest("t", body), "t", body) for body in bodies]
    with running(tmp_path / "store") as collector, WireDelivery(collector.endpoint) as delivery:
        delivery(numbered([started(1), *facts, ended(1)]))
    reader = open_reader(tmp_path / "store")
    assert all(reader.payload(digest("t", body)) == ("t", body) for body in bodies)
    reader.close()


def test_a_collector_that_refuses_or_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trajectory.collector.importing._ANSWER_S", 0.05)
    with WireDelivery("tcp://127.0.0.1:1") as delivery, pytest.raises(WireError, match="does not answer"):
        delivery([Batch(SOURCE, 0, [started(1)])])


def test_a_collector_at_an_address_that_is_none_is_said() -> None:
    with pytest.raises(WireError, match=r"tcp://127\.0\.0\.1:\* cannot be reached"):
        WireDelivery("tcp://127.0.0.1:*")


def test_a_run_that_was_live_when_its_collector_died_is_cut_off_in_every_list() -> None:
    saved = TraceSummary(TRACE, state="live")
    assert stored_row(saved, is_live=False).state == "cut_off"
    assert stored_row(saved, is_live=True).state == "live"
    assert stored_row(TraceSummary(TRACE, state="done"), is_live=False).state == "done"


def test_the_list_of_a_store_keeps_the_runs_in_which_something_is_said(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "store")
    pipeline = Pipeline(writer, (), lambda: NOW_NS)
    body = Payload(digest("text/plain", b"a harbour view"), "text/plain", b"a harbour view")
    for n in (1, 2):
        trace_id = bytes([n]) * 16
        facts: list[Fact] = [
            body,
            started(1, trace_id=trace_id, contents={"input": [body.digest] if n == 2 else []}),
            ended(1, trace_id=trace_id),
        ]
        batches = [Batch(SOURCE, 10 * n, facts)]
        pipeline.store(batches)
        pipeline.fold(batches)
    pipeline.finish()
    view = Publisher(pipeline, Health, is_live=lambda: True, clock=lambda: 0).answer(
        RunsQuery(filter="text:harbour"), -1
    )
    assert isinstance(view, RunsView) and [row.trace_id for row in view.rows] == [(bytes([2]) * 16).hex()]
    writer.close()
    feed = StoreFeed(open_reader(tmp_path / "store"), "the-store")
    for text, count in (("text:harbour", 1), ("text:absent", 0), ('text:"-"', 0), ("", 2)):
        view = feed.pull(RunsQuery(filter=text), -1)
        assert isinstance(view, RunsView) and len(view.rows) == count and view.total == 2
    feed.close()


def test_a_collector_that_is_there_and_answers_late_is_busy_and_is_not_asked_twice() -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    peer = context.socket(zmq.ROUTER)
    endpoint = f"tcp://127.0.0.1:{peer.bind_to_random_port('tcp://127.0.0.1')}"
    feed = RemoteFeed(endpoint, timeout_s=0.2)
    try:
        for _ in range(3):
            with pytest.raises(FeedBusy):
                feed.pull(RunsQuery(), -1)
        routing_id, frame = peer.recv_multipart()
        asked = read_frame(frame)
        assert isinstance(asked, AskFrame) and not peer.poll(0)
        for request_id in (asked.request_id - 1, asked.request_id):  # what was asked before is nobody's any more
            peer.send_multipart([routing_id, answer(request_id, Missing(6 + request_id, Health(), "nothing"))])
        view = feed.pull(RunsQuery(), -1)
        assert isinstance(view, Missing) and view.version == 6 + asked.request_id
        with pytest.raises(FeedBusy):
            feed.pull(RunsQuery(), 7)
        routing_id, frame = peer.recv_multipart()
        peer.send_multipart([routing_id, b"no answer at all"])
        with pytest.raises(WireError):
            feed.pull(RunsQuery(), 7)
        with pytest.raises(FeedBusy):  # what was answered wrongly is asked again
            feed.pull(RunsQuery(), 7)
        assert peer.poll(1000)
        peer.close(linger=0)
        with pytest.raises(FeedLost) as lost:
            feed.pull(RunsQuery(), 7)
        assert not isinstance(lost.value, FeedBusy)
    finally:
        feed.close()
        peer.close(linger=0)
        context.term()


def test_facts_too_large_for_one_frame_together_go_in_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "MAX_FRAME_BYTES", 200)
    facts: list[Fact] = [started(n, name="x" * 60) for n in range(5)]
    sent = [(at, read_frame(frame)) for at, frame in importing._frames_of(Batch(SOURCE, 0, facts), 1)]
    assert [at for at, _ in sent] == [2, 3, 4, 5]
    assert [decode_fact(raw) for _, read in sent if isinstance(read, FactsFrame) for raw in read.each()] == facts[1:]


def test_what_is_saved_of_a_trace_and_cannot_be_read_is_counted_nowhere() -> None:
    store = MemoryStore()
    written(store, failed_run().facts)
    pipeline = Pipeline(store, (), Clock())
    pipeline.recover()
    pipeline.finish()
    (row,) = store.tallies()
    store.save_summaries([], [TallyRow(row.trace_id, row.last_ns, b"of another release")])
    assert counting.counted_at_rest(store).book.windows == {}
    assert list(counting.saved_groups(store.tally(row.trace_id))) == [] == list(counting.saved_points(store, 0))
    assert list(counting.saved_groups(None)) == []
    library = StoredLibrary(store)
    assert list(library.groups(row.trace_id)) == [] and [b.facts for b in library.stored(row.trace_id)]


def test_of_the_traces_of_a_store_only_so_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_rest, "_MAX_TRACES", 1)
    store, other = MemoryStore(), b"another-trace-of"
    written(store, [started(1), ended(1), started(2, trace_id=other), ended(2, trace_id=other)])
    library = StoredLibrary(store)
    first, second = library.folded(TRACE), library.folded(other)
    assert library.folded(other) is second and library.folded(TRACE) is not first
