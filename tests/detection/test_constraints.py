"""Rules of what counts as a condition of a request."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trajectory.detection.constraints import constraints_in


def texts(request: str) -> list[str]:
    return [c.text for c in constraints_in(request)]


@pytest.mark.parametrize(
    ("request_text", "expected"),
    [
        ("The total must not exceed 900 EUR and the hotel must be step-free.", ["must not exceed 900 EUR", "step-free"]),
        ("At most 900 EUR.\n   \nReply in French.", ["At most 900 EUR", "French"]),
        ("Write it in EUR, for fiscal year FY25.", ["EUR", "fiscal year FY25"]),
        ("Use only audited sources; at most 400 words.", ["only audited sources", "at most 400 words"]),
        ("No peanuts, please. Do not call the chef; reply in French.", ["No peanuts", "Do not call the chef", "French"]),
        ("Deliver before March 3rd, under $200.", ["before March 3rd", "under $200"]),
        ("Constraints: gluten-free, nut-free", ["gluten-free", "nut-free"]),
        ("It must cite at least 3 sources and must not name us.", ["cite at least 3 sources", "must not name us"]),
        ("Find a hotel in Lyon for 2 people.", []),
        ("It has to be out before May 4, 2027.", ["out before May 4, 2027"]),
        ("Höchstens 900 EUR, ohne Nüsse.", ["Höchstens 900 EUR", "ohne Nüsse"]),
        ("Au plus 900 EUR; sans noix.", ["Au plus 900 EUR", "sans noix"]),
        ("Take a van, automatic gearbox only.", ["automatic gearbox only"]),
        ("The text must not be longer than 3,000 words.", ["must not be longer than 3,000 words"]),
        ("Two nights, vegan breakfast is a must.", ["vegan breakfast"]),
        ("A parking space is required, and English menus are mandatory.", ["A parking space", "English menus"]),
        ("Wifi is a must for us.", ["Wifi"]),
        ("No visa is required.", ["No visa is required"]),
        ("If a deposit is required, tell me.", []),
        ("What is required?", []),
        ("Must I pay at once?", []),
        ("You may use tools.", []),
    ],
)  # fmt: skip
def test_conditions_are_cut_out_as_they_were_written(request_text: str, expected: list[str]) -> None:
    assert texts(request_text) == expected


def test_a_condition_knows_what_it_is_said_about() -> None:
    (condition,) = constraints_in("The hotel must be step-free.")
    assert condition.subject == {"hotel"}
    assert condition.is_hard and not condition.is_negative


def test_a_bound_knows_its_value() -> None:
    (condition,) = constraints_in("at most 1,200 USD")
    assert [v.key for v in condition.values] == ["1200 USD"]


@pytest.mark.parametrize(
    ("said", "direction"),
    [
        ("at most 4 rooms", -1),
        ("no fewer than 4 rooms", 1),
        ("before 2026-03-03", -1),
        ("only nuts", 0),
        ("not longer than 3 km", -1),
        ("shorter than 3 km", -1),
        ("not shorter than 3 km", 1),
        ("longer than 3 km", 1),
    ],
)
def test_a_bound_knows_its_direction(said: str, direction: int) -> None:
    (condition,) = constraints_in(said)
    assert condition.direction == direction


def test_two_wordings_of_a_bound_are_one_condition() -> None:
    (one,), (other,) = constraints_in("at most 900 EUR"), constraints_in("must not exceed €900")
    assert one.key == other.key


@given(st.text(max_size=400))
def test_every_condition_lies_in_the_text(text: str) -> None:
    for condition in constraints_in(text):
        assert condition.text
        assert condition.stems or condition.values


@pytest.mark.parametrize("unit", ["must ", "only a ", "a. ", " ", "at most 1 ", "x", "budget: ", "must not ", "no a, "])
def test_a_million_characters_of_anything_hang_nothing(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    start = time.process_time()
    constraints_in(text)
    assert time.process_time() - start < 10  # the square of it would take hours
