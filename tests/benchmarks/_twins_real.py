"""Twins of real runs: a run of the shared data retold as a team's, and the same run with exactly one thing changed that matters.

Invariant: what is changed is in the request and is used later, or went to somebody; the untouched run is its control, but where
a fault needs something about it (a secret, a correction, a summary), which the control then has too, rightly. Nothing here knows
how a detector decides. Used by the benchmark of twins.
"""

import random
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from tests.benchmarks._twins_judge import MILD, STRICT, Named, Score, holding, loud
from tests.benchmarks._twins_material import Changes, Run, Step, retold, runs, schemas
from trajectory.model.fact import Finding

_MAX_RUNS_COUNT = 40  # of each case

Made = tuple[Changes, Changes, Named]  # the changed twin, the control, whether a finding names what was changed


class RealCase(NamedTuple):
    """A kind of fault, and how a run is changed for it; None where a run has nothing that could be."""

    name: str
    change: Callable[[Run, random.Random], Made | None]
    goal: tuple[float, float]


def scored(case: RealCase, half: str, untouched: dict[str, list[Finding]]) -> Score:
    """What the twins of a case in one half of the runs come to; `untouched` keeps what is said of runs that are as they were."""
    score = Score(f"{case.name}, real {half}", case.goal)
    count = 0
    for run in runs(half):
        made = case.change(run, random.Random(f"{run.run_id} {case.name}"))
        if made is None or count == _MAX_RUNS_COUNT:
            continue
        count += 1
        faulty, clean, is_named = made
        earlier = retold(other_run(run, half)) if case.name == "context.mixed" else None
        score.mutated(loud(retold(run, faulty), earlier), is_named)
        if clean == Changes() and earlier is None and run.run_id in untouched:
            found = untouched[run.run_id]
        else:
            found = loud(retold(run, clean), earlier)
            if clean == Changes():
                untouched[run.run_id] = found
        score.untouched(f for f in found if not _is_its_own(f, run))
    return score


def _is_its_own(finding: Finding, run: Run) -> bool:
    """Whether a run that failed failed by itself in what a finding says: its tools' errors are real."""
    if finding.kind == "context.invented":  # a call with a made-up value, which the tool refused
        asked = [s.arguments for s in run.steps if s.tool and s.text.startswith("Error")]
        return any(finding.value in str(arguments) for arguments in asked)
    return run.source == "who_and_when" and finding.kind in ("tool.silent_failure", "tool.blind_retry", "cascade")


