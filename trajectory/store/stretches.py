"""A stretch of a store: some frames and the bodies that were stored beside them, which are indexed and searched as one.

Words are indexed by the stretch and not by the body: that is a third of the cost and of the bytes, and to look through a stretch
takes less than a millisecond. A stretch without words is looked through at every search.

Invariant: stretches follow each other without a gap, so what lies behind the last one is all that is not indexed.
"""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from trajectory.errors import StoreError
from trajectory.model.fact import Fact
from trajectory.store.bodies import expand, expand_facts, read_facts
from trajectory.store.database import Database
from trajectory.store.packs import entries_in, place_of

T = TypeVar("T")

WORDS_VERSION = 1  # of what `words` makes of a row: when that changes, every stretch gets its words anew
# Of ASCII alone: what a letter is beyond it, `words` says, whatever Unicode this SQLite knows.
MAKE_WORDS = 'CREATE VIRTUAL TABLE words USING fts5(text, content="", detail=none, columnsize=0, tokenize="ascii")'
BEYOND = 1 << 62  # above every row id


@dataclass(frozen=True, slots=True)
class Ends:
    """How far a stretch goes: the last row of each kind that is in it."""

    frame: int = 0
    pack: int = 0
    payload: int = 0  # of the first format's bodies, one a row


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows after `after` up to `until`."""

    after: Ends
    until: Ends

    def frames(self, database: Database) -> Iterator[tuple[int, bytes]]:
        """(id, facts as msgpack) of its frames, the newest first. What is damaged is left out: the check tells of it."""
        query = "SELECT id, codec, body FROM frames WHERE id > ? AND id <= ? ORDER BY id DESC LIMIT 8"
        top = self.until.frame
        while rows := database.rows(query, (self.after.frame, top), (int, int, bytes)):
            for frame, codec, body in rows:
                if (plain := _sound(partial(expand_facts, codec, body))) is not None:
                    yield frame, plain
            top = rows[-1][0] - 1

    def bodies(self, database: Database) -> Iterator[tuple[int, bytes, str, bytes]]:
        """(place, digest, media type, body) of its bodies, the newest pack first; without what is damaged."""
        query = "SELECT id, head, codec, body FROM packs WHERE id > ? AND id <= ? ORDER BY id DESC LIMIT 8"
        top = self.until.pack
        while rows := database.rows(query, (self.after.pack, top), (int, bytes, int, bytes)):
            for pack, head, codec, body in rows:
                entries = _sound(partial(entries_in, head, codec, body))
                for slot, digest, media_type, plain in entries or ():
                    yield place_of(pack, slot), digest, media_type, plain
            top = rows[-1][0] - 1
        yield from self._first_bodies(database)

    def _first_bodies(self, database: Database) -> Iterator[tuple[int, bytes, str, bytes]]:
        """The same of the first format's; their places are below zero."""
        query = """SELECT id, digest, media_type, codec, body FROM payloads WHERE id > ? AND id <= ?
                   ORDER BY id DESC LIMIT 8"""
        top = self.until.payload
        while rows := database.rows(query, (self.after.payload, top), (int, bytes, str, int, bytes)):
            for row_id, digest, media_type, codec, body in rows:
                if (plain := _sound(partial(expand, codec, body))) is not None:
                    yield -row_id, digest, media_type, plain
            top = rows[-1][0] - 1


def _sound(read: Callable[[], T]) -> T | None:
    """What a row says; None where it is damaged."""
    try:
        return read()
    except StoreError:
        return None


def facts_in(plain: bytes) -> list[Fact]:
    """The facts of a frame; none where they are damaged."""
    return _sound(partial(read_facts, plain)) or []


def last_stretch(database: Database) -> tuple[int, Ends]:
    """The id and the ends of the newest stretch."""
    query = "SELECT id, last_frame, last_pack, last_payload FROM stretches ORDER BY id DESC LIMIT 1"
    row = database.row(query, (), (int, int, int, int))
    return (row[0], Ends(*row[1:])) if row else (0, Ends())


def stretch(database: Database, stretch_id: int) -> Stretch:
    """A stretch by its id."""
    query = "SELECT last_frame, last_pack, last_payload FROM stretches WHERE id <= ? ORDER BY id DESC LIMIT 2"
    rows = [Ends(*row) for row in database.rows(query, (stretch_id,), (int, int, int))]
    return Stretch(rows[1] if len(rows) > 1 else Ends(), rows[0] if rows else Ends())


def has_words(database: Database) -> bool:
    """Whether there is a table of words and this Python's SQLite can read it."""
    if not database.rows("SELECT 1 FROM sqlite_master WHERE name = 'words'"):
        return False
    with database.connection() as connection:
        try:
            connection.execute("SELECT rowid FROM words LIMIT 0")
        except sqlite3.OperationalError:  # no such module: fts5
            return False
    return True
