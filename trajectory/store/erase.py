"""Removes traces from a store: their facts, summaries, findings, and the payloads that nothing else names.

Invariant: the other traces' facts stay as they were, in the frames and at the positions they had. Called by the writer.
"""

from sqlite3 import Connection

from trajectory.model import lists
from trajectory.model.fact import trace_of
from trajectory.store.bodies import expand, read_facts, shrink, write_facts
from trajectory.store.database import Database
from trajectory.store.matching import digests_of
from trajectory.store.packs import OpenPacks, columns, pack_of, slot_of
from trajectory.store.places_writer import PlacesWriter

_BODY = (int, bytes)  # codec, body
_PAYLOAD = (str, int, bytes)  # media type, codec, body


def erase(database: Database, places: PlacesWriter, trace_ids: frozenset[bytes]) -> None:
    """Removes the traces in one transaction, overwrites what they said and gives the pages back to the disk.

    Reads every frame once: payloads carry no count of who names them, because counting would slow each append.
    """
    database.rows("PRAGMA secure_delete = ON")
    try:
        with database.transaction() as connection:
            named = {digest for trace_id in trace_ids for digest in _erase_trace(database, trace_id)}
            payload = _payload_of(database, places)
            _erase_bodies(connection, database, places, _left_unnamed(database, lists.named(named, payload), payload))
        with database.connection() as connection:
            connection.executescript(
                "PRAGMA incremental_vacuum"
            )  # `execute` would free one page: its rows have no columns
        database.rows("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        database.rows("PRAGMA secure_delete = OFF")


def _erase_trace(database: Database, trace_id: bytes) -> set[bytes]:
    """Removes all of a trace but its payloads; returns the digests of those that it named."""
    database.rows("DELETE FROM summaries WHERE trace_id = ?", (trace_id,))
    database.rows("DELETE FROM findings WHERE trace_id = ?", (trace_id,))
    trace = database.number("SELECT id FROM traces WHERE trace_id = ?", (trace_id,))
    frames = database.rows("SELECT frame FROM frame_traces WHERE trace = ?", (trace,))
    named = {digest for (frame,) in frames for digest in _erase_from_frame(database, frame, trace_id)}
    database.rows("DELETE FROM frame_traces WHERE trace = ?", (trace,))
    database.rows("DELETE FROM traces WHERE id = ?", (trace,))
    return named


def _erase_from_frame(database: Database, frame: int, trace_id: bytes) -> set[bytes]:
    row = database.row("SELECT codec, body FROM frames WHERE id = ?", (frame,), _BODY)
    facts = read_facts(expand(*row)) if row else []
    kept = [fact for fact in facts if trace_of(fact) != trace_id]
    if kept:
        changed = (len(kept), *shrink(write_facts(kept)[1]), frame)
        database.rows("UPDATE frames SET fact_count = ?, codec = ?, body = ? WHERE id = ?", changed)
    else:
        database.rows("DELETE FROM frames WHERE id = ?", (frame,))
    return {digest for fact in facts if trace_of(fact) == trace_id for digest in digests_of(fact)}


def _payload_of(database: Database, places: PlacesWriter) -> lists.Payload:
    packs = OpenPacks(database)

    def payload(digest: bytes) -> tuple[str, bytes] | None:
        place = places.find([digest]).get(digest)
        if place is not None:
            return packs.body(digest, place)
        row = database.row("SELECT media_type, codec, body FROM payloads WHERE digest = ?", (digest,), _PAYLOAD)
        return (row[0], expand(row[1], row[2])) if row else None

    return payload


def _left_unnamed(database: Database, named: set[bytes], payload: lists.Payload) -> set[bytes]:
    """Those of the payloads that no remaining fact names, itself or through a list."""
    after = 0
    query = "SELECT codec, body, id FROM frames WHERE id > ? ORDER BY id LIMIT 32"
    while named and (rows := database.rows(query, (after,), (*_BODY, int))):
        for codec, body, after in rows:  # noqa: B007 (the last one is where the next page starts)
            for fact in read_facts(expand(codec, body)):
                named -= lists.named(digests_of(fact), payload)
    return named


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
