"""Where values of a span went: the later spans that hold them, so that a wrong figure can be followed to what it spoilt.

Invariant: worked out when somebody asks, with the same provenance as a delegation's items; a value that may be met anywhere by
chance is not followed. Called by the publisher.
"""

from collections.abc import Iterator

from trajectory.collector.crossings import apart, use_rows
from trajectory.collector.rows import TraceRows
from trajectory.collector.wording import PREVIEW_CHARS
from trajectory.detection.items import Item
from trajectory.detection.occurrences import RESULT, RETURNED, SAID, USES
from trajectory.detection.provenance import Provenance, provenance_of, values_of
from trajectory.graph.span import Span
from trajectory.view.rows import UsedRow
from trajectory.view.text import clean

MAX_VALUES = 8
MAX_USES = 40  # of one value
_READ_CHARS = 20_000
_GOES_ON = (*USES, RETURNED)
_OWN = (RESULT, RETURNED, SAID)  # what came of a span


def used_rows(rows: TraceRows, span: Span, text: str) -> list[UsedRow]:
    """The values of a text that a span holds, or of what came of it where the text is empty, each with the later spans that hold
    it; those that went on come first."""
    provenance = provenance_of(rows.trace)
    provenance.refresh()
    items = values_of(text[:_READ_CHARS]) if text else list(_outcome(provenance, span))
    told = [_row(rows, provenance, span, item) for item in items[: 4 * MAX_VALUES]]
    return sorted(told, key=lambda row: not row.uses_count)[:MAX_VALUES]


def _outcome(provenance: Provenance, span: Span) -> Iterator[Item]:
    """The values in what came of a span; where nothing did, in all that it holds."""
    told = [*provenance.occurrences.told_by(span), *provenance.occurrences.shown_by(span)]
    own = [o for o in told if o.role in _OWN] or told
    seen: set[tuple[str, str]] = set()
    for occurrence in own:
        for item in provenance.values_in(occurrence.digest):
            if (item.kind, item.key) not in seen:
                seen.add((item.kind, item.key))
                yield item


def _row(rows: TraceRows, provenance: Provenance, span: Span, item: Item) -> UsedRow:
    trail = provenance.trail(item)
    here = [o.at_ns for o in trail if o.span is span]
    since_ns = min(here, default=span.end_ns or span.start_ns)
    held = [o for o in trail if o.at_ns >= since_ns and o.span is not span]
    later = [
        o for o in held if o.role in _GOES_ON
    ] or held  # what was shown and said by nobody is told where nothing else is
    return UsedRow(
        value=clean(item.text[:PREVIEW_CHARS]),
        kind=item.kind,
        uses=use_rows(rows, later, MAX_USES),
        uses_count=len(apart(later)),
    )
