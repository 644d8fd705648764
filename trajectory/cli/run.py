"""`trajectory run -- COMMAND…`: a program, its agents heard without a change to it, and what they did.

Invariant: the program runs as it would without us: its arguments, its output, its exit code. A collector that is there is used;
else one is started for as long as it takes. What could not be instrumented is said, with how to get more.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import msgspec

from trajectory.cli.alerting import add_policy
from trajectory.cli.output import json_line, plural, say
from trajectory.cli.places import add_json, add_key, add_store
from trajectory.cli.run_place import Place, place
from trajectory.cli.watch import add_looks, has_terminal
from trajectory.errors import ConfigError, StoreError
from trajectory.view.text import clean

if TYPE_CHECKING:
    from trajectory.collector.rows import TraceRows
    from trajectory.store.reader import SqliteReader

_QUIET_S = 0.5
_SETTLE_S = 8.0
_SHOWN_TRACES = 20
_OPERATION = "gen_ai.operation.name"
_PAGE = 256
_TAIL_BYTES = 64 * 1024
_GRACE_S = 5.0
_LONGEST_NS = 24 * 3600 * 1_000_000_000  # a trace that began so long before is not looked at
_SEVERITIES = ("info", "warning", "critical")
_STORING = b"what came is being stored; ctrl-c again leaves that to the collector, without a summary\n"
_ENDINGS = (signal.SIGTERM, signal.SIGHUP)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "trajectory run [options] -- COMMAND..."
    parser.add_argument("--headless", action="store_true", help="no dashboard: the program's output, then a summary")
    parser.add_argument("--connect", metavar="ENDPOINT", help="use this running collector")
    parser.add_argument("--fail-on", choices=_SEVERITIES, help="exit 1 where anything this bad, or worse, is found")
    add_policy(parser, "--alerts", "tell of alerts as this policy says, where a collector is started; off for none")
    add_store(parser)
    add_key(parser)
    add_json(parser)
    add_looks(parser)
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="-- COMMAND...", help="what to run, as you would")


def run(args: argparse.Namespace) -> int:
    command = args.words[1:] if args.words[:1] == ["--"] else args.words
    if not command:
        raise ConfigError("say what to run, as in: trajectory run -- python app.py", "run")
    for name in _ENDINGS:
        signal.signal(name, _end)
    with tempfile.TemporaryDirectory(prefix="trajectory-run-") as folder:
        run_ = _Run(args, command, folder)
        with place(args) as there:
            if not args.json:
                by = "" if there.is_ours else f" by the collector at {there.endpoint}"
                say(f"traced into {there.store or 'its store'}{by}")
            code = run_.begin(there)
            signal.signal(signal.SIGINT, _Patience())
            _settle(there, args.key)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return run_.report(there, code)


def _end(number: int, frame: object) -> NoReturn:
    """As the signal would have, but by the way on which everything that was begun is ended."""
    raise SystemExit(128 + number)


class _Patience:
    """What a ctrl-c does while what came is being stored: the first says so, the second waits no longer."""

    def __init__(self) -> None:
        self._is_asked = False

    def __call__(self, number: int, frame: object) -> None:
        if self._is_asked:
            raise KeyboardInterrupt
        self._is_asked = True
        os.write(2, _STORING)  # a signal may come while something else is printed


def _settle(there: Place, key: str) -> None:
    """Waits until a collector that is not ours has folded what came; ours does so when it stops."""
    from trajectory.collector.remote import RemoteFeed
    from trajectory.errors import TrajectoryError
    from trajectory.protocol.keys import client_keys
    from trajectory.view.views import RunsQuery

    if there.is_ours or not there.store:
        return
    deadline_s = time.monotonic() + _SETTLE_S
    with closing(RemoteFeed(there.endpoint, keys=client_keys(key))) as feed:
        since, quiet_s = -1, time.monotonic()
        while time.monotonic() < deadline_s and time.monotonic() - quiet_s < _QUIET_S:
            try:
                view = feed.pull(RunsQuery(limit=1), since)
            except TrajectoryError:
                return
            if view is not None:
                since, quiet_s = view.version, time.monotonic()
            time.sleep(0.05)


class _Run:
    """One program, from its start to what is said of it."""

    def __init__(self, args: argparse.Namespace, command: list[str], folder: str) -> None:
        self._args = args
        self._command = command
        self._folder = folder
        self._run_id = os.urandom(8).hex()
        self._began_ns = time.time_ns()
        self._headless = args.headless or args.json or not has_terminal()

    def begin(self, there: Place) -> int:
        """Runs it to its end; how it ended, as `Popen.returncode`."""
        return self._on_this_terminal(there) if self._headless else self._behind_the_dashboard(there)

    def _popen(self, there: Place, **streams: object) -> "subprocess.Popen[bytes]":
        from trajectory.cli.wiring import environment_for

        wired = environment_for(self._command, os.environ, there, self._folder, self._run_id, self._args.key)
        try:
            return subprocess.Popen(self._command, env=wired, **streams)  # type: ignore[call-overload,no-any-return]
        except OSError as fault:
            raise ConfigError(f"{clean(self._command[0])} cannot be run: {fault.strerror}", "run") from None

    def _on_this_terminal(self, there: Place) -> int:
        """A ctrl-c is the program's, which decides what it does; what comes after it is not to be cut short."""
        process = self._popen(there, stdout=sys.stderr if self._args.json else sys.stdout)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            return process.wait()
        finally:
            _stop(process)

    def _behind_the_dashboard(self, there: Place) -> int:
        """What it prints comes when the dashboard is left."""
        from trajectory.cli.watch import looks_of, show
        from trajectory.collector.remote import RemoteFeed
        from trajectory.protocol.keys import client_keys

        printed = Path(self._folder) / "output"
        with printed.open("wb") as out:
            process = self._popen(there, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
            threading.Thread(target=process.wait, daemon=True).start()
            try:
                feed = RemoteFeed(there.endpoint, keys=client_keys(self._args.key))
                show(feed, **looks_of(self._args))
                if process.poll() is None:
                    say("the program goes on; ctrl-c stops it")
                _wait(process)
            finally:
                _stop(process)
        _replay(printed)
        return process.returncode

    # --- what came of it --------------------------------------------------------------------------------------------------

    def report(self, there: Place, code: int) -> int:
        """Prints what its agents did, unless that was on the screen; returns the exit code."""
        from trajectory.cli.places import open_store

        worst, count, printed = -1, 0, 0
        if there.store:
            try:
                with closing(open_store(there.store)) as reader:
                    for rows in self._traces(reader, there):
                        count += 1
                        worst = max(worst, _worst(rows))
                        printed += self._print(rows, printed)
            except StoreError as fault:
                say(f"there is no summary: {fault}")
        if count > printed and self._headless and not self._args.json:
            say(f"and {plural(count - printed, 'more trace')}: trajectory traces --store {there.store}")
        self._say_instrumented(bool(count) or not there.store)
        if code:
            say(f"the program ended with {code}" if code > 0 else f"the program was ended by {_name_of(-code)}")
        if count and not self._args.json:
            say(f"look again: trajectory watch --store {there.store}")
        if code == 0 and self._args.fail_on and worst >= _SEVERITIES.index(self._args.fail_on):
            say(f"found what is {_SEVERITIES[worst]}: --fail-on {self._args.fail_on}")
            return 1
        return code if code >= 0 else 128 - code

    def _traces(self, reader: "SqliteReader", there: Place) -> "Iterator[TraceRows]":
        """The traces that the program caused, the latest first. With a collector of others, those that name this run."""
        from trajectory.cli.places import open_trace
        from trajectory.cli.show import rows_of
        from trajectory.model.words import RUN_ID

        last = None
        while page := reader.summaries(limit=_PAGE, before=last):
            last = page[-1]
            for summary in page:
                if max(summary.started_ns, summary.ended_ns) < self._began_ns:
                    continue
                folded = open_trace(reader, summary.trace_id.hex())
                named = (s.source.resource.get(RUN_ID) for s in folded.trace.spans.values() if s.source is not None)
                if there.is_ours or self._run_id in named:
                    yield rows_of(folded, is_live=False)
            if last.started_ns and last.started_ns < self._began_ns - _LONGEST_NS:
                return

    def _print(self, rows: "TraceRows", printed: int) -> bool:
        """Prints a trace, unless all that it tells is that agents were made."""
        from trajectory.cli.show import page, trace_json

        if self._args.json:
            print(json_line(trace_json(rows)))
            return True
        only_makes = all(s.attributes.get(_OPERATION) == "create_agent" for s in rows.trace.spans.values())
        if not self._headless or printed >= _SHOWN_TRACES or only_makes:
            return False
        print("\n".join([*([""] if printed else []), *page(rows, every_span=False)]))
        return True

    def _say_instrumented(self, has_traces: bool) -> None:
        """What was switched on, what was not, and how to get more: by process, the same thing once."""
        from trajectory.cli.wiring import has_node_instrumentation, speaks_node

        told: dict[str, dict[str, None]] = {"instrumented": {}, "trouble": {}, "missing": {}}
        for path in sorted(Path(self._folder).glob("*.json")):
            try:
                report = msgspec.json.decode(path.read_bytes(), type=dict[str, list[str]])
            except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                continue  # a program may write there, too
            for key, lines in told.items():
                lines.update(dict.fromkeys(clean(line)[:300] for line in report.get(key, [])))
        if told["instrumented"]:
            say(f"instrumented: {', '.join(told['instrumented'])}")
        for line in told["trouble"]:
            say(f"not instrumented: {line}")
        for line in told["missing"]:
            say(f"nothing tells of {line}")
        if speaks_node(self._command) and not has_node_instrumentation(Path.cwd()):
            say("Node is heard with: npm install @opentelemetry/api @opentelemetry/auto-instrumentations-node")
        if not has_traces:
            say(
                "no agent was heard of. Python: install an instrumentation for its framework, such as "
                "openinference-instrumentation-openai; or wrap the agents with trajectory.wrap"
            )


def _worst(rows: "TraceRows") -> int:
    """The place in `_SEVERITIES` of the worst finding; -1 where there is none."""
    found = (f.severity for f in rows.trace.findings.values())
    return max((_SEVERITIES.index(severity) for severity in found if severity in _SEVERITIES), default=-1)


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _wait(process: "subprocess.Popen[bytes]") -> None:
    """Waits for its end. A ctrl-c is the program's, as it has come to it too; a second one ends it."""
    try:
        process.wait()
    except KeyboardInterrupt:
        try:
            process.wait()
        except KeyboardInterrupt:
            process.terminate()
            process.wait()


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Ends a program that is left behind, where this process is ended itself."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _replay(printed: Path) -> None:
    size = printed.stat().st_size
    with printed.open("rb") as file:
        file.seek(max(0, size - _TAIL_BYTES))
        said = file.read()
    if size > _TAIL_BYTES:
        say(f"the last {_TAIL_BYTES // 1024} kB of what it printed:")
    sys.stdout.write(said.decode(errors="replace"))
    sys.stdout.flush()
