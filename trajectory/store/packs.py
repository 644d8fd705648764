"""Bodies packed together: those of one append in few rows, each deflated as a whole, because small bodies deflate far better in
company.

Invariant: a body keeps its place (pack and slot) as long as it is stored; what is removed leaves an empty slot. The writer makes
packs, every reader opens them.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import msgspec

from trajectory.errors import StoreError
from trajectory.model.content import DIGEST_BYTES
from trajectory.model.fact import Payload
from trajectory.store.bodies import MAX_INFLATED_BYTES, expand, mended, read_struct, shrink, write_struct
from trajectory.store.database import Database

MAX_SLOTS = 256
_SLOT_BITS = 8
_FULL_BYTES = 48 * 1024  # a pack that reached it takes no more: to read one body is to inflate its whole pack
_HELD_BYTES = 4 * 1024 * 1024
_GONE = -1

Body = tuple[str, bytes]


class PackHead(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is in a pack, slot by slot: digests, sizes in bytes (-1: removed), and which of `kinds` is its media type."""

    digests: bytes
    sizes: list[int]
    kinds: list[str]
    kind_of: bytes


def place_of(pack: int, slot: int) -> int:
    """Where a body rests, as one number."""
    return pack << _SLOT_BITS | slot


def pack_of(place: int) -> int:
    return place >> _SLOT_BITS


def slot_of(place: int) -> int:
    return place & (MAX_SLOTS - 1)


@dataclass(frozen=True, slots=True)
class Pack:
    """An open pack: its head, and the bodies end to end."""

    head: PackHead
    plain: bytes

    def entries(self) -> Iterator[tuple[int, bytes, str, bytes]]:
        """(slot, digest, media type, body) of what is there. Raises StoreError where head and bodies do not fit."""
        head = self.head
        at = 0
        count = len(head.sizes)
        if len(head.digests) != count * DIGEST_BYTES or len(head.kind_of) != count:
            raise StoreError("the head of a pack is damaged: restore a copy of the store")
        for slot, size in enumerate(head.sizes):
            if size == _GONE:
                continue
            if size < 0 or at + size > len(self.plain) or head.kind_of[slot] >= len(head.kinds):
                raise StoreError("a pack is damaged, it holds less than its head says: restore a copy of the store")
            digest = head.digests[slot * DIGEST_BYTES : (slot + 1) * DIGEST_BYTES]
            yield slot, digest, head.kinds[head.kind_of[slot]], self.plain[at : at + size]
            at += size

    def without(self, slots: set[int]) -> "Pack":
        """The same with these slots empty."""
        sizes, digests = list(self.head.sizes), bytearray(self.head.digests)
        kept = [body for slot, _, _, body in self.entries() if slot not in slots]
        for slot in slots:
            sizes[slot] = _GONE
            digests[slot * DIGEST_BYTES : (slot + 1) * DIGEST_BYTES] = bytes(DIGEST_BYTES)
        return Pack(msgspec.structs.replace(self.head, sizes=sizes, digests=bytes(digests)), b"".join(kept))

    @property
    def body_count(self) -> int:
        return sum(size != _GONE for size in self.head.sizes)


def packed(payloads: Sequence[Payload]) -> Iterator[tuple[list[Payload], Pack]]:
    """Payloads in packs of a bounded size, with those that each holds, slot by slot."""
    taken: list[Payload] = []
    size_bytes = 0
    for payload in payloads:
        taken.append(payload)
        size_bytes += len(payload.body)
        if size_bytes >= _FULL_BYTES or len(taken) == MAX_SLOTS:
            yield taken, _pack(taken)
            taken, size_bytes = [], 0
    if taken:
        yield taken, _pack(taken)


