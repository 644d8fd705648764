"""`trajectory graph`: who asked whom, every span, or where values came from, as a graph in the format that a suffix names."""

import argparse
from contextlib import closing

from trajectory.cli.output import say
from trajectory.cli.places import add_store, add_trace, open_store, open_trace


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_trace(parser)
    parser.add_argument(
        "--of",
        choices=("delegations", "spans", "provenance"),
        default="delegations",
        help="what to draw (default: %(default)s)",
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", required=True, help="ends in .graphml .gexf .dot .mmd .json .svg"
    )
    add_store(parser)


def run(args: argparse.Namespace) -> int:
    return write(args, args.of)


def write(args: argparse.Namespace, of: str) -> int:
    """Writes the trace that `args` names to the file that it names."""
    from trajectory.collector.at_rest import stored_batches
    from trajectory.export.contract import Subject, choose, write_file

    exporter = choose(args.output, of)
    with closing(open_store(args.store)) as reader:
        trace = open_trace(reader, args.trace).trace
        path = write_file(args.output, exporter, Subject(trace, lambda: stored_batches(reader, trace.trace_id), of))
    say(f"wrote {path}")
    return 0
