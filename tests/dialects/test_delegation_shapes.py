"""Every shape of delegation that frameworks put on the wire becomes one delegation with the right ends and grade.

Each test is one shape, by hand and small. Spans are folded children first, as exporters send them.
"""

import json

import pytest

from tests.dialects.build import edges, fold, otel_span


def agent(number: int, name: str, parent: int = 0, at: float = 0.0, lasts: float = 9.0, **attributes: object):
    return otel_span(
        number, f"invoke_agent {name}", parent, at, lasts, gen_ai__operation__name="invoke_agent", gen_ai__agent__name=name,
        **attributes,
    )  # fmt: skip


def tool(number: int, name: str, parent: int, at: float, lasts: float = 1.0, **attributes: object):
    return otel_span(
        number, f"execute_tool {name}", parent, at, lasts, gen_ai__operation__name="execute_tool", gen_ai__tool__name=name,
        **attributes,
    )  # fmt: skip


def model(number: int, parent: int, at: float, calls: tuple[str, dict[str, str]] | None = None, **attributes: object):
    parts = [{"type": "tool_call", "id": "c", "name": calls[0], "arguments": calls[1]}] if calls else []
    said = json.dumps([{"role": "assistant", "parts": parts or [{"type": "text", "content": "done"}]}])
    return otel_span(
        number, "chat m", parent, at, 0.5, gen_ai__operation__name="chat", gen_ai__request__model="m",
        gen_ai__usage__input_tokens=10, gen_ai__usage__output_tokens=2, gen_ai__output__messages=said, **attributes,
    )  # fmt: skip


def openinference(
    number: int, kind: str, name: str, parent: int = 0, at: float = 0.0, lasts: float = 1.0, **attributes: object
):
    return otel_span(number, name, parent, at, lasts, openinference__span__kind=kind, **attributes)


def task_of(trace, index: int = 0) -> list[str | None]:
    return [trace.text(digest) for digest in trace.delegations()[index].task_digests()]


def test_a_handoff_span_with_both_ends_and_a_sibling_that_names_its_parent_are_one_delegation():
    trace = fold(
        openinference(1, "AGENT", "trip planning", lasts=9),
        openinference(2, "AGENT", "coordinator", 1, 0, 3, agent__name="coordinator", graph__node__id="coordinator"),
        openinference(
            5, "LLM", "response", 2, 0.1, 0.5,
            **{
                "llm.output_messages.0.message.role": "assistant",
                "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "transfer_to_researcher",
                "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"note": "find a hotel"}',
            },
        ),
        openinference(3, "TOOL", "handoff to researcher", 2, 1, 0.1, input__value="coordinator", output__value="researcher"),
        openinference(
            4, "AGENT", "researcher", 1, 4, 3, agent__name="researcher", graph__node__id="researcher",
            graph__node__parent_id="coordinator",
        ),
    )  # fmt: skip
    assert edges(trace) == [("coordinator", "researcher", "transfer", "declared")]
    assert set(trace.agents()) == {"coordinator", "researcher"}
    assert task_of(trace) == ["find a hotel"]


def test_a_tool_whose_metadata_names_a_destination_hands_over_to_it():
    metadata = json.dumps({"__handoff_destination": "buyer"})
    trace = fold(
        agent(1, "lead"),
        openinference(2, "TOOL", "switch", 1, 1, metadata=metadata, input__value="{}", output__value="ok"),
        agent(3, "buyer", 1, 3, 2),
    )
    assert edges(trace) == [("lead", "buyer", "transfer", "observed")]
    assert task_of(trace) == []  # no arguments are no task


def test_a_handoff_span_without_a_target_goes_to_the_next_agent():
    workflow = otel_span(1, "Agent Workflow", lasts=9, traceloop__span__kind="workflow")
    trace = fold(
        workflow,
        agent(2, "coordinator", 1, 0, 3, traceloop__span__kind="agent"),
        otel_span(
            3, "coordinator → unknown.handoff", 2, 1, 0.1, traceloop__span__kind="handoff",
            gen_ai__operation__name="handoff", gen_ai__handoff__from_agent="coordinator", gen_ai__agent__name="coordinator",
        ),
        agent(4, "researcher", 1, 4, 3, traceloop__span__kind="agent"),
    )  # fmt: skip
    assert edges(trace) == [("coordinator", "researcher", "transfer", "inferred")]
    assert set(trace.agents()) == {"coordinator", "researcher"}


