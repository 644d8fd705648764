"""Turns a row into plain dictionaries and lists, with its field names, for a copy as JSON."""

from collections.abc import Sequence


def to_plain(value: object) -> object:
    """Rows become dictionaries, tuples lists; text, numbers and None stay as they are."""
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    names: Sequence[str] = getattr(type(value), "__struct_fields__", ())
    if names:
        return {name: to_plain(getattr(value, name)) for name in names}
    if isinstance(value, Sequence):
        return [to_plain(each) for each in value]
    return str(value)
