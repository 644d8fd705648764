"""The OTLP receiver as `trajectory serve` and `trajectory run` begin it beside their collector.

Invariant: beyond loopback it wants tokens, and refuses to begin without. At its default addresses a port that is taken is said
and done without; at an address that was asked for it is an error.
"""

import argparse
import contextlib
import ipaddress
import os
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from trajectory.cli.output import say
from trajectory.cli.places import keys_dir
from trajectory.errors import ConfigError

if TYPE_CHECKING:
    from trajectory.collector.server import Collector
    from trajectory.receiver.beside import ReceiverProcess

HTTP, GRPC = "127.0.0.1:4318", "127.0.0.1:4317"  # the ports that OTLP has
_PLACE = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/]+):(?P<port>\d{1,5}|\*)")


def add_receiver(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--otlp-http",
        metavar="HOST:PORT",
        type=place_of,
        default=os.environ.get("TRAJECTORY_OTLP_HTTP") or None,
        help=f"take OTLP over HTTP there (default: TRAJECTORY_OTLP_HTTP, else {HTTP}; off for none)",
    )
    parser.add_argument(
        "--otlp-grpc",
        metavar="HOST:PORT",
        type=place_of,
        default=os.environ.get("TRAJECTORY_OTLP_GRPC") or None,
        help=f"take OTLP over gRPC there (default: TRAJECTORY_OTLP_GRPC, else {GRPC} where grpcio is installed; off for none)",
    )
    parser.add_argument(
        "--otlp-name",
        metavar="HOST",
        action="append",
        default=[],
        help="a further name under which this machine is sent to",
    )


@contextlib.contextmanager
def receiving(args: argparse.Namespace, collector: "Collector") -> "Iterator[ReceiverProcess | None]":
    """While it lasts, OTLP is taken for the collector. Raises ConfigError."""
    from trajectory.receiver.beside import ReceiverProcess, Settings

    settings = Settings(
        collector=near(collector.endpoint),
        http=_wanted(args.otlp_http, HTTP),
        grpc=_wanted(args.otlp_grpc, GRPC),
        keys=_keys_for(args),
        secret="" if collector.own_keys is None else collector.own_keys.secret.hex(),
        server="" if collector.own_keys is None else collector.own_keys.server.hex(),
        hosts=list(args.otlp_name),
    )
    if not settings.http and not settings.grpc:
        yield None
        return
    receiver = ReceiverProcess(settings)
    try:
        if receiver.http_trouble and args.otlp_http:
            raise ConfigError(f"--otlp-http: {receiver.http_trouble}", "otlp-http")
        if receiver.grpc_trouble and args.otlp_grpc:
            mend = ": pip install 'trajectory-tracing[grpc]'" if "grpcio" in receiver.grpc_trouble else ""
            raise ConfigError(f"--otlp-grpc: {receiver.grpc_trouble}{mend}", "otlp-grpc")
        yield receiver
    finally:
        receiver.close()


def near(endpoint: str) -> str:
    """How this machine itself reaches an endpoint that is bound to all its addresses."""
    return endpoint.replace("://0.0.0.0:", "://127.0.0.1:").replace("://[::]:", "://[::1]:")


def tell_places(said: "ReceiverProcess", tell: Callable[[str], None]) -> None:
    """Tells where OTLP is taken; says at which of the usual places it cannot be."""
    places = [f"http://{said.http}"] if said.http else []
    places += [f"gRPC {said.grpc}"] if said.grpc else []
    if places:
        tell(f"taking OTLP at {' and '.join(places)}")
    if said.http_trouble:
        say(f"no OTLP over HTTP: {said.http_trouble}; choose another place with --otlp-http")
    if said.grpc_trouble and "grpcio" not in said.grpc_trouble:
        say(f"no OTLP over gRPC: {said.grpc_trouble}; choose another place with --otlp-grpc")


def _wanted(asked: str | None, default: str) -> str:
    wanted = asked or default
    return "" if wanted == "off" else wanted


def place_of(text: str) -> str:
    """A HOST:PORT or `off`, for argparse; a port of `*` is 0, a free one."""
    match = _PLACE.fullmatch(text)
    if text != "off" and (match is None or (match["port"] != "*" and int(match["port"]) > 65535)):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no HOST:PORT, and not off")
    return text.replace(":*", ":0")


def _keys_for(args: argparse.Namespace) -> str:
    """The keyring whose tokens are asked for; empty where only this machine comes in and no keys were asked for."""
    from trajectory.collector.keyring import Keyring

    beyond = [
        place for place in (args.otlp_http, args.otlp_grpc) if place and place != "off" and not is_local_place(place)
    ]
    if not beyond and args.keys is None:
        return ""
    keyring = Keyring(args.keys or keys_dir())
    if beyond and not any(client.token_digest for client in keyring.clients()):
        raise ConfigError(
            f"{beyond[0]} wants tokens, and there are none in {keyring.directory}: trajectory keys init, then "
            "trajectory keys add NAME --role emit; or listen on 127.0.0.1",
            "otlp-http",
        )
    return str(keyring.directory)


def is_local_place(place: str) -> bool:
    """Whether only this machine reaches a HOST:PORT."""
    host = place.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
