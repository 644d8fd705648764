"""What is told of series: that one has left what is usual, that it goes on and is grave, that it is over.

Invariant: plain values. Made by `watch`, told by the detector of anomalies and by the collector.
"""

from hashlib import blake2s
from typing import NamedTuple

from trajectory.signals.baseline import Alarm

LATENCY, FIRST_TOKEN, TOKENS, COST = "latency", "time_to_first_token", "tokens", "cost"
OUTPUT_LENGTH, ERROR_RATE, TOOL_FREQUENCY = "output_length", "error_rate", "tool_frequency"
METRICS = (LATENCY, FIRST_TOKEN, TOKENS, COST, OUTPUT_LENGTH, ERROR_RATE, TOOL_FREQUENCY)
LEAST_COUNT = 10  # values of an anomaly that is grave
_SURE = 0.95
_LARGE = 2.0  # times what is usual
_LARGE_SHARE = 0.2  # of calls
_GROWING = (LATENCY, FIRST_TOKEN, TOKENS, COST)  # of which more is worse


class Key(NamedTuple):
    """What a series is of. `name` is the model, the tool, the agent that was asked or that worked."""

    metric: str
    kind: str
    service: str
    agent: str
    name: str

    @property
    def series(self) -> str:
        """Its short name, the same in every process."""
        return blake2s("\x1f".join(self).encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


class Place(NamedTuple):
    """One value and where it is from."""

    value: float
    at_ns: int
    trace_id: bytes
    span_id: bytes


class Deploy(NamedTuple):
    """A version of the service that was not heard of before, and the one that it came after."""

    before: str
    after: str
    at_ns: int


class Anomaly(NamedTuple):
    """A series has left what is usual, and enough traces show it. `places` are its most extreme values, of a trace each."""

    key: Key
    alarm: Alarm
    here: Place  # the value that made it sure
    places: list[Place]
    trace_count: int  # at least; that show it
    deploy: Deploy | None  # where it began with one

    @property
    def is_grave(self) -> bool:
        """Whether it is sure, large, for the worse, and of enough values to interrupt somebody."""
        key, alarm = self.key, self.alarm
        if alarm.sureness < _SURE or alarm.value_count < LEAST_COUNT or not alarm.is_above:
            return False
        if key.metric == ERROR_RATE:
            return alarm.seen >= alarm.usual.middle + _LARGE_SHARE
        return key.metric in _GROWING and alarm.seen >= max(_LARGE * alarm.usual.middle, alarm.usual.high)


class Graver(NamedTuple):
    """An anomaly that was told on few values goes on, and is grave."""

    anomaly: Anomaly


class Ended(NamedTuple):
    """An anomaly that was told is over: of which series, when by the facts' clock, and why."""

    series: str
    at_ns: int
    why: str
