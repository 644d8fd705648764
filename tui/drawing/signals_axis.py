"""The axis of a view of signals: its windows by the clock, and in them the findings and the spikes.

Invariant: in a window the gravest finding is marked, an anomaly of a series that is not plotted only as a dot, and a spike only
where nothing was found. The signals' screen draws with it.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, tzinfo

from trajectory.view.signal_rows import SignalMark
from trajectory.view.views import SignalsView
from tui.drawing.numbers import wall
from tui.drawing.plot import Axis, Mark
from tui.drawing.signals_marks import rank, state_bit
from tui.signs import Signs, severity_sign

_MINUTE_NS = 60_000_000_000
_DAY_NS = 1440 * _MINUTE_NS


def clock(at_ns: int, window_ns: int, zone: tzinfo | None, *, with_day: bool = False) -> str:
    """When a window begins: to the minute, or to the second where windows are shorter than that."""
    told = wall(at_ns, zone)
    told = told if window_ns < _MINUTE_NS else told[:5]
    return f"{_day(at_ns, zone)} {told}".strip() if with_day else told


def _day(at_ns: int, zone: tzinfo | None) -> str:
    """`26 Nov`."""
    try:
        moment = datetime.fromtimestamp(at_ns / 1e9, UTC).astimezone(zone)
    except (OverflowError, OSError, ValueError):
        return ""
    return f"{moment.day} {_MONTHS[moment.month - 1]}"


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def length(window_ns: int) -> str:
    """How long a window is: `15 min`, `6 h`."""
    minutes, seconds = divmod(window_ns // 1_000_000_000, 60)
    if seconds or not minutes:
        return f"{window_ns // 1_000_000_000} s"
    return f"{minutes // 60} h" if minutes % 60 == 0 else f"{minutes} min"


def has_days(view: SignalsView) -> bool:
    """Whether a view is of so much time that the hour alone would not tell when."""
    return view.end_ns - view.begin_ns > _DAY_NS * 1.1


def axis_of(
    view: SignalsView,
    count: int,
    stood_out: Sequence[int],
    cursor: int,
    zone: tzinfo | None,
    signs: Signs,
    others: Collection[SignalMark] = (),
) -> Axis:
    """The axis, with the windows of `stood_out` marked as spikes; `others` are findings of what is not plotted."""
    beside = {id(mark) for mark in others}
    dots: dict[int, Mark] = {}
    marks: dict[int, Mark] = dict.fromkeys(stood_out, (signs.up, "warning"))
    for mark in sorted(view.marks, key=rank):
        at = (mark.at_ns - view.begin_ns) // max(1, view.window_ns)
        if 0 <= at < count:
            (dots if id(mark) in beside else marks)[at] = (
                (signs.dot, "dim") if id(mark) in beside else severity_sign(signs, mark.severity)
            )
    with_day = has_days(view)

    def when(at: int) -> str:
        return clock(view.begin_ns + at * view.window_ns, view.window_ns, zone, with_day=with_day)

    return Axis(count, when, dots | marks, cursor)


def telling(view: SignalsView, zone: tzinfo | None, signs: Signs) -> Iterator[str]:
    """The findings in words, one sentence for each window and kind."""
    for mark in view.marks:
        times = f", {mark.count} times" if mark.count > 1 else ""
        whose = f" of {mark.name or mark.agent}" if mark.of else ""
        state = f", {mark.state}" if state_bit(mark.state, signs) else ""
        when = clock(mark.at_ns, view.window_ns, zone, with_day=has_days(view))
        yield f"{when}: {mark.severity} {mark.kind}{whose}{times}{state}"
