"""Sending alerts as its collector's process sees it: a process that may come and go, and what it says of how it goes.

Invariant: the collector waits for nothing of it. Called by `trajectory serve`; loads nothing of channels itself.
"""

import contextlib
import os
import signal

from trajectory.collector.reporting import Reporting
from trajectory.messenger.process import DRAIN_S, Settings


class MessengerProcess(Reporting):
    """Keeps the process going until `close`. `notices` are what an operator has to know just now."""

    def __init__(self, settings: Settings) -> None:
        super().__init__("trajectory-alerts", DRAIN_S + 2.0, "trajectory.messenger.process", settings)

    def read_again(self) -> None:
        """Has it read its policy again; from any thread, or a signal handler."""
        pid = self.pid
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGHUP)
