"""The way of `trajectory follow` to its collector, and the bell by which it is woken.

Invariant: no more is under way than the collector has room for, and who waits for an answer does not look for it. Called by
`follow`; answers come on the carrier's thread.
"""

import queue
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from trajectory.cli.output import say

if TYPE_CHECKING:
    from trajectory.model.fact import Batch
    from trajectory.receiver.carrier import Carrier

_SILENCE_S = 3.0
_MAX_UNDER_WAY = 4


class Bell:
    """What a follower waits for besides the time: an answer, or the end. Rung from any thread, and by signals."""

    def __init__(self) -> None:
        self._rung: queue.SimpleQueue[bool] = queue.SimpleQueue()  # which a signal may put into at any instant
        self._is_over = False

    def ring(self) -> None:
        self._rung.put(False)

    def end(self) -> None:
        self._rung.put(True)

    def wait(self, timeout_s: float) -> bool:
        """Waits until it is rung, or for so long; True at the end."""
        try:
            self._is_over = self._rung.get(timeout=timeout_s) or self._is_over
            while not self._rung.empty():
                self._is_over = self._rung.get() or self._is_over
        except queue.Empty:
            pass
        return self._is_over


class Way:
    """The way to the collector: how much is under way, and whether it was refused. It rings when an answer comes."""

    def __init__(self, carrier: "Carrier", endpoint: str, ring: Callable[[], None]) -> None:
        self.endpoint = endpoint
        self._ring = ring
        self.stored_count = 0
        self._carrier = carrier
        self._answers: deque[tuple[int, str]] = deque()  # filled by the carrier's thread
        self._under_way = 0
        self._heard_s = time.monotonic()
        self._is_silent = False

    @property
    def is_free(self) -> bool:
        return self._under_way < _MAX_UNDER_WAY

    @property
    def is_empty(self) -> bool:
        return self._under_way == 0

    def send(self, batches: "list[Batch]") -> None:
        count = sum(len(batch.facts) for batch in batches)
        self._under_way += 1
        if self._under_way == 1:
            self._heard_s = time.monotonic()
        self._carrier.bring(batches, lambda reason: self._answer(count, reason))

    def _answer(self, count: int, reason: str) -> None:
        """On the carrier's thread."""
        self._answers.append((count, reason))
        self._ring()

    def hear(self) -> str:
        """Counts what was stored; why something was refused, or nothing. Says where nobody answers."""
        refused = ""
        while self._answers:
            count, reason = self._answers.popleft()
            self._under_way -= 1
            self._heard_s = time.monotonic()
            self._is_silent = False
            self.stored_count += 0 if reason else count
            refused = refused or reason
        if self._under_way and not self._is_silent and time.monotonic() - self._heard_s > _SILENCE_S:
            self._is_silent = True
            say(f"no collector answers at {self.endpoint}: waiting for one (trajectory serve)")
        return refused
