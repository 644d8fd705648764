"""Compares what was emitted with what the store holds, span by span.

Invariant: expected comes from the emitters' own tallies, found from the store alone, and neither from a count that the
collector keeps. A span is two facts: its beginning and its end. Used by `faults`.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from trajectory.model.fact import Gap, SpanEnded, SpanStarted
from trajectory.store.sqlite import open_reader

Found = dict[str, list[int]]  # by emitter, the numbers of its spans in the order in which they are stored


@dataclass(slots=True)
class Toll:
    """Facts. `hole_count` of the lost are followed by stored ones; `counted` is what the store itself says is missing."""

    emitted_count: int = 0
    lost_count: int = 0
    hole_count: int = 0
    doubled_count: int = 0
    disordered_count: int = 0
    unknown_count: int = 0
    counted: int = 0
    uncounted: int = 0  # emitter by emitter, so that what one counts too much hides nothing of another

    @property
    def is_sound(self) -> bool:
        """Whether nothing that is stored is wrong, whatever is missing."""
        return not (self.doubled_count or self.disordered_count or self.unknown_count)

    def __str__(self) -> str:
        text = f"{self.lost_count} lost, {self.doubled_count} doubled, {self.disordered_count} out of order"
        text += f", {self.unknown_count} never emitted" if self.unknown_count else ""
        return f"{text} of {self.emitted_count:,} facts"


def toll(store: Path, done_counts: Mapping[str, int]) -> Toll:
    """What became of the spans that each emitter says it has begun and ended."""
    started, ended, counted = _found(store)
    result = Toll(emitted_count=2 * sum(done_counts.values()), counted=sum(counted.values()))
    for name in {*done_counts, *started, *ended}:
        before_count = result.lost_count
        for found in (started, ended):
            _judge(result, found.get(name, []), done_counts.get(name, -1))
        result.uncounted += max(0, result.lost_count - before_count - counted[name])
    return result


def _found(store: Path) -> tuple[Found, Found, Counter[str]]:
    started: Found = defaultdict(list)
    ended: Found = defaultdict(list)
    numbers: dict[bytes, tuple[str, int]] = {}
    counted: Counter[str] = Counter()
    reader = open_reader(store)
    for batch in reader.all_batches():
        for fact in batch.facts:
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
    return started, ended, counted


def _judge(result: Toll, found: list[int], done_count: int) -> None:
    """Adds one emitter's beginnings, or ends. A kill may leave one span begun that is not in the tally yet."""
    numbers = set(found)
    lost = [number for number in range(max(done_count, 0)) if number not in numbers]
    result.lost_count += len(lost)
    result.hole_count += sum(number < max(found, default=0) for number in lost)
    result.doubled_count += len(found) - len(numbers)
    result.disordered_count += sum(after < before for before, after in pairwise(found))
    result.unknown_count += sum(number > done_count for number in numbers)
