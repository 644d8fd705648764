"""A run as it stood at an instant: what had happened by then, who waited for whom, what each agent had in view, what was wrong.

Invariant: who the agents are is read from all that is known of the run, so that nothing is renamed while one moves through it;
what had happened is a fold of the facts up to the instant, and no time, count or text of a later one is shown. An alert is
shown by what it is about, with when it was found. A run is read in parts, so that no answer takes long. Called by the publisher.
"""

import time
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator

import msgspec

from trajectory.collector.folded import FoldedTrace
from trajectory.collector.pace import Pace
from trajectory.collector.reading import Handover, LaneFacts, Reading
from trajectory.collector.rows import TraceRows
from trajectory.collector.wording import name_of
from trajectory.graph.echoes import told
from trajectory.graph.span import Span
from trajectory.model.words import DELEGATION_TARGET, Slot, SpanKind
from trajectory.view.rows import AlertAt, DelegationRow, Health, Lane, LaneAt, LaneBar, StepRow, TraceRow
from trajectory.view.text import clean
from trajectory.view.views import InstantQuery, InstantView

_PART_NS = 60_000_000  # how long one answer may read on
_RESTS = 9  # a run that goes on is read anew in a tenth of the time at most
_MAX_HELD = 4
_OPEN_SHOWN = 50
_KNOWN_SHOWN = 40
_HELD_SHOWN = 60
_NEIGHBOURS = 48


class Instants:
    """The readings of the runs that are looked at, a few of them kept. One thread at a time."""

    def __init__(self) -> None:
        self._held: OrderedDict[bytes, _Held] = OrderedDict()

    def answer(
        self, query: InstantQuery, folded: FoldedTrace, health: Health, since: int, least_version: int, *, is_live: bool
    ) -> InstantView | None:
        """The run at the instant; None where nothing changed after version `since`. While the run is being read, as far as
        that has come: ask again. `least_version` is that of whatever else is shown."""
        trace_id = folded.trace.trace_id
        held = self._held.get(trace_id)
        if held is None or held.folded is not folded:
            held = self._held[trace_id] = _Held(folded)
        self._held.move_to_end(trace_id)
        while len(self._held) > _MAX_HELD:
            self._held.popitem(last=False)
        held.read_on(health.now_ns, is_live)
        reading = held.reading
        if reading is None:
            whole = TraceRow(trace_id.hex(), "", "live", "", "", folded.trace.first_ns, folded.trace.last_ns)
            return InstantView(-1, health, whole, whole, 0, whole.started_ns, whole.ended_ns, held.ratio)
        version = max(reading.version, least_version)
        return instant_view(reading, query, version, health) if version > since else None


class _Held:
    """One run: how it was read last, and the reading that is under way."""

    def __init__(self, folded: FoldedTrace) -> None:
        self.folded = folded
        self.reading: Reading | None = None
        self._next: Reading | None = None
        self._steps: Iterator[None] = iter(())
        self._pace = Pace(_RESTS)
        self._spent_ns = 0

    @property
    def ratio(self) -> float:
        return self._next.ratio if self._next is not None else 0.0

    def read_on(self, now_ns: int, is_live: bool) -> None:
        if self._next is None:
            if self.reading is not None and not (self._is_behind(now_ns) and self._pace.is_due):
                return
            self._next = Reading(TraceRows(self.folded, now_ns, is_live), self.folded.changed_version)
            self._steps, self._spent_ns = self._next.read(), 0
        began_ns = time.monotonic_ns()
        is_done = next(self._steps, self) is self
        while not is_done and time.monotonic_ns() - began_ns < _PART_NS:
            is_done = next(self._steps, self) is self
        self._spent_ns += time.monotonic_ns() - began_ns
        if is_done:
            self.reading, self._next, self._steps = self._next, None, iter(())
            self._pace.rests_for(self._spent_ns)

    def _is_behind(self, now_ns: int) -> bool:
        return self.reading is not None and self.reading.is_behind(self.folded.trace, now_ns)


