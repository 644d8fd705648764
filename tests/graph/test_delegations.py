"""Who gave work to whom, in every shape in which it is told; where errors began; what was done again; what it cost."""

from collections.abc import Callable, Iterator

import pytest

from tests.detection.asking import calls_of
from tests.graph.pictures import SOURCE, TRACE, edges, folded, numbers
from tests.graph.test_fold import span_id, started
from tests.scenarios import Scenario
from trajectory.graph.echoes import first_telling
from trajectory.graph.network import delegation_graph, span_graph
from trajectory.graph.retries import retries
from trajectory.graph.trace import ROLLUP_INPUT_TOKENS, Trace
from trajectory.model.fact import Fact, Finding, Found, SpanEnded, SpanEvent, SpanLinked, SpanStarted, SpanUpdated
from trajectory.model.words import (
    DELEGATION_GRADE,
    DELEGATION_MODE,
    DELEGATION_SOURCE,
    DELEGATION_TARGET,
    ERROR_TYPE,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    TOOL_NAME,
)


def ended(number: int, at_ns: int = 100, error: tuple[str, str] | None = None) -> SpanEnded:
    status, (kind, message) = ("error", error) if error else ("ok", ("", ""))
    return SpanEnded(TRACE, span_id(number), at_ns, 0, status, message, {ERROR_TYPE: kind} if kind else {})


def told(number: int, parent: int = 0, kind: str = "delegation", at_ns: int = 0, **attributes: str) -> SpanStarted:
    """A span with delegation attributes: target=, source=, mode=, grade=."""
    names = {
        "target": DELEGATION_TARGET,
        "source": DELEGATION_SOURCE,
        "mode": DELEGATION_MODE,
        "grade": DELEGATION_GRADE,
        "agent": "",
    }
    parent_id = span_id(parent) if parent else b""
    held = {names[name]: value for name, value in attributes.items() if name != "agent"}
    agent = attributes.get("agent", "")
    return SpanStarted(
        TRACE, span_id(number), parent_id, at_ns or number, 0, kind, f"n{number}", agent, attributes=held
    )


def agent(number: int, name: str, parent: int = 0, at_ns: int = 0) -> SpanStarted:
    return started(number, parent, "agent", name, at_ns)


def test_the_emitters_pair_is_one_observed_delegation_through_all_its_states() -> None:
    facts: list[Fact] = [agent(1, "a"), told(2, 1, target="b"), agent(3, "b", 2), ended(3), ended(2), ended(1)]
    states = [[e[3] for e in edges(folded(facts[:n]))] for n in range(2, 6)]
    assert states == [["sent"], ["received"], ["received"], ["returned"]]
    assert edges(folded(facts)) == [("a#1", "b#1", "observed", "returned")]


def test_a_delegation_that_nobody_takes_up_is_lost_when_it_ends() -> None:
    facts = [agent(1, "a"), told(2, 1, target="b"), ended(2), ended(1)]
    assert edges(folded(facts)) == [("a#1", "b", "observed", "lost")]
    assert set(folded(facts).agents()) == {"a", "b"}


def test_an_accepting_agent_in_another_process_is_the_target() -> None:
    other = SOURCE.__class__(b"another-process1", b"boot-of-another1", {"service.name": "other"})
    trace = folded([agent(1, "a"), told(2, 1, target="b")])
    trace.apply(agent(3, "b", 2), other)
    assert edges(trace) == [("a#1", "b#1", "observed", "received")]
    assert [i.service for i in trace.invocations()] == ["svc", "other"]


def test_an_agent_under_another_agents_tool_is_called_by_it_whatever_is_between() -> None:
    facts = [agent(1, "a"), started(2, 1, "tool"), started(3, 2), agent(4, "b", 3), ended(4), ended(2)]
    trace = folded(facts)
    assert edges(trace) == [("a#1", "b#1", "observed", "returned")]
    assert trace.vehicles() == {span_id(2)} and trace.tools() == {}


