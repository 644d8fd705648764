"""The far end of a load as a child process: the collector, or the least that can receive and decode (`ceiling`).

Invariant: both answer the same protocol with the same acknowledgements. Arguments: mode, store. Prints where it listens; a line
`facts` is answered with how many it has taken, `count` with what it used for them too, `stop` with the same after everything is
judged and stored.
"""

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import zmq

from trajectory.collector.front import FrontProcess
from trajectory.collector.garbage import collect_rarely
from trajectory.collector.server import Collector
from trajectory.detection.contract import registered_detectors
from trajectory.model.fact import Batch
from trajectory.protocol import frames
from trajectory.protocol.codec import ByeFrame, HelloFrame, read_frame


class _Started(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=1):
    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    at_ns: int
    mono_ns: int
    kind: str
    name: str
    agent: str
    surface: str
    attributes: msgspec.Raw
    contents: msgspec.Raw


class _Ended(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=2):
    trace_id: bytes
    span_id: bytes
    at_ns: int
    mono_ns: int
    status: str
    message: str
    attributes: msgspec.Raw
    contents: msgspec.Raw


class _Payload(msgspec.Struct, frozen=True, array_like=True, gc=False, tag=6):
    digest: bytes
    media_type: str
    body: msgspec.Raw


class _Facts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    version: int
    type: str
    emitter_id: bytes
    boot_id: bytes
    first_seq: int
    facts: list[_Started | _Ended | _Payload]


class Ceiling:
    """Receives, decodes into typed facts whose attributes stay raw, acknowledges; stores and folds nothing."""

    def __init__(self) -> None:
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.RCVHWM, 1024)
        self.endpoint = f"tcp://127.0.0.1:{self._socket.bind_to_random_port('tcp://127.0.0.1')}"
        self.fact_count = 0
        self._stopping = False
        self._decoder = msgspec.msgpack.Decoder(_Facts)

    def run(self) -> None:
        taken = 0
        while not self._stopping:
            if not self._socket.poll(50):
                continue
            peer, body = self._socket.recv_multipart()
            try:
                frame: Any = self._decoder.decode(body)
            except msgspec.ValidationError:
                frame = read_frame(body)
            taken += 1
            if isinstance(frame, _Facts):
                self.fact_count += len(frame.facts)
                if taken % 16 and len(frame.facts) == frames.MAX_FACTS:
                    continue
                self._socket.send_multipart([peer, frames.ack(frame.boot_id, frame.first_seq + len(frame.facts))])
            elif isinstance(frame, (HelloFrame, ByeFrame)):
                self._socket.send_multipart([peer, frames.ack(frame.boot_id, frame.next_seq)])

    def stop(self) -> None:
        self._stopping = True


class Observed:
    """The collector with all registered detectors; notes how long after it happened each fact was folded."""

    def __init__(self, store: str) -> None:
        self._collector = Collector(store, registered_detectors(), "tcp://127.0.0.1:*", is_apart=True)
        self.endpoint = self._collector.endpoint
        self.run, self.stop = self._collector.run, self._collector.stop
        self.lags_ns: list[int] = []
        self._idle_ns = 0

    def note_lags(self) -> None:
        fold = self._collector.pipeline.fold

        def noting(batches: list[Batch]) -> None:
            fold(batches)
            now_ns = time.time_ns()
            self.lags_ns += [now_ns - at_ns for b in batches for f in b.facts if (at_ns := getattr(f, "at_ns", 0))]

        self._collector.pipeline.fold = noting  # type: ignore[assignment,method-assign]

    @property
    def fact_count(self) -> int:
        return self._collector.pipeline.vitals.fact_count

    @property
    def waiting_bytes(self) -> int:
        return self._collector._desk.waiting_bytes

    def intake(self) -> dict[str, float]:
        """What the intake's own process used: CPU in nanoseconds, memory in megabytes."""
        front = self._collector._front
        assert isinstance(front, FrontProcess)
        return {"cpu_ns": cpu_ns_of(front.pid) - self._idle_ns, **_memory_mb(front.pid)}

    def begin(self) -> None:
        """From here on the intake's CPU is counted."""
        self._idle_ns += int(self.intake()["cpu_ns"])


def cpu_ns_of(pid: int) -> int:
    """What another process has used of CPU, by its clock as clock_getcpuclockid(3) makes it on Linux."""
    return time.clock_gettime_ns(~pid << 3 | 2)


def _memory_mb(pid: int | str = "self") -> dict[str, float]:
    named = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {name: int(named[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM")}


def _report(server: Ceiling | Observed, idle_ns: int, intake: dict[str, float]) -> dict[str, float]:
    """What was taken and used so far: all of the collector's processes together, and the intake's apart."""
    lags = sorted(getattr(server, "lags_ns", []))
    at = {f"lag_p{p}_ms": lags[min(len(lags) * p // 100, len(lags) - 1)] / 1e6 for p in (50, 99) if lags}
    own = {"cpu_ns": time.process_time_ns() - idle_ns, **_memory_mb()}
    both = {name: value + intake[name] for name, value in own.items()}
    waiting_bytes = server.waiting_bytes if isinstance(server, Observed) else 0
    return {"facts": server.fact_count, "waiting_bytes": waiting_bytes, **both, "intake_cpu_ns": intake["cpu_ns"], **at}


def _intake(server: Ceiling | Observed) -> dict[str, float]:
    return server.intake() if isinstance(server, Observed) else dict.fromkeys(("cpu_ns", "VmRSS", "VmHWM"), 0.0)


def main() -> None:
    """Serves until `stop` or the end of standard input."""
    mode, store = sys.argv[1], sys.argv[2]
    server = Ceiling() if mode == "ceiling" else Observed(store)
    if mode == "lag" and isinstance(server, Observed):
        server.note_lags()
    collect_rarely()  # as `trajectory serve` does
    loop = threading.Thread(target=server.run)
    loop.start()
    if isinstance(server, Observed):
        server.begin()
    idle_ns = time.process_time_ns()
    print(json.dumps({"endpoint": server.endpoint}), flush=True)
    for line in sys.stdin:
        if line.strip() == "stop":
            break
        if line.strip() == "facts":  # asked again and again while it works: as little as can be
            print(json.dumps({"facts": server.fact_count}), flush=True)
            continue
        print(json.dumps(_report(server, idle_ns, _intake(server))), flush=True)
    intake = _intake(server)  # it is gone when the loop has ended
    server.stop()
    loop.join()
    print(json.dumps(_report(server, idle_ns, intake)), flush=True)


if __name__ == "__main__":
    main()
