"""Runs the command line as a user does: a process of its own, what it printed, how it ended."""

import functools
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import entry_points
from multiprocessing.context import ForkServerContext
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import Any, NamedTuple

from trajectory.cli import COMMANDS, main

DEADLINE_S = 30.0
_LOADED = [
    *(f"trajectory.cli.{'importing' if name == 'import' else name}" for name in COMMANDS),
    *(f.module for kind in ("detectors", "exporters", "channels") for f in entry_points(group=f"trajectory.{kind}")),
    *("trajectory.collector.at_rest", "trajectory.store.sqlite", "trajectory.detection.blame", "jsonschema"),
]


class Done(NamedTuple):
    code: int
    out: str
    err: str

    def json_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


def trajectory(*words: str | Path, timeout_s: float = 60, **environment: str) -> Done:
    """One command, to its end, without a terminal, in a process of its own.

    It is forked from a server that has loaded the commands already: the same process as any, half a second sooner. Where the
    environment says something to the interpreter itself, an interpreter begins.
    """
    if any(name.startswith("PYTHON") for name in environment):
        run = subprocess.run(
            [sys.executable, "-P", "-m", "trajectory", *map(str, words)],
            env=os.environ | environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s,
            check=False,
        )  # fmt: skip
        return Done(run.returncode, run.stdout, run.stderr)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        pipes = [DupFd(out.fileno()), DupFd(err.fileno())]
        process = _forks().Process(
            target=_command, args=(list(map(str, words)), os.environ | environment, str(Path.cwd()), *pipes)
        )
        process.start()
        process.join(timeout_s)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"trajectory {words} ran for more than {timeout_s} s")
        said = [(file.seek(0), file.read().decode())[1] for file in (out, err)]
    return Done(process.exitcode, *said)


@functools.cache
def _forks() -> ForkServerContext:
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(_LOADED)
    return forks


def _command(words: list[str], environment: dict[str, str], place: str, out: Any, err: Any) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(place)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, pipe in ((1, out), (2, err)):
        os.dup2(pipe.detach(), number)
    sys.argv = ["trajectory", *words]
    sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
    sys.exit(main(words))


def free_endpoint() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


class Served:
    """A command that goes on, as `subprocess.Popen` has it; forked like those of `trajectory`."""

    def __init__(self, words: list[str]) -> None:
        read, write = os.pipe()
        with open(os.devnull, "w") as nowhere, os.fdopen(write, "w") as said:  # noqa: PTH123
            pipes = [DupFd(nowhere.fileno()), DupFd(said.fileno())]
            self._process = _forks().Process(target=_command, args=(words, dict(os.environ), str(Path.cwd()), *pipes))
            self._process.start()
        self.stderr = os.fdopen(read)
        self.pid = self._process.pid or 0

    def poll(self) -> int | None:
        """How it ended, None while it runs."""
        return self._process.exitcode

    def wait(self, timeout_s: float) -> int:
        """The same, at its end. Raises TimeoutError."""
        self._process.join(timeout_s)
        if self._process.exitcode is None:
            raise TimeoutError(f"{self.pid} goes on after {timeout_s} s")
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has ended, and the server of forks has not said so yet
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@contextmanager
def serving(store: Path, endpoint: str, *words: str) -> Iterator[Served]:
    """A collector that listens; stopped at the end unless it was killed before."""
    process = Served(["serve", "--bind", endpoint, "--store", str(store), *words])
    try:
        line = process.stderr.readline()
        assert line.startswith("listening on"), line + process.stderr.read()
        yield process
    finally:
        process.terminate()
        process.wait(20)
        process.stderr.close()


def until(is_so: Callable[[], Any], what: Callable[[], str] = lambda: "") -> Any:
    """Waits for a condition, up to a deadline."""
    ends_s = time.monotonic() + DEADLINE_S
    while not (found := is_so()):
        assert time.monotonic() < ends_s, what()
        time.sleep(0.05)
    return found
