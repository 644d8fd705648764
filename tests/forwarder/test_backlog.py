"""What of a store is forwarded, and when: spans that ended, once; open ones when nothing more is heard; never in circles."""

from collections.abc import Sequence

import msgspec
import pytest

from tests.collector.builders import Clock
from tests.export.build import START_NS, TRACE_ID, Scene, trip
from tests.store.memory import MemoryStore
from trajectory.dialects.otlp import read_request
from trajectory.forwarder.backlog import FRAMES, LOOK_NS, MARK, SILENT_NS, Backlog, marks_of
from trajectory.forwarder.requests import Portion, requests_of
from trajectory.model.fact import (
    Batch,
    Fact,
    Gap,
    Heartbeat,
    Payload,
    Source,
    SpanEnded,
    SpanEvent,
    SpanStarted,
    SpanUpdated,
)

SOURCE = Source(b"e" * 16, b"b" * 16, {"service.name": "svc"})
SILENCE_S = (SILENT_NS + LOOK_NS) / 1e9 + 60


def started(number: int, parent: int = 0) -> SpanStarted:
    return SpanStarted(
        TRACE_ID, key(number), key(parent) if parent else b"", START_NS + number, 0, "tool", f"span {number}"
    )


def ended(number: int) -> SpanEnded:
    return SpanEnded(TRACE_ID, key(number), START_NS + 100 + number, 0, "ok")


def key(number: int) -> bytes:
    return number.to_bytes(8, "big")


