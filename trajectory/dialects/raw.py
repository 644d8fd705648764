"""An OpenTelemetry span in plain values, as any of the wire's encodings carries it, and what can be wrong with one.

Invariant: a `RawSpan` has ids of the right length and times in range, so the dialects need not look. Made by
`otlp_protobuf`, `otlp_json` and `spanlist`, read by the dialects and `spans`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from trajectory.model.words import SpanStatus

MAX_NS = 1 << 63
_KEPT_CHARS = 1024  # of a span's attributes' names; of more of them the words are found each time
_NO_TRACE, _NO_SPAN = bytes(16), bytes(8)
SPAN_KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
STATUSES = (SpanStatus.UNSET, SpanStatus.OK, SpanStatus.ERROR)


class BadSpanError(ValueError):
    """One span that cannot be read; its neighbours can."""


@dataclass(slots=True)
class RawEvent:
    """A span event: a name, an instant, attributes."""

    name: str
    at_ns: int
    attributes: Mapping[str, Any]


@dataclass(slots=True)
class RawLink:
    """A pointer to another span."""

    trace_id: bytes
    span_id: bytes
    attributes: Mapping[str, Any]


@dataclass(slots=True)
class RawSpan:
    """A span. Times are UTC nanoseconds; `end_ns` is 0 while it is open; `kind` is one of `SPAN_KINDS`.

    `words` are what the names of its attributes consist of (`llm`, `tool`, `name`): by them a dialect knows at a glance
    that a span is none of its own.
    """

    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    name: str
    start_ns: int
    end_ns: int
    kind: str = "unspecified"
    scope: str = ""
    status: str = SpanStatus.UNSET
    message: str = ""
    attributes: dict[str, Any] = field(default_factory=dict)
    events: list[RawEvent] = field(default_factory=list)
    links: list[RawLink] = field(default_factory=list)
    words: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        keys = tuple(self.attributes)
        self.words = _words(keys) if len("".join(keys)) <= _KEPT_CHARS else _words.__wrapped__(keys)

    def check(self) -> "RawSpan":
        """Itself, with times mended where that is safe. Raises BadSpanError: ids of a wrong length, times out of range."""
        if len(self.trace_id) != 16 or self.trace_id == _NO_TRACE:
            raise BadSpanError(f"trace id has {len(self.trace_id)} bytes or is zero")
        if len(self.span_id) != 8 or self.span_id == _NO_SPAN:
            raise BadSpanError(f"span id has {len(self.span_id)} bytes or is zero")
        if len(self.parent_id) not in (0, 8):
            raise BadSpanError(f"parent span id has {len(self.parent_id)} bytes")
        if not (0 <= self.start_ns < MAX_NS and 0 <= self.end_ns < MAX_NS):
            raise BadSpanError("time out of range")
        if self.parent_id == _NO_SPAN:
            self.parent_id = b""
        self.start_ns = self.start_ns or self.end_ns
        if self.end_ns:
            self.end_ns = max(self.end_ns, self.start_ns)  # a clock that was set back while the span ran
        return self


@lru_cache(maxsize=1024)
def _words(keys: tuple[str, ...]) -> frozenset[str]:
    """The parts of attributes' names; spans of one sort have the same names."""
    return frozenset(word for key in keys for word in key.split("."))


@dataclass(slots=True)
class RawLog:
    """A log record, of which an event is one kind. Ids are empty where it belongs to no span; `severity` is 1 to 24, or 0."""

    trace_id: bytes
    span_id: bytes
    at_ns: int
    event: str = ""
    severity: int = 0
    body: Any = None
    attributes: dict[str, Any] = field(default_factory=dict)
    scope: str = ""

    def check(self) -> "RawLog":
        """Itself, its ids empty where they are zero. Raises BadSpanError: ids of a wrong length, time out of range."""
        self.trace_id = self.trace_id if any(self.trace_id) else b""
        self.span_id = self.span_id if any(self.span_id) else b""
        if len(self.trace_id) not in (0, 16) or len(self.span_id) not in (0, 8):
            raise BadSpanError(f"trace id has {len(self.trace_id)} bytes and span id {len(self.span_id)}")
        if not 0 <= self.at_ns < MAX_NS:
            raise BadSpanError("time out of range")
        return self


SpanGroup = tuple[dict[str, Any], Iterable[RawSpan | BadSpanError]]  # of one resource
LogGroup = tuple[dict[str, Any], Iterable[RawLog | BadSpanError]]
