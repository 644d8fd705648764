"""Twins of the flow of work: a team that repeats itself or departs from its plan in vain, and one that does so for a reason.

Invariant: nothing here knows how a detector decides; each kind of fault is told in several ways in turn, as is each near miss.
Used by the benchmark of twins.
"""

import random
from collections.abc import Sequence

from tests.benchmarks._twins_jobs import Job, job_of
from tests.benchmarks._twins_judge import MILD, STRICT, Case, Twin
from tests.benchmarks._twins_telling import by_seed, call, gives, goes_on, request_of, task_of, tell, works
from tests.scenarios import Scenario
from trajectory.model.words import INPUT_TOKENS, MODEL_NAME, SpanKind

# --- duplicate -----------------------------------------------------------------------------------------------------------


def _reworded(job: Job) -> str:
    return f"As I see it: {job.found}"


def _again(told: Scenario, job: Job, chance: random.Random) -> None:
    told.says("Now to the worker.")
    gives(told, job.worker, task_of(job), job.found)


def _again_elsewhere(told: Scenario, job: Job, chance: random.Random) -> None:
    told.says("Over to the next one.")
    gives(told, f"{job.worker}_two", task_of(job, wording=1), _reworded(job))


def _at_once(told: Scenario, job: Job, chance: random.Random) -> None:
    """Two are asked the same side by side, and nobody says why."""
    names = (job.worker, f"{job.worker}_two")
    sent = [
        told.opens(SpanKind.DELEGATION, f"to {name}", attributes=call(name), contents={"task": [task_of(job)]})
        for name in names
    ]
    for name, span_id, answer in zip(names, sent, (job.found, _reworded(job)), strict=True):
        told.ends(told.opens(SpanKind.AGENT, name, agent=name, under=f"to {name}"))
        told.ends(span_id, returned=answer)


