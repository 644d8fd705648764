"""Content has one digest wherever it is encoded, whatever shape its message came in, and nothing makes encoding raise."""

import dataclasses
import json
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trajectory.model import content

OPENAI = {
    "role": "assistant",
    "content": "I look.",
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "search", "arguments": '{"q": "Lyon"}'}}],
}
ANTHROPIC = {
    "role": "assistant",
    "content": [
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "c1", "name": "search", "input": {"q": "Lyon"}},
    ],
}
LANGCHAIN = {
    "role": "assistant",
    "content": "I look.",
    "tool_calls": [{"id": "c1", "name": "search", "args": {"q": "Lyon"}}],
}
GENAI = {
    "role": "assistant",
    "parts": [
        {"type": "text", "content": "I look."},
        {"type": "tool_call", "id": "c1", "name": "search", "arguments": {"q": "Lyon"}},
    ],
}


@pytest.mark.parametrize("message", [OPENAI, ANTHROPIC, LANGCHAIN], ids=["openai", "anthropic", "langchain"])
def test_one_message_in_any_shape_has_one_digest(message: object) -> None:
    assert content.digest(*content.encode_message(message)) == content.digest(*content.encode_message(GENAI))


def test_a_message_reads_as_its_text_and_its_calls() -> None:
    assert content.text_of(*content.encode_message(OPENAI)) == 'I look.\nsearch({"q":"Lyon"})'
    answer = {"role": "tool", "tool_call_id": "c1", "content": "503"}
    assert content.text_of(*content.encode_message(answer)) == "503"


def test_a_bare_text_is_the_users() -> None:
    assert content.normal_message("hi") == {"role": "user", "parts": [{"type": "text", "content": "hi"}]}


def test_the_order_of_keys_is_no_difference() -> None:
    assert content.encode({"b": 1, "a": 2}) == content.encode({"a": 2, "b": 1})


def test_text_and_the_json_of_it_are_two_things() -> None:
    assert content.digest("text/plain", b"1") != content.digest("application/json", b"1")


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no")

    def model_dump(self) -> object:
        raise RuntimeError("no")


@dataclasses.dataclass
class Hotel:
    name: str
    stars: int


def test_objects_are_encoded_by_what_they_hold() -> None:
    assert json.loads(content.encode(Hotel("H7", 4))[1]) == {"name": "H7", "stars": 4}
    assert json.loads(content.encode({"hits": [Hotel("H7", 4)]})[1]) == {"hits": [{"name": "H7", "stars": 4}]}


class Leaving:
    def __repr__(self) -> str:
        raise SystemExit(3)

    def model_dump(self) -> object:
        raise SystemExit(3)


def test_an_object_that_would_end_the_process_does_not() -> None:
    assert content.encode(Leaving())[1] == b'"<Leaving>"'


def test_an_object_that_raises_when_asked_is_named_by_its_type() -> None:
    assert content.encode(Hostile())[1] == b'"<Hostile>"'
    circle: list[object] = []
    circle.append(circle)
    assert content.encode(circle)[0] == content.JSON


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.binary(), st.lists))
def test_any_value_is_encoded(value: object) -> None:
    media_type, body = content.encode(value)
    assert len(content.digest(media_type, body)) == content.DIGEST_BYTES
    content.text_of(media_type, body)
    content.text_of(*content.encode_message(value))


@given(st.binary())
def test_any_body_reads_as_text(body: bytes) -> None:
    for media_type in (content.TEXT, content.JSON, content.MESSAGE):
        assert isinstance(content.text_of(media_type, body), str)


def test_an_iterator_in_a_message_is_left_to_the_agent() -> None:
    for name in ("content", "parts", "tool_calls"):
        pieces = iter(["a", "b"])
        content.encode_message({"role": "user", name: pieces})
        assert list(pieces) == ["a", "b"]


def test_an_endless_content_is_said_and_not_followed() -> None:
    import itertools

    assert b"count(0)" in content.encode_message({"role": "user", "content": itertools.count()})[1]


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("bare text", {"type": "text", "content": "bare text"}),
        ({"text": "no type"}, {"type": "text", "content": "no type"}),
        (
            {"type": "tool_result", "tool_use_id": "c1", "content": "503"},
            {"type": "tool_call_response", "id": "c1", "response": "503"},
        ),
        ({"type": "image", "source": "s"}, {"type": "image", "source": "s"}),
    ],
)
def test_a_part_of_a_message_is_told_in_one_shape_and_one_that_nobody_knows_as_it_came(
    part: object, said: object
) -> None:
    assert content.normal_message({"role": "user", "content": [part]})["parts"] == [said]


class Dumped:
    """A message as pydantic has it."""

    def model_dump(self) -> object:
        return {"role": "assistant", "content": "I look."}


def test_a_message_that_is_an_object_is_what_it_says_of_itself() -> None:
    message = content.normal_message(Dumped())
    assert message == {"role": "assistant", "parts": [{"type": "text", "content": "I look."}]}


def test_a_mapping_that_is_no_dict_is_encoded_as_one() -> None:
    assert content.encode({"held": types.MappingProxyType({1: "a"})}) == content.encode({"held": {"1": "a"}})
