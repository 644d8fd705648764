"""Facts as processors see them: tuples with names, exchanged with `fact._replace(name="...")`.

Invariant: field for field these are the facts of `trajectory.model.fact`, behind the tag that they have on the wire. Users import
them from `trajectory.emitter.processors`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from trajectory.protocol.frames import PAYLOAD, SPAN_ENDED, SPAN_EVENT, SPAN_LINKED, SPAN_STARTED, SPAN_UPDATED


class SpanStarted(NamedTuple):
    """Work begins. Times are UTC wall clock and monotonic, in nanoseconds; contents are digests of bodies by slot."""

    tag: int
    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    at_ns: int
    mono_ns: int
    kind: str
    name: str
    agent: str
    surface: str
    attributes: dict[str, Any]
    contents: dict[str, list[bytes]]


class SpanEnded(NamedTuple):
    """Work ends, with a status of `ok`, `error` or `unset`, and the error's message."""

    tag: int
    trace_id: bytes
    span_id: bytes
    at_ns: int
    mono_ns: int
    status: str
    message: str
    attributes: dict[str, Any]
    contents: dict[str, list[bytes]]


class SpanEvent(NamedTuple):
    """Something at one instant inside a span."""

    tag: int
    trace_id: bytes
    span_id: bytes
    at_ns: int
    mono_ns: int
    name: str
    surface: str
    attributes: dict[str, Any]
    contents: dict[str, list[bytes]]


class SpanUpdated(NamedTuple):
    """What became known of an open span."""

    tag: int
    trace_id: bytes
    span_id: bytes
    at_ns: int
    mono_ns: int
    attributes: dict[str, Any]
    contents: dict[str, list[bytes]]


class SpanLinked(NamedTuple):
    """A named pointer from one span to another."""

    tag: int
    trace_id: bytes
    span_id: bytes
    at_ns: int
    kind: str
    to_trace_id: bytes
    to_span_id: bytes
    attributes: dict[str, Any]


class Payload(NamedTuple):
    """A body, before any fact that names it. Its digest follows its body: exchange the body alone."""

    tag: int
    digest: bytes
    media_type: str
    body: bytes


Fact = SpanStarted | SpanEnded | SpanEvent | SpanUpdated | SpanLinked | Payload
Processor = Callable[[Fact], Fact | None]

_KINDS: dict[int, type[Any]] = {
    SPAN_STARTED: SpanStarted,
    SPAN_ENDED: SpanEnded,
    SPAN_EVENT: SpanEvent,
    SPAN_UPDATED: SpanUpdated,
    SPAN_LINKED: SpanLinked,
    PAYLOAD: Payload,
}


def named(fact: tuple[Any, ...]) -> Fact | None:
    """The emitter's tuple with names; None for what no processor is asked about, such as a heartbeat."""
    kind = _KINDS.get(fact[0])
    return None if kind is None or len(fact) != len(kind._fields) else kind._make(fact)
