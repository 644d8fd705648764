"""Whose turn it is: the journal's frames by source in turns, so that what one emitter floods in does not hide the others' news.

Invariant: each source's frames come in their order, each once; the journal counts as settled up to the first frame that is not,
so a crash repeats frames and skips none. Owned by the desk.
"""

from collections import OrderedDict, deque

from trajectory.errors import WireError
from trajectory.protocol.codec import ByeFrame, FactsFrame, HelloFrame, read_frame
from trajectory.store.journal import JournalReader, Position, Record

MAX_WAITING = 16_384  # frames that are known and wait; those behind them wait for that

_Key = tuple[bytes, bytes]
_Place = tuple[Position, Position]


class Turns:
    """The frames of a journal that are not settled."""

    def __init__(self, journal: JournalReader) -> None:
        self._journal = journal
        self._looked = Position()
        self._waiting: OrderedDict[_Key, deque[_Place]] = OrderedDict()  # whose turn it is next stands first
        self._unsettled: dict[_Place, None] = {}  # in the order of the journal
        self._taken: list[tuple[_Key, _Place]] = []
        self._read: dict[_Place, Record] = {}  # of those that wait the last that were looked at: few are read twice

    def __len__(self) -> int:
        return len(self._unsettled)

    def look(self, until: Position | None) -> None:
        """Learns of more frames, if fewer than MAX_WAITING wait. Raises StoreError."""
        if len(self._unsettled) >= MAX_WAITING:
            return
        records = self._journal.read(self._looked, until)
        for record in records:
            place = (record.start, record.end)
            self._unsettled[place] = None
            self._waiting.setdefault(_key_of(record.frame), deque()).append(place)
        if records:
            self._looked = records[-1].end
            self._read = {(record.start, record.end): record for record in records}

    def take(self, most_count: int) -> list[Record]:
        """Up to so many frames, one of each source that has any before a second of any. Raises StoreError."""
        taken: list[Record] = []
        while self._waiting and len(self._taken) < most_count:
            key, places = next(iter(self._waiting.items()))
            record = self._read.get(places[0]) or self._journal.again(*places[0])
            self._taken.append((key, places.popleft()))
            if (
                record is not None
            ):  # else its disk has damaged it meanwhile: the next frame of its source shows the hole
                taken.append(record)
            if places:
                self._waiting.move_to_end(key)
            else:
                del self._waiting[key]
        return taken

    def settled(self) -> None:
        """What was taken is in the store."""
        for _, place in self._taken:
            del self._unsettled[place]
        self._taken = []
        first = next(iter(self._unsettled), None)
        self._journal.settled(first[0] if first is not None else self._looked)

    def put_back(self) -> None:
        """What was taken is not in the store, and is given again."""
        for key, place in reversed(self._taken):
            self._waiting.setdefault(key, deque()).appendleft(place)
        self._taken = []


def _key_of(frame: bytes) -> _Key:
    """The source that a frame is of; one that cannot be read is nobody's."""
    try:
        read = read_frame(frame)
    except WireError:
        return b"", b""
    return (read.emitter_id, read.boot_id) if isinstance(read, (FactsFrame, HelloFrame, ByeFrame)) else (b"", b"")
