"""Series of figures for plots and tables: points of the book, or of one trace's tally, put together by what is asked.

Invariant: bounded in series and points, and one series never mixes kinds of work: a model call and a tool call are not of one
latency. Called by the publisher, and by `trajectory metrics`.
"""

from collections.abc import Callable, Iterable
from itertools import islice

from trajectory.signals.book import Book, Labels
from trajectory.signals.figures import SECONDS, WINDOW_NS, Figures
from trajectory.signals.measures import Kind
from trajectory.view.rows import Health, SignalsQuery, SignalsView, TraceRow
from trajectory.view.signal_rows import SignalMark, SignalPoint, SignalSeries
from trajectory.view.text import clean

Point = tuple[int, Labels, Figures]
MAX_POINTS, MAX_SERIES, MAX_MARKS, MAX_RUNS = 1440, 500, 200, 50
_LOOKED_AT = 1000  # runs, the latest
NOBODY = "(no agent)"
_WORK = (Kind.MODEL, Kind.TOOL, Kind.RETRIEVAL, Kind.AGENT)


def _edge(labels: Labels) -> str:
    return f"{labels.agent or NOBODY} → {labels.name}"


# What each grouping is of, and by what its series are named.
BY: dict[str, tuple[tuple[Kind, ...], Callable[[Labels], str]]] = {
    "agent": (_WORK, lambda labels: labels.agent or NOBODY),
    "model": ((Kind.MODEL,), lambda labels: labels.name or "(unnamed)"),
    "tool": ((Kind.TOOL, Kind.RETRIEVAL), lambda labels: labels.name or "(unnamed)"),
    "edge": ((Kind.DELEGATION,), _edge),
    "service": (_WORK, lambda labels: labels.service or "(no service)"),
    "version": (_WORK, lambda labels: f"{labels.service or '(no service)'} {labels.version or '(no version)'}"),
    "finding": ((Kind.FINDING,), lambda labels: labels.name),
    "error": ((Kind.MODEL, Kind.TOOL, Kind.RETRIEVAL), lambda labels: labels.error or "(none)"),
}


def signals_view(
    query: SignalsQuery,
    points: Iterable[Point],
    newest_ns: int,
    version: int,
    health: Health,
    book: Book | None = None,
    unit_ns: int = WINDOW_NS,
) -> SignalsView:
    """The view of a query over points, which may be too many: those of other agents and services, or too old, are left out.

    They are in windows of `unit_ns`; minutes can be asked for only where that is one.
    """
    kinds, name_of = BY.get(query.by, BY["agent"])
    minutes = max(query.minutes, 0)
    end = newest_ns // unit_ns + 1
    begin = end - minutes if minutes else 0
    here = [
        point
        for point in points
        if point[0] >= begin
        and (point[1].kind in kinds or point[1].kind == Kind.FINDING)
        and (not query.agent or query.agent in (point[1].agent, point[1].name if query.by == "edge" else ""))
        and query.service in ("", point[1].service)
    ]
    chosen = [point for point in here if point[1].kind in kinds and query.kind in ("", point[1].kind)]
    if not minutes:
        begin = min((window for window, _, _ in chosen), default=end)
    most = min(max(query.points, 1), MAX_POINTS)
    width = max(-(-(end - begin) // most), 1)
    begin -= begin % width if minutes else 0
    series: dict[tuple[str, str], dict[int, Figures]] = {}
    latest: dict[tuple[str, str], tuple[int, bytes]] = {}

    def slot_of(window: int) -> int:
        return begin + max(window - begin, 0) // width * width

    for window, labels, figures in chosen:
        key = (name_of(labels), labels.kind)
        series.setdefault(key, {}).setdefault(slot_of(window), Figures()).add(figures)
        for exemplar in (book.exemplars.get(labels, {}) if book is not None else {}).values():
            latest[key] = max(latest.get(key, (0, b"")), (exemplar.at_ns, exemplar.trace_id))
    rows = [
        _series(key, slots, latest.get(key, (0, b""))[1].hex(), unit_ns)
        for key, slots in series.items()
        if any(figures.count > 0 for figures in slots.values())
    ]
    rows.sort(key=lambda row: (-row.total.cost_usd, -row.total.calls, row.name, row.kind))
    limit = min(max(query.limit, 0), MAX_SERIES)
    return SignalsView(
        version,
        health,
        begin * unit_ns,
        width * unit_ns,
        rows[:limit],
        len(rows),
        end_ns=end * unit_ns,
        bounds_s=[*SECONDS],
        marks=_marks(((slot_of(window), labels, figures) for window, labels, figures in here), unit_ns),
    )


def _marks(points: Iterable[Point], unit_ns: int) -> list[SignalMark]:
    """The findings among points, the latest of too many."""
    counts: dict[tuple[int, str, str], int] = {}
    for slot, labels, figures in points:
        if labels.kind == Kind.FINDING:
            key = (slot, labels.name, labels.error)
            counts[key] = counts.get(key, 0) + figures.count
    found = sorted((key, count) for key, count in counts.items() if count > 0)
    return [SignalMark(key[0] * unit_ns, clean(key[1]), clean(key[2]), count) for key, count in found[-MAX_MARKS:]]


def runs_at(query: SignalsQuery, rows: Iterable[TraceRow]) -> tuple[list[TraceRow], int]:
    """Of the latest runs those that were at work in the time that a query names, worst first; the first of them, and how many."""
    if not 0 <= query.at_ns < query.until_ns:
        return [], 0
    found = [
        row
        for row in islice(rows, _LOOKED_AT)
        if row.started_ns < query.until_ns
        and (row.ended_ns >= query.at_ns or row.state == "live")
        and (not query.agent or not row.agent_names or query.agent in row.agent_names)
        and query.service in ("", row.service)
    ]
    found.sort(key=lambda row: (-row.critical, -row.warnings, -row.errors, -row.started_ns))
    return found[:MAX_RUNS], len(found)


def _series(key: tuple[str, str], slots: dict[int, Figures], trace_id: str, unit_ns: int) -> SignalSeries:
    total = Figures()
    for figures in slots.values():
        total.add(figures)
    points = [point_of(figures, slot * unit_ns, key[1]) for slot, figures in sorted(slots.items()) if figures.count > 0]
    return SignalSeries(
        clean(key[0]),
        key[1],
        point_of(total, min(slots) * unit_ns, key[1]),
        points,
        trace_id,
        total.seconds.buckets,
        total.first_chunk.buckets,
    )


def point_of(figures: Figures, at_ns: int, kind: str) -> SignalPoint:
    """Sums as a row."""
    return SignalPoint(
        at_ns=at_ns,
        calls=figures.count,
        errors=figures.errors,
        retries=figures.retries,
        p50_s=figures.seconds.quantile(0.5, SECONDS),
        p95_s=figures.seconds.quantile(0.95, SECONDS),
        first_s=figures.first_chunk.quantile(0.5, SECONDS),
        input_tokens=int(figures.input_tokens.sum),
        output_tokens=int(figures.output_tokens.sum),
        cached_tokens=figures.cached_tokens,
        reasoning_tokens=figures.reasoning_tokens,
        cost_usd=max(figures.cost_usd, 0.0),
        cost_unknown=figures.cost_unknown if kind == Kind.MODEL else 0,
        output_chars=figures.output_chars,
        needed=figures.needed,
        arrived=figures.arrived,
    )
