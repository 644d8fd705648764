"""Limits of the intake: a flood holds up nobody else, who is over its rate waits and loses nothing, and too many are told so."""

import threading
from pathlib import Path

from tests.collector.builders import SOURCE, Bench, Peer, bench, started
from tests.collector.test_feeds import running
from trajectory.collector.quotas import HOLD_S, Limits, Quotas
from trajectory.emitter.delivery import WireDelivery
from trajectory.emitter.identity import identity_of
from trajectory.model.fact import Gap, Source, SpanStarted
from trajectory.protocol import frames
from trajectory.store.sqlite import open_reader

FRAME = 256


class Seconds:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.at_s = 100.0

    def __call__(self) -> float:
        return self.at_s


def source(number: int) -> Source:
    return Source(number.to_bytes(16, "big"), b"b" * 16, {"service.name": f"s{number}"})


def told(collector: Bench, peer: Peer, first_seq: int, count: int = FRAME) -> list[list[object]]:
    """What an emitter is answered to so many facts in one frame."""
    peer.facts(first_seq, *(started(number) for number in range(first_seq + 1, first_seq + count + 1)))
    collector.serve()
    return peer.answers()


def test_a_flood_by_one_emitter_does_not_hold_up_another() -> None:
    with bench() as collector:
        flood, quiet = collector.peer(source(1)), collector.peer(source(2))
        flood.hello()
        for number in range(900):
            flood.facts(number, started(number + 1))
        quiet.hello()
        quiet.facts(0, started(1000))
        collector.intake.round(0.0)
        assert quiet.acks()[-1] == 1
        assert flood.acks()[-1] < 900


def test_who_is_over_its_rate_waits_for_its_acknowledgement_and_may_then_have_one_frame_under_way() -> None:
    seconds = Seconds()
    with bench(quotas=Quotas(Limits(facts_per_s=1024), seconds)) as collector:
        peer = collector.peer()
        peer.hello()
        collector.serve()
        assert peer.answers() == [[frames.ACK, SOURCE.boot_id, 0, frames.WINDOW_FRAMES]]
        assert told(collector, peer, 0) == [[frames.ACK, SOURCE.boot_id, 256, frames.WINDOW_FRAMES]]
        assert told(collector, peer, 256) == [[frames.ACK, SOURCE.boot_id, 512, frames.WINDOW_FRAMES]]
        assert told(collector, peer, 512) == [[frames.ACK, SOURCE.boot_id, 768, 1]]
        assert told(collector, peer, 768) == [[frames.ACK, SOURCE.boot_id, 1024, 1]]
        assert told(collector, peer, 1024) == []
        assert len(collector.stored()) == 1280
        seconds.at_s += 0.2
        collector.serve()
        assert peer.answers() == []
        seconds.at_s += 0.06
        collector.serve()
        assert peer.answers() == [[frames.ACK, SOURCE.boot_id, 1280, 1]]
        seconds.at_s += 60
        assert told(collector, peer, 1280) == [[frames.ACK, SOURCE.boot_id, 1536, frames.WINDOW_FRAMES]]
        assert collector.health().dropped_count == 0


def test_an_acknowledgement_is_held_back_a_second_at_most_and_that_of_a_farewell_never() -> None:
    seconds = Seconds()
    with bench(quotas=Quotas(Limits(facts_per_s=1), seconds)) as collector:
        peer = collector.peer()
        peer.hello()
        for at in range(0, 1024, FRAME):
            told(collector, peer, at)
        assert told(collector, peer, 1024) == []
        seconds.at_s += HOLD_S
        collector.serve()
        assert peer.acks() == [1280]
        assert told(collector, peer, 1280) == []
        peer.bye(1536)
        collector.serve()
        assert peer.acks() == [1536]


def test_one_emitters_rate_is_no_other_emitters_concern() -> None:
    with bench(quotas=Quotas(Limits(facts_per_s=1), Seconds())) as collector:
        loud, quiet = collector.peer(source(1)), collector.peer(source(2))
        loud.hello()
        quiet.hello()
        for at in range(0, 1024, FRAME):
            told(collector, loud, at)
        assert told(collector, quiet, 0, count=1)[-1] == [frames.ACK, b"b" * 16, 1, frames.WINDOW_FRAMES]


def test_one_emitter_too_many_is_refused_with_the_reason_and_counted_until_another_has_gone() -> None:
    with bench(quotas=Quotas(Limits(emitters=2))) as collector:
        peers = [collector.peer(source(number)) for number in range(4)]
        for peer in peers[:3]:
            peer.hello()
        collector.serve()
        assert [peer.answers()[0][0] for peer in peers[:3]] == [frames.ACK, frames.ACK, frames.REFUSED]
        assert any("1 refused, the last: 2 emitters" in notice for notice in collector.health().notices)
        peers[0].hello()
        collector.serve()
        assert peers[0].acks() == [0]
        peers[0].bye(0)
        collector.serve()
        peers[2].hello()
        collector.serve()
        assert peers[2].acks() == [0]
        peers[3].hello()
        collector.serve()
        assert "no more may" in str(peers[3].answers())
        collector.clock.passes(61)
        peers[3].hello()
        collector.serve()
        assert peers[3].acks() == [0]


class Origin:
    """What a sender asks of its tracer."""

    def pulse(self) -> None:
        return None

    def now_ns(self) -> int:
        return 1

    def forget_sent(self) -> None:
        return None


def test_a_real_emitter_that_is_slowed_down_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Ten thousand facts at a rate of eight thousand a second, over a real socket, beside one that is quiet."""
    count = 10_000
    with running(tmp_path / "store", limits=Limits(facts_per_s=8_000)) as collector:
        loud, quiet = (
            WireDelivery(lambda name=name: identity_of(name, {}), collector.endpoint, Origin())
            for name in ("loud", "quiet")
        )
        for number in range(count):
            loud.put((1, b"t" * 16, (number + 1).to_bytes(8, "big"), b"", number + 1, 0, "tool", "n", "a"))
        waiting = threading.Thread(target=loud.flush, args=(30,))
        waiting.start()
        quiet.put((1, b"u" * 16, b"s" * 8, b"", 1, 0, "tool", "quiet", "a"))
        assert quiet.flush(10)
        waiting.join(30)
        assert loud.flush(30)
        loud.close(2)
        quiet.close(2)
    reader = open_reader(tmp_path / "store")
    facts = [fact for batch in reader.all_batches() for fact in batch.facts]
    reader.close()
    assert sorted(fact.at_ns for fact in facts if isinstance(fact, SpanStarted) and fact.name == "n") == list(
        range(1, count + 1)
    )
    assert not [fact for fact in facts if isinstance(fact, Gap)]
