"""`trajectory open`: the dashboard at the place that a link names, on a running collector or on a store file."""

import argparse

from trajectory.cli.watch import add_looks, add_source, looks_of, require_terminal, show, source_of
from trajectory.view.link import parse_link


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "link", metavar="LINK", help="trajectory://TRACE[/span/ID][?t=33.5s&v=timeline], or a beginning of a trace id"
    )
    add_source(parser)
    add_looks(parser)


def run(args: argparse.Namespace) -> int:
    from trajectory.view.reaching import reached

    link = parse_link(args.link)
    require_terminal()
    feed = source_of(args)
    try:
        whole = reached(feed, link)
    except BaseException:
        feed.close()
        raise
    show(feed, **looks_of(args), link=whole)
    return 0
