"""What a text that was taken over word for word left out of it: a copy with a hole.

Invariant: a copy is one only where most of the sentences stand in it as they were written, two at least; a brief in words of its
own is none, however much it leaves out. A sentence counts as left out where it asks for something and what else was said does not
say it in other words. Pure, linear in the texts. Called by the detectors of lost and of truncated context.
"""

import re
from collections.abc import Iterator, Mapping

from trajectory.detection.constraints import SENTENCE, Constraint
from trajectory.detection.words import plain, stems

Sentences = Mapping[str, frozenset[str]]  # without case, each with the stems of its words

LEAST_COPIED_COUNT = 2
_COPIED_RATIO = 0.6
_MAX_SENTENCES_COUNT = 60  # a longer text is a document
_TELLING_COUNT = 3  # stems of a sentence that asks for something of its own
_SAID_RATIO = 0.6  # of a sentence's stems, in what else was said: then that says it
_RELATIVE = re.compile(r"\b(?:that|who|which)\b", re.I)
_ASKS = re.compile(
    r"\b(?:wants?|needs?|must|shall|should|has to|have to|prefers?|only|never|don[’']t|do not|cannot|if|unless|except|use|using|"
    r"give|return|include|exclude|make sure|ensure|keep|avoid|before|after|until|instead|at most|at least|no more|"
    r"no less|soll|muss|darf|nicht|nur|doit|ne pas|seulement|debe|sólo|solo|nunca)\b",
    re.I,
)


def left_out(asked: str, copy: Sentences, said: Sentences) -> Iterator[str]:
    """The sentences of a request, as they were written, that a copy of it lacks, and that are not in what was `said` besides."""
    written = [match[0].strip() for match in SENTENCE.finditer(plain(asked)) if match[0].strip()]
    if len(written) > _MAX_SENTENCES_COUNT:
        return
    folded = {sentence.casefold() for sentence in written}
    taken_count = sum(sentence.casefold() in copy for sentence in written)
    if taken_count < LEAST_COPIED_COUNT or taken_count < _COPIED_RATIO * len(written):
        return
    others = frozenset[str]().union(
        *(held for told in (copy, said) for sentence, held in told.items() if sentence not in folded)
    )
    for sentence in written:
        if sentence.casefold() not in copy and sentence.casefold() not in said and _asks(sentence):
            own = stems(sentence)
            if len(own) >= _TELLING_COUNT and len(own & others) < _SAID_RATIO * len(own):
                yield sentence


def _asks(sentence: str) -> bool:
    """Whether a sentence asks for something itself, and not only in a clause that says what somebody or something is like."""
    return sentence.endswith("?") or _ASKS.search(_RELATIVE.split(sentence, maxsplit=1)[0]) is not None


def as_condition(sentence: str) -> Constraint:
    """A sentence as a condition of its own."""
    words = frozenset(stems(sentence))
    return Constraint("sentence", sentence, 0, words, (), words, words, False, False)
