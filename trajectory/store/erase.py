"""Removes traces from a store: their facts, summaries, findings, and the payloads that nothing else names.

Invariant: the other traces' facts stay as they were, in the frames and at the positions they had. A trace is out of sight at
once, and then removed in steps, each one transaction of bounded length; what a step did not come to is noted in the store, so
that a later process goes on with it. What it costs follows what is removed. Owned by the writer.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from sqlite3 import Connection
from time import monotonic

from trajectory.errors import StoreError
from trajectory.model import lists
from trajectory.model.fact import Fact, trace_of
from trajectory.store.bodies import expand_facts, read_facts, shrink, write_facts
from trajectory.store.database import Database
from trajectory.store.indexing import Indexing
from trajectory.store.matching import digests_of
from trajectory.store.packs import OpenPacks, columns, pack_of, slot_of
from trajectory.store.places_writer import PlacesWriter

_BODY = (int, bytes)  # codec, body
_PAGE_FRAMES, _PAGE_BODIES = 64, 256
_WALKED_LIMIT = 32_768
_RELEASED = "SELECT place, digest, trace FROM released ORDER BY place, digest, trace LIMIT ?"
_OWNED = ("summaries", "tallies", "findings")

Released = tuple[int, bytes, int]  # place, digest, trace


class Erasing:
    """Removes what is out of sight. `payload` reads a body. One thread at a time."""

    def __init__(self, database: Database, places: PlacesWriter, indexing: Indexing, payload: lists.Payload) -> None:
        self._database = database
        self._places = places
        self._indexing = indexing
        self._payload = payload
        self._walked: set[tuple[bytes, int]] = set()  # lists whose content was released already, by the trace

    def hide(self, trace_ids: Iterable[bytes], *, with_words: bool = False) -> None:
        """Takes traces out of sight, inside the transaction that is open; at the end the index forgets their words at once."""
        for trace_id in trace_ids:
            for table in _OWNED:
                self._database.rows(f"DELETE FROM {table} WHERE trace_id = ?", (trace_id,))
            self._database.rows(
                "INSERT INTO retiring SELECT id, trace_id, 1 FROM traces WHERE trace_id = ?", (trace_id,)
            )
            self._database.rows("DELETE FROM traces WHERE trace_id = ?", (trace_id,))
        if with_words:
            self._database.rows("INSERT OR REPLACE INTO progress VALUES ('purge_after', 1)")

    def has_facts(self) -> bool:
        """Whether facts of hidden traces are left: nothing may be indexed before they are gone."""
        return self._database.row("SELECT 1 FROM retiring WHERE has_frames LIMIT 1") is not None

    def go_on(self, until_s: float) -> bool:
        """Goes on removing until an instant of `time.monotonic`; False when nothing is left. Raises StoreError."""
        if not self._database.row("SELECT 1 FROM retiring UNION ALL SELECT 1 FROM released LIMIT 1"):
            return False
        self._indexing.make_ready()
        try:
            with overwriting(self._database), self._database.transaction() as connection:
                # In this order: a body may go when no fact names it that was not indexed, and none of a hidden trace is to be.
                return (
                    self._remove_facts(connection, until_s)
                    or self._index(connection, until_s)
                    or self._release(connection, until_s)
                )
        except BaseException:
            self._walked.clear()
            self._places.forget()
            self._indexing.forget()
            raise

    # --- facts ------------------------------------------------------------------------------------------------------

    def _remove_facts(self, connection: Connection, until_s: float) -> bool:
        """Removes the facts of hidden traces from their frames; False when none is left."""
        while trace := self._database.number("SELECT trace FROM retiring WHERE has_frames LIMIT 1"):
            query = "SELECT frame FROM frame_traces WHERE trace = ? ORDER BY frame LIMIT ?"
            while frames := self._database.rows(query, (trace, _PAGE_FRAMES), (int,)):
                for (frame,) in frames:
                    self._remove_from(connection, frame)
                    connection.execute("DELETE FROM frame_traces WHERE trace = ? AND frame = ?", (trace, frame))
                    if monotonic() > until_s:
                        return True
            connection.execute("UPDATE retiring SET has_frames = 0 WHERE trace = ?", (trace,))
        return False

    def _remove_from(self, connection: Connection, frame: int) -> None:
        """Removes the facts of all hidden traces from a frame, and notes the bodies that they named."""
        row = self._database.row("SELECT codec, body FROM frames WHERE id = ?", (frame,), _BODY)
        try:
            facts = read_facts(expand_facts(*row)) if row else []
        except StoreError:  # nobody can read it: it goes when it is old
            connection.execute("INSERT OR IGNORE INTO loose_frames VALUES (?)", (frame,))
            return
        hidden = {t: number for t in set(map(trace_of, facts)) if (number := self._hidden(t, frame))}
        kept = [fact for fact in facts if trace_of(fact) not in hidden]
        self._indexing.take_out(connection, self._indexing.stretches_of([frame], []))
        if not kept:
            connection.execute("DELETE FROM frames WHERE id = ?", (frame,))
        else:
            changed = (len(kept), *shrink(write_facts(kept)[1]), frame)
            connection.execute("UPDATE frames SET fact_count = ?, codec = ?, body = ? WHERE id = ?", changed)
            if not any(map(trace_of, kept)):
                connection.execute("INSERT OR IGNORE INTO loose_frames VALUES (?)", (frame,))
        named = self._named(facts, hidden)
        places = self._indexing.places_of({digest for digest, _ in named})
        rows = [(places.get(digest, 0), digest, number) for digest, number in named]
        connection.executemany("INSERT OR IGNORE INTO released VALUES (?, ?, ?)", rows)
        connection.executemany(
            "DELETE FROM frame_traces WHERE trace = ? AND frame = ?", [(number, frame) for number in hidden.values()]
        )

    def _hidden(self, trace_id: bytes, frame: int) -> int:
        """The number under which a trace's facts in a frame are hidden; 0 where they are not, because it has begun anew."""
        query = """SELECT retiring.trace FROM retiring JOIN frame_traces ON frame_traces.trace = retiring.trace AND frame = ?
                   WHERE trace_id = ?"""
        return self._database.number(query, (frame, trace_id))

    def _named(self, facts: list[Fact], hidden: dict[bytes, int]) -> set[tuple[bytes, int]]:
        """The bodies that hidden traces name, themselves or through a list, each with the number of the trace."""
        if len(self._walked) > _WALKED_LIMIT:
            self._walked.clear()
        entries = {(entry, hidden.get(trace_of(fact), 0)) for fact in facts for entry in digests_of(fact)}
        named: set[tuple[bytes, int]] = set()
        for entry, number in entries:
            if number:
                listed = lists.list_of(entry)
                named |= {(entry, number)} if listed is None else self._listed(listed, number)
        return named

    def _listed(self, listed: bytes, number: int) -> set[tuple[bytes, int]]:
        """A list, what is in it, and what it extends, as far as that was not released already."""
        named: set[tuple[bytes, int]] = set()
        while listed and (listed, number) not in self._walked:
            self._walked.add((listed, number))
            named.add((listed, number))
            found = self._payload(listed)
            if found is None or found[0] != lists.LIST:
                break
            listed, added = lists.read(found[1])
            named |= {(digest, number) for digest in added}
        return named

    # --- bodies -----------------------------------------------------------------------------------------------------

    def _index(self, connection: Connection, until_s: float) -> bool:
        """Learns who names a body; False when nothing is left to learn."""
        while self._indexing.next_stretch(connection):
            if monotonic() > until_s:
                return True
        return False

    def _release(self, connection: Connection, until_s: float) -> bool:
        """Removes bodies that nobody names any more; False when none is left to look at."""
        while rows := self._database.rows(_RELEASED, (_PAGE_BODIES,), (int, bytes, int)):
            self._release_some(connection, _whole_packs(rows))
            if monotonic() > until_s:
                return True
        # Not before: what is to be released tells traces by their numbers.
        connection.execute("DELETE FROM retiring")
        self._walked.clear()
        if self._database.row("SELECT 1 FROM progress WHERE name = 'purge_after'"):
            connection.execute("DELETE FROM progress WHERE name = 'purge_after'")
            connection.execute("INSERT OR REPLACE INTO progress VALUES ('purge', 2)")
        return False

    def _release_some(self, connection: Connection, rows: list[Released]) -> None:
        connection.executemany("DELETE FROM released WHERE place = ? AND digest = ? AND trace = ?", rows)
        come = self._indexing.places_of({digest for place, digest, _ in rows if not place})
        found = [(place or come.get(digest, 0), digest, trace) for place, digest, trace in rows]
        connection.executemany("DELETE FROM names WHERE place = ? AND trace = ?", [(p, trace) for p, _, trace in found])
        connection.executemany("DELETE FROM absent_names WHERE digest = ? AND trace = ?", [row[1:] for row in found])
        placed = {place: digest for place, digest, _ in found if place}
        query = "SELECT 1 FROM names WHERE place = ? LIMIT 1"
        gone = {place: digest for place, digest in placed.items() if not self._database.row(query, (place,))}
        self._indexing.take_out(connection, self._indexing.stretches_of([], gone))
        self._remove_bodies(connection, gone)

    def _remove_bodies(self, connection: Connection, gone: dict[int, bytes]) -> None:
        """Removes bodies, by their places: of each pack that held some what is left."""
        slots: dict[int, set[int]] = {}
        for place in gone:
            if place > 0:
                slots.setdefault(pack_of(place), set()).add(slot_of(place))
        packs = OpenPacks(self._database)
        for pack_id, empty in slots.items():
            try:
                pack = packs.read(pack_id)
            except StoreError:
                continue  # nobody can read it
            left = pack.without(empty) if pack is not None else None
            if left is not None and left.body_count:
                query = "UPDATE packs SET body_count = ?, head = ?, codec = ?, body = ? WHERE id = ?"
                connection.execute(query, (*columns(left), pack_id))
            else:
                connection.execute("DELETE FROM packs WHERE id = ?", (pack_id,))
        self._places.remove(connection, [digest for place, digest in gone.items() if place > 0])
        connection.executemany("DELETE FROM payloads WHERE id = ?", [(-place,) for place in gone if place < 0])


