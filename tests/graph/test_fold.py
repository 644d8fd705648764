"""The fold depends on which facts came, not on when, how often, or in what pieces."""

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.graph.pictures import SOURCE, TRACE, folded, picture
from tests.scenarios import Scenario
from trajectory.graph.trace import Trace
from trajectory.model.fact import (
    Fact,
    Finding,
    Found,
    Heartbeat,
    Marked,
    SpanEnded,
    SpanEvent,
    SpanLinked,
    SpanStarted,
    SpanUpdated,
)
from trajectory.model.words import (
    DELEGATION_GRADE,
    DELEGATION_SOURCE,
    DELEGATION_TARGET,
    INPUT_TOKENS,
    REPORTED_INPUT_TOKENS,
    SESSION_ID,
    TITLE,
    TOOL_NAME,
    Grade,
    SpanKind,
)


def span_id(number: int) -> bytes:
    return number.to_bytes(8, "big")


SPANS = st.integers(1, 6).map(span_id)
TIMES = st.integers(1, 5)
NAMES = st.sampled_from(["", "alice", "bob"])
ATTRIBUTES = st.dictionaries(
    st.sampled_from([SESSION_ID, TITLE, TOOL_NAME, DELEGATION_TARGET, DELEGATION_SOURCE, "error.type"]),
    NAMES,
    max_size=2,
) | st.fixed_dictionaries(
    {INPUT_TOKENS: st.sampled_from([1, 2.5, float("nan"), -1, "3", True])},
    optional={
        DELEGATION_GRADE: st.sampled_from(list(Grade)),
        DELEGATION_TARGET: NAMES,
        REPORTED_INPUT_TOKENS: st.sampled_from([0, 3]),
    },
)
CONTENTS = st.dictionaries(st.sampled_from(["task", "output", "arguments"]), st.just([b"d" * 16]), max_size=1)
STATUS = st.sampled_from(["unset", "ok", "error"])
FINDING = st.builds(
    Finding,
    st.just("cascade"),
    st.sampled_from(["info", "warning"]),
    st.just(0.5),
    st.just(TRACE),
    SPANS,
    st.sampled_from(["small", "grown"]),
)
FACTS: st.SearchStrategy[Fact] = st.one_of(
    st.builds(
        SpanStarted,
        st.just(TRACE),
        SPANS,
        st.just(b"") | SPANS,
        TIMES,
        TIMES,
        st.sampled_from(list(SpanKind)),
        NAMES,
        NAMES,
        attributes=ATTRIBUTES,
        contents=CONTENTS,
    ),
    st.builds(SpanEnded, st.just(TRACE), SPANS, TIMES, TIMES, STATUS, NAMES, ATTRIBUTES, CONTENTS),
    st.builds(SpanUpdated, st.just(TRACE), SPANS, TIMES, TIMES, ATTRIBUTES, CONTENTS),
    st.builds(
        SpanEvent,
        st.just(TRACE),
        SPANS,
        TIMES,
        TIMES,
        st.sampled_from(["thought", "delta", "exception"]),
        attributes=st.fixed_dictionaries({"text": st.sampled_from(["a", "b"])}),
    ),
    st.builds(
        SpanLinked,
        st.just(TRACE),
        SPANS,
        TIMES,
        st.sampled_from(["retry_of", "follows"]),
        st.just(TRACE),
        SPANS,
        ATTRIBUTES,
    ),
    st.builds(Found, TIMES, FINDING),
    st.builds(Marked, st.just(TRACE), TIMES, st.just("key"), st.sampled_from(["mute", "reopen"])),
    st.builds(Heartbeat, TIMES, TIMES),
)


