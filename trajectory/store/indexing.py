"""Makes what is stored searchable, behind the acknowledgement: which traces name a body, and which words a stretch holds.

Invariant: the ends of the newest stretch move in the same transaction as what is known of it, so a kill costs nothing and an
older store catches up by itself. What is deleted is taken out of its stretch's words and of the file. Owned by the writer.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from trajectory.model import lists
from trajectory.model.fact import Fact, trace_of
from trajectory.store.database import Database
from trajectory.store.matching import digests_of
from trajectory.store.packs import pack_of
from trajectory.store.places_writer import PlacesWriter
from trajectory.store.stretches import (
    MAKE_WORDS,
    WORDS_VERSION,
    Ends,
    Stretch,
    facts_in,
    has_words,
    last_stretch,
    stretch,
)
from trajectory.store.words import body_words, fact_words

_FRAMES, _PACKS, _PAYLOADS = 3, 3, 128  # of a stretch at most
_NAMED_LIMIT = 16_384
_MERGE_PAGES = 256

TraceRow = Callable[[sqlite3.Connection, bytes], int]


@dataclass(frozen=True, slots=True)
class _Rows:
    """What is in a stretch: (id, facts) of its frames, the newest first, and (place, digest, media type, body) of its bodies."""

    frames: list[tuple[int, list[Fact]]]
    bodies: list[tuple[int, bytes, str, bytes]]


class Indexing:
    """The writer's index. `trace_row` gives a trace's row id; `with_words` False indexes only which traces name a body."""

    def __init__(
        self, database: Database, places: PlacesWriter, payload: lists.Payload, trace_row: TraceRow, with_words: bool
    ) -> None:
        self._database = database
        self._places = places
        self._payload = payload
        self._trace_row = trace_row
        self._wants_words = with_words
        self._with_words = False
        self._is_ready = False
        self._named: set[tuple[bytes, bytes]] = set()  # (digest, trace) that are known to be written down
        self._seen: dict[bytes, int] = {}  # the places of bodies that came lately

    def forget(self) -> None:
        """Remembers nothing: a transaction failed, or bodies were removed."""
        self._named.clear()
        self._seen.clear()

    def make_ready(self) -> None:
        """Looks, the first time, whether there can be words. Raises StoreError."""
        if not self._is_ready:
            self._with_words = self._wants_words and self._have_words()
            self._is_ready = True

    def go_on(self, budget_ns: int | None) -> bool:
        """Indexes stretch by stretch until the time is over; True where there is nothing left. Raises StoreError."""
        self.make_ready()
        began_ns = time.monotonic_ns()
        while True:
            try:
                with self._database.transaction() as connection:
                    is_done = not (
                        self.next_stretch(connection) or self._words_later(connection) or self._purge(connection)
                    )
            except BaseException:
                self.forget()
                raise
            if is_done or (budget_ns is not None and time.monotonic_ns() - began_ns > budget_ns):
                return is_done

    # --- stretches --------------------------------------------------------------------------------------------------

    def next_stretch(self, connection: sqlite3.Connection) -> bool:
        """Indexes what follows the newest stretch, inside the transaction that is open; False where nothing does."""
        last_id, after = last_stretch(self._database)
        until = self._next_ends(after)
        if until == after:
            return False
        coming = _read(self._database, Stretch(after, until))
        self._write_names(connection, coming)
        connection.execute(
            "INSERT INTO stretches (id, last_frame, last_pack, last_payload, has_words) VALUES (?, ?, ?, ?, ?)",
            (last_id + 1, until.frame, until.pack, until.payload, self._with_words),
        )
        if self._with_words:
            self._add_words(connection, last_id + 1, _words(coming))
        return True

    def _next_ends(self, after: Ends) -> Ends:
        def last(table: str, start: int, count: int) -> int:
            query = f"SELECT max(id) FROM (SELECT id FROM {table} WHERE id > ? ORDER BY id LIMIT ?)"
            return self._database.number(query, (start, count)) or start

        return Ends(
            last("frames", after.frame, _FRAMES),
            last("packs", after.pack, _PACKS),
            last("payloads", after.payload, _PAYLOADS),
        )

    # --- who names a body -------------------------------------------------------------------------------------------

    def _write_names(self, connection: sqlite3.Connection, coming: "_Rows") -> None:
        """Writes down which traces name a body, and in which frame first; what is not stored (yet) is kept apart."""
        if len(self._named) > _NAMED_LIMIT or len(self._seen) > _NAMED_LIMIT:
            self.forget()
        self._seen.update((digest, place) for place, digest, _, _ in coming.bodies)
        first: dict[tuple[bytes, bytes], int] = {}
        for frame, facts in reversed(coming.frames):
            for fact in facts:
                trace_id = trace_of(fact)
                for entry in digests_of(fact) if trace_id and getattr(fact, "contents", None) else ():
                    self._name(first, entry, trace_id, frame)
        places = self.places_of({digest for digest, _ in first})
        rows = [
            (places.get(digest, digest), self._trace_row(connection, trace_id), frame)
            for (digest, trace_id), frame in first.items()
        ]
        insert = "INSERT OR IGNORE INTO {} VALUES (?, ?, ?)"
        connection.executemany(insert.format("names"), sorted(row for row in rows if isinstance(row[0], int)))
        connection.executemany(insert.format("absent_names"), [row for row in rows if not isinstance(row[0], int)])
        self._named.update(first)
        self._resolve(connection, coming)

    def _name(self, first: dict[tuple[bytes, bytes], int], entry: bytes, trace_id: bytes, frame: int) -> None:
        """A trace names an entry: a body, or a list with all in it, of which what is known to be named is named whole."""
        listed = lists.list_of(entry)
        if listed is None:
            if (entry, trace_id) not in self._named:
                first.setdefault((entry, trace_id), frame)
            return
        while listed and (listed, trace_id) not in self._named and (listed, trace_id) not in first:
            first[listed, trace_id] = frame
            found = self._payload(listed)
            if found is None or found[0] != lists.LIST:
                return
            listed, added = lists.read(found[1])
            for digest in added:
                if (digest, trace_id) not in self._named:
                    first.setdefault((digest, trace_id), frame)

    def places_of(self, digests: set[bytes]) -> dict[bytes, int]:
        """The places of those that are stored; below zero where the first format put them."""
        found = {digest: self._seen[digest] for digest in digests & self._seen.keys()}
        found.update(self._places.find(digests - found.keys()))
        self._seen.update(found)
        missing = [digest for digest in digests if digest not in found]
        for start in range(0, len(missing), 500):
            page = missing[start : start + 500]
            query = f"SELECT digest, id FROM payloads WHERE digest IN ({','.join('?' * len(page))})"
            found.update((digest, -row_id) for digest, row_id in self._database.rows(query, page, (bytes, int)))
        return found

    def _resolve(self, connection: sqlite3.Connection, coming: "_Rows") -> None:
        """Bodies that come after a trace has named them."""
        if not self._database.rows("SELECT 1 FROM absent_names LIMIT 1"):
            return
        for place, digest, media_type, body in coming.bodies:
            rows = self._database.rows("SELECT trace, frame FROM absent_names WHERE digest = ?", (digest,), (int, int))
            if not rows:
                continue
            connection.executemany("INSERT OR IGNORE INTO names VALUES (?, ?, ?)", [(place, *row) for row in rows])
            connection.execute("DELETE FROM absent_names WHERE digest = ?", (digest,))
            if media_type == lists.LIST:
                self._resolve_list(connection, body, rows)

    def _resolve_list(self, connection: sqlite3.Connection, body: bytes, rows: Sequence[tuple[int, ...]]) -> None:
        """A list that came late: those that named it name what is in it."""
        base, added = lists.read(body)
        entries = [*added, *([b"\x01" + base] if base else [])]
        needed = lists.named(entries, self._payload)
        places = self.places_of(needed)
        for digest in needed:
            table = "names" if digest in places else "absent_names"
            connection.executemany(
                f"INSERT OR IGNORE INTO {table} VALUES (?, ?, ?)", [(places.get(digest, digest), *row) for row in rows]
            )

    # --- words ------------------------------------------------------------------------------------------------------

    def _have_words(self) -> bool:
        """Whether there is a table of words, made where it is missing and SQLite can."""
        with self._database.transaction() as connection:
            try:
                if self._database.number("SELECT value FROM progress WHERE name = 'words'") != WORDS_VERSION:
                    connection.execute("DROP TABLE IF EXISTS words")
                    connection.execute(MAKE_WORDS)
                    connection.execute("UPDATE stretches SET has_words = 0")
                    connection.execute("INSERT OR REPLACE INTO progress VALUES ('words', ?)", (WORDS_VERSION,))
                return has_words(self._database)
            except sqlite3.OperationalError as fault:
                if "fts5" in str(fault):
                    return False
                raise

    def _words_later(self, connection: sqlite3.Connection) -> bool:
        """Gives words to a stretch that was indexed without; False where there is none."""
        query = "SELECT id FROM stretches WHERE NOT has_words ORDER BY id DESC LIMIT 1"
        stretch_id = self._database.number(query) if self._with_words else 0
        if stretch_id:
            self._add_words(connection, stretch_id, self._words_of(stretch_id))
            connection.execute("UPDATE stretches SET has_words = 1 WHERE id = ?", (stretch_id,))
        return bool(stretch_id)

    def _words_of(self, stretch_id: int) -> str:
        return _words(_read(self._database, stretch(self._database, stretch_id)))

    @staticmethod
    def _add_words(connection: sqlite3.Connection, stretch_id: int, text: str) -> None:
        connection.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (stretch_id, text))

    # --- deletion ---------------------------------------------------------------------------------------------------

    def stretches_of(self, frames: Iterable[int], places: Iterable[int]) -> list[int]:
        """The stretches that hold these frames and bodies."""
        wanted = {("last_frame", frame) for frame in frames}
        wanted |= {("last_pack", pack_of(place)) if place > 0 else ("last_payload", -place) for place in places}
        found = {
            self._database.number(f"SELECT id FROM stretches WHERE {column} >= ? ORDER BY id LIMIT 1", (row_id,))
            for column, row_id in wanted
        }
        return sorted(found - {0})

    def take_out(self, connection: sqlite3.Connection, stretch_ids: Iterable[int]) -> None:
        """Takes the words of stretches out of the index, before their rows change: they get words again by `go_on`."""
        if not has_words(self._database):
            return
        for stretch_id in stretch_ids:
            if self._database.number("SELECT has_words FROM stretches WHERE id = ?", (stretch_id,)):
                text = self._words_of(stretch_id)
                connection.execute("INSERT INTO words (words, rowid, text) VALUES ('delete', ?, ?)", (stretch_id, text))
                connection.execute("UPDATE stretches SET has_words = 0 WHERE id = ?", (stretch_id,))

    def _purge(self, connection: sqlite3.Connection) -> bool:
        """Merges the index until no word of what was taken out is left in it; False where there is none."""
        stage = self._database.number("SELECT value FROM progress WHERE name = 'purge'")
        if not stage or not has_words(self._database):
            return False
        before = connection.total_changes
        # The first time all of it is marked for merging, later a part is merged each time, until nothing changes.
        pages = -_MERGE_PAGES if stage == 2 else _MERGE_PAGES
        connection.execute("INSERT INTO words (words, rank) VALUES ('merge', ?)", (pages,))
        if stage == 2:
            connection.execute("UPDATE progress SET value = 1 WHERE name = 'purge'")
        elif connection.total_changes - before < 2:
            connection.execute("DELETE FROM progress WHERE name = 'purge'")
        return True


def _read(database: Database, one: Stretch) -> _Rows:
    frames = [(frame, facts_in(plain)) for frame, plain in one.frames(database)]
    return _Rows(frames, list(one.bodies(database)))


def _words(rows: _Rows) -> str:
    """A text with the words of a stretch."""
    texts = [body_words(kind, body) for _, _, kind, body in rows.bodies]
    return "\n".join([*texts, *(fact_words(facts) for _, facts in rows.frames)])
