"""Runs the command line as a user does: a process of its own, what it printed, how it ended."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

DEADLINE_S = 30.0


class Done(NamedTuple):
    code: int
    out: str
    err: str

    def json_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


def trajectory(*words: str | Path, timeout_s: float = 60, **environment: str) -> Done:
    """One command, to its end, without a terminal."""
    run = subprocess.run(
        [sys.executable, "-P", "-m", "trajectory", *map(str, words)],
        env=os.environ | environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=False,
    )  # fmt: skip
    return Done(run.returncode, run.stdout, run.stderr)


def free_endpoint() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


@contextmanager
def serving(store: Path, endpoint: str, *words: str) -> Iterator["subprocess.Popen[str]"]:
    """A collector that listens; stopped at the end unless it was killed before."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "trajectory", "serve", "--bind", endpoint, "--store", str(store), *words],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        assert line.startswith("listening on"), line + process.stderr.read()
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(20)
        process.stderr.close()


def until(is_so: Callable[[], Any], what: Callable[[], str] = lambda: "") -> Any:
    """Waits for a condition, up to a deadline."""
    ends_s = time.monotonic() + DEADLINE_S
    while not (found := is_so()):
        assert time.monotonic() < ends_s, what()
        time.sleep(0.05)
    return found
