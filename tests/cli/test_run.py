"""`trajectory run`: a program runs as it would without, its agents are heard, and what could not be heard is said."""

import argparse
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from tests.alerting.servers import http_server
from tests.cli.terminal import Done, free_endpoint, serving, trajectory, until
from tests.cli.test_leaving import Window
from tests.collector.builders import SOURCE, ended, started
from trajectory.cli.run import _replay, _Run, _stop, _wait
from trajectory.cli.run_place import Place, _store_of_collector
from trajectory.cli.wiring import environment_for, service_of
from trajectory.collector.pipeline import Pipeline
from trajectory.emitter.api import instrument
from trajectory.model.fact import Batch
from trajectory.store.sqlite import open_writer

PROGRAM = """
import sys
from opentelemetry import trace
tracer = trace.get_tracer("somebody's framework")
with tracer.start_as_current_span("invoke_agent planner", attributes={"gen_ai.operation.name": "invoke_agent"}):
    with tracer.start_as_current_span("execute_tool search") as tool:
        tool.set_attribute("gen_ai.tool.name", "search")
        tool.set_attribute("gen_ai.tool.call.result", "Error: 503 Service Unavailable")
print("said", *sys.argv[1:])
sys.exit(len(sys.argv) - 1)
"""


def program(folder: Path, code: str = PROGRAM) -> Path:
    path = folder / "app.py"
    path.write_text(code)
    return path


def run(store: Path, *words: object, **environment: str) -> Done:
    environment = {"TRAJECTORY_ENDPOINT": free_endpoint(), **environment}
    return trajectory("run", "--store", store, *map(str, words), **environment)


def test_a_program_runs_as_it_would_and_what_its_agents_did_is_shown(tmp_path: Path) -> None:
    policy = tmp_path / "alerts.toml"
    with http_server() as seen:
        policy.write_text(f'[channels.ops]\ntype = "webhook"\nurl = "{seen.url}"\n')
        words = ("--", sys.executable, program(tmp_path), "one", "two")
        done = run(tmp_path / "s.db", "--alerts", policy, *words)
    assert [got.json["kind"] for got in seen.got] == ["tool.silent_failure"] and "alerts to ops: 1 message" in done.err
    assert done.code == 2 and done.out.startswith("said one two\n") and "the program ended with 2" in done.err
    assert "tool.silent_failure" in done.out and "planner" in done.out


def test_json_is_all_that_standard_output_has_and_a_gate_fails_the_command(tmp_path: Path) -> None:
    done = run(tmp_path / "s.db", "--json", "--fail-on", "warning", "--", sys.executable, program(tmp_path))
    (trace,) = done.json_lines()
    assert [(agent["name"], agent["tool_calls"]) for agent in trace["agents"]] == [("planner", 1)]
    assert trace["service"] == "app"
    assert done.code == 1 and "--fail-on warning" in done.err and "said" in done.err


def test_a_collector_that_is_there_is_used(tmp_path: Path) -> None:
    endpoint, store = free_endpoint(), tmp_path / "there.db"
    with serving(store, endpoint):
        done = trajectory(
            "run", "--headless", "--", sys.executable, program(tmp_path), TRAJECTORY_ENDPOINT=endpoint,
            XDG_DATA_HOME=str(tmp_path / "home"), TRAJECTORY_STORE="",
        )  # fmt: skip
        assert done.code == 0 and f"by the collector at {endpoint}" in done.err and "planner" in done.out
    assert not (tmp_path / "home").exists()


