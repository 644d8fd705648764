"""The wire: golden bytes pin it, what goes in comes out, and no bytes at all can do more than be refused."""

import tracemalloc
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trajectory.errors import WireError
from trajectory.model import content
from trajectory.model.fact import (
    Evidence,
    Fact,
    Finding,
    Found,
    Gap,
    Heartbeat,
    Marked,
    Payload,
    SpanEnded,
    SpanEvent,
    SpanLinked,
    SpanStarted,
    SpanUpdated,
)
from trajectory.protocol import codec, frames

TRACE, SPAN, PARENT = bytes(range(16)), bytes(range(8)), bytes(range(8, 16))
BODY = Payload(content.digest("text/plain", b"hi"), "text/plain", b"hi")
FINDING = Finding("cascade", "critical", 0.5, TRACE, SPAN, "why", path=[SPAN], evidence=[Evidence(SPAN, "text")])


def nested(depth: int) -> Any:
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"k": value}
    return value


GOLDEN: list[tuple[Fact, str]] = [
    (
        SpanStarted(
            TRACE, SPAN, PARENT, 5, 6, "tool", "search", "research", "operational", {"k": 1}, {"input": [TRACE]}
        ),
        "9c01c410000102030405060708090a0b0c0d0e0fc4080001020304050607c40808090a0b0c0d0e0f0506a4746f6f6ca6736561726368a8"
        "7265736561726368ab6f7065726174696f6e616c81a16b0181a5696e70757491c410000102030405060708090a0b0c0d0e0f",
    ),
    (
        SpanEnded(TRACE, SPAN, 7, 8, "error", "no", {"error.type": "E"}),
        "9902c410000102030405060708090a0b0c0d0e0fc40800010203040506070708a56572726f72a26e6f81aa6572726f722e74797065a14580",
    ),
    (BODY, "9406c410" + BODY.digest.hex() + "aa746578742f706c61696ec4026869"),
    (Heartbeat(9, 10, [SPAN]), "9407090a91c4080001020304050607"),
    (Gap(11, 3, "queue_full"), "95080b03aa71756575655f66756c6ca0"),
]


@pytest.mark.parametrize(("fact", "golden"), GOLDEN, ids=lambda v: type(v).__name__)
def test_the_bytes_of_a_fact_are_pinned(fact: Fact, golden: str) -> None:
    encoded = codec.encode(fact)
    tag, *fields = msgpack.unpackb(encoded)  # an independent reader sees the same positions
    assert encoded.hex() == golden
    assert tag == fact.__struct_config__.tag
    assert fields[0] == getattr(fact, fact.__struct_fields__[0])
    assert codec.decode_fact(bytes.fromhex(golden)) == fact


def test_the_tags_that_writers_use_are_those_that_readers_know() -> None:
    types = (
        SpanStarted, SpanEnded, SpanEvent, SpanUpdated, SpanLinked, Payload, Heartbeat, Gap, Found, Marked,
    )  # fmt: skip
    tags = (
        frames.SPAN_STARTED, frames.SPAN_ENDED, frames.SPAN_EVENT, frames.SPAN_UPDATED, frames.SPAN_LINKED,
        frames.PAYLOAD, frames.HEARTBEAT, frames.GAP, frames.FOUND, frames.MARKED,
    )  # fmt: skip
    assert tuple(t.__struct_config__.tag for t in types) == tags


def test_an_older_writer_without_the_last_fields_is_read() -> None:
    assert codec.decode_fact(bytes.fromhex("94080b03aa71756575655f66756c6c")) == Gap(11, 3, "queue_full")
    short = msgpack.packb((frames.SPAN_STARTED, TRACE, SPAN, b"", 1, 2, "tool", "x"))
    assert codec.decode_fact(short) == SpanStarted(TRACE, SPAN, b"", 1, 2, "tool", "x")


def test_a_newer_writer_with_more_fields_is_read() -> None:
    long = msgpack.packb((frames.GAP, 1, 2, "why", "in a sentence", "a field from the future"))
    assert codec.decode_fact(long) == Gap(1, 2, "why", "in a sentence")


