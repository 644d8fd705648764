"""The sums that the collector keeps: each trace's tally, saved beside its summary, and the book over all traces.

Invariant: what the book holds as new is saved, or saved again from the same facts after a crash; so a restart, a trace that goes
on after it, and one that memory forgot meanwhile neither lose nor double anything. Owned by the pipeline.
"""

import time
from collections.abc import Iterator

from trajectory.collector.folded import FoldedTrace
from trajectory.collector.handovers import Handovers
from trajectory.signals.book import KEPT_MINUTES, Book
from trajectory.signals.figures import WINDOW_NS
from trajectory.signals.prices import Prices, default_prices
from trajectory.signals.tally import TraceTally, read_saved
from trajectory.store.contract import TallyRow, Writer

_LOADING_NS = 3_000_000  # of each tick, until the last month is read
_MOST_LOADED = 200_000  # traces, the newest


class Sums:
    """`look` where a trace is summed up, then `saved` when that is saved; `step` at each tick.

    Raises ConfigError where the user's prices cannot be read.
    """

    def __init__(self, writer: Writer, now_ns: int) -> None:
        self.book = Book()
        self.prices: Prices = default_prices()
        self._handovers = Handovers()
        self._writer = writer
        self._since_ns = max(now_ns - KEPT_MINUTES * WINDOW_NS, 0)
        self._loading: Iterator[TallyRow] | None = writer.tallies(self._since_ns)
        self._loaded: set[bytes] = (
            set()
        )  # traces of the last month whose saved sums are in the book; kept until all are
        self.book.passes(now_ns)

    def look(self, folded: FoldedTrace) -> TallyRow | None:
        """What is to be saved of a trace; None where nothing in it changed. Raises StoreError."""
        tally = folded.tally
        if tally is None:
            if folded.is_to_read:  # it is as it was saved
                return None
            tally = folded.tally = self._begin(folded)
        return TallyRow(folded.trace.trace_id, tally.last_ns, tally.written()) if tally.look() else None

    def saved(self, folded: FoldedTrace, now_ns: int) -> None:
        """What `look` gave is in the store now."""
        if folded.tally is None:
            return
        self.book.put(folded.tally.take(), folded.trace.trace_id, now_ns)
        self._handovers.add(folded)

    def forget(self, trace_id: bytes) -> None:
        """The trace is in memory no more: what did not come to be compared in it stays unknown."""
        self._handovers.forget(trace_id)

    def step(self, now_ns: int) -> None:
        """Reads on in what was saved of the last month, and lets old windows go. Raises StoreError."""
        self.book.passes(now_ns)
        began_ns = time.monotonic_ns()
        while self._loading is not None and time.monotonic_ns() - began_ns < _LOADING_NS:
            row = next(self._loading, None)
            if row is None or len(self._loaded) >= _MOST_LOADED:
                self._loading = None
                self._loaded.clear()
            elif row.trace_id not in self._loaded:
                self._loaded.add(row.trace_id)
                self._load(row)

    def work_out(self, budget_ns: int | None = None) -> None:
        """Works on at what came through at delegations; the traces are to be summed up again."""
        for folded in self._handovers.step() if budget_ns is None else self._handovers.step(budget_ns):
            folded.summary_version = -1

    @property
    def is_loaded(self) -> bool:
        """Whether the windows hold all that was saved of the last month."""
        return self._loading is None

    def _begin(self, folded: FoldedTrace) -> TraceTally:
        row = self._writer.tally(folded.trace.trace_id) if folded.is_stored else None
        if self._loading is not None and folded.trace.trace_id not in self._loaded:
            self._loaded.add(folded.trace.trace_id)  # what this process saves of it is in the book already
            if row is not None:
                self._load(row)
        return TraceTally(folded.trace, self.prices, row.body if row is not None else None)

    def _load(self, row: TallyRow) -> None:
        saved = read_saved(row.body)
        if saved is not None and row.last_ns >= self._since_ns:
            self.book.add(dict(saved.groups), is_new=False)
