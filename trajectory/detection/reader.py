"""What a trace's payloads say, each read once however many spans hold it.

Invariant: everything here is a function of a payload's digest, so one reading serves all detectors of a trace, and memory is
bounded by `MAX_READ_COUNT` readings; the oldest are read again when they are asked for. Called by the detectors that compare
content; `reader_of` gives all of them the same reader.
"""

import json
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any, TypeVar

from trajectory.detection.constraints import SENTENCE, Constraint, constraints_in
from trajectory.detection.items import Item, items_in, keys_of, lookup_key
from trajectory.detection.units import dimension_of, says_same
from trajectory.detection.words import READ_CHARS, plain, stems
from trajectory.graph.trace import Trace
from trajectory.model.content import MESSAGE, message_text

MAX_READ_COUNT = 8192
_MAX_SAID_CHARS = 4 * 1024 * 1024
_LARGE_BYTES = 512 * 1024  # of a body that is read once
_MAX_LARGE_COUNT = 64
_MAX_MEASURED_COUNT = 500  # quantities that one is compared with after conversion
_ASKING = ("user", "human", "")
_T = TypeVar("_T")


class Reader:
    """Readings of one trace's payloads. None, and nothing, where a body is not at hand."""

    def __init__(self, trace: Trace) -> None:
        self._body = trace.payload_source
        self._cache: OrderedDict[tuple[str, bytes], Any] = OrderedDict()
        self._said: dict[bytes, _Said] = {}
        self._said_chars = 0
        self._beginnings: OrderedDict[bytes, _Said] = OrderedDict()  # of large bodies

    def has(self, digest: bytes) -> bool:
        """Whether a body is at hand."""
        return digest in self._said or self._body(digest) is not None

    def text(self, digest: bytes) -> str | None:
        """What a payload says; bounded."""
        said = self._read(digest)
        return said.text[:READ_CHARS] if said is not None else None

    def tokens(self, digest: bytes) -> frozenset[str]:
        """What values are looked up by: a payload's words and numbers, whole and in parts, without case."""
        return self._once("tokens", digest, lambda said: _tokens(said.text[:READ_CHARS].casefold()), frozenset())

    def items(self, digest: bytes) -> list[Item]:
        """The values in a payload."""
        return self._once("items", digest, lambda said: items_in(said.text), [])

    def stems(self, digest: bytes) -> frozenset[str]:
        """The stems of a payload's words."""
        return self._once("stems", digest, lambda said: frozenset(stems(said.text)), frozenset())

    def sentences(self, digest: bytes) -> dict[str, frozenset[str]]:
        """A payload's sentences, without case, and the stems of each."""
        return self._once("sentences", digest, lambda said: _sentences(said.text), {})

    def asked(self, digest: bytes) -> str:
        """What a payload asks for: a user's words in it; empty for what a model, a tool or a system prompt says."""
        return self._once("asked", digest, lambda said: said.asked, "")

    def asked_items(self, digest: bytes) -> list[Item]:
        """The values in what a payload asks for."""
        return self._once("asked items", digest, lambda said: items_in(self.asked(digest)), [])

    def is_data(self, digest: bytes) -> bool:
        """Whether a payload is a message that only brings a tool's result."""
        return self._once("data", digest, lambda said: said.is_data, False)

    def constraints(self, digest: bytes) -> list[Constraint]:
        """The constraints in what a payload asks for."""
        return self._once("constraints", digest, lambda said: constraints_in(self.asked(digest)), [])

    def rest(self) -> None:
        """Lets go of the texts themselves, which are only kept from one question to the next."""
        self._said.clear()
        self._said_chars = 0

    def _read(self, digest: bytes) -> "_Said | None":
        said = self._said.get(digest)
        if said is None:
            body = self._body(digest)
            if body is None:
                return None
            if self._said_chars > _MAX_SAID_CHARS:
                self.rest()
            if len(body[1]) > _LARGE_BYTES:
                return self._large(digest, body)
            said = self._said[digest] = _Said(body)
            self._said_chars += len(body[1])
        return said

    def _large(self, digest: bytes, body: tuple[str, bytes]) -> "_Said":
        """A body that takes long to read: what is read of it is kept, and only that."""
        said = self._beginnings.get(digest)
        if said is None:
            said = self._beginnings[digest] = _Said(body)
            said.keep_beginning()
            if len(self._beginnings) > _MAX_LARGE_COUNT:
                self._beginnings.popitem(last=False)
        return said

    def _once(self, what: str, digest: bytes, read: "Callable[[_Said], _T]", nothing: _T) -> _T:
        key = (what, digest)
        known: _T | None = self._cache.get(key)
        if known is not None:
            self._cache.move_to_end(key)
            return known
        said = self._read(digest)
        if said is None:  # a body that comes later is read then
            return nothing
        value = self._cache[key] = read(said)
        if len(self._cache) > MAX_READ_COUNT:
            self._cache.popitem(last=False)
        return value


