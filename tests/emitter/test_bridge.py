"""An OpenTelemetry SDK's spans over our own wire: live from their start, whole at their end, never in the program's way."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Link, StatusCode

import trajectory
from trajectory.emitter import bridge
from trajectory.model.fact import Gap, Payload, SpanEnded, SpanEvent, SpanLinked, SpanStarted
from trajectory.otel import SpanProcessor
from trajectory.testing import FakeCollector

KEY = "sk-proj-" + "a1B2c3D4e5F6g7H8" * 3


def provider_to(collector: FakeCollector) -> tuple[TracerProvider, SpanProcessor]:
    processor = SpanProcessor(collector.endpoint)
    provider = TracerProvider(resource=Resource.create({"service.name": "trips"}), shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return provider, processor


def of(collector: FakeCollector, *kinds: type) -> list[object]:
    return [fact for fact in collector.facts if isinstance(fact, kinds)]


def test_a_span_is_shown_from_its_start_and_whole_at_its_end(collector: FakeCollector) -> None:
    provider, processor = provider_to(collector)
    tracer = provider.get_tracer("somebody's")
    with (
        tracer.start_as_current_span(
            "invoke_agent planner", attributes={"gen_ai.operation.name": "invoke_agent"}
        ) as outer,
        tracer.start_as_current_span("execute_tool search", links=[Link(outer.get_span_context())]) as inner,
    ):
        inner.set_attribute("gen_ai.tool.name", "search")
        inner.set_attribute("gen_ai.tool.call.result", '{"hotels": ["H7"]}')
        inner.add_event("cut", {"at": 3})
        inner.set_status(StatusCode.ERROR, "no more pages")
        assert processor.force_flush()
        assert len(of(collector, SpanStarted)) == 2 and not of(collector, SpanEnded)
    assert processor.force_flush()
    told = {fact.span_id: fact for fact in collector.facts if isinstance(fact, SpanStarted)}  # the last start of each
    tool = told[inner.get_span_context().span_id.to_bytes(8, "big")]
    agent = told[outer.get_span_context().span_id.to_bytes(8, "big")]
    assert (agent.kind, agent.agent, tool.kind, tool.name) == ("agent", "planner", "tool", "search")
    assert tool.parent_id == agent.span_id and tool.trace_id == agent.trace_id
    (ended,) = (fact for fact in collector.facts if isinstance(fact, SpanEnded) and fact.span_id == tool.span_id)
    assert (ended.status, ended.message) == ("error", "no more pages")
    bodies = {fact.digest: fact.body for fact in collector.facts if isinstance(fact, Payload)}
    assert [bodies[digest] for digest in ended.contents["result"]] == [b'{"hotels":["H7"]}']
    assert [event.name for event in collector.facts if isinstance(event, SpanEvent)] == ["cut"]
    assert [link.to_span_id for link in collector.facts if isinstance(link, SpanLinked)] == [agent.span_id] * 2
    processor.shutdown()


def test_secrets_stay_in_the_process(collector: FakeCollector) -> None:
    provider, processor = provider_to(collector)
    with provider.get_tracer("x").start_as_current_span("execute_tool login") as span:
        span.set_attribute("note", f"the key is {KEY}")
        span.set_attribute("gen_ai.tool.call.arguments", f'{{"api_key": "{KEY}"}}')
    assert processor.force_flush()
    assert of(collector, SpanEnded) and KEY not in repr(collector.facts)
    processor.shutdown()


def test_every_span_of_many_threads_arrives_once(collector: FakeCollector) -> None:
    provider, processor = provider_to(collector)
    tracer = provider.get_tracer("x")

    def work() -> None:
        for number in range(200):
            with tracer.start_as_current_span(f"step {number}"):
                pass

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert processor.force_flush()
    ends = [fact.span_id for fact in collector.facts if isinstance(fact, SpanEnded)]
    assert len(ends) == len(set(ends)) == 1000
    processor.shutdown()


def test_a_span_that_cannot_be_read_is_counted_and_the_others_go_on(
    collector: FakeCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider, processor = provider_to(collector)
    tracer = provider.get_tracer("x")
    with tracer.start_as_current_span("before"):
        pass
    assert processor.force_flush()
    facts_of = bridge.facts_of
    monkeypatch.setattr(bridge, "facts_of", lambda span, slots: facts_of(span, slots) if span.name != "odd" else 1 / 0)
    for name in ("odd", "after"):
        with tracer.start_as_current_span(name):
            pass
    assert processor.force_flush()
    assert {fact.name for fact in collector.facts if isinstance(fact, SpanStarted)} == {"before", "after"}
    assert sum(fact.count for fact in collector.facts if isinstance(fact, Gap)) == 2  # its start, and its end
    processor.shutdown()


def test_a_program_that_just_ends_has_sent_all_and_a_forked_child_sends_its_own(collector: FakeCollector) -> None:
    code = f"""
