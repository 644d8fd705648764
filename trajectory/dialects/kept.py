"""What long texts were read as, for as long as they are likely to come again: frameworks repeat their state in every span.

Invariant: a bounded number of characters is kept, whatever comes; what is handed out is shared, and nobody changes it. Called by
`messages`.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

SHORTEST_CHARS = 256  # what is shorter is not worth the room
MOST_CHARS = 512 * 1024  # in each of two generations: a state comes again soon, or never

_Read = TypeVar("_Read")


class Kept(Generic[_Read]):
    """Remembers what `read` makes of a text, or of a value that a text spells.

    Two generations: what was not asked for during one of them is forgotten.
    """

    def __init__(self, read: Callable[[Any], _Read]) -> None:
        self._read = read
        self._now: dict[str | bytes, _Read] = {}
        self._before: dict[str | bytes, _Read] = {}
        self._last: tuple[str | bytes, _Read | None] = (
            "",
            None,
        )  # mostly a span's output, or the next span, says the same again
        self._chars = 0

    def __call__(self, text: str) -> _Read:
        return self.of(text, text)

    def of(self, text: str | bytes, value: Any) -> _Read:
        """What `read` makes of a value that is spelled so, by one and the same speller."""
        if len(text) < SHORTEST_CHARS:
            return self._read(value)
        last, read = self._last
        if text == last:  # compared in a fraction of the time in which it is hashed
            return read  # type: ignore[return-value]
        now, before = self._now, self._before  # another thread may begin a generation meanwhile
        if text in now:
            read = now[text]
        else:
            read = before[text] if text in before else self._read(value)
            if self._chars + len(text) > MOST_CHARS:
                self._before, self._now, self._chars = self._now, {}, 0
            if len(text) > MOST_CHARS:
                return read
            self._now[text] = read
            self._chars += len(text)
        self._last = text, read
        return read
