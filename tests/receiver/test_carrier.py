"""The way to the collector: everything arrives once, whichever process dies in between."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.collector.builders import started, wait_for
from tests.collector.test_front import apart
from tests.emitter.test_spool import ODD, OTHERS, Babbling
from trajectory.collector.quotas import Limits
from trajectory.collector.server import Collector
from trajectory.model.fact import Batch, Fact, Gap, Payload, Source
from trajectory.protocol.frames import MAX_FRAME_BYTES
from trajectory.receiver import carrier as carriers
from trajectory.receiver.carrier import Carrier
from trajectory.store.sqlite import open_reader
from trajectory.testing import FakeCollector


def source(number: int, **resource: object) -> Source:
    return Source(b"otlp-source-%04d" % number, b"", {"service.name": f"svc-{number}", **resource})


class Ends:
    """How the carrier ended what it was given."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def __call__(self, reason: str) -> None:
        self.said.append(reason)

    def wait(self, count: int) -> list[str]:
        wait_for(lambda: len(self.said) >= count, lambda: time.sleep(0.005))
        return self.said


def held(store: Path) -> list[Fact]:
    reader = open_reader(store)
    facts = [fact for batch in reader.all_batches() for fact in batch.facts]
    reader.close()
    return facts


def test_facts_of_many_sources_arrive_once_and_each_source_in_its_order(tmp_path: Path) -> None:
    ends = Ends()
    with apart(tmp_path / "store") as (collector, _):
        carrier = Carrier(collector.endpoint)
        for turn in range(5):
            carrier.bring([Batch(source(at), 0, [started(turn * 100 + at)]) for at in range(1, 41)], ends)
        assert ends.wait(5) == [""] * 5
        carrier.close()
    found = [fact.span_id for fact in held(tmp_path / "store")]  # type: ignore[union-attr]
    wanted = [[started(turn * 100 + at).span_id for turn in range(5)] for at in range(1, 41)]
    assert sorted(found) == sorted(span_id for mine in wanted for span_id in mine)
    for mine in wanted:
        assert [span_id for span_id in found if span_id in mine] == mine


def test_an_intake_that_dies_loses_and_doubles_nothing(tmp_path: Path) -> None:
    ends = Ends()
    with apart(tmp_path / "store") as (collector, front):
        carrier = Carrier(collector.endpoint)
        for number in range(1, 301):
            carrier.bring([Batch(source(number % 3), 0, [started(number)])], ends)
            if number == 150:
                os.kill(front.pid, signal.SIGKILL)
        assert ends.wait(300) == [""] * 300
        carrier.close()
    assert sorted(fact.span_id for fact in held(tmp_path / "store")) == sorted(  # type: ignore[union-attr]
        started(number).span_id for number in range(1, 301)
    )


def test_whom_the_collector_refuses_hears_why_and_the_others_go_on(tmp_path: Path) -> None:
    collector = Collector(str(tmp_path / "store"), (), "tcp://127.0.0.1:*", limits=Limits(emitters=1))
    thread = threading.Thread(target=collector.run, daemon=True)
    thread.start()
    first, second = Ends(), Ends()
    carrier = Carrier(collector.endpoint)
    carrier.bring([Batch(source(1), 0, [started(1)])], first)
    assert first.wait(1) == [""]
    carrier.bring([Batch(source(2), 0, [started(2)])], second)
    (refusal,) = second.wait(1)
    assert "emitters" in refusal
    carrier.bring([Batch(source(1), 0, [started(3)])], first)
    assert first.wait(2) == ["", ""]
    carrier.close()
    collector.stop()
    thread.join(30)
    assert [fact.span_id for fact in held(tmp_path / "store")] == [  # type: ignore[union-attr]
        started(1).span_id,
        started(3).span_id,
    ]


def test_a_fact_that_no_frame_can_hold_is_a_gap_in_its_place(tmp_path: Path) -> None:
    ends = Ends()
    large = Payload(b"digest-of-a-body", "text/plain", bytes(MAX_FRAME_BYTES))
    with apart(tmp_path / "store") as (collector, _):
        carrier = Carrier(collector.endpoint)
        carrier.bring([Batch(source(1), 0, [large, started(1)])], ends)
        assert ends.wait(1) == [""]
        carrier.close()
    gap, span = held(tmp_path / "store")
    assert isinstance(gap, Gap) and gap.reason == "quarantined" and "larger than a frame" in gap.detail
    assert span == started(1)