def test_a_handoff_operation_with_both_ends_is_one_delegation_and_the_lying_agent_name_nobody():
    trace = fold(
        agent(1, "coordinator", at=0, lasts=2),
        otel_span(
            2, "agent_handoff", 1, 1, 0.1, gen_ai__operation__name="agent_handoff", gen_ai__agent__name="OpenAI Agent",
            gen_ai__handoff__from_agent="coordinator", gen_ai__handoff__to_agent="researcher",
        ),
        agent(3, "researcher", 0, 3, 2),
        model(4, 3, 3.5, gen_ai__agent__name="OpenAI Agent"),
        in_order=True,
    )  # fmt: skip
    assert edges(trace) == [("coordinator", "researcher", "transfer", "declared")]
    assert set(trace.agents()) == {"coordinator", "researcher"}


def test_an_agent_under_a_tool_is_an_observed_call_whatever_the_tool_is_called():
    trace = fold(
        agent(1, "coordinator"),
        tool(2, "ask_for_rooms", 1, 1, 5, gen_ai__tool__call__arguments='{"task": "find rooms"}'),
        otel_span(3, "invoke_workflow", 2, 1, 5, gen_ai__operation__name="invoke_workflow", gen_ai__agent__name="flow"),
        agent(4, "researcher", 3, 1, 4),
    )
    assert edges(trace) == [("coordinator", "researcher", "call", "observed")]
    assert set(trace.agents()) == {"coordinator", "researcher"}
    assert trace.tools() == {}  # the tool is the delegation's vehicle
    assert task_of(trace) == ['{"task":"find rooms"}']


def test_an_agent_as_tool_that_is_not_nested_is_inferred_from_the_tool_call_that_waited():
    trace = fold(
        otel_span(1, "Agent Workflow", lasts=9, traceloop__span__kind="workflow"),
        agent(2, "coordinator", 1, 0, 8),
        tool(3, "search_rates", 2, 0.2, 0.3),
        tool(4, "ask_researcher", 2, 1, 5),
        agent(5, "researcher", 1, 1.5, 4),
    )
    assert edges(trace) == [("coordinator", "researcher", "call", "inferred")]
    assert list(trace.tools()) == ["search_rates"]


def test_a_managed_agent_under_a_step_is_an_observed_call():
    trace = fold(
        openinference(1, "AGENT", "coordinator.run", lasts=9),
        openinference(2, "CHAIN", "Step 1", 1, 1, 6),
        openinference(3, "AGENT", "researcher.run", 2, 2, 4),
    )
    assert edges(trace) == [("coordinator", "researcher", "call", "observed")]


def test_a_coworker_under_its_delegators_span_gets_the_task_from_the_model_that_asked():
    trace = fold(
        agent(1, "coordinator"),
        model(2, 1, 0.5, ("delegate_work_to_coworker", {"coworker": "researcher", "task": "find a hotel"})),
        agent(3, "researcher", 1, 2, 4, gen_ai__input__messages='[{"role": "user", "content": "You work with ..."}]'),
    )
    assert edges(trace) == [("coordinator", "researcher", "call", "observed")]
    assert task_of(trace) == ["find a hotel"]


def test_a_coworker_without_any_span_of_its_own_is_known_from_the_tools_arguments_and_owns_the_work_below():
    trace = fold(
        openinference(1, "AGENT", "coordinator._execute_core", lasts=9, graph__node__id="coordinator"),
        openinference(
            2, "TOOL", "Delegate work to coworker.run", 1, 1, 6, tool__name="Delegate work to coworker",
            input__value=json.dumps({"coworker": "researcher", "task": "find a hotel", "context": "for two"}),
            output__value="H7",
        ),
        openinference(3, "LLM", "ChatCompletion", 2, 2, 1, llm__token_count__prompt=5, llm__token_count__completion=1),
        openinference(4, "TOOL", "search_hotels.run", 2, 3, 1, tool__name="search_hotels"),
    )  # fmt: skip
    assert edges(trace) == [("coordinator", "researcher", "call", "declared")]
    agents = trace.agents()
    assert (agents["researcher"].model_calls, agents["researcher"].tool_calls) == (1, 1)
    assert agents["coordinator"].model_calls == 0
    assert task_of(trace) == ["find a hotel", "for two"]
    assert list(trace.tools()) == ["search_hotels"]


