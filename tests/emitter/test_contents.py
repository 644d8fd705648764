"""Content from the call to the wire: what was said stays said, each body goes once and first, conversations as lists."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import trajectory
from tests.graph.pictures import folded
from trajectory.emitter.bodies import MAX_BODY_BYTES, Said, body_of, said, said_message, weight_of
from trajectory.emitter.contents import KNOWN_BYTES, Contents, Listing
from trajectory.emitter.packing import Packing
from trajectory.emitter.plain import MAX_TEXT
from trajectory.emitter.plan import Plan
from trajectory.emitter.processors.chain import BATCH_COUNT, Processing
from trajectory.graph.trace import Trace
from trajectory.model import content
from trajectory.model.fact import Payload, SpanStarted
from trajectory.model.lists import LIST, expand
from trajectory.model.words import Slot
from trajectory.protocol import frames
from trajectory.protocol.codec import decode_fact
from trajectory.testing import CapturingCollector, FakeCollector

Fact = tuple[Any, ...]
KEY = "AKIA" + "IOSFODNN7EXAMPLE"

texts = st.text(max_size=20)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts | st.binary(max_size=8)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.tuples(inner, inner)
        | st.dictionaries(texts | st.integers(), inner, max_size=5)
    ),
)
parts = st.dictionaries(st.sampled_from(["type", "text", "content", "id", "input"]), values, max_size=4)
messages = st.dictionaries(
    st.sampled_from(["role", "content", "type", "tool_call_id", "parts"]),
    texts | st.sampled_from(["user", "tool", "assistant"]) | st.lists(parts | values, max_size=3) | values,
    max_size=4,
)


def spoil(value: Any) -> None:
    """Changes everything in a value that can be changed."""
    if isinstance(value, dict):
        for inner in value.values():
            spoil(inner)
        value.clear()
        value["spoilt"] = True
    elif isinstance(value, list):
        for inner in value:
            spoil(inner)
        value[:] = ["spoilt"]
    elif isinstance(value, tuple):
        for inner in value:
            spoil(inner)


@given(values)
def test_what_was_said_stays_said_whatever_becomes_of_the_value(value: Any) -> None:
    expected = content.encode(copy.deepcopy(value))
    held = said(value)
    spoil(value)
    assert body_of(held)[1:3] == expected


@given(messages | texts | values)
def test_a_message_that_is_held_is_encoded_as_it_was_at_the_call(message: Any) -> None:
    expected = content.encode_message(copy.deepcopy(message))
    held = said_message(message)
    spoil(message)
    assert body_of(held)[1:3] == expected


class Loud(str):
    """A text that is more than a text."""


class Counter:
    """A foreign value that changes."""

    count = 0

    def __repr__(self) -> str:
        return f"count {self.count}"


@pytest.mark.parametrize("holder", [lambda it: it, lambda it: [it], lambda it: {"a": {"b": (it,)}}, lambda it: (it,)])
def test_a_foreign_value_is_read_at_the_call(holder: Any) -> None:
    counter = Counter()
    held = said(holder(counter))
    counter.count = 1
    assert b"count 0" in body_of(held).data
    changing = bytearray(b"before")
    held = said(holder(changing))
    changing[:] = b"after!"
    assert b"before" in body_of(held).data
    assert body_of(said(Loud("x"))) == body_of(said("x"))


@pytest.mark.parametrize(
    ("value", "least"),
    [("x" * 10_000, 10_000), ({"k": "x" * 5000, "l": ["y" * 5000]}, 10_000), ([1] * 50, 50), (b"x" * 10_000, 10_000)],
)
def test_the_queue_counts_what_is_held(value: Any, least: int) -> None:
    assert least <= weight_of({"input": [said(value)]}) <= 2 * least + 2000


def test_a_text_of_any_length_weighs_no_more_than_a_body_may_be_long() -> None:
    for length in (MAX_BODY_BYTES // 4, MAX_BODY_BYTES // 4 + 1, 3 * MAX_BODY_BYTES):
        for held in (said("x" * length), said_message({"role": "user", "content": "x" * length}), said(["x" * length])):
            assert held[0] <= MAX_BODY_BYTES
            body = body_of(held)
            assert len(body.data) == MAX_BODY_BYTES or not body.cut_bytes


# on the sender's thread


def started(number: int, *those: Said, **attributes: Any) -> Fact:
    span_id = number.to_bytes(8, "big")
    slots = {"input": list(those)} if those else {}
    return (1, b"t" * 16, span_id, b"", number, 0, "tool", "n", "a", "operational", attributes, slots)


def left(processing: Processing, facts: list[Fact]) -> list[Any]:
    chunks = list(processing.packed(facts))
    assert all(0 < count <= BATCH_COUNT for _, count in chunks)
    return [decode_fact(one) for packed, count in chunks for one in frames.facts_in(packed, count)]


def test_a_text_that_is_said_again_is_known_and_one_that_was_forgotten_goes_again() -> None:
    contents = Contents()
    first = contents.told(started(1, said("x"), said("x"), said({"a": 1})))
    assert [fact[0] for fact in first] == [frames.PAYLOAD, frames.PAYLOAD, frames.SPAN_STARTED]
    again = contents.told(started(2, said("x"), said({"a": 1})))
    assert [fact[0] for fact in again] == [frames.SPAN_STARTED]
    contents.forget(first[0][1])
    assert contents.told(started(3, said("x"), said({"a": 1})))[0] == first[0]
    contents.forget_all()
    assert len(contents.told(started(4, said("x"), said({"a": 1})))) == 3


def test_what_is_remembered_of_texts_is_bounded() -> None:
    contents = Contents(sent_count=1000)
    for number in range(200):
        contents.told(started(number, said(f"{number:08d}" + "x" * 100_000)))
    held = [one[0] for known in (contents._known, contents._known_before) for one in known]
    assert sum(held) < 2 * KNOWN_BYTES + 200_000
    for number in range(5000):
        contents.told(started(number, said(str(number))))
    assert len(contents._known) + len(contents._known_before) <= 2001
    assert len(contents._sent) == 1000


@given(st.lists(st.lists(st.integers(0, 30), min_size=0, max_size=14), max_size=12))
def test_every_slot_reads_back_as_it_was_said(calls: list[list[int]]) -> None:
    contents, listing = Contents(), Listing()
    bodies: dict[bytes, tuple[str, bytes]] = {}
    for number, call in enumerate(calls):
        told = contents.told(started(number, *[said(f"text {one}") for one in call]))
        *payloads, fact = [one for fact in told for one in listing.listed(fact)]
        for _, digest, media_type, data in payloads:
            assert digest not in bodies
            bodies[digest] = (media_type, data)
        entries = fact[-1].get("input", [])
        assert len(entries) <= 3
        assert [bodies[digest][1] for digest in expand(entries, bodies.get)] == [f"text {one}".encode() for one in call]


def test_a_list_names_the_digests_that_left(collector: FakeCollector) -> None:
    trajectory.init("service", collector.endpoint)
    said_so_far: list[dict[str, str]] = []
    for turn in range(6):
        said_so_far.append({"role": "user", "content": f"turn {turn}: use {KEY}"})
        with trajectory.model("m", messages=said_so_far):
            pass
    assert trajectory.flush(10)
    spans = collector.spans("chat m")
    for turn, span in enumerate(spans):
        bodies = [collector.payload(digest).body.decode() for digest in span.contents["input"]]
        assert [f"turn {n}: use [secret:aws_key:" in body for n, body in enumerate(bodies)] == [True] * (turn + 1)
    assert KEY not in repr(collector.facts)


def test_a_reader_sees_every_message_of_a_conversation(captured: CapturingCollector) -> None:
    messages: list[dict[str, str]] = []
    with trajectory.agent("a"):
        for turn in range(12):
            messages += [{"role": "user", "content": f"ask {turn}"}, {"role": "assistant", "content": f"say {turn}"}]
            with trajectory.model("m", messages=messages):
                pass
    bodies = {fact.digest: (fact.media_type, fact.body) for fact in captured.facts if isinstance(fact, Payload)}
    trace = folded(captured.facts, Trace(captured.spans()[0].trace_id, bodies.get))
    read = [[trace.text(digest) for digest in span.digests(Slot.INPUT)] for span in trace.spans.values()]
    assert read == [[], *[[message["content"] for message in messages[: 2 * turn]] for turn in range(1, 13)]]
    lists = [fact.body for fact in captured.facts if isinstance(fact, Payload) and fact.media_type == LIST]
    assert sum(map(len, lists)) == 16 * (11 + 24)


# packing


def test_facts_packed_together_are_the_same_bytes_as_one_by_one_with_either_packer() -> None:
    facts = [
        started(number, a=number, b="text", c=1.5, d=None, e=True, f=[1, {"g": "h"}], big=1 << 60, é="ü" * number)
        for number in range(70)
    ]
    packing = Packing(lambda: 1)
    for count in (1, 15, 16, 17, 70):
        alone = b"".join(map(packing.pack, facts[:count]))
        assert packing.together(facts[:count]) == alone
    packing._count = 1 << 30
    assert packing.together(facts) is not None
    assert "msgspec" in repr(packing._pack_list)
    for count in (1, 15, 16, 17, 70):
        assert packing.together(facts[:count]) == b"".join(map(packing.pack, facts[:count]))


@pytest.mark.parametrize("is_fast", [False, True])
@pytest.mark.parametrize(
    "odd",
    [{5: 1}, {"k": 1 << 70}, {"k": "x" * (MAX_TEXT + 1)}, {"k": object}, {None: None}],
    ids=lambda odd: repr(odd)[:9],
)
def test_a_fact_with_a_flaw_is_mended_among_many_without(odd: dict[Any, Any], is_fast: bool) -> None:
    processing = Processing(Plan(), lambda: 1)
    if is_fast:
        left(processing, [started(number) for number in range(5000)])
        assert "msgspec" in repr(processing._packing._pack_list)
    facts = [started(number, k=number) for number in range(300)]
    facts[150] = (*facts[150][:-2], odd, {})
    read = left(processing, facts)
    assert [fact.at_ns for fact in read] == list(range(300))
    assert [fact.attributes for fact in read[:150]] == [{"k": number} for number in range(150)]
    assert list(read[150].attributes) == [str(key) for key in odd]
    (value,) = read[150].attributes.values()
    assert len(str(value)) <= MAX_TEXT


@pytest.mark.parametrize("is_fast", [False, True])
def test_text_that_is_no_unicode_is_mended_among_many(is_fast: bool) -> None:
    processing = Processing(Plan("off"), lambda: 1)
    processing._packing._count = (1 << 30) * is_fast
    left(processing, [started(0)])
    read = left(processing, [started(number, k="\ud800" if number == 50 else "fine") for number in range(100)])
    assert [fact.attributes["k"] for fact in read] == ["fine"] * 50 + ["?"] + ["fine"] * 49


@given(st.sets(st.integers(0, 400), max_size=12), st.integers(1, 3000))
def test_secrets_among_many_facts_are_taken_out_and_order_and_number_stay(secret: set[int], length: int) -> None:
    processing = Processing(Plan(), lambda: 1)
    facts = [
        started(number, k=f"use {KEY}" if number in secret else "x" * (number * 7919 % length)) for number in range(401)
    ]
    read = left(processing, facts)
    assert [fact.at_ns for fact in read] == list(range(401))
    for fact in read:
        assert isinstance(fact, SpanStarted)
        is_secret = fact.at_ns in secret
        assert fact.attributes["k"].startswith("use [secret:aws_key:") == is_secret
        assert is_secret or fact.attributes["k"] == "x" * (fact.at_ns * 7919 % length)
