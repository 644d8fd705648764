"""`tool.silent_failure`: a tool's span is not an error and its result says failure.

Invariant: each finished tool call is read once, when the trace settles, so the order of facts inside a window and their
repetition change nothing. A tool that did not do its work is a warning; one that worked and declined the request (not
found, not allowed) is for information, as is a fault that the same call, made again, got over. Where the result was not
captured, nothing is said. Registered under `trajectory.detectors`.
"""

from collections.abc import Iterable, Iterator

import msgspec

from trajectory.detection.contract import Settling
from trajectory.detection.failure_result import failure_in
from trajectory.detection.failure_text import Failure, first_line, is_empty_result
from trajectory.detection.shown import ShownAnswers
from trajectory.detection.touched import Touched
from trajectory.graph.echoes import first_telling, is_echo, is_failed, told
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace, tool_name
from trajectory.model.fact import Evidence, Finding
from trajectory.model.words import LinkKind, Severity, Slot, SpanKind

KIND = "tool.silent_failure"
ANSWERING = frozenset(k.value for k in (SpanKind.TOOL, SpanKind.RETRIEVAL))  # whose results may say failure
_READING = (
    "get",
    "fetch",
    "read",
    "load",
    "download",
    "open",
    "retrieve",
)  # verbs whose tools owe their caller content
_MAX_KEPT_COUNT = 4096
_MAX_CARRIED_COUNT = 32


class SilentFailures(Settling):
    """The detector of `tool.silent_failure`."""

    name = KIND

    def __init__(self) -> None:
        self._touched = Touched()
        self._faults: dict[tuple[str, int], dict[bytes, tuple[Span, Finding]]] = {}  # (tool, owner) → not got over yet
        self._successes: dict[tuple[str, int], dict[str, Span]] = {}  # (tool, owner) → arguments → latest success
        self._kept_count = 0
        self._shown = ShownAnswers()

    def settle(self, now_ns: int, trace: Trace) -> Iterable[Finding]:
        """Findings on the calls that finished since the last time, and on faults that those calls got over."""
        spans = self._touched.take(trace)
        for span in spans:
            self._shown.note(span)
        for span in sorted(spans, key=lambda s: (s.end_ns, s.span_id)):
            if span.kind in ANSWERING and span.end_ns:
                yield from self._read(span, result_text(span, trace), trace)
        for span, text in self._shown.found(trace):
            yield from self._read(span, text, trace)

    def _read(self, span: Span, text: str | None, trace: Trace) -> Iterator[Finding]:
        if is_failed(span) or not is_tool_work(span):
            return
        failure = failure_of(span, text)
        if failure is None and text is None and not self._faults and not span.contents:
            return
        place = (tool_name(span), id(span.owner))
        if failure is None:
            self._keep_success(place, span)
            yield from self._got_over(place, span)
            return
        if span.span_id in trace.vehicles():
            return  # a delegatee's answer, which the delegation's own checks read
        finding = _finding(span, failure, trace)
        if finding.severity != Severity.INFO:
            success = self._successes.get(place, {}).get(arguments_key(span))
            if success is not None and repeats(success, span):
                finding = _handled(finding)
            elif self._kept_count < _MAX_KEPT_COUNT:
                self._kept_count += 1
                self._faults.setdefault(place, {})[span.span_id] = (span, finding)
        yield finding

    def _keep_success(self, place: tuple[str, int], span: Span) -> None:
        """Remembers a success, in case the fact of the failure that it repeats comes later."""
        key = arguments_key(span)
        if key and self._kept_count < _MAX_KEPT_COUNT:
            known = self._successes.setdefault(place, {})
            if key not in known:
                self._kept_count += 1
            if key not in known or known[key].order_key < span.order_key:
                known[key] = span

    def _got_over(self, place: tuple[str, int], success: Span) -> Iterator[Finding]:
        """Faults of the same tool in the same invocation that this success is the repetition of."""
        faults = self._faults.get(place, {})
        for span_id in [i for i, (failed, _) in faults.items() if repeats(success, failed)]:
            yield _handled(faults.pop(span_id)[1])


def is_tool_work(span: Span) -> bool:
    """Whether a tool span is a tool's own work: it neither carries a delegation nor repeats the call around it."""
    if is_echo(span):
        return False
    pending, seen_count = list(span.children), 0
    while pending and seen_count < _MAX_CARRIED_COUNT:
        below = pending.pop()
        seen_count += 1
        if below.kind in (SpanKind.AGENT, SpanKind.DELEGATION):
            return False
        pending.extend(below.children)
    return True


def result_text(span: Span, trace: Trace) -> str | None:
    """What a call gave back; None where it was not captured."""
    digests = told(span, Slot.RESULT, Slot.OUTPUT)
    texts = [text for text in (trace.text(d) for d in digests) if text is not None]
    return "\n".join(texts) if texts else None


def failure_of(span: Span, text: str | None) -> Failure | None:
    """How a finished call failed by the words of its result; None where it did not, or there is no text."""
    if text is None:
        return None
    if is_empty_result(text):
        verb = tool_name(span).lower().replace("-", "_").split("_")[0]
        return Failure("empty result", first_line(text) or "(empty)", 0.5, False) if verb in _READING else None
    return failure_in(text)


def repeats(later: Span, failed: Span) -> bool:
    """Whether a call does again what another failed at: it says so, or came after with the very same arguments."""
    if any(link.kind == LinkKind.RETRY_OF and link.to_span_id == failed.span_id for link in later.links):
        return True
    same = arguments_key(later)
    return bool(same) and same == arguments_key(failed) and later.order_key > failed.order_key


def arguments_key(span: Span) -> str:
    """The digests of a call's arguments, by which two calls are seen to be the same; empty where none were captured."""
    return ",".join(digest.hex() for digest in told(first_telling(span), Slot.ARGUMENTS))


def _handled(finding: Finding) -> Finding:
    message = f"{finding.message}; the same call then succeeded"
    return msgspec.structs.replace(finding, severity=Severity.INFO, message=message)


def _finding(span: Span, failure: Failure, trace: Trace) -> Finding:
    where = trace.span_label(span)
    said = failure.quote.replace("\n", " ")
    return Finding(
        kind=KIND,
        severity=Severity.WARNING if failure.is_fault else Severity.INFO,
        confidence=failure.confidence,
        trace_id=trace.trace_id,
        span_id=span.span_id,
        message=f"{tool_name(span)}{f' in {where}' if where else ''} returned “{said}” as a success ({failure.reason})",
        agent=span.agent_name,
        value=failure.quote,
        root_span_id=span.span_id,
        path=[span.span_id],
        evidence=[Evidence(span.span_id, said)],
        at_ns=span.end_ns,
    )
