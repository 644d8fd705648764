"""What is usual, learnt anew after a restart from the latest traces of the store, a trace at a time.

Invariant: bounded in traces and in steps, and a tenth of the time at most; it says nothing, so what was told before the restart
is not told again. A state of its own at rest would be one more thing that can be wrong, and be written at each run: the traces
are there. Owned by the pipeline.
"""

import time
from collections import deque

from trajectory.collector import skew
from trajectory.collector.pace import Pace
from trajectory.errors import StoreError
from trajectory.graph.keys import PayloadSource
from trajectory.graph.trace import Trace
from trajectory.signals.anomalies import measures
from trajectory.signals.watch import Watch
from trajectory.store.contract import LIVE, TraceSummary, Writer

MAX_TRACES = 400
MAX_STEPS = 40_000  # of all of them
_MAX_TRACE_STEPS = 2_000  # one that is longer would hold everything up
_RESTS = 9


class Relearning:
    """Feeds `watch` what the latest traces did that are over, oldest first."""

    def __init__(self, writer: Writer, payload: PayloadSource, watch: Watch) -> None:
        self._writer = writer
        self._payload = payload
        self._watch = watch
        self._pace = Pace(_RESTS)
        self._left: deque[TraceSummary] | None = None

    def step(self, now_ns: int) -> bool:
        """Reads the next trace if it is time; False when all were. A trace that cannot be read is left out."""
        if not self._pace.is_due:
            return True
        began_ns = time.monotonic_ns()
        try:
            if self._left is None:
                self._left = self._latest()
            if not self._left:
                return False
            self._learn(self._left.popleft().trace_id, now_ns)
        except StoreError:
            return bool(self._left)
        finally:
            self._pace.took(began_ns)
        return True

    def _latest(self) -> deque[TraceSummary]:
        chosen: deque[TraceSummary] = deque()
        steps_left = MAX_STEPS
        for summary in self._writer.summaries(MAX_TRACES):
            if summary.state == LIVE or summary.steps > _MAX_TRACE_STEPS:
                continue
            steps_left -= summary.steps
            if steps_left < 0:
                break
            chosen.appendleft(summary)
        return chosen

    def _learn(self, trace_id: bytes, now_ns: int) -> None:
        trace = Trace(trace_id, self._payload)
        try:
            for batch in map(skew.corrected, self._writer.facts(trace_id)):
                for fact in batch.facts:
                    trace.apply(fact, batch.source)
            self._watch.put(trace_id, list(measures(trace, self._watch)), now_ns)
        except StoreError:
            raise
        except Exception:  # a hostile fact: it was counted when it was folded
            return
        finally:
            trace.dissolve()
