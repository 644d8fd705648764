"""What a filter could go on with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tui.rows import HOSTILE
from trajectory.view.completing import completions
from trajectory.view.query import parse

VALUES = {"agent": ["planner", "research team", 'a"b', HOSTILE, "re(x)"], "kind": ["tool", "model"]}


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("", []),
        ("ag", ["agent:", "agents:"]),
        ("agent:pl", ["agent:planner"]),
        ("err>0 -agent:re", ['err>0 -agent:"research team"', 'err>0 -agent:"re(x)"']),
        ('(agent:"research t', ['(agent:"research team"']),
        ("plan", ["agent:planner"]),
        ("kind:", ["kind:tool", "kind:model"]),
        ("kind:tool", []),
        ("kind:zz", []),
        ("at:3", []),
    ],
)
def test_the_last_word_is_completed(text: str, offered: list[str]) -> None:
    assert completions(text, VALUES) == offered


@given(st.text(max_size=30) | st.sampled_from(["agent:", 'kind:"', "a", "(r", "-agent:r"]))
def test_a_completion_goes_on_from_what_was_typed_and_a_value_parses(text: str) -> None:
    for whole in completions(text, VALUES):
        assert whole.isprintable() or not text.isprintable()
        if not whole.endswith(":") and "(" not in text and '"' not in text and text.isprintable():
            parse(whole)
