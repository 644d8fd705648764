"""The sender against a real socket: nothing is lost and nothing is doubled, whatever the collector does."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

import trajectory
from trajectory.collector import watching
from trajectory.dialects.jsonl import read_jsonl
from trajectory.emitter import tracer as tracers
from trajectory.emitter.bodies import said
from trajectory.emitter.delivery import WireDelivery
from trajectory.emitter.identity import Identity, identity_of
from trajectory.emitter.keeping import DROP, Keeping
from trajectory.emitter.sender import Timing
from trajectory.emitter.testing.capture import fold_spans
from trajectory.emitter.tracer import Tracer
from trajectory.errors import WireError
from trajectory.model.fact import Gap, Heartbeat, Payload, SpanEnded, SpanEvent, SpanStarted
from trajectory.model.lists import LIST
from trajectory.protocol import frames
from trajectory.protocol.frames import SPAN_EVENT
from trajectory.testing import FakeCollector, ManualClock
from trajectory.view.views import RunsQuery

QUICK = Timing(
    gather_s=0.005, idle_s=0.01, beat_s=0.05, resend_s=0.2, silence_s=0.5, refused_s=0.1, farewell_s=0.1
)  # fmt: skip


class Origin:
    """What a sender asks of its tracer, answered without one."""

    def __init__(self) -> None:
        self.beat: Any = None

    def pulse(self) -> Any:
        return self.beat

    def now_ns(self) -> int:
        return 1


class Line:
    """A delivery under test with the origin that it asks."""

    def __init__(self, endpoint: str, **limits: Any) -> None:
        self.origin = Origin()
        self.delivery = WireDelivery(lambda: identity_of("test", {}), endpoint, self.origin, QUICK, **limits)
        self.put_count = 0

    def put(self, count: int) -> None:
        """So many facts, each with its number as its time."""
        for _ in range(count):
            self.put_count += 1
            self.delivery.put((2, b"t" * 16, b"s" * 8, self.put_count, 0))


@pytest.fixture
def line(collector: FakeCollector) -> Iterator[Line]:
    made = Line(collector.endpoint)
    yield made
    made.delivery.close(0.5)


def numbers(collector: FakeCollector) -> list[int]:
    return [getattr(fact, "at_ns", 0) for fact in collector.facts]


def test_what_is_put_arrives_in_order_and_once(collector: FakeCollector, line: Line) -> None:
    line.put(10_000)
    assert line.delivery.flush(10)
    assert numbers(collector) == list(range(1, 10_001))
    assert collector.sources()[0].doubled_count == 0
    assert collector.errors == []
    assert collector.frame_count < 200


def test_a_flush_waits_for_the_acknowledgement(collector: FakeCollector, line: Line) -> None:
    collector.hold_acks()
    line.put(10)
    assert not line.delivery.flush(0.2)
    collector.hold_acks(False)
    assert line.delivery.flush(5)


def test_what_was_not_acknowledged_is_sent_again_after_a_reconnect(collector: FakeCollector, line: Line) -> None:
    line.put(500)
    assert line.delivery.flush(5)
    collector.hold_acks()
    line.put(500)
    assert collector.wait_until(lambda it: len(it.facts) == 1000)
    collector.vanish()
    line.put(500)
    collector.hold_acks(False)
    collector.listen()
    assert line.delivery.flush(10)
    assert numbers(collector) == list(range(1, 1501))
    (source,) = collector.sources()
    assert (source.hello_count, source.doubled_count) == (2, 0)


def test_a_collector_that_comes_late_gets_everything(line: Line, collector: FakeCollector) -> None:
    collector.vanish()
    line.put(2000)
    assert not line.delivery.flush(0.2)
    collector.listen()
    assert line.delivery.flush(10)
    assert numbers(collector) == list(range(1, 2001))


def test_what_a_failing_store_forgot_is_sent_again(collector: FakeCollector, line: Line) -> None:
    collector.lose_frames(2)
    line.put(2000)
    assert line.delivery.flush(10)
    assert numbers(collector) == list(range(1, 2001))


def test_a_silent_collector_is_connected_to_anew(collector: FakeCollector, line: Line) -> None:
    collector.hold_acks()
    line.put(10)
    assert collector.wait_until(lambda it: bool(it.sources()) and it.sources()[0].hello_count >= 2)
    collector.hold_acks(False)
    assert line.delivery.flush(10)
    assert numbers(collector) == list(range(1, 11))


def test_a_reconnect_makes_bodies_travel_anew(collector: FakeCollector, line: Line) -> None:
    def told() -> list[tuple[str, int]]:
        return [(fact.media_type, len(fact.body)) for fact in collector.facts if isinstance(fact, Payload)]

    def say() -> None:
        contents = {"input": [said("first"), said("second one"), said("first"), said("first")]}
        line.delivery.put_heavy((4, b"t" * 16, b"s" * 8, 1, 0, {}, contents), 1)

    each_once = [("text/plain", 5), ("text/plain", 10), (LIST, 5 * 16)]
    say()
    say()
    assert line.delivery.flush(5)
    assert told() == each_once
    collector.vanish()
    collector.forget()  # its store is lost, or another collector listens at the same endpoint
    collector.listen()
    line.put(1)
    assert line.delivery.flush(10)
    assert told() == []
    say()
    assert line.delivery.flush(10)
    assert told() == each_once


def test_a_body_travels_anew_now_and_then_because_a_store_may_have_retired_it(collector: FakeCollector) -> None:
    timing = QUICK._replace(forget_s=0.0)
    delivery = WireDelivery(lambda: identity_of("test", {}), collector.endpoint, Origin(), timing)
    for number in range(2):
        delivery.put((2, b"t" * 16, b"s" * 8, number, 0, "ok", "", {}, {"output": [said("the same")]}))
        assert delivery.flush(10)
    delivery.close(0.5)
    assert len([fact for fact in collector.facts if isinstance(fact, Payload)]) == 2


def test_a_close_says_bye_after_the_last_acknowledgement(collector: FakeCollector, line: Line) -> None:
    line.put(3000)
    assert line.delivery.close(10)
    (source,) = collector.sources()
    assert source.said_bye
    assert len(source.facts) == 3000


def test_a_close_is_not_longer_than_it_was_told(collector: FakeCollector, line: Line) -> None:
    collector.hold_acks()
    line.put(10)
    began_s = time.monotonic()
    assert not line.delivery.close(0.3)
    assert 0.2 < time.monotonic() - began_s < 2


def test_a_close_without_any_collector_is_short() -> None:
    line = Line("tcp://127.0.0.1:1")
    line.put(10)
    assert not line.delivery.flush(0.2)
    began_s = time.monotonic()
    assert not line.delivery.close(None)
    assert time.monotonic() - began_s < 1


def test_a_close_after_the_collector_has_gone_is_short_when_all_is_stored(collector: FakeCollector, line: Line) -> None:
    line.put(10)
    assert line.delivery.flush(5)
    collector.vanish()
    began_s = time.monotonic()
    assert line.delivery.close(None)
    assert time.monotonic() - began_s < 2


def test_a_full_queue_drops_and_counts(collector: FakeCollector) -> None:
    line = Line(collector.endpoint, limit_facts=100)
    collector.vanish()
    for _ in range(3):
        line.delivery.put_heavy((6, b"d" * 16, "text/plain", b"x"), 10**9)
    line.put(1)
    collector.listen()
    assert not line.delivery.flush(5)  # what was dropped is not stored, and that is said once
    assert line.delivery.flush(5)
    gaps = [fact for fact in collector.facts if isinstance(fact, Gap)]
    assert [(gap.count, gap.reason) for gap in gaps] == [(3, "queue_full")]
    assert line.delivery.close(2)


def test_memory_is_bounded_while_no_collector_is_there(collector: FakeCollector) -> None:
    collector.vanish()
    line = Line(collector.endpoint, limit_facts=1000, limit_bytes=20_000)
    deadline_s = time.monotonic() + 10
    while not line.delivery.queue.dropped_count and time.monotonic() < deadline_s:
        line.put(100)
    dropped_count = line.delivery.queue.dropped_count
    assert dropped_count
    collector.listen()
    assert not line.delivery.flush(10)
    assert line.delivery.flush(10)
    gaps = [fact for fact in collector.facts if isinstance(fact, Gap)]
    assert sum(gap.count for gap in gaps) == dropped_count
    assert len(collector.facts) - len(gaps) == line.put_count - dropped_count
    line.put(1)
    assert line.delivery.flush(5)
    assert line.delivery.close(2)


def test_a_fact_that_cannot_be_packed_is_mended_and_spoils_no_other(collector: FakeCollector, line: Line) -> None:
    line.put(1)
    line.delivery.put(
        (1, b"t" * 16, b"s" * 8, b"", 2, 0, "other", "n", "", "operational", {"big": 10**30, "o": object}, {})
    )
    line.put(1)
    assert line.delivery.flush(5)
    mended = [fact for fact in collector.facts if isinstance(fact, SpanStarted)]
    assert mended[0].attributes["big"] == str(10**30)
    assert len(collector.facts) == 3


def test_a_fact_beyond_every_limit_is_a_gap_of_one(collector: FakeCollector, line: Line) -> None:
    line.delivery.put((6, b"d" * 16, "text/plain", b"x" * (9 * 1024 * 1024)))
    assert line.delivery.flush(5)
    assert [(fact.count, fact.reason) for fact in collector.facts if isinstance(fact, Gap)] == [(1, "quarantined")]


def test_a_refusal_is_said_once_and_tried_again_later(
    collector: FakeCollector, line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    collector.refuse("another version")
    with caplog.at_level(logging.WARNING, "trajectory"):
        line.put(10)
        assert not line.delivery.flush(0.5)
        collector.refuse("")
        assert line.delivery.flush(5)
    assert [record.getMessage() for record in caplog.records] == [
        f"trajectory: {collector.endpoint} refuses our facts: another version"
    ]
    assert numbers(collector) == list(range(1, 11))


@pytest.mark.parametrize("endpoint", ["nonsense", "tcp://", "http://x:1", "tcp://127.0.0.1:port"])
def test_an_endpoint_that_is_none_is_said_once_and_harms_nothing(
    endpoint: str, caplog: pytest.LogCaptureFixture
) -> None:
    line = Line(endpoint)
    with caplog.at_level(logging.WARNING, "trajectory"):
        line.put(1)
        assert not line.delivery.flush(0.3)
        began_s = time.monotonic()
        assert not line.delivery.close(None)
        assert time.monotonic() - began_s < 1
    assert len(caplog.records) == 1


def test_a_heartbeat_names_what_is_open(collector: FakeCollector, line: Line) -> None:
    line.origin.beat = (7, 1, 2, [b"s" * 8])
    line.put(1)
    assert collector.wait_until(lambda it: sum(isinstance(fact, Heartbeat) for fact in it.facts) >= 2)
    beat = next(fact for fact in collector.facts if isinstance(fact, Heartbeat))
    assert beat.open_spans == [b"s" * 8]


def test_inproc_is_a_transport_like_any_other() -> None:
    with FakeCollector("inproc://a-collector") as collector:
        line = Line(collector.endpoint)
        line.put(1000)
        assert line.delivery.flush(5)
        assert line.delivery.close(2)
        assert numbers(collector) == list(range(1, 1001))


def test_a_pulse_follows_open_spans_and_the_wall_clock() -> None:
    clock = ManualClock()
    tracer = Tracer("t", clock=clock)
    assert tracer.pulse() is None
    tracer.open_spans[b"s" * 8] = None
    clock.step_wall(3600)
    assert tracer.pulse() == (7, clock.wall_ns(), clock.mono_ns(), [b"s" * 8])
    tracer.open_spans.clear()
    assert tracer.pulse() == (7, clock.wall_ns(), clock.mono_ns(), [])
    assert tracer.pulse() is None


def test_the_public_functions_reach_a_collector_end_to_end(collector: FakeCollector) -> None:
    trajectory.init(service="trip", endpoint=collector.endpoint, resource={"deployment.environment.name": "test"})
    with trajectory.agent("planner"), trajectory.tool("search", arguments={"q": 1}) as call:
        call.result("found")
        assert trajectory.flush(5)
        assert [span.open for span in collector.spans()] == [True, True]
    assert trajectory.flush(5)
    assert [span.status for span in collector.spans()] == ["ok", "ok"]
    assert sum(isinstance(fact, Payload) for fact in collector.facts) == 2
    resource = collector.sources()[0].resource
    assert (resource["service.name"], resource["deployment.environment.name"]) == ("trip", "test")


def test_a_second_init_moves_on_and_the_first_ends_well(collector: FakeCollector) -> None:
    trajectory.init(service="one", endpoint=collector.endpoint)
    with trajectory.span("first"):
        pass
    trajectory.init(service="two", endpoint=collector.endpoint)
    with trajectory.span("second"):
        pass
    assert trajectory.flush(5)
    assert collector.wait_until(lambda it: any(source.said_bye for source in it.sources()))
    by_service = {source.resource["service.name"]: source for source in collector.sources()}
    assert by_service["one"].said_bye
    assert len(by_service["one"].facts) == len(by_service["two"].facts) == 2


def test_an_init_that_says_the_same_changes_nothing(collector: FakeCollector) -> None:
    trajectory.init(service="one", endpoint=collector.endpoint)
    with trajectory.agent("a"):
        trajectory.init(service="one", endpoint=collector.endpoint)
        with trajectory.span("inner"):
            pass
    assert trajectory.flush(5)
    assert len(collector.sources()) == 1


def test_a_span_that_is_open_at_an_init_ends_where_it_began(collector: FakeCollector) -> None:
    trajectory.init(service="one", endpoint=collector.endpoint)
    with trajectory.agent("a"):
        trajectory.init(service="two", endpoint=collector.endpoint)
        with trajectory.span("inner"):
            pass
    assert trajectory.flush(5)
    assert collector.wait_until(lambda it: [span.open for span in it.spans()] == [False, False])
    by_service = {one.resource["service.name"]: fold_spans(list(one.facts.values())) for one in collector.sources()}
    assert {service: [span.name for span in spans] for service, spans in by_service.items()} == {
        "one": ["invoke_agent a"],
        "two": ["inner"],
    }


def test_a_service_whose_name_is_no_unicode_is_a_source_like_any_other(collector: FakeCollector) -> None:
    trajectory.init(service="half \ud800", endpoint=collector.endpoint)
    with trajectory.agent("planner"):
        pass
    assert trajectory.flush(5)
    assert collector.sources()[0].resource["service.name"] == "half ?"


def test_a_sender_that_cannot_begin_says_so_and_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def nobody() -> Identity:
        raise OSError("no host name")

    delivery = WireDelivery(nobody, "", Origin(), QUICK)
    with caplog.at_level(logging.WARNING, "trajectory"):
        delivery.put((1,))
        assert not delivery.close(5)
        assert not delivery.flush(5)
    assert not delivery.put((1,))
    assert len(caplog.records) == 1


def test_a_flush_after_the_end_answers_at_once(collector: FakeCollector, line: Line) -> None:
    line.put(10)
    assert line.delivery.close(5)
    began_s = time.monotonic()
    assert line.delivery.flush(5)
    line.put(1)
    assert not line.delivery.flush(5)
    assert time.monotonic() - began_s < 1


def test_without_a_collector_a_flush_is_false_and_nothing_waits(caplog: pytest.LogCaptureFixture) -> None:
    trajectory.init(endpoint="tcp://127.0.0.1:1")
    began_s = time.monotonic()
    for _ in range(100):
        with trajectory.span("work"):
            pass
    assert time.monotonic() - began_s < 1
    assert trajectory.flush(0.2) is False
    assert tracers.default_tracer().delivery.close(0.2) is False


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"\xc1", "answers something that is no frame"),
        (frames.pack(7), "answers something that is no frame"),
        (frames.pack((frames.PROTOCOL_VERSION, frames.ACK, b"boot")), "answers something that is no frame"),
        (frames.pack((frames.PROTOCOL_VERSION, frames.ACK, b"boot", "all", 1)), "answers something that is no frame"),
        (frames.pack((99, frames.ACK, b"", 0, 0)), "it speaks protocol version 99"),
        (frames.pack((frames.PROTOCOL_VERSION, frames.REFUSED)), "no reason given"),
        (frames.pack((frames.PROTOCOL_VERSION, "a word of later")), ""),
    ],
)
def test_an_answer_that_is_none_is_said_once_and_harms_nothing(
    answer: bytes, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Babbling(FakeCollector):
        babbles = True

        def _take(self, socket: Any, peer: bytes, frame: bytes) -> None:
            if self.babbles:
                self.babbles = False
                socket.send_multipart([peer, answer])
            super()._take(socket, peer, frame)

    with Babbling() as babbling:
        line = Line(babbling.endpoint)
        line.put(5)
        assert line.delivery.flush(10) and line.delivery.close(5)
        assert numbers(babbling) == [1, 2, 3, 4, 5]
    assert [record.getMessage().count(said) for record in caplog.records] == ([1] if said else [])


def test_what_the_wire_has_no_room_for_is_in_the_file_and_a_gap_on_the_wire(
    collector: FakeCollector, tmp_path: Path
) -> None:
    collector.vanish()
    keeping = Keeping(DROP, jsonl=str(tmp_path / "said"))
    line = Line(collector.endpoint, limit_bytes=20_000, keeping=keeping)
    deadline_s = time.monotonic() + 10
    while not line.delivery.queue.dropped_count and time.monotonic() < deadline_s:
        line.put(100)
    collector.listen()
    assert not line.delivery.flush(10)
    line.put(1)
    assert line.delivery.close(10)
    with (tmp_path / "said").open("rb") as lines:
        written = [
            fact.at_ns for batch in read_jsonl(lines, "said") for fact in batch.facts if isinstance(fact, SpanEnded)
        ]
    assert written == list(range(1, line.put_count + 1))
    told = [fact for fact in collector.facts if isinstance(fact, SpanEnded)]
    lost_count = sum(fact.count for fact in collector.facts if isinstance(fact, Gap))
    assert lost_count and len(told) + lost_count == line.put_count


def test_the_beginning_of_an_answer_that_never_ended_leaves_with_its_process(
    collector: FakeCollector, line: Line
) -> None:
    line.delivery.put((SPAN_EVENT, b"t" * 16, b"s" * 8, 1, 1, "delta", "operational", {"text": "the key is AKI"}, {}))
    assert line.delivery.close(5)
    pieces = [fact.attributes["text"] for fact in collector.facts if isinstance(fact, SpanEvent)]
    assert "".join(pieces) == "the key is AKI"


def test_a_fake_collector_says_what_it_cannot_do_and_what_came_wrong(collector: FakeCollector) -> None:
    with pytest.raises(WireError, match="cannot listen at"):
        FakeCollector(collector.endpoint).listen()
    with pytest.raises(LookupError, match="no payload 6162 came"):
        collector.payload(b"ab")
    assert not collector.wait_until(lambda it: False, 0.0)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    peer = context.socket(zmq.DEALER)
    peer.connect(collector.endpoint)
    for frame in (b"no frame", watching.ask(1, -1, RunsQuery())):
        peer.send(frame)
    assert collector.wait_until(lambda it: it.frame_count == 2)
    peer.close(linger=0)
    context.term()
    assert len(collector.errors) == 1 and collector.facts == []
