"""One writer a store: an advisory lock on `<store>.lock`, which says who holds it, and where the store was served before.

Invariant: the kernel frees the lock when its process ends, however it ends, so there are no stale locks; the file stays.
Taken by `sqlite.open_writer` before it looks at the store; whoever wants to know the holder asks `writer_of`, and
`trajectory serve` asks `earlier_endpoints`.
"""

import fcntl
import json
import os
import time
from pathlib import Path
from typing import BinaryIO, NamedTuple
from weakref import WeakSet

from trajectory.errors import StoreError

_MAX_NOTE_BYTES = 128 * 1024
_MAX_ENDPOINT = 200
_MAX_EARLIER = 64
_QUESTIONS, _QUESTION_S = 100, 0.01  # a question holds the lock for microseconds
_held: "WeakSet[WriterLock]" = WeakSet()


class _Note(NamedTuple):
    """Who holds a lock; `earlier` are the endpoints at which the store was served before."""

    pid: int
    endpoint: str
    earlier: tuple[str, ...]


class WriterLock:
    """Holds the right to write the store at `path` until `release`. Raises StoreError where another holds it."""

    def __init__(self, path: Path, endpoint: str = "") -> None:
        self._file = -1
        lock_path = Path(f"{path}.lock")
        try:
            self._file = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            _take(self._file)
            self._note(endpoint[:_MAX_ENDPOINT])
            _held.add(self)
        except BlockingIOError:
            note = os.pread(self._file, _MAX_NOTE_BYTES, 0)
            holder = _named(note)
            self.release()
            raise StoreError(f"{path} is being written by {holder}: {_advice(note)}") from None
        except OSError as fault:
            self.release()
            raise StoreError(f"cannot lock {lock_path}: {fault.strerror}: check its directory") from None

    def _note(self, endpoint: str) -> None:
        """Says who holds the lock, and where the store was served before: one line, then whatever an older one leaves."""
        before = _said(os.pread(self._file, _MAX_NOTE_BYTES, 0))
        earlier = [place for place in before.earlier if place not in (before.endpoint, endpoint)]
        earlier += [before.endpoint] if before.endpoint and before.endpoint != endpoint else []
        self._write({"pid": os.getpid(), "endpoint": endpoint, "earlier": earlier[-_MAX_EARLIER:]})

    def served_at(self, endpoint: str) -> None:
        """Says the address that was really bound, in place of the one that was asked for."""
        before = _said(os.pread(self._file, _MAX_NOTE_BYTES, 0))
        if endpoint != before.endpoint:
            earlier = [place for place in before.earlier if place != endpoint]
            self._write({"pid": os.getpid(), "endpoint": endpoint[:_MAX_ENDPOINT], "earlier": earlier})

    def _write(self, note: dict[str, object]) -> None:
        line = json.dumps(note).encode() + b"\n"
        os.pwrite(self._file, line, 0)
        os.ftruncate(self._file, len(line))

    def release(self) -> None:
        """Lets the next writer in; a second call does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def earlier_endpoints(path: Path) -> list[str]:
    """Where the store at `path` was served before it is served where it is now, the latest last. Empty where nobody knows."""
    try:
        with _asked(path) as file:
            return list(_said(file.read(_MAX_NOTE_BYTES)).earlier)
    except OSError:
        return []


def writer_of(path: Path) -> tuple[int, str] | None:
    """The process that writes the store at `path`, as (pid, endpoint); None where nobody does. (0, "") where it is not said."""
    try:
        with _asked(path) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                note = _said(file.read(_MAX_NOTE_BYTES))
                return note.pid, note.endpoint
    except OSError:
        return None
    return None


def _asked(path: Path) -> BinaryIO:
    """The lock's file, for a question. Beside a stranger's store it may be a pipe, which is not waited for, or a link."""
    return os.fdopen(os.open(f"{path}.lock", os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")


def _take(file: int) -> None:
    """Takes the lock. Raises BlockingIOError where a writer has it; one who only asked `writer_of` is waited out."""
    for _ in range(_QUESTIONS):
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # refused by a writer's lock, not by a question's
            fcntl.flock(file, fcntl.LOCK_UN)
            time.sleep(_QUESTION_S)
    raise BlockingIOError


def _said(note: bytes) -> "_Note":
    """What a lock's note says, without control codes; nothing where it is half-written or strange."""
    try:
        said = json.loads(note.partition(b"\n")[0])
        pid, endpoint, earlier = int(said["pid"]), str(said["endpoint"]), said.get("earlier", [])
        places = [_printable(str(place)) for place in earlier if isinstance(place, str)][-_MAX_EARLIER:]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return _Note(0, "", ())
    return _Note(pid, _printable(endpoint), tuple(places))


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())


def _named(note: bytes) -> str:
    said = _said(note)
    if not said.pid:
        return "another process"
    return f"process {said.pid} (collector at {said.endpoint})" if said.endpoint else f"process {said.pid}"


def _advice(note: bytes) -> str:
    """What can be done about a writer."""
    said = _said(note)
    stop = f"stop it (kill {said.pid})" if said.pid else "stop it"
    look = f"look at it (trajectory watch --connect {said.endpoint}), " if said.endpoint else ""
    return f"{stop}, {look}or use another --store"


def _let_go() -> None:
    for lock in list(_held):
        lock.release()


# A forked child shares the lock and would hold it after its parent's death; its letting go leaves the parent's as it is.
os.register_at_fork(after_in_child=_let_go)
