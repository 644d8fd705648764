"""Pins: the traces and sessions that retention never removes.

Invariant: a pin is one row in the store itself, so a copy of the file has it too. Unlike facts, pins may be set beside the one
writer: a row for an instant, which remembers nothing of earlier ones, and SQLite lets one of both go first. Called by the
reader, the writer and `trajectory pin`.
"""

from collections.abc import Sequence

from trajectory.store.contract import Pin
from trajectory.store.database import Database


def pins_in(database: Database) -> list[Pin]:
    """All pins, in order of pinning."""
    return [Pin(*row) for row in database.rows("SELECT kind, name FROM pins ORDER BY id", (), (str, str))]


def is_pinned(database: Database, trace_id: bytes, session_id: str) -> bool:
    """Whether a trace or its session is pinned; `session_id` may be empty."""
    query = "SELECT 1 FROM pins WHERE (kind, name) = ('trace', ?) OR (kind, name) = ('session', ?)"
    return database.row(query, (trace_id.hex(), session_id)) is not None


def change(database: Database, pins: Sequence[Pin], *, pinned: bool) -> list[Pin]:
    """Sets or removes pins inside the transaction that is open; returns those that were not so before."""
    statement = (
        "INSERT OR IGNORE INTO pins (kind, name) VALUES (?, ?) RETURNING 1"
        if pinned
        else "DELETE FROM pins WHERE kind = ? AND name = ? RETURNING 1"
    )
    return [pin for pin in pins if database.row(statement, pin) is not None]
