"""Alerts as `trajectory serve` begins sending them beside its collector, and as `demo` and `run` have theirs do so.

Invariant: without a policy nothing is sent, and nothing of it is loaded. A policy that is wrong from the beginning is bad usage.
"""

import argparse
import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from trajectory.cli.output import plural, say

if TYPE_CHECKING:
    from trajectory.collector.server import Collector

OFF = "off"


_DEFAULT = "TRAJECTORY_ALERTS, else ~/.config/trajectory/alerts.toml where there is one"


def add_policy(parser: argparse.ArgumentParser, option: str, what: str, default: str = _DEFAULT) -> None:
    parser.add_argument(option, metavar="FILE", dest="policy", default="", help=f"{what} (default: {default})")


def policy_file(named: str) -> Path | None:
    """The policy's file: the one named, else the default one where it is there or the environment names it."""
    import os

    from trajectory.alerting.policy_file import VARIABLE, default_file

    if OFF in (named, "" if named else os.environ.get(VARIABLE)):
        return None
    found = Path(named).expanduser() if named else default_file()
    return found.absolute() if named or os.environ.get(VARIABLE) or found.exists() else None


@contextlib.contextmanager
def alerting(policy: Path | None, collector: "Collector") -> Iterator[None]:
    """While it lasts, what the collector finds is told as the policy in a file says."""
    if policy is None:
        yield
        return
    from trajectory.collector.incident_states import IncidentStates
    from trajectory.messenger.beside import MessengerProcess
    from trajectory.messenger.process import Settings

    collector.publisher.alerts_in = lambda: state_path(collector.store, policy)
    process = MessengerProcess(Settings(collector.store, str(policy), collector.pipeline.writer.last_frame()))
    collector.pipeline.incident_states = IncidentStates(state_path(collector.store, policy))
    collector.pipeline.vitals.others.append(lambda: process.notices)
    if not sys.stdin.isatty():  # else its terminal may hang up, which ends it
        signal.signal(signal.SIGHUP, lambda *_: process.read_again())
    try:
        yield
    finally:
        process.close()
        for notice in process.notices:
            say(notice)


def state_path(store: str, policy: Path | None) -> Path:
    """Where the state of alerts is for a store: where the policy in a file says, else beside the store. Raises ConfigError."""
    from trajectory.alerting.policy_file import read_policy
    from trajectory.alerting.state import state_of
    from trajectory.store.location import locate

    named = read_policy(policy).state if policy is not None else ""
    return Path(named).expanduser() if named else state_of(Path(locate(store)))


def read_first(policy: Path | None) -> list[str]:
    """What a policy has, and which channels cannot be made, a sentence each; none without a policy.

    Raises ConfigError where it is wrong, so that nobody relies on it.
    """
    if policy is None:
        return []
    from trajectory.alerting.channels.registry import channel_of
    from trajectory.alerting.policy_file import read_policy
    from trajectory.alerting.secret import Vault
    from trajectory.errors import ConfigError

    read = read_policy(policy)
    rules = plural(len(read.rules), "rule") if read.rules else "warnings and above"
    said = [f"alerts as {policy} says: {rules}, {plural(len(read.channels), 'channel')}"]
    for name, configured in read.channels.items():
        vault = Vault()
        try:
            channel_of(configured, vault)
        except ConfigError as fault:
            said.append(vault.scrub(f"no alerts to {name}: {fault}"))
    return said


@contextlib.contextmanager
def told_by_own(policy: Path | None, store: str) -> Iterator[tuple[str, ...]]:
    """The further arguments with which a collector of one's own tells of alerts; at the end says whom it told, and of what not.

    Raises ConfigError where the policy is wrong.
    """
    if policy is None:
        yield ("--alerts", OFF)
        return
    for line in read_first(policy)[1:]:
        say(line)
    before = _sent(policy, store)
    yield ("--alerts", str(policy))
    from trajectory.alerting.book import kept_alerts
    from trajectory.view.rows import Health
    from trajectory.view.views import AlertsQuery

    view = kept_alerts(state_path(store, policy), AlertsQuery(limit=0, closed=0), 0, Health())
    is_quiet = True
    for channel in view.channels if view is not None else ():
        is_quiet = is_quiet and channel.sent == before.get(channel.name, 0) and not channel.waiting
        said = [plural(channel.sent - before.get(channel.name, 0), "message")]
        said += [f"{channel.waiting} wait for the next collector of this store"] if channel.waiting else []
        said += [f"{channel.dead} given up"] if channel.dead else []
        say(f"alerts to {channel.name}: {', '.join(said)}" + (f"; {channel.trouble}" if channel.trouble else ""))
    if view is not None and view.total:
        known = ", known from before and not told again" if is_quiet else ""
        say(f"{plural(view.total, 'alert')} open{known}: trajectory alerts --store {store}")
    elif view is None or not view.channels:
        say(f"nothing to tell of, as {policy} says")


def _sent(policy: Path, store: str) -> dict[str, int]:
    """How many messages each channel has had of a store so far."""
    from trajectory.alerting.outbox import standings
    from trajectory.alerting.state import read_state

    state = read_state(state_path(store, policy))
    if state is None:
        return {}
    with contextlib.closing(state):
        return {one.name: one.sent for one in standings(state)}
