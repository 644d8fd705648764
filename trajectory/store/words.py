"""What in a store can be searched for: the texts of bodies and facts, and whether a text says what is asked.

A question is words and "quoted phrases", all of which one text must hold; a word is found by its beginning, one of fewer than
three letters only as a whole.

Invariant: pure; whatever `Question` finds in a text, the tokens of its `expression` are among those of `body_words` or
`fact_words` of it, so the index leads to every text that matches. Called by whoever indexes and whoever searches.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from trajectory.errors import QueryError
from trajectory.model.content import JSON, MESSAGE, text_of
from trajectory.model.fact import Fact, Marked, SpanEnded, SpanEvent, SpanStarted
from trajectory.model.lists import LIST

LONGEST_QUESTION = 1000
_SHORT_WORD = 3
_AROUND_CHARS = 60
_ESCAPES = (b"\\n", b"\\t", b"\\r", b"\\f", b"\\b")
_ESCAPE = re.compile(r"\\[ntrfb]")
_IDEOGRAMS = "\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff"  # written without blanks
_IDEOGRAM = re.compile(f"([{_IDEOGRAMS}])")
_NO_WORD = re.compile(r"[^\w\x00-\x7f]")
_WORD = re.compile(r"[^\W_]+")
_TERM = re.compile(r'"([^"]*)"|([^\s"]+)')


def said_by(media_type: str, body: bytes) -> str:
    """A body's text as it is searched and shown; empty where it is none."""
    if media_type == LIST or b"\0" in body:
        return ""
    text = text_of(media_type, body)
    return _ESCAPE.sub(" ", text) if media_type == JSON else text


def body_words(media_type: str, body: bytes) -> str:
    """A text with the words of a body: the body itself, where that is cheaper than what it says."""
    if media_type == LIST or b"\0" in body:
        return ""
    if media_type in (MESSAGE, JSON) and b"\\" in body:
        if b"\\\\" in body or b"\\u" in body:
            return _apart(said_by(media_type, body))
        for escape in _ESCAPES:
            body = body.replace(escape, b" ")
    return _apart(body.decode("utf-8", "replace"))


def fact_words(facts: Iterable[Fact]) -> str:
    """A text with the words of facts."""
    return _apart("\n".join({text for fact in facts for text in said_in(fact)}))


def said_in(fact: Fact) -> Iterator[str]:
    """The texts of a fact itself: names, errors, what an event carries, notes."""
    if isinstance(fact, SpanStarted):
        yield fact.name
    elif isinstance(fact, SpanEnded):
        yield fact.message
    elif isinstance(fact, SpanEvent):
        yield fact.name
        yield from (value for value in fact.attributes.values() if isinstance(value, str))
    elif isinstance(fact, Marked):
        yield fact.note


def _apart(text: str) -> str:
    """A text that the index's ASCII tokens take apart as is meant: beyond ASCII it is folded and taken apart here."""
    return text if text.isascii() else _IDEOGRAM.sub(r" \1 ", _NO_WORD.sub(" ", text.casefold()))


def _folded(text: str) -> str:
    return text.lower() if text.isascii() else text.casefold()


@dataclass(frozen=True, slots=True)
class Passage:
    """A text around a place that was found: `text[start:end]` is it."""

    text: str
    start: int
    end: int


class Question:
    """What is looked for. Raises QueryError where there is no word in the text."""

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST_QUESTION:
            raise QueryError(f"a search is at most {LONGEST_QUESTION} characters long", LONGEST_QUESTION)
        terms = [" ".join((quoted or bare).split()) for quoted, bare in _TERM.findall(text)]
        tokens = [_tokens(term) for term in terms]
        if not any(tokens):
            raise QueryError("there is no word to look for", 0)
        self._patterns = [re.compile(_pattern(_folded(term))) for term in terms if _tokens(term)]
        words = sorted({token for each in tokens for token in each})
        self._needles = [word.encode() for word in words if word.isascii()]
        self.expression = " AND ".join(f'"{word}" *' if len(word) >= _SHORT_WORD else f'"{word}"' for word in words)

    def may_be_in(self, body: bytes) -> bool:
        """Whether a body's text could match; much quicker than to read it."""
        return not body.isascii() or b"\\u" in body or self.may_be_among(body)

    def may_be_among(self, facts: bytes) -> bool:
        """Whether a text of a frame's facts could match, in which no letter beyond ASCII stands for one within."""
        folded = facts.lower()
        return all(needle in folded for needle in self._needles)

    def passage(self, text: str) -> Passage | None:
        """Where a text says it; None where it does not."""
        folded = _folded(text)
        found = [pattern.search(folded) for pattern in self._patterns]
        first = found[0]
        if first is None or not all(found):
            return None
        first_at, last_at = first.span()
        if len(folded) != len(text):  # a letter may be folded to two
            ends = list(accumulate(len(c.casefold()) for c in text))
            first_at, last_at = bisect_right(ends, first_at), bisect_left(ends, last_at) + 1
        start, end = max(0, first_at - _AROUND_CHARS), min(len(text), last_at + _AROUND_CHARS)
        return Passage(text[start:end], first_at - start, last_at - start)


def _pattern(term: str) -> str:
    """From where a word begins; a blank of the term is any white space of the text."""
    escaped = r"\s+".join(map(re.escape, term.split()))
    first, last = term[0], term[-1]
    before = r"(?<![^\W_])" if first.isalnum() and not _IDEOGRAM.match(first) else ""
    is_short = len(_tokens(term)[-1]) < _SHORT_WORD and last.isalnum() and not _IDEOGRAM.match(last)
    return before + escaped + (r"(?![^\W_])" if is_short else "")


def _tokens(term: str) -> list[str]:
    """The words of a term as the index has them."""
    return _WORD.findall(_folded(_apart(term)))
