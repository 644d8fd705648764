"""Chat logs: every step kept with its index, agents and delegations as the log says them, nothing made up."""

import json
from typing import Any

import pytest

from tests.dialects.build import edges, traces
from trajectory.dialects.chat import conversation_of
from trajectory.dialects.chat_facts import EPOCH_NS, STEP_NS, batch_of
from trajectory.graph.trace import Trace
from trajectory.model.words import STEP, SYNTHETIC_TIME, SpanKind

MAGENTIC = {
    "run_id": "r1",
    "framework": "magentic",
    "question": "Find a hotel\nin Lyon.",
    "truth": {"agent": "WebSurfer", "step": 4},
    "steps": [
        {"i": 0, "agent": "human", "role": "user", "content": "Find a hotel\nin Lyon."},
        {"i": 1, "agent": "Orchestrator", "role": "thought", "content": "Initial plan: search"},
        {"i": 2, "agent": "Orchestrator", "role": "delegation", "to": "WebSurfer", "content": "Search hotels"},
        {"i": 3, "agent": "Orchestrator", "role": "thought", "content": "Next speaker WebSurfer"},
        {"i": 4, "agent": "WebSurfer", "role": "agent", "content": "I found H7"},
        {"i": 5, "agent": "Orchestrator", "role": "delegation", "to": "Coder", "content": "Add it up"},
        {"i": 6, "agent": "Orchestrator", "role": "delegation", "to": "ComputerTerminal", "content": "Run it"},
        {"i": 7, "agent": "ComputerTerminal", "role": "tool", "content": "exitcode: 0 (execution succeeded)"},
        {"i": 8, "agent": "Orchestrator", "role": "termination", "content": "FINAL ANSWER: H7"},
    ],
}


def fold(record: Any) -> Trace:
    conversation = conversation_of(record)
    assert conversation is not None
    (trace,) = traces([batch_of(conversation)])
    return trace


def step(trace: Trace, index: int):
    (span,) = [s for s in trace.spans.values() if s.attributes.get(STEP) == index]
    return span


def indexes(trace: Trace) -> list[int]:
    return sorted(s.attributes[STEP] for s in trace.spans.values() if STEP in s.attributes)


def test_every_step_is_one_span_with_its_index():
    trace = fold(MAGENTIC)
    assert indexes(trace) == list(range(9))
    assert trace.open_count == 0
    assert trace.title == "Find a hotel in Lyon."


def test_agents_are_those_that_act_or_get_work_and_people_are_none():
    assert set(fold(MAGENTIC).agents()) == {"Orchestrator", "WebSurfer", "Coder", "ComputerTerminal"}


def test_each_delegation_of_the_log_is_one_and_declared():
    trace = fold(MAGENTIC)
    assert edges(trace) == [
        ("Orchestrator", "WebSurfer", "call", "declared"),
        ("Orchestrator", "Coder", "call", "declared"),
        ("Orchestrator", "ComputerTerminal", "call", "declared"),
    ]
    assert [d.state for d in trace.delegations()] == ["returned", "lost", "returned"]
    assert [trace.text(digest) for digest in trace.delegations()[0].task_digests()] == ["Search hotels"]
    assert [trace.text(digest) for digest in trace.delegations()[0].returned_digests()] == ["I found H7"]


def test_thoughts_are_cognitive_and_belong_to_who_thought_them():
    trace = fold(MAGENTIC)
    assert (step(trace, 1).surface, step(trace, 1).name, step(trace, 3).name) == ("cognitive", "plan", "thought")
    assert {step(trace, i).owner.agent for i in (1, 2, 3, 5, 6, 8)} == {"Orchestrator"}
    assert step(trace, 4).owner.agent == "WebSurfer"


def test_a_worker_that_is_heard_unasked_is_not_delegated_to():
    record = {"steps": [*MAGENTIC["steps"][:5], {"agent": "FileSurfer", "role": "agent", "content": "me too"}]}
    assert edges(fold(record)) == [("Orchestrator", "WebSurfer", "call", "declared")]


