"""What a trace's payloads say, each read once however many spans hold it.

Invariant: everything here is a function of a payload's digest, so one reading serves all detectors of a trace, and memory is
bounded by `MAX_READ_COUNT` readings; the oldest are read again when they are asked for. Called by the detectors that compare
content; `reader_of` gives all of them the same reader, and `judge` lets it rest once all have settled.
"""

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import NamedTuple

from trajectory.detection.constraints import Constraint
from trajectory.detection.items import Item, keys_of, lookup_key
from trajectory.detection.reading import Bodies, Said, Text
from trajectory.detection.units import dimension_of, says_same
from trajectory.graph.trace import Trace

MAX_READ_COUNT = 4096
_MAX_MEASURED_COUNT = 500  # quantities that one is compared with after conversion


class Reader:
    """Readings of one trace's payloads. None, and nothing, where a body is not at hand."""

    def __init__(self, trace: Trace) -> None:
        self._bodies = Bodies(trace.payload_source)
        self._readings: dict[bytes, _Reading] = {}

    def has(self, digest: bytes) -> bool:
        """Whether a body is at hand."""
        return digest in self._readings or self._bodies.has(digest)

    def text(self, digest: bytes) -> str | None:
        """What a payload says; bounded."""
        reading = self._reading(digest)
        return reading.text.said if reading is not None else None

    def plain(self, digest: bytes) -> str:
        """What a payload says in one normal form, in which the values of `items` have their places."""
        reading = self._reading(digest)
        return reading.text.plain if reading is not None else ""

    def tokens(self, digest: bytes) -> frozenset[str]:
        """What values are looked up by: a payload's words and numbers, whole and in parts, without case."""
        reading = self._reading(digest)
        return reading.text.tokens if reading is not None else frozenset()

    def items(self, digest: bytes) -> list[Item]:
        """The values in a payload."""
        reading = self._reading(digest)
        return reading.text.items if reading is not None else []

    def stems(self, digest: bytes) -> frozenset[str]:
        """The stems of a payload's words."""
        reading = self._reading(digest)
        return reading.text.stems if reading is not None else frozenset()

    def sentences(self, digest: bytes) -> dict[str, frozenset[str]]:
        """A payload's sentences, without case, and the stems of each."""
        reading = self._reading(digest)
        return reading.text.sentences if reading is not None else {}

    def asked(self, digest: bytes) -> str:
        """What a payload asks for: a user's words in it; empty for what a model, a tool or a system prompt says."""
        reading = self._reading(digest)
        return reading.asked.said if reading is not None and reading.asked is not None else ""

    def asked_items(self, digest: bytes) -> list[Item]:
        """The values in what a payload asks for."""
        reading = self._reading(digest)
        return reading.asked.items if reading is not None and reading.asked is not None else []

    def constraints(self, digest: bytes) -> list[Constraint]:
        """The constraints in what a payload asks for."""
        reading = self._reading(digest)
        return reading.asked.constraints if reading is not None and reading.asked is not None else []

    def told(self, digest: bytes) -> list[Constraint]:
        """The constraints in all that a payload says."""
        reading = self._reading(digest)
        return reading.text.constraints if reading is not None else []

    def is_data(self, digest: bytes) -> bool:
        """Whether a payload is a message that only brings a tool's result."""
        reading = self._reading(digest)
        return reading is not None and reading.is_data

    def rest(self) -> None:
        """Lets go of the texts themselves, which are only kept from one question to the next."""
        self._bodies.rest()

    def _reading(self, digest: bytes) -> "_Reading | None":
        reading = self._readings.get(digest)
        if reading is None:
            said = self._bodies.said(digest)
            if said is None:  # a body that comes later is read then
                return None
            reading = self._readings[digest] = self._read(digest, said)
            if len(self._readings) > MAX_READ_COUNT:
                del self._readings[next(iter(self._readings))]
        return reading

    def _read(self, digest: bytes, said: Said) -> "_Reading":
        text = self._bodies.text(said.text, digest, False)
        if said.asked == said.text or not said.asked:
            return _Reading(text, text if said.asked else None, said.is_data)
        return _Reading(text, self._bodies.text(said.asked, digest, True), said.is_data)


class _Reading(NamedTuple):
    """The texts of a payload: of all, and of what a user asks in it."""

    text: Text
    asked: Text | None
    is_data: bool


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