def test_a_handoff_is_met_by_the_sibling_that_it_names_in_any_spelling() -> None:
    facts = [
        agent(1, "flow"),
        agent(2, "triage", 1),
        told(3, 2, target="travel_agent", mode="transfer"),
        ended(3, 4),
        ended(2, 5),
        agent(6, "Travel Agent", 1),
        ended(6, 9),
    ]
    trace = folded(facts)
    assert ("triage#1", "Travel Agent#1", "observed", "returned") in edges(trace)
    assert [d.returned_ns for d in trace.delegations() if d.mode == "transfer"] == [9]


def test_a_handoff_that_names_nobody_is_met_by_whoever_works_next() -> None:
    facts = [agent(1, "a"), told(2, 1, mode="transfer"), ended(2, 3), ended(1, 4), agent(5, "b"), ended(5, 9)]
    assert [e[:2] for e in edges(folded(facts))] == [("a#1", "b#1")]


def test_control_that_goes_back_and_forth_is_a_delegation_each_time() -> None:
    facts: list[Fact] = []
    for turn, (one, other) in enumerate([("a", "b"), ("b", "a"), ("a", "b")]):
        at = 10 * turn + 1
        facts += [
            agent(at, one),
            told(at + 1, at, target=other, mode="transfer"),
            ended(at + 1, at + 2),
            ended(at, at + 3),
        ]
    facts += [agent(31, "b"), ended(31, 40)]
    assert [e[:2] for e in edges(folded(facts))] == [("a#1", "b#1"), ("b#1", "a#2"), ("a#2", "b#2")]


@pytest.mark.parametrize(("asked_at", "edge_count"), [(4, 1), (6, 0)])
def test_a_model_hands_over_to_nobody_of_its_process_that_had_begun_before_it_was_asked(
    asked_at: int, edge_count: int
) -> None:
    facts = [
        agent(1, "a"), told(2, 1, "model", asked_at, target="b"), ended(2, 9), ended(1, 9), agent(3, "b", at_ns=5), ended(3, 9),
    ]  # fmt: skip
    assert len(edges(folded(facts))) == edge_count


def test_one_agent_at_work_twice_at_once_has_an_invocation_for_each() -> None:
    facts = [agent(1, "a"), told(2, 1, target="b"), told(3, 1, target="b"), agent(4, "b", 2), agent(5, "b", 3)]
    trace = folded(facts)
    assert [e[:2] for e in edges(trace)] == [("a#1", "b#1"), ("a#1", "b#2")]
    assert [d.delegation_id for d in trace.delegations()] == [span_id(2), span_id(3)]


def test_an_agent_that_calls_itself_is_a_second_invocation_only_past_a_tool_or_delegation() -> None:
    wrapped = folded([agent(1, "a"), started(2, 1), agent(3, "a", 2)])
    called = folded([agent(1, "a"), started(2, 1, "tool"), agent(3, "a", 2)])
    assert (len(wrapped.invocations()), wrapped.delegations()) == (1, [])
    assert edges(called) == [("a#1", "a#2", "observed", "received")]


def test_an_agent_that_names_who_gave_it_control_is_declared() -> None:
    facts = [agent(1, "a"), ended(1, 2), told(3, kind="agent", agent="b", source="a")]
    assert edges(folded(facts)) == [("a#1", "b#1", "declared", "received")]


def test_that_the_only_tool_call_waited_while_an_agent_worked_joins_nothing() -> None:
    facts = [agent(1, "a", at_ns=1), started(2, 1, "tool", at_ns=2), agent(3, "b", at_ns=3), ended(3, 8), ended(2, 9)]
    assert edges(folded(facts)) == []


