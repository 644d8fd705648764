"""Every example runs as its reader would run it, is short, and does what it says."""

import http.client
import json
import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from trajectory.alerting.channels.registry import kinds
from trajectory.alerting.channels.webhook import SIGNATURE, signature
from trajectory.alerting.policy_file import read_policy
from trajectory.testing import FakeCollector

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, endpoint: str) -> str:
    environment = os.environ | {"TRAJECTORY_ENDPOINT": endpoint}
    done = subprocess.run(
        [sys.executable, EXAMPLES / name], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "path", sorted([*EXAMPLES.glob("*.py"), *EXAMPLES.glob("frameworks/*.py")]), ids=lambda p: p.name
)
def test_an_example_is_under_sixty_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 60


def test_wrapped_agents_in_one_process_are_seen_with_their_tools_and_models() -> None:
    with FakeCollector() as collector:
        assert "Book H7, 840 EUR" in run("wrap_agents.py", collector.endpoint)
        assert {s.agent for s in collector.spans(kind="agent")} == {"coordinator", "researcher"}
        assert [s.name for s in collector.spans(kind="tool")] == ["search_hotels"]
        assert len(collector.spans(kind="model")) == 1


def test_two_processes_make_one_trace() -> None:
    with FakeCollector() as collector:
        assert "840 EUR" in run("two_processes.py", collector.endpoint)
        spans = collector.spans()
        assert len({s.trace_id for s in spans}) == 1
        (sent,) = collector.spans(kind="delegation")
        (accepted,) = [s for s in collector.spans(kind="agent") if s.agent == "booker"]
        assert accepted.parent_id == sent.span_id
        assert len(collector.sources()) == 2


def test_a_program_that_speaks_opentelemetry_is_heard_with_its_delegation() -> None:
    with FakeCollector() as collector:
        assert "503" in run("opentelemetry_program.py", collector.endpoint)
        assert {s.agent for s in collector.spans(kind="agent")} == {"coordinator", "researcher"}
        assert "search_hotels" in {s.name for s in collector.spans(kind="tool")}
        assert all(not s.open for s in collector.spans())


def test_a_detector_of_ones_own_finds_what_it_looks_for() -> None:
    with FakeCollector() as collector:
        assert run("own_detector.py", collector.endpoint) == "oracle answered without looking anything up.\n"


def test_the_policy_of_alerts_is_one_and_says_where_each_secret_comes_from() -> None:
    policy = read_policy(EXAMPLES / "alerts.toml")
    assert {channel.kind for channel in policy.channels.values()} == set(kinds())
    assert (
        policy.rules and policy.checks and policy.quiet and set(policy.by_severity) == {"critical", "warning", "info"}
    )
    secrets = [
        value
        for channel in policy.channels.values()
        for key, value in channel.options.items()
        if key in ("secret", "token", "password", "routing_key")
    ]
    assert secrets and all(value.startswith(("env:", "file:")) for value in secrets)


def test_an_exported_graph_is_read_and_says_which_hand_over_lost_what(tmp_path: Path) -> None:
    graph = {
        "directed": True, "multigraph": True, "graph": {},
        "nodes": [{"id": "planner", "errors": 0}, {"id": "buyer", "errors": 1}],
        "edges": [
            {"source": "planner", "target": "buyer", "key": "e0", "lost": 2, "arrived": 3, "needed": 5, "grade": "observed"},
        ],
    }  # fmt: skip
    path = tmp_path / "graph.json"
    path.write_text(json.dumps(graph))
    done = subprocess.run(
        [sys.executable, EXAMPLES / "read_graph.py", path], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines() == [
        "planner -> buyer: 3 of 5 items arrived (observed)",
        "planner has buyer below it, 0 errors of its own",
    ]


def test_alerts_are_heard_where_they_are_signed_and_refused_where_not() -> None:
    said = {"action": "open", "severity": "warning", "title": "context.lost", "link": "trajectory://ab"}
    body = json.dumps(said).encode()
    environment = os.environ | {"HOOK_SECRET": "s3cret"}
    command = [sys.executable, EXAMPLES / "hear_alerts.py", "0"]
    hook = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    with hook:
        assert hook.stdout is not None
        place = hook.stdout.readline().split("//")[1].strip().rstrip("/")
        signed = [
            signature("s3cret", int(time.time()), body),
            signature("other", int(time.time()), body),
            signature("s3cret", 5, body),
        ]
        assert [_post(place, body, header) for header in signed] == [204, 401, 401]
        assert hook.stdout.readline() == "open        warning  context.lost  trajectory://ab\n"
        hook.terminate()


def _post(place: str, body: bytes, header: str) -> int:
    with closing(http.client.HTTPConnection(place, timeout=20)) as connection:
        connection.request("POST", "/", body, {SIGNATURE: header})
        return connection.getresponse().status
