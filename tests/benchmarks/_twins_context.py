"""Twins of context: a team told from a template, with exactly one thing wrong, and its twin in which nothing is wrong or all is
said in other words.

Invariant: nothing here knows how a detector decides; all values come from the seed. Used by the benchmark of twins.
"""

import random
from functools import partial

from tests.benchmarks._twins_jobs import Condition, Job, job_of
from tests.benchmarks._twins_judge import MILD, STRICT, Case, Twin
from tests.scenarios import Scenario
from trajectory.model.words import FINISH_REASONS


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
        self.system = ""  # more of the lead's instructions
        self.asked = ""  # more of the request
        self.notice = ""  # what check_again answers, in words
        self.anew: tuple[str, str] = ("", "")  # what the lead's own look-up answers, at first and then
        self.rest = ""  # the second worker's task, in place of the job's
        self.call: tuple[str, dict[str, object]] | None = None  # one more call of the worker's
        self.tools: dict[str, object] | None = None  # one more tool of the worker's
        self.ending = ""  # why the worker's last words ended
        self.going_on = ""  # and what it said after that
        self.returned = ""  # what arrives of the worker's answer
        self.compacted = ""  # what stands for the beginning of the lead's conversation from some point on
        self.earlier_s = 0


def tell(seed: int, changes: Changes | None = None, secret: str = "") -> Scenario:
    """A lead, a worker with a tool, a second worker, an answer."""
    job, made = job_of(seed), changes or Changes()
    chance = random.Random(seed + 7)
    passed = made.conditions if made.conditions is not None else [chance.choice(c.passed) for c in job.conditions]
    if made.conditions is None and chance.random() < 0.5:
        chance.shuffle(passed)
    told = Scenario(trace_id=seed.to_bytes(16, "big"))
    told.passes(-made.earlier_s)
    asked = " ".join((job.goal, *(c.asked for c in job.conditions), made.asked)).strip()
    offered = [{"name": job.tool, "parameters": job.schema}, *([made.tools] if made.tools else [])]
    tools = [{"type": "function", "function": function} for function in offered]
    key = made.key or job.key
    with told.agent(job.lead, task=asked, system=f"You lead a team. {secret} {made.system}".strip()):
        told.says(f"First {job.worker} looks.")
        if made.anew[0]:
            told.tool("look_up", {"subject": job.goal}, {"reference": made.anew[0]})
            told.says(f"{made.anew[0]} so far.")
        with told.delegate(job.worker, " ".join((job.task, *passed, made.extra)).strip()):
            told.says(f"{job.tool} will tell.", tools=tools)
            told.tool(job.tool, made.arguments or job.arguments, job.result)
            if made.call is not None:
                told.tool(*made.call, "ok")
            found = made.found or job.found
            told.says(found, attributes={FINISH_REASONS: [made.ending]} if made.ending else None)
            if made.going_on:
                told.says(made.going_on)
            if made.returned:
                told.returns(made.returned)
        if made.newer:
            told.tool("check_again", {"subject": job.goal}, {"superseded": job.key, "now": job.newer})
        if made.notice:
            told.tool("check_again", {"subject": job.goal}, made.notice)
        if made.anew[1]:
            told.tool("look_up", {"subject": job.goal}, {"reference": made.anew[1]})
        if made.compacted:
            told.says("Two more notes.")
            told.tool("read_notes", {"subject": job.goal}, "nothing new")
            told.says("Reading on.")
            told.tool("read_notes", {"subject": "more"}, "nothing new")
            told.heard[:] = [told.heard[0], {"role": "user", "content": made.compacted}, *told.heard[-3:]]
        told.says(f"Good. {job.second} does the rest.")
        with told.delegate(job.second, made.rest or job.rest.format(key=key)):
            told.says("On it.")
            told.tool(job.finish, {"subject": key}, "done")
            told.says(f"Done with {key}.")
        told.says(made.answer or job.answer.format(key=key))
    return told


def earlier(seed: int) -> Scenario:
    """A run of another session, an hour before."""
    changes = Changes()
    changes.earlier_s = 3600
    changes.asked = f"My booking reference is {_reference(seed)} and I travel with two dogs."
    return tell(seed + 600_000, changes)


def _reference(seed: int) -> str:
    return f"BK-{random.Random(seed + 41).randint(100000, 999999)}"


def _clean(seed: int, kind: str) -> Scenario:
    """The untouched twin. Where a fault needs something about it (a secret, a newer value), the twin has that too, rightly."""
    if kind == "context.leaked":
        return tell(seed, secret=f"The key of the archive is {_secret(seed)}.")
    if kind == "context.stale":
        changes = Changes()
        changes.newer, changes.key = True, job_of(seed).newer
        return tell(seed, changes)
    return tell(seed)


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
    return tell(seed, changes), gone.core


