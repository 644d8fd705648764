"""Where a value came from and where it went: its occurrences over what agents were shown, said, passed on and got back.

Invariant: occurrences are in order of time, a payload counts once for each agent however often it is shown again, and one
pass over a trace follows all values asked for: linear in content, never in the square of a conversation. Called by the
cascade detector, for the few values that matter.
"""

import re
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


def trails(trace: Trace, reader: Reader, values: Iterable[Item]) -> dict[tuple[str, str], list[Occurrence]]:
    """The occurrences of each value, by (kind, key), in order of time."""
    wanted = {(v.kind, v.key): _pattern(v) for v in values}
    found: dict[tuple[str, str], list[Occurrence]] = {key: [] for key in wanted}
    held: dict[bytes, list[tuple[str, str]]] = {}
    for occurrence in holdings(trace):
        digest = occurrence.digest
        if digest not in held:
            text = reader.folded(digest)
            held[digest] = [key for key, (needles, pattern) in wanted.items() if _stands(text, needles, pattern)]
        for key in held[digest]:
            if len(found[key]) < MAX_OCCURRENCES_COUNT:
                found[key].append(occurrence)
    return found


def said_after(invocation: Invocation, after_ns: int, trace: Trace) -> list[Occurrence]:
    """What an invocation said and passed on from `after_ns` on, in order: model answers, tasks, its own answer."""
    vehicles = trace.vehicles()
    found: list[Occurrence] = []
    for span in invocation.spans.values():
        if span is not invocation.span and span.start_ns < after_ns:
            continue
        for role, at_ns, digests in _slots(span, span.span_id in vehicles):
            if role in (SAID, GIVEN) and at_ns >= after_ns:
                found += [Occurrence(at_ns, _ORDER[role], span, role, digest) for digest in digests]
    return sorted(found, key=lambda o: (o.at_ns, o.rank, o.span.span_id))


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


def _pattern(value: Item) -> tuple[list[str], re.Pattern[str]]:
    """What to look for: plain needles first, because that is fast, then the same standing alone."""
    forms = {value.text.casefold().strip("#"), value.key.casefold()}
    if value.figure:
        written = re.search(r"\d[\d.,]*\d|\d", value.text)
        forms = {value.figure, written[0] if written else value.figure}
    needles = sorted(forms)
    body = "|".join(re.escape(form) for form in needles)
    before, after = (r"(?<![\w.,])", r"(?![\d]|[.,]\d)") if value.figure else (r"(?<![^\W_])", r"(?![^\W_])")
    return needles, re.compile(f"{before}(?:{body}){after}")


def _stands(text: str, needles: list[str], pattern: re.Pattern[str]) -> bool:
    return any(needle in text for needle in needles) and pattern.search(text) is not None
