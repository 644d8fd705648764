"""`context.lost` and `context.altered`: what a delegator was told, and its delegatee was not, or was told differently.

Invariant: a constraint is called lost only where the delegated work needs it, as `needed` tells, and the finding says by what
evidence. What comes to light later is heard: a finding that no longer stands is said again as `info`. Called through the seam of
`contract`; `boundary` compares the sides.
"""

from collections.abc import Iterable, Iterator

from msgspec import structs

from trajectory.detection.altered import Alteration, alterations, turned
from trajectory.detection.boundary import Boundary, Views, boundary_of, is_ripe, label_of
from trajectory.detection.contract import Settling
from trajectory.detection.copied import LEAST_COPIED_COUNT, as_condition, left_out
from trajectory.detection.needed import (
    WEIGHTS,
    Held,
    confidence_of,
    has_its_own,
    is_done_elsewhere,
    is_missing,
    is_superseded,
    reasons_for,
)
from trajectory.detection.pace import Pace
from trajectory.detection.reader import Reader, reader_of
from trajectory.detection.words import around, shorten
from trajectory.graph.delegations import Delegation
from trajectory.graph.trace import Trace
from trajectory.model.fact import Evidence, Finding
from trajectory.model.words import Severity, Slot

LOST = "context.lost"
ALTERED = "context.altered"
WARNING_RATIO = 0.75  # of confidence: from here on an operator is interrupted
_INFO_RATIO = 0.6
_NEAR_COUNT = 16  # delegations before and after one, by the same delegator, that it is compared with
_SHOWN = ("word for word", "parameter", "peer", "all but it", "siblings")


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
    boundary: Boundary, near: list[Boundary], held: list[Held], unchanged: list[Held], trace: Trace
) -> Iterator[Finding]:
    kept = [h for h in held if boundary.sent.holds(h.constraint) or h not in unchanged]
    holes = list(_holes(boundary, near, trace))
    told = [h.constraint.text for h in held if h not in unchanged]
    for each in unchanged:
        if not is_missing(each.constraint, boundary):
            continue
        reasons = reasons_for(each.constraint, boundary, kept, near, trace)
        if any(each.constraint.text in hole.constraint.text for hole in holes):
            reasons["word for word"] = _REST
        confidence = confidence_of(reasons)
        if has_its_own(each.constraint, boundary, kept, near) or is_superseded(each.constraint, boundary):
            continue
        if is_done_elsewhere(each.constraint, boundary, near, reasons):
            confidence = min(confidence, _INFO_RATIO - 0.01)
        if confidence >= _INFO_RATIO and reasons.keys() - {"subject", "hard"}:
            told.append(each.constraint.text)
            yield _lost_finding(each, boundary, reasons, confidence, trace)
    for hole in holes:
        if not any(text in hole.constraint.text for text in told):
            yield _lost_finding(hole, boundary, {"word for word": _REST}, WEIGHTS["word for word"], trace)


_REST = "the rest of the request was passed on word for word"


def _holes(boundary: Boundary, near: list[Boundary], trace: Trace) -> Iterator[Held]:
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
            yield Held(as_condition(sentence), digest)


def _constraints(boundary: Boundary, trace: Trace) -> list[Held]:
    """What the delegator was asked, each condition once."""
    reader = reader_of(trace)
    found: dict[object, Held] = {}
    for digest in boundary.asked:
        for constraint in reader.constraints(digest):
            found.setdefault(constraint.key, Held(constraint, digest))
    return list(found.values())


def _place(delegation: Delegation) -> tuple[bytes, list[bytes]]:
    """Where it is seen, and the way there: the delegatee's span after the delegator's."""
    target = delegation.target_span
    if target is None or target.span_id == delegation.delegation_id:
        return delegation.delegation_id, [delegation.delegation_id]
    return target.span_id, [delegation.delegation_id, target.span_id]


def _lost_finding(held: Held, boundary: Boundary, reasons: dict[str, str], confidence: float, trace: Trace) -> Finding:
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


def _altered(boundary: Boundary, changes: list[Alteration], held: list[Held], trace: Trace) -> Iterator[Finding]:
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
