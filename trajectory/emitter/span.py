"""A live span: it starts, says things while it is open, and ends; each of these is one fact, sent at once.

Invariant: nothing here raises into the agent and no call waits; an exception of the agent passes through unchanged. A span is
used by one `with` at a time; the agents' threads call it, and `steps` has its kinds.
"""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, ClassVar, TypeVar

from trajectory.emitter import tracer as tracers
from trajectory.emitter.bodies import Bodies, Body, body_of
from trajectory.emitter.current import MAIN_AGENT, Carried, Place, here
from trajectory.emitter.fault import Outcome, outcome_of
from trajectory.emitter.misuse import harmless, name_of, report
from trajectory.emitter.plain import attributes_of
from trajectory.emitter.tracer import Tracer
from trajectory.model.words import SESSION_ID, Slot, SpanStatus, Surface
from trajectory.protocol.frames import SPAN_ENDED, SPAN_EVENT, SPAN_STARTED, SPAN_UPDATED

S = TypeVar("S", bound="Span")
F = TypeVar("F", bound=Callable[..., Any])

NEW, ENDED = 0, -1  # a positive state is the tracer's generation in which the span was opened
CUT_BYTES = "trajectory.content.cut_bytes"  # the whole length of a body of which only the beginning is kept

_OPERATIONAL = str(Surface.OPERATIONAL)
_OK = str(SpanStatus.OK)
_NO_ATTRIBUTES: dict[str, Any] = {}
_NO_CONTENTS: dict[str, list[bytes]] = {}


