"""What watchers are answered: rows of the fold, filtered, bounded and clean, and nothing where nothing changed."""

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.collector.builders import (
    NOW_NS,
    SECOND_NS,
    SOURCE,
    TRACE,
    Bench,
    Clock,
    FailingStore,
    bench,
    ended,
    finding,
    span_id,
    started,
)
from tests.collector.test_alert_rows import rows_of
from tests.detection.stories import trip
from tests.scenarios import Scenario
from trajectory.collector import publish, spans
from trajectory.collector.incident_states import IncidentStates
from trajectory.collector.remote import RemoteFeed
from trajectory.collector.rows import TraceRows
from trajectory.collector.watching import answer, read_answer
from trajectory.collector.wording import goal_of
from trajectory.errors import WireError
from trajectory.model.content import JSON, MESSAGE, TEXT, digest
from trajectory.model.fact import Batch, Fact, Found, Heartbeat, Payload, SpanEvent, SpanLinked
from trajectory.model.words import DELEGATION_TARGET, EVENT_DELTA
from trajectory.view.rows import Health
from trajectory.view.views import (
    OUTLINE_PARTS,
    AlertsQuery,
    DelegationQuery,
    InstantQuery,
    Missing,
    Query,
    RunsQuery,
    RunsView,
    SignalsQuery,
    SpanQuery,
    SpanView,
    TraceQuery,
    TraceView,
    View,
)

HOSTILE = "\x1b[31mred\x1b]0;title\x07\u202eevil\n\x00<b>[bold]"


def tell(collector: Bench, facts: Sequence[Fact]) -> None:
    batch = Batch(SOURCE, collector.store.next_seq(SOURCE.emitter_id, SOURCE.boot_id), list(facts))
    collector.pipeline.store([batch])
    collector.pipeline.fold([batch])
    collector.pipeline.tick()


def trace_view(collector: Bench, **more: Any) -> TraceView:
    view = collector.publisher.answer(TraceQuery(TRACE.hex(), **more), -1)
    assert isinstance(view, TraceView)
    return view


def span_view(collector: Bench, number: int, **more: Any) -> SpanView:
    view = collector.publisher.answer(SpanQuery(TRACE.hex(), span_id(number).hex(), **more), -1)
    assert isinstance(view, SpanView)
    return view


def run(*, at_ns: int = NOW_NS - 60 * SECOND_NS) -> Scenario:
    """Planner asks research, whose search fails once and then gives H1; research answers."""
    told = Scenario(TRACE)
    told.now_ns = at_ns
    with told.agent("planner", task="Find a hotel"):
        with told.delegate("research", task="Find H"):
            failed = told.tool("search", {"q": "x"}, error=("TimeoutError", "too slow"))
            told.tool("search", {"q": "x"}, result="H1", retry_of=failed)
            told.says("It is H1")
        told.says("Take H1")
    return told


def test_nothing_is_answered_where_nothing_changed_and_the_news_where_something_did() -> None:
    with bench() as collector:
        tell(collector, run().facts)
        query = TraceQuery(TRACE.hex())
        first = collector.publisher.answer(query, -1)
        assert first is not None
        assert collector.publisher.answer(query, first.version) is None
        other = b"another-trace-id"
        tell(collector, [started(1, trace_id=other)])
        assert collector.publisher.answer(query, first.version) is None
        tell(collector, [started(99, parent=1, kind="tool")])
        second = collector.publisher.answer(query, first.version)
        assert second is not None and second.version > first.version


