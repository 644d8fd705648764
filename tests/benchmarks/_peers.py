"""Other people's packages in an environment of their own, made for one run and thrown away at its end.

Invariant: nothing of it outlives the process, and what cannot be installed is said and not guessed. Used by benchmarks that
compare with peers.
"""

import atexit
import os
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

from tests.benchmarks import AbsentError

_INSTALL_S = float(os.environ.get("TRAJECTORY_BENCH_INSTALL_S", "420"))


@cache
def interpreter_with(*packages: str) -> str:
    """The path of a Python that has these packages. Raises AbsentError where they cannot be had within the time."""
    began_s = time.monotonic()
    room = tempfile.TemporaryDirectory(prefix="trajectory-peers-", ignore_cleanup_errors=True)
    atexit.register(room.cleanup)
    python = Path(room.name) / "venv" / "bin" / "python"
    _run([sys.executable, "-m", "venv", str(python.parent.parent)], began_s, packages)
    install = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    _run([*install, "--cache-dir", str(Path(room.name) / "cache"), *packages], began_s, packages)
    return str(python)


def _run(command: list[str], began_s: float, packages: tuple[str, ...]) -> None:
    what = ", ".join(packages)
    try:
        left_s = _INSTALL_S - (time.monotonic() - began_s)
        ended = subprocess.run(command, capture_output=True, text=True, timeout=left_s)
    except subprocess.TimeoutExpired:
        raise AbsentError(f"{what} could not be installed within {_INSTALL_S:.0f} s") from None
    if ended.returncode:
        raise AbsentError(f"{what} could not be installed: {ended.stderr.strip()[-300:]}")
