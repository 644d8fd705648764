"""What a filter could go on with at its end: names of fields, and values that the rows on screen have.

Invariant: pure; every completion begins with what was typed before the word, and a completed value parses as one, quoted where it
must be. The prompt calls it with each key.
"""

import re
from collections.abc import Mapping, Sequence

from trajectory.view.fields import FIELDS

_MOST = 50
_WORD = re.compile(r'(?P<before>.*?(?:^|[\s(]))(?P<sign>[-!]*)(?P<word>[^\s()"]*|[A-Za-z_]+[:=]"[^"]*)$', re.DOTALL)
_VALUE = re.compile(r'(?P<field>[A-Za-z_]+)(?P<operator>[:=])"?(?P<value>[^"]*)', re.DOTALL)
_BARE = re.compile(r'[^\s()"]+')


def completions(text: str, values: Mapping[str, Sequence[str]]) -> list[str]:
    """Whole texts that begin as `text` does and complete its last word, likeliest first; `values` are by field.

    Nothing is completed where nothing was begun, and a word that is no beginning of a field completes values of any field.
    """
    found = _WORD.fullmatch(text)
    if found is None or not found["word"]:
        return []
    head, word = found["before"] + found["sign"], found["word"]
    term = _VALUE.fullmatch(word)
    if term:
        typed = term["value"].casefold()
        known = _matching(values.get(term["field"].lower(), ()), typed)
        return [f"{head}{term['field']}{term['operator']}{_quoted(value)}" for value in known]
    typed = word.casefold()
    names = [f"{head}{name}:" for name in FIELDS if name.startswith(typed)]
    named = [f"{head}{field}:{_quoted(value)}" for field, known in values.items() for value in _matching(known, typed)]
    return [*names, *named][:_MOST]


def _matching(known: Sequence[str], typed: str) -> list[str]:
    """Values that begin as typed, then those that hold it; none that is whole already, or that a filter cannot say."""
    sayable = [value for value in known if value and value.isprintable() and '"' not in value]
    begin = [value for value in sayable if value.casefold().startswith(typed) and value.casefold() != typed]
    hold = [value for value in sayable if typed and typed in value.casefold()[1:] and value not in begin]
    return [*begin, *hold][:_MOST]


def _quoted(value: str) -> str:
    return value if _BARE.fullmatch(value) else f'"{value}"'
