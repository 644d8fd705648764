"""Writes facts, summaries and findings into an SQLite store: one transaction a call.

Invariant: the position that `next_seq` gives moves in the same transaction as the facts below it, so what was acknowledged
is there and what is resent is skipped. Made by `sqlite.open_writer`, called by the collector and by importers.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

from trajectory.errors import StoreError
from trajectory.model.content import DIGEST_BYTES
from trajectory.model.fact import Batch, Fact, Finding, Payload, Source, trace_of
from trajectory.protocol.frames import MAX_FACTS
from trajectory.store import pins, room
from trajectory.store.bodies import MAX_INTEGER, read_struct, shrink, time_span_ns, write_facts, write_struct
from trajectory.store.contract import LIVE, Clock, Pin, TallyRow, TraceSummary
from trajectory.store.database import Database
from trajectory.store.erase import Erasing, remove_loose
from trajectory.store.indexing import Indexing
from trajectory.store.lock import WriterLock
from trajectory.store.matching import check_positions, severity_rank
from trajectory.store.packs import columns, packed, place_of
from trajectory.store.places_writer import PlacesWriter
from trajectory.store.reader import SqliteReader

_MAX_KNOWN_TRACES = 16384
_MAX_KNOWN_SOURCES = 4096
_STEP_S = 0.05
# Not the number of a trace that is being removed: what it leaves behind is still told by it.
_NEW_TRACE = """INSERT INTO traces (id, trace_id) VALUES (1 + max(
    coalesce((SELECT max(id) FROM traces), 0), coalesce((SELECT max(trace) FROM retiring), 0)), ?)"""


@dataclass(slots=True)
class _Position:
    """A source's row, and how far it is stored."""

    row: int
    next_seq: int
    resource: bytes