def instant_view(reading: Reading, query: InstantQuery, version: int, health: Health) -> InstantView:
    """A run that has been read, at the instant that is asked for; at its beginning or end where that lies outside."""
    return _At(reading, query).view(version, health)


class _At:
    """The rows of one instant."""

    def __init__(self, reading: Reading, query: InstantQuery) -> None:
        self._reading = reading
        self._query = query
        end_ns = reading.end_ns
        self._at_ns = max(reading.start_ns, min(query.at_ns or end_ns, end_ns))
        self._standing = reading.moments.standing(self._at_ns)

    def view(self, version: int, health: Health) -> InstantView:
        reading, at_ns = self._reading, self._at_ns
        handed = [(h, row) for h in reading.handovers if (row := self._delegation(h)) is not None]
        waits: dict[int, list[str]] = {}
        for handover, row in handed:
            if handover.is_call and handover.source >= 0 and row.state in ("sent", "received"):
                waits.setdefault(handover.source, []).append(row.target)
        lanes = self._lanes(waits)
        alerts = [a for a in reading.alerts if a.opened_ns <= at_ns]
        shown = next((lane for lane in reading.lanes if lane.row.span_id == self._query.lane), None)
        known = reading.known(shown, at_ns, _KNOWN_SHOWN) if shown is not None else ([], 0, 0)
        held, held_total = reading.held.at(at_ns, _HELD_SHOWN)
        before, after = reading.moments.around(at_ns, _NEIGHBOURS)
        opened = [w.span for w in self._standing.open.values() if w.span.kind != SpanKind.AGENT]
        return InstantView(
            version=version,
            health=health,
            whole=reading.whole,
            trace=self._trace_row(lanes, handed, alerts),
            at_ns=at_ns,
            start_ns=reading.start_ns,
            end_ns=reading.end_ns,
            lanes=lanes,
            delegations=[row for _, row in handed],
            alerts=alerts,
            tail=self._tail(max(self._query.tail, 0)),
            open=[self._open_row(span) for span in opened[-_OPEN_SHOWN:]],
            open_count=len(opened),
            known_of=shown.row.label if shown is not None else "",
            known=known[0],
            known_count=known[1],
            known_tokens=known[2],
            ticks=reading.ticks,
            before=before,
            after=after,
            held=held,
            held_total=held_total,
            held_why_not=reading.held.why_not,
        )

    def _trace_row(
        self, lanes: list[LaneAt], handed: list[tuple[Handover, DelegationRow]], alerts: list[AlertAt]
    ) -> TraceRow:
        whole, total, at_ns = self._reading.whole, self._standing.total, self._at_ns
        names = {each.lane.agent for each in lanes if each.lane.state != "ahead"}
        names.update(name for handover, _ in handed for name in handover.agents)
        severities = [alert.severity for alert in alerts if alert.state == "open"]
        return msgspec.structs.replace(
            whole,
            state=whole.state if at_ns >= self._reading.end_ns else "live",
            ended_ns=min(whole.ended_ns, at_ns),
            agents=len(names),
            delegations=len(handed),
            steps=total.step_count,
            errors=total.error_count,
            critical=severities.count("critical"),
            warnings=severities.count("warning"),
            infos=severities.count("info"),
            input_tokens=total.input_tokens,
            output_tokens=total.output_tokens,
            activity=[],
        )

    # --- lanes ------------------------------------------------------------------------------------------------------

    def _lanes(self, waits: dict[int, list[str]]) -> list[LaneAt]:
        doing: dict[int, Span] = {}
        for work in self._standing.open.values():
            if work.lane >= 0 and work.span.kind != SpanKind.AGENT:
                doing[work.lane] = work.span
        return [
            self._lane(place, lane, doing.get(place), waits.get(place, []))
            for place, lane in enumerate(self._reading.lanes)
        ]

    def _lane(self, place: int, lane: LaneFacts, doing: Span | None, waits_for: list[str]) -> LaneAt:
        at_ns, counts = self._at_ns, self._standing.lanes[place]
        state = self._lane_state(place, lane, bool(waits_for))
        begun = state != "ahead"
        row = Lane(
            label=lane.row.label,
            agent=lane.row.agent,
            service=lane.row.service,
            span_id=lane.row.span_id,
            state=state,
            start_ns=lane.row.start_ns,
            end_ns=lane.row.end_ns if begun and state not in ("running", "waiting") else 0,
            bars=self._bars(lane) if begun else [],
            mark=lane.mark_at(at_ns) if begun else "",
            steps=counts.step_count,
            errors=counts.error_count,
            input_tokens=counts.input_tokens,
            output_tokens=counts.output_tokens,
        )
        if doing is None:
            return LaneAt(row, waits_for=waits_for)
        return LaneAt(row, _called(doing), clean(str(doing.kind)), doing.span_id.hex(), doing.start_ns, waits_for)

    def _lane_state(self, place: int, lane: LaneFacts, waits: bool) -> str:
        counts, at_ns = self._standing.lanes[place], self._at_ns
        if lane.row.start_ns > at_ns:
            return "ahead"
        if lane.own is None:  # an agent without a span of its own
            return "running" if counts.open_count else "error" if counts.error_count else "ok"
        if 0 < lane.own.end_ns <= at_ns:
            return lane.own.status
        return "waiting" if waits else "running"

    def _bars(self, lane: LaneFacts) -> list[LaneBar]:
        at_ns = self._at_ns
        bars = lane.bars[: bisect_right(lane.bar_starts, at_ns)]
        return [
            bar
            if 0 < bar.end_ns <= at_ns
            else LaneBar(bar.span_id, bar.kind, bar.start_ns, 0, "unset", bar.mark)  # goes on, as far as one knew
            for bar in bars
        ]

    # --- delegations ------------------------------------------------------------------------------------------------

    def _delegation(self, handover: Handover) -> DelegationRow | None:
        row, at_ns = handover.row, self._at_ns
        if row.sent_ns > at_ns:
            return None
        received_ns = row.received_ns if row.received_ns <= at_ns else 0
        returned_ns = row.returned_ns if row.returned_ns <= at_ns else 0
        if 0 < handover.failed_ns <= at_ns:
            state = "failed"
        elif received_ns:
            state = "returned" if returned_ns else "received"
        else:
            state = "lost" if returned_ns and not row.received_ns else "sent"
        return msgspec.structs.replace(
            row,
            state=state,
            received_ns=received_ns,
            returned_ns=returned_ns,
            returned=row.returned if returned_ns else "",
            on_error_path=row.on_error_path and 0 < self._reading.cascade_ns <= at_ns,
            lost=[value for lost_ns, value in handover.lost if lost_ns <= at_ns],
        )

    # --- steps ------------------------------------------------------------------------------------------------------

    def _tail(self, most: int) -> list[StepRow]:
        reading = self._reading
        stop = bisect_right(reading.step_times, self._at_ns)
        rows = [reading.rows.step_row(step) for step in reading.steps[max(0, stop - most) : stop]]
        return [self._as_then(row) for row in rows]

    def _as_then(self, row: StepRow) -> StepRow:
        """A step without what came of it later."""
        span = self._reading.rows.trace.spans.get(bytes.fromhex(row.span_id))
        if span is None or not row.status or (0 < row.at_ns + row.duration_ns <= self._at_ns and not span.is_open):
            return row
        return msgspec.structs.replace(row, status="running", text=self._begun(span), duration_ns=0, tokens=0)

    def _open_row(self, span: Span) -> StepRow:
        label = clean(self._reading.rows.trace.span_label(span))
        return StepRow(0, span.start_ns, label, clean(str(span.kind)), "running", self._begun(span), span.span_id.hex())

    def _begun(self, span: Span) -> str:
        """What one knew of a span while it was open: its name, and what it was given."""
        rows, name = self._reading.rows, _called(span)
        given = rows.preview(told(span, Slot.TASK, Slot.ARGUMENTS))
        return f"{name}  {given}" if given else name


def _called(span: Span) -> str:
    """A span by its name; a delegation by whom it goes to."""
    target = span.attributes.get(DELEGATION_TARGET, "") if span.kind == SpanKind.DELEGATION else ""
    return clean(str(target)) or name_of(span)
