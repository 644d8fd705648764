"""`context.mixed`: what a person said in another session turns up in this one, where nobody here said it.

Invariant: judged is only what people themselves said, sentence by sentence and value by value; a value counts only where no
person and no tool of this session named it (a record may well hold what its owner said elsewhere), a sentence also where a tool
did (a memory or a cache gave it). Templates and common documents are said in many sessions and count for none. Without other
sessions to compare with, or without a word of a person here, nothing is said. The finding shows what is in this session, and of
the other its name. Called through the seam of `contract`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from trajectory.detection.constraints import SENTENCE
from trajectory.detection.items import Item
from trajectory.detection.known import Key, all_keys, key_of
from trajectory.detection.reader import Reader
from trajectory.detection.sessions import Sessions, Told, told_in
from trajectory.detection.timeline import GIVEN, RESULT, SHOWN, Entry, Timeline, Walks
from trajectory.detection.words import around, shorten
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace
from trajectory.model.fact import Evidence, Finding
from trajectory.model.words import Severity

KIND = "context.mixed"
MAX_CANDIDATES_COUNT = 4000  # of one trace
MAX_FINDINGS_COUNT = 20
_LEAST_WORDS_COUNT = 8  # of a sentence with a number in it that two people hardly say alike
_LEAST_BARE_WORDS_COUNT = 14  # of one without: shorter ones may be what everybody says
_LEAST_DIGITS_COUNT = 4
_DIGIT = re.compile(r"\d")


class _Thing(NamedTuple):
    """A sentence or a value, in one form, and where it stands in this session."""

    form: str
    text: str
    start: int
    entry: Entry
    keys: frozenset[Key]  # of a value; none of a sentence


class MixedSessions(Walks["_Walk"]):
    """The detector of `context.mixed`; without `sessions` it knows of no others."""

    name = KIND

    def __init__(self, sessions: Sessions | None = None) -> None:
        super().__init__()
        self._sessions = sessions

    def is_for(self, trace: Trace) -> bool:
        return trace.has_contents and self._sessions is not None

    def begun(self, reader: Reader, spans: Mapping[bytes, Span]) -> "_Walk":
        return _Walk(reader)

    def found(self, walk: "_Walk", timeline: Timeline, reader: Reader, trace: Trace) -> Iterator[Finding]:
        """What belongs to another session; what people say here is noted for the others."""
        sessions = self._sessions
        assert sessions is not None  # else it is for no trace
        here = told_in(trace)
        for at_ns, forms in walk.said_by_people(timeline):
            sessions.learn(here._replace(at_ns=at_ns), forms)
        yield from _findings(walk.foreign(sessions, here, timeline), reader, trace)


class _Walk:
    """Gathers what people said here, what tools named, and what stands anywhere else."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._asked: list[tuple[Entry, list[str]]] = []  # with the forms of what it asks
        self._named: set[Key] = set()
        self._things: dict[str, _Thing] = {}
        self._gathered: set[tuple[bytes, bool]] = set()  # payloads, and whether as a tool's result

    def take(self, entry: Entry) -> None:
        if entry.role == SHOWN:
            asked = self._reader.asked(entry.digest)
            if asked:
                forms = [form for form, _, _ in sentences_of(asked)]
                forms += ["\0".join(key_of(i)) for i in self._reader.asked_items(entry.digest) if is_personal(i)]
                self._asked.append((entry, forms))
        is_result = entry.role == RESULT
        if (entry.digest, is_result) in self._gathered:
            return  # a thing stands where it stood first
        self._gathered.add((entry.digest, is_result))
        self._gather(entry, sentences_of(self._reader.plain(entry.digest)))
        if is_result:
            self._named.update(key for item in self._reader.items(entry.digest) for key in all_keys(item))
        elif len(self._things) < MAX_CANDIDATES_COUNT:
            for item in self._reader.items(entry.digest):
                if is_personal(item):
                    form = "\0".join(key_of(item))
                    self._things.setdefault(form, _Thing(form, item.text, item.start, entry, frozenset(all_keys(item))))

    def said_by_people(self, timeline: Timeline) -> Iterator[tuple[int, list[str]]]:
        """What people said to the agents whom nobody gave their work, each with its time."""
        yield from ((entry.at_ns, forms) for entry, forms in self._by_people(timeline))

    def foreign(self, sessions: Sessions, here: Told, timeline: Timeline) -> list[tuple[_Thing, Told]]:
        """What stands here and was said by people elsewhere alone."""
        ours = {form for _, forms in self.said_by_people(timeline) for form in forms}
        people = {(e.span_id, e.digest) for e, _ in self._by_people(timeline)}
        if not people:
            return []  # what people said here was not captured: it may be just this
        begun = ([form for form in forms if "\0" not in form] for _, forms in self.said_by_people(timeline))
        first = next((forms for forms in begun if forms), [])  # the sentences that it began with
        found: list[tuple[_Thing, Told]] = []
        for thing in self._things.values():
            if thing.form in ours or (thing.keys & self._named) or (thing.entry.span_id, thing.entry.digest) in people:
                continue
            others = sessions.others(here._replace(at_ns=thing.entry.at_ns), thing.form)
            if others and not (first and sessions.holds(others[0].session, first)):  # else it is the same job again
                found.append((thing, others[0]))
        return found[:MAX_FINDINGS_COUNT]

    def _by_people(self, timeline: Timeline) -> Iterator[tuple[Entry, list[str]]]:
        return ((e, forms) for e, forms in self._asked if timeline.given_to(e.owner) is None)

    def _gather(self, entry: Entry, sentences: Iterable[tuple[str, str, int]]) -> None:
        for form, text, start in sentences:
            if len(self._things) >= MAX_CANDIDATES_COUNT:
                return
            self._things.setdefault(form, _Thing(form, text, start, entry, frozenset()))


