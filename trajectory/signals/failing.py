"""How often calls fail, and whether they fail more often than they did: a Bernoulli CUSUM against a reference of earlier calls.

Invariant: bounded memory, the same alarms for the same calls, nothing said before the warm-up; only more failures are an alarm. A
few failures at the beginning are none: of a young stream the usual share is taken to be higher than what was seen. Called by
`watch` for each series of calls.

How it judges: the log of how much likelier a call's outcome is at a share that would matter than at the usual one is summed up
(M. R. Reynolds and Z. G. Stoumbos, A CUSUM Chart for Monitoring a Proportion, Journal of Quality Technology 1999).
"""

from collections import deque
from math import exp, log, sqrt

from trajectory.signals.baseline import RETURNED, SETTLED, Alarm, Usual

WARM_UP_COUNT = 40
REFERENCE_COUNT = 400  # the latest usual calls
_HELD_COUNT = 40  # the newest calls wait so long before they may become usual
_LEAST_SHARE = 0.02  # below that, how often calls usually fail is nobody's concern
_LEAST_MORE = 0.15  # so much more often they have to fail, and twice as often as usual
_LIMIT = 10.0  # a false alarm in exp(10) calls at most, were the usual share known
_YOUNG_COUNT = 40  # of a stream this young little is known: it takes twice the evidence
_ENDING = 0.25  # of the limit: an alarm ends below
_SETTLED_COUNT = 120  # after so many calls of an alarm, what is seen now is usual


class FailureShare:
    """One stream of calls: 1 where a call failed, 0 where it did not."""

    __slots__ = (
        "_alarm_count", "_failed_since", "_failures", "_held", "_limit", "_reference", "_since", "_since_ns", "_steps", "_sum",
        "alarm", "ended",
    )  # fmt: skip

    def __init__(self) -> None:
        self._reference: deque[int] = deque()
        self._failures = 0  # among them
        self._held: deque[int] = deque()
        self._sum = 0.0
        self._since = self._failed_since = self._since_ns = 0
        self._steps = (0.0, 0.0)  # what a call that did not fail, and one that did, add to the sum
        self._limit = _LIMIT
        self._alarm_count = 0
        self.alarm: Alarm | None = None  # while it lasts
        self.ended = ""  # why the last one did

    @property
    def is_warm(self) -> bool:
        """Whether enough is known to judge by."""
        return len(self._reference) >= WARM_UP_COUNT

    @property
    def usual(self) -> Usual | None:
        """What share of calls usually fails, and between what that of forty calls lies; None before the warm-up."""
        if not self.is_warm:
            return None
        share = self._failures / len(self._reference)
        wide = 1.645 * sqrt(max(share * (1 - share), 1e-9) / _HELD_COUNT)
        return Usual(share, max(share - wide, 0.0), min(share + wide, 1.0))

    def put(self, value: float, at_ns: int) -> Alarm | None:
        """Takes how the next call ended; returns an alarm where one begins now."""
        failed = int(value > 0)
        if not self.is_warm:
            self._learn(failed)
            return None
        if not self._sum:
            self._since, self._failed_since, self._since_ns = 0, 0, at_ns
        self._since += 1
        self._failed_since += failed
        self._sum = min(max(self._sum + self._steps[failed], 0.0), 1.5 * self._limit)
        self._held.append(failed)
        if self.alarm is not None:
            self._go_on(self.alarm, at_ns)
            return None
        if self._sum > self._limit:
            usual = self.usual
            assert usual is not None
            seen = self._failed_since / self._since
            sureness = min(0.99, 1 - exp(-self._sum / 4))
            self._alarm_count = 0
            self.alarm = Alarm(seen, usual, min(self._since_ns, at_ns), at_ns, self._since, sureness, True)
            return self.alarm
        while len(self._held) > (_HELD_COUNT if self._sum < self._limit / 2 else 3 * _HELD_COUNT):
            self._learn(self._held.popleft())
        return None

    def _go_on(self, alarm: Alarm, at_ns: int) -> None:
        self._alarm_count += 1
        is_settled = self._alarm_count >= _SETTLED_COUNT
        if self._sum > _ENDING * self._limit and not is_settled:
            seen = self._failed_since / self._since
            self.alarm = alarm._replace(seen=seen, at_ns=at_ns, value_count=self._since)
            return
        settled = list(self._held)[-_SETTLED_COUNT:] if is_settled else []
        self.alarm, self.ended = None, SETTLED if is_settled else RETURNED
        self._sum = 0.0
        self._held.clear()
        if is_settled:
            self._reference.clear()
            self._failures = 0
        for failed in settled:
            self._learn(failed)

    def _learn(self, failed: int) -> None:
        self._reference.append(failed)
        self._failures += failed
        if len(self._reference) > REFERENCE_COUNT:
            self._failures -= self._reference.popleft()
        count = len(self._reference)
        share = (self._failures + 1) / (count + 2)
        usual = min(max(share + sqrt(share * (1 - share) / count), _LEAST_SHARE), 0.9)
        more = min(usual + max(_LEAST_MORE, usual), (1 + usual) / 2)
        self._steps = (log((1 - more) / (1 - usual)), log(more / usual))
        self._limit = _LIMIT * (1 + (_YOUNG_COUNT / count) ** 2)
