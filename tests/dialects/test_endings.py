"""Spans of no convention are read by how their attributes' names end, and left alone where the signs do not agree."""

import json

from tests.dialects.build import edges, fold, otel_span


def named(number: int, name: str, parent: int, at: float, lasts: float, **attributes: object):
    return otel_span(number, name, parent, at, lasts, **{f"stack__{key}": value for key, value in attributes.items()})


def talk(*said: tuple[str, str]) -> dict[str, object]:
    return {"messages": [{"role": role, "content": [{"text": text}]} for role, text in said]}


def step_tool(number: int, name: str, parent: int, at: float, lasts: float, given: object, got: object):
    return named(
        number, "stack.step.tool", parent, at, lasts,
        tool__name=name, step__tool__input=json.dumps(given), step__tool__output=got if isinstance(got, str) else json.dumps(got),
    )  # fmt: skip


def model(number: int, parent: int, at: float):
    usage = {"prompt_tokens": 10, "completion_tokens": 2}
    reply = {
        "role": "assistant",
        "content": [{"text": "done"}],
        "meta": {"model": "m", "usage": usage, "finish_reason": "stop"},
    }
    return named(
        number, "stack.step.llm", parent, at, 0.5,
        step__llm__input=json.dumps(talk(("system", "You buy."), ("user", "Order a seal kit."))),
        step__llm__output=json.dumps({"replies": [reply]}),
    )  # fmt: skip


def test_a_component_of_the_type_agent_its_tools_and_its_model_are_read():
    trace = fold(
        named(1, "stack.component.run", 0, 0, 9, component__name="buyer", component__type="Agent"),
        model(2, 1, 1),
        step_tool(3, "order_part", 1, 2, 1, {"part": "kit"}, "Ordered: kit"),
    )
    (usage,) = trace.agents().values()
    assert (list(trace.agents()), usage.model_calls, usage.input_tokens, usage.output_tokens) == (["buyer"], 1, 10, 2)
    (call,) = trace.tools()["order_part"]
    assert trace.texts(call, "result") == ["Ordered: kit"]


def test_a_tool_that_is_given_a_conversation_and_answers_with_one_is_an_agent():
    given, task = talk(("user", "Order a seal kit.")), ("user", "Order a seal kit.")
    got = talk(task, ("assistant", "Ordered.")) | {
        "last_message": {"role": "assistant", "content": [{"text": "Ordered."}]}
    }
    trace = fold(
        named(1, "stack.component.run", 0, 0, 9, component__name="dispatcher", component__type="Agent"),
        step_tool(2, "buyer", 1, 1, 5, given, got),
        model(3, 2, 2),
    )
    assert edges(trace) == [("dispatcher", "buyer", "call", "declared")]
    assert trace.agents()["buyer"].model_calls == 1
    (delegation,) = trace.delegations()
    assert [trace.text(d) for d in delegation.task_digests()] == ["Order a seal kit."]
    assert [trace.text(d) for d in delegation.returned_digests()] == ["Ordered."]


def test_a_tool_that_is_given_a_conversation_and_answers_with_text_stays_a_tool():
    trace = fold(
        named(1, "stack.component.run", 0, 0, 9, component__name="clerk", component__type="Agent"),
        step_tool(2, "summarise", 1, 1, 1, talk(("user", "Hello")), "A greeting."),
    )
    assert edges(trace) == []
    assert list(trace.tools()) == ["summarise"]


def test_a_model_that_is_given_no_conversation_and_gives_no_reply_is_none():
    given = {"step__llm__input": "a table", "step__llm__output": '{"replies": "none"}'}
    assert fold(named(1, "stack.step.llm", 0, 0, 1, **given)).usage().model_calls == 0


def test_replies_that_do_not_say_what_they_used_are_read_all_the_same():
    replies = [
        {"role": "assistant", "content": [{"text": "one"}]},
        {"role": "assistant", "content": [{"text": "two"}], "meta": {"usage": {"input_tokens": 3, "output_tokens": 4}}},
    ]
    given = {"step__llm__input": "a table", "step__llm__output": json.dumps({"replies": replies})}
    trace = fold(named(1, "stack.step.llm", 0, 0, 1, **given))
    (call,) = trace.spans.values()
    assert (call.kind, trace.texts(call, "output"), trace.usage().output_tokens) == ("model", ["one", "two"], 4)
    assert "gen_ai.request.model" not in call.attributes


def test_a_tool_s_name_without_what_it_was_given_makes_no_call():
    trace = fold(named(1, "stack.list", 0, 0, 1, tool__name="order_part"))
    assert trace.tools() == {}
