"""A run at an instant: what was known of it then, whichever way one came there, and nothing that came later."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.detection.stories import trip
from tests.scenarios import SOURCE, Scenario
from trajectory.collector import at_instant, knowledge
from trajectory.collector.at_instant import Instants, instant_view
from trajectory.collector.folded import FoldedTrace
from trajectory.collector.moments import Moments, Standing, Work
from trajectory.collector.reading import Reading
from trajectory.collector.rows import TraceRows
from trajectory.graph.span import Span
from trajectory.graph.trace import ROLLUP_INPUT_TOKENS, ROLLUP_OUTPUT_TOKENS
from trajectory.model.content import MESSAGE, TEXT, digest
from trajectory.model.fact import Fact, Finding, Found, Payload, SpanEnded, SpanStarted
from trajectory.model.words import INPUT_TOKENS, OUTPUT_TOKENS
from trajectory.view.rows import Health
from trajectory.view.views import InstantQuery, InstantView

_USED = {INPUT_TOKENS: 100, OUTPUT_TOKENS: 7}


def told(seed: int) -> Scenario:
    """A team at work: agents that ask each other, tools that fail, calls that cost tokens; what it does depends on the seed."""
    run, chance, calls = Scenario(), random.Random(seed), set[bytes]()

    def work(depth: int) -> None:
        for _ in range(chance.randint(1, 4)):
            kind = chance.choice(["says", "tool", "fails", "asks"])
            if kind == "says":
                calls.add(run.says(f"thought {chance.random():.2f}"))
            elif kind == "asks" and depth < 3:
                with run.delegate(f"agent-{depth}-{chance.randint(1, 2)}", task=f"do part {chance.randint(1, 99)}"):
                    work(depth + 1)
            else:
                failed = ("TimeoutError", "too slow") if kind == "fails" else None
                run.tool("search", {"q": chance.randint(1, 3)}, result=f"hit {chance.random():.2f}", error=failed)

    with run.agent("planner", task="Write the memo about everything"):
        work(0)
    run.facts = [
        replace(f, attributes=_USED) if isinstance(f, SpanEnded) and f.span_id in calls else f for f in run.facts
    ]
    return run


def folded(facts: Sequence[Fact]) -> FoldedTrace:
    bodies = {f.digest: (f.media_type, f.body) for f in facts if isinstance(f, Payload)}
    trace = FoldedTrace(Scenario().trace_id, bodies.get, ())
    for fact in facts:
        if not isinstance(fact, Payload):
            trace.apply(fact, SOURCE)
    return trace


def read(facts: Sequence[Fact]) -> Reading:
    reading = Reading(TraceRows(folded(facts), 0, is_live=False), 1)
    for _ in reading.read():
        pass
    return reading


def at(reading: Reading, at_ns: int, lane: str = "") -> InstantView:
    return instant_view(reading, InstantQuery(Scenario().trace_id.hex(), at_ns, lane), 1, Health())


def times_of(facts: Sequence[Fact]) -> list[int]:
    return sorted({at_ns for f in facts if (at_ns := getattr(f, "at_ns", 0))})


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), place=st.floats(0, 1))
def test_an_instant_is_what_the_facts_up_to_then_tell(seed: int, place: float) -> None:
    facts = told(seed).facts
    times = times_of(facts)
    at_ns = times[int(place * (len(times) - 1))]
    then = [f for f in facts if getattr(f, "at_ns", 0) <= at_ns]
    expected = TraceRows(folded(then), at_ns, is_live=True)
    view = at(read(facts), at_ns)
    begun = [each for each in view.lanes if each.lane.state != "ahead"]

    row = expected.trace_row()
    for name in ("steps", "errors", "input_tokens", "output_tokens", "delegations", "agents"):
        assert getattr(view.trace, name) == getattr(row, name), name
    lanes = expected.lanes()
    for name in ("label", "span_id", "state", "steps", "errors", "input_tokens", "output_tokens", "end_ns"):
        assert [getattr(each.lane, name) for each in begun] == [getattr(lane, name) for lane in lanes], name
    assert [[(b.span_id, b.start_ns, b.end_ns) for b in each.lane.bars] for each in begun] == [
        [(b.span_id, b.start_ns, b.end_ns) for b in lane.bars] for lane in lanes
    ]
    shown = ("delegation_id", "source", "state", "sent_ns", "received_ns", "returned_ns", "task")
    for name in shown:
        assert [getattr(d, name) for d in view.delegations] == [getattr(d, name) for d in expected.delegation_rows()]
    answered = [
        (d.returned if d.returned_ns else "") for d in expected.delegation_rows()
    ]  # it is there, but not handed over
    assert [d.returned for d in view.delegations] == answered
    open_ids = {s.span_id.hex() for s in expected.trace.spans.values() if s.is_open and s.kind != "agent"}
    assert {step.span_id for step in view.open} == open_ids
    tail = expected.tail(100)
    assert [(s.span_id, s.status, s.duration_ns, s.tokens) for s in view.tail] == [
        (s.span_id, s.status, s.duration_ns, s.tokens) for s in tail
    ]


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), shuffle=st.randoms())
def test_order_and_repetition_of_facts_change_nothing(seed: int, shuffle: random.Random) -> None:
    facts = told(seed).facts
    mixed = [*facts, *facts]
    shuffle.shuffle(mixed)
    one, other = read(facts), read(mixed)
    for at_ns in times_of(facts)[::3]:
        assert at(one, at_ns) == at(other, at_ns)


def standing(moments: Moments, at_ns: int) -> tuple[object, ...]:
    now = moments.standing(at_ns)
    counts = [(c.step_count, c.open_count, c.error_count, c.input_tokens) for c in (now.total, *now.lanes)]
    return (*counts, [w.span.span_id for w in now.open.values()])


def test_however_one_moves_an_instant_stands_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trajectory.collector.moments._APART", 16)
    chance, spans = random.Random(3), []
    for number in range(300):
        span = Span(b"t" * 16, number.to_bytes(8, "big"))
        start_ns = chance.randint(1, 900)
        span.start(SpanStarted(b"t" * 16, span.span_id, b"", start_ns, 0, "tool", "x"), SOURCE, "")
        end_ns = chance.choice([0, start_ns, start_ns + chance.randint(1, 300)])
        spans.append((span, number % 3, end_ns, chance.random() < 0.1))

    def made() -> Moments:
        moments = Moments(3)
        for span, lane, end_ns, is_fault in spans:
            moments.add(Work(span, lane, end_ns, "ok", begins=True, is_fault=is_fault))
            moments.add_cost(end_ns or span.start_ns, lane, 5, 1)
        assert sum(1 for _ in moments.settle()) > 3
        return moments

    moved = made()
    for _ in range(120):
        at_ns = chance.randint(0, 1300)
        assert standing(moved, at_ns) == standing(made(), at_ns)
    open_at = [s.span_id for s, _, end_ns, _ in spans if s.start_ns <= 450 and not 0 < end_ns <= 450]
    assert sorted(standing(moved, 450)[-1]) == sorted(open_at)  # type: ignore[call-overload]
    assert isinstance(moved.standing(0), Standing) and not moved.standing(0).open


def test_what_an_agent_knew_grows_and_nothing_of_it_comes_early() -> None:
    run = Scenario()
    with run.agent("planner", task="Find a hotel, at most 900 EUR"):
        run.says("I ask research.")
        with run.delegate("research", task="Find a hotel"):
            run.tool("search", {"city": "Lyon"}, result="H99 costs 700 EUR")
            found_ns = run.now_ns
            run.says("I found H99.")
            said_ns = run.now_ns
            run.returns("I found H99.")
    reading = read(run.facts)
    lane = reading.lanes[1].row.span_id

    def texts(at_ns: int) -> list[str]:
        return [row.text for row in at(reading, at_ns, lane).known]

    assert at(reading, reading.start_ns, lane).known == []
    assert at(reading, found_ns, lane).known_of == "research#1"
    assert not any("I found" in text for text in texts(found_ns))
    assert any("700 EUR" in text for text in texts(found_ns)) and any("I found" in text for text in texts(said_ns))
    assert not any("at most 900" in text for text in texts(reading.end_ns))  # planner's, and never handed over


def test_who_waits_for_whom_and_what_each_does_is_said_as_it_was() -> None:
    run = Scenario()
    with run.agent("planner", task="Find"):
        with run.delegate("research", task="Find a hotel"):
            run.tool("search", {"q": "x"}, result="H99")
            asked_ns = run.now_ns
        run.says("done")
    reading = read(run.facts)
    first, second = at(reading, asked_ns).lanes
    assert (first.lane.state, first.waits_for) == ("waiting", ["research#1"])
    assert second.lane.state == "running" and not second.waits_for
    start = at(reading, reading.start_ns)
    assert [each.lane.state for each in start.lanes] == ["running", "ahead"] and start.lanes[1].lane.bars == []
    assert start.before == [] and start.after[0] > start.at_ns and at(reading, reading.end_ns).after == []


def test_an_alert_stands_where_what_it_is_about_happened_and_says_when_it_was_found() -> None:
    run = Scenario()
    with run.agent("planner", task="Find"):
        run.tool("search", {"q": "x"}, error=("TimeoutError", "too slow"))
        seen_ns = run.now_ns
        run.says("done")
    found_ns = run.now_ns + 10**12
    about = Finding("cascade", "critical", 0.9, run.trace_id, (2).to_bytes(8, "big"), "went wrong", at_ns=seen_ns)
    reading = read([*run.facts, Found(found_ns, about)])
    assert at(reading, seen_ns - 1).alerts == []
    (alert,) = at(reading, seen_ns).alerts
    assert (alert.opened_ns, alert.known_ns) == (seen_ns, found_ns)
    assert at(reading, seen_ns).trace.critical == 1 and at(reading, seen_ns - 1).trace.critical == 0
    assert [tick.what for tick in reading.ticks if tick.at_ns == seen_ns] == ["error", "alert"]


def test_a_run_is_read_in_parts_and_says_how_far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_instant, "_PART_NS", 0)
    trace, instants, query = folded(told(5).facts), Instants(), InstantQuery(Scenario().trace_id.hex())
    seen, view = list[float](), None
    for _ in range(200):
        view = instants.answer(query, trace, Health(), -1, 0, is_live=False)
        assert view is not None
        seen.append(view.read_ratio)
        if view.read_ratio == 1:
            break
        assert view.version == -1 and not view.lanes
    assert seen == sorted(seen) and seen[0] < 1 and seen[-1] == 1
    assert view is not None and instants.answer(query, trace, Health(), view.version, 0, is_live=False) is None


def test_an_agent_holds_an_item_from_when_it_had_it_and_lacks_what_its_task_came_without() -> None:
    scenario = trip()
    rows = TraceRows(folded(scenario.facts), scenario.now_ns, False)
    reading = Reading(rows, 1)
    for _ in reading.read():
        pass
    whole = instant_view(reading, InstantQuery("", 0), 1, Health())
    labels = [each.lane.label for each in whole.lanes]
    holders = {row.text: {labels[c.lane]: c.state for c in row.cells} for row in whole.held}
    assert holders["H7"]["planner#1"] == holders["H7"]["researcher#1"] == "held"
    assert whole.held_total == len(whole.held) and [r.is_needed for r in whole.held] == sorted(
        (r.is_needed for r in whole.held), reverse=True
    )
    begun = instant_view(reading, InstantQuery("", whole.start_ns + 1), 1, Health())
    assert "H7" not in [row.text for row in begun.held]


@pytest.mark.parametrize(
    ("bound", "is_any_held", "why_not"),
    [("MAX_SPANS", False, "up to 1 steps"), ("MAX_DELEGATIONS", True, "items of the first 1 hand-overs alone")],
)
def test_of_a_very_large_run_it_is_said_whose_items_are_compared(
    monkeypatch: pytest.MonkeyPatch, bound: str, is_any_held: bool, why_not: str
) -> None:
    monkeypatch.setattr(knowledge, bound, 1)
    scenario = trip()
    reading = Reading(TraceRows(folded(scenario.facts), scenario.now_ns, False), 1)
    for _ in reading.read():
        pass
    view = instant_view(reading, InstantQuery("", 0), 1, Health())
    assert bool(view.held) is is_any_held and why_not in view.held_why_not


def test_only_so_many_runs_are_kept_as_they_were_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_instant, "_MAX_HELD", 1)
    instants = Instants()
    for n in range(2):
        trace = FoldedTrace(bytes([n]) * 16, lambda digest: None, ())
        trace.apply(SpanStarted(trace.trace.trace_id, b"s" * 8, b"", 10, 1, "agent", "a"), SOURCE)
        assert instants.answer(InstantQuery("", 10), trace, Health(), -1, 0, is_live=False) is not None
    assert len(instants._held) == 1


def test_an_agent_without_a_span_of_its_own_stands_by_what_it_did() -> None:
    trace_id = Scenario().trace_id
    root = SpanStarted(trace_id, b"s" * 8, b"", 10, 1, "agent", "planner", "planner")
    tool = SpanStarted(trace_id, b"t" * 8, b"", 20, 2, "tool", "dig", "digger")
    reading = read(
        [root, tool, SpanEnded(trace_id, b"t" * 8, 30, 3, "error"), SpanEnded(trace_id, b"s" * 8, 40, 4, "ok")]
    )
    assert [each.lane.agent for each in at(reading, 40).lanes] == ["planner", "digger"]
    assert [at(reading, at_ns).lanes[1].lane.state for at_ns in (15, 25, 35)] == ["ahead", "running", "error"]
    for status in ("ok", "error"):
        ends: list[Fact] = [root, tool, SpanEnded(trace_id, b"t" * 8, 30, 3, status)]
        assert [lane.state for lane in TraceRows(folded(ends), 40, is_live=True).lanes()] == ["running", status]
    assert [lane.state for lane in TraceRows(folded([root, tool]), 40, is_live=True).lanes()] == ["running"] * 2


def test_a_delegation_that_fails_is_told_as_failed_from_then_on() -> None:
    run = Scenario()
    with run.agent("planner", task="Find"):
        with run.delegate("research", task="Find H", error=("TimeoutError", "too slow")):
            run.says("I look.")
            before_ns = run.now_ns
        run.says("It failed.")
    reading = read(run.facts)
    states = [[row.state for row in at(reading, at_ns).delegations] for at_ns in (before_ns, reading.end_ns)]
    assert states == [["received"], ["failed"]]


def test_ticks_are_thinned_where_there_are_very_many() -> None:
    run = Scenario()
    with run.agent("planner", task="Find"):
        for n in range(900):
            run.delegates_unseen("scout", f"part {n}", "found")
    reading = read(run.facts)
    sent = [tick.at_ns for tick in reading.ticks if tick.what == "delegation"]
    assert 300 <= len(sent) < 900 and sent == sorted(sent) and sent[0] == reading.handovers[0].row.sent_ns


@pytest.mark.parametrize(
    ("media_type", "body", "what"),
    [
        (MESSAGE, b'{"role": "user", "content": "Find"}', "user"),
        (MESSAGE, b'["no object"]', "message"),
        (MESSAGE, b"{", "message"),
        (TEXT, b"Find", "message"),
        (TEXT, None, "message"),
    ],
)
def test_what_a_call_was_shown_is_said_by_whose_words_it_is(media_type: str, body: bytes | None, what: str) -> None:
    trace_id, held = Scenario().trace_id, digest(media_type, body or b"gone")
    facts: list[Fact] = [Payload(held, media_type, body)] if body is not None else []
    facts += [
        SpanStarted(trace_id, b"s" * 8, b"", 10, 1, "agent", "planner", "planner", contents={"context": [held]}),
        SpanStarted(trace_id, b"m" * 8, b"s" * 8, 20, 2, "model", "chat", contents={"input": [held]}),
    ]
    reading = read(facts)
    (row,) = at(reading, 20, (b"s" * 8).hex()).known
    assert row.what == what and ("not stored" in row.text) == (body is None)
    assert [row.what for row in at(reading, 10, (b"s" * 8).hex()).known] == ["context"]


def test_what_no_agent_did_and_what_nobody_told_of_costs_and_counts_once() -> None:
    trace_id = Scenario().trace_id
    orphan = SpanStarted(trace_id, b"o" * 8, b"p" * 8, 10, 1, "model", "chat")
    reading = read([orphan, SpanEnded(trace_id, b"o" * 8, 20, 2, "ok", attributes=_USED)])
    assert at(reading, 15).trace.input_tokens in (0, 100)
    assert (at(reading, 20).trace.input_tokens, at(reading, 20).trace.steps) == (100, 1)


def test_no_more_items_are_followed_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(knowledge, "MAX_ITEMS", 1)
    scenario = trip()
    reading = Reading(TraceRows(folded(scenario.facts), scenario.now_ns, False), 1)
    for _ in reading.read():
        pass
    assert instant_view(reading, InstantQuery("", 0), 1, Health()).held_total == 1


def test_what_an_agent_says_it_used_in_all_counts_from_its_end_on() -> None:
    trace_id = Scenario().trace_id
    used = {ROLLUP_INPUT_TOKENS: 70, ROLLUP_OUTPUT_TOKENS: 3}
    reading = read(
        [
            SpanStarted(trace_id, b"s" * 8, b"", 10, 1, "agent", "planner", "planner"),
            SpanEnded(trace_id, b"s" * 8, 40, 4, "ok", attributes=used),
        ]
    )
    assert [at(reading, at_ns).trace.input_tokens for at_ns in (39, 40)] == [0, 70]


def test_of_a_call_whose_question_was_not_recorded_the_answer_is_known_and_of_an_open_one_nothing() -> None:
    trace_id, said = Scenario().trace_id, digest(TEXT, b"H7")
    facts: list[Fact] = [
        Payload(said, TEXT, b"H7"),
        SpanStarted(trace_id, b"s" * 8, b"", 10, 1, "agent", "planner", "planner"),
        SpanStarted(trace_id, b"m" * 8, b"s" * 8, 20, 2, "model", "chat"),
        SpanEnded(trace_id, b"m" * 8, 30, 3, "ok", contents={"output": [said]}),
        SpanStarted(trace_id, b"t" * 8, b"s" * 8, 40, 4, "tool", "dig", contents={"result": [said]}),
    ]
    assert [(row.what, row.text) for row in at(read(facts), 50, (b"s" * 8).hex()).known] == [("assistant", "H7")]