class Bench:
    """A store in memory, a clock that stands, and the backlog of one target."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.clock = Clock(START_NS)
        self.seq = 0
        self.backlog = self.begun()

    def begun(self, frame: int = 0, open_traces: Sequence[bytes] = ()) -> Backlog:
        return Backlog(self.store, "own", frame, open_traces, self.clock)

    def append(self, *facts: Fact, source: Source = SOURCE) -> None:
        self.store.append([Batch(source, self.seq, list(facts))])
        self.seq += len(facts)

    def taken(self) -> list[str]:
        """The names of the spans in the next portions."""
        return sorted(span.name for portion in self.backlog.take() or () for span in portion.spans)


def test_a_span_is_forwarded_when_it_has_ended_and_not_before() -> None:
    bench = Bench()
    bench.append(started(1), started(2, 1))
    assert bench.taken() == []
    bench.append(ended(2))
    assert bench.taken() == ["span 2"]
    bench.append(ended(1))
    assert bench.taken() == ["span 1"]
    assert bench.backlog.take() is None


def test_an_end_that_comes_before_its_start_waits_for_it_and_what_comes_later_is_sent_with_its_span() -> None:
    bench = Bench()
    bench.append(ended(1))
    assert bench.taken() == []
    bench.append(started(1))
    assert bench.taken() == ["span 1"]
    bench.append(SpanEvent(TRACE_ID, key(1), START_NS + 5, 0, "late"))
    assert bench.taken() == ["span 1"]


def test_many_frames_are_taken_a_part_at_a_time_and_a_trace_that_was_let_go_is_read_as_far_as_it_was_taken() -> None:
    bench = Bench()
    bench.append(started(1))
    for number in range(2, FRAMES + 10):
        bench.append(started(number, 1), ended(number))
    first = bench.taken()
    assert len(first) == FRAMES - 1 and bench.backlog.frame == FRAMES
    bench.backlog = bench.begun(bench.backlog.frame)
    assert len(bench.taken()) == 9 and bench.backlog.take() is None


def test_what_is_open_when_nothing_more_is_heard_is_sent_open_and_once() -> None:
    bench = Bench()
    bench.append(started(1), started(2, 1), ended(2))
    assert bench.taken() == ["span 2"]
    bench.clock.passes(30)
    assert bench.backlog.take() is None and bench.backlog.open_traces == [TRACE_ID]
    bench.backlog = bench.begun(bench.backlog.frame, bench.backlog.open_traces)  # after a restart too
    bench.clock.passes(SILENCE_S)
    (portion,) = bench.backlog.take() or []
    assert [span.name for span in portion.spans] == ["span 1"] and portion.is_over
    bench.clock.passes(SILENCE_S)
    assert bench.backlog.take() is None and bench.backlog.open_traces == []
    (request,) = requests_of([portion], marks_of("own"))
    (span,) = request.resource_spans[0].scope_spans[0].spans
    assert span.end_time_unix_nano == START_NS + 102  # the last that is known of the trace
    facts = [f for b in read_request(request.SerializeToString(), "protobuf").batches for f in b.facts]
    assert [type(fact) for fact in facts if not isinstance(fact, Payload)] == [SpanStarted]  # and open again, for us
    bench.append(ended(1))
    assert bench.taken() == ["span 1"]


def test_what_is_still_heard_of_is_waited_for_however_long() -> None:
    bench = Bench()
    bench.append(started(1), of(2, started(2)), of(2, ended(2)))
    assert bench.taken() == ["span 2"]
    bench.clock.passes(SILENT_NS / 1e9 + 1)
    bench.append(Heartbeat(bench.clock(), 1, [key(1)]), Gap(bench.clock(), 1, "queue_full"))
    assert bench.taken() == []
    bench.clock.passes(LOOK_NS / 1e9 + 1)
    assert bench.backlog.take() is None and bench.backlog.open_traces == [TRACE_ID]
    bench.clock.passes(SILENCE_S)
    assert bench.taken() == ["span 1"] and bench.backlog.open_traces == []


def of(trace: int, fact: SpanStarted | SpanEnded) -> Fact:
    return msgspec.structs.replace(fact, trace_id=trace.to_bytes(16, "big"))


def test_of_more_traces_than_are_kept_each_span_is_sent_once_and_those_open_for_longest_are_waited_for_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trajectory.forwarder.backlog.KEPT_TRACES", 1)
    monkeypatch.setattr("trajectory.forwarder.backlog.OPEN_TRACES", 2)
    bench, traces = Bench(), range(1, 5)
    for trace in traces:
        bench.append(of(trace, started(trace)), of(trace, started(10 * trace, trace)), of(trace, ended(10 * trace)))
        assert bench.taken() == [f"span {10 * trace}"]
    assert bench.backlog.open_traces == [trace.to_bytes(16, "big") for trace in (3, 4)]
    bench.append(of(1, ended(1)))
    assert bench.taken() == ["span 1"]  # its trace was let go, and is read again
    bench.clock.passes(SILENCE_S)
    assert bench.taken() == ["span 3", "span 4"]
    bench.append(of(2, SpanUpdated(TRACE_ID, key(20), START_NS, 0)))
    bench.clock.passes(SILENCE_S)
    assert bench.taken() == ["span 20"]
    bench.clock.passes(SILENCE_S)
    assert bench.taken() == ["span 2"]


def test_what_this_forwarder_sent_before_is_not_sent_again_and_what_others_sent_is() -> None:
    bench = Bench()
    scene = trip()
    (request,) = requests_of([Portion(scene.trace(), list(scene.trace().spans.values()))], marks_of("own"))
    (theirs,) = requests_of([Portion(scene.trace(), list(scene.trace().spans.values()))], marks_of("other"))
    for batch in read_request(request.SerializeToString(), "protobuf").batches:
        assert batch.source.resource[MARK] == ["own"]
        bench.append(*batch.facts, source=batch.source)
    assert bench.taken() == []
    bench.clock.passes(SILENCE_S)
    assert bench.taken() == []
    for batch in read_request(theirs.SerializeToString(), "protobuf").batches:
        bench.append(*batch.facts, source=batch.source)
        assert marks_of("own")(batch.source.resource)[MARK] == ["other", "own"]
    assert len(bench.taken()) == len(scene.trace().spans) - 1  # one of them is open


def test_a_round_of_many_forwarders_comes_to_its_end() -> None:
    bench = Bench()
    scene = Scene()
    scene.span("agent", "a", agent="a")
    mark = {MARK: [f"forwarder {n}" for n in range(16)]}
    for _, fact in scene.facts:
        bench.append(fact, source=Source(b"x" * 16, b"y" * 16, mark))
    assert bench.taken() == []
