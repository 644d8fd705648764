"""What every test of the emitter starts from: a collector in memory, and a process that has reported nothing yet."""

from collections.abc import Iterator

import pytest

from trajectory.emitter import tracer as tracers
from trajectory.emitter.current import here
from trajectory.emitter.misuse import forget_reports
from trajectory.testing import CapturingCollector, CountingIds, FakeCollector, ManualClock


@pytest.fixture(autouse=True)
def _fresh_process() -> Iterator[None]:
    forget_reports()
    yield
    here.set(None)
    left = tracers.use(None)
    if left is not None:
        left.close(0.5)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def captured(clock: ManualClock) -> Iterator[CapturingCollector]:
    with CapturingCollector(clock=clock, ids=CountingIds()) as collector:
        yield collector


@pytest.fixture
def collector() -> Iterator[FakeCollector]:
    with FakeCollector() as fake:
        yield fake
