"""The way of a fact through the collector: stored, folded, judged; findings become facts and go the same way.

Invariant: what is folded is stored, so everything in memory can be made again; the same code runs live, for an import and
for a replay. One thread owns it. `store` may raise StoreError, and then nothing of that call has happened.
"""

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b

from trajectory.collector.folded import FoldedTrace
from trajectory.collector.health import Vitals
from trajectory.collector.payloads import Payloads
from trajectory.collector.rows import TraceRows
from trajectory.detection.contract import DetectorFactory
from trajectory.model.fact import Batch, Fact, Finding, Found, Gap, Heartbeat, Marked, Payload, Source, trace_of
from trajectory.store.contract import TraceSummary, Writer
from trajectory.view.rows import TraceRow

MAX_TRACES = 256
MAX_SPANS = 400_000
_SWEEP_NS = 500_000_000  # how often what takes time is judged
_LISTED_TRACES = 10_000
_OWN_ID = blake2b(b"trajectory.collector", digest_size=16).digest()


class Pipeline:
    """Stores, folds and judges facts. `now_ns` is the wall clock; `version` grows with all that a watcher may see."""

    def __init__(self, writer: Writer, detectors: Sequence[DetectorFactory], now_ns: Callable[[], int]) -> None:
        self.writer = writer
        self.vitals = Vitals()
        self.version = 0
        self.runs: OrderedDict[bytes, TraceRow] = OrderedDict()
        self._detectors = detectors
        self._now_ns = now_ns
        self._payloads = Payloads(writer.payload)
        self._folded: OrderedDict[bytes, FoldedTrace] = OrderedDict()
        self._own = Source(_OWN_ID, os.urandom(16), {"service.name": "trajectory.collector"})
        self._own_seq = 0
        self._pending: list[Fact] = []  # our own facts, to be stored at the next tick
        self._last_frame = writer.last_frame()
        self._swept_ns = 0
        self._stale = set(writer.stale_traces())
        for summary in writer.summaries(limit=_LISTED_TRACES):
            self.runs[summary.trace_id] = row_of(summary)

    # --- facts in ---------------------------------------------------------------------------------------------------

    def recover(self, limit: int = MAX_TRACES) -> int:
        """Folds again what an earlier process stored and did not finish; returns how many traces."""
        unfinished = [t for t, row in self.runs.items() if row.state == "live" and t not in self._stale]
        chosen = [*self._stale, *unfinished][:limit]
        for trace_id in chosen:
            self.folded(trace_id)
        return len(chosen)

    def store(self, batches: Sequence[Batch]) -> None:
        """Makes facts durable. Raises StoreError, and then none is."""
        self._last_frame = self.writer.append(batches)

    def fold(self, batches: Iterable[Batch]) -> None:
        """Folds and judges facts that are stored."""
        now_ns = self._now_ns()
        for batch in batches:
            newest_ns = 0
            for fact in batch.facts:
                self._fold_one(fact, batch.source, now_ns)
                newest_ns = max(newest_ns, getattr(fact, "at_ns", 0))
            self.vitals.took(now_ns, len(batch.facts), newest_ns)
        self._evict()

    def _fold_one(self, fact: Fact, source: Source, now_ns: int) -> None:
        if isinstance(fact, Payload):
            self._payloads.put(fact.digest, fact.media_type, fact.body)
        elif isinstance(fact, Heartbeat):
            self._hear(fact, source)
        elif isinstance(fact, Gap):
            self._lose(fact, source)
        elif trace_id := trace_of(fact):
            folded = self._folded.get(trace_id) or self._begin(trace_id)
            found = folded.apply(fact, source)
            folded.touched_ns = now_ns
            folded.last_frame = self._last_frame
            self._changed(folded)
            self._keep(folded, found)

    def _hear(self, fact: Heartbeat, source: Source) -> None:
        for folded in self._folded.values():
            if folded.trace.open_count and source.emitter_id in folded.trace.heard_ns:
                folded.trace.apply(fact, source)

    def _lose(self, fact: Gap, source: Source) -> None:
        """Facts of this source are missing: every trace that it takes part in and that is still open may lack them."""
        if fact.reason == "quarantined":
            self.vitals.quarantined(f"a fact of {source.service or 'an emitter'} could not be read", fact.count)
        else:
            self.vitals.lost(fact.count)
        self.version += 1
        for folded in [f for f in self._folded.values() if source.emitter_id in f.trace.heard_ns]:
            trace = folded.trace
            if trace.open_count and trace.root is not None:
                self._keep(folded, [_gap_finding(folded, fact, source)])

    def _keep(self, folded: FoldedTrace, found: Iterable[Finding]) -> None:
        """Findings become facts: folded now, stored at the next tick."""
        for finding in found:
            fact = Found(self._now_ns(), finding)
            folded.apply(fact, self._own)
            self._pending.append(fact)
            self._changed(folded)

    def mark(self, marked: Marked) -> None:
        """What an operator says of an alert is a fact too."""
        self._pending.append(marked)
        folded = self.folded(marked.trace_id)
        if folded is not None:
            folded.apply(marked, self._own)
            self._changed(folded)

    def _changed(self, folded: FoldedTrace) -> None:
        self.version += 1
        folded.changed_version = self.version

    # --- time -------------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Judges what needs time, stores our own facts, and saves summaries of what changed. Raises StoreError."""
        now_ns = self._now_ns()
        if now_ns - self._swept_ns >= _SWEEP_NS:
            self._swept_ns = now_ns
            for folded in list(self._folded.values()):
                self._settle(folded, now_ns)
        self._store_own()
        self._summarise(now_ns)

    def finish(self) -> None:
        """Settles every trace for good and stores what that finds: at the end of an import, and before a stop."""
        for folded in list(self._folded.values()):
            self._keep(folded, folded.settle(folded.trace.last_ns if not folded.trace.open_count else self._now_ns()))
        self._store_own()
        self._summarise(self._now_ns())

    def _settle(self, folded: FoldedTrace, now_ns: int) -> None:
        is_changed = folded.settled_version != folded.trace.version
        if is_changed or folded.trace.open_count:
            self._keep(folded, folded.settle(now_ns))

    def _store_own(self) -> None:
        if not self._pending:
            return
        facts = self._pending
        self._last_frame = self.writer.append([Batch(self._own, self._own_seq, facts)])
        self._own_seq += len(facts)
        self._pending = []
        self.writer.save_findings([fact.finding for fact in facts if isinstance(fact, Found)])
        for fact in facts:
            folded = self._folded.get(trace_of(fact))
            if folded is not None:
                folded.last_frame = self._last_frame

    def _summarise(self, now_ns: int) -> None:
        """Saves the row of each trace that changed since its last summary."""
        summaries = []
        for folded in self._folded.values():
            rows = TraceRows(folded, now_ns, is_live=True)
            state_may_change = folded.trace.open_count and self.runs.get(folded.trace.trace_id, _NO_ROW).state == "live"
            if folded.summary_version == folded.trace.version and not (state_may_change and rows.state() != "live"):
                continue
            row = rows.trace_row()
            folded.summary_version = folded.trace.version
            if row.state != self.runs.get(folded.trace.trace_id, _NO_ROW).state:
                self._changed(folded)
            self.runs[folded.trace.trace_id] = row
            summaries.append(_summary_of(row, folded.last_frame))
        if summaries:
            self.writer.save_summaries(summaries)

    # --- reading ----------------------------------------------------------------------------------------------------

    def traces(self) -> list[FoldedTrace]:
        """Those in memory."""
        return list(self._folded.values())

    def run_rows(self) -> list[TraceRow]:
        """Every trace as a row of the list of runs."""
        return list(self.runs.values())

    def folded(self, trace_id: bytes) -> FoldedTrace | None:
        """A trace by its id, folded again from the store where it is not in memory; None where there is none."""
        known = self._folded.get(trace_id)
        if known is not None:
            self._folded.move_to_end(trace_id)
            return known
        folded = self._load(trace_id)
        if folded.trace.spans:
            return folded
        del self._folded[trace_id]
        return None

    def _begin(self, trace_id: bytes) -> FoldedTrace:
        """A trace that is not in memory: read from the store if anything of it was stored before, else empty."""
        if trace_id in self.runs or trace_id in self._stale:
            return self._load(trace_id)
        folded = self._folded[trace_id] = FoldedTrace(trace_id, self._payloads.get, self._detectors)
        return folded

    def _load(self, trace_id: bytes) -> FoldedTrace:
        """Brings a trace into memory with all that the store has of it; what was found before is not found anew."""
        folded = self._folded[trace_id] = FoldedTrace(trace_id, self._payloads.get, self._detectors)
        found = [
            f for batch in self.writer.facts(trace_id) for fact in batch.facts for f in folded.apply(fact, batch.source)
        ]
        if folded.trace.spans:
            folded.last_frame = self._last_frame
            self._keep(folded, [f for f in found if folded.trace.findings.get(f.key) != f])
        return folded

    def _evict(self) -> None:
        """Forgets the traces that were left alone longest, open ones last, until memory is bounded again."""
        spans = sum(len(f.trace.spans) for f in self._folded.values()) if len(self._folded) > 8 else 0
        while len(self._folded) > MAX_TRACES or spans > MAX_SPANS:
            idle = min(self._folded.values(), key=lambda f: (f.trace.open_count > 0, f.touched_ns))
            if idle.summary_version != idle.trace.version:
                self._keep(idle, idle.settle(self._now_ns()))
                self._store_own()
                self._summarise(self._now_ns())
            spans -= len(idle.trace.spans)
            del self._folded[idle.trace.trace_id]
            if len(self._folded) <= 1:
                return


