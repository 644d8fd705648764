"""How many facts a process has put, where a kill does not reach: two numbers in shared memory, beside its spool file.

Invariant: put_count + shift is the position behind the last fact that was put, so what a killed process had put and nobody
holds is known to the fact; off by the threads that were inside `put` at that instant, and no more. What waits in the queue counts
also where a processor would have dropped it; what sampling holds back until an error comes does not. The queue counts, the
sender settles, the spool shares and ends it, `leftover` reads it. Systems without /dev/shm know what the spool's status says.

    file    put_count 8 | shift 8 | path of the spool file     native integers; shift: positions given, less facts taken

The memory is no page of the spool file: a store into one kills the agent (SIGBUS) where the disk is full, broken or read-only.
"""

import contextlib
import os
import stat
import weakref
from pathlib import Path

MEMORY = Path("/dev/shm")
SIZE_BYTES = 16
MAX_BYTES = 8192  # with any path
MAX_COUNT = 1 << 62


class PutCount:
    """Counts what one queue was asked to take. In the process's own memory until it is shared.

    A put counts itself by `put_count.words[0] += 1`. Without a call in it, that is one step to all other threads and to signals'
    handlers, wherever the interpreter has a lock, and costs less than any call would; without the lock it may miss some.
    """

    __slots__ = ("__weakref__", "_taken_count", "is_shared", "words")

    def __init__(self) -> None:
        self.words = _private()
        self.is_shared = False
        self._taken_count = 0

    def take(self, count: int) -> None:
        """So many of the facts were taken, or told of as dropped. For the sender's thread alone, as the methods below."""
        self._taken_count += count

    def settle(self, numbered_count: int) -> None:
        """What was taken has become, or will become, so many positions."""
        self.words[1] = numbered_count - self._taken_count

    def share(self, spool: Path) -> None:
        """Goes on in memory that outlives the process. No put waits for it; where there is none, all stays as it is."""
        if self.is_shared or not MEMORY.is_mount():
            return
        with contextlib.suppress(OSError):
            _sweep()
            words = _shared(spool)
            words[1] = self.words[1]
            words[0], self.words = self.words[0], words  # one step too
            self.is_shared = True
            _sharing.add(self)


def known_seq(spool: Path) -> int | None:
    """How far the dead process had come to which a spool file belongs, by its count; None where there is none. Never raises."""
    try:
        raw = _own(_path(spool))[:SIZE_BYTES]
    except OSError:
        return None
    put_count, shift = memoryview(raw).cast("q") if len(raw) == SIZE_BYTES else (-1, 0)
    return put_count + shift if 0 <= put_count + shift < MAX_COUNT else None


def forget(spool: Path) -> None:
    """Deletes the count of a process that has come to its end, or whose facts are all delivered."""
    with contextlib.suppress(OSError):
        _path(spool).unlink()


def _private() -> "memoryview[int]":
    return memoryview(bytearray(SIZE_BYTES)).cast("q")


def _shared(spool: Path) -> "memoryview[int]":
    """Mapped memory beside a spool file. Raises OSError."""
    import mmap  # on the sender's thread

    path, head = _path(spool), bytes(SIZE_BYTES) + os.fsencode(spool.absolute())
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if os.pwrite(file, head, 0) != len(head):  # written, so that a store finds its page there
            raise OSError(f"{path} takes no {len(head)} bytes")
        return memoryview(mmap.mmap(file, SIZE_BYTES)).cast("q")
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(file)


def _own(path: Path) -> bytes:
    """A file of this user. Raises OSError, where it is another's too."""
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        state = os.fstat(file)
        if not stat.S_ISREG(state.st_mode) or state.st_uid != os.geteuid():
            raise PermissionError(f"{path} is not this user's")
        return os.pread(file, MAX_BYTES, 0)
    finally:
        os.close(file)


def _sweep() -> None:
    """Deletes the counts whose spool files somebody has deleted: a spool file is there before its count, and goes after it."""
    for path in MEMORY.glob(_path(Path("*")).name):
        with contextlib.suppress(OSError):
            if not os.path.lexists(_own(path)[SIZE_BYTES:]):
                path.unlink()


def _path(spool: Path) -> Path:
    return MEMORY / f"trajectory-{spool.stem}.count"


_sharing: "weakref.WeakSet[PutCount]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    # What a child puts, it counts by itself: this memory is its parent's.
    for one in list(_sharing):
        one.words = _private()
    _sharing.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)
