"""Removes traces from a store: their facts, summaries, findings, and the payloads that nothing else names.

Invariant: the other traces' facts stay as they were, in the frames and at the positions they had. Called by the writer.
"""

from itertools import product
from sqlite3 import Connection

from trajectory.model import lists
from trajectory.model.fact import Fact, trace_of
from trajectory.store.bodies import expand, read_facts, shrink, write_facts
from trajectory.store.database import Database
from trajectory.store.indexing import Indexing
from trajectory.store.matching import digests_of
from trajectory.store.packs import OpenPacks, columns, pack_of, slot_of
from trajectory.store.places_writer import PlacesWriter

_BODY = (int, bytes)  # codec, body
_PAYLOAD = (str, int, bytes)  # media type, codec, body


def erase(database: Database, places: PlacesWriter, indexing: Indexing, trace_ids: frozenset[bytes]) -> None:
    """Removes the traces in one transaction, overwrites what they said and gives the pages back to the disk."""
    indexing.go_on(None)  # who names a body decides whether it may go
    database.rows("PRAGMA secure_delete = ON")
    try:
        with database.transaction() as connection:
            traces = _rows_of(database, trace_ids)
            query = "SELECT frame FROM frame_traces WHERE trace = ?"
            frames = {frame for trace in traces for (frame,) in database.rows(query, (trace,))}
            named = _named_in(database, frames, trace_ids, _payload_of(database, places))
            placed = indexing.places_of(named)
            gone = {digest for digest, place in placed.items() if not _is_named(database, place, traces)}
            indexing.take_out(connection, indexing.stretches_of(frames, [placed[digest] for digest in gone]))
            connection.executemany(
                "DELETE FROM names WHERE place = ? AND trace = ?", product(sorted(placed.values()), sorted(traces))
            )
            for frame in frames:
                _erase_from_frame(database, frame, trace_ids)
            _erase_rows(connection, traces, trace_ids)
            _erase_bodies(connection, database, places, gone)
        indexing.go_on(None)
        with database.connection() as connection:
            connection.executescript(
                "PRAGMA incremental_vacuum"
            )  # `execute` would free one page: its rows have no columns
        database.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        database.rows("PRAGMA secure_delete = FAST")


def _rows_of(database: Database, trace_ids: frozenset[bytes]) -> set[int]:
    found = (database.number("SELECT id FROM traces WHERE trace_id = ?", (trace_id,)) for trace_id in trace_ids)
    return set(found) - {0}


def _named_in(database: Database, frames: set[int], trace_ids: frozenset[bytes], payload: lists.Payload) -> set[bytes]:
    """The payloads that the traces name, themselves or through a list."""
    facts = (fact for frame in frames for fact in _facts_of(database, frame) if trace_of(fact) in trace_ids)
    return lists.named({entry for fact in facts for entry in digests_of(fact)}, payload)


def _facts_of(database: Database, frame: int) -> list[Fact]:
    row = database.row("SELECT codec, body FROM frames WHERE id = ?", (frame,), _BODY)
    return read_facts(expand(*row)) if row else []


def _is_named(database: Database, place: int, doomed: set[int]) -> bool:
    """Whether a trace that stays names a body."""
    rows = database.rows("SELECT trace FROM names WHERE place = ? LIMIT ?", (place, len(doomed) + 1), (int,))
    return any(trace not in doomed for (trace,) in rows)


def _erase_rows(connection: Connection, traces: set[int], trace_ids: frozenset[bytes]) -> None:
    """Removes the rows that are of one trace alone."""
    for table in ("summaries", "findings", "traces"):
        connection.executemany(f"DELETE FROM {table} WHERE trace_id = ?", [(trace_id,) for trace_id in trace_ids])
    for table in ("frame_traces", "absent_names"):
        connection.executemany(f"DELETE FROM {table} WHERE trace = ?", [(trace,) for trace in traces])


def _erase_from_frame(database: Database, frame: int, trace_ids: frozenset[bytes]) -> None:
    kept = [fact for fact in _facts_of(database, frame) if trace_of(fact) not in trace_ids]
    if kept:
        changed = (len(kept), *shrink(write_facts(kept)[1]), frame)
        database.rows("UPDATE frames SET fact_count = ?, codec = ?, body = ? WHERE id = ?", changed)
    else:
        database.rows("DELETE FROM frames WHERE id = ?", (frame,))


def _payload_of(database: Database, places: PlacesWriter) -> lists.Payload:
    packs = OpenPacks(database)

    def payload(digest: bytes) -> tuple[str, bytes] | None:
        place = places.find([digest]).get(digest)
        if place is not None:
            return packs.body(digest, place)
        row = database.row("SELECT media_type, codec, body FROM payloads WHERE digest = ?", (digest,), _PAYLOAD)
        return (row[0], expand(row[1], row[2])) if row else None

    return payload


def _erase_bodies(connection: Connection, database: Database, places: PlacesWriter, digests: set[bytes]) -> None:
    """Removes bodies, of each pack that held some what is left."""
    placed = places.find(digests)
    slots: dict[int, set[int]] = {}
    for place in placed.values():
        slots.setdefault(pack_of(place), set()).add(slot_of(place))
    packs = OpenPacks(database)
    for pack_id, gone in slots.items():
        pack = packs.read(pack_id)
        left = pack.without(gone) if pack is not None else None
        if left is not None and left.body_count:
            query = "UPDATE packs SET body_count = ?, head = ?, codec = ?, body = ? WHERE id = ?"
            connection.execute(query, (*columns(left), pack_id))
        else:
            connection.execute("DELETE FROM packs WHERE id = ?", (pack_id,))
    places.remove(connection, placed)
    connection.executemany("DELETE FROM payloads WHERE digest = ?", [(digest,) for digest in digests - placed.keys()])
