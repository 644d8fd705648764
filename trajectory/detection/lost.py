"""`context.lost` and `context.altered`: what a delegator was told, and its delegatee was not, or was told differently.

Invariant: a constraint is called lost only where the delegated work needs it, and the finding says by what evidence. A brief
that leaves out what is irrelevant is a good brief, so silence is the rule. Evidence that the work needs a constraint:

- `parameter`: a tool of the delegatee takes it (the constraint says "non-stop flights only", a parameter is `nonstop`);
- `peer`: a like delegation by the same delegator (same target, or a like task) was given it;
- `siblings`: the task passes on another constraint of the same request and is about this one's subject; `all but it`: it passes
  on several, and leaves out this one;
- `word for word`: the rest of the request was passed on as it was written, which makes a copy with a hole;
- `subject` alone is a hint and never enough.

Against it: the constraint went to the delegatee of other work, or the task is about one thing already chosen (an identifier that
no request named, such as `hotel H7`): choosing is done. Where a request sets one bound more than once, each part of it may have
its own. Where that comes to light later, the finding is said again as `info`.
Called through the seam of `contract`; `boundary` compares the sides.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from msgspec import structs

from trajectory.detection.altered import Alteration, alterations, turned
from trajectory.detection.boundary import Boundary, Views, boundary_of, is_ripe, label_of
from trajectory.detection.constraints import Constraint
from trajectory.detection.contract import Settling
from trajectory.detection.copied import LEAST_COPIED_COUNT, as_condition, left_out
from trajectory.detection.derived import is_derived, make_of
from trajectory.detection.items import Item
from trajectory.detection.known import all_keys
from trajectory.detection.pace import Pace
from trajectory.detection.reader import Reader, reader_of
from trajectory.detection.supersession import superseded_in
from trajectory.detection.words import around, shorten, stems
from trajectory.graph.delegations import Delegation
from trajectory.graph.trace import Trace
from trajectory.model.fact import Evidence, Finding
from trajectory.model.words import Severity, Slot

LOST = "context.lost"
ALTERED = "context.altered"
WARNING_RATIO = 0.75  # of confidence: from here on an operator is interrupted
_INFO_RATIO = 0.6
_NEAR_COUNT = 16  # delegations before and after one, by the same delegator, that it is compared with
_WEIGHTS = {
    "word for word": 0.8,
    "parameter": 0.8,
    "peer": 0.8,
    "all but it": 0.75,
    "siblings": 0.6,
    "subject": 0.3,
    "hard": 0.2,
}
_SHOWN = ("word for word", "parameter", "peer", "all but it", "siblings")
_SEVERAL_COUNT = 2
_VALUES = ("money", "quantity", "date", "time", "identifier", "number")
_WHOLE_COUNT, _WHOLE_RATIO = 3, 0.8
_BOUND_NAMES = frozenset(
    stems("max min maximum minimum limit budget cap ceiling floor before until deadline latest upper lower")
)
_DEADLINE_NAMES = frozenset(stems("deadline due before until latest"))


class _Held(NamedTuple):
    constraint: Constraint
    digest: bytes


class ContextAtBoundaries(Settling):
    """The detector of `context.lost` and `context.altered`."""

    name = "context.boundary"

    def __init__(self) -> None:
        self._pace = Pace()
        self._judged_as: dict[bytes, tuple[int, ...]] = {}  # delegation → what its sides held then
        self._loud: dict[bytes, dict[str, Finding]] = {}  # delegation → what was said of it at warning

    def settle(self, now_ns: int, trace: Trace) -> Iterable[Finding]:
        """Findings on every delegation whose two sides have spoken."""
        if not trace.has_contents or not self._pace.is_due(trace, now_ns):
            return  # without contents every side is hidden
        views = Views(trace)
        by_source: dict[int, list[Delegation]] = {}
        for delegation in trace.delegations():
            if is_ripe(delegation):
                by_source.setdefault(id(delegation.source), []).append(delegation)
        for given in by_source.values():
            yield from self._judged(given, views, trace)

    def _judged(self, given: list[Delegation], views: Views, trace: Trace) -> Iterator[Finding]:
        """Findings on one delegator's delegations, as far as they or their neighbours have changed."""
        changed = [i for i, delegation in enumerate(given) if self._has_changed(delegation, views)]
        touched = {j for i in changed for j in range(max(i - _NEAR_COUNT, 0), min(i + _NEAR_COUNT + 1, len(given)))}
        boundaries: dict[int, Boundary] = {}
        for i in sorted(touched):
            around_it = range(max(i - _NEAR_COUNT, 0), min(i + _NEAR_COUNT + 1, len(given)))
            for j in around_it:
                if j not in boundaries:
                    boundaries[j] = boundary_of(given[j], trace, views)
            if not boundaries[i].hidden:
                near = [boundaries[j] for j in around_it if j != i]
                yield from self._as_it_stands(
                    given[i].delegation_id, _findings(boundaries[i], near, views.reader, trace)
                )

    def _as_it_stands(self, delegation_id: bytes, found: Iterable[Finding]) -> Iterator[Finding]:
        """The findings on a delegation; one that was said before and no longer stands is said again, as no alarm."""
        before = self._loud.pop(delegation_id, {})
        now: dict[str, Finding] = {}
        for finding in found:
            if finding.severity != Severity.INFO:
                now[finding.key] = finding
            before.pop(finding.key, None)
            yield finding
        for finding in before.values():
            yield structs.replace(finding, severity=Severity.INFO, confidence=_INFO_RATIO)
        if now:
            self._loud[delegation_id] = now

    def _has_changed(self, delegation: Delegation, views: Views) -> bool:
        """Whether anything that the two sides hold may have changed since it was judged."""
        source, target = delegation.source, delegation.target
        now = (
            len(views.seen_by(source, delegation.sent_ns)) if source is not None else -1,
            len(source.span.contents) if source is not None and source.span is not None else -1,
            len(views.sent_to(source)) if source is not None else -1,
            len(target.spans) if target is not None else -1,
            sum(len(s.digests(Slot.INPUT)) for s in views.calls(target)) if target is not None else -1,
            delegation.returned_ns,
            len(delegation.task_digests()),
        )
        before = self._judged_as.get(delegation.delegation_id)
        self._judged_as[delegation.delegation_id] = now
        return now != before


