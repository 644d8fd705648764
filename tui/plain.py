"""Turns a row into plain dictionaries and lists, with its field names, for a copy as JSON; or into words, to be read out."""

import json
from collections.abc import Sequence


def as_json(row: object) -> str:
    """A row as indented JSON."""
    return json.dumps(to_plain(row), indent=2, ensure_ascii=False)


def to_plain(value: object) -> object:
    """Rows become dictionaries, tuples lists; text, numbers and None stay as they are."""
    names: Sequence[str] = getattr(type(value), "__struct_fields__", ())
    if names:
        return {name: to_plain(getattr(value, name)) for name in names}
    return [to_plain(each) for each in value] if isinstance(value, list | tuple) else value


_STATES = ("severity", "state", "status")
_NAMES = ("alert_id", "label", "source", "target", "kind", "what", "name", "title", "summary", "text")


def spoken(row: object) -> str:
    """What a row is and how it stands, in words: its state first, then who and what."""
    said = [str(value) for name in (*_STATES, *_NAMES) if (value := getattr(row, name, "")) and isinstance(value, str)]
    return ", ".join(dict.fromkeys(said)).replace("_", " ")
