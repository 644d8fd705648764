"""Blame: which step most likely broke a run, ranked, with reasons; no step need have an error marker.

Invariant: a pure function of the trace's state, so the ranking of a live run is that of the same facts read at once; it is a
suspicion and no verdict. The model is a conditional logit (McFadden 1974): each step has a score that is a weighted sum of
signals, and its probability is the softmax over the run. `blame_weights` holds the weights and where they come from. In causal
mode a step's signals come from what was there when its own calls had answered, and nothing later; findings, which may rest on
later facts, do not count then, and only whether the run is a team's is taken as known. Called by the command line
and by the collector's views.
"""

import math
import re
from collections.abc import Callable, Iterable
from itertools import islice
from typing import NamedTuple
from weakref import WeakKeyDictionary

from trajectory.detection.blame_weights import FAILING, PEERS, PEERS_CAUSAL, TEAM, TEAM_CAUSAL, Weights
from trajectory.detection.items import Item, keys_of, lookup_key
from trajectory.detection.masking import Masking
from trajectory.detection.pace import SHORT_COUNT, Pace
from trajectory.detection.reader import Reader, reader_of
from trajectory.detection.signals import Signals, outcome_of, signals_in
from trajectory.detection.silent_failure import KIND as SILENT_FAILURE
from trajectory.detection.silent_failure import result_text
from trajectory.detection.steps import Role, Step, steps_of
from trajectory.detection.words import shorten
from trajectory.graph.echoes import told
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace, tool_name
from trajectory.model.fact import Finding
from trajectory.model.words import Severity, Slot

MAX_REASONS_COUNT = 4
MAX_LIVE_COUNT = 100  # candidates that are kept of a live trace
_MAX_VALUES_COUNT = 50_000  # that are remembered as known, of one run
_MAX_KEPT_COUNT = 20_000  # readings of steps
_FILLER_WORDS = 8  # a step of fewer only passes the turn on
_ANSWER_CHARS = 70  # what says less is no answer but a goodbye
_FADING_ROUNDS = 2.0
_UNKNOWN_REACH = 0.7  # our guess for what is found and may or may not have reached the end of the run
_MOST_FAILURES_COUNT = 4  # that weigh: no run that the weights come from had more
_LEAST, _MOST = 0.02, 0.98
_FIGURE = "figure"
_MAX_ANSWER_VALUES_COUNT = 200
_SINGLE = re.compile(r"[^\W_]+(?:[-_][^\W_]+)*|\d+(?:[.,]\d+)*")  # what a reader keeps among a payload's tokens
_WRITTEN_OTHERWISE = ("date", "period")  # kinds of which two writings may share no word
_WRITTEN = re.compile(r"\d+(?:[.,]\d+)*")
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


class Reading(NamedTuple):
    """A step's signals in numbers, under the names that `blame_weights` weighs, and the words for each."""

    step: Step
    features: dict[str, float]
    reasons: dict[str, str]


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
        walk = _Walk(self._trace, reader_of(self._trace), self._signals, has_team)
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
_Read = Callable[[Step, Reader, bool], Signals]