def test_a_member_named_in_arguments_whose_span_is_a_sibling_counts_once():
    trace = fold(
        openinference(1, "AGENT", "coordinator.run", lasts=9, agent__name="Coordinator", graph__node__id="0" * 16),
        openinference(
            2, "TOOL", "delegate_task_to_member", 1, 1, 6, tool__name="delegate_task_to_member",
            input__value='{"member_id": "hotel-researcher", "task": "find a hotel"}',
        ),
        openinference(
            3, "AGENT", "researcher.run", 1, 1.5, 4, agent__name="Hotel Researcher", graph__node__id="1" * 16,
            graph__node__parent_id="0" * 16,
        ),
    )  # fmt: skip
    assert edges(trace) == [("Coordinator", "Hotel Researcher", "call", "observed")]
    assert set(trace.agents()) == {"Coordinator", "Hotel Researcher"}


def test_a_handoff_tool_without_an_owner_comes_from_who_acted_before():
    step = "AgentWorkflow.run_agent_step"
    trace = fold(
        openinference(1, "CHAIN", "AgentWorkflow.run", lasts=9),
        openinference(2, "CHAIN", step, 1, 0, 2, input__value="AgentInput(input=[], current_agent_name='coordinator')"),
        openinference(3, "CHAIN", "AgentWorkflow.call_tool", 1, 3, 1),
        openinference(
            4, "TOOL", "FunctionTool.acall", 3, 3, 1, tool__name="handoff",
            input__value="{'to_agent': 'researcher', 'reason': 'find a hotel'}",
        ),
        openinference(5, "CHAIN", step, 1, 5, 2, input__value="AgentInput(input=[], current_agent_name='researcher')"),
    )  # fmt: skip
    assert edges(trace) == [("coordinator", "researcher", "transfer", "inferred")]
    assert set(trace.agents()) == {"coordinator", "researcher"}


def test_a_transfer_tool_without_arguments_goes_to_the_next_agent_nested_or_not():
    sibling = fold(
        agent(1, "coordinator", lasts=3),
        tool(2, "transfer_to_agent", 1, 1),
        agent(3, "researcher", 0, 4, 3),
    )
    nested = fold(
        agent(1, "coordinator", lasts=9),
        tool(2, "transfer_to_agent", 1, 1),
        agent(3, "researcher", 1, 4, 3),
    )
    assert edges(sibling) == [("coordinator", "researcher", "transfer", "inferred")]
    assert edges(nested) == [("coordinator", "researcher", "transfer", "observed")]


@pytest.mark.parametrize(
    ("goto", "expected"), [("researcher", [("coordinator", "researcher", "transfer", "declared")]), ("tidy", [])]
)
def test_a_tool_that_answers_where_to_go_on_hands_over_if_an_agent_is_there(goto, expected):
    trace = fold(
        agent(1, "coordinator", lasts=3),
        tool(
            2, "ask", 1, 1, gen_ai__tool__call__arguments='{"task": "find a hotel"}',
            gen_ai__tool__call__result=f'{{"goto": "{goto}", "graph": "__parent__", "resume": null, "update": {{}}}}',
        ),
        agent(3, "researcher", 0, 4, 3),
    )  # fmt: skip
    assert edges(trace) == expected and ("ask" in trace.tools()) is not bool(expected)


