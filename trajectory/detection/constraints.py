"""The conditions that a request sets: what its work must, must not, may at most, may only be.

Invariant: a constraint's `text` is cut from the request as it was written, and extraction is one bounded pass over each
sentence. Read from what people and delegators ask for, never from tool results. Called by the boundary diff.

Six shapes are read: modal clauses (`the room must be free of steps`), musts (`parking is a must`), bounds (`at most 400 words`),
exclusions (`only audited sources`, `without nuts`), labels (`hard constraints: …`, `budget: …`), and scopes (a fiscal period, a
currency, a language or a format that the answer is to be in).
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

import re2

from trajectory.detection.items import CURRENCIES, Item, items_in
from trajectory.detection.words import plain, stems

MAX_CONSTRAINTS_COUNT = 200  # of one text
_MAX_TEXT_CHARS = 16 * 1024  # a longer request is a document with a request at its head


class Constraint(NamedTuple):
    """One condition. `stems` are its own words' stems, `values` its numbers, dates and periods, `subject` the stems of the
    words that it is said about, `sentence` those of all the sentence. `is_hard`: said with must, only, never, hard or the
    like."""

    kind: str
    text: str
    start: int
    stems: frozenset[str]
    values: tuple[Item, ...]
    subject: frozenset[str]
    sentence: frozenset[str]
    is_negative: bool
    is_hard: bool

    @property
    def direction(self) -> int:
        """-1 where its value is the most that may be, 1 where it is the least, 0 where it does not say."""
        bound = _BOUND.search(self.text)
        word = " ".join(bound[0].casefold().removesuffix("the ").removesuffix("a total of ").split()) if bound else ""
        compared = _COMPARED.fullmatch(word)
        if compared is not None:
            grows = compared["more"] is not None
            return -1 if grows == (compared["no"] is not None) else 1
        return -1 if word in _CEILINGS else 1 if word in _FLOORS else 0

    @property
    def is_only(self) -> bool:
        """Whether it allows one thing alone: what is named is what is to be."""
        return _ONLY.match(self.text) is not None or _TRAILING.search(self.text) is not None

    @property
    def key(self) -> tuple[frozenset[str], tuple[str, ...]]:
        """What two wordings of one condition share."""
        return (frozenset() if self.values else self.stems, tuple(sorted(v.key for v in self.values)))


SENTENCE = re.compile(r"[^\n]{1,1200}?(?:[.!?;](?=\s|$)|(?=\n)|$)|[^\n]{1,1200}")
_MODALS = (
    r"must|shall|has to|have to|needs? to|is required to|are required to|may(?!\s\d)|can|should|cannot|can[’']t|"
    r"muss|müssen|darf|dürfen|soll|sollen|doit|doivent|debe|deben"
)
_MODAL = re.compile(
    rf"\b(?P<modal>{_MODALS})\s?"
    r"(?P<negation>\s?(?:not|never|nicht|nie|pas|jamais)\b)?\s?(?:be\s)?",
    re.I,
)
_MUSTS = r"(?:is|are)\s(?:a must|mandatory|required)\b"
_MUST = re.compile(rf"\s{_MUSTS}(?!\sto\b)", re.I)
_MOST_WORDS_COUNT = 6  # of what is a must: a longer clause tells something
_OF_CASES = re.compile(r"(?:if|when|where|wherever|unless|whether|while|as|that|which|what|who|how)\b", re.I)
_BOUNDS = (
    r"at most|at least|(?:no|not) (?:more|less|fewer|later|earlier) than|(?:must |may |should )?not exceed(?:ing)?|"
    r"up to|under|below|over|above|max(?:imum)?(?: of)?|min(?:imum)?(?: of)?|within|less than|fewer than|more than|"
    r"(?:(?:no|not)(?: be)? )?(?:longer|larger|bigger|higher|greater|older|heavier) than|"
    r"(?:(?:no|not)(?: be)? )?(?:shorter|smaller|lower|lighter|cheaper|younger) than|"
    r"before|after|by|until|höchstens|mindestens|maximal|spätestens(?: bis)?|weniger als|mehr als|bis zum|"
    r"au plus|au moins|au maximum|avant le|jusqu[’']au|como máximo|al menos|menos de|más de|antes del"
)
_CEILINGS = frozenset(
    """at most|not exceed|not exceeding|must not exceed|may not exceed|should not exceed|up to|under|below|max|max of|maximum|
    maximum of|within|less than|fewer than|no more than|not more than|by|until|no later than|not later than|before|höchstens|
    maximal|spätestens|spätestens bis|weniger als|bis zum|au plus|au maximum|avant le|como máximo|menos de|antes del""".replace(
        "\n    ", ""
    ).split("|")
)
_FLOORS = frozenset(
    """at least|over|above|min|min of|minimum|minimum of|more than|after|no less than|not less than|no fewer than|not fewer than|
    no earlier than|not earlier than|mindestens|mehr als|au moins|al menos|más de""".replace("\n    ", "").split("|")
)
_COMPARED = re.compile(
    r"(?P<no>(?:no|not)(?: be)? )?(?:(?P<more>longer|larger|bigger|higher|greater|older|heavier)|"
    r"shorter|smaller|lower|lighter|cheaper|younger) than"
)
_BOUND = re.compile(rf"\b(?:{_BOUNDS})\s(?:a total of |the )?", re.I)
_EXCLUSIONS = (
    r"only|never|without|avoid(?:ing)?|do not|don[’']t|except(?: for)?|excluding|no|"
    r"nur|niemals|ohne|keine?n?|seulement|uniquement|jamais|sans|sólo|solo|nunca|sin"
)
_EXCLUSION = re.compile(rf"\b(?P<word>{_EXCLUSIONS})\s(?=[^\W\d_])", re.I)
_TRAILING = re.compile(r"\s(?:only|exclusively)(?=\s{0,2}(?:[.,;)]|$))", re.I)
_LABELS = r"constraints?|requirements?|budget|deadline|format|language|currency|dietary needs|restrictions?"
_LABEL = re.compile(rf"\b(?:hard |strict |key )?(?:{_LABELS})\s?[:=]\s?", re.I)
_LANGUAGES = (
    "English|French|German|Spanish|Italian|Portuguese|Dutch|Polish|Swedish|Danish|Norwegian|Finnish|Czech|Greek|Turkish|"
    "Russian|Ukrainian|Arabic|Hebrew|Hindi|Chinese|Mandarin|Japanese|Korean|Vietnamese|Thai|Latin"
)
_FORMATS = "JSON|CSV|YAML|XML|HTML|Markdown|LaTeX|PDF|SQL|plain text|bullet points|a table"
_SCOPES = f"{'|'.join(CURRENCIES)}|{_LANGUAGES}|{_FORMATS}|[Ee]uros?|US dollars"
_SCOPE = re.compile(rf"\b(?:[Ii]n|[Aa]s|[Ii]nto)\s(?P<what>{_SCOPES})\b")
_BEGUN = re2.compile(  # in RE2, which says at ten times the speed that none is there
    r"(?i)\b(?:" + _MODALS.replace(r"(?!\s\d)", "") + rf"|(?:{_BOUNDS}|{_EXCLUSIONS})\s|(?:{_LABELS})\s?[:=]|"
    rf"(?:in|as|into)\s(?:{_SCOPES})|{_MUSTS}|fy|fiscal\s|only|exclusively)"
)
_FISCAL = ("fy",)
_ONLY = re.compile(r"(?:only|nur|seulement|uniquement|sólo|solo)\b", re.I)
_STOP = re.compile(r"[;:()\[\]\n]|,(?!\d)|\.(?=\s|$)|\s[–—-]\s")
_JOIN = re.compile(r"(?:,\s|\s)(?:and|but|or|while|so)\s", re.I)
_HARD = re.compile(
    r"\b(?:must|shall|only|never|hard|strict(?:ly)?|mandatory|required|under no circumstances|not exceed)\b", re.I
)
_NEGATION = re.compile(
    r"\b(?:not|no|never|without|avoid(?:ing)?|don[’']t|cannot|can[’']t|except|excluding|exclude|"
    r"nicht|nie|niemals|ohne|keine?n?|pas|jamais|sans|nunca|sin)\b",
    re.I,
)
_DENIAL = re.compile(  # what may say no in other words
    rf"{_NEGATION.pattern}|\b(?:none|neither|nor|avoided|exclud\w{{1,4}}|forbid\w{{0,5}}|prohibit\w{{0,3}}|refrain\w{{0,3}}|"
    r"off[- ]limits|free of|away from|alone|instead of|rather than|outside|barred|banned|disallow\w{0,3}|skip|omit|leave out)\b|"
    r"\bun(?:touched|changed|used|modified)\b|\w-free\b|n[’']t\b",
    re.I,
)
_MARKERS = frozenset(
    stems(
        "least exceed exceeding maximum minimum max min before after never avoid except excluding fewer less later earlier "
        "höchstens mindestens maximal spätestens weniger mehr nur ohne niemals keine nicht "
        "seulement uniquement jamais sans avant au plus moins solo nunca como sin máximo menos antes"
    )
)
_DATED = ("before", "after", "by", "until", "over", "under")
_BOUNDED = ("money", "quantity", "number", "date", "time", "period")


def constraints_in(text: str) -> list[Constraint]:
    """The constraints of a request, in order; overlapping readings once. Never raises."""
    text = plain(text)[:_MAX_TEXT_CHARS]
    found: list[Constraint] = []
    if not _may_hold_one(text):
        return found
    for sentence in SENTENCE.finditer(text):
        if sentence[0].strip():
            found += _in_sentence(sentence[0], sentence.start())
        if len(found) >= MAX_CONSTRAINTS_COUNT:
            break
    return found[:MAX_CONSTRAINTS_COUNT]


def is_negated(sentence: str) -> bool:
    """Whether a sentence says that something is not, or is not to be."""
    return _DENIAL.search(sentence) is not None


def _may_hold_one(text: str) -> bool:
    """Whether any of the six shapes begins in a text: one pass, where reading them takes eight."""
    return _BEGUN.search(text) is not None


def _in_sentence(sentence: str, offset: int) -> list[Constraint]:
    if not _may_hold_one(sentence):
        return []
    values = items_in(sentence)
    whole = frozenset(stems(sentence))
    is_hard = bool(_HARD.search(sentence))
    found: list[Constraint] = []
    taken: list[tuple[int, int]] = []
    for kind, start, end, subject in _readings(sentence, values):
        end = _past_values(end, start, sentence, values)
        text = sentence[start:end].strip(" ,.;:")
        if len(text) < 2 or any(start < b and a < end for a, b in taken):
            continue
        taken.append((start, end))
        own = frozenset(stems(text) - _MARKERS)
        held = tuple(v for v in values if v.kind in _BOUNDED and start <= v.start < end)
        if not own and not held:
            continue
        negative = bool(_NEGATION.search(text))
        found.append(
            Constraint(kind, text, offset + start, own, held, subject or whole - own, whole, negative, is_hard)
        )
    return sorted(found, key=lambda c: c.start)


def _past_values(end: int, start: int, sentence: str, values: list[Item]) -> int:
    """An end that does not cut a value in two: the comma of `May 3, 2026` ends no clause."""
    for value in values:
        until = value.start + len(value.text)
        if start <= value.start < end < until and sentence[value.start : until] == value.text:
            return until
    return end


def _readings(sentence: str, values: list[Item]) -> Iterator[tuple[str, int, int, frozenset[str]]]:
    """(kind, start, end, subject) of each reading, the surest shapes first."""
    yield from _musts(sentence)
    yield from _modals(sentence)
    yield from _bounds(sentence, values)
    yield from _exclusions(sentence)
    yield from _scopes(sentence, values)
    yield from _labelled(sentence)


def _musts(sentence: str) -> Iterator[tuple[str, int, int, frozenset[str]]]:
    """What is said to be a must: said outright, of a few words, and not for some case."""
    for match in _MUST.finditer(sentence) if not sentence.rstrip().endswith("?") else ():
        before = sentence[: match.start()]
        begun = max((m.end() for p in (_STOP, _JOIN) for m in p.finditer(before)), default=0)
        said = before[begun:].strip()
        if said and len(said.split()) <= _MOST_WORDS_COUNT and not (_NEGATION.search(said) or _OF_CASES.match(said)):
            yield "must", begun, match.start(), frozenset()


def _modals(sentence: str) -> Iterator[tuple[str, int, int, frozenset[str]]]:
    found = list(_MODAL.finditer(sentence))
    for match, following in zip(found, [*found[1:], None], strict=False):
        word = match["modal"].casefold()
        negated = match["negation"] is not None or word in ("cannot", "can't", "can’t")
        if (word in ("may", "can") and not negated) or sentence.rstrip().endswith("?"):
            continue
        if word == "must" and sentence[: match.start()].casefold().endswith((" a ", " the ")):
            continue  # a noun
        limit = following.start() if following else len(sentence)
        end = _clause_end(sentence, match.end(), limit, following is not None)
        start = match.start() if negated else match.end()
        before = sentence[: match.start()]
        begun = max((m.end() for p in (_STOP, _JOIN) for m in p.finditer(before)), default=0)
        if sentence[match.end() : end].strip():
            yield "modal", start, end, frozenset(stems(before[begun:]))


def _bounds(sentence: str, values: list[Item]) -> Iterator[tuple[str, int, int, frozenset[str]]]:
    for match in _BOUND.finditer(sentence):
        word = match[0].split()[0].casefold()
        met = next((v for v in values if match.end() <= v.start <= match.end() + 1 and v.kind in _BOUNDED), None)
        if met is None or (word in _DATED and met.kind not in ("date", "time", "period", "money", "quantity")):
            continue
        if word in ("by", "before", "after", "until") and met.kind not in ("date", "time", "period"):
            continue
        yield "bound", match.start(), met.start + len(met.text), frozenset()


def _exclusions(sentence: str) -> Iterator[tuple[str, int, int, frozenset[str]]]:
    for match in _EXCLUSION.finditer(sentence):
        end = _clause_end(sentence, match.end(), len(sentence), True)
        said = sentence[match.end() : end]
        if match["word"].casefold() == "no" and len(said.split()) > 3:
            continue
        if 0 < len(said.split()) <= 12:
            yield "exclusion", match.start(), end, frozenset()
    for match in _TRAILING.finditer(sentence):
        before = sentence[: match.start()]
        begun = max((m.end() for p in (_STOP, _JOIN) for m in p.finditer(before)), default=0)
        if 0 < len(before[begun:].split()) <= 6:
            yield "exclusion", begun, match.end(), frozenset()


def _scopes(sentence: str, values: list[Item]) -> Iterator[tuple[str, int, int, frozenset[str]]]:
    for match in _SCOPE.finditer(sentence):
        yield "scope", match.start("what"), match.end("what"), frozenset()
    for value in values:
        if value.kind == "period" and value.key.startswith(_FISCAL):
            yield "scope", value.start, value.start + len(value.text), frozenset()


def _labelled(sentence: str) -> Iterator[tuple[str, int, int, frozenset[str]]]:
    for match in _LABEL.finditer(sentence):
        start = match.end()
        for part in re.split(r"(,(?!\d)\s?|\sand\s)", sentence[start:]):
            if part.strip(" ,.;") not in ("", "and"):
                yield "label", start, start + len(part), frozenset(stems(match[0]))
            start += len(part)


def _clause_end(sentence: str, start: int, limit: int, cuts_at_join: bool) -> int:
    """Where the clause that begins at `start` ends: a stop, or the joining word before the next clause."""
    stop = _STOP.search(sentence, start, limit)
    end = stop.start() if stop else limit
    if cuts_at_join:
        joins = [m.start() for m in _JOIN.finditer(sentence, start, end)]
        if joins:
            end = joins[-1] if limit < len(sentence) else joins[0]
    return end
