"""Rules of what follows from other values, and of quantities in other units."""

import pytest

from trajectory.detection.derived import is_derived
from trajectory.detection.items import Item, items_in
from trajectory.detection.units import says_same


def one(text: str) -> Item:
    return next(i for i in items_in(text) if i.kind not in ("quoted", "name"))


@pytest.mark.parametrize(
    ("value", "known"),
    [
        ("450 EUR", "900 EUR for 2 nights"),
        ("1,140 EUR", "640 EUR and 500 EUR"),
        ("140 EUR", "640 EUR and 500 EUR"),
        ("1800 EUR", "300 EUR for 6 nights"),
        ("180 EUR", "900 EUR with 20% of deposit"),
        ("25 %", "5 of 20 rooms"),
        ("6 miles", "10 km"),
        ("36 hours", "1.5 days"),
        ("2026-03-06", "3 nights from March 3, 2026"),
    ],
)
def test_what_follows_from_known_values_is_derived(value: str, known: str) -> None:
    assert is_derived(one(value), items_in(known))


@pytest.mark.parametrize(
    ("value", "known"),
    [
        ("90 EUR", "900 EUR for 10 nights"),
        ("4,000 USD", "3,700 USD for 4 people"),
        ("36 percent", "29 percent of lines"),
        ("41 regions", "34 regions"),
        ("2026-03-08", "3 nights from March 3, 2026"),
        ("10 miles", "10 km"),
        ("94178", "94128 and 34 inches"),
        ("2026-02-30", "3 nights from March 3, 2026"),
        ("2026-03-06", "3 nights from 2026-02-30"),
    ],
)
def test_a_slip_is_not_derived(value: str, known: str) -> None:
    assert not is_derived(one(value), items_in(known))


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ("5 kg", "11 lb", True),
        ("20 C", "68 F", True),
        ("2 hours", "120 minutes", True),
        ("2 hours", "2 days", False),
        ("10 km", "10.1 km", False),
        ("3 boxes", "3 crates", False),
    ],
)
def test_converted_quantities_say_the_same(ours: str, theirs: str, expected: bool) -> None:
    assert says_same(one(ours), one(theirs)) is expected
