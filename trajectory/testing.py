"""What users' own tests need: a collector in memory, a collector on a socket, a manual clock and counting ids.

Invariant: facts come out decoded by the collector's own codec, so a test sees exactly what a collector would have stored.
Nothing here is loaded by `import trajectory`.
"""

from trajectory.emitter.testing.capture import CapturedSpan, CapturingCollector
from trajectory.emitter.testing.collector import FakeCollector
from trajectory.emitter.testing.doubles import CountingIds, ManualClock

__all__ = ["CapturedSpan", "CapturingCollector", "CountingIds", "FakeCollector", "ManualClock"]
