"""The growing answer of a model, whose pieces split any secret: the last words wait until they are whole.

Invariant: the pieces of a span, put together, say what they said before, but for what was redacted; at most MAX_HELD
characters of a span wait, and no more than MAX_SPANS spans have any. Called by `chain`.
"""

from collections.abc import Callable, Iterator
from typing import Any

from trajectory.model.words import EVENT_DELTA
from trajectory.protocol.frames import SPAN_ENDED, SPAN_EVENT

MAX_HELD = 20_480  # characters: a private key is taken out whole
MAX_WORDS = 4096  # characters of the last words
LAST_WORDS = 4
MAX_SPANS = 4096
_NAME_AT, _ATTRIBUTES_AT = 5, 7
_KEY_BEGINS = "-----BEGIN"

Fact = tuple[Any, ...]


class Deltas:
    """What waits, by span. `redacted` takes secrets out of a text."""

    def __init__(self, redacted: Callable[[str], str]) -> None:
        self._redacted = redacted
        self._waiting: dict[bytes, tuple[Fact, str]] = {}  # the last piece's fact, and the text that is held

    def __len__(self) -> int:
        return len(self._waiting)

    def takes(self, fact: Fact) -> bool:
        """Whether the fact is a piece of an answer, or ends a span of which some waits."""
        if fact[0] == SPAN_ENDED:
            return fact[2] in self._waiting
        return (
            fact[0] == SPAN_EVENT and len(fact) > _ATTRIBUTES_AT and fact[_NAME_AT] == EVENT_DELTA and _is_piece(fact)
        )

    def passing(self, fact: Fact) -> Iterator[Fact]:
        """The facts that may go now, in place of one that `takes` said yes to; an end goes by itself, behind them."""
        if fact[0] == SPAN_ENDED:
            yield self._rest_of(fact[2])
            return
        text = self._waiting.pop(fact[2], (fact, ""))[1] + fact[_ATTRIBUTES_AT]["text"]
        cut = _whole_until(text)
        self._waiting[fact[2]] = (fact, text[cut:])
        if cut:
            yield self._piece(fact, text[:cut])
        if len(self._waiting) > MAX_SPANS:
            yield self._rest_of(next(iter(self._waiting)))

    def rest(self) -> Iterator[Fact]:
        """Everything that waits: at the end of the process."""
        while self._waiting:
            yield self._rest_of(next(iter(self._waiting)))

    def _rest_of(self, span_id: bytes) -> Fact:
        return self._piece(*self._waiting.pop(span_id))

    def _piece(self, fact: Fact, text: str) -> Fact:
        attributes = {**fact[_ATTRIBUTES_AT], "text": self._redacted(text)}
        return (*fact[:_ATTRIBUTES_AT], attributes, *fact[_ATTRIBUTES_AT + 1 :])


def _is_piece(fact: Fact) -> bool:
    attributes = fact[_ATTRIBUTES_AT]
    return isinstance(attributes, dict) and isinstance(attributes.get("text"), str)


def _whole_until(text: str) -> int:
    """How much of a text is whole: all before its last words, and before a private key that is not at its end."""
    if len(text) > MAX_HELD:
        return len(text)
    cut = _before_last_words(text)
    begins = text.rfind(_KEY_BEGINS)
    if 0 <= begins < cut:
        end = text.find("-----END", begins)
        closing = text.find("-----", end + 8) if end >= 0 else -1
        if closing < 0 or cut < closing + 5:
            return begins
    return cut


def _before_last_words(text: str) -> int:
    """Where the last words begin: a name, a sign, a scheme and a value. No key holds a blank, or anything beyond ASCII."""
    breaks = 0
    for at in range(len(text) - 1, max(-1, len(text) - MAX_WORDS), -1):
        if text[at].isspace() or text[at] > "\x7f":
            breaks += 1
            if breaks == LAST_WORDS:
                return at
    return 0 if len(text) <= MAX_WORDS else len(text)
