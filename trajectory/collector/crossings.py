"""One delegation as rows: what crossed it item by item, where each item went on to be used, and how well it went.

Invariant: worked out when somebody has that delegation open, and at no other time; every text is clean and bounded, every use
names a span of the trace. Called by the publisher.
"""

from collections.abc import Iterable

from trajectory.collector.alert_rows import alert_rows
from trajectory.collector.rows import TraceRows
from trajectory.collector.spans import content_row
from trajectory.collector.wording import PREVIEW_CHARS, name_of
from trajectory.detection.crossing import BACK, DROPPED, Crossed
from trajectory.detection.effectiveness import Figures, effectiveness_of
from trajectory.detection.occurrences import ARGUMENT, GIVEN, RESULT, RETURNED, SAID, SEEN, Occurrence
from trajectory.graph.delegations import Delegation
from trajectory.model.words import Slot
from trajectory.view.rows import AlertRow, Content, DelegationRow, FiguresRow, Health, ItemRow, UseRow
from trajectory.view.text import clean
from trajectory.view.views import DelegationView

MAX_ITEMS_COUNT = 200
MAX_BEFORE_COUNT = 6  # of one item
MAX_USES_COUNT = 24
MAX_HISTORY_COUNT = 2000  # of all items of a view
_MAX_BETWEEN_COUNT = 32  # delegations between two agents that are summed up, the latest
_MAX_CONTENTS_COUNT = 8  # of each side
_MAX_ALERTS_COUNT = 20
_WHAT = {
    SEEN: "shown", SAID: "said", GIVEN: "passed on", ARGUMENT: "argument", RESULT: "tool result", RETURNED: "came back",
}  # fmt: skip


def delegation_view(
    rows: TraceRows, delegation_id: str, content_limit: int, version: int, health: Health
) -> DelegationView | None:
    """A delegation with its items; None where the trace has none of this id."""
    delegations = rows.trace.delegations()
    drawn = rows.delegation_rows()
    at = next((n for n, d in enumerate(delegations) if delegation_id in (d.own_id.hex(), d.delegation_id.hex())), -1)
    if at < 0:
        return None
    delegation = delegations[at]
    known = effectiveness_of(rows.trace)
    crossing = known.crossing(delegation)
    again = known.again(delegation)
    ends = (delegation.source_agent, delegation.target_agent)
    alike = [d for d in delegations if (d.source_agent, d.target_agent) == ends]
    between = known.total(alike[-_MAX_BETWEEN_COUNT:]) if len(alike) > 1 else None
    return DelegationView(
        version=version,
        health=health,
        trace=rows.trace_row(),
        row=drawn[at],
        number=at + 1,
        total=len(delegations),
        items=_items(rows, crossing.items, delegation),
        items_total=len(crossing.items),
        hidden=list(crossing.hidden.items()),
        figures=_figures(known.of(delegation, crossing)),
        between=_figures(between) if between is not None else None,
        again=again.kind if again is not None else "",
        again_id=again.first.own_id.hex() if again is not None else "",
        contents=list(_contents(rows, delegation, content_limit)),
        alerts=_alerts(rows, drawn[at]),
        previous_id=drawn[at - 1].delegation_id if at else "",
        next_id=drawn[at + 1].delegation_id if at + 1 < len(drawn) else "",
        between_total=len(alike),
    )


def _items(rows: TraceRows, items: list[Crossed], delegation: Delegation) -> list[ItemRow]:
    left = MAX_HISTORY_COUNT
    made = []
    for item in items[:MAX_ITEMS_COUNT]:
        crossed_ns = delegation.returned_ns if item.change in (BACK, DROPPED) else delegation.sent_ns
        before = [o for o in item.trail if o.at_ns <= crossed_ns and o not in item.uses]
        earlier = use_rows(rows, before, min(MAX_BEFORE_COUNT, left))
        later = use_rows(rows, item.uses, min(MAX_USES_COUNT, left - len(earlier)))
        left -= len(earlier) + len(later)
        made.append(
            ItemRow(
                key=clean(item.key[:PREVIEW_CHARS]),
                kind=clean(item.kind),
                text=_short(item.text),
                change=item.change,
                held=_short(item.held),
                sent=_short(item.sent),
                got=_short(item.got),
                back=_short(item.back),
                needed=_short(item.needed),
                note=_short(item.note),
                before=earlier,
                uses=later,
                uses_count=len(apart(item.uses)),
            )
        )
    return made


def _short(text: str) -> str:
    return clean(" ".join(text[: 2 * PREVIEW_CHARS].split()))


def apart(occurrences: Iterable[Occurrence]) -> list[Occurrence]:
    """Of those that one span tells of in one way, one."""
    seen: dict[tuple[bytes, str], Occurrence] = {}
    for o in occurrences:
        seen.setdefault((o.span.span_id, o.role), o)
    return list(seen.values())


def use_rows(rows: TraceRows, occurrences: Iterable[Occurrence], most: int) -> list[UseRow]:
    """The first of the occurrences, and the last one, as rows."""
    each = apart(occurrences)
    chosen = each if len(each) <= most else [*each[: max(most - 1, 0)], *(each[-1:] if most > 0 else ())]
    return [
        UseRow(
            o.span.span_id.hex(),
            clean(rows.trace.span_label(o.span)),
            name_of(o.span),
            o.at_ns,
            _WHAT.get(o.role, o.role),
        )
        for o in chosen
    ]


def _figures(figures: Figures) -> FiguresRow:
    return FiguresRow(**{name: getattr(figures, name) for name in figures.__struct_fields__})


def _contents(rows: TraceRows, delegation: Delegation, limit: int) -> Iterable[Content]:
    """The task as it was sent, as it came where that differs, and the answer."""
    sent, got = delegation.task_digests(), delegation.received_digests()
    sides = (
        ("sent", sent),
        ("received", got if got != sent else []),
        (str(Slot.RETURNED), delegation.returned_digests()),
    )
    for side, digests in sides:
        for digest in digests[:_MAX_CONTENTS_COUNT]:
            yield content_row(rows, side, digest, limit)


def _alerts(rows: TraceRows, row: DelegationRow) -> list[AlertRow]:
    """The alerts that are about this hand-over."""
    ids = {row.span_id, row.target_span_id} - {""}
    return [a for a in alert_rows(rows) if row.span_id == a.root_span_id or a.span_id in ids][:_MAX_ALERTS_COUNT]
