"""Shows a Python process another wall clock: Python loads this at its start where PYTHONPATH names this folder.

Invariant: only what `time.time` and `time.time_ns` say is moved, by the nanoseconds in the file that TRAJECTORY_FAULTS_CLOCK
names, which another process may change at any time; monotonic clocks go on as on a machine whose clock is set. Used by `faults`.
"""

import mmap
import os
import time
from pathlib import Path

_real_ns = time.time_ns
with Path(os.environ["TRAJECTORY_FAULTS_CLOCK"]).open("rb") as file:
    _offset = mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)


def _time_ns() -> int:
    return _real_ns() + int.from_bytes(_offset[:8], "little", signed=True)


time.time_ns = _time_ns
time.time = lambda: _time_ns() / 1e9
