"""`trajectory run -- COMMAND…`: a program, its agents heard without a change to it, and what they did.

Invariant: the program runs as it would without us: its arguments, its output, its exit code. A collector that is there is used;
else one is started for as long as it takes. What could not be instrumented is said, with how to get more.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from trajectory.cli.output import json_line, say
from trajectory.cli.places import add_json, add_key, add_store, default_endpoint
from trajectory.cli.watch import add_looks, has_terminal
from trajectory.errors import ConfigError, TrajectoryError
from trajectory.view.text import clean

_LOOK_S = 0.5
_QUIET_S = 0.5
_SETTLE_S = 8.0
_SHOWN_TRACES = 20
_TAIL_BYTES = 64 * 1024
_SEVERITIES = ("info", "warning", "critical")


class Place(NamedTuple):
    """Where a program's facts go: the wire, OTLP over HTTP, and the store in which they can be read afterwards."""

    endpoint: str
    otlp: str
    store: str
    is_ours: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "trajectory run [options] -- COMMAND..."
    parser.add_argument("--headless", action="store_true", help="no dashboard: the program's output, then a summary")
    parser.add_argument("--connect", metavar="ENDPOINT", help="use this running collector")
    parser.add_argument("--fail-on", choices=_SEVERITIES, help="exit 1 where anything this bad, or worse, is found")
    add_store(parser)
    add_key(parser)
    add_json(parser)
    add_looks(parser)
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="-- COMMAND...", help="what to run, as you would")


def run(args: argparse.Namespace) -> int:
    command = args.words[1:] if args.words[:1] == ["--"] else args.words
    if not command:
        raise ConfigError("say what to run, as in: trajectory run -- python app.py", "run")
    headless = args.headless or args.json or not has_terminal()
    began_ns = time.time_ns()
    with tempfile.TemporaryDirectory(prefix="trajectory-run-") as folder:
        with _place(args) as place:
            if not args.json:
                say(
                    f"traced into {place.store}"
                    + (f" by the collector at {place.endpoint}" if not place.is_ours else "")
                )
            if headless:
                code = _run(command, place, folder, sys.stdout if not args.json else sys.stderr)
            else:
                code = _run_beside_dashboard(args, command, place, folder)
            _settle(place)
        return _report(args, place, folder, began_ns, code, command, headless)


# --- where its facts go ---------------------------------------------------------------------------------------------------


@contextmanager
def _place(args: argparse.Namespace) -> Iterator[Place]:
    endpoint = args.connect or default_endpoint()
    store = _store_of_collector(endpoint, args.key, must_be_there=bool(args.connect))
    is_asked = args.store != _default_store()
    if store is not None and (args.connect or not is_asked):
        with _receiver_for(endpoint, args.key) as otlp:
            yield Place(endpoint, otlp, store or args.store, False)
        return
    with _collector_of_its_own(args.store) as place:
        yield place


def _default_store() -> str:
    from trajectory.cli.places import default_store

    return default_store()


def _store_of_collector(endpoint: str, key: str, must_be_there: bool) -> str | None:
    """The store of the collector that answers at `endpoint`; None where none does."""
    from trajectory.collector.remote import RemoteFeed
    from trajectory.protocol.keys import client_keys
    from trajectory.view.feed import FeedLost
    from trajectory.view.rows import RunsQuery

    with closing(RemoteFeed(endpoint, timeout_s=2.0 if must_be_there else _LOOK_S, keys=client_keys(key))) as feed:
        try:
            view = feed.pull(RunsQuery(limit=1), -1)
        except FeedLost as fault:
            if must_be_there:
                raise TrajectoryError(str(fault)) from None
            return None
    return view.health.store if view is not None else ""


@contextmanager
def _receiver_for(endpoint: str, key: str) -> Iterator[str]:
    """A receiver of our own for a collector that is somebody else's: it brings what it takes over the wire."""
    from trajectory.protocol.keys import client_keys
    from trajectory.receiver.beside import ReceiverProcess, Settings

    keys = client_keys(key)
    secret, server = (keys.secret.hex(), keys.server.hex()) if keys is not None else ("", "")
    receiver = ReceiverProcess(Settings(endpoint, "127.0.0.1:0", "", secret=secret, server=server))
    try:
        yield receiver.http
    finally:
        receiver.close()


@contextmanager
def _collector_of_its_own(store: str) -> Iterator[Place]:
    """A collector in a process of its own; when this returns it has stored and judged everything."""
    from trajectory.cli.demo import collector_process
    from trajectory.receiver.beside import free_address

    otlp = free_address()
    with collector_process(store, "--otlp-http", otlp, "--otlp-grpc", "off") as endpoint:
        yield Place(endpoint, otlp, store, True)


def _settle(place: Place) -> None:
    """Waits until a collector that is not ours has folded what came; ours does so when it stops."""
    from trajectory.collector.remote import RemoteFeed
    from trajectory.protocol.keys import client_keys
    from trajectory.view.feed import FeedLost
    from trajectory.view.rows import RunsQuery

    if place.is_ours:
        return
    deadline_s = time.monotonic() + _SETTLE_S
    with closing(RemoteFeed(place.endpoint, keys=client_keys())) as feed:
        since, quiet_s = -1, time.monotonic()
        while time.monotonic() < deadline_s and time.monotonic() - quiet_s < _QUIET_S:
            try:
                view = feed.pull(RunsQuery(limit=1), since)
            except FeedLost:
                return
            if view is not None:
                since, quiet_s = view.version, time.monotonic()
            time.sleep(0.05)


