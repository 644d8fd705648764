"""What speaks for a step having broken a run, step by step: each read in the light of those before it, and at the end of what
reached the answer.

Invariant: a step's signals come from what was there when its own calls had answered, until `look_back` adds what only the end of
the run shows. They are numbers under the names that `blame_weights` weighs, with words for each; what they weigh is said by
`blame`, which calls this.
"""

import math
import re
from collections.abc import Callable, Iterable
from itertools import islice
from typing import NamedTuple

from trajectory.detection.items import Item, keys_of, lookup_key
from trajectory.detection.reader import Reader
from trajectory.detection.signals import Signals, outcome_of
from trajectory.detection.silent_failure import result_text
from trajectory.detection.steps import Role, Step
from trajectory.detection.words import shorten
from trajectory.graph.echoes import told
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace, tool_name
from trajectory.model.words import Slot

_MAX_VALUES_COUNT = 50_000  # that are remembered as known, of one run
_FILLER_WORDS = 8  # a step of fewer only passes the turn on
_ANSWER_CHARS = 70  # what says less is no answer but a goodbye
_FADING_ROUNDS = 2.0
_MOST_FAILURES_COUNT = 4  # that weigh: no run that the weights come from had more
_FIGURE = "figure"
_MAX_ANSWER_VALUES_COUNT = 200
_SINGLE = re.compile(r"[^\W_]+(?:[-_][^\W_]+)*|\d+(?:[.,]\d+)*")  # what a reader keeps among a payload's tokens
_WRITTEN_OTHERWISE = ("date", "period")  # kinds of which two writings may share no word
_WRITTEN = re.compile(r"\d+(?:[.,]\d+)*")
_Read = Callable[[Step, Reader, bool], Signals]


class Reading(NamedTuple):
    """A step's signals in numbers, under the names that `blame_weights` weighs, and the words for each."""

    step: Step
    features: dict[str, float]
    reasons: dict[str, str]


class StepSignals:
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
            self._note_round(step, note, works)
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

    def _note_round(self, step: Step, note: Callable[..., None], works: bool) -> None:
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
