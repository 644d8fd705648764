"""One agent's trajectory as rows: its figures, a window of its steps with what was exchanged in them, who it worked with.

Invariant: worked out when somebody looks at that agent, and at no other time; only rows of the window are made, so an agent with
very many steps costs their order and no more; every text is clean and bounded. Called by the publisher.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

from trajectory.collector.agent_facts import agent_facts, model_of
from trajectory.collector.alert_rows import alert_rows
from trajectory.collector.rows import TraceRows
from trajectory.collector.trajectories import ANSWER, DELEGATE, RECEIVE, RETRY, RETURN, Line, Lines, lines_of
from trajectory.collector.wording import PREVIEW_CHARS, event_text, name_of, preview, tokens_of
from trajectory.graph.echoes import told
from trajectory.graph.span import Span
from trajectory.graph.trace import Invocation
from trajectory.model.content import text_of
from trajectory.model.words import Slot, SpanKind
from trajectory.view.agent_rows import AgentFacts, AgentMessage, AgentStep, UsualRow
from trajectory.view.query import Filter
from trajectory.view.rows import AlertRow, Health
from trajectory.view.text import clean
from trajectory.view.views import AgentQuery, AgentView

MAX_LIMIT = 1000
MAX_FAILED = 1000
_MESSAGE_CHARS, _MESSAGES = 600, 600
_GAVE = 64
_MOST_COMPARED = 20_000  # spans of a trace whose items are compared across its boundaries for this view


def invocation_at(rows: TraceRows, named: str) -> tuple[int, Invocation] | None:
    """The lane of this span, label or agent, with its place among them; of several the first."""
    invocations = rows.trace.invocations()
    for place, each in enumerate(invocations):
        if named and named in (each.span_id.hex(), rows.trace.label(each)):
            return place, each
    return next(((place, each) for place, each in enumerate(invocations) if named and named == each.agent), None)


def agent_view(
    rows: TraceRows,
    found: tuple[int, Invocation],
    query: AgentQuery,
    keep: Filter,
    version: int,
    health: Health,
    usual: Callable[[AgentFacts], tuple[list[UsualRow], int]],
) -> AgentView:
    """An agent's trajectory; `found` is its place among the trace's invocations, and it."""
    place, invocation = found
    lanes = rows.trace.invocations()
    lines = lines_of(rows, invocation)
    lost = rows.lost_by_span()
    facts = agent_facts(rows, lines)
    compared = usual(facts)
    maker = _Maker(rows, lines, query)
    starts = maker.starts(keep)
    offset = maker.offset(starts)
    window = starts[offset : offset + max(0, min(query.limit, MAX_LIMIT))]
    steps = [maker.step(start, stop) for start, stop in window]
    return AgentView(
        version=version,
        health=health,
        trace=rows.trace_row(),
        facts=facts,
        number=place + 1,
        total=len(lanes),
        given=[rows.delegation_row(d, lost) for d in lines.given],
        gave=[rows.delegation_row(d, lost) for d in lines.gave[:_GAVE]],
        gave_total=len(lines.gave),
        arrived=_arrived(rows, lines),
        steps=steps,
        offset=offset,
        rows_total=len(starts),
        folded=len(lines.all) - len(starts) if keep.is_empty else 0,
        failed=maker.failed(starts),
        messages=_told_once(m for start, stop in window for m in maker.messages(start, stop))[:_MESSAGES],
        alerts=_alerts(rows, lines),
        usual=compared[0],
        usual_of=compared[1],
        previous_id=lanes[place - 1].span_id.hex() if place else "",
        next_id=lanes[place + 1].span_id.hex() if place + 1 < len(lanes) else "",
    )


def _arrived(rows: TraceRows, lines: Lines) -> tuple[int, int] | None:
    """How many of the items that it needed came with its task, of how many; None where that cannot be told."""
    if not lines.given or len(rows.trace.spans) > _MOST_COMPARED:
        return None
    from trajectory.detection.effectiveness import (
        effectiveness_of,
    )  # loads what compares contents: when first asked for

    figures = effectiveness_of(rows.trace).total(lines.given)
    if figures is None or figures.needed is None or figures.arrived is None:
        return None
    return figures.arrived, figures.needed


def _told_once(messages: Iterable[AgentMessage]) -> list[AgentMessage]:
    """The messages, without the words of a model that are given back as they are."""
    told: list[AgentMessage] = []
    for message in messages:
        if message.who == "gave" and told and told[-1].who == "model" and told[-1].text == message.text:
            told.pop()
        told.append(message)
    return told


def _alerts(rows: TraceRows, lines: Lines) -> list[AlertRow]:
    """The alerts at its steps, at its doors, or whose way leads through it."""
    own = {span_id.hex() for span_id in lines.invocation.spans}
    own |= {d.delegation_id.hex() for d in lines.given}
    return [
        a for a in alert_rows(rows) if not own.isdisjoint({a.span_id, a.root_span_id, *(p.span_id for p in a.path)})
    ]


def _called(span: Span) -> str:
    """A span's name; of a model call without the model's, which is the same at each step."""
    name = name_of(span)
    model = model_of(span)
    return name.removesuffix(model).rstrip() or name if span.kind == SpanKind.MODEL and model else name


class _Maker:
    """Makes the rows of one trajectory."""

    def __init__(self, rows: TraceRows, lines: Lines, query: AgentQuery) -> None:
        self._rows = rows
        self._lines = lines
        self._query = query

    def starts(self, keep: Filter) -> list[tuple[int, int]]:
        """What is shown: each line with the one before which it ends. A filter looks at each step by itself."""
        every = range(len(self._lines.all) + 1)
        bounds = self._lines.starts if keep.is_empty and not self._query.each else [*every]
        pairs = list(pairwise(bounds))
        return pairs if keep.is_empty else [p for p in pairs if keep(self.step(*p), self._rows.now_ns)]

    def offset(self, starts: list[tuple[int, int]]) -> int:
        """Where the window begins."""
        offset, limit, wanted = self._query.offset, self._query.limit, self._query.around
        if wanted:
            place = next((n for n, p in enumerate(starts) if self._tells_of(range(*p), wanted)), -1)
            offset = place - limit // 2 if place >= 0 else offset
        return max(0, min(offset, len(starts) - limit))

    def _tells_of(self, places: range, wanted: str) -> bool:
        return any(self._lines.all[at].span.span_id.hex() == wanted for at in places)

    def failed(self, starts: list[tuple[int, int]]) -> list[tuple[int, str]]:
        """The first lines that tell of a failure: their places, and their keys."""
        found: list[tuple[int, str]] = []
        for place, (start, _) in enumerate(starts):
            line = self._lines.all[start]
            if line.span.is_error and line.event is None and line.what not in (RECEIVE, DELEGATE):
                found.append((place, line.key))
                if len(found) >= MAX_FAILED:
                    break
        return found

    def step(self, start: int, stop: int) -> AgentStep:
        """The line of the steps from `start` to before `stop`."""
        line = self._lines.all[start]
        span, d = line.span, line.delegation
        alike = [each.span for each in self._lines.all[start:stop]]
        is_span = line.event is None and line.what not in (RECEIVE, RETURN, ANSWER)
        return AgentStep(
            key=line.key,
            at_ns=line.at_ns,
            what=line.what,
            name=self._name(line),
            status=self._status(line),
            text=self._text(line),
            span_id=span.span_id.hex(),
            duration_ns=sum(s.duration_ns for s in alike) if is_span else 0,
            tokens=sum(tokens_of(s) for s in alike) if is_span else 0,
            mark=self._rows.mark(span) if is_span or line.what == RETURN else "",
            count=stop - start,
            delegation_id=d.own_id.hex() if d is not None else "",
            found=self._lines.found.get(line.key, []),
        )

    def _name(self, line: Line) -> str:
        d = line.delegation
        if d is None:
            return "" if line.event is not None or line.what in (RECEIVE, RETURN) else _called(line.span)
        other, agent = (d.source, d.source_agent) if line.what in (RECEIVE, RETURN) else (d.target, d.target_agent)
        return clean(self._rows.trace.label(other) if other is not None else agent)

    def _status(self, line: Line) -> str:
        if line.event is not None or line.what == RECEIVE:
            return ""
        status = self._rows.status(line.span)
        return "" if line.what == DELEGATE and status == "ok" else status

    def _text(self, line: Line) -> str:
        """What came, what came of it, or what was said."""
        if line.event is not None:
            return event_text(self._rows.trace, line.event)
        if line.span.is_error and line.what not in (RECEIVE, DELEGATE):
            return clean(line.span.error_text[:PREVIEW_CHARS])
        if line.what in (RECEIVE, DELEGATE, RETURN, ANSWER):
            return self._rows.preview(self._digests(line))
        return self._rows.outcome(line.span)

    def _digests(self, line: Line) -> list[bytes]:
        """Where that is which was exchanged at a line."""
        span, d = line.span, line.delegation
        if line.event is not None:
            return [digest for digests in line.event.contents.values() for digest in digests]
        if line.what == RECEIVE:
            return (d.received_digests() or d.task_digests()) if d is not None else self._first_asked()
        if line.what == DELEGATE:
            return d.task_digests() if d is not None else told(span, Slot.TASK)
        if line.what in (RETURN, ANSWER):
            own = told(span, Slot.RETURNED, Slot.OUTPUT)
            return (d.returned_digests() if d is not None else []) or own
        if span.kind == SpanKind.MODEL:
            return span.digests(Slot.OUTPUT)
        return told(span, Slot.RESULT, Slot.RETURNED, Slot.OUTPUT)

    def _first_asked(self) -> list[bytes]:
        """What an agent that nobody gave work to was asked: by its own span, else last of all in its first call."""
        asked = self._lines.invocation.asked_digests()
        if asked:
            return asked
        calls = (line.span for line in self._lines.all if line.span.kind == SpanKind.MODEL)
        return next((digests[-1:] for s in calls if (digests := s.digests(Slot.INPUT))), [])

    _WHO = {RECEIVE: "task", DELEGATE: "asked", ANSWER: "answer", RETURN: "gave", RETRY: "tool"}

    def messages(self, start: int, stop: int) -> Iterator[AgentMessage]:
        """What was exchanged in the steps of a line: of several that are alike, in the last."""
        line = self._lines.all[stop - 1]
        if line.what == "context":
            return  # what came into view is said by whoever brought it
        span, first = line.span, self._lines.all[start]
        is_error = span.is_error and line.event is None and line.what not in (RECEIVE, DELEGATE)
        texts = [(self._said(digest), digest) for digest in self._digests(line)[-8:]]
        told = [(text, digest) for text, digest in texts if text is not None]
        if not told and not is_error:
            return
        text = "  ".join(text for text, _ in told) if told else span.error_text
        who = self._WHO.get(line.what, line.what)
        yield AgentMessage(
            key=line.key,
            at_ns=span.end_ns if span.end_ns and who in ("model", "tool") else line.at_ns,
            who="model" if who == "tool" and span.kind == SpanKind.MODEL else who,
            name=self._name(line) if line.what != SpanKind.MODEL else "",
            text=clean(text[:_MESSAGE_CHARS]),
            span_id=span.span_id.hex(),
            step_key=first.key,
            is_error=is_error,
            is_cut=len(text) > _MESSAGE_CHARS,
            mark=self._rows.mark(span) if line.what not in (RECEIVE, ANSWER) else "",
            found=self._lines.found.get(first.key, []),
        )

    def _said(self, digest: bytes) -> str | None:
        body = self._rows.trace.body(digest)
        if body is None:
            return None
        if self._query.raw:
            return body[1][: 4 * _MESSAGE_CHARS].decode("utf-8", "replace")
        text = text_of(*body)
        if text.startswith("{") and len(text) < PREVIEW_CHARS:
            return preview(text)
        return " ".join(text[: 4 * _MESSAGE_CHARS].split())
