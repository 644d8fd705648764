"""What alerts remember over a restart: one SQLite file beside the store, private, and of one process at a time.

Invariant: how far the store was looked through, the incidents that came of it and the messages to be sent change in one
transaction, so a kill at any instant neither loses one nor makes it twice. Opened by the process that sends.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from trajectory.alerting.incidents import Incident
from trajectory.errors import StoreError
from trajectory.store.database import Database
from trajectory.store.lock import WriterLock

_APPLICATION_ID = 0x54524A41  # "TRJA"
_FORMAT = 1
_KEPT_CLOSED = 2_000
_SCHEMA = (
    "CREATE TABLE notes (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    """CREATE TABLE incidents (
        id TEXT PRIMARY KEY, is_closed INTEGER NOT NULL, last_ns INTEGER NOT NULL, body BLOB NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX incidents_by_time ON incidents (is_closed, last_ns)",
    # What is to be sent, in order; a dead letter stays until it is looked at.
    """CREATE TABLE outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT, channel TEXT NOT NULL, key TEXT NOT NULL, incident TEXT NOT NULL,
        action TEXT NOT NULL, severity TEXT NOT NULL, made_ns INTEGER NOT NULL, due_ns INTEGER NOT NULL,
        tries INTEGER NOT NULL, is_dead INTEGER NOT NULL, reason TEXT NOT NULL, body BLOB NOT NULL)""",
    "CREATE INDEX outbox_by_channel ON outbox (channel, is_dead, id)",
    "CREATE INDEX outbox_by_key ON outbox (channel, key, id)",
    # Under which key each channel knows an incident that is not closed: its own, or that of a digest.
    "CREATE TABLE told (incident TEXT, channel TEXT, key TEXT NOT NULL, PRIMARY KEY (incident, channel)) WITHOUT ROWID",
    "CREATE INDEX told_by_key ON told (channel, key)",
    # What went out lately; `digest_rank` is that of a digest's severity, -1 of any other message.
    """CREATE TABLE sent (
        id INTEGER PRIMARY KEY, channel TEXT NOT NULL, at_ns INTEGER NOT NULL, digest_rank INTEGER NOT NULL)""",
    """CREATE TABLE channels (
        name TEXT PRIMARY KEY, trouble TEXT NOT NULL, failures INTEGER NOT NULL, rests_until_ns INTEGER NOT NULL,
        sent_count INTEGER NOT NULL) WITHOUT ROWID""",
)
_incident = msgspec.msgpack.Decoder(Incident)
_mutes = msgspec.msgpack.Decoder(list[tuple[str, int]])


def state_of(store: Path) -> Path:
    """Where the state is for the store at a path, unless the policy says another place."""
    return store.with_name(store.name + ".alerts")


class State:
    """The open file. Raises StoreError where another process has it, or it is not ours. `position` is a frame of the store."""

    def __init__(self, path: Path) -> None:
        try:
            self._lock = WriterLock(path)
        except StoreError as fault:
            raise _said(fault) from None
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            os.fchmod(file, 0o600)
            os.close(file)
            self.database = _opened(path, "mode=rw")
            self.database.rows("PRAGMA journal_mode = WAL")
            self.database.rows("PRAGMA synchronous = FULL")
        except OSError as fault:
            self._lock.release()
            raise StoreError(f"the state of alerts in {path} cannot be opened: {fault.strerror}") from None
        except BaseException:
            self._lock.release()
            raise

    @property
    def position(self) -> int | None:
        """So far the store was looked through; None where it never was."""
        row = self.database.row("SELECT value FROM notes WHERE name = 'position'")
        return int(row[0]) if row else None

    def open_incidents(self) -> list[Incident]:
        """Those that are not closed, the one longest without a finding first."""
        return incidents_in(self.database, closed=False)

    def mutes(self) -> list[tuple[str, int]]:
        """Marks that mute what is yet to come."""
        row = self.database.row("SELECT value FROM notes WHERE name = 'mutes'")
        return decoded(self.database.path, _mutes, row[0]) if row else []

    def keep(
        self, connection: Any, incidents: Iterable[Incident], mutes: Sequence[tuple[str, int]], position: int | None
    ) -> None:
        """Writes what changed, inside the transaction that is open."""
        connection.executemany(
            "INSERT OR REPLACE INTO incidents VALUES (?, ?, ?, ?)",
            [(one.id, one.state == "closed", one.last_ns, msgspec.msgpack.encode(one)) for one in incidents],
        )
        connection.execute(
            """DELETE FROM incidents WHERE id IN (
               SELECT id FROM incidents WHERE is_closed ORDER BY last_ns DESC LIMIT -1 OFFSET ?)""",
            (_KEPT_CLOSED,),
        )
        notes: list[tuple[str, object]] = [("mutes", msgspec.msgpack.encode(list(mutes)))]
        notes += [("position", str(position))] if position is not None else []
        connection.executemany("INSERT OR REPLACE INTO notes VALUES (?, ?)", notes)

    def close(self) -> None:
        self.database.close()
        self._lock.release()


def incidents_in(database: Database, *, closed: bool, beginning: str = "", most: int = -1) -> list[Incident]:
    """The incidents that are closed, or not, and whose ids begin so, the oldest first; at most so many, the newest."""
    rows = database.rows(
        """SELECT body FROM incidents WHERE is_closed = ? AND substr(id, 1, ?) = ?
           ORDER BY last_ns DESC, id DESC LIMIT ?""",
        (closed, len(beginning), beginning, most),
        (bytes,),
    )
    return [decoded(database.path, _incident, body) for (body,) in reversed(rows)]


def read_state(path: Path) -> Database | None:
    """The file for reading, also while a process writes it; None where there is none, or nothing in it. Raises StoreError."""
    if not path.exists():
        return None
    if not path.is_file():  # a pipe, or a device, would be read for ever
        raise StoreError(f"{path} is no regular file: move it away, and alerts begin anew")
    return _opened(path, "mode=rw") if path.stat().st_size else None  # a reader of a write-ahead log writes beside it


def _said(fault: StoreError) -> StoreError:
    """What is wrong with the file, in words for a state and not for a store."""
    words = {
        "use another --store": "name another state in the policy",
        "is not a Trajectory store": "is no state of alerts",
        "name another --store": "move it away, and alerts begin anew",
    }
    said = str(fault)
    for store, state in words.items():
        said = said.replace(store, state)
    return StoreError(said)


def _opened(path: Path, query: str) -> Database:
    try:
        return _checked(path, Database(path, query))
    except StoreError as fault:
        raise _said(fault) from None


def _checked(path: Path, database: Database) -> Database:
    """The same, with the tables where it had none. Closed where it raises StoreError."""
    try:
        application, version = (database.number(f"PRAGMA {name}") for name in ("application_id", "user_version"))
        if (application, version) == (_APPLICATION_ID, _FORMAT):
            return database
        if application == _APPLICATION_ID and version > _FORMAT:
            raise StoreError(f"{path} was written by a newer Trajectory: upgrade")
        if application or version or database.number("SELECT count(*) FROM sqlite_master"):
            raise StoreError(f"{path} is no state of alerts: move it away, or name another state")
        with database.transaction() as connection:
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {_FORMAT}")
        return database
    except BaseException:
        database.close()
        raise


def decoded(path: Path, decoder: Any, body: Any) -> Any:
    """What a row of the state holds. Raises StoreError where that is damaged."""
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, TypeError, UnicodeDecodeError, RecursionError) as fault:
        raise StoreError(f"{path} is damaged: {fault}: move it away, and alerts begin anew") from None
