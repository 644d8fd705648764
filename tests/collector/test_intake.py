"""The collector's mouth: what is acknowledged is stored, once and in order, and nothing that comes in ends it."""

import contextlib
import random
import socket
from pathlib import Path

import msgpack
import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.collector.builders import (
    NOW_NS,
    SOURCE,
    TRACE,
    Bench,
    FailingStore,
    bench,
    ended,
    finding,
    span_id,
    started,
)
from trajectory.collector.intake import Intake, _socket
from trajectory.collector.order import MAX_LANES, Order
from trajectory.collector.server import Collector
from trajectory.collector.watching import ask, tell
from trajectory.errors import StoreError, WireError
from trajectory.model.fact import Found, Gap, Marked, Payload, Source
from trajectory.protocol import codec, frames
from trajectory.store.journal import JournalReader, Position
from trajectory.store.sqlite import open_reader, open_writer
from trajectory.view.views import RunsQuery


def test_facts_are_acknowledged_when_they_are_stored() -> None:
    with bench() as collector:
        peer = collector.peer()
        peer.hello()
        peer.facts(0, started(1), ended(1))
        collector.serve()
        assert peer.acks()[-1] == 2
        assert collector.stored() == [started(1), ended(1)]


def test_what_comes_twice_is_stored_once() -> None:
    with bench() as collector:
        peer = collector.peer()
        peer.hello()
        peer.facts(0, started(1), started(2))
        collector.serve()
        peer.facts(0, started(1), started(2))
        peer.facts(1, started(2), started(3))
        collector.serve()
        assert peer.acks()[-1] == 3
        assert collector.stored() == [started(1), started(2), started(3)]


def test_a_frame_that_is_ahead_is_dropped_and_the_acknowledgement_says_from_where_to_send_again() -> None:
    with bench() as collector:
        peer = collector.peer()
        peer.hello()
        peer.facts(5, started(6))
        collector.serve()
        assert peer.acks() == [0] and collector.stored() == []
        peer.facts(0, *(started(n) for n in range(1, 7)))
        collector.serve()
        assert peer.acks() == [6]


def test_what_an_emitter_no_longer_holds_is_a_gap_in_the_store_and_counted_once() -> None:
    with bench() as collector:
        peer = collector.peer()
        peer.hello()
        peer.facts(0, started(1))
        collector.serve()
        peer.hello(held_seq=8)
        peer.hello(held_seq=8)
        peer.facts(8, started(9))
        collector.serve()
        assert peer.acks()[-1] == 9
        held = [fact for batch in collector.store.all_batches() for fact in batch.facts]
        assert held == [started(1), Gap(NOW_NS, 7, "sequence"), started(9)]
        assert collector.health().dropped_count == 7
        assert any("7 facts are missing" in notice for notice in collector.health().notices)


def test_a_farewell_is_in_the_journal_where_all_before_it_is(tmp_path: Path) -> None:
    with bench(folder=tmp_path / "journal") as collector:
        peer = collector.peer()
        peer.hello()
        peer.facts(0, started(1))
        peer.bye(5)
        peer.bye(1)
        while collector.intake.round(0.0):
            pass
        kept = [codec.read_frame(record.frame) for record in JournalReader(tmp_path / "journal").read()]
        assert [frame.type for frame in kept] == [frames.HELLO, frames.FACTS, frames.BYE]
        collector.serve()
        assert collector.health().dropped_count == 0


def test_a_fresh_store_under_an_old_journal_misses_nothing_that_the_store_before_it_has(tmp_path: Path) -> None:
    with bench(folder=tmp_path / "journal") as collector:
        peer = collector.peer()
        peer.hello()
        peer.facts(0, started(1), started(2))
        collector.serve()
        collector.store.is_full = True
        collector.journal.close()
        collector.journal.end = Position(collector.journal.end.segment + 1, 0)  # as when a segment is full
        peer.facts(2, started(3))
        collector.serve()
        (tmp_path / "journal" / "00000001.frames").unlink()  # it is settled
    with bench(folder=tmp_path / "journal") as fresh:
        while fresh.desk.settle(None):
            pass
        assert fresh.stored() == [started(3)]
        assert fresh.health().dropped_count == 0


