"""A process that belongs to the one that began it: told by one line of JSON on standard input, gone when that one is gone.

Invariant: however the parent ends, so does the child, at once where the kernel helps and else when standard input closes. Called
by the intake's and the receiver's process, on either side.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Collection
from typing import TypeVar

import msgspec

_PR_SET_PDEATHSIG = 1
_Settings = TypeVar("_Settings")


def begin(module: str, settings: msgspec.Struct, pass_fds: Collection[int] = ()) -> "subprocess.Popen[bytes]":
    """Starts `python -m module` with this process's own paths, and tells it the settings."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", module], env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
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
