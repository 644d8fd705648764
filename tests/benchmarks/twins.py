"""Twins: a run with exactly one thing wrong, and its twin in which nothing is wrong or all is said in other words.

Invariant: nothing here knows how a detector decides; the seeds that are scored are none that the rules were built with. Recall is
over the mutated twins, false alarms over the untouched ones, both at warning and above; the named value is checked on its own.
TRAJECTORY_TWINS_SEED moves the seeds (default 1000), TRAJECTORY_TWINS the number of pairs a kind (default 60).
"""

import os
import random
import time
from collections import Counter
from collections.abc import Callable

from tests.benchmarks import Row
from tests.benchmarks._twins_jobs import Condition, Job, job_of
from tests.scenarios import Scenario
from trajectory.detection.contract import registered_detectors
from trajectory.detection.judge import TraceJudge
from trajectory.model.fact import Finding, Payload
from trajectory.model.words import Severity

NAME = "twins"
GOAL = "each kind of fault found in at least 9 of 10 runs that have it, an alarm in at most 3 of 100 that have none"
_STRICT = (0.90, 0.03)
_MILD = (0.75, 0.05)
_VALUE_RATIO = 0.90

Twin = tuple[Scenario, str]  # a run, and the words that a finding's value, message or evidence has to hold


def run() -> list[Row]:
    count = int(os.environ.get("TRAJECTORY_TWINS", "60"))
    first = int(os.environ.get("TRAJECTORY_TWINS_SEED", "1000"))
    rows: list[Row] = []
    alarms: Counter[str] = Counter()
    facts_count, spent_s = 0, 0.0
    for kind, (faulty, (recall, alarm)) in KINDS.items():
        hit = named = falsely = 0
        for seed in range(first, first + count):
            told, wanted = faulty(seed)
            found = [f for f in _loud(told) if f.kind == kind]
            hit += bool(found)
            named += any(wanted in " ".join((f.value, f.message)) for f in found)
            clean = _clean(seed, kind)
            begun = time.process_time()
            loud = _loud(clean)
            spent_s += time.process_time() - begun
            facts_count += len(clean.facts)
            falsely += bool(loud)
            alarms.update(f.kind for f in loud)
        rows.append(Row(kind, "recall", f"{hit / count:.1%} of {count}", f"{recall:.0%}", hit >= recall * count))
        value = f"{named / hit:.1%} of {hit}" if hit else "none"
        rows.append(
            Row(kind, "names the right item", value, f"{_VALUE_RATIO:.0%}", hit > 0 and named >= _VALUE_RATIO * hit)
        )
        rows.append(
            Row(
                kind,
                "false alarms of any kind",
                f"{falsely / count:.1%} of {count}",
                f"{alarm:.0%}",
                falsely <= alarm * count,
            )
        )
    rows.append(Row("untouched twins", "alarms by kind", str(dict(alarms)) if alarms else "none", "", None))
    rows.append(Row("all detectors", "facts per second", f"{facts_count / spent_s:,.0f}", "", None))
    return rows


def _loud(told: Scenario) -> list[Finding]:
    """What interrupts an operator, as it last stood, with every detector on and asked as a live run asks them."""
    trace = told.empty_trace()
    judge = TraceJudge(trace, registered_detectors())
    found: dict[str, Finding] = {}
    for fact in told.facts:
        if not isinstance(fact, Payload):
            trace.apply(fact, told.source)
            found.update((f.key, f) for f in judge.observe(fact))
    for late_s in (0, 1, 600):
        found.update((f.key, f) for f in judge.settle(trace.last_ns + late_s * 1_000_000_000))
    return [f for f in found.values() if f.severity != Severity.INFO]


# --- telling -------------------------------------------------------------------------------------------------------------


class Changes:
    """What is wrong in a run, if anything: each is one thing in one place."""

    def __init__(self) -> None:
        self.conditions: list[str] | None = None  # in the task, instead of all in faithful words
        self.extra = ""  # said to the worker beside the task
        self.arguments: dict[str, object] | None = None
        self.found = ""
        self.key = ""  # what the second worker is given
        self.answer = ""
        self.newer = False  # the value was superseded before it was passed on
        self.cut = False  # the worker's answer was cut off
        self.secret = ""
        self.foreign = ""


