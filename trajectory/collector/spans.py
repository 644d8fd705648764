"""The spans of a trace as timeline rows, and one span whole.

Invariant: depth-first, siblings by start, so that two pulls of an unchanged trace are equal; a cycle in parents cannot
loop, because the fold never hangs a span under itself. Called by the publisher and by the feed of a store at rest.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import accumulate
from operator import attrgetter

import msgspec

from trajectory.collector.agent_facts import model_of
from trajectory.collector.alert_rows import alert_rows
from trajectory.collector.rows import TraceRows
from trajectory.collector.wording import name_of, preview, tokens_of
from trajectory.graph.critical import critical_path_of
from trajectory.graph.echoes import children_of, ended_ns, first_telling, is_failed, tellings, told
from trajectory.graph.invocation import cost_of
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace
from trajectory.model.content import MESSAGE, text_of
from trajectory.model.words import Slot, SpanKind
from trajectory.view.rows import AlertRow, Content, CriticalRow, EventRow, Health, LinkRow, SpanRow
from trajectory.view.text import clean
from trajectory.view.views import OUTLINE_PARTS, Outline, SpanView, TraceQuery

_SLOT_ORDER = (
    Slot.TASK, Slot.SYSTEM, Slot.INPUT, Slot.ARGUMENTS, Slot.CONTEXT, Slot.OUTPUT, Slot.RESULT, Slot.RETURNED, Slot.TOOLS,
)  # fmt: skip
_MAX_CONTENTS = 200
_MAX_FAILED = 1000
_MAX_CRITICAL = 2000
_WHOLE_CHARS = 4_000_000  # of a body that is asked for whole
_order_key = attrgetter("order_key")


def span_rows(rows: TraceRows, start: int = 0, stop: int | None = None) -> list[SpanRow]:
    """The spans of the trace as rows, those from `start` to before `stop` in the order of the timeline; all by default."""
    order = _order_of(rows.trace)
    window = zip(order.spans[start:stop], order.descendants[start:stop], strict=True)
    return [span_row(rows, span, depth, count) for (span, depth), count in window]


def outline(rows: TraceRows, until_ns: int) -> Outline:
    """The whole trace in short, up to `until_ns`, where what is open has come to."""
    begin_ns = rows.trace.first_ns
    part_ns = max(until_ns - begin_ns, 1) / OUTLINE_PARTS
    changes = [0] * (OUTLINE_PARTS + 1)
    failed_parts: set[int] = set()
    failed: list[tuple[int, str]] = []

    def part_of(at_ns: int) -> int:
        return min(max(int((at_ns - begin_ns) / part_ns), 0), OUTLINE_PARTS - 1)

    for place, (span, _) in enumerate(_order_of(rows.trace).spans):
        if not span.start_ns:
            continue
        last = part_of(ended_ns(span) or until_ns)
        if next(children_of(span), None) is None:
            changes[part_of(span.start_ns)] += 1
            changes[last + 1] -= 1
        if is_failed(span):
            failed_parts.add(last)
            if len(failed) < _MAX_FAILED:
                failed.append((place, span.span_id.hex()))
    return Outline(list(accumulate(changes[:-1])), sorted(failed_parts), failed)


def asked_of(rows: TraceRows, query: TraceQuery, spans: list[SpanRow]) -> list[SpanRow]:
    """The rows with what a query asks of them beside: whether each is on the critical path, and what it cost."""
    if not (query.critical or query.costs) or not spans:
        return spans
    path = critical_path_of(rows.trace).spans if query.critical else frozenset()
    return [
        msgspec.structs.replace(
            row, is_critical=(own := bytes.fromhex(row.span_id)) in path, cost_usd=_cost(rows, own) if query.costs else None
        )
        for row in spans
    ]  # fmt: skip


def _cost(rows: TraceRows, span_id: bytes) -> float | None:
    span = rows.trace.spans[span_id]
    invocation = span.owner
    return cost_of(invocation.spans.values() if invocation is not None and invocation.span is span else [span])


def critical_rows(rows: TraceRows) -> list[CriticalRow]:
    """The critical path lane by lane, in order of time: what one agent did without a break is one row, the longest ones come."""
    found: list[CriticalRow] = []
    for span, start_ns, end_ns in critical_path_of(rows.trace).stretches:
        lane = span.owner.span_id.hex() if span.owner is not None else ""
        if found and found[-1].lane_span_id == lane and found[-1].end_ns == start_ns:
            found[-1] = CriticalRow(lane, found[-1].start_ns, end_ns)
        else:
            found.append(CriticalRow(lane, start_ns, end_ns))
    longest = sorted(found, key=lambda row: row.start_ns - row.end_ns)[:_MAX_CRITICAL]
    return sorted(longest, key=lambda row: row.start_ns)


def place_around(rows: TraceRows, query: TraceQuery, matching: Sequence[SpanRow] | None = None) -> tuple[int, str]:
    """The place in the order of the timeline, and the id, of the span that a query asks around; -1 where there is none.

    For a time that is the span that began last of those at work then, else of those before. `matching` are the spans to look
    among, all by default.
    """
    spans: Sequence[SpanRow | Span] = [s for s, _ in _order_of(rows.trace).spans] if matching is None else matching
    if query.around:
        asked = _order_of(rows.trace).shown_as(query.around)
        found = next((at for at, one in enumerate(spans) if _hex(one).startswith(asked)), -1)
    else:
        at_ns = rows.trace.first_ns + (query.around_ns or 0)
        begun = (
            ((s.end_ns or at_ns) >= at_ns, s.start_ns, at) for at, s in enumerate(spans) if 0 < s.start_ns <= at_ns
        )
        found = max(begun, default=(False, 0, -1))[2]
    return found, _hex(spans[found]) if found >= 0 else ""


def _hex(span: SpanRow | Span) -> str:
    return span.span_id if isinstance(span, SpanRow) else span.span_id.hex()


class _Order:
    """The spans of a trace in the order of the timeline with their depths, and how many are below each."""

    def __init__(self, trace: Trace) -> None:
        self.version = trace.told_version
        self.spans = list(_depth_first(trace))
        self.descendants = _descendant_counts([depth for _, depth in self.spans])
        told = ((span, echo) for span, _ in self.spans for echo in tellings(span)[1:])
        self._echoes = {echo.span_id.hex(): span.span_id.hex() for span, echo in told}

    def shown_as(self, asked: str) -> str:
        """The id of the span that stands in the timeline for one that is an echo; others as they are, short ones too."""
        return self._echoes.get(asked) or next(
            (own for echo, own in self._echoes.items() if echo.startswith(asked)), asked
        )


def _order_of(trace: Trace) -> _Order:
    order: _Order | None = trace.notes.get(_Order)
    if order is None or order.version != trace.told_version:
        order = trace.notes[_Order] = _Order(trace)
    return order


def _descendant_counts(depths: list[int]) -> list[int]:
    """How many follow each of a depth-first sequence that are deeper, up to the next one that is not."""
    counts = [0] * len(depths)
    above: list[int] = []
    for at, depth in enumerate([*depths, 0]):
        while len(above) > depth:
            began = above.pop()
            counts[began] = at - began - 1
        above.append(at)
    return counts


def _depth_first(trace: Trace) -> Iterator[tuple[Span, int]]:
    pending = [(root, 0) for root in reversed(trace.roots)]
    while pending:
        span, depth = pending.pop()
        yield span, depth
        if span.children:
            pending += [(c, depth + 1) for c in sorted(children_of(span), key=_order_key, reverse=True)]


def span_row(rows: TraceRows, span: Span, depth: int, descendants: int) -> SpanRow:
    """One span as a timeline row; an agent's tokens are those of its own model calls."""
    invocation = span.owner
    is_agent = invocation is not None and invocation.span is span
    tokens = tokens_of(span)
    if is_agent and invocation is not None:
        tokens = invocation.usage.input_tokens + invocation.usage.output_tokens
    return SpanRow(
        span_id=span.span_id.hex(),
        parent_id=first_telling(span.parent).span_id.hex() if span.parent is not None else span.parent_id.hex(),
        depth=depth,
        kind=clean(str(span.kind)),
        name=name_of(span),
        label=clean(rows.trace.span_label(span)),
        status=rows.status(span),
        start_ns=span.start_ns or min((c.start_ns for c in span.children), default=0),
        end_ns=ended_ns(span) or (span.last_ns if rows.is_cut_off(span) else 0),
        tokens=tokens,
        children=sum(1 for _ in children_of(span)),
        descendants=descendants,
        mark=rows.mark(span),
        text=rows.outcome(span),
        is_retry=rows.is_retry(span),
        is_placeholder=span.is_placeholder,
        model=clean(model_of(span)[:200]) if span.kind == SpanKind.MODEL else "",
    )


