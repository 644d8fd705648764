"""Rules of what follows from other values, and of quantities in other units."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        ("35 %", "21 of 60 rooms"),
        ("40 %", "from 500 to 700 guests"),
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
        ("7 EUR", "0 EUR and 50 EUR"),
        ("100 %", "21 of 60 rooms"),
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


def is_worked_out(value: float, known: list[float]) -> bool:
    """The same of numbers of one unit, by trying all pairs."""

    def is_close(result: float, least: float = inf) -> bool:
        off = abs(value - abs(result))
        return off <= 0.0051 * max(abs(result), 1e-9) and off <= 0.05 * least

    pairs = [(a, b) for at, a in enumerate(known) for b in known[at + 1 :]]
    sums = [(r, min(abs(a), abs(b))) for a, b in pairs for r in (a + b, a - b)] + [(a + a, abs(a)) for a in known]
    sums += [(sum(known), min(map(abs, known)))] if len(known) > 2 else []
    factors = [b for b in (*known, *range(2, 13)) if b]
    products = [a for a in known if any(is_close(r) for b in factors for r in (a * b, a / b))]
    return any(is_close(*each) for each in sums) or any(
        not (a and any(abs(value / a - f) < 1e-9 for f in (10.0, 0.1))) for a in products
    )


figures = st.integers(1, 400) | st.integers(1, 40_000).map(lambda n: n / 100)


@given(figures, st.lists(figures, max_size=12, unique=True))
def test_what_is_looked_up_is_what_trying_all_pairs_finds(value: float, known: list[float]) -> None:
    item, *held = items_in(". ".join(f"{n} EUR" for n in (value, *known)))
    assert len(held) == len(known)
    if all(held_one.key != item.key for held_one in held):
        assert is_derived(item, held) == is_worked_out(value, known)