def test_a_swarm_handoff_names_agent_and_message_in_its_arguments():
    trace = fold(
        otel_span(1, "invoke_swarm", lasts=9, gen_ai__operation__name="invoke_swarm"),
        agent(2, "coordinator", 1, 0, 3),
        tool(
            3, "handoff_to_agent", 2, 1,
            gen_ai__tool__call__arguments='{"agent_name": "researcher", "message": "find a hotel", "context": {}}',
        ),
        agent(4, "researcher", 1, 4, 3),
    )  # fmt: skip
    assert edges(trace) == [("coordinator", "researcher", "transfer", "declared")]
    assert task_of(trace) == ["find a hotel"]


def task(number: int, name: str, parent: int, at: float, lasts: float, *, error: str | None = None, **metadata: str):
    """A node or a graph of LangGraph, as Traceloop tells it."""
    told = {f"traceloop.association.properties.{key}": value for key, value in metadata.items()}
    return otel_span(
        number, f"execute_task {name}", parent, at, lasts, error=error, traceloop__span__kind="task",
        traceloop__entity__name=name, gen_ai__operation__name="execute_task", **told,
    )  # fmt: skip


def langgraph_team(**last: object):
    """A graph of two agents: wrapper, workflow, node, the agent's own graph and, beside it, its empty wrapper."""
    goto = {"gen_ai__operation__name": "goto", "langgraph__command__goto_node": "researcher"}
    parent = "Command(goto='researcher')"
    return (
        agent(1, "trip_planning", lasts=9, gen_ai__workflow__nodes=["coordinator", "researcher", "booker"]),
        otel_span(
            2, "trip_planning.workflow", 1, 0, 9, traceloop__span__kind="workflow", traceloop__entity__name="trip_planning",
            gen_ai__operation__name="invoke_agent", gen_ai__agent__name="trip_planning",
        ),
        task(3, "coordinator", 2, 0, 3, error=parent, langgraph_node="coordinator", langgraph_checkpoint_ns="coordinator:1"),
        agent(4, "coordinator", 3, 0, 3, gen_ai__workflow__nodes=["model", "tools"], error=parent, error__type="ParentCommand"),
        task(5, "coordinator", 3, 0, 3, langgraph_node="coordinator", langgraph_checkpoint_ns="coordinator:1",
             checkpoint_ns="coordinator:1"),
        tool(6, "transfer_to_researcher", 5, 1, error=parent, error__type="ParentCommand", traceloop__span__kind="tool",
             gen_ai__tool__call__arguments=json.dumps({"input_str": "{'task': 'find a hotel'}", "tags": []})),
        *(otel_span(n, "goto researcher", 5, 1.1, 0, **goto) for n in (7, 8, 9)),
        task(10, "researcher", 2, 4, 3, langgraph_node="researcher", langgraph_checkpoint_ns="researcher:1"),
        agent(11, "researcher", 10, 4, 3, gen_ai__workflow__nodes=["agent", "tools"], **last),
        task(12, "researcher", 10, 4, 3, langgraph_node="researcher", langgraph_checkpoint_ns="researcher:1",
             checkpoint_ns="researcher:1", **last),
    )  # fmt: skip


def test_goto_spans_beside_a_transfer_tool_are_not_counted_again_and_its_false_error_is_none():
    trace = fold(*(s for s in langgraph_team() if s.span_id[-1] != 3))
    assert edges(trace) == [("coordinator", "researcher", "transfer", "declared")]
    assert set(trace.agents()) == {"coordinator", "researcher"}
    assert len(trace.invocations()) == 2
    assert trace.root_errors() == []
    assert task_of(trace) == ["find a hotel"]


def test_an_empty_wrapper_beside_an_agents_graph_repeats_its_error_and_is_no_root_of_it():
    trace = fold(*langgraph_team(error="refused"))
    assert [span.span_id[-1] for span in trace.root_errors() if span.owner is not None] == [12]


def test_a_handoff_that_only_the_models_answer_shows_is_inferred():
    trace = fold(
        otel_span(1, "workflow.run", lasts=9),
        agent(2, "coordinator", 1, 0, 2),
        model(3, 2, 0.5, ("handoff_to_researcher", {"task": "find a hotel"})),
        otel_span(4, "executor.process booker", 1, 2, 0),  # a broadcast
        agent(5, "researcher", 1, 3, 2),
    )
    assert edges(trace) == [("coordinator", "researcher", "transfer", "inferred")]
    assert task_of(trace) == ["find a hotel"]


