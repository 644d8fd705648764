"""Who gave work to whom, read off the agent and delegation spans of one trace.

Invariant: one act of giving is one delegation, however many spans tell of it, and its grade says how it is known. Pure:
called by the fold when agents or delegations may have changed, with the few spans that matter.

Evidence, strongest first: the emitter's pair of delegation span and accepting agent span; an agent span under another
agent's span; a delegation span that names its target, met by the next invocation of that target; an agent span that
names who gave it control. A delegation span that nobody answers is a delegation that was sent and not received.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from trajectory.graph.span import Span
from trajectory.model.words import (
    DELEGATION_GRADE,
    DELEGATION_MODE,
    DELEGATION_REASON,
    DELEGATION_SOURCE,
    DELEGATION_TARGET,
    DelegationMode,
    Grade,
    Slot,
    SpanKind,
)

if TYPE_CHECKING:
    from trajectory.graph.trace import Invocation

_SKEW_NS = 50_000_000  # how much earlier than its hand-over another process's clock may put an invocation


class Delegation:
    """One agent giving work to another.

    `source` and `target` are invocations, None where only a name is known. `span` is the sender's side: a delegation or
    tool span, else the receiving agent's own span. Times in nanoseconds, 0 where it has not happened, or is not known.
    """

    __slots__ = ("grade", "mode", "reason", "source", "source_agent", "span", "target", "target_agent")

    def __init__(
        self,
        source: "Invocation | None",
        target: "Invocation | None",
        span: Span,
        *,
        mode: str,
        grade: str,
        reason: str,
        source_agent: str = "",
        target_agent: str = "",
    ) -> None:
        self.source = source
        self.target = target
        self.span = span
        self.mode = mode
        self.grade = grade
        self.reason = reason
        self.source_agent = source.agent if source is not None else source_agent
        self.target_agent = target.agent if target is not None else target_agent

    def __repr__(self) -> str:
        return f"<Delegation {self.source_agent} -> {self.target_agent} {self.mode} {self.grade}>"

    @property
    def delegation_id(self) -> bytes:
        """The sender's span, by which both sides know it."""
        return self.span.span_id

    @property
    def target_span(self) -> Span | None:
        return self.target.span if self.target is not None else None

    @property
    def sent_ns(self) -> int:
        return self.span.start_ns

    @property
    def received_ns(self) -> int:
        return self.target.start_ns if self.target is not None else 0

    @property
    def returned_ns(self) -> int:
        """When the sender had its answer; where control passed, when the target was done."""
        if self.mode == DelegationMode.TRANSFER and self.target is not None:
            return self.target.end_ns
        return self.span.end_ns

    @property
    def state(self) -> str:
        """`sent`, `received`, `returned`, `failed`, or `lost`: ended without anyone having taken it up."""
        target = self.target_span
        if self.span.is_error or (target is not None and target.is_error):
            return "failed"
        if self.target is None:
            return "lost" if self.span.end_ns else "sent"
        return "returned" if self.returned_ns else "received"

    def task_digests(self) -> list[bytes]:
        """Where the task's text is, as the sender sent it."""
        target = self.target_span
        return (
            self.span.digests(Slot.TASK)
            or (self.span.digests(Slot.ARGUMENTS) if self.span is not target else [])
            or (target.digests(Slot.TASK) or target.digests(Slot.INPUT) if target is not None else [])
        )

    def received_digests(self) -> list[bytes]:
        """Where the task's text is, as the target says that it came."""
        target = self.target_span
        return (target.digests(Slot.TASK) or target.digests(Slot.INPUT)) if target is not None else []

    def returned_digests(self) -> list[bytes]:
        """Where the answer's text is."""
        target = self.target_span
        own = self.span.digests(Slot.RETURNED) or (self.span.digests(Slot.RESULT) if self.span is not target else [])
        return own or (target.digests(Slot.RETURNED) or target.digests(Slot.OUTPUT) if target is not None else [])


