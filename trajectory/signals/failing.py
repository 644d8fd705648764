"""How often calls fail, and whether they fail more often than they did: a Bernoulli CUSUM against a reference of earlier calls.

Invariant: bounded memory, the same alarms for the same calls, nothing said before the warm-up; only more failures are an alarm. A
few failures at the beginning are none: of a young stream the usual share is taken to be higher than what was seen. Called by
`watch` for each series of calls.

How it judges: the log of how much likelier a call's outcome is at a share that would matter than at the usual one is summed up
(M. R. Reynolds and Z. G. Stoumbos, A CUSUM Chart for Monitoring a Proportion, Journal of Quality Technology 1999). Where failures
come in clumps, a call tells less than it would by itself: its evidence is divided by how much more a sum of neighbours varies
than one of strangers. A stream whose alarms ended by themselves takes more evidence for a while.
"""

from collections import deque
from math import exp, log, sqrt

from trajectory.signals.baseline import RETURNED, SETTLED, Alarm, Usual

WARM_UP_COUNT = 40
REFERENCE_COUNT = 400  # the latest usual calls
_HELD_COUNT = 40  # the newest calls wait so long before they may become usual
_LEAST_SHARE = 0.02  # below that, how often calls usually fail is nobody's concern
_LEAST_MORE = 0.15  # so much more often they have to fail, and twice as often as usual
_LIMIT = 7.5  # a false alarm in far more than exp(7.5) calls, were the usual share known
_YOUNG_COUNT = 40  # of a stream this young little is known: it takes twice the evidence
_RETURN_LIMIT = 4.0  # the same sum for the usual share against the one that matters, over which an alarm ends
_MOST_CLUMPED = 8.0
_EVERY = 8  # usual calls between two looks at what is usual
_CALMING = 0.9976  # at each look
_MOST_RESTLESS = 4.0  # times as much evidence
_SETTLED_COUNT = 120  # after so many calls of an alarm, what is seen now is usual


class FailureShare:
    """One stream of calls: 1 where a call failed, 0 where it did not."""

    __slots__ = (
        "_alarm_count", "_back", "_clumped", "_failed_since", "_failures", "_held", "_learnt", "_limit", "_pairs", "_reference",
        "_restless", "_since", "_since_ns", "_steps", "_sum", "alarm", "ended",
    )  # fmt: skip

    def __init__(self) -> None:
        self._reference: deque[int] = deque()
        self._failures = self._pairs = 0  # among them, and those right after another
        self._held: deque[int] = deque()
        self._sum = 0.0
        self._since = self._failed_since = self._since_ns = 0
        self._steps = (0.0, 0.0)  # what a call that did not fail, and one that did, add to the sum
        self._limit = _LIMIT
        self._clumped = 1.0  # how much more a sum of neighbours varies than one of strangers
        self._restless = 0.0  # alarms that ended by themselves, the earlier the less they count
        self._back = 0.0  # while an alarm lasts, what speaks for its end
        self._alarm_count = self._learnt = 0
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
            self._go_on(self.alarm, failed, at_ns)
            return None
        if self._sum > self._limit:
            usual = self.usual
            assert usual is not None
            seen = self._failed_since / self._since
            sureness = min(0.99, 1 - exp(-self._sum / 2.5))
            self._alarm_count, self._back = 0, 0.0
            self.alarm = Alarm(seen, usual, min(self._since_ns, at_ns), at_ns, self._since, sureness, True)
            return self.alarm
        while len(self._held) > (_HELD_COUNT if self._sum < self._limit / 2 else 3 * _HELD_COUNT):
            self._learn(self._held.popleft())
        return None

    def _go_on(self, alarm: Alarm, failed: int, at_ns: int) -> None:
        """An alarm grows; it ends when calls fail as usual for a while, or fail as they do for so long that it is usual."""
        self._alarm_count += 1
        self._back = max(self._back - self._steps[failed] * self._clumped, 0.0)
        is_settled = self._alarm_count >= _SETTLED_COUNT
        if self._back < _RETURN_LIMIT and not is_settled:
            seen = self._failed_since / self._since
            self.alarm = alarm._replace(seen=seen, at_ns=at_ns, value_count=self._since)
            return
        self.alarm, self.ended = None, SETTLED if is_settled else RETURNED
        self._sum = 0.0
        held = list(self._held)[-_SETTLED_COUNT:]
        self._held.clear()
        if is_settled:
            self._reference.clear()
            self._failures = self._pairs = 0
        else:
            self._restless += 1
        for each in held:  # also where it is over: what happens again and again is usual
            self._learn(each)
        self._look()

    def _learn(self, failed: int) -> None:
        reference = self._reference
        if reference:
            self._pairs += failed & reference[-1]
        reference.append(failed)
        self._failures += failed
        if len(reference) > REFERENCE_COUNT:
            gone = reference.popleft()
            self._failures -= gone
            self._pairs -= gone & reference[0]
        self._learnt += 1
        if self._learnt % _EVERY == 0:
            self._look()

    def _look(self) -> None:
        """Works out anew what a call says, and how much evidence it takes."""
        count = len(self._reference)
        share = (self._failures + 1) / (count + 2)
        clumped = self._clumped = self._clumping(count)
        usual = min(max(share + sqrt(clumped * share * (1 - share) / count), _LEAST_SHARE), 0.9)
        more = min(usual + max(_LEAST_MORE, usual), (1 + usual) / 2)
        self._steps = (log((1 - more) / (1 - usual)) / clumped, log(more / usual) / clumped)
        self._restless *= _CALMING
        restless = min(2 * max(self._restless - 0.5, 0) ** 2, _MOST_RESTLESS - 1)
        self._limit = _LIMIT * (1 + (_YOUNG_COUNT / count) ** 2 + restless)

    def _clumping(self, count: int) -> float:
        """(1 + r) / (1 - r) with r the correlation of neighbours, where it is more than chance makes it."""
        share = self._failures / count
        if self._failures < 2 or share == 1:
            return 1.0
        r = (self._pairs / self._failures - share) / (1 - share)
        return min((1 + r) / max(1 - r, 1e-9), _MOST_CLUMPED) if r > 2 / sqrt(count) else 1.0
