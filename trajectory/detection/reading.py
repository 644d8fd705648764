"""What one payload says, and what is found in its text: each worked out when it is first asked for.

Invariant: a function of the body alone. Payloads that say the same (a task, and the message that brings it to a model) share one
`Text`, so its words and values are found once. Texts themselves are let go of between one question and the next (`rest`) and read
again when something new is asked. Called by `reader`, which keeps readings.
"""

import json
import re
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, NamedTuple

from trajectory.detection.constraints import SENTENCE, Constraint, constraints_in
from trajectory.detection.items import Item, items_in_plain
from trajectory.detection.words import READ_CHARS, plain, stems
from trajectory.model.content import MESSAGE, message_text

_ASKING = ("user", "human", "")
_UNREADABLE = object()
_LARGE_BYTES = 512 * 1024
_MAX_LARGE_COUNT = 64
_MAX_HELD_CHARS = 4 * 1024 * 1024


class Bodies:
    """The payloads of a trace as they are read, and the texts that are held at the moment.

    What large bodies say is kept, as many of them as `_MAX_LARGE_COUNT`: reading them takes long.
    """

    def __init__(self, body: Callable[[bytes], tuple[str, bytes] | None]) -> None:
        self._body = body
        self._large: dict[bytes, Said] = {}
        self._texts: dict[str, Text] = {}  # those that are held, by what they say
        self._awake: list[Text] = []
        self._held_chars = 0

    def has(self, digest: bytes) -> bool:
        """Whether a body is at hand."""
        return self._body(digest) is not None

    def said(self, digest: bytes) -> "Said | None":
        """What a body says; None where it is not at hand."""
        known = self._large.get(digest)
        if known is not None:
            return known
        body = self._body(digest)
        if body is None:
            return None
        said = said_in(*body)
        if len(body[1]) > _LARGE_BYTES:
            self._large[digest] = said
            if len(self._large) > _MAX_LARGE_COUNT:
                del self._large[next(iter(self._large))]
        return said

    def text(self, said: str, digest: bytes, is_asked: bool) -> "Text":
        """The one text of all payloads that say the same."""
        text = self._texts.get(said)
        if text is None:
            text = Text(digest, is_asked, self)
            text.said = said
            self.hold(text, said)
            self._texts[said] = text
        return text

    def hold(self, text: "Text", said: str) -> None:
        """Notes that a text is held; lets go of the others where they are too many."""
        if self._held_chars > _MAX_HELD_CHARS:
            self.rest()
        self._awake.append(text)
        self._held_chars += len(said)

    def rest(self) -> None:
        """Lets go of all texts."""
        for text in self._awake:
            text.rest()
        self._awake.clear()
        self._texts.clear()
        self._held_chars = 0


class Text:
    """A text of at most `READ_CHARS` characters: what a payload says, or what of it a user asked for."""

    def __init__(self, digest: bytes, is_asked: bool, bodies: Bodies) -> None:
        self._digest = digest
        self._is_asked = is_asked
        self._bodies = bodies

    def rest(self) -> None:
        """Lets go of the text; what was found in it stays."""
        held = vars(self)
        held.pop("said", None)
        held.pop("plain", None)

    @cached_property
    def said(self) -> str:
        found = self._bodies.said(self._digest) or _NOTHING
        said = found.asked if self._is_asked else found.text
        self._bodies.hold(self, said)
        return said

    @cached_property
    def plain(self) -> str:
        """The text in one normal form, in which values have their places."""
        return plain(self.said)

    @cached_property
    def items(self) -> list[Item]:
        return items_in_plain(self.plain)

    @cached_property
    def stems(self) -> frozenset[str]:
        return frozenset(stems(self.said))

    @cached_property
    def sentences(self) -> dict[str, frozenset[str]]:
        found = (match[0].strip().casefold() for match in SENTENCE.finditer(self.said))
        return {sentence: frozenset(stems(sentence)) for sentence in found if sentence}

    @cached_property
    def tokens(self) -> frozenset[str]:
        return _tokens(self.said.casefold())

    @cached_property
    def constraints(self) -> list[Constraint]:
        return constraints_in(self.said)


class Said(NamedTuple):
    """What a body says: as a person would read it, what of it a user asked for (nothing in what a model, a tool or a system
    prompt says), and whether it is a message that only brings a tool's result. Texts of at most `READ_CHARS`."""

    text: str
    asked: str
    is_data: bool


_NOTHING = Said("", "", False)


def said_in(media_type: str, body: bytes) -> Said:
    """Reads a body. Never raises; of a large one that is not a message a bounded part."""
    whole = body.decode("utf-8", "replace")
    is_message = media_type == MESSAGE
    if not is_message and whole.lstrip()[:1] not in ("{", "["):
        text = whole[:READ_CHARS]
        return Said(text, text, False)
    value = _parsed(whole if is_message else whole[: 4 * READ_CHARS])
    text = _message_text(value, whole) if is_message else whole
    has_roles = value is not _UNREADABLE and _has_roles(value)
    asked = "\n".join(_asked_in(value, 0)) if has_roles else plain(whole)
    return Said(text[:READ_CHARS], asked[:READ_CHARS], is_message and _is_data(value))


def _message_text(value: Any, whole: str) -> str:
    """As `text_of` has it, of what is parsed already."""
    if value is _UNREADABLE:
        return whole
    try:
        return message_text(value)
    except (ValueError, AttributeError, TypeError, RecursionError):
        return whole


def _is_data(value: Any) -> bool:
    parts = value.get("parts") if isinstance(value, dict) else None
    if not isinstance(parts, list) or not parts:
        return False
    return all(isinstance(p, dict) and p.get("type") == "tool_call_response" for p in parts)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _UNREADABLE


_TOKEN = re.compile(r"[^\W_]+(?:[-_][^\W_]+)*|\d+(?:[.,]\d+)+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_PART = re.compile(r"[^\W_]+")


def _tokens(folded: str) -> frozenset[str]:
    found = set(_TOKEN.findall(folded))
    found.update(_NUMBER.findall(folded))
    found.update(part for token in list(found) if "-" in token or "_" in token for part in _PART.findall(token))
    return frozenset(found)


def _has_roles(value: Any) -> bool:
    """Whether JSON is a message, a list of messages, or an object that holds one under `messages`."""
    if isinstance(value, dict):
        return ("role" in value and ("parts" in value or "content" in value)) or isinstance(value.get("messages"), list)
    return isinstance(value, list) and bool(value) and _has_roles(value[0])


def _asked_in(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, list) and depth < 4:
        for each in value:
            yield from _asked_in(each, depth + 1)
    elif isinstance(value, dict):
        if isinstance(value.get("messages"), list) and depth < 4:
            yield from _asked_in(value["messages"], depth + 1)
        elif str(value.get("role", value.get("type", ""))).casefold() in _ASKING:
            yield _user_text(value)


def _user_text(message: dict[str, Any]) -> str:
    """A user's own words: without the results of tools, which some frameworks send in the user's name."""
    if "parts" not in message:
        content = message.get("content")
        return content if isinstance(content, str) else ""
    parts = message["parts"] if isinstance(message["parts"], list) else []
    return message_text({"parts": [p for p in parts if isinstance(p, dict) and p.get("type", "text") == "text"]})
