"""Blame: which step most likely broke a run, ranked, with reasons; no step need have an error marker.

Invariant: a pure function of the trace's state, so the ranking of a live run is that of the same facts read at once; it is a
suspicion and no verdict. The model is a conditional logit (McFadden 1974): each step has a score that is a weighted sum of
signals, and its probability is the softmax over the run. `blame_weights` holds the weights and where they come from. In causal
mode a step's signals come from what was there when its own calls had answered, and nothing later; findings, which may rest on
later facts, do not count then, and only whether the run is a team's is taken as known. Called by the command line
and by the collector's views.
"""

import math
from typing import NamedTuple
from weakref import WeakKeyDictionary

from trajectory.detection.blame_weights import FAILING, PEERS, PEERS_CAUSAL, TEAM, TEAM_CAUSAL, Weights
from trajectory.detection.masking import Masking
from trajectory.detection.pace import SHORT_COUNT, Pace
from trajectory.detection.reader import Reader, reader_of
from trajectory.detection.signals import Signals, signals_in
from trajectory.detection.silent_failure import KIND as SILENT_FAILURE
from trajectory.detection.step_signals import Reading, StepSignals
from trajectory.detection.steps import Role, Step, steps_of
from trajectory.graph.trace import Trace
from trajectory.model.fact import Finding
from trajectory.model.words import Severity, Slot

MAX_REASONS_COUNT = 4
MAX_LIVE_COUNT = 100  # candidates that are kept of a live trace
_MAX_KEPT_COUNT = 20_000  # readings of steps
_UNKNOWN_REACH = 0.7  # our guess for what is found and may or may not have reached the end of the run
_LEAST, _MOST = 0.02, 0.98
_LOUD = frozenset(severity.value for severity in Severity if severity.rank >= Severity.WARNING.rank)
_GAP = "telemetry.gap"  # what is missing says nothing of who broke the run


class Candidate(NamedTuple):
    """A suspected step. `step` is its number in the log, or its span's place by start; `score` its probability among all
    candidates; `failing` the probability that the step did not do what it should, whether or not it decided the run: None where
    no rounds of a team tell."""

    rank: int
    agent: str
    span_id: bytes
    step: int
    score: float
    reasons: list[str]
    failing: float | None


def blame_of(trace: Trace) -> "Blame":
    """The blame of a trace as it stands. What its steps say is read once, however often this is asked."""
    return Blame(trace, _KEPT.setdefault(trace, _Kept()).signals)


def suspected(trace: Trace, now_ns: int, limit: int) -> list[Candidate]:
    """The most suspected of a live trace, as of a moment ago: a long trace is ranked again when it has grown by a part of
    itself, so that all rankings together cost a multiple of it; a short one, or one that is over, whenever it changed."""
    kept = _KEPT.setdefault(trace, _Kept())
    is_cheap = len(trace.spans) < SHORT_COUNT or not trace.open_count
    if kept.pace.is_due(trace, now_ns) or (is_cheap and kept.version != trace.version):
        kept.version, kept.ranking = trace.version, blame_of(trace).candidates(MAX_LIVE_COUNT)
    return kept.ranking[:limit]


class Blame:
    """Ranks the steps of one trace as it stands now."""

    def __init__(self, trace: Trace, kept: "dict[tuple[bytes, ...], Signals]") -> None:
        self._trace = trace
        self._kept = kept

    def candidates(self, limit: int | None = None, *, causal: bool = False) -> list[Candidate]:
        """Suspected steps, best first; their scores sum to 1 over the whole run, before `limit` cuts."""
        readings, has_team = self.readings(causal=causal)
        if not readings:
            return []
        weights = (TEAM_CAUSAL if causal else TEAM) if has_team else (PEERS_CAUSAL if causal else PEERS)
        parts = [_parts(reading.features, weights) for reading in readings]
        sums = [sum(part.values()) for part in parts]
        top = max(sums)
        shares = [math.exp(s - top) for s in sums]
        total = sum(shares)
        usual = {name: sum(part.get(name, 0.0) for part in parts) / len(parts) for name in weights}
        masking = Masking(self._trace)
        order = sorted(range(len(readings)), key=lambda i: (-sums[i], i))
        chosen = order if limit is None else order[:limit]
        return [
            Candidate(
                rank,
                readings[i].step.agent,
                readings[i].step.span.span_id,
                readings[i].step.number,
                shares[i] / total,
                [masking.text(reason) for reason in _reasons(readings[i], parts[i], usual)],
                _failing(readings[i].features) if has_team and not causal else None,
            )
            for rank, i in enumerate(chosen, 1)
        ]

    def readings(self, *, causal: bool = False) -> tuple[list[Reading], bool]:
        """Each step's signals in order, and whether the run is a team's, in which work is given out in rounds."""
        spoken, _ = steps_of(self._trace)
        evidence = {} if causal else _evidence(spoken, self._trace)  # a finding may rest on what came later
        steps = [
            s for step in spoken for s in (step, *step.results) if s.role != Role.TOOL or s.span.span_id in evidence
        ]
        steps = list({id(step): step for step in steps}.values())
        has_team = any(step.role == Role.DELEGATION for step in steps)
        walk = StepSignals(self._trace, reader_of(self._trace), self._signals, has_team)
        readings = [walk.read(step) for step in steps]
        _add_evidence(readings, evidence)
        if not causal:
            walk.look_back(readings)
        return readings, has_team

    def _signals(self, step: Step, reader: Reader, is_opening: bool) -> Signals:
        key = (*step.said, b"opening") if is_opening else tuple(step.said)
        known = self._kept.get(key)
        if known is None:
            text = "\n".join(text for d in step.said if (text := reader.text(d)) is not None)
            known = self._kept[key] = signals_in(text, is_opening=is_opening)
            if len(self._kept) > _MAX_KEPT_COUNT:
                del self._kept[next(iter(self._kept))]
        return known


