"""How often `goal.drift` sees that a run took up another job, and how often it says so of runs that did not.

Invariant: nothing here knows how the detector decides. Every row is for information: the detector is off by default because of
what they show. TRAJECTORY_TWINS is how many runs of a kind are made up (default 60), from seed 0.
"""

import json
import os
from collections import Counter
from collections.abc import Callable

from tests.benchmarks import Row, shared_data
from tests.benchmarks import _twins_context as context
from tests.benchmarks._twins_jobs import job_of
from tests.detection import test_flow_promises
from tests.scenarios import Scenario
from trajectory.detection.drift import GoalDrift
from trajectory.detection.judge import TraceJudge
from trajectory.dialects.sniff import read_file
from trajectory.graph.trace import Trace
from trajectory.model.fact import Payload, trace_of

NAME = "drift"
GOAL = "figures only: goal.drift is off by default"


def run() -> list[Row]:
    count = int(os.environ.get("TRAJECTORY_TWINS", "60"))
    kinds: dict[str, Callable[[int], Scenario]] = {
        "the worker does another job": _worker_away,
        "the second half is another job": _half_away,
        "honest": context.tell,
        "honest and long": context.whole_answer,
        "honest and compacted": context.well_compacted,
    }
    rows = [
        Row(name, "named", f"{sum(_is_named(tell(seed)) for seed in range(count))} of {count}", "", None)
        for name, tell in kinds.items()
    ]
    clean = [story() for story in test_flow_promises.CLEAN.values()]
    rows.append(Row("clean stories of the flow", "named", f"{sum(map(_is_named, clean))} of {len(clean)}", "", None))
    for name in ("agentrx_tau", "tau_airline", "who_and_when", "bioagent"):
        rows += _conversations(name)
    return rows


def _is_named(told: Scenario) -> bool:
    trace = told.trace()
    return bool(TraceJudge(trace, [GoalDrift]).settle(trace.last_ns))


def _worker_away(seed: int) -> Scenario:
    other, changes = job_of(seed + 1), context.Changes()
    changes.conditions, changes.call = [], (other.tool, other.arguments)
    changes.found, changes.rest = other.found, other.rest.format(key=other.key)
    changes.answer = other.answer.format(key=other.key)
    return context.tell(seed, changes)


def _half_away(seed: int) -> Scenario:
    other, changes = job_of(seed + 1), context.Changes()
    changes.rest = f"{other.goal} {other.task}"
    changes.answer = other.answer.format(key=other.key)
    return context.tell(seed, changes)


def _conversations(name: str) -> list[Row]:
    runs: Counter[str] = Counter()
    named: Counter[str] = Counter()
    for line in (shared_data(name) / "dev.jsonl").read_text().splitlines():
        outcome = json.loads(line)["outcome"]
        bodies: dict[bytes, tuple[str, bytes]] = {}
        traces: dict[bytes, Trace] = {}
        for batch in read_file(line.encode(), f"{name}.jsonl", "chat").batches:
            for fact in batch.facts:
                if isinstance(fact, Payload):
                    bodies[fact.digest] = (fact.media_type, fact.body)
                elif trace_id := trace_of(fact):
                    traces.setdefault(trace_id, Trace(trace_id, bodies.get)).apply(fact, batch.source)
        runs[outcome] += 1
        named[outcome] += any(TraceJudge(t, [GoalDrift]).settle(t.last_ns) for t in traces.values())
    return [Row(f"{name} {o}", "named", f"{named[o]} of {runs[o]}", "", None) for o in sorted(runs)]
