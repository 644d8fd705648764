"""`tool.blind_retry`: a call that failed is made again unchanged, and fails alike, though nothing has changed in between.

Invariant: one finding for each series, which grows. Attempts belong together when tool, arguments and invocation are the same
and each begins after the one before has ended. Something has changed where the same agent did anything else with success
(other than looking things up, by the tool's name), ran another program, gave work away, or was told anything by its user. A
result that is no failure, or another one, ends a series, so polling and paging are none. Where arguments or results were not
captured, nothing is said.

Thresholds: the second failure is a warning where the error says that the request itself is at fault (validation, 400, 403,
404, no such tool), as no repetition mends that. Else the second is for information and the third a warning: two
retries are what clients do by themselves (OpenAI's SDK: 2, AWS's standard mode: 3 attempts, gRPC: at most 5), an agent's tool
commonly sits on such a client, and each repetition of an agent costs a model call beside. A series whose waits grow is for
information. Where the tool asks to be called again ("pending", "try again", Retry-After, and the wait was kept) nothing is
said before the sixth attempt, and then for information. A series that ends in success is for information.
Registered under `trajectory.detectors`.
"""

import re
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator

import msgspec

from trajectory.detection.attempts import PATIENT_COUNT, Attempt, Failed, Run, Series, failed_by
from trajectory.detection.calls import arguments_in, key_of
from trajectory.detection.contract import Settling
from trajectory.detection.failure_text import first_line
from trajectory.detection.reader import reader_of
from trajectory.detection.shown import ShownAnswers
from trajectory.detection.silent_failure import failure_of, is_tool_work, result_text
from trajectory.detection.touched import Line, Touched, line_of
from trajectory.detection.words import shorten
from trajectory.graph.echoes import failed_telling, is_echo, is_failed, told
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace, tool_name
from trajectory.model.content import TEXT, digest
from trajectory.model.fact import Evidence, Finding
from trajectory.model.words import INPUT_TOKENS, OUTPUT_TOKENS, SYNTHETIC_TIME, Severity, Slot, SpanKind

KIND = "tool.blind_retry"
WARNING_COUNT = 3
_CALLS = (SpanKind.TOOL, SpanKind.RETRIEVAL)
_GIVING = (SpanKind.AGENT, SpanKind.DELEGATION)
_LOOKING = (
    "get", "list", "read", "search", "find", "lookup", "look", "show", "view", "describe", "fetch", "think", "calculate",
    "compute", "count", "compare", "recall",
)  # fmt: skip
_MAX_KEPT_COUNT = 262_144
_MAX_SAID_COUNT = 8  # of the latest messages, among which what a user said is looked for

_At = tuple[int, bytes]
_Call = tuple[str, bytes]  # tool, digest of its arguments


class _Work:
    """What is known of one line of work, by start."""

    def __init__(self) -> None:
        self.calls: dict[_Call, Series] = {}
        self.changes: list[_At] = []
        self.models: list[_At] = []
        self.dirty: dict[_Call, None] = {}
        self.last_ns = 0  # the latest attempt's start


class _Kept:
    """What a span was taken for."""

    __slots__ = ("attempt", "call", "change", "line", "model")

    def __init__(self, line: Line) -> None:
        self.line = line
        self.call: _Call | None = None
        self.attempt: Attempt | None = None
        self.change: _At | None = None
        self.model: _At | None = None

    def said(self) -> tuple[object, ...]:
        return self.line, self.call, self.attempt, self.change, self.model


