"""How a failure spreads without an exception: by a value that the agent put in the place of what it did not get.

Invariant: a value is blamed on a failure only where it stands in for what failed, another agent used it, and either it was
passed on without a word about the failure, or a later call failed over it. It stands in for what failed when it was

- invented: it first occurs in what the agent said after the failure, before any other tool gave it something, and follows
  from nothing that anybody was shown; or
- a substitute: it first occurs in what another call for the same thing gave, that call's name, arguments, result or the
  agent's own thought says that it is second best (a cache, an estimate, low confidence), or a later failure names it.

Pure; called by the cascade detector.
"""

import re
from collections.abc import Container, Iterator, Mapping
from typing import NamedTuple

from trajectory.detection.failure_text import says_failure
from trajectory.detection.failures import Root
from trajectory.detection.items import Item, items_in
from trajectory.detection.provenance import (
    ARGUMENT,
    GIVEN,
    SAID,
    USES,
    Occurrence,
    holdings,
    said_after,
    sayings,
    trails,
)
from trajectory.detection.reader import Reader
from trajectory.detection.silent_failure import is_tool_work, result_text
from trajectory.detection.words import STOP_WORDS, plain
from trajectory.graph.span import Span
from trajectory.graph.trace import Invocation, Trace, tool_name
from trajectory.model.words import CONFIDENCE, EVENT_THOUGHT, Slot, SpanKind

_TOOLS = (SpanKind.TOOL, SpanKind.RETRIEVAL)
_MAX_SAID_COUNT = 12
_MAX_VALUES_COUNT = 40
_MAX_SUBSTITUTES_COUNT = 4
_LOW_CONFIDENCE_RATIO = 0.5
_ANY_WORD = re.compile(r"[^\W_]{2,64}(?:[-_][^\W_]{1,64}){0,6}")
_CODE = re.compile(r"```[^`]*(?:```|$)")
_SECOND_BEST = re.compile(
    r"(?<![^\W_])(?:cached?|stale|fall[ _-]?back|back[ _-]?up|defaults?|estimated?|approximate|guess(?:ed)?|placeholder|mock|"
    r"dummy|sample|snapshot|archived?|outdated|old copy|last known|previous version|assum(?:e|ed|ing|ption))(?![^\W_])",
    re.I,
)


class Spread(NamedTuple):
    """A value that carried a failure on. `origin` is where it first occurs, `said` where the agent passed it on, `trail` all
    its occurrences, `surfaced` later failures that hold it. `how` is `invented` or `substitute`."""

    root: Root
    value: Item
    how: str
    origin: Occurrence
    said: Occurrence
    trail: list[Occurrence]
    surfaced: list[Root]
    confidence: float

    @property
    def owners(self) -> int:
        """How many other agents used it."""
        return len({id(o.owner) for o in self.trail if o.role in USES and o.owner is not self.root.span.owner})


class _Suspect(NamedTuple):
    """A failure that may have spread: what its agent said afterwards, by which other calls it went on, which values it said."""

    root: Root
    owner: Invocation
    stand_ins: list[Span]
    candidates: list[Item]


