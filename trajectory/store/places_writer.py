"""Keeps track of where bodies rest while they are stored: knows at once that a body is new, and makes the runs of `places`.

Invariant: works only inside the transaction that stores the bodies, and after one that failed `forget` is called, so memory and
disk agree. A run is asked unless the filter holds all of it, so no body is taken for new that is stored.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from trajectory.store.database import Database
from trajectory.store.places import (
    RECORD_BYTES,
    UNFINISHED,
    Places,
    Run,
    bits_of,
    bucket_id,
    bucket_of,
    position,
    record_of,
    records_in,
)

RECENT_LIMIT = 16_384
FAN_OUT = 8
_AGAIN_LIMIT = 4096
_STEP_RECORDS = 16_384  # at least so many are merged, and read into the filter, in one append
_FILTER_BITS = 23, 26, 29, 32
_BITS_A_KEY = 16  # so that one of two hundred that are not there looks as if it were


class KeyFilter:
    """Says of a digest that it is not there, for certain, or that it may be: three bits of each, in ever larger tables."""

    def __init__(self) -> None:
        self._tables: list[bytearray] = []
        self._room = 0

    def add(self, digests: Iterable[bytes]) -> None:
        for digest in digests:
            if self._room == 0:
                bits = _FILTER_BITS[min(len(self._tables), len(_FILTER_BITS) - 1)]
                self._tables.append(bytearray(1 << (bits - 3)))
                self._room = (1 << bits) // _BITS_A_KEY
            self._room -= 1
            table = self._tables[-1]
            mask = 8 * len(table) - 1
            key = int.from_bytes(digest[:12], "big")
            for at in (key & mask, (key >> 32) & mask, (key >> 64) & mask):
                table[at >> 3] |= 1 << (at & 7)

    def __contains__(self, digest: bytes) -> bool:
        key = int.from_bytes(digest[:12], "big")
        for table in self._tables:
            mask = 8 * len(table) - 1
            at = key & mask
            if table[at >> 3] >> (at & 7) & 1:  # mostly not: the others are looked at seldom
                second, third = (key >> 32) & mask, (key >> 64) & mask
                if table[second >> 3] >> (second & 7) & 1 and table[third >> 3] >> (third & 7) & 1:
                    return True
        return False


@dataclass(slots=True)
class _Merge:
    """Runs that become one, as far as it is done."""

    sources: list[Run]
    target: int
    next_bucket: int = 0


class PlacesWriter(Places):
    """Finds places and adds them. One thread at a time; `forget` after a transaction that failed."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)

    def forget(self) -> None:
        super().forget()
        self._filter = KeyFilter()
        self._filtered: set[int] = set()  # runs whose every digest is in the filter
        self._reading: tuple[int, int] = 0, 0  # a run that is being read into it, and up to which row
        self._again: dict[bytes, int] = {}  # bodies that came again lately: they will do so once more
        self._merge: _Merge | None = None
        self._is_tidy = False

    def find(self, digests: Iterable[bytes]) -> dict[bytes, int]:
        self._load()
        found: dict[bytes, int] = {}
        unread = [run for run in self._runs if run.run_id not in self._filtered]
        for digest in digests:
            place = self._recent.get(digest) or self._again.get(digest)
            if not place and (unread or digest in self._filter):
                place = self._in_runs(digest, self._runs if digest in self._filter else unread)
                if place:
                    self._remember(digest, place)
            if place:
                found[digest] = place
        return found

    def _remember(self, digest: bytes, place: int) -> None:
        if len(self._again) >= _AGAIN_LIMIT:
            self._again.clear()
        self._again[digest] = place

    def add(self, connection: sqlite3.Connection, placed: dict[bytes, int], last_pack: int) -> None:
        """These digests are stored now, in packs up to `last_pack`."""
        self._load()
        if not self._is_tidy:
            self._abandon(connection)
        self._recent.update(placed)
        self._last_pack = last_pack
        if len(self._recent) >= RECENT_LIMIT:
            self._make_run(connection)
        self._tidy(connection, max(_STEP_RECORDS, 4 * len(placed)))

    def remove(self, connection: sqlite3.Connection, digests: Iterable[bytes]) -> None:
        """These digests are stored no more."""
        self._load()
        self._abandon(connection)
        for digest in digests:
            self._recent.pop(digest, None)
            self._again.pop(digest, None)
            for run in self._runs:
                row_id = bucket_id(run.run_id, bucket_of(digest, run.bits))
                records = self._bucket(row_id)
                at = position(records, digest)
                if at >= 0:
                    left = records[:at] + records[at + RECORD_BYTES :]
                    connection.execute("UPDATE digest_buckets SET body = ? WHERE id = ?", (left, row_id))

    def _load(self) -> None:
        if not self._is_known:
            self._look()

    def _make_run(self, connection: sqlite3.Connection) -> None:
        """The newest become a run of level 0."""
        run = self._begin_run(connection, 0)
        records = [record_of(digest, place) for digest, place in self._recent.items()]
        _write(connection, run.run_id, _by_bucket(records, run.bits))
        self._filter.add(self._recent)
        self._filtered.add(run.run_id)
        self._runs.insert(0, run)
        self._recent = {}

    def _begin_run(self, connection: sqlite3.Connection, level: int) -> Run:
        made = connection.execute(
            "INSERT INTO digest_runs (level, last_pack) VALUES (?, ?)", (level, self._last_pack)
        ).lastrowid
        assert made is not None
        return Run(made, level)

    def _tidy(self, connection: sqlite3.Connection, record_count: int) -> None:
        """A bounded step of what is behind: reads a run into the filter, else merges runs."""
        unread = next((run for run in self._runs if run.run_id not in self._filtered), None)
        if unread is not None:
            self._read(unread, record_count)
            return
        if self._merge is None:
            sources = self._due()
            if sources:
                self._merge = _Merge(sources, self._begin_run(connection, UNFINISHED).run_id)
        if self._merge is not None:
            self._merge_on(connection, self._merge, record_count)

    def _read(self, run: Run, record_count: int) -> None:
        run_id, after = self._reading if self._reading[0] == run.run_id else (run.run_id, bucket_id(run.run_id, 0) - 1)
        query = "SELECT id, body FROM digest_buckets WHERE id > ? AND id < ? ORDER BY id LIMIT ?"
        rows = self._database.rows(query, (after, bucket_id(run_id + 1, 0), max(1, record_count // 32)), (int, bytes))
        self._filter.add(records_in(body for _, body in rows))
        if rows:
            self._reading = run_id, rows[-1][0]
        else:
            self._filtered.add(run_id)

    def _due(self) -> list[Run]:
        """The runs that are to become one: as many as make a run of the next level."""
        for level in sorted({run.level for run in self._runs}):
            alike = [run for run in self._runs if run.level == level]
            if len(alike) >= FAN_OUT and bits_of(level + 1) <= 32:
                return alike[-FAN_OUT:]
        return []

    def _merge_on(self, connection: sqlite3.Connection, merge: _Merge, record_count: int) -> None:
        level = merge.sources[0].level
        last = 1 << bits_of(level)
        until = min(last, merge.next_bucket + max(1, record_count // (32 * len(merge.sources))))
        records: list[bytes] = []
        for run in merge.sources:
            query = "SELECT body FROM digest_buckets WHERE id >= ? AND id < ?"
            ends = bucket_id(run.run_id, merge.next_bucket), bucket_id(run.run_id, until)
            records += records_in(body for (body,) in self._database.rows(query, ends, (bytes,)))
        _write(connection, merge.target, _by_bucket(records, bits_of(level + 1)))
        merge.next_bucket = until
        if until == last:
            self._finish(connection, merge, level + 1)

    def _finish(self, connection: sqlite3.Connection, merge: _Merge, level: int) -> None:
        connection.execute("UPDATE digest_runs SET level = ? WHERE id = ?", (level, merge.target))
        for run in merge.sources:
            _drop(connection, run.run_id)
        gone = {run.run_id for run in merge.sources}
        self._runs = [Run(merge.target, level), *(run for run in self._runs if run.run_id not in gone)]
        self._filtered.add(merge.target)
        self._merge = None

    def _abandon(self, connection: sqlite3.Connection) -> None:
        """Drops a run that is not finished: of this process, or of one that was killed."""
        for (run_id,) in self._database.rows("SELECT id FROM digest_runs WHERE level = ?", (UNFINISHED,), (int,)):
            _drop(connection, run_id)
        self._merge = None
        self._is_tidy = True


def _by_bucket(records: Iterable[bytes], bits: int) -> dict[int, list[bytes]]:
    buckets: dict[int, list[bytes]] = {}
    shift = 32 - bits
    for record in records:
        buckets.setdefault(int.from_bytes(record[:4], "big") >> shift, []).append(record)
    return buckets


def _write(connection: sqlite3.Connection, run_id: int, buckets: dict[int, list[bytes]]) -> None:
    rows = [(bucket_id(run_id, bucket), b"".join(records)) for bucket, records in sorted(buckets.items())]
    connection.executemany("INSERT INTO digest_buckets (id, body) VALUES (?, ?)", rows)


def _drop(connection: sqlite3.Connection, run_id: int) -> None:
    ends = bucket_id(run_id, 0), bucket_id(run_id + 1, 0)
    connection.execute("DELETE FROM digest_buckets WHERE id >= ? AND id < ?", ends)
    connection.execute("DELETE FROM digest_runs WHERE id = ?", (run_id,))
