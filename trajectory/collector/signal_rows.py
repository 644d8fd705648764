"""Series of figures for plots and tables: points of the book, or of one trace's tally, put together by what is asked.

Invariant: bounded in series and points, and one series never mixes kinds of work: a model call and a tool call are not of one
latency. Called by the publisher, and by `trajectory metrics`.
"""

from collections.abc import Callable, Iterable

from trajectory.signals.book import Book, Labels
from trajectory.signals.figures import SECONDS, WINDOW_NS, Figures
from trajectory.signals.measures import Kind
from trajectory.view.rows import Health, SignalsQuery, SignalsView
from trajectory.view.signal_rows import SignalPoint, SignalSeries
from trajectory.view.text import clean

Point = tuple[int, Labels, Figures]
MAX_POINTS, MAX_SERIES = 1440, 500
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
    query: SignalsQuery, points: Iterable[Point], newest_ns: int, version: int, health: Health, book: Book | None = None
) -> SignalsView:
    """The view of a query over points, which may be too many: those of other agents and services, or too old, are left out."""
    kinds, name_of = BY.get(query.by, BY["agent"])
    minutes = max(query.minutes, 0)
    end = newest_ns // WINDOW_NS + 1
    begin = end - minutes if minutes else 0
    chosen = [
        point
        for point in points
        if point[0] >= begin
        and point[1].kind in kinds
        and query.kind in ("", point[1].kind)
        and (not query.agent or query.agent in (point[1].agent, point[1].name if query.by == "edge" else ""))
        and query.service in ("", point[1].service)
    ]
    if not minutes:
        begin = min((window for window, _, _ in chosen), default=end)
    most = min(max(query.points, 1), MAX_POINTS)
    width = max(-(-(end - begin) // most), 1)
    begin -= begin % width if minutes else 0
    series: dict[tuple[str, str], dict[int, Figures]] = {}
    latest: dict[tuple[str, str], tuple[int, bytes]] = {}
    for window, labels, figures in chosen:
        key = (name_of(labels), labels.kind)
        slot = begin + max(window - begin, 0) // width * width
        series.setdefault(key, {}).setdefault(slot, Figures()).add(figures)
        for exemplar in (book.exemplars.get(labels, {}) if book is not None else {}).values():
            latest[key] = max(latest.get(key, (0, b"")), (exemplar.at_ns, exemplar.trace_id))
    rows = [
        _series(key, slots, latest.get(key, (0, b""))[1].hex())
        for key, slots in series.items()
        if any(figures.count > 0 for figures in slots.values())
    ]
    rows.sort(key=lambda row: (-row.total.cost_usd, -row.total.calls, row.name, row.kind))
    limit = min(max(query.limit, 0), MAX_SERIES)
    return SignalsView(version, health, begin * WINDOW_NS, width * WINDOW_NS, rows[:limit], len(rows))


def _series(key: tuple[str, str], slots: dict[int, Figures], trace_id: str) -> SignalSeries:
    total = Figures()
    for figures in slots.values():
        total.add(figures)
    points = [
        point_of(figures, slot * WINDOW_NS, key[1]) for slot, figures in sorted(slots.items()) if figures.count > 0
    ]
    return SignalSeries(clean(key[0]), key[1], point_of(total, min(slots) * WINDOW_NS, key[1]), points, trace_id)


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
