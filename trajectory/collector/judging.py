"""Which trace is judged when: those that changed or are open, first those that waited longest, a part at a time.

Invariant: a tick judges for about `_JUDGING_NS` and then lets facts and questions through, however long one trace takes to judge:
what it did not reach goes on at the next. Owned by the pipeline.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from trajectory.collector.folded import FoldedTrace
from trajectory.model.fact import Finding

_JUDGED_NS = 200_000_000  # how often what takes time is judged: a deadlock is to show within two seconds
_JUDGING_NS = 20_000_000
_RESTED_NS = 5_000_000_000  # after its last fact a trace is judged once more: facts of other processes may come late


class Judging:
    """Judges `traces()`; what is found goes to `keep`."""

    def __init__(
        self, traces: Callable[[], Iterable[FoldedTrace]], keep: Callable[[FoldedTrace, Iterable[Finding]], None]
    ) -> None:
        self._traces = traces
        self._keep = keep
        self._waiting: deque[FoldedTrace] = deque()
        self._judged: tuple[FoldedTrace, Iterator[list[Finding]]] | None = None
        self._cost_ns = self._frame = 0
        self._looked_ns = 0

    def step(self, now_ns: int) -> None:
        """Goes on judging for a bounded time; looks for more to judge five times a second."""
        is_idle = self._judged is None and not self._waiting
        if is_idle and abs(now_ns - self._looked_ns) >= _JUDGED_NS:  # the clock may have been set back
            self._looked_ns = now_ns
            due = (folded for folded in self._traces() if _is_due(folded, now_ns))
            self._waiting.extend(sorted(due, key=lambda folded: folded.settled_ns))
        spent_ns = 0
        while spent_ns < _JUDGING_NS and self._begin(now_ns):
            began_ns = time.monotonic_ns()
            self._part(now_ns)
            spent_ns += time.monotonic_ns() - began_ns

    def _begin(self, now_ns: int) -> bool:
        """Takes the next trace where none is being judged; False where there is none."""
        while self._judged is None or self._judged[0].is_forgotten:
            self._judged = None
            if not self._waiting:
                return False
            folded = self._waiting.popleft()
            if not folded.is_forgotten:
                self._judged, self._cost_ns = (folded, folded.settle_in_parts(now_ns)), 0
                self._frame = folded.last_frame
        return True

    def _part(self, now_ns: int) -> None:
        assert self._judged is not None
        folded, parts = self._judged
        began_ns = time.monotonic_ns()
        found = next(parts, None)
        if found:
            self._keep(folded, found)
        self._cost_ns += time.monotonic_ns() - began_ns
        if found is None:
            folded.judged_frame = self._frame
            folded.settled_ns, folded.is_rested = now_ns, _has_rested(folded, now_ns)
            folded.settle_pace.took(time.monotonic_ns() - self._cost_ns)
            self._judged = None


def _is_due(folded: FoldedTrace, now_ns: int) -> bool:
    is_changed = folded.settled_version != folded.trace.version
    rests = _has_rested(folded, now_ns) and not folded.is_rested
    return (is_changed or folded.trace.open_count > 0 or rests) and folded.settle_pace.is_due


def _has_rested(folded: FoldedTrace, now_ns: int) -> bool:
    """Whether nothing came, and nothing was judged, for so long: a detector may count from when it first saw a run over."""
    return now_ns - max(folded.touched_ns, folded.settled_ns) >= _RESTED_NS
