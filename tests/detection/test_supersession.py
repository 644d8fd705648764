"""Rules of what a text says is superseded."""

import time

import pytest

from trajectory.detection.supersession import is_past, superseded_in, updates_in


@pytest.mark.parametrize(
    "text",
    [
        "Offer HR-8841 was replaced by HR-9017.",
        "HR-9017 supersedes HR-8841.",
        "Use HR-9017 instead of HR-8841.",
        "Changed from HR-8841 to HR-9017 today.",
        "HR-8841 is no longer valid. Use HR-9017.",
        "HR-8841 -> HR-9017",
        "It is HR-9017 and not HR-8841.",
        "I said HR-8841 before; make that HR-9017.",
        '{"superseded": "HR-8841", "now": "HR-9017"}',
        '{"offer": "HR-9017", "replaces": "HR-8841"}',
        '{"offer": "HR-8841", "replaced_by": "HR-9017"}',
        '{"items": [{"old_offer": "HR-8841", "new_offer": "HR-9017"}]}',
    ],
)
def test_the_old_value_and_the_new_one_are_told_apart(text: str) -> None:
    (pair,) = superseded_in(text)
    assert (pair.old.text, pair.new.text) == ("HR-8841", "HR-9017")


@pytest.mark.parametrize(
    "text",
    [
        "The room is free from 2026-03-03 to 2026-03-05.",
        "Offers HR-8841 and HR-9017 are open.",
        "HR-8841 costs less than HR-9017.",
        '{"from": "2026-03-03", "to": "2026-03-05"}',
        '{"first": "HR-8841", "second": "HR-9017"}',
        '{"old": "HR-8841", "first": "HR-9017", "second": "HR-9018"}',
        '{"first": "HR-9017", "second": "HR-9018", "replaces": "HR-8841"}',
        '{"old": "HR-8841", "other": "Lyon"}',
        '{"first": "HR-8841", "second": "HR-8842", "replaced_by": "HR-9017"}',
        '"HR-8841 and HR-9017"',
        "It was replaced.",
    ],
)
def test_two_values_side_by_side_supersede_nothing(text: str) -> None:
    assert not superseded_in(text)


def test_a_post_code_may_be_corrected_and_a_year_or_a_count_may_not() -> None:
    (pair,) = superseded_in("60628 has been replaced by 60623.")
    assert (pair.old.text, pair.new.text) == ("60628", "60623")
    assert not superseded_in("2024 has been replaced by 2025, and 12 by 13.")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("From now on it is HR-9017.", ["HR-9017"]),
        ("From now on HR-9017 and 900 EUR.", ["900 EUR", "HR-9017"]),
        ("From now on HR-9017 or HR-9018.", []),
        ("It is HR-9017.", []),
    ],
)
def test_what_is_so_from_now_on_is_the_one_value_of_its_kind(text: str, values: list[str]) -> None:
    assert sorted(item.text for item, _ in updates_in(text)) == values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Book HR-8841.", False),
        ("The old offer HR-8841.", True),
        ("Cancel HR-8841.", True),
        ("I am Ines (HR-8841) and want to cancel a flight.", False),
        ("It was the first. Book HR-8841. From Porto, not Lyon.", False),
    ],
)
def test_only_words_about_a_value_tell_of_it_as_past(text: str, expected: bool) -> None:
    start = text.index("HR-8841")
    assert is_past(text, start, start + 7) is expected


@pytest.mark.parametrize("unit", ["from A-1 ", "not ", "A-1 -> ", "was. ", '{"old":', "is no longer; ", " "])
def test_a_million_characters_of_anything_hang_nothing(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    start = time.process_time()
    superseded_in(text)
    assert time.process_time() - start < 10  # the square of it would take hours
