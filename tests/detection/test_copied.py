"""Rules of copies: what a text that was taken over word for word lacks, and the value that it changed."""

import pytest

from trajectory.detection.copied import left_out
from trajectory.detection.items import items_in
from trajectory.detection.miscopied import miscopied
from trajectory.detection.words import plain, stems

REQUEST = (
    "You are Ines, with the number R-4711. You want to move the flight to the next day. You prefer to leave after the "
    "meeting in Porto. You are in good spirits today. Pay with the travel certificate."
)
PREFERENCE = "You prefer to leave after the meeting in Porto."


def lacking(copy: str, said: str = "") -> list[str]:
    return list(left_out(REQUEST, sentences(copy), sentences(said)))


def sentences(text: str) -> dict[str, frozenset[str]]:
    parts = [part.strip().rstrip(".") + "." for part in text.casefold().split(". ") if part]
    return {part: frozenset(stems(part)) for part in parts}


def test_a_copy_lacks_the_sentence_that_asks_and_was_left_out() -> None:
    assert lacking(REQUEST) == []
    assert lacking(REQUEST.replace(PREFERENCE + " ", "")) == [PREFERENCE]


def test_a_text_of_very_many_sentences_is_a_document_and_no_request() -> None:
    for count, lacks in ((30, [PREFERENCE]), (70, [])):
        request = " ".join([*(f"Pay with the certificate number {n}." for n in range(count)), PREFERENCE])
        assert list(left_out(request, sentences(request.replace(PREFERENCE, "")), {})) == lacks


@pytest.mark.parametrize(
    ("copy", "said"),
    [
        (REQUEST.replace("You are in good spirits today. ", ""), ""),
        (REQUEST.replace(PREFERENCE, "Departure only after the meeting in Porto, which Ines would prefer."), ""),
        (REQUEST.replace(PREFERENCE + " ", ""), PREFERENCE),
        ("Move the flight of Ines, R-4711, to the next day, paid with the certificate.", ""),
    ],
    ids=["it asks for nothing", "in other words", "said elsewhere", "a brief in words of its own"],
)
def test_a_copy_lacks_nothing_that_is_said_or_asks_for_nothing(copy: str, said: str) -> None:
    assert lacking(copy, said) == []


@pytest.mark.parametrize(
    ("came", "said", "wrong"),
    [
        (
            "The price difference of $170.68 was charged to the card.",
            "The price difference of $180.68 was charged to the card.",
            "$180.68",
        ),
        (
            "The price difference of $170.68 was charged to the card R-4711.",
            "The price difference of $180.68 was charged to the card.",
            "",
        ),
        ("Your order #W672 was sent to Porto by truck.", "Your order #W627 was sent to Porto by truck.", "#W627"),
        (
            "The price difference of $170.68 was charged to the card.",
            "The price difference of $171 was charged to the card.",
            "",
        ),
        ("Room 12 costs 340 EUR a night. Room 14 costs 310 EUR a night.", "Room 14 costs 310 EUR a night.", ""),
        (
            "The price difference of $170.68 was charged to the card.",
            "A fee of $180.68 is due at the desk tomorrow.",
            "",
        ),
    ],
    ids=[
        "an amount",
        "one value less",
        "an identifier",
        "rounded",
        "another sentence of the same",
        "about something else",
    ],
)
def test_a_sentence_taken_over_with_another_value_is_miscopied(came: str, said: str, wrong: str) -> None:
    pair = miscopied(plain(came), items_in(came), plain(said), items_in(said))
    assert (pair[1].text if pair is not None else "") == wrong