class Spreads:
    """The ways of all failures of a trace, followed together: one pass over the trace for every value of every failure."""

    def __init__(self, roots: list[Root], answers: set[bytes], trace: Trace, reader: Reader) -> None:
        self._roots = {root.span.span_id: root for root in roots}
        self._answers = answers
        self._trace = trace
        self._reader = reader
        self._sayings: dict[int, list[Occurrence]] = {}  # by invocation, gathered once for all of its failures
        suspects = [s for root in roots if (s := self._suspect(root)) is not None]
        self._suspects = {suspect.root.span.span_id: suspect for suspect in suspects}
        values = {(v.kind, v.key): v for suspect in suspects for v in suspect.candidates}
        self._trails = trails(holdings(trace), reader, values.values()) if values else {}

    def of(self, root: Root) -> Spread | None:
        """The value that carried a failure furthest; None where none crossed to another agent unannounced."""
        suspect = self._suspects.get(root.span.span_id)
        if suspect is None:
            return None
        judge = _Judge(root, suspect.owner, self._roots, suspect.stand_ins, self._answers, self._trace, self._reader)
        found = [s for v in suspect.candidates if (s := judge.spread(v, self._trails[(v.kind, v.key)])) is not None]
        return max(found, key=lambda s: (len(s.surfaced) > 0, s.owners, s.confidence, -s.said.at_ns), default=None)

    def _suspect(self, root: Root) -> _Suspect | None:
        owner = root.span.owner
        if owner is None:
            return None
        said = self._sayings.get(id(owner))
        if said is None:
            said = self._sayings[id(owner)] = sayings(owner, self._trace)
        said = said_after(said, owner, root.at_ns, _MAX_SAID_COUNT)
        candidates = _candidates(said, self._reader)
        if not candidates:
            return None
        stand_ins = _stand_ins(root, owner, self._roots.keys(), self._trace, self._reader)
        return _Suspect(root, owner, stand_ins, candidates)


def _candidates(said: list[Occurrence], reader: Reader) -> list[Item]:
    """Values that the agent said after the failure and that cannot be met by chance; names in code are the author's own."""
    found: dict[tuple[str, str], Item] = {}
    for occurrence in said:
        for item in items_in(_CODE.sub(" ", reader.text(occurrence.digest) or "")):
            if item.is_distinctive and len(found) < _MAX_VALUES_COUNT:
                found.setdefault((item.kind, item.key), item)
    return list(found.values())


def _stand_ins(root: Root, owner: Invocation, failed: Container[bytes], trace: Trace, reader: Reader) -> list[Span]:
    """Calls after a failed one that asked for the same thing elsewhere, and were answered."""
    if root.span.kind not in _TOOLS:
        return []
    wanted = _asked_for(root.span, reader)
    found: list[Span] = []
    for span in sorted(owner.spans.values(), key=lambda s: s.order_key):
        if span.kind not in _TOOLS or span.start_ns < root.at_ns or span.span_id in failed or span.is_error:
            continue
        if not is_tool_work(span) or result_text(span, trace) is None:
            continue
        if wanted & _asked_for(span, reader) and len(found) < _MAX_SUBSTITUTES_COUNT:
            found.append(span)
    return found


def _asked_for(span: Span, reader: Reader) -> set[str]:
    """The words of a call's arguments, without the arguments' names."""
    lines = [line for d in span.digests(Slot.ARGUMENTS) for line in plain(reader.text(d) or "").splitlines()]
    said = " ".join(line.partition(": ")[2] or line for line in lines)
    return {word.casefold() for word in _ANY_WORD.findall(said[:4096]) if word.casefold() not in STOP_WORDS}


class _Judge(NamedTuple):
    """What is the same for every value that an agent said after one failure."""

    root: Root
    owner: Invocation
    roots: Mapping[bytes, Root]
    stand_ins: list[Span]
    answers: set[bytes]
    trace: Trace
    reader: Reader

    def spread(self, value: Item, trail: list[Occurrence]) -> Spread | None:
        """How a value carried the failure on; None where it did not."""
        root = self.root
        own = (o for o in trail if o.owner is self.owner and o.role in (SAID, GIVEN) and o.at_ns >= root.at_ns)
        said = next(own, None)
        if said is None or trail[0].at_ns < root.at_ns:
            return None
        if not any(_is_use(o, self.owner, self.answers) and o.at_ns >= said.at_ns for o in trail):
            return None
        surfaced = _surfaced(trail, root, self.roots)
        if _is_announced(said, self.reader) and not surfaced:
            return None
        how = _how(trail[0], root, self.owner, self.stand_ins, self.trace)
        confidence = self._confidence(how, trail[0], said, bool(surfaced))
        return Spread(root, value, how, trail[0], said, trail, surfaced, confidence) if confidence else None

    def _confidence(self, how: str, origin: Occurrence, said: Occurrence, has_surfaced: bool) -> float:
        """0 where the value does not stand in for what failed, or stands in for it rightly."""
        if how == "invented":
            return 0.95 if has_surfaced else 0.85
        if how == "substitute":
            doubted = _is_second_best(origin.span, said, self.root, self.trace, self.reader)
            return round(0.6 + 0.15 * doubted + 0.2 * has_surfaced, 2) if doubted or has_surfaced else 0.0
        return 0.0


