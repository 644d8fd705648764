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
from bisect import bisect_left, bisect_right
from typing import NamedTuple

from trajectory.detection.failure_text import says_failure
from trajectory.detection.failures import Failures, Root
from trajectory.detection.items import Item, items_in
from trajectory.detection.occurrences import ARGUMENT, GIVEN, SAID, USES, Doings, Occurrence, Owner
from trajectory.detection.provenance import Provenance
from trajectory.detection.reader import Reader, reader_of
from trajectory.detection.silent_failure import is_tool_work, result_text
from trajectory.detection.words import STOP_WORDS, plain
from trajectory.graph.span import Span
from trajectory.graph.trace import Invocation, Trace, tool_name
from trajectory.model.fact import SpanEvent
from trajectory.model.words import CONFIDENCE, Slot, SpanKind

_TOOLS = (SpanKind.TOOL, SpanKind.RETRIEVAL)
_MAX_SAID_COUNT = 12
_MAX_VALUES_COUNT = 40
_MAX_SUBSTITUTES_COUNT = 4
_MAX_LOOKED_COUNT = 64  # calls after a failed one
_MAX_THOUGHTS_COUNT = 64
_ALWAYS_NS = 1 << 80
_LONG_COUNT = 64  # occurrences of a value
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


class Spreads:
    """The ways of a trace's failures, each judged again when what it was judged by has changed."""

    def __init__(self, failures: Failures, provenance: Provenance, trace: Trace) -> None:
        self._failures = failures
        self._provenance = provenance
        self._trace = trace
        self._interest = provenance.interest()
        self._owners: dict[bytes, Owner] = {}
        self._judged_until_ns: dict[Owner, dict[bytes, int]] = {}  # what an agent did later says nothing of the failure
        self._sizes: dict[bytes, int] = {}  # how often a failure's values occur
        self._answers: frozenset[bytes] = frozenset()

    def refresh(self, failed: set[bytes], answers: frozenset[bytes]) -> set[bytes]:
        """The failures that are to be judged again. At `failed` one began, or was got over; `answers` give the final answer."""
        concerned = failed | (answers ^ self._answers)
        self._answers = answers
        for span in [self._trace.spans[span_id] for span_id in concerned if span_id in self._trace.spans]:
            for occurrence in self._provenance.occurrences.told_by(span):
                self._interest.doubted.update(self._interest.payloads.get(occurrence.digest, ()))
        stale, self._interest.doubted = self._interest.doubted, set()
        stale.update([who for who, count in self._interest.stale.items() if self._is_ripe(who, count)])
        for who in stale:
            self._interest.stale.pop(who, None)
        owners, self._interest.owners = self._interest.owners, {}
        for owner, from_ns in owners.items():
            judged = self._judged_until_ns.get(owner, {})
            stale.update(span_id for span_id, until_ns in judged.items() if from_ns <= until_ns)
        return stale

    def _is_ripe(self, span_id: bytes, heard_count: int) -> bool:
        """Whether enough was heard of a failure's values: where they are everywhere, not each time of a live trace is one."""
        size = self._sizes.get(span_id, 0)
        return size < _LONG_COUNT or heard_count >= size // 8 or not self._trace.open_count

    def judge(self, root: Root) -> list[Spread]:
        """The values that carried a failure on, the one that went furthest first; none that was owned up to."""
        self.forget(root.span.span_id)
        owner = root.span.owner
        if owner is None or self._failures.is_repeated(root):
            return []
        doings = self._provenance.occurrences.doings(owner)
        said = said_after(doings.sayings, owner, root.at_ns, _MAX_SAID_COUNT)
        stand_ins, until_ns = self._stand_ins(root, doings)
        until_ns = max(until_ns, said[-1].at_ns if len(said) == _MAX_SAID_COUNT else _ALWAYS_NS)
        self._owners[root.span.span_id] = owner
        self._judged_until_ns.setdefault(owner, {})[root.span.span_id] = until_ns
        judge = _Judge(root, owner, self._failures, stand_ins, self._answers, self._trace, self._provenance)
        found: list[Spread] = []
        for value in _candidates(said, reader_of(self._trace)):
            early = self._provenance.first_before(value, root.at_ns)
            if early is not None:
                self._interest.witnesses.setdefault(early.digest, set()).add(root.span.span_id)
                continue
            trail = self._provenance.trail(value)
            self._sizes[root.span.span_id] = max(self._sizes.get(root.span.span_id, 0), len(trail))
            self._provenance.watch(self._interest, root.span.span_id, value)
            spread = judge.spread(value, trail) if trail else None
            found += [spread] if spread is not None else []
        found.sort(key=lambda s: (not s.surfaced, -s.owners, -s.confidence, s.said.at_ns, s.value.kind, s.value.key))
        return found

    def forget(self, span_id: bytes) -> None:
        """A failure that is to be judged anew, or is none any more."""
        self._sizes.pop(span_id, None)
        self._judged_until_ns.get(self._owners.pop(span_id, None), {}).pop(span_id, None)

    def _stand_ins(self, root: Root, doings: Doings) -> tuple[list[Span], int]:
        """Calls after a failed one that asked for the same thing elsewhere, and were answered; and until when was looked."""
        if root.span.kind not in _TOOLS:
            return [], 0
        reader = reader_of(self._trace)
        wanted = _asked_for(root.span, reader)
        found: list[Span] = []
        begin = bisect_left(doings.calls, (root.at_ns, b""))
        looked = doings.calls[begin : begin + _MAX_LOOKED_COUNT]
        for at_ns, span_id in looked:
            span = self._trace.spans[span_id]
            if self._failures.get(span_id) is not None or span.is_error or not is_tool_work(span):
                continue
            if result_text(span, self._trace) is not None and wanted & _asked_for(span, reader):
                found.append(span)
                if len(found) == _MAX_SUBSTITUTES_COUNT:
                    return found, at_ns
        return found, looked[-1][0] if len(looked) == _MAX_LOOKED_COUNT else _ALWAYS_NS


