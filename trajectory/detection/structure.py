"""Who gave work to whom, for detectors that look at a growing trace again and again.

Invariant: deriving it costs as much as the trace is long, so that of a long trace is derived when it is whole or has grown by
a quarter, all of it together at the cost of a few times; between, everyone sees the same one, and spans that came since are told
by what they say themselves. `generation` grows each time that it is another one. Called by provenance and the cascade detector.
"""

from trajectory.detection.pace import SHORT_COUNT
from trajectory.graph.delegations import Delegation
from trajectory.graph.echoes import tellings
from trajectory.graph.span import Span
from trajectory.graph.trace import Invocation, Trace
from trajectory.model.words import SpanKind


class Structure:
    """The delegations of a trace as they were when it was last derived."""

    def __init__(self, trace: Trace) -> None:
        self.generation = 0
        self.vehicles: frozenset[bytes] = frozenset()
        self.invocations: list[Invocation] = []
        self._trace = trace
        self._size = 0
        self._version = -1
        self._told: dict[bytes, tuple[Invocation | None, Invocation | None, str]] = {}
        self._delegations: dict[bytes, Delegation] = {}  # by the sender's span
        self._given_to: dict[Invocation, list[Delegation]] = {}
        self._given_by: dict[Invocation, list[Delegation]] = {}
        self._labels: dict[Invocation, str] = {}

    def refresh(self) -> set[bytes]:
        """Derives anew where that is due; returns the spans that carry a delegation now and did not before, or the reverse."""
        trace = self._trace
        size = len(trace.spans)
        is_due = size < SHORT_COUNT or trace.is_whole or size >= self._size + self._size // 4
        if trace.structure_version == self._version or not is_due:
            return set()
        self._version, self._size = trace.structure_version, size
        former = (self._told, self._labels, self.vehicles)
        self._given_to, self._given_by = {}, {}
        self._delegations = {}
        for delegation in trace.delegations():
            for telling in tellings(delegation.span):
                self._delegations.setdefault(telling.span_id, delegation)
            if delegation.target is not None:
                self._given_to.setdefault(delegation.target, []).append(delegation)
            if delegation.source is not None:
                self._given_by.setdefault(delegation.source, []).append(delegation)
        self.invocations = trace.invocations()
        self._labels = {invocation: trace.label(invocation) for invocation in self.invocations}
        self.vehicles = frozenset(trace.vehicles())
        self._told = {d.delegation_id: (d.source, d.target, d.mode) for d in trace.delegations()}
        self.generation += (self._told, self._labels, self.vehicles) != former
        return set(former[2] ^ self.vehicles)

    def by_span(self, span_id: bytes) -> Delegation | None:
        """The delegation whose sender's side a span is."""
        return self._delegations.get(span_id)

    def given_to(self, invocation: Invocation | None) -> list[Delegation]:
        """The delegations that an invocation took up, by the time they were sent."""
        return self._given_to.get(invocation, []) if invocation is not None else []

    def given_by(self, invocation: Invocation | None) -> list[Delegation]:
        """The delegations that an invocation made, by the time they were sent."""
        return self._given_by.get(invocation, []) if invocation is not None else []

    def is_awaited(self, invocation: Invocation | None) -> bool:
        """Whether another agent waits for what an invocation answers."""
        return any(not d.is_transfer for d in self.given_to(invocation))

    def carries(self, span: Span) -> bool:
        """Whether a span carries a delegation, and is no tool of its agent's work."""
        return span.span_id in self.vehicles or span.kind == SpanKind.DELEGATION

    def label(self, span: Span) -> str:
        """The label of the invocation that a span belongs to; its agent's name where that is too new to have one."""
        if span.owner is None:
            return span.agent or span.service
        return self._labels.get(span.owner, span.owner.agent)
