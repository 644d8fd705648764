"""How much one emitter may bring, and how many may bring at once: back-pressure by credit, never by loss.

Invariant: what came is stored whatever the quota says. Who is over it waits for its acknowledgement until its rate is met, a
second at most, and may have one frame under way. Turns are fair without our doing: ZeroMQ takes a frame from each connection
before a second from any. Owned by the intake's loop.
"""

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from trajectory.collector.order import MAX_LANES, Lane
from trajectory.protocol.frames import MAX_FACTS, WINDOW_FRAMES

HOLD_S = 1.0  # far below the silence after which an emitter gives a connection up
_ACTIVE_NS = 60_000_000_000


class Limits(NamedTuple):
    """`facts_per_s` is for each emitter, 0 for no limit; `emitters` is how many may be heard within a minute."""

    facts_per_s: int = 0
    emitters: int = MAX_LANES


class Quotas:
    """Keeps emitters to the limits. Time is monotonic, in seconds: a wall clock that is set holds nobody up."""

    def __init__(self, limits: Limits, now_s: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._now_s = now_s
        self._burst = float(max(limits.facts_per_s, 2 * MAX_FACTS))
        self._held: dict[int, tuple[Lane, float]] = {}

    def refusal(self, lanes: Iterable[Lane], lane_count: int, now_ns: int) -> str:
        """Why one more emitter cannot be taken now; empty where it can."""
        most = self._limits.emitters
        if lane_count < most:
            return ""
        active_count = sum(not lane.said_bye and now_ns - lane.heard_ns < _ACTIVE_NS for lane in lanes)
        if active_count < most:
            return ""
        return f"{active_count} emitters send here already, and no more may (trajectory serve --emitters)"

    def took(self, lane: Lane, count: int) -> None:
        """An emitter brought so many facts."""
        if self._limits.facts_per_s:
            self._refill(lane)
            lane.credit_facts -= count

    def window(self, lane: Lane) -> int:
        """How many frames an emitter may have under way."""
        is_within = not lane.credit_at_s or lane.credit_facts >= self._burst / 2
        return WINDOW_FRAMES if is_within else 1

    def holds(self, lane: Lane) -> bool:
        """Whether the acknowledgement has to wait; then `due` gives the lane back in time."""
        if not self._limits.facts_per_s or lane.credit_facts >= 0:
            return False
        wait_s = min(-lane.credit_facts / self._limits.facts_per_s, HOLD_S)
        self._held.setdefault(id(lane), (lane, self._now_s() + wait_s))
        return True

    def due(self) -> list[Lane]:
        """The lanes whose acknowledgement has waited long enough."""
        if not self._held:
            return []
        now_s = self._now_s()
        ready = [key for key, (_, due_s) in self._held.items() if due_s <= now_s]
        lanes = [self._held.pop(key)[0] for key in ready]
        for lane in lanes:
            self._refill(lane)
        return lanes

    @property
    def is_holding(self) -> bool:
        return bool(self._held)

    def _refill(self, lane: Lane) -> None:
        now_s = self._now_s()
        if lane.credit_at_s:
            earned = (now_s - lane.credit_at_s) * self._limits.facts_per_s
            lane.credit_facts = min(self._burst, lane.credit_facts + earned)
        else:
            lane.credit_facts = self._burst
        lane.credit_at_s = now_s
