"""Messages of every shape become the conventions' shape, and nothing at all breaks the reading."""

import pytest

from trajectory.dialects.messages import bodies, message_of, messages_of, split_system, tool_calls
from trajectory.model.content import encode_message

TEXT = {"role": "user", "parts": [{"type": "text", "content": "hi"}]}
CALL = {"role": "assistant", "parts": [{"type": "tool_call", "id": "1", "name": "f", "arguments": {"a": 1}}]}
ANSWER = {"role": "tool", "parts": [{"type": "tool_call_response", "id": "1", "response": {"b": 2}}]}


@pytest.mark.parametrize(
    "value",
    [
        "hi",
        {"role": "user", "content": "hi"},
        {"role": "human", "content": [{"type": "text", "text": "hi"}]},
        {"type": "human", "data": {"content": "hi", "name": None}},
        {
            "lc": 1,
            "type": "constructor",
            "id": ["langchain", "HumanMessage"],
            "kwargs": {"content": "hi", "type": "human"},
        },
        {"role": "user", "parts": [{"text": "hi"}]},
        {"role": "user", "contents": [{"message_content": {"type": "text", "text": "hi"}}]},
        {"message": {"role": "user", "content": "hi"}},
        {"role": "user", "content": '[{"type": "text", "text": "hi"}]'},
        {"role": "user", "content": ["{'role': 'user', 'content': 'hi'}"]},
        {"role": "user", "content": ['{"content": "hi", "role": "user"}']},
    ],
)
def test_a_text_is_one_message_in_every_shape(value):
    assert message_of(value) == TEXT


@pytest.mark.parametrize(
    "value",
    [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": '{"a": 1}'}}],
        },
        {"role": "assistant", "content": "", "tool_calls": [{"id": "1", "name": "f", "args": {"a": 1}}]},
        {"role": "assistant", "parts": [{"type": "tool_call", "id": "1", "name": "f", "arguments": '{"a": 1}'}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}}]},
        {"role": "assistant", "content": [{"toolUse": {"toolUseId": "1", "name": "f", "input": {"a": 1}}}]},
        {
            "role": "assistant",
            "content": [{"type": "tool-call", "toolCallId": "1", "toolName": "f", "input": {"a": 1}}],
        },
        {"role": "model", "parts": [{"function_call": {"id": "1", "name": "f", "args": {"a": 1}}}]},
        {
            "role": "assistant",
            "tool_calls": [{"tool_call": {"id": "1", "function": {"name": "f", "arguments": "{'a': 1}"}}}],
        },
    ],
)
def test_a_tool_call_is_one_message_in_every_shape(value):
    assert message_of(value) == CALL


@pytest.mark.parametrize(
    "value",
    [
        {"role": "tool", "tool_call_id": "1", "content": '{"b": 2}'},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "1", "result": '{"b": 2}'}]},
        {"role": "tool", "content": [{"type": "tool_result", "tool_use_id": "1", "content": '{"b": 2}'}]},
        {"role": "tool", "content": [{"toolResult": {"toolUseId": "1", "content": [{"text": '{"b": 2}'}]}}]},
        {"role": "tool", "content": [{"type": "tool-result", "toolCallId": "1", "output": {"b": 2}}]},
    ],
)
def test_a_tools_answer_is_one_message_in_every_shape(value):
    assert message_of(value) == ANSWER


@pytest.mark.parametrize(
    "value",
    [
        [{"role": "user", "content": "hi"}],
        {"messages": [{"type": "human", "data": {"content": "hi"}}]},
        '{"messages": [[{"role": "user", "content": "hi"}]]}',
        "[{'role': 'user', 'content': 'hi'}]",
        '[{"type": "text", "content": "hi"}]',
        "hi",
    ],
)
def test_a_conversation_is_read_out_of_every_holder(value):
    assert messages_of(value) == [TEXT]


def test_instructions_are_parted_from_the_conversation_at_its_head_only():
    system = {"role": "system", "parts": [{"type": "text", "content": "s"}]}
    assert split_system([system, TEXT, system]) == ([system], [TEXT, system])


def test_bodies_are_those_that_the_emitter_would_make():
    assert bodies([TEXT, CALL]) == [encode_message(TEXT), encode_message(CALL)]


@pytest.mark.parametrize("said", ['[{"a": 1}]', "[ 1, 2", "{'role': 'user', 'x': 'hi'}", "{'content': cut"])
def test_text_that_only_looks_like_parts_or_a_message_stays_text(said):
    assert message_of({"role": "user", "content": [said]}) == {
        "role": "user", "parts": [{"type": "text", "content": said}]
    }  # fmt: skip
    assert message_of({"role": "user", "content": said}) == message_of({"role": "user", "content": [said]})


def test_a_message_with_a_number_of_any_length_is_read():
    assert messages_of([{"role": "user", "content": [{"type": "text", "text": "hi", "n": 1 << 70}]}])[0]["parts"]


def test_tool_calls_are_listed_with_their_arguments():
    assert tool_calls([TEXT, CALL]) == [("f", {"a": 1})]


@pytest.mark.parametrize(
    "value", [None, "", [], 5, {"parts": 7}, {"role": 3, "content": {"x": []}}, [[[]]], {"messages": 1}]
)
def test_nothing_at_all_breaks_the_reading(value):
    bodies(messages_of(value))


def test_a_message_that_python_printed_is_read_as_what_was_said() -> None:
    printed = (
        "id='1' source='user' models_usage=None metadata={} created_at=datetime.datetime(2026, 3, 1, tzinfo="
        "datetime.timezone.utc) content=\"it's at most 900 EUR\" type='TextMessage'"
    )
    other = printed.replace("source='user'", "source='planner'").replace('"it\'s at most 900 EUR"', "'so\\nbe it'")
    handed = printed.replace("source='user'", "source='desk'").replace(
        " type='T", " target='billing' context=[] type='T"
    )
    said = messages_of([printed, other, handed], "assistant")
    assert [(m["role"], m["parts"][0]["content"]) for m in said] == [
        ("user", "it's at most 900 EUR"), ("assistant", "so\nbe it"), ("assistant", "it's at most 900 EUR"),
    ]  # fmt: skip
    assert messages_of("id='1' is no message")[0]["parts"][0]["content"] == "id='1' is no message"
