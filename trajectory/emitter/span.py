"""A live span: it starts, says things while it is open, and ends; each of these is one fact, sent at once.

Invariant: nothing here raises into the agent and no call waits; an exception of the agent passes through unchanged. A span is
used by one `with` at a time; the agents' threads call it, and `steps` has its kinds.
"""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, ClassVar, TypeVar

from trajectory.emitter import current
from trajectory.emitter import tracer as tracers
from trajectory.emitter.bodies import Bodies, Said, said, weight_of
from trajectory.emitter.current import ENDED, MAIN_AGENT, Carried, Place, here, past_ended
from trajectory.emitter.fault import Outcome, outcome_of
from trajectory.emitter.misuse import harmless, name_of, report
from trajectory.emitter.plain import FIXED, MAX_ATTRIBUTES, attributes_of
from trajectory.emitter.queue import Fact
from trajectory.emitter.tracer import Tracer
from trajectory.model.words import SESSION_ID, Slot, SpanStatus, Surface
from trajectory.protocol.frames import SPAN_ENDED, SPAN_EVENT, SPAN_STARTED, SPAN_UPDATED

S = TypeVar("S", bound="Span")
F = TypeVar("F", bound=Callable[..., Any])

NEW = 0  # a positive state is the tracer's generation in which the span was opened

