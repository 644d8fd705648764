"""`trajectory demo`: a real team in its own processes, traced through emitter, ZeroMQ, collector and store.

Invariant: nothing here is made up for the screen: the collector is the one that `trajectory serve` runs, in a process of its
own, and what is printed at the end is read back from the store. Without a terminal it behaves as with `--headless`.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from trajectory.cli.alerting import add_policy, policy_file, told_by_own
from trajectory.cli.output import json_line, say
from trajectory.cli.places import add_json, data_dir
from trajectory.cli.watch import add_looks, has_terminal
from trajectory.errors import ConfigError, TrajectoryError
from trajectory.protocol.keys import VARIABLES

if TYPE_CHECKING:
    from trajectory.view.rows import Health

_LIVE_PACE = 1.0
_HEADLESS_PACE = 0.15
_START_S = 15.0
_STOP_S = 10.0
_SETTLE_S = 8.0
_SAID_LINES = 40  # of a collector, the last
_HEARD_S = 2.0
_NO_OTLP = ("--otlp-http", "off", "--otlp-grpc", "off")  # its usual places may be another collector's


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--headless", action="store_true", help="no dashboard: print the summary and the findings")
    parser.add_argument(
        "--seed", metavar="N", type=int, default=0, help="what varies in the story (default: %(default)s)"
    )
    parser.add_argument("--pace", metavar="X", type=float, help="1 takes about 15 s; smaller is faster")
    parser.add_argument("--store", metavar="PATH", help="keep the run here (default: demo.db in the data directory)")
    parser.add_argument("--connect", metavar="ENDPOINT", help="send to this running collector instead of starting one")
    add_policy(parser, "--alerts", "tell of alerts as this policy says", "nobody is told")
    add_json(parser)
    add_looks(parser)


def run(args: argparse.Namespace) -> int:
    headless = args.headless or args.json or not has_terminal()
    store = args.store or os.environ.get("TRAJECTORY_STORE") or str(data_dir() / "demo.db")
    pace = args.pace if args.pace is not None else _HEADLESS_PACE if headless else _LIVE_PACE
    if args.connect and args.policy:
        raise ConfigError("--alerts goes without --connect: a running collector tells as its own policy says", "alerts")
    if args.connect:
        _play(args, args.connect, store if args.store else "", pace, headless)
        return _report_of(args, args.connect) if headless else 0
    for name in VARIABLES:
        os.environ.pop(name, None)  # the demo's own collector takes no keys
    policy = policy_file(args.policy) if args.policy else None
    with told_by_own(policy, store) as words, collector_process(store, *_NO_OTLP, *words) as endpoint:
        _play(args, endpoint, "" if headless else store, pace, headless)
        if headless:
            _settled(endpoint, args.trace_id)
    return _report(args, store) if headless else 0


def _play(args: argparse.Namespace, endpoint: str, store: str, pace: float, headless: bool) -> None:
    """Runs the team against a collector, with the dashboard on it unless headless."""
    from trajectory.cli.demo_team.team import run_team

    if headless:
        result = run_team(endpoint, args.seed, pace, None if args.json else say)
        args.trace_id, args.answer = result.trace_id, result.answer
    else:
        _play_on_screen(args, endpoint, store, pace)


def _play_on_screen(args: argparse.Namespace, endpoint: str, store: str, pace: float) -> None:
    from trajectory.cli.demo_team.team import Team
    from trajectory.cli.watch import looks_of, show
    from trajectory.collector.remote import RemoteFeed
    from trajectory.protocol.keys import client_keys

    faults: list[str] = []
    team = Team(endpoint, args.seed, pace)

    def work() -> None:
        try:
            with team:
                team.ask()
        except TrajectoryError as fault:
            faults.append(str(fault))

    thread = threading.Thread(target=work, name="demo-team", daemon=True)
    thread.start()
    looks = looks_of(args)
    looks["is_guided"] = True
    show(RemoteFeed(endpoint, keys=client_keys()), **looks)
    was_working = thread.is_alive()
    if was_working:
        team.stop()
    thread.join(_STOP_S)
    if faults and not was_working:
        raise TrajectoryError(faults[0])
    if store:
        say(f"The run is kept. Look again: trajectory watch --store {store}")


@contextmanager
def collector_process(store: str, *words: str, stop_s: float = _STOP_S) -> Iterator[str]:
    """A collector in a process of its own; yields its endpoint. Raises TrajectoryError with its own words if it fails.

    `words` are further arguments of `trajectory serve`. At the end it has stored and judged everything that it took, unless that
    takes longer than `stop_s`: then the next collector of that store does so. What it had to say meanwhile is said then: now the
    screen may be the dashboard's.
    """
    endpoint = f"tcp://127.0.0.1:{_free_port()}"
    command = [
        sys.executable,
        "-P",
        "-m",
        "trajectory",
        "serve",
        "--lifeline",
        "--bind",
        endpoint,
        "--store",
        store,
        *words,
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        start_new_session=True, text=True,
    )  # fmt: skip
    said: deque[str] = deque(maxlen=_SAID_LINES)
    listener = threading.Thread(target=_hear, args=(process.stderr, said), daemon=True)
    try:
        _wait_listening(process)
        listener.start()
        yield endpoint
    finally:
        is_over = process.poll() is not None
        if not is_over:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(stop_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if listener.ident is not None:
            listener.join(_HEARD_S)
            for line in list(said):
                say(f"the collector: {line}")
            if is_over:
                say("the collector ended too early: what it had not taken waits on disk for the next one of this store")
        for stream in filter(None, (process.stdin, process.stderr)):
            stream.close()


def _wait_listening(process: "subprocess.Popen[str]") -> None:
    """Waits for the line which says that the collector listens, and passes on what it said before; or raises why it cannot."""
    assert process.stderr is not None
    watchdog = threading.Timer(_START_S, process.kill)
    watchdog.start()
    said: list[str] = []
    try:
        for line in process.stderr:
            if line.startswith("listening"):
                break
            said = [*said, line.strip()][-_SAID_LINES:]
        else:
            process.wait()
            raise TrajectoryError(
                said[-1].removeprefix("trajectory serve: ") if said else "the collector did not start"
            )
    finally:
        watchdog.cancel()
    for line in said:
        say(line)


def _hear(stream: Iterator[str], said: "deque[str]") -> None:
    """Keeps the last of what a collector says, and reads on, so that it never waits for a full pipe."""
    try:
        for line in stream:
            said.append(line.rstrip())
    except ValueError:
        return  # closed while reading: nobody waits for it any more


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _settled(endpoint: str, trace_id: str) -> "Health | None":
    """Waits until the collector has every agent's last fact: the trace is no longer live. Its health then, or None."""
    from trajectory.collector.remote import RemoteFeed
    from trajectory.protocol.keys import client_keys
    from trajectory.view.feed import FeedLost
    from trajectory.view.views import TraceQuery, TraceView

    deadline_s = time.monotonic() + _SETTLE_S
    with closing(RemoteFeed(endpoint, keys=client_keys())) as feed:
        while time.monotonic() < deadline_s:
            try:
                view = feed.pull(TraceQuery(trace_id, tail=0), -1)
            except FeedLost:
                continue
            if isinstance(view, TraceView) and view.trace.state != "live":
                return view.health
            time.sleep(0.05)
    return None


def _report_of(args: argparse.Namespace, endpoint: str) -> int:
    """Prints what a running collector holds of the run, where its store is a file of this machine; else where to look."""
    from trajectory.store.lock import writer_of

    health = _settled(endpoint, args.trace_id)
    store = health.store if health is not None else ""
    if store and (writer_of(Path(store)) or (0, ""))[1] == endpoint:
        return _report(args, store)
    if args.json:
        print(json_line({"trace_id": args.trace_id, "answer": args.answer, "endpoint": endpoint}))
    say(f"the run is {args.trace_id[:8]} at {endpoint}: trajectory watch --connect {endpoint}")
    return 0


def _report(args: argparse.Namespace, store: str) -> int:
    """Prints what the store holds of the run: one page, or one JSON object."""
    from trajectory.cli.places import open_store, open_trace
    from trajectory.cli.show import page, rows_of, trace_json

    with closing(open_store(store)) as reader:
        rows = rows_of(open_trace(reader, args.trace_id), is_live=False)
        if args.json:
            print(json_line({**trace_json(rows), "answer": args.answer}))
        else:
            print("\n".join(page(rows, every_span=False)))
            say(f"kept in {store}: trajectory watch --store {store}")
    return 0
