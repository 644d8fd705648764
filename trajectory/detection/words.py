"""Words, stems and plain text: what the text rules of this room share.

Invariant: pure and linear; texts are cut to `READ_CHARS` before anything looks at them. Called by `items`, `constraints` and
the boundary diff.
"""

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

READ_CHARS = 64 * 1024
_STEM_CHARS = 6
_MAX_LEAVES_COUNT = 4000
_MAX_DEPTH = 12
WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")

STOP_WORDS = frozenset(
    WORD.findall(
        """a about above all also am an and any are as at be been being below both but by can cannot could did do does doing
    don down each else every few for from further had has have having he her here his how i if in into is it its itself
    just let like made make many may me might more most must my need needs no nor not now of off on once one only or other
    our out over own per please same shall she should so some such than that the their them then there these they this
    those through to too under until up us use used using very want was we were what when where which while who whom why
    will with within without would yes yet you your following given get give ensure sure
    der die das den dem ein eine einen und für mit le la les des du un une et pour el los las y con para"""
    )
)


def plain(text: str) -> str:
    """A text in one normal form (NFKC), bounded; JSON as `key: value` lines, so that its quotes are not taken for speech."""
    text = text[:READ_CHARS]
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    head = text.lstrip()[:1]
    if head and head in "{[":
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return text
        return "\n".join(_lines(value))
    return text


def stem(word: str) -> str:
    """A word's stem: folded, without a plural's or possessive's ending, cut to six letters. Coarse on purpose: two words
    that may be the same count as the same, so that doubt keeps a detector silent."""
    word = word.casefold().replace("’", "'").removesuffix("'s")
    if len(word) > 4 and word.endswith("ies"):
        word = word[:-3] + "y"
    elif len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    return word[:_STEM_CHARS]


def stems(text: str) -> set[str]:
    """The stems of the words that carry meaning; `snake_case` and `camelCase` fall into their words."""
    spaced = _INNER_CAPITAL.sub(r" \1", text[:READ_CHARS]).replace("_", " ")
    found = {_meaning(word) for word in set(WORD.findall(spaced))}
    found.discard("")
    return found


_INNER_CAPITAL = re.compile(r"([A-Z])(?<=[a-z][A-Z])")
_KEPT_CHARS = 32


def _meaning(word: str) -> str:
    """A word's stem; empty where it carries no meaning. Few words are most of what is said: they are worked out once."""
    return _kept_meaning(word) if len(word) <= _KEPT_CHARS else _worked_out(word)


def _worked_out(word: str) -> str:
    return stem(word) if len(word) > 1 and word.casefold() not in STOP_WORDS else ""


_kept_meaning = lru_cache(maxsize=8192)(_worked_out)


def shorten(text: str, chars: int = 160) -> str:
    """A text as one line of at most `chars` characters."""
    line = " ".join(text[: chars * 4].split())
    return line if len(line) <= chars else line[: chars - 1] + "…"


def around(text: str, start: int, end: int, chars: int = 160) -> str:
    """The whole words about a place in a text, as one line of at most `chars` characters; an ellipsis where more stands."""
    room = max(chars - 2 - (end - start), 0) // 2
    first, last = max(start - room, 0), min(end + room, len(text))
    if first:
        first = next((at + 1 for at in range(first - 1, start) if text[at].isspace()), first)
    if last < len(text):
        last = next((at for at in range(last, end, -1) if text[at].isspace()), last)
    return shorten(("…" if first else "") + text[first:last] + ("…" if last < len(text) else ""), chars)


def _lines(value: Any) -> Iterator[str]:
    pending: list[tuple[str, Any, int]] = [("", value, 0)]
    left = _MAX_LEAVES_COUNT
    while pending and left:
        name, held, depth = pending.pop()
        if isinstance(held, Mapping) and depth < _MAX_DEPTH:
            pending.extend((str(k), v, depth + 1) for k, v in reversed(list(held.items())))
        elif isinstance(held, list) and depth < _MAX_DEPTH:
            pending.extend((name, v, depth + 1) for v in reversed(held))
        else:
            left -= 1
            said = held if isinstance(held, str) else json.dumps(held, ensure_ascii=False, default=str)
            yield f"{name}: {said}" if name else said
