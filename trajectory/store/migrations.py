"""The shape of the file, as the ordered steps that lead to it. A store's `user_version` counts the steps it has taken.

Invariant: a step that was released never changes; what changes is appended. Each runs inside the transaction that also
sets the version, so a store is between two formats never. Called by `sqlite` when it opens a store.

A frame row holds up to 256 facts (msgpack, `protocol.codec`) as one body; `codec` says whether it is deflated. `frame_traces`
names the frames that hold facts of a trace, so that one trace is read without the others.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from trajectory.errors import StoreError
from trajectory.store.bodies import read_struct
from trajectory.store.contract import LIVE, TraceSummary
from trajectory.store.faults import PRIMARY_CODE, STRANGE

APPLICATION_ID = 0x54524A59  # "TRJY", in SQLite's header

_FIRST = (
    """CREATE TABLE sources (
        id INTEGER PRIMARY KEY, emitter_id BLOB NOT NULL, boot_id BLOB NOT NULL, next_seq INTEGER NOT NULL,
        resource BLOB NOT NULL, UNIQUE (emitter_id, boot_id))""",
    # AUTOINCREMENT, because an id that came back after a deletion would make a stale summary look fresh.
    """CREATE TABLE frames (
        id INTEGER PRIMARY KEY AUTOINCREMENT, source INTEGER NOT NULL REFERENCES sources, first_seq INTEGER NOT NULL,
        fact_count INTEGER NOT NULL, min_at_ns INTEGER NOT NULL, max_at_ns INTEGER NOT NULL,
        received_at_ns INTEGER NOT NULL, codec INTEGER NOT NULL, body BLOB NOT NULL)""",
    "CREATE TABLE traces (id INTEGER PRIMARY KEY, trace_id BLOB NOT NULL UNIQUE)",
    "CREATE TABLE frame_traces (trace INTEGER NOT NULL, frame INTEGER NOT NULL, PRIMARY KEY (trace, frame)) WITHOUT ROWID",
    """CREATE TABLE payloads (
        id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, media_type TEXT NOT NULL, codec INTEGER NOT NULL,
        body BLOB NOT NULL)""",
    """CREATE TABLE summaries (
        trace_id BLOB PRIMARY KEY, started_ns INTEGER NOT NULL, last_frame INTEGER NOT NULL, body BLOB NOT NULL)
        WITHOUT ROWID""",
    "CREATE INDEX summaries_by_start ON summaries (started_ns)",
    """CREATE TABLE findings (
        id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, trace_id BLOB NOT NULL, at_ns INTEGER NOT NULL,
        kind TEXT NOT NULL, severity TEXT NOT NULL, severity_rank INTEGER NOT NULL, body BLOB NOT NULL)""",
    "CREATE INDEX findings_by_trace ON findings (trace_id, at_ns)",
    "CREATE INDEX findings_by_time ON findings (at_ns)",
)


def _first(connection: sqlite3.Connection) -> None:
    for statement in _FIRST:
        connection.execute(statement)


# The second format: bodies of one append packed together, which of them rests where in sorted runs, who names them, and
# how far the search has come. `payloads` stays and is read: what a first format's store holds is not written anew.
_SECOND = (
    """CREATE TABLE packs (
        id INTEGER PRIMARY KEY AUTOINCREMENT, body_count INTEGER NOT NULL, head BLOB NOT NULL, codec INTEGER NOT NULL,
        body BLOB NOT NULL)""",
    "CREATE TABLE digest_runs (id INTEGER PRIMARY KEY AUTOINCREMENT, level INTEGER NOT NULL, last_pack INTEGER NOT NULL)",
    "CREATE TABLE digest_buckets (id INTEGER PRIMARY KEY, body BLOB NOT NULL)",
    """CREATE TABLE names (place INTEGER NOT NULL, trace INTEGER NOT NULL, frame INTEGER NOT NULL, PRIMARY KEY (place, trace))
        WITHOUT ROWID""",
    """CREATE TABLE absent_names (digest BLOB NOT NULL, trace INTEGER NOT NULL, frame INTEGER NOT NULL,
        PRIMARY KEY (digest, trace)) WITHOUT ROWID""",
    # A stretch of the store up to these rows; its words, where it has them, are under its id in the full-text table.
    """CREATE TABLE stretches (
        id INTEGER PRIMARY KEY, last_frame INTEGER NOT NULL, last_pack INTEGER NOT NULL, last_payload INTEGER NOT NULL,
        has_words INTEGER NOT NULL)""",
    "CREATE TABLE progress (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX wordless_stretches ON stretches (id) WHERE NOT has_words",
    "ALTER TABLE summaries ADD COLUMN is_live INTEGER NOT NULL DEFAULT 0",
    "CREATE INDEX live_summaries ON summaries (started_ns) WHERE is_live",
)


def _second(connection: sqlite3.Connection) -> None:
    for statement in _SECOND:
        connection.execute(statement)
    for trace_id, body in connection.execute("SELECT trace_id, body FROM summaries").fetchall():
        if read_struct(body, TraceSummary).state == LIVE:
            connection.execute("UPDATE summaries SET is_live = 1 WHERE trace_id = ?", (trace_id,))


# The third format: what retention stands on. `retiring` are traces that nobody sees any more, `released` the bodies that they
# named, in the order of their places (0: not there): work to be done, by another process if need be.
_THIRD = (
    "CREATE TABLE pins (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (kind, name))",
    "CREATE TABLE loose_frames (frame INTEGER PRIMARY KEY)",  # they belong to no trace
    "INSERT INTO loose_frames SELECT id FROM frames WHERE id NOT IN (SELECT frame FROM frame_traces)",
    "CREATE TABLE retiring (trace INTEGER PRIMARY KEY, trace_id BLOB NOT NULL, has_frames INTEGER NOT NULL)",
    "CREATE INDEX retiring_by_id ON retiring (trace_id)",
    """CREATE TABLE released (place INTEGER NOT NULL, digest BLOB NOT NULL, trace INTEGER NOT NULL,
        PRIMARY KEY (place, digest, trace)) WITHOUT ROWID""",
    """CREATE TABLE housekeeping (
        id INTEGER PRIMARY KEY CHECK (id = 1), retired_count INTEGER NOT NULL, retired_ns INTEGER NOT NULL)""",
    "INSERT INTO housekeeping VALUES (1, 0, 0)",
)


def _third(connection: sqlite3.Connection) -> None:
    for statement in _THIRD:
        connection.execute(statement)


# The fourth format: each trace in numbers.
_FOURTH = (
    """CREATE TABLE tallies (trace_id BLOB PRIMARY KEY, last_ns INTEGER NOT NULL, codec INTEGER NOT NULL, body BLOB NOT NULL)
        WITHOUT ROWID""",
    "CREATE INDEX tallies_by_time ON tallies (last_ns)",
)


def _fourth(connection: sqlite3.Connection) -> None:
    for statement in _FOURTH:
        connection.execute(statement)


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_first, _second, _third, _fourth)
FORMAT = len(MIGRATIONS)


# A column that is made of others when it is read: a small file could give rows of a gigabyte.
_COMPUTED = """SELECT 1 FROM sqlite_master, pragma_table_xinfo(sqlite_master.name) AS held
               WHERE sqlite_master.type = 'table' AND held.hidden > 1 LIMIT 1"""


def format_of(connection: sqlite3.Connection, path: Path) -> int:
    """The format of an open file, 0 for a database with nothing in it.

    Raises StoreError where the database is another program's or a newer Trajectory's, or was altered by somebody.
    """
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application_id != APPLICATION_ID:
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application_id or version or tables:
            raise StoreError(f"{path} is another program's SQLite database: name another --store")
        return 0
    if version > FORMAT:
        raise StoreError(
            f"{path} was written by a newer Trajectory (format {version}, this one reads {FORMAT}): upgrade"
        )
    try:
        is_strange = connection.execute(_COMPUTED).fetchone() is not None
    except sqlite3.DatabaseError as fault:
        if fault.sqlite_errorcode & PRIMARY_CODE != sqlite3.SQLITE_CORRUPT:
            raise
        is_strange = False  # what reads it says so
    if is_strange:
        raise StoreError(f"{path} {STRANGE}")
    return int(version)


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Takes the steps after `version`, inside the transaction that is open."""
    for step in MIGRATIONS[version:]:
        step(connection)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {FORMAT}")
