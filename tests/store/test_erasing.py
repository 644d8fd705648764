"""Whatever is removed, the rest reads back as it was, with every payload it needs, and nothing of the removed stays."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.store.builders import SOURCE, facts_in
from trajectory.model import lists
from trajectory.model.content import TEXT, digest
from trajectory.model.fact import Batch, Fact, Heartbeat, Payload, SpanEvent, trace_of
from trajectory.store import erase
from trajectory.store.contract import Reader
from trajectory.store.sqlite import open_writer
from trajectory.store.writer import SqliteWriter

TRACES = [bytes([n]) * 16 for n in range(1, 5)]
BODIES = [
    Payload(digest(TEXT, text.encode()), TEXT, text.encode()) for text in ("a", "b" * 300, "c", "d" * 9000, "e", "f")
]


def listed(base: bytes, *bodies: Payload) -> Payload:
    body = lists.write(base, [each.digest for each in bodies])
    return Payload(digest(lists.LIST, body), lists.LIST, body)


FIRST = listed(b"", *BODIES[:2])
SECOND = listed(FIRST.digest, BODIES[2])
THIRD = listed(SECOND.digest, BODIES[3], BODIES[0])
FORK = listed(FIRST.digest, BODIES[4])
LISTS = [FIRST, SECOND, THIRD, FORK]
ALL = {each.digest: each for each in [*BODIES, *LISTS]}


def entry(payload: Payload) -> bytes:
    return b"\x01" + payload.digest if payload.media_type == lists.LIST else payload.digest


def said(trace_id: bytes, names: Sequence[Payload]) -> SpanEvent:
    return SpanEvent(
        trace_id, b"s" * 8, 5, 0, "said", contents={"input": [entry(each) for each in names]} if names else {}
    )


def needed(facts: Sequence[Fact]) -> set[bytes]:
    """The payloads that facts need, lists and what they extend among them."""
    entries = [e for fact in facts for slot in getattr(fact, "contents", {}).values() for e in slot]
    return lists.named(entries, lambda d: (ALL[d].media_type, ALL[d].body))


Turn = tuple[list[Fact], list[bytes]]  # what comes, and then what is removed

_facts = st.builds(said, st.sampled_from(TRACES), st.lists(st.sampled_from([*BODIES, *LISTS]), max_size=3)) | st.just(
    Heartbeat(1, 2)
)
_turns = st.lists(
    st.tuples(st.lists(_facts, max_size=8), st.lists(st.sampled_from(TRACES), max_size=2)), min_size=1, max_size=5
)


def sent_with_payloads(facts: Sequence[Fact], there: set[bytes], *, is_late: bool) -> list[Fact]:
    """The facts with the payloads that are not there yet before them, or, where they are late, behind them all."""
    before: list[Fact] = []
    behind: list[Fact] = []
    for fact in facts:
        fresh = sorted(needed([fact]) - there)
        there |= set(fresh)
        (behind if is_late else before).extend(ALL[each] for each in fresh)
        before.append(fact)
    return before + behind


def assert_is(reader: Reader, facts: Sequence[Fact]) -> None:
    """The store holds these facts, and the payloads that they need, and no more."""
    kept = [fact for fact in facts if trace_of(fact)]
    assert [fact for fact in facts_in(reader.all_batches()) if trace_of(fact)] == kept
    assert set(reader.trace_ids()) == {trace_of(fact) for fact in kept}
    for trace_id in TRACES:
        assert facts_in(reader.facts(trace_id)) == [fact for fact in kept if trace_of(fact) == trace_id]
    wanted = needed(kept)
    assert reader.payloads(list(ALL)) == {each: (ALL[each].media_type, ALL[each].body) for each in wanted}
    assert reader.counts()["payloads"] == len(wanted)
    assert reader.check() == []


@given(turns=_turns, is_late=st.booleans(), is_cut=st.booleans(), frame=st.integers(1, 8))
@settings(max_examples=120)
def test_what_is_left_is_whole_and_nothing_else_is_left(
    turns: list[Turn], is_late: bool, is_cut: bool, frame: int
) -> None:
    left: list[Fact] = []
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "store.db"
        writer = open_writer(path)
        for coming, gone in turns:
            facts = sent_with_payloads(coming, set(writer.payloads(list(ALL))), is_late=is_late)
            for at in range(0, len(facts), frame):
                first_seq = writer.next_seq(SOURCE.emitter_id, SOURCE.boot_id)
                writer.append([Batch(SOURCE, first_seq, facts[at : at + frame])])
            left = [fact for fact in [*left, *coming] if trace_of(fact) not in gone]
            for trace_id in gone:
                writer.retire(trace_id)
            assert set(writer.trace_ids()) == {trace_of(fact) for fact in left} - {b""}
            writer = clear(writer, path, is_cut=is_cut)
        assert_is(writer, left)
        writer.close()


def clear(writer: SqliteWriter, path: Path, *, is_cut: bool) -> SqliteWriter:
    """Removes to the end; where it is cut, in the smallest steps, each by a process of its own as far as the store can tell."""
    for _ in range(10_000):
        if not writer.clear(-1.0 if is_cut else 1.0):
            return writer
        if is_cut:
            writer.close()
            writer = open_writer(path)
    raise AssertionError("it never ends")


def test_a_fact_that_comes_while_its_trace_is_removed_begins_it_anew(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "store.db")
    old, new = said(TRACES[0], [BODIES[1]]), said(TRACES[0], [BODIES[0], BODIES[2]])
    writer.append([Batch(SOURCE, 0, [BODIES[0], BODIES[1], said(TRACES[0], [BODIES[0]]), old])])
    writer.retire(TRACES[0])
    writer.append([Batch(SOURCE, 4, [BODIES[2], new])])
    assert facts_in(writer.facts(TRACES[0])) == [new]
    while writer.clear(-1.0):
        assert facts_in(writer.facts(TRACES[0])) == [new]
    assert_is(writer, [new])
    writer.close()


def test_what_it_takes_to_remove_a_trace_does_not_grow_with_the_store(tmp_path: Path) -> None:
    taken = []
    for count in (30, 240):
        writer = open_writer(tmp_path / f"{count}.db")
        for n in range(count):
            writer.append([Batch(SOURCE, 2 * n, [BODIES[0], said(n.to_bytes(16, "big"), [BODIES[0]])])])
        writer.delete_trace((7).to_bytes(16, "big"))  # what was stored is indexed
        read: list[str] = []
        with writer._database.connection() as connection:
            connection.set_trace_callback(lambda said, read=read: read.append(said) if "FROM frames" in said else None)
        writer.delete_trace((8).to_bytes(16, "big"))
        taken.append(len(read))
        assert writer.payload(BODIES[0].digest) is not None
        writer.close()
    assert taken[0] == taken[1] > 0


def test_a_list_that_never_came_keeps_nobody_from_being_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erase, "_WALKED_LIMIT", 0)
    writer = open_writer(tmp_path / "store.db")
    kept = said(TRACES[1], [BODIES[0]])
    writer.append([Batch(SOURCE, 0, [BODIES[0], said(TRACES[0], [THIRD, BODIES[1]]), BODIES[1], kept])])
    writer.append([Batch(SOURCE, 4, [SECOND, said(TRACES[0], [SECOND])])])  # and what it extends did not come either
    writer.retire(TRACES[0])
    writer = clear(writer, tmp_path / "store.db", is_cut=False)
    assert_is(writer, [kept])
    writer.close()