def test_of_a_shared_collector_only_what_the_program_caused_is_shown_and_judged(tmp_path: Path) -> None:
    endpoint, store = free_endpoint(), tmp_path / "there.db"
    (tmp_path / "other.py").write_text(PROGRAM.replace("planner", "stranger"))
    clean = program(tmp_path, PROGRAM.replace("Error: 503 Service Unavailable", "three hotels"))
    with serving(store, endpoint):
        other = run(tmp_path / "x.db", "--connect", endpoint, "--json", "--", sys.executable, tmp_path / "other.py")
        assert len(other.json_lines()) == 1
        bare = {"TRAJECTORY_ENDPOINT": endpoint, "TRAJECTORY_SPOOL_DIR": os.environ["TRAJECTORY_SPOOL_DIR"]}
        code = f"""
import subprocess, sys, runpy
told = "import runpy, sys, trajectory; trajectory.instrument(); runpy.run_path(sys.argv[1])"
subprocess.run([sys.executable, "-c", told, {str(tmp_path / "other.py")!r}], env={bare!r})
sys.argv = ["app.py"]
runpy.run_path({str(clean)!r})
"""
        both = tmp_path / "both.py"
        both.write_text(code)
        done = run(
            tmp_path / "x.db", "--connect", endpoint, "--json", "--fail-on", "warning", "--", sys.executable, both
        )
        (trace,) = done.json_lines()
    assert done.code == 0 and [agent["name"] for agent in trace["agents"]] == ["planner"]
    assert (
        len(trajectory("traces", "--ids", "--store", store).out.split()) == 3
    )  # the stranger's are there, and not shown


def test_every_trace_is_judged_however_many_there_are(tmp_path: Path) -> None:
    code = """
from opentelemetry import trace
tracer = trace.get_tracer("x")
for number in range(30):
    with tracer.start_as_current_span("execute_tool search") as tool:
        tool.set_attribute("gen_ai.tool.call.result", "fine" if number else "Error: 503 Service Unavailable")
"""
    done = run(tmp_path / "s.db", "--json", "--fail-on", "warning", "--", sys.executable, program(tmp_path, code))
    assert len(done.json_lines()) == 30 and done.code == 1


def test_a_store_that_is_served_is_reached_by_its_collector(tmp_path: Path) -> None:
    store = tmp_path / "there.db"
    with serving(store, "tcp://127.0.0.1:*"):
        done = run(store, "--", sys.executable, program(tmp_path))
        assert done.code == 0 and "by the collector at tcp://127.0.0.1:" in done.err and "planner" in done.out
        refused = run(store, "--alerts", tmp_path / "alerts.toml", "--", sys.executable, program(tmp_path))
        assert refused.code == 2 and "tells as its own policy says" in refused.err and "said" not in refused.out


def test_a_collector_that_is_named_and_not_there_is_said_so(tmp_path: Path) -> None:
    done = trajectory(
        "run", "--headless", "--", sys.executable, program(tmp_path), TRAJECTORY_STORE=str(tmp_path / "s.db"),
        TRAJECTORY_ENDPOINT="tcp://127.0.0.1:1",
    )  # fmt: skip
    assert done.code == 0 and "another collector is started" in done.err and "planner" in done.out
    refused = run(tmp_path / "s.db", "--connect", "tcp://127.0.0.1:1", "--", sys.executable, program(tmp_path))
    assert refused.code == 2 and "said" not in refused.out


