"""Reads facts, bodies, summaries and findings out of an SQLite store.

Invariant: nothing is held between two pages of frames, neither the lock nor a transaction, so a slow consumer delays no
writer and no checkpoint. Made by `sqlite.open_reader`; the writer is one too.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from trajectory.errors import StoreError
from trajectory.model.content import digest as digest_of
from trajectory.model.fact import Batch, Fact, Finding, Source, trace_of
from trajectory.protocol.frames import MAX_FRAME_BYTES
from trajectory.store.bodies import (
    MAX_INTEGER,
    expand,
    expand_facts,
    read_facts,
    read_resource,
    read_struct,
    unreadable_count,
)
from trajectory.store.contract import Activity, Hits, Pin, Retired, Room, TallyRow, TraceSummary
from trajectory.store.database import Database, Kinds, Row
from trajectory.store.faults import one_line
from trajectory.store.matching import MAX_CANDIDATES, is_later, prefix_range, severity_floor, the_one
from trajectory.store.packs import OpenPacks, opened, place_of
from trajectory.store.pins import pins_in
from trajectory.store.places import Places
from trajectory.store.room import room_of
from trajectory.store.searching import Search
from trajectory.store.words import Question

_PAGE_FRAMES = 32
_PAGE_TALLIES = 256
_TALLY = (int, int, bytes)  # last_ns, codec, body
_MAX_SAID = 20
_FRAME = (int, int, int, int, bytes)  # id, source, first_seq, codec, body
_PAYLOAD = (bytes, str, int, bytes)  # digest, media_type, codec, body
_PAGE_DIGESTS = 500  # under SQLite's limit of variables in every build


class SqliteReader:
    """A store's reader; usable from any thread, one at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._packs = OpenPacks(database)
        self._packs_version = 0
        self._places = Places(database)
        self._has_first_bodies: bool | None = None

    def summaries(self, limit: int = 500, offset: int = 0, before: TraceSummary | None = None) -> list[TraceSummary]:
        where = "" if before is None else "WHERE (started_ns, trace_id) < (:started_ns, :trace_id)"
        place = {} if before is None else {"started_ns": before.started_ns, "trace_id": before.trace_id}
        rows = self._database.rows(
            f"SELECT body FROM summaries {where} ORDER BY started_ns DESC, trace_id DESC LIMIT :limit OFFSET :offset",
            {**place, "limit": limit, "offset": offset},
            (bytes,),
        )
        return [read_struct(body, TraceSummary) for (body,) in rows]

    def live_summaries(self) -> list[TraceSummary]:
        rows = self._database.rows(
            "SELECT body FROM summaries WHERE is_live ORDER BY started_ns DESC, trace_id DESC", (), (bytes,)
        )
        return [read_struct(body, TraceSummary) for (body,) in rows]

    def summary_count(self) -> int:
        return self._database.number("SELECT count(*) FROM summaries")

    def summary(self, trace_id: bytes) -> TraceSummary | None:
        row = self._database.row("SELECT body FROM summaries WHERE trace_id = ?", (trace_id,), (bytes,))
        return read_struct(row[0], TraceSummary) if row else None

    def tally(self, trace_id: bytes) -> TallyRow | None:
        row = self._database.row("SELECT last_ns, codec, body FROM tallies WHERE trace_id = ?", (trace_id,), _TALLY)
        return TallyRow(trace_id, row[0], expand(row[1], row[2], MAX_FRAME_BYTES)) if row else None

    def tallies(self, since_ns: int = 0) -> Iterator[TallyRow]:
        query = """SELECT trace_id, last_ns, codec, body FROM tallies
                   WHERE last_ns >= ? AND (last_ns, trace_id) < (?, ?) ORDER BY last_ns DESC, trace_id DESC LIMIT ?"""
        last_ns, last = MAX_INTEGER, b"\xff" * 17
        while rows := self._database.rows(query, (since_ns, last_ns, last, _PAGE_TALLIES), (bytes, *_TALLY)):
            for last, last_ns, codec, body in rows:
                yield TallyRow(last, last_ns, expand(codec, body, MAX_FRAME_BYTES))

    def untallied(self) -> list[bytes]:
        rows = self._database.rows(
            "SELECT trace_id FROM summaries WHERE trace_id NOT IN (SELECT trace_id FROM tallies)", (), (bytes,)
        )
        return [trace_id for (trace_id,) in rows]

    def trace_ids(self) -> list[bytes]:
        rows = self._database.rows("SELECT trace_id FROM traces ORDER BY id", (), (bytes,))
        return [trace_id for (trace_id,) in rows]

    def has_trace(self, trace_id: bytes) -> bool:
        return bool(self._database.rows("SELECT 1 FROM traces WHERE trace_id = ?", (trace_id,)))

    def find_trace(self, prefix: str) -> bytes:
        low, high = prefix_range(prefix)
        rows = self._database.rows(
            "SELECT trace_id FROM traces WHERE trace_id BETWEEN ? AND ? ORDER BY trace_id LIMIT ?",
            (low, high, MAX_CANDIDATES),
            (bytes,),
        )
        return the_one([trace_id for (trace_id,) in rows], prefix)

    def stale_traces(self) -> list[bytes]:
        rows = self._database.rows(
            """SELECT traces.trace_id FROM traces LEFT JOIN summaries ON summaries.trace_id = traces.trace_id
               WHERE (SELECT max(frame) FROM frame_traces WHERE trace = traces.id) > coalesce(last_frame, 0)
               ORDER BY traces.id""",
            kinds=(bytes,),
        )
        return [trace_id for (trace_id,) in rows]

    def facts(self, trace_id: bytes, until_ns: int | None = None, until_frame: int | None = None) -> Iterator[Batch]:
        query = """SELECT id, source, first_seq, codec, body FROM frame_traces JOIN frames ON frames.id = frame
                   WHERE trace = (SELECT id FROM traces WHERE trace_id = :trace_id) AND min_at_ns <= :until_ns
                   AND frame > :after AND frame <= :newest ORDER BY frame LIMIT :count"""
        latest_ns = MAX_INTEGER if until_ns is None else until_ns
        for source, first_seq, facts in self._pages(query, 0, until_frame, trace_id=trace_id, until_ns=latest_ns):
            wanted = [fact for fact in facts if trace_of(fact) == trace_id and not is_later(fact, until_ns)]
            if wanted:
                yield Batch(source, first_seq, wanted)

    def all_batches(self, after_frame: int = 0, until_frame: int | None = None) -> Iterator[Batch]:
        query = """SELECT id, source, first_seq, codec, body FROM frames
                   WHERE id > :after AND id <= :newest ORDER BY id LIMIT :count"""
        for source, first_seq, facts in self._pages(query, after_frame, until_frame):
            yield Batch(source, first_seq, facts)

    def batches_of(self, emitter_id: bytes, after_frame: int, until_frame: int) -> Iterator[Batch]:
        query = """SELECT id, source, first_seq, codec, body FROM frames
                   WHERE source IN (SELECT id FROM sources WHERE emitter_id = :emitter_id)
                   AND id > :after AND id <= :newest ORDER BY id LIMIT :count"""
        for source, first_seq, facts in self._pages(query, after_frame, until_frame, emitter_id=emitter_id):
            yield Batch(source, first_seq, facts)

    def payload(self, digest: bytes) -> tuple[str, bytes] | None:
        return self.payloads([digest]).get(digest)

    def payloads(self, digests: Sequence[bytes]) -> dict[bytes, tuple[str, bytes]]:
        found: dict[bytes, tuple[str, bytes]] = {}
        with self._database.connection():
            self._forget_what_others_changed()
            for digest in digests:
                if body := self._packs.held(digest) or self._packed(digest):
                    found[digest] = body
            found |= self._first_bodies([digest for digest in digests if digest not in found])
        return found

    def _packed(self, digest: bytes) -> tuple[str, bytes] | None:
        place = self._places.find([digest]).get(digest)
        return self._packs.body(digest, place) if place else None

    def _forget_what_others_changed(self) -> None:
        version = self._database.number("PRAGMA data_version")
        if version != self._packs_version:
            self._packs.clear()
            self._packs_version = version

    def _first_bodies(self, digests: Iterable[bytes]) -> dict[bytes, tuple[str, bytes]]:
        """Those of the bodies that a store of the first format holds."""
        if self._has_first_bodies is None:
            self._has_first_bodies = bool(self._database.rows("SELECT 1 FROM payloads LIMIT 1"))
        found: dict[bytes, tuple[str, bytes]] = {}
        asked = list(digests) if self._has_first_bodies else []
        for start in range(0, len(asked), _PAGE_DIGESTS):
            page = asked[start : start + _PAGE_DIGESTS]
            marks = ",".join("?" * len(page))
            rows = self._database.rows(
                f"SELECT digest, media_type, codec, body FROM payloads WHERE digest IN ({marks})", page, _PAYLOAD
            )
            found.update((digest, (media_type, expand(codec, body))) for digest, media_type, codec, body in rows)
        return found

    def findings(
        self, trace_id: bytes | None = None, kind: str | None = None, min_severity: str | None = None
    ) -> list[Finding]:
        lowest = None if min_severity is None else severity_floor(min_severity)
        of_kind = "kind GLOB ?" if kind is not None and "*" in kind else "kind = ?"
        wanted = [("trace_id = ?", trace_id), (of_kind, kind), ("severity_rank >= ?", lowest)]
        asked = [(condition, value) for condition, value in wanted if value is not None]
        where = " AND ".join(condition for condition, _ in asked) or "1"
        rows = self._database.rows(
            f"SELECT body FROM findings WHERE {where} ORDER BY at_ns, key", [value for _, value in asked], (bytes,)
        )
        return [read_struct(body, Finding) for (body,) in rows]

    def search(self, text: str, limit: int = 200, budget_s: float = 2.0) -> Hits:
        """What was said: bodies, names of spans, events, errors, the newest first. Raises QueryError where there is no word."""
        return self._search(text, budget_s).hits(limit)

    def traces_saying(self, text: str, limit: int, budget_s: float = 0.5) -> tuple[list[bytes], bool]:
        return self._search(text, budget_s).traces(limit)

    def _search(self, text: str, budget_s: float) -> Search:
        return Search(self._database, self.payload, Question(text), budget_s)

    def next_seq(self, emitter_id: bytes, boot_id: bytes) -> int:
        return self._database.number(
            "SELECT next_seq FROM sources WHERE emitter_id = ? AND boot_id = ?", (emitter_id, boot_id)
        )

    def last_frame(self) -> int:
        return self._database.number("SELECT seq FROM sqlite_sequence WHERE name = 'frames'")

    def counts(self) -> dict[str, int]:
        number = self._database.number
        path = self._database.path
        files = [path, path.with_name(path.name + "-wal")]
        return {
            "frames": number("SELECT count(*) FROM frames"),
            "facts": number("SELECT sum(fact_count) FROM frames"),
            "traces": number("SELECT count(*) FROM traces"),
            "payloads": number("SELECT count(*) FROM payloads") + number("SELECT sum(body_count) FROM packs"),
            "bytes": sum(file.stat().st_size for file in files if file.exists()),
        }

    def activities(self, after_number: int = 0, limit: int = 256) -> list[Activity]:
        rows = self._database.rows(
            """SELECT traces.id, traces.trace_id, coalesce(received_at_ns, 0), coalesce(summaries.body, x'') FROM traces
               LEFT JOIN frames ON frames.id = (SELECT max(frame) FROM frame_traces WHERE trace = traces.id)
               LEFT JOIN summaries ON summaries.trace_id = traces.trace_id
               WHERE traces.id > ? ORDER BY traces.id LIMIT ?""",
            (after_number, limit),
            (int, bytes, int, bytes),
        )
        return [
            Activity(number, trace_id, heard_ns, read_struct(body, TraceSummary) if body else None)
            for number, trace_id, heard_ns, body in rows
        ]

    def pins(self) -> list[Pin]:
        return pins_in(self._database)

    def room(self) -> Room:
        return room_of(self._database)

    def retired(self) -> Retired:
        row = self._database.row("SELECT retired_count, retired_ns FROM housekeeping", (), (int, int))
        return Retired(*row) if row else Retired()

    def check(self) -> list[str]:
        try:
            said = [one_line(text) for (text,) in self._database.rows(f"PRAGMA integrity_check({_MAX_SAID})")]
            return (
                [*self._damaged_frames(), *self._damaged_packs(), *self._damaged_payloads()] if said == ["ok"] else said
            )
        except StoreError as fault:
            return [str(fault)]

    def data_version(self) -> int:
        # Each part only grows, so the sum moves when one does: others' commits, frames ever made, rows changed here.
        return self._database.number("PRAGMA data_version") + self.last_frame() + self._database.changes()

    def close(self) -> None:
        self._database.close()

    def _pages(
        self, query: str, after: int, until_frame: int | None, **values: Any
    ) -> Iterator[tuple[Source, int, list[Fact]]]:
        """The frames that a query gives, a page at a time, up to the newest at the start: a reader that appends ends too."""
        known: dict[int, Source] = {}
        newest = self.last_frame()
        values |= {"newest": newest if until_frame is None else min(newest, until_frame), "count": _PAGE_FRAMES}
        while rows := self._database.rows(query, {**values, "after": after}, _FRAME):
            for after, source, first_seq, codec, body in rows:  # noqa: B007 (the last one is where the next page starts)
                if source not in known:
                    known[source] = self._source(source)
                yield known[source], first_seq, read_facts(expand_facts(codec, body))

    def _source(self, source: int) -> Source:
        query = "SELECT emitter_id, boot_id, resource FROM sources WHERE id = ?"
        row = self._database.row(query, (source,), (bytes, bytes, bytes))
        emitter_id, boot_id, resource = row or (b"", b"", b"\x80")
        return Source(emitter_id, boot_id, read_resource(resource))

    def _damaged_frames(self) -> Iterator[str]:
        query = "SELECT id, codec, body FROM frames WHERE id > ? ORDER BY id LIMIT 32"
        for frame, codec, body in self._walk(query, (int, int, bytes)):
            try:
                if count := unreadable_count(expand_facts(codec, body)):
                    yield f"frame {frame}: {count} facts cannot be read"
            except StoreError as fault:
                yield f"frame {frame}: {fault}"

    def _damaged_packs(self) -> Iterator[str]:
        query = "SELECT id, head, codec, body FROM packs WHERE id > ? ORDER BY id LIMIT 8"
        for pack, head, codec, body in self._walk(query, (int, bytes, int, bytes)):
            try:
                entries = list(opened(head, codec, body).entries())
                places = self._places.find(digest for _, digest, _, _ in entries)
                for slot, digest, media_type, plain in entries:
                    if digest_of(media_type, plain) != digest:
                        yield f"payload {digest.hex()}: its body is not what its digest says"
                    elif places.get(digest) != place_of(pack, slot):
                        yield f"payload {digest.hex()}: it is not found by its digest"
            except StoreError as fault:
                yield f"pack {pack}: {fault}"

    def _damaged_payloads(self) -> Iterator[str]:
        query = "SELECT id, digest, media_type, codec, body FROM payloads WHERE id > ? ORDER BY id LIMIT 8"
        for _, digest, media_type, codec, body in self._walk(query, (int, *_PAYLOAD)):
            try:
                if digest_of(media_type, expand(codec, body)) != digest:
                    yield f"payload {digest.hex()}: its body is not what its digest says"
            except StoreError as fault:
                yield f"payload {digest.hex()}: {fault}"

    def _walk(self, query: str, kinds: Kinds) -> Iterator[Row]:
        """All rows of a query that pages by its first column."""
        last: Any = 0
        while rows := self._database.rows(query, (last,), kinds):
            yield from rows
            last = rows[-1][0]
