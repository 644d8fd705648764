"""The traces in memory: read from the store where they are not, and let go so that memory stays bounded.

Invariant: what is held was folded from what is stored, so any of it can be forgotten and read again. Owned by the pipeline,
which judges and sums up a trace before it is let go.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence

from trajectory.collector import skew
from trajectory.collector.folded import FoldedTrace
from trajectory.collector.health import Vitals
from trajectory.collector.payloads import Payloads
from trajectory.detection.contract import DetectorFactory
from trajectory.model.fact import Finding
from trajectory.store.contract import LIVE, Writer

MAX_TRACES = 256
MAX_SPANS = 400_000
KEPT_SPANS = 500  # of traces that nobody needs now: each costs 4 KB, and is read again when someone looks
_MIN_TRACES = 8  # so many stay in memory however large they are: none is read again for each fact


class HeldTraces:
    """Traces by their ids, in the order in which they came. `span_count` is of all of them, as far as they were counted."""

    def __init__(
        self,
        writer: Writer,
        payloads: Payloads,
        detectors: Sequence[DetectorFactory],
        vitals: Vitals,
        now_ns: Callable[[], int],
    ) -> None:
        self.span_count = 0
        self._writer = writer
        self._payloads = payloads
        self._detectors = detectors
        self._vitals = vitals
        self._now_ns = now_ns
        self._traces: OrderedDict[bytes, FoldedTrace] = OrderedDict()

    def __iter__(self) -> Iterator[FoldedTrace]:
        return iter(self._traces.values())

    def get(self, trace_id: bytes) -> FoldedTrace | None:
        """The trace, where it is in memory."""
        return self._traces.get(trace_id)

    def put(self, folded: FoldedTrace) -> None:
        """It is in memory from now on."""
        self._traces[folded.trace.trace_id] = folded

    def count(self, folded: FoldedTrace) -> None:
        """It may have other spans than before."""
        self.span_count += folded.count_anew()

    def forget(self, trace_id: bytes) -> FoldedTrace | None:
        """It is in memory no more; returns it, where it was."""
        folded = self._traces.pop(trace_id, None)
        if folded is not None:
            folded.is_forgotten = True
            self.span_count -= folded.counted_spans
        return folded

    def empty(self, trace_id: bytes) -> FoldedTrace:
        """A trace of which nothing is stored."""
        return FoldedTrace(trace_id, self._payloads.get, self._detectors, self._vitals.faulted)

    def read(self, trace_id: bytes, *, to_read: bool) -> tuple[FoldedTrace, list[Finding]]:
        """A trace with all that the store has of it, and what its detectors find anew. Raises StoreError.

        With `to_read` one that ended and was judged is only read, so nobody judges it again until it goes on.
        """
        summary = self._writer.summary(trace_id) if to_read else None
        is_to_read = summary is not None and summary.state != LIVE
        detectors = () if is_to_read else self._detectors
        folded = FoldedTrace(trace_id, self._payloads.get, detectors, self._vitals.faulted)
        folded.is_to_read = folded.is_rested = folded.is_learnt = is_to_read
        folded.is_stored = True
        found: dict[str, Finding] = {}
        for batch in map(skew.corrected, self._writer.facts(trace_id)):
            for fact in batch.facts:
                try:
                    found.update((finding.key, finding) for finding in folded.apply(fact, batch.source))
                except Exception as fault:
                    self._vitals.faulted("folding a stored fact", fault)
        return folded, [finding for key, finding in found.items() if key not in folded.trace.findings]

    def surplus(self) -> list[FoldedTrace]:
        """The traces that memory has no room for: those left alone longest, those that are needed only beyond the limits."""
        if len(self._traces) <= _MIN_TRACES:
            return []
        now_ns = self._now_ns()

        def idleness(folded: FoldedTrace) -> tuple[bool, int]:
            return folded.is_needed(now_ns), max(folded.touched_ns, folded.asked_ns)

        def has_room(count: int, spans: int, idlest: FoldedTrace) -> bool:
            return count <= MAX_TRACES and spans <= (MAX_SPANS if idlest.is_needed(now_ns) else KEPT_SPANS)

        spans = self.span_count
        if has_room(len(self._traces), spans, min(self, key=idleness)):
            return []
        by_idleness = sorted(self, key=idleness)
        surplus: list[FoldedTrace] = []
        for left, folded in zip(range(len(by_idleness), _MIN_TRACES, -1), by_idleness, strict=False):
            if has_room(left, spans, folded):
                break
            surplus.append(folded)
            spans -= folded.counted_spans
        return surplus
