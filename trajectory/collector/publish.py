"""Answers a watcher's question from what is folded: rows at one version, or nothing where nothing changed.

Invariant: read-only; an answer's cost depends on what was asked for, not on how many watch, and dear answers are given less
often, so that watching a huge trace leaves most of the time to its facts. Called by the intake's loop and by the feed of a
store at rest.
"""

import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from trajectory.collector.agent_view import agent_view, invocation_at
from trajectory.collector.alert_rows import alert_rows
from trajectory.collector.at_instant import Instants
from trajectory.collector.earlier import Earlier
from trajectory.collector.folded import FoldedTrace
from trajectory.collector.library import Library
from trajectory.collector.pace import QUICK_NS, MonotonicClock, Pace
from trajectory.collector.rows import TraceRows
from trajectory.collector.spans import asked_of, critical_rows, outline, place_around, span_rows, span_view
from trajectory.errors import QueryError
from trajectory.view.query import Filter, parse
from trajectory.view.rows import AlertRow, Health, SpanRow, SuspectRow
from trajectory.view.text import clean
from trajectory.view.views import (
    AgentQuery,
    AlertsQuery,
    DelegationQuery,
    InstantQuery,
    Missing,
    Query,
    RunsQuery,
    RunsView,
    SignalsQuery,
    SpanQuery,
    TraceQuery,
    TraceView,
    View,
)

if TYPE_CHECKING:
    from trajectory.collector.plotting import Plotting

_RESTS = 4  # the same question takes a fifth of the time at most, all together half of it
_MAX_HELD = 16
_TRACE_ID_BYTES = 16
_MOST_ALERTS, _LOOKED_AT_ALERTS = 200, 1_000


