"""The story's work in numbers: an hour in which one model grew slow five minutes before the end, for `StoryFeed`."""

from math import nan
from random import Random

from tests.tui.story import NOW_NS, RUNS, TRACE_ID, S, health
from trajectory.view.signal_rows import SignalMark, SignalPoint, SignalSeries
from trajectory.view.views import SignalsQuery, SignalsView

MINUTE_NS = 60 * S
BOUNDS = [0.01 * 2**at for at in range(14)]
SLOW_FROM = 55  # of sixty minutes
NAMES = {
    "model": [("gpt-4o", "model"), ("claude-sonnet-4", "model"), ("our-own-8b", "model")],
    "agent": [("research", "model"), ("research", "tool"), ("planner", "model"), ("writer", "model")],
    "tool": [("search_web", "tool"), ("fetch_page", "tool")],
    "edge": [("planner → research", "delegation")],
    "service": [("newsroom", "model"), ("newsroom", "tool")],
    "version": [("newsroom 1.4", "model"), ("newsroom 1.5", "model")],
}


def signals_view(query: SignalsQuery, version: int) -> SignalsView:
    """What the feed answers; windows as long as the points that are asked for make them."""
    end = NOW_NS // MINUTE_NS + 1
    minutes = query.minutes or 3
    width = max(1, -(-minutes // max(1, query.points)))
    begin = end - minutes
    series = [_series(name, kind, begin, minutes, width) for name, kind in NAMES.get(query.by, [])][: query.limit]
    slow_ns = (end - 60 + SLOW_FROM) * MINUTE_NS
    marks = [
        SignalMark(slow_ns, "anomaly.latency", "warning", 2),
        SignalMark(NOW_NS // MINUTE_NS * MINUTE_NS, "cascade", "critical"),
    ]
    runs = [
        row for row in RUNS if row.started_ns < query.until_ns and (row.ended_ns >= query.at_ns or row.state == "live")
    ]
    if query.trace_id:
        runs = [row for row in runs if row.trace_id == TRACE_ID]
    return SignalsView(
        version,
        health(),
        begin * MINUTE_NS,
        width * MINUTE_NS,
        series,
        len(series),
        end_ns=end * MINUTE_NS,
        bounds_s=BOUNDS,
        marks=[mark for mark in marks if mark.at_ns >= begin * MINUTE_NS],
        runs=runs,
        runs_total=len(runs),
        runs_at_ns=query.at_ns,
        also=[signals_view(each, version) for each in query.also],
    )


def _series(name: str, kind: str, begin: int, minutes: int, width: int) -> SignalSeries:
    random = Random(f"{name} {kind}")
    points, buckets = [], [0] * (len(BOUNDS) + 1)
    for at in range(0, minutes, width):
        slow = 4.0 if at >= minutes * SLOW_FROM // 60 and name == "gpt-4o" else 1.0
        calls = 0 if name == "our-own-8b" and 20 <= at < 30 else random.randint(3, 9) * width
        took_s = random.uniform(0.4, 0.6) * slow
        if calls:
            buckets[sum(took_s > bound for bound in BOUNDS)] += calls
            points.append(_point((begin + at) * MINUTE_NS, kind, calls, took_s, random))
    total = _point(begin * MINUTE_NS, kind, sum(p.calls for p in points), 0.5, random)
    return SignalSeries(name, kind, total, points, TRACE_ID, buckets, [])


def _point(at_ns: int, kind: str, calls: int, took_s: float, random: Random) -> SignalPoint:
    is_model = kind == "model"
    return SignalPoint(
        at_ns=at_ns,
        calls=calls,
        errors=int(random.random() < 0.2),
        p50_s=took_s,
        p95_s=took_s * 2,
        first_s=took_s / 4 if is_model else nan,
        input_tokens=calls * 900 if is_model else 0,
        output_tokens=calls * 120 if is_model else 0,
        cost_usd=calls * 0.004 if is_model else 0.0,
        output_chars=calls * 400,
        tokens_known=calls if is_model else 0,
        chars_known=calls,
    )