def test_facts_that_another_collector_took_are_no_loss() -> None:
    with bench() as collector:
        peer = collector.peer()
        peer.hello(held_seq=100)
        peer.facts(100, started(1))
        collector.serve()
        assert peer.acks()[-1] == 101
        assert collector.health().dropped_count == 0


def test_frames_from_before_a_restart_wait_for_their_hello() -> None:
    store = FailingStore()
    with bench(store=store) as before:
        peer = before.peer()
        peer.hello()
        peer.facts(0, started(1))
        before.serve()
    with bench(store=store) as after:
        peer = after.peer()
        peer.facts(5, started(6))
        peer.bye(6)
        after.serve()
        assert peer.answers() == []
        peer.hello(held_seq=1)
        after.serve()
        assert peer.acks() == [1]
        assert after.health().dropped_count == 0


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 40))
def test_any_loss_repetition_and_disorder_of_frames_ends_with_each_fact_once(seed: int, count: int) -> None:
    chance = random.Random(seed)
    order = Order(lambda emitter_id, boot_id: 0)
    lane = order.greet(SOURCE.emitter_id, SOURCE.boot_id, 0)
    taken: list[int] = []
    while lane.next_seq < count:
        first = chance.randrange(count) if chance.random() < 0.5 else lane.next_seq
        those = range(count)[first : first + chance.randint(1, 8)]
        if order.accept(lane, first, len(those)):
            assert first <= len(taken)
            taken += those[len(taken) - first :]
        if chance.random() < 0.2:
            order.forget(lane)
            del taken[lane.kept_seq :]
        elif chance.random() < 0.5:
            order.kept(lane, Position())
    assert taken == list(range(count))


def test_the_lanes_of_emitters_long_gone_make_room() -> None:
    order = Order(lambda emitter_id, boot_id: 0)
    for number in range(MAX_LANES + 1):
        order.greet(number.to_bytes(16, "big"), b"b" * 16, 0).heard_ns = number
    assert len(order.lanes()) <= MAX_LANES
    assert order.lane((0).to_bytes(16, "big"), b"b" * 16) is None
    assert order.lane(MAX_LANES.to_bytes(16, "big"), b"b" * 16) is not None


def test_a_lane_stays_while_its_facts_are_in_the_journal_alone() -> None:
    order = Order(lambda emitter_id, boot_id: 0)
    for number in range(MAX_LANES):
        order.kept(order.greet(number.to_bytes(16, "big"), b"b" * 16, 0), Position(1, 100))
    order.greet(b"one more", b"b" * 16, 0)
    assert len(order.lanes()) == MAX_LANES + 1
    order.settled = Position(1, 100)
    order.greet(b"and one more", b"b" * 16, 0)
    assert len(order.lanes()) < MAX_LANES


def test_many_emitters_have_a_lane_each() -> None:
    with bench() as collector:
        peers = [collector.peer(Source(bytes([n]) * 16, b"b" * 16, {"service.name": f"s{n}"})) for n in range(20)]
        for number, peer in enumerate(peers):
            peer.hello()
            peer.facts(0, started(number + 1), ended(number + 1))
        collector.serve()
        assert [peer.acks()[-1] for peer in peers] == [2] * 20
        assert len(collector.stored()) == 40
        assert collector.health().emitters == 20
        collector.clock.passes(11)
        assert collector.health().emitters == 0


# --- a store in trouble ------------------------------------------------------------------------------------------------


