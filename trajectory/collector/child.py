"""A process that belongs to the one that began it: told by one line of JSON on standard input, gone when that one is gone.

Invariant: however the parent ends, so does the child, at once where the kernel helps and else when standard input closes. Called
by the intake's, the receiver's and the forwarder's process, on either side.
"""

import abc
import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection
from typing import TypeVar

import msgspec

_PR_SET_PDEATHSIG = 1
_AGAIN_S = 0.25  # before a process that died is begun anew; longer where it dies at once
_LONGEST_PAUSE_S = 30.0
_SHORT_S = 0.5
_LOOK_S = 0.5
_Settings = TypeVar("_Settings")


def begin(
    module: str, settings: msgspec.Struct, pass_fds: Collection[int] = (), *, is_heard: bool = False
) -> "subprocess.Popen[bytes]":
    """Starts `python -m module` with this process's own paths, and tells it the settings.

    With `is_heard` its standard output is a pipe and it has no standard error: of a dashboard, that is the screen.
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", module], env=environment, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE if is_heard else subprocess.DEVNULL, stderr=subprocess.DEVNULL if is_heard else None,
        start_new_session=True, pass_fds=pass_fds,
    )  # fmt: skip
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it ended at once: whoever waits for it will see
        process.stdin.write(msgspec.json.encode(settings) + b"\n")
        process.stdin.flush()
    return process


def end(process: "subprocess.Popen[bytes]", timeout_s: float) -> None:
    """Closes its standard input, which asks it to end, and waits; then kills it."""
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Attended(abc.ABC):
    """A child that is begun anew where it dies, until `close`. A thread of its own attends to it.

    Subclasses say how it is begun, when it is wanted at all, and what they hear of it meanwhile.
    """

    def __init__(self, name: str, end_s: float) -> None:
        self._end_s = end_s
        self._process: subprocess.Popen[bytes] | None = None
        self._end_read, self._end_write = os.pipe()
        self._thread = threading.Thread(target=self._keep, name=name, daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        """Of the process; 0 while there is none."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else 0

    def close(self) -> None:
        """Asks the process to end, gives it its time, and waits."""
        os.close(self._end_write)
        self._thread.join()
        os.close(self._end_read)

    @abc.abstractmethod
    def _begin(self) -> "subprocess.Popen[bytes]":
        """Starts it."""

    def _is_wanted(self) -> bool:
        """Whether it is to be begun now; may wait for that, and for the end."""
        return True

    def _hear(self, timeout_s: float) -> bool:
        """Waits for what the process says, where it says anything; True at the end."""
        return self._is_over(timeout_s)

    def _is_over(self, timeout_s: float) -> bool:
        return bool(select.select([self._end_read], [], [], timeout_s)[0])

    def _keep(self) -> None:
        pause_s = _AGAIN_S
        while not self._is_over(0.0) and self._is_wanted():
            process = self._process = self._begin()
            began_s = time.monotonic()
            while process.poll() is None:
                if self._hear(_LOOK_S):
                    end(process, self._end_s)
                    return
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S) if time.monotonic() - began_s < _SHORT_S else _AGAIN_S
            if self._is_over(pause_s):
                return


def told(kind: type[_Settings]) -> _Settings | None:
    """In the child: what it was told; None where the parent is gone already. Terminal signals are the parent's from here on."""
    _die_with_parent(os.getppid())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal it goes to the parent, which tells us
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    said = b""
    while not said.endswith(b"\n"):
        part = os.read(0, 65536)
        if not part:
            return None
        said += part
    return msgspec.json.decode(said, type=kind)


def is_orphan() -> bool:
    """Whether the parent is gone, or asks the child to end."""
    return bool(select.select([0], [], [], 0)[0])


def _die_with_parent(parent: int) -> None:
    """Where the system can: the kernel ends this process with its parent, also while it is stopped."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(0)
