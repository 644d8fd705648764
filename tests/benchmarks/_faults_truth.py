"""Compares what was emitted with what the store holds, span by span.

Invariant: expected comes from the emitters' own tallies, found from the store alone, and neither from a count that the
collector keeps. A span is two facts: its beginning and its end. Used by `faults`.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from trajectory.errors import StoreError
from trajectory.model.fact import Gap, Heartbeat, SpanEnded, SpanStarted
from trajectory.store.sqlite import open_reader

_UNSURE_COUNT = 2  # facts of what a killed emitter was just doing

Found = dict[str, list[int]]  # by emitter, the numbers of its spans in the order in which they are stored


@dataclass(slots=True)
class Toll:
    """Facts of spans. `hole_count` of the lost are followed by stored ones.

    Of all facts, those of the agents around the spans too: `missing` are not in the store, `counted` is what the store itself
    says is missing, `uncounted` and `overcounted` are what it says too little and too much, emitter by emitter.
    """

    emitted_count: int = 0
    lost_count: int = 0
    hole_count: int = 0
    doubled_count: int = 0
    disordered_count: int = 0
    unknown_count: int = 0
    missing: int = 0
    counted: int = 0
    uncounted: int = 0
    overcounted: int = 0

    @property
    def is_sound(self) -> bool:
        """Whether nothing that is stored is wrong, whatever is missing."""
        return not (self.doubled_count or self.disordered_count or self.unknown_count)

    def __str__(self) -> str:
        text = f"{self.lost_count} lost, {self.doubled_count} doubled, {self.disordered_count} out of order"
        text += f", {self.unknown_count} never emitted" if self.unknown_count else ""
        return f"{text} of {self.emitted_count:,} facts"


def toll(store: Path, done_counts: Mapping[str, int], fact_counts: Mapping[str, int]) -> Toll:
    """What became of the spans that each emitter says it has begun and ended, and of the facts that each service has put."""
    started, ended, stored, counted = _found(store)
    result = Toll(emitted_count=2 * sum(done_counts.values()), counted=sum(counted.values()))
    for name in {*done_counts, *started, *ended}:
        for found in (started, ended):
            _judge(result, found.get(name, []), done_counts.get(name, -1))
    for service, fact_count in fact_counts.items():
        missing = max(0, fact_count - stored[service])
        result.missing += missing
        result.uncounted += max(0, missing - counted[service])
        result.overcounted += max(0, counted[service] - max(0, fact_count + _UNSURE_COUNT - stored[service]))
    return result


def numbers_readable(store: Path, name: str) -> set[int]:
    """The spans of one emitter, by number, that a store still gives out, read trace by trace: one may be damaged."""
    found: set[int] = set()
    try:
        reader = open_reader(store)
    except StoreError:
        return found
    with closing(reader), suppress(StoreError):
        for trace_id in reader.trace_ids():
            with suppress(StoreError):
                for batch in reader.facts(trace_id):
                    those = (fact.name.rpartition(" ") for fact in batch.facts if isinstance(fact, SpanStarted))
                    found.update(int(number) for who, _, number in those if who == name)
    return found


def _found(store: Path) -> tuple[Found, Found, Counter[str], Counter[str]]:
    """The spans begun and ended, and by service the facts that are there and those that the store says are missing."""
    started: Found = defaultdict(list)
    ended: Found = defaultdict(list)
    numbers: dict[bytes, tuple[str, int]] = {}
    stored: Counter[str] = Counter()
    counted: Counter[str] = Counter()
    reader = open_reader(store)
    for batch in reader.all_batches():
        for fact in batch.facts:
            stored[batch.source.service] += not isinstance(fact, (Gap, Heartbeat))
            if isinstance(fact, SpanStarted) and fact.kind == "tool":
                name, _, number = fact.name.rpartition(" ")
                numbers[fact.span_id] = name, int(number)
                started[name].append(int(number))
            elif isinstance(fact, SpanEnded) and fact.span_id in numbers:
                name, at = numbers[fact.span_id]
                ended[name].append(at)
            elif isinstance(fact, Gap):
                counted[batch.source.service] += fact.count
    reader.close()
    return started, ended, stored, counted


def _judge(result: Toll, found: list[int], done_count: int) -> None:
    """Adds one emitter's beginnings, or ends. A kill may leave one span begun that is not in the tally yet."""
    numbers = set(found)
    lost = [number for number in range(max(done_count, 0)) if number not in numbers]
    result.lost_count += len(lost)
    result.hole_count += sum(number < max(found, default=0) for number in lost)
    result.doubled_count += len(found) - len(numbers)
    result.disordered_count += sum(after < before for before, after in pairwise(found))
    result.unknown_count += sum(number > done_count for number in numbers)