def test_a_full_journal_acknowledges_nothing_says_so_and_recovers_by_itself() -> None:
    with bench() as collector:
        watcher, peer = collector.peer(), collector.peer()
        peer.hello()
        peer.facts(0, started(1))
        collector.serve()
        assert peer.acks() == [1]
        collector.journal.is_full = True
        peer.facts(1, started(2))
        collector.serve()
        peer.facts(1, started(2))
        collector.serve()
        assert peer.acks() == [1, 1]
        watcher.socket.send(ask(1, -1, RunsQuery()))
        collector.serve()
        (answer,) = watcher.answers()
        assert answer[0] == frames.ANSWER
        assert any("disk is full" in notice and "hold their facts" in notice for notice in collector.health().notices)
        collector.journal.is_full = False
        collector.clock.passes(2)
        peer.facts(1, started(2), ended(2))
        collector.serve()
        assert peer.acks()[-1] == 3
        assert collector.stored() == [started(1), started(2), ended(2)]
        assert collector.health().notices == []


def test_a_clock_that_is_set_back_while_the_disk_is_full_holds_nobody_up_when_there_is_room() -> None:
    with bench() as collector:
        peer = collector.peer()
        peer.hello()
        collector.journal.is_full = collector.store.is_full = True
        peer.facts(0, started(1))
        collector.serve()
        collector.journal.is_full = False
        collector.clock.passes(-3600)
        peer.facts(0, started(1))
        collector.serve()
        assert peer.acks()[-1] == 1
        collector.clock.passes(-3600)
        collector.store.is_full = False
        assert collector.settle()
        assert collector.stored() == [started(1)]


def test_what_a_full_store_does_not_take_waits_in_the_journal_and_is_stored_once_when_there_is_room() -> None:
    with bench() as collector:
        peer = collector.peer()
        peer.hello()
        collector.store.is_full = True
        peer.facts(0, started(1))
        collector.serve()
        peer.facts(1, started(2))
        collector.serve()
        assert peer.acks()[-1] == 2
        assert collector.stored() == []
        assert any("disk is full" in notice and "waits on disk" in notice for notice in collector.health().notices)
        collector.store.is_full = False
        collector.clock.passes(2)
        assert collector.settle()
        assert collector.stored() == [started(1), started(2)]
        assert collector.health().notices == []


def test_what_a_killed_collector_had_only_in_its_journal_is_taken_up_by_the_next_and_not_asked_for_again(
    tmp_path: Path,
) -> None:
    store = FailingStore()
    store.is_full = True
    with bench(store=store, folder=tmp_path / "journal") as before:
        peer = before.peer()
        peer.hello()
        peer.facts(0, started(1), started(2))
        before.serve()
        assert peer.acks()[-1] == 2
    store.is_full = False
    with bench(store=store, folder=tmp_path / "journal") as after:
        assert after.settle()
        assert after.stored() == [started(1), started(2)]
        assert after.pipeline.folded(TRACE) is not None


def test_what_waits_to_be_judged_is_said_while_it_is_much() -> None:
    with bench() as collector:
        peer = collector.peer()
        peer.hello()
        collector.store.is_full = True
        for first in (0, 150):
            peer.facts(first, *(started(number, name="n" * 15_000) for number in range(first, first + 150)))
        collector.serve()
        assert any("4 MB wait" in notice or "5 MB wait" in notice for notice in collector.health().notices)
        collector.store.is_full = False
        collector.clock.passes(2)
        while collector.settle():
            pass
        assert collector.health().notices == []


def test_emitters_hold_their_facts_while_the_journal_is_too_far_ahead() -> None:
    with bench(backlog_bytes=100) as collector:
        peer = collector.peer()
        peer.hello()
        peer.facts(0, started(1))
        collector.serve()
        collector.store.is_full = True
        peer.facts(1, started(2), started(3))
        collector.serve()
        peer.facts(3, started(4))
        collector.serve()
        assert peer.acks()[-1] == 3
        assert any("faster than they are judged" in notice for notice in collector.health().notices)
        collector.store.is_full = False
        collector.clock.passes(2)
        while collector.settle():
            pass
        peer.facts(3, started(4))
        collector.serve()
        assert peer.acks()[-1] == 4
        assert collector.stored() == [started(n) for n in range(1, 5)]
        assert collector.health().notices == []


