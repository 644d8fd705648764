"""The way of a value through the agents of a trace: one span a hop, from the failure to where the value ended.

Invariant: each hop follows from the one before: a delegation whose task held the value, or an answer that did; spans are in
order of time and each occurs once. Called by the cascade detector, which found the value.
"""

from itertools import pairwise

from trajectory.detection.occurrences import ARGUMENT, GIVEN, SAID, Occurrence, Occurrences
from trajectory.detection.spread import Spread
from trajectory.detection.structure import Structure
from trajectory.graph.delegations import Delegation
from trajectory.graph.span import Span
from trajectory.graph.trace import Invocation, Trace

_MAX_HOPS_COUNT = 32


def route_of(spread: Spread, answered: Occurrence | None, structure: Structure) -> list[Span]:
    """The path of a value: its root, where it came up, who passed it on, where it surfaced as a failure or was last used,
    and the answer that it reached."""
    start = [spread.root.span, *([spread.origin.span] if spread.how == "substitute" else []), spread.said.span]
    end = _end(spread, answered)
    middle = _Way(spread, structure).to(end.owner, end.at_ns) if end is not None else []
    path = [
        *start,
        *middle,
        *([end.span] if end is not None else []),
        *([answered.span] if answered is not None else []),
    ]
    return list({span.span_id: span for span in path}.values())


def answer_spans(trace: Trace, occurrences: Occurrences, structure: Structure) -> frozenset[bytes]:
    """Ids of the spans that give the trace's final answer, once it is complete: the last to speak among those whose answer
    no other agent waits for, with their agent's span and the trace's root. Empty while the trace is live."""
    root = trace.root
    if trace.open_count or root is None:
        return frozenset()
    speaking = (trace.spans[span_id] for _, span_id in reversed(occurrences.speaking))
    last = next((span for span in speaking if not structure.is_awaited(span.owner)), None)
    if last is None:
        free = [i.span for i in structure.invocations if i.span is not None and not structure.is_awaited(i)]
        return frozenset(span.span_id for span in free[-1:])
    outer = last.owner.span if last.owner is not None else None
    return frozenset((last.span_id, root.span_id, *((outer.span_id,) if outer is not None else ())))


def _end(spread: Spread, answered: Occurrence | None) -> Occurrence | None:
    """Where the value surfaced as a failure; else its last use by another agent before the answer."""
    owner = spread.root.span.owner
    failed = {root.span.span_id for root in spread.surfaced}
    uses = [o for o in spread.trail if o.at_ns >= spread.said.at_ns and o.owner is not owner]
    surfaced = next((o for o in uses if o.span.span_id in failed), None)
    if surfaced is not None:
        return surfaced
    used = [o for o in uses if o.role in (SAID, ARGUMENT) and (answered is None or o.at_ns <= answered.at_ns)]
    return answered if answered is not None and answered.owner is not owner else (used[-1] if used else None)


class _Way:
    """Walks a value's occurrences back from an agent to the one that it came from."""

    def __init__(self, spread: Spread, structure: Structure) -> None:
        self._source = spread.root.span.owner
        self._trail = [o for o in spread.trail if o.at_ns >= spread.said.at_ns]
        self._structure = structure
        self._holding = {o.span.span_id for o in self._trail if o.role == GIVEN}

    def to(self, owner: Invocation | None, before_ns: int) -> list[Span]:
        """The spans between the value's source and its being in an agent's hands by `before_ns`, in order of time."""
        hops: list[list[Span]] = []
        seen = {id(self._source)}
        at, until_ns = owner, before_ns
        while at is not None and id(at) not in seen and len(hops) < _MAX_HOPS_COUNT:
            seen.add(id(at))
            entry = self._entry(at, until_ns)
            mention = next((o for o in self._trail if o.owner is at and o.role == SAID and o.at_ns <= until_ns), None)
            own = [mention.span] if mention is not None else []
            if entry is not None:
                hops.append([entry.span, *own])
                until_ns = entry.sent_ns
                at = entry.source
                continue
            hops.append(own)
            giver = self._giver(at, until_ns)
            until_ns = giver.at_ns if giver is not None else 0
            at = giver.owner if giver is not None else None
        return [span for hop in reversed(hops) for span in hop]

    def _entry(self, owner: Invocation, until_ns: int) -> Delegation | None:
        """The delegation by which an agent was given the value."""
        given = (d for d in self._structure.given_to(owner) if d.sent_ns <= until_ns)
        return next((d for d in given if d.delegation_id in self._holding), None)

    def _giver(self, owner: Invocation, until_ns: int) -> Occurrence | None:
        """Whoever said the value before an agent did: its delegatee first, else the latest to speak."""
        first = next((o.at_ns for o in self._trail if o.owner is owner), until_ns)
        said = [o for o in self._trail if o.owner is not owner and o.role in (SAID, GIVEN) and o.at_ns <= first]
        below = (o for o in said if any(d.source is owner for d in self._structure.given_to(o.owner)))
        return next(below, said[-1] if said else None)


def boundary_on(path: list[Span], structure: Structure) -> tuple[Span, str] | None:
    """The first hand-over on a path, at which somebody else could have seen that something was wrong: the span that carries it,
    and whether it was passed on in a `task` or in an `answer`. None where the path stays with one agent."""
    owned = [span for span in path if span.owner is not None]
    for before, after in pairwise(owned):
        if before.owner is after.owner:
            continue
        for delegation in structure.given_to(before.owner):
            if delegation.source is after.owner:
                return delegation.span, "answer"
        for delegation in structure.given_to(after.owner):
            if delegation.source is before.owner:
                return delegation.span, "task"
        return after, "words"
    return None
