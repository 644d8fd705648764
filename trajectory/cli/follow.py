"""`trajectory follow`: the session logs of coding agents as traces, live, while they are being written.

Invariant: what was followed before, or imported, is doubled by nothing: ids come from the logs. Nothing is read further than the
collector takes it, so that a collector that is away costs waiting and no memory.
"""

import argparse
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from trajectory.cli.follow_way import Bell, Way
from trajectory.cli.output import json_line, plural, say
from trajectory.cli.places import add_json, add_key, default_endpoint
from trajectory.errors import ConfigError, WireError

if TYPE_CHECKING:
    from trajectory.cli.tailing import Tail
    from trajectory.model.fact import Batch

LIVE_S = 600.0  # a log that was written so lately is being written
_POLL_S = 0.25
_LOOK_S = 1.0  # for new files; more seldom where there are many
_HELD_S = 15.0  # how long a sub-agent's entries wait for the call behind them
_BEAT_S = 5.0  # between signs of life of an agent that works without writing: a tool may take long
_MAX_FILES = 256
_MOST_REFUSALS = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths",
        metavar="PATH",
        nargs="*",
        help="session logs, or folders of them (default: what is being written now under CLAUDE_CONFIG_DIR or ~/.claude, "
        "and CODEX_HOME or ~/.codex)",
    )
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--connect", metavar="ENDPOINT", help=f"the collector (default: {default_endpoint()})")
    place.add_argument("--store", metavar="PATH", help="the collector that is writing this store")
    add_key(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    paths = [Path(path) for path in args.paths]
    for path in paths:
        if not path.exists():
            raise ConfigError(f"{path} is not there: name a session log, or a folder of them", "path")
    from trajectory.emitter.credentials import name_key
    from trajectory.protocol.keys import client_keys
    from trajectory.receiver.carrier import Carrier

    endpoint = _endpoint(args)
    keys = client_keys(args.key)
    if keys is not None:
        name_key(endpoint, keys)
    bell = Bell()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: bell.end())
    carrier = Carrier(endpoint)
    try:
        follower = Follower(paths, Way(carrier, endpoint, bell.ring), is_json=args.json)
        follower.run(bell)
    finally:
        carrier.close()
    say(f"stopped: {plural(len(follower.traces), 'trace')} with {plural(follower.way.stored_count, 'fact')}")
    return 0


def _endpoint(args: argparse.Namespace) -> str:
    if not args.store:
        return str(args.connect or default_endpoint())
    from trajectory.store.location import locate
    from trajectory.store.lock import writer_of

    served = writer_of(locate(args.store))
    if served is None or not served[1]:
        raise ConfigError(f"no collector is writing {args.store}: trajectory serve --store {args.store}", "store")
    if served[1].endswith((":*", ":0")):
        raise ConfigError(
            f"the collector of {args.store} chose its port itself: name what it said with --connect", "store"
        )
    return served[1]