def test_a_store_that_cannot_be_read_leaves_a_hello_unanswered_and_nothing_else() -> None:
    with bench() as collector:
        collector.store.is_unreadable = True
        peer = collector.peer()
        peer.hello()
        collector.serve()
        assert peer.answers() == []
        collector.store.is_unreadable = False
        collector.clock.passes(2)
        peer.hello()
        peer.facts(0, started(1))
        collector.serve()
        assert peer.acks()[-1] == 1


def test_a_hole_that_could_not_be_stored_is_stored_when_the_store_is_back() -> None:
    with bench() as collector:
        peer = collector.peer()
        peer.hello()
        peer.facts(0, started(1))
        collector.serve()
        assert peer.acks() == [1]
        collector.journal.is_full = True
        peer.hello(held_seq=4)
        collector.serve()
        assert peer.acks() == [1]
        collector.journal.is_full = False
        collector.clock.passes(2)
        peer.facts(4, started(5))
        collector.serve()
        assert peer.acks() == [5]
        assert collector.health().dropped_count == 3


# --- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "corrupt frame"),
        (b"\xc1 no msgpack", "corrupt frame"),
        (msgpack.packb([9, "facts", b"e", b"b", 0, []]), "protocol version 9"),
        (msgpack.packb([1, "dance"]), "unknown type 'dance'"),
        (msgpack.packb([1, "facts", "not bytes", b"b", 0, []]), "corrupt frame"),
        (msgpack.packb([1, "hello", b"e", b"b", {}, -1]), "out of range"),
        (msgpack.packb([1, "ask", 1, -1, ["nonsense"]]), "corrupt query"),
        (msgpack.packb([1, "ask", 1, -1, ["trace"]]), "corrupt query"),
        (b"\x91" * 100_000, "corrupt frame"),
        (b"x" * (frames.MAX_FRAME_BYTES + 1), "over the limit"),
    ],
)
def test_a_frame_that_cannot_be_read_is_refused_with_the_reason_and_counted(frame: bytes, reason: str) -> None:
    with bench() as collector:
        peer = collector.peer()
        peer.socket.send(frame)
        collector.serve()
        ((kind, said),) = peer.answers()
        assert kind == frames.REFUSED and reason in said
        assert collector.health().quarantined_count == 1


@pytest.mark.parametrize("before", [[], [b""], [b"one", b"two"]])
def test_a_message_of_any_number_of_parts_is_read_by_its_last(before: list[bytes]) -> None:
    with bench() as collector:
        peer = collector.peer()
        peer.socket.send_multipart([*before, frames.hello(SOURCE.emitter_id, SOURCE.boot_id, {}, 0)])
        collector.serve()
        assert peer.acks() == [0]


BAD_FACTS = {
    "unknown tag": msgpack.packb([99, b"x"]),
    "short id": codec.encode(started(2, trace_id=b"short")),
    "no time": msgpack.packb([1, TRACE, span_id(2), b"", -5, 0, "agent", "n"]),
    "a number": msgpack.packb(7),
    "wrong digest": codec.encode(Payload(b"d" * 16, "text/plain", b"another body")),
}


@pytest.mark.parametrize("bad", BAD_FACTS.values(), ids=BAD_FACTS)
def test_one_bad_fact_leaves_a_gap_at_its_place_between_its_neighbours(bad: bytes) -> None:
    with bench() as collector:
        peer = collector.peer()
        peer.hello()
        peer.raw(0, codec.encode(started(1)), bad, codec.encode(ended(1)))
        collector.serve()
        assert peer.acks()[-1] == 3
        held = [fact for batch in collector.store.all_batches() for fact in batch.facts]
        assert held == [started(1), Gap(NOW_NS, 1, "quarantined"), ended(1)]
        assert (collector.health().quarantined_count, collector.health().dropped_count) == (1, 0)


