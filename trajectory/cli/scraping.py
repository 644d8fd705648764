"""`/metrics` as `trajectory serve --metrics` begins it beside the collector.

Invariant: off unless it is asked for; beyond loopback it wants tokens, and refuses to begin without.
"""

import argparse
import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from trajectory.cli.output import say
from trajectory.cli.places import keys_dir
from trajectory.cli.receiving import is_local_place, place_of
from trajectory.errors import ConfigError

if TYPE_CHECKING:
    from trajectory.collector.server import Collector

DEFAULT = "127.0.0.1:9464"  # the port of OpenTelemetry's exporters for Prometheus


def add_metrics(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--metrics",
        metavar="HOST:PORT",
        nargs="?",
        const=DEFAULT,
        type=place_of,
        default=os.environ.get("TRAJECTORY_METRICS") or None,
        help=f"answer Prometheus at /metrics there (off unless asked; with no place {DEFAULT}; or TRAJECTORY_METRICS)",
    )
    add_prices(parser)


def add_prices(parser: argparse.ArgumentParser) -> None:
    """What model calls cost, where our table is not yours."""
    parser.add_argument(
        "--prices", metavar="FILE", help="TOML file of prices, over ours (default: what TRAJECTORY_PRICES names)"
    )


def use_prices(args: argparse.Namespace) -> None:
    """Counts with the prices that were named. What is wrong in them raises ConfigError where they are read."""
    from trajectory.signals.prices import PRICES_VARIABLE

    if args.prices:
        os.environ[PRICES_VARIABLE] = args.prices


@contextlib.contextmanager
def scraping(args: argparse.Namespace, collector: "Collector") -> Iterator[None]:
    """While it lasts, Prometheus is answered. Raises ConfigError."""
    if not args.metrics or args.metrics == "off":
        yield
        return
    from trajectory.receiver.gate import Gate
    from trajectory.receiver.scraped import Scraped
    from trajectory.receiver.tokens import Tokens

    host, _, port = args.metrics.rpartition(":")
    directory = _keys_for(args)
    tokens = Tokens(directory, ("watch", "admin")) if directory else None
    scraped = Scraped(host.strip("[]"), int(port), Gate(tokens, frozenset(args.otlp_name)))
    collector.publish_to(scraped.publish)
    say(f"metrics at http://{scraped.place}/metrics" + (", for known tokens only" if directory else ""))
    try:
        yield
    finally:
        scraped.close()


def _keys_for(args: argparse.Namespace) -> str:
    """The keyring whose tokens are asked for; empty where only this machine comes in and no keys were asked for."""
    from trajectory.collector.keyring import Keyring

    if is_local_place(args.metrics) and args.keys is None:
        return ""
    keyring = Keyring(args.keys or keys_dir())
    if not any(client.token_digest and client.role in ("watch", "admin") for client in keyring.clients()):
        raise ConfigError(
            f"--metrics {args.metrics} wants tokens, and there are none in {keyring.directory} that may watch: trajectory keys "
            "init, then trajectory keys add NAME --role watch; or listen on 127.0.0.1",
            "metrics",
        )
    return str(keyring.directory)
