"""Which place a body has, by its digest: the newest in memory, the others in runs on disk that are written once.

Digests are random: in one tree of them all each body that is stored would dirty a page of its own, ever more dearly. Here the
newest are only in the heads of their packs (and in memory); when there are many they become a run, cut into buckets by the
first bits of the digest, and eight runs of a level become one of the next, bucket by bucket.

Invariant: a digest that is stored is among the newest or in exactly one run that is in use. Readers find, the writer adds.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from trajectory.model.content import DIGEST_BYTES
from trajectory.store.database import Database
from trajectory.store.packs import digests_in, place_of

_PLACE_BYTES = 6
RECORD_BYTES = DIGEST_BYTES + _PLACE_BYTES
_FIRST_BITS = 9  # a run of level 0 has 512 buckets, of 32 records each
_LEVEL_BITS = 3
_BUCKET_BITS = 32
_MOST_LOOKS = 5
UNFINISHED = -1  # the level of a run that is being merged: it is not in use


@dataclass(frozen=True, slots=True)
class Run:
    """A run that is in use."""

    run_id: int
    level: int

    @property
    def bits(self) -> int:
        """How many first bits of a digest number its bucket."""
        return bits_of(self.level)


def bits_of(level: int) -> int:
    return _FIRST_BITS + _LEVEL_BITS * level


def bucket_id(run_id: int, bucket: int) -> int:
    """The row of a bucket."""
    return run_id << _BUCKET_BITS | bucket


def bucket_of(record: bytes, bits: int) -> int:
    return int.from_bytes(record[:4], "big") >> (32 - bits)


def record_of(digest: bytes, place: int) -> bytes:
    return digest + place.to_bytes(_PLACE_BYTES, "big")


def position(records: bytes, digest: bytes) -> int:
    """Where the record of a digest begins in a bucket; -1 where it has none."""
    at = records.find(digest)
    while at > 0 and at % RECORD_BYTES:
        at = records.find(digest, at + 1)
    return at


class Places:
    """Finds places; usable from one thread at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.forget()

    def forget(self) -> None:
        """Reads everything anew when it is next asked: what was remembered may not be so."""
        self._recent: dict[bytes, int] = {}
        self._runs: list[Run] = []
        self._last_pack = 0
        self._is_known = False

    def find(self, digests: Iterable[bytes]) -> dict[bytes, int]:
        """The places of those digests that have one."""
        found: dict[bytes, int] = {}
        wanted = set(digests)
        self._look()
        for _ in range(_MOST_LOOKS):
            for digest in wanted:
                place = self._recent.get(digest) or self._in_runs(digest, self._runs)
                if place:
                    found[digest] = place
            wanted -= found.keys()
            if not wanted or not self._look():
                break  # else the runs were merged while they were asked
        return found

    def _look(self) -> bool:
        """Takes note of what was stored since; whether the runs are others than before."""
        query = "SELECT id, level, last_pack FROM digest_runs WHERE level >= 0 ORDER BY id DESC"
        rows = self._database.rows(query, (), (int, int, int))
        runs = [Run(run_id, level) for run_id, level, _ in rows]
        is_other = runs != self._runs or not self._is_known
        if is_other:
            self._is_known = True
            self._recent = {}
            self._runs = runs
            self._last_pack = max((last_pack for _, _, last_pack in rows), default=0)
        query = "SELECT id, head FROM packs WHERE id > ? ORDER BY id"
        for pack, head in self._database.rows(query, (self._last_pack,), (int, bytes)):
            self._recent.update((digest, place_of(pack, slot)) for slot, digest in digests_in(head))
            self._last_pack = pack
        return is_other

    def _in_runs(self, digest: bytes, runs: Iterable[Run]) -> int:
        """The place of a digest that one of these runs holds; 0 where none does."""
        for run in runs:
            records = self._bucket(bucket_id(run.run_id, bucket_of(digest, run.bits)))
            at = position(records, digest)
            if at >= 0:
                return int.from_bytes(records[at + DIGEST_BYTES : at + RECORD_BYTES], "big")
        return 0

    def _bucket(self, row_id: int) -> bytes:
        row = self._database.row("SELECT body FROM digest_buckets WHERE id = ?", (row_id,), (bytes,))
        records: bytes = row[0] if row else b""
        return records


def records_in(buckets: Iterable[bytes]) -> Iterator[bytes]:
    """The records of buckets, one by one."""
    for body in buckets:
        for at in range(0, len(body), RECORD_BYTES):
            yield body[at : at + RECORD_BYTES]
