"""Forwarding as its collector's process sees it: a process that may come and go, and what it says of how it goes.

Invariant: the collector waits for nothing of it. Called by `trajectory serve`; loads nothing of HTTP or gRPC itself.
"""

from trajectory.collector.reporting import Reporting
from trajectory.forwarder.process import DRAIN_S, Settings


class ForwarderProcess(Reporting):
    """Keeps a forwarder going until `close`. `notices` are what an operator has to know just now."""

    def __init__(self, settings: Settings) -> None:
        super().__init__("trajectory-forwarding", DRAIN_S + 2.0, "trajectory.forwarder.process", settings)
