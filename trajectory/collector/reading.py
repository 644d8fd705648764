"""All that is known of one run, read once so that any instant of it can be shown at once.

Invariant: reading goes in parts, so it may be done between other things; what comes meanwhile is in the next reading. A
reading holds the whole run with its times, and `at_instant` leaves out what is later than the instant that is asked for.
"""

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import NamedTuple

from trajectory.alerting.alerts import Alert
from trajectory.collector.alert_rows import alert_rows
from trajectory.collector.coalescing import coalesced
from trajectory.collector.folded import EVENT_STEPS, Step
from trajectory.collector.knowledge import Held
from trajectory.collector.moments import Moments, Work
from trajectory.collector.rows import BAR_KINDS, SILENT_AFTER_NS, TraceRows
from trajectory.collector.wording import name_of, preview
from trajectory.graph.delegations import Delegation
from trajectory.graph.echoes import ended_ns, first_telling, is_echo
from trajectory.graph.invocation import used_tokens
from trajectory.graph.retries import retries
from trajectory.graph.span import Span
from trajectory.graph.trace import Invocation, Trace
from trajectory.model.content import MESSAGE, text_of
from trajectory.model.words import INPUT_TOKENS, DelegationMode, Slot, SpanKind
from trajectory.view.rows import AlertAt, DelegationRow, KnownRow, Lane, LaneBar, TickRow, TraceRow
from trajectory.view.text import clean

_BARS = 100  # of a lane: a chart has few more columns
_TICKS = 400  # of each sort
_PART = 1000  # spans that are read at once
_LOSSES = {"context.lost": "lost", "context.altered": "altered"}


class Heard(NamedTuple):
    """Something that came to an agent's knowledge at an instant."""

    at_ns: int
    what: str
    span: Span
    slot: str


class LaneFacts:
    """One agent's lane over the whole run. `row` has no bars, `own` is the work of its own span, None where it has none."""

    def __init__(self, row: Lane, invocation: Invocation) -> None:
        self.row = row
        self.invocation = invocation
        self.own: Work | None = None
        self.bars: list[LaneBar] = []
        self.bar_starts: list[int] = []
        self.marks: list[tuple[int, str]] = []
        self.calls: list[Span] = []  # model calls that say what they were shown, by start
        self.heard: list[Heard] = []
        self.lost: list[KnownRow] = []

    def mark_at(self, at_ns: int) -> str:
        """Its place on a cascade, as far as that had come."""
        marks = {mark for since_ns, mark in self.marks if since_ns <= at_ns}
        return "root" if "root" in marks else "carried" if marks else ""


class Handover(NamedTuple):
    """A delegation over the whole run; `source` is the place of the sender's lane, or -1, `failed_ns` 0 where it did not."""

    row: DelegationRow
    is_call: bool
    source: int
    agents: tuple[str, ...]
    failed_ns: int
    lost: list[tuple[int, str]]


