"""The examples of other people's frameworks, run as their reader would: `trajectory run -- python team_in_….py`, no code changed.

Invariant: each program runs in an environment with its framework and what the example says to install, and none of ours. Judged
is what a reader looks for: both agents, the delegation between them, and the 503 that looks fine.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks import AbsentError, Row
from tests.benchmarks._frameworks_env import environment
from tests.benchmarks._frameworks_rows import ROWS
from tests.benchmarks._rounds import REPOSITORY, noted

NAME = "examples"
GOAL = (
    "a team in each framework is seen with its agents, its delegation and the fault in it, without a change to its code"
)

_PROGRAMS = REPOSITORY / "examples" / "frameworks"
_FRAMEWORKS = ("openai-agents", "langgraph", "crewai", "autogen", "pydantic-ai")
_RUN_S = 120


def run() -> list[Row]:
    """A row for each framework."""
    return [_row(framework) for framework in _FRAMEWORKS]


def _row(framework: str) -> Row:
    packages = next(played.packages for played in ROWS if played.framework == framework)
    try:
        python, _ = environment(framework, packages)
    except AbsentError as reason:
        return noted(framework, "not measured", str(reason))
    program = _PROGRAMS / f"team_in_{framework.replace('-', '_')}.py"
    with tempfile.TemporaryDirectory() as room:
        done = subprocess.run(
            [sys.executable, "-m", "trajectory", "run", "--json", "--store", str(Path(room) / "s.db"), "--", python, program],
            capture_output=True, text=True, timeout=_RUN_S, cwd=REPOSITORY,
            env=os.environ | {"XDG_DATA_HOME": room, "TRAJECTORY_STORE": ""},
        )  # fmt: skip
    traces = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    seen = _seen(traces)
    return Row(
        framework,
        "seen",
        ", ".join(filter(None, seen.values())) or f"nothing: {done.stderr.strip()[-200:]}",
        "all",
        all(seen.values()),
    )


def _seen(traces: list[dict[str, Any]]) -> dict[str, str]:
    agents = {re.sub(r"#\d+$", "", agent["name"]) for trace in traces for agent in trace["agents"]}
    edges = [f"{d['source']} to {d['target']}" for trace in traces for d in trace["delegations"]]
    kinds = sorted({finding["kind"] for trace in traces for finding in trace["findings"]})
    return {
        "agents": "both agents" if {"coordinator", "researcher"} <= agents else "",
        "delegation": "the delegation" if set(edges) == {"coordinator to researcher"} else "",
        "fault": " and ".join(kinds) if "tool.silent_failure" in kinds else "",
    }