def test_a_source_whose_resource_changed_is_told_of_anew(tmp_path: Path) -> None:
    ends = Ends()
    with apart(tmp_path / "store") as (collector, _):
        carrier = Carrier(collector.endpoint)
        carrier.bring([Batch(source(1), 0, [started(1)])], ends)
        ends.wait(1)
        carrier.bring([Batch(source(1, version="2"), 0, [started(2)])], ends)
        assert ends.wait(2) == ["", ""]
        carrier.close()
    reader = open_reader(tmp_path / "store")
    resources = [batch.source.resource for batch in reader.all_batches()]
    reader.close()
    assert [resource.get("version") for resource in resources] == [None, "2"]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A carrier that loses its patience soon."""
    for name, seconds in {
        "_RESEND_S": 0.02,
        "_SILENCE_S": 0.1,
        "_REFUSED_S": 0.02,
        "_IDLE_S": 0.02,
    }.items():
        monkeypatch.setattr(carriers, name, seconds)


@pytest.mark.usefixtures("quick")
def test_what_a_failing_intake_forgot_is_sent_again() -> None:
    ends = Ends()
    with FakeCollector() as collector:
        carrier = Carrier(collector.endpoint)
        carrier.bring([Batch(source(1), 0, [started(1)])], ends)
        assert ends.wait(1) == [""]
        collector.lose_frames(1)
        carrier.bring([Batch(source(1), 0, [started(2)])], ends)
        for number in range(3, 6):  # its answers to others are signs of life
            carrier.bring([Batch(source(number), 0, [started(number)])], ends)
        assert ends.wait(5) == [""] * 5
        carrier.close()
        assert sorted(fact.span_id for fact in collector.facts) == [started(n).span_id for n in range(1, 6)]  # type: ignore[union-attr]


@pytest.mark.usefixtures("quick")
def test_an_intake_that_falls_silent_or_refuses_all_of_a_sudden_is_connected_to_anew() -> None:
    ends = Ends()
    with FakeCollector() as collector:
        carrier = Carrier(collector.endpoint)
        collector.hold_acks()
        carrier.bring([Batch(source(1), 0, [started(1)])], ends)
        assert collector.wait_until(lambda it: sum(one.hello_count for one in it.sources()) > 1)
        collector.hold_acks(False)
        assert ends.wait(1) == [""]
        collector.refuse("not now")
        carrier.bring([Batch(source(1), 0, [started(2)])], ends)
        assert ends.wait(2) == ["", "the collector refuses: not now"]
        collector.refuse("")
        carrier.bring([Batch(source(1), 0, [started(2)])], ends)
        assert ends.wait(3)[2] == ""
        carrier.close()
        assert [fact.span_id for fact in collector.facts] == [started(1).span_id, started(2).span_id]  # type: ignore[union-attr]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("answer", [ODD[0], ODD[1], ODD[3], OTHERS])
def test_an_answer_that_is_none_ends_nothing(answer: bytes) -> None:
    ends = Ends()
    with Babbling(answer) as collector:
        carrier = Carrier(collector.endpoint)
        carrier.bring([Batch(source(1), 0, [started(1)])], ends)
        assert ends.wait(1) == [""]
        carrier.close()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("endpoint", ["nonsense", "tcp://127.0.0.1:1"])
def test_what_waits_where_no_collector_is_hears_that_the_receiver_stops(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carriers, "_END_S", 0.2)
    ends = Ends()
    carrier = Carrier(endpoint)
    carrier.bring([Batch(source(1), 0, [started(1)]), Batch(source(2), 0, [started(2)])], ends)
    carrier.close()
    assert ends.said == ["the receiver stops"]  # once, though it waited for two


@pytest.mark.usefixtures("quick")
def test_facts_that_wait_keep_the_resource_that_they_came_with() -> None:
    ends = Ends()
    with FakeCollector() as collector:
        collector.hold_acks()
        carrier = Carrier(collector.endpoint)
        carrier.bring([Batch(source(1), 0, [started(1)])], ends)
        assert collector.wait_until(lambda it: bool(it.sources()))
        carrier.bring([Batch(source(1, version="2"), 0, [started(2)])], ends)
        wait_for(lambda: not carrier._given, lambda: time.sleep(0.005))
        collector.hold_acks(False)
        assert ends.wait(2) == ["", ""]
        carrier.close()
        (only,) = collector.sources()
        assert len(only.facts) == 2 and only.resource == source(1).resource


@pytest.mark.usefixtures("quick")
def test_sources_that_have_nothing_to_say_make_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carriers, "_MOST_LANES", 2)
    ends = Ends()
    with FakeCollector() as collector:
        carrier = Carrier(collector.endpoint)
        for number in range(1, 6):
            carrier.bring([Batch(source(number), 0, [started(number)])], ends)
            assert ends.wait(number)[-1] == ""
        assert collector.wait_until(lambda it: sum(one.said_bye for one in it.sources()) >= 3)
        carrier.close()
        assert collector.wait_until(lambda it: all(one.said_bye for one in it.sources())) and len(collector.facts) == 5
