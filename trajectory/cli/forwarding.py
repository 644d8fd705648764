"""Forwarding as `trajectory serve` begins it beside its collector, and the headers that go with it.

Invariant: what opens a backend's door stands in no message, and need not stand in an argument.
"""

import argparse
import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from trajectory.cli.output import say

if TYPE_CHECKING:
    from trajectory.collector.server import Collector
    from trajectory.forwarder.target import Target


def add_forwarding(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--forward",
        metavar="URL",
        action="append",
        default=[],
        help="send every trace there too, by OTLP: http(s)://HOST:4318[/PATH], grpc(s)://HOST:4317; may be repeated",
    )
    add_header(parser)


def add_header(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--forward-header",
        metavar="'NAME: VALUE'",
        dest="forward_headers",
        action=_Behind,
        default=[],
        help="a header for the URL before it; secrets are better kept in TRAJECTORY_FORWARD_HEADERS (name=value,name=value)",
    )


class _Behind(argparse.Action):
    """Notes a header with the number of the URL that it stands behind; the first one's where it stands before all."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option: str | None = None) -> None:
        place = max(0, len(getattr(namespace, "forward", [])) - 1)
        namespace.forward_headers = [*namespace.forward_headers, (place, values)]


def targets_in(urls: Sequence[str], headers: Sequence[tuple[int, str]]) -> "list[Target]":
    """The targets that arguments and environment name. Raises ConfigError."""
    from trajectory.forwarder.target import targets_of

    by_url = [[said for place, said in headers if place == number] for number in range(len(urls))]
    return targets_of(urls, by_url, os.environ)


def take_targets(args: argparse.Namespace) -> "list[Target]":
    """The targets of `trajectory serve`; the environment is without their headers from here on. Raises ConfigError.

    Called before any child begins: it would inherit them, and none needs to.
    """
    from trajectory.errors import ConfigError
    from trajectory.forwarder.target import VARIABLE

    if args.forward_headers and not args.forward:
        raise ConfigError("--forward-header goes with no URL: name it with --forward", "forward")
    targets = targets_in(args.forward, args.forward_headers)
    if targets:
        from trajectory.forwarder.sending import backend_of

        for target in targets:
            backend_of(target).close()  # what is not installed is said now
    for name in [name for name in os.environ if name.startswith(VARIABLE)]:
        del os.environ[name]
    return targets


@contextlib.contextmanager
def forwarding(targets: "list[Target]", collector: "Collector") -> Iterator[None]:
    """While it lasts, what the collector stores is forwarded."""
    if not targets:
        yield
        return
    from trajectory.forwarder.beside import ForwarderProcess
    from trajectory.forwarder.process import Settings

    process = ForwarderProcess(Settings(collector.store, collector.pipeline.writer.last_frame(), targets))
    collector.pipeline.vitals.others.append(lambda: process.notices)
    try:
        yield
    finally:
        process.close()
        for notice in process.notices:
            say(notice)