def test_health_that_moves_is_news() -> None:
    with bench() as collector:
        view = collector.publisher.answer(RunsQuery(), -1)
        assert view is not None and collector.publisher.answer(RunsQuery(), view.version) is None
        collector.pipeline.vitals.lost(3)
        news = collector.publisher.answer(RunsQuery(), view.version)
        assert news is not None and news.health.dropped_count == 3


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        (TraceQuery("ab" * 16), "there is no run abab"),
        (TraceQuery("no hex"), "there is no run no hex"),
        (TraceQuery(""), "there is no run"),
        (TraceQuery(TRACE.hex()[:-2]), "there is no run"),
        (SpanQuery(TRACE.hex(), "ff" * 8), "there is no span ffff"),
        (SpanQuery(TRACE.hex(), "zz"), "there is no span zz"),
        (SpanQuery("ab" * 16, span_id(1).hex()), "there is no run abab"),
        (InstantQuery("ab" * 16, NOW_NS), "there is no run abab"),
        (DelegationQuery("ab" * 16, "cd" * 8), "there is no run abab"),
        (DelegationQuery(TRACE.hex(), "cd" * 8), "there is no delegation cdcd"),
        (SignalsQuery(trace_id="ab" * 16), "there is no run abab"),
        (AlertsQuery(), "this collector keeps no alerts"),
    ],
)
def test_what_is_not_there_is_said(query: Query, reason: str) -> None:
    with bench() as collector:
        tell(collector, run().facts)
        view = collector.publisher.answer(query, -1)
        assert isinstance(view, Missing) and reason in view.reason and view.position == -1


@pytest.mark.parametrize("query", [RunsQuery("status:("), TraceQuery(TRACE.hex(), "status:(")])
def test_a_filter_that_does_not_parse_is_answered_with_its_place(query: Query) -> None:
    with bench() as collector:
        tell(collector, run().facts)
        view = collector.publisher.answer(query, -1)
        assert isinstance(view, Missing) and 0 <= view.position <= len("status:(")


def test_the_tail_and_the_timeline_are_bounded_and_filtered() -> None:
    with bench() as collector:
        tell(collector, run().facts)
        whole = trace_view(collector, spans=100)
        assert [row.step_id for row in trace_view(collector, tail=2).tail] == [5, 6]
        window = trace_view(collector, spans=2, spans_offset=1)
        assert window.spans == whole.spans[1:3]
        assert (window.spans_total, window.spans_matching) == (7, 7)
        tools = trace_view(collector, spans=1, filter="kind:tool")
        assert [s.name for s in tools.spans] == ["search"] and (tools.spans_total, tools.spans_matching) == (7, 2)
        none = trace_view(collector, tail=-5, spans=-5, spans_offset=-5)
        assert none.tail == [] and none.spans == []
        assert trace_view(collector, spans=5, spans_offset=1 << 40).spans == []


def test_the_timeline_goes_down_first_with_what_is_below_counted() -> None:
    with bench() as collector:
        tell(collector, run().facts)
        rows = trace_view(collector, spans=100).spans
        assert [(r.depth, r.kind, r.descendants) for r in rows] == [
            (0, "agent", 6),
            (1, "delegation", 4),
            (2, "agent", 3),
            (3, "tool", 0),
            (3, "tool", 0),
            (3, "model", 0),
            (1, "model", 0),
        ]
        assert [r.is_retry for r in rows if r.kind == "tool"] == [False, True]
        assert [r.text for r in rows if r.kind == "tool"] == ["too slow", "H1"]


def test_the_outline_of_a_run_says_when_leaves_were_at_work_and_what_failed_where() -> None:
    with bench() as collector:
        tell(collector, run().facts)
        view = trace_view(collector, spans=100, outline=True)
        outline, trace = view.outline, view.trace
        assert outline is not None and view.lanes == [] and len(outline.activity) == OUTLINE_PARTS
        assert outline.failed == [(at, s.span_id) for at, s in enumerate(view.spans) if s.status == "error"] != []
        part_ns = (trace.ended_ns - trace.started_ns) / OUTLINE_PARTS
        for part in (0, 60, 120, OUTLINE_PARTS - 1):
            from_ns, to_ns = trace.started_ns + part * part_ns, trace.started_ns + (part + 1) * part_ns
            leaves = [s for s in view.spans if not s.children and s.start_ns < to_ns and s.end_ns >= from_ns]
            assert outline.activity[part] == len(leaves)
        assert trace_view(collector, spans=1).outline is None


