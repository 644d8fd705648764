"""What every store promises, run against each of them."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings

from tests.store.builders import (
    OTHER,
    SOURCE,
    TRACE_A,
    TRACE_B,
    TRACE_C,
    Sending,
    assert_holds,
    ended,
    facts_in,
    finding,
    payload,
    sendings,
    started,
)
from tests.store.memory import MemoryStore
from trajectory.errors import StoreError
from trajectory.model.fact import Batch, Fact, Gap, Heartbeat, Payload, Source
from trajectory.store.contract import TallyRow, TraceSummary, Writer
from trajectory.store.sqlite import open_reader, open_writer


@contextmanager
def memory_store() -> Iterator[Writer]:
    store = MemoryStore()
    yield store
    store.close()


@contextmanager
def sqlite_store() -> Iterator[Writer]:
    with tempfile.TemporaryDirectory() as directory:
        store = open_writer(Path(directory) / "store.db")
        yield store
        store.close()


STORES = {"memory": memory_store, "sqlite": sqlite_store}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> Iterator[Writer]:
    with STORES[request.param]() as opened:
        yield opened


@pytest.mark.parametrize("name", STORES)
@given(sending=sendings())
@settings(max_examples=60)
def test_facts_come_back_equal_however_they_were_cut_and_however_often_they_were_sent(
    name: str, sending: Sending
) -> None:
    sent, appends = sending
    with STORES[name]() as store:
        for batches in appends:
            store.append(batches)
        for batches in appends:
            store.append(batches)
        assert_holds(store, sent)
        assert store.check() == []
        for source, facts in sent.items():
            assert store.next_seq(source.emitter_id, source.boot_id) == len(facts)


@given(sending=sendings())
@settings(max_examples=40)
def test_a_store_on_disk_and_one_in_memory_say_the_same(
    sending: Sending,
) -> None:
    with sqlite_store() as on_disk, memory_store() as in_memory:
        for batches in sending[1]:
            assert on_disk.append(batches) == in_memory.append(batches)
        assert list(on_disk.all_batches()) == list(in_memory.all_batches())
        assert on_disk.trace_ids() == in_memory.trace_ids()
        assert on_disk.stale_traces() == in_memory.stale_traces()
        for until_ns in (None, 0, 1 << 40):
            assert list(on_disk.facts(TRACE_A, until_ns)) == list(in_memory.facts(TRACE_A, until_ns))
        on_disk.delete_trace(TRACE_A, TRACE_B)
        in_memory.delete_trace(TRACE_A, TRACE_B)
        assert list(on_disk.all_batches()) == list(in_memory.all_batches())
        disk, memory = on_disk.counts(), in_memory.counts()
        assert {**disk, "bytes": 0} == {**memory, "bytes": 0}


def test_an_unknown_emitter_starts_at_zero(store: Writer) -> None:
    assert store.next_seq(b"n" * 16, b"n" * 16) == 0


def test_a_payload_counts_as_a_position_and_is_not_among_the_facts(store: Writer) -> None:
    body = payload("hello")
    store.append([Batch(SOURCE, 0, [body, started(contents=[body.digest]), ended()])])
    assert store.next_seq(SOURCE.emitter_id, SOURCE.boot_id) == 3
    assert facts_in(store.all_batches()) == [started(contents=[body.digest]), ended()]
    assert store.payload(body.digest) == ("text/plain", b"hello")


def test_payloads_alone_move_the_position(store: Writer) -> None:
    store.append([Batch(SOURCE, 0, [payload("a"), payload("b")])])
    assert store.next_seq(SOURCE.emitter_id, SOURCE.boot_id) == 2
    assert list(store.all_batches()) == []
    assert store.counts()["payloads"] == 2


def test_one_body_from_many_emitters_is_stored_once(store: Writer) -> None:
    store.append([Batch(SOURCE, 0, [payload("same")]), Batch(OTHER, 0, [payload("same"), payload("other")])])
    assert store.counts()["payloads"] == 2


def test_only_the_payloads_that_are_there_come_back(store: Writer) -> None:
    known = [payload(f"text {n}") for n in range(1200)]
    store.append([Batch(SOURCE, 0, list(known))])
    found = store.payloads([*(body.digest for body in known), b"?" * 16])
    assert found == {body.digest: (body.media_type, body.body) for body in known}
    assert store.payload(b"?" * 16) is None


def test_a_part_that_was_sent_before_is_skipped_and_the_rest_kept(store: Writer) -> None:
    facts: list[Fact] = [Heartbeat(n, 0) for n in range(6)]
    store.append([Batch(SOURCE, 0, facts[:4])])
    store.append([Batch(SOURCE, 2, facts[2:])])
    assert facts_in(store.all_batches()) == facts
    assert [batch.first_seq for batch in store.all_batches()] == [0, 4]


def test_a_jump_in_positions_is_taken_as_it_comes(store: Writer) -> None:
    store.append([Batch(SOURCE, 0, [Heartbeat(1, 0)]), Batch(SOURCE, 10, [Heartbeat(2, 0)])])
    assert store.next_seq(SOURCE.emitter_id, SOURCE.boot_id) == 11
    assert facts_in(store.all_batches()) == [Heartbeat(1, 0), Heartbeat(2, 0)]


def test_a_stretch_of_frames_is_read_without_what_came_before_and_after(store: Writer) -> None:
    told = [started(name=name) for name in "abcd"]
    ends = [store.append([Batch(SOURCE, n, [fact])]) for n, fact in enumerate(told)]
    assert facts_in(store.all_batches(ends[0], ends[2])) == told[1:3]
    assert facts_in(store.all_batches(ends[1], ends[1])) == []
    assert facts_in(store.facts(TRACE_A, until_frame=ends[1])) == told[:2]


@pytest.mark.parametrize("first_seq", [-1, (1 << 63) - 1, 1 << 64])
def test_a_position_out_of_range_is_refused_and_nothing_of_the_call_is_stored(store: Writer, first_seq: int) -> None:
    with pytest.raises(StoreError, match="position"):
        store.append([Batch(OTHER, 0, [started()]), Batch(SOURCE, first_seq, [started()])])
    assert store.counts()["facts"] == 0


def test_a_new_boot_of_an_emitter_starts_anew(store: Writer) -> None:
    again = Source(SOURCE.emitter_id, b"2" * 16, SOURCE.resource)
    store.append([Batch(SOURCE, 0, [started()]), Batch(again, 0, [ended()])])
    assert [(batch.source, batch.facts) for batch in store.all_batches()] == [(SOURCE, [started()]), (again, [ended()])]


def test_a_resource_that_becomes_known_later_is_told_with_all_facts(store: Writer) -> None:
    unknown = Source(SOURCE.emitter_id, SOURCE.boot_id)
    store.append([Batch(unknown, 0, [started()])])
    assert [batch.source for batch in store.all_batches()] == [unknown]
    store.append([Batch(SOURCE, 1, [ended()])])
    store.append([Batch(unknown, 2, [ended()])])
    assert [batch.source for batch in store.all_batches()] == [SOURCE, SOURCE, SOURCE]


def test_a_batch_of_any_size_is_cut_into_frames_of_the_wires_size(store: Writer) -> None:
    facts: list[Fact] = [Heartbeat(n, 0) for n in range(600)]
    assert store.append([Batch(SOURCE, 0, facts)]) == 3
    assert [len(batch.facts) for batch in store.all_batches()] == [256, 256, 88]
    assert facts_in(store.all_batches()) == facts


def test_append_returns_the_newest_frame_also_where_it_adds_none(store: Writer) -> None:
    assert store.append([]) == 0
    assert store.append([Batch(SOURCE, 0, [started()])]) == 1
    assert store.append([Batch(SOURCE, 0, [started()])]) == 1
    assert store.last_frame() == 1


def test_batches_after_a_frame_are_those_appended_since(store: Writer) -> None:
    frame = store.append([Batch(SOURCE, 0, [started()])])
    store.append([Batch(SOURCE, 1, [ended()])])
    assert facts_in(store.all_batches(after_frame=frame)) == [ended()]


def test_reading_ends_although_the_reader_appends_what_it_reads(store: Writer) -> None:
    store.append([Batch(SOURCE, n, [Heartbeat(n, 0)]) for n in range(100)])
    for n, batch in enumerate(store.all_batches()):
        store.append([Batch(OTHER, n, batch.facts)])
    assert store.counts()["facts"] == 200


def test_the_facts_of_a_trace_are_its_own_only(store: Writer) -> None:
    store.append([Batch(SOURCE, 0, [started(TRACE_A), started(TRACE_B), Heartbeat(1, 0), ended(TRACE_A)])])
    assert facts_in(store.facts(TRACE_A)) == [started(TRACE_A), ended(TRACE_A)]
    assert facts_in(store.facts(TRACE_B)) == [started(TRACE_B)]
    assert list(store.facts(TRACE_C)) == []
    assert list(store.facts(b"")) == []


def test_facts_until_an_instant_include_that_instant(store: Writer) -> None:
    store.append([Batch(SOURCE, 0, [started(at_ns=10), ended(at_ns=20)]), Batch(SOURCE, 2, [ended(at_ns=30)])])
    assert facts_in(store.facts(TRACE_A, until_ns=20)) == [started(at_ns=10), ended(at_ns=20)]
    assert facts_in(store.facts(TRACE_A, until_ns=9)) == []


def test_traces_are_listed_in_order_of_arrival(store: Writer) -> None:
    store.append([Batch(SOURCE, 0, [started(TRACE_C)]), Batch(SOURCE, 1, [started(TRACE_A)])])
    store.append([Batch(SOURCE, 2, [started(TRACE_B), started(TRACE_C)])])
    assert store.trace_ids() == [TRACE_C, TRACE_A, TRACE_B]


def test_a_trace_is_found_by_a_unique_prefix_in_any_case(store: Writer) -> None:
    store.append([Batch(SOURCE, 0, [started(TRACE_A), started(TRACE_B), started(TRACE_C)])])
    assert store.find_trace("a") == TRACE_A
    assert store.find_trace("B0B") == TRACE_B
    assert store.find_trace(TRACE_C.hex()) == TRACE_C


@pytest.mark.parametrize(
    ("prefix", "said"),
    [
        ("c", "no trace starts"),
        ("b", "several.*b0b0.*b1b1"),
        ("xyz", "no trace id"),
        ("a0" * 17, "no trace id"),
        ("a\x1b", r"\\x1b"),
    ],
)
def test_a_prefix_of_none_or_several_traces_is_refused_with_the_candidates(
    store: Writer, prefix: str, said: str
) -> None:
    store.append([Batch(SOURCE, 0, [started(TRACE_A), started(TRACE_B), started(TRACE_C)])])
    with pytest.raises(StoreError, match=said) as refused:
        store.find_trace(prefix)
    assert str(refused.value).isprintable()


def test_of_many_candidates_five_are_shown(store: Writer) -> None:
    store.append([Batch(SOURCE, 0, [started(bytes([0xA0 + n]) * 16) for n in range(9)])])
    with pytest.raises(StoreError, match=r"\.\.\.") as refused:
        store.find_trace("a")
    assert sum((bytes([0xA0 + n]) * 16).hex() in str(refused.value) for n in range(9)) == 5


def test_a_trace_is_stale_until_its_summary_names_its_newest_frame(store: Writer) -> None:
    frame = store.append([Batch(SOURCE, 0, [started(TRACE_A), started(TRACE_B)])])
    assert store.stale_traces() == [TRACE_A, TRACE_B]
    store.save_summaries([TraceSummary(TRACE_A, last_frame=frame), TraceSummary(TRACE_B, last_frame=frame - 1)])
    assert store.stale_traces() == [TRACE_B]
    store.append([Batch(SOURCE, 2, [ended(TRACE_A)])])
    assert store.stale_traces() == [TRACE_A, TRACE_B]


def test_summaries_come_latest_start_first_a_page_at_a_time(store: Writer) -> None:
    saved = [TraceSummary(bytes([n]) * 16, title=f"run {n}", started_ns=n * 7 % 5) for n in range(5)]
    store.save_summaries(saved)
    newest = sorted(saved, key=lambda summary: -summary.started_ns)
    assert store.summaries() == newest
    assert store.summaries(limit=2, offset=2) == newest[2:4]
    assert store.summaries(limit=2, before=newest[1]) == newest[2:4]
    assert store.summaries(before=newest[-1]) == []
    assert store.summary_count() == len(newest)
    assert store.summary(bytes([3]) * 16) == saved[3]
    assert store.summary(b"?" * 16) is None


def test_live_summaries_are_those_that_are_live_now(store: Writer) -> None:
    store.save_summaries([TraceSummary(TRACE_A, state="live", started_ns=1), TraceSummary(TRACE_B, state="done")])
    store.save_summaries([TraceSummary(TRACE_C, state="live", started_ns=2)])
    assert [summary.trace_id for summary in store.live_summaries()] == [TRACE_C, TRACE_A]
    store.save_summaries([TraceSummary(TRACE_C, state="done", started_ns=2)])
    assert [summary.trace_id for summary in store.live_summaries()] == [TRACE_A]


def test_a_later_summary_replaces_the_earlier(store: Writer) -> None:
    store.save_summaries([TraceSummary(TRACE_A, state="live", started_ns=5)])
    store.save_summaries([TraceSummary(TRACE_A, state="done", started_ns=4, steps=9)])
    assert store.summaries() == [TraceSummary(TRACE_A, state="done", started_ns=4, steps=9)]


def test_a_tally_is_saved_with_its_summary_and_read_by_when_work_ended(store: Writer) -> None:
    early, late = TallyRow(TRACE_A, 5, b"a" * 500), TallyRow(TRACE_B, 9, b"b")
    store.save_summaries([TraceSummary(TRACE_A), TraceSummary(TRACE_B), TraceSummary(TRACE_C)], [early, late])
    assert list(store.tallies()) == [late, early] and list(store.tallies(since_ns=6)) == [late]
    assert store.tally(TRACE_A) == early and store.tally(TRACE_C) is None
    assert store.untallied() == [TRACE_C]
    store.save_summaries([], [TallyRow(TRACE_A, 12, b"later")])
    assert list(store.tallies()) == [TallyRow(TRACE_A, 12, b"later"), late]
    store.append([Batch(SOURCE, 0, [started(TRACE_B)])])
    store.delete_trace(TRACE_B)
    assert store.tally(TRACE_B) is None


def test_findings_come_in_time_order_and_by_what_is_asked(store: Writer) -> None:
    late, early = finding(at_ns=9), finding(TRACE_B, at_ns=3, severity="critical")
    info = finding(at_ns=5, kind="flow.loop", severity="info")
    store.save_findings([late, early, info])
    assert store.findings() == [early, info, late]
    assert store.findings(trace_id=TRACE_A) == [info, late]
    assert store.findings(kind="context.lost") == store.findings(kind="context.*") == [early, late]
    assert store.findings(min_severity="warning") == [early, late]
    assert store.findings(TRACE_B, "context.lost", "critical") == [early]
    assert store.findings(TRACE_B, "flow.loop") == []


def test_a_finding_that_grows_replaces_itself(store: Writer) -> None:
    store.save_findings([finding(severity="info")])
    store.save_findings([finding(severity="critical", at_ns=8)])
    assert store.findings() == [finding(severity="critical", at_ns=8)]


def test_a_severity_from_a_newer_writer_counts_as_a_warning(store: Writer) -> None:
    store.save_findings([finding(severity="fatal")])
    assert store.findings(min_severity="warning") == [finding(severity="fatal")]
    assert store.findings(min_severity="critical") == []


def test_an_unknown_severity_to_ask_for_is_refused(store: Writer) -> None:
    with pytest.raises(StoreError, match="info, warning, critical"):
        store.findings(min_severity="fatal")


def test_a_deleted_trace_leaves_nothing_of_its_own_and_everything_of_others(store: Writer) -> None:
    shared, own = payload("shared"), payload("own")
    facts: list[Fact] = [
        shared,
        own,
        started(TRACE_A, contents=[shared.digest, own.digest]),
        started(TRACE_B, contents=[shared.digest]),
    ]
    store.append([Batch(SOURCE, 0, [*facts, Heartbeat(1, 0)]), Batch(SOURCE, 5, [ended(TRACE_A)])])
    store.save_summaries([TraceSummary(TRACE_A), TraceSummary(TRACE_B)])
    store.save_findings([finding(TRACE_A), finding(TRACE_B)])
    store.delete_trace(TRACE_A, b"?" * 16)
    assert facts_in(store.all_batches()) == [facts[3], Heartbeat(1, 0)]
    assert store.trace_ids() == [TRACE_B]
    assert store.payloads([shared.digest, own.digest]) == {shared.digest: ("text/plain", b"shared")}
    assert store.summaries() == [TraceSummary(TRACE_B)]
    assert store.findings() == [finding(TRACE_B)]


def test_deleting_frees_neither_positions_nor_frame_ids(store: Writer) -> None:
    store.append([Batch(SOURCE, 0, [started(TRACE_A)])])
    store.delete_trace(TRACE_A)
    assert store.next_seq(SOURCE.emitter_id, SOURCE.boot_id) == 1
    assert store.last_frame() == 1
    assert store.append([Batch(SOURCE, 0, [started(TRACE_A)]), Batch(SOURCE, 1, [ended(TRACE_A)])]) == 2
    assert facts_in(store.facts(TRACE_A)) == [ended(TRACE_A)]


def test_text_that_is_no_unicode_is_mended_beside_its_neighbours(store: Writer) -> None:
    broken = Source(b"x" * 16, b"y" * 16, {"service.name": "a\ud800"})
    store.append([Batch(broken, 0, [started(name="a\udcffb"), ended(), Payload(b"d" * 16, "t\ud800", b"body")])])
    (batch,) = store.all_batches()
    assert batch.facts == [started(name="a?b"), ended()]
    assert batch.source.service == "a?"
    store.save_summaries([TraceSummary(TRACE_A, title="a\ud800")])
    store.save_findings([finding(value="v\ud800")])
    assert store.summaries()[0].title == "a?"
    assert store.findings()[0].value == "v?"
    assert store.payload(b"d" * 16) == ("t?", b"body")
    assert store.next_seq(b"x" * 16, b"y" * 16) == 3


@pytest.mark.parametrize("value", [object(), 1 << 70, {1: {2, object()}}])
def test_a_fact_that_has_no_encoding_becomes_a_gap_and_its_neighbours_stay(store: Writer, value: object) -> None:
    bad = started(at_ns=7)
    bad.attributes["bad"] = value
    store.append([Batch(SOURCE, 0, [started(TRACE_B), bad, ended(TRACE_B)])])
    assert facts_in(store.all_batches()) == [started(TRACE_B), Gap(7, 1, "quarantined"), ended(TRACE_B)]
    assert store.trace_ids() == [TRACE_B]
    assert store.next_seq(SOURCE.emitter_id, SOURCE.boot_id) == 3


def test_a_fact_that_cannot_be_read_back_costs_itself_only(store: Writer) -> None:
    bad = started(TRACE_B)
    bad.attributes.update({5: "a key that is no text"})  # type: ignore[dict-item]
    store.append([Batch(SOURCE, 0, [started(), bad, ended()])])
    assert facts_in(store.all_batches()) == [started(), Gap(0, 1, "quarantined"), ended()]
    assert facts_in(store.facts(TRACE_A)) == [started(), ended()]


def test_a_resource_without_an_encoding_is_refused_in_one_line(store: Writer) -> None:
    with pytest.raises(StoreError, match="cannot store"):
        store.append([Batch(SOURCE, 0, [started()]), Batch(Source(b"x" * 16, b"", {"bad": object()}), 0, [started()])])
    assert store.counts()["facts"] == 0
    assert store.next_seq(SOURCE.emitter_id, SOURCE.boot_id) == 0


def test_the_version_moves_with_every_write_and_with_nothing_else(store: Writer) -> None:
    seen = [store.data_version()]

    def has_moved() -> bool:
        seen.append(store.data_version())
        return seen[-1] != seen[-2]

    assert not has_moved()
    store.append([Batch(SOURCE, 0, [started()])])
    assert has_moved()
    list(store.facts(TRACE_A))
    store.counts()
    assert not has_moved()
    store.save_summaries([TraceSummary(TRACE_A)])
    assert has_moved()
    store.save_findings([finding()])
    assert has_moved()
    store.delete_trace(TRACE_A)
    assert has_moved()


def test_counts_say_how_much_there_is(store: Writer) -> None:
    store.append([Batch(SOURCE, 0, [payload("x"), started(TRACE_A), started(TRACE_B), Heartbeat(1, 0)])])
    counts = store.counts()
    assert counts.pop("bytes") > 0
    assert counts == {"frames": 1, "facts": 3, "traces": 2, "payloads": 1}


def test_a_body_that_is_not_what_its_digest_says_is_found_by_the_check(store: Writer) -> None:
    store.append([Batch(SOURCE, 0, [Payload(b"d" * 16, "text/plain", b"another body")])])
    assert store.check() == [f"payload {(b'd' * 16).hex()}: its body is not what its digest says"]


def test_a_closed_store_says_so_and_closes_twice(store: Writer) -> None:
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.append([Batch(SOURCE, 0, [started()])])
    with pytest.raises(StoreError, match="closed"):
        store.summaries()


def test_large_bodies_come_back_whole_and_compressible_ones_small(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = open_writer(path)
    random, repeated = Payload(b"r" * 16, "b", os.urandom(300_000)), payload("again and again " * 40_000)
    store.append([Batch(SOURCE, 0, [random, repeated])])
    store.close()
    reader = open_reader(path)
    assert reader.payload(random.digest) == ("b", random.body)
    assert reader.payload(repeated.digest) == ("text/plain", repeated.body)
    assert reader.counts()["bytes"] < 300_000 + 160_000
    reader.close()
