"""Series of figures for plots and tables: points of the book, or of one trace's tally, put together by what is asked.

Invariant: bounded in series and points, and one series never mixes kinds of work: a model call and a tool call are not of one
latency. Called by the publisher, and by `trajectory metrics`.
"""

from collections.abc import Callable, Iterable

from trajectory.collector.rolling import Found, Key, Rolling, Slot, totals_of
from trajectory.signals.book import Book, Labels
from trajectory.signals.figures import SECONDS, WINDOW_NS, Figures
from trajectory.signals.measures import Kind
from trajectory.view.rows import Health
from trajectory.view.signal_rows import SignalMark, SignalPoint, SignalSeries
from trajectory.view.text import clean
from trajectory.view.views import SignalsQuery, SignalsView

Point = tuple[int, Labels, Figures]
MAX_POINTS, MAX_SERIES, MAX_MARKS = 1440, 500, 200
_STEPS = (1, 2, 5, 15, 30, 60, 120, 180, 360, 720, 1440)  # minutes that a window may be long: whole ones of the book's
PART = -1  # the version of a part of an answer
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


def key_of(query: SignalsQuery) -> Callable[[Labels], Key | None]:
    """Which series a group's work belongs to, by what is asked; None where it is not asked for."""
    kinds, name_of = BY.get(query.by, BY["agent"])

    def key(labels: Labels) -> Key | None:
        if labels.kind not in kinds or query.kind not in ("", labels.kind) or not _is_of(labels, query):
            return None
        return name_of(labels), labels.kind

    return key


def _is_of(labels: Labels, query: SignalsQuery) -> bool:
    agents = (labels.agent, labels.name if query.by == "edge" and labels.kind == Kind.DELEGATION else "")
    return (not query.agent or query.agent in agents) and query.service in ("", labels.service)


def signals_view(
    query: SignalsQuery,
    points: Iterable[Point],
    newest_ns: int,
    version: int,
    health: Health,
    book: Book | None = None,
    unit_ns: int = WINDOW_NS,
    rolling: Rolling | None = None,
) -> SignalsView:
    """The view of a query over a book, else over points, which may be too many: those of others, or too old, are left out.

    Points are in windows of `unit_ns`; minutes can be asked for only where that is one.
    """
    minutes, end = max(query.minutes, 0), newest_ns // unit_ns + 1
    begin, key, found_of = max(end - minutes, 0) if minutes else 0, key_of(query), _found_of(query)
    is_whole = True
    most = min(max(query.points, 1), MAX_POINTS)
    if book is not None:
        width = _width(minutes, most, book.window_minutes(begin))
        begin -= begin % width
        question = (query.by, query.kind, query.agent, query.service)
        sums = (rolling or Rolling()).sums(book, begin, width, question, key, found_of)
        slots, totals, is_whole = sums.slots, sums.totals, sums.is_whole
        latest = _latest(book, key)
    else:
        here = [point for point in points if point[0] >= begin]
        if not minutes:
            begin = min((window for window, labels, _ in here if key(labels) is not None), default=end)
        width = _width(minutes, most, 1) if minutes else max(-(-(end - begin) // most), 1)
        begin -= begin % width if minutes else 0
        slots = {}
        for window, labels, figures in here:
            at = begin + max(window - begin, 0) // width * width
            if at not in slots:
                slots[at] = Slot()
            slots[at].put(labels, figures, key, found_of)
        totals, latest = totals_of(slots.values()), {}
    shown = [(each, total) for each, total in totals.items() if any(_counts(slot, each) for slot in slots.values())]
    shown.sort(key=lambda pair: (-pair[1].cost_usd, -pair[1].count, pair[0]))
    rows = [
        _series(each, total, slots, latest.get(each, (0, b""))[1].hex(), unit_ns)
        for each, total in shown[: min(max(query.limit, 0), MAX_SERIES)]
    ]
    return SignalsView(
        version if is_whole else PART,
        health,
        begin * unit_ns,
        width * unit_ns,
        rows,
        len(shown),
        end_ns=end * unit_ns,
        bounds_s=[*SECONDS],
        marks=_marks(slots, unit_ns),
    )


def _width(minutes: int, most: int, kept: int) -> int:
    """How many minutes a window of the view is long: what people count in, and whole windows of those that are kept."""
    least = max(-(-minutes // most), 1)
    return next((step for step in _STEPS if step >= max(least, kept)), least) if most > 1 else least


def _counts(slot: Slot, key: Key) -> bool:
    figures = slot.series.get(key)
    return figures is not None and figures.count > 0


def _latest(book: Book, key_of_labels: Callable[[Labels], Key | None]) -> dict[Key, tuple[int, bytes]]:
    """A trace in which work of a series was counted lately."""
    latest: dict[Key, tuple[int, bytes]] = {}
    for labels, exemplars in book.exemplars.items():
        key = key_of_labels(labels)
        if key is not None:
            newest = max((each.at_ns, each.trace_id) for each in exemplars.values())
            latest[key] = max(latest.get(key, (0, b"")), newest)
    return latest


def _found_of(query: SignalsQuery) -> Callable[[Labels], Found | None]:
    def found(labels: Labels) -> Found | None:
        if not _is_of(labels, query):
            return None
        return labels.name, labels.error, labels.agent, labels.service, labels.provider, labels.version

    return found


def _marks(slots: dict[int, Slot], unit_ns: int) -> list[SignalMark]:
    """The findings, the latest of too many."""
    found = sorted((at, found, count) for at, slot in slots.items() for found, count in slot.found.items() if count > 0)
    return [
        SignalMark(at * unit_ns, kind, severity, count, agent, service, of, name)
        for at, (kind, severity, agent, service, of, name), count in (
            (at, map(clean, found), count) for at, found, count in found[-MAX_MARKS:]
        )
    ]


def _series(key: Key, total: Figures, slots: dict[int, Slot], trace_id: str, unit_ns: int) -> SignalSeries:
    points = [
        point_of(slot.series[key], at * unit_ns, key[1]) for at, slot in sorted(slots.items()) if _counts(slot, key)
    ]
    return SignalSeries(
        clean(key[0]), key[1], point_of(total, points[0].at_ns if points else 0, key[1]), points, trace_id,
        total.seconds.buckets, total.first_chunk.buckets,
    )  # fmt: skip


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
        tokens_known=max(figures.input_tokens.count, figures.output_tokens.count),
        chars_known=figures.chars_known,
        crossings_known=figures.crossings_known,
    )
