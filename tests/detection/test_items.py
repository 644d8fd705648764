"""Rules of the values in a text and their normal forms."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trajectory.detection.items import Item, items_in, keys_of, lookup_key
from trajectory.detection.words import plain, stem, stems


def keys(text: str, kind: str) -> list[str]:
    return [item.key for item in items_in(text) if item.kind == kind]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("$1,200", "1200 USD"),
        ("1200 dollars", "USD 1,200.00"),
        ("€1.200,50", "1200.50 EUR"),
        ("38.9M EUR", "38,900,000 euros"),
        ("$2 million", "2000000 USD"),
        ("March 3rd, 2026", "2026-03-03"),
        ("3 March 2026", "2026-03-03T10:00:00Z"),
        ("5/20/2024", "20 May 2024"),
        ("FY25", "fiscal year 2025"),
        ("2-night", "2 nights"),
        ("12%", "12 percent"),
        ("h99", "H99"),
        ("#W123", "W123"),
        ("https://x.io/a/", "https://x.io/a"),
        ("Ana@x.io", "ana@X.io"),
        ("Ｈ99", "H99"),
        ("3. März 2026", "2026-03-03"),
        ("3 mars 2026", "2026-03-03"),
        ("3 de marzo de 2026", "2026-03-03"),
        ("03.03.2026", "2026-03-03"),
        ("2026年3月3日", "2026-03-03"),
        ("1200元", "1,200 CNY"),
        ("5pm", "17:00"),
        ("14:30 Uhr", "2:30 PM"),
        ("10km", "10 km"),
        ("datetime.date(2026, 3, 3)", "2026-03-03"),
    ],
)
def test_one_value_in_two_writings_has_one_key(one: str, other: str) -> None:
    ours = [i for i in items_in(f"it is {one} here") if i.kind not in ("quoted", "name")]
    theirs = [i for i in items_in(f"it is {other} here") if i.kind not in ("quoted", "name")]
    assert ours[0].kind == theirs[0].kind
    assert ours[0].key == theirs[0].key


@pytest.mark.parametrize(
    ("one", "other"), [("900 EUR", "90 EUR"), ("900 EUR", "900 USD"), ("2026-03-03", "2026-03-04"), ("H7", "H77")]
)
def test_two_values_have_two_keys(one: str, other: str) -> None:
    assert items_in(f"it is {one} here")[0].key != items_in(f"it is {other} here")[0].key


def test_a_date_without_a_year_is_met_by_that_day_of_any_year() -> None:
    (day,) = [i for i in items_in("by March 3rd") if i.kind == "date"]
    (full,) = [i for i in items_in("by 2026-03-03") if i.kind == "date"]
    assert lookup_key(day) in keys_of(full)
    assert lookup_key(full) not in keys_of(Item("date", "2025-03-03", "2025-03-03", 0))


def test_a_number_is_met_by_its_digits_alone() -> None:
    (money,) = [i for i in items_in("EU 38.9M EUR") if i.kind == "money"]
    (number,) = [i for i in items_in('{"EU": 38.9}') if i.figure]
    assert number.figure == money.figure
    assert lookup_key(money) not in keys_of(number)


def test_a_moment_that_python_printed_is_one_date_and_no_numbers() -> None:
    said = "created_at=datetime.datetime(2026, 11, 27, 15, 14, 26, 351070, tzinfo=datetime.timezone.utc) content"
    assert [(i.kind, i.key) for i in items_in(said)] == [("date", "2026-11-27")]


def test_json_is_read_by_its_values() -> None:
    assert keys('{"id": "H7", "total": "640 EUR", "note": "a \\"b c\\" d"}', "identifier") == ["h7"]
    assert keys('{"id": "H7", "total": "640 EUR"}', "quoted") == []


def test_paths_addresses_and_names_are_found() -> None:
    text = "See /srv/data/a.csv, https://x.io/q?id=H7. Write to ana@x.io or Ana de Souza; “quiet room”."
    assert keys(text, "path") == ["/srv/data/a.csv"]
    assert keys(text, "url") == ["https://x.io/q?id=h7"]
    assert keys(text, "email") == ["ana@x.io"]
    assert keys(text, "name") == ["ana de souza"]
    assert keys(text, "quoted") == ["quiet room"]
    assert "h7" in keys(text, "identifier")


@pytest.mark.parametrize("text", ["12345678", "12345678 and more", "12345678 has come", "#12345678", "-12345678"])
def test_a_long_number_is_an_identifier_whatever_word_comes_after_it(text: str) -> None:
    assert keys(f"your order {text}.", "identifier") == ["12345678"]
    assert keys(f"your order {text}.", "number") == []


@pytest.mark.parametrize("text", ["at 13pm", "at 0 am", "at 14:30 p.m.", "at 25:10"])
def test_a_time_that_no_clock_shows_is_none(text: str) -> None:
    assert keys(text, "time") == []


def test_ordinals_and_plain_words_are_no_identifiers() -> None:
    assert keys("the 3rd of 10 one-page memos at 5pm, 2x", "identifier") == []


@pytest.mark.parametrize(
    ("text", "expected"), [("H99", True), ("900 EUR", True), ("3 nights", False), ("Ana Lee", False)]
)
def test_only_what_can_hardly_be_met_by_chance_is_distinctive(text: str, expected: bool) -> None:
    assert items_in(text)[0].is_distinctive is expected


@given(st.text(max_size=400))
def test_every_item_lies_in_the_text(text: str) -> None:
    said = plain(text)
    for item in items_in(text):
        assert item.key
        assert 0 <= item.start <= len(said)


@given(st.floats(min_value=0.01, max_value=1e9, allow_nan=False).map(lambda v: round(v, 2)))
def test_an_amount_survives_its_thousands_separators(value: float) -> None:
    assert keys(f"{value:,.2f} EUR", "money") == keys(f"{value:.2f} EUR", "money")


@pytest.mark.parametrize(
    "unit", ["a", "1,234", "a-", " ", "a@", "/a", '"a', "Aa ", "1.", "$1,", "May 1 ", "http://", "[", "#", "{"]
)
def test_a_million_characters_of_anything_hang_nothing(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    start = time.process_time()
    items_in(text)
    assert time.process_time() - start < 10  # the square of it would take hours


def test_stems_join_forms_of_a_word_and_split_names() -> None:
    assert stem("accessible") == stem("Accessibility")
    assert stem("hotels") == stem("Hotel’s")
    assert stems("maxTotal fiscal_year") == {"max", "total", "fiscal", "year"}


def test_a_word_that_measures_nothing_is_no_unit() -> None:
    assert [(i.kind, i.key) for i in items_in("60628 has been replaced, 98193 instead")] == [
        ("number", "60628"),
        ("number", "98193"),
    ]
    assert [(i.kind, i.key) for i in items_in("on 2006 January 23")] == [("number", "2006"), ("date", "--01-23")]
