"""No pattern of a detector can be made to hang by a text. How its work grows, `python -m tests.benchmarks patterns` says."""

import re
import re._constants as c
import re._parser as parser
from collections.abc import Iterator
from typing import Any

import pytest

from tests.benchmarks.patterns import compiled, inner_of, is_repeat, parts

_APART = {  # what each of these repeats begins with a sign that what it repeats cannot hold: there is one way to read a text
    r"[^\W_]+(?:[-_][^\W_]+)*|\d+(?:[.,]\d+)*",
    r"[^\W_]+(?:[-_][^\W_]+)*|\d+(?:[.,]\d+)+",
    r"\d+(?:[.,]\d+)*",
}


def nested(tree: Any, is_inside: bool = False) -> Iterator[str]:
    """Each repeat without a bound inside another, which may take a time that doubles with every character."""
    for op, value in tree:
        is_endless = is_repeat(op) and op is not c.POSSESSIVE_REPEAT and value[1] is c.MAXREPEAT
        if is_endless and is_inside:
            yield str(value)
        for inner in inner_of(op, value):
            yield from nested(inner, is_inside or is_endless)


@pytest.mark.parametrize("name", compiled())
def test_no_repeat_without_a_bound_holds_another(name: str) -> None:
    pattern = compiled()[name]
    assert pattern.pattern in _APART or list(nested(parts(pattern))) == []


def test_a_pattern_that_doubles_its_work_with_each_character_is_known() -> None:
    assert list(nested(parser.parse(r"(?:a+)+b"))) and list(nested(parser.parse(r"(?:(?:\w|\d)*\s?)*$")))
    assert not list(nested(parser.parse(r"(?:a{1,9}b)+")))
    assert isinstance(next(iter(compiled().values())), re.Pattern) and len(compiled()) > 80
