"""Runs of several traces: what joins them, which is the first, and what all of them count together.

Invariant: a run depends on its joints alone, not on their order; a trace is a part of one run, and what a trace counts is
counted once. Made by `stitching`; read by the list of runs and by whoever shows one.
"""

from collections.abc import Mapping, Sequence

import msgspec

from trajectory.graph.invocation import Usage
from trajectory.graph.trace import Trace
from trajectory.model.words import DelegationMode

MAX_PARTS = 256  # of a run, the first ones


class Joint(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One trace caused another. `span_id` and `agent` are of the cause, where they are known, the others of the effect."""

    cause: bytes
    effect: bytes
    grade: str
    reason: str
    span_id: bytes = b""
    to_span_id: bytes = b""
    agent: str = ""
    to_agent: str = ""
    is_delegation: bool = True  # one that its cause does not count yet; none where it only made it, or wrote to it

    @property
    def ends(self) -> tuple[bytes, bytes]:
        return self.cause, self.effect


class Run(msgspec.Struct, frozen=True, gc=False):
    """Traces that are one run: the root first, the others by start, and what joins them."""

    root: bytes
    trace_ids: list[bytes]
    joints: list[Joint]

    def of(self, trace_id: bytes) -> list[Joint]:
        """The joints at one of its traces."""
        return [j for j in self.joints if trace_id in (j.cause, j.effect)]


def alone(trace_id: bytes) -> Run:
    """A trace that is a run by itself."""
    return Run(trace_id, [trace_id], [])


def runs_of(joints: Mapping[bytes, list[Joint]], started_ns: Mapping[bytes, int]) -> dict[bytes, Run]:
    """Every run of more than one trace, by each of its traces; `joints` are by effect.

    A trace with several causes is of their run only where those are of one: what batches the work of several runs is a part
    of none of them, and still says what caused it.
    """
    united = _Union()
    waiting = sorted(joints)
    while waiting:
        left = [t for t in waiting if not united.take_in(t, [j.cause for j in joints[t]])]
        if len(left) == len(waiting):
            break
        waiting = left
    runs: dict[bytes, Run] = {}
    for parts in united.groups():
        run = _run(parts, joints, started_ns)
        runs.update((trace_id, run) for trace_id in run.trace_ids)
    for trace_id in waiting:
        if trace_id not in runs:
            runs[trace_id] = Run(trace_id, [trace_id], joints[trace_id])
    return runs


def _run(parts: set[bytes], joints: Mapping[bytes, list[Joint]], started_ns: Mapping[bytes, int]) -> Run:
    told = [j for t in parts for j in joints.get(t, ())]  # those of a batch are from outside
    caused = {j.effect for j in told if j.cause in parts}
    first, *others = sorted(parts, key=lambda t: (t in caused, started_ns[t], t))
    others = sorted(others, key=lambda t: (started_ns[t], t))[: MAX_PARTS - 1]
    kept = {first, *others}
    told = [j for j in told if j.effect in kept and (j.cause in kept or j.cause not in parts)]
    return Run(first, [first, *others], sorted(told, key=lambda j: (started_ns[j.effect], j.effect, j.cause)))


class _Union:
    """Sets of traces that grow together."""

    def __init__(self) -> None:
        self._above: dict[bytes, bytes] = {}

    def find(self, trace_id: bytes) -> bytes:
        above = self._above.setdefault(trace_id, trace_id)
        while above != self._above[above]:
            self._above[above] = above = self._above[self._above[above]]
        return above

    def take_in(self, trace_id: bytes, causes: list[bytes]) -> bool:
        """Puts a trace to its causes; False where those are of more than one set beside its own."""
        own = self.find(trace_id)
        others = {self.find(cause) for cause in causes} - {own}
        if len(others) > 1:
            return False
        for other in others:
            self._above[max(own, other)] = min(own, other)
        return True

    def groups(self) -> list[set[bytes]]:
        found: dict[bytes, set[bytes]] = {}
        for trace_id in self._above:
            found.setdefault(self.find(trace_id), set()).add(trace_id)
        return [group for _, group in sorted(found.items()) if len(group) > 1]


# --- totals ------------------------------------------------------------------------------------------------------------


def agents_of(traces: Sequence[Trace], run: Run) -> dict[str, Usage]:
    """The agents that took part in a run, in order of first work, with what they did."""
    agents: dict[str, Usage] = {}
    for trace in traces:
        for name, usage in trace.agents().items():
            agents.setdefault(name, Usage()).add(usage)
    for joint in run.joints:
        for name in (joint.agent, joint.to_agent) if joint.is_delegation else ():
            if name:
                agents.setdefault(name, Usage())
    return agents


def delegations_of(traces: Sequence[Trace], run: Run) -> dict[tuple[str, str, str, str], int]:
    """How often one agent gave work to another in a run, by (source, target, mode, grade); a call that another trace answered
    counts once."""
    answered = {j.span_id: j.to_agent for j in run.joints if j.span_id}
    found = [
        (d.source_agent, d.target_agent or answered.get(d.delegation_id, ""), str(d.mode), str(d.grade))
        for trace in traces
        for d in trace.delegations()
    ]
    found += [(j.agent, j.to_agent, str(DelegationMode.CALL), str(j.grade)) for j in run.joints if j.is_delegation]
    return {key: found.count(key) for key in dict.fromkeys(found)}
