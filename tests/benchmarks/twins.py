"""Twins: a run with exactly one thing wrong, and its twin in which nothing is wrong or all is said in other words.

Invariant: nothing here knows how a detector decides. Told from templates are twins of context, of the flow of work and of waiting,
with values from the seed, at seeds that no rule was built with. Recall is over the changed twins, false alarms over the untouched
ones, both at warning and above; the named value is checked on its own. TRAJECTORY_TWINS_SEED moves the seeds (default 1000),
TRAJECTORY_TWINS the number of pairs a kind (default 60).
"""

import os
import time
from collections import Counter

from tests.benchmarks import Row
from tests.benchmarks import _twins_context as context
from tests.benchmarks import _twins_flow as flow
from tests.benchmarks import _twins_waits as waits
from tests.benchmarks._twins_judge import Score, loud

NAME = "twins"
GOAL = "each kind of fault found in at least 9 of 10 runs that have it, an alarm in at most 3 of 100 that have none"


def run() -> list[Row]:
    return _told(int(os.environ.get("TRAJECTORY_TWINS_SEED", "1000")), int(os.environ.get("TRAJECTORY_TWINS", "60")))


def _told(first: int, count: int) -> list[Row]:
    """The families that are told from templates."""
    rows: list[Row] = []
    alarms: Counter[str] = Counter()
    facts_count, spent_s = 0, 0.0
    for case in (*context.CASES, *flow.CASES, *waits.CASES):
        score = Score(case.name, case.goal)
        for seed in range(first, first + count):
            earlier = context.earlier(seed)
            told, wanted = case.faulty(seed)
            score.mutated(loud(told, earlier), wanted)
            clean = case.clean(seed)
            begun = time.process_time()
            score.untouched(loud(clean, earlier))
            spent_s += time.process_time() - begun
            facts_count += len(clean.facts) + len(earlier.facts)
        rows += score.rows()
        alarms.update(score.alarms)
    rows.append(Row("untouched twins", "alarms by kind", str(dict(alarms)) if alarms else "none", "", None))
    rows.append(Row("all detectors", "facts per second", f"{facts_count / spent_s:,.0f}", "", None))
    return rows
