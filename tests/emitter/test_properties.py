"""Whatever agents do, in whatever order: the facts are well formed."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import trajectory
from trajectory.emitter.bodies import body_of, each, said, said_reply
from trajectory.emitter.outbox import Outbox
from trajectory.emitter.plain import attributes_of, mended
from trajectory.model.fact import Payload, SpanEnded, SpanEvent, SpanStarted, SpanUpdated
from trajectory.protocol.codec import decode_fact
from trajectory.protocol.frames import pack, unpack
from trajectory.testing import CapturingCollector, CountingIds, ManualClock

text = st.text(max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | text | st.binary(max_size=8)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3))
attributes = st.dictionaries(text, values, max_size=4)

leaf = st.tuples(st.sampled_from(["thought", "plan", "context", "set", "event", "raise"]), text, values)
programs = st.recursive(
    leaf,
    lambda inner: st.tuples(
        st.sampled_from(["agent", "tool", "model", "span", "delegate", "accept", "session"]),
        text,
        st.lists(inner, max_size=4),
    ),
    max_leaves=25,
)  # fmt: skip


class Stop(Exception):
    pass


def step_of(kind: str, name: str) -> Any:
    if kind == "accept":
        with trajectory.delegate(name) as work:
            return trajectory.accept(work.headers, agent=name)
    return getattr(trajectory, kind)(name)


def run(program: Any, around: Any = None) -> None:
    kind, name, rest = program
    match kind:
        case "thought" | "plan":
            getattr(trajectory, kind)(rest)
        case "context":
            trajectory.context(name, rest)
        case "set" | "event" if hasattr(around, "set"):
            around.set(name, rest) if kind == "set" else around.event(name, value=rest)
        case "raise":
            raise Stop(name)
        case "set" | "event":
            return
        case _:
            with step_of(kind, name) as here:
                for inner in rest:
                    run(inner, here)


def check(facts: list[Any]) -> None:
    started: dict[bytes, SpanStarted] = {}
    ended: set[bytes] = set()
    known: set[bytes] = set()
    for fact in facts:
        if isinstance(fact, Payload):
            assert fact.digest not in known
            known.add(fact.digest)
            continue
        assert {digest for those in fact.contents.values() for digest in those} <= known
        if isinstance(fact, SpanStarted):
            assert fact.span_id not in started
            assert not fact.parent_id or started[fact.parent_id].trace_id == fact.trace_id
            assert fact.agent
            started[fact.span_id] = fact
        else:
            assert isinstance(fact, (SpanEnded, SpanEvent, SpanUpdated))
            assert started[fact.span_id].trace_id == fact.trace_id
            assert fact.span_id not in ended
            if isinstance(fact, SpanEnded):
                ended.add(fact.span_id)
    assert ended == set(started)


@settings(max_examples=150)
@given(programs)
def test_nested_programs_give_well_formed_facts(program: Any) -> None:
    with CapturingCollector(clock=ManualClock(), ids=CountingIds()) as captured:
        try:
            run(program)
        except Stop:
            assert all(span.status in ("ok", "error") for span in captured.spans())
    check(captured.facts)


@given(attributes)
def test_attributes_are_packed_whatever_they_are(given_attributes: dict[str, Any]) -> None:
    own, _ = attributes_of(given_attributes)
    fact: tuple[Any, ...] = (4, b"t" * 16, b"s" * 8, 1, 1, own, {})
    try:
        packed = pack(fact)
    except (OverflowError, TypeError, ValueError):
        packed = pack(mended(fact))
    decoded = decode_fact(packed)
    assert isinstance(decoded, SpanUpdated)
    assert set(decoded.attributes) == {key.encode("utf-8", "replace").decode() for key in given_attributes}


@given(values)
def test_a_body_is_the_same_for_equal_values(value: Any) -> None:
    assert body_of(said(value)) == body_of(said(value))
    assert body_of(said_reply(value)).media_type
    assert isinstance(each(value), list)


@given(st.lists(st.tuples(st.lists(st.integers(1, 128)), st.integers(0, 120), st.booleans()), max_size=30))
def test_an_outbox_gives_back_exactly_what_is_not_acknowledged(story: list[tuple[list[int], int, bool]]) -> None:
    outbox, acknowledged_seq = Outbox(), 0
    for counts, ack_count, reconnects in story:
        for count in counts:
            outbox.add(b"".join(pack(outbox.next_seq + at) for at in range(count)), count)
        while outbox.next_unsent() is not None:
            outbox.sent()
        acknowledged_seq = min(outbox.next_seq, acknowledged_seq + ack_count)
        outbox.acknowledged(acknowledged_seq)
        if reconnects:
            outbox.rewind()
    outbox.rewind()
    held: list[int] = []
    while (parcel := outbox.next_unsent()) is not None:
        assert parcel.first_seq == (held[-1] + 1 if held else acknowledged_seq)
        assert 0 < len(parcel.facts) == parcel.count <= 256
        held += map(unpack, parcel.facts)
        outbox.sent()
    assert held == list(range(acknowledged_seq, outbox.next_seq))
    assert outbox.base_seq == acknowledged_seq
    outbox.acknowledged(outbox.next_seq)
    assert outbox.empty and not outbox.full and outbox._size_bytes == 0
