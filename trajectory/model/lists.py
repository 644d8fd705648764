"""Lists of digests that extend earlier lists, so that a conversation costs what was said and not its square.

A model call holds every message of its conversation so far. Naming each of them at each call costs 16 bytes a message a call;
a list instead names the list that it extends and adds what is new. A list is a payload like any other: its body is the digest
of the list that it extends (zeros: none), then the digests that it adds. Among a slot's contents it stands as one entry, its
digest behind a mark, so that 17 bytes are a list and 16 a body.

Invariant: `expand([reference], payload)` gives the digests that `Lists.entry` was given. Written by the dialects, read by
whoever folds, erases or exports. Standard library only, so that an emitter can write them too.
"""

import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

from trajectory.model.content import DIGEST_BYTES, digest
from trajectory.model.hashing import blake2b

LIST = "application/vnd.trajectory.list"
MAX_DIGESTS = 1 << 16  # of one expansion: small lists that name large ones would fill the memory
SHORTEST = 4  # fewer digests are named one by one
_NEAR = 8  # digests from the end that are tried first
_MARK = b"\x01"
_NONE = bytes(DIGEST_BYTES)

Payload = Callable[[bytes], tuple[str, bytes] | None]


def list_of(entry: bytes) -> bytes | None:
    """The digest of the list that an entry refers to; None where the entry is a body's own digest."""
    return entry[1:] if len(entry) == DIGEST_BYTES + 1 and entry[:1] == _MARK else None


def read(body: bytes) -> tuple[bytes, list[bytes]]:
    """A list's body as the digest of the list that it extends (empty: none) and the digests that it adds."""
    parts = [body[at : at + DIGEST_BYTES] for at in range(0, len(body) - len(body) % DIGEST_BYTES, DIGEST_BYTES)]
    base = parts[0] if parts and parts[0] != _NONE else b""
    return base, parts[1:]


def write(base: bytes, added: Iterable[bytes]) -> bytes:
    """The body of a list that extends `base` (empty: none)."""
    return (base or _NONE) + b"".join(added)


def expand(entries: Sequence[bytes], payload: Payload) -> list[bytes]:
    """The bodies' digests that entries name, oldest first. A list that is not at hand hides itself and what it extends; beyond
    MAX_DIGESTS nothing is expanded."""
    digests: list[bytes] = []
    for entry in entries:
        if (room := MAX_DIGESTS - len(digests)) <= 0:
            break
        listed = list_of(entry)
        chain = [] if listed is None else _chain(listed, payload, room)
        digests += [entry] if listed is None else [d for _, added in reversed(chain) for d in added][-room:]
    return digests


def newest(entries: Sequence[bytes], payload: Payload, count: int) -> list[bytes]:
    """The last `count` bodies' digests that entries name, newest first: a list is walked from its end, and no further."""
    digests: list[bytes] = []
    for entry in reversed(entries):
        listed = list_of(entry)
        if listed is None:
            digests.append(entry)
        while listed and len(digests) < count:
            found = payload(listed)
            if found is None or found[0] != LIST:
                break
            listed, added = read(found[1])
            digests += reversed(added)
        if len(digests) >= count:
            break
    return digests[:count]


def named(entries: Iterable[bytes], payload: Payload) -> set[bytes]:
    """Every payload that entries need: bodies, lists, and the lists that these extend."""
    needed: set[bytes] = set()
    for entry in entries:
        listed = list_of(entry)
        if listed is None:
            needed.add(entry)
        elif listed not in needed:
            for address, added in _chain(listed, payload):
                needed.add(address)
                needed.update(added)
    return needed


def _chain(listed: bytes, payload: Payload, most: int = sys.maxsize) -> list[tuple[bytes, list[bytes]]]:
    """A list and all that it extends, newest first, each with what it adds, until they add `most`. A digest of its own content
    cannot recur."""
    chain: list[tuple[bytes, list[bytes]]] = []
    count = 0
    while listed and count < most:
        found = payload(listed)
        if found is None or found[0] != LIST:
            break
        base, added = read(found[1])
        chain.append((listed, added))
        count += max(len(added), 1)
        listed = base
    return chain


class Lists:
    """Remembers lists that were written, to extend them. One thread at a time."""

    def __init__(self, limit: int = 8192) -> None:
        self._limit = limit
        self._known: OrderedDict[bytes, bytes] = OrderedDict()  # a digest over the digests → the list's own

    def entry(self, digests: Sequence[bytes]) -> tuple[bytes, bytes]:
        """The entry that stands for these digests, and the body of the list to store under it; empty where it is known."""
        whole = b"".join(digests)
        at, base = self._longest(digests, whole)
        if at == len(digests):
            return _MARK + base, b""
        body = write(base, digests[at:])
        address = digest(LIST, body)
        self._known[_key(whole)] = address
        if len(self._known) > self._limit:
            self._known.popitem(last=False)
        return _MARK + address, body

    def clear(self) -> None:
        """Lists begin anew: whoever reads now may not have the earlier ones."""
        self._known.clear()

    def _longest(self, digests: Sequence[bytes], whole: bytes) -> tuple[int, bytes]:
        """How many of the digests the longest known list has that they extend, and its digest; 0 where there is none."""
        end = len(whole)
        for at in range(len(digests), max(0, len(digests) - _NEAR), -1):  # a conversation grows by few messages a call
            key = _key(whole[:end])
            if key in self._known:
                return at, self._touched(key)
            end -= len(digests[at - 1])
        running, at, longest = blake2b(digest_size=DIGEST_BYTES), 0, b""
        for n, one in enumerate(digests[: max(0, len(digests) - _NEAR)], 1):
            running.update(one)
            if (key := running.digest()) in self._known:
                at, longest = n, key
        return at, self._touched(longest) if at else b""

    def _touched(self, key: bytes) -> bytes:
        self._known.move_to_end(key)
        return self._known[key]


def _key(digests: bytes) -> bytes:
    return blake2b(digests, digest_size=DIGEST_BYTES).digest()
