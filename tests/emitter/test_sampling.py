"""Sampling by trace: whole traces or none, errors always, bodies before whoever names them, and all of it in bounded memory."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trajectory
from trajectory.emitter import tracer as tracers
from trajectory.emitter.plan import plan_of
from trajectory.emitter.processors import sampling as rooms
from trajectory.emitter.processors.sampling import Sampling, is_chosen
from trajectory.protocol.frames import GAP, HEARTBEAT, PAYLOAD, SPAN_ENDED, SPAN_EVENT, SPAN_STARTED
from trajectory.testing import FakeCollector

Fact = tuple[Any, ...]
IN, OUT = b"\xff" * 16, b"\0" * 16  # chosen at every ratio above 0; at none below 1


def started(trace: bytes, span: int, *digests: bytes, text: str = "") -> Fact:
    contents = {"input": list(digests)}
    return (SPAN_STARTED, trace, bytes([span]) * 8, b"", 1, 1, "tool", "n", "a", "operational", {"t": text}, contents)


def ended(trace: bytes, span: int, status: str = "ok") -> Fact:
    return (SPAN_ENDED, trace, bytes([span]) * 8, 2, 2, status, "", {}, {})


def exception(trace: bytes, span: int) -> Fact:
    return (SPAN_EVENT, trace, bytes([span]) * 8, 2, 2, "exception", "operational", {}, {})


def body(digest: bytes, size: int = 1) -> Fact:
    return (PAYLOAD, digest, "text/plain", b"x" * size)


def sampling(ratio: float = 0.5, held_bytes: int = 1 << 20) -> Sampling:
    return Sampling(ratio, lambda digest: None, held_bytes)


def passed(sampler: Sampling, *facts: Fact) -> list[Fact]:
    return [one for fact in facts for one in sampler.passing(fact)]


def test_the_same_trace_is_chosen_in_every_process_and_more_of_them_at_a_higher_ratio() -> None:
    ids = [
        number.to_bytes(9, "big") + (number * 0x9E3779B97F4A7C15 % (1 << 56)).to_bytes(7, "big")
        for number in range(4000)
    ]
    chosen = [{one for one in ids if is_chosen(one, ratio)} for ratio in (0.0, 0.1, 0.5, 1.0)]
    assert [len(those) for those in chosen] == [0, pytest.approx(400, rel=0.1), pytest.approx(2000, rel=0.1), 4000]
    assert chosen[0] < chosen[1] < chosen[2] < chosen[3]


def test_a_chosen_trace_passes_at_once_and_another_not_at_all() -> None:
    sampler = sampling()
    chosen = [started(IN, 1), started(IN, 2), ended(IN, 2), ended(IN, 1)]
    assert passed(sampler, *chosen) == chosen
    assert passed(sampler, started(OUT, 1), started(OUT, 2), ended(OUT, 2), ended(OUT, 1)) == []
    assert list(sampler.rest()) == []


@pytest.mark.parametrize("error", [ended(OUT, 2, "error"), exception(OUT, 2)], ids=["status", "exception"])
def test_an_error_sends_what_waited_and_what_follows_in_order(error: Fact) -> None:
    sampler = sampling()
    before, after = [started(OUT, 1), started(OUT, 2)], [started(OUT, 3), ended(OUT, 3), ended(OUT, 1)]
    assert passed(sampler, *before) == []
    assert passed(sampler, error) == [*before, error]
    assert passed(sampler, *after) == after


def test_an_error_in_a_later_part_of_a_trace_sends_that_part() -> None:
    sampler = sampling()
    assert passed(sampler, started(OUT, 1), ended(OUT, 1)) == []
    assert passed(sampler, started(OUT, 2), ended(OUT, 2, "error")) == [started(OUT, 2), ended(OUT, 2, "error")]


def test_a_body_leaves_once_before_the_first_fact_that_leaves_and_names_it() -> None:
    sampler = sampling()
    assert passed(sampler, body(b"b"), started(OUT, 1, b"b"), ended(OUT, 1)) == []
    assert passed(sampler, started(IN, 2, b"b"), started(IN, 3, b"b")) == [
        body(b"b"),
        started(IN, 2, b"b"),
        started(IN, 3, b"b"),
    ]


def test_what_is_about_the_process_passes() -> None:
    about = [(HEARTBEAT, 1, 1, []), (GAP, 1, 1, "queue_full")]
    assert passed(sampling(0.0), *about) == about


def test_a_trace_that_outgrows_the_memory_is_sent_whole() -> None:
    sampler = sampling(held_bytes=50_000)
    facts = [started(OUT, 1), *[started(OUT, 2, text="x" * 1000) for _ in range(100)], ended(OUT, 2), ended(OUT, 1)]
    assert passed(sampler, *facts) == facts


def test_many_open_traces_wait_in_bounded_memory() -> None:
    sampler = sampling(held_bytes=100_000)
    sent = [one for number in range(10_000) for one in passed(sampler, started(number.to_bytes(16, "big"), 1))]
    assert len(sampler._waiting) == 100 and len(sent) == 9_900


def test_bodies_that_nobody_asks_for_are_let_go_and_the_tracer_sends_them_again() -> None:
    forgotten: list[bytes] = []
    sampler = Sampling(0.5, forgotten.append, 10_000)
    for number in range(5000):
        digest = number.to_bytes(16, "big")
        assert passed(sampler, body(digest, 1000), started(OUT, 1, digest), ended(OUT, 1)) == []
    assert len(forgotten) == 4990
    assert len(sampler._bodies._bodies) == 10


@pytest.mark.parametrize("trace", [IN, OUT])
def test_a_body_that_waits_is_not_let_go_for_one_that_the_same_fact_names(trace: bytes) -> None:
    sampler = sampling(held_bytes=1500)
    assert passed(sampler, body(b"a", 1000), started(OUT, 1, b"a"), ended(OUT, 1)) == []
    out = passed(sampler, body(b"b", 1000), started(trace, 2, b"a", b"b"), ended(trace, 2, "error"))
    assert [fact[:2] for fact in out[:3]] == [(PAYLOAD, b"a"), (PAYLOAD, b"b"), (SPAN_STARTED, trace)]


def test_a_trace_that_is_open_at_the_end_of_the_process_is_sent() -> None:
    sampler = sampling()
    assert passed(sampler, body(b"b"), started(OUT, 1, b"b")) == []
    assert list(sampler.rest()) == [body(b"b"), started(OUT, 1, b"b")]


class Emitter:
    """The part of the step before: a body goes ahead of the first fact that names it, and again once it is forgotten."""

    def __init__(self, held_bytes: int) -> None:
        self.sent: set[bytes] = set()
        self.sampler = Sampling(0.5, self.sent.discard, held_bytes)
        self.out: list[Fact] = []

    def emit(self, fact: Fact, *digests: bytes) -> None:
        for digest in digests:
            if digest not in self.sent:
                self.sent.add(digest)
                self.out += self.sampler.passing(body(digest, 300))
        self.out += self.sampler.passing(fact)


STEPS = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.sampled_from(["start", "end", "fail"]),
        st.lists(st.integers(0, 20).map(lambda number: bytes([number]) * 16), max_size=3),
    ),
    max_size=120,
)


@settings(max_examples=150)
@given(steps=STEPS, held_bytes=st.sampled_from([2000, 10_000, 1 << 20]))
def test_traces_are_whole_or_absent_errors_are_there_and_bodies_come_first(steps: list[Any], held_bytes: int) -> None:
    emitter = Emitter(held_bytes)
    told: dict[bytes, list[Fact]] = {}
    open_spans: dict[int, list[int]] = {}
    runs = dict.fromkeys(range(6), 0)
    for number, (trace, step, digests) in enumerate(steps):
        spans = open_spans.setdefault(trace, [])
        if step != "start" and not spans:
            continue
        trace_id = bytes([runs[trace], trace]) + (IN if trace % 2 else OUT)[2:]
        if step == "start":
            spans.append(number % 256)
            fact = started(trace_id, spans[-1], *digests)
        else:
            fact = ended(trace_id, spans.pop(), "error" if step == "fail" else "ok")
        told.setdefault(trace_id, []).append(fact)
        emitter.emit(fact, *(digests if step == "start" else []))
        runs[trace] += not spans
    emitter.out += emitter.sampler.rest()
    there: set[bytes] = set()
    came: dict[bytes, list[Fact]] = {}
    for fact in emitter.out:
        if fact[0] == PAYLOAD:
            there.add(fact[1])
            continue
        came.setdefault(fact[1], []).append(fact)
        assert fact[0] != SPAN_STARTED or there.issuperset(fact[-1]["input"])
    for trace_id, facts in told.items():
        assert came.get(trace_id, facts) == facts
        if trace_id[-1] or any(fact[0] == SPAN_ENDED and fact[5] == "error" for fact in facts):
            assert trace_id in came


@pytest.mark.parametrize("failing", [False, True])
def test_a_process_that_samples_sends_only_its_errors(collector: FakeCollector, failing: bool) -> None:
    trajectory.init("service", collector.endpoint, sample_ratio=0.0)
    for number in range(20):
        try:
            with trajectory.agent("a"), trajectory.tool("t", arguments={"n": number}):
                if failing and number == 7:
                    raise ValueError("no")
        except ValueError:
            pass
    tracer = tracers.use(None)
    assert tracer is not None and tracer.close(10)
    spans = collector.spans()
    assert [span.name for span in spans] == (["invoke_agent a", "t"] if failing else [])
    assert all(span.status == "error" for span in spans)
    bodies = [collector.payload(digest).body for span in spans for digest in span.contents.get("arguments", [])]
    assert bodies == ([b'{"n":7}'] if failing else [])


@pytest.mark.parametrize("wish", [-1, 2, "half", float("nan")], ids=str)
def test_a_ratio_that_makes_no_sense_sends_everything(wish: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert plan_of(sample_ratio=wish).sample_ratio == 1.0
    assert "sample_ratio is a number from 0 to 1" in caplog.text


def test_the_environment_decides_the_ratio_where_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAJECTORY_SAMPLE_RATIO", "0.25")
    assert plan_of().sample_ratio == 0.25
    assert plan_of(sample_ratio=0.0).sample_ratio == 0.0


def test_of_traces_that_were_sent_for_an_error_only_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "KEPT_TRACES", 2)
    sampler = sampling()
    traces = [bytes(15) + bytes([n]) for n in range(3)]
    for trace in traces:
        assert len(passed(sampler, started(trace, 1), ended(trace, 1, "error"))) == 2
    assert [len(passed(sampler, started(trace, 2))) for trace in traces] == [0, 1, 1]


def test_a_body_that_is_said_again_while_it_waits_is_held_once() -> None:
    sampler = sampling(held_bytes=1500)
    assert passed(sampler, body(b"a", 1000), body(b"a", 1000), started(OUT, 1, b"a"), ended(OUT, 1)) == []
    assert sampler._bodies._size_bytes == 1000
