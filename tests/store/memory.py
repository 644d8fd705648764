"""A store in this process's memory: the same contracts as SQLite's, nothing on disk, gone at the end.

Invariant: it gives back what the SQLite store would, fact for fact, and the same suite holds both to it.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from threading import RLock
from typing import Any, TypeVar

import msgspec

from trajectory.errors import StoreError
from trajectory.model.content import digest as digest_of
from trajectory.model.fact import Batch, Fact, Finding, Payload, Source, trace_of
from trajectory.model.lists import named
from trajectory.protocol.frames import MAX_FACTS
from trajectory.store.bodies import mended, read_facts, read_resource, read_struct, write_facts, write_struct
from trajectory.store.contract import LIVE, Activity, Clock, Pin, Retired, Room, TallyRow, TraceSummary
from trajectory.store.matching import (
    check_positions,
    digests_of,
    is_later,
    prefix_range,
    severity_floor,
    severity_rank,
    the_one,
)
from trajectory.store.words import Question, said_by, said_in

S = TypeVar("S", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class _Frame:
    frame_id: int
    source: tuple[bytes, bytes]
    first_seq: int
    facts: list[Fact]
    received_ns: int

    def of(self, trace_id: bytes) -> list[Fact]:
        return [fact for fact in self.facts if trace_of(fact) == trace_id]


class MemoryStore:
    """Writer and reader in one; usable from any thread, one at a time."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._lock = RLock()
        self._now_ns = clock.now_ns if clock else time.time_ns
        self._is_closed = False
        self._frames: list[_Frame] = []
        self._last_frame = 0
        self._version = 0
        self._sources: dict[tuple[bytes, bytes], Source] = {}
        self._next_seqs: dict[tuple[bytes, bytes], int] = {}
        self._traces: dict[bytes, int] = {}  # the newest frame of each, in order of arrival
        self._payloads: dict[bytes, tuple[str, bytes]] = {}
        self._summaries: dict[bytes, TraceSummary] = {}
        self._tallies: dict[bytes, TallyRow] = {}
        self._findings: dict[str, Finding] = {}
        self._numbers: dict[bytes, int] = {}  # of each trace ever seen, in order of arrival
        self._pins: dict[Pin, None] = {}
        self._retired = Retired()

    # Writing

    def append(self, batches: Sequence[Batch]) -> int:
        check_positions(batches)
        resources = [read_resource(write_struct(batch.source.resource)) for batch in batches]  # all of them, or none
        with self._writing():
            for batch, resource in zip(batches, resources, strict=True):
                self._append_one(batch, resource)
            return self._last_frame

    def save_summaries(self, summaries: Sequence[TraceSummary], tallies: Sequence[TallyRow] = ()) -> None:
        kept = [_as_stored(summary) for summary in summaries]
        with self._writing():
            self._summaries.update((summary.trace_id, summary) for summary in kept)
            self._tallies.update((tally.trace_id, tally) for tally in tallies)

    def save_findings(self, findings: Sequence[Finding]) -> None:
        kept = [_as_stored(finding) for finding in findings]
        with self._writing():
            self._findings.update((finding.key, finding) for finding in kept)

    def index(self, budget_ns: int | None = None) -> bool:
        return True

    def delete_trace(self, *trace_ids: bytes) -> None:
        gone = set(trace_ids)
        with self._writing():
            erased = [fact for frame in self._frames for fact in frame.facts if trace_of(fact) in gone]
            left = [replace(f, facts=[fact for fact in f.facts if trace_of(fact) not in gone]) for f in self._frames]
            self._frames = [frame for frame in left if frame.facts]
            for trace_id in gone:
                self._traces.pop(trace_id, None)
                self._numbers.pop(trace_id, None)
                self._pins.pop(Pin("trace", trace_id.hex()), None)
                self._summaries.pop(trace_id, None)
                self._tallies.pop(trace_id, None)
            self._findings = {key: f for key, f in self._findings.items() if f.trace_id not in gone}
            remaining = self._named_by(fact for frame in self._frames for fact in frame.facts)
            for digest in self._named_by(erased) - remaining:
                self._payloads.pop(digest, None)

    def set_pins(self, pins: Sequence[Pin], *, pinned: bool) -> list[Pin]:
        with self._writing():
            changed = [pin for pin in pins if (pin in self._pins) != pinned]
            for pin in changed:
                if pinned:
                    self._pins[pin] = None
                else:
                    del self._pins[pin]
            return changed

    def retire(self, trace_id: bytes, session_id: str = "") -> bool:
        with self._lock:
            if {Pin("trace", trace_id.hex()), Pin("session", session_id)} & self._pins.keys():
                return False
            self.delete_trace(trace_id)
            self._retired = Retired(self._retired.trace_count + 1, self._now_ns())
            return True

    def clear(self, budget_s: float) -> bool:
        return False

    def forget_loose(self, before_ns: int, budget_s: float) -> bool:
        with self._writing():
            self._frames = [f for f in self._frames if f.received_ns >= before_ns or any(map(trace_of, f.facts))]
        return False

    def give_back(self, budget_s: float) -> bool:
        return False

    def _named_by(self, facts: Iterable[Fact]) -> set[bytes]:
        return named((entry for fact in facts for entry in digests_of(fact)), self._payloads.get)

    def _append_one(self, batch: Batch, resource: dict[str, Any]) -> None:
        key = (batch.source.emitter_id, batch.source.boot_id)
        if resource or key not in self._sources:
            self._sources[key] = Source(*key, resource)
        next_seq = self._next_seqs.get(key, 0)
        for start in range(max(0, next_seq - batch.first_seq), len(batch.facts), MAX_FACTS):
            self._store_frame(key, batch.first_seq + start, batch.facts[start : start + MAX_FACTS])
        self._next_seqs[key] = max(next_seq, batch.first_seq + len(batch.facts))

    def _store_frame(self, source: tuple[bytes, bytes], first_seq: int, part: list[Fact]) -> None:
        for fact in part:
            if isinstance(fact, Payload):
                self._payloads.setdefault(fact.digest, (mended(fact.media_type), fact.body))
        facts: list[Fact] = [fact for fact in part if not isinstance(fact, Payload)]
        if not facts:
            return
        self._last_frame += 1
        kept = read_facts(write_facts(facts)[1])  # as they would come back from a disk
        self._frames.append(_Frame(self._last_frame, source, first_seq, kept, self._now_ns()))
        for trace_id in filter(None, map(trace_of, kept)):
            self._numbers.setdefault(trace_id, 1 + max(self._numbers.values(), default=0))
        self._traces.update((trace_id, self._last_frame) for fact in kept if (trace_id := trace_of(fact)))

    # Reading

    def summaries(self, limit: int = 500, offset: int = 0, before: TraceSummary | None = None) -> list[TraceSummary]:
        with self._reading():
            newest = sorted(self._summaries.values(), key=_place, reverse=True)
            if before is not None:
                newest = [summary for summary in newest if _place(summary) < _place(before)]
            return newest[offset : offset + limit]

    def live_summaries(self) -> list[TraceSummary]:
        with self._reading():
            newest = sorted(self._summaries.values(), key=_place, reverse=True)
            return [summary for summary in newest if summary.state == LIVE]

    def summary_count(self) -> int:
        with self._reading():
            return len(self._summaries)

    def summary(self, trace_id: bytes) -> TraceSummary | None:
        with self._reading():
            return self._summaries.get(trace_id)

    def tally(self, trace_id: bytes) -> TallyRow | None:
        with self._reading():
            return self._tallies.get(trace_id)

    def tallies(self, since_ns: int = 0) -> Iterator[TallyRow]:
        with self._reading():
            found = sorted(self._tallies.values(), key=lambda tally: (tally.last_ns, tally.trace_id), reverse=True)
        yield from (tally for tally in found if tally.last_ns >= since_ns)

    def untallied(self) -> list[bytes]:
        with self._reading():
            return sorted(self._summaries.keys() - self._tallies.keys())

    def trace_ids(self) -> list[bytes]:
        with self._reading():
            return list(self._traces)

    def has_trace(self, trace_id: bytes) -> bool:
        with self._reading():
            return trace_id in self._traces

    def find_trace(self, prefix: str) -> bytes:
        low, high = prefix_range(prefix)
        with self._reading():
            return the_one(sorted(trace_id for trace_id in self._traces if low <= trace_id <= high), prefix)

    def stale_traces(self) -> list[bytes]:
        with self._reading():
            folded = {trace_id: summary.last_frame for trace_id, summary in self._summaries.items()}
            return [trace_id for trace_id, newest in self._traces.items() if newest > folded.get(trace_id, 0)]

    def facts(self, trace_id: bytes, until_ns: int | None = None, until_frame: int | None = None) -> Iterator[Batch]:
        for frame in self._frames_after(0, until_frame):
            wanted = [fact for fact in frame.of(trace_id) if not is_later(fact, until_ns)] if trace_id else []
            if wanted:
                yield Batch(self._sources[frame.source], frame.first_seq, wanted)

    def all_batches(self, after_frame: int = 0, until_frame: int | None = None) -> Iterator[Batch]:
        for frame in self._frames_after(after_frame, until_frame):
            yield Batch(self._sources[frame.source], frame.first_seq, list(frame.facts))

    def batches_of(self, emitter_id: bytes, after_frame: int, until_frame: int) -> Iterator[Batch]:
        return (b for b in self.all_batches(after_frame, until_frame) if b.source.emitter_id == emitter_id)

    def payload(self, digest: bytes) -> tuple[str, bytes] | None:
        return self.payloads([digest]).get(digest)

    def payloads(self, digests: Sequence[bytes]) -> dict[bytes, tuple[str, bytes]]:
        with self._reading():
            return {digest: self._payloads[digest] for digest in digests if digest in self._payloads}

    def findings(
        self, trace_id: bytes | None = None, kind: str | None = None, min_severity: str | None = None
    ) -> list[Finding]:
        lowest = 0 if min_severity is None else severity_floor(min_severity)
        with self._reading():
            found = [
                finding
                for finding in self._findings.values()
                if trace_id in (None, finding.trace_id)
                and (kind is None or fnmatchcase(finding.kind, kind))
                and severity_rank(finding.severity) >= lowest
            ]
            return sorted(found, key=lambda finding: (finding.at_ns, finding.key.encode()))

    def traces_saying(self, text: str, limit: int, budget_s: float = 0.5) -> tuple[list[bytes], bool]:
        question = Question(text)
        with self._reading():
            saying = {d for d, body in self._payloads.items() if question.passage(said_by(*body))}
            facts = [fact for frame in reversed(self._frames) for fact in frame.facts if trace_of(fact)]
            found = dict.fromkeys(trace_of(f) for f in facts if self._named_by([f]) & saying or _says(f, question))
        return list(found)[:limit], len(found) <= limit

    def next_seq(self, emitter_id: bytes, boot_id: bytes) -> int:
        with self._reading():
            return self._next_seqs.get((emitter_id, boot_id), 0)

    def last_frame(self) -> int:
        with self._reading():
            return self._last_frame

    def counts(self) -> dict[str, int]:
        with self._reading():
            return {
                "frames": len(self._frames),
                "facts": sum(len(frame.facts) for frame in self._frames),
                "traces": len(self._traces),
                "payloads": len(self._payloads),
                "bytes": sum(len(write_facts(frame.facts)[1]) for frame in self._frames)
                + sum(len(body) for _, body in self._payloads.values()),
            }

    def activities(self, after_number: int = 0, limit: int = 256) -> list[Activity]:
        with self._reading():
            heard_ns = {frame.frame_id: frame.received_ns for frame in self._frames}
            known = sorted((number, trace_id) for trace_id, number in self._numbers.items() if number > after_number)
            return [
                Activity(number, trace_id, heard_ns.get(self._traces[trace_id], 0), self._summaries.get(trace_id))
                for number, trace_id in known[:limit]
            ]

    def pins(self) -> list[Pin]:
        with self._reading():
            return list(self._pins)

    def room(self) -> Room:
        held_bytes = self.counts()["bytes"]
        return Room(held_bytes, held_bytes)

    def retired(self) -> Retired:
        with self._reading():
            return self._retired

    def check(self) -> list[str]:
        with self._reading():
            return [
                f"payload {digest.hex()}: its body is not what its digest says"
                for digest, (media_type, body) in self._payloads.items()
                if digest_of(media_type, body) != digest
            ]

    def data_version(self) -> int:
        with self._reading():
            return self._version

    def close(self) -> None:
        with self._lock:
            self._is_closed = True

    def _frames_after(self, frame_id: int, until_frame: int | None = None) -> list[_Frame]:
        with self._reading():
            newest = self._frames[-1].frame_id if self._frames and until_frame is None else until_frame or 0
            return [frame for frame in self._frames if frame_id < frame.frame_id <= newest]

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock:
            if self._is_closed:
                raise StoreError("the store in memory is closed")
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._reading():
            self._version += 1
            yield


def _says(fact: Fact, question: Question) -> bool:
    return any(question.passage(text) for text in said_in(fact))


def _place(summary: TraceSummary) -> tuple[int, bytes]:
    return summary.started_ns, summary.trace_id


def _as_stored(value: S) -> S:
    """A struct as it would come back from a disk, its texts mended."""
    return read_struct(write_struct(value), type(value))
