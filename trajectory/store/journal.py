"""Frames as they came from the wire, on disk, until they are in the store: what an acknowledgement rests on.

Invariant: what `append` returned from is read back in its order by whoever opens the directory next; a record that was cut off
or altered is known by its checksum, and its neighbours stay readable. A kill of the process loses nothing that was appended; a
power cut may, as with the store's own log. The intake writes; whoever settles reads, and deletes what is settled.

    segment   magic 8 | record ...            files of one directory beside the store, numbered upwards, 0600
    record    mark 4 | length 4 | crc32 4 | received_at_ns 8 | frame      the checksum is over all that stands behind it
"""

import contextlib
import fcntl
import os
import stat
import struct
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from trajectory.errors import StoreError

MAGIC = b"TRJJRN\x01\n"
MARK = b"\xf1TjJ"
SEGMENT_BYTES = 16 * 1024 * 1024  # beyond it the next one begins, so that what is settled can go
SUFFIX = ".frames"
_LINE = "line-"
_MAX_FRAME_BYTES = 64 * 1024 * 1024
LOCK_S = 5.0
_HEAD = struct.Struct(">4sIIQ")
_CHECKED_AT = 12
_CHUNK_BYTES = 1024 * 1024
_AGAIN_S = 0.01


class Position(NamedTuple):
    """How far a journal goes, or was read: behind a record of a segment. Later ones are greater."""

    segment: int = 0
    offset: int = 0


class Record(NamedTuple):
    """One frame, when it came (UTC nanoseconds), and the positions before and behind it."""

    frame: bytes
    received_at_ns: int
    start: Position
    end: Position


def journal_of(store: Path) -> Path:
    """The directory of a store's journal: beside it."""
    return store.with_name(f"{store.name}-intake")


def line_of(journal: Path, number: int) -> Path:
    """The socket on which the two processes of a collector talk to each other; each intake that it begins has another."""
    return journal / f"{_LINE}{number}"


def prepare(directory: Path) -> None:
    """Makes the directory, for its owner alone. Raises StoreError where it cannot be made, or is somebody else's."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        there = directory.lstat()
        if stat.S_ISDIR(there.st_mode) and there.st_uid == os.geteuid():
            if there.st_mode & 0o077:
                directory.chmod(0o700)
            return
    except OSError as fault:
        raise _store_error(directory, fault) from None
    raise StoreError(f"{directory} is not this user's own directory: name a --store where nobody else writes")


class Journal:
    """Appends frames, for one process at a time, which `locked` sees to. `end` is the position behind the last one."""

    def __init__(self, directory: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Segments that are there stay as they are: a new one follows them. Raises StoreError where nothing can be made."""
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._file = -1
        prepare(directory)
        try:
            self.end = Position(max(_segments(directory), default=0) + 1, 0)
        except OSError as fault:
            raise _store_error(directory, fault) from None

    @property
    def segment(self) -> int:
        """The segment that the next frames go to."""
        return self.end.segment + (self.end.offset >= self._segment_bytes)

    def append(self, frames: Sequence[bytes], received_at_ns: int) -> None:
        """Appends frames, all or none of them. Raises StoreError: the disk is full, or read-only."""
        try:
            if self.segment != self.end.segment:
                self.close()
                self.end = Position(self.segment, 0)
            if self._file < 0:
                self._begin()
            self._write(b"".join([part for frame in frames for part in _record(frame, received_at_ns)]))
        except OSError as fault:
            with contextlib.suppress(OSError):
                if self._file >= 0:
                    os.ftruncate(self._file, self.end.offset)
            raise _store_error(self._directory, fault) from None

    def close(self) -> None:
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def _begin(self) -> None:
        path = _path(self._directory, self.end.segment)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            self._write(MAGIC)
        except OSError:
            self.close()
            path.unlink(missing_ok=True)
            raise

    def _write(self, data: bytes) -> None:
        at, view = self.end.offset, memoryview(data)
        while view:
            written = os.pwrite(self._file, view, at)
            view, at = view[written:], at + written
        self.end = Position(self.end.segment, at)