@pytest.mark.parametrize(
    "marked",
    [
        Marked(b"short", NOW_NS, "key", "mute"),
        Marked(TRACE, 1 << 63, "key", "mute"),
        Marked(TRACE, NOW_NS, "key", "explode"),
        Marked(TRACE, NOW_NS, "key", "mute", until_ns=-1),
        Marked(TRACE, NOW_NS, "key", "mute", until_ns=1 << 63),
        Marked(b"unknown-trace-id", NOW_NS, "key", "mute"),
    ],
)
def test_a_mark_that_makes_no_sense_is_refused_and_stored_nowhere(marked: Marked) -> None:
    with bench() as collector:
        peer = collector.peer()
        peer.socket.send(tell(1, marked))
        collector.serve()
        ((kind, _),) = peer.answers()
        assert kind == frames.REFUSED
        collector.pipeline.tick()
        assert collector.store.counts()["facts"] == 0


HOSTILE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=16),
    lambda inner: (
        st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=3) | st.integers(0, 3), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=120)
@given(
    st.sampled_from(["facts", "hello", "bye", "ask", "tell"]),
    st.lists(HOSTILE, max_size=6),
    st.integers(1, 10),
    HOSTILE,
)
def test_no_frame_ends_the_loop(kind: str, rest: list[object], tag: int, attributes: object) -> None:
    with bench() as collector:
        peer = collector.peer()
        peer.hello()
        peer.socket.send(msgpack.packb([1, kind, *rest]))
        peer.raw(
            0,
            msgpack.packb([tag, TRACE, span_id(1), *rest]),
            msgpack.packb(
                [1, TRACE, span_id(1), b"", NOW_NS, 0, "agent", "n", "a", "s", {"gen_ai.tool.name": attributes}]
            ),
            codec.encode(ended(1)),
        )
        collector.serve()
        collector.pipeline.tick()
        watcher = collector.peer()
        watcher.socket.send(ask(1, -1, RunsQuery(preview=TRACE.hex())))
        collector.serve()
        ((answered, *_),) = watcher.answers()
        assert answered == frames.ANSWER
        assert [frames.ACK, SOURCE.boot_id, 3] in [
            answer[:3] for answer in peer.answers()
        ]  # a question's refusal comes later
        assert (collector.pipeline.vitals.fault_count, collector.pipeline.vitals.fault) == (0, "")


def test_an_emitters_gap_says_how_much_is_missing_of_the_traces_that_it_works_on() -> None:
    with bench() as collector:
        peer = collector.peer()
        peer.hello()
        peer.facts(0, started(1), Gap(NOW_NS, 5, "queue_full"), Gap(NOW_NS, 2, "queue_full"), Gap(NOW_NS, -4, "odd"))
        collector.serve()
        (kept,) = collector.pipeline.folded(TRACE).trace.findings.values()  # type: ignore[union-attr]
        assert kept.kind == "telemetry.gap" and "7 facts are" in kept.message
        assert collector.health().dropped_count == 7


def test_a_connection_that_says_nothing_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trajectory.collector.intake._HANDSHAKE_MS", 20)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    mouth = _socket(context)
    port = mouth.bind_to_random_port("tcp://127.0.0.1")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as silent:
        while silent.recv(1024):  # its greeting, then the end
            continue
    mouth.close(linger=0)
    context.term()


# --- the address -------------------------------------------------------------------------------------------------------


def test_a_taken_port_is_said_with_what_to_do(tmp_path: Path) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    other = context.socket(zmq.ROUTER)
    port = other.bind_to_random_port("tcp://127.0.0.1")
    with pytest.raises(WireError, match="already in use: stop what listens there"):
        Collector(str(tmp_path / "store"), (), f"tcp://127.0.0.1:{port}")
    other.close(linger=0)
    context.term()
    collector = Collector(str(tmp_path / "store"), (), f"tcp://127.0.0.1:{port}")
    collector.stop()
    collector.run()


