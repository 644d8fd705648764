"""Which trace is summed up when, and how: its row in the list of runs, what it was about, and its sums, saved together.

Invariant: a saved row says up to which frame its trace was folded and judged, so that whoever starts anew knows what is stale; a
trace that goes on costs a tenth of the time at most. Owned by the pipeline.
"""

import time
from collections.abc import Callable, Iterable

from trajectory.collector.folded import FoldedTrace
from trajectory.collector.health import Vitals
from trajectory.collector.held import HeldTraces
from trajectory.collector.listing import Listing, summary_of
from trajectory.collector.pace import Pace
from trajectory.collector.rows import TraceRows
from trajectory.collector.sums import Sums
from trajectory.detection.usual import UsualDurations
from trajectory.errors import StoreError
from trajectory.graph.ends import ends_of
from trajectory.store.contract import LIVE, TallyRow, Writer

_BUDGET_NS = 50_000_000  # how long a tick may sum up
_RESTS = 9


class Summing:
    """`note` what changed, `step` at each tick, `save` what leaves. `changed` is told where a row's state is another."""

    def __init__(
        self,
        writer: Writer,
        held: HeldTraces,
        runs: Listing,
        sums: Sums,
        usual: UsualDurations,
        vitals: Vitals,
        changed: Callable[[FoldedTrace], None],
    ) -> None:
        self._writer = writer
        self._held = held
        self._runs = runs
        self._sums = sums
        self._usual = usual
        self._vitals = vitals
        self._changed = changed
        self._behind: dict[bytes, FoldedTrace] = {}  # those whose saved row may be older than they are
        self._live_pace = Pace(_RESTS)

    def note(self, folded: FoldedTrace) -> None:
        """The trace may be another than its row says."""
        self._behind[folded.trace.trace_id] = folded

    def forget(self, trace_id: bytes) -> None:
        """The trace is in memory no more."""
        self._behind.pop(trace_id, None)
        self._sums.forget(trace_id)

    def is_unsaid(self, folded: FoldedTrace, now_ns: int, *, is_sweep: bool) -> bool:
        """Whether a saved row is behind: its trace changed, was judged, or (asked once a sweep) its processes fell silent."""
        is_behind = not folded.trace.open_count and folded.saved_frame != folded.done_frame
        if is_behind or folded.summary_version != folded.trace.version:
            return True
        if not is_sweep or not folded.trace.open_count:
            return False
        return TraceRows(folded, now_ns, is_live=True).state() != self._runs.state(folded.trace.trace_id)

    def step(self, now_ns: int, *, is_sweep: bool) -> bool:
        """Sums up the traces that changed: those that ended at once, those that go on in a tenth of the time.

        Returns whether any was. Raises StoreError.
        """
        asked = self._held if is_sweep else self._behind.values()
        behind = [f for f in asked if self.is_unsaid(f, now_ns, is_sweep=is_sweep)]
        going_on_too = self._live_pace.is_due
        due = [f for f in behind if f.summary_pace.is_due and (going_on_too or not f.trace.open_count)]
        began_ns = time.thread_time_ns()
        is_any = self.save(sorted(due, key=lambda f: f.summed_ns), now_ns, _BUDGET_NS)
        if going_on_too and any(f.trace.open_count for f in due):
            self._live_pace.rests_for(time.thread_time_ns() - began_ns)
        self._behind = {f.trace.trace_id: f for f in behind if f.summary_version != f.trace.version}
        return is_any

    def save(self, traces: Iterable[FoldedTrace], now_ns: int, budget_ns: int = 1 << 62) -> bool:
        """Saves the rows of these traces, of as many as the budget allows; returns whether of any. Raises StoreError."""
        summaries, tallies, summed = [], [], []
        spent_ns = 0
        for folded in traces:
            if spent_ns > budget_ns:
                break
            began_ns = time.monotonic_ns()
            folded.summary_version, folded.summed_ns = folded.trace.version, now_ns
            try:
                row = TraceRows(folded, now_ns, is_live=True).trace_row()
                ends = ends_of(folded.trace, is_live=row.state == LIVE, is_partial=row.is_partial)
                tally = self._counted(folded)
            except StoreError:
                raise
            except Exception as fault:  # whatever hostile facts make of our rows: the others are summed up
                self._vitals.faulted("a summary", fault)
                continue
            finally:
                spent_ns += folded.summary_pace.took(began_ns)
            if row.state != self._runs.state(folded.trace.trace_id):
                self._changed(folded)
            if not folded.trace.open_count and not folded.is_learnt:
                folded.is_learnt = True
                self._usual.learn(folded.trace)
            self._runs.put(row, ends)
            summaries.append(summary_of(row, folded.done_frame, ends))
            summed.append(folded)
            if tally is not None:
                tallies.append(tally)
        if not summaries:
            return False
        try:
            self._writer.save_summaries(summaries, tallies)
        except StoreError:
            for folded in summed:
                folded.summary_version = -1
            raise
        for folded in summed:
            folded.saved_frame = folded.done_frame
            self._sums.saved(folded, now_ns)
        return True

    def work_out(self, budget_ns: int | None = None) -> None:
        """What came through at delegations, of traces that are over."""
        try:
            self._sums.work_out(budget_ns)
        except Exception as fault:  # whatever hostile contents make of what is compared
            self._vitals.faulted("comparing what crossed", fault)

    def _counted(self, folded: FoldedTrace) -> TallyRow | None:
        """What is new of a trace in numbers, to be saved."""
        try:
            return self._sums.look(folded)
        except StoreError:
            raise
        except Exception as fault:  # whatever hostile facts make of our sums: the trace is listed
            self._vitals.faulted("counting a trace", fault)
            return None
