"""Units of measure, and whether two quantities in different units say the same.

Invariant: pure tables; a unit that is not here is a word like any other and is never converted. Factors are exact by definition
(International System; the yard and pound agreement of 1959), temperatures by their own rule. Called by the boundary diff and by
whoever asks whether a value was worked out from another.
"""

from trajectory.detection.items import Item
from trajectory.detection.words import stem

_ROUNDED_RATIO = 0.035  # two figures that were converted and rounded differ by less
_DIMENSIONS: dict[str, dict[str, float]] = {
    "length": {
        "mm millimeter millimetre": 0.001,
        "cm centimeter centimetre": 0.01,
        "m meter metre": 1.0,
        "km kilometer kilometre": 1000.0,
        "inch inches": 0.0254,
        "ft foot feet": 0.3048,
        "yard yd": 0.9144,
        "mile mi": 1609.344,
    },
    "mass": {
        "mg milligram": 1e-6,
        "g gram": 0.001,
        "kg kilogram kilo": 1.0,
        "tonne t": 1000.0,
        "oz ounce": 0.028349523125,
        "lb lbs pound": 0.45359237,
    },
    "time": {
        "ms millisecond": 0.001,
        "s sec second": 1.0,
        "min minute": 60.0,
        "h hr hour": 3600.0,
        "day": 86400.0,
        "week": 604800.0,
        "fortnight": 1209600.0,
    },
    "volume": {"ml milliliter millilitre": 0.001, "l liter litre": 1.0, "gallon gal": 3.785411784, "pint": 0.473176473},
    "data": {"byte": 1.0, "kb kilobyte": 1e3, "mb megabyte": 1e6, "gb gigabyte": 1e9, "tb terabyte": 1e12},
    "temperature": {"c celsius": 1.0, "f fahrenheit": 1.0, "kelvin": 1.0},
}
_UNITS = {
    stem(name): (dimension, factor, stem(names.split()[0]))
    for dimension, units in _DIMENSIONS.items()
    for names, factor in units.items()
    for name in names.split()
}


def unit_of(item: Item) -> str:
    """One name for a quantity's unit of measure, however it was written; empty where it has none that is known."""
    known = _UNITS.get(item.key.partition(" ")[2]) if item.kind == "quantity" else None
    return known[2] if known is not None else ""


def dimension_of(item: Item) -> str:
    """What a quantity measures; empty where its unit is not known."""
    known = _UNITS.get(item.key.partition(" ")[2]) if item.kind == "quantity" else None
    return known[0] if known is not None else ""


def says_same(one: Item, other: Item) -> bool:
    """Whether two quantities are one, converted and perhaps rounded; two of the same unit have to be equal."""
    ours, theirs = _measure(one), _measure(other)
    if ours is None or theirs is None or ours[0] != theirs[0]:
        return False
    if unit_of(one) == unit_of(other):
        return ours[1] == theirs[1]
    return abs(ours[1] - theirs[1]) <= _ROUNDED_RATIO * max(abs(ours[1]), abs(theirs[1]))


def _measure(item: Item) -> tuple[str, float] | None:
    """What is measured, and how much of it in the dimension's own unit."""
    if item.kind != "quantity":
        return None
    figure, _, unit = item.key.partition(" ")
    known = _UNITS.get(unit)
    if known is None:
        return None
    dimension, factor, name = known
    value = float(figure)
    if dimension == "temperature":
        value = (value - 32) / 1.8 if name == "f" else value - 273.15 if name == "kelvin" else value
        return dimension, value + 273.15
    return dimension, value * factor