def test_a_key_is_handed_on_to_the_program(tmp_path: Path) -> None:
    endpoint, keys = free_endpoint(), str(tmp_path / "keys")
    assert trajectory("keys", "init", "--keys", keys).code == 0
    for name in ("admin", "emit"):
        assert trajectory("keys", "add", name, "--role", name, "--keys", keys).code == 0
    with serving(tmp_path / "there.db", endpoint, "--keys", keys):
        words = ("--connect", endpoint, "--", sys.executable, program(tmp_path))
        done = run(tmp_path / "x.db", "--key", f"{keys}/admin.key", *words)
        assert done.code == 0 and "planner" in done.out, done.err
        blind = run(tmp_path / "x.db", "--key", f"{keys}/emit.key", *words)
        assert blind.code == 0 and "no summary" in blind.err and blind.out == "said\n"
    assert len(trajectory("traces", "--json", "--store", tmp_path / "there.db").json_lines()) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_ends_the_command_ends_the_program_too_and_leaves_no_folder(tmp_path: Path, number: int) -> None:
    code = "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)"
    command = [sys.executable, "-P", "-m", "trajectory", "run", "--headless", "--store", str(tmp_path / "s.db"), "--"]
    environment = os.environ | {"TMPDIR": str(tmp_path), "TRAJECTORY_ENDPOINT": free_endpoint()}
    with subprocess.Popen(
        [*command, sys.executable, "-u", str(program(tmp_path, code))], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:  # fmt: skip
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.send_signal(number)
        assert process.wait(30) == 128 + number
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not list(tmp_path.glob("trajectory-run-*"))


STORED_LATE = """
import os, sys
from pathlib import Path
from opentelemetry import trace
with trace.get_tracer("x").start_as_current_span("invoke_agent planner", attributes={"gen_ai.agent.name": "planner"}):
    pass
trace.get_tracer_provider().force_flush()
parent = os.getppid()
children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
print(next(pid for pid in children if b"--lifeline" in Path(f"/proc/{pid}/cmdline").read_bytes()), flush=True)
sys.stdin.readline()
sys.exit(3)
"""


def is_asked_to_end(pid: int) -> bool:
    """Whether a SIGTERM waits for a process that stands still."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    waiting = next(int(line.split()[1], 16) for line in status if line.startswith("ShdPnd"))
    return bool(waiting >> (signal.SIGTERM - 1) & 1)


@contextmanager
def storing(tmp_path: Path) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """`trajectory run` after its program has ended, and the collector that is to store: it stands still, and goes on after."""
    command = [sys.executable, "-P", "-m", "trajectory", "run", "--headless", "--store", str(tmp_path / "s.db"), "--"]
    environment = os.environ | {"TMPDIR": str(tmp_path), "TRAJECTORY_ENDPOINT": free_endpoint()}
    with subprocess.Popen(
        [*command, sys.executable, str(program(tmp_path, STORED_LATE))], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdin is not None and process.stdout is not None
        collector = int(process.stdout.readline())
        os.kill(collector, signal.SIGSTOP)
        try:
            process.stdin.write("\n")
            process.stdin.flush()
            until(lambda: is_asked_to_end(collector))
            yield process, collector
        finally:
            with suppress(ProcessLookupError):
                os.kill(collector, signal.SIGCONT)
            process.kill()


def press_ctrl_c(process: "subprocess.Popen[str]") -> None:
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to every process in front


ON_LINUX = pytest.mark.skipif(
    not hasattr(os, "pidfd_open"), reason="children and waiting signals are read as Linux says them"
)


@ON_LINUX
def test_a_ctrl_c_while_what_came_is_being_stored_is_answered_and_costs_nothing(tmp_path: Path) -> None:
    with storing(tmp_path) as (process, collector):
        assert process.stdout is not None and process.stderr is not None
        press_ctrl_c(process)
        assert any("what came is being stored; ctrl-c again" in line for line in iter(process.stderr.readline, ""))
        os.kill(collector, signal.SIGCONT)
        assert "planner" in process.stdout.read()
        assert "the program ended with 3" in process.stderr.read()
        assert process.wait(30) == 3


@ON_LINUX
def test_a_second_ctrl_c_leaves_the_storing_to_the_collector(tmp_path: Path) -> None:
    with storing(tmp_path) as (process, collector):
        assert process.stderr is not None
        ended = os.pidfd_open(collector)
        press_ctrl_c(process)
        assert any("what came is being stored" in line for line in iter(process.stderr.readline, ""))
        press_ctrl_c(process)
        assert process.wait(30) == 130 and "Traceback" not in process.stderr.read()
        os.kill(collector, signal.SIGCONT)
        assert select.select([ended], [], [], 30)[0]
        os.close(ended)
    assert not list(tmp_path.glob("trajectory-run-*"))
    (trace,) = trajectory("traces", "--json", "--store", tmp_path / "s.db").json_lines()
    assert trace["title"] == "invoke_agent planner"


def test_a_signal_without_a_name_ends_a_program_as_any_other(tmp_path: Path) -> None:
    done = run(tmp_path / "s.db", "--", sys.executable, program(tmp_path, "import os\nos.kill(os.getpid(), 40)"))
    assert done.code == 168 and "signal 40" in done.err


def test_a_program_with_a_provider_of_its_own_is_heard_once_and_its_sitecustomize_runs(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text("import os\nif os.environ.get('TRAJECTORY_RUN'):\n    print('mine')\n")
    code = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
trace.set_tracer_provider(TracerProvider())
import sys
assert not [name for name in sys.path if "injected" in name]
""" + PROGRAM.replace("import sys", "", 1)  # fmt: skip
    done = run(tmp_path / "s.db", "--", sys.executable, program(tmp_path, code), PYTHONPATH=str(own))
    assert done.code == 0 and done.out.startswith("mine\nsaid\n")
    (trace,) = trajectory("traces", "--json", "--store", tmp_path / "s.db").json_lines()
    assert trace["steps"] == 2


def extension(folder: Path, distribution: str, name: str, code: str, group: str = "opentelemetry_instrumentor") -> None:
    """An installed package that registers an `Instrumentor` under an entry point, as those of OpenTelemetry's family do."""
    module = distribution.replace("-", "_")
    folder.mkdir(exist_ok=True)
    (folder / f"{module}.py").write_text(code)
    about = folder / f"{module}-1.2.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
    (about / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}:Instrumentor\n")


INSTRUMENTOR = """
class Instrumentor:
    def _check_dependency_conflicts(self):
        return {conflict!r}
    def instrument(self, tracer_provider):
        with tracer_provider.get_tracer("x").start_as_current_span({span!r}):
            {action}
"""


def test_a_detector_that_cannot_be_loaded_or_is_none_stops_nobody_and_is_told_in_a_line_with_its_reason(
    tmp_path: Path,
) -> None:
    site = tmp_path / "site"
    extension(site, "broken", "mine", "import no_such_module", "trajectory.detectors")
    extension(site, "loud", "loud", "raise RuntimeError('two\\nlines \x1b[2J')", "trajectory.detectors")
    done = run(
        tmp_path / "s.db", "--", sys.executable, program(tmp_path), PYTHONPATH=str(site), TRAJECTORY_DETECTORS="-cascad"
    )
    assert done.code == 0 and "tool.silent_failure" in done.out
    assert done.err.splitlines()[:3] == [
        "detector loud cannot be loaded: RuntimeError: two⏎lines ␛[2J",
        "detector mine cannot be loaded: ModuleNotFoundError: No module named 'no_such_module'",
        "TRAJECTORY_DETECTORS: there is no detector cascad; did you mean cascade?",
    ]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("os.kill(writer_of(Path(sys.argv[1]))[0], 9)", "the collector ended too early: what it had not taken waits"),
        ("tell_nonsense()", "the collector: stopped after 2 facts: 0 lost, 1 quarantined"),
        ("pass", ""),
    ],
    ids=["killed", "nonsense", "well"],
)
def test_what_a_collector_has_to_say_while_it_listens_is_said_at_the_end_and_nothing_where_all_is_well(
    tmp_path: Path, code: str, said: str
) -> None:
    script = program(tmp_path, f"{LOOKING_ON}\n{code}\n")
    done = run(tmp_path / "s.db", "--", sys.executable, script, tmp_path / "s.db")
    assert done.code == 0
    between = done.err.splitlines()[1:-1]  # after where it is traced into, before how to look again
    assert [line[: len(said)] for line in between] == ([said] if said else [])


