"""`trajectory serve`: the collector, in the foreground, until it is told to stop."""

import argparse
import ipaddress
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from trajectory.cli.alerting import add_policy, alerting, policy_file, read_first
from trajectory.cli.forwarding import add_forwarding, forwarding, take_targets
from trajectory.cli.output import plural, say
from trajectory.cli.places import add_bounds, add_store, bounds_of, default_endpoint, keys_dir, natural
from trajectory.cli.receiving import add_receiver, near, receiving, tell_places
from trajectory.cli.scraping import add_metrics, scraping, use_prices

if TYPE_CHECKING:
    from trajectory.collector.keyring import Keyring
    from trajectory.collector.server import Collector


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--bind", metavar="ENDPOINT", default=default_endpoint(), help="where to listen (default: %(default)s)"
    )
    add_store(parser)
    add_receiver(parser)
    add_forwarding(parser)
    add_metrics(parser)
    add_policy(parser, "--alerts", "tell of alerts as this policy says; off for none")
    parser.add_argument(
        "--keys",
        metavar="DIR",
        nargs="?",
        const=keys_dir(),
        help=f"let in only whom these keys know; never without them beyond loopback (default: {keys_dir()})",
    )
    parser.add_argument(
        "--rate",
        metavar="N",
        type=natural,
        default=0,
        help="facts a second of each emitter; who is over it is slowed down",
    )
    parser.add_argument(
        "--emitters", metavar="N", type=natural, default=4096, help="most at once (default: %(default)s)"
    )
    parser.add_argument(
        "--no-search",
        action="store_true",
        help="do not index what is said: `trajectory search` then looks through the store",
    )
    add_bounds(parser)
    parser.add_argument("--lifeline", action="store_true", help=argparse.SUPPRESS)  # stop when standard input closes


def run(args: argparse.Namespace) -> int:
    from trajectory.collector.garbage import collect_rarely
    from trajectory.collector.quotas import Limits
    from trajectory.collector.server import Collector
    from trajectory.detection.contract import registered_detectors
    from trajectory.emitter.courier import delivering
    from trajectory.store.location import locate
    from trajectory.store.lock import earlier_endpoints

    tell = _untold if args.lifeline else say
    use_prices(args)
    keys = keyring_for(args.bind, args.keys)
    limits = Limits(args.rate, args.emitters)
    policy = policy_file(args.policy)
    alerts_said = read_first(policy)
    targets = take_targets(args)
    detectors = registered_detectors(tell=say)
    collector = Collector(args.store, detectors, args.bind, keys, limits, is_apart=True, with_words=not args.no_search)
    collector.pipeline.keep(bounds_of(args))
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: collector.stop())
    if args.lifeline:
        threading.Thread(target=_until_closed, args=(collector,), name="lifeline", daemon=True).start()
    collect_rarely()
    earlier = [near(place) for place in earlier_endpoints(locate(args.store))]
    door = _door_of(collector)
    beside = (delivering(door, earlier=earlier), forwarding(targets, collector), alerting(policy, collector))
    with beside[0], beside[1], beside[2], receiving(args, collector) as receiver:
        say(f"listening on {collector.endpoint}, storing in {args.store}" + (", for known keys only" if keys else ""))
        if receiver is not None:
            tell_places(receiver, tell)
        for line in alerts_said:
            tell(line)
        if targets:
            tell(f"forwarding to {' and '.join(target.name for target in targets)}")
        if sys.stderr.isatty():
            say("in another terminal: trajectory watch; ctrl-c stops")
        if collector.recovered:
            tell(f"took up {plural(collector.recovered, 'trace')} that an earlier collector left open")
        with scraping(args, collector):
            collector.run()
    vitals = collector.pipeline.vitals
    troubles = (vitals.retention_trouble, vitals.intake_trouble, vitals.trouble, vitals.failing)
    trouble = [said for said in troubles if said]
    is_well = not (vitals.dropped_count or vitals.quarantined_count or trouble)
    (tell if is_well else say)(
        f"stopped after {plural(vitals.fact_count, 'fact')}: {vitals.dropped_count} lost, {vitals.quarantined_count} quarantined"
        + "".join(f"; {said}" for said in (vitals.retired, *trouble) if said)
    )
    return 0


def _untold(_: str) -> None:
    """What goes well with a collector that a command started for itself: it says only what is wrong, and the command the rest."""


def _until_closed(collector: "Collector") -> None:
    """Stops the collector when whoever started it is gone, however it went: its end of the pipe closes."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    collector.stop()


def _door_of(collector: "Collector") -> str:
    """The endpoint at which this very process reaches its collector, with keys where they are needed."""
    from trajectory.emitter.credentials import name_key

    endpoint = near(collector.endpoint)
    if collector.own_keys is not None:
        name_key(endpoint, collector.own_keys)
    return endpoint


def keyring_for(endpoint: str, directory: str | None) -> "Keyring | None":
    """The keys that guard an endpoint: those asked for, and wherever other machines reach it those there are.

    Raises ConfigError where there are none.
    """
    from trajectory.collector.keyring import Keyring
    from trajectory.errors import ConfigError

    if "://" not in endpoint:
        raise ConfigError(f"{endpoint} is no endpoint: give one such as tcp://127.0.0.1:5570", "bind")
    if directory is None and is_local(endpoint):
        return None
    keyring = Keyring(directory or keys_dir())
    if not keyring.is_ready:
        raise ConfigError(
            f"{endpoint} wants keys, and there are none in {keyring.directory}: make them with trajectory keys init, "
            "or bind to 127.0.0.1 without --keys",
            "bind",
        )
    return keyring


def is_local(endpoint: str) -> bool:
    """Whether only this machine reaches an endpoint."""
    scheme, _, place = endpoint.partition("://")
    if scheme != "tcp":
        return scheme in ("ipc", "inproc")
    host = place.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
