"""One agent's trajectory as rows: what it was given, each step once, what it gave back, and how it did before."""

import json
from typing import Any

import pytest

from tests.collector.builders import NOW_NS, SECOND_NS, SOURCE, TRACE, Bench, bench, ended, started
from tests.collector.test_views import HOSTILE, run, tell
from tests.scenarios import Scenario
from trajectory.collector import agent_view, earlier
from trajectory.collector.agent_facts import CONTEXT_PARTS
from trajectory.collector.earlier import ENOUGH, Sample, usual_rows
from trajectory.model.content import MESSAGE, digest, encode_message
from trajectory.model.fact import Batch, Fact, Finding, Found, Payload
from trajectory.model.words import INPUT_TOKENS
from trajectory.view.views import AgentQuery, AgentView, Missing


def agent(collector: Bench, name: str, trace_id: bytes = TRACE, **more: Any) -> AgentView:
    view = collector.publisher.answer(AgentQuery(trace_id.hex(), name, **more), -1)
    assert isinstance(view, AgentView)
    return view


def test_an_agent_is_what_it_was_given_each_step_and_what_it_gave_back() -> None:
    with bench() as collector:
        tell(collector, run().facts)
        view = agent(collector, "research")
        assert [(s.what, s.name, s.status) for s in view.steps] == [
            ("receive", "planner#1", ""),
            ("tool", "search", "error"),
            ("retry", "search", "ok"),
            ("model", "chat", "ok"),
            ("return", "planner#1", "ok"),
        ]
        assert view.facts.retries == 1 and view.facts.label == "research#1" and view.facts.tools == 1
        assert [(m.who, m.text) for m in view.messages] == [
            ("task", "Find H"), ("tool", "too slow"), ("tool", "H1"), ("gave", "It is H1"),
        ]  # fmt: skip
        assert view.failed == [(1, view.steps[1].key)]
        asked = agent(collector, "planner#1")
        assert [s.what for s in asked.steps] == ["receive", "delegate", "answer", "model", "return"]
        assert asked.steps[1].name == "research#1" and asked.steps[1].delegation_id == view.given[0].delegation_id
        assert asked.next_id == view.facts.span_id and view.previous_id == asked.facts.span_id
        assert len({step.key for step in asked.steps}) == len(asked.steps)


def test_an_alert_stands_at_its_step_and_what_was_lost_where_the_task_came() -> None:
    with bench() as collector:
        tell(collector, run().facts)
        view = agent(collector, "research")
        own, failed = bytes.fromhex(view.facts.span_id), bytes.fromhex(view.steps[1].span_id)
        found = [
            Finding("context.lost", "warning", 0.9, TRACE, own, "lost", value="EUR"),
            Finding("tool.silent_failure", "warning", 0.9, TRACE, failed, "hidden"),
        ]
        tell(collector, [Found(NOW_NS, each) for each in found])
        then = agent(collector, "research", limit=100)  # another question: nothing of the answer before is kept for it
        told = {step.what: len(step.found) for step in then.steps}
        assert told == {"receive": 1, "tool": 1, "retry": 0, "model": 0, "return": 0}
        assert then.given[0].lost == ["EUR"]


def test_steps_that_are_alike_are_one_line_until_they_are_asked_for_one_by_one() -> None:
    told = Scenario(TRACE)
    told.now_ns = NOW_NS - 60 * SECOND_NS
    with told.agent("worker", task="Poll"):
        for n in range(6):
            told.tool("poll", {"n": n}, result="not yet")
        told.says("done")
    with bench() as collector:
        tell(collector, told.facts)
        view = agent(collector, "worker")
        assert [(s.what, s.count) for s in view.steps] == [("receive", 1), ("tool", 6), ("model", 1), ("return", 1)]
        assert view.folded == 5 and view.rows_total == 4
        each = agent(collector, "worker", each=True)
        assert each.rows_total == 9 and {s.count for s in each.steps} == {1}
        assert view.steps[1].key == each.steps[1].key and view.steps[1].duration_ns == sum(
            s.duration_ns for s in each.steps[1:7]
        )
        window = agent(collector, "worker", each=True, limit=3, around=each.steps[6].span_id)
        assert window.offset == 5 and [s.key for s in window.steps] == [s.key for s in each.steps[5:8]]
        assert [s.name for s in agent(collector, "worker", filter="kind:model").steps] == ["chat"]


def test_an_agent_is_compared_with_its_earlier_runs_where_there_are_enough() -> None:
    with bench() as collector:
        for n in range(ENOUGH):
            assert agent_history(collector, n) == (n, n >= ENOUGH)
        assert agent_history(collector, ENOUGH) == (ENOUGH, True)


def agent_history(collector: Bench, number: int) -> tuple[int, bool]:
    """How many runs an agent of one more run is compared with, and whether there are figures."""
    trace_id = f"run-of-history-{number:x}".encode()
    told = Scenario(trace_id)
    told.now_ns = NOW_NS - (3600 - 60 * number) * SECOND_NS
    with told.agent("worker", task="Poll"):
        told.tool("poll", {"n": 1}, result="x")
    tell(collector, told.facts)
    for _ in range(10_000):  # each reads on for some milliseconds, in which a busy machine gets little done
        view = agent(collector, "worker", trace_id)
        if view.usual_of >= 0:
            return view.usual_of, bool(view.usual)
    raise AssertionError("the earlier runs are never read to their end")


