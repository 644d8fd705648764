"""Frames of a journal as batches of facts: what of them is new, what cannot be read, what is missing.

Invariant: the batches of one source continue what the store has of it without holes or repetition, whatever was settled before
a crash; what is missing, or is no fact, is a gap at its place. Called by the collector's desk, and by who opens a store that
a killed collector left with a journal.
"""

from collections.abc import Callable

from trajectory.errors import WireError
from trajectory.model.fact import Batch, Fact, Gap, Source
from trajectory.protocol import codec
from trajectory.protocol.codec import ByeFrame, FactsFrame, HelloFrame
from trajectory.store.contract import Writer
from trajectory.store.journal import JournalReader, Record, locked

MAX_SOURCES = 8192

_Key = tuple[bytes, bytes]


class Settling:
    """Reads records in their order. `stored_seq` tells how far the store has a source; it may raise StoreError."""

    def __init__(self, stored_seq: Callable[[bytes, bytes], int]) -> None:
        self._stored_seq = stored_seq
        self._sources: dict[_Key, Source] = {}
        self._next_seqs: dict[_Key, int] = {}
        self._begins: dict[_Key, int] = {}  # from where on the journal has a source's facts
        self._read_seqs: dict[_Key, int] = {}  # and not stored yet
        self.unread: list[str] = []  # why facts could not be read, since `stored`

    def batches(self, record: Record) -> list[Batch]:
        """What a record brings that is new; nothing where it is no frame, which only a damaged journal can have."""
        try:
            frame = codec.read_frame(record.frame)
            if isinstance(frame, HelloFrame):
                self._greet(Source(frame.emitter_id, frame.boot_id, frame.resource), frame.next_seq)
            if isinstance(frame, ByeFrame):
                return self._end_of(frame, record.received_at_ns)
            return self._facts_of(frame, record.received_at_ns) if isinstance(frame, FactsFrame) else []
        except WireError as fault:
            self.unread.append(str(fault))
            return []

    def stored(self) -> None:
        """What was read is stored."""
        self._next_seqs.update(self._read_seqs)
        self.forget()

    def forget(self) -> None:
        """What was read since `stored` was called is not stored, and will be read again."""
        self._read_seqs, self.unread = {}, []

    def _facts_of(self, frame: FactsFrame, at_ns: int) -> list[Batch]:
        key = (frame.emitter_id, frame.boot_id)
        source = self._sources.get(key) or Source(*key)
        position = self._position(key)
        end_seq = frame.first_seq + frame.count
        self._read_seqs[key] = max(position, end_seq)
        if end_seq <= position:
            return []
        facts = self._facts(frame, at_ns)
        fresh = facts[max(0, position - frame.first_seq) :]
        batches = [Batch(source, end_seq - len(fresh), fresh)]
        lost_count = frame.first_seq - position if position or key in self._begins else 0
        if lost_count > 0 and not _says_so(facts[0], lost_count):
            batches.insert(0, Batch(source, frame.first_seq - 1, [Gap(at_ns, lost_count, "journal_damaged")]))
        return batches

    def _position(self, key: _Key) -> int:
        """How far a source is read or stored; where neither has anything of it, where the journal begins."""
        position = self._read_seqs.get(key, self._next_seqs.get(key, -1))
        return (self._stored_seq(*key) if position < 0 else position) or self._begins.get(key, 0)

    def _end_of(self, frame: ByeFrame, at_ns: int) -> list[Batch]:
        """What an emitter had said before its farewell, and is not there."""
        key = (frame.emitter_id, frame.boot_id)
        position = self._position(key)
        lost_count = frame.next_seq - position
        if not (position or key in self._begins) or lost_count <= 0:
            return []
        self._read_seqs[key] = frame.next_seq
        gap = Gap(at_ns, lost_count, "journal_damaged")
        return [Batch(self._sources.get(key) or Source(*key), frame.next_seq - 1, [gap])]

    def _facts(self, frame: FactsFrame, at_ns: int) -> list[Fact]:
        facts: list[Fact] = []
        for read in codec.read_facts(frame.facts):
            if isinstance(read, WireError):
                self.unread.append(str(read))
                read = Gap(at_ns, 1, "quarantined")
            facts.append(read)
        return facts

    def _greet(self, source: Source, held_seq: int) -> None:
        key = (source.emitter_id, source.boot_id)
        self._begins.setdefault(key, held_seq)
        self._sources.pop(key, None)
        self._sources[key] = source
        while len(self._sources) > MAX_SOURCES:  # the one that was greeted longest ago; the store knows it all the same
            gone = next(iter(self._sources))
            del self._sources[gone]
            self._next_seqs.pop(gone, None)
            self._begins.pop(gone, None)


def _says_so(fact: Fact, lost_count: int) -> bool:
    """Whether the intake itself says there that so many are missing before: it says it in their last place."""
    return isinstance(fact, Gap) and fact.reason == "sequence" and fact.count == lost_count + 1


def settle_left(writer: Writer, journal: JournalReader) -> int:
    """Stores what a killed collector left in its journal, which then goes; how many frames that were.

    Raises StoreError, also where its intake does not end within some seconds.
    """
    settling = Settling(writer.next_seq)
    count = 0
    with locked(journal.directory):
        while records := journal.read():
            writer.append([batch for record in records for batch in settling.batches(record)])
            settling.stored()
            journal.settled(records[-1].end)
            count += len(records)
        journal.finish()
    return count
