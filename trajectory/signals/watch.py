"""What is usual for each model, tool, agent and delegation, and which of them have left that: the registry of series.

Invariant: bounded in series and in each of them; a span counts once, however often and late it comes; one run is at most
`_MOST_VALUES` values of a series, and no run alone is an anomaly: a conversation grows, a broken task fails often, and neither
says anything of the model or the tool. A new version of a service goes on in the series of the one before: it begins without
alarms, and a step that came with it says so. One for all traces of a collector; fed by the detector of anomalies.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence, Set
from itertools import pairwise
from typing import NamedTuple, Protocol

from trajectory.signals.anomaly import (
    COST,
    ERROR_RATE,
    FIRST_TOKEN,
    LATENCY,
    LEAST_COUNT,
    OUTPUT_LENGTH,
    TOKENS,
    TOOL_FREQUENCY,
    Anomaly,
    Deploy,
    Ended,
    Graver,
    Key,
    Place,
)
from trajectory.signals.baseline import Alarm, Baseline
from trajectory.signals.counted import CountedSpans
from trajectory.signals.failing import FailureShare
from trajectory.signals.measures import Kind, Measure
from trajectory.signals.mix import ToolMix
from trajectory.signals.prices import Prices, load_prices

MAX_SERIES_COUNT = 1000  # of those whose usual is known; about 20 kB each
MAX_NEW_COUNT = 500  # of those whose usual is not known yet: names that come once do not drive out those that stay
MAX_SPANS_COUNT = 100_000  # ids of spans that were counted
_MAX_TRACE_SPANS = 10_000  # of one trace
_MOST_VALUES = 8  # of one trace in one series
_MOST_FAILURES = 2
_LEAST_TRACES = 3  # have to show a change before it is told
_RECENT_COUNT = 32  # latest values, with where they are from
_EVIDENCE_COUNT = 3
_LATE_NS = 600_000_000_000  # what is older than the latest by more is not judged
_AHEAD_NS = 3_600_000_000_000  # what is of a time that is still to come by more has no clock
SILENT_NS = 26 * 3_600_000_000_000  # by the clock that judges: a day, and some more for what comes once a day
_VERSION_COUNT = 20  # values of a new version before anything is said of it
_VERSIONS_KEPT = 8
_MAX_NAME = 200

SILENT, FORGOTTEN = (
    "nothing of it came any more",
    "too many others are watched to go on with it",
)  # why an anomaly ended, too


class Standing(NamedTuple):
    """How a series stands whose usual is known: whether an alarm lasts, the middle of what is usual, and its latest instant."""

    is_lasting: bool
    middle: float
    last_ns: int


class _Stream(Protocol):
    alarm: Alarm | None
    ended: str

    @property
    def is_warm(self) -> bool: ...


class Watch:
    """The series of a collector. `prices` are ours where none are given, read when the first is needed."""

    def __init__(self, prices: Prices | None = None) -> None:
        self._prices = prices
        self._warm: OrderedDict[Key, _Series] = OrderedDict()  # least recently heard of first
        self._new: OrderedDict[Key, _Series] = OrderedDict()
        self._counted = CountedSpans()  # a delegation under its span's id and a letter
        self._news: deque[Ended | Graver] = deque(maxlen=MAX_SERIES_COUNT)

    def __len__(self) -> int:
        return len(self._warm) + len(self._new)

    @property
    def prices(self) -> Prices:
        if self._prices is None:
            self._prices = load_prices()
        return self._prices

    def counted(self, trace_id: bytes) -> Set[bytes]:
        """The ids of the spans of a trace that count already."""
        return self._counted.of(trace_id)

    def put(self, trace_id: bytes, measures: Iterable[Measure], now_ns: int) -> list[Anomaly]:
        """Takes what a trace did; returns what is to be told because of it. Measures that count already are left out."""
        counted = self._counted.of(trace_id)
        new: set[bytes] = set()
        values: dict[Key, list[tuple[Measure, float]]] = {}
        calls: dict[Key, Counter[str]] = {}
        last: dict[Key, Measure] = {}
        for measure in sorted(measures, key=lambda m: m.at_ns):
            if not 0 < measure.at_ns <= now_ns + _AHEAD_NS:
                continue
            one = measure.span_id + (b"d" if measure.kind == Kind.DELEGATION else b"")  # it may be a tool call, too
            if one in counted or one in new or len(counted) + len(new) >= _MAX_TRACE_SPANS:
                continue
            new.add(one)
            of = (measure.kind, measure.service[:_MAX_NAME], measure.agent[:_MAX_NAME], measure.name[:_MAX_NAME])
            for metric, value in _values(measure):
                values.setdefault(Key(metric, *of), []).append((measure, value))
            if measure.kind == Kind.TOOL:
                key = Key(TOOL_FREQUENCY, Kind.AGENT, measure.service, measure.agent, measure.agent)
                calls.setdefault(key, Counter())[measure.name[:_MAX_NAME]] += 1
                last[key] = measure
        self._counted.add(trace_id, new, MAX_SPANS_COUNT)
        told: list[Anomaly | Ended | Graver | None] = []
        for key, all_values in values.items():
            series = self._series(key)
            most = _MOST_FAILURES if key.metric == ERROR_RATE else _MOST_VALUES
            for measure, value in _condensed(all_values, most):
                told.append(series.put(value, measure, trace_id, now_ns))
            self._settle(key, series)
        for key, count in calls.items():
            series = self._series(key)
            told.append(series.put(count, last[key], trace_id, now_ns))
            self._settle(key, series)
        self._news += [each for each in told if isinstance(each, Ended | Graver)]
        return [each for each in told if isinstance(each, Anomaly)]

    def take_news(self) -> list[Ended | Graver]:
        """What became of those that were told since this was last asked, in its order."""
        news = list(self._news)
        self._news.clear()
        return news

    def pass_time(self, now_ns: int) -> None:
        """Ends what was told of series of which nothing came for long."""
        for series in (*self._warm.values(), *self._new.values()):
            ended = series.pass_time(now_ns)
            if ended is not None:
                self._news.append(ended)

    def standings(self, asked: dict[str, str]) -> dict[str, Standing]:
        """By series, how those stand whose usual is known. `asked` names, of a mix, the share that is asked about."""
        found = {}
        for key, series in self._warm.items():
            name = key.series
            if name in asked and (standing := series.standing(asked[name])) is not None:
                found[name] = standing
        return found

    def _series(self, key: Key) -> "_Series":
        series = self._warm.get(key) or self._new.get(key)
        return series or _Series(key)

    def _settle(self, key: Key, series: "_Series") -> None:
        """Puts a series last among those that are known; the one that was not heard of for longest makes room."""
        kept, most = (self._warm, MAX_SERIES_COUNT) if series.is_known else (self._new, MAX_NEW_COUNT)
        if series.is_known:
            self._new.pop(key, None)
        kept[key] = series
        kept.move_to_end(key)
        if len(kept) > most:
            _, gone = kept.popitem(last=False)
            if (ended := gone.end(FORGOTTEN)) is not None:
                self._news.append(ended)


class _Series:
    """One stream, the versions that it was of, its latest values, and the alarm that is not told yet."""

    def __init__(self, key: Key) -> None:
        self._key = key
        self._mix = ToolMix() if key.metric == TOOL_FREQUENCY else None
        self._stream: Baseline | FailureShare = FailureShare() if key.metric == ERROR_RATE else Baseline()
        self._recent: deque[Place] = deque(maxlen=_RECENT_COUNT)
        self._versions: deque[str] = deque(maxlen=_VERSIONS_KEPT)
        self._deploy: Deploy | None = None
        self._deploy_count = 0  # values since
        self._last_ns = self._heard_ns = 0  # by the facts' clock, and by the one that judges
        self._is_told = self._may_grow = False
        self._judge: _Stream = self._mix or self._stream
        self.is_known = False  # it was warm once

    def put(
        self, value: float | Counter[str], measure: Measure, trace_id: bytes, now_ns: int
    ) -> Anomaly | Ended | Graver | None:
        """Takes a value; returns the anomaly that is to be told now, or what became of one that was told."""
        at_ns = measure.at_ns
        self._last_ns = min(self._last_ns, now_ns)  # a clock that was ahead does not make the others late
        if at_ns < self._last_ns - _LATE_NS and self.is_known:
            return None
        self._last_ns, self._heard_ns = max(self._last_ns, at_ns), now_ns
        self._deploy_count += 1
        if measure.version and measure.version not in self._versions:
            self._note_version(measure.version, at_ns)
        if self._mix is not None:
            assert isinstance(value, Counter)
            begun = self._mix.put(value, at_ns)
            size = value[begun.what if begun else self._mix.alarm.what if self._mix.alarm else ""]
            self._recent.append(Place(size / value.total(), at_ns, trace_id, measure.span_id))
        else:
            assert not isinstance(value, Counter)
            self._stream.put(value, at_ns)
            self._recent.append(Place(value, at_ns, trace_id, measure.span_id))
        judge = self._judge
        self.is_known = self.is_known or judge.is_warm
        if judge.alarm is None:
            return self.end(judge.ended) if self._is_told else None
        if self._is_told:
            return self._grown(judge.alarm)
        if self._deploy is not None and self._deploy_count < _VERSION_COUNT:
            return None
        anomaly = self._anomaly(judge.alarm)
        self._is_told = anomaly.trace_count >= _LEAST_TRACES
        self._may_grow = not anomaly.is_grave and anomaly.alarm.value_count < LEAST_COUNT
        return anomaly if self._is_told else None

    def _grown(self, alarm: Alarm) -> Graver | None:
        """A change that was told at once may be too large to be of few values only; a slow one is what it was told as."""
        if not self._may_grow or alarm.value_count < LEAST_COUNT:
            return None
        anomaly = self._anomaly(alarm)
        self._may_grow = not anomaly.is_grave and alarm.value_count < 2 * LEAST_COUNT
        return Graver(anomaly) if anomaly.is_grave else None

    def end(self, why: str) -> Ended | None:
        """That what was told is over; None where nothing was."""
        if not self._is_told:
            return None
        self._is_told = False
        return Ended(self._key.series, self._last_ns, why)

    def pass_time(self, now_ns: int) -> Ended | None:
        """That what was told is over, where nothing came for long."""
        self._heard_ns = min(self._heard_ns, now_ns)  # the clock may have been set back
        return self.end(SILENT) if now_ns - self._heard_ns >= SILENT_NS else None

    def standing(self, what: str) -> Standing | None:
        """How it stands; None where its usual is not known."""
        judge = self._judge
        if not judge.is_warm:
            return None
        if self._mix is not None:
            middle = self._mix.share(what)
        else:
            assert self._stream.usual is not None
            middle = self._stream.usual.middle
        return Standing(judge.alarm is not None, middle, self._last_ns)

    def _note_version(self, version: str, at_ns: int) -> None:
        if self._versions:
            self._deploy, self._deploy_count = Deploy(self._versions[-1], version[:_MAX_NAME], at_ns), 0
        self._versions.append(version[:_MAX_NAME])

    def _anomaly(self, alarm: Alarm) -> Anomaly:
        between = (alarm.seen + alarm.usual.middle) / 2
        if self._mix is not None:  # what runs called before is not known any more; how many the alarm has is
            shown = list(self._recent)[-min(alarm.value_count, _RECENT_COUNT) :]
        else:
            beyond: Callable[[float], bool] = between.__le__ if alarm.is_above else between.__ge__
            shown = [place for place in self._recent if place.at_ns >= alarm.onset_ns and beyond(place.value)]
        by_trace: dict[bytes, Place] = {}
        for place in sorted(shown, key=lambda p: p.value, reverse=not alarm.is_above):
            by_trace.pop(place.trace_id, None)
            by_trace[place.trace_id] = place  # a trace's most extreme value, the most extreme trace last
        places = list(by_trace.values())[::-1][:_EVIDENCE_COUNT]
        deploy = self._deploy
        came_with = deploy is not None and deploy.at_ns <= alarm.onset_ns and self._deploy_count <= 4 * _VERSION_COUNT
        return Anomaly(self._key, alarm, self._recent[-1], places, len(by_trace), deploy if came_with else None)


def _values(measure: Measure) -> Iterable[tuple[str, float]]:
    """By metric, what a measure says. How long something took that failed says nothing of how long it takes."""
    yield ERROR_RATE, float(bool(measure.error))
    if measure.error:
        return
    if measure.duration_s is not None:
        yield LATENCY, measure.duration_s
    if measure.kind != Kind.MODEL:
        return
    if measure.first_chunk_s is not None:
        yield FIRST_TOKEN, measure.first_chunk_s
    if measure.input_tokens is not None or measure.output_tokens is not None:
        yield TOKENS, float((measure.input_tokens or 0) + (measure.output_tokens or 0))
    if measure.cost_usd is not None:
        yield COST, measure.cost_usd
    if measure.output_chars is not None:
        yield OUTPUT_LENGTH, float(measure.output_chars)


def _condensed(values: Sequence[tuple[Measure, float]], most: int) -> Sequence[tuple[Measure, float]]:
    """At most so many values for all: the middle one of each part of them, in their order."""
    if len(values) <= most:
        return values
    bounds = [i * len(values) // most for i in range(most + 1)]
    parts = [sorted(values[a:b], key=lambda value: value[1]) for a, b in pairwise(bounds)]
    return [part[len(part) // 2] for part in parts]
