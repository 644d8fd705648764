"""How long work usually takes, learnt from runs that are over.

Invariant: bounded, and of finished spans with a clock only; the latest runs count. The collector keeps one table for all its
traces, which `flow.stalled` reads while it fills: each run makes the next one's alarms better. Called by the pipeline.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from statistics import median

from trajectory.graph.span import Span
from trajectory.graph.trace import Trace, tool_name
from trajectory.model.words import SYNTHETIC_TIME, SpanKind

MAX_NAMES_COUNT = 2000
_MAX_DURATIONS_COUNT = 64  # kept of each kind and name: the latest
_MAX_SPANS_COUNT = 10_000  # of one trace


class UsualDurations(Mapping[tuple[str, str], float]):
    """By kind and name, the median of how many seconds work took."""

    def __init__(self) -> None:
        self._durations_s: dict[tuple[str, str], deque[float]] = {}

    def learn(self, trace: Trace) -> None:
        """Takes what the finished spans of a trace took."""
        for count, span in enumerate(trace.spans.values()):
            if count >= _MAX_SPANS_COUNT:
                return
            if span.duration_ns and not span.attributes.get(SYNTHETIC_TIME):
                self._keep(work_of(span), span.duration_ns / 1e9)

    def __getitem__(self, key: tuple[str, str]) -> float:
        return median(self._durations_s[key])

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._durations_s)

    def __len__(self) -> int:
        return len(self._durations_s)

    def _keep(self, key: tuple[str, str], duration_s: float) -> None:
        kept = self._durations_s.pop(key, None)
        if kept is None:
            kept = deque(maxlen=_MAX_DURATIONS_COUNT)
            if len(self._durations_s) >= MAX_NAMES_COUNT:  # what was not heard of for longest makes room
                del self._durations_s[next(iter(self._durations_s))]
        kept.append(duration_s)
        self._durations_s[key] = kept


def work_of(span: Span) -> tuple[str, str]:
    """By what a span's work is known from one run to the next: its kind, and the tool's or its own name."""
    return (str(span.kind), tool_name(span) if span.kind == SpanKind.TOOL else span.name)
