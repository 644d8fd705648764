"""Series of figures as a table, one line each, with what there is to measure of them.

Invariant: a figure that is not known is a dash and never a zero; names are the agents' and are cut to their column. Rows and a
width in, lines out; the signals' screen draws with it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trajectory.view.rows import TraceRow
from trajectory.view.signal_rows import SignalMark, SignalPoint, SignalSeries
from tui.drawing.line import Line, cut, put, put_middle
from tui.drawing.numbers import coarse, duration, many, money
from tui.drawing.plot import known
from tui.drawing.spark import spark
from tui.signs import Signs, severity_sign

BY = ("model", "agent", "tool", "edge", "service", "version")
WINDOWS: dict[str, int] = {"15 min": 15, "1 h": 60, "6 h": 360, "24 h": 1440, "7 d": 10_080, "30 d": 43_200}  # minutes
ALL = "all of it"  # of one run
_FIRST: dict[str, tuple[str, Callable[[TraceRow], int]]] = {
    **dict.fromkeys(("p95", "p50"), ("longest first", lambda run: run.ended_ns - run.started_ns)),
    **dict.fromkeys(("tokens", "cost"), ("most tokens first", lambda run: run.input_tokens + run.output_tokens)),
    **dict.fromkeys(("errors", "error-rate"), ("most errors first", lambda run: run.errors)),
}


@dataclass(frozen=True, slots=True)
class Metric:
    """What is measured: its name in settings, its title, its value at a point (None: not known), and how that is written."""

    name: str
    title: str
    of: Callable[[SignalPoint], float | None]
    write: Callable[[float], str]


def seconds(value: float) -> str:
    """`380 ms`, `4.8 s`, `17 min`."""
    return duration(min(round(value * 1e9), 10**17))


def share(value: float) -> str:
    return f"{value * 100:.0f} %" if value >= 0.0995 or not value else f"{value * 100:.1f} %"


def _tokens(point: SignalPoint) -> float | None:
    return point.input_tokens + point.output_tokens or None


def _cost(point: SignalPoint) -> float | None:
    return point.cost_usd or None


METRICS: tuple[Metric, ...] = (
    Metric("p95", "latency p95", lambda point: point.p95_s, seconds),
    Metric("p50", "latency p50", lambda point: point.p50_s, seconds),
    Metric("calls", "calls", lambda point: float(point.calls), coarse),
    Metric("errors", "errors", lambda point: float(point.errors), coarse),
    Metric("error-rate", "error rate", lambda point: point.errors / point.calls if point.calls else None, share),
    Metric("first-token", "time to first token", lambda point: point.first_s, seconds),
    Metric("tokens", "tokens", _tokens, coarse),
    Metric("cost", "cost", _cost, money),
    Metric(
        "output-length",
        "output length, characters a call",
        lambda point: point.output_chars / point.chars_known if point.chars_known else None,
        coarse,
    ),
)


def metric_called(name: str) -> Metric:
    """The metric of a name in settings. Raises KeyError."""
    return {each.name: each for each in METRICS}[name]


def told_minutes(minutes: int) -> str:
    """A window as the screen calls it: `1 h`, `30 d`, else in the largest unit that is whole."""
    named = next((name for name, each in WINDOWS.items() if each == minutes), "")
    size, unit = next(pair for pair in ((1440, "d"), (60, "h"), (1, "min")) if minutes % pair[0] == 0)
    return named or f"{minutes // size} {unit}"


def ranked_runs(runs: Sequence[TraceRow], metric: Metric) -> tuple[list[TraceRow], str]:
    """Runs in the order in which they account for a metric, and that order in words; as they came where it has none."""
    told, size = _FIRST.get(metric.name, ("", lambda run: 0))
    if len({size(run) for run in runs}) < 2:
        return [*runs], ""
    return sorted(runs, key=size, reverse=True), f"{told}  "


def values_of(series: SignalSeries, metric: Metric, begin_ns: int, window_ns: int, count: int) -> list[float | None]:
    """The values of a series in its windows, None where nothing is known."""
    values: list[float | None] = [None] * max(0, count)
    for point in series.points:
        at = (point.at_ns - begin_ns) // window_ns if window_ns > 0 else -1
        if 0 <= at < len(values):
            values[at] = known(metric.of(point))
    return values


def written(metric: Metric, point: SignalPoint, signs: Signs) -> str:
    """The value at a point, or a dash."""
    value = known(metric.of(point))
    return signs.dash if value is None else metric.write(value)


_COLUMNS = ("calls", "errors", "p50", "p95", "first-token", "tokens", "cost")
_HEADS = {
    "calls": "CALLS",
    "errors": "ERR",
    "p50": "P50",
    "p95": "P95",
    "first-token": "FIRST",
    "tokens": "TOKENS",
    "cost": "COST",
}
_CELL = 8


def _shape(width: int) -> tuple[list[str], int, int]:
    """Which figures a table of this width has, and the cells of its names and of its small picture."""
    names = [*_COLUMNS]
    for drop in ("first-token", "p50", "cost"):
        if width - len(names) * _CELL < 34:
            names.remove(drop)
    picture = 0 if width < 84 else min(24, width // 7)
    left = width - len(names) * _CELL - 13 - (picture + 2 if picture else 0)
    return names, max(8, min(left, 44)), picture


def series_head(by: str, width: int) -> Line:
    """The titles of the columns."""
    names, label, picture = _shape(width)
    line: Line = [("   ", ""), put(by.upper(), label, "dim"), put(" KIND", 10, "dim")]
    line += [put(_HEADS[name], _CELL, "dim", right=True) for name in names]
    return cut([*line, ("  OVER TIME" if picture else "", "dim")], width)


def series_line(
    series: SignalSeries,
    values: Sequence[float | None],
    mark: str,
    is_marked: bool,
    width: int,
    signs: Signs,
    anomaly: SignalMark | None = None,
) -> Line:
    """One series: whether it is chosen to be compared, or an anomaly is about it; its figures, and a metric over time."""
    names, label, picture = _shape(width)
    sign, role = severity_sign(signs, anomaly.severity) if anomaly is not None else (" ", "")
    line: Line = [
        (f"{mark:1}", "mark"),
        (sign, role),
        (" ", ""),
        put_middle(series.name, label, "strong"),
        put(f" {series.kind}", 10, "dim"),
    ]
    for name in names:
        role = "error" if name == "errors" and series.total.errors else ""
        line.append(put(written(metric_called(name), series.total, signs), _CELL, role, right=True))
    if picture:
        line += [("  ", ""), (small_picture(values, picture, signs), "model")]
        line.append((f" {signs.up}" if is_marked else "", "warning"))
    return cut(line, width)


def panel_line(
    title: str, metric: Metric, worst: tuple[str, float] | None, threshold: float | None, width: int, signs: Signs
) -> Line:
    """A panel of the operator's: its title, and the series whose newest value is the highest, against the threshold."""
    is_over = worst is not None and threshold is not None and worst[1] > threshold
    limit: Line = [("  limit ", "dim"), (metric.write(threshold), "")] if threshold is not None else []
    if worst is None:
        said: Line = [(f"{signs.dash} nothing known", "dim")]
    else:
        said = [(metric.write(worst[1]), "error" if is_over else "strong"), (f"  {worst[0]}", "dim")]
    state: Line = [("over  " if is_over else "", "error")]
    sign = (f"{signs.high} ", "critical") if is_over else ("  ", "")
    label = min(44, max(12, width // 3))
    return cut([sign, put_middle(title, label, "title"), ("  ", ""), *state, *said, *limit], width)


def small_picture(values: Sequence[float | None], width: int, signs: Signs) -> str:
    """A row of blocks, the highest a full one; a space where nothing is known."""
    parts = [
        values[len(values) * at // width : max(len(values) * (at + 1) // width, len(values) * at // width + 1)]
        for at in range(width)
    ]
    heights = [max((value for value in part if value is not None), default=None) for part in parts]
    top = max((height for height in heights if height), default=0.0)
    scaled = [0 if height is None or not top else round(height / top * 1000) for height in heights]
    drawn = spark([*scaled, 1000], signs)[:-1]
    return "".join(" " if height is None else block for height, block in zip(heights, drawn, strict=True))


def nothing_lines(is_loading: bool, uncounted: int) -> list[Line]:
    """What is said where no series is."""
    if is_loading:
        return [[("What was counted before is being read.", "dim")]]
    more = f"; {many(uncounted, 'run')} of an earlier release were never counted" if uncounted else ""
    return [[(f"Nothing was counted in this time{more}: w shows more of it", "dim")]]