def test_a_tool_call_that_waited_and_asked_word_for_word_what_an_agent_was_asked_is_inferred() -> None:
    def asking(number: int, kind: str, text: str, parent: int = 0, name: str = "") -> SpanStarted:
        slots = {"arguments" if kind == "tool" else "input": [bodies.setdefault(text, text.encode().ljust(16)[:16])]}
        parent_id = span_id(parent) if parent else b""
        return SpanStarted(TRACE, span_id(number), parent_id, number, 0, kind, f"n{number}", name, contents=slots)

    bodies: dict[str, bytes] = {}
    trace = Trace(TRACE, lambda digest: next(("text/plain", t.encode()) for t, d in bodies.items() if d == digest))
    task, other = "find a hotel in Lyon", "price a hotel in Lyon"
    asked: list[Fact] = [
        agent(1, "a"),
        asking(2, "tool", task, 1),
        asking(3, "tool", other, 1),
        asking(4, "agent", task, 0, "b"),
    ]
    assert edges(folded([*asked, ended(4, 8), ended(3, 9), ended(2, 9)], trace)) == [
        ("a#1", "b#1", "inferred", "returned")
    ]
    assert [d.span.span_id for d in trace.delegations()] == [span_id(2)]
    assert edges(folded([asking(5, "agent", task, 0, "c"), ended(5, 8)], trace)) == []  # two were asked the same


def test_a_hand_over_that_names_no_source_is_the_only_agents_that_had_begun_and_of_two_nobodys() -> None:
    facts: list[Fact] = [agent(1, "a"), told(3, target="b"), agent(4, "b")]
    assert [(*e[:3],) for e in edges(folded(facts))] == [("a#1", "b#1", "inferred")]
    assert [(*e[:2],) for e in edges(folded([*facts, agent(2, "c")]))] == [("", "b#1")]


def test_an_id_on_both_sides_joins_where_it_is_in_one_place_on_each() -> None:
    def spot(number: int, kind: str, parent: int = 0, name: str = "", **ids: str) -> SpanStarted:
        parent_id = span_id(parent) if parent else b""
        return SpanStarted(TRACE, span_id(number), parent_id, number, 0, kind, f"n{number}", name, attributes=dict(ids))

    loose = SpanStarted(TRACE, span_id(9), b"", 9, 0, "model", "chat", "c")  # of an agent without a span
    for out, taken in (("gen_ai.tool.call.id", "parent_tool_use_id"), ("a2a.task.id",) * 2, ("a2a.message.id",) * 2):
        facts: list[Fact] = [
            agent(1, "a"),
            spot(2, "tool", 1, **{out: "x"}),
            spot(3, "other", 0, **{taken: "x"}),
            agent(4, "b", 3),
        ]
        assert [(*e[:3],) for e in edges(folded(facts))] == [("a#1", "b#1", "inferred")]
        twice: list[Fact] = [*facts, spot(5, "tool", 1, **{out: "x"})]
        assert edges(folded(twice)) == []
        two_takers: list[Fact] = [*facts, spot(6, "agent", 0, "b", **{taken: "x"})]
        assert edges(folded(two_takers)) == []
        late = folded(facts[2:])
        assert edges(late) == [] and [e[:2] for e in edges(folded(facts[:2], late))] == [("a#1", "b#1")]
        assert [e[:2] for e in edges(folded([*facts, loose]))] == [("a#1", "b#1")]
        assert edges(folded([spot(2, "tool", 0, **{out: "x"}), *facts[2:]])) == []  # nobody's call


def test_an_agent_is_called_by_the_one_tool_that_waited_and_has_its_name() -> None:
    def tool(number: int, name: str) -> SpanStarted:
        return SpanStarted(TRACE, span_id(number), span_id(1), number, 0, "tool", name)

    facts = [agent(1, "a"), tool(2, "ask_booker"), agent(4, "booker"), ended(4, 6), ended(2, 7)]
    assert [(*e[:3],) for e in edges(folded(facts))] == [("a#1", "booker#1", "inferred")]
    assert [(*e[:2],) for e in edges(folded([*facts, tool(3, "ask_booker")]))] == [("a#1", "booker#1")]
    assert edges(folded([*facts, tool(3, "stop_booker")])) == []  # two are as good


def test_a_span_link_to_another_agents_work_is_an_observed_call() -> None:
    link = SpanLinked(TRACE, span_id(3), 3, "follows", TRACE, span_id(2))
    facts: list[Fact] = [agent(1, "a"), started(2, 1), started(3), agent(4, "b", 3)]
    assert edges(folded(facts)) == []
    assert [(*e[:3],) for e in edges(folded([*facts, link]))] == [("a#1", "b#1", "observed")]