import os
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from trajectory.otel import SpanProcessor
provider = TracerProvider()
provider.add_span_processor(SpanProcessor({collector.endpoint!r}))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("x")
with tracer.start_as_current_span("parent"):
    pass
pid = os.fork()
with tracer.start_as_current_span("child" if pid == 0 else "after"):
    pass
if pid:
    os.waitpid(pid, 0)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env=dict(os.environ))
    names = sorted(fact.name for fact in collector.facts if isinstance(fact, SpanStarted))
    assert sorted(set(names)) == ["after", "child", "parent"]
    assert len([fact for fact in collector.facts if isinstance(fact, SpanEnded)]) == 3


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_workers_of_multiprocessing_lose_nothing_at_their_end(
    collector: FakeCollector, tmp_path: Path, method: str
) -> None:
    code = f"""
import multiprocessing
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from trajectory.otel import SpanProcessor
def begin():
    provider = TracerProvider()
    provider.add_span_processor(SpanProcessor({collector.endpoint!r}))
    return provider.get_tracer("x")
def work(number):
    with begin().start_as_current_span(f"work {{number}}"):
        pass
if __name__ == "__main__":
    workers = [multiprocessing.get_context({method!r}).Process(target=work, args=(n,)) for n in range(6)]
    [worker.start() for worker in workers]
    [worker.join() for worker in workers]
"""
    script = tmp_path / "workers.py"
    script.write_text(code)
    subprocess.run([sys.executable, script], check=True, timeout=90, env=dict(os.environ))
    ends = [fact for fact in collector.facts if isinstance(fact, SpanEnded)]
    assert len(ends) == 6


def test_spans_of_both_kinds_inside_each_other_are_one_trace(collector: FakeCollector) -> None:
    provider, processor = provider_to(collector)
    trajectory.init(service="trips", endpoint=collector.endpoint)
    tracer = provider.get_tracer("x")
    with (
        trajectory.agent("planner") as ours,
        tracer.start_as_current_span("theirs in ours") as theirs,
        tracer.start_as_current_span("below"),
    ):
        pass
    with (
        tracer.start_as_current_span("outer") as outer,
        trajectory.tool("ours in theirs") as inner,
        tracer.start_as_current_span("deep"),  # in the same trace as the outermost
    ):
        pass
    assert processor.force_flush() and trajectory.flush(5)
    starts = {fact.name: fact for fact in collector.facts if isinstance(fact, SpanStarted)}
    assert starts["theirs in ours"].parent_id == ours.span_id
    assert starts["below"].parent_id == theirs.get_span_context().span_id.to_bytes(8, "big")
    assert starts["below"].trace_id == starts["theirs in ours"].trace_id == ours.trace_id
    assert starts["ours in theirs"].trace_id == starts["outer"].trace_id == inner.trace_id
    assert starts["ours in theirs"].parent_id == outer.get_span_context().span_id.to_bytes(8, "big")
    assert starts["ours in theirs"].agent == ""
    assert starts["deep"].trace_id == inner.trace_id
    processor.shutdown()


def test_where_no_collector_is_the_program_does_not_wait() -> None:
    processor = SpanProcessor("tcp://127.0.0.1:1")
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    with provider.get_tracer("x").start_as_current_span("alone"):
        pass
    assert not processor.force_flush(200)
    processor.shutdown()
    with provider.get_tracer("x").start_as_current_span("late"):
        pass  # and it hears nothing of it


def test_before_the_first_span_there_is_nothing_to_wait_for() -> None:
    processor = SpanProcessor("tcp://127.0.0.1:1")
    assert processor.force_flush(0)
    processor.shutdown()


def test_of_traces_begun_inside_ours_only_so_many_are_remembered(
    collector: FakeCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge, "_MOST_ADOPTED", 2)
    provider, processor = provider_to(collector)
    trajectory.init(service="trips", endpoint=collector.endpoint)
    for _ in range(5):
        with trajectory.agent("planner"), provider.get_tracer("x").start_as_current_span("theirs"):
            pass
    assert len(bridge._adopted) <= 2
    processor.shutdown()
