"""The end of a process by SIGTERM, for who asks for it: what is under way is delivered or spooled, then all is as without us.

Invariant: the handler that was there before decides what the signal does, and gets it unchanged; without one the process dies
of the signal, as it would have. Called by `init(on_sigterm=True)` and by nothing else.
"""

import os
import signal
from types import FrameType
from typing import Any

from trajectory.emitter import tracer as tracers
from trajectory.emitter.misuse import report

FLUSH_S = 0.5  # before a handler of the agent's own goes on: it may end the process at once


def deliver_on_sigterm() -> None:
    """Stands before the present handler of SIGTERM. Only Python's main thread can; elsewhere it is reported and left."""
    try:
        before = signal.getsignal(signal.SIGTERM)
        if not isinstance(before, _Handler):
            signal.signal(signal.SIGTERM, _Handler(before))
    except ValueError as fault:
        report("sigterm", "trajectory: SIGTERM stays as it is: %s", fault)


class _Handler:
    def __init__(self, before: Any) -> None:
        self._before = before

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if callable(self._before):
            self._safely(FLUSH_S)
            self._before(number, frame)
        elif self._before == signal.SIG_DFL:
            self._safely(None)
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    @staticmethod
    def _safely(flush_s: float | None) -> None:
        """Delivers what is under way and goes on, or closes for good."""
        try:
            if flush_s is None:
                tracers.close_all()
            elif tracers.default is not None:
                tracers.default.flush(flush_s)
        except Exception as fault:
            report("sigterm", "trajectory: not all was delivered at SIGTERM: %r", fault)
