"""What can still be read of a damaged store, as batches for a new one, and the change of the one for the other.

Invariant: the damaged file is only read, and kept under another name: what this cannot read, another tool or a later one may.
Called by `trajectory doctor --repair`, which holds the store's lock.

Facts come with the sources and positions they had, so that an emitter that is still there goes on where it was. Payloads come
before the first fact that names them, under a source of their own, because no frame says at which positions they were sent.
Everything else in a store is made again out of the facts.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from trajectory.errors import StoreError
from trajectory.model import lists
from trajectory.model.content import digest as digest_of
from trajectory.model.fact import Batch, Fact, Gap, Payload, Source
from trajectory.model.hashing import blake2b
from trajectory.store.bodies import expand_facts, read_facts
from trajectory.store.contract import Pin
from trajectory.store.database import Database, Kinds, Row
from trajectory.store.location import prepare_file
from trajectory.store.matching import digests_of
from trajectory.store.packs import digests_in, place_of
from trajectory.store.reader import SqliteReader

_BLOCK_ROWS = 32
_ROWS_A_PAGE = 64  # more than there are: where a store does not say how many rows it has, so many are looked for
_FRAME = (int, int, int, int, bytes)  # id, source, first_seq, codec, body


class Salvage(SqliteReader):
    """Reads a damaged store from its beginning to its end. The counts are of what was read, and of what could not be."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.fact_count = self.lost_frame_count = self.lost_payload_count = 0
        self._sources: dict[int, Source] = {}

    def batches(self) -> Iterator[Batch]:
        """Everything that reads, in stored order. Raises nothing of the store's."""
        own = Source(os.urandom(16), os.urandom(16), {"service.name": "trajectory.salvage"})
        own_seq = 0
        sent: set[bytes] = set()
        for first in range(1, self._newest("frames") + 1, _BLOCK_ROWS):
            for _, row, first_seq, codec, body in self._frames(first, first + _BLOCK_ROWS - 1):
                facts = self._facts(codec, body)
                payloads = self._named(facts, sent)
                source = self._sources.get(row) or self._sources.setdefault(row, self._known_source(row))
                self.fact_count += len(facts)
                yield from [Batch(own, own_seq, payloads)] if payloads else []
                own_seq += len(payloads)
                yield Batch(source, first_seq, facts)

    def positions(self) -> list[Batch]:
        """How far each source of the batches had come: what it sent before that is not to be taken again."""
        return [Batch(source, self._stored_seq(source), []) for source in self._sources.values()]

    def known_pins(self) -> list[Pin]:
        """The pins that can be read."""
        try:
            return self.pins()
        except StoreError:
            return []

    def _newest(self, table: str) -> int:
        for query in (f"SELECT seq FROM sqlite_sequence WHERE name = '{table}'", f"SELECT max(id) FROM {table}"):
            with suppress(StoreError):
                if newest := self._database.number(query):
                    return newest
        return _ROWS_A_PAGE * self._database.number("PRAGMA page_count")

    def _frames(self, first: int, last: int) -> list[Row]:
        """The frames with these ids that can be read."""
        query = "SELECT id, source, first_seq, codec, body FROM frames WHERE id BETWEEN ? AND ? ORDER BY id"
        rows, lost_count = self._around(query, _FRAME, first, last)
        self.lost_frame_count += lost_count
        return rows

    def _around(self, query: str, kinds: Kinds, first: int, last: int) -> tuple[list[Row], int]:
        """The rows with ids from `first` to `last`, and how many cannot be read: where a page is damaged they come one by one."""
        with suppress(StoreError):
            return self._database.rows(query, (first, last), kinds), 0
        if first == last:
            return [], 1
        singly = [self._around(query, kinds, row_id, row_id) for row_id in range(first, last + 1)]
        return [row for rows, _ in singly for row in rows], sum(count for _, count in singly)

    @cached_property
    def _places_around(self) -> dict[bytes, int]:
        """Where bodies rest, out of what reads of the packs themselves: for when what leads to them is damaged."""
        places: dict[bytes, int] = {}
        query = "SELECT id, head FROM packs WHERE id BETWEEN ? AND ? ORDER BY id"
        for first in range(1, self._newest("packs") + 1, _BLOCK_ROWS):
            for pack, head in self._around(query, (int, bytes), first, first + _BLOCK_ROWS - 1)[0]:
                with suppress(StoreError):
                    places.update((digest, place_of(pack, slot)) for slot, digest in digests_in(head))
        return places

    def _facts(self, codec: int, body: bytes) -> list[Fact]:
        try:
            return [fact for fact in read_facts(expand_facts(codec, body)) if not _is_unread(fact)]
        except StoreError:
            self.lost_frame_count += 1
            return []

    def _named(self, facts: list[Fact], sent: set[bytes]) -> list[Fact]:
        """The payloads that facts need and that were not sent yet."""
        entries = {entry for fact in facts for entry in digests_of(fact)}
        named = {lists.list_of(entry) or entry for entry in entries} | lists.named(entries, self._known_payload)
        wanted = sorted(named - sent)
        sent.update(wanted)
        bodies = [(digest, self._known_payload(digest)) for digest in wanted]
        found: list[Fact] = [Payload(digest, *body) for digest, body in bodies if body is not None]
        self.lost_payload_count += len(wanted) - len(found)
        return found

    def _known_payload(self, digest: bytes) -> tuple[str, bytes] | None:
        for ask in (self.payload, self._payload_around):
            with suppress(StoreError):
                found = ask(digest)
                if found is not None and digest_of(*found) == digest:
                    return found
        return None

    def _payload_around(self, digest: bytes) -> tuple[str, bytes] | None:
        place = self._places_around.get(digest)
        return self._packs.body(digest, place) if place else None

    def _known_source(self, row: int) -> Source:
        try:
            source = self._source(row)
        except StoreError:
            source = Source(b"", b"")
        if source.emitter_id:
            return source
        name = blake2b(row.to_bytes(8, "big", signed=True), digest_size=16).digest()  # whose row is gone stays apart
        return Source(name, name)

    def _stored_seq(self, source: Source) -> int:
        try:
            return self.next_seq(source.emitter_id, source.boot_id)
        except StoreError:
            return 0


def make_place(path: Path) -> Path:
    """The empty file of a new store beside the one at `path`. Raises StoreError."""
    new = path.with_name(path.name + ".repaired")
    for leftover in (new, *_logs(new)):
        leftover.unlink(missing_ok=True)
    prepare_file(new)
    return new


def take_place(new: Path, path: Path, damaged: Path) -> None:
    """Puts the new store where the old one is, which is kept as `damaged`. Raises StoreError, and then both are there."""
    try:
        os.link(path, damaged)
        log, index = _logs(path)
        if log.exists() and log.stat().st_size:
            os.link(log, _logs(damaged)[0])
        log.unlink(missing_ok=True)  # it must not be read as the log of the new one
        index.unlink(missing_ok=True)
        new.replace(path)
    except OSError as fault:
        raise StoreError(f"what reads of {path} is in {new}, and stays there: {fault.strerror}") from None


def _logs(path: Path) -> tuple[Path, Path]:
    return path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")


def _is_unread(fact: Fact) -> bool:
    """Whether a fact stands for one that could not be read."""
    return isinstance(fact, Gap) and fact.at_ns == 0 and fact.reason == "quarantined"
