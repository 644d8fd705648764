"""A folded trace as the rows that a screen may read.

Invariant: pure, and the same live and at rest: what is shown is a function of the fold, the instant and the query. Called
by the publisher and by the feed of a store at rest.
"""

import heapq
from collections.abc import Callable
from itertools import islice

from trajectory.alerting.alerts import alerts_of
from trajectory.collector.coalescing import bars_a_lane, coalesced
from trajectory.collector.folded import FoldedTrace, Step
from trajectory.collector.wording import (
    PREVIEW_CHARS,
    STEP_WORDS,
    event_text,
    goal_of,
    name_of,
    preview,
    title_of,
    tokens_of,
)
from trajectory.graph.delegations import Delegation
from trajectory.graph.echoes import ended_ns, is_echo, is_failed, tellings, told
from trajectory.graph.retries import retries
from trajectory.graph.span import Span
from trajectory.graph.trace import Invocation, Trace
from trajectory.model.words import DELEGATION_TARGET, INTERRUPTED, DelegationMode, Severity, Slot, SpanKind
from trajectory.view.rows import DelegationRow, Lane, LaneBar, StepRow, TraceRow
from trajectory.view.text import clean

SILENT_AFTER_NS = 15_000_000_000
_NAMED_AGENTS = 64
BAR_KINDS = (SpanKind.MODEL, SpanKind.TOOL, SpanKind.RETRIEVAL)
_ACTIVITY_WINDOW_NS = 4_000_000_000
_ACTIVITY_WINDOWS = 15