def _pack(payloads: Sequence[Payload]) -> Pack:
    kinds: dict[str, int] = {}
    kind_of = bytes([kinds.setdefault(payload.media_type, len(kinds)) for payload in payloads])
    bodies = [payload.body for payload in payloads]
    head = PackHead(
        b"".join([payload.digest for payload in payloads]), list(map(len, bodies)), list(map(mended, kinds)), kind_of
    )
    return Pack(head, b"".join(bodies))


def columns(pack: Pack) -> tuple[int, bytes, int, bytes]:
    """A pack as the columns of its row: body_count, head, codec, body."""
    return pack.body_count, write_struct(pack.head), *shrink(pack.plain)


def opened(head: bytes, codec: int, body: bytes) -> Pack:
    """A pack from its row. Raises StoreError where it is damaged."""
    known = read_struct(head, PackHead)
    said_bytes = sum(size for size in known.sizes if size != _GONE)
    return Pack(known, expand(codec, body, min(max(said_bytes, 0), MAX_INFLATED_BYTES)))


def entries_in(head: bytes, codec: int, body: bytes) -> list[tuple[int, bytes, str, bytes]]:
    """The entries of a pack from its row. Raises StoreError where it is damaged."""
    return list(opened(head, codec, body).entries())


def digests_in(head: bytes) -> Iterator[tuple[int, bytes]]:
    """(slot, digest) of the bodies that a row's head names. Raises StoreError where it is damaged."""
    read = read_struct(head, PackHead)
    starts = accumulate([DIGEST_BYTES] * len(read.sizes), initial=0)
    for slot, (size, at) in enumerate(zip(read.sizes, starts, strict=False)):
        if size != _GONE:
            yield slot, read.digests[at : at + DIGEST_BYTES]


class OpenPacks:
    """A few packs, open, by digest: who asks for one body asks for its neighbours next. One thread at a time."""

    def __init__(self, database: Database, limit_bytes: int = _HELD_BYTES) -> None:
        self._database = database
        self._limit_bytes = limit_bytes
        self._held: OrderedDict[int, tuple[int, dict[bytes, Body]]] = OrderedDict()  # pack → size, bodies
        self._pack_of: dict[bytes, int] = {}
        self._held_bytes = 0

    def clear(self) -> None:
        """Forgets all: another may have removed bodies."""
        self._held.clear()
        self._pack_of.clear()
        self._held_bytes = 0

    def held(self, digest: bytes) -> Body | None:
        """A body out of the packs that are open."""
        pack = self._pack_of.get(digest)
        return self._held[pack][1][digest] if pack is not None else None

    def body(self, digest: bytes, place: int) -> Body | None:
        """The body at a place; None where it is there no more. Raises StoreError where its pack is damaged."""
        pack = pack_of(place)
        if pack not in self._held:
            found = self.read(pack)
            if found is None:
                return None
            bodies = {digest: (kind, body) for _, digest, kind, body in found.entries()}
            self._hold(pack, len(found.plain), bodies)
            return bodies.get(digest)
        self._held.move_to_end(pack)
        return self._held[pack][1].get(digest)

    def read(self, pack: int) -> Pack | None:
        """A pack out of the store. Raises StoreError where it is damaged."""
        query = "SELECT head, codec, body FROM packs WHERE id = ?"
        row = self._database.row(query, (pack,), (bytes, int, bytes))
        return opened(*row) if row else None

    def _hold(self, pack: int, size_bytes: int, bodies: dict[bytes, Body]) -> None:
        if size_bytes > self._limit_bytes:
            return
        self._held[pack] = size_bytes, bodies
        self._held_bytes += size_bytes
        self._pack_of.update(dict.fromkeys(bodies, pack))
        while self._held_bytes > self._limit_bytes:
            left, (left_bytes, left_bodies) = self._held.popitem(last=False)
            self._held_bytes -= left_bytes
            self._drop(left, left_bodies)

    def _drop(self, pack: int, digests: Iterable[bytes]) -> None:
        for digest in digests:
            if self._pack_of.get(digest) == pack:
                del self._pack_of[digest]
