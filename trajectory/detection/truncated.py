"""`context.truncated`: content was cut: at the model's limit, on its way, in the middle of its JSON, or by a compaction.

Invariant: a cut counts at warning only where what is left went on as if it were whole: an answer, a task, a tool's result, a
conversation whose shortening dropped a condition. One that the agent went on from is `info`; what only our own capture cut is
none. Called through the seam of `contract`.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

from trajectory.detection.boundary import Views
from trajectory.detection.constraints import Constraint
from trajectory.detection.contract import Settling
from trajectory.detection.copied import as_condition, left_out
from trajectory.detection.pace import Pace
from trajectory.detection.reader import Knowledge, Reader, reader_of
from trajectory.detection.timeline import GIVEN, RESULT, RETURNED, SAID, SHOWN, Entry, Resumed, Timeline, timeline_of
from trajectory.detection.words import READ_CHARS, around, shorten
from trajectory.graph.span import Span
from trajectory.graph.trace import Invocation, Trace
from trajectory.model.fact import Evidence, Finding
from trajectory.model.words import FINISH_REASONS, Severity, Slot, SpanKind

KIND = "context.truncated"
_LIMITS = frozenset(
    (
        "length", "max_tokens", "max_output_tokens", "max_completion_tokens", "model_length", "max_length", "token_limit",
        "incomplete", "model_context_window_exceeded", "finish_reason_max_tokens", "maxtokens", "error_max_tokens",
    )
)  # fmt: skip
_GOING_ON = (SpanKind.MODEL, SpanKind.TOOL, SpanKind.DELEGATION)
_END_CHARS = 60
_MIN_CUT_CHARS = 20  # a text that lacks less than this may lack a signature
_MIN_WHOLE_CHARS = 60
_MAX_CALLS_COUNT = 2000
_MAX_ARRIVED_COUNT = 5000
_LEAST_DROPPED_COUNT = 2
_LEAST_LONG_COUNT = 4  # messages of a conversation that is worth a compaction
_FULL_STOPS = ".!?:。！？"
_MARKED = re.compile(
    r"\s{0,4}(?:\.\.\.|…|\[(?:\.\.\.|…|truncated|cut|clipped)[^\]]{0,80}\]|<(?:truncated|clipped)[^>]{0,80}>)\s{0,4}\Z",
    re.I,
)
_OUR_CUT = re.compile(r"\n\[cut: \d{1,18} bytes of [^\n]{1,100}\]\s{0,4}\Z")


class TruncatedContent(Settling):
    """The detector of `context.truncated`."""

    name = KIND

    def __init__(self) -> None:
        self._pace = Pace()
        self._walk: Resumed[_Walk] = Resumed()
        self._counts: dict[bytes, int] = {}  # messages that a model call was shown

    def settle(self, now_ns: int, trace: Trace) -> Iterable[Finding]:
        """Findings on what was cut."""
        if not self._pace.is_due(trace, now_ns):
            return
        reader = reader_of(trace)
        yield from _at_a_limit(reader, trace)
        if trace.has_contents:
            timeline = timeline_of(trace)
            walk = self._walk.caught_up(timeline, lambda: _Walk(reader, trace.spans))
            yield from (_cut_finding(cut, trace) for cut in walk.cuts(timeline))
            yield from self._compacted(reader, trace)

    def _compacted(self, reader: Reader, trace: Trace) -> Iterator[Finding]:
        """Conditions that an agent's model was shown, and was not shown any more after its conversation had become shorter."""
        views = Views(trace)
        for invocation in trace.invocations():
            calls = views.calls(invocation)[:_MAX_CALLS_COUNT]
            for before, after in pairwise(calls):
                if self._count(after) < self._count(before):
                    yield from _dropped(before, after, invocation, reader, trace)

    def _count(self, span: Span) -> int:
        known = self._counts.get(span.span_id)
        if known is None:
            known = self._counts[span.span_id] = len(span.digests(Slot.INPUT))
        return known


def _at_a_limit(reader: Reader, trace: Trace) -> Iterator[Finding]:
    """Model calls that ended at their limit."""
    cut = [s for s in trace.spans.values() if s.kind == SpanKind.MODEL and not s.is_placeholder and limit_of(s)]
    for span in sorted(cut, key=lambda s: s.order_key):
        later = (
            s
            for s in _work_of(span)
            if s.kind in _GOING_ON and s.start_ns >= (span.end_ns or span.start_ns) and s is not span
        )
        went_on = any(later)
        if not went_on and _may_go_on(span, trace):
            continue
        reason = limit_of(span)
        text = "".join(reader.text(d) or "" for d in span.digests(Slot.OUTPUT)[-1:])
        who = trace.span_label(span) or "an agent"
        what = f"“…{_end(text)}”" if text.strip() else "before it said anything"
        yield Finding(
            kind=KIND,
            severity=Severity.INFO if went_on else Severity.WARNING,
            confidence=0.7 if went_on else 0.95,
            trace_id=trace.trace_id,
            span_id=span.span_id,
            message=f"the answer of {who} was cut at its limit ({shorten(reason, 40)}): it ends in {what}",
            agent=span.agent_name,
            value=_end(text),
            root_span_id=span.span_id,
            path=[span.span_id],
            evidence=[Evidence(span.span_id, f"finish reason {shorten(reason, 40)}")],
            at_ns=span.end_ns or span.start_ns,
        )


