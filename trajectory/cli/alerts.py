"""`trajectory alerts`: what goes wrong over all runs, acknowledging and muting it, and whether channels work."""

import argparse
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trajectory.cli.alerting import add_policy, policy_file, state_path
from trajectory.cli.output import bold, is_terminal, json_line, plural, say, sign, table
from trajectory.cli.places import add_json, add_key, default_store, open_store
from trajectory.view.text import clean

if TYPE_CHECKING:
    from trajectory.collector.remote import RemoteFeed
    from trajectory.view.incident_rows import IncidentRow
    from trajectory.view.views import AlertsQuery, AlertsView

_ACTIONS = ("list", "show", "ack", "mute", "reopen", "test")
_LISTED_CLOSED = 20
_EVERY = 1_000_000
_MARKED = 20  # runs, the newest
_ASKED_S, _MARKED_S = 1.5, 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Alerts are made of findings by the collector that has a policy (trajectory serve --alerts FILE); without one they are "
        "made here of what is stored. ack, mute and reopen mark the alert in the runs that it names, as the dashboard does."
    )
    parser.add_argument("action", choices=_ACTIONS, nargs="?", default="list", help="default: list")
    parser.add_argument(
        "name",
        metavar="ID|CHANNEL",
        nargs="?",
        default="",
        help="an alert by a beginning of its id; for test, a channel of the policy",
    )
    parser.add_argument(
        "--for", metavar="TIME", dest="for_", default="", help="mute for so long, e.g. 1h (default: for good)"
    )
    parser.add_argument("--all", action="store_true", help="list every one that is over, too")
    add_policy(parser, "--policy", "the policy")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--store", metavar="PATH", help=f"store: a path or sqlite:/// URL (default: {default_store()})")
    source.add_argument("--connect", metavar="ENDPOINT", default="", help="a running collector instead, also elsewhere")
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
    args.store = args.store or default_store()
    if args.action == "list":
        return _list(args)
    one = _one(args)
    return _show(args, one) if args.action == "show" else _mark(args, one)


def read_alerts(args: argparse.Namespace, query: "AlertsQuery") -> "AlertsView":
    """What a collector says that was named; else the state beside a store, else what its findings come to.

    Raises StoreError, ConfigError, FeedLost.
    """
    from trajectory.alerting.book import kept_alerts
    from trajectory.errors import TrajectoryError
    from trajectory.view.reaching import pulled
    from trajectory.view.rows import Health
    from trajectory.view.views import AlertsView

    if args.connect:
        with closing(_feed(args.connect, args.key)) as feed:
            view = pulled(feed, query)
        if not isinstance(view, AlertsView):
            raise TrajectoryError(f"{args.connect}: {getattr(view, 'reason', 'no answer')}")
        return view
    kept = kept_alerts(state_path(args.store, policy_file(args.policy)), query, time.time_ns(), Health())
    return kept or _of_its_collector(args, query) or _folded(args, query)


def _feed(endpoint: str, key_file: str, timeout_s: float = _ASKED_S) -> "RemoteFeed":
    from trajectory.cli.receiving import near
    from trajectory.collector.remote import RemoteFeed
    from trajectory.protocol.keys import client_keys

    return RemoteFeed(near(endpoint), timeout_s=timeout_s, keys=client_keys(key_file))


def _of_its_collector(args: argparse.Namespace, query: "AlertsQuery") -> "AlertsView | None":
    """What the collector of a store says: its policy may keep the state at a place that we do not know."""
    from trajectory.errors import TrajectoryError
    from trajectory.store.location import locate
    from trajectory.store.lock import writer_of
    from trajectory.view.reaching import pulled
    from trajectory.view.views import AlertsView

    served = writer_of(locate(args.store))
    if served is None or not served[1]:
        return None
    try:
        with closing(_feed(served[1], args.key)) as feed:
            view = pulled(feed, query)
    except TrajectoryError as fault:
        say(f"its collector does not say: {fault}")
        return None
    return view if isinstance(view, AlertsView) else None


