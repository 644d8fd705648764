"""What a dead process left in the spool: claimed by one at a time, read in order, deleted when it is delivered.

Invariant: who holds a `Leftover` is the only one who does, because the file is locked; every record that its checksums vouch
for is given out, whatever stands between. Called by the courier. The format is that of `spool`.
"""

import contextlib
import fcntl
import os
import re
import stat
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

from trajectory.emitter import put_count
from trajectory.emitter.identity import ID_BYTES, Identity
from trajectory.emitter.spool import (
    HEAD_BYTES,
    MAGIC,
    MARK,
    MAX_SEQ,
    RECORD,
    SOURCE,
    STATUS,
    SUFFIX,
    UNREADY,
    facts_of,
    head_of,
)
from trajectory.protocol import frames

DAMAGED_SUFFIX = ".damaged"
MAX_SOURCE_BYTES = 1024 * 1024
QUIET_S = 3.0  # after the last sign of life: by then its collector has read what was on the wire
UNREADY_S = 60.0
KEPT_DAMAGED = 4  # files, for whoever wants to know what happened
_SEARCH_BYTES = 64 * 1024
_NAME = re.compile(rf"([0-9a-f]{{{2 * ID_BYTES}}})-([0-9a-f]{{{2 * ID_BYTES}}})\{SUFFIX}")


class Leftover:
    """A locked spool file: whose it is, and its records."""

    def __init__(self, path: Path, file: int) -> None:
        """`file` is open and locked. Raises OSError where it cannot be read."""
        self.path = path
        self._file = file
        self._size_bytes = os.fstat(file).st_size
        self.is_damaged = False
        head = os.pread(file, HEAD_BYTES, 0)
        self.base_seq, self.known_seq = self._status_in(head)
        counted_seq = put_count.known_seq(path)
        if counted_seq is not None:  # as of the end, where the status is as of some instant before
            self.known_seq = max(self.base_seq, counted_seq)
        self.identity, self.endpoint, self._start = self._source_in(head)
        _claimed.add(self)

    def records(self) -> Iterator[tuple[int, list[bytes]]]:
        """The records whose checksums are right, as (first_seq, packed facts), in the order of the file. Raises OSError."""
        at = self._start
        while at + RECORD.size <= self._size_bytes:
            head = head_of(os.pread(self._file, RECORD.size, at))
            if head is None:
                self.is_damaged = True
                at = self._next_mark(at + 1)
                continue
            body_at = at + RECORD.size
            if body_at + head.length_bytes > self._size_bytes:
                return  # cut off while it was written
            at = body_at + head.length_bytes
            facts = self._facts_at(body_at, head.length_bytes, head.body_crc)
            if facts is not None:
                yield head.first_seq, facts

    def finish(self) -> None:
        """All of it is delivered: the file is deleted; a damaged one is kept beside, under another name."""
        put_count.forget(self.path)
        with contextlib.suppress(OSError):
            if self.is_damaged:
                self.path.rename(self.path.with_suffix(DAMAGED_SUFFIX))
                _thin_out(self.path.parent)
            else:
                self.path.unlink()

    def let_go(self) -> None:
        """Gives up the claim; what was not finished is there for the next one."""
        file, self._file = self._file, -1
        _claimed.discard(self)
        if file >= 0:
            os.close(file)

    def _facts_at(self, at: int, length_bytes: int, body_crc: int) -> list[bytes] | None:
        facts = None
        if length_bytes <= frames.MAX_FRAME_BYTES:
            facts = facts_of(os.pread(self._file, length_bytes, at), body_crc)
        self.is_damaged = self.is_damaged or facts is None
        return facts

    def _next_mark(self, at: int) -> int:
        while at < self._size_bytes:
            found = os.pread(self._file, _SEARCH_BYTES, at).find(MARK)
            if found >= 0:
                return at + found
            at += _SEARCH_BYTES - len(MARK) + 1
        return self._size_bytes

    def _status_in(self, head: bytes) -> tuple[int, int]:
        raw = head[len(MAGIC) : len(MAGIC) + STATUS.size]
        if len(raw) == STATUS.size:
            base_seq, known_seq, crc = STATUS.unpack(raw)
            if crc == crc32(raw[:-4]) and base_seq <= known_seq < MAX_SEQ:
                return base_seq, known_seq
        self.is_damaged = True
        return 0, 0

    def _source_in(self, head: bytes) -> tuple[Identity, str, int]:
        """Whose facts these are, for which endpoint, and where they begin. A damaged head leaves what the name says."""
        if len(head) == HEAD_BYTES and head.startswith(MAGIC):
            length_bytes, crc = SOURCE.unpack(head[-SOURCE.size :])
            raw = os.pread(self._file, min(length_bytes, MAX_SOURCE_BYTES), HEAD_BYTES)
            known = _source_of(raw) if crc32(raw) == crc else None
            if known is not None:
                return *known, HEAD_BYTES + length_bytes
        self.is_damaged = True
        emitter_id, _, boot_id = self.path.stem.partition("-")
        return Identity(bytes.fromhex(emitter_id), bytes.fromhex(boot_id), {}), "", len(MAGIC)


def claimed(path: Path) -> Leftover | None:
    """The file, if its process is gone and nobody else is at it; None otherwise. Never raises."""
    try:
        file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        there, mine = path.lstat(), os.fstat(file)
        is_same = (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)  # else another one delivered it just now
        if is_same and stat.S_ISREG(mine.st_mode) and mine.st_uid == os.geteuid():
            return Leftover(path, file)
    except OSError:
        pass
    os.close(file)
    return None


def names_in(directory: Path) -> list[Path]:
    """The spool files of a directory, oldest first; none where there is no directory. Never raises."""
    found: list[tuple[int, Path]] = []
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if _NAME.fullmatch(entry.name):
                    found.append((entry.stat(follow_symlinks=False).st_mtime_ns, Path(entry.path)))
                elif entry.name.endswith(UNREADY) and is_quiet(Path(entry.path), UNREADY_S):
                    Path(entry.path).unlink()  # its process died between two system calls
    return [path for _, path in sorted(found)]


def is_quiet(path: Path, quiet_s: float) -> bool:
    """Whether nothing was written to a file for so long. A clock that was set back does not hide it for good."""
    try:
        return abs(time.time() - path.stat().st_mtime) >= quiet_s
    except OSError:
        return False


def _thin_out(directory: Path) -> None:
    """Deletes all but the latest damaged files: what could be read of them is delivered, and they take room in the spool."""
    damaged = sorted(directory.glob(f"*{DAMAGED_SUFFIX}"), key=lambda path: path.stat().st_mtime_ns)
    for path in damaged[:-KEPT_DAMAGED]:
        path.unlink()


def _source_of(raw: bytes) -> tuple[Identity, str] | None:
    try:
        emitter_id, boot_id, endpoint, resource = frames.unpack(raw)
    except (ValueError, TypeError):
        return None
    ids: tuple[Any, ...] = (emitter_id, boot_id)
    if all(type(one) is bytes and len(one) == ID_BYTES for one in ids) and isinstance(resource, dict):
        return Identity(emitter_id, boot_id, resource), str(endpoint)
    return None


_claimed: "weakref.WeakSet[Leftover]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for left in list(_claimed):
        left.let_go()


os.register_at_fork(after_in_child=_after_fork_in_child)