class Follower:
    """Reads what is added to the logs, and brings it to the collector."""

    def __init__(self, paths: list[Path], way: Way, *, is_json: bool) -> None:
        self.way = way
        self.traces: set[bytes] = set()
        self._paths = paths
        self._is_json = is_json
        self._tails: dict[Path, Tail] = {}
        self._is_caught_up = False
        self._held = (0, 0.0)
        self._looked_s = self._look_s = self._beat_s = 0.0
        self._refusal_count = 0
        self._begin()

    def run(self, bell: Bell) -> None:
        """Follows until it is told to stop. Raises WireError where the collector refuses again and again."""
        wait_s = 0.0
        while not bell.wait(wait_s):
            refused = self.way.hear()
            if refused:
                self._again(refused)
            self._look()
            wait_s = _LOOK_S  # where nothing more can be sent, an answer rings
            if self.way.is_free:
                wait_s = 0.0 if self._poll() else _POLL_S
                self._beat()

    def _begin(self) -> None:
        from trajectory.dialects.coding_logs import CodingLogs

        self._logs = CodingLogs()

    def _again(self, reason: str) -> None:
        """Reads everything once more, because what the collector refused is gone from the way."""
        self._refusal_count += 1
        if self._refusal_count >= _MOST_REFUSALS:
            raise WireError(reason)
        say(f"{reason}; beginning anew")
        self._begin()
        self._tails.clear()
        self._is_caught_up = False
        self._looked_s = 0.0

    # --- which files ----------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Takes up files that are new. A look takes at most a twentieth of the time."""
        now_s = time.monotonic()
        if self._looked_s and now_s - self._looked_s < max(_LOOK_S, 20 * self._look_s):
            return
        is_first = not self._looked_s
        wanted = [path for path in self._wanted() if path not in self._tails]
        if len(self._tails) + len(wanted) > _MAX_FILES:
            self._let_go()
            wanted = _newest(wanted, max(0, _MAX_FILES - len(self._tails)))
        for path in wanted:
            self._take_up(path)
        self._looked_s = time.monotonic()
        self._look_s = self._looked_s - now_s
        if is_first:
            self._say_what_is_missing()

    def _say_what_is_missing(self) -> None:
        from trajectory.cli.session_logs import head_of, roots
        from trajectory.dialects.coding_logs import format_of

        folders = [path for path in self._paths or roots() if not path.is_file()]
        for path in (path for path in self._paths if path not in folders and not format_of(head_of(path))):
            say(f"{path} is in no known format of session logs: waiting for what it becomes; ctrl-c stops")
        if folders and not self._tails:
            where = ", ".join(map(str, folders))
            say(f"nothing is being written under {where}: waiting for a coding agent; ctrl-c stops")

    def _let_go(self) -> None:
        """Follows no longer what is not being written any more; should it be again, it is read anew."""
        since_s = time.time() - LIVE_S
        for path in [path for path, tail in self._tails.items() if tail.changed_s < since_s]:
            del self._tails[path]
            self._logs.restart(str(path))

    def _wanted(self) -> list[Path]:
        from trajectory.cli.session_logs import logs_under, roots, session_of, sub_agents_of

        since_s = time.time() - LIVE_S
        wanted: list[Path] = []
        for path in self._paths or roots():
            if path.is_dir():
                found = [log for log in logs_under(path, since_s) if log not in self._tails]
                wanted += [log for new in found for log in (session_of(new), new)]
            else:
                mine = session_of(path)
                wanted += [mine, *sub_agents_of(mine)]
        return sorted(set(wanted), key=lambda log: (log.parent.name == "subagents", log))

    def _take_up(self, path: Path) -> None:
        from trajectory.cli.session_logs import head_of
        from trajectory.cli.tailing import Tail
        from trajectory.dialects.coding_logs import format_of, thread_of

        head = head_of(path)
        kind = format_of(head)
        if not kind:
            return  # it may show what it is when more is in it
        self._tails[path] = Tail(path)
        session_id, _ = thread_of(head)
        self._tell(
            "following", f"following {kind} {session_id}  {path}", format=kind, session=session_id, path=str(path)
        )

    # --- what is in them ------------------------------------------------------------------------------------------------

    def _poll(self) -> bool:
        """Reads on and sends what came of it; whether there was anything."""
        from trajectory.cli.session_logs import about, head_of
        from trajectory.dialects.coding_logs import described

        read_count = 0
        for path, tail in self._tails.items():
            data = tail.read()
            if tail.restarted:
                self._logs.restart(str(path))
                self._tell("restarted", f"{path} begins anew", path=str(path))
            if data:
                if described(about(path).name):
                    self._logs.describe(described(about(path).name), head_of(about(path)))
                self._logs.feed(str(path), data)
                read_count += len(data)
        self._release()
        batches = self._logs.take()
        if batches:
            self.way.send(batches)
            self._tell_traces(batches)
        elif not read_count and not self._is_caught_up and self._tails and self.way.is_empty:
            self._is_caught_up = True
            told = (
                f"{plural(len(self.traces), 'trace')} so far, {plural(self.way.stored_count, 'fact')} stored; now live"
            )
            self._tell("live", told, traces=len(self.traces), facts=self.way.stored_count)
        return bool(read_count or batches)

    def _beat(self) -> None:
        """Says that work goes on where a log was written lately, though nothing is logged while a tool runs."""
        if time.monotonic() - self._beat_s < _BEAT_S:
            return
        self._beat_s, since_s = time.monotonic(), time.time() - LIVE_S
        live = [str(path) for path, tail in self._tails.items() if tail.changed_s >= since_s]
        beats = self._logs.beats(live, time.time_ns(), time.monotonic_ns())
        if beats:
            self.way.send(beats)

    def _release(self) -> None:
        """Lets sub-agents whose call does not show up wait no longer."""
        count, since_s = self._held
        held = self._logs.held_count
        if held != count or not held:
            self._held = (held, time.monotonic())
        elif time.monotonic() - since_s > _HELD_S:
            self._logs.release()

    def _tell_traces(self, batches: "list[Batch]") -> None:
        from trajectory.model.fact import SpanStarted
        from trajectory.model.words import TITLE

        for fact in (fact for batch in batches for fact in batch.facts if isinstance(fact, SpanStarted)):
            is_new = fact.trace_id not in self.traces
            self.traces.add(fact.trace_id)
            if is_new and TITLE in fact.attributes and self._is_caught_up:
                trace_id, title = fact.trace_id.hex(), str(fact.attributes[TITLE])
                self._tell(
                    "trace", f"{trace_id[:12]}  {fact.agent}  {title}", trace_id=trace_id, agent=fact.agent, title=title
                )

    def _tell(self, event: str, text: str, **fields: object) -> None:
        if self._is_json:
            print(json_line({"event": event, **fields}), flush=True)
        else:
            say(text)


def _newest(paths: list[Path], count: int) -> list[Path]:
    """The files that were written last, in the order in which they came."""

    def changed_s(path: Path) -> float:
        try:
            return path.stat().st_mtime
        except OSError:
            return 0.0

    kept = set(sorted(paths, key=changed_s, reverse=True)[:count])
    return [path for path in paths if path in kept]
