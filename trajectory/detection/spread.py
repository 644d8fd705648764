"""How a failure spreads without an exception: by a value that the agent put in the place of what it did not get.

Invariant: a value is blamed on a failure only where it stands in for what failed, another agent used it, and either it was
passed on without a word about the failure, or a later call failed over it. It stands in for what failed when it was

- invented: it first occurs in what the agent said after the failure, before any other tool gave it something, and follows
  from nothing that anybody was shown; or
- a substitute: it first occurs in what another call for the same thing gave, that call's name, arguments, result or the
  agent's own thought says that it is second best (a cache, an estimate, low confidence), or a later failure names it; or
- outdated: all that held it before the failure gave it as one of the past, and it is of what the call asked for.

Where an agent's own words were not captured, its answer is what its delegator got; where those of the delegator were not
either, that it got the value is all that is known, once the trace is complete.

Pure; called by `spreading`, which knows which values to ask about.
"""

from bisect import bisect_left, bisect_right
from typing import NamedTuple

from trajectory.detection.earlier import is_of_the_past, is_owned_up_to, is_second_best, sentence_with, words_of
from trajectory.detection.failure_text import says_failure
from trajectory.detection.failures import Failures, Root
from trajectory.detection.items import Item
from trajectory.detection.occurrences import ARGUMENT, GIVEN, RETURNED, SAID, USES, Occurrence
from trajectory.detection.provenance import Provenance
from trajectory.detection.reader import Reader, reader_of
from trajectory.detection.words import plain
from trajectory.graph.echoes import first_telling, told
from trajectory.graph.span import Span
from trajectory.graph.trace import Invocation, Trace, tool_name
from trajectory.model.fact import SpanEvent
from trajectory.model.words import CONFIDENCE, Slot, SpanKind

TOOLS = (SpanKind.TOOL, SpanKind.RETRIEVAL)
_MAX_THOUGHTS_COUNT = 64
_LOW_CONFIDENCE_RATIO = 0.5


class Spread(NamedTuple):
    """A value that carried a failure on. `origin` is where it first occurs, `said` where the agent passed it on, `trail` all
    its occurrences, `surfaced` later failures that hold it. `how` is `invented`, `substitute` or `outdated`."""

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


def asked_for(span: Span, reader: Reader) -> set[str]:
    """The words of a call's arguments, without the arguments' names."""
    given = told(first_telling(span), Slot.ARGUMENTS)
    lines = [line for d in given for line in plain(reader.text(d) or "").splitlines()]
    said = " ".join(line.partition(": ")[2] or line for line in lines)
    return words_of(said[:4096])