def _duplicate(seed: int) -> Twin:
    job = job_of(seed)
    after_work = (works, _again) if "tests" in job.task else (works, goes_on, _again)  # tests may well run again
    ways = ((works, _again), (works, _again_elsewhere), after_work, (_at_once,))
    return tell(seed, *ways[seed // 7 % len(ways)]), job.task.rstrip(".")


def _failed_first(told: Scenario, job: Job, chance: random.Random) -> None:
    gives(told, job.worker, task_of(job), "", error=("ConnectionError", "the service could not be reached"))


def _came_back_empty(told: Scenario, job: Job, chance: random.Random) -> None:
    gives(told, job.worker, task_of(job), "I could not finish this: the service timed out.")


def _asked_back(told: Scenario, job: Job, chance: random.Random) -> None:
    gives(told, job.worker, task_of(job), "Is the budget with or without tax?")


def _of_another(told: Scenario, job: Job, chance: random.Random) -> None:
    """The same work for the other case: other values in the same words."""
    other = _other(int.from_bytes(told.trace_id, "big"))
    told.says("And the other one.")
    gives(told, job.worker, task_of(other), other.found)


def _other(seed: int) -> Job:
    """Another job of the same kind."""
    return job_of(seed + 6_000)


def _with_feedback(told: Scenario, job: Job, chance: random.Random) -> None:
    gives(told, job.worker, f"{task_of(job)} {job.key} is taken; find another.", f"{job.newer} fits too.")


def _person_asks(told: Scenario, job: Job, chance: random.Random) -> None:
    told.hears("Sorry, I lost your answer. What was it?")
    told.says("I ask.")
    gives(told, job.worker, task_of(job), _reworded(job))


def _second_opinion(told: Scenario, job: Job, chance: random.Random) -> None:
    told.says("I want a second opinion, so as to compare both answers.")
    gives(told, f"{job.worker}_two", task_of(job), _reworded(job))


_NO_DUPLICATE = by_seed(
    lambda seed: tell(seed, _failed_first, works),
    lambda seed: tell(seed, works, _of_another, also=f"The same for this one: {request_of(_other(seed))}"),
    lambda seed: tell(seed, _came_back_empty, works),
    lambda seed: tell(seed, works, _with_feedback),
    lambda seed: tell(seed, works, _person_asks),
    lambda seed: tell(seed, _asked_back, works),
    lambda seed: tell(seed, works, _second_opinion),
)


# --- loop ----------------------------------------------------------------------------------------------------------------


def _turns(chance: random.Random) -> int:
    return chance.randint(4, 7)


def _same_call(told: Scenario, job: Job, chance: random.Random) -> None:
    for turn in range(_turns(chance)):
        told.tool(job.tool, job.arguments, job.result)
        told.says(f"Let me see, number {turn}: I look it up.")


def _failing_call(told: Scenario, job: Job, chance: random.Random) -> None:
    for _ in range(_turns(chance) + 2):
        told.tool(job.tool, job.arguments, "Error: 503 Service Unavailable")


def _rounds(told: Scenario, job: Job, chance: random.Random) -> None:
    for _ in range(_turns(chance)):
        gives(told, job.worker, task_of(job), "The records of the other desk are needed for this before I begin.")
        gives(told, job.second, f"Give {job.worker} the records.", "The other desk has to begin, then I give records.")


def _to_and_fro(told: Scenario, job: Job, chance: random.Random) -> None:
    """Each gives the work back to the other, one inside the other."""
    agents = [job.worker, job.second] * _turns(chance)
    texts = {job.worker: f"{task_of(job)} Sort this out.", job.second: f"This is for your desk: {task_of(job, 1)}"}
    works = []
    for name in agents:
        work = told.delegate(name, texts[name])
        work.__enter__()
        told.says("That is no matter for my desk.")
        works.append(work)
    for work in reversed(works):
        work.__exit__(None, None, None)


_LOOPS = (_same_call, _failing_call, _rounds, _to_and_fro)


def _loop(seed: int) -> Twin:
    job, at = job_of(seed), seed // 7 % len(_LOOPS)
    return tell(seed, _LOOPS[at]), job.tool if at < 2 else job.worker


def _pages(told: Scenario, job: Job, chance: random.Random) -> None:
    for page in range(1, _turns(chance) + 2):
        told.tool(
            job.tool, {**job.arguments, "page": page}, {**job.result, "page": page, "id": chance.randint(1, 9999)}
        )


def _refines(told: Scenario, job: Job, chance: random.Random) -> None:
    drafts = chance.sample(range(100, 999), _turns(chance))
    for at, words in enumerate(drafts):
        gives(
            told, job.worker, f"{task_of(job)} Draft {at + 1}.", f"The draft has {words} words now: {chance.random()}."
        )
        gives(
            told, job.second, f"Review draft {at + 1}.", f"Section {words % 9 + at} is too long; {words} words remain."
        )


def _polls(told: Scenario, job: Job, chance: random.Random) -> None:
    for _ in range(_turns(chance)):
        told.tool("job_status", {"job": job.key}, {"job": job.key, "status": "running"})
    told.tool("job_status", {"job": job.key}, {"job": job.key, "status": "finished"})


def _retries(told: Scenario, job: Job, chance: random.Random) -> None:
    for _ in range(chance.randint(2, 3)):
        told.tool(job.tool, job.arguments, error=("TimeoutError", "no answer in 5 s"))
    told.tool(job.tool, job.arguments, job.result)


def _same_call_new_results(told: Scenario, job: Job, chance: random.Random) -> None:
    for left in range(_turns(chance) * 3, 0, -3):
        told.tool("take_next", {"queue": job.goal}, {"item": f"{job.key}-{left}", "left": left})
        told.tool(job.finish, {"subject": f"{job.key}-{left}"}, "done")


_NO_LOOP = by_seed(
    *((lambda seed, way=way: tell(seed, way)) for way in (_pages, _refines, _polls, _retries, _same_call_new_results))
)


# --- plan ----------------------------------------------------------------------------------------------------------------


def _plan(job: Job) -> list[str]:
    return [job.tool, "check_conditions", job.finish, "answer"]


def _does(told: Scenario, job: Job, *names: str) -> None:
    for name in names:
        told.tool(name, {"subject": job.goal}, f"{name} went well")


def _planned(seed: int, *done: str, replan: Sequence[str] = (), plan: Sequence[str] = ()) -> Scenario:
    job = job_of(seed)
    told = Scenario(trace_id=seed.to_bytes(16, "big"))
    offered = [{"type": "function", "function": {"name": n, "parameters": {}}} for n in _plan(job)[:3]]
    with told.agent(job.lead, task=job.goal):
        told.plans(plan or _plan(job))
        told.says("As planned.", tools=offered)
        for at, name in enumerate(done):
            if at == 1 and replan:
                told.says(f"{done[0]} shows that less is needed: I plan anew.")
                told.plans(replan)
            _does(told, job, name)
        told.says("Done.")
    return told


def _deviation(seed: int) -> Twin:
    first, middle, last, _ = _plan(job_of(seed))
    done = {0: (first, last), 1: (first, last, middle), 2: (middle, last)}[seed // 7 % 3]
    return _planned(seed, *done), {0: middle, 1: last, 2: first}[seed // 7 % 3]


def _planned_anew(seed: int) -> Scenario:
    first, _, last, answer = _plan(job_of(seed))
    return _planned(seed, first, last, replan=(first, last, answer))


def _as_planned(seed: int) -> Scenario:
    return _planned(seed, *_plan(job_of(seed))[:3])


def _step_not_needed(seed: int) -> Scenario:
    first, middle, last, answer = _plan(job_of(seed))
    return _planned(seed, first, last, plan=(first, f"{middle} if anything is unclear", last, answer))


def _thought_only(seed: int) -> Scenario:
    first, _, last, answer = _plan(job_of(seed))
    return _planned(seed, first, last, plan=(first, "compare what was found", last, answer))


_NO_DEVIATION = by_seed(_planned_anew, _as_planned, _step_not_needed, _thought_only)


# --- pressure ------------------------------------------------------------------------------------------------------------

_MODELS = (("gpt-4o-2024-08-06", 128_000), ("claude-3-5-sonnet-20241022", 200_000), ("gpt-4", 8_192))


def _asked_model(seed: int, ratio: float, model: str = "", error: tuple[str, str] | None = None) -> Scenario:
    job, (known, window) = job_of(seed), _MODELS[seed // 7 % len(_MODELS)]
    told = Scenario(trace_id=seed.to_bytes(16, "big"))
    with told.agent(job.lead, task=job.goal):
        for part in (0.3, 0.6, 1.0):
            attributes = {MODEL_NAME: model or known, INPUT_TOKENS: int(window * ratio * part)}
            span_id = told.opens(SpanKind.MODEL, "chat", attributes=attributes)
            told.ends(span_id, error=error if part == 1.0 else None)
        told.says(job.answer.format(key=job.key))
    return told


def _pressed(seed: int) -> Twin:
    chance = random.Random(seed + 19)
    if seed % 3 == 0:
        fault = ("BadRequestError", "This model's maximum context length is exceeded: context_length_exceeded")
        return _asked_model(seed, 0.5, error=fault), "context"
    return _asked_model(seed, chance.uniform(0.91, 0.995)), "context"


def _roomy(seed: int) -> Scenario:
    """A window with room, one that nobody knows, or many calls that are large together."""
    if seed % 3 == 0:
        return _asked_model(seed, 0.95, model="in-house-model-7")
    return _asked_model(seed, random.Random(seed + 19).uniform(0.3, 0.78))


CASES: tuple[Case, ...] = (
    Case("flow.duplicate", _duplicate, _NO_DUPLICATE, STRICT),
    Case("flow.loop", _loop, _NO_LOOP, MILD),
    Case("plan.deviation", _deviation, _NO_DEVIATION, MILD),
    Case("context.pressure", _pressed, _roomy, MILD),
)
