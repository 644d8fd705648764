"""Clocks that differ: what is stored is what came, what is shown is in the order in which it happened, and health says so."""

import io

import pytest

from tests.collector.builders import (
    NOW_NS,
    SECOND_NS,
    SOURCE,
    TRACE,
    Bench,
    Peer,
    bench,
    ended,
    finding,
    span_id,
    started,
)
from trajectory.collector import skew
from trajectory.collector.at_rest import fold_stored, stored_batches
from trajectory.collector.folded import FoldedTrace
from trajectory.dialects.jsonl import read_jsonl, write_jsonl
from trajectory.dialects.otlp import read_request
from trajectory.export.contract import Subject
from trajectory.export.otlp import OTLP_PROTOBUF, request_of
from trajectory.model.fact import Batch, Fact, Found, Gap, Heartbeat, Marked, Payload, Source
from trajectory.model.words import CLOCK_CORRECTED, CLOCK_OFFSET
from trajectory.protocol import codec, frames
from trajectory.protocol.codec import HelloFrame

OTHER = Source(b"emitter-of-test2", b"boot-of-a-test-2", {"service.name": "other", "host.name": "host-b"})
BEHIND_NS = 62 * SECOND_NS


def hello(sent_at_ns: int, resource: dict[str, object] | None = None) -> bytes:
    return frames.hello(
        OTHER.emitter_id, OTHER.boot_id, OTHER.resource if resource is None else resource, 3, sent_at_ns
    )


def noted(
    sent_at_ns: int, received_at_ns: int, before: bytes = b"", resource: dict[str, object] | None = None
) -> bytes:
    body = hello(sent_at_ns, resource)
    frame = codec.read_frame(body)
    assert isinstance(frame, HelloFrame)
    return skew.noted(frame, body, received_at_ns, before)


def offset_in(kept: bytes) -> int:
    frame = codec.read_frame(kept)
    assert isinstance(frame, HelloFrame) and frame.next_seq == 3
    return skew.offset_of(frame.resource)


def say_hello(peer: Peer, sent_at_ns: int, held_seq: int = 0) -> None:
    source = peer.source
    peer.socket.send(frames.hello(source.emitter_id, source.boot_id, source.resource, held_seq, sent_at_ns))


def folded(collector: Bench) -> FoldedTrace:
    found = collector.pipeline.folded(TRACE)
    assert found is not None
    return found


# what is said of a clock


@pytest.mark.parametrize(
    ("sent_after_s", "offset_s"),
    [(0, 0), (0.2, 0), (0.3, -0.3), (-0.9, 0), (-1.1, 1.1), (3600, -3600), (-3600, 3600)],
)
def test_only_what_the_way_of_a_hello_does_not_explain_is_skew(sent_after_s: float, offset_s: float) -> None:
    sent_at_ns = NOW_NS + int(sent_after_s * SECOND_NS)
    assert offset_in(noted(sent_at_ns, NOW_NS)) == int(offset_s * SECOND_NS)


