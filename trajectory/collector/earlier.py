"""How an agent did in its earlier runs, so that this one can be told from the usual.

Invariant: runs are read one after the other and a little at a time, so no answer waits for them; of a run that was read a few
numbers are kept. Agents are the same by name and service. Fewer than `ENOUGH` runs are no history. Called by the publisher.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import NamedTuple

from trajectory.collector import skew
from trajectory.collector.agent_facts import context_of, model_calls, tool_count
from trajectory.errors import StoreError
from trajectory.graph.retries import retries
from trajectory.graph.trace import Invocation, Trace
from trajectory.model.fact import Batch
from trajectory.view.agent_rows import AgentFacts, UsualRow
from trajectory.view.rows import TraceRow
from trajectory.view.text import clean

ENOUGH = 5  # runs
RUNS = 20
_LOOKED_AT = 2000  # runs of the list, the latest
_LONGEST_STEPS = 20_000  # of a run that is read for this
_PART_NS = 30_000_000  # how long one answer may read on
_KEPT_RUNS, _KEPT_AGENTS = 400, 64
_DROPPED_EVERY = 20  # of so many the lowest and the highest are not usual
_UNITS = {"tokens": "tokens", "context": "tokens", "duration": "ns"}


class Sample(NamedTuple):
    """The figures of one invocation that are compared."""

    retries: int
    tokens: int
    context: int
    duration: int  # ns
    tools: int


def sample_of(invocation: Invocation, now_ns: int = 0) -> Sample:
    """The figures of an invocation; one that goes on has taken as long as until `now_ns`."""
    usage = invocation.usage
    end_ns = invocation.end_ns or now_ns
    return Sample(
        retries=len(retries(invocation)),
        tokens=usage.input_tokens + usage.output_tokens,
        context=max(map(context_of, model_calls(invocation)), default=0),
        duration=max(0, end_ns - invocation.start_ns) if end_ns else 0,
        tools=tool_count(invocation),
    )


def usual_rows(now: Sample, earlier: list[Sample], *, goes_on: bool) -> list[UsualRow]:
    """Each figure beside the range of the earlier ones. What goes on is not too little yet; what no run has a number of is left
    out."""
    rows = []
    for name in Sample._fields:
        values = sorted(getattr(sample, name) for sample in earlier)
        spare = len(values) // _DROPPED_EVERY
        low, high = values[spare], values[-1 - spare]
        value = getattr(now, name)
        if high or value:
            is_outside = value > high or (value < low and not goes_on)
            rows.append(UsualRow(name, value, low, high, _UNITS.get(name, ""), is_outside))
    return rows


class Earlier:
    """The earlier runs of the agents that are looked at. `facts` reads a run's facts from the store. One thread at a time."""

    def __init__(self, listed: Callable[[], Iterable[TraceRow]], facts: Callable[[bytes], Iterator[Batch]]) -> None:
        self._listed = listed
        self._facts = facts
        self._runs: OrderedDict[str, dict[tuple[str, str], list[Sample]]] = OrderedDict()
        self._agents: OrderedDict[tuple[str, str, str], _Looking] = OrderedDict()

    def read_on(self, trace: Trace, invocation: Invocation) -> bool:
        """Reads on for an agent of a trace; True when its history is complete just now."""
        looking = self._looking(trace, invocation)
        if looking.is_done:
            return False
        began_ns = time.monotonic_ns()
        with suppress(StoreError):  # what cannot be read is no history
            for _ in looking.steps:
                if time.monotonic_ns() - began_ns > _PART_NS:
                    return False
        looking.is_done = True
        return True

    def usual(self, trace: Trace, invocation: Invocation, facts: AgentFacts, now_ns: int) -> tuple[list[UsualRow], int]:
        """The comparison of an agent's figures with earlier runs and how many those are; -1 while they are being read."""
        looking = self._looking(trace, invocation)
        if not looking.is_done:
            return [], -1
        if looking.run_count < ENOUGH:
            return [], looking.run_count
        took_ns = (facts.end_ns or now_ns) - facts.start_ns if facts.start_ns else 0
        tokens = facts.input_tokens + facts.output_tokens
        now = Sample(facts.retries, tokens, facts.context_peak, max(0, took_ns), facts.tools)
        return usual_rows(now, looking.samples, goes_on=not facts.end_ns), looking.run_count

    def _looking(self, trace: Trace, invocation: Invocation) -> "_Looking":
        key = (trace.trace_id.hex(), invocation.agent, invocation.service)
        looking = self._agents.get(key)
        if looking is None:
            looking = self._agents[key] = _Looking()
            looking.steps = self._read(looking, trace, invocation)
        self._agents.move_to_end(key)
        while len(self._agents) > _KEPT_AGENTS:
            self._agents.popitem(last=False)
        return looking

    def _read(self, looking: "_Looking", trace: Trace, invocation: Invocation) -> Iterator[None]:
        name = (invocation.agent, invocation.service)
        agent = clean(invocation.agent)
        own, began_ns = trace.trace_id.hex(), trace.first_ns
        wanted = [
            row.trace_id
            for row in islice(self._listed(), _LOOKED_AT)
            if row.trace_id != own
            and row.started_ns <= began_ns
            and row.state != "live"
            and row.steps <= _LONGEST_STEPS
            and (agent in row.agent_names or row.agents > len(row.agent_names))
        ]
        for trace_id in wanted:
            known = self._runs.get(trace_id)
            if known is None:
                earlier = Trace(bytes.fromhex(trace_id))
                for batch in map(skew.corrected, self._facts(earlier.trace_id)):
                    for fact in batch.facts:
                        with suppress(Exception):  # whatever a hostile fact makes of our fold: the others are counted
                            earlier.apply(fact, batch.source)
                    yield
                known = self._runs[trace_id] = _samples(earlier)
                earlier.dissolve()
                while len(self._runs) > _KEPT_RUNS:
                    self._runs.popitem(last=False)
            if name in known:
                looking.samples += known[name]
                looking.run_count += 1
                if looking.run_count >= RUNS:
                    return
            yield


class _Looking:
    """The history of one agent, as far as it is read."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.run_count = 0
        self.is_done = False
        self.steps: Iterator[None] = iter(())


def _samples(trace: Trace) -> dict[tuple[str, str], list[Sample]]:
    """What each agent of a run did, by name and service."""
    found: dict[tuple[str, str], list[Sample]] = {}
    for invocation in trace.invocations():
        found.setdefault((invocation.agent, invocation.service), []).append(sample_of(invocation, trace.last_ns))
    return found
