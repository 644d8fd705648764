"""Compares what was emitted with what the store holds, span by span.

Invariant: expected comes from the emitters' own tallies, found from the store alone, and neither from a count that the
collector keeps. A span is two facts: its beginning and its end. Used by `faults`.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tests.benchmarks._faults_emit import TURN_SPANS, body_of
from trajectory.errors import StoreError
from trajectory.model.content import digest
from trajectory.model.fact import Gap, Heartbeat, SpanEnded, SpanEvent, SpanStarted
from trajectory.store.contract import Reader
from trajectory.store.sqlite import open_reader

_UNSURE_COUNT = 2  # facts of what a killed emitter was just doing: a body and who names it, at most

Numbers = dict[str, list[int]]  # by emitter, the numbers of its spans in the order in which they are stored


@dataclass(slots=True)
class Toll:
    """Facts of spans. `hole_count` of the lost are followed by stored ones. `bodiless_count` bodies are named and not there.

    Of all facts, those of the agents around the spans too: `missing` are not in the store, `counted` is what the store itself
    says is missing, `uncounted` and `overcounted` are what it says too little and too much, emitter by emitter.
    """

    emitted_count: int = 0
    lost_count: int = 0
    hole_count: int = 0
    doubled_count: int = 0
    disordered_count: int = 0
    unknown_count: int = 0
    bodiless_count: int = 0
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
        text += f", {self.bodiless_count} bodies lost" if self.bodiless_count else ""
        return f"{text} of {self.emitted_count:,} facts"


def toll(store: Path, done_counts: Mapping[str, int], fact_counts: Mapping[str, int]) -> Toll:
    """What became of the spans that each emitter says it has begun and ended, and of the facts that each service has put."""
    found = _Found()
    with closing(open_reader(store)) as reader:
        _find(reader, found)
        result = Toll(emitted_count=2 * sum(done_counts.values()), counted=sum(found.counted.values()))
        result.bodiless_count = len(found.named) - len(reader.payloads(list(found.named)))
        # A body is a fact of its own from when it is made, on the sender's thread: one that was put only is not counted yet.
        body_counts: Counter[str] = Counter()
        for name, done_count in done_counts.items():
            bodies = [digest("text/plain", body_of(name, at).encode()) for at in range(0, done_count + 1, TURN_SPANS)]
            body_counts[name.partition(".")[0]] += len(bodies) - len(reader.payloads(bodies))
    for name in {*done_counts, *found.started, *found.ended}:
        for numbers in (found.started, found.ended):
            _judge(result, numbers.get(name, []), done_counts.get(name, -1))
    for service, fact_count in fact_counts.items():
        missing = max(0, fact_count - found.stored[service])
        result.missing += missing
        result.uncounted += max(0, missing - found.counted[service])
        most_count = max(0, fact_count + _UNSURE_COUNT - found.stored[service]) + body_counts[service]
        result.overcounted += max(0, found.counted[service] - most_count)
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


@dataclass(slots=True)
class _Found:
    """The spans begun and ended; by service the facts that are there and those that the store says are missing; the digests
    that are named."""

    started: Numbers = field(default_factory=lambda: defaultdict(list))
    ended: Numbers = field(default_factory=lambda: defaultdict(list))
    stored: Counter[str] = field(default_factory=Counter)
    counted: Counter[str] = field(default_factory=Counter)
    named: set[bytes] = field(default_factory=set)


def _find(reader: Reader, found: _Found) -> None:
    spans: dict[bytes, tuple[str, int]] = {}
    for batch in reader.all_batches():
        for fact in batch.facts:
            found.stored[batch.source.service] += not isinstance(fact, (Gap, Heartbeat))
            if isinstance(fact, SpanStarted) and fact.kind == "tool":
                name, _, number = fact.name.rpartition(" ")
                spans[fact.span_id] = name, int(number)
                found.started[name].append(int(number))
            elif isinstance(fact, SpanEnded) and fact.span_id in spans:
                name, at = spans[fact.span_id]
                found.ended[name].append(at)
            elif isinstance(fact, SpanEvent):
                found.named.update(digest for digests in fact.contents.values() for digest in digests)
            elif isinstance(fact, Gap):
                found.counted[batch.source.service] += fact.count


def _judge(result: Toll, found: list[int], done_count: int) -> None:
    """Adds one emitter's beginnings, or ends. A kill may leave one span begun that is not in the tally yet."""
    numbers = set(found)
    lost = [number for number in range(max(done_count, 0)) if number not in numbers]
    result.lost_count += len(lost)
    last = max(found, default=0)
    result.hole_count += sum(number < last for number in lost)
    result.doubled_count += len(found) - len(numbers)
    result.disordered_count += sum(after < before for before, after in pairwise(found))
    result.unknown_count += sum(number > done_count for number in numbers)
