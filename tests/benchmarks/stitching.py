"""Takes away links, ids, texts and parents from a growing share of the spans, and asks what is still known, and known rightly.

Invariant: what is true comes from how the runs were made, or from a capture before anything was lost; three runs alike to the
letter lie side by side, so that whoever guesses mixes them. Edges are judged by their two ends: traces, or spans in a trace.
"""

import random
from collections import Counter
from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from tests.benchmarks import AbsentError, Row, shared_data
from tests.benchmarks.captures import folded, requests_of
from tests.broken_runs import IDS, SHAPES, BrokenRun, broken, stitched
from tests.scenarios import Scenario
from trajectory.graph.trace import Trace
from trajectory.model.fact import Batch, Fact, SpanLinked, SpanStarted
from trajectory.model.words import Grade

NAME = "stitching"
GOAL = "observed edges are right and no two runs are mixed, whatever share of links, ids and parents is lost"
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
SEEDS = 20
LOST = frozenset({"links", "ids", "parents", "texts"})
Edge = tuple[bytes, str, str]  # trace, agent that gave, agent that took


def run() -> list[Row]:
    """Between traces by shape and share; within traces by share; the captures where they are."""
    rows = [row for share in SHARES for row in _between(share, LOST)]
    rows += [_unjudged(row) for row in _between(0.5, LOST | {"spans"})]
    rows += _within("team of three, nested", [_team(n) for n in range(3)])
    try:
        folders = sorted(f.parent for f in shared_data("otlp").glob("*/manifest.json"))
    except AbsentError as reason:
        return [*rows, Row("shared captures", "not measured", str(reason), "", None)]
    return [*rows, *_within(f"{len(folders)} shared captures", [list(requests_of(folder)) for folder in folders])]


def _unjudged(row: Row) -> Row:
    """The same row, of runs that lost spans too: nothing can be asked of what never came, so it is not judged."""
    return Row(f"{row.case}, spans lost too", row.figure, row.measured, "", None)


def _between(share: float, lose: frozenset[str]) -> Iterator[Row]:
    """Joints between traces: three runs alike, half a second apart, and each run by itself an hour later."""
    right: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    true_count = alone_count = alone_right = 0
    for shape in SHAPES:
        for seed in range(SEEDS):
            chance = random.Random(f"{seed} {share}")
            runs = [broken(shape(n, 0.5 * n), share, chance, lose) for n in range(3)]
            found, truth = list(_joints(runs)), {e: c for r in runs for e, c in r.causes.items()}
            true_count += len(truth)
            right.update(grade for effect, cause, grade in found if truth.get(effect) == cause)
            wrong.update(grade for effect, cause, grade in found if truth.get(effect) != cause)
            alone = [broken(shape(9, 3600), share, chance, lose)]
            alone_count += len(alone[0].causes)
            alone_right += sum(alone[0].causes.get(effect) == cause for effect, cause, _ in _joints(alone))
    case = f"between traces, {share:.0%} lost"
    yield from _graded(case, right, wrong, true_count)
    false_count = sum(wrong.values())
    yield Row(case, "false joins", str(false_count), "0", false_count == 0)
    yield Row(case, "recall of a run alone", f"{alone_right / alone_count:.3f}", "", None)


def _joints(runs: list[BrokenRun]) -> Iterator[tuple[bytes, bytes, str]]:
    stitching = stitched(runs)
    for each in runs:
        for part in each.parts:
            yield from ((j.effect, j.cause, str(j.grade)) for j in stitching.causes(part.trace_id))


def _graded(case: str, right: Counter[str], wrong: Counter[str], true_count: int) -> Iterator[Row]:
    for grade in map(str, Grade):
        found = right[grade] + wrong[grade]
        if not found:
            continue
        precision = right[grade] / found
        measured = f"precision {precision:.3f} of {found}, recall {right[grade] / max(true_count, 1):.3f}"
        is_judged = grade == Grade.OBSERVED
        yield Row(case, grade, measured, "precision 1.000" if is_judged else "", precision == 1 if is_judged else None)


def _team(number: int) -> list[Batch]:
    """A coordinator with two workers, twice each, through the emitter."""
    told = Scenario(b"benchmark-team-%d" % number + b"\0")
    with told.agent("coordinator", task="Find a hotel, at most 900 EUR"):
        for worker in ("researcher", "booker", "researcher"):
            with told.delegate(worker, task=f"work for the {worker}"):
                told.tool("search", {"city": "Lyon"}, result="H1")
                told.returns("H1")
    return [Batch(told.source, 0, told.facts)]


def _within(case: str, captures: list[list[Batch]]) -> Iterator[Row]:
    """Delegations within traces, against those that the same trace shows before anything is lost."""
    whole = Counter(edge for batches in captures for edge, _ in _edges(folded(batches)))
    for share in SHARES:
        right: Counter[str] = Counter()
        wrong: Counter[str] = Counter()
        for seed in range(SEEDS):
            chance = random.Random(f"{seed} {share}")
            for batches in captures:
                left = Counter(whole)
                for edge, grade in _edges(folded(_lossy(batches, share, chance))):
                    into = right if left[edge] > 0 else wrong
                    left[edge] -= 1
                    into[grade] += 1
        yield from _graded(f"within {case}, {share:.0%} lost", right, wrong, SEEDS * whole.total())


def _lossy(batches: Iterable[Batch], share: float, chance: random.Random) -> list[Batch]:
    return [Batch(b.source, b.first_seq, [f for fact in b.facts if (f := _less(fact, share, chance))]) for b in batches]


def _less(fact: Fact, share: float, chance: random.Random) -> Fact | None:
    """A fact without what its span lost."""
    if isinstance(fact, SpanLinked) and chance.random() < share:
        return None
    if isinstance(fact, SpanStarted):
        if chance.random() < share:
            fact = replace(fact, parent_id=b"")
        if chance.random() < share:
            fact = replace(fact, attributes={k: v for k, v in fact.attributes.items() if k not in IDS})
    return fact


def _edges(traces: list[Trace]) -> Iterator[tuple[Edge, str]]:
    for trace in traces:
        for delegation in trace.delegations():
            if delegation.source_agent and delegation.target_agent:
                yield (trace.trace_id, delegation.source_agent, delegation.target_agent), str(delegation.grade)
