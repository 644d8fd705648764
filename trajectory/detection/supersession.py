"""Which values a text says are superseded, and by which: `moved from March 3 to March 5`, `{"old": "A-1", "new": "A-2"}`.

Invariant: pure, and bounded in the length of a text; both values are of one kind and make, and the words between them are few.
Called by the detector of stale context.
"""

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from trajectory.detection.constraints import SENTENCE
from trajectory.detection.items import Item, items_in
from trajectory.detection.known import key_of, may_replace, shape_of
from trajectory.detection.words import READ_CHARS, plain, stems

_MAX_DEPTH = 8
_MAX_OBJECTS_COUNT = 500
_BETWEEN_CHARS = 60
_STATEMENT_CHARS = 300
_OLD_NAMES = stems(
    "superseded old previous former replaced replaces supersedes obsolete outdated deprecated stale prior expired invalid"
)
_NEW_NAMES = stems("now new current latest updated corrected revised actual valid")
_TURNED_NAMES = frozenset(
    ("replacement", "superseded_by", "replaced_by", "supersededby", "replacedby", "moved_to", "changed_to")
)
# What stands between an old value and its new one, and the other way round; and a word that has to stand before.
_OLD_NEW = re.compile(
    r"(?:replaced|superseded|changed|moved|corrected|updated|revised|renamed|rescheduled|raised|lowered|increased|reduced|amended)"
    r"\b.{0,24}\b(?:by|to|with|into)\b|\b(?:is|was) now\b|\bbecame\b|->|→|⇒|=>|"
    r"\b(?:but|use|it is|it's|rather|make (?:it|that)|should be|meant)\b.{0,12}$",
    re.I | re.S,
)
_NEW_OLD = re.compile(
    r"\b(?:replaces?|supersedes?|instead of|rather than|in place of|formerly|previously|used to be|up from|down from)\b|"
    r"[,;(]\s{0,2}(?:and )?(?:not|no longer|was|were|before)\b|\band not\b",
    re.I,
)
_TURN = re.compile(r"\b(?:but|use|it is|it's|rather|make (?:it|that)|should be|meant)\b", re.I)
_FROM = re.compile(r"\bfrom\b[^.;]{0,12}$", re.I)
_CHANGE = re.compile(
    r"\b(?:chang|mov|correct|updat|revis|renam|reschedul|rais|lower|increas|reduc|amend|postpon|shift|switch|went|goes)\w{0,4}\b",
    re.I,
)
_GONE = re.compile(
    r"\b(?:no longer|not|instead of|rather than|forget|ignore|obsolete|outdated|superseded|cancel\w{0,5})\b[^.;]{0,24}$",
    re.I,
)
_OVER = re.compile(
    r"\s{0,2}\b(?:is|was|are|has)\b.{0,12}\b(?:no longer|not any ?more|obsolete|outdated|superseded|withdrawn|void|expired|"
    r"invalid|out of date|wrong|incorrect)\b",
    re.I | re.S,
)
_SIGN = re.compile(r"\d+|@")
_UPDATE = re.compile(
    r"\b(?:now|actually|instead|update[:d]?|correction|change (?:it|that|this|the)|make (?:it|that)|new|revised|after all|neu|"
    r"jetzt|désormais|ahora)\b",
    re.I,
)


class Superseded(NamedTuple):
    """A value that is no longer so, and the one that is."""

    old: Item
    new: Item


@lru_cache(maxsize=32)  # one text is asked about by each detector, and for each value in it
def superseded_in(text: str) -> tuple[Superseded, ...]:
    """The values that a text says are superseded. Never raises."""
    found: dict[tuple[object, object], Superseded] = {}
    stripped = text.lstrip()[:1]
    pairs = _in_json(text) if stripped in ("{", "[") else iter(())
    for pair in (*pairs, *_in_prose(plain(text))):
        found.setdefault((key_of(pair.old), key_of(pair.new)), pair)
    return tuple(found.values())


def updates_in(text: str) -> Iterator[tuple[Item, set[str]]]:
    """The values of sentences that say what is so from now on, each with the stems of its sentence."""
    for match in SENTENCE.finditer(plain(text)):
        if _UPDATE.search(match[0]) is not None:
            items = items_in(match[0])
            for item in items:
                if sum(1 for other in items if other.kind == item.kind and shape_of(other) == shape_of(item)) == 1:
                    yield item, stems(match[0])


def is_past(said: str, start: int, end: int) -> bool:
    """Whether the words about a value in a text tell of it as something that was, or that is to be undone."""
    before = _SENTENCE_END.split(said[max(start - _ABOUT_CHARS, 0) : start])[-1]
    after = _SENTENCE_END.split(said[end : end + _ABOUT_CHARS])[0]
    return any(
        p.search(part) is not None for p, part in ((_PAST, before), (_PAST, after), (_LEFT, before), (_RIGHT, after))
    )


