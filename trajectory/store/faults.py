"""What SQLite says when something is wrong, as one line that says what to do about it.

Invariant: every failure of a store leaves the room as a StoreError. Called by `database` and the reader's check.
"""

import sqlite3
from pathlib import Path

from trajectory.errors import StoreError

# What `database` lets nobody do: an action of a view, or of a trigger. A function's refusal has no code of its own.
STRANGE = "is not as Trajectory makes a store, a view, a trigger or a column in it wants to act: name another --store"
_MENDS = {
    sqlite3.SQLITE_NOTADB: "is not a Trajectory store (no SQLite file): name another --store",
    sqlite3.SQLITE_CORRUPT: "is damaged: save what reads with `trajectory doctor --repair`, or restore a copy",
    sqlite3.SQLITE_FULL: "cannot grow, the disk is full: free some space, nothing of this write was stored",
    sqlite3.SQLITE_IOERR: "cannot be read or written, the disk reports an error: check the disk",
    sqlite3.SQLITE_READONLY: "cannot be written, it is read-only: check the permissions of the file and its directory",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: check the permissions of the file and its directory",
    sqlite3.SQLITE_PERM: "cannot be opened: check the permissions of the file and its directory",
    sqlite3.SQLITE_AUTH: STRANGE,
    sqlite3.SQLITE_BUSY: "is locked by another program: close it and try again",
    sqlite3.SQLITE_LOCKED: "is locked by another program: close it and try again",
    sqlite3.SQLITE_TOOBIG: "cannot hold a value that large: truncate payloads in the emitter",
}

PRIMARY_CODE = 0xFF  # the low byte of SQLite's extended result codes


def as_store_error(path: Path, fault: Exception) -> StoreError:
    """The fault as a StoreError about the file `path`."""
    if isinstance(fault, StoreError):
        return fault
    code = getattr(fault, "sqlite_errorcode", None)
    mend = _MENDS.get(code & PRIMARY_CODE) if isinstance(code, int) else None
    if "not authorized" in str(fault):
        mend = STRANGE
    if mend is not None:
        return StoreError(f"{path} {mend} ({one_line(fault)})")
    if isinstance(fault, sqlite3.ProgrammingError) and "closed" in str(fault):
        return StoreError(f"{path} is closed")
    if isinstance(fault, (OverflowError, UnicodeEncodeError)):
        return StoreError(f"{path} cannot hold a value: {one_line(fault)}")
    return StoreError(f"{path} is damaged or not as expected: {one_line(fault)}")


def one_line(said: object) -> str:
    """A text of SQLite's on one line without control codes: it may quote the file, and that may be a stranger's."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(said)).split())
