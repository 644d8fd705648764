"""The emitter in whole processes: what an import loads, how an exit ends, what a fork becomes."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import trajectory
from trajectory.emitter import ending
from trajectory.model.fact import Heartbeat
from trajectory.testing import FakeCollector


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


def test_import_loads_the_standard_library_only() -> None:
    loaded = run("import sys, trajectory; print(*{name.partition('.')[0] for name in sys.modules})").stdout.split()
    strangers = {name for name in loaded if name not in sys.stdlib_module_names and not name.startswith("_")}
    assert strangers - _of_the_interpreter() == {"trajectory"}
    assert not {"asyncio", "sqlite3", "inspect", "logging"} & set(loaded)


def test_emitting_loads_neither_the_dashboard_nor_the_store() -> None:
    code = """
import sys, trajectory
trajectory.init(endpoint="tcp://127.0.0.1:1")
with trajectory.agent("a"):
    trajectory.thought("x")
while not {"zmq", "msgpack"} <= set(sys.modules):  # which a thread of its own loads
    trajectory.flush(0.2)
print(*{name.partition('.')[0] for name in sys.modules})
"""
    loaded = set(run(code).stdout.split())
    assert {"zmq", "msgpack", "trajectory"} <= loaded
    assert not {"textual", "rich", "networkx", "numpy", "sqlite3", "msgspec", "opentelemetry", "tui"} & loaded


def _of_the_interpreter() -> set[str]:
    """What this interpreter loads for itself, such as editable installs' finders."""
    return {name.partition(".")[0] for name in run("import sys; print(*sys.modules)").stdout.split()}


def test_the_public_names_are_listed_and_found() -> None:
    assert set(trajectory.__all__) <= set(dir(trajectory))
    assert all(callable(getattr(trajectory, name)) for name in trajectory.__all__)
    with pytest.raises(AttributeError):
        trajectory.absent  # noqa: B018


def test_the_model_room_can_be_called_whenever_it_is_imported() -> None:
    code = """
import trajectory
trajectory.model("a")
import trajectory.model.words as words
from trajectory.model import content
from trajectory import model
assert words.Surface.COGNITIVE and content.TEXT
print(type(trajectory.model("b")).__name__, type(model("c")).__name__)
"""
    assert run(code).stdout.split() == ["ModelSpan", "ModelSpan"]


def test_an_exit_delivers_what_was_emitted(collector: FakeCollector) -> None:
    code = """
import trajectory
with trajectory.agent("planner"):
    for index in range(2000):
        with trajectory.span("step"):
            pass
"""
    run(code, TRAJECTORY_ENDPOINT=collector.endpoint, TRAJECTORY_SERVICE="short")
    (source,) = collector.sources()
    assert source.said_bye
    assert source.resource["service.name"] == "short"
    assert len(collector.spans("step")) == 2000
    assert not any(span.open for span in collector.spans())


def test_an_exit_without_a_collector_is_quick_and_silent() -> None:
    code = "import trajectory\nwith trajectory.span('work'): pass"
    began_s = time.monotonic()
    done = run(code, TRAJECTORY_ENDPOINT="tcp://127.0.0.1:1")
    assert (done.stdout, done.stderr) == ("", "")
    assert time.monotonic() - began_s < 5


def test_an_exit_by_an_exception_tells_of_it(collector: FakeCollector) -> None:
    code = """
import sys, trajectory
with trajectory.agent("planner"):
    sys.exit(0)
"""
    run(code, TRAJECTORY_ENDPOINT=collector.endpoint)
    assert collector.spans()[0].attributes["trajectory.interrupted"] == "SystemExit"


def test_a_forked_child_is_another_source_below_the_same_span(collector: FakeCollector) -> None:
    code = """
import os, trajectory
with trajectory.agent("parent"):
    with trajectory.span("before"):
        pass
    trajectory.flush(5)
    child = os.fork()
    with trajectory.span("in child" if child == 0 else "in parent"):
        pass
    if child == 0:
        trajectory.flush(5)
if child == 0:
    trajectory.flush(5)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    run(code, TRAJECTORY_ENDPOINT=collector.endpoint)
    parent, child = sorted(collector.sources(), key=lambda source: -len(source.facts))
    assert parent.resource["process.pid"] != child.resource["process.pid"]
    assert [sum(not isinstance(fact, Heartbeat) for fact in one.facts.values()) for one in (parent, child)] == [6, 2]
    spans = {span.name: span for span in collector.spans()}
    agent = spans["invoke_agent parent"]
    assert spans["in child"].parent_id == spans["in parent"].parent_id == agent.span_id
    assert len({span.span_id for span in spans.values()}) == 4
    assert agent.status == "ok"


def test_many_forks_while_the_parent_emits_lose_no_childs_facts(collector: FakeCollector) -> None:
    code = """