def sentences_of(text: str) -> Iterator[tuple[str, str, int]]:
    """The sentences of a text that are long enough to be somebody's own: in one form, as written, and where."""
    for match in SENTENCE.finditer(text):
        words = match[0].split()
        least = _LEAST_WORDS_COUNT if _DIGIT.search(match[0]) else _LEAST_BARE_WORDS_COUNT
        if len(words) >= least:
            yield " ".join(words).casefold().rstrip(".!?;"), match[0].strip(), match.start()


def is_personal(item: Item) -> bool:
    """Whether a value is one person's or one case's: an identifier with some digits, an address of mail."""
    if item.kind == "identifier":
        return sum(c.isdigit() for c in item.key) >= _LEAST_DIGITS_COUNT and item.is_distinctive
    return item.kind == "email"


def _findings(found: list[tuple[_Thing, Told]], reader: Reader, trace: Trace) -> Iterator[Finding]:
    """One finding for each span and session: all that came along with a thing came with it."""
    told: set[tuple[bytes, str]] = set()
    for thing, other in found:
        place = (thing.entry.span_id, other.session)
        if place in told:
            continue
        told.add(place)
        span = trace.spans[thing.entry.span_id]
        who = trace.span_label(span) or "an agent"
        where = (
            "a task from"
            if thing.entry.role == GIVEN
            else "what was shown to"
            if thing.entry.role == SHOWN
            else "words of"
        )
        said = reader.plain(thing.entry.digest)
        yield Finding(
            kind=KIND,
            severity=Severity.WARNING,
            confidence=0.85,
            trace_id=trace.trace_id,
            span_id=span.span_id,
            message=f"“{shorten(thing.text, 80)}” in {where} {who} is of session {shorten(other.session, 40)}, not of this",
            agent=span.agent_name,
            value=shorten(thing.text, 200),
            root_span_id=span.span_id,
            path=[span.span_id],
            evidence=[Evidence(span.span_id, around(said, thing.start, thing.start + len(thing.text)))],
            at_ns=thing.entry.at_ns,
        )
