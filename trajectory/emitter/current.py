"""Where the running code stands: the current span, its agent and its session, carried by one context variable.

Invariant: the variable holds something with a place's six fields or None, so that starting a span reads it once and needs
no case for what it finds. Tasks inherit it by themselves; threads through `carry`.
"""

from collections.abc import Callable
from contextvars import ContextVar, copy_context
from functools import wraps
from types import TracebackType
from typing import NamedTuple, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

MAIN_AGENT = "main"
ENDED = -1  # the state of a place that was left
_MOST_ENDED = 1000  # places in a row; an object that is used again may be behind itself


class Carried(NamedTuple):
    """What came with the baton and is none of ours: handed on with the next one, as W3C asks."""

    tracestate: str = ""
    baggage: tuple[tuple[str, str], ...] = ()


class Place(Protocol):
    """What a new span takes from where it starts. `trace_id` is empty where there is no trace yet."""

    trace_id: bytes
    span_id: bytes
    agent: str
    session: str | None
    carried: Carried | None
    owner: object | None  # the wrapped object whose call this is part of

    @property
    def _state(self) -> int:
        """ENDED where it was left; a span's own, which is above 0 while it is open."""

    @property
    def _previous(self) -> "Place | None":
        """Where it was entered. Asked of what was left alone."""


here: ContextVar[Place | None] = ContextVar("trajectory_here", default=None)


def _nowhere() -> Place | None:
    return None


outside: Callable[[], Place | None] = (
    _nowhere  # where code stands that is under no span of ours; `bridge` knows OpenTelemetry's
)


class Scope:
    """A place without a span of its own: a session, or the far end of a baton."""

    __slots__ = ("_previous", "_state", "agent", "carried", "owner", "session", "span_id", "trace_id")
    _previous: Place | None

    def __init__(
        self, trace_id: bytes = b"", span_id: bytes = b"", session: str | None = None, carried: Carried | None = None
    ) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.agent = MAIN_AGENT
        self.session = session
        self.carried = carried
        self.owner: object | None = None
        self._state = 1


def past_ended(place: Place | None) -> Place | None:
    """The place, or the nearest before it that was not left meanwhile."""
    count = 0
    while place is not None and place._state == ENDED:
        place, count = place._previous, count + 1
        if count == _MOST_ENDED:
            return None
    return place


class SessionScope:
    """Groups the traces that begin inside it under one session id. Use with `with` or `async with`; reusable."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self._before: list[tuple[Place | None, Scope]] = []

    def __enter__(self) -> "SessionScope":
        before = here.get()
        scope = Scope(session=self.session_id)
        if before is not None:
            scope.trace_id, scope.span_id, scope.agent = before.trace_id, before.span_id, before.agent
            scope.carried, scope.owner = before.carried, before.owner
        self._before.append((before, scope))
        here.set(scope)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before:
            before, scope = self._before.pop()
            scope._state, scope._previous = ENDED, before
            if here.get() is scope:
                here.set(past_ended(before))

    async def __aenter__(self) -> "SessionScope":
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, fault, trace)


def carry(function: Callable[P, R]) -> Callable[P, R]:
    """The function, running wherever it is called as if it were called here: for threads and pools.

    Each call runs in its own copy of this moment's context, so one carried function may run in many threads at once.
    """
    context = copy_context()

    @wraps(function)
    def carried(*args: P.args, **kwargs: P.kwargs) -> R:
        return context.copy().run(function, *args, **kwargs)

    return carried