LOOKING_ON = """
import os, sys, time
from pathlib import Path
import trajectory, zmq
from trajectory.store.lock import writer_of

trajectory.init(service="looker")
with trajectory.agent("looker"):
    pass
assert trajectory.flush(timeout_s=10)

def tell_nonsense():
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.connect(os.environ["TRAJECTORY_ENDPOINT"])
        socket.send(b"nonsense")
        assert socket.poll(10_000)
"""


def test_each_package_is_instrumented_once_by_the_family_that_says_most(tmp_path: Path) -> None:
    site = tmp_path / "site"
    for distribution, name, span, conflict, action in (
        ("openinference-instrumentation-robots", "robots", "theirs", None, "pass"),
        ("opentelemetry-instrumentation-robots", "robots", "second choice", None, "pass"),
        ("opentelemetry-instrumentation-absent", "absent", "not installed", "conflict", "pass"),
        ("opentelemetry-instrumentation-broken", "broken", "broken", None, "raise RuntimeError('no such method')"),
        ("opentelemetry-instrumentation-unwanted", "unwanted", "unwanted", None, "pass"),
    ):
        code = INSTRUMENTOR.format(conflict=conflict, span=span, action=action)
        extension(site, distribution, name, code)
    done = run(
        tmp_path / "s.db", "--", sys.executable, program(tmp_path, "pass"),
        PYTHONPATH=str(site), OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="unwanted",
    )  # fmt: skip
    assert "instrumented: robots by openinference-instrumentation-robots 1.2\n" in done.err
    assert "not instrumented: broken (opentelemetry-instrumentation-broken): RuntimeError: no such method" in done.err
    titles = {row["title"] for row in trajectory("traces", "--json", "--store", tmp_path / "s.db").json_lines()}
    assert titles == {"theirs", "broken"}


