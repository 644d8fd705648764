"""Opens an SQLite store: one writer under a lock, any number of readers beside it.

Invariant: a file is looked at before it is touched, so another program's database, or a newer Trajectory's, is refused as
it was found. Called by the collector and the command line. The file is in WAL mode with `synchronous` NORMAL: a commit
survives the death of the process; the loss of power may take the last commits, never the file.
"""

import os
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from trajectory.errors import StoreError
from trajectory.store.backup import keep_copy
from trajectory.store.contract import Clock, Pin
from trajectory.store.database import Database
from trajectory.store.journal import JournalReader, journal_of
from trajectory.store.location import is_own, locate, prepare_file, require_file
from trajectory.store.lock import WriterLock
from trajectory.store.migrations import FORMAT, format_of, migrate
from trajectory.store.pins import change
from trajectory.store.reader import SqliteReader
from trajectory.store.salvage import Salvage
from trajectory.store.settling import settle_left
from trajectory.store.writer import SqliteWriter

_LOG_LIMIT_BYTES = 64 * 1024 * 1024  # what the write-ahead log shrinks to after a burst
_LOG_PAGES = 4000  # 16 MB of them, before they are folded in: a page that is written often is folded in once
_CACHE_KB = 2 * 1024


class SystemClock:
    """The machine's own clock."""

    def now_ns(self) -> int:
        return time.time_ns()


def open_writer(
    location: str | os.PathLike[str],
    *,
    endpoint: str = "",
    clock: Clock | None = None,
    is_collector: bool = False,
    with_words: bool = True,
) -> SqliteWriter:
    """The writer of the store at a path or `sqlite:///` URL, which is made where it is missing (0600, directories 0700).

    What a killed collector left in its journal is stored first; a collector does that itself, and judges it. `endpoint` is
    told to whoever tries to write the same store. Without words a search looks through all that is stored. Raises StoreError
    where another process writes it, and where the file is not a store, is a newer Trajectory's, is damaged, or cannot be written.
    """
    path = locate(location)
    with ExitStack() as undo:
        prepare_file(path)
        lock = WriterLock(path, endpoint)
        undo.callback(lock.release)
        database = Database(path, "mode=rw")
        undo.callback(database.close)
        _prepare(database)
        writer = SqliteWriter(database, lock, clock or SystemClock(), with_words)
        if not is_collector and journal_of(path).is_dir():
            settle_left(writer, JournalReader(journal_of(path)))
        undo.pop_all()
    return writer


def open_reader(location: str | os.PathLike[str]) -> SqliteReader:
    """A reader of the store at a path or `sqlite:///` URL, writer or no writer, also where nothing is writable.

    What a killed collector left in its journal is stored first, where that can be; in another user's store nothing is written.
    Raises StoreError where the file is missing, not a store, a newer Trajectory's, damaged, or cannot be read.
    """
    path = locate(location)
    require_file(path)
    if journal_of(path).is_dir() and is_own(path):
        with suppress(StoreError):  # a collector lives and settles it, or nothing can be written here
            open_writer(path).close()
    return SqliteReader(_readable(path))


def open_salvage(location: str | os.PathLike[str]) -> Salvage:
    """A reader that goes around what is damaged, and writes nothing. Raises StoreError as `open_reader` does."""
    path = locate(location)
    require_file(path)
    return Salvage(_readable(path))


def _readable(path: Path) -> Database:
    try:
        database = Database(path, "mode=ro")
        _recognise(database)
    except StoreError:
        if os.access(path.parent, os.W_OK) or path.with_name(path.name + "-wal").exists():
            raise
        # A log at rest is folded in, so the file alone is the store; WAL mode itself would want to make files beside it.
        database = Database(path, "mode=ro&immutable=1")
        _recognise(database)
    return database


def change_pins(location: str | os.PathLike[str], pins: Sequence[Pin], *, pinned: bool) -> list[Pin]:
    """Pins or unpins in the store at a path or URL, also beside its writer; returns those that were not so before.

    Raises StoreError as `open_reader` does, and where the file cannot be written.
    """
    path = locate(location)
    require_file(path)
    database = Database(path, "mode=rw")
    try:
        _recognise(database)
        with database.transaction():
            return change(database, pins, pinned=pinned)
    finally:
        database.close()


def _recognise(database: Database) -> None:
    """Raises StoreError unless the file is a store of the format that this release reads."""
    try:
        with database.connection() as connection:
            version = format_of(connection, database.path)
        if version == 0:
            raise StoreError(f"{database.path} is empty: nothing has been stored in it yet")
        if version < FORMAT:
            raise StoreError(
                f"{database.path} has the older format {version}, this release reads {FORMAT}: "
                "open it once with `trajectory serve --store` to bring it up to date"
            )
    except StoreError:
        database.close()
        raise


def _prepare(database: Database) -> None:
    """Settings of the connection, and the newest format; a file of an older one is copied before."""
    with database.connection() as connection:
        version = format_of(connection, database.path)
        if version == 0:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only a file without tables can take it
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute("PRAGMA synchronous = NORMAL")
        # What is replaced is overwritten where that costs no more writing: words that the index has moved are not left behind.
        connection.execute("PRAGMA secure_delete = FAST").fetchall()
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}").fetchall()
        connection.execute(f"PRAGMA journal_size_limit = {_LOG_LIMIT_BYTES}").fetchall()
    if 0 < version < FORMAT:
        keep_copy(database, version)
    with database.transaction() as connection:
        migrate(connection, version)  # writes the format in any case, because that fails on a file that is read-only