def test_work_under_a_declared_delegation_without_agent_span_is_its_targets() -> None:
    facts = [agent(1, "a"), told(2, 1, target="b", grade="declared"), started(3, 2, "model"), ended(3), ended(2)]
    trace = folded(facts)
    assert trace.span_label(trace.spans[span_id(3)]) == "b#1"
    assert edges(trace) == [("a#1", "b#1", "declared", "returned")]


def test_a_failure_on_either_side_fails_the_delegation() -> None:
    facts = [agent(1, "a"), told(2, 1, target="b"), agent(3, "b", 2)]
    for failed in (2, 3):
        assert edges(folded([*facts, ended(failed, error=("E", "x"))]))[0][3] == "failed"


# --- errors ------------------------------------------------------------------------------------------------------------


def roots(*facts: Fact) -> list[int]:
    return [int.from_bytes(s.span_id, "big") for s in folded(facts).root_errors()]


def chain(count: int) -> list[Fact]:
    return [started(n, n - 1) for n in range(1, count + 1)]


def test_one_exception_that_ends_six_spans_began_at_the_deepest() -> None:
    assert roots(*chain(6), *(ended(n, error=("ValueError", "bad")) for n in range(6, 0, -1))) == [6]


def test_an_exception_that_is_wrapped_on_its_way_still_began_at_the_deepest() -> None:
    errors = [ended(3, error=("A", "x")), ended(2, error=("B", "tool failed: x")), ended(1, error=("C", "gave up"))]
    assert roots(*chain(3), *errors) == [3]


def test_independent_errors_each_began_where_they_are() -> None:
    facts = [started(1), started(2, 1), started(3, 1), ended(2, error=("A", "x")), ended(3, error=("B", "y")), ended(1)]
    assert roots(*facts) == [2, 3]


def test_an_error_after_a_child_that_failed_and_one_that_did_well_is_its_own() -> None:
    facts = [started(1), started(2, 1), started(3, 1), ended(2, error=("A", "x")), ended(3)]
    assert roots(*facts, ended(1, error=("B", "other"))) == [1, 2]
    assert roots(*facts, ended(1, error=("A", "other"))) == [2]


# --- retries -----------------------------------------------------------------------------------------------------------


def test_a_retry_is_declared_or_the_same_call_again_after_an_error() -> None:
    run = Scenario(TRACE)
    with run.agent("a"):
        first = run.tool("search", {"q": 1}, error=("E", "x"))
        second = run.tool("search", {"q": 1}, error=("E", "x"))
        third = run.tool("search", {"q": 1}, result="ok")
        run.tool("search", {"q": 1}, result="ok again")
        run.tool("search", {"q": 2}, error=("E", "x"))
        declared = run.tool("lookup", {"q": 3}, result="ok", retry_of=first)
    trace = run.trace()
    (invocation,) = trace.invocations()
    assert retries(invocation) == {second: first, third: second, declared: first}


# --- cost --------------------------------------------------------------------------------------------------------------


def call(number: int, parent: int, tokens: object, name: str = INPUT_TOKENS) -> SpanStarted:
    parent_id = span_id(parent) if parent else b""
    return SpanStarted(TRACE, span_id(number), parent_id, number, 0, "model", "chat", attributes={name: tokens})


def test_a_call_that_frameworks_wrap_is_counted_at_its_leaf() -> None:
    trace = folded([agent(1, "a"), call(2, 1, 10), call(3, 2, 10), call(4, 1, 5, OUTPUT_TOKENS)])
    usage = trace.usage()
    assert (usage.model_calls, usage.input_tokens, usage.output_tokens) == (2, 10, 5)


def test_tokens_that_only_the_wrapper_tells_are_the_calls() -> None:
    trace = folded([call(2, 0, 7), started(3, 2, "model", "loose")])
    assert trace.usage().input_tokens == 7
    trace.apply(SpanUpdated(TRACE, span_id(2), 9, 0, {INPUT_TOKENS: 9}), SOURCE)
    assert trace.usage().input_tokens == 9


