"""Facts: the immutable things that happened, as they are carried and stored.

Invariant: everything that Trajectory shows is a fold over these types, and nothing else is stored as truth. Each is a
tagged positional array on the wire; fields are only ever appended, with defaults, so old facts stay readable.
Ids are raw bytes here (16 for a trace, 8 for a span, 16 for a digest) and hexadecimal wherever people meet them.
Times: `at_ns` is UTC wall clock, `mono_ns` the emitting process's monotonic clock, 0 where the source had none.
"""

from typing import Any

import msgspec


class SpanStarted(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=1):
    """Work begins. `parent_id` is empty for a root; `agent` is empty where the nearest agent span above decides."""

    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    at_ns: int
    mono_ns: int
    kind: str
    name: str
    agent: str = ""
    surface: str = "operational"
    attributes: dict[str, Any] = {}
    contents: dict[str, list[bytes]] = {}


class SpanEnded(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=2):
    """Work ends. Attributes and contents add to, and by key replace, those of the start."""

    trace_id: bytes
    span_id: bytes
    at_ns: int
    mono_ns: int
    status: str = "unset"
    message: str = ""
    attributes: dict[str, Any] = {}
    contents: dict[str, list[bytes]] = {}


class SpanEvent(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=3):
    """Something at one instant inside a span. Contents are the event's own, not the span's."""

    trace_id: bytes
    span_id: bytes
    at_ns: int
    mono_ns: int
    name: str
    surface: str = "operational"
    attributes: dict[str, Any] = {}
    contents: dict[str, list[bytes]] = {}


class SpanUpdated(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=4):
    """What became known of an open span: attributes and contents that add to, and by key replace, earlier ones."""

    trace_id: bytes
    span_id: bytes
    at_ns: int
    mono_ns: int
    attributes: dict[str, Any] = {}
    contents: dict[str, list[bytes]] = {}


class SpanLinked(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=5):
    """A named pointer from one span to another, perhaps in another trace."""

    trace_id: bytes
    span_id: bytes
    at_ns: int
    kind: str
    to_trace_id: bytes
    to_span_id: bytes
    attributes: dict[str, Any] = {}


class Payload(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=6):
    """A body under its digest. An emitter sends it before the first fact that names it, and once."""

    digest: bytes
    media_type: str
    body: bytes


class Heartbeat(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=7):
    """The emitter's process lives; `open_spans` are the spans it holds open, for telling hung from dead."""

    at_ns: int
    mono_ns: int
    open_spans: list[bytes] = []


class Gap(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=8):
    """`count` facts are known to be missing, and why.

    `queue_full`, `sequence`, `quarantined`, `process_died` (with what it had not sent), `spool_damaged`, `journal_damaged`.
    `detail` says it in a sentence, where there is more to say.
    """

    at_ns: int
    count: int
    reason: str
    detail: str = ""


class Found(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=9):
    """A detector's finding, kept as a fact so that a replay shows when we knew. `at_ns` is when it was found."""

    at_ns: int
    finding: "Finding"


class Marked(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=10):
    """What an operator did to an alert: `action` is `acknowledge`, `mute`, `reopen`.

    `alert_key` may be one of `view.muting` instead, for all alerts of a kind. From `until_ns` on (0: never) it counts no more.
    """

    trace_id: bytes
    at_ns: int
    alert_key: str
    action: str
    note: str = ""
    until_ns: int = 0


class Evidence(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One span that supports a finding, and what in it does."""

    span_id: bytes
    text: str


class Finding(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a detector says once.

    `span_id` is where it is seen, `root_span_id` where it began (empty if unknown), `path` runs from the root to the last
    affected span, `value` is the constraint, entity or text itself, as written. `confidence` is 0 to 1. Two findings with
    one `key` are the same finding: the later one is the grown one. `attributes` are what its detector has to say beyond that,
    for screens and programs: texts, numbers, and lists of them.
    """

    kind: str
    severity: str
    confidence: float
    trace_id: bytes
    span_id: bytes
    message: str
    agent: str = ""
    peer_agent: str = ""
    value: str = ""
    root_span_id: bytes = b""
    path: list[bytes] = []
    evidence: list[Evidence] = []
    grade: str = "observed"
    at_ns: int = 0  # when what it describes happened, by the facts' clock
    detector: str = ""
    attributes: dict[str, Any] = {}

    @property
    def key(self) -> str:
        """What stays the same while the finding grows: kind, trace, the span it began at, the value."""
        anchor = self.root_span_id or self.span_id
        return f"{self.kind}:{self.trace_id.hex()}:{anchor.hex()}:{self.value}"


SpanFact = SpanStarted | SpanEnded | SpanEvent | SpanUpdated | SpanLinked
Fact = SpanFact | Payload | Heartbeat | Gap | Found | Marked


class Source(msgspec.Struct, frozen=True, gc=False):
    """Who emitted: one process of one service. `boot_id` is fresh at each start, so (id, boot, seq) is never reused."""

    emitter_id: bytes
    boot_id: bytes
    resource: dict[str, Any] = {}

    @property
    def service(self) -> str:
        return str(self.resource.get("service.name", ""))


class Batch(msgspec.Struct, frozen=True, gc=False):
    """Consecutive facts of one source: fact `i` has the sequence number `first_seq + i`."""

    source: Source
    first_seq: int
    facts: list[Fact]


def trace_of(fact: Fact) -> bytes:
    """The trace that a fact belongs to; empty for a fact about the emitter itself."""
    if isinstance(fact, Found):
        return fact.finding.trace_id
    return getattr(fact, "trace_id", b"")
