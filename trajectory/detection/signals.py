"""What a step's words say about the step: that it makes up its input, claims what nobody looked up, corrects, hedges, closes.

Invariant: a function of the text alone, linear in it, read once. Each signal holds the words that say so, which are its
evidence; empty where nothing does. The phrases are those of people who own up to guessing, in any team and on any task. Called
by blame.
"""

import math
from typing import Any, NamedTuple

import re2

from trajectory.detection.failure_result import failure_in
from trajectory.detection.failure_text import is_empty_result
from trajectory.detection.words import READ_CHARS


def _pattern(pattern: str) -> Any:
    """In RE2, which reads all of these ten times as fast, in linear time."""
    return re2.compile(f"(?i){pattern}")


_MADE_UP = _pattern(
    r"\b(?:simulat(?:e|ed|es|ing|ion)|mock(?:ed)?|dummy|synthetic data\w{0,3}|hypothetical(?:ly)?|fictional|made[- ]up"
    r"|placeholders?|fabricat\w{1,8}|pretend|imagine|let'?s say|assume (?:the following|(?:that )?we have)"
    r"|(?:sample|example|illustrative|assumed) (?:data\w{0,6}|list|values?|numbers?|figures?|file|content|video|input"
    r"|scenario|id)|for (?:the purposes? of )?(?:demonstration|illustrat\w{1,6}|simplicity|example purposes)"
    r"|demonstrate the (?:approach|process|method)|replace (?:this|these|it|them|with))\b",
)
_HEDGE = _pattern(
    r"\b(?:assum(?:e|ed|es|ing|ptions?)|approximat\w{1,6}|typically|likely|presum\w{1,6}|estimat\w{1,6}|usually|generally"
    r"|should be|probably|might be|may be|I (?:believe|think|recall)|from my knowledge|commonly|known to)\b",
)
_CLAIM = _pattern(
    r"\b(?:(?:I|we) (?:have |'ve )?(?:successfully )?(?:located|retrieved|found|accessed|extracted|identified|obtained|gathered"
    r"|determined|calculated|watched|reviewed|checked|verified|inspected|looked)"
    r"|(?:retrieved|obtained|extracted|gathered|taken) from|according to|is known (?:to|for|as)|was found"
    r"|based on (?:the|my|our) (?:information|knowledge|data|search|research|analysis|findings)|the following (?:are|is))\b",
)
_CORRECTION = _pattern(
    r"\b(?:it (?:seems|appears|looks like)|there (?:was|were|is|seems to be) (?:an? )?(?:error|issue|problem|mistake)"
    r"|apolog(?:y|ies|i[sz]e)|sorry|my mistake|correct(?:ed|ing)|fix(?:ed|ing)?|updated? (?:code|script|implementation)"
    r"|did not|didn'?t|unable to|failed|instead|let'?s (?:try|adjust|modify|refine|update|correct))\b",
)
_STUCK = _pattern(
    r"progress\w{0,12}[\"']?\s{0,3}:\s{0,3}\{[^{}]*[\"'](?:answer|value)[\"']\s{0,3}:\s{0,3}false"
    r"|\bno progress\b|\bnot making (?:any )?progress\b|\bwe are stuck\b|\bstalled\b",
)
_FENCE = _pattern(r"(?s)```.*?(?:```|$)")
_HEADING = _pattern(r"(?m)^#{1,4} (.{1,120})$")
_HANDS_OUT = _pattern(r"\b(?:tasks?|plan|instructions?|constraints?|output format)\b")
_ANSWERS = _pattern(r"\b(?:results?|response|answer|findings|solution)\b")
_RAN_NOTHING = _pattern(r"\bno code\b[^.\n]{0,80}\b(?:execut\w{1,5}|run)\b")
_EXIT_HEAD = _pattern(r"exit ?code: -?\d+ \([^)\n]{1,40}\)\s*(?:code )?output:")
_WEIGHT_SCALE = 5.0  # brings a step of some hundred words to about 1, as the yes-or-no signals are
_BARE_CHARS = 20  # a word or two
_OPENING_CHARS = 400  # where corrections are announced


class Signals(NamedTuple):
    """`weight` is the logarithm of one and the number of words of its own; the rest are the words that say so."""

    weight: float
    words_count: int
    has_code: bool
    is_bare: bool
    made_up: str
    hedges: str
    claims: str
    corrects: str
    is_stuck: bool


def signals_in(text: str, *, is_opening: bool = False) -> Signals:
    """The signals of what a step said. `is_opening`: it is the first of its run, and may hand out the work before it
    begins: then only what follows the handing out counts as its own."""
    text = text[:READ_CHARS]
    own = _own(text) if is_opening else text
    prose = _FENCE.sub(" ", own)
    words_count = len(own.split())
    return Signals(
        math.log1p(words_count) / _WEIGHT_SCALE,
        words_count,
        "```" in text,
        len(text.strip()) < _BARE_CHARS,
        _said(_MADE_UP, own),
        _said(_HEDGE, own),
        _said(_CLAIM, prose) if "```" not in text else "",
        _said(_CORRECTION, own[:_OPENING_CHARS]),
        _STUCK.search(text) is not None,
    )


def _own(text: str) -> str:
    """What an opening says beyond the task that it hands out: whatever follows its first heading about results."""
    headings = list(_HEADING.finditer(text))
    if sum(_HANDS_OUT.search(h[1]) is not None for h in headings) < 2:
        return text
    answers = [h for h in headings if _ANSWERS.search(h[1]) and not _HANDS_OUT.search(h[1])]
    return text[answers[0].end() :] if answers else ""


def _said(pattern: Any, text: str) -> str:
    found = pattern.search(text)
    return str(found[0]) if found is not None else ""


def outcome_of(result: str) -> str:
    """What came of a call: `failed` (an error, or nothing where something was asked for), `done`, or empty where it
    only says that there was nothing to run."""
    if _RAN_NOTHING.search(result[:_OPENING_CHARS]):
        return ""
    if failure_in(result) is not None:
        return "failed"
    head = _EXIT_HEAD.match(result)
    return "failed" if is_empty_result(result[head.end() :] if head is not None else result) else "done"