@pytest.mark.parametrize("nonsense", [-1, float("nan"), float("inf"), 1e300, "12", True, None, [1]])
def test_tokens_that_are_no_number_count_nothing(nonsense: object) -> None:
    assert folded([call(1, 0, nonsense)]).usage().input_tokens == 0


def test_a_roll_up_counts_only_where_no_call_below_says_its_own() -> None:
    summed = SpanStarted(TRACE, span_id(1), b"", 1, 0, "agent", "a", "a", attributes={ROLLUP_INPUT_TOKENS: 50})
    assert folded([summed]).agents()["a"].input_tokens == 50
    assert folded([summed, call(2, 1, 20)]).agents()["a"].input_tokens == 20


def test_a_roll_up_over_another_counts_nothing_twice() -> None:
    inner = SpanStarted(TRACE, span_id(3), span_id(2), 3, 0, "agent", "b", "b", attributes={ROLLUP_INPUT_TOKENS: 50})
    outer = SpanStarted(TRACE, span_id(1), b"", 1, 0, "agent", "a", "a", attributes={ROLLUP_INPUT_TOKENS: 50})
    trace = folded([outer, started(2, 1, "tool"), inner])
    assert {name: usage.input_tokens for name, usage in trace.agents().items()} == {"a": 0, "b": 50}


def test_of_a_call_that_is_told_without_end_the_first_tellings_are_one() -> None:
    named = {TOOL_NAME: "search"}
    spans = [
        SpanStarted(TRACE, span_id(n), span_id(n - 1), n, 0, "tool", "search", attributes=named) for n in range(2, 40)
    ]
    trace = folded([agent(1, "a"), *spans])
    assert first_telling(trace.spans[span_id(4)]) is trace.spans[span_id(2)]
    assert first_telling(trace.spans[span_id(39)]) is not trace.spans[span_id(2)]
    assert trace.usage().tool_calls < len(spans)


def test_a_span_an_invocation_and_a_delegation_say_in_a_console_what_they_are() -> None:
    trace = story()
    assert repr(trace.spans[span_id(2)]) == f"<Span {span_id(2).hex()[:8]} delegation 'n2'>"
    assert repr(trace.invocations()[0]).startswith("<Invocation a ")
    assert repr(trace.delegations()[0]) == "<Delegation a -> b call observed>"


def test_a_tool_span_that_repeats_the_one_around_it_is_one_call() -> None:
    named = {TOOL_NAME: "search"}
    outer = SpanStarted(TRACE, span_id(2), span_id(1), 2, 0, "tool", "run", attributes=named)
    inner = SpanStarted(TRACE, span_id(3), span_id(2), 3, 0, "tool", "search", attributes=named)
    for facts in ([agent(1, "a"), outer, inner], [inner, outer, agent(1, "a")]):
        trace = folded(facts)
        assert trace.usage().tool_calls == 1 and [len(c) for c in trace.tools().values()] == [1]


# --- graphs ------------------------------------------------------------------------------------------------------------


def story() -> Trace:
    facts = [
        agent(1, "a"),
        told(2, 1, target="b"),
        agent(3, "b", 2),
        ended(3, error=("E", "x")),
        told(4, 1, target="c"),
    ]
    linked = SpanLinked(TRACE, span_id(3), 5, "caused", TRACE, span_id(4))
    outside = SpanLinked(TRACE, span_id(3), 5, "caused", TRACE, span_id(99))
    found = Found(9, Finding("cascade", "critical", 0.9, TRACE, span_id(3), "m", path=[span_id(3), span_id(1)]))
    return folded([*facts, linked, outside, found, SpanEvent(TRACE, span_id(1), 5, 0, "thought")])


def test_the_graph_of_delegations_has_an_edge_for_each_pair_and_says_what_failed() -> None:
    graph = delegation_graph(story())
    assert set(graph.nodes) == {"a", "b", "c"}
    assert {(s, t): (d["count"], d["failed"], d["on_error_path"]) for s, t, d in graph.edges(data=True)} == {
        ("a", "b"): (1, 1, True),
        ("a", "c"): (1, 0, False),
    }