_NO_ROW = TraceRow("", "", "", "", "", 0, 0)


def _gap_finding(folded: FoldedTrace, gap: Gap, source: Source) -> Finding:
    root = folded.trace.root
    assert root is not None
    who = source.service or source.emitter_id.hex()[:8]
    return Finding(
        kind="telemetry.gap",
        severity="warning",
        confidence=1.0,
        trace_id=folded.trace.trace_id,
        span_id=root.span_id,
        message=f"{gap.count} facts of {who} are missing ({gap.reason}): counts of this trace are lower bounds.",
        agent=who,
        value=who,
        at_ns=gap.at_ns,
        detector="collector",
    )


def row_of(summary: TraceSummary) -> TraceRow:
    """A saved summary as a row of the list of runs."""
    shared = {
        name: getattr(summary, name) for name in TraceRow.__struct_fields__ if name in TraceSummary.__struct_fields__
    }
    return TraceRow(**{**shared, "trace_id": summary.trace_id.hex()})


def _summary_of(row: TraceRow, last_frame: int) -> TraceSummary:
    shared = {name: getattr(row, name) for name in TraceSummary.__struct_fields__ if name in TraceRow.__struct_fields__}
    return TraceSummary(**{**shared, "trace_id": bytes.fromhex(row.trace_id), "last_frame": last_frame})