class SqliteWriter(SqliteReader):
    """The one writer of a store; usable from any thread, one at a time. Owns the lock on the store."""

    _places: PlacesWriter

    def __init__(self, database: Database, lock: WriterLock, clock: Clock, with_words: bool = True) -> None:
        super().__init__(database)
        self._writer_lock = lock
        self._clock = clock
        self._places = PlacesWriter(database)
        self._positions: dict[tuple[bytes, bytes], _Position] = {}
        self._trace_rows: dict[bytes, int] = {}
        self._indexing = Indexing(database, self._places, self.payload, self._trace_row, with_words)
        self._erasing = Erasing(database, self._places, self._indexing, self.payload)

    def append(self, batches: Sequence[Batch]) -> int:
        check_positions(batches)
        try:
            with self._database.transaction() as connection:
                received_at_ns = self._clock.now_ns()
                payloads: dict[bytes, Payload] = {}
                for batch in batches:
                    self._append_one(connection, batch, received_at_ns, payloads)
                if payloads:
                    self._store_payloads(connection, payloads)
        except BaseException:
            self._forget()  # what was remembered may have been rolled back
            raise
        return self.last_frame()

    def save_summaries(self, summaries: Sequence[TraceSummary], tallies: Sequence[TallyRow] = ()) -> None:
        rows = [(s.trace_id, s.started_ns, s.last_frame, write_struct(s), s.state == LIVE) for s in summaries]
        with self._database.transaction() as connection:
            connection.executemany(
                """INSERT INTO summaries (trace_id, started_ns, last_frame, body, is_live) VALUES (?, ?, ?, ?, ?)
                   ON CONFLICT (trace_id) DO UPDATE SET
                   started_ns = excluded.started_ns, last_frame = excluded.last_frame, body = excluded.body,
                   is_live = excluded.is_live""",
                rows,
            )
            connection.executemany(
                "INSERT OR REPLACE INTO tallies (trace_id, last_ns, codec, body) VALUES (?, ?, ?, ?)",
                [(t.trace_id, min(max(t.last_ns, 0), MAX_INTEGER), *shrink(t.body)) for t in tallies],
            )

    def save_findings(self, findings: Sequence[Finding]) -> None:
        rows = [_finding_row(finding) for finding in findings]
        with self._database.transaction() as connection:
            connection.executemany(
                """INSERT INTO findings (key, trace_id, at_ns, kind, severity, severity_rank, body)
                   VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET
                   trace_id = excluded.trace_id, at_ns = excluded.at_ns, kind = excluded.kind, body = excluded.body,
                   severity = excluded.severity, severity_rank = excluded.severity_rank""",
                rows,
            )

    def index(self, budget_ns: int | None = None) -> bool:
        if self._erasing.has_facts():
            return False  # they go first
        return self._indexing.go_on(budget_ns)

    def delete_trace(self, *trace_ids: bytes) -> None:
        with self._database.transaction():
            self._erasing.hide(trace_ids, with_words=True)
            pins.change(self._database, [Pin("trace", trace_id.hex()) for trace_id in trace_ids], pinned=False)
        self._forget_names()
        while self.clear(_STEP_S):
            continue
        self._indexing.go_on(None)
        while self.give_back(_STEP_S):
            continue
        self._database.rows("PRAGMA wal_checkpoint(TRUNCATE)")

    def set_pins(self, pins_: Sequence[Pin], *, pinned: bool) -> list[Pin]:
        with self._database.transaction():
            return pins.change(self._database, pins_, pinned=pinned)

    def retire(self, trace_id: bytes, session_id: str = "") -> bool:
        with self._database.transaction():
            if pins.is_pinned(self._database, trace_id, session_id):
                return False
            self._erasing.hide([trace_id])
            self._database.rows(
                "UPDATE housekeeping SET retired_count = retired_count + 1, retired_ns = ?", (self._clock.now_ns(),)
            )
        self._forget_names()
        return True

    def clear(self, budget_s: float) -> bool:
        try:
            return self._erasing.go_on(monotonic() + budget_s)
        finally:
            self._packs.clear()

    def forget_loose(self, before_ns: int, budget_s: float) -> bool:
        return remove_loose(self._database, before_ns, monotonic() + budget_s)

    def give_back(self, budget_s: float) -> bool:
        return room.give_back(self._database, monotonic() + budget_s)

    def compact(self, tell: Callable[[str], None]) -> None:
        """Makes the file as small as what it holds. `tell` hears of what takes long. Raises StoreError, and nothing is lost."""
        if room.can_give_back(self._database):
            while self.give_back(_STEP_S):
                continue
        else:
            room.write_anew(self._database, tell)
        self._database.rows("PRAGMA wal_checkpoint(TRUNCATE)")

    def served_at(self, endpoint: str) -> None:
        """Tells whoever tries to write the store where its collector really listens."""
        with suppress(OSError):  # a disk that is full: the address that was asked for stands
            self._writer_lock.served_at(endpoint)

    def close(self) -> None:
        """Folds the write-ahead log into the file and frees the lock; a second call does nothing."""
        with suppress(StoreError):  # what cannot be folded in now rests in the log until the next opening
            self._database.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        try:
            self._database.close()
        finally:
            self._writer_lock.release()

    def _forget_names(self) -> None:
        """A trace that comes again after it was hidden has another number."""
        self._trace_rows.clear()
        self._indexing.forget()

    def _forget(self) -> None:
        self._positions.clear()
        self._trace_rows.clear()
        self._places.forget()
        self._packs.clear()

    def _append_one(
        self, connection: sqlite3.Connection, batch: Batch, received_at_ns: int, payloads: dict[bytes, Payload]
    ) -> None:
        position = self._position(connection, batch.source)
        seen = max(0, position.next_seq - batch.first_seq)
        for fact in batch.facts[seen:]:
            if isinstance(fact, Payload):
                if len(fact.digest) != DIGEST_BYTES:
                    raise StoreError(f"a payload's digest has {len(fact.digest)} bytes: its emitter is broken")
                payloads.setdefault(fact.digest, fact)
        for start in range(seen, len(batch.facts), MAX_FACTS):
            part = batch.facts[start : start + MAX_FACTS]
            facts: list[Fact] = [fact for fact in part if not isinstance(fact, Payload)]
            if facts:
                self._store_frame(connection, position.row, batch.first_seq + start, facts, received_at_ns)
        position.next_seq = max(position.next_seq, batch.first_seq + len(batch.facts))
        connection.execute("UPDATE sources SET next_seq = ? WHERE id = ?", (position.next_seq, position.row))

    def _position(self, connection: sqlite3.Connection, source: Source) -> _Position:
        """Where a source stands; a resource that has become another replaces the stored one."""
        key = (source.emitter_id, source.boot_id)
        resource = write_struct(source.resource)
        position = self._positions.get(key) or self._stored_position(connection, source, resource)
        if source.resource and position.resource != resource:
            connection.execute("UPDATE sources SET resource = ? WHERE id = ?", (resource, position.row))
            position.resource = resource
        if len(self._positions) >= _MAX_KNOWN_SOURCES:
            self._positions.clear()
        self._positions[key] = position
        return position

    def _stored_position(self, connection: sqlite3.Connection, source: Source, resource: bytes) -> _Position:
        ids = (source.emitter_id, source.boot_id)
        query = "SELECT id, next_seq, resource FROM sources WHERE emitter_id = ? AND boot_id = ?"
        row = self._database.row(query, ids, (int, int, bytes))
        if row:
            return _Position(*row)
        made = connection.execute(
            "INSERT INTO sources (emitter_id, boot_id, next_seq, resource) VALUES (?, ?, 0, ?)", (*ids, resource)
        )
        return _Position(_id_of(made), 0, resource)

    def _store_frame(
        self, connection: sqlite3.Connection, source: int, first_seq: int, facts: list[Fact], received_at_ns: int
    ) -> None:
        kept, plain = write_facts(facts)
        codec, body = shrink(plain)
        made = connection.execute(
            """INSERT INTO frames (source, first_seq, fact_count, min_at_ns, max_at_ns, received_at_ns, codec, body)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
            (source, first_seq, len(kept), *time_span_ns(kept), received_at_ns, codec, body),
        )
        frame = _id_of(made)
        traces = dict.fromkeys(map(trace_of, kept))  # in order, each once
        rows = [(self._trace_row(connection, trace_id), frame) for trace_id in traces if trace_id]
        if rows:
            connection.executemany("INSERT INTO frame_traces (trace, frame) VALUES (?, ?)", rows)
        else:
            connection.execute("INSERT INTO loose_frames VALUES (?)", (frame,))

    def _store_payloads(self, connection: sqlite3.Connection, payloads: dict[bytes, Payload]) -> None:
        """Stores those of the bodies that are not there yet."""
        there = self._places.find(payloads).keys() | self._first_bodies(payloads).keys()
        new = [payload for digest, payload in payloads.items() if digest not in there]
        placed: dict[bytes, int] = {}
        last_pack = 0
        for held, pack in packed(new):
            made = connection.execute(
                "INSERT INTO packs (body_count, head, codec, body) VALUES (?, ?, ?, ?)", columns(pack)
            )
            last_pack = _id_of(made)
            placed.update((payload.digest, place_of(last_pack, slot)) for slot, payload in enumerate(held))
        if placed:
            self._places.add(connection, placed, last_pack)

    def _trace_row(self, connection: sqlite3.Connection, trace_id: bytes) -> int:
        known = self._trace_rows.get(trace_id)
        if known is None:
            if len(self._trace_rows) >= _MAX_KNOWN_TRACES:
                self._trace_rows.clear()
            row = connection.execute("SELECT id FROM traces WHERE trace_id = ?", (trace_id,)).fetchone()
            known = row[0] if row else _id_of(connection.execute(_NEW_TRACE, (trace_id,)))
            self._trace_rows[trace_id] = known
        return known


def _finding_row(finding: Finding) -> tuple[object, ...]:
    body = write_struct(finding)
    kept = read_struct(body, Finding)  # its texts are mended
    rank = severity_rank(kept.severity)
    return kept.key, kept.trace_id, kept.at_ns, kept.kind, kept.severity, rank, body


def _id_of(made: sqlite3.Cursor) -> int:
    if made.lastrowid is None:
        raise StoreError("SQLite gave no row id: the store is damaged, restore a copy")
    return made.lastrowid
