"""What of a store has yet to be forwarded: frame by frame, the spans that ended in them, folded with all that came before.

Invariant: a span is in a portion when it has ended, and again when more becomes known of it; one that is open when its trace
falls silent is in one too, and says that it is open. What carries this forwarder's own mark is in none: it came back. Owned by
one thread; memory is bounded by how many spans are kept folded, the others are read again.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_args

from trajectory.collector import skew
from trajectory.collector.folded import FoldedTrace
from trajectory.collector.payloads import Payloads
from trajectory.collector.rows import TraceRows
from trajectory.export.otlp import Marks
from trajectory.forwarder.requests import Portion
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace
from trajectory.model.fact import Fact, Heartbeat, Source, SpanFact, trace_of
from trajectory.store.contract import Reader

MARK = "trajectory.forwarded"  # of a resource: the ids of those who forwarded it, one behind the other
MAX_HOPS = 16
FRAMES = 32  # folded and sent together: so many are sent twice after a kill
KEPT_SPANS = 50_000
KEPT_TRACES = 256
OPEN_TRACES = 10_000
LOOK_NS = 5_000_000_000  # between two looks at who fell silent
SILENT_NS = 45_000_000_000  # beyond what a screen waits before it says that a span is cut off
_OF_SPANS = frozenset(get_args(SpanFact))


def marks_of(own_id: str) -> Marks:
    """What a resource says when it has been forwarded: by whom, behind those who did so before."""

    def marks(resource: Mapping[str, Any]) -> dict[str, Any]:
        before = resource.get(MARK)
        return {MARK: [*(before if isinstance(before, list) else []), own_id]}

    return marks


class Backlog:
    """Reads a store from a position on. `now_ns` is the wall clock. Methods raise StoreError."""

    def __init__(
        self, reader: Reader, own_id: str, frame: int, open_traces: Iterable[bytes], now_ns: Callable[[], int]
    ) -> None:
        self.frame = frame  # all up to it was taken
        self._reader = reader
        self._own_id = own_id
        self._now_ns = now_ns
        self._payloads = Payloads(reader.payload)
        self._kept: OrderedDict[bytes, FoldedTrace] = OrderedDict()
        self._open: dict[bytes, int] = {trace_id: now_ns() for trace_id in open_traces}  # since when it is waited for
        self._told: dict[bytes, set[bytes]] = {}  # spans that were sent open, by trace
        self._looked_ns = now_ns()

    @property
    def open_traces(self) -> list[bytes]:
        """The traces whose open spans are waited for."""
        return list(self._open)

    @property
    def waiting_count(self) -> int:
        """The frames that were not taken yet."""
        return max(0, self._reader.last_frame() - self.frame)

    def take(self) -> list[Portion] | None:
        """What the next frames brought to its end; None where there are none. What was taken before is done with."""
        self._make_room()
        last = self._reader.last_frame()
        if last <= self.frame:
            return self._silent() or None
        until = min(last, self.frame + FRAMES)
        touched: dict[bytes, set[bytes]] = {}
        for batch in map(skew.corrected, self._reader.all_batches(self.frame, until)):
            is_back = self._is_back(batch.source)
            for fact in batch.facts:
                if type(fact) in _OF_SPANS and (trace_id := trace_of(fact)):
                    self._at(trace_id).trace.apply(fact, batch.source)
                    if not is_back:
                        touched.setdefault(trace_id, set()).add(fact.span_id)  # type: ignore[union-attr]
                elif isinstance(fact, Heartbeat):
                    self._hear(fact, batch.source)
        self.frame = until
        return [self._ended(trace_id, span_ids) for trace_id, span_ids in touched.items()]

    def _is_back(self, source: Source) -> bool:
        """Whether this forwarder sent it before, or it goes round among others."""
        mark = source.resource.get(MARK)
        return isinstance(mark, list) and (self._own_id in mark or len(mark) >= MAX_HOPS)

    def _ended(self, trace_id: bytes, span_ids: set[bytes]) -> Portion:
        trace = self._kept[trace_id].trace
        if trace.open_count:
            self._open[trace_id] = self._now_ns()
            while len(self._open) > OPEN_TRACES:
                del self._open[next(iter(self._open))]
        else:
            self._open.pop(trace_id, None)
            self._told.pop(trace_id, None)
        return Portion(trace, [span for key in span_ids if (span := trace.spans.get(key)) and _is_whole(span)])

    def _silent(self) -> list[Portion]:
        """The open spans of traces that nothing was heard of for long."""
        now_ns = self._now_ns()
        if 0 <= now_ns - self._looked_ns < LOOK_NS:
            return []
        self._looked_ns = now_ns
        portions = []
        for trace_id, since_ns in list(self._open.items()):
            if now_ns - since_ns < SILENT_NS:
                continue
            folded = self._at(trace_id)
            if TraceRows(folded, now_ns - SILENT_NS, is_live=True).state() == "live":
                self._open[trace_id] = now_ns
                continue
            del self._open[trace_id]
            told = self._told.setdefault(trace_id, set())
            spans = [s for s in folded.trace.spans.values() if s.is_open and s.span_id not in told and self._is_own(s)]
            told.update(span.span_id for span in spans)
            portions.append(Portion(folded.trace, spans, is_over=True))
        while len(self._told) > OPEN_TRACES:
            del self._told[next(iter(self._told))]
        return portions

    def _is_own(self, span: Span) -> bool:
        return span.source is None or not self._is_back(span.source)

    def _at(self, trace_id: bytes) -> FoldedTrace:
        """A trace with all that came of it up to the frames that are being taken."""
        folded = self._kept.get(trace_id)
        if folded is None:
            folded = self._kept[trace_id] = FoldedTrace(trace_id, self._payloads.get, ())
            for batch in map(skew.corrected, self._reader.facts(trace_id, until_frame=self.frame)):
                for fact in batch.facts:
                    folded.trace.apply(fact, batch.source)
        self._kept.move_to_end(trace_id)
        return folded

    def _hear(self, fact: Fact, source: Source) -> None:
        for folded in self._kept.values():
            if folded.trace.open_count and source.emitter_id in folded.trace.heard_ns:
                folded.trace.apply(fact, source)

    def _make_room(self) -> None:
        count = sum(len(folded.trace.spans) for folded in self._kept.values())
        while self._kept and (count > KEPT_SPANS or len(self._kept) > KEPT_TRACES):
            _, folded = self._kept.popitem(last=False)
            count -= len(folded.trace.spans)
            folded.trace.dissolve()


def whole(trace: Trace) -> Portion:
    """All of a trace as it is stored, whatever is open in it."""
    return Portion(trace, [span for span in trace.spans.values() if not span.is_unheard], is_over=True)


def _is_whole(span: Span) -> bool:
    return not span.is_placeholder and not span.is_open
