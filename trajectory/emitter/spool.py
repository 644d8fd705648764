"""Facts on disk: one append-only file for each life of an emitter, for what nobody has acknowledged yet.

Invariant: a file that is locked belongs to a living process or to whoever is delivering it; a record that was cut off or
altered is recognised by its checksums, and its neighbours stay readable. The outbox writes and reads it; `leftover` reads what
a dead process left. A kill of the process loses nothing that was written; a power cut may, because nothing is synced.

    file    magic 8 | status 20 | length and crc32 of the source, 4 each | source: msgpack [emitter, boot, endpoint, resource]
    status  base_seq 8 | known_seq 8 | crc32 4       acknowledged below base_seq, put into the queue below known_seq
    record  mark 4 | first_seq 8 | length 4 | crc32 of the body 4 | crc32 of the fields before 4 | body: msgpack [fact, ...]
"""

import contextlib
import fcntl
import os
import struct
import time
import weakref
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from trajectory.emitter import put_count
from trajectory.emitter.identity import Identity
from trajectory.emitter.misuse import report
from trajectory.emitter.put_count import PutCount
from trajectory.protocol import frames

MAGIC = b"TRJSPL\x01\n"
MARK = b"\xf1TjR"
STATUS = struct.Struct(">QQI")
SOURCE = struct.Struct(">II")
RECORD = struct.Struct(">4sQIII")
HEAD_BYTES = len(MAGIC) + STATUS.size + SOURCE.size
SUFFIX = ".spool"
UNREADY = ".new"
MAX_SEQ = 1 << 62

LIMIT_BYTES = 256 * 1024 * 1024
MEASURE_BYTES = 1024 * 1024  # written between two looks at what others have in the directory
AGAIN_S = 1.0  # after a refusal, before the disk is asked again


def default_dir() -> Path:
    """`TRAJECTORY_SPOOL_DIR`, else `spool` in the user's data directory. Raises RuntimeError where nobody's home is known."""
    named = os.environ.get("TRAJECTORY_SPOOL_DIR")
    if named:
        return Path(named)
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "trajectory" / "spool"


class Place(NamedTuple):
    """Where a record stands in its file."""

    at: int
    size_bytes: int


def record_of(first_seq: int, facts: list[bytes]) -> bytes:
    """Consecutive packed facts as one record."""
    body = frames.pack(facts)
    head = RECORD.pack(MARK, first_seq, len(body), crc32(body), 0)[:-4]
    return head + crc32(head).to_bytes(4, "big") + body


class RecordHead(NamedTuple):
    first_seq: int
    length_bytes: int
    body_crc: int


def head_of(raw: bytes) -> RecordHead | None:
    """The fields before a record's body; None for bytes that are no such thing."""
    if len(raw) < RECORD.size or not raw.startswith(MARK):
        return None
    _, first_seq, length_bytes, body_crc, head_crc = RECORD.unpack_from(raw)
    is_whole = head_crc == crc32(raw[: RECORD.size - 4])
    return RecordHead(first_seq, length_bytes, body_crc) if is_whole and first_seq < MAX_SEQ else None


def facts_of(body: bytes, body_crc: int) -> list[bytes] | None:
    """The facts of a record's body; None for bytes that are altered."""
    if crc32(body) != body_crc:
        return None
    try:
        facts = frames.unpack(body)
    except ValueError:
        return None
    return facts if isinstance(facts, list) and facts and all(type(fact) is bytes for fact in facts) else None


