"""A response object of the Responses API is read as what the model said, whoever sends it and however it is wrapped."""

import json
from typing import Any

import pytest

from tests.dialects.build import raw
from trajectory.dialects.messages import messages_of, talk_of
from trajectory.dialects.openinference import read
from trajectory.model.content import MESSAGE
from trajectory.model.words import Slot

THOUGHT = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "Which city?"}],
    "content": None,
}
SILENT = {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "gAAAA"}
SAYS = {
    "type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
    "content": [{"type": "output_text", "text": "Let me look.", "annotations": [], "logprobs": []}],
}  # fmt: skip
ASKS = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "rooms", "arguments": '{"city": "Lyon"}'}
USAGE = {"input_tokens": 21, "output_tokens": 8, "total_tokens": 29}


def response(*items: Any, **more: Any) -> dict[str, Any]:
    return {"id": "resp_1", "object": "response", "status": "completed", "tools": [], "output": list(items)} | more


def text(said: str) -> dict[str, Any]:
    return {"role": "assistant", "parts": [{"type": "text", "content": said}]}


WHOLE = {
    "role": "assistant",
    "parts": [
        {"type": "reasoning", "content": "Which city?"},
        {"type": "text", "content": "Let me look."},
        {"type": "tool_call", "id": "c1", "name": "rooms", "arguments": {"city": "Lyon"}},
    ],
}


@pytest.mark.parametrize("reads", [messages_of, talk_of])
@pytest.mark.parametrize("wrapped", [lambda r: r, lambda r: [r], lambda r: [response(SAYS, status="in_progress"), r]])
def test_a_response_is_one_message_of_its_output_items(reads, wrapped):
    value = wrapped(response(SILENT, THOUGHT, SAYS, ASKS))
    assert reads(json.dumps(value), "assistant") == [WHOLE]


def test_responses_of_several_calls_are_all_kept():
    refusal = {"type": "message", "content": [{"type": "refusal", "refusal": "I may not."}]}
    value = json.dumps([response(SAYS), response(refusal, id="resp_2")])
    assert talk_of(value, "assistant") == [text("Let me look."), text("I may not.")]


def test_a_message_of_bare_text_is_read_too():
    assert talk_of(json.dumps(response(SAYS | {"content": "Let me look."})), "assistant") == [text("Let me look.")]


def test_an_output_item_of_an_unknown_kind_stays_a_part_beside_the_others():
    drawn = {"type": "hologram", "id": "h1", "depth": 3}
    (message,) = talk_of(json.dumps(response(drawn, SAYS)), "assistant")
    assert message["parts"] == [drawn, *text("Let me look.")["parts"]]


@pytest.mark.parametrize(
    "value",
    [
        response(),
        response(SILENT),
        response("words"),
        response({"type": "message", "content": 7}),
        response({"type": "message", "content": ["words"]}),
        response({"type": "function_call", "name": 7, "arguments": "{}"}),
        {"object": "response", "output": "words"},
        {"object": "list", "output": [SAYS]},
        [response(SAYS), 7],
    ],
)
def test_what_is_malformed_stays_as_it_came(value):
    reading = read(raw(openinference__span__kind="LLM", llm__model_name="m", output__value=json.dumps(value),
                       llm__token_count__prompt=1))  # fmt: skip
    (body,) = reading.contents[Slot.OUTPUT]
    assert body[0] != MESSAGE
    assert json.loads(body[1]) == value


@pytest.mark.parametrize(
    ("counted", "tokens"), [({}, (21, 8)), ({"llm__token_count__prompt": 5, "llm__token_count__completion": 2}, (5, 2))]
)
def test_a_response_counts_tokens_only_where_no_attribute_does(counted, tokens):
    reading = read(raw(openinference__span__kind="LLM", llm__input_messages__0__message__role="user",
                       output__value=json.dumps([response(SAYS, usage=USAGE)]), **counted))  # fmt: skip
    assert (reading.input_tokens, reading.output_tokens) == tokens