class _Walk:
    """Reads the steps in order, each in the light of those before it; `look_back` adds what only the end of a run shows."""

    def __init__(self, trace: Trace, reader: Reader, read: _Read, has_team: bool) -> None:
        self._trace = trace
        self._reader = reader
        self._read = read
        self._has_team = has_team
        self._known: set[tuple[str, str]] = set()
        self._said_by: dict[tuple[str, str], tuple[int, Item]] = {}  # a value that no source held → who first said it
        self._told: list[tuple[int, bytes]] = []  # payloads in order, with the step that said them: -1 for a source's
        self._read_keys: dict[bytes, set[tuple[str, str]]] = {}
        self._texts: dict[bytes, str] = {}  # without case, while the answer is looked back from
        self._signals: list[Signals] = []
        self._most_weight = 0.0
        self._has_coded = self._has_failed = self._was_answered = False
        self._failed_count = 0
        self._round_count = 0
        self._stuck_count = 0

    def read(self, step: Step) -> Reading:
        at = len(self._signals)
        signals = self._read(step, self._reader, at == 0)
        self._signals.append(signals)
        self._told += [(-1, digest) for digest in step.shown] + [(at, digest) for digest in step.said]
        invented = [] if self._has_team else self._note_said(step, at)
        outcomes = [(outcome_of(text), span, text) for span, text in self._answers(step)]
        failed = next(((span, text) for outcome, span, text in outcomes if outcome == "failed"), None)
        is_done = failed is None and any(outcome == "done" for outcome, _, _ in outcomes)
        acts = signals.has_code or any(outcome for outcome, _, _ in outcomes)
        works = step.role == Role.WORK
        self._told += [(-1, d) for call in step.results for d in _result_of(call)]
        features: dict[str, float] = {"says": 1.0}
        reasons: dict[str, str] = {}

        def note(name: str, value: float, reason: str = "") -> None:
            if value:
                features[name] = value
                if reason:
                    reasons[name] = reason

        note(
            "bare", signals.is_bare or (self._has_team and signals.words_count < _FILLER_WORDS), "hardly says anything"
        )
        if works:
            note("made_up", bool(signals.made_up), f"makes up what it works with: “{signals.made_up}”")
            note("hedges", bool(signals.hedges), f"is not sure: “{signals.hedges}”")
            note("corrects", bool(signals.corrects), f"corrects what was before: “{signals.corrects}”")
        claims = signals.claims and not acts
        note("claims", bool(claims and not self._was_answered), f"claims what nobody looked up: “{signals.claims}”")
        note("reads", bool(claims and self._was_answered), f"interprets what it was given: “{signals.claims}”")
        note(
            "codes_first", signals.has_code and not self._has_coded, "writes the first code, and the rest builds on it"
        )
        if failed is not None:
            quote = f"{tool_name(failed[0])} answered “{shorten(failed[1], 80)}”"
            note("failed", 1.0, f"its own call failed: {quote}")
            note("failed_first", not self._has_failed, f"the first failure of the run came of it: {quote}")
        failures = "a failed step" if self._failed_count == 1 else f"{self._failed_count} failed steps"
        note("after_failures", float(min(self._failed_count, _MOST_FAILURES_COUNT)), f"goes on after {failures}")
        if invented and at:
            named = ", ".join(shorten(item.text, 40) for item in invented[:3])
            note("unsourced", math.log1p(len(invented)), f"introduces {named}, which no source holds")
        if self._has_team:
            self._note_round(step, note, works, signals)
        else:
            note("weight", signals.weight)
            note("outweighs", signals.weight > self._most_weight, "does more than any step before")
        self._most_weight = max(self._most_weight, signals.weight)
        self._has_coded = self._has_coded or signals.has_code
        self._has_failed = self._has_failed or failed is not None
        self._failed_count += failed is not None
        self._was_answered = is_done
        self._round_count += works
        self._stuck_count += signals.is_stuck
        return Reading(step, features, reasons)

    def _note_round(self, step: Step, note: Callable[..., None], works: bool, signals: Signals) -> None:
        rounds = self._round_count
        if works:
            note("works", 1.0)
            note(
                "early",
                math.exp(-rounds / _FADING_ROUNDS),
                f"came in round {rounds + 1}, and all later ones build on it",
            )
            note("rounds_before", math.log1p(rounds))
        elif step.role == Role.DELEGATION:
            note("delegates", 1.0)
            note("delegates_late", math.log1p(rounds))
        else:
            note("thinks_late", math.log1p(rounds))

    def look_back(self, readings: list[Reading]) -> None:
        """Adds what is only known at the end: what reached the answer, what was the longest, what was the last work."""
        if not readings:
            return
        self._note_answer(readings)
        heaviest = max(signals.weight for signals in self._signals)
        last = max((i for i, r in enumerate(readings) if r.step.role == Role.WORK), default=-1)
        works = [r for r in readings if r.step.role == Role.WORK]
        active: dict[str, int] = {}
        for reading in works:
            active[reading.step.agent] = active.get(reading.step.agent, 0) + 1
        thought_stuck = False  # the next thought, as the steps are gone through from the end
        for at in range(len(readings) - 1, -1, -1):
            reading = readings[at]
            features, reasons = reading.features, reading.reasons
            if reading.step.role == Role.THOUGHT:
                thought_stuck = self._signals[at].is_stuck
            if not self._has_team:
                if self._signals[at].weight == heaviest:
                    features["heaviest"], reasons["heaviest"] = 1.0, "does most of the run's work"
                continue
            if at == last:
                features["last_work"], reasons["last_work"] = 1.0, "is the last work before the answer"
            if reading.step.role == Role.WORK:
                features["activity"] = active[reading.step.agent] / len(works)
                features["stuck_rounds"] = math.log1p(self._stuck_count)
                if thought_stuck:
                    features["stuck_after"], reasons["stuck_after"] = 1.0, "the team then saw no progress"

    def _note_answer(self, readings: list[Reading]) -> None:
        """Values of the final answer that a step was the first to say, with no source for them."""
        at = self._answer(readings)
        items = {
            _sought(item): item for d in readings[at].step.said for item in self._reader.items(d) if not _is_small(item)
        }
        for key, item in islice(items.items(), _MAX_ANSWER_VALUES_COUNT):
            first, said = (self._first_to_tell(item), item) if self._has_team else self._said_by.get(key, (-1, item))
            if first >= 0 and (first != at or self._has_team):
                features, reasons = readings[first].features, readings[first].reasons
                features["reaches_answer"] = 1.0
                what = f"introduces {shorten(said.text, 40)}, which no source holds"
                reasons.setdefault("reaches_answer", f"{what}; it reaches the final answer")

    def _first_to_tell(self, item: Item) -> int:
        """The step that first said a value; -1 where a source held it before. A team tells much of which its answer needs
        little, so values are only read in what has a writing of this one in it."""
        key, forms = _sought(item), _forms(item)
        single = {form for form in forms if _SINGLE.fullmatch(form)}
        phrases = forms - single
        for at, digest in self._told:
            may_hold = (
                item.kind in _WRITTEN_OTHERWISE
                or not single.isdisjoint(self._reader.tokens(digest))
                or any(phrase in self._folded(digest) for phrase in phrases)
            )
            if may_hold and key in self._keys(digest):
                return at
        return -1

    def _keys(self, digest: bytes) -> set[tuple[str, str]]:
        known = self._read_keys.get(digest)
        if known is None:
            items = self._reader.items(digest)
            known = {key for item in items for key in keys_of(item)} | {(_FIGURE, i.figure) for i in items if i.figure}
            self._read_keys[digest] = known
        return known

    def _folded(self, digest: bytes) -> str:
        known = self._texts.get(digest)
        if known is None:
            known = self._texts[digest] = (self._reader.text(digest) or "").casefold()
        return known

    def _answer(self, readings: list[Reading]) -> int:
        """Which step is the run's answer: the last that says anything."""
        for at in range(len(readings) - 1, -1, -1):
            texts = [self._reader.text(d) or "" for d in readings[at].step.said]
            if sum(map(len, texts)) >= (1 if self._has_team else _ANSWER_CHARS):
                return at
        return len(readings) - 1

    def _note_said(self, step: Step, at: int) -> list[Item]:
        """Notes what a step says that nobody had said, and no source held; returns the values that are no chance."""
        self._know(item for digest in step.shown for item in self._reader.items(digest))
        found = [item for digest in step.said for item in self._reader.items(digest)]
        invented: list[Item] = []
        for item in found:
            key = _sought(item)
            if key not in self._known and len(self._said_by) < _MAX_VALUES_COUNT:
                if key not in self._said_by and item.is_distinctive and item.kind not in ("path", "url", "name"):
                    invented.append(item)
                self._said_by.setdefault(key, (at, item))
        self._know(found)
        self._know(item for call in step.results for digest in _result_of(call) for item in self._reader.items(digest))
        return invented

    def _know(self, items: Iterable[Item]) -> None:
        for item in items:
            if len(self._known) < _MAX_VALUES_COUNT:
                self._known.update(keys_of(item))
                if item.figure:
                    self._known.add((_FIGURE, item.figure))

    def _answers(self, step: Step) -> Iterable[tuple[Span, str]]:
        for span in (call.span for call in step.results):
            text = span.error_text if span.is_error else result_text(span, self._trace)
            if text is not None:
                yield span, f"Error: {text}" if span.is_error else text


def _result_of(call: Step) -> list[bytes]:
    return told(call.span, Slot.RESULT, Slot.OUTPUT)


def _forms(item: Item) -> set[str]:
    """The writings that a value is looked for by: as it stands and in its normal form, a number by its digits alone."""
    if item.figure:
        written = _WRITTEN.search(item.text)
        return {item.figure, *((written[0],) if written is not None else ())}
    return {form for form in (item.text.casefold().strip('#"“”'), item.key) if form}


def _is_small(item: Item) -> bool:
    """A number of one digit: an answer's list has those, whoever said one first."""
    return item.kind == "number" and len(item.figure) < 2


def _sought(item: Item) -> tuple[str, str]:
    """The key that a value is looked for by: a number by its digits alone, whatever its unit."""
    return (_FIGURE, item.figure) if item.figure else lookup_key(item)


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
