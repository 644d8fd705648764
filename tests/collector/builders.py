"""A collector taken apart for tests: a store in memory that can be made to fail, a clock that stands, a peer on the wire.

Invariant: nothing here sleeps; a peer's answers are there when `Bench.serve` returns, because transports are `inproc` and the
rounds are driven by the test. Used by the tests of the collector.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import zmq

from tests.store.memory import MemoryStore
from trajectory.collector.desk import Desk
from trajectory.collector.intake import Intake
from trajectory.collector.pipeline import Pipeline
from trajectory.collector.publish import Publisher
from trajectory.collector.quotas import Quotas
from trajectory.detection.contract import DetectorFactory
from trajectory.errors import StoreError
from trajectory.graph.trace import Trace
from trajectory.model.fact import Batch, Evidence, Fact, Finding, Source, SpanEnded, SpanStarted
from trajectory.protocol import codec, frames
from trajectory.store.contract import TallyRow, TraceSummary
from trajectory.store.journal import Journal, JournalReader
from trajectory.view.rows import Health

TRACE = b"trace-of-tests-1"
SOURCE = Source(b"emitter-of-test1", b"boot-of-a-test-1", {"service.name": "svc"})
NOW_NS = 1_790_000_000_000_000_000
SECOND_NS = 1_000_000_000


class Clock:
    """A wall clock that a test sets."""

    def __init__(self, at_ns: int = NOW_NS) -> None:
        self.at_ns = at_ns

    def __call__(self) -> int:
        return self.at_ns

    def passes(self, seconds: float) -> None:
        self.at_ns += int(seconds * SECOND_NS)


class FailingStore(MemoryStore):
    """A store that is full, or cannot be read, while a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.is_full = self.is_unreadable = False
        self.poison = b""  # a span id whose facts raise what is no StoreError

    def append(self, batches: Sequence[Batch]) -> int:
        if self.is_full:
            raise StoreError("the store cannot grow, the disk is full")
        return super().append(batches)

    def save_summaries(self, summaries: Sequence[TraceSummary], tallies: Sequence[TallyRow] = ()) -> None:
        if self.is_full:
            raise StoreError("the store cannot grow, the disk is full")
        super().save_summaries(summaries, tallies)

    def next_seq(self, emitter_id: bytes, boot_id: bytes) -> int:
        self._readable()
        return super().next_seq(emitter_id, boot_id)

    def facts(self, trace_id: bytes, until_ns: int | None = None, until_frame: int | None = None) -> Iterator[Batch]:
        self._readable()
        return super().facts(trace_id, until_ns, until_frame)

    def _readable(self) -> None:
        if self.is_unreadable:
            raise StoreError("the store is locked by another program")


def span_id(number: int) -> bytes:
    return number.to_bytes(8, "big")


def started(
    number: int, parent: int = 0, kind: str = "agent", name: str = "", agent: str = "", at_ns: int = 0, **more: Any
) -> SpanStarted:
    parent_id = span_id(parent) if parent else b""
    trace_id = more.pop("trace_id", TRACE)
    return SpanStarted(
        trace_id,
        span_id(number),
        parent_id,
        at_ns or NOW_NS + number,
        number,
        kind,
        name or f"n{number}",
        agent,
        **more,
    )


def ended(number: int, status: str = "ok", at_ns: int = 0, trace_id: bytes = TRACE, **more: Any) -> SpanEnded:
    return SpanEnded(trace_id, span_id(number), at_ns or NOW_NS + 1000 + number, number, status, **more)


def finding(
    number: int = 1, kind: str = "cascade", severity: str = "critical", value: str = "", **more: Any
) -> Finding:
    return Finding(
        kind,
        severity,
        more.pop("confidence", 0.9),
        more.pop("trace_id", TRACE),
        span_id(number),
        more.pop("message", "went wrong"),
        value=value,
        evidence=[Evidence(span_id(number), "seen here")],
        **more,
    )


class SaysOnEnd:
    """A detector: each failed span is a finding, which grows when the judge settles."""

    name = "says-on-end"

    def observe(self, fact: Fact, trace: Trace) -> list[Finding]:
        if isinstance(fact, SpanEnded) and fact.status == "error":
            return [self._found(fact.span_id, trace, "failed")]
        return []

    def settle(self, now_ns: int, trace: Trace) -> list[Finding]:
        return [self._found(s.span_id, trace, "failed, and it is over") for s in trace.spans.values() if s.is_error]

    def _found(self, at: bytes, trace: Trace, message: str) -> Finding:
        return Finding("cascade", "critical", 0.9, trace.trace_id, at, message, evidence=[Evidence(at, "failed")])