def test_what_is_dear_to_work_out_comes_where_it_is_asked_for() -> None:
    with bench() as collector:
        tell(collector, run().facts)
        spans = trace_view(collector, spans=100).spans
        assert not any(row.is_critical or row.cost_usd for row in spans)
        asked = trace_view(collector, spans=100, critical=True, costs=True, outline=True)
        on_path = {row.span_id for row in asked.spans if row.is_critical}
        assert on_path == {row.span_id for row in spans}, "nobody works beside another here"
        lanes = trace_view(collector, critical=True)
        assert {row.lane_span_id for row in lanes.critical} <= {lane.span_id for lane in lanes.lanes}
        assert all(one.end_ns <= other.start_ns for one, other in pairwise(lanes.critical))
        assert lanes.critical[-1].end_ns == lanes.trace.ended_ns


def test_spans_are_asked_for_around_a_span_or_a_time() -> None:
    with bench() as collector:
        tell(collector, run().facts)
        whole = trace_view(collector, spans=100)
        for at, row in enumerate(whole.spans):
            view = trace_view(collector, spans=3, around=row.span_id[:-1])
            first = next(n for n, each in enumerate(whole.spans) if each.span_id.startswith(row.span_id[:-1]))
            assert view.around == whole.spans[first].span_id
            assert view.spans == whole.spans[view.spans_offset : view.spans_offset + 3]
            assert view.around in [each.span_id for each in view.spans]
            then = trace_view(collector, spans=3, around_ns=row.start_ns - whole.trace.started_ns)
            found = next(each for each in whole.spans if each.span_id == then.around)
            assert found.start_ns <= row.start_ns <= (found.end_ns or row.start_ns), at
        assert trace_view(collector, spans=3, around="ffff").around == ""


def test_lanes_that_rest_are_drawn_once_and_those_that_change_anew() -> None:
    told = run()
    with bench() as collector:
        for fact in told.facts:
            tell(collector, [fact])
            for folded in collector.pipeline.traces():
                kept = TraceRows(folded, collector.clock.at_ns, is_live=True).lanes()
                folded.bars.clear()
                assert TraceRows(folded, collector.clock.at_ns, is_live=True).lanes() == kept


def test_lanes_and_delegations_say_who_waits_for_whom() -> None:
    told = run()
    with bench() as collector:
        tell(collector, told.facts[:8])
        view = trace_view(collector)
        assert (view.lanes[0].label, view.lanes[0].state) == ("planner#1", "cut_off")
    with bench() as collector:
        collector.clock.at_ns = told.facts[7].at_ns  # type: ignore[union-attr]
        tell(collector, told.facts[:8])
        view = trace_view(collector)
        assert [(lane.label, lane.state) for lane in view.lanes] == [
            ("planner#1", "waiting"),
            ("research#1", "running"),
        ]
        (delegation,) = view.delegations
        assert (delegation.source, delegation.target, delegation.state) == ("planner#1", "research#1", "received")
        assert delegation.task == "Find H"
        tell(collector, told.facts[8:])
        view = trace_view(collector)
        assert [lane.state for lane in view.lanes] == ["ok", "ok"]
        assert [bar.kind for bar in view.lanes[1].bars] == ["tool", "retry", "model"]
        assert view.delegations[0].state == "returned" and view.delegations[0].returned == "It is H1"


@pytest.mark.parametrize(
    ("facts", "waits_s", "state"),
    [
        ([started(1)], 1, "live"),
        ([started(1)], 16, "cut_off"),
        ([started(1), ended(1)], 100, "done"),
        ([started(1), ended(1, "error")], 100, "failed"),
        ([started(1), started(2, parent=1), ended(2, "error"), ended(1)], 100, "done"),
    ],
)
def test_a_run_is_live_done_failed_or_cut_off(facts: list[Fact], waits_s: float, state: str) -> None:
    with bench() as collector:
        tell(collector, facts)
        collector.clock.passes(waits_s)
        collector.pipeline.tick()
        (row,) = collector.pipeline.runs.rows()
        assert row.state == state == trace_view(collector).trace.state


