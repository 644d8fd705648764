"""Reads loosely typed attribute values: numbers that may be text, JSON or Python literals in strings, flattened lists.

Invariant: nothing here raises on any value, evaluates code, or spends more than bounded work on hostile text. Called by
every dialect.
"""

import ast
import json
import math
import warnings
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from trajectory.model.content import canonical_json

MAX_JSON_CHARS = 8 * 1024 * 1024
MAX_LITERAL_CHARS = 64 * 1024
MAX_NAME_CHARS = 256
MAX_DEPTH = 32  # of a value that came from elsewhere; deeper is nothing
_MAX_PATH = 16  # components of a flattened key
_MAX_INT = 1 << 63


def clean(text: str) -> str:
    """Text that UTF-8 can carry: lone surrogates (legal in JSON escapes) become question marks."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def plain(value: Any, depth: int = MAX_DEPTH) -> Any:
    """A decoded JSON value with valid text and numbers that 64 bits hold; what lies deeper than `depth` is said as text."""
    if isinstance(value, str):
        return clean(value)
    if value is None or isinstance(value, (bool, bytes)):
        return value
    if isinstance(value, int):
        return value if -_MAX_INT <= value < _MAX_INT else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if depth == 0:
        return "..."
    if isinstance(value, (dict, Mapping)):  # `dict` first: the abstract check is ten times slower
        return {clean(str(key)): plain(item, depth - 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, Iterable)):
        return [plain(item, depth - 1) for item in value]
    return clean(str(value))


def name_of(value: Any) -> str:
    """A value as a short name on one line; empty where it is no text."""
    if not isinstance(value, str):
        return ""
    return _name(value) if len(value) <= MAX_NAME_CHARS else clean(" ".join(value.split()))[:MAX_NAME_CHARS]


@lru_cache(maxsize=4096)
def _name(text: str) -> str:
    """Names come again with every span."""
    return clean(" ".join(text.split()))


def first_name(attributes: Mapping[str, Any], *keys: str) -> str:
    """The first of these attributes that holds a name."""
    for key in keys:
        value = attributes.get(key)
        if value is not None and (name := name_of(value)):
            return name
    return ""


def first(attributes: Mapping[str, Any], *keys: str) -> Any:
    """The first of these attributes that is there and not empty, else None."""
    for key in keys:
        value = attributes.get(key)
        if value not in (None, "", [], {}):
            return value
    return None


def count_of(value: Any) -> int | None:
    """A count as a whole number that is not negative, from a number or its text; None where it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            value = float(value) if len(value) < 32 else None
        except ValueError:
            return None
    if not isinstance(value, (int, float)) or not math.isfinite(value) or not 0 <= value < _MAX_INT:
        return None
    return int(value)


def first_count(attributes: Mapping[str, Any], *keys: str) -> int | None:
    """The first of these attributes that holds a count."""
    for key in keys:
        value = attributes.get(key)
        if value is not None and (count := count_of(value)) is not None:
            return count
    return None


def decoded(value: Any) -> Any:
    """JSON or a Python literal in a string as the value that it spells; everything else as it came."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if not text or text[0] not in '{["(':
        return value
    if text[0] != "(" and len(text) <= MAX_JSON_CHARS:
        try:
            return json_in(text)
        except (ValueError, RecursionError):
            pass
    return value if text[0] == '"' else literal(text, value)


def json_in(text: str | bytes) -> Any:
    """JSON as a plain value. Raises ValueError or RecursionError where it is none.

    msgspec's reader is several times faster and strict, so nearly nothing of what it reads needs mending; what it refuses
    (half an emoji, NaN, a trailing blank of another kind) Python's own reads, or refuses too.
    """
    try:
        value = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError):
        return plain(json.loads(text))
    return value if _is_plain(value, MAX_DEPTH) else plain(value)


def _is_plain(value: Any, depth: int) -> bool:
    """Whether a decoded value is as `plain` would make it: no deeper, and no number of more than 64 bits."""
    level = [value]
    while level:
        below: list[Any] = []
        for item in level:
            kind = type(item)
            if kind is dict or kind is list:
                below += item.values() if kind is dict else item
                if depth == 0:
                    return False
            elif kind is int and not -_MAX_INT <= item < _MAX_INT:
                return False
        level = below
        depth -= 1
    return True


def canonical(value: Any) -> bytes:
    """What `model.content.canonical_json` says, ten times as fast where a value is nothing but text, whole numbers and flags.

    Of fractions msgspec writes some otherwise than Python does (`1e16`), and a body's digest is one in every process.
    """
    level = [value]
    while level:
        below: list[Any] = []
        for item in level:
            kind = type(item)
            if kind in _SPELLED_ALIKE:
                continue
            if kind is list:
                below += item
            elif isinstance(item, dict) and _TEXT.issuperset(map(type, item)):
                below += item.values()
            else:
                return canonical_json(value)
        level = below
    try:
        return _sorted.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):  # half an emoji, a number of more than 64 bits
        return canonical_json(value)


_SPELLED_ALIKE = frozenset((str, int, bool, type(None)))
_TEXT = frozenset((str,))
_sorted = msgspec.json.Encoder(order="sorted")


def literal(text: str, otherwise: str) -> Any:
    """Python's `repr` of plain data; only literals are read, never names or calls."""
    if len(text) > MAX_LITERAL_CHARS:
        return otherwise
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python warns of odd escapes in text that is not ours
            return plain(ast.literal_eval(text))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return otherwise


def texts(value: Any) -> list[str]:
    """A list of texts from an array, a JSON array in a string, or one bare text."""
    value = decoded(value)
    if isinstance(value, str):
        return [value] if value else []
    if isinstance(value, (list, tuple)):
        return [clean(str(item)) for item in value if item is not None]
    return []


def unflatten(attributes: Mapping[str, Any], prefix: str) -> list[Any]:
    """The list that keys like `prefix.0.message.role` spell, by index; gaps are closed, contradictions ignored."""
    start = prefix + "."
    keys = [key for key in attributes if key.startswith(start)]
    if not keys:
        return []
    root: dict[str, Any] = {}
    for key in keys:
        _plant(root, key[len(start) :].split("."), attributes[key])
    listed = _listed(root)
    return listed if isinstance(listed, list) else []


def _plant(node: dict[str, Any], path: list[str], value: Any) -> None:
    if len(path) > _MAX_PATH:
        return
    for part in path[:-1]:
        below = node.setdefault(part, {})
        if not isinstance(below, dict):
            return
        node = below
    node.setdefault(path[-1], value)


def _listed(node: Any) -> Any:
    """Dictionaries whose keys are all whole numbers as lists, at every depth."""
    if not isinstance(node, dict):
        return node
    if node and all(key.isascii() and key.isdigit() and len(key) < 10 for key in node):
        return [_listed(node[key]) for key in sorted(node, key=int)]
    return {key: _listed(value) for key, value in node.items()}


def is_opaque_id(text: str) -> bool:
    """Whether a text is a UUID or a long hexadecimal number, and so nobody's name."""
    digits = text.replace("-", "")
    return len(digits) >= 16 and all(c in "0123456789abcdefABCDEF" for c in digits)