def span_view(
    rows: TraceRows, span: Span, content_limit: int, version: int, health: Health, *, raw: bool = False, whole: str = ""
) -> SpanView:
    """One span, whole: its fields, contents cut to `content_limit` characters each, events, links, alerts that name it."""
    span = first_telling(span)
    around = children_of(first_telling(span.parent)) if span.parent is not None else rows.trace.roots
    siblings = sorted(around, key=_order_key)
    at = next(n for n, s in enumerate(siblings) if s is span)
    spans = tellings(span)
    resource = span.source.resource if span.source is not None else {}
    return SpanView(
        version=version,
        health=health,
        row=span_row(rows, span, sum(first_telling(s) is s for s in span.ancestors()), len(span.children)),
        agent=clean(span.agent_name),
        service=clean(span.service),
        message=clean(next((s.error_text for s in spans if s.is_error), span.message)),
        attributes=_pairs({key: value for s in reversed(spans) for key, value in s.attributes.items()}),
        resource=_pairs(resource),
        contents=_contents(rows, span, content_limit, raw, whole),
        events=[
            EventRow(e.at_ns, clean(e.name), _event_text(rows, e.attributes, e.contents))
            for s in spans
            for e in s.events
        ],
        links=_links(rows, span),
        alerts=_alerts_on(rows, span),
        previous_id=siblings[at - 1].span_id.hex() if at else "",
        next_id=siblings[at + 1].span_id.hex() if at + 1 < len(siblings) else "",
    )