class SpreadJudge(NamedTuple):
    """What is the same for every value that an agent said after one failure."""

    root: Root
    owner: Invocation
    failures: Failures
    stand_ins: list[Span]
    answers: frozenset[bytes]
    trace: Trace
    provenance: Provenance
    returned: list[Occurrence]  # the agent's answers as its delegators got them, where its own words were not captured

    def spread(self, value: Item, trail: list[Occurrence]) -> Spread | None:
        """How a value that occurs after the failure carried it on; None where it did not."""
        root = self.root
        said = next((o for o in trail if self._is_own(o) and o.at_ns >= root.at_ns), None)
        if said is None or not self._is_used(said, trail):
            return None
        surfaced = self._surfaced(trail)
        if _is_announced(said, reader_of(self.trace)) and not surfaced:
            return None
        how = self._how(value, trail, said)
        confidence = self._confidence(how, trail[0], said, bool(surfaced))
        return Spread(root, value, how, trail[0], said, trail, surfaced, confidence) if confidence else None

    def _confidence(self, how: str, origin: Occurrence, said: Occurrence, has_surfaced: bool) -> float:
        """0 where the value does not stand in for what failed, or stands in for it rightly."""
        if how == "invented":
            return 0.95 if has_surfaced else 0.7 if self.returned else 0.85
        if how == "outdated":
            return 0.9 if has_surfaced else 0.7
        if how == "substitute":
            doubted = self._is_second_best(origin.span, said)
            return round(0.6 + 0.15 * doubted + 0.2 * has_surfaced, 2) if doubted or has_surfaced else 0.0
        return 0.0

    def is_outdated_at(self, value: Item, early: Occurrence) -> bool:
        """Whether what held a value gave it as one of the past."""
        return is_of_the_past(sentence_with(value, reader_of(self.trace).plain(early.digest)))

    def _is_own(self, occurrence: Occurrence) -> bool:
        """Whether an agent's own words hold the value, or the answer that its delegator got of it."""
        if occurrence.role == RETURNED:
            return occurrence in self.returned
        return occurrence.owner is self.owner and occurrence.role in (SAID, GIVEN)

    def _is_used(self, said: Occurrence, trail: list[Occurrence]) -> bool:
        """Whether another agent acted on the value, or got it and nothing of what it then said was captured."""
        if any(_is_use(o, self.owner, self.answers) and o.at_ns >= said.at_ns for o in trail):
            return True
        if said.role != RETURNED or said.owner is None or not self.answers:
            return False
        return not said_after(self.provenance.occurrences.doings(said.owner).sayings, said.owner, said.at_ns, 1)

    def _how(self, value: Item, trail: list[Occurrence], said: Occurrence) -> str:
        origin = trail[0]
        if any(origin.span is span for span in self.stand_ins):
            return "substitute"
        if origin.at_ns < self.root.at_ns:
            return "outdated" if self._is_outdated(value, trail, said) else ""
        if not self._is_own(origin):
            return ""
        return "invented" if self._saw_nothing_else(origin) and self._may_be_new(value, origin) else ""

    def _is_outdated(self, value: Item, trail: list[Occurrence], said: Occurrence) -> bool:
        """Whether a value was known before only as one of the past, and is now told of what the failed call asked for, as if it
        were what the call gave."""
        reader = reader_of(self.trace)
        if is_owned_up_to(reader.text(said.digest) or ""):
            return False
        before = dict.fromkeys(o.digest for o in trail if o.at_ns < self.root.at_ns)
        if not all(is_of_the_past(sentence_with(value, reader.plain(digest))) for digest in before):
            return False
        wanted = asked_for(self.root.span, reader)
        first_and_now = (trail[0].digest, said.digest)
        return self._saw_nothing_else(said) and all(
            wanted & words_of(sentence_with(value, reader.plain(digest))) for digest in first_and_now
        )

    def _may_be_new(self, value: Item, origin: Occurrence) -> bool:
        """Whether a value that nothing holds before can be called new: what a model was shown was captured; or what was not
        captured, such as instructions, hardly held it, for it is of what the failed call asked for."""
        if not self.returned or self.provenance.occurrences.doings(self.owner).views:
            return True
        reader = reader_of(self.trace)
        return bool(asked_for(self.root.span, reader) & words_of(sentence_with(value, reader.plain(origin.digest))))

    def _saw_nothing_else(self, origin: Occurrence) -> bool:
        """Whether an agent had nothing new between a failure and what it said: no other tool's or agent's answer; and its
        view was captured, so a value that is nowhere else can be called new."""
        doings = self.provenance.occurrences.doings(self.owner)
        begin = bisect_left(doings.answers, (self.root.at_ns + 1, b""))
        if any(end_ns <= origin.at_ns for end_ns, _ in doings.answers[begin : begin + 1]):
            return False
        given = bool(self.returned) or (self.owner is not None and bool(self.owner.asked_digests()))
        return given or bool(doings.views and doings.views[0][0] <= origin.at_ns)

    def _is_second_best(self, stand_in: Span, said: Occurrence) -> bool:
        words = [tool_name(stand_in).replace("_", " "), *self.trace.texts(stand_in, Slot.ARGUMENTS, Slot.RESULT)]
        if any(is_second_best(text[:4096].replace("_", " ")) for text in words):
            return True
        thoughts = self.provenance.occurrences.doings(self.owner).thoughts
        begin = bisect_left(thoughts, self.root.at_ns, key=lambda t: t[0][0])
        end = bisect_right(thoughts, said.at_ns, key=lambda t: t[0][0])
        return any(_is_doubt(event, reader_of(self.trace)) for _, _, event in thoughts[begin:end][:_MAX_THOUGHTS_COUNT])

    def _surfaced(self, trail: list[Occurrence]) -> list[Root]:
        """Later failures of calls that were given the value."""
        used = dict.fromkeys(o.span.span_id for o in trail if o.role in USES and o.span.kind in TOOLS)
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
    return says_failure(text) or is_second_best(text)


def _is_doubt(thought: SpanEvent, reader: Reader) -> bool:
    """Whether a thought calls something second best, or is not sure."""
    confidence = thought.attributes.get(CONFIDENCE)
    if isinstance(confidence, (int, float)) and confidence < _LOW_CONFIDENCE_RATIO:
        return True
    told = [str(thought.attributes.get("text", ""))]
    told += [reader.text(d) or "" for digests in thought.contents.values() for d in digests]
    return any(is_second_best(text) for text in told)
