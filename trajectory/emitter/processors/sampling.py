"""Sampling by trace: whole traces or none, decided by the trace's id, so that every process decides the same without asking.

Invariant: a trace that is not chosen waits in memory until its last span in this process has ended; an error in it sends all
that waits and all that follows, else what waits is let go. What outgrows the memory is sent, never lost: the bounds cost volume.
Bodies wait apart, since any trace may name them, and leave before the first fact that does. Called by `chain`.
"""

from collections.abc import Callable, Iterator
from typing import Any

from trajectory.model.words import EVENT_EXCEPTION, SpanStatus
from trajectory.protocol.frames import (
    PAYLOAD,
    SPAN_ENDED,
    SPAN_EVENT,
    SPAN_LINKED,
    SPAN_STARTED,
    WITH_CONTENTS,
)

HELD_BYTES = 16 * 1024 * 1024  # of facts, and again of bodies
FACT_BYTES = 1000  # what a fact takes in memory beside its long texts
KEPT_TRACES = 65_536  # of which it is remembered that they had an error
OF_SPANS = WITH_CONTENTS | {SPAN_LINKED}
RANDOM_BYTES = 7  # the part of a trace id that W3C Trace Context, level 2, says is random

Fact = tuple[Any, ...]
_ERRORS = frozenset({(SPAN_ENDED, str(SpanStatus.ERROR)), (SPAN_EVENT, EVENT_EXCEPTION)})


def is_chosen(trace_id: bytes, ratio: float) -> bool:
    """Whether a trace belongs to the share that is sent, as OpenTelemetry's consistent probability sampling decides it."""
    return int.from_bytes(trace_id[-RANDOM_BYTES:], "big") >= (1.0 - ratio) * (1 << 8 * RANDOM_BYTES)


class _Waiting:
    """A trace that was not chosen: its facts so far, and the spans of it that are open."""

    __slots__ = ("facts", "open", "size_bytes")

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.open: set[bytes] = set()
        self.size_bytes = 0


class Sampling:
    """Decides what passes. `forget(digest)` has a body sent again, before the next fact that names it."""

    def __init__(self, ratio: float, forget: Callable[[bytes], None], held_bytes: int = HELD_BYTES) -> None:
        self._ratio = ratio
        self._bodies = WaitingBodies(forget, held_bytes)
        self._held_bytes = held_bytes
        self._waiting: dict[bytes, _Waiting] = {}
        self._kept: dict[bytes, None] = {}
        self._size_bytes = 0

    def passing(self, fact: Fact) -> Iterator[Fact]:
        """What may go on now that this fact came: nothing, it alone, or what waited with it."""
        if fact[0] == PAYLOAD:
            self._bodies.put(fact)
            return  # room is made once the fact that it goes before has come, for that may name others that wait
        if fact[0] not in OF_SPANS:
            yield fact
        elif fact[1] in self._kept or is_chosen(fact[1], self._ratio):
            yield from self._bodies.with_own(fact)
        else:
            yield from self._held(fact)
        yield from self._relieved()

    def rest(self) -> Iterator[Fact]:
        """The traces that are still open at the end of the process: that they did not end is worth knowing."""
        while self._waiting:
            yield from self._released(next(iter(self._waiting)))

    def _held(self, fact: Fact) -> Iterator[Fact]:
        trace_id = fact[1]
        waiting = self._waiting.setdefault(trace_id, _Waiting())
        waiting.facts.append(fact)
        size_bytes = _size_of(fact)
        waiting.size_bytes += size_bytes
        self._size_bytes += size_bytes
        self._bodies.claim(fact)
        if fact[0] == SPAN_STARTED:
            waiting.open.add(fact[2])
        elif fact[0] == SPAN_ENDED:
            waiting.open.discard(fact[2])
        if _is_error(fact):
            yield from self._released(trace_id)
        elif not waiting.open and fact[0] == SPAN_ENDED:
            self._taken(trace_id)

    def _relieved(self) -> Iterator[Fact]:
        """Makes room: the traces that wait longest go on, for an error in them may still come."""
        while not (self._bodies.shrink() and self._size_bytes <= self._held_bytes) and self._waiting:
            yield from self._released(next(iter(self._waiting)))

    def _taken(self, trace_id: bytes) -> list[Fact]:
        waiting = self._waiting.pop(trace_id)
        self._size_bytes -= waiting.size_bytes
        for fact in waiting.facts:
            self._bodies.unclaim(fact)
        return waiting.facts

    def _released(self, trace_id: bytes) -> Iterator[Fact]:
        self._kept[trace_id] = None
        if len(self._kept) > KEPT_TRACES:
            del self._kept[next(iter(self._kept))]
        for fact in self._taken(trace_id):
            yield from self._bodies.with_own(fact)


class WaitingBodies:
    """Bodies that no fact which left has named yet. Of what is too much, the oldest goes that no waiting fact names."""

    def __init__(self, forget: Callable[[bytes], None], held_bytes: int) -> None:
        self._forget = forget
        self._held_bytes = held_bytes
        self._bodies: dict[bytes, Fact] = {}
        self._claims: dict[bytes, int] = {}  # how many facts that wait name it
        self._size_bytes = 0

    def put(self, body: Fact) -> None:
        """Holds a body."""
        if body[1] not in self._bodies:
            self._size_bytes += len(body[3])
        self._bodies[body[1]] = body

    def shrink(self) -> bool:
        """Lets go of what is too much; False where all of it is named by facts that wait."""
        while self._size_bytes > self._held_bytes:
            digest = next((one for one in self._bodies if one not in self._claims), None)
            if digest is None:
                return False
            body = self._bodies.pop(digest)
            self._size_bytes -= len(body[3])
            self._forget(digest)
        return True

    def with_own(self, fact: Fact) -> Iterator[Fact]:
        """The fact behind the bodies that it is the first to name."""
        for digest in _digests(fact):
            if digest in self._bodies:
                body = self._bodies.pop(digest)
                self._size_bytes -= len(body[3])
                yield body
        yield fact

    def claim(self, fact: Fact) -> None:
        """A fact that waits names its bodies."""
        for digest in _digests(fact):
            self._claims[digest] = self._claims.get(digest, 0) + 1

    def unclaim(self, fact: Fact) -> None:
        """It waits no more."""
        for digest in _digests(fact):
            self._claims[digest] -= 1
            if not self._claims[digest]:
                del self._claims[digest]


def _digests(fact: Fact) -> list[bytes]:
    """The digests that a fact names."""
    contents = fact[-1] if fact[0] in WITH_CONTENTS else None
    return [digest for those in contents.values() for digest in those] if isinstance(contents, dict) else []


def _is_error(fact: Fact) -> bool:
    return (fact[0], fact[5]) in _ERRORS if fact[0] in (SPAN_ENDED, SPAN_EVENT) else False


def _size_of(fact: Fact) -> int:
    """About what a fact takes in memory."""
    attributes = fact[-2] if fact[0] in WITH_CONTENTS else fact[-1]
    values = attributes.values() if isinstance(attributes, dict) else ()
    return FACT_BYTES + sum(len(value) for value in values if isinstance(value, (str, bytes)))
