"""The steps of a trace: what each agent said or gave as work, in order, with what it had been shown and what came of it.

Invariant: a function of the trace's state. A log's entries keep the log's own order and numbers; elsewhere a step stands where
its span's words came up, and its number is the span's place by start. A tool's result belongs to the step that asked for it.
Called by blame.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from trajectory.detection.silent_failure import is_tool_work
from trajectory.detection.timeline import new_of
from trajectory.graph.echoes import is_echo, told
from trajectory.graph.span import Span
from trajectory.graph.trace import Trace
from trajectory.model.words import EVENT_CONTEXT, EVENT_DELTA, STEP, Slot, SpanKind, Surface

_TOOLS = frozenset((SpanKind.TOOL.value, SpanKind.RETRIEVAL.value))
_CLOSING = "termination"


class Role(StrEnum):
    """What a step does in its team."""

    WORK = "work"
    THOUGHT = "thought"
    DELEGATION = "delegation"
    CLOSING = "closing"
    TOOL = "tool"  # a call: a step of the run only where nobody's words asked for it


class Step:
    """One step. `said` are its payloads; `shown` those that came up as sources since the step before (what people asked, what
    tools and agents answered); `results` the calls that it led to, as steps of the role `tool`; `agent` is empty where nobody
    said."""

    __slots__ = ("agent", "number", "results", "role", "said", "shown", "span")

    def __init__(self, number: int, span: Span, role: Role, said: list[bytes], shown: list[bytes]) -> None:
        self.number = number
        self.span = span
        self.role = role
        self.agent = span.agent_name
        self.said = said
        self.shown = shown
        self.results: list[Step] = []


def steps_of(trace: Trace) -> tuple[list[Step], list[bytes]]:
    """The steps in order, and the sources that came up after the last of them."""
    shown: list[bytes] = []
    known: set[bytes] = set()
    steps: list[Step] = []
    latest: dict[int, Step] = {}  # by invocation
    for entry in sorted(_entries(trace), key=lambda e: e.order):
        span, owner = entry.span, id(entry.span.owner)
        if entry.role is None:
            shown += new_of(entry.payloads, known)
        if entry.is_result:
            asker = latest.get(owner) or (steps[-1] if steps and STEP in span.attributes else None)
            call = Step(entry.number, span, Role.TOOL, [], [] if asker is not None else shown)
            if asker is not None:
                asker.results.append(call)
            else:
                call.results.append(call)
                steps.append(call)
                shown = []
        elif entry.role is not None:
            step = latest[owner] = Step(entry.number, span, entry.role, entry.payloads, shown)
            known.update(entry.payloads)
            steps.append(step)
            shown = []
    return steps, shown


class _Entry(NamedTuple):
    """Payloads that came up at one place: a step's, where it has a role, else a source."""

    order: tuple[int, int, bytes]
    number: int
    span: Span
    role: Role | None
    payloads: list[bytes]
    is_result: bool = False


def _entries(trace: Trace) -> Iterator[_Entry]:
    vehicles = trace.vehicles()
    speaking = {id(s.owner) for s in trace.spans.values() if s.kind == SpanKind.MODEL and s.digests(Slot.OUTPUT)}
    ordered = sorted((s for s in trace.spans.values() if not s.is_placeholder), key=lambda s: s.order_key)
    is_log = any(isinstance(span.attributes.get(STEP), int) for span in ordered)
    for number, span in enumerate(ordered):
        if is_log:
            yield from _logged(span)
        elif span.kind == SpanKind.MODEL:
            yield _at(span.start_ns, 1, number, span, None, span.digests(Slot.SYSTEM) + span.digests(Slot.INPUT))
            if span.digests(Slot.OUTPUT):
                yield _at(span.end_ns or span.last_ns, 2, number, span, Role.WORK, span.digests(Slot.OUTPUT))
        elif span.kind == SpanKind.DELEGATION or span.span_id in vehicles:
            if is_echo(span):
                continue
            task = told(span, Slot.TASK, Slot.ARGUMENTS)
            yield _at(span.start_ns, 3, number, span, Role.DELEGATION, task)
            back = told(span, Slot.RETURNED, Slot.RESULT)
            yield _at(span.end_ns or span.last_ns, 0, number, span, None, back)
        elif span.kind in _TOOLS:
            if is_tool_work(span):
                result = told(span, Slot.RESULT, Slot.OUTPUT)
                yield _at(span.end_ns or span.last_ns, 0, number, span, None, result, True)
        else:
            yield from _of_agent(span, number, id(span.owner) in speaking)


def _logged(span: Span) -> Iterator[_Entry]:
    """An entry of a log: times say nothing here that its number does not. What wraps the entries holds the question."""
    number = span.attributes.get(STEP)
    if not isinstance(number, int):
        yield _at(-1, 0, -1, span, None, span.digests(Slot.INPUT))
        return
    match span.kind:
        case SpanKind.MODEL:
            yield _at(number, 0, number, span, Role.WORK, span.digests(Slot.OUTPUT))
        case SpanKind.DELEGATION:
            yield _at(number, 0, number, span, Role.DELEGATION, span.digests(Slot.TASK))
        case SpanKind.TOOL:
            yield _at(number, 0, number, span, None, span.digests(Slot.RESULT), True)
        case _ if span.digests(Slot.OUTPUT):
            thinks = span.surface == Surface.COGNITIVE
            role = Role.THOUGHT if thinks else Role.CLOSING if span.name == _CLOSING else Role.WORK
            yield _at(number, 0, number, span, role, span.digests(Slot.OUTPUT))
        case _:
            yield _at(number, 0, number, span, None, span.digests(Slot.INPUT) + span.digests(Slot.SYSTEM))


def _of_agent(span: Span, number: int, has_models: bool) -> Iterator[_Entry]:
    """An agent's span, or one that only wraps others: what it was given; what it answered, where its models do not say it."""
    given = span.digests(Slot.TASK) + span.digests(Slot.SYSTEM) + span.digests(Slot.INPUT) + span.digests(Slot.CONTEXT)
    yield _at(span.start_ns, 0, number, span, None, given)
    said = [] if is_echo(span) else told(span, Slot.OUTPUT, Slot.RETURNED)
    if span.kind == SpanKind.AGENT and said and not has_models:
        yield _at(span.end_ns or span.last_ns, 2, number, span, Role.WORK, said)
    for event in span.events:
        payloads = [d for digests in event.contents.values() for d in digests]
        if payloads and event.name != EVENT_DELTA:
            role = None if event.name == EVENT_CONTEXT else Role.THOUGHT
            yield _at(event.at_ns, 2, number, span, role, payloads)


def _at(
    at: int, rank: int, number: int, span: Span, role: Role | None, payloads: list[bytes], is_result: bool = False
) -> _Entry:
    return _Entry((at, rank, span.span_id), number, span, role, payloads, is_result)