import os, trajectory
children = []
for number in range(20):
    with trajectory.span(f"before {number}", attributes={"text": "word " * 2000}):
        child = os.fork()
    if child == 0:
        with trajectory.span("in child", attributes={"text": "word " * 100}):
            pass
        os._exit(0 if trajectory.flush(20) else 1)
    children.append(child)
assert [os.waitpid(child, 0)[1] for child in children] == [0] * 20
"""
    run(code, TRAJECTORY_ENDPOINT=collector.endpoint)
    assert len(collector.spans("in child")) == 20


def test_forked_workers_of_a_pool_deliver_at_their_end(collector: FakeCollector, tmp_path: Path) -> None:
    script = tmp_path / "pool.py"
    script.write_text(
        """
import multiprocessing, sys, trajectory

def work(index):
    with trajectory.span("item"):
        return index

if __name__ == "__main__":
    with trajectory.agent("parent"):
        context = multiprocessing.get_context(sys.argv[1])
        workers = [context.Process(target=work, args=(index,)) for index in range(3)]
        [worker.start() for worker in workers]
        [worker.join() for worker in workers]
"""
    )
    for method in ("fork", "spawn"):
        assert method in multiprocessing.get_all_start_methods()
        environment = {**os.environ, "TRAJECTORY_ENDPOINT": collector.endpoint}
        subprocess.run([sys.executable, str(script), method], env=environment, timeout=60, check=True)
    items = collector.spans("item")
    assert len(items) == 6
    assert all(not span.open for span in items)
    assert len(collector.sources()) == 8


def test_the_baton_crosses_processes(collector: FakeCollector) -> None:
    code = """
import json, os, trajectory
with trajectory.accept(json.loads(os.environ["BATON"]), agent="booker") as work:
    work.returned("done")
"""
    trajectory.init(service="parent", endpoint=collector.endpoint)
    with trajectory.session("chat"), trajectory.agent("planner"), trajectory.delegate("booker") as work:
        run(code, TRAJECTORY_ENDPOINT=collector.endpoint, BATON=json.dumps(work.headers))
    assert trajectory.flush(5)
    spans = {span.name: span for span in collector.spans()}
    delegation, accepted = spans["delegate booker"], spans["invoke_agent booker"]
    assert (accepted.parent_id, accepted.trace_id) == (delegation.span_id, delegation.trace_id)
    assert accepted.attributes["gen_ai.conversation.id"] == "chat"


@pytest.fixture
def sigterm() -> Iterator[list[int]]:
    """The numbers that the agent's own handler of SIGTERM was given."""
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    yield heard
    signal.signal(signal.SIGTERM, before)


def test_the_agents_own_handler_of_sigterm_is_asked_once_whatever_fails_before_it(
    sigterm: list[int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing:
        def flush(self, timeout_s: float) -> bool:
            raise RuntimeError("no more")

    for _ in range(2):  # the second time we stand there already
        ending.deliver_on_sigterm()
    monkeypatch.setattr("trajectory.emitter.tracer.default", Failing())
    os.kill(os.getpid(), signal.SIGTERM)
    monkeypatch.setattr("trajectory.emitter.tracer.default", None)
    os.kill(os.getpid(), signal.SIGTERM)
    assert sigterm == [signal.SIGTERM] * 2 and caplog.text.count("not all was delivered at SIGTERM") == 1


def test_a_handler_of_sigterm_that_a_thread_wants_is_not_there_and_that_is_said(
    sigterm: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=ending.deliver_on_sigterm)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is before and "SIGTERM stays as it is" in caplog.text
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ending.deliver_on_sigterm()
    os.kill(os.getpid(), signal.SIGTERM)  # ignored before, and now