class Spool:
    """The file of one life of one emitter, locked while it lives. No method raises; the sender's thread alone calls them."""

    def __init__(
        self,
        directory: Path,
        identity: Identity,
        endpoint: str,
        limit_bytes: int = LIMIT_BYTES,
        count: PutCount | None = None,
    ) -> None:
        self.path = directory / f"{identity.emitter_id.hex()}-{identity.boot_id.hex()}{SUFFIX}"
        self._endpoint = endpoint
        self._count = count
        self._source = _source(identity, endpoint)
        self._limit_bytes = limit_bytes
        self._file = -1
        self._start = self._end = 0
        self._others_bytes = 0  # what else is in the directory
        self._measured_end = 0
        self._status = (0, 0)
        self._again_s = 0.0
        _open.add(self)
        with contextlib.suppress(OSError):
            self._begin()  # so that a process which is killed leaves word of how far it had come

    def introduce(self, identity: Identity) -> None:
        """Says more of who emits than was known when the file was made. Before anything is written."""
        self._source = _source(identity, self._endpoint)
        before = self._file
        if before >= 0:
            with contextlib.suppress(OSError):
                self._begin()
                os.close(before)

    def write(self, first_seq: int, facts: list[bytes]) -> Place | None:
        """Appends facts; None where the disk takes none now: full, read-only, or the limit reached."""
        now_s = time.monotonic()
        if now_s < self._again_s:
            return None
        record = record_of(first_seq, facts)
        try:
            if self._file < 0:
                self._begin()
            if not self._has_room(len(record)):
                self._refuse(now_s, f"it holds its {self._limit_bytes} bytes")
                return None
            self._append(record)
        except OSError as fault:
            self._refuse(now_s, str(fault))
            return None
        self._end += len(record)
        return Place(self._end - len(record), len(record))

    def read(self, place: Place) -> list[bytes] | None:
        """What was written at a place; None where the disk does not give it back as it was."""
        try:
            raw = os.pread(self._file, place.size_bytes, place.at)
        except OSError:
            return None
        head = head_of(raw)
        return None if head is None else facts_of(raw[RECORD.size :], head.body_crc)

    def note(self, base_seq: int, known_seq: int) -> None:
        """Keeps how far the emitter had come, for whoever finds the file when the process is gone."""
        if (base_seq, known_seq) != self._status and self._file >= 0:
            self._status = (base_seq, known_seq)
            with contextlib.suppress(OSError):
                os.pwrite(self._file, status_of(base_seq, known_seq), len(MAGIC))

    def clear(self) -> None:
        """All that was written is acknowledged: the file is as at its beginning."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, self._start)
            self._end = self._measured_end = self._start

    def close(self, is_needed: bool) -> None:
        """Lets go of the file; deletes it unless something in it has yet to be delivered."""
        _open.discard(self)
        if self._file >= 0:
            put_count.forget(self.path)  # the status says the same now, and goes on saying it when memory is gone
            if not is_needed:
                with contextlib.suppress(OSError):
                    self.path.unlink()
            self.let_go()

    def let_go(self) -> None:
        """Closes the file, which stays."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def _begin(self) -> None:
        """Creates the file under another name first, because nobody may find it before it is locked and whole."""
        directory = self.path.parent
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        unready = self.path.with_suffix(UNREADY)
        file = os.open(unready, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        head = MAGIC + status_of(*self._status) + SOURCE.pack(len(self._source), crc32(self._source)) + self._source
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _write_all(file, head, 0)
            unready.rename(self.path)
        except OSError:
            os.close(file)
            unready.unlink(missing_ok=True)
            raise
        self._file = file
        self._start = self._end = self._measured_end = len(head)
        self._others_bytes = max(0, size_of(directory) - len(head))
        if self._count is not None:
            self._count.share(self.path)

    def _append(self, record: bytes) -> None:
        try:
            _write_all(self._file, record, self._end)
        except OSError:
            os.ftruncate(self._file, self._end)
            raise

    def _has_room(self, size_bytes: int) -> bool:
        if self._end - self._measured_end > MEASURE_BYTES or not self._fits(size_bytes):
            self._others_bytes = max(0, size_of(self.path.parent) - self._end)
            self._measured_end = self._end
        return self._fits(size_bytes)

    def _fits(self, size_bytes: int) -> bool:
        return self._others_bytes + self._end + size_bytes <= self._limit_bytes

    def _refuse(self, now_s: float, why: str) -> None:
        report("spool", "trajectory: the spool %s takes no facts: %s; they stay in memory", self.path.parent, why)
        self._again_s = now_s + AGAIN_S


def _source(identity: Identity, endpoint: str) -> bytes:
    return frames.pack((identity.emitter_id, identity.boot_id, endpoint, identity.resource))


def status_of(base_seq: int, known_seq: int) -> bytes:
    fields = STATUS.pack(base_seq, known_seq, 0)[:-4]
    return fields + crc32(fields).to_bytes(4, "big")


def size_of(directory: Path) -> int:
    """The bytes of all files in a directory. Raises OSError."""
    size_bytes = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # deleted meanwhile
                size_bytes += entry.stat(follow_symlinks=False).st_size
    return size_bytes


def _write_all(file: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, at)
        view, at = view[written:], at + written


_open: "weakref.WeakSet[Spool]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    # A lock lives as long as any copy of its descriptor: a child would keep its dead parent's file from being delivered.
    for spool in list(_open):
        spool.let_go()
    _open.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)
