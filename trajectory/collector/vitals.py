"""The collector's sums and its own health, given out for others to read: once a second, an immutable copy.

Invariant: it costs the loop what changed since the last, and what is dear to ask of the store is asked every ten seconds. Owned
by the collector; what it gives is read by `/metrics`.
"""

import time
from collections.abc import Callable

from trajectory import __version__
from trajectory.collector.pipeline import Pipeline
from trajectory.signals.published import Published, Publishing, Vital
from trajectory.store.contract import Room
from trajectory.view.rows import Health

_EVERY_S, _STORE_EVERY_S = 1.0, 10.0


class Publication:
    """What is given to `publish`."""

    def __init__(self, pipeline: Pipeline, publish: Callable[[Published], None]) -> None:
        self._pipeline = pipeline
        self._publish = publish
        self._publishing = Publishing(pipeline.sums.book)
        self._due_s = self._store_due_s = 0.0
        self._room = Room(0, 0)
        self._traces = 0
        self._began_s = time.time()

    @property
    def is_due(self) -> bool:
        return time.monotonic() >= self._due_s

    def give(self, health: Health, waiting_bytes: int) -> None:
        """Gives a copy of how things stand. Raises StoreError."""
        now_s = time.monotonic()
        self._due_s = now_s + _EVERY_S
        if now_s >= self._store_due_s:
            self._store_due_s = now_s + _STORE_EVERY_S
            self._room, self._traces = self._pipeline.writer.room(), self._pipeline.writer.summary_count()
        about = {"version": __version__, "store": health.store, "endpoint": health.endpoint}
        self._publish(self._publishing.copy(self._vitals(health, waiting_bytes), about))

    def _vitals(self, health: Health, waiting_bytes: int) -> tuple[Vital, ...]:
        seen, sums = self._pipeline.vitals, self._pipeline.sums
        return (
            Vital("trajectory_up", "1 while the collector serves and its store takes facts", float(not seen.trouble), False),
            Vital("trajectory_start_time_seconds", "When the collector began, UTC", self._began_s, False),
            Vital("trajectory_facts", "Facts taken", seen.fact_count, True),
            Vital("trajectory_facts_per_second", "Facts taken in the last second", health.facts_per_s, False),
            Vital("trajectory_lag_seconds", "From emitting to folding, the worst of the last second", health.lag_ns / 1e9, False),
            Vital("trajectory_missing_facts", "Facts known to be missing", seen.dropped_count, True),
            Vital("trajectory_quarantined", "Frames and facts that could not be read", seen.quarantined_count, True),
            Vital("trajectory_refused", "Who and what was turned away", seen.refused_count, True),
            Vital("trajectory_faults", "Times that something failed in the collector", seen.fault_count, True),
            Vital("trajectory_journal_bytes", "What came in and waits to be folded", waiting_bytes, False),
            Vital("trajectory_store_bytes", "The store's file", self._room.file_bytes, False),
            Vital("trajectory_store_used_bytes", "What of the store's file is in use", self._room.needed_bytes, False),
            Vital("trajectory_traces", "Traces in the store that were summed up", self._traces, False),
            Vital("trajectory_traces_in_memory", "Traces in memory", len(self._pipeline.traces()), False),
            Vital("trajectory_emitters", "Emitters heard in the last ten seconds", health.emitters, False),
            Vital("trajectory_series", "Series of sums, those under other names counted once", len(sums.book.totals), False),
        )  # fmt: skip