def _findings(boundary: Boundary, near: list[Boundary], reader: Reader, trace: Trace) -> Iterator[Finding]:
    """What was altered at a boundary, and what was lost there otherwise."""
    held = _constraints(boundary, trace)
    changes = list(alterations(boundary, reader))
    keys = {change.key for change in changes}
    changed = [h for h in held if any(value.key in keys for value in h.constraint.values)]
    for constraint, change in turned((h.constraint for h in held if h not in changed), boundary, reader):
        changes.append(change)
        changed += [h for h in held if h.constraint is constraint]
    yield from _altered(boundary, changes, held, trace)
    yield from _lost(boundary, near, held, [h for h in held if h not in changed], trace)


def _lost(
    boundary: Boundary, near: list[Boundary], held: list[_Held], unchanged: list[_Held], trace: Trace
) -> Iterator[Finding]:
    kept = [h for h in held if boundary.sent.holds(h.constraint) or h not in unchanged]
    holes = list(_holes(boundary, near, trace))
    told = [h.constraint.text for h in held if h not in unchanged]
    for each in unchanged:
        if not _is_missing(each.constraint, boundary):
            continue
        reasons = _reasons(each.constraint, boundary, kept, near, trace)
        if any(each.constraint.text in hole.constraint.text for hole in holes):
            reasons["word for word"] = _REST
        confidence = _confidence(reasons)
        if _has_its_own(each.constraint, boundary, kept, near) or _is_superseded(each.constraint, boundary):
            continue
        if _is_done_elsewhere(each.constraint, boundary, near, reasons):
            confidence = min(confidence, _INFO_RATIO - 0.01)
        if confidence >= _INFO_RATIO and reasons.keys() - {"subject", "hard"}:
            told.append(each.constraint.text)
            yield _lost_finding(each, boundary, reasons, confidence, trace)
    for hole in holes:
        if not any(text in hole.constraint.text for text in told):
            yield _lost_finding(hole, boundary, {"word for word": _REST}, _WEIGHTS["word for word"], trace)


_REST = "the rest of the request was passed on word for word"


def _holes(boundary: Boundary, near: list[Boundary], trace: Trace) -> Iterator[_Held]:
    """The sentences of a request that a copy of it lacks, and that nobody else was given."""
    reader = reader_of(trace)
    copy = boundary.sent.sentences
    asked = [d for d in boundary.asked if len(copy.keys() & reader.sentences(d).keys()) >= LEAST_COPIED_COUNT]
    if not asked:
        return
    shown = [reader.sentences(d) for d in boundary.received.readable if reader.asked(d)]
    said = {sentence: held for told in (*shown, *(p.sent.sentences for p in near)) for sentence, held in told.items()}
    for digest in asked:
        for sentence in left_out(reader.asked(digest), copy, said):
            yield _Held(as_condition(sentence), digest)


