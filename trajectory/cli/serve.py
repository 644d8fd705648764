"""`trajectory serve`: the collector, in the foreground, until it is told to stop."""

import argparse
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from trajectory.cli.output import plural, say
from trajectory.cli.places import add_store, default_endpoint

if TYPE_CHECKING:
    from trajectory.collector.server import Collector


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--bind", metavar="ENDPOINT", default=default_endpoint(), help="where to listen (default: %(default)s)"
    )
    add_store(parser)
    parser.add_argument("--lifeline", action="store_true", help=argparse.SUPPRESS)  # stop when standard input closes


def run(args: argparse.Namespace) -> int:
    from trajectory.collector.server import Collector, collect_rarely
    from trajectory.detection.contract import registered_detectors
    from trajectory.emitter.courier import delivering

    require_loopback(args.bind)
    collector = Collector(args.store, registered_detectors(), args.bind)
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: collector.stop())
    if args.lifeline:
        threading.Thread(target=_until_closed, args=(collector,), name="lifeline", daemon=True).start()
    say(f"listening on {collector.endpoint}, storing in {args.store}")
    if sys.stderr.isatty():
        say("in another terminal: trajectory watch; ctrl-c stops")
    if collector.recovered:
        say(f"took up {plural(collector.recovered, 'trace')} that an earlier collector left open")
    collect_rarely()
    with delivering(collector.endpoint):
        collector.run()
    vitals = collector.pipeline.vitals
    say(
        f"stopped after {plural(vitals.fact_count, 'fact')}: {vitals.dropped_count} lost, {vitals.quarantined_count} quarantined"
        + (f"; {vitals.trouble}" if vitals.trouble else "")
    )
    return 0


def _until_closed(collector: "Collector") -> None:
    """Stops the collector when whoever started it is gone, however it went: its end of the pipe closes."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    collector.stop()


def require_loopback(endpoint: str) -> None:
    """Raises ConfigError for an address that other machines reach: there are no keys yet that could guard it."""
    from trajectory.errors import ConfigError

    host = endpoint.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    if endpoint.startswith("tcp://") and not (host.startswith("127.") or host in ("localhost", "::1")):
        raise ConfigError(
            f"{endpoint} is open to other machines, and this release has no keys: bind to 127.0.0.1", "bind"
        )
