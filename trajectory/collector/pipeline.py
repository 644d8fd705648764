"""The way of a fact through the collector: stored, folded, judged; findings become facts and go the same way.

Invariant: what is folded is stored, so everything in memory can be made again; the same code runs live, for an import and
for a replay. One thread owns it. `store` may raise StoreError, and then nothing of that call has happened.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import get_args

import msgspec

from trajectory.collector import skew
from trajectory.collector.counting import Counted, saved_groups
from trajectory.collector.endings import Endings
from trajectory.collector.folded import FoldedTrace
from trajectory.collector.health import Vitals
from trajectory.collector.held import MAX_TRACES, HeldTraces
from trajectory.collector.incident_states import IncidentStates
from trajectory.collector.judging import Judging
from trajectory.collector.listing import Listing, row_of, traces_saying
from trajectory.collector.own import OwnFacts
from trajectory.collector.pace import Pace
from trajectory.collector.payloads import Payloads
from trajectory.collector.relearning import Relearning
from trajectory.collector.rows import TraceRows
from trajectory.collector.summing import Summing
from trajectory.collector.sums import Sums
from trajectory.detection.contract import DetectorFactory
from trajectory.detection.mixed import MixedSessions
from trajectory.detection.sessions import Sessions
from trajectory.detection.stalled import StalledSpans
from trajectory.detection.usual import UsualDurations
from trajectory.errors import StoreError, TrajectoryError
from trajectory.model.fact import (
    Batch,
    Fact,
    Finding,
    Found,
    Gap,
    Heartbeat,
    Marked,
    Payload,
    Source,
    SpanFact,
    trace_of,
)
from trajectory.protocol.codec import decode_fact, encode
from trajectory.signals.anomalies import Anomalies
from trajectory.signals.figures import Group
from trajectory.signals.watch import Watch
from trajectory.store.contract import Activity, Writer
from trajectory.store.retention import Bounds, Retention, Standing, standing_at_rest
from trajectory.view.text import clean

LISTED_TRACES = 10_000
_SWEEP_NS = 500_000_000  # how often all traces are looked through
_INDEXING_NS = 50_000_000  # of a sweep
_LAST_INDEX_NS = 2_000_000_000  # how long the end may index: what is left waits for the next collector
_LAST_CROSSING_NS = 300_000_000
_RETENTION_S = 0.01
_LEAVING_COUNT = 4  # traces that leave memory together
_RETENTION_RESTS = 1  # retention takes half of the time at most


class Pipeline:
    """Stores, folds and judges facts. `now_ns` is the wall clock; `version` grows with all that a watcher may see."""

    def __init__(self, writer: Writer, detectors: Sequence[DetectorFactory], now_ns: Callable[[], int]) -> None:
        self.writer = writer
        self.vitals = Vitals()
        self.version = now_ns() // 1_000  # greater than any before a restart: whoever watches on is told what is new
        self.runs = Listing(writer, row_of, LISTED_TRACES)
        self.sums = Sums(writer, now_ns())
        self.watch = Watch(self.sums.prices)
        self._endings = Endings(self.watch)
        self.incident_states: IncidentStates | None = None  # where alerts are told
        usual = UsualDurations()
        told_of_others: dict[DetectorFactory, DetectorFactory] = {
            StalledSpans: partial(StalledSpans, usual),
            MixedSessions: partial(MixedSessions, Sessions()),
            Anomalies: partial(Anomalies, self.watch),
        }
        self._now_ns = now_ns
        self._payloads = Payloads(writer.payload)
        made = [told_of_others.get(made, made) for made in detectors]
        self._held = HeldTraces(writer, self._payloads, made, self.vitals, now_ns)
        self._judging = Judging(lambda: self._held, self._keep)
        self._summing = Summing(writer, self._held, self.runs, self.sums, usual, self.vitals, self._changed)
        self._at_hand: dict[bytes, FoldedTrace] = {}  # those that the batch being folded is about
        self._own = OwnFacts()  # stored at the next tick
        self._last_frame = writer.last_frame()
        self._swept_ns = 0
        self._retention = Retention(writer, Bounds(), now_ns, self._standing)
        self._retention_pace = Pace(_RETENTION_RESTS)
        self._stale = set(writer.stale_traces())
        self._relearning = Relearning(writer, self._payloads.get, self.watch) if Anomalies in detectors else None

    def keep(self, bounds: Bounds) -> Retention:
        """From now on the store is kept within bounds, a little at each tick."""
        self._retention = Retention(self.writer, bounds, self._now_ns, self._standing)
        return self._retention

    # --- facts in ---------------------------------------------------------------------------------------------------

    def recover(self, limit: int = MAX_TRACES) -> int:
        """Folds again what an earlier process stored and did not finish; returns how many traces. Raises StoreError."""
        unfinished = [s.trace_id for s in self.writer.live_summaries() if s.trace_id not in self._stale]
        chosen = [*self._stale, *unfinished][:limit]
        for trace_id in chosen:
            self.folded(trace_id)
        return len(chosen)

    def store(self, batches: Sequence[Batch]) -> None:
        """Makes facts durable. Raises StoreError, and then none is."""
        self._last_frame = self.writer.append(batches)

    def fold(self, batches: Iterable[Batch]) -> None:
        """Folds and judges facts that are stored. Raises nothing: what cannot be folded is counted, its trace read again."""
        now_ns = self._now_ns()
        for batch in map(skew.corrected, batches):
            self.vitals.noted(now_ns, batch.source)
            oldest_ns = 0
            for fact in batch.facts:
                try:
                    at_ns = self._fold_one(fact, batch.source, now_ns)
                    if at_ns and (at_ns < oldest_ns or not oldest_ns):
                        oldest_ns = at_ns
                except StoreError as fault:
                    self._read_again(trace_of(fact), fault)
                except (
                    Exception
                ) as fault:  # whatever a hostile fact makes of our fold: it stays stored, the rest goes on
                    self.vitals.faulted("folding a fact", fault)
            for folded in self._at_hand.values():
                self._changed(folded)
            self._at_hand.clear()
            self.vitals.took(now_ns, len(batch.facts), oldest_ns)

    def _read_again(self, trace_id: bytes, fault: StoreError) -> None:
        """Forgets a trace whose earlier facts could not be read: the next one that comes brings all of them."""
        self.vitals.trouble = str(fault)
        self._stale.add(trace_id)
        self._at_hand.pop(trace_id, None)
        self._forget(trace_id)

    def _fold_one(self, fact: Fact, source: Source, now_ns: int) -> int:
        """Returns when the fact happened, 0 where it does not say."""
        if type(fact) is Payload:
            self._payloads.put(fact.digest, fact.media_type, fact.body)
            return 0
        if type(fact) in _OF_SPANS:
            self._fold_into(fact.trace_id, fact, source, now_ns)  # type: ignore[union-attr]
        elif isinstance(fact, Heartbeat):
            self._hear(fact, source)
        elif isinstance(fact, Gap):
            self._lose(fact, source)
        elif isinstance(fact, Found) and fact.finding.trace_id:
            self._fold_into(fact.finding.trace_id, fact, source, now_ns)
            self._own.add_listed(fact.finding)
            self._endings.note(fact.finding, now_ns)
        elif isinstance(fact, Marked):
            self._fold_into(fact.trace_id, fact, source, now_ns)
        return fact.at_ns  # type: ignore[union-attr]

    def _fold_into(self, trace_id: bytes, fact: Fact, source: Source, now_ns: int) -> None:
        if not trace_id:
            return
        folded = self._at_hand.get(trace_id) or self._at(trace_id, now_ns)
        found = folded.apply(fact, source)
        if found:
            self._keep(folded, found)

    def _at(self, trace_id: bytes, now_ns: int) -> FoldedTrace:
        """A trace that facts of this batch are about, noted once as touched by all of them."""
        folded = self._held.get(trace_id)
        if folded is not None and folded.is_to_read:  # it goes on: whoever judges has to see it from its beginning
            self._forget(trace_id)
            folded = None
        folded = self._at_hand[trace_id] = folded or self._begin(trace_id)
        self._held.put(folded)  # also where all that the store had of it was deleted
        folded.touched_ns, folded.is_rested = now_ns, False
        folded.last_frame = self._last_frame
        return folded

    def _hear(self, fact: Heartbeat, source: Source) -> None:
        for folded in self._held:
            if folded.trace.open_count and source.emitter_id in folded.trace.heard_ns:
                folded.trace.apply(fact, source)

    def _lose(self, fact: Gap, source: Source) -> None:
        """Facts of this source are missing: every trace that it takes part in and that is still open may lack them."""
        count = max(fact.count, 0)
        if fact.reason == "quarantined":
            said = fact.detail or "a fact could not be read"
            self.vitals.quarantined(f"{said} ({source.service})" if source.service else said, count)
        else:
            self.vitals.lost(count, source.service)
        self.version += 1
        for folded in [f for f in self._held if source.emitter_id in f.trace.heard_ns]:
            trace = folded.trace
            if trace.open_count and trace.root is not None:
                missing_count = folded.missing_counts.get(source.emitter_id, 0) + count
                folded.missing_counts[source.emitter_id] = missing_count
                self._keep(folded, [_gap_finding(folded, fact, missing_count, source)])

    def _keep(self, folded: FoldedTrace, found: Iterable[Finding]) -> None:
        """Findings become facts: folded now, stored at the next tick. What is known already, or cannot be stored, does not."""
        for finding in found:
            now_ns = self._now_ns()
            known_ns = folded.trace.found_at_ns.get(finding.key, -1)
            fact = Found(max(now_ns, known_ns + 1), finding)  # the grown one counts, though the clock was set back
            try:
                decode_fact(encode(fact))
            except Exception as fault:  # a stranger's detector may put anything into a finding
                self.vitals.faulted("what a detector found", fault)
                continue
            if folded.trace.findings.get(finding.key) != finding:
                folded.apply(fact, self._own.source)
                self._own.add(fact)
                self._changed(folded)
                self._endings.note(finding, now_ns)

    def mark(self, marked: Marked) -> None:
        """What an operator says of an alert is a fact too, and stored at once. Raises StoreError, and where no such trace is."""
        folded = self.folded(marked.trace_id)
        if folded is None:
            raise TrajectoryError(f"there is no run {marked.trace_id.hex()}")
        if marked.until_ns:  # how long is the watcher's to say, from when and until when is ours
            now_ns = self._now_ns()
            until_ns = now_ns + max(1, marked.until_ns - marked.at_ns)
            marked = msgspec.structs.replace(marked, at_ns=now_ns, until_ns=until_ns)
        self._own.add(marked)
        folded.apply(marked, self._own.source)
        self._changed(folded)
        self._store_own()

    def _changed(self, folded: FoldedTrace) -> None:
        self.version += 1
        folded.changed_version = self.version
        self._summing.note(folded)
        self._held.count(folded)

    def _forget(self, trace_id: bytes) -> FoldedTrace | None:
        self._summing.forget(trace_id)
        return self._held.forget(trace_id)

    # --- time -------------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Judges what needs time, stores our own facts, saves summaries of what changed, and indexes. Raises StoreError."""
        now_ns = self._now_ns()
        is_sweep = abs(now_ns - self._swept_ns) >= _SWEEP_NS  # the clock may have been set back
        if is_sweep:
            self._swept_ns = now_ns
            self._let_go_of_marks(now_ns)
        self._judging.step(now_ns)
        self._follow_anomaly(now_ns)
        self._store_own()
        if self._summing.step(now_ns, is_sweep=is_sweep):
            self.version += 1
        self.sums.step(now_ns)
        if self._relearning is not None and not self._relearning.step(now_ns):
            self._relearning = None
        self._summing.work_out()
        self.make_room()
        if is_sweep:
            self.writer.index(_INDEXING_NS)
        if self._retention_pace.is_due:
            began_ns = time.monotonic_ns()
            self.retire(_RETENTION_S)
            self._retention_pace.took(began_ns)

    def _follow_anomaly(self, now_ns: int) -> bool:
        """Tells what became of an anomaly: it is grave after all, or over; False where there is nothing. Raises StoreError."""
        if not self._endings.is_read:
            self._endings.read(self.writer, now_ns)
        grown = self._endings.step(now_ns, is_learnt=self._relearning is None)
        if grown is None:
            return False
        folded = self.folded(grown.trace_id)
        if folded is not None:
            self._keep(folded, [grown])
        self._endings.told()
        return True

    def _let_go_of_marks(self, now_ns: int) -> None:
        """What a mark said until now is said no more: the rows of its run are made again."""
        for folded in self._held:
            if 0 < folded.mark_ends_ns <= now_ns:
                folded.note_marks(now_ns)
                folded.summary_version = -1
                self._changed(folded)

    def retire(self, budget_s: float) -> list[bytes]:
        """Brings the store nearer to its bounds, for about so long; returns the traces that are gone. Raises nothing."""
        retention = self._retention
        retired = retention.step(budget_s)
        for trace_id in retired:
            self._drop(trace_id)
        self.vitals.retired, self.vitals.retention_trouble = retention.said(), retention.trouble
        return retired

    def _standing(self, activity: Activity) -> Standing:
        """What retention asks of a trace. One whose facts were never folded is folded now."""
        trace_id = activity.trace_id
        folded = self._held.get(trace_id)
        if folded is None and activity.summary is None:
            folded = self._load(trace_id)
        if folded is not None:
            state = TraceRows(folded, self._now_ns(), is_live=True).state()
            return Standing(state == "live", clean(folded.trace.session_id))
        return standing_at_rest(activity, self._now_ns())

    def _drop(self, trace_id: bytes) -> None:
        """Nothing of a retired trace is left: a fact that comes for it begins it anew."""
        folded = self._forget(trace_id)
        if folded is not None:
            folded.trace.dissolve()
        self.runs.forget(trace_id)
        self._stale.discard(trace_id)
        self._own.forget(trace_id)
        self.version += 1

    def finish(self) -> None:
        """Settles every trace for good and stores what that finds: at the end of an import, and before a stop."""
        for folded in list(self._held):
            self._settle_for_good(folded)
        while self._follow_anomaly(self._now_ns()):
            self._store_own()
        self._store_own()
        for last in (False, True):
            self._summarise(self._held, is_sweep=True)
            if not last:
                self._summing.work_out(_LAST_CROSSING_NS)
        self.writer.index(_LAST_INDEX_NS)

    def _summarise(self, traces: Iterable[FoldedTrace], *, is_sweep: bool) -> None:
        now_ns = self._now_ns()
        if self._summing.save([f for f in traces if self._summing.is_unsaid(f, now_ns, is_sweep=is_sweep)], now_ns):
            self.version += 1

    def _settle_for_good(self, folded: FoldedTrace) -> None:
        self._keep(folded, folded.settle(folded.trace.last_ns if not folded.trace.open_count else self._now_ns()))
        folded.judged_frame = folded.last_frame

    def _store_own(self) -> None:
        frame, facts = self._own.store(self.writer)
        self._last_frame = frame or self._last_frame
        for fact in facts:
            folded = self._held.get(trace_of(fact))
            if folded is not None:
                if folded.judged_frame == folded.last_frame:  # what we found ourselves is not judged
                    folded.judged_frame = frame
                folded.last_frame = frame
        self._own.list_findings(self.writer)

    # --- reading ----------------------------------------------------------------------------------------------------

    def traces(self) -> list[FoldedTrace]:
        """Those in memory."""
        return list(self._held)

    def saying(self, text: str) -> set[str]:
        """The ids of the latest traces in which anything says a text."""
        return traces_saying(self.writer, text)

    def stored(self, trace_id: bytes) -> Iterator[Batch]:
        """The facts of a trace as they are stored."""
        return self.writer.facts(trace_id)

    def counted(self) -> Counted:
        """The work of the last month in numbers."""
        return Counted(self.sums.book, self._now_ns(), is_loading=not self.sums.is_loaded)

    def groups(self, trace_id: bytes) -> Iterable[Group]:
        """Of what there was work in a trace, as it was counted."""
        folded = self._held.get(trace_id)
        if folded is not None and folded.tally is not None:
            return folded.tally.tally.keys()
        return saved_groups(self.writer.tally(trace_id))

    def folded(self, trace_id: bytes) -> FoldedTrace | None:
        """A trace by its id, folded again from the store where it is not in memory; None where there is none."""
        folded = self._held.get(trace_id) or self._load(trace_id, to_read=trace_id not in self._stale)
        folded.asked_ns = self._now_ns()
        return folded if folded.trace.spans else None

    def _begin(self, trace_id: bytes) -> FoldedTrace:
        """A trace that is not in memory: read from the store if anything of it was stored before, else empty."""
        if trace_id in self.runs or trace_id in self._stale or self.writer.summary(trace_id) is not None:
            return self._load(trace_id)
        folded = self._held.empty(trace_id)
        self._held.put(folded)
        return folded

    def _load(self, trace_id: bytes, *, to_read: bool = False) -> FoldedTrace:
        """Brings a trace into memory with all that the store has of it; what was found before is not found anew.

        One that ended and was judged is only read, so nobody judges it again until it goes on.
        """
        folded, found = self._held.read(trace_id, to_read=to_read)
        if folded.trace.spans:
            self._held.put(folded)
            folded.touched_ns, folded.last_frame = self._now_ns(), self._last_frame
            self._changed(folded)
            self._keep(folded, found)
        return folded

    def make_room(self) -> None:
        """Forgets traces until memory is bounded, each judged and summed up before. Raises StoreError: those left stay.

        Few at a time: what judging reads of a trace is larger than the trace, and goes with it.
        """
        leaving = self._held.surplus()
        for begin in range(0, len(leaving), _LEAVING_COUNT):
            group = leaving[begin : begin + _LEAVING_COUNT]
            for folded in group:
                if folded.settled_version != folded.trace.version or not folded.is_rested:
                    self._settle_for_good(folded)
            self._store_own()
            self._summarise(group, is_sweep=False)
            for folded in group:
                self._forget(folded.trace.trace_id)
                folded.trace.dissolve()


_OF_SPANS = frozenset(get_args(SpanFact))


def _gap_finding(folded: FoldedTrace, gap: Gap, missing_count: int, source: Source) -> Finding:
    root = folded.trace.root
    assert root is not None
    who = source.service or source.emitter_id.hex()[:8]
    facts = "1 fact is" if missing_count == 1 else f"{missing_count} facts are"
    return Finding(
        kind="telemetry.gap",
        severity="warning",
        confidence=1.0,
        trace_id=folded.trace.trace_id,
        span_id=root.span_id,
        message=f"{facts} missing, from {who} ({gap.reason}): what is counted of this trace are lower bounds.",
        agent=who,
        value=who,
        at_ns=gap.at_ns,
        detector="collector",
    )