_OPERATIONAL = str(Surface.OPERATIONAL)
_OK = str(SpanStatus.OK)
_NO_ATTRIBUTES: dict[str, Any] = {}
_NO_CONTENTS: Bodies = {}
_where, _stand = here.get, here.set


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

    # life: these two are the hot path, each one long function because every call that it saves is a thirtieth of the span

    def __enter__(self: S) -> S:
        try:
            if self._state != NEW and not self._reopen():
                return self
            place = _where()
            self._previous = place
            self._tracer = tracer = tracers.default or tracers.default_tracer()
            if self._is_step:
                place = self._place(place)
            if place is None:
                place = current.outside()
            if place is None:
                self.trace_id = trace_id = tracer.next_trace()
                self.parent_id = parent_id = b""
                self.agent = MAIN_AGENT
                self.session = self.carried = self.owner = None
            else:
                self.trace_id = trace_id = place.trace_id or tracer.next_trace()
                self.parent_id = parent_id = place.span_id
                self.agent = place.agent
                self.session = place.session
                self.carried = place.carried
                self.owner = place.owner
            weight = 0
            given = self._given
            if not given:
                attributes = {}
            elif type(given) is dict and len(given) <= MAX_ATTRIBUTES:
                attributes = given.copy()
                for value in attributes.values():
                    if type(value) not in FIXED:
                        attributes, weight = attributes_of(attributes)
                        break
            else:
                attributes, weight = attributes_of(given)
            if self._is_step:
                self._become(attributes)
            if self.session is not None and self._names_session(place):
                attributes[SESSION_ID] = self.session
            contents = self._bodies
            if contents:
                weight += weight_of(contents)
            else:
                contents = _NO_CONTENTS
            self.span_id = span_id = tracer.next_span()
            mono = tracer.mono_ns()
            fact = (
                SPAN_STARTED, trace_id, span_id, parent_id, mono + tracer.offset_ns, mono,
                self.kind, self.name, self.agent, self.surface, attributes, contents,
            )  # fmt: skip
            self._state = tracer.generation
            tracer.open_spans[span_id] = None
            if weight:
                tracer.put_heavy(fact, weight)
            else:
                tracer.put(fact)
            _stand(self)
        except Exception as fault:  # the agent's work goes on untraced
            report("start", "trajectory: a span could not start: %r", fault)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if _where() is self:
                previous = self._previous
                if previous is None or previous._state != ENDED:
                    _stand(previous)
                else:
                    self._leave()
            state = self._state
            self._state = ENDED
            if state <= NEW:
                self._never_open(state)
                return
            tracer = self._tracer
            if state != tracer.generation:
                return  # a forked child leaves its parent's spans to the parent
            status, message, attributes = _OK, "", _NO_ATTRIBUTES
            if fault is not None:
                status, message, attributes = self._fail(outcome_of(fault))
            span_id = self.span_id
            tracer.open_spans.pop(span_id, None)
            mono = tracer.mono_ns()
            contents = self._final or _NO_CONTENTS
            fact = (
                SPAN_ENDED, self.trace_id, span_id, mono + tracer.offset_ns, mono, status, message, attributes, contents,
            )  # fmt: skip
            if contents:
                tracer.put_heavy(fact, weight_of(contents))
            else:
                tracer.put(fact)
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

    def _attach(self, slot: str, bodies: list[Said]) -> None:
        """Content for the span's start."""
        self._bodies = {**(self._bodies or {}), slot: bodies}

    def _arguments(self, arguments: Mapping[str, Any]) -> None:
        """Takes the arguments of a decorated call, before the start."""
        if arguments:
            self._attach(self._takes, [said(arguments)])

    def _result(self, value: Any) -> None:
        """Takes the result of a decorated call, before the end."""
        self._result_body(said(value))

    def _result_body(self, body: Said) -> None:
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

    def _names_session(self, place: Place | None) -> bool:
        """Whether the session is new here: at a root, under a session's own scope, or where the span brings one."""
        return not self.parent_id or not isinstance(place, Span) or place.session != self.session

    def _reopen(self) -> bool:
        """Whether a span object that is entered again begins a new span: not while the first is open, whose end comes first."""
        if self._state != ENDED:
            report("reentered", "trajectory: span %r was entered while it was open; make one for each use", self.name)
            return False
        self._final = None
        self._state = NEW
        return True

    def _leave(self) -> None:
        """Gives the context back, past whatever ended meanwhile. Called only where this span is the current one."""
        previous = past_ended(self._previous)
        _stand(None if previous is self else previous)

    def _never_open(self, state: int) -> None:
        """An end without a start: nothing is told."""
        self._state = state
        if state == ENDED:
            report("ended", "trajectory: span %r was ended twice", self.name)

    def _fail(self, outcome: Outcome) -> tuple[str, str, dict[str, Any]]:
        if outcome.event:
            self._put_event("exception", self.surface, outcome.event, _NO_CONTENTS, len(outcome.message))
        return outcome.status, outcome.message, outcome.attributes

    @harmless
    def _update(self, given: Mapping[str, Any], bodies: Bodies | None = None) -> None:
        """Says what became known of the open span."""
        if not self._is_open("changed"):
            return
        attributes, weight = attributes_of(given)
        contents = bodies or _NO_CONTENTS
        tracer = self._tracer
        mono = tracer.mono_ns()
        at = mono + tracer.offset_ns
        self._put((SPAN_UPDATED, self.trace_id, self.span_id, at, mono, attributes, contents), weight, contents)

    def _emit_event(self, name: str, given: Mapping[str, Any], surface: str = "", bodies: Bodies | None = None) -> None:
        if not self._is_open("given an event"):
            return
        attributes, weight = attributes_of(given)
        self._put_event(name, surface or self.surface, attributes, bodies or _NO_CONTENTS, weight)

    def _put_event(self, name: str, surface: str, attributes: dict[str, Any], contents: Bodies, weight: int) -> None:
        tracer = self._tracer
        mono = tracer.mono_ns()
        at = mono + tracer.offset_ns
        fact = (SPAN_EVENT, self.trace_id, self.span_id, at, mono, name, surface, attributes, contents)
        self._put(fact, weight, contents)

    def _put(self, fact: Fact, weight: int, contents: Bodies) -> None:
        if contents:
            weight += weight_of(contents)
        if weight:
            self._tracer.put_heavy(fact, weight)
        else:
            self._tracer.put(fact)

    def _is_open(self, done: str) -> bool:
        if self._state > NEW:
            return True
        when = "after its end" if self._state == ENDED else "before its start"
        report(f"{done} {when}", "trajectory: span %r was %s %s; that is not recorded", self.name, done, when)
        return False

    @harmless
    def _set_body(self, slot: str, value: Any) -> None:
        """Content that became known of the open span."""
        self._update({}, {slot: [said(value)]})