def test_what_a_program_uses_and_nobody_tells_of_is_named_with_the_package_that_would(tmp_path: Path) -> None:
    (tmp_path / "crewai.py").write_text("")
    done = run(tmp_path / "s.db", "--", sys.executable, program(tmp_path, "import crewai"), PYTHONPATH=str(tmp_path))
    assert "nothing tells of crewai: pip install openinference-instrumentation-crewai" in done.err
    assert "no agent was heard of" in done.err


def test_a_program_that_tells_spans_when_asked_is_asked_as_soon_as_it_is_imported(tmp_path: Path) -> None:
    (tmp_path / "pydantic_ai.py").write_text(
        "class Agent:\n    asked = False\n    @classmethod\n    def instrument_all(cls):\n        cls.asked = True\n"
    )
    code = "import pydantic_ai\nprint(pydantic_ai.Agent.asked)"
    done = run(tmp_path / "s.db", "--", sys.executable, program(tmp_path, code), PYTHONPATH=str(tmp_path))
    assert done.out.startswith("True\n") and "pydantic_ai by itself" in done.err


def test_what_cannot_be_run_is_said_in_one_line(tmp_path: Path) -> None:
    for words in (["--", "no-such-command-at-all"], ["--"], []):
        done = run(tmp_path / "s.db", *words)
        assert done.code == 2 and len(done.err.splitlines()) <= 2, done.err