def _candidates(said: list[Occurrence], reader: Reader) -> list[Item]:
    """Values that the agent said after the failure and that cannot be met by chance; names in code are the author's own."""
    found: dict[tuple[str, str], Item] = {}
    for occurrence in said:
        text = reader.text(occurrence.digest) or ""
        for item in items_in(_CODE.sub(" ", text)) if "```" in text else reader.items(occurrence.digest):
            if item.is_distinctive and len(found) < _MAX_VALUES_COUNT:
                found.setdefault((item.kind, item.key), item)
    return list(found.values())


def _asked_for(span: Span, reader: Reader) -> set[str]:
    """The words of a call's arguments, without the arguments' names."""
    lines = [line for d in span.digests(Slot.ARGUMENTS) for line in plain(reader.text(d) or "").splitlines()]
    said = " ".join(line.partition(": ")[2] or line for line in lines)
    return {word.casefold() for word in _ANY_WORD.findall(said[:4096]) if word.casefold() not in STOP_WORDS}


class _Judge(NamedTuple):
    """What is the same for every value that an agent said after one failure."""

    root: Root
    owner: Invocation
    failures: Failures
    stand_ins: list[Span]
    answers: frozenset[bytes]
    trace: Trace
    provenance: Provenance

    def spread(self, value: Item, trail: list[Occurrence]) -> Spread | None:
        """How a value that occurs after the failure carried it on; None where it did not."""
        root = self.root
        own = (o for o in trail if o.owner is self.owner and o.role in (SAID, GIVEN) and o.at_ns >= root.at_ns)
        said = next(own, None)
        if said is None or not any(_is_use(o, self.owner, self.answers) and o.at_ns >= said.at_ns for o in trail):
            return None
        surfaced = self._surfaced(trail)
        if _is_announced(said, reader_of(self.trace)) and not surfaced:
            return None
        how = self._how(trail[0])
        confidence = self._confidence(how, trail[0], said, bool(surfaced))
        return Spread(root, value, how, trail[0], said, trail, surfaced, confidence) if confidence else None

    def _confidence(self, how: str, origin: Occurrence, said: Occurrence, has_surfaced: bool) -> float:
        """0 where the value does not stand in for what failed, or stands in for it rightly."""
        if how == "invented":
            return 0.95 if has_surfaced else 0.85
        if how == "substitute":
            doubted = self._is_second_best(origin.span, said)
            return round(0.6 + 0.15 * doubted + 0.2 * has_surfaced, 2) if doubted or has_surfaced else 0.0
        return 0.0

    def _how(self, origin: Occurrence) -> str:
        if any(origin.span is span for span in self.stand_ins):
            return "substitute"
        if origin.owner is not self.owner or origin.role not in (SAID, GIVEN):
            return ""
        return "invented" if self._saw_nothing_else(origin) else ""

    def _saw_nothing_else(self, origin: Occurrence) -> bool:
        """Whether an agent had nothing new between a failure and what it said: no other tool's or agent's answer; and its
        view was captured, so a value that is nowhere else can be called new."""
        doings = self.provenance.occurrences.doings(self.owner)
        begin = bisect_left(doings.answers, (self.root.at_ns + 1, b""))
        if any(end_ns <= origin.at_ns for end_ns, _ in doings.answers[begin : begin + 1]):
            return False
        given = self.owner is not None and bool(self.owner.asked_digests())
        return given or bool(doings.views and doings.views[0][0] <= origin.at_ns)

    def _is_second_best(self, stand_in: Span, said: Occurrence) -> bool:
        words = [tool_name(stand_in).replace("_", " "), *self.trace.texts(stand_in, Slot.ARGUMENTS, Slot.RESULT)]
        if any(_SECOND_BEST.search(text[:4096].replace("_", " ")) for text in words):
            return True
        thoughts = self.provenance.occurrences.doings(self.owner).thoughts
        begin = bisect_left(thoughts, self.root.at_ns, key=lambda t: t[0][0])
        end = bisect_right(thoughts, said.at_ns, key=lambda t: t[0][0])
        return any(_is_doubt(event, reader_of(self.trace)) for _, _, event in thoughts[begin:end][:_MAX_THOUGHTS_COUNT])

    def _surfaced(self, trail: list[Occurrence]) -> list[Root]:
        """Later failures of calls that were given the value."""
        used = dict.fromkeys(o.span.span_id for o in trail if o.role in USES and o.span.kind in _TOOLS)
        later = [root for span_id in used if (root := self.failures.get(span_id)) is not None]
        return [r for r in later if r.at_ns > self.root.at_ns and not self.failures.is_repeated(r)]


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


def _is_use(occurrence: Occurrence, owner: Invocation, answers: frozenset[bytes]) -> bool:
    """Whether another agent acted on a value: passed it on, called a tool with it, or gave it as the final answer."""
    if occurrence.owner is owner:
        return False
    return occurrence.role in (GIVEN, ARGUMENT) or (occurrence.role == SAID and occurrence.span.span_id in answers)


def _is_announced(said: Occurrence, reader: Reader) -> bool:
    """Whether what was passed on owns up to the failure, or to being second best."""
    text = reader.text(said.digest) or ""
    return says_failure(text) or bool(_SECOND_BEST.search(text))


def _is_doubt(thought: SpanEvent, reader: Reader) -> bool:
    """Whether a thought calls something second best, or is not sure."""
    confidence = thought.attributes.get(CONFIDENCE)
    if isinstance(confidence, (int, float)) and confidence < _LOW_CONFIDENCE_RATIO:
        return True
    told = [str(thought.attributes.get("text", ""))]
    told += [reader.text(d) or "" for digests in thought.contents.values() for d in digests]
    return any(_SECOND_BEST.search(text) for text in told)