def test_the_graph_of_spans_has_parents_and_links() -> None:
    graph = span_graph(story())
    relations = {(int(s, 16), int(t, 16)): d["relation"] for s, t, d in graph.edges(data=True)}
    assert relations == {(1, 2): "child", (2, 3): "child", (1, 4): "child", (3, 4): "caused", (3, 1): "caused"}
    assert graph.edges[span_id(3).hex(), span_id(1).hex()]["on_error_path"] is True  # a step of the cascade
    assert graph.nodes[span_id(3).hex()]["on_error_path"] is True


def test_counts_add_up_over_agents_and_unowned_work() -> None:
    trace = folded([agent(1, "a"), call(2, 1, 3), call(9, 0, 4)])
    assert numbers(trace.usage())["input_tokens"] == 7
    assert trace.agents()["a"].input_tokens == 3


def test_an_error_that_passes_through_agents_counts_at_the_agent_where_it_began() -> None:
    facts = [agent(1, "planner"), agent(2, "booker", 1), started(3, 2, "tool")]
    trace = folded([*facts, *(ended(n, error=("ValueError", "bad")) for n in (3, 2, 1))])
    assert {name: usage.errors for name, usage in trace.agents().items()} == {"planner": 0, "booker": 1}


def _control_passed(count: int) -> Iterator[Fact]:
    for number in range(1, count):
        source = {DELEGATION_SOURCE: f"a{(number - 1) % 7}"}
        yield SpanStarted(TRACE, span_id(number), b"", number, 0, "agent", "turn", f"a{number % 7}", attributes=source)
        yield ended(number, number)


def _nobody_took_it_up(count: int) -> Iterator[Fact]:
    """A delegation is refused, and the next is answered by its own delegation span."""
    yield agent(1, "lead")
    for number in range(2, count, 3):
        yield from (told(number, 1, target="w", agent="lead"), ended(number, number))
        yield told(number + 1, 1, target="w", agent="lead")
        yield agent(number + 2, "w", number + 1)


def _nobody_says_whose(count: int) -> Iterator[Fact]:
    for number in range(1, count, 2):
        yield from (told(number, target="w"), ended(number, number), agent(number + 1, "w"))


def _parents_that_never_came(count: int) -> Iterator[Fact]:
    for number in range(1, count, 2):
        yield agent(number, f"a{number % 50}", 100_000 + number)
        yield from (started(number + 1, number, "tool", f"look {number % 9}"), ended(number + 1, number + 1))
        yield ended(number, number + 1)


@pytest.mark.parametrize("telling", [_control_passed, _nobody_took_it_up, _nobody_says_whose, _parents_that_never_came])
def test_twice_as_many_agents_are_paired_in_about_twice_the_steps(telling: Callable[[int], Iterator[Fact]]) -> None:
    small, large = (calls_of(folded([*telling(count)]).delegations, "graph") for count in (300, 600))
    assert large < 2.7 * small


def test_a_tool_of_another_name_inside_one_is_another_call() -> None:
    outer, inner = (
        SpanStarted(TRACE, span_id(n), span_id(n - 1), n, 0, "tool", name, attributes={TOOL_NAME: name})
        for n, name in ((2, "search"), (3, "fetch"))
    )
    assert folded([agent(1, "a"), outer, inner]).usage().tool_calls == 2


def test_of_two_models_that_asked_for_one_agent_at_once_each_is_used_once() -> None:
    asked = [
        SpanStarted(TRACE, span_id(n), span_id(1), 5, 0, "model", "chat", "a", attributes={DELEGATION_TARGET: "b"})
        for n in (2, 3)
    ]
    trace = folded([agent(1, "a"), *asked, agent(4, "b", 1, 6), agent(5, "b", 1, 7)])
    assert [d.asked.span_id for d in trace.delegations() if d.asked] == [span_id(3), span_id(2)]
