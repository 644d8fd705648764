"""Facts as msgpack: the last look at a fact before it travels, on the sender's thread.

Invariant: whatever is put in, one fact that a collector can read comes out: as it is, mended, or a gap of one in its place.
Called by the sender, and by the collector in memory so that tests see the same.
"""

from collections.abc import Callable
from typing import Any

import msgpack

from trajectory.emitter.misuse import report
from trajectory.emitter.plain import MAX_TEXT, has_text_keys, mended
from trajectory.protocol.frames import GAP, MAX_FRAME_BYTES, PAYLOAD

MAX_FACT_BYTES = MAX_FRAME_BYTES // 2


class Packing:
    """Packs the facts of one process. `now_ns` gives the time of a gap."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._packer = _packer()

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
