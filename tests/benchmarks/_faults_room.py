"""A room for one fault scenario: a store, a spool, a port, and the processes that have to live with what happens there.

Invariant: when it closes, every process that it started is gone, and every process that those started. The collector is
`trajectory serve`, an emitter the module `_faults_emit`, both as users run them. Used by `faults`.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks import AbsentError
from tests.benchmarks._faults_emit import ENDLESS, Orders, Tally, child_of
from tests.benchmarks._rounds import REPOSITORY, module

PATIENCE_S = 150.0
_STOP_S = 600.0  # it settles first what kills and stops have left in its journal
_LOOK_S = 0.02
_MARK = "TRAJECTORY_FAULTS_ROOM"  # stands in the environment of all that a room starts


def wait_until(holds: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    """Raises AbsentError where it does not come to hold in time."""
    deadline_s = time.monotonic() + patience_s
    while not holds():
        if time.monotonic() > deadline_s:
            raise AbsentError(f"waited {patience_s:.0f} s in vain until {what}")
        time.sleep(_LOOK_S)


class Emitter:
    """One emitting process, and the tallies of it and its children."""

    def __init__(self, orders: Orders, process: "subprocess.Popen[bytes]") -> None:
        self.orders = orders
        self.process = process
        self.tally = Tally(Path(orders.tally))

    def done_counts(self) -> dict[str, int]:
        """The spans that were begun and ended, by the name of who did."""
        those = [self.orders, *(child_of(self.orders, number) for number in range(self.orders.fork_count))]
        return {orders.name: Tally(Path(orders.tally)).done_count for orders in those}

    def fact_count(self) -> int:
        """The facts that it and its children have put."""
        return sum(Tally(path).fact_count for path in Path(self.orders.tally).parent.glob(f"{self.orders.name}.tally*"))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass(slots=True)
class Surroundings:
    """What stands before a command, what follows it, and what is in its environment."""

    before: list[str] = field(default_factory=list)
    more: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)


class Room:
    """Its directory, its collector if one runs, and all its emitters, dead ones too."""

    def __init__(self) -> None:
        self._undo = ExitStack()
        self.folder = Path(self._undo.enter_context(tempfile.TemporaryDirectory(prefix="trajectory-faults-")))
        self.spool = self.folder / "spool"
        self.store = self.folder / "store.db"
        self.endpoint = ""
        self.move()
        self.emitters: list[Emitter] = []
        self.collector: subprocess.Popen[bytes] | None = None
        self.memory_mb = 0.0  # the most that any collector here took, with what it started
        self.collecting = Surroundings()
        self.emitting = Surroundings()
        self._words = self.folder / "serve.txt"

    def __enter__(self) -> "Room":
        return self

    def __exit__(self, *_: object) -> None:
        for process in [*(emitter.process for emitter in self.emitters), self.collector]:
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        for pid in self._strays():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._undo.close()

    def move(self) -> None:
        """From here on collector and emitters that are started use another port."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.endpoint = f"tcp://127.0.0.1:{probe.getsockname()[1]}"

    def on_leaving(self, undo: Callable[[], object]) -> None:
        self._undo.callback(undo)

    def emit(self, name: str, **orders: float) -> Emitter:
        """Starts an emitter; `orders` are fields of Orders."""
        given = Orders(self.endpoint, name, str(self.folder / f"{name}.tally"), **orders)  # type: ignore[arg-type]
        command = module("_faults_emit", given.argument())
        emitter = Emitter(given, self._begin(command, self.folder / "emit.txt", self.emitting))
        self.emitters.append(emitter)
        return emitter

    def begin_serving(self) -> "subprocess.Popen[bytes]":
        """Starts the collector and does not wait until it listens."""
        self._words.write_bytes(b"")
        command = [sys.executable, "-m", "trajectory", "serve", "--bind", self.endpoint, "--store", str(self.store)]
        self.collector = self._begin([*command, *self.collecting.more], self._words, self.collecting)
        return self.collector

    def serve(self) -> "subprocess.Popen[bytes]":
        """Starts the collector; it listens when this returns."""
        process = self.begin_serving()
        wait_until(lambda: b"listening" in self._words.read_bytes() or process.poll() is not None, "it listens", 60.0)
        if process.poll() is not None:
            raise AbsentError(f"the collector ended: {self.said()[-300:]}")
        return process

    def said(self) -> str:
        """What the last collector said."""
        return self._words.read_text(errors="replace").strip()

    def collecting_pids(self) -> list[int]:
        """The collector's processes."""
        assert self.collector is not None
        return [self.collector.pid, *_children(self.collector.pid)]

    def front(self) -> int | None:
        """The process that takes frames for the collector, where that is one of its own."""
        assert self.collector is not None
        return next(iter(_children(self.collector.pid)), None)

    def kill_collector(self) -> None:
        assert self.collector is not None
        self._note_memory(self.collector)
        self.collector.kill()
        self.collector.wait()

    def stop_collector(self) -> None:
        """Ends the collector as SIGTERM does."""
        assert self.collector is not None
        self._note_memory(self.collector)
        self.collector.send_signal(signal.SIGTERM)
        try:
            self.collector.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            raise AbsentError(f"the collector does not stop within {_STOP_S:.0f} s") from None

    def finish(self, patience_s: float = PATIENCE_S) -> int:
        """Lets everybody come to the end, and the collector after them; how many emitters say that not all was taken.

        Who has a number of spans to emit emits them all, the others stop now.
        """
        for emitter in self.emitters:
            if emitter.orders.count == ENDLESS:
                emitter.tally.stop()
        living = [emitter for emitter in self.emitters if emitter.process.returncode is None]
        wait_until(lambda: all(one.process.poll() is not None for one in living), "every emitter has ended", patience_s)
        wait_until(self.is_spool_empty, "what was left in the spool is delivered")
        self.stop_collector()
        return sum(one.process.returncode != 0 for one in living)

    def is_spool_empty(self) -> bool:
        return not any(self.spool.glob("*.spool"))

    def hold(self, process: "subprocess.Popen[bytes]", time_s: float) -> None:
        """Stops a process for a while, as a debugger or a laptop's lid does; a collector whole."""
        those = [process.pid, *_children(process.pid)]
        hold(those, time_s)

    def _begin(self, command: list[str], words: Path, around: Surroundings) -> "subprocess.Popen[bytes]":
        environment = {
            **os.environ,
            "TRAJECTORY_SPOOL_DIR": str(self.spool),
            _MARK: str(self.folder),
            **around.environment,
        }
        with words.open("ab") as said:
            return subprocess.Popen(
                [*around.before, *command],
                cwd=REPOSITORY, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            )  # fmt: skip

    def _note_memory(self, process: "subprocess.Popen[bytes]") -> None:
        self.memory_mb = max(self.memory_mb, sum(map(_peak_mb, [process.pid, *_children(process.pid)])))

    def _strays(self) -> list[int]:
        """What was started by what was started here, and outlived it."""
        mark = f"{_MARK}={self.folder}".encode()
        return [pid for pid in _pids() if mark in _read(f"/proc/{pid}/environ").split(b"\0")]


def hold(pids: Sequence[int], time_s: float) -> None:
    """Stops processes for a while."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(time_s)
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _children(parent: int) -> list[int]:
    """The processes that a process has started and that live."""
    children = []
    for pid in _pids():
        state, _, rest = _read(f"/proc/{pid}/stat").rpartition(b")")
        fields = rest.split()
        if state and int(fields[1]) == parent and fields[0] != b"Z":
            children.append(pid)
    return children


def _peak_mb(pid: int) -> float:
    """The most memory that a process ever had; 0 where it is gone."""
    lines = _read(f"/proc/{pid}/status").splitlines()
    return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith(b"VmHWM"))


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:  # it is gone
        return b""
