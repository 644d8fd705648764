"""Twins of waiting: work that nobody takes up or waits for, and agents that wait in a circle;
beside them detached work whose result is fetched, and agents that wait in a row or in turn.

Invariant: nothing here knows how a detector decides. Used by the benchmark of twins.
"""

import random
from itertools import pairwise
from typing import Any

from tests.benchmarks._twins_jobs import Job, job_of
from tests.benchmarks._twins_judge import STRICT, Case, Twin
from tests.benchmarks._twins_telling import by_seed, call, goes_on, tell, works
from tests.scenarios import Scenario
from trajectory.model.fact import SpanEnded, SpanStarted
from trajectory.model.words import WAITS_FOR, SpanKind

# --- orphan --------------------------------------------------------------------------------------------------------------


def _left(told: Scenario, job: Job, mode: str = "call", **ending: Any) -> None:
    task = job.rest.format(key=job.key)
    sent = told.opens(
        SpanKind.DELEGATION, f"to {job.second}", attributes=call(job.second, mode), contents={"task": [task]}
    )
    if ending.pop("is_open", False):
        return
    told.ends(sent, **ending)


def _nobody_came(told: Scenario, job: Job, chance: random.Random) -> None:
    _left(told, job)


def _nobody_came_yet(told: Scenario, job: Job, chance: random.Random) -> None:
    _left(told, job, is_open=True)


def _refused(told: Scenario, job: Job, chance: random.Random) -> None:
    _left(told, job, error=("ConnectionError", f"{job.second} refused the connection"))


def _handed_to_nobody(told: Scenario, job: Job, chance: random.Random) -> None:
    _left(told, job, mode="transfer")


def _gave_up(told: Scenario, job: Job, chance: random.Random) -> None:
    """The delegator ends its call while the worker is at it; its answer reaches nobody."""
    task = job.rest.format(key=job.key)
    sent = told.opens(SpanKind.DELEGATION, f"to {job.second}", attributes=call(job.second), contents={"task": [task]})
    worker = told.opens(SpanKind.AGENT, job.second, agent=job.second, under=f"to {job.second}")
    told.ends(sent, error=("TimeoutError", "no answer in time") if chance.random() < 0.5 else None)
    told.passes(chance.randint(5, 60))
    told.ends(worker, returned=f"Done with {job.key}.")