def test_work_that_was_cancelled_is_cut_off_and_not_fine() -> None:
    with bench() as collector:
        tell(
            collector,
            [
                started(1, kind="agent", agent="a"),
                ended(1, "unset", attributes={"trajectory.interrupted": "CancelledError"}),
            ],
        )
        view = trace_view(collector)
        assert [lane.state for lane in view.lanes] == ["cut_off"]


def test_a_heartbeat_keeps_a_quiet_span_alive() -> None:
    with bench() as collector:
        tell(collector, [started(1)])
        collector.clock.passes(16)
        tell(collector, [Heartbeat(collector.clock(), 0)])
        assert trace_view(collector, spans=5).spans[0].status == "running"


def test_runs_are_listed_live_ones_first_filtered_and_bounded() -> None:
    with bench() as collector:
        for number in range(4):
            trace_id = bytes([number]) * 16
            facts: list[Fact] = [started(1, trace_id=trace_id, at_ns=NOW_NS + number, name=f"job {number}")]
            tell(collector, facts if number == 1 else [*facts, ended(1, trace_id=trace_id)])
        view = collector.publisher.answer(RunsQuery(limit=3), -1)
        assert isinstance(view, RunsView) and view.total == 4
        assert [row.title for row in view.rows] == ["job 1", "job 3", "job 2"]
        matching = collector.publisher.answer(RunsQuery("job 2"), -1)
        assert isinstance(matching, RunsView) and [row.title for row in matching.rows] == ["job 2"]
        assert isinstance(none := collector.publisher.answer(RunsQuery(limit=-1), -1), RunsView) and none.rows == []


def test_a_list_of_runs_brings_the_lanes_of_the_one_that_is_looked_at() -> None:
    with bench() as collector:
        tell(collector, run().facts)
        view = collector.publisher.answer(RunsQuery(preview=TRACE.hex()), -1)
        assert isinstance(view, RunsView) and view.preview is not None
        assert [lane.agent for lane in view.preview.lanes] == ["planner", "research"]
        gone = collector.publisher.answer(RunsQuery(preview="ab" * 16), -1)
        assert isinstance(gone, RunsView) and gone.preview is None


def test_activity_counts_steps_in_windows_of_four_seconds_that_end_now() -> None:
    with bench() as collector:
        ago_s = (1, 1, 5, 59, 61)
        facts = [started(n + 1, at_ns=NOW_NS - s * SECOND_NS) for n, s in enumerate(ago_s)]
        tell(collector, facts)
        activity = trace_view(collector).trace.activity
        assert (len(activity), activity[-1], activity[-2], activity[0], sum(activity)) == (15, 2, 1, 1, 4)


def test_a_trace_of_hostile_text_shows_no_control_codes_outside_of_bodies() -> None:
    named = {"gen_ai.tool.name": HOSTILE, DELEGATION_TARGET: HOSTILE, HOSTILE: HOSTILE, "trajectory.title": HOSTILE}
    facts: list[Fact] = [
        started(1, name=HOSTILE, agent=HOSTILE, attributes=named),
        started(2, parent=1, kind="tool", name=HOSTILE, attributes=named),
        started(3, parent=1, kind="delegation", name=HOSTILE, attributes=named),
        started(4, parent=1, kind=HOSTILE, name=HOSTILE),
        started(5, parent=1, kind="model", name=HOSTILE),
        ended(5, HOSTILE),
        SpanEvent(TRACE, span_id(1), NOW_NS + 5, 0, HOSTILE, attributes={HOSTILE: HOSTILE}),
        SpanLinked(TRACE, span_id(2), NOW_NS + 6, HOSTILE, TRACE, span_id(3)),
        ended(2, "error", message=HOSTILE, attributes={"error.type": HOSTILE}),
        Found(NOW_NS, finding(2, message=HOSTILE, value=HOSTILE, agent=HOSTILE, peer_agent=HOSTILE)),
    ]
    with bench() as collector:
        tell(collector, facts)
        views: list[View | None] = [
            trace_view(collector, spans=10),
            collector.publisher.answer(RunsQuery(), -1),
            *(span_view(collector, n) for n in (1, 2, 3)),
        ]
        for view in views:
            if isinstance(view, SpanView):  # what attributes hold is a body, for the screen to make safe
                view = msgspec.structs.replace(view, attributes=[(key, "") for key, _ in view.attributes])
            assert _controls(msgspec.to_builtins(view)) == set()