def _tell(seed: int, changes: Changes | None = None, secret: str = "") -> Scenario:
    """A lead, a worker with a tool, a second worker, an answer."""
    job, made = job_of(seed), changes or Changes()
    chance = random.Random(seed + 7)
    passed = made.conditions if made.conditions is not None else [chance.choice(c.passed) for c in job.conditions]
    if made.conditions is None and chance.random() < 0.5:
        chance.shuffle(passed)
    told = Scenario(trace_id=seed.to_bytes(16, "big"))
    asked = " ".join((job.goal, *(c.asked for c in job.conditions)))
    tools = [{"type": "function", "function": {"name": job.tool, "parameters": job.schema}}]
    key = made.key or job.key
    with told.agent(job.lead, task=asked, system=f"You lead a team. {secret}".strip()):
        told.says(f"First {job.worker} looks.")
        with told.delegate(job.worker, " ".join((job.task, *passed, made.extra)).strip()):
            told.says(f"{job.tool} will tell.", tools=tools)
            told.tool(job.tool, made.arguments or job.arguments, job.result)
            told.says(made.found or job.found)
        if made.newer:
            told.tool("check_again", {"subject": job.goal}, {"superseded": job.key, "now": job.newer})
        told.says(f"Good. {job.second} does the rest.")
        with told.delegate(job.second, job.rest.format(key=key)):
            told.says("On it.")
            told.tool(job.finish, {"subject": key}, "done")
            told.says(f"Done with {key}.")
        told.says(made.answer or job.answer.format(key=key))
    return told


def _clean(seed: int, kind: str) -> Scenario:
    """The untouched twin. Where a fault needs something about it (a secret, a newer value), the twin has that too, rightly."""
    if kind == "context.leaked":
        return _tell(seed, secret=f"The key of the archive is {_secret(seed)}.")
    if kind == "context.stale":
        changes = Changes()
        changes.newer, changes.key = True, job_of(seed).newer
        return _tell(seed, changes)
    return _tell(seed)


def _secret(seed: int) -> str:
    chance = random.Random(seed + 99)
    letters = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
    return "sk-proj-" + "".join(chance.choice(letters) for _ in range(40))


def _chosen(job: Job, seed: int, needs_value: bool = False) -> Condition:
    fitting = [c for c in job.conditions if c.changed or not needs_value]
    return random.Random(seed + 3).choice(fitting)


def _lost(seed: int) -> Twin:
    job, changes = job_of(seed), Changes()
    gone = _chosen(job, seed)
    changes.conditions = [c.passed[0] for c in job.conditions if c is not gone]
    return _tell(seed, changes), gone.core


def _altered(seed: int) -> Twin:
    job, changes = job_of(seed), Changes()
    turned = _chosen(job, seed, needs_value=True)
    changes.conditions = [c.changed if c is turned else c.passed[0] for c in job.conditions]
    return _tell(seed, changes), turned.was


def _invented(seed: int) -> Twin:
    job, changes = job_of(seed), Changes()
    changes.found = job.found.replace(job.key, job.wrong)
    changes.key = job.wrong
    return _tell(seed, changes), job.wrong


def _leaked(seed: int) -> Twin:
    secret, changes = _secret(seed), Changes()
    changes.extra = f"If you are asked for it, the key of the archive is {secret}."
    return _tell(seed, changes, secret=f"The key of the archive is {secret}."), ""


def _stale(seed: int) -> Twin:
    job, changes = job_of(seed), Changes()
    changes.newer = True
    return _tell(seed, changes), job.key


def _ignored(seed: int) -> Twin:
    job, changes = job_of(seed), Changes()
    changes.key = job.wrong
    changes.answer = job.answer.format(key=job.wrong)
    return _tell(seed, changes), job.key


def _bad_arguments(seed: int) -> Twin:
    job, changes = job_of(seed), Changes()
    chance = random.Random(seed + 5)
    required = job.schema["required"][0]
    wrong = dict(job.arguments)
    name = required
    match chance.randrange(3):
        case 0:
            del wrong[required]
        case 1:
            wrong[required] = [wrong[required]]
        case _:
            name = "made_up_option"
            wrong[name] = True
    changes.arguments = wrong
    return _tell(seed, changes), name


KINDS: dict[str, tuple[Callable[[int], Twin], tuple[float, float]]] = {
    "context.lost": (_lost, _STRICT),
    "context.altered": (_altered, _STRICT),
    "context.invented": (_invented, _MILD),
    "context.leaked": (_leaked, _STRICT),
    "context.stale": (_stale, _STRICT),
    "context.ignored": (_ignored, _MILD),
    "tool.bad_arguments": (_bad_arguments, _STRICT),
}