def test_an_estimate_stands_until_the_clock_was_set() -> None:
    first = noted(NOW_NS - BEHIND_NS, NOW_NS)
    assert (
        offset_in(noted(NOW_NS - BEHIND_NS, NOW_NS + SECOND_NS // 2, first)) == BEHIND_NS
    )  # it waited for half a second
    assert offset_in(noted(NOW_NS + 3600 * SECOND_NS, NOW_NS, first)) == -3600 * SECOND_NS
    assert offset_in(noted(NOW_NS, NOW_NS, first)) == 0
    for damaged in (
        b"\xc1",
        frames.bye(OTHER.emitter_id, OTHER.boot_id, 3),
    ):  # as if nothing was known of the clock before
        assert offset_in(noted(NOW_NS - BEHIND_NS, NOW_NS, damaged)) == BEHIND_NS


def test_a_hello_without_a_time_or_of_a_right_clock_is_kept_as_it_is() -> None:
    assert noted(0, NOW_NS) == hello(0)
    assert noted(NOW_NS, NOW_NS) == hello(0)


def test_nobody_sets_the_offset_for_us() -> None:
    forged = {**OTHER.resource, CLOCK_OFFSET: 5}
    assert offset_in(noted(NOW_NS, NOW_NS, resource=forged)) == 0
    for value in ("62", 1.5, True, 1 << 62, None):
        assert skew.offset_of({CLOCK_OFFSET: value}) == 0


def test_what_the_emitter_dated_is_moved_and_nothing_else() -> None:
    source = Source(b"e" * 16, b"b" * 16, {CLOCK_OFFSET: BEHIND_NS})
    ours: list[Fact] = [
        Gap(5, 2, "sequence"),
        Marked(TRACE, 5, "key", "mute"),
        Found(5, finding()),
        Payload(b"d" * 16, "text/plain", b"x"),
    ]
    theirs: list[Fact] = [started(1, at_ns=5), ended(1, at_ns=6), Heartbeat(7, 7, []), Gap(8, 2, "queue_full")]
    moved = skew.corrected(Batch(source, 0, [*ours, *theirs])).facts
    assert moved[:4] == ours
    assert [fact.at_ns - BEHIND_NS for fact in moved[4:]] == [5, 6, 7, 8]  # type: ignore[union-attr]
    right = Batch(SOURCE, 0, theirs)
    assert skew.corrected(right) is right


@pytest.mark.parametrize(
    ("offset_s", "words"),
    [(62, "62 s behind"), (-0.34, "0.3 s ahead"), (3600, "60 min behind"), (-1.5, "1.5 s ahead")],
)
def test_an_operator_reads_whose_clock_is_how_far_off(offset_s: float, words: str) -> None:
    assert skew.said("host-b", int(offset_s * 1e9)) == f"clock of host-b is {words}: its times are corrected"


# through the collector


def two_hosts(collector: Bench) -> None:
    """An agent on one host gives work to one on a host whose clock is 62 s behind; its answer is an effect, not a cause."""
    near, far = collector.peer(), collector.peer(OTHER)
    say_hello(near, NOW_NS)
    near.facts(0, started(1, at_ns=NOW_NS), started(2, 1, "delegation", at_ns=NOW_NS + 10))
    say_hello(far, NOW_NS - BEHIND_NS)
    far.facts(0, started(3, 2, at_ns=NOW_NS + 20 - BEHIND_NS), ended(3, at_ns=NOW_NS + 30 - BEHIND_NS))
    near.facts(2, ended(2, at_ns=NOW_NS + 40), ended(1, at_ns=NOW_NS + 50))
    collector.serve()


def test_a_skewed_hosts_effects_come_after_their_causes_and_what_is_stored_is_what_came() -> None:
    with bench() as collector:
        two_hosts(collector)
        live, replayed = folded(collector).trace, fold_stored(collector.store, TRACE).trace
        for trace in (live, replayed):
            spans = trace.spans
            assert [spans[span_id(n)].start_ns - NOW_NS for n in (1, 2, 3)] == [0, 10, 20]
            assert spans[span_id(3)].end_ns == NOW_NS + 30
            assert (trace.first_ns, trace.last_ns) == (NOW_NS, NOW_NS + 50)
        assert started(3, 2, at_ns=NOW_NS + 20 - BEHIND_NS) in collector.stored()
        assert collector.health().notices == ["clock of host-b is 62 s behind: its times are corrected"]


def test_a_replay_stops_at_the_instant_at_which_it_happened_here() -> None:
    with bench() as collector:
        two_hosts(collector)
        before = fold_stored(collector.store, TRACE, until_ns=NOW_NS + 15).trace.spans
        assert set(before) == {span_id(1), span_id(2)}
        assert fold_stored(collector.store, TRACE, until_ns=NOW_NS + 25).trace.spans[span_id(3)].is_open


def test_a_heartbeat_of_a_clock_that_is_behind_is_a_sign_of_life_now() -> None:
    with bench() as collector:
        far = collector.peer(OTHER)
        say_hello(far, NOW_NS - BEHIND_NS)
        far.facts(0, started(3, at_ns=NOW_NS - BEHIND_NS), Heartbeat(NOW_NS + 5 - BEHIND_NS, 5, [span_id(3)]))
        collector.serve()
        assert folded(collector).trace.heard_ns == {OTHER.emitter_id: NOW_NS + 5}


def test_a_clock_that_was_set_between_two_connections_is_corrected_anew_and_then_no_more() -> None:
    with bench() as collector:
        far = collector.peer(OTHER)
        for first_seq, off_s in enumerate((0, 3600, 0, -3600)):
            say_hello(far, NOW_NS + off_s * SECOND_NS)
            far.facts(first_seq, started(first_seq + 1, at_ns=NOW_NS + first_seq + off_s * SECOND_NS))
            collector.serve()
            notices = collector.health().notices
            assert [("ahead" in notice) - ("behind" in notice) for notice in notices] == (
                [off_s // 3600] if off_s else []
            )
        starts = [span.start_ns for span in folded(collector).trace.spans.values()]
        assert starts == [NOW_NS, NOW_NS + 1, NOW_NS + 2, NOW_NS + 3]


def test_few_clocks_are_said_one_by_one() -> None:
    with bench() as collector:
        for number in range(5):
            source = Source(bytes([number]) * 16, b"b" * 16, {"host.name": f"host-{number}"})
            far = collector.peer(source)
            say_hello(far, NOW_NS - BEHIND_NS)
            far.facts(0, started(number + 1, at_ns=NOW_NS))
        collector.serve()
        notices = collector.health().notices
        assert (len(notices), notices[-1]) == (4, "2 more clocks are corrected")
        collector.clock.passes(3600)
        assert collector.health().notices == []


# out and in again


def test_an_export_of_ours_says_both_and_is_corrected_once_where_it_comes_in() -> None:
    with bench() as collector, bench() as other:
        two_hosts(collector)
        lines = list(write_jsonl(stored_batches(collector.store, TRACE), TRACE))
        other.store.append(list(read_jsonl(lines)))
        assert fold_stored(other.store, TRACE).trace.spans[span_id(3)].start_ns == NOW_NS + 20
        assert other.stored() == collector.stored()


def test_otlp_is_written_with_corrected_times_that_say_so_and_is_not_corrected_again() -> None:
    with bench() as collector, bench() as other:
        two_hosts(collector)
        trace, out = fold_stored(collector.store, TRACE).trace, io.BytesIO()
        OTLP_PROTOBUF.write(Subject(trace, lambda: stored_batches(collector.store, TRACE), "trace"), out)
        keys = {
            a.key: a.value.int_value for group in request_of(trace).resource_spans for a in group.resource.attributes
        }
        assert keys[CLOCK_CORRECTED] == BEHIND_NS and CLOCK_OFFSET not in keys
        other.store.append(read_request(out.getvalue(), "protobuf").batches)
        assert fold_stored(other.store, TRACE).trace.spans[span_id(3)].start_ns == NOW_NS + 20