def _controls(value: Any) -> set[str]:
    """Control characters in any text of a view."""
    if isinstance(value, str):
        return {c for c in value if ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or c == "\u202e"}
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return set().union(*(_controls(v) for v in inside))


def test_a_span_is_shown_whole_with_its_bodies_cut_to_the_limit() -> None:
    body = json.dumps({"k": "v" * 100}).encode()
    said = json.dumps({"role": "user", "parts": [{"type": "text", "content": "hello"}]}).encode()
    deep = b'{"role": "user", "parts": ' + b"[" * 100_000
    payloads: list[Fact] = [
        Payload(digest(kind, held), kind, held) for kind, held in ((JSON, body), (MESSAGE, said), (MESSAGE, deep))
    ]
    digests = [fact.digest for fact in payloads if isinstance(fact, Payload)]
    contents = {"input": digests, "odd slot": [b"m" * 16], "task": digests[:1]}
    facts = [*payloads, started(1), started(2, parent=1, kind="model", contents=contents), started(3, parent=1)]
    with bench() as collector:
        tell(collector, facts)
        view = span_view(collector, 2, content_limit=20)
        assert [c.slot for c in view.contents] == ["task", "input", "input", "input", "odd slot"]
        assert (view.contents[0].size_bytes, view.contents[0].is_cut, len(view.contents[0].text)) == (
            len(body),
            True,
            20,
        )
        assert view.contents[2].text == "user: hello"
        assert view.contents[4].text == "(the body is not stored)"
        assert (view.previous_id, view.next_id) == ("", span_id(3).hex())
        assert span_view(collector, 2, content_limit=-7).contents[0].text == ""
        whole = span_view(collector, 2, content_limit=20, whole=digests[0].hex()).contents
        assert [c.is_cut for c in whole[:4]] == [False, False, False, True]
        assert span_view(collector, 2, raw=True).contents[2].text == said.decode()


def test_of_a_long_conversation_it_is_said_how_much_of_it_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "_MAX_CONTENTS", 3)
    story = Scenario()
    with story.agent("planner", task="Count."):
        story.says("Done.", knows=[{"role": "user", "content": f"number {n}"} for n in range(5)])
    rows = rows_of(story)
    (model,) = (span for span in rows.trace.spans.values() if span.kind == "model")
    shown = spans.span_view(rows, model, 100, 1, Health()).contents
    assert [(each.slot, each.text) for each in shown] == [
        ("input", "(2 earlier ones are not shown: an export has all)"),
        *(("input", f"user: number {n}") for n in (2, 3, 4)),
        ("output", "assistant: Done."),
    ]


def test_output_that_is_still_streaming_is_shown_so_far() -> None:
    pieces = [
        SpanEvent(TRACE, span_id(1), NOW_NS + n, n, EVENT_DELTA, attributes={"text": text})
        for n, text in enumerate(["Take", " H1"])
    ]
    with bench() as collector:
        tell(collector, [started(1, kind="model"), *pieces])
        assert span_view(collector, 1).contents[0].text == "Take H1"
        assert trace_view(collector).tail[0].text == "n1  Take H1"