def _orphan(seed: int) -> Twin:
    ways = (_nobody_came, _refused, _handed_to_nobody, _gave_up, _nobody_came_yet)
    return tell(seed, works, ways[seed // 7 % len(ways)]), job_of(seed).second


def _detached(told: Scenario, job: Job, chance: random.Random) -> None:
    """The work is begun, the call comes back at once with a ticket, and the result is fetched later."""
    ticket = f"job-{chance.randint(1000, 9999)}"
    sent = told.opens(
        SpanKind.DELEGATION,
        f"to {job.second}",
        attributes=call(job.second),
        contents={"task": [job.rest.format(key=job.key)]},
    )
    worker = told.opens(SpanKind.AGENT, job.second, agent=job.second, under=f"to {job.second}")
    told.ends(sent, returned=f"Accepted as {ticket}.")
    told.hears(f"Accepted as {ticket}.", role="tool")
    told.says("Meanwhile I read on.")
    told.passes(chance.randint(5, 40))
    told.ends(worker, returned=f"Done with {job.key}.")
    told.tool("fetch_result", {"job": ticket}, f"Done with {job.key}.")


def _unseen(told: Scenario, job: Job, chance: random.Random) -> None:
    told.delegates_unseen(job.second, job.rest.format(key=job.key), f"Done with {job.key}.")


def _refused_then_taken(told: Scenario, job: Job, chance: random.Random) -> None:
    _refused(told, job, chance)
    told.says("Once more.")
    goes_on(told, job, chance)


def _handed_over(told: Scenario, job: Job, chance: random.Random) -> None:
    """Control passes; whoever has it works after the hand-over has ended."""
    sent = told.opens(
        SpanKind.DELEGATION,
        f"to {job.second}",
        attributes=call(job.second, "transfer"),
        contents={"task": [job.rest.format(key=job.key)]},
    )
    told.ends(sent)
    worker = told.opens(SpanKind.AGENT, job.second, agent=job.second, under=f"to {job.second}")
    told.passes(chance.randint(5, 40))
    told.ends(worker, returned=f"Done with {job.key}.")


_NO_ORPHAN = by_seed(
    *((lambda seed, way=way: tell(seed, works, way)) for way in (_detached, _unseen, _refused_then_taken, _handed_over))
)


# --- deadlock ------------------------------------------------------------------------------------------------------------


class _Team:
    """Agents that ask and wait, told with open ends."""

    def __init__(self, seed: int, count: int) -> None:
        job, chance = job_of(seed), random.Random(seed + 13)
        self.told = Scenario(trace_id=seed.to_bytes(16, "big"))
        self.names = [job.lead, job.worker, job.second, f"{job.worker}_two", f"{job.second}_two"][:count]
        chance.shuffle(self.names)
        self._job = job

    def works(self, agent: str, under: str = "") -> None:
        self.told.opens(SpanKind.AGENT, agent, agent=agent, under=under)

    def asks(self, one: str, other: str) -> str:
        name = f"{one} asks {other}"
        contents = {"task": [f"{self._job.task} {other} knows."]}
        self.told.opens(SpanKind.DELEGATION, name, under=one, attributes=call(other), contents=contents)
        return name

    def calls(self, one: str, other: str) -> None:
        self.works(other, under=self.asks(one, other))

    def waits(self, one: str, other: str) -> bytes:
        return self.told.opens(SpanKind.OTHER, f"{one} waits", under=one, attributes={WAITS_FOR: other})

    def chain(self) -> None:
        """Each calls the next, which takes it up."""
        self.works(self.names[0])
        for one, other in pairwise(self.names):
            self.calls(one, other)

    def begin(self) -> None:
        """Each works by itself."""
        for name in self.names:
            self.works(name)

    def ends_all(self) -> None:
        """All that is open ends, innermost first, each in its second."""
        ended = {f.span_id for f in self.told.facts if isinstance(f, SpanEnded)}
        started = [f.span_id for f in self.told.facts if isinstance(f, SpanStarted)]
        for span_id in reversed(started):
            if span_id not in ended:
                self.told.ends(span_id)


def _deadlock(seed: int) -> Twin:
    team = _Team(seed, 2 + seed // 14 % 4)
    if seed // 7 % 2:
        team.chain()
        team.asks(team.names[-1], team.names[0])
    else:
        team.begin()
        for at, name in enumerate(team.names):
            team.waits(name, team.names[(at + 1) % len(team.names)])
    team.told.passes(5)
    return team.told, team.names[-1]


def _waits_in_a_row(seed: int) -> Scenario:
    """The last in the row is at work."""
    team = _Team(seed, 2 + seed // 14 % 4)
    team.chain()
    team.told.passes(20)
    team.ends_all()
    return team.told


def _waits_in_turn(seed: int) -> Scenario:
    """Each waits for the other, one after the other has ended its wait."""
    team = _Team(seed, 2)
    team.begin()
    one, other = team.names
    for _ in range(3):
        for waiting, on in ((one, other), (other, one)):
            span_id = team.waits(waiting, on)
            team.told.passes(3)
            team.told.ends(span_id)
    team.ends_all()
    return team.told


def _asks_who_may_answer(seed: int) -> Scenario:
    """The last asks the first, which takes that up beside its own wait."""
    team = _Team(seed, 2 + seed // 14 % 3)
    team.chain()
    team.calls(team.names[-1], team.names[0])
    team.told.passes(4)
    team.ends_all()
    return team.told


_NO_DEADLOCK = by_seed(_waits_in_a_row, _waits_in_turn, _asks_who_may_answer)


CASES: tuple[Case, ...] = (
    Case("flow.orphan", _orphan, _NO_ORPHAN, STRICT),
    Case("flow.deadlock", _deadlock, _NO_DEADLOCK, STRICT),
)
