"""`anomaly.<metric>`: a model, a tool, an agent or a delegation has left what was usual for it over many runs.

Invariant: judged is what is over, once: a run when it is whole and nothing in it is open, or when it was quiet for a while. The
finding stands in the run that made the change sure, and names the others; it says what was seen, what is usual, since when, and
how sure. A warning only where it is sure, large, and for the worse. Without a watch over all runs it says nothing. Called through
the seam of detectors; the collector shares one watch among all its traces.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from math import floor, log10

import msgspec

from trajectory.detection.contract import Settling
from trajectory.detection.words import shorten
from trajectory.graph.trace import Trace
from trajectory.model.fact import Evidence, Finding
from trajectory.model.words import ENDED_AT, ENDED_WHY, SYNTHETIC_TIME, Severity
from trajectory.signals.anomaly import (
    COST,
    ERROR_RATE,
    FIRST_TOKEN,
    LATENCY,
    OUTPUT_LENGTH,
    TOKENS,
    TOOL_FREQUENCY,
    Anomaly,
    Key,
)
from trajectory.signals.baseline import Alarm
from trajectory.signals.measures import Kind, Measure, delegation_measure, measured
from trajectory.signals.watch import Watch

KIND = "anomaly"
_QUIET_NS = 30_000_000_000  # by the facts' clock, and
_NOTICED_NS = 4_000_000_000  # by the clock that judges: so long nothing came
_CALLED = {
    LATENCY: "take", FIRST_TOKEN: "take to the first token", TOKENS: "use", COST: "cost", OUTPUT_LENGTH: "answer with",
}  # fmt: skip


class Anomalies(Settling):
    """The detector of `anomaly.<metric>`. `watch` is what is known from all runs."""

    name = KIND

    def __init__(self, watch: Watch | None = None) -> None:
        self._watch = watch
        self._version = -1
        self._noticed_ns = 0
        self._measured_version = -1

    def settle(self, now_ns: int, trace: Trace) -> Iterable[Finding]:
        """What this run, now that it is over, makes sure."""
        watch = self._watch
        if watch is None or self._measured_version == trace.told_version or not self._is_over(now_ns, trace):
            return ()
        self._measured_version = trace.told_version
        found = watch.put(trace.trace_id, list(measures(trace, watch)), now_ns)
        return [_finding(anomaly, trace) for anomaly in found]

    def _is_over(self, now_ns: int, trace: Trace) -> bool:
        if self._version != trace.told_version:
            self._version, self._noticed_ns = trace.told_version, now_ns
        if trace.is_whole:
            return True
        return now_ns - self._noticed_ns >= _NOTICED_NS and now_ns - trace.last_ns >= _QUIET_NS


def measures(trace: Trace, watch: Watch) -> Iterator[Measure]:
    """What is over in a trace and does not count yet. What has no clock of its own has no place among other runs either."""
    counted = watch.counted(trace.trace_id)
    found: list[Measure | None] = []
    for invocation in trace.invocations():
        if any(span_id not in counted for span_id in invocation.spans):
            found += measured(trace, invocation, watch.prices)
    found += map(delegation_measure, trace.delegations())
    for measure in found:
        if measure is not None and not trace.spans[measure.span_id].attributes.get(SYNTHETIC_TIME):
            yield measure


def _finding(anomaly: Anomaly, trace: Trace) -> Finding:
    key, alarm = anomaly.key, anomaly.alarm
    span_id = anomaly.here.span_id
    value = alarm.what or key.name
    deploy = anomaly.deploy
    return Finding(
        kind=f"{KIND}.{key.metric}",
        severity=Severity.WARNING if anomaly.is_grave else Severity.INFO,
        confidence=round(alarm.sureness, 2),
        trace_id=trace.trace_id,
        span_id=span_id,
        message=message_of(anomaly),
        agent=key.agent,
        peer_agent=key.name if key.kind == Kind.DELEGATION else "",
        value=shorten(value, 200),
        evidence=[
            Evidence(span_id, f"{_shown(key.metric, anomaly.here.value)} here; usually {_range(key.metric, alarm)}")
        ],
        at_ns=alarm.onset_ns,
        attributes={
            ENDED_AT: 0,
            "series": key.series,
            "metric": key.metric,
            "of": key.kind,
            "service": key.service,
            "seen": alarm.seen,
            "usual": alarm.usual.middle,
            "usual_low": alarm.usual.low,
            "usual_high": alarm.usual.high,
            "since_unix_nano": alarm.onset_ns,
            "value_count": alarm.value_count,
            "traces": [place.trace_id.hex() for place in anomaly.places],
            **({"version": deploy.after, "version_before": deploy.before} if deploy is not None else {}),
        },
    )


def grown(finding: Finding, anomaly: Anomaly) -> Finding:
    """The finding of an anomaly that goes on and is grave."""
    alarm, metric = anomaly.alarm, anomaly.key.metric
    return msgspec.structs.replace(
        finding,
        severity=Severity.WARNING,
        confidence=round(alarm.sureness, 2),
        message=f"{finding.message}; by now {_shown(metric, alarm.seen)} in {alarm.value_count}",
        attributes={**finding.attributes, "seen": alarm.seen, "value_count": alarm.value_count},
    )


def ended(finding: Finding, at_ns: int, why: str) -> Finding:
    """The finding of an anomaly that is over, grown by when and why."""
    return msgspec.structs.replace(
        finding,
        message=f"{finding.message}. Over since {_shown_time(at_ns)}: {why}",
        attributes={**finding.attributes, ENDED_AT: at_ns, ENDED_WHY: why},
    )


def message_of(anomaly: Anomaly) -> str:
    """One sentence: what was seen, what is usual, since when, on how much."""
    key, alarm = anomaly.key, anomaly.alarm
    since = _shown_time(alarm.onset_ns)
    seen, usual = _shown(key.metric, alarm.seen), _range(key.metric, alarm)
    if key.metric == TOOL_FREQUENCY:
        who = shorten(key.agent or key.service, 60)
        said = f"{seen} of the tool calls of {who} are of {shorten(alarm.what, 60)}, usually {usual}"
    elif key.metric == ERROR_RATE:
        said = f"{seen} of {_subject(key)} fail, usually {usual}"
    else:
        subject = _subject(key)
        said = f"{subject[0].upper()}{subject[1:]} {_CALLED[key.metric]} {seen}, usually {usual}"
    values = "runs" if key.metric == TOOL_FREQUENCY else "values"
    counted = f"since {since} ({alarm.value_count} {values})"
    deploy = anomaly.deploy
    if deploy is None:
        return f"{said}, {counted}"
    return f"{said}, {counted}, when version {shorten(deploy.after, 40)} came after {shorten(deploy.before, 40)}"


def _subject(key: Key) -> str:
    name, agent = shorten(key.name, 60), shorten(key.agent, 60)
    if key.kind == Kind.AGENT:
        return f"runs of {name or shorten(key.service, 60)}"
    if key.kind == Kind.DELEGATION:
        return f"delegations from {agent} to {name}" if agent else f"delegations to {name}"
    calls = f"calls of {name or 'a model'}"
    return f"{calls} by {agent}" if agent else calls


def _range(metric: str, alarm: Alarm) -> str:
    """`about 1,100 (830 to 1,390 tokens)`: the middle, and between what nine of ten values lie."""
    middle, low, high = (_shown(metric, value) for value in (alarm.usual.middle, alarm.usual.low, alarm.usual.high))
    if low == high:
        return middle
    (bare, _, unit), (bare_low, _, unit_low) = middle.partition(" "), low.partition(" ")
    return f"about {bare if unit else middle} ({bare_low if unit_low else low} to {high})"


def _shown(metric: str, value: float) -> str:
    if metric in (ERROR_RATE, TOOL_FREQUENCY):
        return f"{100 * value:.0f} %"
    if metric == COST:
        return f"${_number(value)}"
    unit = "s" if metric in (LATENCY, FIRST_TOKEN) else "tokens" if metric == TOKENS else "characters"
    return f"{_number(value)} {unit}"


def _shown_time(at_ns: int) -> str:
    return f"{datetime.fromtimestamp(at_ns / 1e9, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _number(value: float) -> str:
    """Two digits, and never an exponent that nobody reads."""
    if value >= 10 or value == 0:
        return f"{value:,.0f}" if value < 1e15 else f"{value:.1e}"
    return f"{value:.{min(max(1 - floor(log10(value)), 0), 9)}f}"
