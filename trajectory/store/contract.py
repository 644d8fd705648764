"""The seam between facts and where they rest: what a writer and a reader promise, whatever holds the bytes.

Invariant: a reader sees whole appends or nothing of them, in the order of appending. The collector writes; the command
line, the exporters and a dashboard on a store at rest read. Every method may raise StoreError, with one line that says
what happened, where and what to do.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import msgspec

from trajectory.model.ends import Ends
from trajectory.model.fact import Batch, Finding

LIVE = "live"  # the state of a summary whose trace goes on


class Clock(Protocol):
    """Says what time it is."""

    def now_ns(self) -> int:
        """UTC wall clock, nanoseconds."""
        ...


class TraceSummary(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One trace folded into one row, so that a list of traces reads no facts. Fields are only ever appended.

    Times are UTC nanoseconds, 0 where unknown. `state` is a `TraceRow`'s. `last_frame` is the id of the newest frame that
    is folded in and judged, as `Writer.append` returned it: a summary that is behind its facts is known by it.
    """

    trace_id: bytes
    title: str = ""
    goal: str = ""
    state: str = ""
    session_id: str = ""
    service: str = ""
    started_ns: int = 0
    ended_ns: int = 0
    agents: int = 0
    delegations: int = 0
    steps: int = 0
    errors: int = 0
    critical: int = 0
    warnings: int = 0
    infos: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    last_frame: int = 0
    agent_names: list[str] = []
    ends: Ends | None = None  # where it may join others; None where an earlier release summed it up


class Hit(msgspec.Struct, frozen=True, gc=False):
    """A text that says what was searched for, as `text[start:end]`, and the span whose content, name, event or error it is.

    `span_id` is empty, as are `agent`, `kind` and `name`, where the span is not known. `at_ns` is 0 where no time is.
    """

    trace_id: bytes
    span_id: bytes
    at_ns: int
    agent: str
    kind: str
    name: str
    text: str
    start: int
    end: int


class Hits(msgspec.Struct, frozen=True, gc=False):
    """What a search found; not `is_complete` where there may be more: the limit was reached, or the time was over."""

    hits: list[Hit]
    is_complete: bool


class Pin(NamedTuple):
    """What is never retired: one trace (`name` is its id in hexadecimal), or all of a session, also those to come."""

    kind: str  # trace, session
    name: str


class TallyRow(NamedTuple):
    """What a trace looks like in numbers (`signals.tally` writes the body), and when the latest work in it ended."""

    trace_id: bytes
    last_ns: int
    body: bytes


class Activity(NamedTuple):
    """When the store last heard of a trace. `number` grows with the arrival of its first fact."""

    number: int
    trace_id: bytes
    heard_ns: int  # when its newest frame was received, by the clock of the store
    summary: TraceSummary | None


class Room(NamedTuple):
    """What a store takes on the disk: `needed_bytes` of it are in use, the rest can be given back."""

    file_bytes: int
    needed_bytes: int


class Retired(NamedTuple):
    """How many traces retention removed from a store since it was made, and when it last did."""

    trace_count: int = 0
    last_ns: int = 0


