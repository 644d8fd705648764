"""Suspects as rows: what blame ranks, named and clean, only for a run that somebody has open; and what cannot be seen."""

import msgspec
import pytest

from tests.collector.builders import NOW_NS, TRACE, bench
from tests.collector.test_alert_rows import HOSTILE, rows_of, told
from tests.collector.test_views import run, tell, trace_view
from tests.scenarios import Scenario
from trajectory.collector import suspects as room
from trajectory.collector.suspects import limits, suspects
from trajectory.detection.blame import Candidate, blame_of
from trajectory.graph.trace import Trace
from trajectory.model.fact import Finding
from trajectory.view.views import RunsQuery, RunsView, TraceView


def test_suspects_are_those_of_blame_in_its_order_and_no_more_than_were_asked_for() -> None:
    folded = rows_of(told()).folded
    rows = suspects(folded, 3, folded.trace.last_ns)
    ranked = blame_of(folded.trace).candidates(3)
    assert [(r.rank, r.span_id, r.score, r.step) for r in rows] == [
        (c.rank, c.span_id.hex(), c.score, c.step) for c in ranked
    ]
    assert [row.label for row in rows] == [folded.trace.span_label(folded.trace.spans[c.span_id]) for c in ranked]
    assert all(row.at_ns and row.name for row in rows)
    assert len(suspects(folded, 1, folded.trace.last_ns)) == 1


def test_a_view_brings_suspects_only_where_they_are_asked_for() -> None:
    with bench() as collector:
        tell(collector, run().facts)
        assert trace_view(collector, suspects=5).suspects
        assert trace_view(collector).suspects == trace_view(collector).limits == []
        listed = collector.publisher.answer(RunsQuery(preview=TRACE.hex()), -1)
        assert isinstance(listed, RunsView) and listed.preview is not None
        assert listed.preview.suspects == []


def test_a_view_with_suspects_and_paths_comes_over_the_wire_as_it_was() -> None:
    with bench() as collector:
        tell(collector, run().facts)
        view = trace_view(collector, suspects=5)
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(view), type=TraceView) == view


def test_words_of_a_ranking_are_clean_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    folded = rows_of(told()).folded
    span_id = next(iter(folded.trace.spans))

    def ranked(trace: Trace, now_ns: int, limit: int) -> list[Candidate]:
        wordy = [HOSTILE + "x" * 5000] * 50
        return [
            Candidate(1, HOSTILE, span_id, 1, 0.5, wordy, None),
            Candidate(2, "gone", b"unknown1", 2, 0.1, [], None),
        ][:limit]

    monkeypatch.setattr(room, "suspected", ranked)
    (row,) = suspects(folded, 99, folded.trace.last_ns)
    assert len(row.reasons) == 8 and all(len(reason) < 1000 for reason in row.reasons)
    for text in (row.agent, row.label, *row.reasons):
        assert not any(ord(char) < 32 or char in "\u202e\x9b" for char in text)


def test_what_cannot_be_seen_in_a_run_is_said() -> None:
    assert limits(rows_of(told())) == []
    assert "No contents were recorded" in limits(rows_of(told(captures_content=False)))[0]
    missing = Finding("telemetry.gap", "warning", 1.0, TRACE, b"", "facts are missing")
    assert "Facts of this run are missing" in limits(rows_of(told(), missing))[0]
    going = told()
    going.opens("agent", "late", agent="late")
    assert "The run goes on" in limits(rows_of(going, is_live=True))[0]


def test_a_run_in_which_nothing_was_done_has_no_suspects() -> None:
    empty = Scenario(TRACE)
    empty.now_ns = NOW_NS
    empty.opens("agent", "planner", agent="planner")
    assert suspects(rows_of(empty).folded, 5, 0) == []