# --- the program ----------------------------------------------------------------------------------------------------------


def _begin(command: list[str], place: Place, folder: str, **streams: object) -> "subprocess.Popen[bytes]":
    from trajectory.cli.wiring import environment_for

    environment = environment_for(command, os.environ, place.endpoint, place.otlp, folder)
    try:
        return subprocess.Popen(command, env=environment, **streams)  # type: ignore[call-overload,no-any-return]
    except OSError as fault:
        raise ConfigError(f"{clean(command[0])} cannot be run: {fault.strerror}", "run") from None


def _run(command: list[str], place: Place, folder: str, out: object) -> int:
    """Runs it on this terminal; a ctrl-c is the program's, which decides what it does."""
    process = _begin(command, place, folder, stdout=out)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    stops = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        return process.wait()
    finally:
        signal.signal(signal.SIGINT, before)
        signal.signal(signal.SIGTERM, stops)


def _run_beside_dashboard(args: argparse.Namespace, command: list[str], place: Place, folder: str) -> int:
    """Runs it behind the dashboard; what it prints comes when the dashboard is left."""
    from trajectory.cli.watch import show
    from trajectory.collector.remote import RemoteFeed
    from trajectory.protocol.keys import client_keys

    printed = Path(folder) / "output"
    with printed.open("wb") as out:
        process = _begin(command, place, folder, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        waiting = threading.Thread(target=process.wait, daemon=True)
        waiting.start()
        show(RemoteFeed(place.endpoint, keys=client_keys(args.key)), glyphs=args.glyphs, theme=args.theme)
        if process.poll() is None:
            say("the program goes on; ctrl-c stops it")
        try:
            process.wait()
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
    _replay(printed)
    return process.returncode


def _replay(printed: Path) -> None:
    size = printed.stat().st_size
    with printed.open("rb") as file:
        file.seek(max(0, size - _TAIL_BYTES))
        said = file.read()
    if size > _TAIL_BYTES:
        say(f"the last {_TAIL_BYTES // 1024} kB of what it printed:")
    sys.stdout.write(said.decode(errors="replace"))
    sys.stdout.flush()


# --- what came of it ------------------------------------------------------------------------------------------------------


def _report(
    args: argparse.Namespace, place: Place, folder: str, began_ns: int, code: int, command: list[str], headless: bool
) -> int:
    """Prints what its agents did, unless that was on the screen; returns the exit code."""
    from trajectory.cli.places import open_store, open_trace
    from trajectory.cli.show import page, rows_of, trace_json

    worst = -1
    with closing(open_store(place.store)) as reader:
        ids = [
            s.trace_id.hex()
            for s in reader.summaries(limit=_SHOWN_TRACES + 1)
            if max(s.started_ns, s.ended_ns) >= began_ns
        ]
        for at, trace_id in enumerate(reversed(ids[:_SHOWN_TRACES])):
            rows = rows_of(open_trace(reader, trace_id), is_live=False)
            found = [_SEVERITIES.index(f.severity) for f in rows.trace.findings.values() if f.severity in _SEVERITIES]
            worst = max([worst, *found])
            if args.json:
                print(json_line(trace_json(rows)))
            elif headless:
                print("\n".join([*([""] if at else []), *page(rows, every_span=False)]))
    if len(ids) > _SHOWN_TRACES:
        say(f"and more: trajectory traces --store {place.store}")
    _say_instrumented(folder, bool(ids), command)
    if code:
        say(f"the program ended with {code}" if code > 0 else f"the program was ended by {signal.Signals(-code).name}")
    if ids and not args.json:
        say(f"look again: trajectory watch --store {place.store}")
    if code == 0 and args.fail_on and worst >= _SEVERITIES.index(args.fail_on):
        say(f"found what is {_SEVERITIES[worst]}: --fail-on {args.fail_on}")
        return 1
    return code if code >= 0 else 128 - code


def _say_instrumented(folder: str, has_traces: bool, command: list[str]) -> None:
    """What was switched on, what was not, and how to get more: by process, the same thing once."""
    from trajectory.cli.wiring import has_node_instrumentation, speaks_node

    told: dict[str, dict[str, None]] = {"instrumented": {}, "trouble": {}, "missing": {}}
    for path in sorted(Path(folder).glob("*.json")):
        try:
            report = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        for key, lines in told.items():
            lines.update(dict.fromkeys(clean(str(line))[:300] for line in report.get(key, [])))
    if told["instrumented"]:
        say(f"instrumented: {', '.join(told['instrumented'])}")
    for line in told["trouble"]:
        say(f"not instrumented: {line}")
    for line in told["missing"]:
        say(f"nothing tells of {line}")
    if speaks_node(command) and not has_node_instrumentation(Path.cwd()):
        say("Node is heard with: npm install @opentelemetry/api @opentelemetry/auto-instrumentations-node")
    if not has_traces:
        say(
            "no agent was heard of. Python: install an instrumentation for its framework, such as "
            "openinference-instrumentation-openai; or wrap the agents with trajectory.wrap"
        )
