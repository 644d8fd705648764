"""Judges a twin as a live run is judged, and counts what a family of twins comes to.

Invariant: every detector is on, each is asked at every fact and when the run is over, after another session's run; a hit is a
finding of the kind at warning or above, a false alarm one of any kind there. Used by the benchmark of twins.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

from tests.benchmarks import Row
from tests.scenarios import Scenario
from trajectory.detection.contract import registered_detectors
from trajectory.detection.judge import TraceJudge
from trajectory.detection.mixed import MixedSessions
from trajectory.detection.sessions import Sessions
from trajectory.model.fact import Finding, Payload
from trajectory.model.words import Severity

STRICT = (0.90, 0.03)  # the least recall, the most false alarms
MILD = (0.75, 0.05)
VALUE_RATIO = 0.90
_LATER_S = (0, 1, 600)  # after the last fact, when a run that is over is looked at

Named = Callable[[Finding], bool]  # whether a finding says what is wrong
Twin = tuple[Scenario, str]  # a run, and the words that a finding's value or message has to hold


def holding(wanted: str) -> Named:
    """Whether a finding's value or message holds some words."""
    return lambda finding: wanted in f"{finding.value} {finding.message}"


class Case(NamedTuple):
    """A kind of fault, with what tells it apart from others of its kind after a comma; how its two twins are told by seed; the
    goal."""

    name: str
    faulty: Callable[[int], Twin]
    clean: Callable[[int], Scenario]
    goal: tuple[float, float]

    @property
    def kind(self) -> str:
        return self.name.partition(",")[0]


class Score:
    """What the twins of one case came to."""

    def __init__(self, case: str, goal: tuple[float, float]) -> None:
        self.case = case
        self._kind = case.partition(",")[0]
        self._goal = goal
        self._count = self._hit = self._named = self._clean_count = self._falsely = 0
        self.alarms: Counter[str] = Counter()

    def mutated(self, found: Iterable[Finding], names_it: Named) -> bool:
        """Counts a run that is wrong in one thing; says whether it was found and named."""
        told = [f for f in found if f.kind == self._kind]
        is_named = any(map(names_it, told))
        self._count += 1
        self._hit += bool(told)
        self._named += is_named
        return is_named

    def untouched(self, found: Iterable[Finding]) -> bool:
        """Counts a run that is right; says whether there was an alarm."""
        kinds = [f.kind for f in found]
        self._clean_count += 1
        self._falsely += bool(kinds)
        self.alarms.update(kinds)
        return bool(kinds)

    def rows(self) -> Iterator[Row]:
        """Recall, how often the right item was named, false alarms: each with its goal."""
        recall, alarm = self._goal
        hit, count = self._hit, self._count
        if not count:
            yield Row(self.case, "recall", "not measured: no run can be changed so", f"{recall:.0%}", None)
            return
        yield Row(self.case, "recall", f"{hit / count:.1%} of {count}", f"{recall:.0%}", hit >= recall * count)
        value = f"{self._named / hit:.1%} of {hit}" if hit else "none"
        is_named = hit > 0 and self._named >= VALUE_RATIO * hit
        yield Row(self.case, "names the right item", value, f"{VALUE_RATIO:.0%}", is_named)
        falsely = f"{self._falsely / self._clean_count:.1%} of {self._clean_count}"
        is_quiet = self._falsely <= alarm * self._clean_count
        yield Row(self.case, "false alarms of any kind", falsely, f"{alarm:.0%}", is_quiet)


def loud(told: Scenario, earlier: Scenario | None = None) -> list[Finding]:
    """What interrupts an operator, as it last stood, with every detector on and asked as a live run asks them, after an earlier
    run of another session."""
    sessions = Sessions()
    if earlier is not None:
        judged(earlier, sessions)
    return [f for f in judged(told, sessions) if f.severity != Severity.INFO]


def judged(told: Scenario, sessions: Sessions) -> list[Finding]:
    """Every finding as it last stood. Raises RuntimeError where a detector did."""
    trace = told.empty_trace()
    detectors = [partial(made, sessions) if made is MixedSessions else made for made in registered_detectors()]
    judge = TraceJudge(trace, detectors)
    found: dict[str, Finding] = {}
    for fact in told.facts:
        if not isinstance(fact, Payload):
            trace.apply(fact, told.source)
            found.update((f.key, f) for f in judge.observe(fact))
    for late_s in _LATER_S:
        found.update((f.key, f) for f in judge.settle(trace.last_ns + late_s * 1_000_000_000))
    if judge.faults:
        raise RuntimeError(f"a detector raised: {judge.faults}")
    return list(found.values())
