"""How twins of the flow of work are told: a lead at work on a job, with what it does in between.

Invariant: jobs, names and values come from the seed. Used by the families of twins.
"""

import random
from collections.abc import Callable
from typing import Any

from tests.benchmarks._twins_jobs import Job, job_of
from tests.scenarios import Scenario
from trajectory.model.words import DELEGATION_MODE, DELEGATION_TARGET

Telling = Callable[[Scenario, Job, random.Random], object]


def tell(seed: int, *tellings: Telling, also: str = "") -> Scenario:
    """The lead of a job at work, with what it does in between; `also` is asked of it besides."""
    job, chance = job_of(seed), random.Random(seed + 11)
    told = Scenario(trace_id=seed.to_bytes(16, "big"))
    with told.agent(job.lead, task=" ".join((request_of(job), also)).strip()):
        told.says("I begin.")
        for tell in tellings:
            tell(told, job, chance)
        told.says("That is all that there is to say.")
    return told


def request_of(job: Job) -> str:
    return " ".join((job.goal, *(c.asked for c in job.conditions)))


def task_of(job: Job, wording: int = 0) -> str:
    return " ".join((job.task, *(c.passed[wording % len(c.passed)] for c in job.conditions)))


def gives(told: Scenario, to: str, task: str, answer: str, error: tuple[str, str] | None = None) -> None:
    with told.delegate(to, task, error=error):
        told.says(answer)


def by_seed(*ways: Callable[[int], Scenario]) -> Callable[[int], Scenario]:
    return lambda seed: ways[seed // 7 % len(ways)](seed)


def works(told: Scenario, job: Job, chance: random.Random) -> None:
    gives(told, job.worker, task_of(job), job.found)


def goes_on(told: Scenario, job: Job, chance: random.Random) -> None:
    gives(told, job.second, job.rest.format(key=job.key), f"Done with {job.key}.")


def call(target: str, mode: str = "call") -> dict[str, Any]:
    return {DELEGATION_TARGET: target, DELEGATION_MODE: mode}
