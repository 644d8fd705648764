"""`flow.stalled`: an open span without a sign of life for far longer than work of its kind usually takes.

Invariant: only the innermost open work is named, because whoever waits for it shows no life either; where the trace has no
clock of its own (synthetic times) nothing stalls. A sign of life is anything of the span or of a span below it. Silence is
measured twice, by the facts' clock and by the clock that `settle` is called with, from when the last sign was first seen,
and the shorter counts: neither facts that come late nor a clock that is wrong make a span look dead. The limit is the longer
of a floor (30 s; 120 s for a model call) and eight times the median of what completed spans of the same kind and name took,
here or by the table that the detector is made with: the collector's holds what earlier runs took. Who waits for work that was
given away is not named: `flow.orphan` tells where nobody took it up. The message tells a process that is not heard of any more
from one that lives and hangs. Called through the seam of `contract`.
"""

from collections.abc import Iterable, Iterator, Mapping
from statistics import median

from trajectory.detection.contract import Settling
from trajectory.detection.usual import work_of
from trajectory.graph.changes import Following
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace, tool_name
from trajectory.model.fact import Evidence, Finding
from trajectory.model.words import SYNTHETIC_TIME, Severity, SpanKind

KIND = "flow.stalled"
FLOOR_S = 30.0
MODEL_FLOOR_S = 120.0
USUAL_FACTOR = 8.0
UNHEARD_S = 30.0  # an emitter sends a heartbeat far more often
_MAX_DURATIONS_COUNT = 64  # kept of each kind and name: the latest
_MAX_NAMES_COUNT = 2000


class StalledSpans(Settling):
    """The detector of `flow.stalled`. `usual_s` maps (kind, name) to a usual duration in seconds, from earlier traces."""

    name = KIND

    def __init__(self, usual_s: Mapping[tuple[str, str], float] | None = None) -> None:
        self._usual_s = usual_s if usual_s is not None else {}  # grows while it is read
        self._durations_s: dict[tuple[str, str], dict[bytes, float]] = {}
        self._following: Following | None = None
        self._ended: dict[bytes, None] = {}
        self._open: dict[bytes, None] = {}
        self._noticed: dict[bytes, tuple[int, int]] = {}  # span id → (its last sign, when a settle first saw that sign)

        self._alarmed_s: dict[bytes, float] = {}  # span id → the limit that it was found beyond

    def settle(self, now_ns: int, trace: Trace) -> Iterable[Finding]:
        """Open work that shows no life as of `now_ns`."""
        self._look_at_touched(trace)
        if not self._open:
            return
        for span_id in self._ended:
            self._keep(trace.spans[span_id])
        self._ended = {}
        for span_id in list(self._open):
            span = trace.spans[span_id]
            if span.attributes.get(SYNTHETIC_TIME) or any(c.is_open for c in span.children):
                continue
            if span.kind == SpanKind.DELEGATION:
                continue
            silent_s = self._silent_s(span, now_ns)
            limit_s = self._alarmed_s.get(span_id) or self._limit_s(span)
            if silent_s > limit_s:
                self._alarmed_s[span_id] = limit_s
                yield _finding(span, limit_s, now_ns, trace)

    def _look_at_touched(self, trace: Trace) -> None:
        """Keeps who is open, and who has ended: how long that took is worked out when it matters."""
        following = self._following = self._following or trace.watch()
        for span_id in following.take():
            span = trace.spans.get(span_id)
            if span is None or span.is_placeholder:
                continue
            if span.is_open:
                self._open[span_id] = None
                continue
            if span_id in self._open:
                del self._open[span_id]
                self._noticed.pop(span_id, None)
                self._alarmed_s.pop(span_id, None)
            self._ended.pop(span_id, None)
            self._ended[span_id] = None

    def _silent_s(self, span: Span, now_ns: int) -> float:
        sign_ns = _last_sign_ns(span)
        known = self._noticed.get(span.span_id)
        if known is None or known[0] != sign_ns:
            known = self._noticed[span.span_id] = (sign_ns, now_ns)
        return min(now_ns - sign_ns, now_ns - known[1]) / 1e9

    def _keep(self, span: Span) -> None:
        key = work_of(span)
        if key not in self._durations_s and len(self._durations_s) >= _MAX_NAMES_COUNT:
            return
        kept = self._durations_s.setdefault(key, {})
        kept[span.span_id] = span.duration_ns / 1e9
        if len(kept) > _MAX_DURATIONS_COUNT:
            kept.pop(next(iter(kept)))

    def _limit_s(self, span: Span) -> float:
        kept = self._durations_s.get(work_of(span))
        usual_s = median(kept.values()) if kept else self._usual_s.get(work_of(span), 0.0)
        floor_s = MODEL_FLOOR_S if span.kind == SpanKind.MODEL else FLOOR_S
        return max(floor_s, USUAL_FACTOR * usual_s)


def _last_sign_ns(span: Span) -> int:
    """The last instant at which this span, or one directly below it, is known to have done anything."""
    return max((s.last_ns for s in _with_children(span)), default=0)


def _with_children(span: Span) -> Iterator[Span]:
    yield span
    yield from span.children


def _finding(span: Span, limit_s: float, now_ns: int, trace: Trace) -> Finding:
    where = trace.span_label(span)
    what = tool_name(span) if span.kind == SpanKind.TOOL else span.name or str(span.kind)
    heard_ns = trace.heard_ns.get(span.source.emitter_id, 0) if span.source is not None else 0
    lives = (now_ns - heard_ns) / 1e9 <= UNHEARD_S
    state = (
        "its process is alive: it hangs, or waits for something outside"
        if lives
        else "its process has not been heard either: it is dead, or cut off"
    )
    shown = f"{what} in {where}" if where and where != what else what
    waiting = [above.span_id for above in span.ancestors() if above.is_open]
    return Finding(
        kind=KIND,
        severity=Severity.WARNING,
        confidence=0.8 if lives else 0.9,
        trace_id=trace.trace_id,
        span_id=span.span_id,
        message=f"{shown} shows no sign of life beyond its usual time ({limit_s:.0f} s); {state}",
        agent=span.agent_name,
        value=what,
        root_span_id=span.span_id,
        path=[span.span_id, *waiting],
        evidence=[Evidence(span.span_id, f"open; silent for more than {limit_s:.0f} s")],
        at_ns=_last_sign_ns(span),
    )
