"""Whether two texts say the same, and what a text says of work: that it is to be done again, is not done yet, is a look at
how things stand.

Invariant: pure, linear in texts that the reader has bounded, and coarse on purpose: texts with other values are never the same.
The word lists are of meaning, in the language of most agents; where they miss, a detector of repeated work falls back on what
came back. Called by `flow.duplicate` and `flow.loop`.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from trajectory.detection.failure_result import failure_in
from trajectory.detection.failure_text import is_empty_result
from trajectory.detection.reader import Reader
from trajectory.detection.words import stem

REDO = re.compile(
    r"\b(?:again|once more|re-?(?:do|try|tries|trying|run|running|check|start|write|submit|send|work)\w*|fix\w*|revis\w+|"
    r"correct\w*|wrong|reject\w*|improv\w+|feedback|outdated|stale|expired|has (?:changed|been updated)|"
    r"(?:second|next|another) (?:try|attempt|round)|this time)\b",
    re.I,
)
SEVERAL_VIEWS = re.compile(
    r"\b(?:vot(?:e|es|ed|ing)|majority|consensus|ensembles?|independent(?:ly)?|(?:second|another|other) opinions?|"
    r"cross-?check\w*|compar(?:e|es|ed|ing|ison)|both (?:answers?|results?|drafts?|opinions?)|best[ -]of|judges?|arbit\w+|"
    r"redundan\w+|double-?check\w*|in agreement|agree\w*|self-consistency|samples?|candidates?|race|hedg\w+|whichever)\b",
    re.I,
)
LOOKING = re.compile(
    r"\b(?:status|progress|(?:is|are|be) .{0,40}\bready|yet|poll\w*|monitor\w*|watch\w*|latest|"
    r"current(?:ly)?|wait\w*|ping|health\w*|heartbeat|"
    r"right now|today|next (?:page|batch|part|step|item|chunk|one)|continue|go on|proceed|remaining|scroll\w*|"
    r"check (?:on|in|if|whether|again))\b",
    re.I,
)
CHECKING = re.compile(  # to be done, and no word for what was checked before ("audited filings")
    r"\b(?:tests?|testing|verif(?:y|ies|ying|ication)|validat(?:e|es|ing|ion)|review(?:s|ing)?|check(?:s|ing)?|lint(?:s|ing)?|"
    r"(?:re)?build(?:s|ing)?|compil(?:e|es|ing|ation)|deploy(?:s|ing|ment)?|run|audit(?:s|ing)?|approv(?:e|es|ing|al))\b",
    re.I,
)
WAITING = re.compile(
    r"\b(?:not (?:yet|ready|done|finished|complete)|pending|in progress|queued|still \w+ing|please wait|try again later|"
    r"(?:is|are|am|be|status\W{1,4}) ?(?:running|processing|scheduled|deploying|building|uploading|waiting|working on)|"
    r"\d+ ?% (?:done|complete\w*|finished|ready|through)|(?:progress|status)\W{1,4}\d+ ?%)(?!\w)",
    re.I,
)
UNDONE = re.compile(
    r"\b(?:not found|try again|retry|incomplete|partial\w*|timed? ?out|(?:could|can|did|do|have)(?: ?not|n['’]?t)|cannot|unable|"
    r"unavailable|failed|no (?:results?|match\w*|answers?|data|hits?)|unclear|need (?:more|to know)|clarif\w+|which (?:one|of))\b"
    r"|\?\s*$",
    re.I,
)
_HEAD_CHARS, _TAIL_CHARS = 300, 120  # where an answer says what became of the work
_MAX_LOOKED_CHARS = 4000  # where words about the work stand: at the beginning, and not in what a document says


class Text(NamedTuple):
    """What was said: `plain` without case and spacing, its words' stems, those of them that are names, and its values."""

    plain: str
    stems: frozenset[str]
    names: frozenset[str]
    values: frozenset[tuple[str, str]]

    @property
    def is_telling(self) -> bool:
        """Whether it says enough to be the same as another by more than chance."""
        return len(self.stems) >= 3 or (bool(self.values) and bool(self.stems))


_NAME = re.compile(r"(?<=[a-z,;)] )[A-ZÀ-Þ]\w{0,60}")  # a capital within a sentence


def text_of(reader: Reader, digests: Iterable[bytes]) -> Text | None:
    """What payloads say together; None where none is at hand."""
    readable = [d for d in digests if reader.has(d)]
    if not readable:
        return None
    plain = " ".join(" ".join(folded(reader, d).split()) for d in readable)
    stems = frozenset[str]().union(*(reader.stems(d) for d in readable))
    items = [item for d in readable for item in reader.items(d) if item.kind != "name"]
    values = frozenset((item.kind, item.key) for item in items)
    names = frozenset(stem(match[0]) for d in readable for match in _NAME.finditer(reader.text(d) or ""))
    of_values = frozenset(stem(word) for item in items for word in item.text.split())  # `EUR` of `EUR 900` is no name
    return Text(plain, stems, names - of_values, values)


def folded(reader: Reader, digest: bytes) -> str:
    """What a payload says, without case; empty where it is not at hand."""
    return (reader.text(digest) or "").casefold()


def alike(one: Text, other: Text, ratio: float) -> bool:
    """Whether two texts say the same: in the same words, or with the same values and most of their words in common."""
    if one.plain == other.plain:
        return True
    if one.values != other.values or (one.stems ^ other.stems) & (one.names | other.names):
        return False
    return len(one.stems & other.stems) >= ratio * len(one.stems | other.stems) and bool(one.stems)


def brings_news(later: Text, *earlier: Text) -> bool:
    """Whether a text says what none of the earlier ones did: a value, or half of its words."""
    if any(later.plain == one.plain for one in earlier):
        return False
    known = frozenset[tuple[str, str]]().union(*(one.values for one in earlier))
    words = frozenset[str]().union(*(one.stems for one in earlier))
    return bool(later.values - known) or 2 * len(later.stems & words) < len(later.stems)


def says(pattern: re.Pattern[str], text: str) -> bool:
    """Whether a text says, at its beginning or end, what a pattern is about."""
    if len(text) <= 2 * _MAX_LOOKED_CHARS:
        return pattern.search(text) is not None
    return pattern.search(text[:_MAX_LOOKED_CHARS]) is not None or pattern.search(text[-_MAX_LOOKED_CHARS:]) is not None


def came_to_nothing(answer: str) -> bool:
    """Whether an answer says that the work is not done: it failed, is empty, goes on, or asks back."""
    return is_empty_result(answer) or failure_in(answer) is not None or _is_unfinished(answer)


def is_waiting(answer: str) -> bool:
    """Whether an answer says that something goes on and is to be asked after again."""
    return _says_about_work(WAITING, answer)


def _is_unfinished(answer: str) -> bool:
    return is_waiting(answer) or _says_about_work(UNDONE, answer)


def _says_about_work(pattern: re.Pattern[str], answer: str) -> bool:
    if pattern.search(answer[:_HEAD_CHARS]) is not None:
        return True
    return len(answer) > _HEAD_CHARS and pattern.search(answer[-_TAIL_CHARS:]) is not None