class TraceRows:
    """The rows of one trace at one instant. `is_live`: a collector is folding it, so an open span may yet go on."""

    def __init__(self, folded: FoldedTrace, now_ns: int, is_live: bool) -> None:
        self.folded = folded
        self.trace: Trace = folded.trace
        self.now_ns = now_ns
        self.is_live = is_live
        self.alerts = alerts_of(self.trace, now_ns)
        cascades = [f for f in self.trace.findings.values() if f.kind == "cascade"]
        self._roots = {f.root_span_id or f.span_id for f in cascades}
        self._carried = {span_id for f in cascades for span_id in f.path} - self._roots
        self._retries: dict[int, dict[bytes, bytes]] = {}  # by invocation, worked out when somebody asks

    @property
    def last_ns(self) -> int:
        """Up to when the run has come: its last fact, or now while it goes on."""
        return max(self.now_ns, self.trace.last_ns) if self.state() == "live" else self.trace.last_ns

    def _retries_in(self, invocation: Invocation) -> dict[bytes, bytes]:
        found = self._retries.get(id(invocation))
        if found is None:
            found = self._retries[id(invocation)] = retries(invocation)
        return found

    # --- marks and states ------------------------------------------------------------------------------------------

    def mark(self, span: Span) -> str:
        """`root` where a cascade began, `carried` where one passed."""
        if not (self._roots or self._carried):
            return ""
        ids = {s.span_id for s in tellings(span)}
        if ids & self._roots:
            return "root"
        return "carried" if ids & self._carried else ""

    def is_retry(self, span: Span) -> bool:
        return self.retried(span) is not None

    def retried(self, span: Span) -> bytes | None:
        """The id of the failed call that a span repeats."""
        return self._retries_in(span.owner).get(span.span_id) if span.owner is not None else None

    def is_cut_off(self, span: Span) -> bool:
        """Whether an open span will not go on: nobody serves its trace, or its process has fallen silent."""
        if not span.is_open:
            return False
        if not self.is_live:
            return True
        heard_ns = self.trace.heard_ns.get(span.source.emitter_id, 0) if span.source is not None else 0
        return self.now_ns - max(heard_ns, span.last_ns) > SILENT_AFTER_NS

    def status(self, span: Span) -> str:
        """A span's status as a screen shows it: `running`, `cut_off`, `error` or `ok`."""
        if span.is_open:
            return "cut_off" if self.is_cut_off(span) else "running"
        if is_failed(span):
            return "error"
        return "cut_off" if INTERRUPTED in span.attributes else "ok"

    def state(self) -> str:
        """`live`, `done`, `failed` or `cut_off`."""
        state = self.trace.state
        if state != "live":
            return state
        is_going_on = any(s.is_open and not self.is_cut_off(s) for s in self.trace.spans.values())
        return "live" if is_going_on else "cut_off"

    @property
    def is_partial(self) -> bool:
        """Whether facts of it are known to be missing."""
        return any(f.kind == "telemetry.gap" for f in self.trace.findings.values())

    # --- rows -------------------------------------------------------------------------------------------------------

    def trace_row(self) -> TraceRow:
        trace, usage, agents = self.trace, self.trace.usage(), self.trace.agents()
        goal = goal_of(trace)
        by_severity = [a.severity for a in self.alerts if a.state == "open"]
        return TraceRow(
            trace_id=trace.trace_id.hex(),
            title=title_of(trace, goal),
            state=self.state(),
            session_id=clean(trace.session_id),
            service=clean(trace.service),
            started_ns=trace.first_ns,
            ended_ns=trace.last_ns,
            agents=len(agents),
            delegations=len(trace.delegations()),
            steps=usage.spans,
            errors=len(trace.root_errors()),
            critical=by_severity.count(Severity.CRITICAL),
            warnings=by_severity.count(Severity.WARNING),
            infos=by_severity.count(Severity.INFO),
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            activity=self._activity(),
            goal=goal,
            is_partial=self.is_partial,
            agent_names=[clean(name) for name in islice(agents, _NAMED_AGENTS)],
        )

    def _activity(self) -> list[int]:
        end_ns = self.now_ns if self.is_live else self.trace.last_ns
        if end_ns - self.trace.last_ns >= _ACTIVITY_WINDOWS * _ACTIVITY_WINDOW_NS:
            return []
        counts = [0] * _ACTIVITY_WINDOWS
        for step in reversed(self.folded.steps):
            window = (end_ns - step.at_ns) // _ACTIVITY_WINDOW_NS
            if 0 <= window < _ACTIVITY_WINDOWS:
                counts[_ACTIVITY_WINDOWS - 1 - window] += 1
        return counts if any(counts) else []

    def lanes(self) -> list[Lane]:
        lost = self.lost_by_span()
        waiting = self._waiting()
        return [self._lane(invocation, lost, waiting) for invocation in self.trace.invocations()]

    def lane(self, invocation: Invocation) -> Lane:
        """One lane by itself."""
        return self._lane(invocation, self.lost_by_span(), self._waiting())

    def _lane(self, invocation: Invocation, lost: dict[bytes, list[str]], waiting: set[int]) -> Lane:
        usage = invocation.usage
        spans = invocation.spans
        values = lost.get(invocation.span_id, [])
        return Lane(
            label=clean(self.trace.label(invocation)),
            agent=clean(invocation.agent),
            service=clean(invocation.service),
            span_id=invocation.span_id.hex(),
            state=self._lane_state(invocation, waiting),
            start_ns=invocation.start_ns,
            end_ns=invocation.end_ns,
            bars=self._bars(invocation),
            mark="root" if any(s in spans for s in self._roots) else "carried" * any(s in spans for s in self._carried),
            note=f"lost {len(values)} item{'s' * (len(values) != 1)}" if values else "",
            steps=usage.spans,
            errors=usage.errors,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
        )

    def _bars(self, invocation: Invocation) -> list[LaneBar]:
        """The bars of a lane, kept as long as all that they are drawn from stays; what is open depends on the clock."""
        spans = invocation.spans
        carriers = tuple(s for s in self.trace.vehicles() if s in spans)
        marked = tuple(s for s in self._roots | self._carried if s in spans)
        most = bars_a_lane(len(self.trace.invocations()))
        state = (invocation.usage, carriers, marked, most)  # an invocation that changed counts its usage anew
        kept = self.folded.bars.get(id(invocation))
        if kept is not None and kept[0][0] is state[0] and kept[0][1:] == state[1:]:
            return kept[1]
        steps = [s for s in invocation.steps() if s.kind in BAR_KINDS and not (s.is_placeholder or is_echo(s))]
        bars = coalesced([self._bar(s) for s in steps if s.span_id not in carriers], most)
        if not any(s.is_open for s in steps):
            self.folded.bars[id(invocation)] = (state, bars)
        return bars

    def _bar(self, span: Span) -> LaneBar:
        kind = "retry" if self.is_retry(span) else str(span.kind)
        end_ns = ended_ns(span) or (span.last_ns if self.is_cut_off(span) else 0)
        status = next((s.status for s in tellings(span) if s.is_error), span.status)
        return LaneBar(span.span_id.hex(), kind, span.start_ns, end_ns, clean(str(status)), self.mark(span))

    def _waiting(self) -> set[int]:
        """Invocations that wait for an answer: they called somebody who has not returned."""
        return {
            id(d.source)
            for d in self.trace.delegations()
            if d.source is not None and d.mode == DelegationMode.CALL and d.state in ("sent", "received")
        }

    def _lane_state(self, invocation: Invocation, waiting: set[int]) -> str:
        span = invocation.span
        if span is None:
            return "running" if not invocation.end_ns else "error" if invocation.status == "error" else "ok"
        state = self.status(span)
        return "waiting" if state == "running" and id(invocation) in waiting else state

    def delegation_rows(self) -> list[DelegationRow]:
        lost = self.lost_by_span()
        return [self.delegation_row(d, lost) for d in self.trace.delegations()]

    def delegation_row(self, delegation: Delegation, lost: dict[bytes, list[str]]) -> DelegationRow:
        target = delegation.target_span
        path = self._roots | self._carried
        touched = (delegation.delegation_id in path) or (target is not None and self._lane_on_path(delegation))
        return DelegationRow(
            delegation_id=delegation.own_id.hex(),
            source=self._end(delegation.source, delegation.source_agent),
            target=self._end(delegation.target, delegation.target_agent),
            mode=clean(str(delegation.mode)),
            grade=clean(str(delegation.grade)),
            reason=clean(delegation.reason),
            state=delegation.state,
            sent_ns=delegation.sent_ns,
            received_ns=delegation.received_ns,
            returned_ns=delegation.returned_ns,
            span_id=delegation.span.span_id.hex(),
            target_span_id=target.span_id.hex() if target is not None else "",
            task=self.preview(delegation.task_digests()),
            returned=self.preview(delegation.returned_digests()),
            on_error_path=touched,
            lost=lost.get(target.span_id if target is not None else delegation.delegation_id, []),
        )

    def _end(self, invocation: Invocation | None, agent: str) -> str:
        """One end of a delegation: its lane's label, else the agent's name."""
        return clean(self.trace.label(invocation) if invocation is not None else agent)

    def _lane_on_path(self, delegation: Delegation) -> bool:
        """Whether a cascade runs through both ends of a delegation."""
        path = self._roots | self._carried
        return (
            delegation.target is not None
            and delegation.source is not None
            and not path.isdisjoint(delegation.target.spans)
            and not path.isdisjoint(delegation.source.spans)
        )

    def lost_by_span(self) -> dict[bytes, list[str]]:
        """What was lost or altered on its way, by the receiving agent's span (and by the sender's)."""
        lost: dict[bytes, list[str]] = {}
        for finding in self.trace.findings.values():
            if finding.kind in ("context.lost", "context.altered"):
                span = self.trace.spans.get(finding.span_id)
                invocation = span.owner if span is not None else None
                key = invocation.span_id if invocation is not None else finding.span_id
                lost.setdefault(key, []).append(clean(finding.value))
        return lost

    # --- tail -------------------------------------------------------------------------------------------------------

    def tail(self, limit: int, keep: Callable[[StepRow], bool] | None = None) -> list[StepRow]:
        """The newest steps that pass the filter, oldest first."""
        rows: list[StepRow] = []
        steps = self.folded.steps
        newest = heapq.nlargest(len(steps) if keep else 2 * limit, steps, key=lambda s: (s.at_ns, s.step_id))
        for step in newest:
            if step.event is None and is_echo(step.span):
                continue
            row = self.step_row(step)
            if keep is None or keep(row):
                rows.append(row)
            if len(rows) >= limit:
                break
        return rows[::-1]

    def step_row(self, step: Step) -> StepRow:
        span = step.span
        what, status, text, duration_ns, tokens = (
            str(span.kind),
            "",
            "",
            0,
            0,
        )  # a span may begin before it is known what it is
        if step.event is not None:
            what, text = step.what, event_text(self.trace, step.event)
        else:
            status, text, tokens = self.status(span), self._span_line(span), tokens_of(span)
            end_ns = ended_ns(span)
            duration_ns = max(end_ns - span.start_ns, 0) if end_ns and span.start_ns else 0
        return StepRow(
            step_id=step.step_id,
            at_ns=step.at_ns,
            label=clean(self.trace.span_label(span)),
            what=STEP_WORDS.get(what) or clean(what),
            status=status,
            text=text,
            span_id=span.span_id.hex(),
            duration_ns=duration_ns,
            tokens=tokens,
            mark=self.mark(span),
        )

    def _span_line(self, span: Span) -> str:
        """What a span is, and what came of it."""
        outcome = self.outcome(span)
        name = name_of(span)
        if span.kind == SpanKind.DELEGATION:
            name = clean(str(span.attributes.get(DELEGATION_TARGET, ""))) or name
            outcome = self.preview(span.digests(Slot.TASK)) or outcome
        return f"{name}  {outcome}" if outcome else name

    def outcome(self, span: Span) -> str:
        """A preview of the error, else of what came out, else of what is coming out right now."""
        failed = next((s for s in tellings(span) if s.is_error), None)
        if failed is not None:
            return clean(failed.error_text[:PREVIEW_CHARS])
        digests = told(span, Slot.RESULT, Slot.RETURNED, Slot.OUTPUT)
        if digests:
            return self.preview(digests[-1:])
        if span.partial_text:
            return clean(span.partial_text[-PREVIEW_CHARS:])
        return ""

    def preview(self, digests: list[bytes]) -> str:
        texts = (self.trace.text(d) for d in digests[:4])
        return preview(" ".join(t[: 4 * PREVIEW_CHARS] for t in texts if t))