@settings(max_examples=200)
@given(st.lists(FACTS, max_size=24), st.randoms(use_true_random=False))
def test_any_order_and_repetition_of_facts_folds_to_the_same_trace(facts: list[Fact], chance: random.Random) -> None:
    shuffled = facts + chance.sample(facts, len(facts) // 2)
    chance.shuffle(shuffled)
    assert picture(folded(shuffled)) == picture(folded(facts))


@settings(max_examples=150)
@given(st.lists(FACTS, max_size=12), st.lists(FACTS, max_size=12))
def test_a_fold_goes_on_from_a_fold_that_was_read(first: list[Fact], second: list[Fact]) -> None:
    begun = folded(first)
    picture(begun)
    assert picture(folded(second, begun)) == picture(folded(first + second))


@settings(max_examples=100)
@given(st.lists(FACTS, max_size=12))
def test_a_repeated_fact_moves_no_version(facts: list[Fact]) -> None:
    trace = folded(facts)
    before = trace.version, trace.structure_version
    folded(facts, trace)
    assert (trace.version, trace.structure_version) == before


def story() -> Scenario:
    """Two levels of delegation, a tool that fails and is tried again, a thought, a title."""
    run = Scenario()
    with run.agent("planner", task="plan a trip"):
        run.thinks("where to?", 0.4)
        with run.delegate("research", task="find a hotel"):
            failed = run.tool("search", {"city": "Lyon"}, error=("TimeoutError", "slow"))
            run.tool("search", {"city": "Lyon"}, result="H1", retry_of=failed)
            with run.delegate("pricing", task="price H1"):
                run.tool("quote", {"hotel": "H1"}, result="90")
                run.says("90 EUR")
        run.says("Take H1")
    return run


@pytest.mark.parametrize("order", ["children_first", "ends_first", "shuffled"])
def test_a_run_that_arrives_in_another_order_reads_the_same(order: str) -> None:
    facts = story().facts
    other = {
        "children_first": facts[::-1],
        "ends_first": sorted(facts, key=lambda f: not isinstance(f, SpanEnded)),
        "shuffled": random.Random(7).sample(facts, len(facts)),
    }[order]
    told, arrived = story().trace(), story().trace(other)
    assert picture(arrived) == picture(told)
    assert [i.agent for i in told.invocations()] == ["planner", "research", "pricing"]


def started(number: int, parent: int = 0, kind: str = "other", agent: str = "", at_ns: int = 0) -> SpanStarted:
    parent_id = span_id(parent) if parent else b""
    return SpanStarted(TRACE, span_id(number), parent_id, at_ns or number, 0, kind, f"n{number}", agent)


def test_a_parent_that_comes_late_takes_its_children_and_their_owner() -> None:
    trace = folded([started(2, parent=1, kind="tool")])
    assert trace.spans[span_id(1)].is_placeholder and trace.spans[span_id(2)].owner is None
    folded([started(1, kind="agent", agent="alice")], trace)
    assert trace.span_label(trace.spans[span_id(2)]) == "alice#1"
    assert [r.span_id for r in trace.roots] == [span_id(1)]


def test_a_cycle_of_parents_is_cut_at_its_earliest_span() -> None:
    cycle = [started(1, parent=3), started(2, parent=1), started(3, parent=2)]
    for facts in (cycle, cycle[::-1], [cycle[1], cycle[2], cycle[0]]):
        trace = folded(facts)
        assert [r.span_id for r in trace.roots] == [span_id(1)]
        assert len(list(trace.spans[span_id(3)].ancestors())) == 2


def test_a_second_start_that_opens_a_cycle_gives_the_cut_span_its_parent_back() -> None:
    cycle = [started(1, parent=3), started(2, parent=1), started(3, parent=2)]
    opens = started(3, at_ns=1)  # of two starts the earlier stands
    assert picture(folded([*cycle, opens])) == picture(folded([opens, *cycle]))
    trace = folded([*cycle, opens])
    assert [r.span_id for r in trace.roots] == [span_id(3)]
    assert trace.spans[span_id(1)].parent is trace.spans[span_id(3)]


@pytest.mark.parametrize("kind", [kind for kind in SpanKind if kind != SpanKind.OTHER])
def test_a_span_that_is_told_of_before_it_is_known_what_it_is_becomes_that(kind: SpanKind) -> None:
    bare = started(1)
    known = msgspec.structs.replace(bare, kind=str(kind), agent="alice", attributes={"gen_ai.tool.name": "search"})
    for facts in ([bare, known], [known, bare]):
        span = folded([*facts, SpanEnded(TRACE, span_id(1), 9, 0)]).spans[span_id(1)]
        assert (span.kind, span.agent, span.attributes) == (kind, "alice", known.attributes)


def test_an_end_before_its_start_never_counts_as_open() -> None:
    trace = folded([SpanEnded(TRACE, span_id(1), 9, 0)])
    assert trace.open_count == 0
    folded([started(1)], trace)
    assert (trace.open_count, trace.state) == (0, "done")


def test_streamed_output_reads_in_the_order_of_its_clock() -> None:
    pieces = [SpanEvent(TRACE, span_id(1), 10, n, "delta", attributes={"text": c}) for n, c in enumerate("hello")]
    assert folded([started(1), *pieces[::-1], *pieces]).spans[span_id(1)].partial_text == "hello"


def test_a_delegation_that_is_declared_late_gives_the_work_below_it_to_its_target() -> None:
    facts: list[Fact] = [
        started(1, kind="agent", agent="alice"),
        started(2, parent=1, kind="delegation"),
        started(3, parent=2, kind="tool"),
    ]
    trace = folded(facts)
    assert trace.spans[span_id(3)].agent_name == "alice"
    told = SpanUpdated(TRACE, span_id(2), 9, 0, {DELEGATION_GRADE: "declared", DELEGATION_TARGET: "bob"})
    assert folded([told], trace).spans[span_id(3)].agent_name == "bob"


@pytest.mark.parametrize("order", ["down", "up", "shuffled"])
def test_a_chain_of_ten_thousand_spans_folds_without_recursion(order: str) -> None:
    chain: list[Fact] = [started(n, parent=n - 1, kind="model", agent="alice") for n in range(1, 10_001)]
    if order == "up":
        chain.reverse()
    elif order == "shuffled":
        random.Random(3).shuffle(chain)
    trace = folded(chain)
    assert trace.usage().spans == 10_000
    assert trace.usage().model_calls == 1
    assert len(list(trace.spans[span_id(10_000)].ancestors())) == 9_999


def test_facts_that_say_nothing_of_a_span_change_no_span() -> None:
    trace = Trace(TRACE)
    assert trace.apply(Heartbeat(5, 5), SOURCE) is None
    assert (trace.version, trace.heard_ns) == (0, {SOURCE.emitter_id: 5})
