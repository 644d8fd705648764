"""A copy of a store beside it, made before its format changes: the older release can go on with it.

Invariant: the copy is whole or not there, is its owner's alone (0600), and holds what the write-ahead log holds too. Called by
`sqlite` before a migration; where it cannot be made, nothing is migrated.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from trajectory.errors import StoreError
from trajectory.store.database import Database
from trajectory.store.location import prepare_file, sqlite_uri


def copy_path(path: Path, version: int) -> Path:
    """Where the copy of a store with the format `version` goes."""
    return path.with_name(f"{path.name}.format-{version}")


def keep_copy(database: Database, version: int) -> Path:
    """Copies the store as it is; a copy of an earlier try is replaced. Raises StoreError, and then there is none of this one."""
    copy = copy_path(database.path, version)
    unready = copy.with_name(copy.name + ".new")
    try:
        unready.unlink(missing_ok=True)
        prepare_file(unready)
        with database.connection() as connection, closing(_open(unready)) as target:
            connection.backup(target)
        unready.replace(copy)
        _sync(copy.parent)
    except (StoreError, OSError) as fault:
        unready.unlink(missing_ok=True)
        reason = fault.strerror if isinstance(fault, OSError) else fault
        raise StoreError(f"{database.path} is left in its format {version}, a copy cannot be kept: {reason}") from None
    return copy


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(sqlite_uri(path, "mode=rw"), uri=True, isolation_level=None)


def _sync(directory: Path) -> None:
    """Brings the new name to the disk: the copy must not be lost with a migration that is not."""
    file = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