def test_a_group_chat_has_turns_and_no_delegations_and_its_terminal_is_a_tool():
    trace = fold({"history": [
        {"content": "Plan", "role": "assistant", "name": "Data_Expert"},
        {"content": "exitcode: 1 (execution failed)\nCode output: no", "role": "user", "name": "Computer_terminal"},
        {"content": "There is no code", "role": "user", "name": "Computer_terminal"},
        {"content": "I check", "role": "assistant", "name": "Check_Expert"},
        {"content": "More", "role": "user", "name": "Data_Expert"},
        {"content": "And more", "role": "user", "name": "Data_Expert"},
    ]})  # fmt: skip
    assert edges(trace) == []
    assert set(trace.agents()) == {"Data_Expert", "Check_Expert"}
    assert [i.agent for i in trace.invocations()] == ["Data_Expert", "Check_Expert", "Data_Expert"]
    assert {name: len(calls) for name, calls in trace.tools().items()} == {"Computer_terminal": 2}
    assert step(trace, 1).owner.agent == "Data_Expert"


def test_roles_written_into_names_are_read():
    trace = fold({"history": [
        {"content": "Q", "role": "human"},
        {"content": "plan", "role": "Orchestrator (thought)"},
        {"content": "go", "role": "Orchestrator (-> WebSurfer)"},
        {"content": "done", "role": "WebSurfer"},
        {"content": "end", "role": "Orchestrator (termination condition)"},
    ]})  # fmt: skip
    assert edges(trace) == [("Orchestrator", "WebSurfer", "call", "declared")]
    assert step(trace, 1).surface == "cognitive"
    assert set(trace.agents()) == {"Orchestrator", "WebSurfer"}


def test_tool_results_carry_the_arguments_of_the_call_that_they_answer():
    trace = fold({"steps": [
        {"agent": "system", "role": "system", "content": "policy"},
        {"agent": "user", "role": "user", "content": "hi"},
        {"agent": "assistant", "role": "agent", "content": "", "tool_calls": [{"name": "find", "arguments": '{"a": 1}'}]},
        {"agent": "tools", "role": "tool", "tool": "find", "content": "H7"},
        {"agent": "assistant", "role": "agent", "content": "H7 it is"},
    ]})  # fmt: skip
    assert step(trace, 3).kind == SpanKind.TOOL
    assert trace.texts(step(trace, 3), "arguments", "result") == ['{"a":1}', "H7"]
    assert len([i for i in trace.invocations() if i.agent == "assistant"]) == 1
    assert trace.texts(step(trace, 0), "system") == ["policy"]


def test_openai_messages_name_their_tools_by_call_id():
    trace = fold([
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "function": {"name": "find", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "H7"},
    ])  # fmt: skip
    assert list(trace.tools()) == ["find"]


def test_times_are_the_logs_own_where_it_has_them_and_plainly_made_up_where_not():
    made_up = fold(MAGENTIC)
    assert (step(made_up, 3).start_ns, step(made_up, 3).attributes[SYNTHETIC_TIME]) == (EPOCH_NS + 3 * STEP_NS, True)
    dated = fold({"steps": [
        {"agent": "a", "role": "agent", "content": "x", "timestamp": "2026-01-01T00:00:00Z"},
        {"agent": "b", "role": "agent", "content": "y", "timestamp": 1767225605.5},
    ]})  # fmt: skip
    assert step(dated, 1).start_ns - step(dated, 0).start_ns == 5_500_000_000
    assert SYNTHETIC_TIME not in step(dated, 0).attributes
    undated = fold({"steps": [{"agent": "a", "role": "agent", "content": "x", "timestamp": "noon"}]})
    assert step(undated, 0).attributes[SYNTHETIC_TIME] is True


def test_the_same_log_has_the_same_ids_and_another_has_others():
    again = json.loads(json.dumps(MAGENTIC))
    assert batch_of(conversation_of(again)) == batch_of(conversation_of(MAGENTIC))
    again["steps"][4]["content"] = "I found H8"
    assert fold(again).trace_id != fold(MAGENTIC).trace_id


def test_labels_beside_the_conversation_are_never_read():
    bare = {key: value for key, value in MAGENTIC.items() if key != "truth"}
    assert batch_of(conversation_of(bare)) == batch_of(conversation_of(MAGENTIC))


@pytest.mark.parametrize(
    "value", [None, 5, {}, [], {"steps": []}, {"steps": [5]}, {"history": [{"content": "x"}]}, {"a": 1}]
)
def test_what_is_no_conversation_is_none(value):
    assert conversation_of(value) is None
