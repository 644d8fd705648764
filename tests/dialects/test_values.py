"""What is written of a value is what every other process writes of it, whoever writes faster."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trajectory.dialects.kept import MOST_CHARS, Kept
from trajectory.dialects.messages import Message
from trajectory.dialects.values import MAX_DEPTH, MAX_LITERAL_CHARS, canonical, decoded, plain, unflatten
from trajectory.model.content import canonical_json

_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary()
_KEYS = st.text(st.characters()) | st.integers() | st.none()
_VALUES: st.SearchStrategy[Any] = st.recursive(
    _LEAVES, lambda inner: st.lists(inner) | st.dictionaries(_KEYS, inner) | st.tuples(inner), max_leaves=20
)


@given(_VALUES)
def test_a_value_is_written_as_an_emitter_writes_it(value: Any) -> None:
    assert canonical(value) == canonical_json(value)


def test_a_value_deeper_than_facts_go_is_said_as_text_there() -> None:
    deep: Any = 1
    for _ in range(MAX_DEPTH + 5):
        deep = [deep]
    for read in (plain(deep), decoded("[" * (MAX_DEPTH + 5) + "]" * (MAX_DEPTH + 5))):
        for _ in range(MAX_DEPTH):
            (read,) = read
        assert read == "..."


def test_what_was_read_is_kept_until_so_much_else_came_that_it_will_not_come_again() -> None:
    asked: list[str] = []
    kept = Kept(lambda text: asked.append(text[0]) or len(text))
    texts = {name: name * (MOST_CHARS // 2) for name in "abcdefg"}
    for name in "abca" + "xx":
        kept(texts.get(name, name))
    assert asked == [*"abcxx"]  # the one before the last is known still; what is short is not worth it
    for name in "defga":
        kept(texts[name])
    assert asked[5:] == [*"defga"]


def test_a_text_longer_than_all_that_is_kept_is_read_each_time() -> None:
    asked: list[str] = []
    kept = Kept(lambda text: asked.append(text[0]))
    for name in "ab" * 2:
        kept(name * (MOST_CHARS + 1))
    assert asked == [*"abab"]


def test_a_literal_of_other_things_than_json_has_is_said_as_text() -> None:
    assert decoded("{'a': (1, 2j, ...), 'b': {3}}") == {"a": [1, "2j", "Ellipsis"], "b": [3]}


def test_a_literal_longer_than_is_read_stays_text() -> None:
    text = "('" + "x" * MAX_LITERAL_CHARS + "',)"
    assert decoded(text) == text


def test_a_key_of_parts_without_end_is_left_out_and_its_neighbours_are_read() -> None:
    assert unflatten({"p.0": "a", "p.1" + ".x" * 100: "b"}, "p") == ["a"]


def test_so_are_messages_and_half_an_emoji_and_numbers_of_many_digits() -> None:
    for value in (
        Message(role="user", parts=[{"type": "text", "content": "ö"}]),
        ["\ud83d"],
        [1 << 70],
        {"b": 1e16, "a": 0.1},
    ):
        assert canonical(value) == canonical_json(value)