class Publisher:
    """Turns queries into views. `health` is asked for at each answer; `is_live` says whether open spans may go on; `clock` is
    monotonic, in nanoseconds, and says what an answer costs."""

    def __init__(
        self,
        library: Library,
        health: Callable[[], Health],
        *,
        is_live: Callable[[], bool],
        clock: MonotonicClock = time.monotonic_ns,
    ) -> None:
        self._library = library
        self._health = health
        self._is_live = is_live
        self._shown = Health()
        self._health_version = 0
        self._held: dict[Query, tuple[View, Pace]] = {}
        self._clock = clock
        self._pace = Pace(1, clock)
        self._instants = Instants()
        self._earlier = Earlier(lambda: library.runs.rows(), library.stored)
        self._earlier_version = 0
        self.alerts_in: Callable[[], Path] | None = None  # the state of alerts over all runs, where somebody keeps one
        self._plotting: Plotting | None = None

    def answer(self, query: Query, since: int) -> View | None:
        """The view of a query, None where nothing in it changed after version `since`."""
        health = self._noted(self._health())
        held = self._held.get(query)
        if held is not None and not (held[1].is_due and self._pace.is_due):
            return held[0] if held[0].version > since else None
        began_ns = self._clock()
        view = self._fresh(query, since, health)
        if view is not None and view.version >= 0:  # else it is a part of an answer, and the next is to come
            self._hold(query, view, began_ns)
        return view

    def _hold(self, query: Query, view: View, began_ns: int) -> None:
        """Keeps a view that was dear to make: until its rest is over, it is the answer to whoever asks for the same."""
        pace = Pace(_RESTS, self._clock)
        self._pace.took(began_ns)
        if pace.took(began_ns) > QUICK_NS:
            self._held[query] = view, pace
        else:
            self._held.pop(query, None)
        while len(self._held) > _MAX_HELD:
            self._held.pop(next(iter(self._held)))

    def _fresh(self, query: Query, since: int, health: Health) -> View | None:
        try:
            match query:
                case RunsQuery():
                    return self._runs(query, since, health)
                case AlertsQuery():
                    return self._alerts(query, health)
                case SignalsQuery(trace_id=""):
                    return self._signals(query, since, health)
            folded = self._find(query.trace_id)
            if folded is None:
                return Missing(self._library.version, health, f"there is no run {query.trace_id[:32]}")
            match query:
                case TraceQuery():
                    return self._trace(query, folded, since, health)
                case SpanQuery():
                    return self._span(query, folded, since, health)
                case DelegationQuery():
                    return self._delegation(query, folded, since, health)
                case InstantQuery():
                    is_live = self._is_live()
                    return self._instants.answer(query, folded, health, since, self._health_version, is_live=is_live)
                case AgentQuery():
                    return self._agent(query, folded, since, health)
                case _:
                    return self._signals_of(query, folded, since, health)
        except QueryError as fault:
            return Missing(self._library.version, health, str(fault), fault.position)

    def _noted(self, health: Health) -> Health:
        """Health is part of what a watcher sees: when its numbers move, so does the version, at most once a second."""
        then, now = self._shown, health
        differs = (then.state, then.dropped_count, then.quarantined_count, then.emitters, then.notices) != (
            now.state, now.dropped_count, now.quarantined_count, now.emitters, now.notices,
        )  # fmt: skip
        is_due = now.now_ns - then.now_ns >= 1_000_000_000
        states = self._library.incident_states
        has_moved = states is not None and states.look(now.now_ns)
        if has_moved or differs or (is_due and (then.facts_per_s, then.lag_ns) != (now.facts_per_s, now.lag_ns)):
            self._shown = now
            self._library.version += 1
            self._health_version = self._library.version
        return health

    def _runs(self, query: RunsQuery, since: int, health: Health) -> View | None:
        if self._library.runs.runs.joined.read_on():
            self._library.version += 1  # of a large store a page at each look: then the list is drawn again, joined
        version = self._library.version
        if version <= since:
            return None
        keep = parse(query.filter, self._library.saying)
        by_run = keep.is_empty  # a filter looks at traces, one by one
        matching = (row for row in self._library.runs.rows(by_run=by_run) if keep(row, health.now_ns))
        rows = list(islice(matching, max(query.limit, 0)))
        preview = None
        if query.preview:
            preview = self._fresh(TraceQuery(query.preview, tail=0), -1, health)
        return RunsView(
            version,
            health,
            rows,
            self._library.runs.count(by_run=by_run),
            preview if isinstance(preview, TraceView) else None
        )  # fmt: skip

    def _find(self, trace_id: str) -> FoldedTrace | None:
        try:
            named = bytes.fromhex(trace_id)
        except ValueError:
            return None
        return self._library.folded(named) if len(named) == _TRACE_ID_BYTES else None

    def _trace(self, query: TraceQuery, folded: FoldedTrace, since: int, health: Health) -> View | None:
        version = max(folded.changed_version, self._health_version)
        if version <= since:
            return None
        keep = parse(query.filter, start_ns=folded.trace.first_ns)
        rows = TraceRows(folded, health.now_ns, self._is_live())
        spans, matching_count, offset, around = self._spans(rows, query, keep)
        suspected, limits = _suspects(rows, query.suspects)
        return TraceView(
            version=version,
            health=health,
            trace=rows.trace_row(),
            lanes=[] if query.outline else rows.lanes(),
            delegations=rows.delegation_rows(),
            alerts=self._with_states(alert_rows(rows)),
            tail=rows.tail(query.tail, None if keep.is_empty else lambda r: keep(r, health.now_ns))
            if query.tail > 0
            else [],
            tail_total=folded.step_count,
            spans=asked_of(rows, query, spans),
            spans_total=len(folded.trace.spans) if query.spans > 0 else 0,
            spans_matching=matching_count,
            suspects=suspected,
            limits=limits,
            outline=outline(rows, rows.last_ns) if query.outline else None,
            critical=critical_rows(rows) if query.critical and not query.outline else [],
            spans_offset=offset,
            around=around,
        )

    @staticmethod
    def _spans(rows: TraceRows, query: TraceQuery, keep: Filter) -> tuple[list[SpanRow], int, int, str]:
        """The rows of the timeline that were asked for, how many there are to ask for, and the place and span they are from."""
        if query.spans <= 0:
            return [], 0, 0, ""
        matching = None if keep.is_empty else [row for row in span_rows(rows) if keep(row, rows.now_ns)]
        total = len(rows.trace.spans) if matching is None else len(matching)
        start, around = max(query.spans_offset, 0), ""
        if query.around or query.around_ns is not None:
            place, around = place_around(rows, query, matching)
            if place >= 0:
                start = max(0, min(place - query.spans // 2, total - query.spans))
        stop = start + query.spans
        return span_rows(rows, start, stop) if matching is None else matching[start:stop], total, start, around

    def _with_states(self, alerts: list[AlertRow]) -> list[AlertRow]:
        """The same, with how their incidents stand where that is known."""
        states = self._library.incident_states
        if states is None:
            return alerts
        said = [states.of_alert(row.trace_id, row.key) for row in alerts]
        return [replace(row, incident=state) if state else row for row, state in zip(alerts, said, strict=True)]

    def _span(self, query: SpanQuery, folded: FoldedTrace, since: int, health: Health) -> View | None:
        span = None
        if all(c in "0123456789abcdef" for c in query.span_id) and len(query.span_id) % 2 == 0:
            span = folded.trace.spans.get(bytes.fromhex(query.span_id))
        if span is None:
            return Missing(self._library.version, health, f"there is no span {query.span_id[:16]} in this run")
        version = max(folded.changed_version, self._health_version)
        if version <= since:
            return None
        rows = TraceRows(folded, health.now_ns, self._is_live())
        limit = max(query.content_limit, 0)
        view = span_view(rows, span, limit, version, health, raw=query.raw, whole=query.whole)
        if not query.used:
            return view
        from trajectory.collector.uses import used_rows  # loads what compares contents: when first asked for

        return replace(view, used=used_rows(rows, span, query.value))

    def _delegation(self, query: DelegationQuery, folded: FoldedTrace, since: int, health: Health) -> View | None:
        version = max(folded.changed_version, self._health_version)
        if version <= since:
            return None
        rows = TraceRows(folded, health.now_ns, self._is_live())
        from trajectory.collector.crossings import delegation_view  # loads what compares contents: when first asked for

        view = delegation_view(rows, query.delegation_id, max(query.content_limit, 0), version, health)
        return view or Missing(version, health, f"there is no delegation {query.delegation_id[:16]} in this run")

    def _agent(self, query: AgentQuery, folded: FoldedTrace, since: int, health: Health) -> View | None:
        keep = parse(query.filter, start_ns=folded.trace.first_ns)
        rows = TraceRows(folded, health.now_ns, self._is_live())
        found = invocation_at(rows, query.agent)
        if found is None:
            return Missing(self._library.version, health, f"there is no agent {clean(query.agent[:40])} in this run")
        if self._earlier.read_on(folded.trace, found[1]):
            self._library.version += 1
            self._earlier_version = self._library.version
        version = max(folded.changed_version, self._health_version, self._earlier_version)
        if version <= since:
            return None
        usual = partial(self._earlier.usual, folded.trace, found[1], now_ns=rows.last_ns)
        return agent_view(rows, found, query, keep, version, health, usual)

    def _signals(self, query: SignalsQuery, since: int, health: Health) -> View | None:
        if self._library.version <= since:
            return None
        return self._plotted().of_all(query, self._library.version, health)

    def _plotted(self) -> "Plotting":
        from trajectory.collector.plotting import Plotting  # loads the sums: when first asked for

        if self._plotting is None:
            self._plotting = Plotting(self._library)
        return self._plotting

    def _signals_of(self, query: SignalsQuery, folded: FoldedTrace, since: int, health: Health) -> View | None:
        if self._library.version <= since:
            return None
        from trajectory.collector.counting import finely, trace_points, unit_of
        from trajectory.collector.signal_rows import signals_view
        from trajectory.signals.figures import WINDOW_NS

        points, unit_ns = trace_points(folded), WINDOW_NS if query.minutes else unit_of(folded, query.points)
        if unit_ns != WINDOW_NS:
            points = iter(finely(folded, unit_ns))
        newest_ns = folded.trace.last_ns
        view = signals_view(query, points, newest_ns, self._library.version, health, unit_ns=unit_ns)
        if not query.until_ns:
            return view
        row = TraceRows(folded, health.now_ns, self._is_live()).trace_row()
        runs, _, _ = self._plotted().runs.of(replace(query, name=""), [row])
        return replace(view, runs=runs, runs_total=len(runs), runs_at_ns=query.at_ns)

    def _alerts(self, query: AlertsQuery, health: Health) -> View:
        version = self._library.version
        if self.alerts_in is not None:
            from trajectory.alerting.book import kept_alerts  # when first asked for

            limits = (min(number, _MOST_ALERTS) for number in (query.limit, query.closed))
            bounded = AlertsQuery(query.id, *limits)
            view = kept_alerts(self.alerts_in(), bounded, health.now_ns, health, version, _LOOKED_AT_ALERTS)
            if view is not None:
                return view
        return Missing(
            version,
            health,
            "this collector keeps no alerts: it was begun without a policy (trajectory serve --alerts FILE)",
        )


def _suspects(rows: TraceRows, limit: int) -> tuple[list[SuspectRow], list[str]]:
    """The suspected steps, as many as asked for, and what cannot be seen in this run."""
    if limit <= 0:
        return [], []
    from trajectory.collector.suspects import limits, suspects  # loads what blames: when first asked for

    return suspects(rows.folded, limit, rows.now_ns), limits(rows)
