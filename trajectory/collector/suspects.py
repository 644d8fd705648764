"""The steps of a trace that blame ranks as decisive, as rows; and what cannot be seen in a trace, in words.

Invariant: rows come as they are ranked, each names a span of the trace, and every text is clean and bounded. Called by the
publisher, only for a run that somebody has open.
"""

from typing import TYPE_CHECKING

from trajectory.collector.folded import FoldedTrace
from trajectory.collector.wording import name_of
from trajectory.detection.blame import suspected
from trajectory.view.rows import SuspectRow
from trajectory.view.text import clean

if TYPE_CHECKING:
    from trajectory.collector.rows import TraceRows

MAX_SUSPECTS_COUNT = 50
_MAX_REASONS_COUNT = 8
_MAX_REASON_CHARS = 400


def suspects(folded: FoldedTrace, limit: int, now_ns: int) -> list[SuspectRow]:
    """The likeliest decisive steps as of a moment ago, best first, at most `limit` of them."""
    trace = folded.trace
    rows = []
    for candidate in suspected(trace, now_ns, min(limit, MAX_SUSPECTS_COUNT)):
        span = trace.spans.get(candidate.span_id)
        if span is None:
            continue
        rows.append(
            SuspectRow(
                rank=candidate.rank,
                agent=clean(candidate.agent),
                span_id=candidate.span_id.hex(),
                step=candidate.step,
                score=candidate.score,
                reasons=[clean(reason[:_MAX_REASON_CHARS]) for reason in candidate.reasons[:_MAX_REASONS_COUNT]],
                label=clean(trace.span_label(span) or candidate.agent),
                name=name_of(span),
                kind=clean(str(span.kind)),
                at_ns=span.start_ns,
            )
        )
    return rows


def limits(rows: "TraceRows") -> list[str]:
    """What a ranking, or an alert, could not take into account."""
    found = []
    if not rows.trace.has_contents:
        found.append("No contents were recorded in this run: what was said cannot be compared, nor values followed.")
    if rows.is_partial:
        found.append("Facts of this run are missing: what they told is not in it.")
    if rows.state() == "live":
        found.append("The run goes on: what comes may change it.")
    return found
