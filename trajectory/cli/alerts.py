"""`trajectory alerts`: what goes wrong over all runs, acknowledging and muting it, and whether channels work."""

import argparse
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from trajectory.cli.alerting import add_policy, policy_file
from trajectory.cli.output import bold, json_line, plural, say, sign, table
from trajectory.cli.places import add_json, add_key, add_store, open_store
from trajectory.view.text import clean

if TYPE_CHECKING:
    from trajectory.alerting.incidents import Incident
    from trajectory.alerting.outbox import Standing
    from trajectory.alerting.policy import Policy

_ACTIONS = ("list", "show", "ack", "mute", "reopen", "test")
_LISTED_CLOSED = 20
_MARKED = 20  # runs, the newest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Alerts are made of findings by the collector that has a policy (trajectory serve --alerts FILE); without one they are "
        "made here of what is stored. ack, mute and reopen mark the alert in the runs that it names, as the dashboard does."
    )
    parser.add_argument("action", choices=_ACTIONS, nargs="?", default="list", help="default: list")
    parser.add_argument("name", metavar="ID|CHANNEL", nargs="?", default="", help="an alert by a beginning of its id")
    parser.add_argument(
        "--for", metavar="TIME", dest="for_", default="", help="mute for so long, e.g. 1h (default: for good)"
    )
    parser.add_argument("--all", action="store_true", help="list every one that is over, too")
    add_policy(parser, "--policy", "the policy")
    add_store(parser)
    add_key(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    from trajectory.errors import ConfigError

    if args.action != "list" and not args.name:
        what = "a channel" if args.action == "test" else "an alert"
        raise ConfigError(
            f"name {what}: trajectory alerts {args.action} {'CHANNEL' if args.action == 'test' else 'ID'}", "name"
        )
    if args.for_ and args.action != "mute":
        raise ConfigError("--for goes with mute", "for")
    if args.action == "test":
        return _test(args)
    book = read_book(args.store, args.policy)
    if args.action == "list":
        return _list(args, book)
    incident = _one(book, args.name)
    return _show(args, book, incident) if args.action == "show" else _mark(args, book, incident)


class Book(NamedTuple):
    """What is known of alerts: those that are open, those that are over, and the channels. `is_kept`: by a collector's policy."""

    open: "list[Incident]"
    closed: "list[Incident]"
    channels: "list[Standing]"
    told: dict[str, list[str]]
    dead: list[tuple[str, str, str, str]]
    is_kept: bool
    policy: "Policy"


def read_book(store: str, named: str = "") -> Book:
    """The state beside a store, else what its findings come to. Raises StoreError, ConfigError."""
    from trajectory.alerting.outbox import dead_letters, standings, told_of
    from trajectory.alerting.policy import Policy
    from trajectory.alerting.policy_file import read_policy
    from trajectory.alerting.state import incidents_in, read_state

    file = policy_file(named)
    policy = read_policy(file) if file is not None else Policy()
    state = read_state(state_path(store, policy))
    if state is None:
        return _folded(store, policy)
    with closing(state):
        opened, closed = (incidents_in(state, closed=is_closed) for is_closed in (False, True))
        told = {one.id: told_of(state, one) for one in opened}
        return Book(opened, closed, standings(state), told, dead_letters(state), True, policy)


def state_path(store: str, policy: "Policy") -> Path:
    from trajectory.alerting.state import state_of
    from trajectory.store.location import locate

    return Path(policy.state).expanduser() if policy.state else state_of(Path(locate(store)))


def _folded(store: str, policy: "Policy") -> Book:
    """All findings and marks of a store as incidents, made here."""
    from trajectory.alerting.incidents import Incidents
    from trajectory.collector.own import OWN_ID
    from trajectory.model.fact import Found, Marked

    incidents = Incidents()
    services: dict[bytes, str] = {}
    with closing(open_store(store)) as reader:
        for batch in reader.batches_of(OWN_ID, 0, reader.last_frame()):
            for fact in batch.facts:
                if isinstance(fact, Found):
                    trace_id = fact.finding.trace_id
                    if trace_id not in services:
                        services[trace_id] = next((b.source.service for b in reader.facts(trace_id)), "")
                    incidents.pass_time(fact.at_ns, policy)
                    incidents.take(fact.finding, services[trace_id], fact.at_ns, policy)
                elif isinstance(fact, Marked):
                    incidents.mark(fact)
    incidents.pass_time(time.time_ns(), policy)
    every = sorted(incidents.touched.values(), key=lambda one: one.last_ns)
    opened, closed = ([i for i in every if (i.state == "closed") is over] for over in (False, True))
    return Book(opened, closed, [], {}, [], False, policy)


def _one(book: Book, name: str) -> "Incident":
    from trajectory.errors import ConfigError

    found = [one for one in (*book.open, *book.closed) if one.id.startswith(name)]
    if len(found) != 1:
        said = "no alert starts" if not found else f"{len(found)} alerts start"
        raise ConfigError(f"{said} with {name[:40]!r}: trajectory alerts list names them", "name")
    return found[0]


def _list(args: argparse.Namespace, book: Book) -> int:
    from trajectory.alerting.policy import rank_of

    now_ns = time.time_ns()
    opened = sorted(
        (one for one in book.open if one.state != "pending"),
        key=lambda one: (rank_of(one.severity), one.last_ns),
        reverse=True,
    )
    closed = list(reversed(book.closed))[: None if args.all or args.json else _LISTED_CLOSED]
    if args.json:
        for one in (*opened, *closed):
            print(json_line(_as_json(one, book, now_ns)))
    elif opened or closed:
        rows = [
            (
                one.id, f"{sign(one.severity)} {one.severity}", one.shown_state(now_ns), one.kind, _who(one), one.count,
                one.trace_count, _ago(now_ns - one.last_ns), one.message,
            )
            for one in (*opened, *closed)
        ]  # fmt: skip
        print("\n".join(table(("ALERT", "SEVERITY", "STATE", "KIND", "WHO", "COUNT", "RUNS", "LAST", "WHAT"), rows)))
    else:
        say(f"no alerts in {args.store}")
    for channel in book.channels:
        parts = [f"{channel.sent} sent", f"{channel.waiting} waiting"] + (
            [f"{channel.dead} given up"] if channel.dead else []
        )
        say(f"channel {channel.name}: {', '.join(parts)}" + (f"; {channel.trouble}" if channel.trouble else ""))
    if not book.is_kept:
        say("made of what is stored: no collector keeps alerts here (trajectory serve --alerts FILE)")
    return 0


def _show(args: argparse.Namespace, book: Book, one: "Incident") -> int:
    from trajectory.alerting.message import link_to, message_of

    now_ns = time.time_ns()
    if args.json:
        print(json_line(_as_json(one, book, now_ns)))
        return 0
    message = message_of(one, "open")
    lines = [
        f"{sign(one.severity)} {bold(message.title)}   {one.shown_state(now_ns)}",
        f"  {message.text}",
        f"  {message.link}",
        f"  {plural(one.count, 'finding')} in {plural(one.trace_count, 'run')}, the first {_ago(now_ns - one.opened_ns)} ago, "
        f"the last {_ago(now_ns - one.last_ns)} ago; by {one.rule}",
    ]
    if told := book.told.get(one.id):
        lines.append(f"  goes to {', '.join(told)}")
    lines += [f"  {channel} was not told: {why}" for channel, key, _, why in book.dead if key == one.id]
    lines += [f"    {link_to(trace, key)}" for trace, key in reversed(one.places[-20:])]
    print("\n".join([lines[0], *(clean(line) for line in lines[1:])]))
    return 0


def _as_json(one: "Incident", book: Book, now_ns: int) -> dict[str, Any]:
    from trajectory.alerting.message import message_json, message_of

    said = message_json(message_of(one, "open"))
    for name in ("id", "action", "others"):
        del said[name]
    return said | {
        "state": one.shown_state(now_ns),
        "muted_until_unix_nano": one.muted_until_ns or None,
        "channels": book.told.get(one.id, []),
        "trace_ids": list(dict.fromkeys(trace for trace, _ in one.places)),
    }


def _mark(args: argparse.Namespace, book: Book, one: "Incident") -> int:
    """Marks the alert in the runs that it names: by the collector that serves the store, else in the store itself."""
    from trajectory.errors import ConfigError, StoreError, TrajectoryError
    from trajectory.store.location import locate
    from trajectory.store.lock import writer_of
    from trajectory.view.times import offset_ns

    for_ns = offset_ns(args.for_) if args.for_ else 0
    if for_ns is None or (args.for_ and for_ns < 1_000_000_000):
        raise ConfigError(f"{args.for_[:20]!r} is no time: give an amount with its unit, such as 1h", "for")
    action = {"ack": "acknowledge"}.get(args.action, args.action)
    if one.state == "closed":
        raise ConfigError(f"alert {one.id} is over: there is nothing to {args.action}", "name")
    served = writer_of(Path(locate(args.store)))
    if served is not None and not served[1]:
        raise StoreError(f"{args.store} is being written by process {served[0]}, which takes no marks")
    marked_count, why = 0, ""
    at_rest = served is None
    with closing(
        _AtRest(args.store, book.policy, is_kept=book.is_kept)
        if at_rest
        else _Remote(served[1] if served else "", args.key)
    ) as desk:
        for trace_id, key in reversed(one.places[-_MARKED:]):
            try:
                desk.mark(trace_id, key, action, for_ns // 1_000_000_000)
                marked_count += 1
            except TrajectoryError as fault:  # its run was retired
                why = str(fault)
    if not marked_count:
        raise TrajectoryError(f"nothing was marked: {why}")
    if args.json:
        print(json_line({"id": one.id, "action": action, "runs": marked_count}))
    else:
        say(f"{action} {one.id}: marked in {plural(marked_count, 'run')}")
    return 0


class _Remote:
    """Marks by the collector at an endpoint."""

    def __init__(self, endpoint: str, key_file: str) -> None:
        from trajectory.cli.receiving import near
        from trajectory.collector.remote import RemoteFeed
        from trajectory.protocol.keys import client_keys

        self._feed = RemoteFeed(near(endpoint), timeout_s=5.0, keys=client_keys(key_file))

    def mark(self, trace_id: str, key: str, action: str, for_s: int) -> None:
        self._feed.mark(trace_id, key, action, for_s)

    def close(self) -> None:
        self._feed.close()


class _AtRest:
    """Marks in a store that nobody writes, and in what is known of its alerts."""

    def __init__(self, store: str, policy: "Policy", *, is_kept: bool) -> None:
        from trajectory.collector.pipeline import Pipeline
        from trajectory.store.sqlite import open_writer

        self._store, self._policy, self._is_kept = store, policy, is_kept
        self._writer = open_writer(store)
        self._pipeline = Pipeline(self._writer, [], time.time_ns)

    def mark(self, trace_id: str, key: str, action: str, for_s: int) -> None:
        from trajectory.model.fact import Marked

        now_ns = time.time_ns()
        until_ns = now_ns + for_s * 1_000_000_000 if for_s else 0
        self._pipeline.mark(Marked(bytes.fromhex(trace_id), now_ns, key, action, until_ns=until_ns))

    def close(self) -> None:
        from trajectory.alerting.state import State
        from trajectory.messenger.dispatch import Dispatch

        try:
            if self._is_kept:
                with closing(State(state_path(self._store, self._policy))) as state:
                    dispatch = Dispatch(self._writer, state, self._policy, {}, time.time_ns)
                    while dispatch.step():
                        pass
        finally:
            self._writer.close()


def _test(args: argparse.Namespace) -> int:
    """Sends a message by a channel, now, past quiet hours and the outbox; exit 1 where it is not taken."""
    from trajectory.alerting.channels.registry import channel_of
    from trajectory.alerting.message import message_json, trial_message
    from trajectory.alerting.outbox import Letter
    from trajectory.alerting.policy_file import default_file, read_policy
    from trajectory.alerting.secret import Vault
    from trajectory.errors import ConfigError
    from trajectory.messenger.courier import attempt

    file = policy_file(args.policy)
    if file is None:
        raise ConfigError(f"there is no policy: write {default_file()}, or name one with --policy", "policy")
    policy = read_policy(file)
    if args.name not in policy.channels:
        raise ConfigError(
            f"{args.name[:40]!r} is no channel of {file}; it has {', '.join(policy.channels) or 'none'}", "name"
        )
    vault = Vault()
    channel = channel_of(policy.channels[args.name], vault)
    message = trial_message(args.name, time.time_ns())
    failure = attempt(channel, Letter(0, args.name, 0, message), vault)
    if args.json:
        said = {"channel": args.name, "taken": failure is None, "reason": failure.reason if failure else None}
        print(json_line({**said, "message": message_json(message)}))
    elif failure is None:
        say(f"{args.name} took it: {message.line}")
    if failure is not None:
        say(f"{args.name} did not take it: {failure.reason}")
    return 0 if failure is None else 1


def _who(one: "Incident") -> str:
    who = " -> ".join(name for name in (one.peer_agent, one.agent) if name)
    return f"{who} in {one.service}" if one.service else who


def _ago(ns: int) -> str:
    seconds = max(ns, 0) // 1_000_000_000
    for limit, divisor, unit in ((120, 1, "s"), (7_200, 60, "min"), (172_800, 3_600, "h")):
        if seconds < limit:
            return f"{seconds // divisor} {unit}"
    return f"{seconds // 86_400} d"
