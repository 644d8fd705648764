"""Which spans of which traces count already, so that a span that comes again, or late, counts once.

Invariant: bounded in spans; the trace that was not heard of for longest is forgotten first. Only those of the latest traces are
kept as sets, those of the others packed, at a tenth of the memory, since hardly one of them is heard of again. Owned by the
registry of series.
"""

from collections import OrderedDict
from collections.abc import Set

import msgspec

_UNPACKED_TRACES = 64
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[bytes]).decode


class CountedSpans:
    """Ids of spans by trace."""

    def __init__(self) -> None:
        self._latest: OrderedDict[bytes, set[bytes]] = OrderedDict()
        self._packed: OrderedDict[bytes, bytes] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def of(self, trace_id: bytes) -> Set[bytes]:
        """The ids of a trace's spans that count already."""
        latest = self._latest.get(trace_id)
        if latest is None:
            packed = self._packed.get(trace_id)
            return frozenset() if packed is None else frozenset(_unpack(packed))
        return latest

    def add(self, trace_id: bytes, span_ids: Set[bytes], limit: int) -> None:
        """Has more spans of a trace count; forgets other traces where there are more than `limit` in all."""
        if not span_ids:
            return
        known = self._latest.get(trace_id)
        if known is None:
            known = self._latest[trace_id] = set(_unpack(self._packed.pop(trace_id, _NONE)))
        self._latest.move_to_end(trace_id)
        self._count -= len(known)
        known |= span_ids
        self._count += len(known)
        while len(self._latest) > _UNPACKED_TRACES:
            other, ids = self._latest.popitem(last=False)
            self._packed[other] = _pack(sorted(ids))
        while self._count > limit and self._packed:
            self._count -= len(_unpack(self._packed.popitem(last=False)[1]))
        while self._count > limit and len(self._latest) > 1:
            self._count -= len(self._latest.popitem(last=False)[1])


_NONE = _pack([])
