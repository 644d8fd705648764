"""A reader serves one trace and goes with it.

Invariant: whatever detectors have read, a trace that nobody holds is freed, and its readings with it.
"""

import gc
import weakref

from tests.scenarios import Scenario
from trajectory.detection.contract import registered_detectors
from trajectory.detection.judge import TraceJudge
from trajectory.detection.reader import reader_of


def test_a_trace_that_detectors_have_read_is_freed_when_it_is_dropped() -> None:
    run = Scenario()
    with run.agent("planner", task="Find a hotel, at most 900 EUR"):
        with run.delegate("research", task="Find a hotel"):
            run.tool("search", {"city": "Lyon"}, result="H99 costs 850 EUR")
            run.returns("I found H99.")
        run.returns("Take H99.")
    trace = run.trace()
    judge = TraceJudge(trace, registered_detectors())
    judge.settle(trace.last_ns)
    reader = reader_of(trace)
    assert any(reader.text(d) for span in trace.spans.values() for ds in span.contents.values() for d in ds)
    left = weakref.ref(trace)
    del judge, trace, reader
    gc.collect()
    assert left() is None