def _folded(args: argparse.Namespace, query: "AlertsQuery") -> "AlertsView":
    """All findings and marks of a store as incidents, made here."""
    from trajectory.alerting.book import alerts_view
    from trajectory.alerting.incidents import Incidents
    from trajectory.alerting.policy import Policy
    from trajectory.alerting.policy_file import read_policy
    from trajectory.collector.own import OWN_ID
    from trajectory.model.fact import Found, Marked
    from trajectory.view.rows import Health

    file = policy_file(args.policy)
    policy = read_policy(file) if file is not None else Policy()
    incidents = Incidents()
    services: dict[bytes, str] = {}
    with closing(open_store(args.store)) as reader:
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
    now_ns = time.time_ns()
    incidents.pass_time(now_ns, policy)
    return alerts_view(incidents.touched.values(), query, now_ns, Health(), is_kept=False)


def _one(args: argparse.Namespace) -> "IncidentRow":
    from trajectory.errors import ConfigError
    from trajectory.view.views import AlertsQuery

    view = read_alerts(args, AlertsQuery(args.name, 2, 2))
    found = [*view.open, *view.closed]
    if len(found) != 1:
        said = "no alert starts" if not found else f"{view.total + view.closed_total} alerts start"
        raise ConfigError(f"{said} with {args.name[:40]!r}: trajectory alerts list names them", "name")
    return found[0]


def _list(args: argparse.Namespace) -> int:
    from trajectory.view.views import AlertsQuery

    is_all = args.all or args.json
    view = read_alerts(args, AlertsQuery("", _EVERY, _EVERY if is_all else _LISTED_CLOSED))
    now_ns = time.time_ns()
    rows = [*view.open, *view.closed]
    if args.json:
        for one in rows:
            print(json_line(_as_json(one)))
    elif rows:
        cells = [
            (
                one.id, f"{sign(one.severity)} {one.severity}" if is_terminal() else one.severity, one.state, one.kind,
                _who(one), one.count, one.trace_count, _ago(now_ns - one.last_ns), one.text,
            )
            for one in rows
        ]  # fmt: skip
        print("\n".join(table(("ALERT", "SEVERITY", "STATE", "KIND", "WHO", "COUNT", "RUNS", "LAST", "WHAT"), cells)))
    else:
        say(f"no alerts in {args.connect or args.store}")
    if view.total > len(view.open):
        say(f"{view.total - len(view.open)} more are open and not shown")
    if view.closed_total > len(view.closed):
        say(f"{view.closed_total - len(view.closed)} more are over" + ("" if is_all else ": --all lists them"))
    for channel in view.channels:
        parts = [f"{channel.sent} sent", f"{channel.waiting} waiting"] + (
            [f"{channel.dead} given up"] if channel.dead else []
        )
        say(f"channel {channel.name}: {', '.join(parts)}" + (f"; {channel.trouble}" if channel.trouble else ""))
    if not view.is_kept:
        say("made of what is stored: no collector keeps alerts here (trajectory serve --alerts FILE)")
    return 0


def _show(args: argparse.Namespace, one: "IncidentRow") -> int:
    from trajectory.alerting.message import link_to

    if args.json:
        print(json_line(_as_json(one)))
        return 0
    now_ns = time.time_ns()
    lines = [
        f"{sign(one.severity)} {bold(one.title)}   {one.state}",
        f"  {one.text}",
        f"  {one.link}",
        f"  {plural(one.count, 'finding')} in {plural(one.trace_count, 'run')}, the first {_ago(now_ns - one.opened_ns)} ago, "
        f"the last {_ago(now_ns - one.last_ns)} ago; by {one.rule}",
    ]
    if one.told:
        lines.append(f"  goes to {', '.join(one.told)}")
    lines += [f"  {channel} was not told: {why}" for channel, why in one.untold]
    lines += [f"    {link_to(trace, key)}" for trace, key in reversed(one.places)]
    print("\n".join([lines[0], *(clean(line) for line in lines[1:])]))
    return 0


def _as_json(one: "IncidentRow") -> dict[str, Any]:
    return {
        "key": one.id, "severity": one.severity, "kind": one.kind, "title": one.title, "text": one.text, "link": one.link,
        "agent": one.agent, "peer_agent": one.peer_agent, "service": one.service, "rule": one.rule, "count": one.count,
        "traces": one.trace_count, "trace_id": one.trace_id, "opened_unix_nano": one.opened_ns,
        "last_unix_nano": one.last_ns, "closed_unix_nano": one.closed_ns or None, "state": one.state,
        "muted_until_unix_nano": one.muted_until_ns or None, "channels": one.told,
        "trace_ids": list(dict.fromkeys(trace for trace, _ in one.places)),
    }  # fmt: skip


