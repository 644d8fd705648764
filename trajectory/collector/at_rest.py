"""Traces from a store file: at rest, or while another process writes it.

Invariant: read-only, and it says what the collector would: the same fold, the same rows. Findings are those that were
stored; nothing is judged anew. Read by `StoreFeed` for the dashboard, and by the commands that print.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec

from trajectory.collector import skew
from trajectory.collector.folded import FoldedTrace
from trajectory.collector.joined import Joined
from trajectory.collector.listing import Listing, row_of, traces_saying
from trajectory.collector.payloads import Payloads
from trajectory.collector.rows import TraceRows
from trajectory.graph.ends import ends_of
from trajectory.graph.runs import Run
from trajectory.graph.trace import Trace
from trajectory.model.fact import Batch, Fact, Heartbeat, Payload, trace_of
from trajectory.model.lists import named
from trajectory.store.contract import LIVE, Reader, TraceSummary
from trajectory.view.rows import TraceRow

if TYPE_CHECKING:
    from trajectory.collector.counting import Counted
    from trajectory.collector.incident_states import IncidentStates
    from trajectory.signals.figures import Group

_MAX_TRACES = 8
_MAX_STALE = 256
_LISTED_TRACES = 10_000
_HEARD_FRAMES = 20_000  # of all senders, the newest: a busy store takes in fewer until somebody counts as silent


class StoredLibrary:
    """Traces folded from a store as they are asked for, a few of them kept."""

    def __init__(self, reader: Reader, *, is_live: bool = False) -> None:
        self.version = 0
        self.incident_states: IncidentStates | None = None  # who tells of alerts keeps it to himself
        self.reader = reader
        self._last_frame = reader.last_frame()
        self._payloads = Payloads(reader.payload)
        self._kept: OrderedDict[bytes, FoldedTrace] = OrderedDict()
        self._is_live = is_live
        self._counted: tuple[int, Counted] | None = None  # up to which frame, and what
        self.runs = Listing(reader, lambda summary: stored_row(summary, is_live), _LISTED_TRACES)

    def refresh(self) -> None:
        """Folds what was written since into the traces that are kept, and forgets those that were deleted."""
        self.version += 1
        self.runs.read_again()
        for trace_id in [t for t in self._kept if not self.reader.has_trace(t)]:
            del self._kept[trace_id]
        after, self._last_frame = self._last_frame, self.reader.last_frame()
        for batch in map(skew.corrected, self.reader.all_batches(after)):
            for fact in batch.facts:
                if isinstance(fact, Heartbeat):
                    for kept in self._kept.values():
                        if batch.source.emitter_id in kept.trace.heard_ns:
                            kept.trace.apply(fact, batch.source)
                folded = self._kept.get(trace_of(fact))
                if folded is not None:
                    folded.apply(fact, batch.source)
                    folded.changed_version = self.version

    def saying(self, text: str) -> set[str]:
        return traces_saying(self.reader, text)

    def stored(self, trace_id: bytes) -> Iterator[Batch]:
        """The facts of a trace as they are stored."""
        return self.reader.facts(trace_id)

    def counted(self) -> "Counted":
        """The work in numbers before the newest work that the store knows of; read again where anything was written since."""
        from trajectory.collector.counting import counted_at_rest  # loads the sums: when first asked for

        if self._counted is None or self._counted[0] != self._last_frame:
            self._counted = self._last_frame, counted_at_rest(self.reader)
        return self._counted[1]

    def groups(self, trace_id: bytes) -> "Iterable[Group]":
        """Of what there was work in a trace, as it was counted."""
        from trajectory.collector.counting import saved_groups  # loads the sums: when first asked for

        return saved_groups(self.reader.tally(trace_id))

    def folded(self, trace_id: bytes) -> FoldedTrace | None:
        known = self._kept.get(trace_id)
        if known is not None:
            self._kept.move_to_end(trace_id)
            return known
        folded = fold_stored(self.reader, trace_id, self._payloads)
        if not folded.trace.spans:
            return None
        if self._is_live:
            hear(self.reader, folded)
        folded.changed_version = self.version
        self._kept[trace_id] = folded
        while len(self._kept) > _MAX_TRACES:
            self._kept.popitem(last=False)
        return folded


def stored_row(summary: TraceSummary, is_live: bool) -> TraceRow:
    """A saved summary as a row. `is_live`: a collector serves the store; where none does, what was live has been cut off."""
    row = row_of(summary)
    return row if is_live or row.state != "live" else msgspec.structs.replace(row, state="cut_off")


def fold_stored(
    reader: Reader, trace_id: bytes, payloads: Payloads | None = None, until_ns: int | None = None
) -> FoldedTrace:
    """One trace as its stored facts tell it, up to `until_ns` if given; without spans where the store has none of it."""
    folded = FoldedTrace(trace_id, (payloads or Payloads(reader.payload)).get, ())
    for batch in map(skew.corrected, reader.facts(trace_id)):
        for fact in batch.facts:
            if until_ns is None or getattr(fact, "at_ns", 0) <= until_ns:  # as corrected
                folded.apply(fact, batch.source)
    return folded


def hear(reader: Reader, folded: FoldedTrace) -> None:
    """Takes in the signs of life of whoever has work open in a trace: they are of no trace, so `fold_stored` knows of none."""
    last = reader.last_frame()
    open_at = {
        span.source.emitter_id for span in folded.trace.spans.values() if span.is_open and span.source is not None
    }
    for emitter_id in sorted(open_at):
        for batch in map(skew.corrected, reader.batches_of(emitter_id, max(0, last - _HEARD_FRAMES), last)):
            for fact in batch.facts:
                if isinstance(fact, Heartbeat):
                    folded.apply(fact, batch.source)


def stored_run(reader: Reader, rows: TraceRows) -> tuple[Run, list[Trace]]:
    """The run that a trace of a store is a part of, and its traces, the first one first, each as the store tells it now.

    Of traces that were never summed up, the first few hundred are read too: a killed collector leaves them.
    """
    joined = Joined(reader)
    shown = rows.trace
    joined.put(shown.trace_id, ends_of(shown, is_live=rows.state() == LIVE, is_partial=rows.is_partial))
    for trace_id in reader.stale_traces()[:_MAX_STALE]:
        if trace_id != shown.trace_id and reader.summary(trace_id) is None:
            left = TraceRows(fold_stored(reader, trace_id), rows.now_ns, rows.is_live)
            joined.put(trace_id, ends_of(left.trace, is_live=left.state() == LIVE, is_partial=left.is_partial))
    while joined.read_on():
        pass
    run = joined.run_of(shown.trace_id)
    return run, [shown if t == shown.trace_id else fold_stored(reader, t).trace for t in run.trace_ids]


def stored_batches(reader: Reader, trace_id: bytes) -> Iterator[Batch]:
    """All facts of a trace, each payload once and before the first fact that names it, as its emitter sent them."""
    sent: set[bytes] = set()
    for batch in reader.facts(trace_id):
        entries = {e for fact in batch.facts for es in getattr(fact, "contents", {}).values() for e in es}
        bodies = reader.payloads(sorted(named(entries, reader.payload) - sent))
        sent.update(bodies)
        payloads: list[Fact] = [Payload(digest, *body) for digest, body in bodies.items()]
        yield Batch(batch.source, batch.first_seq, [*payloads, *batch.facts])