class _Said:
    """A body, and what it says, worked out when it is first asked for."""

    def __init__(self, body: tuple[str, bytes]) -> None:
        self.body = body

    @cached_property
    def text(self) -> str:
        return self._plain if self.body[0] != MESSAGE else self._message_text()

    @cached_property
    def asked(self) -> str:
        media_type, held = self.body
        if len(held) > 4 * READ_CHARS:
            return _asked(self.body)
        if media_type == MESSAGE or self._plain.lstrip()[:1] in ("{", "["):
            value = self._value
            if value is _UNREADABLE or not _has_roles(value):
                return plain(self._plain)
            return "\n".join(_asked_in(value, 0))
        return self._plain[:READ_CHARS]

    @cached_property
    def is_data(self) -> bool:
        return _is_data(self.body)

    def keep_beginning(self) -> None:
        """Reads what anybody may ask for, and lets go of the rest."""
        text, asked, is_data = self.text[:READ_CHARS], self.asked, self.is_data
        vars(self).clear()
        self.body, self.text, self.asked, self.is_data = ("", b""), text, asked, is_data

    @cached_property
    def _plain(self) -> str:
        return self.body[1].decode("utf-8", "replace")

    @cached_property
    def _value(self) -> Any:
        try:
            return json.loads(self._plain)
        except (ValueError, RecursionError):
            return _UNREADABLE

    def _message_text(self) -> str:
        """As `text_of` has it, of what is parsed already."""
        if self._value is _UNREADABLE:
            return self._plain
        try:
            return message_text(self._value)
        except (ValueError, AttributeError, TypeError, RecursionError):
            return self._plain


def _sentences(text: str) -> dict[str, frozenset[str]]:
    found = (match[0].strip().casefold() for match in SENTENCE.finditer(text))
    return {sentence: frozenset(stems(sentence)) for sentence in found if sentence}


_UNREADABLE = object()


def reader_of(trace: Trace) -> Reader:
    """The one reader of a trace; it goes when the trace goes."""
    reader: Reader | None = trace.notes.get(Reader)
    if reader is None:
        reader = trace.notes[Reader] = Reader(trace)
    return reader


class Knowledge:
    """What some payloads say together: words and values, asked for by meaning. Read when first asked for."""

    def __init__(self, reader: Reader, digests: Iterable[bytes]) -> None:
        self.digests = list(dict.fromkeys(digests))
        self._reader = reader

    @cached_property
    def readable(self) -> list[bytes]:
        """The payloads that are at hand."""
        return [d for d in self.digests if self._reader.has(d)]

    @cached_property
    def stems(self) -> set[str]:
        return set().union(*(self._reader.stems(d) for d in self.readable))

    @cached_property
    def sentences(self) -> dict[str, frozenset[str]]:
        return {sentence: held for d in self.readable for sentence, held in self._reader.sentences(d).items()}

    @cached_property
    def _keys(self) -> set[tuple[str, str]]:
        return {key for item in self.items() for key in keys_of(item)}

    @cached_property
    def _figures(self) -> set[str]:
        return {item.figure for item in self.items() if item.figure}

    @cached_property
    def _measured(self) -> list[Item]:
        return list({i.key: i for i in self.items() if dimension_of(i)}.values())[:_MAX_MEASURED_COUNT]

    @property
    def is_known(self) -> bool:
        """Whether anything was captured."""
        return any(self._reader.has(d) for d in self.digests)

    def __contains__(self, item: Item) -> bool:
        """Whether a value is here, in any writing; a number also by its digits alone, a small one also as a word."""
        if lookup_key(item) in self._keys or (bool(item.figure) and item.figure in self._figures):
            return True
        if dimension_of(item) and any(says_same(item, other) for other in self._measured):
            return True
        word = _NUMBER_WORDS.get(item.figure)
        return word is not None and word in self.stems

    def items(self) -> Iterator[Item]:
        """Every value, in order of the payloads."""
        for digest in self.readable:
            yield from self._reader.items(digest)

    def holds(self, constraint: Constraint) -> bool:
        """Whether a constraint is here: all of its values, or at least half of its words where it has no values."""
        if constraint.values:
            return all(value in self for value in constraint.values)
        if not constraint.stems:
            return True
        if any(kind == "money" and key.endswith(f" {constraint.text.upper()}") for kind, key in self._keys):
            return True
        return 2 * len(constraint.stems & self.stems) >= len(constraint.stems)


_NUMBER_WORDS = {
    "2": "two", "3": "three", "4": "four", "5": "five", "6": "six", "7": "seven", "8": "eight", "9": "nine", "10": "ten",
    "11": "eleven", "12": "twelve",
}  # fmt: skip


def _asked(body: tuple[str, bytes] | None) -> str:
    if body is None:
        return ""
    media_type, held = body
    text = held[: 4 * READ_CHARS].decode("utf-8", "replace")
    if media_type == MESSAGE or text.lstrip()[:1] in ("{", "["):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return plain(text)
        return "\n".join(_asked_in(value, 0)) if _has_roles(value) else plain(text)
    return text[:READ_CHARS]


_TOKEN = re.compile(r"[^\W_]+(?:[-_][^\W_]+)*|\d+(?:[.,]\d+)+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_PART = re.compile(r"[^\W_]+")


def _tokens(folded: str) -> frozenset[str]:
    found = set(_TOKEN.findall(folded))
    found.update(_NUMBER.findall(folded))
    found.update(part for token in list(found) if "-" in token or "_" in token for part in _PART.findall(token))
    return frozenset(found)


def _is_data(body: tuple[str, bytes] | None) -> bool:
    if body is None or body[0] != MESSAGE:
        return False
    try:
        message = json.loads(body[1])
    except (ValueError, RecursionError):
        return False
    parts = message.get("parts") if isinstance(message, dict) else None
    if not isinstance(parts, list) or not parts:
        return False
    return all(isinstance(p, dict) and p.get("type") == "tool_call_response" for p in parts)


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
    parts = [p for p in message["parts"] or () if isinstance(p, dict) and p.get("type", "text") == "text"]
    return message_text({"parts": parts})