class _Kept:
    """What is kept of a trace between two questions, and never the trace itself."""

    def __init__(self) -> None:
        self.signals: dict[tuple[bytes, ...], Signals] = {}
        self.pace = Pace()
        self.version = -1
        self.ranking: list[Candidate] = []


_KEPT: WeakKeyDictionary[Trace, _Kept] = WeakKeyDictionary()


def _evidence(steps: list[Step], trace: Trace) -> dict[bytes, list[Finding]]:
    """Findings that interrupt an operator, by the span that they say it began at. Where a call only ran what a step wrote, a
    cascade from it is that step's; its failure alone is among the step's signals already."""
    calls = ((call.span, step.span) for step in steps for call in step.results)
    ran = {call.span_id: asker.span_id for call, asker in calls if not call.digests(Slot.ARGUMENTS)}
    found: dict[bytes, list[Finding]] = {}
    for finding in trace.findings.values():
        span_id = finding.root_span_id or finding.span_id
        is_signal = span_id in ran and finding.kind == SILENT_FAILURE
        if finding.severity in _LOUD and finding.kind != _GAP and not is_signal:
            found.setdefault(ran.get(span_id, span_id), []).append(finding)
    return found


def _add_evidence(readings: list[Reading], evidence: dict[bytes, list[Finding]]) -> None:
    """A finding says with its confidence that a step is where it began; the rest of the probability is shared by the others,
    so its log-odds against each of them grow with their number."""
    others = math.log(max(len(readings) - 1, 1))
    for reading in readings:
        findings = evidence.get(reading.step.span.span_id, ())
        if findings:
            surest = max(findings, key=_decides)
            share = _decides(surest)
            reading.features["evidence"] = max(math.log(share / (1 - share)) + others, 0.0)
            reading.reasons["evidence"] = f"{surest.kind}: {surest.message}"


def _decides(finding: Finding) -> float:
    """How likely a finding is what decided the run: only what is critical is known to have reached its end."""
    reach = 1.0 if finding.severity == Severity.CRITICAL else _UNKNOWN_REACH
    return min(max(finding.confidence * reach, _LEAST), _MOST)


def _parts(features: dict[str, float], weights: Weights) -> dict[str, float]:
    found = {name: weight * features[name] for name, weight in weights.items() if name in features}
    if "evidence" in features:
        found["evidence"] = features["evidence"]  # log-odds as they are
    return found


def _reasons(reading: Reading, parts: dict[str, float], usual: dict[str, float]) -> list[str]:
    """What speaks for a step more than for the run's others, the strongest first."""
    stronger = {name: part - usual.get(name, 0.0) for name, part in parts.items() if name in reading.reasons}
    named = sorted((n for n, more in stronger.items() if more > 0), key=lambda n: -stronger[n])
    named += [n for n in ("reaches_answer", "unsourced") if n in reading.reasons and n not in named]
    if "reaches_answer" in named and "unsourced" in named:
        named.remove("unsourced")  # says less of the same
    return [reading.reasons[name] for name in named[:MAX_REASONS_COUNT]]


def _failing(features: dict[str, float]) -> float:
    return 1 / (1 + math.exp(-sum(weight * features.get(name, 0.0) for name, weight in FAILING.items())))