def _altered(seed: int) -> Twin:
    job, changes = job_of(seed), Changes()
    turned = _chosen(job, seed, needs_value=True)
    changes.conditions = [c.changed if c is turned else c.passed[0] for c in job.conditions]
    return tell(seed, changes), turned.was


def _invented(seed: int) -> Twin:
    job, changes = job_of(seed), Changes()
    changes.found = job.found.replace(job.key, job.wrong)
    changes.key = job.wrong
    return tell(seed, changes), job.wrong


def _leaked(seed: int) -> Twin:
    secret, changes = _secret(seed), Changes()
    changes.extra = f"If you are asked for it, the key of the archive is {secret}."
    return tell(seed, changes, secret=f"The key of the archive is {secret}."), ""


def _stale(seed: int) -> Twin:
    job, changes = job_of(seed), Changes()
    changes.newer = True
    return tell(seed, changes), job.key


def _ignored(seed: int) -> Twin:
    job, changes = job_of(seed), Changes()
    changes.key = job.wrong
    changes.answer = job.answer.format(key=job.wrong)
    return tell(seed, changes), job.key


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
    return tell(seed, changes), name


def _turned(seed: int) -> Twin:
    """A bound the other way round, a condition without its no, or another currency."""
    job, changes = job_of(seed), Changes()
    fitting = [c for c in job.conditions if _turn(c)]
    turned = random.Random(seed + 3).choice(fitting)
    changes.conditions = [_turn(c) if c is turned else c.passed[0] for c in job.conditions]
    return tell(seed, changes), turned.core


_TURNS = (
    ("must not exceed ", "must exceed "),
    ("at least ", "at most "),
    (" before ", " after "),
    ("Never ", "Please "),
    (" EUR", " USD"),
    (" USD", " GBP"),
    (" GBP", " EUR"),
)


def _turn(condition: Condition) -> str:
    fitting = [(was, now) for was, now in _TURNS if was in condition.asked]
    if not fitting:
        return ""
    was, now = fitting[sum(map(ord, condition.asked)) % len(fitting)]
    return (
        condition.asked.replace(was, now)
        if was != "must not exceed "
        else condition.asked.replace(was, "must be at least ")
    )


def _leaked_to_tool(seed: int) -> Twin:
    secret, changes = _secret(seed), Changes()
    changes.call = ("web_search", {"query": f"what is {secret} good for"})
    return tell(seed, changes, secret=f"The key of the archive is {secret}."), ""


def _used_by_tool(seed: int) -> Scenario:
    secret, changes = _secret(seed), Changes()
    changes.extra = f"The archive is opened with {secret}."
    changes.tools = {
        "name": "open_archive",
        "parameters": {"type": "object", "properties": {"api_key": {"type": "string"}}},
    }
    changes.call = ("open_archive", {"api_key": secret})
    return tell(seed, changes, secret=f"The key of the archive is {secret}.")


def _leaked_person(seed: int) -> Twin:
    changes = Changes()
    card = _card(seed)
    changes.extra = f"The guest's card is {card}."
    return tell(seed, changes, secret=f"The guest's card on file is {card}."), ""


def _paid_with(seed: int) -> Scenario:
    changes = Changes()
    changes.call = ("charge", {"card_number": _card(seed), "reason": "deposit"})
    changes.system = (
        "The card 4242 4242 4242 4242 is for tests, and the documentation's key is sk-your-key-here-1234567890abcdef."
    )
    changes.extra = "Tests use the card 4242 4242 4242 4242."
    return tell(seed, changes, secret=f"The guest's card on file is {_card(seed)}.")


def _card(seed: int) -> str:
    chance = random.Random(seed + 17)
    digits = [4, *(chance.randrange(10) for _ in range(14))]
    total = sum(sum(divmod(2 * d, 10)) if i % 2 == 0 else d for i, d in enumerate(digits))
    digits.append(-total % 10)
    said = "".join(map(str, digits))
    return " ".join(said[i : i + 4] for i in range(0, 16, 4))


_NOTICES = (
    "Notice: {old} was replaced by {new} this morning.",
    "{new} supersedes {old} from now on.",
    "Please use {new} instead of {old}.",
    "The record changed from {old} to {new}.",
    "{old} is no longer valid; the right one is {new}.",
)


def _stale_in_words(seed: int) -> Twin:
    job, changes = job_of(seed), Changes()
    changes.notice = _NOTICES[seed % len(_NOTICES)].format(old=job.key, new=job.newer)
    return tell(seed, changes), job.key


def _current_in_words(seed: int) -> Scenario:
    job, changes = job_of(seed), Changes()
    changes.notice = _NOTICES[seed % len(_NOTICES)].format(old=job.key, new=job.newer)
    changes.key = job.newer
    if seed % 2:
        changes.rest = f"{job.rest.format(key=job.newer)} It replaces {job.key}, which was the first."
    return tell(seed, changes)


