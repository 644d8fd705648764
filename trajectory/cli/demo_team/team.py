"""Starts the demo's team, asks it for the memo, collects the answer, stops it.

Invariant: no process outlives the `Team` that started it, whatever happens, and every wait is bounded. Called by the
command `trajectory demo` and by tests; loads the standard library only, and nothing of the emitter.
"""

import json
import os
import selectors
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import IO

from trajectory.cli.demo_team.talk import AskFailed, ask, collect
from trajectory.cli.demo_team.world import World
from trajectory.errors import TrajectoryError

ROLES = ("planner", "research", "coder", "tester", "writer", "reviewer")
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0

Progress = Callable[[str], None]


@dataclass(frozen=True)
class TeamResult:
    """What a run came to. `exit_codes` are by role; a process that had to be killed has a negative one."""

    answer: str
    trace_id: str
    exit_codes: dict[str, int]


def run_team(endpoint: str, seed: int, pace: float, on_progress: Progress | None = None) -> TeamResult:
    """The result of one whole run with its facts sent to `endpoint`; a collector need not be there.

    `pace` scales all waiting: 1 takes about 15 s, 0.15 about 3 s. `on_progress` gets one line for each step, on this
    thread. Raises TrajectoryError with one line where the team cannot start or fails.
    """
    team = Team(endpoint, seed, pace, on_progress)
    with team:
        answer, trace_id = team.ask()
    return TeamResult(answer, trace_id, team.exit_codes)


class Team:
    """Six running processes; use it with `with`. `stop` may be called from any thread, also while it starts or asks."""

    def __init__(self, endpoint: str, seed: int, pace: float, on_progress: Progress | None = None) -> None:
        self._world = World.of(seed)
        self._arguments = ["--endpoint", endpoint, "--seed", str(seed), "--pace", str(pace)]
        self._say = on_progress or (lambda line: None)
        self._members: dict[str, _Member] = {}
        self._files = ExitStack()
        self._stopped = threading.Event()
        self.exit_codes: dict[str, int] = {}

    def __enter__(self) -> "Team":
        try:
            self._start()
        except BaseException:
            self._close(0.0)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close(STOP_TIMEOUT_S if kind is None else 0.0)

    def ask(self) -> tuple[str, str]:
        """The team's final answer to the user's task, and the trace id. Raises TrajectoryError."""
        self._say("the team works")
        try:
            first = ask(self._members["planner"].address, self._world.task)
            last = collect(first.continued_at) if first.continued_at else first
        except AskFailed as fault:
            self._check_stopped()
            raise TrajectoryError(f"demo: the team gave no answer: {fault}{self._complaints()}") from None
        self._say("the answer is there")
        return last.text, first.trace_id

    def stop(self) -> None:
        """Kills what still runs; starting or asking, where it waits, raises TrajectoryError."""
        self._stopped.set()
        for member in list(self._members.values()):
            member.kill()

    def _check_stopped(self) -> None:
        if self._stopped.is_set():
            raise TrajectoryError("demo: the team was stopped before it had an answer")

    def _start(self) -> None:
        for role in ROLES:
            errors = self._files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  (the stack closes it)
            self._members[role] = _Member(role, self._arguments, errors)
        deadline = time.monotonic() + START_TIMEOUT_S
        for role, member in self._members.items():
            self._check_stopped()
            member.wait_ready(deadline)
            self._say(f"{role} is process {member.pid} on {member.address}")
        self._check_stopped()
        directory = json.dumps({role: member.address for role, member in self._members.items()})
        for member in self._members.values():
            member.tell(directory)

    def _close(self, timeout_s: float) -> None:
        """Ends everybody's input, in order, then waits: each flushes what it still has to say."""
        for member in self._members.values():
            member.end()
        deadline = time.monotonic() + timeout_s
        for role, member in self._members.items():
            self.exit_codes[role] = member.wait(deadline)
        self._files.close()
        self._say("the team has stopped")

    def _complaints(self) -> str:
        lines = [f"{role}: {line}" for role, member in self._members.items() if (line := member.last_words())]
        return f" ({'; '.join(lines)})" if lines else ""


class _Member:
    """One process and the three files that tie it to us."""

    def __init__(self, role: str, arguments: list[str], errors: IO[bytes]) -> None:
        self._role = role
        self._errors = errors
        command = [sys.executable, "-P", "-m", "trajectory.cli.demo_team.member", role, *arguments]
        # The agents import what this process imports, and a Ctrl-C in the terminal is ours alone to act on.
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            start_new_session=True,
        )
        self.address = ""

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_ready(self, deadline: float) -> None:
        """Waits for the process to say where it listens. Raises TrajectoryError with the last line of its complaint."""
        word, _, address = self._read_line(deadline).partition(" ")
        if word != "ready":
            raise TrajectoryError(
                f"demo: the agent {self._role} did not start: {self.last_words() or 'no word from it'}"
            )
        self.address = address

    def _read_line(self, deadline: float) -> str:
        assert self._process.stdout is not None
        line = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n") and selector.select(max(0.0, deadline - time.monotonic())):
                read = os.read(self._process.stdout.fileno(), 256)
                if not read:
                    break
                line += read
        return line.decode().strip()

    def tell(self, line: str) -> None:
        """Writes one line to the process's input; a process that is gone is noticed where it is asked."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            return

    def end(self) -> None:
        """Ends the process's input, which tells it to finish."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            return

    def wait(self, deadline: float) -> int:
        """The exit code of the process, which is killed where it goes on past the deadline."""
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.kill()
        code = self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code

    def kill(self) -> None:
        self._process.kill()

    def last_words(self) -> str:
        """The last line that the process wrote to its standard error; empty where there is none."""
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")