def _pairs(attributes: dict[str, object]) -> list[tuple[str, str]]:
    return [(clean(str(k)), v if isinstance(v, str) else _plain(v)) for k, v in sorted(attributes.items())]


def _plain(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return type(value).__name__


def _contents(rows: TraceRows, span: Span, limit: int, raw: bool, whole: str) -> list[Content]:
    found = []
    held = {slot for telling in tellings(span) for slot in telling.contents}
    slots = [s for s in _SLOT_ORDER if s in held] + sorted(held - set(_SLOT_ORDER))
    for slot in slots:
        digests = told(span, slot)
        if len(digests) > _MAX_CONTENTS:
            before = f"({len(digests) - _MAX_CONTENTS} earlier ones are not shown: an export has all)"
            found.append(Content(str(slot), "text/plain", "", before, 0))
        for digest in digests[-_MAX_CONTENTS:]:
            room = _WHOLE_CHARS if whole and digest.hex() == whole else limit
            found.append(content_row(rows, str(slot), digest, room, raw=raw))
    if span.partial_text and Slot.OUTPUT not in span.contents:
        text = span.partial_text
        found.append(Content(Slot.OUTPUT, "text/plain", "", text[-limit:], len(text.encode()), len(text) > limit))
    return found


def content_row(rows: TraceRows, slot: str, digest: bytes, limit: int, *, raw: bool = False) -> Content:
    """One body, cut to `limit` characters; for reading, or with `raw` as it was stored."""
    body = rows.trace.body(digest)
    if body is None:
        return Content(slot, "", digest.hex(), "(the body is not stored)", 0)
    text = body[1].decode("utf-8", "replace") if raw else _said(*body)
    return Content(slot, body[0], digest.hex(), text[:limit], len(body[1]), len(text) > limit)


def _said(media_type: str, body: bytes) -> str:
    """A body for reading: a message as `role: text`, JSON indented, text as it is."""
    text = text_of(media_type, body)
    if media_type == MESSAGE:
        try:
            role = str(json.loads(body).get("role", ""))
        except (ValueError, AttributeError, RecursionError):
            role = ""
        return f"{role}: {text}" if role else text
    if text[:1] in "{[":
        try:
            return json.dumps(json.loads(text), ensure_ascii=False, indent=2)
        except (ValueError, RecursionError):
            return text
    return text


def _event_text(rows: TraceRows, attributes: dict[str, object], contents: dict[str, list[bytes]]) -> str:
    texts = [text for digests in contents.values() for d in digests if (text := rows.trace.text(d)) is not None]
    pairs = [f"{k}={v if isinstance(v, str) else _plain(v)}" for k, v in attributes.items()]
    return preview("  ".join([*texts, *pairs]))


def _links(rows: TraceRows, span: Span) -> list[LinkRow]:
    found = [(link.kind, link.to_trace_id, link.to_span_id) for link in span.links]
    failed = rows.retried(span)
    if failed is not None and ("retry_of", span.trace_id, failed) not in found:
        found.append(("retry_of", span.trace_id, failed))
    links = []
    for kind, trace_id, span_id in found:
        target = rows.trace.spans.get(span_id) if trace_id == span.trace_id else None
        text = f"{rows.trace.span_label(target)}  {name_of(target)}" if target is not None else "another trace"
        links.append(LinkRow(clean(kind), trace_id.hex(), span_id.hex(), clean(text)))
    return links


def _alerts_on(rows: TraceRows, span: Span) -> list[AlertRow]:
    own = {s.span_id.hex() for s in tellings(span)}
    return [a for a in alert_rows(rows) if own & _named(a)]


def _named(alert: AlertRow) -> set[str]:
    """Every span that an alert points to."""
    return {alert.span_id, alert.root_span_id, *(p.span_id for p in alert.path), *(e.span_id for e in alert.evidence)}