def test_what_the_user_set_stays(tmp_path: Path) -> None:
    given = {"OTEL_SERVICE_NAME": "mine", "PYTHONPATH": "/a", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://elsewhere:4318"}
    wired = environment_for(
        ["python", "app.py"], given, Place("tcp://127.0.0.1:1", "127.0.0.1:2", "", True), str(tmp_path)
    )
    assert {name: wired[name] for name in given if name != "PYTHONPATH"} == {
        name: value for name, value in given.items() if name != "PYTHONPATH"
    }
    assert wired["PYTHONPATH"].endswith(f"{os.pathsep}/a")
    assert wired["TRAJECTORY_ENDPOINT"] == "tcp://127.0.0.1:1"
    bare = environment_for(["python", "app.py"], {}, Place("tcp://127.0.0.1:1", "127.0.0.1:2", "", True), str(tmp_path))
    assert bare["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://127.0.0.1:2" and bare["OTEL_SERVICE_NAME"] == "app"


def test_node_loads_its_instrumentation_where_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "NODE_OPTIONS" not in environment_for(["node", "a.js"], {}, Place("tcp://127.0.0.1:1", "", "", True), "")
    (tmp_path / "node_modules" / "@opentelemetry" / "auto-instrumentations-node").mkdir(parents=True)
    wired = environment_for(
        ["node", "a.js"], {"NODE_OPTIONS": "--max-http-header-size=9"}, Place("tcp://127.0.0.1:1", "", "", True), ""
    )
    assert wired["NODE_OPTIONS"] == (
        "--max-http-header-size=9 --require @opentelemetry/auto-instrumentations-node/register"
    )


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("python app.py", "app"), ("python3.12 -m trips.main x", "trips.main"), ("uv run python trips/app.py", "app"),
        ("uv run trips", "trips"), ("node dist/server.mjs", "server"), ("./agents", "agents"), ("python", "python"),
    ],
)  # fmt: skip
def test_a_program_is_called_by_what_it_runs(command: str, name: str) -> None:
    assert service_of(command.split()) == name


def test_instrument_says_what_it_did_and_never_raises(tmp_path: Path) -> None:
    code = "import json, trajectory\nprint(json.dumps(trajectory.instrument()))\ntrajectory.instrument()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout) == {"instrumented": [], "trouble": [], "missing": []}
    assert callable(instrument)


def test_a_trace_in_which_agents_are_only_made_is_counted_and_not_printed(tmp_path: Path) -> None:
    made = """
from opentelemetry import trace
tracer = trace.get_tracer("x")
with tracer.start_as_current_span("create_agent planner") as span:
    span.set_attribute("gen_ai.operation.name", "create_agent")
"""
    done = run(tmp_path / "s.db", "--headless", "--", sys.executable, program(tmp_path, made + PROGRAM))
    assert "planner" in done.out and "create_agent" not in done.out and "1 more trace" in done.err


def test_on_a_screen_the_dashboard_is_over_it_and_what_it_printed_comes_after(tmp_path: Path) -> None:
    code = PROGRAM + "import pathlib, time\nwhile not pathlib.Path(sys.argv[1]).exists():\n    time.sleep(0.02)\n"
    app = program(tmp_path, code.replace("sys.exit(len(sys.argv) - 1)", "") + "sys.exit(1)")
    words = ("run", "--no-settings", "--store", tmp_path / "s.db", "--", sys.executable, app, tmp_path / "left")
    window = Window("-m", "trajectory", *words)
    try:
        window.read_until(b"planner")
        window.write(b"q")
        window.read_until(b"the program goes on; ctrl-c stops it")
        (tmp_path / "left").touch()
        printed = window.read_until(b"look again: trajectory watch")
        assert window.code() == 1
    finally:
        window.kill()
    assert f"said {tmp_path / 'left'}\r\n".encode() in printed and b"the program ended with 1" in printed
    assert not (Path(os.environ["XDG_CONFIG_HOME"]) / "trajectory" / "settings.toml").exists()


class Interrupted:
    """A program that is waited for, while somebody presses ctrl-c so many times."""

    def __init__(self, count: int) -> None:
        self.left, self.is_ended = count, False

    def wait(self) -> None:
        self.left -= 1
        if self.left >= 0:
            raise KeyboardInterrupt

    def terminate(self) -> None:
        self.is_ended = True


@pytest.mark.parametrize("count", [0, 1, 2])
def test_the_first_ctrl_c_is_the_programs_and_the_second_ends_it(count: int) -> None:
    process = Interrupted(count)
    _wait(process)  # type: ignore[arg-type]
    assert process.is_ended == (count == 2)