class FailingJournal(Journal):
    """A journal whose disk is full while a test says so."""

    is_full = False

    def append(self, frames: Sequence[bytes], received_at_ns: int) -> None:
        if self.is_full:
            raise StoreError("the journal cannot grow, the disk is full")
        super().append(frames, received_at_ns)


class Bench:
    """An intake on an `inproc` endpoint, its journal, and the desk that settles it, driven round by round."""

    def __init__(
        self,
        folder: Path,
        detectors: Sequence[DetectorFactory] = (),
        store: FailingStore | None = None,
        quotas: Quotas | None = None,
        **intake: Any,
    ) -> None:
        self.clock = Clock()
        self.store = store or FailingStore()
        self.pipeline = Pipeline(self.store, detectors, self.clock)
        # By its clock no answer costs anything: a machine that is busy changes no test.
        self.publisher = Publisher(self.pipeline, self.health, is_live=lambda: True, clock=lambda: 0)
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.journal = FailingJournal(folder)
        self.desk = Desk(self.pipeline, self.publisher, JournalReader(folder), self.clock)
        self.intake = Intake(
            "inproc://bench", self.journal, self.store.next_seq, self.clock, self.context, quotas=quotas, **intake
        )
        self._peers: list[Peer] = []

    def health(self) -> Health:
        news, vitals = self.intake.news(), self.pipeline.vitals
        for reason in news.unread:
            vitals.quarantined(reason)
        for reason in news.refused:
            vitals.refused(reason)
        vitals.intake_trouble = news.trouble
        return vitals.health(
            self.clock(), emitters=news.emitters, store="memory", endpoint=self.intake.endpoint,
            waiting_bytes=self.desk.waiting_bytes,
        )  # fmt: skip

    def peer(self, source: Source = SOURCE) -> "Peer":
        peer = Peer(self.context, self.intake.endpoint, source)
        self._peers.append(peer)
        return peer

    def serve(self) -> None:
        """Rounds until nothing is left to read, to settle or to answer."""
        while self.intake.round(0.0) or self.settle():
            asked, self.intake.asked = self.intake.asked, []
            for one in asked:
                self.intake.answer(one.routing_id, self.desk.answer(one.frame))

    def settle(self) -> bool:
        is_more = self.desk.settle(self.journal.end)
        self.intake.settled(self.desk.position)
        return is_more

    def stored(self, trace_id: bytes = TRACE) -> list[Fact]:
        """What the store holds of a trace."""
        return [fact for batch in self.store.facts(trace_id) for fact in batch.facts]

    def close(self) -> None:
        for peer in self._peers:
            peer.socket.close(linger=0)
        self.intake.close()
        self.desk.close()
        self.context.term()


@contextmanager
def bench(
    *detectors: DetectorFactory,
    store: FailingStore | None = None,
    quotas: Quotas | None = None,
    folder: Path | None = None,
    **intake: Any,
) -> Iterator[Bench]:
    """A bench with a journal of its own, or the one in `folder`, which then stays."""
    with TemporaryDirectory() as own:
        made = Bench(folder or Path(own), detectors, store, quotas, **intake)
        try:
            yield made
        finally:
            made.close()


class Peer:
    """One emitter, or watcher, that says exactly what a test makes it say."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", endpoint: str, source: Source = SOURCE) -> None:
        self.source = source
        self.socket: zmq.Socket[bytes] = context.socket(zmq.DEALER)
        self.socket.connect(endpoint)

    def hello(self, held_seq: int = 0) -> None:
        self.socket.send(frames.hello(self.source.emitter_id, self.source.boot_id, self.source.resource, held_seq))

    def facts(self, first_seq: int, *facts: Fact) -> None:
        self.raw(first_seq, *(codec.encode(fact) for fact in facts))

    def raw(self, first_seq: int, *packed: bytes) -> None:
        """A frame around facts that are packed, well or not."""
        self.socket.send(frames.facts_frame(self.source.emitter_id, self.source.boot_id, first_seq, list(packed)))

    def bye(self, next_seq: int) -> None:
        self.socket.send(frames.bye(self.source.emitter_id, self.source.boot_id, next_seq))

    def answers(self) -> list[list[Any]]:
        """Everything that came back, as (type, ...)."""
        found = []
        while self.socket.poll(0):
            found.append(frames.unpack(self.socket.recv_multipart()[-1])[1:])
        return found

    def acks(self) -> list[int]:
        """The positions that were acknowledged; fails on any other answer."""
        answers = self.answers()
        assert all(kind == frames.ACK for kind, *_ in answers), answers
        return [answer[2] for answer in answers]


def wait_for(condition: Callable[[], bool], poll: Callable[[], object], what: str = "") -> None:
    """Polls until a condition holds; `poll` is what takes the time. Fails after twenty seconds."""
    import time

    deadline_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline_s, what or "waited in vain"
        poll()