def _stale_anew(seed: int) -> Twin:
    job, changes = job_of(seed), Changes()
    old, new = _reference(seed + 1), _reference(seed + 2)
    changes.anew = (old, new)
    changes.rest = f"{job.rest.format(key=job.key)} File it under {old}."
    return tell(seed, changes), old


def _current_anew(seed: int) -> Scenario:
    job, changes = job_of(seed), Changes()
    old, new = _reference(seed + 1), _reference(seed + 2)
    changes.anew = (old, new)
    changes.rest = f"{job.rest.format(key=job.key)} File it under {new}."
    return tell(seed, changes)


_LONG = " I compared it with {n} others by price, place and date, and it is the only one that meets all the conditions."


def _long_answer(seed: int) -> str:
    return job_of(seed).found + _LONG.format(n=random.Random(seed + 23).randint(3, 9))


def _truncated(seed: int) -> Twin:
    """An answer that ends at the model's limit, or arrives without its end."""
    changes, whole = Changes(), _long_answer(seed)
    cut = whole[: len(whole) - 24 - seed % 20]
    if seed % 2:
        changes.found, changes.ending = cut, ("length", "max_tokens", "MAX_TOKENS")[seed % 3]
        return tell(seed, changes), cut[-20:]
    changes.found, changes.returned = whole, cut + ("", "…", " [truncated]")[seed % 3]
    return tell(seed, changes), whole[-20:]


def whole_answer(seed: int) -> Scenario:
    """An answer that is continued after its limit, is summed up, or only looks as if it went on…"""
    changes, whole = Changes(), _long_answer(seed)
    match seed % 3:
        case 0:
            changes.found, changes.ending, changes.going_on = whole[:-30], "length", whole
        case 1:
            changes.found, changes.returned = whole, job_of(seed).found
        case _:
            changes.found, changes.ending = whole + " And so on…", "stop"
    return tell(seed, changes)


def _compacted(seed: int) -> Twin:
    job, changes = job_of(seed), Changes()
    gone = _chosen(job, seed)
    kept = [c.passed[0] for c in job.conditions if c is not gone]
    changes.compacted = " ".join(("Summary so far.", job.goal, *kept))
    return tell(seed, changes), gone.core


def well_compacted(seed: int) -> Scenario:
    job, changes = job_of(seed), Changes()
    kept = [random.Random(seed + 9).choice(c.passed) for c in job.conditions]
    changes.compacted = " ".join(("Summary so far.", job.goal, *kept))
    return tell(seed, changes)


def _mixed(seed: int) -> Twin:
    """What the person of an earlier session said turns up in a task."""
    changes = Changes()
    if seed % 2:
        changes.extra = foreign = f"My booking reference is {_reference(seed)} and I travel with two dogs."
    else:
        foreign = _reference(seed)
        changes.extra = f"Put it under {foreign}."
    return tell(seed, changes), foreign.rstrip(".")


def _unmixed(seed: int) -> Scenario:
    """A record that a tool holds names the reference of an earlier session, or this person says it, too."""
    changes = Changes()
    if seed % 2:
        changes.asked = f"My booking reference is {_reference(seed)} and I travel with two dogs."
        changes.extra = f"Put it under {_reference(seed)}."
    else:
        changes.notice = f"On file: {_reference(seed)}."
        changes.rest = f"{job_of(seed).rest.format(key=job_of(seed).key)} On file: {_reference(seed)}."
    return tell(seed, changes)


CASES: tuple[Case, ...] = (
    *(
        Case(kind, faulty, partial(_clean, kind=kind), goal)
        for kind, faulty, goal in (
            ("context.lost", _lost, STRICT),
            ("context.altered", _altered, STRICT),
            ("context.invented", _invented, MILD),
            ("context.leaked", _leaked, STRICT),
            ("context.stale", _stale, STRICT),
            ("context.ignored", _ignored, MILD),
            ("tool.bad_arguments", _bad_arguments, STRICT),
        )
    ),
    Case("context.altered, turned", _turned, tell, STRICT),
    Case("context.leaked, to a tool", _leaked_to_tool, _used_by_tool, STRICT),
    Case("context.leaked, of a person", _leaked_person, _paid_with, STRICT),
    Case("context.stale, in words", _stale_in_words, _current_in_words, STRICT),
    Case("context.stale, answered anew", _stale_anew, _current_anew, STRICT),
    Case("context.truncated", _truncated, whole_answer, STRICT),
    Case("context.truncated, by a compaction", _compacted, well_compacted, STRICT),
    Case("context.mixed", _mixed, _unmixed, STRICT),
)
