"""Facts as msgpack: the last look at a fact before it travels, on the sender's thread.

Invariant: whatever is put in, one fact that a collector can read comes out: as it is, mended, or a gap of one in its place.
Facts without a flaw are packed by one call for many. Called by the sender, and by the collector in memory so that tests see
the same.
"""

from collections.abc import Callable, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any

import msgpack

from trajectory.emitter.misuse import report
from trajectory.emitter.plain import MAX_TEXT, has_text_keys, mended
from trajectory.protocol.frames import GAP, MAX_FRAME_BYTES, PAYLOAD

MAX_FACT_BYTES = MAX_FRAME_BYTES // 2
MANY_COUNT = (
    4096  # facts; a process that has so many gets the faster packer, whose import costs as much as 10,000 of them
)
_ATTRIBUTES = itemgetter(-2)


class Packing:
    """Packs the facts of one process. `now_ns` gives the time of a gap."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._packer = _packer()
        self._pack_list: Callable[[Sequence[Any]], bytes] = self._packer.pack
        self._count = 0

    def pack(self, fact: tuple[Any, ...]) -> bytes:
        """One fact. What msgpack or a collector would refuse is said in words, and texts beyond their limit are cut."""
        try:
            packed: bytes = self._packer.pack(fact)
        except Exception:  # what a user's value raises while it is packed
            self._packer = _packer()
            return self._with_care(fact)
        if fact[0] == PAYLOAD:
            return packed if len(packed) <= MAX_FACT_BYTES else self._gap()
        if len(packed) > MAX_TEXT or not has_text_keys(fact):
            return self._with_care(fact)
        return packed

    def together(self, facts: Sequence[tuple[Any, ...]]) -> bytes | None:
        """Facts one behind the other, none of them a body; None where one of them needs a look of its own."""
        try:
            "".join(chain.from_iterable(map(_ATTRIBUTES, facts)))  # raises where a name is no text
            packed = self._pack_list(facts)
        except Exception:  # what a user's value raises while it is packed
            self._packer = _packer()
            self._pack_list = self._packer.pack
            return None
        if len(packed) > MAX_TEXT:
            return None  # one of the texts may be too long
        self._count += len(facts)
        if self._count > MANY_COUNT:
            self._count = -(1 << 62)
            self._pack_list = _fast_packer()
        return packed[1 if len(facts) < 16 else 3 :]  # without the header of the list

    def _with_care(self, fact: tuple[Any, ...]) -> bytes:
        try:
            packed: bytes = self._packer.pack(mended(fact))
        except Exception as fault:
            report("quarantined", "trajectory: a fact could not be packed and is counted as lost: %r", fault)
            self._packer = _packer()
            return self._gap()
        return packed if len(packed) <= MAX_FACT_BYTES else self._gap()

    def _gap(self) -> bytes:
        gap: bytes = self._packer.pack((GAP, self._now_ns(), 1, "quarantined"))
        return gap


def _packer() -> Any:
    return msgpack.Packer(use_bin_type=True, unicode_errors="replace")


def _fast_packer() -> Callable[[Sequence[Any]], bytes]:
    """The same bytes in a quarter of the time."""
    import msgspec

    return msgspec.msgpack.Encoder().encode
