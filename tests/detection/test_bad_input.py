"""Traces in shapes that no program means to send: nobody raises, and work grows with what was sent and not with its square.

What is counted is how often a span is looked at, a payload asked for, a text read: counts do not depend on the machine.
"""

import random
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from tests.detection.asking import calls_of
from tests.scenarios import SOURCE, START_NS, STEP_NS
from trajectory.detection.cascade import Cascades
from trajectory.detection.judge import TraceJudge
from trajectory.detection.provenance import provenance_of
from trajectory.detection.touched import Touched
from trajectory.graph.trace import Trace
from trajectory.model.content import JSON, TEXT, digest
from trajectory.model.fact import Fact, Finding, SpanEnded, SpanStarted
from trajectory.model.words import ERROR_TYPE, TOOL_NAME, Slot, SpanKind

TRACE_ID = b"bad-input-trace1"
Bodies = dict[bytes, tuple[str, bytes]]


class Sent:
    """Facts as a program that does not know what it does sends them."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.bodies: Bodies = {}

    def span(
        self, number: int, parent: int, kind: str, *, lasts: int = 1, error: str = "", said: str = "", asked: str = "",
        media: str = TEXT,
    ) -> None:  # fmt: skip
        at_ns = START_NS + number * STEP_NS
        told, got = (Slot.OUTPUT, Slot.INPUT) if kind != SpanKind.TOOL else (Slot.RESULT, Slot.ARGUMENTS)
        attributes: dict[str, Any] = {TOOL_NAME: "search"} if kind == SpanKind.TOOL else {}
        agent = f"agent {number % 5}" if kind == SpanKind.AGENT else ""
        self.facts += [
            SpanStarted(
                TRACE_ID, _id(number), _id(parent) if parent else b"", at_ns, 0, kind, "x", agent, attributes=attributes,
                contents={str(got): [self._body(asked, media)]} if asked else {},
            ),
            SpanEnded(
                TRACE_ID, _id(number), at_ns + lasts * STEP_NS, 0, "error" if error else "ok", error,
                {ERROR_TYPE: "Boom"} if error else {}, {str(told): [self._body(said, media)]} if said else {},
            ),
        ]  # fmt: skip

    def _body(self, text: str, media: str) -> bytes:
        address = digest(media, text.encode())
        self.bodies[address] = (media, text.encode())
        return address


def _id(number: int) -> bytes:
    return number.to_bytes(8, "big")


def judge(sent: Sent, facts: Iterable[Fact] | None = None, every: int = 50) -> TraceJudge:
    trace = Trace(TRACE_ID, sent.bodies.get)
    judged = TraceJudge(trace, [Cascades])
    for count, fact in enumerate(sent.facts if facts is None else facts, 1):
        trace.apply(fact, SOURCE)
        judged.observe(fact)
        if count % every == 0:
            judged.settle(trace.last_ns)
    judged.settle(trace.last_ns)
    provenance_of(trace).refresh()
    provenance_of(trace).links()
    assert judged.raised == {}, judged.faults
    return judged


def standing(judged: TraceJudge) -> list[Finding]:
    (detector,) = judged._detectors
    assert isinstance(detector, Cascades)
    return detector.standing


def rings(count: int) -> Sent:
    """Parents in circles of five."""
    sent = Sent()
    for n in range(1, count + 1):
        parent = n - 1 if n % 5 else n + 4
        kind = (SpanKind.AGENT, SpanKind.TOOL, SpanKind.MODEL)[n % 3]
        sent.span(n, parent, kind, error="Boom" if n % 4 == 0 else "", said=f"code QX-{n}", asked=f"code QX-{n - 1}")
    return sent


def backwards(count: int) -> Sent:
    """Spans that end before they start."""
    sent = Sent()
    sent.span(1, 0, SpanKind.AGENT, lasts=-50)
    for n in range(2, count + 1):
        kind = (SpanKind.TOOL, SpanKind.MODEL)[n % 2]
        sent.span(
            n, 1, kind, lasts=-3, said="Error: 503 Service Unavailable" if n % 6 == 0 else f"QX-{n}", asked=f"QX-{n}"
        )
    return sent


def orphans(count: int) -> Sent:
    """Each span under a parent that nobody knows."""
    sent = Sent()
    for n in range(1, count + 1):
        kind = (SpanKind.AGENT, SpanKind.TOOL, SpanKind.MODEL)[n % 3]
        sent.span(n, 10**6 + n, kind, error="Boom" if n % 7 == 0 else "", said=f"QX-{n}", asked=f"QX-{n - 1}")
    return sent


def chain(count: int) -> Sent:
    """Each span under the one before, all of them failed."""
    sent = Sent()
    for n in range(1, count + 1):
        kind = SpanKind.AGENT if n % 2 else SpanKind.TOOL
        sent.span(n, n - 1, kind, lasts=2 * count - n, error="Boom", said=f"QX-{n}", asked=f"QX-{n - 1}")
    return sent


def alike(count: int) -> Sent:
    """One failing call, one text, one value, again and again."""
    sent = Sent()
    sent.span(1, 0, SpanKind.AGENT, lasts=count)
    for n in range(2, count + 1):
        kind = SpanKind.TOOL if n % 2 else SpanKind.MODEL
        sent.span(n, 1, kind, said="Error: 503 Service Unavailable" if n % 2 else "I take QX-99.", asked="QX-99?")
    return sent


SHAPES = [rings, backwards, orphans, chain, alike]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: s.__name__)
@pytest.mark.parametrize("seed", range(3))
def test_nobody_raises_in_whatever_order_it_comes(shape: Callable[[int], Sent], seed: int) -> None:
    sent = shape(120)
    facts = list(sent.facts)
    random.Random(seed).shuffle(facts)
    assert standing(judge(sent, facts, every=7)) == standing(judge(sent, facts, every=10**6))


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: s.__name__)
def test_work_grows_with_what_was_sent_and_not_with_its_square(shape: Callable[[int], Sent]) -> None:
    short, long = shape(250), shape(1000)
    few, many = calls_of(lambda: judge(short)), calls_of(lambda: judge(long))
    assert many < 5.5 * few, (few, many)


def test_a_message_of_a_million_characters_is_read_once_and_in_part() -> None:
    sent = Sent()
    sent.span(1, 0, SpanKind.AGENT, lasts=20)
    sent.span(2, 1, SpanKind.TOOL, said="Error: 503 Service Unavailable", asked="QX-1")
    sent.span(3, 1, SpanKind.MODEL, said="code QX-77 " + "9" * 1_000_000 + " QX-78")
    judged = judge(sent, every=1)
    provenance = provenance_of(judged.trace)
    assert provenance.read_count == len(sent.bodies)
    assert all(len(key) < 200_000 for key in provenance._holders)


@pytest.mark.parametrize("text", ['{"hotel": "QX-9', "[" * 5000, '{"a": NaN, "b": 1e999}', "{'hotel': 'QX-9'}"])
def test_arguments_that_are_no_json_are_read_as_text(text: str) -> None:
    sent = Sent()
    sent.span(1, 0, SpanKind.AGENT, lasts=20)
    sent.span(2, 1, SpanKind.TOOL, asked=text, said=text, media=JSON)
    sent.span(3, 1, SpanKind.MODEL, asked=text, said="QX-9")
    assert judge(sent)._said == {}


def test_what_hangs_under_many_spans_that_are_told_otherwise_is_taken_up_once() -> None:
    def ring(count: int) -> Trace:
        """Each span under the next, and the last under the first."""
        trace = Trace(TRACE_ID)
        for number in range(count):
            above = ((number + 1) % count).to_bytes(8, "big")
            trace.apply(
                SpanStarted(TRACE_ID, number.to_bytes(8, "big"), above, number + 1, 0, "agent", "a", "a"), SOURCE
            )
        return trace

    def taken(trace: Trace) -> int:
        touched = Touched()
        assert len(touched.take(trace)) == len(trace.spans)
        return calls_of(lambda: touched.take(trace)) + calls_of(lambda: Touched().take(trace))

    assert taken(ring(400)) < 2.5 * taken(ring(200))
