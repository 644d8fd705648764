"""Answers a watcher's question from what is folded: rows at one version, or nothing where nothing changed.

Invariant: read-only; an answer's cost depends on what was asked for, not on how many watch. Called by the intake's loop and
by the feed of a store at rest.
"""

from collections.abc import Callable
from typing import Protocol

from trajectory.collector.folded import FoldedTrace
from trajectory.collector.rows import TraceRows
from trajectory.collector.spans import span_rows, span_view
from trajectory.errors import QueryError
from trajectory.view.query import parse
from trajectory.view.rows import (
    Health,
    Missing,
    Query,
    RunsQuery,
    RunsView,
    SpanQuery,
    TraceQuery,
    TraceRow,
    TraceView,
    View,
)


class Library(Protocol):
    """What a publisher reads: the list of runs, and any one trace folded."""

    version: int

    def run_rows(self) -> list[TraceRow]: ...

    def folded(self, trace_id: bytes) -> FoldedTrace | None: ...


class Publisher:
    """Turns queries into views. `health` is asked for at each answer; `is_live` says whether open spans may go on."""

    def __init__(self, library: Library, health: Callable[[], Health], *, is_live: Callable[[], bool]) -> None:
        self._library = library
        self._health = health
        self._is_live = is_live
        self._shown = Health()
        self._health_version = 0

    def answer(self, query: Query, since: int) -> View | None:
        """The view of a query, None where nothing in it changed after version `since`."""
        health = self._noted(self._health())
        try:
            match query:
                case RunsQuery():
                    return self._runs(query, since, health)
                case TraceQuery():
                    return self._trace(query, since, health)
                case SpanQuery():
                    return self._span(query, since, health)
        except QueryError as fault:
            return Missing(self._library.version, health, str(fault), fault.position)

    def _noted(self, health: Health) -> Health:
        """Health is part of what a watcher sees: when its numbers move, so does the version, at most once a second."""
        then, now = self._shown, health
        differs = (then.state, then.dropped_count, then.quarantined_count, then.emitters, then.notices) != (
            now.state, now.dropped_count, now.quarantined_count, now.emitters, now.notices,
        )  # fmt: skip
        is_due = now.now_ns - then.now_ns >= 1_000_000_000
        if differs or (is_due and (then.facts_per_s, then.lag_ns) != (now.facts_per_s, now.lag_ns)):
            self._shown = now
            self._library.version += 1
            self._health_version = self._library.version
        return health

    def _runs(self, query: RunsQuery, since: int, health: Health) -> View | None:
        version = self._library.version
        if version <= since:
            return None
        keep = parse(query.filter)
        rows = self._library.run_rows()
        matching = [row for row in rows if keep(row, health.now_ns)]
        matching.sort(key=lambda r: (r.state != "live", -r.started_ns))
        preview = None
        if query.preview:
            preview = self._trace(TraceQuery(query.preview, tail=0), -1, health)
        return RunsView(
            version, health, matching[: query.limit], len(rows), preview if isinstance(preview, TraceView) else None
        )  # fmt: skip

    def _find(self, trace_id: str) -> FoldedTrace | None:
        try:
            return self._library.folded(bytes.fromhex(trace_id))
        except ValueError:
            return None

    def _trace(self, query: TraceQuery, since: int, health: Health) -> View | None:
        folded = self._find(query.trace_id)
        if folded is None:
            return Missing(self._library.version, health, f"there is no run {query.trace_id[:32]}")
        version = max(folded.changed_version, self._health_version)
        if version <= since:
            return None
        keep = parse(query.filter)
        rows = TraceRows(folded, health.now_ns, self._is_live())
        spans = span_rows(rows) if query.spans else []
        matching = spans if keep.is_empty else [row for row in spans if keep(row, health.now_ns)]
        at = max(query.spans_offset, 0)
        return TraceView(
            version=version,
            health=health,
            trace=rows.trace_row(),
            lanes=rows.lanes(),
            delegations=rows.delegation_rows(),
            alerts=rows.alert_rows(),
            tail=rows.tail(query.tail, None if keep.is_empty else lambda r: keep(r, health.now_ns))
            if query.tail
            else [],
            tail_total=folded.step_count,
            spans=matching[at : at + query.spans],
            spans_total=len(spans),
            spans_matching=len(matching),
        )

    def _span(self, query: SpanQuery, since: int, health: Health) -> View | None:
        folded = self._find(query.trace_id)
        span = None
        if folded is not None and all(c in "0123456789abcdef" for c in query.span_id) and len(query.span_id) % 2 == 0:
            span = folded.trace.spans.get(bytes.fromhex(query.span_id))
        if folded is None or span is None:
            return Missing(self._library.version, health, f"there is no span {query.span_id[:16]} in this run")
        version = max(folded.changed_version, self._health_version)
        if version <= since:
            return None
        rows = TraceRows(folded, health.now_ns, self._is_live())
        return span_view(rows, span, query.content_limit, version, health)
