"""The reasons why a line has no test name functions that exist."""

import pytest

from tests.untested import ROOT, functions_of, reasons


@pytest.mark.parametrize("path", reasons())
def test_a_reason_belongs_to_a_function_that_exists_and_says_something(path: str) -> None:
    known = {name for name, _, _ in functions_of(ROOT / path)}
    assert [name for name in reasons()[path] if name and name not in known] == []
    assert all(len(why) > 20 for why in reasons()[path].values())
