"""How well work was handed over, worked out for traces that are over, a delegation at a time.

Invariant: it takes a hundredth of the loop's time at most, and of a trace that is large, or forgotten meanwhile, what crossed
stays unknown: that is counted as unknown, never as nothing. Owned by the collector's sums.
"""

import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from trajectory.collector.folded import FoldedTrace
from trajectory.collector.pace import Pace

if TYPE_CHECKING:
    from trajectory.detection.effectiveness import Effectiveness
    from trajectory.graph.delegations import Delegation

_MAX_SPANS = 1_000
_MAX_DELEGATIONS = 100  # of a trace, the first
_MAX_WAITING = 256
_STEP_NS = 3_000_000
_RESTS = 99


class Handovers:
    """`add` a trace that is over; `step` works on, and returns those of which something is known now."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[bytes, FoldedTrace] = OrderedDict()
        self._now: tuple[FoldedTrace, Effectiveness, list[Delegation]] | None = None
        self._pace = Pace(_RESTS)

    def add(self, folded: FoldedTrace) -> None:
        """A trace that may be over; of one that is not, or was looked at already, nothing is done."""
        trace = folded.trace
        if trace.open_count or not trace.has_contents or len(trace.spans) > _MAX_SPANS or not trace.delegations():
            return
        self._waiting[trace.trace_id] = folded
        while len(self._waiting) > _MAX_WAITING:
            self._waiting.popitem(last=False)

    def forget(self, trace_id: bytes) -> None:
        """The trace is in memory no more, and what was read of it is not held on to."""
        self._waiting.pop(trace_id, None)
        if self._now is not None and self._now[0].trace.trace_id == trace_id:
            self._now = None

    def step(self, budget_ns: int = _STEP_NS) -> list[FoldedTrace]:
        """Works for about so long. What fails on hostile content is left unknown."""
        found: list[FoldedTrace] = []
        if not self._pace.is_due and budget_ns == _STEP_NS:
            return found
        began_ns = time.monotonic_ns()
        while time.monotonic_ns() - began_ns < budget_ns and self._begin():
            assert self._now is not None
            folded, known, delegations = self._now
            if not delegations:
                self._now = None
                found.append(folded)
                continue
            self._look_at(folded, known, delegations.pop(0))
        self._pace.rests_for(time.monotonic_ns() - began_ns)
        return found

    def _begin(self) -> bool:
        while self._now is None:
            if not self._waiting:
                return False
            _, folded = self._waiting.popitem(last=False)
            if folded.tally is None:
                continue
            from trajectory.detection.effectiveness import effectiveness_of  # loads what compares contents

            wanted = [
                d
                for d in folded.trace.delegations()[:_MAX_DELEGATIONS]
                if d.returned_ns and d.own_id not in folded.tally.crossings
            ]
            if wanted:
                self._now = folded, effectiveness_of(folded.trace), wanted
        return True

    @staticmethod
    def _look_at(folded: FoldedTrace, known: "Effectiveness", delegation: "Delegation") -> None:
        assert folded.tally is not None
        items: tuple[int, int] | None = None
        try:
            figures = known.of(delegation)
            if figures.needed is not None:
                items = figures.needed, figures.arrived or 0
        finally:
            folded.tally.crossed(delegation.own_id, items)
