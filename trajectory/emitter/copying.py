"""What goes over the wire, on disk too: a file of our own JSONL for each process, for whoever asked for it.

Invariant: the file is whole after every write: each is a document of its own, header to end, appended by one call, and one that
does not fit is taken back and counted. Nothing here raises. The sender's thread alone calls it.
"""

import contextlib
import fcntl
import os
import stat
from pathlib import Path

from trajectory.dialects.jsonl import write_jsonl
from trajectory.emitter.identity import Identity
from trajectory.emitter.misuse import report
from trajectory.errors import WireError
from trajectory.model.fact import Batch, Fact, Source
from trajectory.protocol import codec, frames

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class Copy:
    """Appends facts to the file at `path`, where `%p` is the process's id; `limit_bytes` 0: it is never turned.

    Where another process has the file, this one's is beside it, with its id behind the name. One that is full is turned: it
    becomes `path.1`, in place of the one before.
    """

    def __init__(self, path: str, limit_bytes: int, identity: Identity) -> None:
        self.path = Path(path.replace("%p", str(os.getpid())))
        self._limit_bytes = limit_bytes
        self._source = Source(identity.emitter_id, identity.boot_id, identity.resource)
        self._file = -1
        self._size_bytes = 0
        self._next_seq = 0
        self._facts: list[Fact] = []

    def add(self, packed: bytes, count: int) -> None:
        """Notes so many facts, packed one behind the other."""
        with contextlib.suppress(WireError, ValueError):  # no collector would read it either
            self._facts += [codec.decode_fact(fact) for fact in frames.facts_in(packed, count)]

    def write(self) -> bool:
        """Appends what was noted. True where the next facts begin a new file, and so need their bodies anew."""
        facts, self._facts = self._facts, []
        if not facts:
            return False
        document = b"".join(write_jsonl([Batch(self._source, self._next_seq, facts)]))
        self._next_seq += len(facts)
        try:
            if self._file < 0:
                self._open()
            self._append(document)
            return bool(self._limit_bytes) and self._size_bytes >= self._limit_bytes and self._turn()
        except OSError as fault:
            report("jsonl", "trajectory: %s cannot be written: %s; it lacks facts", self.path, fault.strerror or fault)
            return False

    def close(self) -> None:
        self.write()
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def _open(self) -> None:
        file = _locked(self.path)
        if file < 0:
            self.path = self.path.with_name(f"{self.path.name}.{os.getpid()}")
            file = _locked(self.path)
        if file < 0:
            raise OSError(0, "another process writes it")
        self._file, self._size_bytes = file, os.fstat(file).st_size

    def _append(self, document: bytes) -> None:
        try:
            written = os.write(self._file, document)
            while written < len(document):  # a signal, or almost no room
                written += os.write(self._file, document[written:])
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._size_bytes)
            raise
        self._size_bytes += len(document)

    def _turn(self) -> bool:
        self.path.replace(self.path.with_name(f"{self.path.name}.1"))
        os.close(self._file)
        self._file = -1
        return True


def _locked(path: Path) -> int:
    """The file, opened for this process alone; -1 where another has it. Raises OSError: a link, no file of this user."""
    file = os.open(path, _FLAGS, 0o600)
    try:
        there = os.fstat(file)
        if not stat.S_ISREG(there.st_mode) or there.st_uid != os.geteuid():
            raise OSError(0, "it is no file of this user")
        if there.st_mode & 0o077:
            os.fchmod(file, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return -1
    except OSError:
        os.close(file)
        raise
    return file