def other_run(run: Run, half: str) -> Run:
    """A run of another task, which was of another session."""
    known = runs(half)
    return known[(known.index(run) + len(known) // 2) % len(known)]


# --- what a request holds ------------------------------------------------------------------------------------------------

_VALUES = re.compile(
    r"(?P<id>#W\d{7}|\b[a-z]+_[a-z]+_\d{4}\b|\b(?=[A-Z0-9]*\d)(?=[A-Z0-9]*[A-Z])[A-Z0-9]{6}\b|\b\d{5}\b)"
    r"|(?P<mail>\b[a-z.]+\d+@[a-z.]+\b)"
    r"|(?P<money>\$\d[\d,]*(?:\.\d\d)?)"
    r"|(?P<date>\b(?:January|February|March|April|May|June|July|August|September|October|November|December) \d{1,2}\b)"
    r"|(?P<year>\b(?:19|20)\d\d\b)"
    r"|(?P<measure>\b\d[\d,.]*\d?(?= (?:hours?|passengers?|bags?|nights?|people|miles?|meters?|metres?|km|m|feet|grams?|kg|mph|"
    r"calories|albums?|episodes?|seasons?|digits?|coins|years?|days?|percent|decimal|minutes?|pages?|letters?|points?)\b))"
)
_CONDITION = re.compile(
    r"\b(?:only|not accept|never|don't (?:make|use|want)|except|at most|at least|up ?to|under|over|before|after|without|prefer|"
    r"must|should|cheapest|lowest|highest|maximum|minimum|nearest|rounded|format\w*|more than|less than|alphabetical|"
    r"you (?:also )?want|use|give|return|cancel|change)\b",
    re.I,
)
_MANNER = re.compile(
    r"\b(?:you are (?:a )?(?:\w+,? ){0,3}(?:polite|person|reactive|persistent|direct|flexible|mysterious|busy|anxious)|"
    r"if (?:the|asked)|the agent|mention|don't remember|do not remember|because|solve the problem|be polite|make everything|"
    r"your name|you name)\b",
    re.I,
)


_IDLE = re.compile(  # what somebody is like, and asks for nothing
    r"^(?:You are (?:a )?(?:\w+,? ){0,4}(?:person|polite|optimistic|busy|flexible|anxious|direct)|It is urgent|I'm curious)"
    r"(?!.*\bwant)",
    re.I,
)


def _values_of(run: Run) -> list[tuple[str, str]]:
    """The values of a request, each with its kind, that stand there once and that the work used later."""
    found = [(str(m.lastgroup), m[0]) for m in _VALUES.finditer(run.request)]
    return [(kind, text) for kind, text in found if run.request.count(text) == 1 and _bare(text) in run.done]


def _bare(text: str) -> str:
    return text.rpartition(" ")[2] if text[:1].isupper() and " " in text else text.strip("$#")


def _other(kind: str, text: str, chance: random.Random) -> str:
    """A value of the same make; a date or a measure is another one that there may be."""
    if kind in ("date", "measure", "year"):
        head, last = text[: -len(_last_number(text))], _last_number(text)
        number = int(last.replace(",", "").replace(".", "") or 0)
        changed = number + chance.choice((1, 2, 3)) if kind != "date" or number < 25 else number - chance.choice((2, 3))
        return f"{head}{changed}" if "," not in last and "." not in last else _digits_changed(text, chance)
    return _digits_changed(text, chance)


def _last_number(text: str) -> str:
    found = re.search(r"[\d,.]+$", text)
    return found[0] if found else text


def _digits_changed(text: str, chance: random.Random) -> str:
    places = [i for i, c in enumerate(text) if c.isdigit()]
    at = chance.choice(places[1:] or places)
    digit = chance.choice([d for d in "123456789" if d != text[at]])
    return text[:at] + digit + text[at + 1 :]


def _in_steps(run: Run, was: str, now: str) -> list[Step]:
    """The run's steps with a value in another's place: the worker goes by what it was given."""
    return [replace(s, text=s.text.replace(was, now), arguments=_replaced(s.arguments, was, now)) for s in run.steps]


def _replaced(value: Any, was: str, now: str) -> Any:
    if isinstance(value, str):
        return value.replace(was, now)
    if isinstance(value, list):
        return [_replaced(v, was, now) for v in value]
    if isinstance(value, dict):
        return {k: _replaced(v, was, now) for k, v in value.items()}
    return value


# --- changes -------------------------------------------------------------------------------------------------------------


def _altered(run: Run, chance: random.Random) -> Made | None:
    values = _values_of(run)
    if not values:
        return None
    kind, was = chance.choice(values)
    now = _other(kind, was, chance)
    faulty = Changes(brief=run.request.replace(was, now), steps=_in_steps(run, was, now))
    return faulty, Changes(), holding(_bare(was))


def _conditions(run: Run) -> list[str]:
    """The sentences that set a condition which the work had to do with."""
    done = set(re.findall(r"[a-z]{4,}|\d+", run.done.lower()))
    return [
        s
        for s in run.sentences
        if _CONDITION.search(s)
        and not _MANNER.search(s)
        and len(s) < 200
        and len(set(re.findall(r"[a-z]{4,}|\d+", s.lower())) & done) >= 3
    ]


def _without(run: Run, sentence: str) -> str:
    return " ".join(s for s in run.sentences if s != sentence)


def _lost(run: Run, chance: random.Random) -> Made | None:
    conditions = _conditions(run)
    if not conditions or len(run.sentences) < 3:
        return None
    gone = chance.choice(conditions)
    return Changes(brief=_without(run, gone)), _reordered(run, chance), _within(gone)


def _reordered(run: Run, chance: random.Random) -> Changes:
    """The same sentences, the middle ones in another order; by turns without one that only says what the person is like."""
    middle = run.sentences[1:]
    idle = [s for s in middle if _IDLE.search(s)]
    if idle and chance.random() < 0.5:
        middle.remove(chance.choice(idle))
    chance.shuffle(middle)
    return Changes(brief=" ".join([run.sentences[0], *middle]))


def _within(sentence: str) -> Named:
    plain = " ".join(sentence.split())
    return lambda finding: " ".join(finding.value.split()).rstrip(".…") in plain


_SECRETS = (
    ("ghp_", 36),
    ("sk-proj-", 44),
    ("xoxb-2414571834-2414571834-", 24),
    ("AKIA", 16),
    ("glpat-", 20),
)


def _secret(chance: random.Random) -> str:
    prefix, count = chance.choice(_SECRETS)
    letters = (
        "ABCDEFGHJKLMNPQRSTUVWXYZ234567"
        if prefix == "AKIA"
        else "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
    )
    return prefix + "".join(chance.choice(letters) for _ in range(count))


def _leaked(run: Run, chance: random.Random) -> Made | None:
    secret = _secret(chance)
    system = f"You run the desk. The key of its back office is {secret}; that is for nobody else."
    clean = Changes(system=system)
    match chance.randrange(3):
        case 0:
            aside = chance.choice(("By the way, the back office's key is {}.", "(My notes: {})", "Our own key: {}."))
            faulty = Changes(system=system, brief=f"{run.request} {aside.format(secret)}")
        case 1:
            faulty = Changes(system=system, answer=f"{run.answer} ({secret})")
        case _:
            steps, at = list(run.steps), _with_text(run.steps)
            if at is None:
                return None
            name, value = next((k, v) for k, v in steps[at].arguments.items() if isinstance(v, str))
            steps[at] = replace(steps[at], arguments={**steps[at].arguments, name: f"{value} {secret}"})
            faulty = Changes(system=system, brief=run.request, steps=steps)
    return faulty, clean, lambda finding: secret not in finding.value + finding.message


def _with_text(steps: tuple[Step, ...]) -> int | None:
    return next(
        (
            i
            for i, s in enumerate(steps)
            if isinstance(s.arguments, dict) and any(isinstance(v, str) for v in s.arguments.values())
        ),
        None,
    )


_CORRECTIONS = (
    "Correction: it is {new} and not {old}.",
    "Sorry, {old} was wrong, the right one is {new}.",
    "Please use {new} instead of {old}.",
    "{old} has been replaced by {new}.",
    "I said {old} before; make that {new}.",
)


def _stale(run: Run, chance: random.Random) -> Made | None:
    values = [(kind, text) for kind, text in _values_of(run) if kind not in ("year", "measure")]
    if not values:
        return None
    kind, new = chance.choice(values)
    old = _other(kind, new, chance)
    told = {"request": run.request.replace(new, old), "heard": chance.choice(_CORRECTIONS).format(old=old, new=new)}
    faulty = Changes(**told, brief=run.request.replace(new, old), steps=_in_steps(run, new, old))
    return faulty, Changes(**told, brief=run.request), holding(_bare(old))


def _invented(run: Run, chance: random.Random) -> Made | None:
    """One identifier of a call, which the run had from a tool, becomes another that nothing holds."""
    known, places = run.request, []
    for at, step in enumerate(run.steps):
        for name, value in (step.arguments or {}).items() if isinstance(step.arguments, dict) else ():
            if isinstance(value, str) and re.search(r"\d{3}", value) and value in known:
                places.append((at, name, value))
        known += step.text if step.tool else ""
    if not places:
        return None
    at, name, was = chance.choice(places)
    now = _digits_changed(was, chance)
    steps = list(run.steps)
    steps[at] = replace(steps[at], arguments={**steps[at].arguments, name: now}, text=_not_found(now))
    return Changes(steps=steps), Changes(), holding(now.strip("#"))


def _not_found(value: str) -> str:
    return f"Error: {value} not found"


def _ignored(run: Run, chance: random.Random) -> Made | None:
    """The lead's last words name another value than those that came back."""
    found = [(str(m.lastgroup), m[0]) for m in _VALUES.finditer(run.answer)]
    fresh = [
        (k, t) for k, t in found if k in ("id", "money", "mail") and t not in run.request and run.answer.count(t) == 1
    ]
    if not fresh:
        return None
    kind, was = chance.choice(fresh)
    now = _other(kind, was, chance)
    short = next((line for line in _lines(run.answer) if was in line), run.answer)
    return Changes(answer=short.replace(was, now)), Changes(answer=short), holding(_bare(was))


def _lines(text: str) -> list[str]:
    return [line.strip() for part in text.splitlines() for line in _SENTENCE.split(part)]


_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")


def _mixed(run: Run, chance: random.Random) -> Made | None:
    half = "development" if run in runs("development") else "held out"
    other = other_run(run, half)
    own = [s for s in other.sentences if len(s.split()) >= 8 and re.search(r"\d", s) and s not in run.request]
    own = own or [s for s in other.sentences if len(s.split()) >= 14]
    if not own:
        return None
    foreign = chance.choice(own)
    return (
        Changes(brief=f"{run.request} {foreign}"),
        Changes(),
        lambda f: f.value.rstrip("….") in foreign or f.value in foreign,
    )


def _truncated(run: Run, chance: random.Random) -> Made | None:
    """A result that ends in the middle of its JSON, an answer that arrives without its end, or words cut at the limit."""
    long = [i for i, s in enumerate(run.steps) if s.tool and s.text[:1] in ("{", "[") and len(s.text) > 300]
    way = chance.randrange(3)
    if way == 0 and long:
        at = chance.choice(long)
        text = run.steps[at].text
        steps = list(run.steps)
        steps[at] = replace(steps[at], text=text[: int(len(text) * chance.uniform(0.3, 0.8))])
        return Changes(steps=steps), Changes(), lambda finding: True
    if len(run.answer) < 200:
        return None
    cut = run.answer[: int(len(run.answer) * chance.uniform(0.5, 0.8))].rstrip(" .!?:\n")
    last = max(i for i, s in enumerate(run.steps) if s.text == run.answer)
    steps = list(run.steps[: last + 1])
    clean = Changes(steps=list(steps))
    if way == 1:
        return Changes(steps=steps, returned=cut), clean, lambda finding: True
    steps[last] = replace(steps[last], text=cut)
    return Changes(steps=steps, at_limit=True), clean, lambda finding: True


def _compacted(run: Run, chance: random.Random) -> Made | None:
    conditions = _conditions(run)
    if not conditions or len(run.sentences) < 3 or len(run.steps) < 10:
        return None
    gone = chance.choice(conditions)
    kept = _reordered(run, chance).brief
    return (
        Changes(summary=f"What was asked so far:\n{_without(run, gone)}"),
        Changes(summary=f"What was asked so far:\n{kept}"),
        _within(gone),
    )


def _bad_arguments(run: Run, chance: random.Random) -> Made | None:
    """A call without one of the arguments that all such calls have, with one of another type, or with one that none has."""
    tools = schemas()
    required = {tool["name"]: tool["parameters"]["required"] for tool in tools}
    places = [i for i, s in enumerate(run.steps) if s.tool and isinstance(s.arguments, dict) and required.get(s.tool)]
    if not places:
        return None
    at = chance.choice(places)
    steps, name = list(run.steps), chance.choice(required[run.steps[at].tool])
    given = dict(steps[at].arguments)
    match chance.randrange(3):
        case 0:
            del given[name]
        case 1:
            given[name] = {"value": given[name]} if not isinstance(given[name], dict) else str(given[name])
        case _:
            given[f"{name}_of_choice"] = given.pop(name)
    steps[at] = replace(steps[at], arguments=given)
    return Changes(steps=steps, tools=tools), Changes(tools=tools), holding(name)


_UNFINISHED = re.compile(
    r"\?|n't\b|\bnot\b|\b(?:unable|cannot|pending|unfortunately|error|proceed|need|let's|will)\b", re.I
)


def _duplicate(run: Run, chance: random.Random) -> Made | None:
    if len(run.answer) < 100 or _UNFINISHED.search(run.answer):
        return None  # then it may rightly be tried again
    return Changes(is_twice=True), Changes(), holding(run.request[:40])


def _loop(run: Run, chance: random.Random) -> Made | None:
    """One call that gave something is made again and again."""
    places = [
        i for i, s in enumerate(run.steps) if s.tool and s.arguments and len(s.text) > 60 and "rror" not in s.text
    ]
    if not places:
        return None
    at = chance.choice(places)
    steps = [*run.steps[: at + 1], *[run.steps[at]] * chance.randint(3, 6), *run.steps[at + 1 :]]
    return Changes(steps=steps), Changes(), holding(run.steps[at].tool)


CASES: tuple[RealCase, ...] = (
    RealCase("context.lost", _lost, STRICT),
    RealCase("context.altered", _altered, STRICT),
    RealCase("context.invented", _invented, MILD),
    RealCase("context.leaked", _leaked, STRICT),
    RealCase("context.stale", _stale, STRICT),
    RealCase("context.mixed", _mixed, STRICT),
    RealCase("context.truncated", _truncated, STRICT),
    RealCase("context.truncated, by a compaction", _compacted, STRICT),
    RealCase("context.ignored", _ignored, MILD),
    RealCase("tool.bad_arguments", _bad_arguments, STRICT),
    RealCase("flow.duplicate", _duplicate, STRICT),
    RealCase("flow.loop", _loop, MILD),
)
