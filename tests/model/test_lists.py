"""A list of digests reads back as it was written, and costs what it adds."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.store.memory import MemoryStore
from trajectory.graph.trace import Trace
from trajectory.model import lists
from trajectory.model.content import digest
from trajectory.model.fact import Batch, Fact, Payload, Source, SpanStarted
from trajectory.store.contract import Writer
from trajectory.store.sqlite import open_writer

digests = st.integers(0, 5).map(lambda n: bytes([n]) * 16)
conversations = st.lists(st.lists(digests, min_size=1, max_size=12), max_size=12)


class Shelf:
    """Payloads by digest, as a store has them."""

    def __init__(self) -> None:
        self.bodies: dict[bytes, tuple[str, bytes]] = {}

    def put(self, body: bytes) -> None:
        self.bodies[digest(lists.LIST, body)] = (lists.LIST, body)


@given(conversations, st.integers(1, 20))
def test_what_is_listed_reads_back_whatever_was_listed_before(calls: list[list[bytes]], limit: int) -> None:
    shelf, known = Shelf(), lists.Lists(limit)
    for call in calls:
        entry, body = known.entry(call)
        if body:
            shelf.put(body)
        assert lists.expand([entry], shelf.bodies.get) == call
        assert lists.named([entry], shelf.bodies.get) >= set(call)


def test_a_conversation_costs_what_was_said() -> None:
    known = lists.Lists()
    said = [bytes([n // 256, n % 256]) * 8 for n in range(400)]
    written = sum(len(known.entry(said[:end])[1]) for end in range(2, 401, 2))
    assert written == 200 * (16 + 2 * 16)


def test_a_list_that_is_known_is_named_and_not_written_again() -> None:
    known = lists.Lists()
    one = [b"a" * 16, b"b" * 16]
    entry, body = known.entry(one)
    assert body and known.entry(one) == (entry, b"")


def test_an_entry_that_is_no_list_is_the_body_itself() -> None:
    assert lists.expand([b"a" * 16, b"b" * 16], {}.get) == [b"a" * 16, b"b" * 16]


def test_a_list_that_is_not_at_hand_hides_only_itself() -> None:
    assert lists.expand([b"\x01" + b"x" * 16, b"a" * 16], {}.get) == [b"a" * 16]


def test_small_lists_that_name_large_ones_are_expanded_up_to_a_limit_from_their_end() -> None:
    kept: dict[bytes, tuple[str, bytes]] = {}

    def written(base: bytes, added: list[bytes]) -> bytes:
        body = lists.write(base, added)
        kept[address := digest(lists.LIST, body)] = (lists.LIST, body)
        return address

    half = [number.to_bytes(16, "big") for number in range(1, lists.MAX_DIGESTS // 2 + 1)]
    one = written(b"", half)
    two = written(one, half[:-1])
    three = written(two, [b"new" * 5 + b"!"] * 2)
    assert len(lists.expand([b"\x01" + two], kept.get)) == lists.MAX_DIGESTS - 1
    digests = lists.expand([b"\x01" + three], kept.get)
    assert (len(digests), digests[-1], digests[0]) == (lists.MAX_DIGESTS, b"new" * 5 + b"!", half[1])
    assert len(lists.expand([b"\x01" + one] * 1000, kept.get)) == lists.MAX_DIGESTS


def test_a_conversation_that_grew_by_much_at_once_still_extends_what_is_known() -> None:
    known = lists.Lists()
    said = [bytes([n]) * 16 for n in range(40)]
    known.entry(said[:10])
    assert len(known.entry(said)[1]) == (1 + 30) * 16


@given(conversations, st.integers(1, 9))
def test_the_newest_are_the_end_of_all(calls: list[list[bytes]], count: int) -> None:
    shelf, known, entries = Shelf(), lists.Lists(), []
    for call in calls:
        entry, body = known.entry(call)
        entries += [entry, call[-1]]
        if body:
            shelf.put(body)
    whole = lists.expand(entries, shelf.bodies.get)
    assert lists.newest(entries, shelf.bodies.get, count) == whole[::-1][:count]
    assert lists.newest([b"\x01" + b"x" * 16, b"a" * 16], {}.get, count) == lists.newest([b"a" * 16], {}.get, count)


@given(st.binary())
def test_any_body_reads_as_a_list(body: bytes) -> None:
    base, added = lists.read(body)
    assert len(base) in (0, 16) and all(len(one) == 16 for one in added)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_span_reads_through_a_list_and_a_deletion_leaves_what_others_list(kind: str, tmp_path: Path) -> None:
    store: Writer = MemoryStore() if kind == "memory" else open_writer(tmp_path / "s.db")
    said = [digest("text/plain", bytes([n])) for n in range(5)]
    bodies: list[Fact] = [Payload(one, "text/plain", bytes([n])) for n, one in enumerate(said)]
    known = lists.Lists()
    short, first = known.entry(said[:4])
    long, second = known.entry(said)
    listed: list[Fact] = [Payload(digest(lists.LIST, body), lists.LIST, body) for body in (first, second)]
    calls: list[Fact] = [
        SpanStarted(bytes([trace]) * 16, b"span" * 2, b"", 1, 1, "model", "chat", contents={"input": [entry]})
        for trace, entry in ((1, short), (2, long))
    ]
    store.append([Batch(Source(b"e" * 16, b"b" * 16), 0, [*bodies, *listed, *calls])])

    store.delete_trace(bytes([1]) * 16)
    trace = Trace(bytes([2]) * 16, store.payload)
    trace.apply(calls[1], Source(b"e" * 16, b"b" * 16))
    assert trace.spans[b"span" * 2].digests("input") == said
    assert trace.texts(trace.spans[b"span" * 2], "input") == ["\x00", "\x01", "\x02", "\x03", "\x04"]

    store.delete_trace(bytes([2]) * 16)
    assert store.counts()["payloads"] == 0