def _whole_packs(rows: list[Released]) -> list[Released]:
    """Without the last pack of a full page, unless it is the only one: it may go on in the next."""
    last = pack_of(rows[-1][0])
    before = [row for row in rows if pack_of(row[0]) != last]
    return before if before and len(rows) == _PAGE_BODIES else rows


def remove_loose(database: Database, before_ns: int, until_s: float) -> bool:
    """Removes frames that belong to no trace and were received before an instant; False when none is left."""
    query = """SELECT frame, coalesce(received_at_ns, 0) FROM loose_frames LEFT JOIN frames ON id = frame
               ORDER BY frame LIMIT ?"""
    with overwriting(database), database.transaction():
        while rows := database.rows(query, (_PAGE_FRAMES,), (int, int)):
            old = [frame for frame, received_ns in rows if received_ns < before_ns]
            for frame in old:
                database.rows("DELETE FROM frames WHERE id = ?", (frame,))
                database.rows("DELETE FROM loose_frames WHERE frame = ?", (frame,))
            if len(old) < _PAGE_FRAMES:
                return False
            if monotonic() > until_s:
                return True
    return False


@contextmanager
def overwriting(database: Database) -> Iterator[None]:
    """What is removed meanwhile is overwritten with zeros."""
    database.rows("PRAGMA secure_delete = ON")
    try:
        yield
    finally:
        database.rows("PRAGMA secure_delete = FAST")