def test_a_dear_answer_is_given_again_until_it_has_rested(monkeypatch: pytest.MonkeyPatch) -> None:
    ticking = Clock(0)
    with bench() as collector:
        collector.publisher = publish.Publisher(
            collector.pipeline, collector.health, is_live=lambda: True, clock=ticking
        )
        make = collector.publisher._fresh

        def dear(*asked: Any) -> View | None:
            ticking.passes(0.5)
            return make(*asked)

        monkeypatch.setattr(collector.publisher, "_fresh", dear)
        tell(collector, run().facts)
        first = trace_view(collector)
        tell(collector, [started(99, parent=1)])
        assert trace_view(collector) is first
        assert collector.publisher.answer(TraceQuery(TRACE.hex()), first.version) is None
        ticking.passes(2.1)
        assert trace_view(collector).version > first.version


def test_a_view_that_cannot_be_made_is_said_and_the_next_one_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.collector.builders import Peer
    from trajectory.collector.watching import ask

    def broken(*_: object) -> View | None:
        raise RecursionError("deep")

    with bench() as collector:
        peer: Peer = collector.peer()
        with monkeypatch.context() as patch:
            patch.setattr(collector.publisher, "_runs", broken)
            peer.socket.send(ask(1, -1, RunsQuery()))
            collector.serve()
            assert peer.answers() == [["refused", "this cannot be shown: RecursionError"]]
        peer.socket.send(ask(2, -1, RunsQuery()))
        collector.serve()
        ((kind, *_),) = peer.answers()
        assert kind == "answer"
        assert any("a view" in notice for notice in collector.health().notices)


def test_answers_travel_whole_and_corrupt_ones_are_wire_errors() -> None:
    with bench() as collector:
        tell(collector, run().facts)
        view = trace_view(collector, spans=100)
        assert read_answer(answer(7, view)).view == view
        assert read_answer(answer(7, None)).view is None
        for corrupt in (b"", b"\xc1", b"\x91" * 100_000, answer(7, view)[:-3]):
            with pytest.raises(WireError, match="corrupt answer"):
                read_answer(corrupt)


def test_a_feed_says_what_is_no_endpoint() -> None:
    with pytest.raises(WireError, match="is no endpoint"):
        RemoteFeed("nonsense")


def test_a_reloaded_trace_counts_its_steps_alike() -> None:
    store = FailingStore()
    with bench(store=store) as collector:
        tell(collector, run().facts)
        before = trace_view(collector)
    with bench(store=store) as collector:
        after = trace_view(collector)
        assert (after.tail, after.tail_total, after.lanes) == (before.tail, before.tail_total, before.lanes)


def test_a_run_is_called_by_the_words_of_who_asked_and_not_by_a_frameworks_object() -> None:
    story = Scenario()
    crew = story.names["Crew.kickoff"] = story.opens(
        "other", "Crew.kickoff", contents={"input": [{"agents": ["a"], "config": None}]}
    )
    task = story.opens(
        "agent", "invoke_agent buyer", agent="buyer", under="Crew.kickoff", contents={"task": ["Buy a seal kit."]}
    )
    story.ends(task)
    story.ends(crew)
    assert goal_of(story.trace()) == "Buy a seal kit."
    only = Scenario()
    only.ends(only.opens("other", "work", contents={"input": [{"rows": [1, 2], "limit": 3}]}))
    assert goal_of(only.trace()).startswith('{"limit"')
    cut = Scenario()
    cut.ends(cut.opens("other", "work", contents={"input": ['{"question": "Where to']}))
    assert goal_of(cut.trace()) == '{"question": "Where to'


def test_a_run_is_called_by_the_question_and_not_by_a_models_instructions_or_the_other_arguments() -> None:
    story = Scenario()
    said = [{"role": "system", "content": "You plan trips."}, {"role": "user", "content": "A hotel in Lyon."}]
    with story.agent("planner"):
        story.says("H7.", knows=said)
    assert goal_of(story.trace()) == "A hotel in Lyon."
    called = Scenario()
    called.ends(
        called.opens("agent", "plan", contents={"input": [{"port": 80, "question": "Where to in May?", "mode": "x"}]})
    )
    assert goal_of(called.trace()) == "Where to in May?"