def _work_of(span: Span) -> Iterable[Span]:
    return (
        span.owner.spans.values() if span.owner is not None else span.parent.children if span.parent is not None else ()
    )


def _may_go_on(span: Span, trace: Trace) -> bool:
    """Whether the agent is still at work, so that it may yet ask for the rest."""
    owner = span.owner
    return trace.open_count > 0 and not (owner is not None and owner.end_ns)


def limit_of(span: Span) -> str:
    """The reason that a model call gives for its end, where that is a limit; else empty."""
    given = span.attributes.get(FINISH_REASONS)
    reasons = given if isinstance(given, (list, tuple)) else (given,)
    folded = ((str(r), str(r).casefold().rsplit(".", 1)[-1]) for r in reasons if r)
    return next((said for said, name in folded if name in _LIMITS), "")


class _Cut(NamedTuple):
    """Content that was cut: where it is seen, how it ends or what is missing, in words, and where it was whole."""

    entry: Entry
    value: str
    what: str
    sent: Entry | None = None


class _Walk:
    """Looks through tasks, answers and results for those that end in the middle."""

    def __init__(self, reader: Reader, spans: Mapping[bytes, Span]) -> None:
        self._reader = reader
        self._spans = spans
        self._said: dict[int, list[Entry]] = {}  # by agent: its model's words, else its own
        self._speaking: set[int] = set()  # agents whose model's words are known
        self._given: dict[bytes, Entry] = {}
        self._arrived: list[Entry] = []
        self._rests: dict[tuple[bytes, bytes], str] = {}
        self._broken: list[Entry] = []

    def take(self, entry: Entry) -> None:
        if entry.role == SAID:
            self._say(entry)
        elif entry.role == GIVEN:
            self._given[entry.span_id] = entry
        if entry.role in (RESULT, GIVEN, RETURNED) and is_cut_json(self._reader.text(entry.digest) or ""):
            self._broken.append(entry)
        begins = entry.role == SHOWN and entry.owner not in self._said
        if (entry.role == RETURNED or begins) and len(self._arrived) < _MAX_ARRIVED_COUNT:
            self._arrived.append(entry)

    def _say(self, entry: Entry) -> None:
        """An agent's own words repeat its model's, or are what is left of them."""
        if self._spans[entry.span_id].kind == SpanKind.MODEL and entry.owner not in self._speaking:
            self._speaking.add(entry.owner)
            self._said[entry.owner] = []
        if self._spans[entry.span_id].kind == SpanKind.MODEL or entry.owner not in self._speaking:
            self._said.setdefault(entry.owner, []).append(entry)

    def cuts(self, timeline: Timeline) -> Iterator[_Cut]:
        """What arrived without its end, and what ends in the middle of its JSON."""
        for entry in self._arrived:
            sent = self._sent(entry, timeline)
            rest = self._rest(sent, entry) if sent is not None and sent.digest != entry.digest else ""
            if rest:
                yield _Cut(entry, rest, f"arrived without its end: “{shorten(rest, 80)}” is missing", sent)
        answer = timeline.answer
        last = [answer] if answer is not None and is_cut_json(self._reader.text(answer.digest) or "") else []
        for entry in (*self._broken, *last):
            end = _end(self._reader.text(entry.digest) or "")
            yield _Cut(entry, end, f"ends in the middle of its JSON: “…{end}”")

    def _sent(self, entry: Entry, timeline: Timeline) -> Entry | None:
        """What the other end of a delegation sent last before it arrived."""
        if entry.role == SHOWN:
            passing = timeline.given_to(entry.owner)
            return self._given.get(passing.span_id) if passing is not None else None
        passing = timeline.delegation(entry.span_id)
        said = self._said.get(passing.target, []) if passing is not None else []
        count = bisect_right(said, entry.at_ns, key=lambda e: e.at_ns)
        return said[count - 1] if count else None

    def _rest(self, sent: Entry, entry: Entry) -> str:
        key = (sent.digest, entry.digest)
        known = self._rests.get(key)
        if known is None:
            known = _missing(self._reader.text(sent.digest) or "", self._reader.text(entry.digest) or "")
            self._rests[key] = known
        return known