def test_what_lies_outside_of_what_was_is_marked_but_not_as_too_little_while_it_goes_on() -> None:
    earlier = [Sample(0, 100, 50, 10, 3)] * 4 + [Sample(1, 200, 80, 20, 3)]
    rows = {row.name: row for row in usual_rows(Sample(4, 10, 60, 15, 3), earlier, goes_on=False)}
    assert {name for name, row in rows.items() if row.is_outside} == {"retries", "tokens"}
    assert (rows["retries"].low, rows["retries"].high) == (0, 1)
    going = usual_rows(Sample(4, 10, 60, 15, 3), earlier, goes_on=True)
    assert [row.name for row in going if row.is_outside] == ["retries"]


@pytest.mark.parametrize("name", ["nobody", "", HOSTILE])
def test_an_agent_that_is_not_there_is_said(name: str) -> None:
    with bench() as collector:
        tell(collector, run().facts)
        view = collector.publisher.answer(AgentQuery(TRACE.hex(), name), -1)
        assert isinstance(view, Missing) and "there is no agent" in view.reason
        assert isinstance(collector.publisher.answer(AgentQuery("ab" * 16, "research"), -1), Missing)


def test_of_an_agent_with_very_many_steps_a_window_is_made() -> None:
    facts: list[Fact] = [started(1, kind="agent", agent="worker")]
    for n in range(2, 3002):
        facts += [started(n, parent=1, kind="tool", name=f"t{n % 7}", at_ns=NOW_NS + n), ended(n, at_ns=NOW_NS + n)]
    with bench() as collector:
        collector.pipeline.fold([Batch(SOURCE, 0, facts)])
        view = agent(collector, "worker", offset=2000)
        assert view.rows_total == 3001 and len(view.steps) == 300 and view.offset == 2000


def test_of_very_many_model_calls_the_context_is_shown_by_its_peaks_and_so_many_failures_are_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(agent_view, "MAX_FAILED", 5)
    facts: list[Fact] = [started(1, agent="worker")]
    for n in range(2, 2 + 3 * CONTEXT_PARTS):
        used = {INPUT_TOKENS: n % 3 * 10 + n}
        facts += [started(n, parent=1, kind="model"), ended(n, status="error", attributes=used)]
    with bench() as collector:
        tell(collector, facts)
        view = agent(collector, "worker")
        assert len(view.facts.context) == CONTEXT_PARTS and max(view.facts.context) == view.facts.context_peak
        assert len(view.failed) == 5


def test_an_agent_that_nobody_told_its_task_is_shown_what_its_first_call_was_asked() -> None:
    body = encode_message({"role": "user", "content": "Find a hotel"})[1]
    asked, gone = digest(MESSAGE, body), digest(MESSAGE, b"never stored")
    told: list[Fact] = [
        Payload(asked, MESSAGE, body),
        started(1, agent="worker"),
        started(2, parent=1, kind="model", contents={"input": [gone, asked]}),
        ended(2, contents={"output": [gone]}),
    ]
    with bench() as collector:
        tell(collector, told)
        view = agent(collector, "worker")
        assert [(m.who, m.text) for m in view.messages] == [
            ("task", "Find a hotel")
        ]  # a body that is not there says nothing
        assert view.arrived is None
        (raw,) = agent(collector, "worker", raw=True).messages
        assert json.loads(raw.text) == json.loads(body)


def test_how_many_items_arrived_is_not_said_where_no_contents_were_recorded() -> None:
    with bench() as collector:
        told = Scenario(TRACE, captures_content=False)
        told.now_ns = NOW_NS
        with told.agent("planner", task="Find"), told.delegate("research", task="Find H"):
            told.says("H1")
        tell(collector, told.facts)
        view = agent(collector, "research")
        assert view.given and view.arrived is None


def test_of_agents_and_earlier_runs_only_so_many_are_kept_and_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(earlier, "_KEPT_RUNS", 2)
    monkeypatch.setattr(earlier, "_KEPT_AGENTS", 1)
    monkeypatch.setattr(earlier, "RUNS", ENOUGH + 1)
    monkeypatch.setattr(earlier, "_PART_NS", 0)  # each answer reads one part
    with bench() as collector:
        for n in range(ENOUGH + 3):
            assert agent_history(collector, n) == (min(n, ENOUGH + 1), n >= ENOUGH)
        last = f"run-of-history-{ENOUGH + 2:x}".encode()
        tell(collector, [started(90, agent="scout", trace_id=last), ended(90, trace_id=last)])
        assert agent(collector, "scout", last).usual_of == 0  # no earlier run had it
        assert agent(collector, "worker", last).usual_of == -1  # it is read again, and not in one answer


@pytest.mark.parametrize(
    ("mode", "is_over", "whats", "steps_of_other"),
    [
        ("call", True, ["receive", "delegate", "answer", "return"], ["receive", "model", "return"]),
        ("spawn", True, ["receive", "delegate", "return"], ["receive", "model", "return"]),
        ("call", False, ["receive", "delegate"], ["receive", "model"]),
    ],
)
def test_what_is_not_answered_or_not_yet_has_no_line_for_an_answer(
    mode: str, is_over: bool, whats: list[str], steps_of_other: list[str]
) -> None:
    told = Scenario(TRACE)
    told.now_ns = NOW_NS
    with told.agent("planner", task="Find"):
        with told.delegate("research", task="Find H", mode=mode):
            told.says("H1")
            until = len(told.facts)
        told.returns("H1")
    with bench() as collector:
        tell(collector, told.facts if is_over else told.facts[:until])
        assert [s.what for s in agent(collector, "planner").steps] == whats
        assert [s.what for s in agent(collector, "research").steps] == steps_of_other
