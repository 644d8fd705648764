"""The clock of a process: a wall clock that is set in the middle of a run changes no order and no duration, and sleep counts."""

import time
from itertools import pairwise
from typing import Any

import pytest
import zmq

import trajectory
from tests.emitter.test_sender import Line
from trajectory.emitter.clock import SystemClock
from trajectory.emitter.tracer import Tracer, default_tracer
from trajectory.model.fact import SpanEnded, SpanStarted
from trajectory.protocol import codec
from trajectory.protocol.codec import HelloFrame
from trajectory.testing import CapturingCollector, ManualClock

HOUR_S = 3600.0


class SetClock(SystemClock):
    """The system's clock as a process has it, made of readings that a test moves."""

    def __init__(self, machine: ManualClock, slept_ns: list[int]) -> None:
        super().__init__(machine.wall_ns, lambda: machine.mono_ns() + slept_ns[0])
        self.mono_ns = machine.mono_ns  # type: ignore[method-assign, assignment]


@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S])
def test_a_wall_clock_that_steps_in_the_middle_of_a_span_leaves_order_and_durations_as_they_are(step_s: float) -> None:
    machine = ManualClock()
    began_ns = machine.wall_ns()
    with CapturingCollector(clock=SetClock(machine, [0])) as captured:
        tracer = default_tracer()
        with trajectory.span("outer"):
            machine.advance(1)
            machine.step_wall(step_s)
            with trajectory.span("before a heartbeat"):
                machine.advance(1)
            beat = tracer.pulse()
            assert beat is not None and beat[1] == began_ns + 2_000_000_000
            with trajectory.span("after it"):
                machine.advance(1)
        facts: list[Any] = captured.facts
        started = {fact.span_id: fact for fact in facts if isinstance(fact, SpanStarted)}
    assert [(a.at_ns, a.mono_ns) <= (b.at_ns, b.mono_ns) for a, b in pairwise(facts)] == [True] * (len(facts) - 1)
    ended = [fact for fact in facts if isinstance(fact, SpanEnded)]
    assert {started[end.span_id].name: end.at_ns - started[end.span_id].at_ns for end in ended} == {
        "outer": 3_000_000_000, "before a heartbeat": 1_000_000_000, "after it": 1_000_000_000,
    }  # fmt: skip
    assert ended[-1].at_ns == began_ns + 3_000_000_000


def test_the_time_that_a_machine_slept_has_passed_at_the_next_heartbeat() -> None:
    machine, slept_ns = ManualClock(), [0]
    tracer = Tracer("t", clock=SetClock(machine, slept_ns))
    before_ns = tracer.now_ns()
    machine.step_wall(HOUR_S)
    slept_ns[0] = 3600 * 10**9
    tracer.pulse()
    assert tracer.now_ns() - before_ns == slept_ns[0]


def test_a_process_that_begins_after_the_step_begins_with_the_clock_as_it_is() -> None:
    machine = ManualClock()
    machine.step_wall(-HOUR_S)
    assert SetClock(machine, [0]).wall_ns() == machine.wall_ns()


def test_the_real_clock_tells_the_time() -> None:
    assert abs(SystemClock().wall_ns() - time.time_ns()) < 10**9


def test_a_hello_says_what_the_emitters_clock_reads() -> None:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as mouth:
        mouth.setsockopt(zmq.LINGER, 0)
        line = Line(f"tcp://127.0.0.1:{mouth.bind_to_random_port('tcp://127.0.0.1')}")
        line.put(1)
        assert mouth.poll(10_000)
        hello = codec.read_frame(mouth.recv_multipart()[-1])
        assert isinstance(hello, HelloFrame) and hello.sent_at_ns == line.origin.now_ns()
        line.delivery.close(0.1)
