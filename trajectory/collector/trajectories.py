"""One agent's trajectory in the order in which it happened: what it was given, each step of its own, what it gave back.

Invariant: every step is there once, the carrier of a delegation as the delegation that it is; steps that are alike, one after the
other, are behind one line, but never one that failed otherwise, has an alert or lies on a cascade. Worked out once for each state
of the trace. Called by `agent_view`.
"""

from collections.abc import Iterable
from itertools import groupby
from typing import NamedTuple

from trajectory.collector.alert_rows import alert_rows
from trajectory.collector.folded import EVENT_STEPS
from trajectory.collector.rows import TraceRows
from trajectory.graph.delegations import Delegation
from trajectory.graph.echoes import is_echo
from trajectory.graph.retries import retries
from trajectory.graph.span import Span
from trajectory.graph.trace import Invocation, Trace, tool_name
from trajectory.model.fact import SpanEvent
from trajectory.model.words import EVENT_EXCEPTION, DelegationMode, SpanKind
from trajectory.view.rows import AlertRow

RECEIVE, DELEGATE, ANSWER, RETURN, RETRY = "receive", "delegate", "answer", "return", "retry"
_FOLDED_FROM = 3  # alike in a row
_FOLDS = frozenset((SpanKind.TOOL, SpanKind.RETRIEVAL, RETRY, "step"))
_STEP_WORDS: dict[str, str] = {SpanKind.OTHER: "step", SpanKind.AGENT: "step", SpanKind.DELEGATION: DELEGATE}
_FIRST, _WITHIN, _LAST = 0, 1, 2

Found = list[tuple[str, str]]  # severity and number of alerts


class Line(NamedTuple):
    """One step. `rank` orders what happened at one instant."""

    at_ns: int
    rank: int
    what: str
    span: Span
    event: SpanEvent | None
    delegation: Delegation | None

    @property
    def key(self) -> str:
        """What it is known by, as long as the trace is."""
        at = f" {self.event.name[:40]} {self.event.at_ns}" if self.event is not None else ""
        by = f" {self.delegation.own_id.hex()}" if self.delegation is not None else ""
        return f"{self.what} {self.span.span_id.hex()}{at}{by}"


class Lines:
    """The lines of one trajectory. `starts` are the places in `all` at which one begins that is shown while likes are folded, and
    a last one behind the end; `given` and `gave` are the delegations by which it got work and gave some."""

    def __init__(self, rows: TraceRows, invocation: Invocation) -> None:
        trace = rows.trace
        self.invocation = invocation
        self.retries = retries(invocation)
        self.given = [d for d in trace.delegations() if d.target is invocation]
        self.gave = [d for d in trace.delegations() if d.source is invocation]
        self.all = sorted(self._lines(trace), key=_in_order)
        self.found = self._found(alert_rows(rows))
        self.starts = self._starts(rows)

    def _lines(self, trace: Trace) -> Iterable[Line]:
        invocation, vehicles = self.invocation, trace.vehicles() | {d.delegation_id for d in self.gave}
        own = invocation.span
        first = own or min(invocation.spans.values(), key=lambda s: s.order_key)
        for d in self.given:
            yield Line(d.received_ns or d.sent_ns, _FIRST, RECEIVE, own or d.span, None, d)
            if d.returned_ns:
                ended_ns = invocation.end_ns if own is not None and own.end_ns else d.returned_ns
                yield Line(ended_ns, _LAST, RETURN, own or d.span, None, d)
        if not self.given:
            yield Line(invocation.start_ns, _FIRST, RECEIVE, first, None, None)
            if own is not None and own.end_ns:
                yield Line(invocation.end_ns, _LAST, RETURN, own, None, None)
        for d in self.gave:
            yield Line(d.sent_ns, _WITHIN, DELEGATE, d.span, None, d)
            if d.mode == DelegationMode.CALL and d.returned_ns:
                yield Line(d.returned_ns, _WITHIN, ANSWER, d.span, None, d)
        for span in invocation.spans.values():
            span_id = span.span_id
            is_told = span is own or span_id in vehicles or span.is_placeholder or is_echo(span)
            if not is_told:
                what = RETRY if span_id in self.retries else _STEP_WORDS.get(span.kind, span.kind)
                yield Line(span.start_ns, _WITHIN, what, span, None, None)
            for event in span.events:
                word = EVENT_STEPS.get(event.name)
                if word is not None and event.name != EVENT_EXCEPTION:
                    yield Line(event.at_ns, _WITHIN, word, span, event, None)

    def _found(self, alerts: list[AlertRow]) -> dict[str, Found]:
        """The alerts by the step that they are about, by its key."""
        by_span: dict[str, str] = {}
        receive = next((line.key for line in self.all if line.what == RECEIVE), "")
        gave_back = next((line.key for line in reversed(self.all) if line.what == RETURN), receive)
        for line in self.all:
            if line.what not in (RECEIVE, RETURN, ANSWER) and line.event is None:
                by_span.setdefault(line.span.span_id.hex(), line.key)
        at_door = {d.delegation_id.hex() for d in self.given}
        found: dict[str, Found] = {}
        for alert in alerts:
            for span_id in dict.fromkeys((alert.span_id, alert.root_span_id)):
                key = by_span.get(span_id, "")
                if not key and (span_id in at_door or span_id == self.invocation.span_id.hex()):
                    key = receive if alert.kind.startswith("context.") else gave_back
                told = (alert.severity, alert.alert_id)
                if key and told not in found.setdefault(key, []):
                    found[key].append(told)
        return found

    def _starts(self, rows: TraceRows) -> list[int]:
        starts: list[int] = []
        at = 0
        told = (self._alike(rows, line) or (place,) for place, line in enumerate(self.all))
        for alike, group in groupby(told):
            count = sum(1 for _ in group)
            folds = len(alike) > 1 and count >= _FOLDED_FROM
            starts += [at] if folds else range(at, at + count)
            at += count
        return [*starts, at]

    def _alike(self, rows: TraceRows, line: Line) -> tuple[object, ...]:
        """What two lines share that may be folded; nothing for one that may not."""
        span = line.span
        if line.what not in _FOLDS or line.event is not None or rows.mark(span) or self.found.get(line.key):
            return ()
        return line.what, tool_name(span), span.is_open, span.is_error and span.error_text[:200]


def _in_order(line: Line) -> tuple[int, int, bytes]:
    return line.at_ns, line.rank, line.span.span_id


class _Told:
    """The trajectories of one state of a trace that somebody looks at."""

    def __init__(self, trace: Trace) -> None:
        self.version = trace.version
        self.lines: dict[int, Lines] = {}


def lines_of(rows: TraceRows, invocation: Invocation) -> Lines:
    """The lines of an agent's trajectory, as the trace stands."""
    trace = rows.trace
    told: _Told | None = trace.notes.get(_Told)
    if told is None or told.version != trace.version:
        told = trace.notes[_Told] = _Told(trace)
    lines = told.lines.get(id(invocation))
    if lines is None:
        lines = told.lines[id(invocation)] = Lines(rows, invocation)
    return lines