@pytest.mark.parametrize("endpoint", ["nonsense", "tcp://127.0.0.1", "udp://1.2.3.4:5"])
def test_an_address_that_is_none_is_said(endpoint: str) -> None:
    with bench() as collector, pytest.raises(WireError, match="cannot be bound"):
        Intake(endpoint, collector.journal, collector.store.next_seq, collector.clock, collector.context)


def test_a_store_that_another_collector_writes_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        writer = open_writer(tmp_path / "store")
        try:
            Collector(str(tmp_path / "store"), (), "tcp://127.0.0.1:*")
        finally:
            writer.close()


def test_a_collector_that_is_stopped_has_stored_and_summed_up_what_had_arrived(tmp_path: Path) -> None:
    collector = Collector(str(tmp_path / "store"), (), "tcp://127.0.0.1:*")
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.connect(collector.endpoint)
    socket.send(frames.hello(SOURCE.emitter_id, SOURCE.boot_id, SOURCE.resource, 0))
    packed = [codec.encode(started(1)), codec.encode(ended(1))]
    socket.send(frames.facts_frame(SOURCE.emitter_id, SOURCE.boot_id, 0, packed))
    while collector.pipeline.vitals.fact_count < 2:
        collector.round(10)
    collector.stop()
    collector.run()
    socket.close(linger=0)
    context.term()
    reader = open_reader(tmp_path / "store")
    assert reader.next_seq(SOURCE.emitter_id, SOURCE.boot_id) == 2
    assert [s.state for s in reader.summaries()] == ["done"]
    reader.close()


def test_findings_from_the_wire_are_facts_like_others() -> None:
    with bench() as collector:
        peer = collector.peer()
        peer.hello()
        peer.facts(0, started(1), Found(NOW_NS, finding(1)))
        collector.serve()
        assert _alert_kinds(collector) == ["cascade"]


def _alert_kinds(collector: Bench) -> list[str]:
    folded = collector.pipeline.folded(TRACE)
    assert folded is not None
    return [f.kind for f in folded.trace.findings.values()]


def test_an_empty_frame_of_facts_moves_nothing() -> None:
    order = Order(lambda emitter_id, boot_id: 3)
    lane = order.greet(SOURCE.emitter_id, SOURCE.boot_id, 0)
    assert not order.accept(lane, 3, 0)
    assert order.accept(lane, 3, 1) and lane.next_seq == 4


def test_large_frames_of_a_flood_wait_with_who_sends_them() -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    busy = _socket(context)  # nobody reads: the intake is behind
    busy.bind("tcp://127.0.0.1:*")
    sender = context.socket(zmq.DEALER)
    sender.setsockopt(zmq.SNDHWM, 1)
    sender.setsockopt(zmq.LINGER, 0)
    sender.setsockopt(zmq.SNDTIMEO, 300)
    sender.connect(busy.getsockopt_string(zmq.LAST_ENDPOINT))
    frame, taken_count = bytes(1_000_000), 0
    with contextlib.suppress(zmq.Again):
        while taken_count < 60:
            sender.send(frame)
            taken_count += 1
    assert 0 < taken_count < 40
    sender.close(linger=0)
    busy.close(linger=0)
    context.term()


def test_what_is_no_question_is_not_answered_as_one() -> None:
    with bench() as collector:
        answer = frames.unpack(collector.desk.answer(frames.bye(SOURCE.emitter_id, SOURCE.boot_id, 1)))
        assert answer[1:] == [frames.REFUSED, "that is no question"]
        assert collector.health().quarantined_count == 1


def test_a_journal_stays_at_the_end_while_something_of_it_is_not_stored(tmp_path: Path) -> None:
    with bench(folder=tmp_path) as collector:
        peer = collector.peer()
        collector.store.is_full = True
        peer.hello()
        collector.serve()
        peer.facts(0, started(1))
        collector.serve()
        assert peer.acks()[-1] == 1
        collector.desk.finish()
        assert [*tmp_path.iterdir()]
        collector.store.is_full = False
        collector.clock.passes(60)
        collector.serve()
        assert collector.stored() == [started(1)]
        collector.desk.finish()
