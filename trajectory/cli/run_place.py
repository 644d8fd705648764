"""Where the facts of a program that `trajectory run` starts go: to the collector that is there, else to one of its own.

Invariant: a collector that the user names, or whose store, is used or said to be unusable, and never passed over in silence.
"""

import argparse
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from trajectory.cli.output import say
from trajectory.cli.places import default_endpoint, default_store
from trajectory.cli.receiving import near
from trajectory.errors import ConfigError, TrajectoryError

_LOOK_S = 0.5
_NAMED_LOOK_S = 2.0
_STORE_S = 600.0  # for a collector of its own to store what came; a ctrl-c need not wait for that


class Place(NamedTuple):
    """The wire, OTLP over HTTP (`host:port`), and the store in which it can be read afterwards, empty where it cannot.

    `is_ours`: the collector is there for this program alone, and has stored everything when `place` ends.
    """

    endpoint: str
    otlp: str
    store: str
    is_ours: bool


@contextmanager
def place(args: argparse.Namespace) -> Iterator[Place]:
    """Raises TrajectoryError where the collector that was asked for cannot be had."""
    chosen = args.connect or _serving(args.store)
    endpoint = chosen or default_endpoint()
    is_named = bool(chosen or os.environ.get("TRAJECTORY_ENDPOINT"))
    wants_own = not chosen and args.store != default_store()
    store = None if wants_own else _store_of_collector(endpoint, args.key, is_named, must=bool(args.connect))
    if store is not None and args.policy:
        raise ConfigError(f"--alerts: the collector at {endpoint} is used, and tells as its own policy says", "alerts")
    if store is not None:
        with _receiver_for(endpoint, args.key) as otlp:
            yield Place(endpoint, otlp, store, False)
        return
    with _collector_of_its_own(args.store, args.policy) as own:
        yield own


def _serving(store: str) -> str:
    """The endpoint of the collector that serves a store; empty where none does."""
    from trajectory.store.location import locate
    from trajectory.store.lock import writer_of

    served = writer_of(locate(store))
    return near(served[1]) if served is not None else ""


def _store_of_collector(endpoint: str, key: str, is_named: bool, must: bool) -> str | None:
    """The store of the collector at `endpoint`, empty where it does not let us look; None where there is none for us."""
    from trajectory.collector.remote import RemoteFeed
    from trajectory.protocol.keys import client_keys
    from trajectory.view.feed import FeedLost, NotAdmitted
    from trajectory.view.views import RunsQuery

    patience_s = _NAMED_LOOK_S if is_named else _LOOK_S
    with closing(RemoteFeed(endpoint, timeout_s=patience_s, keys=client_keys(key))) as feed:
        try:
            view = feed.pull(RunsQuery(limit=1), -1)
        except FeedLost as fault:
            if must:
                raise TrajectoryError(str(fault)) from None
            if is_named or isinstance(fault, NotAdmitted):
                say(f"{fault}; another collector is started")
            return None
        except TrajectoryError as fault:  # it is there, and this key may send and not look
            say(f"there is no summary here: {fault}")
            return ""
    store = view.health.store if view is not None else ""
    return store if store and Path(store).exists() else ""


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
def _collector_of_its_own(store: str, policy: str) -> Iterator[Place]:
    """A collector in a process of its own; when this returns it has stored and judged everything, and told of it."""
    from trajectory.cli.alerting import policy_file, told_by_own
    from trajectory.cli.demo import collector_process
    from trajectory.receiver.beside import free_address

    otlp = free_address()
    words = ("--otlp-http", otlp, "--otlp-grpc", "off")
    with (
        told_by_own(policy_file(policy), store) as alerts,
        collector_process(store, *words, *alerts, stop_s=_STORE_S) as endpoint,
    ):
        yield Place(endpoint, otlp, store, True)