class Reading:
    """One run, read by `read`; `ratio` says how far that has come. `rows` are those of the whole run at the version read."""

    def __init__(self, rows: TraceRows, version: int) -> None:
        self.rows = rows
        self.version = version
        self.ratio = 0.0
        self.start_ns = self.end_ns = 0
        self.whole = TraceRow("", "", "", "", "", 0, 0)
        self.lanes: list[LaneFacts] = []
        self.handovers: list[Handover] = []
        self.alerts: list[AlertAt] = []
        self.cascade_ns = 0  # when the first cascade that is known began
        self.ticks: list[TickRow] = []
        self.steps: list[Step] = []
        self.step_times: list[int] = []
        self.moments = Moments(0)
        self.held = Held()
        self._trace_version = -1

    def is_behind(self, trace: Trace, now_ns: int) -> bool:
        """Whether more is known of the run by now; also that a process which holds spans open has fallen silent."""
        is_silent = trace.open_count > 0 and now_ns - self.rows.now_ns > SILENT_AFTER_NS
        return trace.version != self._trace_version or is_silent

    def read(self) -> Iterator[None]:
        """Reads the run, a part at each step; the rest of the reading is good when it has come to its end."""
        rows, trace = self.rows, self.rows.trace
        self._trace_version = trace.version
        invocations = [*trace.invocations()]
        yield
        self.whole = rows.trace_row()
        yield
        span_count, place_of = max(1, len(trace.spans)), {id(i): at for at, i in enumerate(invocations)}
        faults = {s.span_id for s in trace.root_errors()}
        self.moments = Moments(len(invocations))
        read_count = 0
        for place, invocation in enumerate(invocations):
            for count in self._read_lane(place, invocation, faults):
                read_count += count
                self.ratio = min(0.9, read_count / span_count)
                yield
        loose = [s for s in trace.spans.values() if s.owner is None]
        self._read_loose(loose, faults, trace)
        yield
        yield from self._read_handovers(place_of)
        self._read_findings(invocations)
        yield
        self.steps.sort(key=attrgetter("at_ns"))
        yield
        self.step_times = [step.at_ns for step in self.steps]
        self._bound()
        yield
        yield from self.moments.settle(self.step_times)
        yield from self.held.read(trace, place_of)
        self._read_ticks()
        self.ratio = 1.0

    def _bound(self) -> None:
        rows, trace = self.rows, self.rows.trace
        self.start_ns = trace.first_ns
        self.end_ns = max(trace.last_ns, rows.now_ns if self.whole.state == "live" else 0)

    # --- lanes ------------------------------------------------------------------------------------------------------

    def _read_lane(self, place: int, invocation: Invocation, faults: set[bytes]) -> Iterator[int]:
        """Yields how many spans were read since the last time."""
        rows, trace = self.rows, self.rows.trace
        lane = LaneFacts(
            Lane(
                label=clean(trace.label(invocation)),
                agent=clean(invocation.agent),
                service=clean(invocation.service),
                span_id=invocation.span_id.hex(),
                state="",
                start_ns=invocation.start_ns,
                end_ns=invocation.end_ns,
            ),
            invocation,
        )
        self.lanes.append(lane)
        repeated, vehicles = retries(invocation), trace.vehicles()
        spans = sorted(invocation.spans.values(), key=lambda s: s.order_key)
        for start in range(0, len(spans), _PART):
            part = spans[start : start + _PART]
            for span in part:
                work = self._read_span(span, place, faults)
                mark = rows.mark(span)
                if span is invocation.span:
                    lane.own = work
                    lane.row = _closed_at(lane.row, work.end_ns if work else 0)
                elif work is not None and work.begins and span.kind in BAR_KINDS and span.span_id not in vehicles:
                    kind = "retry" if span.span_id in repeated else str(span.kind)
                    status = clean("error" if work.status == "error" else str(span.status))
                    lane.bars.append(LaneBar(span.span_id.hex(), kind, span.start_ns, work.end_ns, status, mark))
                if mark:
                    lane.marks.append((span.start_ns, mark))
                if span.contents:
                    self._hear(lane, span)
            yield len(part)
        lane.bars = coalesced(lane.bars, _BARS)
        lane.bar_starts = [bar.start_ns for bar in lane.bars]
        lane.heard.sort(key=lambda heard: heard.at_ns)
        self._cost(invocation.spans.values(), place)

    def _read_span(self, span: Span, lane: int, faults: set[bytes]) -> Work | None:
        """Notes a span's moments and its steps; None for one that nobody told of."""
        is_fault = span.span_id in faults
        if span.is_placeholder and not (is_fault and span.end_ns):
            return None
        end_ns = ended_ns(span) or (span.last_ns if self.rows.is_cut_off(span) else 0)
        begins = not (span.is_placeholder or is_echo(span))
        work = Work(span, lane, end_ns, self.rows.status(span), begins=begins, is_fault=is_fault)
        self.moments.add(work)
        if work.begins:
            self.steps.append(Step(len(self.steps), span.kind, span, None))
        for event in span.events:
            self.steps.append(Step(len(self.steps), EVENT_STEPS.get(event.name, "event"), span, event))
        return work

    def _cost(self, spans: Iterable[Span], lane: int, within: Iterable[Span] = ()) -> None:
        """What calls cost is known when they end; of those that are open, since they began."""
        for span, input_tokens, output_tokens in used_tokens(spans, within):
            self.moments.add_cost(span.end_ns or span.start_ns, lane, input_tokens, output_tokens)

    def _read_loose(self, spans: list[Span], faults: set[bytes], trace: Trace) -> None:
        """Reads the spans that are no agent's."""
        for span in spans:
            self._read_span(span, -1, faults)
        self._cost(spans, -1, trace.spans.values())
        for invocation, input_tokens, output_tokens in trace.rollups():
            at_ns = invocation.end_ns or invocation.start_ns
            self.moments.add_cost(at_ns, -1, input_tokens, output_tokens)

    # --- knowledge --------------------------------------------------------------------------------------------------

    @staticmethod
    def _hear(lane: LaneFacts, span: Span) -> None:
        """Notes what an agent was given when a span of its began, and what it got when one ended."""
        invocation, first = lane.invocation, first_telling(span)
        contents = (
            span.contents if first is span else {s: d for s, d in span.contents.items() if s not in first.contents}
        )
        if span.kind == SpanKind.MODEL:
            if Slot.INPUT in contents:
                lane.calls.append(span)
            if span.end_ns and Slot.OUTPUT in contents:
                lane.heard.append(Heard(span.end_ns, "assistant", span, Slot.OUTPUT))
        elif first is invocation.span:
            slot = Slot.TASK if Slot.TASK in contents else Slot.INPUT
            if slot in contents:
                lane.heard.append(Heard(span.start_ns, "task", span, slot))
        elif span.end_ns:
            slot = Slot.RETURNED if Slot.RETURNED in contents else Slot.RESULT
            if slot in contents:
                lane.heard.append(Heard(span.end_ns, "tool", span, slot))
        if Slot.CONTEXT in contents:
            lane.heard.append(Heard(span.start_ns, "context", span, Slot.CONTEXT))

    def known(self, lane: LaneFacts, at_ns: int, most: int) -> tuple[list[KnownRow], int, int]:
        """What an agent had in view at an instant, the last `most` of it; how much that is; the tokens that its last call read.

        That is what its last call was shown, and what it said and was told since; before any call, what it was given.
        """
        at = bisect_right(lane.calls, at_ns, key=lambda s: s.start_ns)
        call = lane.calls[at - 1] if at else None
        shown = [*call.digests(Slot.SYSTEM), *call.digests(Slot.INPUT)] if call is not None else []
        since_ns = call.start_ns if call is not None else 0
        heard = [h for h in lane.heard if since_ns < h.at_ns <= at_ns] if call is not None else [
            h for h in lane.heard if h.at_ns <= at_ns
        ]  # fmt: skip
        told = [(h, digest) for h in heard for digest in h.span.digests(h.slot)]
        known = [self._message(digest, call) for digest in shown[-most:]] if call is not None else []
        known += [self._body(h.what, digest, h.at_ns, h.span) for h, digest in told[-most:]]
        lost = [row for row in lane.lost if row.at_ns <= at_ns]
        tokens = int(call.number(INPUT_TOKENS)) if call is not None and 0 < call.end_ns <= at_ns else 0
        room = max(0, most - len(lost))
        return [*lost[:most], *(known[-room:] if room else [])], len(shown) + len(told) + len(lost), tokens

    def _message(self, digest: bytes, call: Span) -> KnownRow:
        return self._body("system" if digest in call.digests(Slot.SYSTEM) else "", digest, call.start_ns, call)

    def _body(self, what: str, digest: bytes, at_ns: int, span: Span) -> KnownRow:
        body = self.rows.trace.body(digest)
        if body is None:
            return KnownRow(what or "message", "(the body is not stored)", at_ns, span.span_id.hex())
        text = preview(text_of(*body))
        named = name_of(span) if what == "tool" else ""
        return KnownRow(what or _role(*body), f"{named}  {text}" if named else text, at_ns, span.span_id.hex())

    # --- delegations and findings -----------------------------------------------------------------------------------

    def _read_handovers(self, place_of: dict[int, int]) -> Iterator[None]:
        lost = self.rows.lost_by_span()
        since = {(f.span_id, clean(f.value)): _seen_ns(self.rows.trace, key, f.at_ns)
                 for key, f in self.rows.trace.findings.items() if f.kind in _LOSSES}  # fmt: skip
        times: dict[str, int] = {}
        for (_, value), at_ns in since.items():
            times[value] = min(at_ns, times.get(value, at_ns))
        for number, delegation in enumerate([*self.rows.trace.delegations()]):
            self.handovers.append(self._handover(delegation, lost, place_of, times))
            if number % 100 == 99:
                yield

    def _handover(
        self, delegation: Delegation, lost: dict[bytes, list[str]], place_of: dict[int, int], times: dict[str, int]
    ) -> Handover:
        row = self.rows.delegation_row(delegation, lost)
        ends = [s.end_ns for s in (delegation.span, delegation.target_span) if s is not None and s.is_error]
        return Handover(
            row=row,
            is_call=delegation.mode == DelegationMode.CALL,
            source=place_of.get(id(delegation.source), -1) if delegation.source is not None else -1,
            agents=tuple(clean(name) for name in (delegation.source_agent, delegation.target_agent) if name),
            failed_ns=min((end_ns for end_ns in ends if end_ns), default=0),
            lost=[(times.get(value, 0), value) for value in row.lost],
        )

    def _read_findings(self, invocations: list[Invocation]) -> None:
        rows, trace = self.rows, self.rows.trace
        known_ns = {alert.key: _known_ns(alert, trace) for alert in rows.alerts}
        self.alerts = [
            AlertAt(a.key, a.alert_id, a.severity, a.kind, a.state, a.summary, a.agent, a.span_id, a.opened_ns, known_ns[a.key])
            for a in sorted(alert_rows(rows), key=lambda a: (a.opened_ns, a.alert_id))
        ]  # fmt: skip
        self.cascade_ns = min((a.opened_ns for a in self.alerts if a.kind == "cascade"), default=0)
        place = {span_id: at for at, i in enumerate(invocations) for span_id in i.spans} if trace.findings else {}
        for key, finding in trace.findings.items():
            what, at = _LOSSES.get(finding.kind), place.get(finding.span_id)
            if what is not None and at is not None:
                seen_ns = _seen_ns(trace, key, finding.at_ns)
                row = KnownRow(what, clean(finding.value), seen_ns, finding.span_id.hex())
                self.lanes[at].lost.append(row)

    def _read_ticks(self) -> None:
        errors = sorted(self.rows.trace.root_errors(), key=lambda s: s.end_ns)
        rows = [handover.row for handover in self.handovers]
        self.ticks = [
            *_thinned([TickRow(r.sent_ns, "delegation", r.target, r.span_id) for r in rows]),
            *_thinned([TickRow(r.returned_ns, "return", r.target, r.span_id) for r in rows if r.returned_ns]),
            *_thinned([TickRow(s.end_ns, "error", name_of(s), s.span_id.hex()) for s in errors]),
            *_thinned([TickRow(a.opened_ns, "alert", a.alert_id, a.span_id, a.severity) for a in self.alerts]),
        ]
        self.ticks.sort(key=lambda tick: tick.at_ns)