def test_a_shared_conversation_without_delegation_has_none():
    trace = fold(
        otel_span(1, "autogen process", lasts=9),
        agent(2, "coordinator", 1, 0, 2),
        agent(3, "researcher", 1, 3, 2),
        agent(4, "coordinator", 1, 6, 2),
    )
    assert edges(trace) == []
    assert set(trace.agents()) == {"coordinator", "researcher"}


def test_created_agents_do_not_take_part():
    trace = fold(
        otel_span(1, "create_agent idle", gen_ai__operation__name="create_agent", gen_ai__agent__name="idle"),
        agent(2, "busy", at=2),
    )
    assert set(trace.agents()) == {"busy"}


def test_a_callers_name_on_an_invocation_is_an_observed_call():
    trace = fold(
        agent(1, "coordinator", lasts=9),
        agent(2, "remote", 0, 1, 2, kind=3, gen_ai__caller__type="agent", gen_ai__caller__name="coordinator"),
    )
    assert edges(trace) == [("coordinator", "remote", "call", "observed")]


def test_transfer_attributes_on_a_tool_name_its_target_and_the_agent_name_its_source():
    trace = fold(
        agent(1, "coordinator", lasts=3),
        tool(2, "escalate", 1, 1, gen_ai__transfer__mode="pass_control", gen_ai__transfer__target__name="researcher"),
        agent(3, "researcher", 0, 4, 3),
    )
    assert edges(trace) == [("coordinator", "researcher", "transfer", "observed")]


def test_a_link_that_says_handoff_names_the_source():
    from tests.dialects.build import TRACE_ID, span_id

    trace = fold(
        agent(1, "coordinator", lasts=3),
        agent(2, "researcher", 0, 4, 3, links=[
            (TRACE_ID, span_id(1), {"link.type": "agent_handoff", "link.from_agent": "coordinator"})
        ]),
    )  # fmt: skip
    assert edges(trace) == [("coordinator", "researcher", "transfer", "observed")]


def test_two_processes_joined_by_a_traceparent_are_one_call():
    trace = fold(
        agent(1, "coordinator"),
        tool(2, "ask_researcher_service", 1, 1, 5),
        otel_span(3, "POST /run", 2, 1, 4, kind=2),
        agent(4, "researcher", 3, 2, 3),
    )
    assert edges(trace) == [("coordinator", "researcher", "call", "observed")]


def test_three_handoffs_between_the_same_two_agents_are_three_delegations():
    spans = []
    for turn in range(3):
        spans += [
            agent(10 * turn + 1, "a", 0, 10 * turn, 2),
            tool(10 * turn + 2, "transfer_to_b", 10 * turn + 1, 10 * turn + 1),
            agent(10 * turn + 3, "b", 0, 10 * turn + 3, 2),
        ]
    trace = fold(*spans)
    assert edges(trace) == [("a", "b", "transfer", "declared")] * 3


def test_a_handoff_that_nobody_takes_up_stays_sent_and_lost():
    trace = fold(agent(1, "coordinator", lasts=3), tool(2, "transfer_to_researcher", 1, 1))
    (delegation,) = trace.delegations()
    assert (delegation.target_agent, delegation.state) == ("researcher", "lost")
    assert set(trace.agents()) == {"coordinator", "researcher"}


def test_the_order_of_arrival_changes_nothing():
    spans = [
        agent(1, "coordinator", lasts=9),
        tool(2, "delegate_task_to_member", 1, 1, 6, gen_ai__tool__call__arguments='{"member_id": "x", "task": "t"}'),
        model(3, 2, 2),
        agent(4, "y", 2, 3, 1),
        tool(5, "transfer_to_z", 4, 3.5),
        agent(6, "z", 1, 5, 1),
    ]
    first, last = fold(*spans), fold(*spans, in_order=True)
    assert edges(first) == edges(last)
    assert {n: u.model_calls for n, u in first.agents().items()} == {n: u.model_calls for n, u in last.agents().items()}