class BlindRetries(Settling):
    """The detector of `tool.blind_retry`."""

    name = KIND

    def __init__(self) -> None:
        self._touched = Touched()
        self._shown = ShownAnswers()
        self._told: dict[bytes, str] = {}  # tool call → what only a model was shown of its answer
        self._works: dict[Line, _Work] = {}
        self._dirty: dict[Line, None] = {}
        self._kept: dict[bytes, _Kept] = {}
        self._keys: dict[bytes, bytes] = {}  # payload → digest of the arguments in it
        self._said: dict[tuple[Line, _Call], dict[bytes, Finding]] = {}

    def settle(self, now_ns: int, trace: Trace) -> Iterable[Finding]:
        """Findings on the series that have grown since the last time."""
        for span in self._touched.take(trace):
            self._shown.note(span)
            self._keep(span, trace)
        for span, text in self._shown.found(trace):
            self._told[span.span_id] = text
            self._keep(span, trace)
        dirty, self._dirty = self._dirty, {}
        for line in dirty:
            yield from self._judge(line, trace)

    # --- noting --------------------------------------------------------------------------------------------------------

    def _keep(self, span: Span, trace: Trace) -> None:
        kept = self._read(span, trace)
        known = self._kept.get(span.span_id)
        if kept is None or (known is not None and known.said() == kept.said()):
            return
        if known is None and len(self._kept) >= _MAX_KEPT_COUNT:
            return
        if known is not None:
            self._drop(known)
        self._kept[span.span_id] = kept
        work = self._works.setdefault(kept.line, _Work())
        self._dirty[kept.line] = None
        if kept.call is not None and kept.attempt is not None:
            work.calls.setdefault(kept.call, Series()).put(kept.attempt)
            work.dirty[kept.call] = None
            work.last_ns = max(work.last_ns, kept.attempt.start_ns)
        for at, held in ((kept.change, work.changes), (kept.model, work.models)):
            if at is not None:
                insort(held, at)
                if at[0] < work.last_ns:
                    _start_over(work)

    def _drop(self, known: _Kept) -> None:
        work = self._works[known.line]
        self._dirty[known.line] = None
        if known.call is not None and known.attempt is not None:
            work.calls[known.call].drop(known.attempt)
            work.dirty[known.call] = None
        for at, held in ((known.change, work.changes), (known.model, work.models)):
            if at is not None:
                del held[bisect_left(held, at)]
                _start_over(work)

    def _read(self, span: Span, trace: Trace) -> _Kept | None:
        """What a span is to its line of work: an attempt, a change, a model call; None for nothing."""
        if span.kind == SpanKind.MODEL:
            kept = _Kept(line_of(span))
            kept.model = span.order_key
            return kept
        if span.kind in _GIVING:
            above = span if span.kind == SpanKind.DELEGATION else span.parent
            if above is None:
                return None
            kept = _Kept(line_of(above))
            kept.change = span.order_key
            return kept
        if span.kind not in _CALLS or not span.end_ns or is_echo(span):
            return None
        kept = _Kept(line_of(span))
        is_error = is_failed(span)
        text = None if is_error else (result_text(span, trace) or self._told.get(span.span_id))
        failed, is_change = self._outcome(span, text)
        if is_change:
            kept.change = span.order_key
        key = self._key(span, trace) if is_error or text is not None else b""
        if key:
            kept.call = (tool_name(span), key)
            kept.attempt = Attempt(*span.order_key, span.end_ns, failed)
        return kept

    def _outcome(self, span: Span, text: str | None) -> tuple[Failed | None, bool]:
        """How a finished call failed, and whether it may have changed anything that another call depends on."""
        if not is_tool_work(span):
            return None, True
        if (raised := failed_telling(span)) is not None:
            said = f"{raised.error_type}: {raised.error_text}" if raised.error_type else raised.error_text
            return failed_by(first_line(raised.error_text) or raised.error_type or "failed", said), False
        failure = failure_of(span, text)
        if failure is None or failure.reason == "empty result":
            return None, not _only_looks(tool_name(span))
        return failed_by(
            failure.quote, text or ""
        ), failure.reason == "exit code"  # a program ran, and may have done something

    def _key(self, span: Span, trace: Trace) -> bytes:
        """A digest that calls with the same arguments share, however they are written; empty where they are not known."""
        given = told(span, Slot.ARGUMENTS)
        if len(given) != 1:
            return b"".join(given)
        known = self._keys.get(given[0])
        if known is None:
            body = trace.body(given[0])
            if body is None:
                return given[0]
            said = key_of(*arguments_in(body))
            known = digest(TEXT, said) if said else given[0]
            if len(self._keys) < _MAX_KEPT_COUNT:
                self._keys[given[0]] = known
        return known

    # --- judging -------------------------------------------------------------------------------------------------------

    def _judge(self, line: Line, trace: Trace) -> Iterator[Finding]:
        work = self._works[line]
        dirty, work.dirty = work.dirty, {}
        for call in dirty:
            series = work.calls[call]
            is_anew = not series.is_begun
            grown = series.grown(lambda one, other: self._has_changed(work, one, other, trace))
            found = [finding for run in grown if (finding := self._finding(run, work, trace)) is not None]
            said = self._said.get((line, call), {})
            if is_anew:
                yield from (_taken_back(f) for i, f in said.items() if i not in {g.root_span_id for g in found})
            if found:
                self._said.setdefault((line, call), {}).update((f.root_span_id, f) for f in found)
            yield from found

    def _has_changed(self, work: _Work, one: Attempt, other: Attempt, trace: Trace) -> bool:
        at = bisect_left(work.changes, (one.end_ns, b""))
        between = work.changes[at : at + 2]
        if any(when < other.start_ns and span_id != one.span_id for when, span_id in between):
            return True
        return self._was_told(work, one, other, trace)

    def _was_told(self, work: _Work, one: Attempt, other: Attempt, trace: Trace) -> bool:
        """Whether a user said anything to the agent between two attempts, other than what the failure had said."""
        at = bisect_left(work.models, (other.start_ns, b"")) - 1
        if at < 0 or work.models[at][0] < one.end_ns:
            return False
        shown = trace.spans[work.models[at][1]].digests(Slot.INPUT)[-_MAX_SAID_COUNT:]
        before = bisect_left(work.models, (one.start_ns, b"")) - 1
        known = trace.spans[work.models[before][1]].digests(Slot.INPUT)[-2 * _MAX_SAID_COUNT :] if before >= 0 else []
        reader = reader_of(trace)
        quote = one.failed.quote.casefold() if one.failed is not None else ""
        for address in reversed(shown):
            asked = reader.asked(address)
            if not asked:
                return False
            if address not in known and (not quote or quote not in asked.casefold()):
                return True
        return False

    def _finding(self, run: Run, work: _Work, trace: Trace) -> Finding | None:
        if run.count < 2 or (run.is_asked_for and run.count < PATIENT_COUNT):
            return None
        last = trace.spans[run.last.span_id]
        if last.span_id in trace.vehicles():
            return None
        first = trace.spans[run.first.span_id]
        severity = _severity(run, has_clock=not first.attributes.get(SYNTHETIC_TIME))
        given = next((t for d in told(first, Slot.ARGUMENTS) if (t := trace.text(d)) is not None), "")
        shown = [run.first.span_id, *run.latest]
        evidence = [Evidence(first.span_id, f"arguments: {shorten(given, 300)}")]
        evidence += [Evidence(i, shorten(run.failed.quote)) for i in (shown[0], shown[-1])]
        return Finding(
            kind=KIND,
            severity=severity,
            confidence=0.95 if severity == Severity.WARNING else 0.6,
            trace_id=trace.trace_id,
            span_id=last.span_id,
            message=self._sentence(run, first, work, trace),
            agent=last.agent_name,
            value=run.failed.quote,
            root_span_id=first.span_id,
            path=shown,
            evidence=evidence,
            at_ns=run.last.end_ns,
        )

    def _sentence(self, run: Run, first: Span, work: _Work, trace: Trace) -> str:
        where = trace.span_label(first)
        said = (
            f"{tool_name(first)}{f' in {where}' if where else ''} was called {run.count} times with the same arguments and failed"
            f"{' each time' if run.count > 2 else ' both times'} with “{shorten(run.failed.quote, 100)}”"
        )
        if run.is_over:
            return f"{said}; then it succeeded"
        if run.failed.is_hopeless:
            said += ", an error that no repetition mends"
        _count_tokens(run, work, trace)
        spent = [f"{run.again_ns / 1e9:.1f} s"] if run.again_ns and not first.attributes.get(SYNTHETIC_TIME) else []
        spent += [f"{run.tokens} tokens"] if run.tokens else []
        return f"{said}; nothing had changed in between" + (f" (repeating took {' and '.join(spent)})" if spent else "")