def test_a_program_that_does_not_end_when_it_is_asked_to_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trajectory.cli.run._GRACE_S", 0.05)
    command = ["/bin/sh", "-c", "trap '' TERM; echo ready; read x; echo still there"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        _stop(process)
        assert process.returncode == -signal.SIGKILL and process.stdout.read() == b""


def test_of_much_that_was_printed_behind_the_dashboard_the_end_comes_after(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "output").write_bytes(b"first\n" + b"\xff" * 65_535 + b"\n")
    _replay(tmp_path / "output")
    shown = capsys.readouterr()
    assert (
        shown.err == "the last 64 kB of what it printed:\n" and shown.out == "\N{REPLACEMENT CHARACTER}" * 65_535 + "\n"
    )


def reported(folder: Path, there: Place, *command: str) -> int:
    asked = argparse.Namespace(headless=True, json=False, fail_on=None)
    return _Run(asked, [*command], str(folder)).report(there, 0)


def test_a_summary_that_cannot_be_had_is_said_and_a_report_that_cannot_be_read_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, text in enumerate(('{"instrumented": ["x by y"', "[]", '{"instrumented": 3}', '{"trouble": ["z"]}')):
        (tmp_path / f"{number}.json").write_text(text)
    there = Place("tcp://127.0.0.1:1", "", str(tmp_path / "gone.db"), True)
    assert reported(tmp_path, there, "node", "app.js") == 0
    said = capsys.readouterr().err
    assert "there is no summary: no store at" in said and "not instrumented: z\n" in said and "x by y" not in said
    assert "npm install @opentelemetry/api" in said and "no agent was heard of" in said


def test_of_a_shared_store_neither_older_runs_nor_those_of_others_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    later_ns = time.time_ns() + 60_000_000_000
    with closing(open_writer(str(tmp_path / "s.db"))) as writer:
        pipeline = Pipeline(writer, [], time.time_ns)
        facts = [
            each
            for number, at_ns in (
                (1, later_ns),
                (2, later_ns - 3_600_000_000_000),
                (3, later_ns - 50 * 3_600_000_000_000),
            )
            for each in (
                started(number, agent=f"agent-{number}", at_ns=at_ns, trace_id=bytes([number]) * 16),
                ended(number, at_ns=at_ns + 1, trace_id=bytes([number]) * 16),
            )
        ]
        pipeline.store([Batch(SOURCE, 0, facts)])
        pipeline.fold([Batch(SOURCE, 0, facts)])
        pipeline.finish()
    for is_ours in (True, False):
        reported(tmp_path, Place("tcp://127.0.0.1:1", "", str(tmp_path / "s.db"), is_ours), "python", "app.py")
        shown = capsys.readouterr().out
        assert ("agent-1" in shown) == is_ours and "agent-2" not in shown and "agent-3" not in shown


def test_a_collector_that_goes_while_the_program_runs_costs_the_rest_and_no_more(tmp_path: Path) -> None:
    endpoint, store = free_endpoint(), tmp_path / "there.db"
    code = "import os, sys\nos.kill(int(sys.argv[1]), 9)\nprint('said')"
    with serving(store, endpoint) as collector:
        words = ("--connect", endpoint, "--", sys.executable, program(tmp_path, code), collector.pid)
        done = run(tmp_path / "x.db", *words)
    assert done.code == 0 and done.out == "said\n" and "Traceback" not in done.err


def test_only_an_endpoint_that_was_named_is_missed(capsys: pytest.CaptureFixture[str]) -> None:
    assert _store_of_collector(free_endpoint(), "", is_named=False, must=False) is None
    assert capsys.readouterr().err == ""


def test_whatever_is_broken_where_the_program_runs_it_starts_and_that_is_told(tmp_path: Path) -> None:
    about = tmp_path / "site" / "broken-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[opentelemetry_instrumentor]\nno entry\n")
    script = f'PYTHONPATH="$PYTHONPATH:{about.parent}" exec "{sys.executable}" "$@"'
    done = run(tmp_path / "s.db", "--", "/bin/sh", "-c", script, "sh", program(tmp_path, "print('said')"))
    assert (
        done.code == 0 and done.out.startswith("said\n") and "not instrumented: nothing was switched on: " in done.err
    )
