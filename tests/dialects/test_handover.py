"""Which tool calls give work to an agent, and what they hand over."""

import pytest

from trajectory.dialects.handover import of_command, of_handoff_span, of_tool, tasks_in


@pytest.mark.parametrize(
    ("tool", "arguments", "mode", "target"),
    [
        ("transfer_to_researcher", {}, "transfer", "researcher"),
        ("transfer_to_Hotel_Researcher", None, "transfer", "Hotel_Researcher"),
        ("handoff_to_booker", '{"task": "x"}', "transfer", "booker"),
        ("hand-off-to-booker", {}, "transfer", "booker"),
        ("transfer_back_to_coordinator", {}, "transfer", "coordinator"),
        ("handoff", {"to_agent": "booker", "reason": "r"}, "transfer", "booker"),
        ("transfer_to_agent", {"agent_name": "booker"}, "transfer", "booker"),
        ("transfer_to_agent", None, "transfer", ""),
        ("handoff_to_agent", "{'agent_name': 'booker', 'message': 'm'}", "transfer", "booker"),
        ("Delegate work to coworker", {"coworker": "Booker", "task": "t", "context": "c"}, "call", "Booker"),
        ("delegate_work_to_coworker", {"coworker": "Booker"}, "call", "Booker"),
        ("Ask question to coworker", {"coworker": "Booker", "question": "q"}, "call", "Booker"),
        ("delegate_task_to_member", {"member_id": "booker", "task": "t"}, "call", "booker"),
        ("Handoff-transfer_to_booker", {}, "transfer", "booker"),
        ("mcp__desk__transfer_to_booker", {}, "transfer", "booker"),
        ("team.delegate_task", {"agent": "booker", "task": "t"}, "call", "booker"),
    ],
)
def test_hand_overs_are_recognised(tool, arguments, mode, target):
    hand_over = of_tool(tool, arguments)
    assert hand_over is not None
    assert (str(hand_over.mode), hand_over.target) == (mode, target)


@pytest.mark.parametrize(
    ("changed", "target"),
    [
        ({}, "buyer"), ({"graph": None}, None), ({"goto": ["Send(node='buyer', arg={})"]}, None), ({"goto": []}, None),
        ({"more": 1}, None),
    ],
)  # fmt: skip
def test_a_command_to_go_on_at_a_node_around_the_agent_is_a_hand_over(changed, target):
    answer = {"goto": "buyer", "graph": "__parent__", "resume": None, "update": {}} | changed
    hand_over = of_command("to_buyer", {"task": "Buy paint."}, answer)
    assert (hand_over and (hand_over.target, hand_over.tasks)) == (target and (target, ["Buy paint."]))


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("search_hotels", {"to": "Lyon"}),
        ("transfer_to_savings", {"amount": 50.0}),
        ("bank.transfer_to_savings", {"amount": 50.0}),
        ("wire-transfer-to-savings", {}),
        ("Parts-order_part", {"to": "Lyon"}),
        ("transfer", {"to": "Bob", "amount": 5}),
        ("transfer", {"to": "Bob"}),
        ("handoff", {}),
        ("handoff", None),
        ("delegate", {"x": 1}),
        ("delegate_to_researcher", {"task": "t"}),  # what is nested under it says so better
        ("ask_researcher", {"input": "t"}),
        ("", None),
        ("delegate_task_to_member", {"member_id": "0123456789abcdef0123"}),
    ],
)
def test_ordinary_tools_are_none(tool, arguments):
    assert of_tool(tool, arguments) is None


@pytest.mark.parametrize(
    ("arguments", "tasks"),
    [
        ({"coworker": "b", "task": "t", "context": "c"}, ["t", "c"]),
        ({"task_description": "t"}, ["t"]),
        ({"details": "t"}, ["t"]),
        ("t", ["t"]),
        ('{"message": "t"}', ["t"]),
        ({"x": "1", "y": "2"}, []),
        ({}, []),
        (None, []),
        (5, []),
    ],
)
def test_the_texts_handed_over_are_found_task_first(arguments, tasks):
    assert tasks_in(arguments) == tasks


def test_an_unknown_target_is_no_name():
    assert of_handoff_span("a", "unknown", "x").target == ""
    assert str(of_handoff_span("a", "unknown", "x").grade) == "inferred"
