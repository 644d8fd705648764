"""Where a value came from and where it went: its occurrences over what agents were shown, said, passed on and got back.

Invariant: occurrences are in order of time, a payload counts once for each agent however often it is shown again, and one
pass over a trace follows all values asked for: linear in content, never in the square of a conversation. Called by the
cascade detector, for the few values that matter.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from trajectory.detection.items import Item
from trajectory.detection.reader import Reader
from trajectory.graph.span import Span
from trajectory.graph.trace import Invocation, Trace
from trajectory.model.words import EVENT_CONTEXT, EVENT_DELTA, Slot, SpanKind

SEEN = "seen"  # shown to a model, or given to an agent as its task
RESULT = "result"  # of a tool: a source
RETURNED = "returned"  # a delegatee's answer, as the delegator got it
SAID = "said"  # by a model, or as an agent's answer
GIVEN = "given"  # as a task to another agent
ARGUMENT = "argument"  # of a tool call
USES = (SAID, GIVEN, ARGUMENT)
_ORDER = {RESULT: 0, RETURNED: 1, SEEN: 2, SAID: 3, GIVEN: 4, ARGUMENT: 5}
_MAX_REPEATED_COUNT = 3
MAX_OCCURRENCES_COUNT = 2000  # of one value


class Occurrence(NamedTuple):
    """A value in a payload of a span, in a role, at a time in nanoseconds."""

    at_ns: int
    rank: int
    span: Span
    role: str
    digest: bytes

    @property
    def owner(self) -> Invocation | None:
        return self.span.owner


def holdings(trace: Trace) -> list[Occurrence]:
    """Every payload of a trace in its role, in order of time; one that an agent is shown again is left out."""
    vehicles = trace.vehicles()
    shown: dict[int, set[bytes]] = {}
    found: list[Occurrence] = []
    for span in trace.spans.values():
        if span.is_placeholder:
            continue
        for role, at_ns, digests in _slots(span, span.span_id in vehicles):
            if role == SEEN:
                digests = _new(digests, shown.setdefault(id(span.owner), set()))
            found.extend(Occurrence(at_ns, _ORDER[role], span, role, digest) for digest in digests)
    found.sort(key=lambda o: (o.at_ns, o.rank, o.span.span_id))
    return found


def trails(held: list[Occurrence], reader: Reader, values: Iterable[Item]) -> dict[tuple[str, str], list[Occurrence]]:
    """The occurrences of each value in `held`, by (kind, key), in order of time: one pass for all of them."""
    found: dict[tuple[str, str], list[Occurrence]] = {(v.kind, v.key): [] for v in values}
    needles: dict[str, list[tuple[str, str]]] = {}
    phrases: dict[str, list[tuple[str, str]]] = {}
    for value in values:
        for form in _forms(value):
            sought = needles if _SINGLE.fullmatch(form) else phrases
            sought.setdefault(form, []).append((value.kind, value.key))
    for occurrence in held:
        for key in _met(occurrence.digest, needles, phrases, reader):
            if len(found[key]) < MAX_OCCURRENCES_COUNT:
                found[key].append(occurrence)
    return found


def _met(
    digest: bytes, needles: dict[str, list[tuple[str, str]]], phrases: dict[str, list[tuple[str, str]]], reader: Reader
) -> set[tuple[str, str]]:
    """The values that a payload holds."""
    met = {key for form in needles.keys() & reader.tokens(digest) for key in needles[form]}
    if phrases:
        text = reader.folded(digest)
        met.update(key for form, keys in phrases.items() if form in text for key in keys)
    return met


def sayings(invocation: Invocation, trace: Trace) -> list[Occurrence]:
    """What an invocation said and passed on, in order: model answers, tasks, its own answer."""
    vehicles = trace.vehicles()
    found: list[Occurrence] = []
    for span in invocation.spans.values():
        for role, at_ns, digests in _slots(span, span.span_id in vehicles):
            if role in (SAID, GIVEN):
                found += [Occurrence(at_ns, _ORDER[role], span, role, digest) for digest in digests]
    return sorted(found, key=lambda o: (o.at_ns, o.rank, o.span.span_id))


def said_after(said: list[Occurrence], invocation: Invocation, after_ns: int, limit: int) -> list[Occurrence]:
    """The first of an invocation's sayings by work that began at `after_ns` or later, and by itself."""
    found: list[Occurrence] = []
    for at in range(bisect_left(said, after_ns, key=lambda o: o.at_ns), len(said)):
        span = said[at].span
        if span is invocation.span or span.start_ns >= after_ns:
            found.append(said[at])
            if len(found) == limit:
                break
    return found


def _slots(span: Span, carries: bool) -> Iterator[tuple[str, int, list[bytes]]]:
    start, end = span.start_ns, span.end_ns or span.last_ns
    match span.kind:
        case SpanKind.TOOL | SpanKind.RETRIEVAL:
            yield (GIVEN if carries else ARGUMENT), start, span.digests(Slot.ARGUMENTS) + span.digests(Slot.TASK)
            yield (RETURNED if carries else RESULT), end, span.digests(Slot.RESULT) + span.digests(Slot.RETURNED)
        case SpanKind.DELEGATION:
            yield GIVEN, start, span.digests(Slot.TASK) or span.digests(Slot.ARGUMENTS)
            yield RETURNED, end, span.digests(Slot.RETURNED) or span.digests(Slot.RESULT)
        case SpanKind.AGENT | SpanKind.MODEL:
            yield SEEN, start, span.digests(Slot.TASK) + span.digests(Slot.SYSTEM) + span.digests(Slot.INPUT)
            yield SAID, end, span.digests(Slot.OUTPUT) + span.digests(Slot.RETURNED)
    yield SEEN, start, span.digests(Slot.CONTEXT)
    for event in span.events:
        if event.contents and event.name != EVENT_DELTA:
            role = SEEN if event.name == EVENT_CONTEXT else SAID
            yield role, event.at_ns, [d for digests in event.contents.values() for d in digests]


def _new(digests: list[bytes], shown: set[bytes]) -> list[bytes]:
    """The payloads at a list's end that were not shown before: a conversation grows at its end, so the walk stops there."""
    fresh: list[bytes] = []
    repeated_count = 0
    for digest in reversed(digests):
        if digest in shown:
            repeated_count += 1
            if repeated_count > _MAX_REPEATED_COUNT:
                break
            continue
        shown.add(digest)
        fresh.append(digest)
    return fresh[::-1]


_SINGLE = re.compile(r"[^\W_]+(?:[-_][^\W_]+)*|\d+(?:[.,]\d+)*")


def _forms(value: Item) -> set[str]:
    """What a value is looked for by: as written and in its normal form; a number by its digits alone."""
    if value.figure:
        written = re.search(r"\d+(?:[.,]\d+)*", value.text)
        return {value.figure, *((written[0],) if written else ())}
    return {value.text.casefold().strip("#"), value.key}
