"""Whether delegated work needs a condition that it was not given, by what evidence, and what speaks against it.

Invariant: pure. A brief that leaves out what is irrelevant is a good brief, so silence is the rule. Evidence that work needs a
constraint:

- `parameter`: a tool of the delegatee takes it (the constraint says "non-stop flights only", a parameter is `nonstop`);
- `peer`: a like delegation by the same delegator (same target, or a like task) was given it;
- `siblings`: the task passes on another constraint of the same request and is about this one's subject; `all but it`: it passes
  on several, and leaves out this one;
- `word for word`: the rest of the request was passed on as it was written, which makes a copy with a hole;
- `subject` alone is a hint and never enough.

Against it: the constraint went to the delegatee of other work, or the task is about one thing already chosen (an identifier that
no request named, such as `hotel H7`): choosing is done. Where a request sets one bound more than once, each part of it may have
its own. Called by `lost`.
"""

from typing import NamedTuple

from trajectory.detection.boundary import Boundary, label_of
from trajectory.detection.constraints import Constraint
from trajectory.detection.derived import is_derived, make_of
from trajectory.detection.items import Item
from trajectory.detection.known import all_keys
from trajectory.detection.supersession import superseded_in
from trajectory.detection.words import shorten, stems
from trajectory.graph.trace import Trace

WEIGHTS = {  # how sure each kind of evidence makes by itself
    "word for word": 0.8,
    "parameter": 0.8,
    "peer": 0.8,
    "all but it": 0.75,
    "siblings": 0.6,
    "subject": 0.3,
    "hard": 0.2,
}
_SEVERAL_COUNT = 2
_VALUES = ("money", "quantity", "date", "time", "identifier", "number")
_WHOLE_COUNT, _WHOLE_RATIO = 3, 0.8
_BOUND_NAMES = frozenset(
    stems("max min maximum minimum limit budget cap ceiling floor before until deadline latest upper lower")
)
_DEADLINE_NAMES = frozenset(stems("deadline due before until latest"))


class Held(NamedTuple):
    """A constraint that the delegator was told, and the digest of what told it."""

    constraint: Constraint
    digest: bytes


def is_missing(constraint: Constraint, boundary: Boundary) -> bool:
    """Whether a constraint did not arrive: not as it was, and not worked out (a share of a budget)."""
    if boundary.received.holds(constraint):
        return False
    makes = {(value.kind, make_of(value)) for value in constraint.values if value.figure}
    known = [*constraint.values, *boundary.asked_items]
    worked_out = (i for i in boundary.sent.items() if (i.kind, make_of(i)) in makes and i not in boundary.known)
    return not any(_follows(i, constraint, known) for i in worked_out)


def _follows(item: Item, constraint: Constraint, known: list[Item]) -> bool:
    """Whether a number was worked out from a constraint's: it follows from what was asked, and not without the constraint."""
    own = {value.key for value in constraint.values}
    return is_derived(item, known) and not is_derived(item, [k for k in known if k.key not in own])


def reasons_for(
    constraint: Constraint, boundary: Boundary, kept: list[Held], near: list[Boundary], trace: Trace
) -> dict[str, str]:
    """Evidence that the delegated work needs a constraint, by kind, each in words."""
    reasons: dict[str, str] = {}
    if _is_taken(constraint, boundary.parameters):
        reasons["parameter"] = "one of its tools has a parameter for it"
    peer = next((p for p in near if _is_peer(boundary, p) and p.received.holds(constraint)), None)
    if peer is not None:
        reasons["peer"] = f"the like task of {label_of(peer.delegation, trace)[1]} had it"
    is_about = bool((constraint.subject or constraint.sentence) & boundary.task_stems)
    siblings = [k for k in kept if k.constraint.key != constraint.key and _is_condition(k.constraint)]
    if siblings and (is_about or len(siblings) >= _SEVERAL_COUNT or _is_passed_on_whole(boundary)):
        is_last = len(siblings) >= _SEVERAL_COUNT or not is_about
        kind = "all but it" if is_last else "siblings"
        reasons[kind] = f"“{shorten(siblings[0].constraint.text, 60)}” of the same request was passed on"
    if is_about:
        reasons["subject"] = "the task is about its subject"
    if constraint.is_hard:
        reasons["hard"] = "it was said as a must"
    return reasons


