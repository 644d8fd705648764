"""One writer a store: an advisory lock on `<store>.lock`, which says who holds it.

Invariant: the kernel frees the lock when its process ends, however it ends, so there are no stale locks; the file stays.
Taken by `sqlite.open_writer` before it looks at the store; whoever wants to know the holder asks `writer_of`.
"""

import fcntl
import json
import os
import time
from pathlib import Path
from weakref import WeakSet

from trajectory.errors import StoreError

_MAX_NOTE_BYTES = 4096
_MAX_ENDPOINT = 200
_QUESTIONS, _QUESTION_S = 100, 0.01  # a question holds the lock for microseconds
_held: "WeakSet[WriterLock]" = WeakSet()


class WriterLock:
    """Holds the right to write the store at `path` until `release`. Raises StoreError where another holds it."""

    def __init__(self, path: Path, endpoint: str = "") -> None:
        self._file = -1
        lock_path = Path(f"{path}.lock")
        try:
            self._file = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            _take(self._file)
            os.ftruncate(self._file, 0)
            note = json.dumps({"pid": os.getpid(), "endpoint": endpoint[:_MAX_ENDPOINT]})
            os.pwrite(self._file, note.encode(), 0)
            _held.add(self)
        except BlockingIOError:
            holder = _named(os.pread(self._file, _MAX_NOTE_BYTES, 0))
            self.release()
            raise StoreError(f"{path} is being written by {holder}: stop it, or use another --store") from None
        except OSError as fault:
            self.release()
            raise StoreError(f"cannot lock {lock_path}: {fault.strerror}: check its directory") from None

    def release(self) -> None:
        """Lets the next writer in; a second call does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def writer_of(path: Path) -> tuple[int, str] | None:
    """The process that writes the store at `path`, as (pid, endpoint); None where nobody does. (0, "") where it is not said."""
    try:
        with Path(f"{path}.lock").open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _noted(file.read(_MAX_NOTE_BYTES))
    except OSError:
        return None
    return None


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


def _noted(note: bytes) -> tuple[int, str]:
    """The process and the endpoint in a lock's note, without control codes; (0, "") where it is half-written or strange."""
    try:
        said = json.loads(note)
        pid, endpoint = int(said["pid"]), str(said["endpoint"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return 0, ""
    return pid, "".join(character for character in endpoint if character.isprintable())


def _named(note: bytes) -> str:
    pid, endpoint = _noted(note)
    if not pid:
        return "another process"
    return f"process {pid} (collector at {endpoint})" if endpoint else f"process {pid}"


def _let_go() -> None:
    for lock in list(_held):
        lock.release()


# A forked child shares the lock and would hold it after its parent's death; its letting go leaves the parent's as it is.
os.register_at_fork(after_in_child=_let_go)
