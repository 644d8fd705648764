"""Words about age: whether a text gives a value as one of the past, or as second best.

Invariant: read is the sentence in which the value stands, so that what is said of another thing does not count. Pure. Called by
what follows values (`spread`).
"""

import re

from trajectory.detection.constraints import SENTENCE
from trajectory.detection.failure_text import says_failure
from trajectory.detection.items import Item
from trajectory.detection.words import STOP_WORDS

_ANY_WORD = re.compile(r"[^\W_]{2,64}(?:[-_][^\W_]{1,64}){0,6}")
_SECOND_BEST = re.compile(
    r"(?<![^\W_])(?:cached?|stale|fall[ _-]?back|back[ _-]?up|defaults?|estimated?|approximate|guess(?:ed)?|placeholder|mock|"
    r"dummy|sample|snapshot|archived?|outdated|old copy|last known|previous version|assum(?:e|ed|ing|ption))(?![^\W_])",
    re.I,
)
_PAST = re.compile(
    r"(?<![^\W_])(?:last (?:hour|night|week|month|quarter|season|year|time)|(?:\d{1,4}|an?|one|two|three|few|several|some) "
    r"(?:minute|hour|day|week|month|year)s? ago|yesterday|previous(?:ly)?|former(?:ly)?|earlier|as of|used to (?:be|cost|have)|"
    r"back then|at that time|historic(?:al)?|expired|out of date)(?![^\W_])",
    re.I,
)


def is_second_best(text: str) -> bool:
    """Whether a text calls something second best: a cache, an estimate, a guess."""
    return bool(_SECOND_BEST.search(text))


def is_of_the_past(text: str) -> bool:
    """Whether a text says of what it tells that it was so at an earlier time."""
    return bool(_PAST.search(text)) or is_second_best(text)


def is_owned_up_to(text: str) -> bool:
    """Whether a text admits a failure, or that what it tells is second best or of the past."""
    return says_failure(text) or is_of_the_past(text)


def sentence_with(value: Item, text: str) -> str:
    """The sentence of a text in which a value stands, as it is written there; empty where it does not."""
    at = text.find(value.text)
    if at < 0:
        return ""
    return next((m[0] for m in SENTENCE.finditer(text, max(at - 1200, 0)) if m.end() > at), "")


def words_of(text: str) -> set[str]:
    """The words of a text that carry meaning, in one case; an identifier is one word."""
    return {word.casefold() for word in _ANY_WORD.findall(text) if word.casefold() not in STOP_WORDS}
