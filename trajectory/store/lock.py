"""One writer a store: an advisory lock on `<store>.lock`, which says who holds it.

Invariant: the kernel frees the lock when its process ends, however it ends, so there are no stale locks; the file stays.
Taken by `sqlite.open_writer` before it looks at the store.
"""

import fcntl
import json
import os
from pathlib import Path
from weakref import WeakSet

from trajectory.errors import StoreError

_MAX_NOTE_BYTES = 4096
_MAX_ENDPOINT = 200
_held: "WeakSet[WriterLock]" = WeakSet()


class WriterLock:
    """Holds the right to write the store at `path` until `release`. Raises StoreError where another holds it."""

    def __init__(self, path: Path, endpoint: str = "") -> None:
        self._file = -1
        lock_path = Path(f"{path}.lock")
        try:
            self._file = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._note(json.dumps({"pid": os.getpid(), "endpoint": endpoint[:_MAX_ENDPOINT]}).encode())
            _held.add(self)
        except BlockingIOError:
            holder = self._holder()
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

    def _note(self, text: bytes) -> None:
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, text, 0)

    def _holder(self) -> str:
        """Who holds the lock, as its note says; the note may be half-written."""
        try:
            note = json.loads(os.pread(self._file, _MAX_NOTE_BYTES, 0))
            pid, endpoint = int(note["pid"]), str(note["endpoint"])
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"
        shown = "".join(character for character in endpoint if character.isprintable())
        return f"process {pid} (collector at {shown})" if shown else f"process {pid}"


def writer_of(path: Path) -> tuple[int, str] | None:
    """The process that writes the store at `path`, as (pid, endpoint); None where nobody does. (0, "") where it is not said."""
    try:
        with Path(f"{path}.lock").open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                note = json.loads(file.read(_MAX_NOTE_BYTES) or b"{}")
                return int(note.get("pid", 0)), str(note.get("endpoint", ""))
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return None


def _let_go() -> None:
    for lock in list(_held):
        lock.release()


# A forked child shares the lock and would hold it after its parent's death; its letting go leaves the parent's as it is.
os.register_at_fork(after_in_child=_let_go)