class Span:
    """Work with a start and an end. Use it with `with`, `async with`, or as a decorator; `kind` is a word of `SpanKind`."""

    __slots__ = (
        "_bodies", "_final", "_given", "_previous", "_state", "_tracer",
        "agent", "carried", "kind", "name", "owner", "parent_id", "session", "span_id", "trace_id",
    )  # fmt: skip
    surface: ClassVar[str] = _OPERATIONAL
    _is_step: ClassVar[bool] = False
    _takes: ClassVar[str] = str(Slot.INPUT)  # the slots of a decorated call
    _gives: ClassVar[str] = str(Slot.OUTPUT)
    _tracer: Tracer
    agent: str
    session: str | None
    carried: Carried | None
    owner: object | None
    _recipe: ClassVar[tuple[str, ...]] = ("name", "kind", "_given", "_bodies")

    def __init__(self, name: str, kind: str = "other", attributes: Mapping[str, Any] | None = None) -> None:
        self.name = name
        self.kind = kind
        self._given: Mapping[str, Any] | None = attributes
        self._bodies: Bodies | None = None
        self._final: Bodies | None = None
        self._state = NEW

    # what people call

    @harmless
    def set(self, key: str, value: Any) -> None:
        """Adds an attribute, or replaces it; visible at once while the span is open."""
        if self._state == NEW:
            self._given = {**(self._given or {}), key: value}
        else:
            self._update({key: value})

    @harmless
    def event(self, name: str, /, **attributes: Any) -> None:
        """Notes something that happened at this instant inside the span."""
        self._emit_event(name_of(name), attributes)

    # life

    def __enter__(self: S) -> S:
        try:
            place = here.get()
            self._open(place)
            self._previous = place
            here.set(self)
        except Exception as fault:  # the agent's work goes on untraced
            report("start", "trajectory: a span could not start: %r", fault)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if here.get() is self:
                self._leave()
            self._close(fault)
        except Exception as trouble:
            report("end", "trajectory: a span could not end: %r", trouble)

    async def __aenter__(self: S) -> S:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, fault, trace)

    def __call__(self, function: F) -> F:
        """The function, each call of which is a span like this one."""
        from trajectory.emitter.calling import traced

        return traced(function, self)

    # what the room calls

    def _again(self: S) -> S:
        """A span of its own that is like this one before its start: a decorator makes one a call."""
        twin = object.__new__(type(self))
        Span.__init__(twin, self.name, self.kind)
        for field in self._recipe:
            setattr(twin, field, getattr(self, field))
        return twin

    def _place(self, place: Place | None) -> Place | None:
        """What the span starts from; an accepted delegation starts from its headers instead."""
        return place

    def _become(self, attributes: dict[str, Any]) -> None:
        """Adds what follows from the kind of step: its attributes, and whose it is. Asked where `_is_step`."""

    def _attach(self, slot: str, bodies: list[Body]) -> None:
        """Content for the span's start."""
        self._bodies = {**(self._bodies or {}), slot: bodies}

    def _arguments(self, arguments: Mapping[str, Any]) -> None:
        """Takes the arguments of a decorated call, before the start."""
        if arguments:
            self._attach(self._takes, [body_of(arguments)])

    def _result(self, value: Any) -> None:
        """Takes the result of a decorated call, before the end."""
        self._result_body(body_of(value))

    def _result_body(self, body: Body) -> None:
        """Takes a result that is encoded already."""
        self._final = {self._gives: [body]}

    def _begin_apart(self) -> None:
        """Starts without becoming the current span: a generator's span is current only while the generator runs."""
        if self._state == NEW:
            self.__enter__()
            self._step_out()

    def _step_out(self) -> None:
        """Stays open and is no longer the current span."""
        if here.get() is self:
            self._leave()

    def _open(self, place: Place | None) -> None:
        """Starts below the place. One long function, because each call that it saves is a thirtieth of the whole span."""
        if self._state != NEW:
            self._reopen()
        self._tracer = tracer = tracers.default or tracers.default_tracer()
        if self._is_step:
            place = self._place(place)
        if place is None:
            self.trace_id = tracer.next_trace()
            self.parent_id = b""
            self.agent, self.session = MAIN_AGENT, None
            self.carried = self.owner = None
        else:
            self.trace_id = place.trace_id or tracer.next_trace()
            self.parent_id = place.span_id
            self.agent, self.session = place.agent, place.session
            self.carried, self.owner = place.carried, place.owner
        given = self._given
        attributes, weight = attributes_of(given) if given else ({}, 0)
        if self._is_step:
            self._become(attributes)
        if self.session is not None and self._names_session(place):
            attributes[SESSION_ID] = self.session
        contents = self._contents(self._bodies, attributes) if self._bodies else _NO_CONTENTS
        self.span_id = span_id = tracer.next_span()
        mono = tracer.mono_ns()
        fact = (
            SPAN_STARTED, self.trace_id, span_id, self.parent_id, mono + tracer.offset_ns, mono,
            self.kind, self.name, self.agent, self.surface, attributes, contents,
        )  # fmt: skip
        self._state = tracer.generation
        tracer.open_spans[span_id] = None
        if weight:
            tracer.put_heavy(fact, weight)
        else:
            tracer.put(fact)

    def _names_session(self, place: Place | None) -> bool:
        """Whether the session is new here: at a root, under a session's own scope, or where the span brings one."""
        return not self.parent_id or not isinstance(place, Span) or place.session != self.session

    def _reopen(self) -> None:
        """A span object that is entered again: a new span, unless the first is open still."""
        if self._state != ENDED:
            report("reentered", "trajectory: span %r was entered while it was open; make one for each use", self.name)
        self._final = None
        self._state = NEW

    def _leave(self) -> None:
        """Gives the context back, past whatever ended meanwhile. Called only where this span is the current one."""
        previous = self._previous
        while isinstance(previous, Span) and previous._state == ENDED:
            previous = previous._previous
        here.set(previous)

    def _close(self, fault: BaseException | None) -> None:
        state = self._state
        if state <= NEW:
            if state == ENDED:
                report("ended", "trajectory: span %r was ended twice", self.name)
            return
        self._state = ENDED
        tracer = self._tracer
        if state != tracer.generation:
            return  # a forked child leaves its parent's spans to the parent
        attributes = _NO_ATTRIBUTES
        status, message = _OK, ""
        if fault is not None:
            outcome = outcome_of(fault)
            status, message, attributes = self._fail(outcome)
        contents = _NO_CONTENTS
        if self._final:
            attributes = dict(attributes)
            contents = self._contents(self._final, attributes)
        tracer.open_spans.pop(self.span_id, None)
        mono = tracer.mono_ns()
        tracer.put(
            (
                SPAN_ENDED,
                self.trace_id,
                self.span_id,
                mono + tracer.offset_ns,
                mono,
                status,
                message,
                attributes,
                contents,
            )
        )

    def _fail(self, outcome: Outcome) -> tuple[str, str, dict[str, Any]]:
        if outcome.event:
            self._put_event("exception", self.surface, outcome.event, _NO_CONTENTS, len(outcome.message))
        return outcome.status, outcome.message, outcome.attributes

    def _contents(self, bodies: Bodies, attributes: dict[str, Any]) -> dict[str, list[bytes]]:
        contents, cut_bytes = self._tracer.contents_of(bodies)
        if cut_bytes:
            attributes[CUT_BYTES] = cut_bytes
        return contents

    @harmless
    def _update(self, given: Mapping[str, Any], bodies: Bodies | None = None) -> None:
        """Says what became known of the open span."""
        if not self._is_open("changed"):
            return
        attributes, weight = attributes_of(given)
        contents = self._contents(bodies, attributes) if bodies else _NO_CONTENTS
        tracer = self._tracer
        mono = tracer.mono_ns()
        fact = (SPAN_UPDATED, self.trace_id, self.span_id, mono + tracer.offset_ns, mono, attributes, contents)
        if weight:
            tracer.put_heavy(fact, weight)
        else:
            tracer.put(fact)

    def _emit_event(self, name: str, given: Mapping[str, Any], surface: str = "", bodies: Bodies | None = None) -> None:
        if not self._is_open("given an event"):
            return
        attributes, weight = attributes_of(given)
        contents = self._contents(bodies, attributes) if bodies else _NO_CONTENTS
        self._put_event(name, surface or self.surface, attributes, contents, weight)

    def _put_event(
        self, name: str, surface: str, attributes: dict[str, Any], contents: dict[str, list[bytes]], weight: int
    ) -> None:
        tracer = self._tracer
        mono = tracer.mono_ns()
        at = mono + tracer.offset_ns
        fact = (SPAN_EVENT, self.trace_id, self.span_id, at, mono, name, surface, attributes, contents)
        if weight:
            tracer.put_heavy(fact, weight)
        else:
            tracer.put(fact)

    def _is_open(self, done: str) -> bool:
        if self._state > NEW:
            return True
        when = "after its end" if self._state == ENDED else "before its start"
        report(f"{done} {when}", "trajectory: span %r was %s %s; that is not recorded", self.name, done, when)
        return False

    def _set_body(self, slot: str, value: Any) -> None:
        """Content that became known of the open span."""
        self._update({}, {slot: [body_of(value)]})
