"""Agents in processes of their own that block on each other, and a real collector: the deadlock shows, and so does its end.

How soon is measured by `python -m tests.benchmarks deadlock`.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.collector.test_processes import free_endpoint, serving
from trajectory.model.fact import Finding, Found
from trajectory.store.contract import Reader
from trajectory.store.sqlite import open_reader

AGENT = """
import json, sys, trajectory
name, other = sys.argv[1:]
trajectory.init(service=name)
headers = json.loads(sys.stdin.readline())
with trajectory.accept(headers, agent=name) if headers else trajectory.agent(name):
    with trajectory.delegate(other, task="What do you know?") as work:
        print(json.dumps(work.headers), flush=True)
        sys.stdin.readline()  # the answer
sys.exit(0 if trajectory.flush(30) else 1)
"""


def begin(endpoint: str, name: str, other: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", AGENT, name, other],
        env={**os.environ, "TRAJECTORY_ENDPOINT": endpoint},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def tell(agent: subprocess.Popen[str], line: str) -> None:
    assert agent.stdin is not None
    agent.stdin.write(line + "\n")
    agent.stdin.flush()


def wait_for(reader: Reader, wanted: Callable[[Finding], bool], deadline_s: float) -> Finding | None:
    """The first deadlock that is as wanted; None where there is none by the deadline of the monotonic clock."""
    while time.monotonic() < deadline_s:
        found = [f for f in reader.findings(kind="flow.deadlock") if wanted(f)]
        if found:
            return found[0]
        os.sched_yield()
    return None


def shown_after_s(reader: Reader, finding: Finding) -> float:
    """From when the last agent asked to when the collector said so."""
    facts = [fact for batch in reader.facts(finding.trace_id) for fact in batch.facts]
    said_ns = min(f.at_ns for f in facts if isinstance(f, Found) and f.finding.key == finding.key)
    return (said_ns - finding.at_ns) / 1e9


@pytest.mark.parametrize("names", [("amy", "ben"), ("amy", "ben", "cal")], ids=len)
def test_agents_that_block_on_each_other_are_told_and_again_when_one_gives_up(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    assert told_after_s(names, tmp_path / "store") >= 0


def told_after_s(names: tuple[str, ...], store: Path) -> float:
    """Lets agents block on each other in a ring; seconds from when the last asked to when the collector said so."""
    endpoint = free_endpoint()
    with serving(endpoint, store):
        agents = [begin(endpoint, name, names[(at + 1) % len(names)]) for at, name in enumerate(names)]
        try:
            headers = "null"
            for agent in agents:
                tell(agent, headers)
                assert agent.stdout is not None
                headers = agent.stdout.readline().strip()
                assert "traceparent" in json.loads(headers)
            reader = open_reader(store)  # the last asks the first, who listens for an answer only
            shown = wait_for(reader, lambda f: f.severity == "warning", time.monotonic() + 20)
            assert shown is not None, [f.message for f in reader.findings()]
            assert shown.value == " → ".join(f"{name}#1" for name in (*names, names[0]))
            for agent in reversed(agents):
                tell(agent, "I give up")
            resolved = wait_for(reader, lambda f: f.severity == "info", time.monotonic() + 20)
            assert resolved is not None and resolved.key == shown.key
            assert [agent.wait(30) for agent in agents] == [0] * len(agents)
            after_s = shown_after_s(reader, shown)
            reader.close()
            return after_s
        finally:
            for agent in agents:
                agent.kill()
                agent.communicate()