def _is_use(occurrence: Occurrence, owner: Invocation, answers: set[bytes]) -> bool:
    """Whether another agent acted on a value: passed it on, called a tool with it, or gave it as the final answer."""
    if occurrence.owner is owner:
        return False
    return occurrence.role in (GIVEN, ARGUMENT) or (occurrence.role == SAID and occurrence.span.span_id in answers)


def _how(origin: Occurrence, root: Root, owner: Invocation, stand_ins: list[Span], trace: Trace) -> str:
    if any(origin.span is span for span in stand_ins):
        return "substitute"
    if origin.owner is not owner or origin.role not in (SAID, GIVEN):
        return ""
    return "invented" if _saw_nothing_else(origin, root, owner, trace) else ""


def _saw_nothing_else(origin: Occurrence, root: Root, owner: Invocation, trace: Trace) -> bool:
    """Whether an agent had nothing new between a failure and what it said: no other tool's or agent's answer; and its
    view was captured, so a value that is nowhere else can be called new."""
    vehicles = trace.vehicles()
    for span in owner.spans.values():
        answers = span.kind in _TOOLS or span.kind == SpanKind.DELEGATION or span.span_id in vehicles
        if answers and span is not root.span and root.at_ns < span.end_ns <= origin.at_ns and not span.is_error:
            return False
    if origin.span.kind == SpanKind.MODEL and origin.span.digests(Slot.INPUT):
        return True
    given = owner.span is not None and bool(owner.span.digests(Slot.TASK) or owner.span.digests(Slot.INPUT))
    return given or any(s.kind == SpanKind.MODEL and s.digests(Slot.INPUT) for s in owner.spans.values())


def _is_announced(said: Occurrence, reader: Reader) -> bool:
    """Whether what was passed on owns up to the failure, or to being second best."""
    text = reader.text(said.digest) or ""
    return says_failure(text) or bool(_SECOND_BEST.search(text))


def _is_second_best(stand_in: Span, said: Occurrence, root: Root, trace: Trace, reader: Reader) -> bool:
    words = [tool_name(stand_in).replace("_", " "), *trace.texts(stand_in, Slot.ARGUMENTS, Slot.RESULT)]
    if any(_SECOND_BEST.search(text[:4096].replace("_", " ")) for text in words):
        return True
    return any(
        _is_doubt(text, confidence) for text, confidence in _thoughts(stand_in.owner, root.at_ns, said.at_ns, reader)
    )


def _is_doubt(text: str, confidence: float | None) -> bool:
    return bool(_SECOND_BEST.search(text)) or (confidence is not None and confidence < _LOW_CONFIDENCE_RATIO)


def _thoughts(owner: Invocation | None, from_ns: int, to_ns: int, reader: Reader) -> Iterator[tuple[str, float | None]]:
    """What an agent thought in a stretch of time, with its confidence where it gave one."""
    for span in owner.spans.values() if owner is not None else ():
        for event in span.events:
            if event.name == EVENT_THOUGHT and from_ns <= event.at_ns <= to_ns:
                confidence = event.attributes.get(CONFIDENCE)
                told = [str(event.attributes.get("text", ""))]
                told += [reader.text(d) or "" for digests in event.contents.values() for d in digests]
                number = float(confidence) if isinstance(confidence, (int, float)) else None
                yield " ".join(told), number


def _surfaced(trail: list[Occurrence], root: Root, roots: Mapping[bytes, Root]) -> list[Root]:
    """Later failures of calls that were given the value."""
    used = dict.fromkeys(o.span.span_id for o in trail if o.role in USES and o.span.kind in _TOOLS)
    later = [roots[span_id] for span_id in used if span_id in roots and span_id != root.span.span_id]
    return [r for r in later if r.at_ns > root.at_ns]