def _is_taken(constraint: Constraint, parameters: list[frozenset[str]]) -> bool:
    """Whether a tool has a parameter for a constraint: named by its own words, or as the bound on what it is said about."""
    bounded = _BOUND_NAMES | constraint.subject | constraint.stems
    is_dated = constraint.direction < 0 and any(v.kind == "date" for v in constraint.values)
    for name in parameters:
        if name & constraint.stems or (is_dated and name & _DEADLINE_NAMES):
            return True
        if constraint.values and name & constraint.subject and name & _BOUND_NAMES and name <= bounded:
            return True
    return False


def _is_passed_on_whole(boundary: Boundary) -> bool:
    """Whether a task has most of a request's values: it hands on the request, and no part of it."""
    asked = {(i.kind, i.key): i for i in boundary.asked_items if i.kind in _VALUES}
    passed = [i for i in asked.values() if i in boundary.sent]
    return len(passed) >= _WHOLE_COUNT and len(passed) >= _WHOLE_RATIO * len(asked)


def _is_condition(constraint: Constraint) -> bool:
    return constraint.kind != "scope" or bool(constraint.values)


def _is_peer(boundary: Boundary, other: Boundary) -> bool:
    if other.delegation.target_agent == boundary.delegation.target_agent:
        return True
    ours, theirs = _apart(boundary, other), _apart(other, boundary)
    if not ours or not theirs:  # the same task, or one that says more
        return bool(boundary.task_stems and other.task_stems)
    return 2 * len(ours & theirs) >= len(ours | theirs)


def _apart(boundary: Boundary, other: Boundary) -> set[str]:
    """What a task says in sentences that the other does not have word for word: those are a form's, and of no task."""
    shared = other.task_sentences
    return set().union(*(held for sentence, held in boundary.task_sentences.items() if sentence not in shared))


def confidence_of(reasons: dict[str, str]) -> float:
    """Independent hints joined: one less the product of their doubts."""
    doubt = 1.0
    for kind in reasons:
        doubt *= 1 - WEIGHTS[kind]
    return round(1 - doubt, 3)


def is_done_elsewhere(
    constraint: Constraint, boundary: Boundary, near: list[Boundary], reasons: dict[str, str]
) -> bool:
    """Whether this work builds on something for which the constraint was, or could have been, met before."""
    if "parameter" in reasons or "peer" in reasons:
        return False
    return any(p.received.holds(constraint) for p in near) or _names_a_choice(boundary)


def has_its_own(constraint: Constraint, boundary: Boundary, kept: list[Held], near: list[Boundary]) -> bool:
    """Whether a request sets the same bound more than once, and each part of its work was given its own."""
    alike = (
        h.constraint for h in kept if h.constraint.key != constraint.key and _is_same_bound(h.constraint, constraint)
    )
    return any(boundary.received.holds(c) for c in alike) and any(p.received.holds(constraint) for p in near)


def is_superseded(constraint: Constraint, boundary: Boundary) -> bool:
    """Whether the delegator was told that a condition's value is no longer so."""
    keys = {key for value in constraint.values for key in all_keys(value)}
    texts = boundary.asked_texts if keys else []
    return any(not keys.isdisjoint(all_keys(pair.old)) for text in texts for pair in superseded_in(text))


def _is_same_bound(one: Constraint, other: Constraint) -> bool:
    """Whether two conditions bound the same thing, and differ in their values and in whom or what they are for."""
    if not one.direction or one.direction != other.direction:
        return False
    if 2 * len(one.subject & other.subject) < len(one.subject | other.subject):
        return False
    if sorted(v.kind for v in one.values) != sorted(v.kind for v in other.values):
        return False
    return _but_values(one) == _but_values(other)


def _but_values(constraint: Constraint) -> frozenset[str]:
    return constraint.stems.difference(*(stems(value.text) for value in constraint.values))


def _names_a_choice(boundary: Boundary) -> bool:
    """Whether the task names an identifier that the delegator was not asked about: something found on the way."""
    wanted = {i.key for i in boundary.asked_items if i.kind == "identifier"}
    return any(i.kind == "identifier" and i.key not in wanted for i in boundary.sent.items())