def _is_missing(constraint: Constraint, boundary: Boundary) -> bool:
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


def _constraints(boundary: Boundary, trace: Trace) -> list[_Held]:
    """What the delegator was asked, each condition once."""
    reader = reader_of(trace)
    found: dict[object, _Held] = {}
    for digest in boundary.asked:
        for constraint in reader.constraints(digest):
            found.setdefault(constraint.key, _Held(constraint, digest))
    return list(found.values())


def _reasons(
    constraint: Constraint, boundary: Boundary, kept: list[_Held], near: list[Boundary], trace: Trace
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


def _confidence(reasons: dict[str, str]) -> float:
    """Independent hints joined: one less the product of their doubts."""
    doubt = 1.0
    for kind in reasons:
        doubt *= 1 - _WEIGHTS[kind]
    return round(1 - doubt, 3)


def _is_done_elsewhere(
    constraint: Constraint, boundary: Boundary, near: list[Boundary], reasons: dict[str, str]
) -> bool:
    """Whether this work builds on something for which the constraint was, or could have been, met before."""
    if "parameter" in reasons or "peer" in reasons:
        return False
    return any(p.received.holds(constraint) for p in near) or _names_a_choice(boundary)


def _has_its_own(constraint: Constraint, boundary: Boundary, kept: list[_Held], near: list[Boundary]) -> bool:
    """Whether a request sets the same bound more than once, and each part of its work was given its own."""
    alike = (
        h.constraint for h in kept if h.constraint.key != constraint.key and _is_same_bound(h.constraint, constraint)
    )
    return any(boundary.received.holds(c) for c in alike) and any(p.received.holds(constraint) for p in near)


def _is_superseded(constraint: Constraint, boundary: Boundary) -> bool:
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


def _place(delegation: Delegation) -> tuple[bytes, list[bytes]]:
    """Where it is seen, and the way there: the delegatee's span after the delegator's."""
    target = delegation.target_span
    if target is None or target.span_id == delegation.delegation_id:
        return delegation.delegation_id, [delegation.delegation_id]
    return target.span_id, [delegation.delegation_id, target.span_id]


def _lost_finding(held: _Held, boundary: Boundary, reasons: dict[str, str], confidence: float, trace: Trace) -> Finding:
    delegation, constraint = boundary.delegation, held.constraint
    source, target = label_of(delegation, trace)
    seen_at, path = _place(delegation)
    because = "; ".join(reasons[k] for k in _SHOWN if k in reasons)
    reader = reader_of(trace)
    asked = reader.asked(held.digest)
    start = max(asked.find(constraint.text), 0)
    task = " / ".join(shorten(reader.text(d) or "") for d in boundary.sent.readable[:1])
    known_at = delegation.source.span_id if delegation.source is not None else delegation.delegation_id
    return Finding(
        kind=LOST,
        severity=Severity.WARNING if confidence >= WARNING_RATIO else Severity.INFO,
        confidence=confidence,
        trace_id=trace.trace_id,
        span_id=seen_at,
        message=f"{source} was told “{shorten(constraint.text, 80)}” and {target} never was, though {because}",
        agent=delegation.target_agent,
        peer_agent=delegation.source_agent,
        value=constraint.text,
        root_span_id=delegation.delegation_id,
        path=path,
        evidence=[
            Evidence(known_at, around(asked, start, start + len(constraint.text))),
            Evidence(delegation.delegation_id, task),
        ],
        grade=str(delegation.grade),
        at_ns=delegation.sent_ns,
    )


def _altered(boundary: Boundary, changes: list[Alteration], held: list[_Held], trace: Trace) -> Iterator[Finding]:
    delegation = boundary.delegation
    source, target = label_of(delegation, trace)
    seen_at, path = _place(delegation)
    for change in changes:
        condition = next((h.constraint.text for h in held if any(v.key == change.key for v in h.constraint.values)), "")
        was = shorten(condition, 80) if change.was in condition else change.was
        yield Finding(
            kind=ALTERED,
            severity=Severity.WARNING,
            confidence=change.confidence,
            trace_id=trace.trace_id,
            span_id=seen_at,
            message=f"{source} was told “{was}” and told {target} “{change.now}”",
            agent=delegation.target_agent,
            peer_agent=delegation.source_agent,
            value=change.was,
            root_span_id=delegation.delegation_id,
            path=path,
            evidence=[
                Evidence(delegation.source.span_id if delegation.source else delegation.delegation_id, change.before),
                Evidence(delegation.delegation_id, change.after),
            ],
            grade=str(delegation.grade),
            at_ns=delegation.sent_ns,
        )