class JournalReader:
    """Reads a journal; `position` is what was settled of it. One thread's own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._file = -1
        self._opened = 0  # the segment that `_file` is
        self.position = Position()
        self.damaged_count = 0  # places at which a record was expected and none was found

    def read(self, after: Position = Position(), until: Position | None = None) -> list[Record]:  # noqa: B008
        """The records behind a position, about a megabyte of them; empty at the end. Raises StoreError.

        `until` is where whoever writes has come to; None where nobody writes: then what was cut off at the end is none.
        """
        at = max(after, self.position)
        try:
            while True:
                if at.segment and self._open(at.segment):
                    limit = until.offset if until is not None and until.segment == at.segment else self._size()
                    records, after = self._records(at, limit)
                    if records:
                        return records
                    if after > at:
                        at = after
                        continue
                later = min((n for n in _segments(self.directory) if n > at.segment), default=0)
                if not later or (until is not None and later > until.segment):
                    return []
                at = Position(later, len(MAGIC))
        except OSError as fault:
            raise _store_error(self.directory, fault) from None

    def again(self, start: Position, end: Position) -> Record | None:
        """A record that was read before; None where the disk does not give it back as it was. Raises StoreError."""
        try:
            raw = os.pread(self._file, end.offset - start.offset, start.offset) if self._open(start.segment) else b""
        except OSError as fault:
            raise _store_error(self.directory, fault) from None
        if len(raw) < _HEAD.size or _length_at(raw, 0) != len(raw):
            self.damaged_count += 1
            return None
        return Record(raw[_HEAD.size :], _HEAD.unpack_from(raw)[3], start, end)

    def settled(self, position: Position) -> None:
        """Everything before the position is in the store: segments that hold nothing else are deleted."""
        before, self.position = self.position, position
        for number in _segments(self.directory) if position.segment != before.segment else ():
            if number < position.segment:
                _path(self.directory, number).unlink(missing_ok=True)

    def waiting_bytes(self) -> int:
        """How much is there that was not settled."""
        waiting = 0
        for number in _segments(self.directory):
            with contextlib.suppress(OSError):
                waiting += _path(self.directory, number).stat().st_size
        return max(0, waiting - self.position.offset)

    def finish(self) -> None:
        """Nothing is left to settle, and nobody writes: the journal goes."""
        self.close()
        with contextlib.suppress(OSError):
            for line in self.directory.glob(f"{_LINE}*"):  # of a collector that was killed
                line.unlink(missing_ok=True)
            for number in _segments(self.directory):
                _path(self.directory, number).unlink(missing_ok=True)
            self.directory.rmdir()

    def close(self) -> None:
        file, self._file, self._opened = self._file, -1, 0
        if file >= 0:
            os.close(file)

    def _open(self, segment: int) -> bool:
        if self._opened != segment:
            self.close()
            try:
                self._file = os.open(_path(self.directory, segment), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except FileNotFoundError:
                return False
            self._opened = segment
        return True

    def _size(self) -> int:
        return os.fstat(self._file).st_size

    def _records(self, at: Position, limit: int) -> tuple[list[Record], Position]:
        """The records of one chunk; where there are none, the position from which to look on."""
        start = max(at.offset, len(MAGIC))
        raw = os.pread(self._file, min(_CHUNK_BYTES, max(0, limit - start)), start)
        if len(raw) >= _HEAD.size and raw.startswith(MARK):
            first_bytes = _HEAD.size + _HEAD.unpack_from(raw)[1]
            if len(raw) < first_bytes <= min(limit - start, _MAX_FRAME_BYTES):  # larger than a chunk
                raw = os.pread(self._file, first_bytes, start)
        records: list[Record] = []
        place = 0
        while place + _HEAD.size <= len(raw):
            record_bytes = _length_at(raw, place)
            if record_bytes:
                frame = raw[place + _HEAD.size : place + record_bytes]
                received_at_ns = _HEAD.unpack_from(raw, place)[3]
                begins, place = Position(at.segment, start + place), place + record_bytes
                records.append(Record(frame, received_at_ns, begins, Position(at.segment, start + place)))
                continue
            if place and start + len(raw) < limit:
                break  # perhaps it only does not fit into this chunk: it is read again, as the first of the next
            found = raw.find(MARK, place + 1)
            if found < 0:
                if start + len(raw) < limit:
                    self.damaged_count += 1
                    return records, Position(at.segment, start + max(len(raw) - len(MARK), 1))
                break  # the end, perhaps cut off
            self.damaged_count += 1
            place = found
        return records, Position(at.segment, start + place) if place else at


@contextlib.contextmanager
def locked(directory: Path, patience_s: float = LOCK_S) -> Iterator[None]:
    """While it lasts, nobody else writes the journal. Raises StoreError where somebody does and goes on doing so."""
    prepare(directory)
    try:
        file = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as fault:
        raise _store_error(directory, fault) from None
    try:
        deadline_s = time.monotonic() + patience_s
        while not _is_locked(file):
            if time.monotonic() > deadline_s:
                raise StoreError(f"{directory} is still written by the intake of another collector: stop that one")
            time.sleep(_AGAIN_S)
        yield
    finally:
        os.close(file)


def _is_locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _record(frame: bytes, received_at_ns: int) -> tuple[bytes, bytes]:
    at = received_at_ns.to_bytes(8, "big")
    return b"".join((MARK, len(frame).to_bytes(4, "big"), crc32(frame, crc32(at)).to_bytes(4, "big"), at)), frame


def _length_at(raw: bytes, place: int) -> int:
    """The bytes of the record that stands at a place, with its head; 0 where none does that is whole."""
    mark, length, checksum, _ = _HEAD.unpack_from(raw, place)
    end = place + _HEAD.size + length
    if mark != MARK or end > len(raw) or crc32(memoryview(raw)[place + _CHECKED_AT : end]) != checksum:
        return 0
    return int(end - place)


def _path(directory: Path, segment: int) -> Path:
    return directory / f"{segment:08}{SUFFIX}"


def _segments(directory: Path) -> list[int]:
    """The numbers of the segments that are there, in order; none where there is no directory."""
    try:
        names = os.listdir(directory)  # noqa: PTH208
    except FileNotFoundError:
        return []
    stems = (name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX))
    return sorted(int(stem) for stem in stems if stem.isdecimal())


def _store_error(directory: Path, fault: OSError) -> StoreError:
    return StoreError(f"{directory} cannot be used, {fault.strerror}: free some space, or check its permissions")