def _closed_at(row: Lane, end_ns: int) -> Lane:
    return Lane(row.label, row.agent, row.service, row.span_id, row.state, row.start_ns, end_ns)


def _thinned(ticks: list[TickRow]) -> list[TickRow]:
    """At most _TICKS of them, of each stretch of time the first."""
    ticks.sort(key=lambda tick: tick.at_ns)
    if len(ticks) <= _TICKS:
        return ticks
    first_ns, range_ns = ticks[0].at_ns, max(1, ticks[-1].at_ns - ticks[0].at_ns + 1)
    kept: dict[int, TickRow] = {}
    for tick in ticks:
        kept.setdefault((tick.at_ns - first_ns) * _TICKS // range_ns, tick)
    return [*kept.values()]


def _seen_ns(trace: Trace, key: str, at_ns: int) -> int:
    return at_ns or trace.found_at_ns.get(key, 0)


def _known_ns(alert: Alert, trace: Trace) -> int:
    return min((found for f in alert.findings if (found := trace.found_at_ns.get(f.key, 0))), default=alert.opened_ns)


def _role(media_type: str, body: bytes) -> str:
    """Whose words a message is."""
    if media_type != MESSAGE:
        return "message"
    try:
        return clean(str(json.loads(body).get("role", "")))[:20] or "message"
    except (ValueError, AttributeError, RecursionError):
        return "message"
