"""One connection to one SQLite file: a lock around it, transactions that end, and faults in our words.

Invariant: a statement runs under the lock and either takes effect or raises StoreError, and no transaction outlives its
`with`. The reader and the writer of `sqlite` stand on it.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

from trajectory.errors import StoreError
from trajectory.store.faults import as_store_error
from trajectory.store.location import sqlite_uri

BUSY_TIMEOUT_S = 5.0
_FAULTS = (sqlite3.Error, OverflowError, UnicodeError)  # its messages may quote bytes that are no text

Row = tuple[Any, ...]
Kinds = tuple[type, ...]
Values = Sequence[Any] | Mapping[str, Any]


def _allowed(_action: int, _what: str | None, _of: str | None, _in: str | None, by: str | None) -> int:
    """SQLite's answer to each thing that a statement is about to do: `by` is the view or trigger that wants it, not we."""
    return sqlite3.SQLITE_OK if by is None else sqlite3.SQLITE_DENY


class Database:
    """An open SQLite file; usable from any thread, one at a time. `query` is that of SQLite's `file:` URI."""

    def __init__(self, path: Path, query: str) -> None:
        self.path = path
        self._lock = RLock()
        with self._faults():
            self._connection = sqlite3.connect(
                sqlite_uri(path, query), uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_S
            )
        # A stranger's file may hold a view in place of a table, which need not end, or a trigger: neither is ever run.
        self._connection.set_authorizer(_allowed)
        self.rows("PRAGMA trusted_schema = OFF")
        self.rows("PRAGMA cell_size_check = ON")

    def rows(self, statement: str, values: Values = (), kinds: Kinds = ()) -> list[Row]:
        """All rows that a statement gives; where `kinds` names the columns' types, StoreError on a row of others.

        SQLite keeps a value of any type in any column, and a damaged or a stranger's file does.
        """
        with self._lock, self._faults():
            rows = self._connection.execute(statement, values).fetchall()
        if kinds and any(tuple(map(type, row)) != kinds for row in rows):
            raise StoreError(f"{self.path} is damaged, a row holds values of wrong types: restore a copy")
        return rows

    def row(self, statement: str, values: Values = (), kinds: Kinds = ()) -> Row | None:
        """The first row that a statement gives; `kinds` as for `rows`."""
        rows = self.rows(statement, values, kinds)
        return rows[0] if rows else None

    def number(self, statement: str, values: Values = ()) -> int:
        """The one integer that a statement gives; 0 for no row and for NULL. Raises StoreError."""
        row = self.row(statement, values)
        value = row[0] if row else 0
        if not isinstance(value, int | None):
            raise StoreError(f"{self.path} is damaged, it holds {type(value).__name__} for a number: restore a copy")
        return value or 0

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The connection inside a write transaction, committed at the end and rolled back by any exception."""
        with self._lock, self._faults():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """The connection, outside of any transaction."""
        with self._lock, self._faults():
            yield self._connection

    def changes(self) -> int:
        """How many rows this connection has changed."""
        with self._lock, self._faults():
            return self._connection.total_changes

    def close(self) -> None:
        with self._lock, self._faults():
            self._connection.close()

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except _FAULTS as fault:
            raise as_store_error(self.path, fault) from fault