def _mark(args: argparse.Namespace, one: "IncidentRow") -> int:
    """Marks the alert in the runs that it names: by the collector that was named or serves the store, else in the store."""
    from trajectory.errors import ConfigError, StoreError, TrajectoryError
    from trajectory.store.location import locate
    from trajectory.store.lock import writer_of
    from trajectory.view.feed import FeedLost
    from trajectory.view.times import offset_ns

    for_ns = offset_ns(args.for_) if args.for_ else 0
    if for_ns is None or (args.for_ and for_ns < 1_000_000_000):
        raise ConfigError(f"{args.for_[:20]!r} is no time: give an amount with its unit, such as 1h", "for")
    action = {"ack": "acknowledge"}.get(args.action, args.action)
    if one.state == "closed":
        raise ConfigError(f"alert {one.id} is over: there is nothing to {args.action}", "name")
    served = (0, args.connect) if args.connect else writer_of(locate(args.store))
    if served is not None and not served[1]:
        raise StoreError(f"{args.store} is being written by process {served[0]}, which takes no marks")
    marked_count, why = 0, ""
    with closing(
        _feed(served[1], args.key, _MARKED_S) if served else _AtRest(args.store, policy_file(args.policy))
    ) as desk:
        for trace_id, key in reversed(one.places[-_MARKED:]):
            try:
                desk.mark(trace_id, key, action, for_ns // 1_000_000_000)
                marked_count += 1
            except FeedLost:
                raise  # not one of the others either
            except TrajectoryError as fault:  # its run was retired
                why = str(fault)
    if not marked_count:
        raise TrajectoryError(f"nothing was marked: {why}")
    if args.json:
        print(json_line({"id": one.id, "action": action, "runs": marked_count}))
    else:
        say(f"{action} {one.id}: marked in {plural(marked_count, 'run')}")
    return 0


class _AtRest:
    """Marks in a store that nobody writes, and in what is known of its alerts."""

    def __init__(self, store: str, policy: Path | None) -> None:
        from trajectory.collector.pipeline import Pipeline
        from trajectory.store.sqlite import open_writer

        self._policy, self._state = policy, state_path(store, policy)
        self._writer = open_writer(store)
        self._pipeline = Pipeline(self._writer, [], time.time_ns)

    def mark(self, trace_id: str, key: str, action: str, for_s: int) -> None:
        from trajectory.model.fact import Marked

        now_ns = time.time_ns()
        until_ns = now_ns + for_s * 1_000_000_000 if for_s else 0
        self._pipeline.mark(Marked(bytes.fromhex(trace_id), now_ns, key, action, until_ns=until_ns))

    def close(self) -> None:
        from trajectory.alerting.policy import Policy
        from trajectory.alerting.policy_file import read_policy
        from trajectory.alerting.state import State
        from trajectory.messenger.dispatch import Dispatch

        try:
            if self._state.exists():
                policy = read_policy(self._policy) if self._policy is not None else Policy()
                with closing(State(self._state)) as state:
                    dispatch = Dispatch(self._writer, state, policy, {}, time.time_ns)
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
    from trajectory.view.nearly import meant

    file = policy_file(args.policy)
    if file is None:
        raise ConfigError(f"there is no policy: write {default_file()}, or name one with --policy", "policy")
    policy = read_policy(file)
    if args.name not in policy.channels:
        there = f"; it has {', '.join(policy.channels) or 'none'}"
        raise ConfigError(
            f"{args.name[:40]!r} is no channel of {file}{meant(args.name, policy.channels, there)}", "name"
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


def _who(one: "IncidentRow") -> str:
    who = " -> ".join(name for name in (one.peer_agent, one.agent) if name)
    return f"{who} in {one.service}" if one.service else who


def _ago(ns: int) -> str:
    seconds = max(ns, 0) // 1_000_000_000
    for limit, divisor, unit in ((120, 1, "s"), (7_200, 60, "min"), (172_800, 3_600, "h")):
        if seconds < limit:
            return f"{seconds // divisor} {unit}"
    return f"{seconds // 86_400} d"
