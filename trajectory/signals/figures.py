"""Sums of measures by group, which can be added and taken away again.

Invariant: `a + b - b == a` for counts, so a run that changes late corrects what it said before; what is not known is counted
beside the sums and never part of them. Groups are small and closed: `Group` says by what. Made by the tally, read by the
metrics endpoint, the command line and the screens.
"""

from bisect import bisect_left
from math import inf
from operator import add, attrgetter, mul
from typing import NamedTuple

import msgspec

from trajectory.signals.measures import Measure

WINDOW_S = 60
WINDOW_NS = WINDOW_S * 1_000_000_000
# Upper bounds in seconds and tokens: those that the GenAI conventions ask for; one more bucket has what lies above.
SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)


MAX_NAME_CHARS = 100
OTHER = "other"  # what is summed up under no name of its own


class Group(NamedTuple):
    """What measures are summed by. `window` is the minute (since 1970) in which the work ended; of a finding, `name` is its
    kind and `error` its severity, and of one about a series `provider` and `version` are the work that it is of."""

    window: int
    kind: str
    name: str
    agent: str
    service: str
    version: str
    provider: str
    error: str


def group_of(measure: Measure, grain: int = 1) -> Group:
    """The group of a measure, in windows of so many minutes. Names are cut: they come from agents."""
    minute = measure.at_ns // WINDOW_NS
    return Group(
        minute - minute % grain,
        measure.kind,
        measure.name[:MAX_NAME_CHARS],
        measure.agent[:MAX_NAME_CHARS],
        measure.service[:MAX_NAME_CHARS],
        measure.version[:MAX_NAME_CHARS],
        measure.provider[:MAX_NAME_CHARS],
        measure.error[:MAX_NAME_CHARS],
    )


_FEW_COUNT = 16  # values of which the sum says more than the width of a bucket


class Spread(msgspec.Struct, array_like=True, gc=False):
    """A histogram: how many values are known, their sum, and how many lie in each bucket. No buckets before the first value."""

    count: int = 0
    sum: float = 0.0
    buckets: list[int] = []

    def put(self, value: float, bounds: tuple[float, ...], times: int = 1) -> None:
        """Adds a value, or takes it away with `times` -1."""
        self.count += times
        self.sum += times * value
        if not self.buckets:
            self.buckets = [0] * _BUCKETS_COUNT
        self.buckets[bisect_left(bounds, value)] += times

    def add(self, other: "Spread", times: int = 1) -> None:
        if not other.buckets:
            return
        self.count += times * other.count
        self.sum += times * other.sum
        mine, theirs = self.buckets or [0] * _BUCKETS_COUNT, other.buckets
        self.buckets = (
            list(map(add, mine, theirs)) if times == 1 else [a + times * b for a, b in zip(mine, theirs, strict=True)]
        )

    def quantile(self, part: float, bounds: tuple[float, ...]) -> float | None:
        """About where so large a part of the values lies below, between the bounds of its bucket; None of no values.

        Of a single value it is that one.
        """
        if self.count == 1:
            return self.sum
        wanted, below = part * self.count, 0
        for at, count in enumerate(self.buckets):
            if count and below + count >= wanted:
                low = bounds[at - 1] if at else 0.0
                high = bounds[at] if at < len(bounds) else max(bounds[-1], self.sum / max(self.count, 1))
                if self.count <= _FEW_COUNT:
                    others = sum(map(mul, self.buckets[1:], bounds)) - low
                    high = max(low, min(high if at < len(bounds) else inf, self.sum - others))
                return low + (high - low) * (wanted - below) / count
            below += count
        return None


class Figures(msgspec.Struct, array_like=True, gc=False):
    """Sums of one group. `cost_known` and `chars_known` count the measures that are in those sums; `needed` and `arrived` are
    items at delegations, of `crossings_known` of them. Fields are only ever appended: they are stored."""

    count: int = 0
    errors: int = 0
    retries: int = 0
    seconds: Spread = msgspec.field(default_factory=Spread)
    first_chunk: Spread = msgspec.field(default_factory=Spread)
    input_tokens: Spread = msgspec.field(default_factory=Spread)
    output_tokens: Spread = msgspec.field(default_factory=Spread)
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float = 0.0
    cost_known: int = 0
    output_chars: int = 0
    chars_known: int = 0
    needed: int = 0
    arrived: int = 0
    crossings_known: int = 0

    @property
    def is_nothing(self) -> bool:
        """Whether nothing is left: what was added has been taken away."""
        spreads = (self.seconds, self.first_chunk, self.input_tokens, self.output_tokens)
        counts = (getattr(self, name) for name in _SUMS)
        return all(abs(count) < _NOTHING for count in counts) and all(
            abs(spread.sum) < _NOTHING and not any(spread.buckets) for spread in spreads
        )

    @property
    def is_sound(self) -> bool:
        """Whether its histograms are of as many buckets as ours."""
        spreads = (self.seconds, self.first_chunk, self.input_tokens, self.output_tokens)
        return all(len(spread.buckets) in (0, _BUCKETS_COUNT) for spread in spreads)

    @property
    def cost_unknown(self) -> int:
        """How many have no known cost."""
        return self.count - self.cost_known

    def put(self, measure: Measure, times: int = 1) -> None:
        """Adds one measure, or takes it away with `times` -1."""
        self.count += times
        if measure.error:
            self.errors += times
        if measure.is_retry:
            self.retries += times
        if measure.duration_s is not None:
            self.seconds.put(measure.duration_s, SECONDS, times)
        if measure.first_chunk_s is not None:
            self.first_chunk.put(measure.first_chunk_s, SECONDS, times)
        if measure.input_tokens is not None:
            self.input_tokens.put(measure.input_tokens, TOKENS, times)
        if measure.output_tokens is not None:
            self.output_tokens.put(measure.output_tokens, TOKENS, times)
        if measure.cached_tokens:
            self.cached_tokens += times * measure.cached_tokens
        if measure.reasoning_tokens:
            self.reasoning_tokens += times * measure.reasoning_tokens
        if measure.cost_usd is not None:
            self.cost_usd += times * measure.cost_usd
            self.cost_known += times
        if measure.output_chars is not None:
            self.output_chars += times * measure.output_chars
            self.chars_known += times
        if measure.needed is not None:
            self.needed += times * measure.needed
            self.arrived += times * (measure.arrived or 0)
            self.crossings_known += times

    def add(self, other: "Figures", times: int = 1) -> None:
        """Adds another's sums, or takes them away with `times` -1."""
        self.seconds.add(other.seconds, times)
        self.first_chunk.add(other.first_chunk, times)
        self.input_tokens.add(other.input_tokens, times)
        self.output_tokens.add(other.output_tokens, times)
        for name, theirs in zip(_SUMS, _sums_of(other), strict=True):
            if theirs:
                setattr(self, name, getattr(self, name) + times * theirs)


_SUMS = (
    "count", "errors", "retries", "cached_tokens", "reasoning_tokens", "cost_usd", "cost_known", "output_chars", "chars_known",
    "needed", "arrived", "crossings_known",
)  # fmt: skip
_sums_of = attrgetter(*_SUMS)

Tally = dict[Group, Figures]
_NOTHING = 1e-9  # what is left of decimals that were added and taken away
_BUCKETS_COUNT = len(SECONDS) + 1
