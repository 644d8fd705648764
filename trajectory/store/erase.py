"""Removes traces from a store: their facts, summaries, findings, and the payloads that nothing else names.

Invariant: the other traces' facts stay as they were, in the frames and at the positions they had. Called by the writer.
"""

import sqlite3

from trajectory.model.fact import trace_of
from trajectory.store.bodies import expand, read_facts, shrink, write_facts
from trajectory.store.database import Database
from trajectory.store.matching import digests_of


def erase(database: Database, trace_ids: frozenset[bytes]) -> None:
    """Removes the traces in one transaction, overwrites what they said and gives the pages back to the disk.

    Reads every frame once: payloads carry no count of who names them, because counting would slow each append.
    """
    with database.connection() as connection:
        connection.execute("PRAGMA secure_delete = ON")
    try:
        with database.transaction() as connection:
            named = _erase_facts(connection, trace_ids)
            for trace_id in trace_ids:
                connection.execute("DELETE FROM summaries WHERE trace_id = ?", (trace_id,))
                connection.execute("DELETE FROM findings WHERE trace_id = ?", (trace_id,))
            _erase_payloads(connection, named)
        with database.connection() as connection:
            connection.executescript("PRAGMA incremental_vacuum")  # `execute` would free one page: its rows have no columns
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        with database.connection() as connection:
            connection.execute("PRAGMA secure_delete = OFF")


def _erase_facts(connection: sqlite3.Connection, trace_ids: frozenset[bytes]) -> set[bytes]:
    """Takes the traces' facts out of their frames; returns the digests that these named."""
    named: set[bytes] = set()
    for trace_id in trace_ids:
        frames = connection.execute(
            "SELECT frame, trace FROM frame_traces JOIN traces ON traces.id = trace WHERE trace_id = ?", (trace_id,)
        ).fetchall()
        for frame, _ in frames:
            named |= _erase_from_frame(connection, frame, trace_id)
        for row in {trace for _, trace in frames}:
            connection.execute("DELETE FROM frame_traces WHERE trace = ?", (row,))
            connection.execute("DELETE FROM traces WHERE id = ?", (row,))
    return named


def _erase_from_frame(connection: sqlite3.Connection, frame: int, trace_id: bytes) -> set[bytes]:
    codec, body = connection.execute("SELECT codec, body FROM frames WHERE id = ?", (frame,)).fetchone()
    facts = read_facts(expand(codec, body))
    kept = [fact for fact in facts if trace_of(fact) != trace_id]
    if kept:
        connection.execute(
            "UPDATE frames SET fact_count = ?, codec = ?, body = ? WHERE id = ?",
            (len(kept), *shrink(write_facts(kept)[1]), frame),
        )
    else:
        connection.execute("DELETE FROM frames WHERE id = ?", (frame,))
    return {digest for fact in facts if trace_of(fact) == trace_id for digest in digests_of(fact)}


def _erase_payloads(connection: sqlite3.Connection, named: set[bytes]) -> None:
    """Removes those of the payloads that no remaining fact names."""
    frames = connection.execute("SELECT codec, body FROM frames ORDER BY id")
    while named and (row := frames.fetchone()):
        for fact in read_facts(expand(*row)):
            named -= digests_of(fact)
    frames.close()
    connection.executemany("DELETE FROM payloads WHERE digest = ?", [(digest,) for digest in named])