def _only_looks(name: str) -> bool:
    """Whether a tool's name says that it changes nothing: what it found did not make the agent call otherwise either."""
    words = re.findall(r"[A-Za-z][a-z]*", name.replace("-", "_"))
    return bool(words) and words[0].lower() in _LOOKING


def _start_over(work: _Work) -> None:
    """Lets every series with more than one attempt be worked out anew: something earlier has come to light."""
    for call, series in work.calls.items():
        if len(series) > 1:
            series.reset()
            work.dirty[call] = None


def _severity(run: Run, *, has_clock: bool) -> Severity:
    if run.is_over or run.is_asked_for or (run.is_spaced and has_clock):
        return Severity.INFO
    return Severity.WARNING if run.failed.is_hopeless or run.count >= WARNING_COUNT else Severity.INFO


def _count_tokens(run: Run, work: _Work, trace: Trace) -> None:
    """Adds what the model calls that asked for the repetitions used."""
    while run.pairs:
        one, other = run.pairs.popleft()
        low, high = (bisect_left(work.models, (when, b"")) for when in (one.end_ns, other.start_ns))
        for _, span_id in work.models[low:high]:
            model = trace.spans[span_id]
            if not any(child.kind == SpanKind.MODEL for child in model.children):
                run.tokens += int(model.number(INPUT_TOKENS) + model.number(OUTPUT_TOKENS))


def _taken_back(finding: Finding) -> Finding:
    told = f"{finding.message}; taken back: something in between came to light"
    return msgspec.structs.replace(finding, severity=Severity.INFO, message=told)