ids8, ids16 = st.binary(min_size=8, max_size=8), st.binary(min_size=16, max_size=16)
times = st.integers(0, (1 << 63) - 1)
texts = st.text(max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
attributes = st.dictionaries(texts, values, max_size=4)
contents = st.dictionaries(texts, st.lists(ids16, max_size=3), max_size=3)
findings = st.builds(
    Finding, texts, texts, st.floats(0, 1), ids16, ids8, texts, texts, texts, texts, ids8, st.lists(ids8),
    st.lists(st.builds(Evidence, ids8, texts), max_size=2), texts, times, texts, attributes,
)  # fmt: skip
bodies = st.builds(lambda kind, body: Payload(content.digest(kind, body), kind, body), texts, st.binary(max_size=50))
facts = st.one_of(
    st.builds(
        SpanStarted, ids16, ids8, st.just(b"") | ids8, times, times, texts, texts, texts, texts, attributes, contents
    ),
    st.builds(SpanEnded, ids16, ids8, times, times, texts, texts, attributes, contents),
    st.builds(SpanEvent, ids16, ids8, times, times, texts, texts, attributes, contents),
    st.builds(SpanUpdated, ids16, ids8, times, times, attributes, contents),
    st.builds(SpanLinked, ids16, ids8, times, texts, ids16, ids8, attributes),
    st.builds(Heartbeat, times, times, st.lists(ids8, max_size=3)),
    st.builds(Gap, times, times, texts, texts),
    st.builds(Found, times, findings),
    st.builds(Marked, ids16, times, texts, texts, texts),
    bodies,
)


@given(st.lists(facts, max_size=5))
def test_facts_come_out_as_they_went_in(some: list[Fact]) -> None:
    assert codec.decode_facts(codec.encode_facts(some)) == some
    packed = [frames.pack(msgpack.unpackb(codec.encode(fact), strict_map_key=False)) for fact in some]
    frame = codec.read_frame(frames.facts_frame(TRACE, TRACE, 3, packed))
    assert isinstance(frame, codec.FactsFrame)
    assert [codec.decode_fact(raw) for raw in frame.each()] == some


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for read in (codec.read_frame, codec.decode_fact, codec.decode_facts):
        try:
            read(body)
        except WireError as refusal:
            assert "\n" not in str(refusal)


@given(values)
def test_any_value_in_a_frame_is_read_or_refused(value: Any) -> None:
    for kind in ("hello", "facts", "bye", "ask", "tell", "nonsense"):
        try:
            codec.read_frame(frames.pack((1, kind, value, value)))
        except WireError:
            continue


def test_a_hello_says_when_it_was_sent_and_one_that_does_not_is_read_and_written_as_ever() -> None:
    before = frames.hello(TRACE, TRACE, {}, 7)
    assert before.hex() == "9601a568656c6c6fc410" + TRACE.hex() + "c410" + TRACE.hex() + "8007"
    now = frames.hello(TRACE, TRACE, {}, 7, 9)
    assert now.hex() == "97" + before.hex()[2:] + "09"
    read = [codec.read_frame(frame) for frame in (before, now, now[:1].replace(b"\x97", b"\x98") + now[1:] + b"\x01")]
    assert [getattr(frame, "sent_at_ns", -1) for frame in read] == [0, 9, 9]  # more may follow, from a later release
    with pytest.raises(WireError, match="sent_at_ns out of range"):
        codec.read_frame(frames.hello(TRACE, TRACE, {}, 7, 1 << 62))


def test_a_frame_of_another_version_is_told_what_to_do() -> None:
    with pytest.raises(WireError, match=r"version 7.*same trajectory-tracing release"):
        codec.read_frame(frames.pack((7, "facts", "whatever")))


def test_a_frame_over_the_limit_is_refused_unread() -> None:
    with pytest.raises(WireError, match="over the limit"):
        codec.read_frame(b"\xc6" + bytes(frames.MAX_FRAME_BYTES))


@pytest.mark.parametrize(
    "fact",
    [
        SpanStarted(TRACE[:-1], SPAN, b"", 1, 1, "tool", "x"),
        SpanStarted(TRACE, SPAN, b"123", 1, 1, "tool", "x"),
        SpanEnded(TRACE, SPAN, -1, 1),
        Gap(1 << 63, 1, "late"),
        Payload(TRACE, "text/plain", b"another body's digest"),
        Found(1, Finding("k", "info", 1.0, TRACE, SPAN, "m", at_ns=-5)),
        SpanStarted(TRACE, SPAN, b"", 1, 1, "tool", "x", attributes={"deep": nested(frames.MAX_DEPTH)}),
        SpanStarted(TRACE, SPAN, b"", 1, 1, "tool", "x", attributes={"many": [0] * (frames.MAX_VALUES + 1)}),
        SpanStarted(TRACE, SPAN, b"", 1, 1, "tool", "x", attributes={str(n): [0] for n in range(frames.MAX_VALUES)}),
        Found(1, Finding("k", "info", float("nan"), TRACE, SPAN, "m")),
        Found(1, Finding("k", "info", 1e308, TRACE, SPAN, "m")),
    ],
    ids=[
        "trace id",
        "parent id",
        "before 1970",
        "after 2262",
        "digest",
        "finding's time",
        "too deep",
        "too many values",
        "too many attributes",
        "no confidence",
        "beyond sure",
    ],
)
def test_a_fact_that_cannot_be_true_is_refused(fact: Fact) -> None:
    with pytest.raises(WireError, match="corrupt fact"):
        codec.decode_fact(msgpack.packb(msgpack.unpackb(codec.encode(fact))))


BAD = {
    "no fact": b"\x93\x01\x02\x03",
    "unknown tag": frames.pack((99, 1, 2)),
    "short trace id": codec.encode(SpanEnded(TRACE[:-1], SPAN, 1, 1)),
    "another body's digest": codec.encode(Payload(TRACE, "text/plain", b"another")),
    "too deep": codec.encode(SpanEnded(TRACE, SPAN, 1, 1, attributes={"deep": nested(frames.MAX_DEPTH)})),
    "too large": codec.encode(SpanEnded(TRACE, SPAN, 1, 1, attributes={"long": "x" * frames.MAX_FACT_BYTES})),
    "far too deep": codec.encode(SpanEnded(TRACE, SPAN, 1, 1, attributes={"deep": nested(900)})),
    "no text": frames.pack((frames.GAP, 1, 2, "why")).replace(b"why", b"\xff\xfe\xfd"),
}


def test_a_frame_of_more_facts_than_there_may_be_is_refused_before_they_are_read() -> None:
    most, more = (
        frames.pack((frames.PROTOCOL_VERSION, frames.FACTS, TRACE, TRACE, 0, [0] * count))
        for count in (frames.MAX_FACTS, frames.MAX_FACTS + 1)
    )
    assert isinstance(codec.read_frame(most), codec.FactsFrame)
    with pytest.raises(WireError, match="of 257 facts, and 256 are the most"):
        codec.read_frame(more)


def test_values_are_counted_without_making_them() -> None:
    plain = st.recursive(
        st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )

    @given(plain, st.integers(0, 300), st.binary(max_size=8))
    def counts(value: Any, size: int, tail: bytes) -> None:
        long = [
            value,
            "x" * size,
            b"x" * size,
            msgpack.ExtType(5, b"x" * size),
            [None] * size,
            dict.fromkeys(range(size)),
        ]
        packed = msgpack.packb(long)
        count = 5 + 3 * size + _count(value) + 1
        assert frames.values_in(packed, 1 << 30) == frames.values_in(memoryview(packed + tail), count) == count
        assert frames.values_in(packed, count - 1) > count - 1
        for end in range(min(len(packed), 50)):
            assert frames.values_in(packed[:end], 1 << 30) <= count

    counts()
    for size in (1 << 8, 1 << 16):
        for value in (
            "x" * size,
            b"x" * size,
            msgpack.ExtType(5, b"x" * size),
            [0] * size,
            dict.fromkeys(range(size), 0),
        ):
            assert frames.values_in(msgpack.packb([value, 1]), 1 << 30) == _count([value, 1])


def _count(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(map(_count, [*value, *value.values()]))
    return 1 + sum(map(_count, value)) if type(value) is list else 1


def many(count: int) -> bytes:
    """An ended span with so many values, of which each takes a byte here and eighty when it is read."""
    head = frames.pack((frames.SPAN_ENDED, TRACE, SPAN, 7, 8, "ok", "", {"many": None}))[:-1]
    return head + b"\xdd" + count.to_bytes(4, "big") + b"\x80" * count


def test_what_holds_more_values_than_it_may_is_refused_before_they_are_made() -> None:
    tracemalloc.start()
    try:
        large = many(frames.MAX_FACT_BYTES - 200)
        with pytest.raises(WireError, match="more than 262144 values"):
            codec.decode_fact(large)
        first, refused = codec.read_facts(b"\x92" + codec.encode(BODY) + large)
        assert first == BODY and "its frame holds more than 524288 values" in str(refused)
        with pytest.raises(ValueError, match="more than 2097152 values"):
            frames.unpack(b"\xdd" + (1 << 23).to_bytes(4, "big") + b"\x80" * (1 << 23))
        assert tracemalloc.get_traced_memory()[1] < 40_000_000
    finally:
        tracemalloc.stop()
    small = b"\xc0" * 200_000
    each = many(200_000).replace(b"\x80" * 200_000, small)
    read = codec.read_facts(b"\x94" + each * 3 + codec.encode(BODY))
    assert [type(fact) for fact in read] == [SpanEnded, SpanEnded, WireError, Payload]
    assert "its frame holds more than 524288 values" in str(read[2])


def test_a_hello_that_is_too_long_is_refused_and_a_large_body_is_not() -> None:
    with pytest.raises(WireError, match="is over the limit"):
        codec.read_frame(frames.hello(TRACE, TRACE, {"long": "x" * frames.MAX_HELLO_BYTES}, 0))
    body = b"x" * (frames.MAX_FACT_BYTES + 1)
    large = Payload(content.digest("text/plain", body), "text/plain", body)
    assert codec.read_facts(codec.encode_facts([large])) == [large]


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_bad_fact_of_a_frame_says_why_at_its_place_and_its_neighbours_are_read(bad: bytes) -> None:
    with pytest.raises(WireError) as alone:
        codec.decode_fact(bad)
    first, second, last = codec.read_facts(b"\x93" + codec.encode(BODY) + bad + codec.encode(Gap(1, 2, "why")))
    assert (first, last) == (BODY, Gap(1, 2, "why"))
    assert isinstance(second, WireError) and str(second) == str(alone.value)


@given(st.lists(facts, max_size=5))
def test_the_facts_of_a_frame_are_read_as_each_alone_is(some: list[Fact]) -> None:
    assert codec.read_facts(codec.encode_facts(some)) == some


@given(st.binary(max_size=200))
def test_what_is_no_array_of_facts_is_refused_whole(body: bytes) -> None:
    try:
        assert all(isinstance(fact, WireError | Fact) for fact in codec.read_facts(body))
    except WireError as refusal:
        assert "corrupt frame" in str(refusal)


def test_what_every_reader_can_read_is_taken() -> None:
    fact = SpanStarted(TRACE, SPAN, b"", 1, 1, "tool", "x", attributes={"deep": nested(frames.MAX_DEPTH - 1)})
    assert codec.decode_fact(codec.encode(fact)) == fact


@pytest.mark.parametrize("held", [nested(frames.MAX_DEPTH), [0] * (frames.MAX_VALUES + 1)], ids=["deep", "many"])
def test_a_hello_nested_too_deeply_or_of_too_many_values_is_refused(held: Any) -> None:
    with pytest.raises(WireError, match="too deeply, or holds too many values"):
        codec.read_frame(frames.hello(TRACE, TRACE, {"held": held}, 0))


def test_text_that_is_no_unicode_is_mended_and_sent() -> None:
    assert frames.unpack(frames.pack("a\udc80b")) == "a?b"


def test_what_is_longer_than_a_frame_or_shorter_than_its_facts_is_refused_before_it_is_read() -> None:
    with pytest.raises(ValueError, match="over the limit of"):
        frames.unpack(bytes(frames.MAX_FRAME_BYTES + 1))
    packed = [frames.pack(("a", 1)), frames.pack(("b", 2))]
    assert frames.facts_in(b"".join(packed), 2) == packed
    for cut in (b"".join(packed), b"".join(packed)[:-1] + packed[0][:2]):
        with pytest.raises(ValueError, match="are fewer than 3 facts"):
            frames.facts_in(cut, 3)