def _missing(whole: str, part: str) -> str:
    """What a text lacks at its end of the whole one; empty where it is no beginning of it."""
    if _OUR_CUT.search(part[-300:]) or len(whole) >= READ_CHARS:
        return ""
    begun = _MARKED.sub("", part).strip()
    whole = whole.strip()
    if len(begun) < _MIN_WHOLE_CHARS or len(whole) - len(begun) < _MIN_CUT_CHARS or not whole.startswith(begun):
        return ""
    if whole[len(begun) :][:1] == "\n" or (begun[-1] in _FULL_STOPS and len(begun) == len(part.strip())):
        return ""  # paragraphs or sentences left out, and not a text cut
    return whole[len(begun) :].strip()


def is_cut_json(text: str) -> bool:
    """Whether a text is the beginning of JSON, right as far as it goes, and not the whole of it."""
    said = text.strip()
    if len(said) >= READ_CHARS or len(said) < _MIN_WHOLE_CHARS or said[:1] not in ("{", "[") or said[-1:] in ("}", "]"):
        return False
    if _OUR_CUT.search(text[-300:]) or '"' not in said[:40]:
        return False
    try:
        json.loads(said)
    except json.JSONDecodeError as fault:
        return fault.pos >= len(said) or fault.msg.startswith("Unterminated string")
    except RecursionError:
        pass
    return False


def _cut_finding(cut: _Cut, trace: Trace) -> Finding:
    entry, span = cut.entry, trace.spans[cut.entry.span_id]
    who = trace.span_label(span) or "an agent"
    names = {
        RESULT: f"the result of {shorten(span.name, 40)}",
        GIVEN: f"a task from {who}",
        RETURNED: f"an answer to {who}",
        SHOWN: f"the task of {who}",
    }
    root = cut.sent.span_id if cut.sent is not None else entry.span_id
    return Finding(
        kind=KIND,
        severity=Severity.WARNING,
        confidence=0.85,
        trace_id=trace.trace_id,
        span_id=entry.span_id,
        message=f"{names.get(entry.role, f'the answer of {who}')} {cut.what}",
        agent=span.agent_name,
        value=shorten(cut.value, 120),
        root_span_id=root,
        path=list(dict.fromkeys((root, entry.span_id))),
        evidence=[Evidence(entry.span_id, shorten(cut.value))],
        at_ns=entry.at_ns,
    )


def _end(text: str) -> str:
    said = " ".join(text[-4 * _END_CHARS :].split())
    return said[-_END_CHARS:]


class _Shortened(NamedTuple):
    constraint: Constraint
    digest: bytes


def _dropped(before: Span, after: Span, invocation: Invocation, reader: Reader, trace: Trace) -> Iterator[Finding]:
    """The conditions in what a conversation had and, shortened, has no more."""
    was, now = before.digests(Slot.INPUT), after.digests(Slot.INPUT)
    held = set(now)
    talk = {*was, *before.digests(Slot.OUTPUT)}
    gone = [d for d in was if d not in held]
    if len(was) < _LEAST_LONG_COUNT or len(gone) < _LEAST_DROPPED_COUNT:
        return
    if not talk & held:
        return  # another question to the model, and not the same talk made shorter
    left = Knowledge(reader, [*now, *after.digests(Slot.SYSTEM)])
    found: dict[object, _Shortened] = {}
    for digest in gone:
        for constraint in reader.constraints(digest):
            if (constraint.is_hard or constraint.values) and not left.holds(constraint):
                found.setdefault(constraint.key, _Shortened(constraint, digest))
    told = {d: reader.sentences(d) for d in now if reader.asked(d) or (d not in talk and not reader.is_data(d))}
    said = {sentence: held for sentences in told.values() for sentence, held in sentences.items()}
    for digest in gone:
        for sentence in left_out(reader.asked(digest), said, {}):
            if not any(one.constraint.text in sentence for one in found.values()):
                found.setdefault(sentence, _Shortened(as_condition(sentence), digest))
    who = trace.label(invocation)
    for constraint, digest in found.values():
        asked = reader.asked(digest)
        start = max(asked.find(constraint.text), 0)
        yield Finding(
            kind=KIND,
            severity=Severity.WARNING,
            confidence=0.85,
            trace_id=trace.trace_id,
            span_id=after.span_id,
            message=f"“{shorten(constraint.text, 80)}” was dropped when the conversation of {who} was made shorter",
            agent=invocation.agent,
            value=constraint.text,
            root_span_id=before.span_id,
            path=[before.span_id, after.span_id],
            evidence=[
                Evidence(before.span_id, around(asked, start, start + len(constraint.text))),
                Evidence(after.span_id, f"{len(was)} messages became {len(now)}"),
            ],
            at_ns=after.start_ns,
        )