def test_what_used_the_values_of_a_span_comes_where_it_is_asked_for() -> None:
    with bench() as collector:
        tell(collector, trip().facts)
        trace_id = trip().trace_id.hex()
        listed = collector.publisher.answer(TraceQuery(trace_id, spans=100), -1)
        assert isinstance(listed, TraceView)
        search = next(row.span_id for row in listed.spans if row.name == "search")
        plain, used = (
            collector.publisher.answer(SpanQuery(trace_id, search, used=asked), -1) for asked in (False, True)
        )
        assert isinstance(plain, SpanView) and plain.used is None
        assert isinstance(used, SpanView) and "H7" in [row.value for row in used.used or ()]


@pytest.mark.parametrize(
    ("media_type", "body", "shown"), [(TEXT, b"[1, 2", "[1, 2"), (JSON, b'{"a":1}', '{\n  "a": 1\n}')]
)
def test_a_body_is_laid_out_where_it_is_json_and_as_it_is_where_it_only_begins_so(
    media_type: str, body: bytes, shown: str
) -> None:
    held = digest(media_type, body)
    with bench() as collector:
        tell(
            collector,
            [Payload(held, media_type, body), started(1, contents={"input": [held]}, attributes={"raw": b"x"})],
        )
        view = span_view(collector, 1)
        assert [content.text for content in view.contents] == [shown]
        assert ("raw", "bytes") in view.attributes


def test_the_outline_passes_over_what_was_only_named_and_lists_so_many_failures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spans, "_MAX_FAILED", 2)
    failing = [fact for n in range(3, 7) for fact in (started(n, parent=9, kind="tool"), ended(n, "error"))]
    with bench() as collector:
        tell(collector, [started(1), *failing])
        view = trace_view(collector, spans=100, outline=True)
        assert [s.name for s in view.spans if s.span_id == span_id(9).hex()] == ["(not seen yet)"]
        assert view.outline is not None and len(view.outline.failed) == 2 and max(view.outline.activity) == 5


def test_only_so_many_dear_answers_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    ticking = Clock(0)
    monkeypatch.setattr(publish, "QUICK_NS", -1)  # each is dear
    monkeypatch.setattr(publish, "_MAX_HELD", 2)
    with bench() as collector:
        collector.publisher = publish.Publisher(
            collector.pipeline, collector.health, is_live=lambda: True, clock=ticking
        )
        tell(collector, run().facts)
        before = {limit: collector.publisher.answer(RunsQuery(limit=limit), -1) for limit in (1, 2, 3)}
        assert len(collector.publisher._held) == 2
        assert collector.publisher.answer(RunsQuery(limit=1), -1) is not before[1]


def test_a_call_that_repeats_a_failed_one_is_linked_to_it_though_nobody_said_so() -> None:
    told = Scenario(TRACE)
    told.now_ns = NOW_NS - 60 * SECOND_NS
    with told.agent("planner", task="Find"):
        told.tool("search", {"q": "x"}, error=("TimeoutError", "too slow"))
        told.tool("search", {"q": "x"}, result="H1")
    with bench() as collector:
        tell(collector, told.facts)
        failed, again = (s for s in trace_view(collector, spans=100).spans if s.name == "search")
        view = collector.publisher.answer(SpanQuery(TRACE.hex(), again.span_id), -1)
        assert isinstance(view, SpanView)
        assert [(link.kind, link.span_id) for link in view.links] == [("retry_of", failed.span_id)]


def test_how_incidents_stand_is_not_said_where_their_file_is_none(tmp_path: Path) -> None:
    (tmp_path / "alerts").write_bytes(b"no database at all" * 100)
    (tmp_path / "folder").mkdir()
    for name in ("alerts", "folder", "none"):
        states = IncidentStates(tmp_path / name)
        assert (
            not states.look(NOW_NS) and states.of_alert(TRACE.hex(), "key") == states.of_place("cascade", "a", "") == ""
        )
        states.close()