def derive_delegations(invocations: "Sequence[Invocation]", sent: Sequence[Span]) -> list[Delegation]:
    """Delegations between `invocations` (by start), given the delegation spans `sent` (by start); by time of sending."""
    found: dict[int, Delegation] = {}  # id(target invocation) → the delegation that it answers
    taken: set[bytes] = set()
    for target in invocations:
        nested = _nested(target)
        if nested is not None:
            found[id(target)] = nested
            taken.add(nested.span.span_id)
    waiting: list[Delegation] = []
    for span in sent:
        if span.span_id in taken or span.is_placeholder or _repeats_outer(span):
            continue
        met = next((i for i in invocations if id(i) not in found and _answers(i, span)), None)
        delegation = _from_span(span, met, invocations)
        if met is not None:
            found[id(met)] = delegation
            taken.add(span.span_id)
        else:
            waiting.append(delegation)
    for target in invocations:
        if id(target) not in found:
            named = _named_source(target, invocations)
            if named is not None:
                found[id(target)] = named
    every = [d for d in (*found.values(), *waiting) if d.source is not d.target or d.source is None]
    return sorted(every, key=lambda d: (d.sent_ns, d.delegation_id))


def _nested(target: "Invocation") -> Delegation | None:
    """The delegation to an agent span that stands under another agent's span or under a delegation span."""
    span = target.span
    if span is None:
        return None
    vehicle: Span | None = None
    for above in span.ancestors():
        if above.kind == SpanKind.DELEGATION:
            return _from_span(above, target, ())
        if above.kind == SpanKind.TOOL and vehicle is None:
            vehicle = above
        if above.owner is not None and above.owner.span is above and above.owner is not target:
            break
    source = span.parent.owner if span.parent is not None else None
    if source is None or source is target:
        return None
    reason = (
        "agent span under a tool span of the other agent" if vehicle else "agent span under a span of the other agent"
    )
    return Delegation(
        source, target, vehicle or span, mode=DelegationMode.CALL, grade=Grade.OBSERVED, reason=reason
    )  # fmt: skip


def _from_span(span: Span, target: "Invocation | None", invocations: "Sequence[Invocation]") -> Delegation:
    attributes = span.attributes
    source = span.owner
    named = str(attributes.get(DELEGATION_SOURCE, ""))
    if named and (source is None or source.agent != named):
        source = _latest(invocations, named, span.start_ns) or source
    return Delegation(
        source,
        target,
        span,
        mode=str(attributes.get(DELEGATION_MODE, DelegationMode.CALL)),
        grade=str(attributes.get(DELEGATION_GRADE, Grade.OBSERVED)),
        reason=str(attributes.get(DELEGATION_REASON, "delegated through the emitter")),
        source_agent=named,
        target_agent=str(attributes.get(DELEGATION_TARGET, "")),
    )


def _answers(invocation: "Invocation", span: Span) -> bool:
    """Whether an invocation is the next one of the agent that a delegation span names."""
    return (
        invocation.span is not None
        and invocation.agent == span.attributes.get(DELEGATION_TARGET)
        and invocation.start_ns >= span.start_ns - _SKEW_NS
    )


def _repeats_outer(span: Span) -> bool:
    """Whether a delegation span only repeats the one around it."""
    target = span.attributes.get(DELEGATION_TARGET)
    return any(
        above.kind == SpanKind.DELEGATION and above.attributes.get(DELEGATION_TARGET) == target
        for above in span.ancestors()
    )


def _named_source(target: "Invocation", invocations: "Sequence[Invocation]") -> Delegation | None:
    span = target.span
    named = str(span.attributes.get(DELEGATION_SOURCE, "")) if span is not None else ""
    if span is None or not named or named == target.agent:
        return None
    return Delegation(
        _latest(invocations, named, span.start_ns),
        target,
        span,
        mode=str(span.attributes.get(DELEGATION_MODE, DelegationMode.TRANSFER)),
        grade=str(span.attributes.get(DELEGATION_GRADE, Grade.DECLARED)),
        reason=str(span.attributes.get(DELEGATION_REASON, "the agent span names who gave it control")),
        source_agent=named,
    )


def _latest(invocations: "Sequence[Invocation]", agent: str, before_ns: int) -> "Invocation | None":
    earlier = [i for i in invocations if i.agent == agent and i.start_ns <= before_ns + _SKEW_NS]
    return earlier[-1] if earlier else None
