"""What is written of a value is what every other process writes of it, whoever writes faster."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trajectory.dialects.messages import Message
from trajectory.dialects.values import canonical
from trajectory.model.content import canonical_json

_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary()
_KEYS = st.text(st.characters()) | st.integers() | st.none()
_VALUES: st.SearchStrategy[Any] = st.recursive(
    _LEAVES, lambda inner: st.lists(inner) | st.dictionaries(_KEYS, inner) | st.tuples(inner), max_leaves=20
)


@given(_VALUES)
def test_a_value_is_written_as_an_emitter_writes_it(value: Any) -> None:
    assert canonical(value) == canonical_json(value)


def test_so_are_messages_and_half_an_emoji_and_numbers_of_many_digits() -> None:
    for value in (
        Message(role="user", parts=[{"type": "text", "content": "ö"}]),
        ["\ud83d"],
        [1 << 70],
        {"b": 1e16, "a": 0.1},
    ):
        assert canonical(value) == canonical_json(value)