_ABOUT_CHARS = 50
_SENTENCE_END = re.compile(r"[.!?](?=\s)|\n")
_PAST = re.compile(
    r"\b(?:old|former(?:ly)?|previous(?:ly)?|original(?:ly)?|earlier|before|initial(?:ly)?|superseded|replaced|replaces|"
    r"obsolete|outdated|instead of|rather than|no longer|"
    r"used to|until now|history|changed|moved|updated|compare\w?|versus|vs)\b",
    re.I,
)
_LEFT = re.compile(  # of a value that follows at once
    r"\b(?:from|not|first|had|was|were|cancel\w{0,6}|release|void|revoke|delete|remove|undo)\b.{0,24}$", re.I | re.S
)
_RIGHT = re.compile(r"^\W{0,3}(?:was|were|had|is cancel\w{0,6})\b", re.I)


def _in_prose(text: str) -> Iterator[Superseded]:
    for sentence in _statements(text):
        if len(_SIGN.findall(sentence)) < 2:
            continue  # no two values
        if not (
            _OLD_NEW.search(sentence)
            or _NEW_OLD.search(sentence)
            or _GONE.search(sentence)
            or _FROM.search(sentence)
            or _TURN.search(sentence)
            or "from" in sentence
            or _OVER.search(sentence)
        ):
            continue
        items = [i for i in items_in(sentence) if i.kind not in ("quoted", "name", "path")]
        for at, one in enumerate(items):
            end = one.start + len(one.text)
            other = next((o for o in _near(items, at + 1, end) if may_replace(one, o)), None)
            if other is None:
                continue
            between = sentence[end : other.start]
            if _NEW_OLD.search(between):
                yield Superseded(other, one)
            elif _is_old_new(sentence, one, between):
                yield Superseded(one, other)


def _near(items: list[Item], at: int, end: int) -> Iterator[Item]:
    """The items from one on that begin soon after a place."""
    while at < len(items) and items[at].start - end <= _BETWEEN_CHARS:
        yield items[at]
        at += 1


def _statements(text: str) -> Iterator[str]:
    """The sentences of a text; one that says that something is over, with the next."""
    before = ""
    for match in SENTENCE.finditer(text):
        yield before + match[0]
        goes_on = match[0].endswith(";") or _OVER.search(match[0]) is not None
        before = match[0] + " " if goes_on and len(match[0]) <= _STATEMENT_CHARS and not before else ""


def _is_old_new(sentence: str, one: Item, between: str) -> bool:
    before = sentence[: one.start]
    if _FROM.search(before) and re.match(r"\s{0,2}(?:to|until|→|->)\b", between):
        return _CHANGE.search(before) is not None
    if _GONE.search(before) or _OVER.match(between):
        return True
    return _OLD_NEW.search(between) is not None


def _in_json(text: str) -> Iterator[Superseded]:
    try:
        value = json.loads(text[:READ_CHARS])
    except (ValueError, RecursionError):
        return
    pending: list[tuple[Any, int]] = [(value, 0)]
    left = _MAX_OBJECTS_COUNT
    while pending and left:
        held, depth = pending.pop()
        left -= 1
        if isinstance(held, dict):
            yield from _in_object(held)
            pending.extend((v, depth + 1) for v in held.values() if isinstance(v, (dict, list)) and depth < _MAX_DEPTH)
        else:
            pending.extend((v, depth + 1) for v in held if isinstance(v, (dict, list)) and depth < _MAX_DEPTH)


def _in_object(fields: dict[str, Any]) -> Iterator[Superseded]:
    """An old value under a name that says so, and the new one: under a name that says so, or the only other of its make."""
    olds: list[tuple[str, Item]] = []
    news: list[tuple[str, Item]] = []
    others: list[tuple[str, Item]] = []
    for name, held in fields.items():
        items = items_in(str(held)) if isinstance(held, (str, int, float)) and not isinstance(held, bool) else []
        if len(items) != 1:
            continue
        words = stems(str(name))
        if str(name).casefold() in _TURNED_NAMES or words & _NEW_NAMES:
            news.append((name, items[0]))
        elif words & _OLD_NAMES or str(name).casefold() == "was":
            olds.append((name, items[0]))
        else:
            others.append((name, items[0]))
    for _, old in olds:
        alike = [new for _, new in news if may_replace(old, new)] or [new for _, new in others if may_replace(old, new)]
        if len(alike) == 1:
            yield Superseded(old, alike[0])
    if not olds:
        for _, new in (n for n in news if str(n[0]).casefold() in _TURNED_NAMES):
            alike = [old for _, old in others if may_replace(old, new)]
            if len(alike) == 1:
                yield Superseded(alike[0], new)