class Reader(Protocol):
    """Reads a store; one call at a time, from any thread.

    An iterator reads page by page, holds no lock in between, and ends at the frame that was the newest when it began.
    """

    def summaries(self, limit: int = 500, offset: int = 0, before: TraceSummary | None = None) -> list[TraceSummary]:
        """The saved summaries, latest start first; with `before`, those that come after that one in this order."""
        ...

    def live_summaries(self) -> list[TraceSummary]:
        """Those of them whose state is `live`, latest start first."""
        ...

    def summary_count(self) -> int:
        """How many there are."""
        ...

    def summary(self, trace_id: bytes) -> TraceSummary | None:
        """The saved summary of one trace."""
        ...

    def tally(self, trace_id: bytes) -> TallyRow | None:
        """The saved tally of one trace."""
        ...

    def tallies(self, since_ns: int = 0) -> Iterator[TallyRow]:
        """The saved tallies of traces in which work ended at or after an instant, the latest first."""
        ...

    def untallied(self) -> list[bytes]:
        """The traces that have a summary and no tally: an earlier release summed them up."""
        ...

    def trace_ids(self) -> list[bytes]:
        """Every trace that has a fact, in order of its first one's arrival."""
        ...

    def has_trace(self, trace_id: bytes) -> bool:
        """Whether there is a fact of it."""
        ...

    def find_trace(self, prefix: str) -> bytes:
        """The one trace whose hexadecimal id starts with `prefix`. Raises StoreError where none or several do."""
        ...

    def stale_traces(self) -> list[bytes]:
        """The traces with facts in frames newer than their summary's `last_frame`, or without a summary."""
        ...

    def facts(self, trace_id: bytes, until_ns: int | None = None, until_frame: int | None = None) -> Iterator[Batch]:
        """The facts of one trace and nothing else, in stored order; with `until_ns`, those at or before that instant, and with
        `until_frame` those from frames with an id up to that.

        Payloads do not come: ask `payload`. A batch's `first_seq` is the position of the frame that its facts were stored
        in; neighbours that were left out make `first_seq + i` a lower bound of fact `i`'s position, never above it.
        """
        ...

    def all_batches(self, after_frame: int = 0, until_frame: int | None = None) -> Iterator[Batch]:
        """All facts but payloads, in stored order, from frames with an id above `after_frame`, up to `until_frame`; `first_seq`
        as in `facts`.

        Those of retired traces come until `Writer.clear` has removed them.
        """
        ...

    def batches_of(self, emitter_id: bytes, after_frame: int, until_frame: int) -> Iterator[Batch]:
        """As `all_batches`, of one emitter alone: the others' frames are not read."""
        ...

    def payload(self, digest: bytes) -> tuple[str, bytes] | None:
        """A body by its digest, as (media type, body)."""
        ...

    def payloads(self, digests: Sequence[bytes]) -> dict[bytes, tuple[str, bytes]]:
        """Those of the bodies that are there, by digest."""
        ...

    def findings(
        self, trace_id: bytes | None = None, kind: str | None = None, min_severity: str | None = None
    ) -> list[Finding]:
        """The saved findings that match, in time order; a kind with a `*` in it is a pattern, as `anomaly.*`."""
        ...

    def traces_saying(self, text: str, limit: int, budget_s: float = 0.5) -> tuple[list[bytes], bool]:
        """The traces in which a body, a span's name, an event or an error says a text, roughly the newest first, and whether
        these are all: not more than `limit`, nor than the time allows to find. Raises QueryError where there is no word in it.
        """
        ...

    def next_seq(self, emitter_id: bytes, boot_id: bytes) -> int:
        """The position up to which one emitter's facts are stored; 0 for an unknown one."""
        ...

    def last_frame(self) -> int:
        """The id of the newest frame, 0 in an empty store. Ids only grow and are never used twice."""
        ...

    def counts(self) -> dict[str, int]:
        """How much there is: `frames`, `facts`, `traces`, `payloads`, `bytes` (on disk, or held)."""
        ...

    def activities(self, after_number: int = 0, limit: int = 256) -> list[Activity]:
        """The traces with a number above `after_number`, in order of their numbers."""
        ...

    def pins(self) -> list[Pin]:
        """What is never retired, in order of pinning."""
        ...

    def room(self) -> Room:
        """What the store takes, and what of it is in use; cheap enough to poll."""
        ...

    def retired(self) -> Retired:
        """How much retention has removed."""
        ...

    def check(self) -> list[str]:
        """What is damaged, one sentence each; empty for a sound store. Reads everything."""
        ...

    def data_version(self) -> int:
        """A number that differs from the last one whenever anything was written since; cheap enough to poll."""
        ...

    def close(self) -> None:
        """Frees what it holds; a second call does nothing."""
        ...


class Writer(Reader, Protocol):
    """The one writer of a store. It reads too, and sees what it wrote."""

    def append(self, batches: Sequence[Batch]) -> int:
        """Stores batches whole or not at all, and returns the id of the newest frame of the store.

        Durable when it returns: the death of this process loses nothing. Positions below `next_seq` of a batch's source
        are stored already and skipped, so a resent batch is stored once. A payload is stored once, under its digest, and
        its position counts. A fact that no encoding can hold is stored as a `Gap` of one, reason `quarantined`. After
        StoreError (disk full, I/O error) nothing of the call is stored and the writer can be used on.
        """
        ...

    def save_summaries(self, summaries: Sequence[TraceSummary], tallies: Sequence[TallyRow] = ()) -> None:
        """Stores or replaces each summary, and each tally, under its trace: all of them or none."""
        ...

    def save_findings(self, findings: Sequence[Finding]) -> None:
        """Stores or replaces each finding under its key."""
        ...

    def index(self, budget_ns: int | None = None) -> bool:
        """Makes searchable what was stored since, as much as the time allows; True where nothing is left to do.

        What is not indexed is found too, by looking through it; but a trace that names what was said and indexed before is found
        by that only when it is indexed itself.
        """
        ...

    def delete_trace(self, *trace_ids: bytes) -> None:
        """Removes these traces: facts, summaries, findings, and the payloads that no other trace names. Unknown: no error.

        Readers see all of them or none. It indexes first what is behind; overwrites what they said, also in the index, and
        gives its room back: that takes a moment each time, so name all in one call. An emitter sends a body once: one that is
        removed here stays away where a later fact of a live emitter names it again, until it is sent anew.
        """
        ...

    def set_pins(self, pins: Sequence[Pin], *, pinned: bool) -> list[Pin]:
        """Pins, or unpins; returns those of them that were not so before."""
        ...

    def retire(self, trace_id: bytes, session_id: str = "") -> bool:
        """Takes a trace out of every reader's sight, to be removed by `clear`. False where it, or its session, is pinned.

        A fact that comes for it later begins it anew.
        """
        ...

    def clear(self, budget_s: float) -> bool:
        """Removes what is left of retired traces, for about so long; False where nothing is left to remove."""
        ...

    def forget_loose(self, before_ns: int, budget_s: float) -> bool:
        """Removes frames that belong to no trace (heartbeats, gaps) and were received before an instant; False as for `clear`."""
        ...

    def give_back(self, budget_s: float) -> bool:
        """Gives room that is not in use back to the disk, for about so long; False where there is none to give."""
        ...
